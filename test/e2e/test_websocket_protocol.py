"""WebSocket as RFC 6455 and RFC 7692 say it: closing, frames, heartbeat, compression, stock clients."""

import asyncio
import json
import os
import random
import struct
import zlib

import pytest
import websockets

from harness import BINARY, CLOSE, CONT, Eof, PING, PONG, Server, TEXT, WAIT, WebSocket, clients_context, frame, scaled, until


@pytest.fixture(scope="module")
def server():
    with Server("--buffer-size", "1000") as s:
        yield s


# Closing


def test_binary_is_refused(server, tenant):
    for data in (frame(BINARY, b"x"), frame(BINARY, b""), frame(BINARY, b"x", fin=False) + frame(CONT, b"y")):
        ws = server.ws(tenant)
        ws.send_raw(data)
        ws.closes_with(1003)


@pytest.mark.parametrize(
    "frames",
    [
        [frame(TEXT, b'{"type":"\xff"}')],
        [frame(TEXT, b"\xc0\xaf")],
        [frame(TEXT, b"\xed\xa0\x80")],
        [frame(TEXT, b"\xf4\x90\x80\x80")],
        [frame(TEXT, b"cut off \xe2\x82")],
        [frame(TEXT, b"\xe2\x82", fin=False), frame(CONT, b"x")],
        [frame(TEXT, b'{"type":"ping"', fin=False), frame(CONT, b"\xfe}")],
        [frame(TEXT, b"\xf0\x9f", fin=False), frame(CONT, b"\x98", fin=False), frame(CONT, b"")],
    ],
)
def test_invalid_utf8(server, tenant, frames):
    ws = server.ws(tenant)
    ws.send_raw(b"".join(frames))
    ws.closes_with(1007)


def test_characters_may_be_cut_by_fragments(server, tenant):
    ws = server.ws(tenant)
    text = '{"type":"ping","ref":"€\U0001f600é"}'.encode()
    ws.send_raw(
        b"".join(frame(TEXT if i == 0 else CONT, text[i : i + 1], fin=i == len(text) - 1) for i in range(len(text)))
    )
    assert ws.recv_json() == {"type": "pong", "ref": "€\U0001f600é"}


PROTOCOL_ERRORS = {
    "unmasked text": frame(TEXT, b'{"type":"ping"}', masked=False),
    "unmasked ping": frame(PING, b"", masked=False),
    "unmasked close": frame(CLOSE, b"\x03\xe8", masked=False),
    "RSV1 without an extension": frame(TEXT, b"x", rsv=4),
    "RSV2": frame(TEXT, b"x", rsv=2),
    "RSV3": frame(TEXT, b"x", rsv=1),
    "RSV on a ping": frame(PING, b"x", rsv=4),
    "opcode 3": frame(3, b"x"),
    "opcode 7": frame(7, b""),
    "opcode 11": frame(11, b"x"),
    "opcode 15": frame(15, b""),
    "fragmented ping": frame(PING, b"x", fin=False),
    "fragmented close": frame(CLOSE, b"", fin=False),
    "ping of 126 bytes": frame(PING, b"x" * 126),
    "close of 126 bytes": frame(CLOSE, b"\x03\xe8" + b"x" * 124),
    "continuation of nothing": frame(CONT, b"x"),
    "unfinished continuation of nothing": frame(CONT, b"x", fin=False),
    "message inside a message": frame(TEXT, b"x", fin=False) + frame(TEXT, b"y"),
    "continuation after the end": frame(TEXT, b'{"type":', fin=False) + frame(CONT, b'"ping"}') + frame(CONT, b"z"),
    "length not in its shortest form, 16 bits": frame(TEXT, b"x" * 100, form=16),
    "length not in its shortest form, 64 bits": frame(TEXT, b"x" * 1000, form=64),
    "length with the highest bit": b"\x81\xff\x80" + b"\0" * 7 + b"\0\0\0\0x",
    "close with one byte": frame(CLOSE, b"\x03"),
    **{
        f"close code {n}": frame(CLOSE, struct.pack(">H", n))
        for n in (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)
    },
}


