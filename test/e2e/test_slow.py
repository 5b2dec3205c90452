"""Readers that can't keep up: they are told, others don't notice, and memory stays bounded."""

import contextlib
import json
import os
import threading
import time

import pytest

from harness import Closed, SANITIZED, SLOW, Server, TEXT, Team, WAIT, frame, scaled, until

KEPT = 40
PAD = 100_000  # bytes an event: a few dozen fill every buffer of the kernel
MARGIN = 96 << 20  # of resident memory: what is kept (4 MB) and buffers, with much room


def check_memory(server, before):
    """That the peak has not risen by more than that; the sanitizers' own memory is another matter."""
    growth = server.process.peak() - before
    assert SANITIZED or growth < MARGIN, f"{growth >> 20} MiB"


def bulky(n):
    return json.dumps({"message": f"m{n}", "metadata": {"pad": "y" * PAD}}).encode()


def noisy(n):
    """Of the same size, but deflate makes little of it."""
    return json.dumps({"message": f"m{n}", "metadata": {"pad": os.urandom(PAD // 2).hex()}}).encode()


@pytest.fixture(params=[1, 2])
def server(request):
    with Server("--threads", request.param, "--buffer-size", KEPT, "--max-body-bytes", 1 << 20, store="memory:") as s:
        yield s


def overrun(server, tenant, fast, count, make=bulky):
    """Publishes at the pace of a fast reader, and checks that it gets everything in order."""
    start = server.get("/events/stats", tenant).json()["last_seq"]
    done = 0
    while done < count:
        part = min(5, count - done)
        sent = server.flood(tenant, (make(start + done + i + 1) for i in range(part)))
        got = fast.events(part)
        assert [e["seq"] for e in got] == list(range(start + done + 1, start + done + part + 1))
        assert [e["id"] for e in got] == [e["id"] for e in sent]
        done += part
    return start + count


COUNT = 400 if not SLOW else 200  # 20 to 40 MB: far above the socket buffers of a stalled reader, and what is kept


@pytest.mark.parametrize("offer", [None, "permessage-deflate"])
def test_websocket_that_falls_behind_is_closed(server, offer):
    fast, other = server.ws("t"), server.ws("other")
    stalled = server.ws("t", rcvbuf=4096, offer=offer)
    newest = overrun(server, "t", fast, COUNT, noisy)
    server.publish("other", "unaffected")
    assert other.events(1)[0]["message"] == "unaffected"
    # It reads on: what it gets is in order from its start, then the honest end.
    got = 0
    with pytest.raises(Closed) as closed:
        while got < newest:
            f = stalled.recv_json("event_created")
            got += 1
            assert f["event"]["seq"] == got
        raise AssertionError(f"all {newest} events came through: nothing was tested")
    assert closed.value.code == 1013
    assert stalled.wire.ends()
    # It may come back from where it was, and is told what it has missed.
    back = server.ws("t", f"since={got}")
    assert back.recv_json("gap") == {"type": "gap", "from": got + 1, "to": newest - KEPT}
    assert [e["seq"] for e in back.events(KEPT)] == list(range(newest - KEPT + 1, newest + 1))


def test_sse_that_falls_behind_is_told(server):
    fast, other = server.ws("t"), server.sse("other")
    stalled = server.sse("t", rcvbuf=4096)
    newest = overrun(server, "t", fast, COUNT)
    server.publish("other", "unaffected")
    assert other.events(1)[0]["message"] == "unaffected"
    position, gaps = 0, 0
    while position < newest:
        e = stalled.recv()
        if e.kind == "gap":
            gap = e.json()
            assert gap["from"] == position + 1 and gap["to"] >= gap["from"], (position, gap)
            position = gap["to"]
            gaps += 1
        else:
            assert e.kind == "event_created" and e.json()["seq"] == position + 1, (position, e)
            assert e.id == str(position + 1)
            position += 1
    assert gaps == 1, "nothing was tested"
    e = server.publish("t", "live again")
    assert stalled.events(1) == [e]


def test_many_stalled_readers_cost_no_memory():
    """A hundred readers stall on their tenant's flood. What is buffered for each is bounded, and the fast go on."""
    with Server("--threads", "2", "--buffer-size", KEPT, store="memory:") as s:
        fast = s.ws("t")
        overrun(s, "t", fast, 60)
        before = s.process.peak()
        stalled = [
            s.ws("t", "since=0", rcvbuf=4096) if i % 2 else s.sse("t", "since=0", rcvbuf=4096) for i in range(100)
        ]
        overrun(s, "t", fast, COUNT)
        check_memory(s, before)
        for c in stalled:
            c.reset()
        until(lambda: s.get("/events/stats", "t").json()["connections"] == 1, "the stalled are gone")
        e = s.publish("t", "x")
        assert fast.events(1) == [e]


def test_snapshots_and_replays_nobody_reads():
    """Asking again and again for the whole log without reading an answer: the server stops taking requests."""
    with Server("--threads", "1", "--buffer-size", "200", store="memory:") as s:
        fast = s.ws("t")
        for part in range(20):
            s.flood("t", (json.dumps({"message": "x", "metadata": {"pad": "y" * 20_000}}).encode() for _ in range(10)))
            fast.events(10)
        before = s.process.peak()
        greedy = s.ws("t", rcvbuf=4096)
        request = frame(TEXT, b'{"type":"replay","ref":1,"since":0,"limit":1000}')
        greedy.wire.sock.setblocking(False)
        sent, end = 0, time.monotonic() + (4 if SLOW else 2)
        batch = request * 50
        at = 0
        while sent < 4_000_000 and time.monotonic() < end:
            try:
                n = greedy.wire.sock.send(batch[at:])
                sent, at = sent + n, (at + n) % len(batch)
            except BlockingIOError:
                time.sleep(0.01)
            except (BrokenPipeError, ConnectionResetError):
                break
        e = s.publish("t", "x")
        assert fast.events(1) == [e]
        check_memory(s, before)
        greedy.reset()


def test_lists_nobody_reads():
    """The same over HTTP: pipelined requests for long lists, answers never read."""
    with Server("--threads", "1", "--buffer-size", "200", store="memory:") as s:
        for part in range(20):
            s.flood("t", (json.dumps({"message": "x", "metadata": {"pad": "y" * 20_000}}).encode() for _ in range(10)))
        before = s.process.peak()
        greedy = [s.http(rcvbuf=4096) for _ in range(5)]
        batch = greedy[0].build("GET", "/events?tenant=t&limit=1000") * 50
        for c in greedy:
            c.wire.sock.setblocking(False)
        end = time.monotonic() + (4 if SLOW else 2)
        where = [0] * len(greedy)
        while time.monotonic() < end:
            for i, c in enumerate(greedy):
                try:
                    where[i] = (where[i] + c.wire.sock.send(batch[where[i] :])) % len(batch)
                except BlockingIOError:
                    pass
                except (BrokenPipeError, ConnectionResetError):
                    where[i] = 0
            time.sleep(0.005)
        assert s.get("/livez").status == 200
        check_memory(s, before)
        for c in greedy:
            c.reset()


def test_pings_nobody_reads_the_pongs_of():
    with Server("--threads", "1") as s:
        ws, other = s.ws("t", rcvbuf=4096), s.ws("t")
        before = s.process.peak()
        ws.wire.sock.setblocking(False)
        batch, at, sent = frame(9, b"p" * 125) * 100, 0, 0
        end = time.monotonic() + (4 if SLOW else 2)
        while time.monotonic() < end and sent < 200 << 20:
            try:
                n = ws.wire.sock.send(batch[at:])
                at, sent = (at + n) % len(batch), sent + n
            except BlockingIOError:
                time.sleep(0.005)
            except (BrokenPipeError, ConnectionResetError):
                break
        e = s.publish("t", "x")
        assert other.events(1) == [e]
        check_memory(s, before)
        ws.reset()


def test_big_frames_in_small_pieces():
    """Many clients each announce the largest message and send a part of it: what is held is what was sent, not more."""
    with Server("--threads", "2", "--max-body-bytes", 1 << 20) as s:
        probe = s.ws("t")
        before = s.process.peak()
        held = [s.ws("t") for _ in range(scaled(300))]
        for ws in held:
            ws.send_raw(b"\x81\xff" + (1 << 20).to_bytes(8, "big") + b"\0\0\0\0" + b"x" * 10)
        posts = [s.http() for _ in range(scaled(300))]
        for c in posts:
            c.send(
                c.build(
                    "POST", "/events?tenant=t", {"Content-Type": "application/json", "Content-Length": str(1 << 20)}
                )
                + b"{"
                + b" " * 10
            )
        assert probe.alive()
        check_memory(s, before)
        for c in held + posts:
            c.reset()
        assert probe.alive()


def test_memory_does_not_grow_with_what_is_published():
    with Server("--threads", "2", "--buffer-size", "100", store="memory:") as s:
        clients = [s.ws("t"), s.ws("t", offer="permessage-deflate"), s.sse("t")]
        team = Team()
        rounds, size = scaled(30), 200

        def publish_all():
            conn = s.http()
            for r in range(rounds):
                s.flood(
                    "t",
                    (json.dumps({"message": "x", "metadata": {"pad": "z" * 5000}}).encode() for _ in range(size)),
                    depth=20,
                    conn=conn,
                )
                if r == 4:
                    marks.append(s.process.rss())

        def read(c):
            seen = 0
            while seen < rounds * size:
                try:
                    (got,) = c.events(1)
                except (Closed, AssertionError):
                    return  # fell behind: that is another test
                seen = got["seq"]

        marks = []
        team.go(publish_all)
        for c in clients:
            team.go(read, c)
        team.join()
        if marks and not SANITIZED:
            assert s.process.rss() - marks[0] < 48 << 20


def test_slow_tenant_does_not_delay_another():
    """While one tenant's readers stall under its flood, the other's events arrive (no time is measured)."""
    with Server("--threads", "1", "--buffer-size", KEPT, store="memory:") as s:
        stalled = [s.ws("noisy", rcvbuf=4096) for _ in range(20)]
        quiet = [s.ws("quiet"), s.sse("quiet")]
        team = Team()
        team.go(lambda: s.flood("noisy", (bulky(n) for n in range(COUNT)), depth=4))
        for i in range(50):
            e = s.publish("quiet", f"q{i}")
            for c in quiet:
                assert c.events(1, WAIT) == [e]
        team.join()
        for c in stalled:
            c.reset()


def test_who_never_reads_is_dropped_by_the_heartbeat():
    with Server("--threads", "1", "--buffer-size", KEPT, "--ping-interval", "200ms", "--ping-timeout", "1s", store="memory:") as s:
        fast, stalled = s.ws("t"), s.ws("t", rcvbuf=4096)
        done, team = threading.Event(), Team()

        def keep_reading():
            while not done.is_set():
                with contextlib.suppress(TimeoutError):
                    fast.recv(0.05)

        team.go(keep_reading)
        s.flood("t", (noisy(n) for n in range(COUNT // 4)), depth=2)
        until(lambda: s.get("/events/stats", "t").json()["connections"] == 1, "the one that answers no ping is gone")
        done.set()
        team.join()
        stalled.close()
