"""`carillon backup FILE`: a copy of the database, while the server writes, is a log of its own with all that had been
acknowledged; or one line, and nothing left behind."""

import json
import os
import resource
import signal
import sqlite3
import subprocess
import time

import pytest

from harness import Http, Server, Team, WAIT, clean_environment, program, run, until

JSON = {"Content-Type": "application/json"}


def backup(*words, **more):
    """Exit code, stdout, stderr."""
    return run("backup", *words, **more)


@pytest.fixture
def store(tmp_path):
    return f"sqlite:{tmp_path}/log.db"


def contents(path):
    """Tenant, seq and content of all events."""
    db = sqlite3.connect(path)
    try:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        sql = "SELECT t.id, e.seq, e.content FROM events e JOIN tenants t ON t.n = e.tenant ORDER BY 1, 2"
        return db.execute(sql).fetchall()
    finally:
        db.close()


def test_a_copy_is_the_same_log(store, tmp_path):
    copy = tmp_path / "copy.db"
    with Server(store=store) as s:
        s.flood("t", (f"m{i}" for i in range(20)))
        s.publish("other", "x")
        before = [("other", 1, ',"message":"x"')] + [("t", i + 1, f',"message":"m{i}"') for i in range(20)]
        epoch = s.ws("t").hello["epoch"]
        code, said, wrong = backup(copy, "--store", store)
        assert (code, wrong) == (0, "")
        assert said == f"{copy}: 21 events, {copy.stat().st_size} bytes\n"
        s.publish("t", "too late for the copy")
        assert sorted(p.name for p in tmp_path.iterdir() if "copy" in p.name) == ["copy.db"]
    assert contents(copy) == before
    with Server(store=f"sqlite:{copy}") as s:
        assert s.ws("t").hello["epoch"] == epoch
        assert s.publish("t", "goes on")["seq"] == 21


def test_while_the_server_writes(store, tmp_path):
    """All that was acknowledged before is in it, none of it half, and publishers are not refused."""
    acked, team = [0], Team()

    def publish(port):
        conn = Http(port)
        for i in range(200_000):
            if team.stop.is_set():
                return
            r = conn.request("POST", "/events", {**JSON, "X-Tenant-ID": "t"}, json.dumps({"message": f"m{i}"}).encode())
            assert r.status == 201, r
            acked[0] = max(acked[0], r.json()["seq"])

    with Server("--threads", "2", store=store) as s:
        for _ in range(3):
            team.go(publish, s.port)
        for n in range(5):
            until(lambda floor=acked[0] + 100: acked[0] >= floor, "they publish")
            floor = acked[0]
            code, said, wrong = backup(tmp_path / f"{n}.db", env={"CARILLON_STORE": store})
            assert code == 0, wrong
            copy = sqlite3.connect(tmp_path / f"{n}.db")
            assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            count, newest = copy.execute("SELECT count(*), max(seq) FROM events").fetchone()
            assert count == newest >= floor and f" {count} events," in said
            assert copy.execute("SELECT newest FROM tenants WHERE id = 't'").fetchone() == (newest,)
            copy.close()
        team.stop.set()
        team.join()


def test_with_no_server(store, tmp_path):
    with Server(store=store) as s:
        s.publish("t", "x")
    assert backup(tmp_path / "copy.db", "--store", store)[0] == 0
    with Server(store=store) as s:
        assert s.publish("t", "y")["seq"] == 2


def test_refusals(store, tmp_path):
    with Server(store=store) as s:
        s.publish("t", "x")
    (tmp_path / "there").write_text("mine\n")
    (tmp_path / "text").write_text("dear diary\n")
    other = sqlite3.connect(tmp_path / "theirs.db")
    other.execute("CREATE TABLE theirs (x)")
    other.commit()
    other.close()
    copy, names = tmp_path / "copy.db", sorted(p.name for p in tmp_path.iterdir() if not p.name.startswith("log.db-"))
    for file, uri, words in (
        (tmp_path / "there", store, f"{tmp_path}/there: is there already"),
        (copy, "memory:", "--store is memory:, which is in no file"),
        (copy, f"sqlite:{tmp_path}/theirs.db", f"{tmp_path}/theirs.db: is no log of Carillon's"),
        (copy, f"sqlite:{tmp_path}/text", f"{tmp_path}/text: file is not a database"),
        (copy, f"sqlite:{tmp_path}/nowhere.db", f"{tmp_path}/nowhere.db: No such file or directory"),
        (tmp_path / "nowhere" / "x.db", store, f"{tmp_path}/nowhere/x.db: No such file or directory"),
    ):
        assert backup(file, "--store", uri) == (1, "", f"carillon: backup: {words}\n")
        left = sorted(p.name for p in tmp_path.iterdir() if not p.name.startswith("log.db-"))
        assert left == names
    assert (tmp_path / "there").read_text() == "mine\n"
    code, said, wrong = backup("--store", store)
    assert (code, said) == (2, "") and "carillon backup FILE" in wrong
    assert "carillon backup FILE" in backup("--help")[1]


def many_events(store, tmp_path):
    with Server(store=store) as s:
        s.publish("t", "x")
    db = sqlite3.connect(tmp_path / "log.db")
    db.execute(
        "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 300000)"
        " INSERT INTO events (tenant, seq, id, wall_ms, type, content, sum) SELECT 1, i, randomblob(16), 0, 'message', ',\"message\":\"' || hex(randomblob(100)) || '\"', -1 FROM n"
    )
    db.commit()
    db.close()


def test_no_room(store, tmp_path):
    many_events(store, tmp_path)

    def small():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, resource.RLIM_INFINITY))

    code, _, wrong = backup(tmp_path / "copy.db", "--store", store, preexec_fn=small)
    assert code == 1 and wrong.startswith("carillon: backup: ") and wrong.count("\n") == 1
    assert not [p for p in tmp_path.iterdir() if "copy" in p.name]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped(store, tmp_path, number):
    """What is half written is taken away."""
    many_events(store, tmp_path)
    process = subprocess.Popen(
        [program("CARILLON_BIN"), "backup", str(tmp_path / "copy.db"), "--store", store],
        stderr=subprocess.PIPE,
        env=clean_environment(),
    )
    until(lambda: any(p.name.startswith("copy") for p in tmp_path.iterdir()), "it has begun")
    time.sleep(0.02)
    os.kill(process.pid, number)
    _, wrong = process.communicate(timeout=WAIT)
    assert process.returncode == 1 and wrong.count(b"\n") == 1
    assert not [p for p in tmp_path.iterdir() if "copy" in p.name]
