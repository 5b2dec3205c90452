"""Signals, and what an ending leaves behind."""

import contextlib
import json
import os
import random
import re
import signal
import subprocess
import threading
import time

import pytest

from harness import (
    Closed,
    Eof,
    Http,
    POST,
    Refused,
    SLOW,
    Server,
    TLS,
    Team,
    WAIT,
    WebSocket,
    Wire,
    clean_environment,
    problem,
    program,
    scaled,
    until,
    vanish,
)

JSON = {"Content-Type": "application/json"}
EVENT = b'{"message":"x"}'
COMMON = ("--port", "0", "--store", "memory:", "--auth", "open")


# Signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("threads", [1, 3])
def test_drain(number, threads):
    with Server("--threads", threads, drain="20s" if SLOW else "8s") as s:
        sockets = [s.ws("t") for _ in range(10)] + [s.ws("t", offer="permessage-deflate") for _ in range(3)]
        streams = [s.sse("t") for _ in range(5)]
        idle, busy = s.http(), s.http()
        assert idle.request("GET", "/livez").status == 200 and busy.request("GET", "/readyz").status == 200
        e = s.publish("t", "before")
        for c in sockets + streams:
            assert c.events(1) == [e]
        busy.send(POST + EVENT[:5])
        assert s.get("/livez").status == 200  # so that the server has surely seen some of it
        s.process.signal(number)
        for c in sockets:
            assert c.closing() == 1001
            with contextlib.suppress(Eof):
                c.send_frame(8, b"\x03\xe9")
            assert c.wire.ends()
        for c in streams:
            with pytest.raises(Eof):
                while True:
                    c.recv()
            assert c.ended or not c.chunked, "the last chunk was not sent"
        # Whoever asks on a connection that is still there is told, or finds it closed.
        try:
            r = idle.request("GET", "/readyz")
            problem(r, 503, "unavailable")
        except Eof:
            pass

        def refused_now():
            try:
                Wire(s.port).close()
                return False
            except OSError:
                return True

        until(refused_now, "no more connections are accepted")
        # What was under way gets its answer: it is finished, or honestly turned away.
        busy.send(EVENT[5:])
        r = busy.response("POST")
        if r.status == 201:
            assert r.json()["seq"] == 2, r
        else:
            problem(r, 503, "unavailable")
            assert int(r.header("Retry-After")) >= 0
        assert "close" in r.tokens("Connection") and busy.ends()
        s.process.wait()
        s.process.check(0)
        s.ended = True


def test_a_signal_the_moment_it_listens(tmp_path):
    """Hundreds of starts, some at a time: none of the signals gets lost between what was set up and the loop."""
    team = Team()

    def start_and_end(k):
        command = [program("CARILLON_BIN"), *COMMON[:2], "--auth", "open", "--store", f"sqlite:{tmp_path}/{k}.db"]
        for _ in range(60):
            with subprocess.Popen(command, stderr=subprocess.PIPE, env=clean_environment()) as child:
                try:
                    assert b"listening on " in child.stderr.readline()
                    child.terminate()
                    child.communicate(timeout=WAIT)
                finally:
                    child.kill()
            assert child.returncode == 0

    for k in range(6):
        team.go(start_and_end, k)
    team.join()


def test_drain_ends_with_nothing_connected():
    with Server(drain="60s") as s:
        s.publish("t", "x")
        s.request("GET", "/livez", {"Connection": "close"})
        for c in s.open:
            c.close()
        start = time.monotonic()
        assert s.terminate() == 0
        assert time.monotonic() - start < 30, "waited out its drain timeout for nobody"


def test_drain_does_not_wait_for_the_stuck():
    """Clients that neither read nor finish nor answer a Close don't hold it beyond --drain-timeout."""
    with Server("--threads", "2", drain="1s") as s:
        stuck = []
        for _ in range(10):
            c = s.http()
            c.send(POST + EVENT[:3])
            stuck += [c, s.ws("t", rcvbuf=4096), s.sse("t", rcvbuf=4096)]
        s.flood(
            "t", (json.dumps({"message": "x", "metadata": {"pad": "y" * 100_000}}).encode() for _ in range(60)), depth=2
        )
        s.process.signal(signal.SIGTERM)
        start = time.monotonic()
        s.process.wait()
        assert time.monotonic() - start < (30 if SLOW else 12)
        s.process.check(0)
        s.ended = True


