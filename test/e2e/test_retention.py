"""--retention: what is too much or too old is forgotten, tenant by tenant, and those who ask for it are told."""

import sqlite3
import time

import pytest

from harness import Postgres, Server, Team, Wall, scaled, until


@pytest.fixture
def store(tmp_path):
    return f"sqlite:{tmp_path}/log.db"


def rows(tmp_path, tenant):
    """The seqs that the database has."""
    db = sqlite3.connect(f"file:{tmp_path}/log.db?mode=ro", uri=True, timeout=10)
    try:
        sql = "SELECT seq FROM events e JOIN tenants t ON t.n = e.tenant WHERE t.id = ? ORDER BY seq"
        return [seq for (seq,) in db.execute(sql, (tenant,))]
    finally:
        db.close()


def listed(server, tenant):
    return [e["seq"] for e in server.get("/events?limit=1000&since=0", tenant).json()["events"]]


def gap(server, tenant, since):
    """Where events begin for one who comes with a cursor: (what is told to be missing, the first event)."""
    ws = server.ws(tenant, f"since={since}")
    first, missing = ws.recv_json(), None
    if first["type"] == "gap":
        missing, first = (first["from"], first["to"]), ws.recv_json()
    ws.close()
    return missing, first["event"]["seq"]


@pytest.mark.parametrize("durability", ["commit", "relaxed"])
def test_by_count(store, tmp_path, durability):
    flags = ("--retention", "/20", "--threads", "2", "--durability", durability)
    with Server(*flags, store=store) as s:
        s.flood("busy", (f"m{i}" for i in range(300)))
        s.flood("quiet", (f"m{i}" for i in range(5)))
        until(lambda: rows(tmp_path, "busy") == list(range(281, 301)), "the rest is deleted")
        until(lambda: listed(s, "busy") == list(range(281, 301)), "and not listed")
        until(lambda: rows(tmp_path, "quiet") == [1, 2, 3, 4, 5], "what was published last is stored, too")
        assert listed(s, "quiet") == [1, 2, 3, 4, 5]
        assert gap(s, "busy", 100) == ((101, 280), 281)
        assert gap(s, "busy", 290) == (None, 291)
        stats = s.get("/events/stats", "busy").json()
        assert (stats["first_seq"], stats["last_seq"], stats["total"]) == (281, 300, 20)
    with Server(*flags, store=store) as s:
        s.flood("busy", (f"n{i}" for i in range(20)))
        until(lambda: rows(tmp_path, "busy") == list(range(301, 321)), "it goes on")
        assert gap(s, "busy", 0) == ((1, 300), 301)


def test_lists_while_events_are_forgotten(store):
    """They begin after what was forgotten, have no hole, and no more than is kept; whatever memory has of them."""
    most, kept = scaled(6000, 3000), 300
    with Server("--retention", f"/{kept}", "--buffer-size", "50", "--threads", "2", store=store) as s:
        team, done = Team(), []

        def publish():
            s.flood("t", (f"m{i}" for i in range(most)), depth=40)
            done.append(True)

        def look(query):
            while not done and not team.stop.is_set():
                seqs = [e["seq"] for e in s.get(f"/events?limit=1000&{query}", "t").json()["events"]]
                seqs = seqs if "asc" in query else seqs[::-1]
                assert seqs == list(range(seqs[0], seqs[0] + len(seqs))) if seqs else True, (query, seqs)
                assert len(seqs) <= kept

        team.go(publish)
        for query in ("order=asc", "order=asc&q=m*", "order=desc"):
            team.go(look, query)
        team.join()


def test_by_age(store, tmp_path):
    """They go though nobody publishes, and the seqs go on."""
    with Server("--retention", "1s/", store=store) as s:
        s.flood("t", (f"m{i}" for i in range(30)))
        until(lambda: rows(tmp_path, "t") == [], "they are too old")
        assert s.ws("t").hello["seq"] == 30
    with Server("--retention", "1h/", store=store) as s:
        assert s.publish("t", "new")["seq"] == 31
        assert gap(s, "t", 10) == ((11, 30), 31)


def test_who_is_connected_notices_nothing(store, tmp_path):
    """A subscriber that keeps up gets each event once, whatever is deleted behind it."""
    with Server("--retention", "/10", store=store) as s:
        ws = s.ws("t")
        sent = s.flood("t", (f"m{i}" for i in range(1000)))
        assert ws.events(1000) == sent
        until(lambda: len(rows(tmp_path, "t")) == 10, "the rest is deleted")


def test_the_file_stops_growing(store, tmp_path):
    with Server("--retention", "/100", store=store) as s:
        sizes = []
        for _ in range(4):
            s.flood("t", (("x" * 1000 + str(i)) for i in range(3000)))
            until(lambda: len(rows(tmp_path, "t")) == 100, "the rest is deleted")
            db = sqlite3.connect(f"file:{tmp_path}/log.db?mode=ro", uri=True, timeout=10)
            sizes.append(db.execute("PRAGMA page_count").fetchone()[0])
            db.close()
        assert sizes[3] < sizes[0] + 1000, sizes  # 3000 more would have been written


