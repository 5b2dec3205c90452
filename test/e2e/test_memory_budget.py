"""Budgets of memory: a tenant that is over its own feels it alone, and the process stays below its own whatever comes."""

import contextlib
import json
import socket

import pytest

from harness import (Closed, Eof, Polling, Refused, SANITIZED, Server, Socket, TLS, joined, problem, run, scaled, secured,
                     server_flags, until)
from harness.metrics import scrape

MIB = 1 << 20


def big(size, n=0):
    return json.dumps({"message": f"m{n}", "metadata": {"pad": "y" * size}}).encode()


def check_refused(r):
    problem(r, 503, "unavailable")
    assert int(r.header("Retry-After")) >= 1


def fill(server, tenant, size, reader, most=1000):
    """Publishes until it is refused, and has each event read; how many they are."""
    for n in range(most):
        r = server.post(tenant, big(size, n))
        if r.status != 201:
            check_refused(r)
            return n
        assert reader.events(1) == [r.json()]
    raise AssertionError(f"{most} events of {size} bytes were taken")


# Of a tenant


def test_publishers_are_refused_alone():
    """In memory history is all there is: it stays, and the tenant's publishers are refused, whatever they speak."""
    with Server("--threads", "2", "--tenant-memory", "4MiB", store="memory:") as s:
        ws, other = s.ws("full"), s.ws("other")
        count = fill(s, "full", 50_000, ws)
        assert 60 < count < 85
        ws.send_json({"type": "post_event", "ref": 1, "message": "x" * 2000, "metadata": {"pad": "y" * 50_000}})
        refused = ws.recv_json("error")
        assert refused["code"] == "unavailable" and refused["ref"] == 1
        r = s.post("full", b"[" + b",".join([big(30_000)] * 5) + b"]", path="/api/v1/events/batch")
        check_refused(r)
        for i in range(20):
            event = s.publish("other", f"o{i}")
            assert other.events(1) == [event]
        # Nothing was lost, and nobody was sent away.
        assert [e["seq"] for e in s.get("/events?since=0&limit=1000", "full").json()["events"]] == list(
            range(1, count + 1)
        )
        ws.alive()
        assert s.get("/readyz").status == 200


@pytest.mark.parametrize("durability", ["commit", "relaxed"])
def test_a_database_has_what_memory_lets_go_of(tmp_path, durability):
    """There, history is cut in memory, nobody is refused, and every event is found. The budget leaves room, between where
    history is cut and where readers go, for what one of them may be behind for a moment."""
    flags = ("--threads", "1", "--tenant-memory", "3MiB", "--durability", durability)
    with Server(*flags, store=f"sqlite:{tmp_path}/log.db") as s:
        ws = s.ws("t")
        sent = []
        for n in range(200):
            r = s.post("t", big(20_000, n))
            assert r.status == 201, r
            sent.append(r.json())
            assert ws.events(1) == sent[-1:]
        got = []
        while len(got) < 200:
            since = got[-1]["seq"] if got else 0
            got += s.get(f"/events?since={since}&limit=50", "t").json()["events"]
        assert got == sent
        late = s.ws("t", "since=0")
        assert late.events(200) == sent


def until_code(ws):
    """What it gets to the end: seqs, then the code and the reason."""
    seqs = []
    with pytest.raises(Closed) as closed:
        while True:
            seqs.append(ws.recv_json("event_created")["event"]["seq"])
    return seqs, closed.value


