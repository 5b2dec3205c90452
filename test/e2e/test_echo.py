"""The echo server against RFC 6455: frames, fragments, UTF-8, closing."""

import os
import random
import struct

import pytest

from harness import BINARY, CLOSE, CONT, Eof, INVALID, PING, PONG, TEXT, connect, frame, still_fine


# 1 Framing


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 128, 65535, 65536, 65537, 262144])
@pytest.mark.parametrize("step", [0, 997])
def test_1_framing(ws, opcode, size, step):
    payload = (b"*" if opcode == TEXT else b"\xfe") * size
    data = frame(opcode, payload)
    for at in range(0, len(data), step or len(data)):
        ws.send_raw(data[at : at + (step or len(data))])
    assert ws.recv() == (opcode, payload)
    ws.shut()


@pytest.mark.parametrize("path", ["/", "/any", "/a/b/c?d=e&f=%20", "/ws?tenant=x"])
def test_any_path(port, path):
    still_fine(connect(port, path))


def test_byte_by_byte(ws):
    for payload in (b"", b"x" * 3, b"y" * 130):
        for b in frame(TEXT, payload):
            ws.send_raw(bytes([b]))
        assert ws.recv() == (TEXT, payload)
    still_fine(ws)


def test_many_in_one_packet(ws):
    payloads = [os.urandom(random.randrange(200)) for _ in range(500)]
    ws.send_raw(b"".join(frame(BINARY, p, key=os.urandom(4)) for p in payloads))
    for p in payloads:
        assert ws.recv() == (BINARY, p)
    ws.shut()


# 2 Pings and pongs


def test_2_pings(ws):
    for payload in (b"", b"Hello, world!", bytes(range(256))[:125], b"\xfe" * 125):
        ws.send_frame(PING, payload)
        assert ws.recv() == (PONG, payload)
    ws.send_raw(frame(PONG) + frame(PONG, b"unsolicited") + frame(PING, b"asked"))
    assert ws.recv() == (PONG, b"asked")
    ws.send_raw(b"".join(frame(PING, b"payload-%d" % i) for i in range(10)))
    for i in range(10):
        assert ws.recv() == (PONG, b"payload-%d" % i)
    for b in frame(PING, b"octet by octet"):
        ws.send_raw(bytes([b]))
    assert ws.recv() == (PONG, b"octet by octet")
    still_fine(ws)


# What fails the connection: frames, then the codes that may close it. Frames before the faulty one are echoed.


