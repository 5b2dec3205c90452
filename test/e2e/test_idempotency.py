"""Idempotency-Key: however often a request is repeated, its events are there once, and it is answered as at first."""

import collections
import json
import random
import resource
import sqlite3
import threading
import time

import pytest

from harness import Eof, Http, Postgres, Server, TLS, Team, Wall, check_event, problem, scaled, until

ONE, BATCH = "/api/v1/events", "/api/v1/events/batch"
FLAGS = ("--threads", "2", "--buffer-size", "100000")


class Lite:
    """An SQLite database, and what it says."""

    def __init__(self, folder):
        self.path = f"{folder}/log.db"
        self.store = f"sqlite:{self.path}"

    def sql(self, text):
        db = sqlite3.connect(self.path)
        with db:
            rows = db.execute(text).fetchall()
        db.close()
        return [[str(value) for value in row] for row in rows]


class Post:
    """A PostgreSQL database, and what it says."""

    def __init__(self):
        self.pg = Postgres.shared()
        self.name = self.pg.new()
        self.store = self.pg.uri(self.name)

    def sql(self, text):
        return self.pg.sql(self.name, "SET search_path = carillon; " + text)


@pytest.fixture(params=["sqlite", "postgres"])
def database(request, tmp_path):
    return Lite(tmp_path) if request.param == "sqlite" else Post()


@pytest.fixture(scope="module", params=["memory", "sqlite", "sqlite relaxed", "postgres", "postgres relaxed"])
def server(request, tmp_path_factory):
    flags, store = FLAGS, None
    if "sqlite" in request.param:
        store = Lite(tmp_path_factory.mktemp("keys")).store
    elif "postgres" in request.param:
        store = Post().store
    if "relaxed" in request.param:
        flags += ("--durability", "relaxed")
    with Server(*flags, store=store) as s:
        yield s


def put(server, tenant, key, body, path=ONE, kind="application/json"):
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    return server.post(tenant, body, path=path, headers={"Idempotency-Key": key, "Content-Type": kind})


def first(r):
    assert r.status == 201 and r.header("Idempotent-Replayed") is None, r
    return r


def repeat(r, of):
    """The same answer as the first one, but for its mark."""
    assert r.status == 201 and r.header("Idempotent-Replayed") == "true", r
    assert r.body == of.body and r.header("Location") == of.header("Location")
    assert r.header("Content-Type") == of.header("Content-Type")
    return r


def newest(server, tenant):
    return server.get("/events/stats", tenant).json()["last_seq"]


@pytest.mark.parametrize("path", ["/events", "/api/events", "/api/v1/events"])
def test_single(server, tenant, path):
    ws = server.ws(tenant)
    a = first(put(server, tenant, "a", {"message": "x", "metadata": {"n": 1}}, path))
    assert a.header("Location") == f"/api/v1/events/{a.json()['id']}"
    for again in (path, "/events", "/api/v1/events"):  # one resource, whatever it is called
        repeat(put(server, tenant, "a", {"message": "x", "metadata": {"n": 1}}, again), a)
    b = first(put(server, tenant, "A", {"message": "x", "metadata": {"n": 1}}, path))
    assert (a.json()["seq"], b.json()["seq"]) == (1, 2)
    c = server.publish(tenant, "x")
    assert c["seq"] == 3 and ws.events(3) == [a.json(), b.json(), c]


def test_batch(server, tenant):
    ws = server.ws(tenant)
    body = [{"message": f"m{i}"} for i in range(300)]
    lines = "".join(json.dumps(e) + "\n" for e in body).encode()
    a = first(put(server, tenant, "a", body, BATCH))
    b = first(put(server, tenant, "b", lines, BATCH, "application/x-ndjson"))
    for _ in range(2):
        repeat(put(server, tenant, "a", body, BATCH), a)
        repeat(put(server, tenant, "b", lines, BATCH, "application/x-ndjson"), b)
    after = server.publish(tenant, "after")
    events = a.json()["events"] + b.json()["events"] + [after]
    assert [e["seq"] for e in events] == list(range(1, 602)) and ws.events(601) == events