@pytest.mark.parametrize("name", PROTOCOL_ERRORS)
def test_protocol_errors(server, tenant, name):
    ws = server.ws(tenant)
    ws.send_raw(PROTOCOL_ERRORS[name])
    ws.closes_with(*((1002, 1009) if "highest" in name else (1002,)))


def test_close_reason_has_to_be_utf8(server, tenant):
    ws = server.ws(tenant)
    ws.send_frame(CLOSE, b"\x03\xe8\xff\xfe")
    ws.closes_with(1007, 1002)


@pytest.mark.parametrize(
    "code", [None, 1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999]
)
def test_closing_handshake(server, tenant, code):
    ws = server.ws(tenant)
    ws.send_frame(CLOSE, b"" if code is None else struct.pack(">H", code) + "gr\u00fc\u00dfe".encode())
    got = ws.closing()
    assert got in ({None, 1000} if code is None else {code}), got
    assert ws.wire.ends()


def test_nothing_is_read_after_a_close(server, tenant):
    ws = server.ws(tenant)
    ws.send_raw(
        frame(CLOSE, struct.pack(">H", 1000))
        + frame(TEXT, b'{"type":"post_event","ref":1,"message":"late"}')
        + frame(PING, b"x")
    )
    assert ws.closing() == 1000 and ws.last_words == []
    assert ws.wire.ends()
    assert server.get("/events/stats", tenant).json()["total"] == 0


def test_what_was_acknowledged_before_a_close_is_sent(server, tenant):
    ws = server.ws(tenant)
    ws.send_raw(
        frame(TEXT, b'{"type":"post_event","ref":1,"message":"in time"}') + frame(CLOSE, struct.pack(">H", 1000))
    )
    assert ws.closing() == 1000
    kinds = [json.loads(data)["type"] for _, data in ws.last_words]
    assert "ack" in kinds, kinds


def test_too_big():
    with Server("--max-body-bytes", "4096") as s:

        def ping(size):
            return b'{"type":"ping","ref":"%s"}' % (b"x" * (size - len('{"type":"ping","ref":""}')))

        ws = s.ws("t")
        ws.send_text(ping(4096))
        assert ws.recv_json()["type"] == "pong"
        ws.send_text(ping(4097))
        ws.closes_with(1009)
        # Announced only: nothing of a big frame has to come first.
        for announced in (
            b"\x81\xfe\x10\x01" + b"\0" * 4,
            b"\x81\xff" + struct.pack(">Q", 2**40) + b"\0" * 4,
            b"\x81\xff" + struct.pack(">Q", 2**63 - 1) + b"\0" * 4,
        ):
            ws = s.ws("t")
            ws.send_raw(announced)
            ws.closes_with(1009)
        # By the sum of fragments, however many.
        ws = s.ws("t")
        ws.send_raw(frame(TEXT, b"x" * 2048, fin=False) + frame(CONT, b"x" * 2048, fin=False) + frame(CONT, b"x"))
        ws.closes_with(1009)
        # By what it inflates to.
        ws = s.ws("t", offer="permessage-deflate")
        if ws.extension is not None:
            bomb = ws.deflate(b"x" * 3_000_000)
            assert len(bomb) < 4096
            ws.send_frame(TEXT, bomb, rsv=4)
            ws.closes_with(1009)
        assert s.ws("t").alive()


def test_endless_empty_fragments(server, tenant):
    """A message of nothing, for ever: other clients are served, and the connection is closed or goes on, at no cost."""
    ws, other = server.ws(tenant), server.ws(tenant)
    before = server.process.rss()
    try:
        ws.send_raw(frame(TEXT, b"", fin=False))
        for _ in range(scaled(100)):
            ws.send_raw(frame(CONT, b"", fin=False) * 1000)
    except Eof:
        pass
    e = server.publish(tenant, "x")
    assert other.events(1) == [e]
    assert server.process.rss() - before < 64 << 20


# Control frames and fragments


