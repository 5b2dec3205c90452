"""The log in a database: what was acknowledged is there after kill -9, a full disk, and a restart, exactly once."""

import json
import random
import resource
import sqlite3
import subprocess
import time

import pytest

from harness import Crowd, Polling, Server, Socket, all_events, created, event, join, joined, problem, run, scaled
from harness import until

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def store(tmp_path):
    return f"sqlite:{tmp_path}/log.db"


@pytest.mark.parametrize("durability", ["commit", "relaxed"])
def test_crashes(store, durability):
    """kill -9 at random moments: nothing acknowledged is lost (under relaxed: nothing older than 300 ms, at rest),
    nothing is there twice, seq has no hole, and an event keeps its seq."""
    tenants, acked, rng = ["a", "b", "c"], {"a": {}, "b": {}, "c": {}}, random.Random(5)
    for i in range(scaled(50 if durability == "commit" else 10)):
        with Server("--threads", "2", "--buffer-size", "1000000", "--durability", durability, store=store) as s:
            publishers = Crowd(s, tenants, 6, f"r{i}")
            time.sleep(rng.uniform(0.02, 0.25))
            if durability == "relaxed":
                until(lambda: all(publishers.acked.values()), "something is acknowledged")
            s.crash()
        publishers.team.join()
        assert not publishers.refused
        with Server("--buffer-size", "1000000", store=store) as s:
            for tenant in tenants:
                events = all_events(s, tenant)
                assert [e["seq"] for e in events] == list(range(1, len(events) + 1))
                there = {e["seq"]: e["message"] for e in events}
                assert len(set(there.values())) == len(there)
                if durability == "commit":
                    acked[tenant].update(publishers.acked[tenant])
                else:
                    acked[tenant] = {q: m for q, m in acked[tenant].items() if q in there}
                assert acked[tenant].items() <= there.items()
                acked[tenant] = there
    assert all(acked.values())


def test_relaxed_is_on_disk_soon(store):
    with Server("--durability", "relaxed", store=store) as s:
        events = s.flood("t", (f"m{i}" for i in range(300)))
        time.sleep(1)
        s.crash()
    with Server(store=store) as s:
        assert all_events(s, "t") == events


def test_everybody_resumes(store):
    """The log goes on where it was: cursors, names and recovery hold over a restart."""
    flags = ("--threads", "2", "--buffer-size", "100")
    with Server(*flags, store=store) as s:
        first = s.flood("t", (f"m{i}" for i in range(10)))
        ws = s.ws("t", "since=4")
        assert ws.events(6) == first[4:]
        clients = {}
        for kind in (Polling, Socket):
            clients[kind] = kind(s.port, "tenant=t")
            joined(clients[kind])
            s.publish("t", "for the offset")
            created(clients[kind], 1)
        s.publish("other", "x")
        epoch = ws.hello["epoch"]
    with Server(*flags, store=store) as s:
        second = s.flood("t", (f"n{i}" for i in range(3)))
        assert [e["seq"] for e in second] == [13, 14, 15]
        again = s.ws("t", f"since=10&epoch={epoch}")
        assert again.hello["epoch"] == epoch and again.hello["seq"] == 15
        assert [e["seq"] for e in again.events(5)] == [11, 12, 13, 14, 15]
        assert [e["seq"] for e in s.sse("t", "since=13").events(2)] == [14, 15]
        assert all_events(s, "t")[:10] == first
        for offset, (kind, old) in enumerate(clients.items(), 11):
            client = kind(s.port, "tenant=t")
            assert join(client, auth={"pid": old.pid, "offset": str(offset)}) == ("0", {"sid": old.name, "pid": old.pid})
            assert event(client)[0] == "connection_established"
            assert [e["seq"] for e in created(client, 15 - offset)] == list(range(offset + 1, 16))
        stranger = Socket(s.port, "tenant=other")
        joined(stranger, auth={"pid": clients[Socket].pid, "offset": "1"})
        assert stranger.pid != clients[Socket].pid


def test_a_log_made_anew_is_another(store, tmp_path):
    with Server(store=store) as s:
        s.flood("t", (f"m{i}" for i in range(10)))
        epoch = s.ws("t").hello["epoch"]
    for file in tmp_path.iterdir():
        file.unlink()
    with Server(store=store) as s:
        s.flood("t", (f"n{i}" for i in range(20)))
        ws = s.ws("t", f"since=10&epoch={epoch}")
        assert ws.hello["epoch"] != epoch
        assert ws.recv_json("gap")["to"] == 0
        assert len(ws.events(20)) == 20


def limit_files(server, soft):
    hard = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)[1]
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk(store):
    """Publishers get 503, readers go on, nothing is half written, and it recovers by itself."""
    with Server("--threads", "2", store=store) as s:
        ws, before = s.ws("t"), s.flood("t", (f"m{i}" for i in range(5)))
        assert ws.events(5) == before
        limit_files(s, 4096)
        for path in ("/events", "/api/v1/events"):
            r = s.post("t", b'{"message":"no room"}', path)
            problem(r, 503, "unavailable")
            assert int(r.header("Retry-After")) >= 1
        ws.send_json({"type": "post_event", "ref": 1, "message": "no room"})
        assert ws.recv_json("error")["code"] == "unavailable"
        assert all_events(s, "t") == before and s.ws("t").hello["seq"] == 5
        problem(s.get("/readyz"), 503, "unavailable")
        assert s.get("/livez").status == 200
        limit_files(s, resource.RLIM_INFINITY)
        until(lambda: s.get("/readyz").status == 200, "it looks by itself")
        after = s.publish("t", "room again")
        assert after["seq"] == 6 and ws.events(1) == [after]
    with Server(store=store) as s:
        assert all_events(s, "t") == [*before, after]


def test_locked_by_another(store, tmp_path):
    """Another process holds the database: publishers wait a while and get 503, and go on when it lets go."""
    with Server("--threads", "2", store=store) as s:
        first = s.publish("t", "first")
        other = sqlite3.connect(tmp_path / "log.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        problem(s.post("t", b'{"message":"locked"}'), 503, "unavailable")
        assert all_events(s, "t") == [first]
        other.execute("ROLLBACK")
        other.close()
        assert s.publish("t", "second")["seq"] == 2


def start(*flags):
    """Exit code and stderr of a server that ends by itself."""
    code, _, said = run("--port", "0", "--auth", "open", *flags)
    return code, said


def test_refusals(store, tmp_path):
    """One clear line, exit 1, and the file is as it was."""
    with Server(store=store) as s:
        s.publish("t", "x")
        code, said = start("--store", store)
        assert code == 1 and said == f"carillon: {tmp_path}/log.db: is in use by another server\n"
        s.publish("t", "y")
    (tmp_path / "text").write_text("dear diary\n")
    for path, words in (
        (tmp_path / "text", "is not an SQLite database"),
        (tmp_path, "Is a directory"),
        (tmp_path / "nowhere" / "x.db", "No such file or directory"),
    ):
        code, said = start("--store", f"sqlite:{path}")
        assert code == 1 and said == f"carillon: {path}: {words}\n"
    assert (tmp_path / "text").read_text() == "dear diary\n"