def test_most_behind_go_first():
    """Readers that stall while the tenant is short of memory are sent away, with 1013 and a time to come back, and what
    they got is whole and in order; those who read, and other tenants' stalled ones, stay."""
    with Server("--threads", "1", "--tenant-memory", "6MiB", "--buffer-size", "30", store="memory:") as s:
        fast, other_fast = s.ws("t"), s.ws("other")
        for n in range(30):
            for tenant, reader in ("t", fast), ("other", other_fast):
                event = s.post(tenant, big(100_000, n)).json()
                assert reader.events(1) == [event]
        # Each reads history on its own, and has a part of it that nobody else has.
        kept = [s.ws("other", "since=0", rcvbuf=4096) for _ in range(3)]
        stalled = [s.ws("t", "since=0", rcvbuf=4096) for _ in range(60)]
        streams = [s.sse("t", "since=0", rcvbuf=4096) for _ in range(20)]
        codes = []
        for ws in stalled:
            with contextlib.suppress(Eof):
                seqs, closed = until_code(ws)
                assert seqs == list(range(1, len(seqs) + 1))
                assert closed.code == 1013
                codes.append(closed.reason)
        assert any("memory" in reason and "retry in" in reason for reason in codes), codes
        for stream in streams:
            seqs = []
            with contextlib.suppress(Eof):
                while len(seqs) < 30:
                    e = stream.recv()
                    seqs += [e.json()["seq"]] if e.kind == "event_created" else []
            assert seqs == list(range(1, len(seqs) + 1))
        fast.alive()
        for ws in kept:
            assert [e["seq"] for e in ws.events(30)] == list(range(1, 31))
            ws.alive()


# Of the process


def refused_at_once(port, tenant="loud"):
    """Whether a new connection of that tenant is answered 503 before anything else is asked of it."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as raw, contextlib.suppress(ConnectionError):
        sock = secured(raw, port)
        target = f"/ws?tenant={tenant}" if tenant else "/ws"
        sock.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n".encode() +
                     b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        head = sock.recv(4096)
        assert not head or b"Retry-After" in head or b"101" in head.split(b"\r\n")[0]
        return b" 503 " in head.split(b"\r\n")[0] or not head
    return True


def memory_lines(server):
    return [line for line in server.process.lines if " memory: " in line]


@pytest.mark.skipif(SANITIZED, reason="the sanitizers' own memory is most of it")
def test_process_budget():
    """An aggressor with many stalled readers floods: new connections are refused, memory stays below the budget, another
    tenant's subscriber gets everything, and it all recovers."""
    budget = 96 * MIB
    flags = ("--threads", "2", "--max-memory", budget, "--buffer-size", "1000", "--max-connections", "5000")
    with Server(*flags, store="memory:", nofile=4096) as s:
        quiet = s.ws("quiet")
        publisher = s.http()
        aggressor = s.http()
        stalled = [s.ws("loud", rcvbuf=4096) for _ in range(scaled(1000))]
        statuses = []
        refused = 0
        for n in range(600):
            try:
                r = aggressor.request(
                    "POST", "/events", {"X-Tenant-ID": "loud", "Content-Type": "application/json"}, big(500_000, n)
                )
                statuses.append(r.status)
                closed = "close" in r.tokens("Connection")
            except Eof:  # it was refused, and gone, before it had said all that
                closed = True
            if closed:
                aggressor.close()
                aggressor = s.http()
            if n % 20 == 0:
                r = publisher.request(
                    "POST", "/events", {"X-Tenant-ID": "quiet", "Content-Type": "application/json"}, b'{"message":"q"}'
                )
                assert r.status == 201, r
                assert quiet.events(1)[0]["seq"] == r.json()["seq"]
                refused += refused_at_once(s.port)
                code, out, err = run("health", "--live", "--port", str(s.port), *(server_flags() if TLS else ()))
                assert code == 0, (out, err)  # whoever looks after it does not take that for a fault
        assert 201 in statuses and 503 in statuses and refused
        assert s.process.peak() < budget + budget // 4, f"{s.process.peak() >> 20} MiB"
        assert any("new connections are refused, of those who use most" in line for line in s.process.lines)
        for target in "/livez", "/readyz", "/health", "/metrics":
            with contextlib.closing(s.http()) as conn:
                assert conn.request("GET", target).status == 200
        # What it has kept is promised (--store memory:); the administrator makes it less, and all is well again.
        for ws in stalled:
            ws.reset()
        for limit in (5, 2):
            r = publisher.request(
                "PATCH",
                "/api/v1/tenants/loud",
                {"Content-Type": "application/json"},
                json.dumps({"limits": {"history": limit}}).encode(),
            )
            assert r.status == 200, r
            publisher.request(
                "POST", "/events", {"X-Tenant-ID": "loud", "Content-Type": "application/json"}, b'{"message":"x"}'
            )
        until(lambda: "new connections are accepted" in memory_lines(s)[-1], "it recovers")
        assert not refused_at_once(s.port)
        assert s.post("loud", big(1000)).status == 201
        event = s.publish("quiet", "after")
        assert quiet.events(1) == [event]
        # One line at each change of state.
        lines = [line.rpartition(": ")[2] for line in memory_lines(s)]
        assert all(a != b for a, b in zip(lines, lines[1:])), lines