def test_ping_pong(server, tenant):
    ws = server.ws(tenant)
    for payload in (b"", b"x", b"\x00\xff\xfe", b"y" * 125):
        ws.send_frame(PING, payload)
        assert ws.recv() == (PONG, payload)
    ws.send_frame(PONG, b"unasked")
    ws.send_frame(PING, b"after")
    assert ws.recv() == (PONG, b"after")
    ws.send_raw(b"".join(frame(PING, b"%d" % i) for i in range(100)))
    for i in range(100):
        assert ws.recv() == (PONG, b"%d" % i)


def test_control_frames_between_fragments(server, tenant):
    ws = server.ws(tenant)
    ws.send_frame(TEXT, b'{"type":"pi', fin=False)
    ws.send_frame(PING, b"between")
    assert ws.recv() == (PONG, b"between")
    e = server.publish(tenant, "meanwhile")
    assert ws.events(1) == [e]
    ws.send_frame(CONT, b'ng","ref', fin=False)
    ws.send_frame(PONG, b"")
    ws.send_frame(CONT, b"", fin=False)
    ws.send_frame(CONT, b'":5}')
    assert ws.recv_json() == {"type": "pong", "ref": 5}
    ws.send_frame(TEXT, b"unfinished", fin=False)
    ws.shut()


@pytest.mark.parametrize("step", [1, 2, 5])
def test_frames_byte_by_byte(server, tenant, step):
    ws = server.ws(tenant)
    data = (
        frame(TEXT, b'{"type":"ping","ref":1}')
        + frame(PING, b"p")
        + frame(TEXT, b'{"type":"ping","ref":"' + b"x" * 200 + b'"}')
    )
    for at in range(0, len(data), step):
        ws.send_raw(data[at : at + step])
    assert ws.recv_json() == {"type": "pong", "ref": 1}
    assert ws.recv() == (PONG, b"p")
    assert ws.recv_json() == {"type": "pong", "ref": "x" * 200}


@pytest.mark.parametrize("size", [124, 125, 126, 127, 65535, 65536, 65537, 1_000_000])
def test_frame_sizes(server, tenant, size):
    """Both sides' length encodings at their borders (the ref makes the answer about as long)."""
    ws = server.ws(tenant)
    shell = len('{"type":"ping","ref":""}')
    ws.send_text('{"type":"ping","ref":"%s"}' % ("x" * (size - shell)))
    assert ws.recv_json() == {"type": "pong", "ref": "x" * (size - shell)}


def test_any_mask(server, tenant):
    ws = server.ws(tenant)
    for key in (b"\0\0\0\0", b"\xff\xff\xff\xff", os.urandom(4), b"\x80\x01\x00\x7f"):
        for n in range(20):
            ws.send_frame(TEXT, b'{"type":"ping","ref":"%s"}' % (b"x" * n), key=key)
            assert ws.recv_json() == {"type": "pong", "ref": "x" * n}


# Heartbeat


def test_heartbeat():
    with Server("--ping-interval", "200ms", "--ping-timeout", "1s", "--idle-timeout", "500ms") as s:
        ws = s.ws("t")
        ws.answer_pings(8)
        e = s.publish("t", "x")
        assert ws.events(1) == [e]


def test_who_does_not_answer_is_dropped():
    with Server("--ping-interval", "200ms", "--ping-timeout", "200ms") as s:
        dead = [s.ws("t") for _ in range(20)]
        for ws in dead:
            ws.auto_pong = False
        for ws in dead:
            try:
                ws.closing()
            except Eof:
                pass
            assert ws.wire.ends()
            assert ws.pings >= 1
        until(lambda: s.get("/events/stats", "t").json()["connections"] == 0, "dropped sessions are forgotten")


# permessage-deflate


