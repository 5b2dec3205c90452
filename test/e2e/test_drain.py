"""Going away: who is told, how, and in which order."""

import contextlib
import json
import os
import re
import select
import signal
import time

import pytest

from harness import (
    Closed,
    Eof,
    Polling,
    SLOW,
    Secure,
    Server,
    Socket,
    TLS,
    Team,
    WAIT,
    event,
    joined,
    problem,
    scaled,
    split,
    until,
)

JSON = {"Content-Type": "application/json"}
HINT = re.compile(r"server going away; retry in (\d+) ms")


def hint(reason):
    """The milliseconds of a close frame's reason."""
    text = reason.decode() if isinstance(reason, bytes) else reason
    m = HINT.fullmatch(text)
    assert m, text
    return int(m[1])


def farewell(ws):
    """Reads a WebSocket to its end: the seqs on the way, and the hint."""
    seqs = []
    try:
        while True:
            seqs.append(ws.recv_json("event_created")["event"]["seq"])
    except Closed as closed:
        assert closed.code == 1001, closed
        return seqs, hint(closed.reason)


def readable(clients):
    """Those that have something to read now."""
    poll = select.poll()
    by_fd = {c.wire.sock.fileno(): c for c in clients}
    for fd in by_fd:
        poll.register(fd, select.POLLIN)
    return {by_fd[fd] for fd, _ in poll.poll(0)}


def ends(s):
    s.process.wait()
    s.process.check(0)
    s.ended = True


@pytest.mark.parametrize("threads", [1, 2])
def test_closes_are_spread_and_hints_differ(threads):
    """Hundreds of subscribers: those who are told first have been told while most of the others know of nothing."""
    count = 400
    with Server("--threads", threads, drain="60s") as s:
        sockets = [s.ws("t") for _ in range(count)]
        s.process.signal(signal.SIGTERM)
        until(lambda: readable(sockets), "the first is told", pause=0.001)
        first = len(readable(sockets))
        assert 0 < first < count // 2, f"{first} of {count} were told at once"
        hints = [farewell(c)[1] for c in sockets]
        assert len(set(hints)) > count // 4, "the hints are the same"
        assert min(hints) >= 500 and max(hints) <= 5000
        for c in sockets:
            c.close()
        ends(s)


def test_streams_are_spread_too():
    count = 300
    with Server("--threads", 2, drain="60s") as s:
        streams = [s.sse("t") for _ in range(count)]
        assert len({c.retry for c in streams}) > count // 4, "all come back in the same moment when the line breaks"
        s.process.signal(signal.SIGTERM)
        until(lambda: readable(streams), "the first is told", pause=0.001)
        first = len(readable(streams))
        assert 0 < first < count // 2, f"{first} of {count} were told at once"
        hints = []
        for c in streams:
            c.retry = None
            with pytest.raises(Eof):
                c.recv()
            hints.append(c.retry)
            c.close()
        assert None not in hints and len(set(hints)) > count // 4
        ends(s)


def test_a_short_timeout_is_enough_for_many():
    """The pace is as fast as it has to be: all of them are told, with a close frame, and none is cut off."""
    count = scaled(1500)
    with Server("--threads", 2, drain="8s" if SLOW else "2s") as s:
        team, hints = Team(), []
        sockets = [s.ws("t") for _ in range(count)]

        def read(part):
            for c in part:
                hints.append(farewell(c)[1])
                with contextlib.suppress(Eof, OSError):
                    c.send_frame(8, b"\x03\xe9")
                c.close()

        for k in range(4):
            team.go(read, sockets[k::4])
        s.process.signal(signal.SIGTERM)
        team.join()
        assert len(hints) == count
        ends(s)
        assert "did not end in time" not in s.process.output()


def test_no_timeout_is_no_spread():
    """--drain-timeout 0 waits for nobody."""
    with Server("--threads", 2, drain="0") as s:
        sockets = [s.ws("t") for _ in range(300)]
        s.process.signal(signal.SIGTERM)
        ends(s)
        for c in sockets:
            c.close()


