"""The benchmark where events are kept: ceilings, the disk, what is read while it is written, and the report of it."""

import contextlib
import dataclasses
import json
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness import Server, program
from test_bench import good_run, refused_with_a_line, results, run_load, unwatched  # noqa: F401

import asking
import ceiling
import disk
import documents
import durable
import filling
import loadgen
import machine
import main
import postgres
import servers
from figures import FIGURES, faults_of, refusal, summarise
from scenarios import SCENARIOS, Keeping
from table import Report

BIN = Path(program("CARILLON_BIN"))
CEILING = Path(program("CARILLON_LOAD_BIN")).with_name("carillon-ceiling")


@pytest.fixture
def built(tmp_path, monkeypatch):
    """The programs under test, and folders of the test's own."""
    monkeypatch.setattr(servers, "BUILD", BIN.parent)
    monkeypatch.setattr(ceiling, "PROGRAM", CEILING)
    monkeypatch.setattr(loadgen, "LOAD", Path(program("CARILLON_LOAD_BIN")))
    monkeypatch.setattr(durable, "FOLDERS", tmp_path / "folders")
    return tmp_path


def small(name, keeping=None, **options):
    scenario = SCENARIOS[name]
    few = {"events": 300, "warmup": 100} | options
    return dataclasses.replace(
        scenario, options=scenario.options | few, keeping=dataclasses.replace(scenario.keeping, **(keeping or {}))
    )


def rows(database, table):
    with contextlib.closing(sqlite3.connect(database)) as db:
        return sorted(db.execute(f"SELECT * FROM {table}"))


def published(folder, *flags):
    """A database in which a server has stored 220 events of two tenants, and what the WAL index counted meanwhile."""
    database = folder / "log.db"
    with Server("--tenants", "", store=f"sqlite:{database}") as server:
        begun = ceiling.transactions(database)
        code, answer = run_load(server.port, *flags)
        assert code == 0, answer["faults"]
        counted = ceiling.transactions(database) - begun
    return database, counted


# Tables of another version: a column, an index, a trigger and a table more.
OTHER_SCHEMA = """
CREATE TABLE log (epoch TEXT NOT NULL, created_ms INTEGER NOT NULL) STRICT;
CREATE TABLE tenants (n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, created_ms INTEGER NOT NULL,
    newest INTEGER NOT NULL, forgotten INTEGER NOT NULL DEFAULT 0) STRICT;
CREATE TABLE events (tenant INTEGER NOT NULL REFERENCES tenants, seq INTEGER NOT NULL, id BLOB NOT NULL,
    wall_ms INTEGER NOT NULL, type TEXT NOT NULL, content TEXT NOT NULL,
    PRIMARY KEY (tenant, seq)) STRICT, WITHOUT ROWID;
CREATE TABLE types (tenant INTEGER NOT NULL, type TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (tenant, type));
CREATE INDEX events_id ON events (id);
CREATE TRIGGER typed AFTER INSERT ON events BEGIN UPDATE types SET count = -1; END;
INSERT INTO log VALUES ('e', 1);
INSERT INTO tenants VALUES (3, 't0', 5, 1, 0), (7, 'tenant_a', 5, 0, 0);
INSERT INTO types VALUES (3, 'message', 1);
"""


@pytest.fixture
def other_version(tmp_path):
    """A database of it, with the event that filling begins with."""
    database = tmp_path / "other.db"
    with contextlib.closing(sqlite3.connect(database)) as db:
        db.executescript(OTHER_SCHEMA)
        content = f',"message":"{asking.message(1)}"'
        db.execute("INSERT INTO events VALUES (3, 1, ?, 1000, 'message', ?)", (bytes(16), content))
        db.execute("DROP TRIGGER typed")
        db.commit()
    return database


# The ceiling