@pytest.mark.parametrize(
    "offer",
    [
        "permessage-deflate",
        "permessage-deflate; client_max_window_bits",
        "permessage-deflate; client_max_window_bits=10",
        "permessage-deflate; server_max_window_bits=10",
        "permessage-deflate; server_max_window_bits=15",
        "permessage-deflate; server_no_context_takeover",
        "permessage-deflate; client_no_context_takeover",
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover; "
        "server_max_window_bits=9; client_max_window_bits=9",
        "x-unknown, permessage-deflate",
        "permessage-deflate; bogus=1, permessage-deflate",
        "PERMESSAGE-deflate; foo, permessage-deflate; client_max_window_bits",
        'permessage-deflate; server_max_window_bits="12"',
    ],
)
def test_deflate_both_ways(server, tenant, offer):
    ws = server.ws(tenant, offer=offer)
    if "server_max_window_bits" in offer and ws.extension is None:
        pytest.skip("a small window may be declined")
    assert ws.extension is not None, ws.response
    text = "carillon " * 200
    for n in range(1, 11):
        # Repetition across messages makes use of the context, where it is kept.
        ws.send_json({"type": "post_event", "ref": n, "message": text, "metadata": {"n": n}}, deflated=n % 3 != 0)
        frames = {f["type"]: f for f in (ws.recv_json(), ws.recv_json())}
        assert frames["ack"]["event"]["message"] == text and frames["event_created"]["event"] == frames["ack"]["event"]
    for i in range(10):
        e = server.publish(tenant, text + str(i))
        assert ws.events(1) == [e]
    assert ws.deflated, "nothing was ever sent deflated"
    ws.shut()


@pytest.mark.parametrize(
    "offer",
    [
        "permessage-deflate; bogus",
        "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; client_max_window_bits=7",
        "permessage-deflate; client_max_window_bits=x",
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; server_max_window_bits=10; server_max_window_bits=10",
        "permessage-deflate; client_no_context_takeover; client_no_context_takeover",
        "permessage-deflate; server_max_window_bits=010",
        "x-webkit-deflate-frame",
        "permessage-deflate-x",
        "permessage-bzip2",
    ],
)
def test_offers_that_have_to_be_declined(server, tenant, offer):
    ws = WebSocket(server.port, f"/ws?tenant={tenant}", offer=offer)
    assert ws.extension is None, ws.response
    ws.close()


def test_small_windows_are_kept_to(server, tenant):
    """What the server sends inflates with the window it agreed to: repetition farther back may not be used."""
    rng = random.Random(7)
    for bits in (9, 10, 12):
        ws = server.ws(tenant, offer=f"permessage-deflate; server_max_window_bits={bits}")
        if ws.extension is None:
            continue
        block = "".join(rng.choice("abcdefghijklmnopqrstuvwxyz0123456789") for _ in range(900))
        e = server.publish(tenant, block + block[:100] + block, metadata={"pad": block * 20})
        assert ws.events(1) == [e]
        ws.close()


def test_deflated_fragments_and_controls(server, tenant):
    ws = server.ws(tenant, offer="permessage-deflate")
    data = ws.deflate(json.dumps({"type": "ping", "ref": "fragment " * 100}).encode())
    cut = [data[i : i + 5] for i in range(0, len(data), 5)]
    for i, piece in enumerate(cut):
        ws.send_frame(TEXT if i == 0 else CONT, piece, fin=i == len(cut) - 1, rsv=4 if i == 0 else 0)
        if i % 3 == 0:
            ws.send_frame(PING, b"%d" % i)
    got, pongs = None, 0
    while got is None or pongs < len(range(0, len(cut), 3)):
        opcode, payload = ws.recv()
        if opcode == PONG:
            pongs += 1
        else:
            got = json.loads(payload)
    assert got == {"type": "pong", "ref": "fragment " * 100}
    # Undeflated among deflated, an empty deflated one, one of stored blocks, one with a final block.
    ws.send_json({"type": "ping", "ref": 1})
    assert ws.recv_json()["ref"] == 1
    ws.send_frame(TEXT, b"\x00", rsv=4)
    assert ws.recv_json()["type"] == "error"
    stored = zlib.compressobj(0, zlib.DEFLATED, -15)
    data = stored.compress(b'{"type":"ping","ref":2}') + stored.flush(zlib.Z_SYNC_FLUSH)
    ws.send_frame(TEXT, data[:-4], rsv=4)
    assert ws.recv_json()["ref"] == 2
    final = zlib.compressobj(6, zlib.DEFLATED, -15)
    data = final.compress(b'{"type":"ping","ref":3}') + final.flush(zlib.Z_FINISH)
    ws.send_frame(TEXT, data + b"\x00", rsv=4)
    assert ws.recv_json()["ref"] == 3
    assert ws.alive()