def test_a_handful_is_told_at_once():
    """Nobody waits for a pace that a few do not need."""
    with Server("--threads", 2, drain="600s") as s:
        clients = [s.ws("t") for _ in range(10)]
        s.process.signal(signal.SIGTERM)
        for c in clients:
            farewell(c)
            c.close()
        ends(s)  # within WAIT, of 600 s


def test_sessions_of_socket_io_are_told():
    """Over WebSocket and over long-polling, by a message with the hint, and by the transport's own end."""
    with Server("--threads", 2, drain="60s") as s:
        tenant = s.tenant()
        sockets = [Socket(s.port, f"tenant={tenant}") for _ in range(60)]
        pollers = [Polling(s.port, f"tenant={tenant}") for _ in range(20)]
        for c in sockets + pollers:
            joined(c)
        waiting = [c.poll_later() for c in pollers]
        time.sleep(0.3)  # so that most of the polls have arrived; those that have not are told all the same
        s.process.signal(signal.SIGTERM)
        hints = []
        for c in sockets:
            name, told = event(c)
            assert name == "system_message" and told["message"]
            hints.append(told["retry_ms"])
            with pytest.raises(Closed) as closed:
                c.ws.recv()
            assert closed.value.code == 1001
            hints.append(hint(closed.value.reason))
            c.close()
        for poll in waiting:
            packets = poll.response().body.decode().split("\x1e")
            told = [split(p)[3][1] for p in packets if p.startswith("42")]
            assert [t for t in told if "retry_ms" in t], packets
            hints += [t["retry_ms"] for t in told]
            poll.close()
        assert len(set(hints)) > len(hints) // 4
        ends(s)


def test_a_poll_during_the_drain_is_told():
    """Its connection ends with the answer, so the session's turn has come."""
    with Server("--threads", 1, drain="60s") as s:
        crowd = [s.ws("t") for _ in range(300)]
        session = Polling(s.port, "tenant=t")
        joined(session)
        conn = s.http()
        assert conn.request("GET", "/livez").status == 200
        s.process.signal(signal.SIGTERM)
        until(lambda: readable(crowd), "the drain", pause=0.001)
        r = conn.request("GET", session.target())
        assert r.status in (200, 400), r
        if r.status == 200:
            assert b"system_message" in r.body or r.body == b"1", r.body
        for c in crowd:
            farewell(c)
            c.close()
        ends(s)


def test_requests_are_answered_while_others_leave():
    """Kept-alive connections: the next request is answered 503 with the time to come back, and the connection ends; what
    had begun is finished. New handshakes over them are refused."""
    with Server("--threads", 2, drain="60s") as s:
        crowd = [s.ws("t") for _ in range(400)]
        conns = [s.http() for _ in range(24)]
        for c in conns:
            assert c.request("GET", "/livez").status == 200
        begun = s.http()
        body = b'{"message":"begun before"}'
        begun.send(begun.build("POST", "/events?tenant=t", {**JSON, "Expect": "100-continue"}, body)[: -len(body)])
        assert begun.head().status == 100  # it is surely a request under way
        s.process.signal(signal.SIGTERM)
        until(lambda: readable(crowd), "the drain", pause=0.001)
        answered, waits = 0, set()
        for k, c in enumerate(conns):
            with contextlib.suppress(Eof):  # or its turn had come: it was idle, and is closed
                if k % 4 == 0:
                    r = c.request("POST", "/events?tenant=t", JSON, b'{"message":"too late"}')
                elif k % 4 == 1:
                    r = c.request("GET", "/readyz")
                elif k % 4 == 2:
                    r = c.request("GET", "/api/v1/events/stream?tenant=t")
                else:
                    upgrade = {
                        "Upgrade": "websocket",
                        "Connection": "Upgrade",
                        "Sec-WebSocket-Version": "13",
                        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
                    }
                    r = c.request("GET", "/ws?tenant=t", upgrade)
                problem(r, 503, "unavailable")
                assert "close" in r.tokens("Connection") and c.ends()
                waits.add(int(r.header("Retry-After")))
                answered += 1
        assert answered >= len(conns) // 2, answered
        assert waits <= set(range(1, 6)) and len(waits) > 1, waits
        begun.send(body)
        r = begun.response("POST")
        assert r.status == 201 and "close" in r.tokens("Connection"), r
        for c in crowd:
            seqs, _ = farewell(c)
            assert seqs in ([], [1])  # of who had left, or not, when it was stored
            c.close()
        ends(s)


