"""A database that was damaged behind the server's back: a start is refused in one line, or what is there is right."""

import json
import os
import random
import shutil
import sqlite3
import subprocess
import time

import pytest

from harness import BIG, Server, WAIT, all_events, clean_environment, problem, program, scaled, until

PAGE = 4096


@pytest.fixture
def path(tmp_path):
    return f"{tmp_path}/log.db"


def serve(path, *flags):
    return Server(*BIG, *flags, store=f"sqlite:{path}")


def refused(path, *before):
    """The one line of a server that does not start; None where it does. `before` is a command that starts it."""
    command = [*before, program("CARILLON_BIN"), "--port", "0", "--auth", "open", *BIG, "--store", f"sqlite:{path}"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=clean_environment()) as child:
        line = child.stderr.readline()
        if "listening on " in line:
            child.terminate()
            child.communicate(timeout=WAIT)
            assert child.returncode == 0
            return None
        rest = child.communicate(timeout=WAIT)[1]
    assert child.returncode == 1 and not rest and line.startswith(f"carillon: {path}: "), (line, rest)
    return line


def read(path):
    with open(path, "rb") as file:
        return file.read()


def write(path, data):
    """The file, and no WAL or index of another life of it."""
    with open(path, "wb") as file:
        file.write(data)
    for suffix in ("-wal", "-shm"):
        if os.path.exists(path + suffix):
            os.unlink(path + suffix)


def texts(server, tenant):
    events = all_events(server, tenant)
    assert [e["seq"] for e in events] == list(range(1, len(events) + 1))
    return [e["message"] for e in events]


def right_or_refused(path, events):
    """Whether it started; then each list of a tenant's events is right, to the letter, or there is none."""
    line = refused(path)
    if line:
        assert "damaged" in line or "malformed" in line or "not a" in line or "no such" in line or "is a" in line, line
        return False
    with serve(path) as s:
        for tenant, expected in events.items():
            for first in range(0, len(expected), 10):
                r = s.get(f"/events?since={first}&limit=10", tenant)
                if r.status == 200:
                    assert r.json()["events"] == expected[first : first + 10]
                else:
                    problem(r, 503, "unavailable")
    return True