def test_the_ceiling_of_another_version(built, other_version, tmp_path):
    with contextlib.closing(sqlite3.connect(other_version)) as db:
        db.executescript("CREATE TRIGGER typed AFTER INSERT ON events BEGIN DELETE FROM types; END;")
        for seq in range(2, 51):
            ours = (seq, bytes([seq]) * 16, 1000 + seq // 7)
            db.execute("INSERT INTO events VALUES (3, ?, ?, ?, 'message', 'x')", ours)
            db.execute("INSERT INTO events VALUES (7, ?, x'', ?, 'message', '')", (seq - 1, 1000 + seq // 5))
        db.execute("UPDATE tenants SET newest = 50 - (n = 7)")
        db.commit()
    plain = tmp_path / "plain.db"
    assert ceiling.measure(other_version, plain, 6.3)["transactions"] == 16
    for table in ("log", "tenants", "events"):
        assert rows(plain, table) == rows(other_version, table), table
    with contextlib.closing(sqlite3.connect(plain)) as db:
        names = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE sql IS NOT NULL")}
    assert names == {"log", "tenants", "events", "events_id"}


def test_the_ceiling_inserts_the_same_rows(built, tmp_path):
    database, counted = published(tmp_path, "--ahead", "yes")
    assert 0 < counted <= 220
    plain = tmp_path / "plain.db"
    said = ceiling.measure(database, plain, 7.5)
    assert said["events"] == 220 and said["transactions"] == 30 and said["events_per_second"] > 0
    for table in ("log", "tenants", "events"):
        assert rows(plain, table) == rows(database, table), table
    assert len(rows(plain, "events")) == 220
    with contextlib.closing(sqlite3.connect(plain)) as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    with contextlib.closing(sqlite3.connect(database)) as ours, contextlib.closing(sqlite3.connect(plain)) as theirs:
        schema = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND tbl_name IN ('log', 'tenants', 'events')"
        assert set(ours.execute(schema)) == set(theirs.execute(schema))


def test_a_ceiling_that_cannot_be_measured_says_why(built, tmp_path):
    database, _ = published(tmp_path)
    with pytest.raises(ceiling.CeilingError, match="already exists"):
        ceiling.measure(database, database, 64)
    with contextlib.closing(sqlite3.connect(database)) as db:
        db.execute("DELETE FROM events")
        db.commit()
    with pytest.raises(ceiling.CeilingError, match="no events in it"):
        ceiling.measure(database, tmp_path / "a.db", 64)
    (tmp_path / "text").write_text("no database" * 100)
    with pytest.raises(ceiling.CeilingError, match="not a database"):
        ceiling.measure(tmp_path / "text", tmp_path / "b.db", 64)
    for batch in ("0", "x", "1e9", "nan"):
        command = [CEILING, database, tmp_path / "c.db", batch]
        assert subprocess.run(command, capture_output=True, timeout=20).returncode == 2


def test_the_size_of_a_transaction():
    said = "x\nstore: 100 events in 40 transactions\nstore: 1200 events in 50 transactions\nstopped\n"
    assert ceiling.batch(said, 999, 1, 2) == ceiling.Batch(24.0)
    assert ceiling.batch("listening", 1000, 10, 50) == ceiling.Batch(25.0)
    for log, begun, ended in [
        ("", None, None),
        ("", None, 7),
        ("", 7, 7),
        ("", 7, None),
        ("", 0, 5000),
        ("store: 0 events in 0 transactions", 3, 3),
    ]:
        guess = ceiling.batch(log, 1000, begun, ended)
        assert guess.events == 64 and "64 are assumed" in guess.doubt
    assert ceiling.transactions(Path("/proc/nothing")) is None


# The disk


def test_the_disk(tmp_path):
    taken = disk.sync_us(tmp_path, 5)
    assert len(taken) == 5 and min(taken) > 0 and list(tmp_path.iterdir()) == []
    assert disk.summary([1.0, 2.0, 9.0])["median_us"] == 2.0
    assert disk.describe(Path("/proc/self")) == "proc on proc"


def test_what_others_take():
    others = machine.Others()
    spin = "import time\nend = time.monotonic() + 0.5\nwhile time.monotonic() < end: pass"
    with subprocess.Popen([sys.executable, "-c", spin]) as child:
        time.sleep(0.4)
        running = others.share()
        child.wait()
    # A child is ours when it has been waited for.
    assert 0 <= others.share() <= 1 and running > 0


# Whole runs


def test_a_run_that_keeps_events(built):
    run = durable.run_once(small("ingest-commit"), 1, False)
    assert faults_of(run) == [] and run["notes"] == []
    document = json.loads(json.dumps(results(carillon=[run])))
    assert documents.misfit(document, documents.RESULTS) is None
    assert run["load"]["events"] == 300 and run["parts"]["sync"]["rounds"] == 400
    assert 0 <= run["parts"]["others"]["share"] <= 1
    assert run["parts"]["ceiling"]["events"] == 400 and 1 <= run["parts"]["ceiling"]["batch"] <= 64
    assert list(durable.FOLDERS.iterdir()) == []


def test_a_ceiling_of_other_rows_is_none(built, monkeypatch):
    monkeypatch.setattr(ceiling, "measure", lambda *_: {"events": 399, "events_per_second": 1.0})
    run = durable.run_once(small("ingest-commit"), 1, False)
    fault = "a check failed: 399 events are in the database, and 400 were published"
    assert refusal(FIGURES["of_ceiling"], run) == fault
    assert refusal(FIGURES["cpu_event"], run) is None and main.failed(run)


def test_a_server_that_does_not_start_is_a_fault(built):
    run = durable.run_once(small("ingest-commit", {"durability": "never"}), 1, False)
    assert run["faults"] and "skipped" not in run and main.failed(run)


def test_what_is_not_here_is_skipped(built, monkeypatch):
    monkeypatch.setattr(postgres, "programs", lambda: None)
    run = durable.run_once(small("ingest-postgres"), 1, False)
    assert "not installed" in run["skipped"] and not main.failed(run)
    document = results(carillon=[run])
    document["results"][0]["scenario"] = "ingest-postgres"
    text = Report(document).text()
    assert "1. ingest-postgres, carillon: run 1: skipped: PostgreSQL's initdb" in text
    assert documents.misfit(document, documents.RESULTS) is None


def test_what_the_server_says_to_a_store_it_does_not_know(built):
    assert "--store" in servers.objection(servers.Start(built, 1, "nonsense:there"))
    assert servers.objection(servers.Start(built, 1, f"sqlite:{built}/log.db", "relaxed")) is None


def test_postgres_of_its_own():
    programs = postgres.programs()
    if not programs:
        pytest.skip("PostgreSQL's programs are not installed")
    with servers.fresh_folder() as folder:
        with postgres.running(folder, programs) as uri:
            port = int(uri.rpartition(":")[2].partition("/")[0])
            with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
                connection.sendall((8).to_bytes(4, "big") + (80877103).to_bytes(4, "big"))  # SSLRequest
                assert connection.recv(1) in (b"N", b"S")
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=20)
    assert not folder.exists()


# Reading


def test_a_filled_database_is_one_of_the_server(tmp_path):
    database = tmp_path / "log.db"
    with Server(store=f"sqlite:{database}") as server:
        with contextlib.closing(filling.connection(server.port)) as to:
            assert filling.publish(to, "/api/v1/events", "t0", asking.message(1))
    filling.insert_all(database, 20000)
    most, others = filling.share(20000)
    assert most == 18000 and sum(count for _, count in others) == 2000
    stored = rows(database, "events")
    assert len(stored) == 20000 and len({event[2] for event in stored}) == 20000
    with Server("--max-tenants", 2000, store=f"sqlite:{database}") as server:
        for tenant, count in [("t0", most), ("t1", 2), ("t1000", 2)]:
            plan = asking.Plan("list", server.port, count, 3, 0.01, 20)
            if tenant == "t0":
                assert asking.ask(plan)["faults"] == []
            with contextlib.closing(filling.connection(server.port)) as to:
                to.request("GET", "/api/v1/events?limit=1", headers={"X-Tenant-ID": tenant})
                (event,) = json.load(to.getresponse())["events"]
                assert (event["seq"], event["message"]) == (count, asking.message(count))


def test_filling_another_version(other_version):
    filling.insert_all(other_version, 20000)
    types, tenants = rows(other_version, "types"), rows(other_version, "tenants")
    assert len(rows(other_version, "events")) == sum(count for _, _, count in types) == 20000
    assert (3, "message", 18000) in types and len(types) == 1001
    assert (3, "t0", 5, 18000, 0) in tenants and (8, "t1", 5, 2, 0) in tenants and len(tenants) == 1002


def test_history(built, monkeypatch):
    """Small, and shorter than a measurement. A server that does not read back what it keeps is told so."""
    monkeypatch.setattr(durable, "QUESTIONS", 8)
    monkeypatch.setattr(durable, "ALONE", 1.5)
    monkeypatch.setattr(durable, "READING", 3.0)
    run = durable.run_once(small("history", {"stored": 20000}), 1, False)
    assert faults_of(run) == []
    assert any(note.startswith("filled over: ") for note in run["notes"])
    for part in ("list", "loop", "loop_alone"):
        assert run["parts"][part]["faults"] == [] and run["parts"][part]["p99_ms"] > 0
    for part in ("page", "query", "rare"):
        assert all(" due, " in fault for fault in run["parts"][part]["faults"])
        assert run["parts"][part]["count"] == 8
    assert list(durable.FOLDERS.iterdir()) == []


# What the report makes of it


def kept_run(rate=0, **parts):
    run = good_run(rate=rate, events_per_second=18000.0, server_cpu_us_per_event=40.0)
    ask = {"p50_ms": 1.0, "p99_ms": 4.0, "max_ms": 5.0, "faults": []}
    known = {
        "sync": {"median_us": 80.0},
        "ceiling": {"events_per_second": 24000.0, "batch": 31.5},
        **{kind: ask for kind in ("list", "page", "query", "rare", "loop", "loop_alone")},
    }
    return run | {"parts": known | parts}


def goals(scenario, *runs):
    document = results(carillon=list(runs))
    document["results"][0]["scenario"] = scenario
    return {row[2]: row[-1] for row in Report(document).rows() if row[-1]}


def test_goals_of_ingest():
    assert goals("ingest-commit", kept_run()) == {
        "events, per s": "≥ 20,000: missed",
        "events, of plain SQLite's, share": "≥ 0.6: met",
    }
    fast = {"events_per_second": 31000.0, "batch": 31.5}
    assert goals("ingest-commit", kept_run(ceiling=fast))["events, of plain SQLite's, share"] == "≥ 0.6: missed"
    assert summarise(FIGURES["of_ceiling"], [kept_run()]).median == 0.75
    assert summarise(FIGURES["batch"], [kept_run()]).median == 31.5


def test_goal_of_delivery():
    assert goals("deliver-commit", kept_run(1000)) == {"publish to deliver, p99, syncs": "≤ 3: met"}
    slow = kept_run(1000, sync={"median_us": 60.0})
    assert goals("deliver-commit", slow) == {"publish to deliver, p99, syncs": "≤ 3: missed"}


def test_goals_of_reading():
    assert set(goals("history", kept_run(1000)).values()) == {"≤ 20: met", "≤ 1.25: met"}
    late = kept_run(1000, page={"p50_ms": 1.0, "p99_ms": 21.0, "max_ms": 30.0}, loop={"p99_ms": 8.0})
    missed = [figure for figure, goal in goals("history", late).items() if goal.endswith(": missed")]
    assert missed == ["page of 1,000, p99, ms", "loop, p99 while they read, of it alone"]


def test_an_answer_to_something_else_is_no_figure():
    wrong = kept_run(1000, page={"p50_ms": 0.1, "p99_ms": 0.2, "max_ms": 0.3, "faults": ["1000 events were due"]})
    assert refusal(FIGURES["page_p99"], wrong) == "a check failed: 1000 events were due"
    assert refusal(FIGURES["list_p99"], wrong) is None and faults_of(wrong) == []
    assert main.failed(wrong) and not main.failed(kept_run())
    assert goals("history", wrong)["page of 1,000, p99, ms"] == "≤ 20: unknown"
    assert refusal(FIGURES["page_p99"], good_run()) == "not reported"


def test_a_limited_load_leaves_what_was_measured_beside_it():
    limit = {"limited": True, "why": "events were sent too late"}
    run = kept_run(1000)
    run["load"]["load"] = limit
    assert refusal(FIGURES["sync"], run) is None and refusal(FIGURES["ceiling_s"], run) is None
    for key in ("deliver_syncs", "of_ceiling", "page_p99", "loop_moved", "cpu_event"):
        assert "too late" in refusal(FIGURES[key], run), key


def test_notes_stand_below_the_table():
    run = kept_run() | {"notes": ["64 are assumed"]}
    document = results(carillon=[run, run])
    document["results"][0]["scenario"] = "ingest-commit"
    assert Report(document).text().count("ingest-commit, carillon: 64 are assumed") == 1


def test_the_list_names_the_store(capsys):
    assert main.list_scenarios() == 0
    said = capsys.readouterr().out
    for name in [f"ingest-{kind}" for kind in ("memory", "commit", "relaxed", "postgres", "postgres-relaxed")] + [
        "deliver-commit",
        "history",
    ]:
        assert f"\n{name}\n" in said
    assert "store: sqlite, commit, with 1,000,000 events in it" in said and "store: postgres, commit" in said
    assert {SCENARIOS[name].keeping for name in ("ingest-commit", "ingest-relaxed")} == {
        Keeping("sqlite", durability, ceiling=True) for durability in ("commit", "relaxed")
    }


@pytest.mark.parametrize("parts", [3, {"sync": 3}, {"ceiling": {"faults": 3}}])
def test_parts_that_are_none_of_ours(parts, tmp_path, capfd, unwatched):  # noqa: F811
    file = tmp_path / "other.json"
    file.write_text(json.dumps(results(carillon=[good_run() | {"parts": parts}])))
    assert "other.json: no results" in refused_with_a_line(capfd, "report", file)
