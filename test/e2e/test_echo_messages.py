"""The echo server with large and compressed messages (RFC 7692), and over plain HTTP."""

import asyncio
import json
import os
import random
import struct
import threading
import zlib

import pytest
import websockets

from harness import (
    BINARY,
    CLOSE,
    CONT,
    Http,
    INVALID,
    PING,
    PONG,
    Refused,
    SLOW,
    TEXT,
    WAIT,
    connect,
    frame,
    in_chunks,
    refused,
    scaled,
    still_fine,
)


# 9 Limits


def send_in_background(ws, data):
    """Sends from another thread: an echo may begin before the message has ended."""
    thread = threading.Thread(target=lambda: ws.wire.sock.sendall(data), daemon=True)
    ws.wire.sock.settimeout(3 * WAIT)
    ws.wire.wait = 3 * WAIT
    thread.start()
    return thread


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("size", [1 << 20, 16 << 20, 64 << 20])
def test_9_big_messages(ws, opcode, size):
    unit = b"BAsd7&jh23" if opcode == TEXT else os.urandom(65521)
    payload = (unit * (size // len(unit) + 1))[:size]
    thread = send_in_background(ws, frame(opcode, payload))
    got, data = ws.recv()
    thread.join()
    assert got == opcode and data == payload
    still_fine(ws)


def test_9_too_big_a_message(port):
    ws = connect(port)
    ws.send_raw(b"\x82\xff" + struct.pack(">Q", (64 << 20) + 1) + b"\0\0\0\0")
    ws.closes_with(1009)


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("piece", [64, 1024, 65536])
def test_9_fragmented(ws, opcode, piece):
    """4 MiB in up to 65,536 fragments."""
    size = 4 << 20
    payload = (b"*" * size) if opcode == TEXT else os.urandom(size)
    count = size // piece
    data = b"".join(
        frame(opcode if i == 0 else CONT, payload[i * piece : (i + 1) * piece], fin=i == count - 1, key=b"\0\0\0\0")
        for i in range(count)
    )
    thread = send_in_background(ws, data)
    assert ws.recv() == (opcode, payload)
    thread.join()
    still_fine(ws)


def test_9_65536_tiny_fragments(ws):
    data = b"".join(
        frame(TEXT if i == 0 else CONT, b"%d" % (i % 10), fin=i == 65535, key=b"\0\0\0\0") for i in range(65536)
    )
    thread = send_in_background(ws, data)
    got, text = ws.recv()
    thread.join()
    assert got == TEXT and text == (b"0123456789" * 6554)[:65536]
    still_fine(ws)


def test_9_many_messages(ws):
    payloads = [b"x" * (i % 200) for i in range(scaled(10_000))]
    thread = send_in_background(ws, b"".join(frame(BINARY, p) for p in payloads))
    for p in payloads:
        assert ws.recv() == (BINARY, p)
    thread.join()
    ws.shut()


# 12 and 13 Compression


OFFERS = [
    "permessage-deflate",
    "permessage-deflate; client_max_window_bits",
    "permessage-deflate; client_no_context_takeover; client_max_window_bits",
    "permessage-deflate; server_no_context_takeover",
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits",
    "permessage-deflate; server_max_window_bits=9; client_max_window_bits",
    "permessage-deflate; server_max_window_bits=9; client_max_window_bits=9",
    "permessage-deflate; server_max_window_bits=12; server_no_context_takeover",
    "permessage-deflate; server_max_window_bits=15; client_max_window_bits=15",
    "permessage-deflate; server_max_window_bits=8",
    "permessage-deflate; server_no_context_takeover; server_max_window_bits=9, "
    "permessage-deflate; server_no_context_takeover, permessage-deflate",
    "permessage-bzip2; level=9, permessage-deflate",
]


def texts(rng):
    """Text that compresses well, but never from one place only."""
    words = [
        "".join(rng.choice("abcdefghij\u00e9\u20ac\U0001f600 ") for _ in range(rng.randrange(1, 12)))
        for _ in range(200)
    ]
    while True:
        yield lambda size: "".join(rng.choice(words) for _ in range(size // 6 + 1))[:size].encode()


@pytest.mark.parametrize("offer", OFFERS)
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_12_and_13_compression(port, offer, opcode):
    ws = connect(port, offer=offer)
    if "server_max_window_bits=8" in offer and ws.extension is None:
        pytest.skip("zlib has no window of 8 bits: may be declined")
    assert ws.extension is not None, ws.response
    rng = random.Random(13)
    make = next(texts(rng))
    for size, count in (
        (0, 3),
        (16, 30),
        (64, 30),
        (256, 30),
        (1024, 30),
        (4096, 20),
        (8192, 10),
        (32768, 6),
        (131072, 4),
    ):
        for i in range(count):
            payload = make(size) if opcode == TEXT else rng.randbytes(size // 2) + b"\0" * (size - size // 2)
            data = ws.deflate(payload)
            if i % 3 == 0 or len(data) < 20:
                ws.send_frame(opcode, data, rsv=4)
            else:
                cut = sorted(rng.randrange(len(data)) for _ in range(3))
                ws.send_frame(opcode, data[: cut[0]], fin=False, rsv=4)
                ws.send_frame(CONT, data[cut[0] : cut[1]], fin=False)
                ws.send_frame(PING, b"between")
                assert ws.recv() == (PONG, b"between")
                ws.send_frame(CONT, data[cut[1] : cut[2]], fin=False)
                ws.send_frame(CONT, data[cut[2] :])
            assert ws.recv() == (opcode, payload), (size, i)
    assert ws.deflated, "nothing came back deflated"
    ws.send_frame(opcode, b"not deflated")
    assert ws.recv() == (opcode, b"not deflated")
    ws.shut()


def test_12_big_deflated_messages(port):
    ws = connect(port, offer="permessage-deflate")
    for payload in (b"a" * (64 << 20), os.urandom(1 << 20) * 4):
        thread = send_in_background(ws, frame(BINARY, ws.deflate(payload), rsv=4))
        assert ws.recv() == (BINARY, payload)
        thread.join()
    # Over the limit only once inflated.
    bomb = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = b"".join(bomb.compress(b"\0" * (1 << 20)) for _ in range(65)) + bomb.flush(zlib.Z_SYNC_FLUSH)
    ws.send_frame(BINARY, data[:-4], rsv=4)
    ws.closes_with(1009)


def test_7692_examples(port):
    """RFC 7692, section 7.2.3."""
    ws = connect(port, offer="permessage-deflate")
    for data in (
        b"\xf2\x48\xcd\xc9\xc9\x07\x00",
        b"\xf2\x00\x11\x00\x00",
        b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00",
        b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00",
        b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00",
    ):
        ws.send_frame(TEXT, data, rsv=4)
        assert ws.recv() == (TEXT, b"Hello"), data
        if data.startswith(b"\xf2\x48\xcd") and "client_no_context_takeover" in ws.extension:
            ws.close()
            ws = connect(port, offer="permessage-deflate")
            ws.send_frame(TEXT, b"\xf2\x48\xcd\xc9\xc9\x07\x00", rsv=4)
            assert ws.recv() == (TEXT, b"Hello")
            if "client_no_context_takeover" in ws.extension:
                ws.shut()
                return
    ws.shut()


@pytest.mark.parametrize(
    "data,codes",
    [
        (frame(TEXT, b"\xff\xff\xff", rsv=4), (1002, 1007)),
        (frame(TEXT, b"\xf2\x48\xcd\xc9\xc9\x07\x00", fin=False, rsv=4) + frame(CONT, b"\0", rsv=4), (1002,)),
        (frame(PING, b"x", rsv=4), (1002,)),
        (frame(CLOSE, b"\x03\xe8", rsv=4), (1002,)),
        (frame(TEXT, b"x", rsv=5), (1002,)),
        (frame(TEXT, b"x", rsv=2), (1002,)),
        (frame(TEXT, b"x", fin=False) + frame(CONT, b"x", rsv=4), (1002,)),
    ],
)
def test_compression_faults(port, data, codes):
    ws = connect(port, offer="permessage-deflate")
    ws.send_raw(data)
    ws.closes_with(*codes)


def test_invalid_utf8_under_deflate(port):
    for text in INVALID[:6]:
        ws = connect(port, offer="permessage-deflate")
        ws.send_frame(TEXT, ws.deflate(text), rsv=4)
        ws.closes_with(1007)
    ws = connect(port, offer="permessage-deflate")
    ws.send_frame(BINARY, ws.deflate(INVALID[0]), rsv=4)
    assert ws.recv() == (BINARY, INVALID[0])
    ws.shut()


@pytest.mark.parametrize(
    "offer",
    [
        "permessage-deflate; bogus",
        "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; client_max_window_bits=16",
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; server_max_window_bits=10; server_max_window_bits=10",
        "permessage-deflate; server_max_window_bits=+9",
        "permessage-deflate; server_max_window_bits=09",
        "x-webkit-deflate-frame",
        "permessage-deflatex",
    ],
)
def test_offers_to_decline(port, offer):
    ws = connect(port, offer=offer)
    assert ws.extension is None
    still_fine(ws)


# The handshake


def test_handshake(port):
    assert refused(connect, port, headers={"Sec-WebSocket-Version": "8"}).status == 426
    for change in (
        {"Sec-WebSocket-Key": None},
        {"Sec-WebSocket-Key": "short"},
        {"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAAAA"},
    ):
        try:
            ws = connect(port, headers=change)
            ws.close()
            raise AssertionError(f"accepted {change}")
        except Refused as r:
            assert r.response.status in (200, 400, 426), r.response
    still_fine(connect(port, headers={"Connection": "keep-alive, Upgrade", "Upgrade": "WebSocket"}))
    ws = connect(port, extra=frame(TEXT, b"at once"))
    assert ws.recv() == (TEXT, b"at once")
    ws.shut()


# HTTP


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "PROPFIND"])
@pytest.mark.parametrize("path", ["/", "/any/path?with=query", "/%41"])
def test_http_echo(port, method, path):
    c = Http(port, standing=False)
    for body in (None, b"", b"x", os.urandom(100_000)):
        if body is None and method == "POST":
            continue
        r = c.request(method, path, None, body)
        assert r.status == 200, r
        if method == "HEAD":
            assert r.header("Content-Length", "0") == str(len(body or b""))
        else:
            assert r.body == (body or b"")
    c.send(c.build(method, path, {"Transfer-Encoding": "chunked"}) + in_chunks(b"in chunks " * 50))
    r = c.response(method)
    assert r.status == 200 and r.body == (b"" if method == "HEAD" else b"in chunks " * 50)
    c.close()


def test_http_headers_shown(port):
    c = Http(port, standing=False)
    r = c.request(
        "GET", "/echo", [("X-One", "1"), ("x-two", "a  b"), ("X-One", "again"), ("X-Empty", ""), ("Accept", "*/*")]
    )
    assert r.status == 200
    lines = r.body.decode("latin-1").replace("\r\n", "\n").splitlines()
    shown = [tuple(p.strip() for p in line.split(":", 1)) for line in lines if line]
    want = [
        ("host", f"127.0.0.1:{port}"),
        ("x-one", "1"),
        ("x-two", "a  b"),
        ("x-one", "again"),
        ("x-empty", ""),
        ("accept", "*/*"),
    ]
    assert [(k.lower(), v) for k, v in shown] == want
    for line in lines:
        assert ": " in line or line.endswith(":"), line


def test_http_pipelining(port):
    c = Http(port, standing=False)
    bodies = [b"%d" % i * (i % 50) for i in range(200)]
    c.send(b"".join(c.build("POST", "/", None, b, chunked=i % 3 == 0) for i, b in enumerate(bodies)))
    for b in bodies:
        assert c.response("POST").body == b


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: b\rc\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: b\0c\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\rx\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n 1\r\nx\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\nx",
        b"nonsense\r\n\r\n",
    ],
)
def test_http_strictness(port, data):
    c = Http(port, standing=False)
    c.send(data)
    assert c.response("POST").status == 400
    assert c.ends()


def test_expect_continue(port):
    c = Http(port, standing=False)
    c.send(c.build("PUT", "/", {"Expect": "100-continue", "Content-Length": "4"}))
    assert c.head().status == 100
    c.send(b"body")
    assert c.response("PUT", skip_100=False).body == b"body"


# A stock client


def test_stock_client(port):
    async def talk():
        for compression in ("deflate", None):
            async with websockets.connect(f"ws://127.0.0.1:{port}/stock", compression=compression, max_size=None) as ws:
                for message in (
                    "text",
                    b"binary",
                    "",
                    b"",
                    "x" * 1_000_000,
                    os.urandom(100_000),
                    json.dumps(list(range(10_000))),
                ):
                    await ws.send(message)
                    assert await ws.recv() == message

                async def pieces():
                    for _ in range(1000):
                        yield "piece "

                await ws.send(pieces())
                assert await ws.recv() == "piece " * 1000
                await (await ws.ping(b"ping"))
            assert ws.close_code == 1000

    asyncio.run(asyncio.wait_for(talk(), (3 if SLOW else 1) * WAIT))


def test_many_at_once(port):
    clients = [connect(port, offer="permessage-deflate" if i % 2 else None) for i in range(scaled(300))]
    for i, ws in enumerate(clients):
        ws.send_frame(TEXT, b"%d" % i)
    for i, ws in enumerate(clients):
        assert ws.recv() == (TEXT, b"%d" % i)
        ws.close()