HELLO = frame(TEXT, b"Hello, world!")
FAILURES = {
    "2.5 ping of 126 bytes": (frame(PING, b"x" * 126), 0, (1002,)),
    "3.1 RSV3": (frame(TEXT, b"x", rsv=1), 0, (1002,)),
    "3.2 RSV2 after a message": (HELLO + frame(TEXT, b"x", rsv=2) + frame(PING), 1, (1002,)),
    "3.3 RSV2 and RSV3": (HELLO + frame(TEXT, b"x", rsv=3) + frame(PING), 1, (1002,)),
    "3.4 RSV1": (HELLO + frame(TEXT, b"x", rsv=4) + frame(PING), 1, (1002,)),
    "3.5 RSV1 and RSV3 on binary": (frame(BINARY, b"x", rsv=5), 0, (1002,)),
    "3.6 RSV1 and RSV2 on a ping": (frame(PING, b"x", rsv=6), 0, (1002,)),
    "3.7 all of them on a close": (frame(CLOSE, b"\x03\xe8", rsv=7), 0, (1002,)),
    **{f"4.1 opcode {op}": (frame(op), 0, (1002,)) for op in (3, 4, 5, 6, 7)},
    **{f"4.1 opcode {op} with payload": (HELLO + frame(op, b"x") + frame(PING), 1, (1002,)) for op in (3, 4, 5, 6, 7)},
    **{f"4.2 opcode {op}": (frame(op), 0, (1002,)) for op in (11, 12, 13, 14, 15)},
    **{
        f"4.2 opcode {op} with payload": (HELLO + frame(op, b"x") + frame(PING), 1, (1002,))
        for op in (11, 12, 13, 14, 15)
    },
    "5.1 fragmented ping": (frame(PING, b"f1", fin=False) + frame(CONT, b"f2"), 0, (1002,)),
    "5.2 fragmented pong": (frame(PONG, b"f1", fin=False) + frame(CONT, b"f2"), 0, (1002,)),
    "5.9 continuation of nothing": (frame(CONT, b"x") + HELLO, 0, (1002,)),
    "5.10 finished continuation of nothing": (frame(CONT, b"x", fin=True) + HELLO, 0, (1002,)),
    "5.12 unfinished continuation of nothing": (frame(CONT, b"x", fin=False) + HELLO, 0, (1002,)),
    "5.15 continuation after the last": (
        frame(TEXT, b"f1", fin=False) + frame(CONT, b"f2") + frame(CONT, b"f3", fin=False) + HELLO,
        1,
        (1002,),
    ),
    "5.18 text inside a message": (frame(TEXT, b"f1", fin=False) + frame(TEXT, b"f2"), 0, (1002,)),
    "5.18 binary inside a message": (frame(TEXT, b"f1", fin=False) + frame(BINARY, b"f2"), 0, (1002,)),
    "7.3.2 close with one byte": (frame(CLOSE, b"a"), 0, (1002,)),
    "7.3.6 close of 126 bytes": (frame(CLOSE, b"\x03\xe8" + b"*" * 124), 0, (1002,)),
    "7.5.1 close reason not UTF-8": (
        frame(CLOSE, b"\x03\xe8" + b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited"),
        0,
        (1007, 1002),
    ),
    **{
        f"7.9 close code {n}": (frame(CLOSE, struct.pack(">H", n)), 0, (1002,))
        for n in (0, 1, 500, 999, 1004, 1005, 1006, 1015, 1016, 1100, 1999, 2000, 2999)
    },
    "unmasked text": (frame(TEXT, b"x", masked=False), 0, (1002,)),
    "unmasked empty ping": (frame(PING, masked=False), 0, (1002,)),
    "unmasked close": (frame(CLOSE, b"\x03\xe8", masked=False), 0, (1002,)),
    "unmasked continuation": (frame(TEXT, b"x", fin=False) + frame(CONT, b"y", masked=False), 0, (1002,)),
    "5 bytes in a 16-bit length": (frame(TEXT, b"12345", form=16), 0, (1002,)),
    "5 bytes in a 64-bit length": (frame(TEXT, b"12345", form=64), 0, (1002,)),
    "65535 bytes in a 64-bit length": (frame(BINARY, b"x" * 65535, form=64), 0, (1002,)),
    "ping in a 16-bit length": (frame(PING, b"x", form=16), 0, (1002,)),
    "highest bit of the length": (b"\x82\xff\x80" + b"\0" * 7 + b"mask", 0, (1002, 1009)),
    "more than anyone sends": (b"\x82\xff\x7f" + b"\xff" * 7 + b"mask", 0, (1009, 1002)),
}


@pytest.mark.parametrize("name", FAILURES)
@pytest.mark.parametrize("bytewise", [False, True])
def test_failures(ws, name, bytewise):
    data, echoes, codes = FAILURES[name]
    if bytewise and len(data) > 1000:
        pytest.skip("too long to cut")
    try:
        for at in range(0, len(data), 1 if bytewise else len(data)):
            ws.send_raw(data[at : at + (1 if bytewise else len(data))])
    except Eof:
        pass  # it closed before all was sent
    ws.closes_with(*codes)
    assert len(ws.last_words) == echoes, ws.last_words


# 5 Fragments


def test_5_fragments(ws):
    ws.send_raw(frame(TEXT, b"fragment1", fin=False) + frame(CONT, b"fragment2"))
    assert ws.recv() == (TEXT, b"fragment1fragment2")
    ws.send_raw(frame(TEXT, b"fragment1", fin=False) + frame(PING, b"between") + frame(CONT, b"fragment2"))
    assert ws.recv() == (PONG, b"between")
    assert ws.recv() == (TEXT, b"fragment1fragment2")
    ws.send_raw(frame(BINARY, b"", fin=False) + frame(CONT, b"", fin=False) + frame(CONT, b""))
    assert ws.recv() == (BINARY, b"")
    ws.send_raw(frame(TEXT, b"", fin=False) + frame(CONT, b"middle", fin=False) + frame(CONT, b""))
    assert ws.recv() == (TEXT, b"middle")
    # 5.19: fragments and pings in one go, with a pause in the middle
    ws.send_raw(frame(TEXT, b"f1", fin=False) + frame(CONT, b"f2", fin=False) + frame(PING, b"p1"))
    assert ws.recv() == (PONG, b"p1")
    ws.send_raw(frame(CONT, b"f3", fin=False) + frame(CONT, b"f4", fin=False) + frame(PING, b"p2") + frame(CONT, b"f5"))
    assert ws.recv() == (PONG, b"p2")
    assert ws.recv() == (TEXT, b"f1f2f3f4f5")
    still_fine(ws)


# 6 UTF-8


VALID = [
    "Hello-\u00b5@\u00df\u00f6\u00e4\u00fc\u00e0\u00e1-UTF-8!!".encode(),
    "\u03ba\u1f79\u03c3\u03bc\u03b5".encode(),
    b"\x00",
    b"\xc2\x80",
    b"\xe0\xa0\x80",
    b"\xf0\x90\x80\x80",
    b"\x7f",
    b"\xdf\xbf",
    b"\xef\xbf\xbf",
    b"\xf4\x8f\xbf\xbf",
    b"\xed\x9f\xbf",
    b"\xee\x80\x80",
    b"\xef\xbf\xbd",
    b"\xef\xbf\xbe",
    b"\xf0\x9f\xbf\xbf",
    b"\xf3\xbf\xbf\xbe",
    b"\xef\xb7\x90",
]


@pytest.mark.parametrize("text", VALID)
def test_6_valid(ws, text):
    ws.send_frame(TEXT, text)
    assert ws.recv() == (TEXT, text)
    ws.send_raw(
        b"".join(frame(TEXT if i == 0 else CONT, text[i : i + 1], fin=i == len(text) - 1) for i in range(len(text)))
    )
    assert ws.recv() == (TEXT, text)
    ws.send_frame(TEXT, b"a" * 100_003 + text)
    assert ws.recv() == (TEXT, b"a" * 100_003 + text)


@pytest.mark.parametrize("text", INVALID)
def test_6_invalid(port, text):
    for data in (
        frame(TEXT, text),
        b"".join(frame(TEXT if i == 0 else CONT, text[i : i + 1], fin=i == len(text) - 1) for i in range(len(text))),
        frame(TEXT, b"x" * 70_000 + text),
    ):
        ws = connect(port)
        ws.send_raw(data)
        ws.closes_with(1007)
    ws = connect(port)
    ws.send_frame(BINARY, text)
    assert ws.recv() == (BINARY, text)
    ws.shut()


def test_6_fails_at_once(port):
    """The fault shows in a fragment: the rest of the message is not waited for (6.4)."""
    ws = connect(port)
    ws.send_frame(TEXT, b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5", fin=False)
    ws.send_frame(CONT, b"\xf4\x90\x80\x80", fin=False)
    ws.closes_with(1007)
    ws = connect(port)
    ws.send_frame(TEXT, b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4", fin=False)
    ws.send_frame(CONT, b"\x90", fin=False)
    ws.closes_with(1007)


# 7 Closing


@pytest.mark.parametrize(
    "code", [None, 1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999]
)
@pytest.mark.parametrize("reason", [b"", b"*" * 123, "gr\u00fc\u00df dich".encode()])
def test_7_closing_handshake(ws, code, reason):
    ws.send_frame(CLOSE, b"" if code is None else struct.pack(">H", code) + reason)
    got = ws.closing()
    assert got in ({None, 1000} if code is None else {code})
    assert ws.wire.ends()


def test_7_after_the_close(port):
    for after in (
        frame(CLOSE, b"\x03\xe8"),
        frame(PING, b"x"),
        frame(TEXT, b"late"),
        frame(TEXT, b"f", fin=False) + frame(3),
    ):
        ws = connect(port)
        ws.send_raw(frame(CLOSE, b"\x03\xe8") + after)
        assert ws.closing() == 1000 and ws.last_words == []
        assert ws.wire.ends()
    ws = connect(port)
    ws.send_raw(frame(TEXT, b"f1", fin=False) + frame(CLOSE, b"\x03\xe8") + frame(CONT, b"f2"))
    assert ws.closing() == 1000 and ws.last_words == []
    ws = connect(port)
    ws.send_raw(frame(TEXT, b"x" * 262144) + HELLO + frame(CLOSE, b"\x03\xe8") + frame(PING))
    assert ws.closing() == 1000
    assert [len(data) for _, data in ws.last_words] == [262144, 13]


@pytest.mark.parametrize("code", [5000, 65535])
def test_7_13_codes_beyond(ws, code):
    ws.send_frame(CLOSE, struct.pack(">H", code))
    assert ws.closing() in (code, 1002)