def test_deflate_faults(server, tenant):
    for data, codes in (
        (frame(TEXT, b"\xff\xff\xff\xff", rsv=4), (1002, 1007)),
        (frame(PING, b"x", rsv=4), (1002,)),
        (frame(TEXT, b"x", rsv=6), (1002,)),
        (frame(TEXT, b"\x4a", fin=False, rsv=4) + frame(CONT, b"\x04\x00", rsv=4), (1002,)),
        (frame(CLOSE, b"\x03\xe8", rsv=4), (1002,)),
    ):
        ws = server.ws(tenant, offer="permessage-deflate")
        ws.send_raw(data)
        ws.closes_with(*codes)
    ws = server.ws(tenant, offer="permessage-deflate")
    ws.send_frame(TEXT, ws.deflate(b'{"type":"ping","ref":"\xff"}'), rsv=4)
    ws.closes_with(1007)
    ws = server.ws(tenant, offer="permessage-deflate")
    ws.send_frame(BINARY, ws.deflate(b"x"), rsv=4)
    ws.closes_with(1003)


# Stock clients


def run(coroutine):
    asyncio.run(asyncio.wait_for(coroutine, WAIT))


def connect(server, target, **more):
    return websockets.connect(
        server.address("ws") + target, **more, **({"ssl": clients_context()} if server.tls else {})
    )


@pytest.mark.parametrize("compression", ["deflate", None])
def test_stock_client(server, tenant, compression):
    async def talk():
        target = f"/ws?tenant={tenant}"
        async with connect(server, target, compression=compression, max_size=None) as ws:
            hello = json.loads(await ws.recv())
            assert hello["type"] == "connection_established" and hello["tenant_id"] == tenant
            for n in range(1, 101):
                await ws.send(
                    json.dumps({"type": "post_event", "ref": n, "message": "stock " * 50, "metadata": {"n": n}})
                )
            acks, events = [], []
            while len(acks) + len(events) < 200:
                f = json.loads(await ws.recv())
                (acks if f["type"] == "ack" else events).append(f)
            assert [f["ref"] for f in acks] == list(range(1, 101))
            assert [f["event"]["seq"] for f in events] == list(range(1, 101))
            await (await ws.ping())

            async def pieces():
                for c in '{"type":"ping","ref":"in pieces"}':
                    yield c

            await ws.send(pieces())
            assert json.loads(await ws.recv()) == {"type": "pong", "ref": "in pieces"}
        assert ws.close_code == 1000
        async with connect(server, target + "&since=95", compression=compression) as ws:
            assert json.loads(await ws.recv())["seq"] == 100
            assert [json.loads(await ws.recv())["event"]["seq"] for _ in range(5)] == [96, 97, 98, 99, 100]
            await ws.send(b"binary")
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await ws.recv()
            assert closed.value.rcvd.code == 1003

    run(talk())


def test_stock_client_is_refused(server):
    async def talk():
        with pytest.raises(websockets.InvalidStatusCode) as refusal:
            await connect(server, "/ws")
        assert refusal.value.status_code == 401
        with pytest.raises(websockets.InvalidStatusCode) as refusal:
            await connect(server, "/ws?tenant=tenant_a", origin="https://evil.example")
        assert refusal.value.status_code == 403

    run(talk())


def test_reset_in_mid_stream_hurts_nobody(server, tenant):
    others = [server.ws(tenant) for _ in range(3)]
    for i in range(scaled(50)):
        gone = server.ws(tenant, offer="permessage-deflate" if i % 2 else None)
        gone.send_raw(frame(TEXT, b'{"type":"ping"', fin=False)[: i % 12])
        gone.reset()
        e = server.publish(tenant, f"m{i}")
        for ws in others:
            assert ws.events(1) == [e]