def test_in_memory():
    with Server("--retention", "/20", store="memory:") as s:
        s.flood("t", (f"m{i}" for i in range(300)))
        assert listed(s, "t") == list(range(281, 301))
        assert gap(s, "t", 5) == ((6, 280), 281)


def test_crash_in_between(store, tmp_path):
    """kill -9 while it deletes: what is left is deleted later, and what is to be kept is there."""
    for i in range(5):
        with Server("--retention", "/50", store=store) as s:
            s.flood("t", (f"m{i}" for i in range(2000)))
            time.sleep(0.02 * i)
            s.crash()
    with Server("--retention", "/50", store=store) as s:
        newest = s.ws("t").hello["seq"]
        assert newest == 10000
        until(lambda: rows(tmp_path, "t") == list(range(9951, 10001)), "the rest is deleted")
        db = sqlite3.connect(f"file:{tmp_path}/log.db?mode=ro", uri=True, timeout=10)
        assert db.execute("SELECT sum(count) FROM types").fetchone() == (50,)
        db.close()


def held(pg, database, tenant="t"):
    """The seqs that the database has."""
    sql = "SELECT seq FROM carillon.events e JOIN carillon.tenants t ON t.n = e.tenant"
    return [int(seq) for (seq,) in pg.sql(database, f"{sql} WHERE t.id = '{tenant}' ORDER BY seq")]


@pytest.mark.parametrize("durability", ["commit", "relaxed"])
def test_postgres(durability):
    pg = Postgres.shared()
    database = pg.new()
    flags = ("--retention", "/20", "--threads", "2", "--durability", durability)
    with Server(*flags, store=pg.uri(database)) as s:
        ws = s.ws("busy")
        sent = s.flood("busy", (f"m{i}" for i in range(300)))
        s.flood("quiet", (f"m{i}" for i in range(5)))
        until(lambda: held(pg, database, "busy") == list(range(281, 301)), "the rest is deleted")
        until(lambda: listed(s, "busy") == list(range(281, 301)), "and not listed")
        assert ws.events(300) == sent
        assert held(pg, database, "quiet") == listed(s, "quiet") == [1, 2, 3, 4, 5]
        assert gap(s, "busy", 100) == ((101, 280), 281)
        assert gap(s, "busy", 290) == (None, 291)
        stats = s.get("/events/stats", "busy").json()
        assert (stats["first_seq"], stats["last_seq"], stats["total"]) == (281, 300, 20)
    with Server("--durability", durability, store=pg.uri(database)) as s:
        assert listed(s, "busy") == list(range(281, 301))
        assert gap(s, "busy", 100) == ((101, 280), 281)
    with Server(*flags, store=pg.uri(database)) as s:
        s.flood("busy", (f"n{i}" for i in range(20)))
        until(lambda: held(pg, database, "busy") == list(range(301, 321)), "it goes on")
        assert gap(s, "busy", 0) == ((1, 300), 301)


def test_postgres_by_age():
    pg = Postgres.shared()
    database = pg.new()
    with Server("--retention", "1s/", store=pg.uri(database)) as s:
        s.flood("t", (f"m{i}" for i in range(30)))
        until(lambda: held(pg, database) == [], "they are too old")
        assert s.ws("t").hello["seq"] == 30
        pg.stop("fast")
        pg.start()
        until(lambda: s.get("/readyz").status == 200, "it recovers")
        s.publish("t", "again")
        until(lambda: held(pg, database) == [31], "that is stored")
        until(lambda: held(pg, database) == [], "it forgets again")
    with Server("--retention", "1h/", store=pg.uri(database)) as s:
        assert s.publish("t", "new")["seq"] == 32
        assert gap(s, "t", 10) == ((11, 31), 32)


def test_postgres_crash_in_between():
    """kill -9 while it deletes: what is left is deleted later, and what is to be kept is there."""
    pg = Postgres.shared()
    database = pg.new()
    for i in range(5):
        with Server("--retention", "/50", store=pg.uri(database)) as s:
            s.flood("t", (f"m{i}" for i in range(2000)))
            time.sleep(0.25 * i)
            s.crash()
    with Server("--retention", "/50", store=pg.uri(database)) as s:
        assert s.ws("t").hello["seq"] == 10000
        until(lambda: held(pg, database) == list(range(9951, 10001)), "the rest is deleted")
        assert pg.sql(database, "SELECT sum(count) FROM carillon.types") == [["50"]]


def test_postgres_that_is_another_servers_now():
    """Nothing of another server's log is forgotten, though the connection is there again."""
    pg = Postgres.shared()
    database, wall = pg.new(), Wall(pg.port)
    with Server("--retention", "/5", store=pg.uri(database, wall.port)) as s:
        s.publish("t", "one")
        wall.mode = "shut"
        wall.cut()
        until(lambda: s.get("/readyz").status == 503, "it notices")
        with Server(store=pg.uri(database)) as other:
            other.flood("t", (f"m{i}" for i in range(50)))
            wall.mode = "pass"
            until(lambda: "in use by another server" in s.process.output(), "it is told so")
            time.sleep(2.5)  # two looks
            assert len(held(pg, database)) == 51
    wall.close()