def begin(conn):
    """Says what can be said before the server says something."""
    if TLS:
        conn.wire.sock.setblocking(False)
        conn.wire.sock = Secure(conn.wire.sock, shake=False)
        conn.wire.sock.shakes()
    else:
        conn.send(conn.build("GET", "/readyz"))


def answer(conn):
    if TLS:
        conn.wire.sock.settimeout(WAIT)
        while not conn.wire.sock.shakes():
            pass
        conn.send(conn.build("GET", "/readyz"))
    return conn.response()


def test_who_has_connected_is_answered():
    """Those whose connections wait to be accepted when the signal comes are not reset."""
    with Server("--threads", 2, drain="20s") as s:
        assert s.get("/livez").status == 200
        os.kill(s.process.pid, signal.SIGSTOP)
        conns = [s.http(plain=True) for _ in range(1000)]
        for c in conns:
            begin(c)
        s.process.signal(signal.SIGTERM)
        os.kill(s.process.pid, signal.SIGCONT)
        for c in conns:
            r = answer(c)
            assert r.status in (200, 503), r
            c.close()
        ends(s)


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_nothing_acknowledged_is_lost(tmp_path, kind):
    """Publishers until they are refused; all subscribers have every acknowledged event, in order, before they are told."""
    store = "memory:" if kind == "memory" else f"sqlite:{tmp_path}/log.db"
    with Server("--threads", 2, "--buffer-size", 100_000, drain="60s", store=store) as s:
        listeners = [s.ws("t") for _ in range(scaled(200, 60))]
        team, acked, got, hints = Team(), set(), [], []

        def publish(conn):
            for k in range(100_000):
                try:
                    r = conn.request("POST", "/events?tenant=t", JSON, json.dumps({"message": f"m{k}"}).encode())
                except (Eof, OSError):
                    return
                if r.status != 201:
                    problem(r, 503, "unavailable")
                    return
                acked.add(r.json()["seq"])

        def read(part):
            for c in part:
                seqs, ms = farewell(c)
                got.append(seqs)
                hints.append(ms)
                c.close()

        for _ in range(4):
            team.go(publish, s.http())
        until(lambda: len(acked) > 100, "publishing goes on")
        for k in range(4):
            team.go(read, listeners[k::4])
        s.process.signal(signal.SIGTERM)
        team.join()
        assert len(got) == len(listeners)
        for seqs in got:
            assert seqs == list(range(1, len(seqs) + 1)), "a gap or a repeat"
            assert acked <= set(seqs), sorted(acked - set(seqs))
        ends(s)


def test_too_slow_is_told_when_to_come_back():
    """1013 has a hint as well, and each its own."""
    with Server("--buffer-size", 10, drain="5s", store="memory:") as s:
        slow = [s.ws("t", rcvbuf=4096) for _ in range(6)]
        pad = json.dumps({"message": "x", "metadata": {"pad": "y" * 60_000}}).encode()
        s.flood("t", (pad for _ in range(200)), depth=2)
        hints = set()
        for c in slow:
            with pytest.raises(Closed) as closed:
                while True:
                    c.recv(WAIT)
            assert closed.value.code == 1013
            reason = closed.value.reason
            m = re.search(r"; retry in (\d+) ms$", reason.decode() if isinstance(reason, bytes) else reason)
            assert m, reason
            hints.add(m[1])
        assert len(hints) > 1
