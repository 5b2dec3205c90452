"""Descriptors that run out, and clients that vanish."""

import contextlib
import json
import random
import socket
import time

import pytest

from harness import Eof, Http, POST, SANITIZED, SLOW, STAGES, Server, TLS, Team, Wire, scaled, until, vanish

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
                crowd.append(Wire(s.port, plain=True))
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


@pytest.mark.parametrize("threads", [2])
def test_ten_thousand_abrupt_disconnects(threads):
    total, workers = scaled(2_000 if TLS else 10_000), 5
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
        # The last of them may be accepted only now: a peer that has gone long ago waits in the kernel's queue as others do.
        until(lambda: s.get("/events/stats", "t").json()["connections"] == 0, "no session is left")
        stats = s.get("/events/stats", "t").json()
        assert stats["total"] == 100
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