@pytest.mark.skipif(SANITIZED, reason="the sanitizers' own memory is most of it")
def test_newcomers_of_who_uses_little_are_let_in():
    """One tenant's readers that read nothing fill what there is, and stay: that is theirs to do without, at every door."""
    flags = ("--threads", "2", "--max-memory", 64 * MIB, "--buffer-size", "2000")
    with Server(*flags, store="memory:", nofile=4096) as s:
        s.flood("loud", [big(2000, n) for n in range(300)])
        stalled = []
        with contextlib.suppress(Refused, Eof):
            for _ in range(1500):
                stalled.append(s.ws("loud", "since=0", rcvbuf=2048))
        until(lambda: scrape(s).get("carillon_memory_pressure") > 0, "memory is short")
        assert all(refused_at_once(s.port) for _ in range(5))
        for n in range(5):
            assert s.get("/events", "quiet").status == 200
            event = s.publish("quiet", f"m{n}")
            assert [ws.events(1) for ws in (s.ws("quiet", f"since={n}"), s.sse("quiet", f"since={n}"))] == [[event]] * 2
            for make in Socket, Polling:
                events, _ = joined(make(s.port, "tenant=quiet"))
                assert events[-1] == event
        assert refused_at_once(s.port, None)  # nobody knows whose that is
        for ws in stalled:
            ws.reset()
        until(lambda: scrape(s).get("carillon_memory_pressure") == 0, "there is enough again")


@pytest.mark.skipif(SANITIZED, reason="the sanitizers' own memory is most of it")
def test_newcomers_keep_to_the_number_of_connections():
    """Being let in, in spite of the memory, is not being let in, in spite of --max-connections."""
    flags = ("--threads", "2", "--max-memory", 64 * MIB, "--buffer-size", "2000", "--max-connections", "700")
    with Server(*flags, store="memory:", nofile=4096) as s:
        s.flood("loud", [big(2000, n) for n in range(300)])
        stalled = []
        with contextlib.suppress(Refused, Eof):
            for _ in range(690):
                stalled.append(s.ws("loud", "since=0", rcvbuf=2048))
        until(lambda: scrape(s).get("carillon_memory_pressure") > 0, "memory is short")
        others = []
        with pytest.raises((Refused, Eof)):
            for _ in range(701 - len(stalled)):
                others.append(s.ws("quiet"))
        assert 698 <= len(stalled) + len(others) <= 700  # whoever has asked how it is may not have gone yet
        others[-1].alive()
        others.pop().reset()
        until(lambda: not refused_at_once(s.port, "quiet"), "there is room for one")


def test_settings():
    code, out, _ = run("--help")
    assert code == 0 and "--tenant-memory SIZE" in out and "--max-memory SIZE" in out and "memory.max" in out
    for flag in ("--tenant-memory", "--max-memory"):
        assert run("--check-config", flag, "64MiB")[0] == 0
        assert run("--check-config", flag, "0")[0] == 0
        assert run("--check-config", flag, "some")[0] == 2


def test_budgets_too_small_to_be_of_use():
    """One line, as with any other flag that says what cannot be; and never a crash."""
    for flag, least, names in ("--tenant-memory", 256 << 10, "256KiB"), ("--max-memory", 16 * MIB, "16MiB"):
        for size in 1, 50, 99, 100, 65536, least - 1:
            code, out, err = run("--check-config", flag, size)
            assert code == 2 and out == "", (flag, size, code, out)
            lines = err.strip().splitlines()
            assert len(lines) == 1 and flag in lines[0] and names in lines[0], err
        assert run("--check-config", flag, least)[0] == 0
    assert run("--store", "memory:", "--port", "0", "--max-memory", "50")[0] == 2
