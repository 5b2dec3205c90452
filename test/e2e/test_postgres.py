"""The log in PostgreSQL: what was acknowledged is there exactly once, and what was refused is not, whatever becomes of
either server and of the connection between them."""

import random
import subprocess
import time

import pytest

from harness import Crowd, PASSWORD, Postgres, Server, Team, Wall, problem, run, scaled, until

FLAGS = ("--threads", "2", "--buffer-size", "1000000")
EVENT = b'{"message":"refused"}'


@pytest.fixture(scope="module")
def pg():
    return Postgres.shared()


@pytest.fixture
def database(pg):
    return pg.new()


@pytest.fixture
def store(pg, database):
    return pg.uri(database)


@pytest.fixture
def wall(pg):
    wall = Wall(pg.port)
    yield wall
    wall.close()


def ready(server):
    return server.get("/readyz").status == 200


def messages(pg, database):
    """Of the tenant t."""
    events = pg.events(database, "t")
    assert [e["seq"] for e in events] == list(range(1, len(events) + 1))
    return [e["message"] for e in events]


class Watcher:
    """A subscriber that keeps what it sees."""

    def __init__(self, server, tenant):
        self.events, self.ws, self.team = [], server.ws(tenant), Team()
        self.team.go(self.read)

    def read(self):
        while not self.team.stop.is_set():
            self.events += self.ws.events(1)

    def has(self, count):
        until(lambda: len(self.events) >= count, "everything is seen")
        return self.events


def counts(pg, database):
    """What the tables say of each other has to agree."""
    newest = "SELECT t.id, t.newest, count(e.seq), max(e.seq) FROM carillon.tenants t JOIN carillon.events e"
    for row in pg.sql(database, f"{newest} ON e.tenant = t.n GROUP BY t.id, t.newest"):
        assert row[1] == row[2] == row[3], row
    types = "SELECT tenant, type, count FROM carillon.types WHERE count <> 0"
    events = "SELECT tenant, type, count(*) FROM carillon.events GROUP BY tenant, type"
    assert pg.sql(database, f"({types} EXCEPT {events}) UNION ALL ({events} EXCEPT {types})") == []


def test_goes_on_where_it_was(pg, database, store):
    with Server(*FLAGS, store=store) as s:
        first = s.flood("t", (f"m{i}" for i in range(300)))
        epoch = s.ws("t").hello["epoch"]
    with Server(*FLAGS, store=store) as s:
        ws = s.ws("t", f"since=300&epoch={epoch}")
        assert ws.hello["epoch"] == epoch and ws.hello["seq"] == 300
        second = s.flood("t", (f"n{i}" for i in range(100)))
        assert ws.events(100) == second
    events = pg.events(database, "t")
    assert [e["seq"] for e in events] == [e["seq"] for e in first + second] == list(range(1, 401))
    assert [e["message"] for e in events] == [e["message"] for e in first + second]


@pytest.mark.parametrize("durability", ["commit", "relaxed"])
def test_crashes(pg, database, store, durability):
    """kill -9 at random moments. Under relaxed what was acknowledged is there when it had its time at rest."""
    tenants, acked, rng = ["a", "b", "c"], {"a": {}, "b": {}, "c": {}}, random.Random(7)
    for i in range(scaled(10 if durability == "commit" else 4)):
        with Server(*FLAGS, "--durability", durability, store=store) as s:
            crowd = Crowd(s, tenants, 6, f"r{i}", pause=0.002)
            time.sleep(rng.uniform(0.05, 0.25))
            s.crash()
        crowd.team.join()
        with Server(*FLAGS, store=store):
            for tenant in tenants:
                events = pg.events(database, tenant)
                assert [e["seq"] for e in events] == list(range(1, len(events) + 1))
                there = {e["seq"]: e["message"] for e in events}
                assert len(set(there.values())) == len(there)
                if durability == "commit":
                    acked[tenant].update(crowd.acked[tenant])
                else:
                    acked[tenant] = {q: m for q, m in acked[tenant].items() if q in there}
                assert acked[tenant].items() <= there.items()
                acked[tenant] = there
    assert all(acked.values())
    counts(pg, database)