def test_another_body(server, tenant):
    one = b'{"message":"x"}'
    a = first(put(server, tenant, "k", one))
    for body, path, kind in (
        (b'{"message":"y"}', ONE, "application/json"),
        (b'{"message":"x"} ', ONE, "application/json"),
        (b'[{"message":"x"}]', BATCH, "application/json"),
        (one, BATCH, "application/x-ndjson"),  # the same bytes, but a batch
    ):
        p = problem(put(server, tenant, "k", body, path, kind), 422, "validation_error", fields=True)
        assert p["errors"][0]["field"] == "Idempotency-Key"
    b = first(put(server, tenant, "n", one, BATCH, "application/x-ndjson"))
    problem(put(server, tenant, "n", one), 422, "validation_error")
    repeat(put(server, tenant, "k", one), a)
    repeat(put(server, tenant, "n", one, BATCH, "application/x-ndjson"), b)
    assert newest(server, tenant) == 2


def test_refused_requests_leave_no_key(server, tenant):
    problem(put(server, tenant, "k", b"{"), 400, "bad_request")
    problem(put(server, tenant, "k", {"message": ""}), 422, "validation_error")
    problem(put(server, tenant, "k", {"message": "x" * 3000}), 413, "too_large")
    problem(put(server, tenant, "k", [{"message": "x"}, {}], BATCH), 422, "validation_error")
    problem(put(server, tenant, "k", {"message": "x"}, ONE, "text/plain"), 415, "unsupported_media_type")
    a = first(put(server, tenant, "k", {"message": "x"}))
    assert a.json()["seq"] == 1


def test_tenants_have_their_own(server):
    one, two = server.tenant(), server.tenant()
    a, b = first(put(server, one, "k", {"message": "one"})), first(put(server, two, "k", {"message": "two"}))
    assert check_event(a.json(), one)["seq"] == 1 and check_event(b.json(), two)["seq"] == 1
    repeat(put(server, one, "k", {"message": "one"}), a)
    repeat(put(server, two, "k", {"message": "two"}), b)
    problem(put(server, two, "k", {"message": "one"}), 422, "validation_error")


@pytest.mark.parametrize("key", ["", "x" * 256, "x" * 5000, "a\tb", "\u00e9"])
def test_bad_keys(server, tenant, key):
    for path, body in ((ONE, {"message": "x"}), (BATCH, [{"message": "x"}])):
        p = problem(put(server, tenant, key, body, path), 400, "bad_request", fields=True)
        assert p["errors"][0]["field"] == "Idempotency-Key"
    assert newest(server, tenant) == 0


def test_keys(server, tenant):
    for key in ("x" * 255, "x" * 254, "k", " ~!\"#$%&'()*+,-./:;<=>?@[]^_`{|}\\", "a b", "'; DROP TABLE events; --"):
        a = first(put(server, tenant, key, {"message": "x"}))
        repeat(put(server, tenant, key, {"message": "x"}), a)
    fields = [("X-Tenant-ID", tenant), ("Content-Type", "application/json"), ("idempotency-KEY", "k")]
    body = json.dumps({"message": "x"}).encode()
    assert server.http().request("POST", ONE, fields, body).header("Idempotent-Replayed") == "true"
    twice = server.http().request("POST", ONE, [*fields, ("Idempotency-Key", "k")], body)
    problem(twice, 400, "bad_request")