def test_garbage_pages(path):
    """Of a B-tree, whose pages say what they are."""
    sent, rng = [f"m{i}" for i in range(300)], random.Random(1)
    with serve(path) as s:
        events = {tenant: s.flood(tenant, sent) for tenant in "ab"}
    good = read(path)
    pages = range(len(good) // PAGE)
    assert len(pages) > 10 and not os.path.exists(path + "-wal")
    for page in pages if len(pages) <= scaled(60) else rng.sample(pages, scaled(60)):
        write(path, good[: page * PAGE] + rng.randbytes(PAGE) + good[(page + 1) * PAGE :])
        right_or_refused(path, events)
    write(path, good)
    assert right_or_refused(path, events)


@pytest.mark.parametrize("size", [30, 9000])
def test_garbage_texts(path, size):
    """Garbage within a page, and in pages that hold nothing but text: no tree shows that it is another. Of names, too."""
    sent, rng = [f"m{i} " + "x" * min(size, 2000) for i in range(30)], random.Random(size)
    with serve(path) as s:
        bodies = [json.dumps({"message": m, "metadata": {"x": "y" * size}}).encode() for m in sent]
        events = {tenant: s.flood(tenant, bodies) for tenant in "ab"}
    good = read(path)
    for _ in range(scaled(60)):
        data = bytearray(good)
        at, length = rng.randrange(PAGE, len(good)), rng.choice((1, 2, 500, PAGE))
        garbage = bytes([data[at] ^ 1 << rng.randrange(5)]) if length == 1 else rng.randbytes(length)
        data[at : at + length] = garbage
        write(path, bytes(data[: len(good)]))
        right_or_refused(path, events)


def checkpoint(path):
    """Another process has a look: all is in the database then, and the server has to read anew what it knew."""
    other = sqlite3.connect(path, isolation_level=None, timeout=20)
    other.execute("PRAGMA user_version = 3")
    assert other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
    other.close()


def test_garbage_pages_under_the_server(path):
    """Readers notice nothing, publishers are told, and with the pages as they were it goes on."""
    sent, rng = [f"m{i}" for i in range(500)], random.Random(2)
    with serve(path) as s:
        s.flood("a", sent)
        ws, sse = s.ws("a"), s.sse("a")
        checkpoint(path)
        good = read(path)
        with open(path, "r+b") as file:
            for at in range(PAGE, len(good), PAGE):
                file.seek(at)
                file.write(rng.randbytes(PAGE))
        for _ in range(5):
            r = s.post("a", b'{"message":"refused"}')
            problem(r, 503, "unavailable")
            assert int(r.header("Retry-After")) >= 1
        problem(s.get("/readyz"), 503, "unavailable")
        assert s.get("/livez").status == 200
        assert texts(s, "a") == sent and s.ws("a", "since=0").events(500)[-1]["message"] == sent[-1]
        with open(path, "r+b") as file:
            file.write(good)
        until(lambda: s.get("/readyz").status == 200, "it recovers by itself")
        e = s.publish("a", "well again")
        assert e["seq"] == 501 and ws.events(1) == [e] and sse.events(1) == [e]
        s.crash()
    with serve(path) as s:
        assert texts(s, "a") == [*sent, "well again"]


def test_garbage_where_events_go(path):
    """Ready is what takes events: that something else can still be written is no recovery."""
    rng = random.Random(6)
    with serve(path) as s:
        s.flood("a", [f"m{i}" for i in range(500)])
        other = sqlite3.connect(path, isolation_level=None)
        others = {r for (r,) in other.execute("SELECT rootpage FROM sqlite_schema WHERE name <> 'events'")}
        other.close()
        checkpoint(path)
        good = read(path)
        with open(path, "r+b") as file:
            for page in set(range(2, len(good) // PAGE + 1)) - others:
                file.seek((page - 1) * PAGE)
                file.write(rng.randbytes(PAGE))
        problem(s.post("a", b'{"message":"refused"}'), 503, "unavailable")
        for _ in range(20):
            problem(s.get("/readyz"), 503, "unavailable")
            time.sleep(0.1)
        with open(path, "r+b") as file:
            file.write(good)
        until(lambda: s.get("/readyz").status == 200, "it recovers by itself")
        assert s.publish("a", "well again")["seq"] == 501


def crashed(path, sent):
    """A database whose events are in the WAL, and all its files."""
    with serve(path) as s:
        s.flood("a", sent)
        s.crash()
    return {suffix: read(path + suffix) for suffix in ("", "-wal", "-shm")}


def restore(path, files):
    write(path, files[""])
    for suffix in ("-wal", "-shm"):
        if files.get(suffix) is not None:
            with open(path + suffix, "wb") as file:
                file.write(files[suffix])


def damage(rng, wal):
    """The WAL, cut off, written over in places, of zeros from somewhere on, or with something behind it."""
    at = rng.randrange(len(wal))
    return rng.choice(
        (
            wal[:at],
            wal[: at - at % PAGE],
            wal[:at] + bytes([wal[at] ^ 1 << rng.randrange(8)]) + wal[at + 1 :],
            wal[:at] + rng.randbytes(len(wal[at : at + PAGE])) + wal[at + PAGE :],
            wal[:at] + bytes(len(wal) - at),
            wal + rng.randbytes(rng.randrange(3 * PAGE)),
        )
    )


def test_damaged_wal(path):
    """What comes before the damage is there, in order; nothing after it is; and it goes on from there, for good."""
    rng, sent, lengths = random.Random(3), [f"m{i}" for i in range(40)], set()
    with serve(path) as s:  # so that the tables are in the database, not in the WAL
        s.flood("a", [])
    with serve(path) as s:
        for m in sent:
            s.publish("a", m)
        s.crash()
    files = {suffix: read(path + suffix) for suffix in ("", "-wal", "-shm")}
    for _ in range(scaled(30)):
        restore(path, {**files, "-wal": damage(rng, files["-wal"])})
        with serve(path) as s:
            there = texts(s, "a") if s.get("/events", "a").status == 200 else []
            assert there == sent[: len(there)]
            lengths.add(len(there))
            assert s.publish("a", "and on")["seq"] == len(there) + 1
            s.crash()
        with serve(path) as s:
            assert texts(s, "a") == [*there, "and on"]
    assert len(lengths) > 5 or scaled(30) < 30


@pytest.mark.parametrize("wal", ["none", "empty", "garbage"])
def test_no_wal(path, wal):
    """Without its WAL a database is as it was at the last checkpoint, which has come whole."""
    with serve(path) as s:
        s.flood("a", ["first", "second"])
    files = crashed(path, ["third"])
    files["-wal"] = {"none": None, "empty": b"", "garbage": random.Random(4).randbytes(50000)}[wal]
    restore(path, files)
    with serve(path) as s:
        assert texts(s, "a") == ["first", "second"]
        assert s.publish("a", "and on")["seq"] == 3


@pytest.mark.parametrize("index", ["none", "empty", "garbage", "old"])
def test_no_index(path, index):
    """The -shm file is but an index of the WAL, and made anew."""
    old = crashed(path, ["m0", "m1"])["-shm"]
    files = crashed(path, [f"m{i}" for i in range(2, 200)])
    files["-shm"] = {"none": None, "empty": b"", "garbage": random.Random(5).randbytes(65536), "old": old}[index]
    restore(path, files)
    with serve(path) as s:
        assert texts(s, "a") == [f"m{i}" for i in range(200)]
        assert s.publish("a", "m200")["seq"] == 201
        s.crash()
    with serve(path) as s:
        assert texts(s, "a") == [f"m{i}" for i in range(201)]


def test_no_index_under_the_server(path):
    with serve(path) as s:
        s.flood("a", ["first"])
        os.unlink(path + "-shm")
        s.flood("a", [f"m{i}" for i in range(3000)])
        s.crash()
    with serve(path) as s:
        assert texts(s, "a") == ["first", *(f"m{i}" for i in range(3000))]


# Without the right to pass over permissions, which root has.
POWERLESS = ("setpriv", "--inh-caps=-all", "--bounding-set=-all") if os.geteuid() == 0 else ()


def test_read_only(path, tmp_path):
    """A file, or a folder, that must not be written to."""
    folder = tmp_path / "folder"
    folder.mkdir()
    shut = f"{folder}/log.db"
    crashed(path, ["first"])
    with serve(shut) as s:
        s.flood("a", ["first"])
    before = {suffix: read(path + suffix) for suffix in ("", "-wal", "-shm")}, read(shut)
    os.chmod(path, 0o444)
    os.chmod(folder, 0o555)
    try:
        assert "Permission denied" in refused(path, *POWERLESS)
        assert refused(shut, *POWERLESS)
        assert "Permission denied" in refused(f"{folder}/new.db", *POWERLESS)
    finally:
        os.chmod(folder, 0o755)
        os.chmod(path, 0o644)
    assert before == ({suffix: read(path + suffix) for suffix in ("", "-wal", "-shm")}, read(shut))
    assert sorted(os.listdir(folder)) == ["log.db", "log.db-search"]
    for place in (path, shut):
        with serve(place) as s:
            assert texts(s, "a") == ["first"]


@pytest.mark.parametrize("device", ["/dev/null", "/dev/zero", "/dev/full"])
def test_no_file(device):
    assert refused(device)


def test_a_copy_is_as_good(path, tmp_path):
    """All the files of a server that was killed, taken elsewhere."""
    files = crashed(path, ["first", "second"])
    copy = f"{tmp_path}/copy.db"
    for suffix in files:
        shutil.copy(path + suffix, copy + suffix)
    with serve(copy) as s, serve(path) as original:
        assert texts(s, "a") == texts(original, "a") == ["first", "second"]
