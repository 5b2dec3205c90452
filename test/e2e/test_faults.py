"""Descriptors that run out, and clients that vanish."""

import contextlib
import json
import random
import socket
import struct
import time

import pytest

from harness import CONT, Eof, Http, SANITIZED, SLOW, Server, TEXT, Team, WAIT, Wire, frame, scaled, until

JSON = {"Content-Type": "application/json"}
EVENT = b'{"message":"x"}'


# Descriptors


@pytest.mark.parametrize("threads", [1, 2])
def test_out_of_descriptors(threads):
    with Server("--threads", threads, "--max-connections", "10000", nofile=96) as s:
        ws, sse, conn = s.ws("t"), s.sse("t"), s.http()
        assert conn.request("GET", "/livez").status == 200
        crowd = []
        for _ in range(200):
            with contextlib.suppress(OSError, Eof):
                crowd.append(Wire(s.port))
        until(lambda: s.process.fds() >= 90, "all descriptors used")
        # Those who are in are served on.
        for i in range(50):
            r = conn.request("POST", "/events?tenant=t", JSON, json.dumps({"message": f"m{i}"}).encode())
            assert r.status == 201
            assert ws.events(1)[0]["message"] == f"m{i}" and sse.events(1)[0]["message"] == f"m{i}"
        # Waiting for a descriptor is no reason to spin.
        before, start = s.process.cpu(), time.monotonic()
        time.sleep(2)
        if not SLOW:
            assert s.process.cpu() - before < 0.5 * (time.monotonic() - start), "busy while it has nothing to do"
        for c in crowd:
            c.close()

        def accepts():
            try:
                c = Http(s.port, wait=2)
            except OSError:
                return False
            try:
                return c.request("GET", "/livez").status == 200
            except (Eof, TimeoutError, AssertionError):
                return False
            finally:
                c.close()

        until(accepts, "accepting resumes by itself")
        late = s.ws("t", "since=0")
        assert len(late.events(50)) == 50
        e = s.publish("t", "after")
        for client in (ws, sse, late):
            assert client.events(1) == [e]


# Clients that vanish

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
    c = socket.create_connection(("127.0.0.1", port), WAIT)
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


@pytest.mark.parametrize("threads", [2])
def test_ten_thousand_abrupt_disconnects(threads):
    total, workers = scaled(10_000), 5
    with Server("--threads", threads, "--buffer-size", "100", "--log-level", "error") as s:
        conn = s.http()
        assert conn.request("GET", "/livez").status == 200

        def storm(count):
            team = Team()

            def work(seed):
                rng = random.Random(seed)
                for _ in range(count // workers):
                    vanish(s.port, rng)

            for seed in range(workers):
                team.go(work, seed)
            team.join()

        s.flood("t", ("x" for _ in range(300)))
        for c in s.open[1:]:
            c.close()

        def settled():
            h = conn.request("GET", "/api/health").json()
            return h["connections"] == 1 and h

        until(settled, "only this connection is left")
        fds = s.process.fds()
        storm(total // 5)  # warms up what grows once: allocator, thread caches
        until(settled, "only this connection is left")
        until(lambda: s.process.fds() == fds, f"back to {fds} descriptors")
        rss = s.process.rss()
        storm(total * 4 // 5)
        until(settled, "only this connection is left")
        until(lambda: s.process.fds() == fds, f"back to {fds} descriptors")
        if not SANITIZED:
            growth = s.process.rss() - rss
            assert growth < 1 << 20, f"{growth >> 10} KiB more after {total * 4 // 5} disconnects"
        stats = s.get("/events/stats", "t").json()
        assert stats["connections"] == 0 and stats["total"] == 100
        ws = s.ws("t", f"since={stats['last_seq']}")
        e = s.publish("t", "fine")
        assert e["seq"] == stats["last_seq"] + 1 and ws.events(1) == [e]


def test_vanishing_in_each_stage():
    """Each stage by itself, so that a failure has a name."""
    with Server("--threads", "1") as s:
        conn = s.http()
        conn.request("GET", "/livez")
        s.flood("t", ("x" for _ in range(20)), conn=conn)
        fds = s.process.fds()
        for name, (data, answered) in STAGES.items():
            for linger in (True, False):
                for _ in range(5):
                    c = Wire(s.port)
                    with contextlib.suppress(Eof):
                        if data:
                            c.send(data)
                        if answered:
                            c.fill()
                    c.reset() if linger else c.close()
            until(lambda: s.process.fds() == fds, f"descriptors after vanishing {name}")
            assert conn.request("GET", "/livez").status == 200


def test_half_closed_clients_still_get_their_answer():
    """`printf … | nc`: the request is whole, then the client shuts its side down."""
    with Server() as s:
        for data in (POST + EVENT, (POST + EVENT) * 3):
            c = Http(s.port)
            c.send(data)
            c.wire.sock.shutdown(socket.SHUT_WR)
            for _ in range(data.count(b"POST")):
                assert c.response("POST").status == 201
            assert c.ends()