def test_drain_under_load():
    """Every event that was answered 201 before the end had its place in the order; the end is clean all the same."""
    with Server("--threads", "2", drain="2s") as s:
        team, answered = Team(), []
        watcher = s.ws("t")

        def publish(conn):
            with contextlib.suppress(Eof):
                while True:
                    r = conn.request("POST", "/events?tenant=t", JSON, EVENT)
                    if r.status != 201:
                        problem(r, 503, "unavailable")
                        return
                    answered.append(r.json()["seq"])

        for _ in range(4):
            team.go(publish, s.http())  # who comes later may find nobody
        seen = [e["seq"] for e in watcher.events(scaled(200))]
        s.process.signal(signal.SIGTERM)
        with pytest.raises((Closed, Eof)):
            while True:
                seen.append(watcher.recv_json("event_created")["event"]["seq"])
        watcher.close()
        s.process.wait()
        s.process.check(0)
        s.ended = True
        team.join()
        assert seen == list(range(1, len(seen) + 1))
        assert len(set(answered)) == len(answered), "a seq was given twice"
        missing = set(range(1, max(answered) + 1)) - set(answered)
        assert len(missing) <= 4, "at most the answer that each publisher was waiting for is lost with its connection"


def test_two_signals():
    """The second one ends the wait for clients that don't end."""
    with Server("--threads", "2", "--request-timeout", "300s", drain="300s") as s:
        c = s.http()
        c.send(POST + EVENT[:3])
        ws = s.ws("t")
        s.process.signal(signal.SIGTERM)
        with pytest.raises((Closed, Eof)):
            ws.recv()
        s.process.signal(signal.SIGTERM)
        assert s.terminate() == 0


def test_signals_and_ends_at_the_same_time():
    """Drains that run out, are asked for twice, and find their last connections going, all at once."""
    for i in range(scaled(40, 12)):
        with Server("--threads", "4", drain=("100ms", "300s")[i % 2]) as s:
            clients = [s.ws("t") for _ in range(i % 5)]
            stuck = s.http()
            stuck.send(POST + EVENT[:3])
            assert s.get("/livez").status == 200
            s.process.signal(signal.SIGTERM)
            for c in clients:
                c.reset()
            if i % 3 == 0:
                stuck.close()
            until(lambda: any("SIGTERM" in line for line in s.process.lines), "the first signal taken", pause=0.001)
            s.process.signal(signal.SIGTERM)
            s.process.wait()
            s.process.check(0)
            s.ended = True


def test_signals_that_do_not_end_it():
    with Server() as s:
        ws = s.ws("t")
        for number in (signal.SIGHUP, signal.SIGPIPE):
            s.process.signal(number)
            e = s.publish("t", "x")
            assert ws.events(1) == [e]
            assert s.process.child.poll() is None


@pytest.mark.skipif(TLS, reason="who is stopped takes no part in a handshake")
def test_stop_and_continue():
    with Server("--ping-interval", "10s") as s:
        ws = s.ws("t")
        os.kill(s.process.pid, signal.SIGSTOP)
        conn = s.http()
        conn.send(POST + EVENT)
        time.sleep(0.3)
        os.kill(s.process.pid, signal.SIGCONT)
        assert conn.response("POST").status == 201
        assert len(ws.events(1)) == 1


def test_connections_in_bulk():
    """A thousand streams at once over several threads, dealt out to all of them; one event reaches each."""
    count = scaled(1000)
    with Server("--threads", "3", "--max-connections", "5000") as s:
        clients = [s.ws("t") if i % 2 else s.sse("t") for i in range(count)]
        until(lambda: s.get("/events/stats", "t").json()["connections"] == count, "all of them counted")
        e = s.publish("t", "to all")
        for c in clients:
            assert c.events(1) == [e]