@pytest.mark.parametrize("durability", ["commit", "relaxed"])
def test_stopped_under_load(pg, database, store, durability):
    """Publishers get 503, readers go on, readyz says so, and it recovers by itself."""
    with Server(*FLAGS, "--durability", durability, store=store) as s:
        watcher, crowd = Watcher(s, "a"), Crowd(s, ["a"], 6, pause=0.005)
        for mode in ("fast", "immediate"):
            before = crowd.count()
            until(lambda b=before: crowd.count() > b + 50, "events flow")
            refused = len(crowd.refused)
            pg.stop(mode)
            try:
                until(lambda r=refused: len(crowd.refused) > r + 10, "publishers are refused")
                problem(s.get("/readyz"), 503, "unavailable")
                assert s.get("/livez").status == 200
                assert len(s.ws("a", "since=0").events(20)) == 20
                assert len(s.get("/events?limit=20", "a").json()["events"]) == 20
            finally:
                pg.start()
            until(lambda: ready(s), "it recovers")
        before = crowd.count()
        until(lambda: crowd.count() > before + 50, "events flow again")
        crowd.end()
        newest = s.ws("a").hello["seq"]
        until(lambda: len(pg.events(database, "a")) == newest, "all of it is stored")
        events = pg.events(database, "a")
        crowd.check("a", events)
        crowd.check("a", watcher.has(newest))
    counts(pg, database)


def test_ended_connections(pg, database, store):
    """The server's processes end one after the other, in the middle of it."""
    tenants = ["a", "b", "c"]
    end = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'"
    with Server(*FLAGS, store=store) as s:
        crowd = Crowd(s, tenants, 6)
        for _ in range(scaled(15)):
            before = crowd.count()
            pg.sql("postgres", end)
            until(lambda b=before: crowd.count() > b + 10, "events flow again")
        crowd.end()
        until(lambda: ready(s), "it is well")
    for tenant in tenants:
        crowd.check(tenant, pg.events(database, tenant))
    counts(pg, database)


def test_idle(pg, store):
    """readyz says so where nobody publishes, too."""
    with Server(*FLAGS, store=store) as s:
        assert ready(s)
        pg.stop("fast")
        try:
            until(lambda: not ready(s), "it notices")
        finally:
            pg.start()
        until(lambda: ready(s), "it recovers")


def test_an_idle_connection_that_ended(pg, database, store):
    """It is had again without a restart, and the seqs go on."""
    with Server(*FLAGS, store=store) as s:
        s.publish("t", "one")
        pg.stop("fast")
        pg.start()
        until(lambda: s.post("t", b'{"message":"two"}').status == 201, "it is connected again")
        assert s.publish("t", "three")["seq"] == 3
        assert messages(pg, database) == ["one", "two", "three"]


def test_a_commit_that_is_not_heard_of(pg, database, wall):
    """It was refused, so it is taken out again, before anything else is written."""
    with Server(*FLAGS, store=pg.uri(database, wall.port)) as s:
        first = s.flood("t", ["1", "2", "3"])
        ws = s.ws("t", "since=3")
        for _ in range(3):
            wall.mode = "deaf"
            problem(s.post("t", EVENT), 503, "unavailable")
            problem(s.post("new", EVENT), 503, "unavailable")
            assert pg.sql(database, "SELECT max(seq) FROM carillon.events") == [[str(len(first) + 1)]]
            assert s.get("/events", "t").json()["events"] == first[::-1]
            wall.mode = "pass"
            until(lambda: ready(s), "it recovers")
            counts(pg, database)
            assert pg.sql(database, "SELECT id, newest FROM carillon.tenants WHERE newest > 0") == [["t", str(len(first))]]
            first.append(s.publish("t", "next"))
            assert ws.events(1) == first[-1:]
        assert s.publish("new", "first")["seq"] == 1
        assert s.process.output().count("is taken out again") == 3
    assert messages(pg, database) == [e["message"] for e in first]


