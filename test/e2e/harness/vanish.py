"""Clients that go away in the middle of anything."""

import contextlib
import socket
import struct


from . import secure
from .settings import WAIT
from .websocket import CONT, TEXT, frame


EVENT = b'{"message":"x"}'


HANDSHAKE = (
    "GET /ws?tenant=t HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)


DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"


POST = (
    "POST /events?tenant=t HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    f"Content-Length: {len(EVENT)}\r\n\r\n"
).encode()


STAGES = {
    "connected": (b"", False),
    "mid-method": (b"PO", False),
    "mid-headers": (POST[:60], False),
    "mid-body": (POST + EVENT[:6], False),
    "after a request": (POST + EVENT, False),
    "after an answer": (POST + EVENT, True),
    "mid-pipeline": ((POST + EVENT) * 5 + POST[:30], True),
    "mid-chunk": (POST.replace(b"Content-Length: 15", b"Transfer-Encoding: chunked") + b"f\r\n{", False),
    "waiting for 100": (POST.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"), True),
    "mid-handshake": (HANDSHAKE.encode(), False),
    "after the handshake": ((HANDSHAKE + "\r\n").encode(), True),
    "handshake unread": ((HANDSHAKE + DEFLATE + "\r\n").encode(), False),
    "mid-frame header": ((HANDSHAKE + "\r\n").encode() + b"\x81", True),
    "mid-frame": ((HANDSHAKE + "\r\n").encode() + frame(TEXT, b'{"type":"ping"}')[:9], True),
    "mid-message": (
        (HANDSHAKE + "\r\n").encode() + frame(TEXT, b'{"type":', fin=False) + frame(CONT, b"x", fin=False),
        True,
    ),
    "mid-deflated message": (
        (HANDSHAKE + DEFLATE + "\r\n").encode() + frame(TEXT, b"\xaa\x56", fin=False, rsv=4),
        True,
    ),
    "after a close": ((HANDSHAKE + "\r\n").encode() + frame(8, b"\x03\xe8"), False),
    "after a protocol error": ((HANDSHAKE + "\r\n").encode() + frame(3, b"x"), False),
    "replaying": ((HANDSHAKE.replace("tenant=t", "tenant=t&since=0") + "\r\n").encode(), True),
    "snapshot": ((HANDSHAKE.replace("tenant=t", "tenant=t&snapshot=1000") + DEFLATE + "\r\n").encode(), False),
    "streaming": (b"GET /api/v1/events/stream?tenant=t&since=0 HTTP/1.1\r\nHost: x\r\n\r\n", True),
    "stream unread": (
        b"GET /events?tenant=t&snapshot=100 HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n",
        False,
    ),
    "malformed": (b"\x16\x03\x01\x00\r\n\r\n", False),
}


def vanish(port, rng):
    data, answered = STAGES[rng.choice(list(STAGES))]
    c = secure.secured(socket.create_connection(("127.0.0.1", port), WAIT), port)
    try:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            if data:
                c.sendall(data)
            if answered:
                c.recv(rng.choice((1, 100, 65536)))
        how = rng.random()
        if how < 0.5:
            c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif how < 0.7:
            with contextlib.suppress(OSError):
                c.shutdown(socket.SHUT_WR)
    finally:
        c.close()