def test_a_gone_terminal_is_no_reason_to_die():
    """Its stderr is a closed pipe: it serves on (SIGPIPE ignored), and ends well."""
    read_end, write_end = os.pipe()
    child = subprocess.Popen(
        [program("CARILLON_BIN"), *COMMON],
        stdin=subprocess.DEVNULL,
        stdout=write_end,
        stderr=write_end,
        env=clean_environment(),
        start_new_session=True,
    )
    os.close(write_end)
    try:
        text, m = b"", None
        while not m:
            text += os.read(read_end, 4096)
            m = re.search(rb"listening on \S*:(\d+)\b.*\n", text)
        os.close(read_end)
        c = Http(int(m[1]))
        for _ in range(5):
            assert c.request("POST", "/events?tenant=tenant_a", JSON, EVENT).status == 201
        c.close()
        child.send_signal(signal.SIGTERM)
        assert child.wait(WAIT) == 0
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()


def test_websocket_during_the_crowd():
    """Handshakes that race with closings on all threads: none is answered wrongly."""
    with Server("--threads", "3") as s:
        team, done = Team(), threading.Event()

        def churn(seed):
            rng = random.Random(seed)
            while not done.is_set():
                vanish(s.port, rng)

        for seed in range(3):
            team.go(churn, seed)
        try:
            for i in range(scaled(200)):
                with contextlib.suppress(Refused):
                    ws = WebSocket(s.port, f"/ws?tenant=calm{i % 5}")
                    assert ws.recv_json("connection_established")["tenant_id"] == f"calm{i % 5}"
                    ws.shut()
        finally:
            done.set()
        team.join()


@pytest.mark.parametrize("durability", ["commit", "relaxed"])
def test_subscribers_get_what_is_on_its_way_to_the_log(tmp_path, durability):
    """What is answered 201 while the server goes away reaches those who listen before they are sent away."""
    for round_ in range(scaled(6, 2)):
        store = f"sqlite:{tmp_path}/{round_}.db"
        with Server("--threads", "2", "--durability", durability, store=store) as s:
            ws, sse, team, acked, seen = s.ws("t"), s.sse("t"), Team(), set(), [set(), set()]

            def publish(conn):
                for _ in range(100_000):
                    try:
                        r = conn.request(
                            "POST", "/events", {"X-Tenant-ID": "t", "Content-Type": "application/json"}, b'{"message":"m"}'
                        )
                    except (Eof, OSError):
                        return
                    if r.status != 201:
                        return
                    acked.add(r.json()["seq"])

            def listen(client, into):
                try:
                    while True:
                        into.update(e["seq"] for e in client.events(1))
                except (Closed, Eof, OSError):
                    pass

            for _ in range(8):
                team.go(publish, s.http())
            for client, into in zip((ws, sse), seen):
                team.go(listen, client, into)
            until(lambda: len(acked) > 100, "publishing goes on")
            s.terminate()
            team.join()
            assert all(acked <= into for into in seen), [sorted(acked - into) for into in seen]


def test_slow_readers_get_what_was_acknowledged():
    """Whoever reads in time gets all of it before the good-bye."""
    with Server("--buffer-size", "1000", drain="60s") as s:
        ws, sse = s.ws("t", rcvbuf=4096), s.sse("t", rcvbuf=4096)
        body = json.dumps({"message": "x", "metadata": {"pad": "y" * 30_000}}).encode()
        count = len(s.flood("t", (body for _ in range(400)), depth=4))
        s.process.signal(signal.SIGTERM)
        until(lambda: "draining" in s.process.output(), "the drain")
        assert [e["seq"] for e in ws.events(count)] == list(range(1, count + 1))
        ws.closes_with(1001)
        assert [e["seq"] for e in sse.events(count)] == list(range(1, count + 1))
        with pytest.raises(Eof):
            sse.recv()
        assert sse.retry
        s.process.wait()
        s.process.check(0)
        s.ended = True