def test_a_commit_that_is_not_heard_of_under_relaxed(pg, database, wall):
    """It was answered, so it stays, and is not written twice."""
    with Server(*FLAGS, "--durability", "relaxed", store=pg.uri(database, wall.port)) as s:
        events = s.flood("t", ["1", "2", "3"])
        until(lambda: pg.sql(database, "SELECT 1 FROM carillon.events WHERE seq = 3"), "that is stored")
        wall.mode = "deaf"
        events += s.flood("t", (f"n{i}" for i in range(5)))
        until(lambda: not ready(s), "it fails")
        problem(s.post("t", EVENT), 503, "unavailable")
        wall.mode = "pass"
        until(lambda: ready(s), "it recovers")
        events.append(s.publish("t", "next"))
    assert messages(pg, database) == [e["message"] for e in events]
    counts(pg, database)


def test_no_answer(pg, database, wall):
    """A connection on which nothing comes any more: publishers have their answer nevertheless, and another connection is
    made, although the server believes in the old one, which has the lock."""
    with Server(*FLAGS, store=pg.uri(database, wall.port)) as s:
        s.publish("t", "one")
        wall.hold()
        problem(s.post("t", EVENT), 503, "unavailable")
        until(lambda: ready(s), "it recovers")
        s.publish("t", "two")
        assert messages(pg, database) == ["one", "two"]
    counts(pg, database)


def test_another_server_wrote_meanwhile(pg, database, wall):
    with Server(*FLAGS, store=pg.uri(database, wall.port)) as s:
        s.publish("t", "one")
        wall.mode = "shut"
        wall.cut()
        problem(s.post("t", EVENT), 503, "unavailable")
        with Server(*FLAGS, store=pg.uri(database)) as other:
            other.publish("t", "two")
            wall.mode = "pass"
            until(lambda: "in use by another server" in s.process.output(), "it is told so")
        until(lambda: "is not as this server has left it" in s.process.output(), "it sees that")
        for _ in range(3):
            problem(s.post("t", EVENT), 503, "unavailable")
        assert not ready(s)
    with Server(*FLAGS, store=pg.uri(database)):
        assert messages(pg, database) == ["one", "two"]


def start(*flags):
    """Exit code and stderr of a server that ends by itself."""
    code, _, said = run("--port", "0", "--auth", "open", *flags)
    return code, said


def refused(uri, words):
    code, said = start("--store", uri)
    assert code == 1 and said.count("\n") == 1, said
    assert said.startswith("carillon: postgres://127.0.0.1:") and words in said, said
    for secret in ("sesame", PASSWORD, "hush"):
        assert secret not in said


def test_refusals(pg, database, store):
    """One clear line without a secret, exit 1, and the database is as it was."""
    with Server(*FLAGS, store=store) as s:
        s.publish("t", "x")
        refused(store, "is in use by another server")
        s.publish("t", "y")
    refused(store.replace("sesame", "hush"), "password authentication failed")
    refused(pg.uri("nowhere"), "does not exist")
    refused(pg.uri(database, 1), "Connection refused")
    pg.sql(database, "INSERT INTO carillon.versions VALUES (99)")
    tables = "SELECT relname FROM pg_class c JOIN pg_namespace s ON s.oid = relnamespace WHERE nspname = 'carillon'"
    before = pg.sql(database, tables)
    refused(store, "was made by a newer version")
    assert pg.sql(database, tables) == before
    theirs = pg.new()
    pg.sql(theirs, "CREATE SCHEMA carillon; CREATE TABLE carillon.theirs (x int)")
    refused(pg.uri(theirs), "another program's")
    assert pg.sql(theirs, tables) == [["theirs"]]
    latin = pg.new("ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    refused(pg.uri(latin), "encoding is not UTF8")
    assert pg.sql(latin, tables) == []


def test_a_role_of_few_rights(pg, database):
    """It needs a schema of its own, and nothing else."""
    role = "CREATE ROLE few LOGIN PASSWORD 'hush hush'; CREATE SCHEMA carillon AUTHORIZATION few"
    pg.sql(database, f"{role}; ALTER ROLE few SET synchronous_commit = off; ALTER ROLE few SET search_path = nowhere")
    uri = f"postgresql://few:hush%20hush@127.0.0.1:{pg.port}/{database}"
    with Server(*FLAGS, store=uri) as s:
        s.publish("t", "x")
    with Server(*FLAGS, store=uri.replace("postgresql:", "PostgreSQL:")) as s:
        assert s.publish("t", "y")["seq"] == 2
        assert "hush" not in s.process.output()