def test_a_page_may_read_the_mark():
    with Server("--cors-origin", "https://a.example") as s:
        r = s.post("t", b'{"message":"x"}', headers={"Idempotency-Key": "k", "Origin": "https://a.example"})
        assert "idempotent-replayed" in r.tokens("Access-Control-Expose-Headers")
        r = s.request("OPTIONS", ONE, {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"})
        assert "idempotency-key" in r.tokens("Access-Control-Allow-Headers")


def test_at_the_same_time(server):
    """Several connections repeat one request while the first is on its way: one of them is the first."""
    tenant, workers, rounds = server.tenant(), 8, scaled(60)
    answers, barrier, team = collections.defaultdict(list), threading.Barrier(workers), Team()

    def work(n):
        conn = Http(server.port)
        for i in range(rounds):
            if i % 3 == 2:
                body, path = [{"message": f"m{i} {k}"} for k in range(40)], BATCH
            else:
                body, path = {"message": f"m{i}"}, ONE
            head = {"X-Tenant-ID": tenant, "Content-Type": "application/json", "Idempotency-Key": f"k{i}"}
            barrier.wait()
            answers[i].append(conn.request("POST", path, head, json.dumps(body).encode()))
        conn.close()

    for n in range(workers):
        team.go(work, n)
    team.join()
    seen = []
    for i in range(rounds):
        firsts = [r for r in answers[i] if r.header("Idempotent-Replayed") is None]
        assert len(firsts) == 1 and len(answers[i]) == workers
        assert {r.body for r in answers[i]} == {firsts[0].body} and {r.status for r in answers[i]} == {201}
        made = firsts[0].json()
        seen += [e["seq"] for e in made.get("events", [made])]
    assert sorted(seen) == list(range(1, len(seen) + 1)) and newest(server, tenant) == len(seen)


def test_pipelined(server, tenant):
    """Repeats that are sent before the first has its answer."""
    conn, body = server.http(), b'{"message":"x"}'
    head = {"X-Tenant-ID": tenant, "Content-Type": "application/json", "Idempotency-Key": "k"}
    conn.send(conn.build("POST", ONE, head, body) * 50)
    answers = [conn.response("POST") for _ in range(50)]
    first(answers[0])
    for r in answers[1:]:
        repeat(r, answers[0])
    assert newest(server, tenant) == 1


def test_restart_and_a_day(database):
    store, body = database.store, [{"message": f"m{i}"} for i in range(1000)]
    with Server(*FLAGS, store=store) as s:
        a, b = first(put(s, "t", "a", {"message": "x"})), first(put(s, "t", "b", body, BATCH))
    with Server(*FLAGS, store=store) as s:
        repeat(put(s, "t", "a", {"message": "x"}), a)
        repeat(put(s, "t", "b", body, BATCH), b)
        problem(put(s, "t", "a", {"message": "y"}), 422, "validation_error")
    rows = database.sql("SELECT first, count, length(key), length(body) FROM idempotency ORDER BY first")
    assert rows == [["1", "1", "32", "32"], ["2", "1000", "32", "32"]]
    database.sql("UPDATE idempotency SET at_ms = at_ms - 24 * 3600 * 1000 WHERE first = 1")
    with Server(*FLAGS, store=store) as s:
        assert first(put(s, "t", "a", {"message": "y"})).json()["seq"] == 1002
        problem(put(s, "t", "a", {"message": "x"}), 422, "validation_error")
        repeat(put(s, "t", "b", body, BATCH), b)


class Repeaters:
    """Publishers that repeat each request, over new connections, until it is answered with its events: `todo` is what they have sent
    and not heard of, `answers` what they were told of each key."""

    def __init__(self, tenant, count):
        self.tenant, self.todo, self.answers = tenant, [None] * count, {}
        self.sent, self.refused = {}, 0

    def run(self, port, team):
        for n in range(len(self.todo)):
            team.go(self.work, port, n, team)

    def work(self, port, n, team):
        rng = random.Random(time.monotonic_ns() + n)
        try:
            conn = Http(port)
            while self.todo[n] or not team.stop.is_set():
                key = self.todo[n] or f"{n}-{rng.getrandbits(60)}"
                count = 1 + hash(key) % 3
                events = [{"message": f"{key} {k}"} for k in range(count)]
                path, body = (BATCH, events) if count > 1 else (ONE, events[0])
                self.todo[n], self.sent[key] = key, [e["message"] for e in events]
                head = {"X-Tenant-ID": self.tenant, "Content-Type": "application/json", "Idempotency-Key": key}
                answers = 0
                while answers < 2:
                    r = conn.request("POST", path, head, json.dumps(body).encode())
                    if r.status == 503:
                        self.refused += 1
                        time.sleep(0.01)
                        continue
                    assert r.status == 201, r
                    answers += 1
                    made = r.json()
                    seqs = [e["seq"] for e in made.get("events", [made])]
                    assert self.answers.setdefault(key, seqs) == seqs
                self.todo[n] = None
        except (Eof, OSError):
            pass  # it has died


def check_once(database, repeaters):
    """Each key has led to its events, once, and to what its publisher was told."""
    for r in repeaters:
        assert r.todo == [None] * len(r.todo) and len(r.answers) == len(r.sent) > scaled(10 if TLS else 50)
        rows = database.sql(
            "SELECT seq, content FROM events WHERE tenant ="
            f" (SELECT n FROM tenants WHERE id = '{r.tenant}') ORDER BY seq"
        )
        there = {int(seq): json.loads("{" + content.lstrip(",") + "}")["message"] for seq, content in rows}
        assert list(there) == list(range(1, len(there) + 1))
        assert len(there) == sum(len(m) for m in r.sent.values())
        for key, seqs in r.answers.items():
            assert [there[seq] for seq in seqs] == r.sent[key]
    assert database.sql("SELECT count(*) FROM idempotency") == [[str(sum(len(r.sent) for r in repeaters))]]


def test_crashes(database):
    """kill -9 at random moments; who had no answer asks again: each key yields its events once."""
    rng, team, rounds = random.Random(7), None, scaled(25 if isinstance(database, Lite) else 10)
    repeaters = [Repeaters(t, 4) for t in ("a", "b")]
    for i in range(rounds + 1):
        last = i == rounds
        with Server(*FLAGS, store=database.store) as s:
            team = Team()
            for r in repeaters:
                r.run(s.port, team)
            time.sleep(rng.uniform(0.02, 0.25))
            if last:
                team.stop.set()
                team.join()
            else:
                s.crash()
        if not last:
            team.join()
    check_once(database, repeaters)


@pytest.mark.parametrize("durability", ["commit", "relaxed"])
def test_ended_connections(durability):
    """PostgreSQL's processes end under load; who was refused asks again: each key yields its events once."""
    database, team = Post(), Team()
    end = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database.name}'"
    repeaters = [Repeaters(t, 4) for t in ("a", "b")]
    with Server(*FLAGS, "--durability", durability, store=database.store) as s:
        for r in repeaters:
            r.run(s.port, team)
        for _ in range(scaled(15)):
            before = sum(len(r.answers) for r in repeaters)
            database.pg.sql("postgres", end)
            until(lambda b=before: sum(len(r.answers) for r in repeaters) > b + 20, "events flow again")
        team.stop.set()
        team.join()
    assert sum(r.refused for r in repeaters) > 0
    check_once(database, repeaters)


@pytest.mark.parametrize("durability", ["commit", "relaxed"])
def test_a_commit_that_is_not_heard_of(durability):
    """Refused, its key goes with it; promised, it is sent again, and is there once."""
    database = Post()
    wall = Wall(database.pg.port)
    with Server(*FLAGS, "--durability", durability, store=database.pg.uri(database.name, wall.port)) as s:
        a = first(put(s, "t", "a", {"message": "x"}))
        until(lambda: database.sql("SELECT count(*) FROM idempotency") == [["1"]], "that is stored")
        wall.mode = "deaf"
        b = put(s, "t", "b", {"message": "y"})
        assert b.status == (503 if durability == "commit" else 201)
        until(lambda: s.get("/readyz").status == 503, "it fails")
        assert database.sql("SELECT count(*) FROM idempotency") == [["2"]]
        wall.mode = "pass"
        until(lambda: s.get("/readyz").status == 200, "it recovers")
        if durability == "commit":
            assert database.sql("SELECT count(*) FROM idempotency") == [["1"]]
            b = first(put(s, "t", "b", {"message": "z"}))
            repeat(put(s, "t", "b", {"message": "z"}), b)
        else:
            repeat(put(s, "t", "b", {"message": "y"}), b)
        repeat(put(s, "t", "a", {"message": "x"}), a)
        assert newest(s, "t") == 2
    assert database.sql("SELECT first FROM idempotency ORDER BY first") == [["1"], ["2"]]
    wall.close()


def test_a_store_that_refuses(tmp_path):
    with Server(*FLAGS, store=f"sqlite:{tmp_path}/log.db") as s:
        a = first(put(s, "t", "a", {"message": "x"}))
        hard = resource.prlimit(s.process.pid, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(s.process.pid, resource.RLIMIT_FSIZE, (4096, hard))
        for _ in range(3):
            r = put(s, "t", "b", {"message": "y"})
            problem(r, 503, "unavailable")
            assert int(r.header("Retry-After")) >= 1
        repeat(put(s, "t", "a", {"message": "x"}), a)
        problem(s.get("/readyz"), 503, "unavailable")
        resource.prlimit(s.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, hard))
        b = first(put(s, "t", "b", {"message": "y"}))
        assert b.json()["seq"] == 2
        repeat(put(s, "t", "b", {"message": "y"}), b)
