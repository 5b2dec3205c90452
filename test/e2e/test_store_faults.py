"""A disk that fails under the database: whoever publishes is told, nobody else notices, and it recovers by itself."""

import errno
import os
import random
import shutil
import sqlite3
import time

import pytest

from harness import BIG, Disk, Server, Traffic, all_events, check_refusal, disk as d, is_ready, until


@pytest.fixture
def disk(tmp_path):
    return Disk(tmp_path)


def serve(disk, *flags):
    return Server(*BIG, *flags, store=disk.store, env=disk.env)


def restarts(disk, server, traffic):
    """kill -9, and all that was acknowledged is there, each once, and nothing else."""
    server.crash()
    with Server(*BIG, store=disk.store) as s:
        traffic.check(s)
        for tenant, acked in traffic.acked.items():
            assert s.publish(tenant, "and on")["seq"] == len(acked) + 1


# What may happen to the WAL, and so to whoever publishes.
FAULTS = {
    "no space": {"calls": d.WRITE, "error": errno.ENOSPC},
    "half a write, then no space": {"calls": d.WRITE, "error": errno.ENOSPC, "manner": d.TORN},
    "a quota": {"calls": d.WRITE, "error": errno.EDQUOT},
    "writes fail": {"calls": d.WRITE, "error": errno.EIO},
    "written, and said to fail": {"calls": d.WRITE, "error": errno.EIO, "manner": d.LATE},
    "turned read-only": {"calls": d.WRITE | d.TRUNCATE, "error": errno.EROFS},
    "syncs fail": {"calls": d.SYNC, "error": errno.EIO},
    "synced, and said to fail": {"calls": d.SYNC, "error": errno.EIO, "manner": d.LATE},
    "no space at the sync": {"calls": d.SYNC, "error": errno.ENOSPC},
    "nothing works": {"calls": d.WRITE | d.SYNC | d.READ | d.TRUNCATE, "error": errno.EIO},
}


@pytest.mark.parametrize("durability", ["commit", "relaxed"])
@pytest.mark.parametrize("fault", FAULTS)
def test_fault(disk, fault, durability):
    with serve(disk, "--durability", durability) as s:
        traffic = Traffic(s)
        control = s.ws("other")
        traffic.goes_on()
        disk.fail(**FAULTS[fault])
        until(lambda: is_ready(s, 503), "readyz says so")
        for path in ("/events", "/api/v1/events"):
            check_refusal(s.post("other", b'{"message":"refused"}', path))
        control.send_json({"type": "post_event", "ref": 1, "message": "refused"})
        assert control.recv_json("error")["code"] == "unavailable"
        # Answers of before may still be on their way to those who count them.
        refused = len(traffic.refused)
        until(lambda: traffic.team.errors or len(traffic.refused) > refused + 20, "publishers are refused")
        refused, acked = len(traffic.refused), traffic.count()
        until(lambda: traffic.team.errors or len(traffic.refused) > refused + 20, "publishers go on asking")
        assert traffic.count() == acked and disk.hits > 0
        assert is_ready(s, 503) and s.get("/livez").status == 200 and s.ws("other").hello["seq"] == 0
        disk.well()
        until(lambda: is_ready(s), "it recovers by itself")
        traffic.goes_on()
        traffic.end()
        e = s.publish("other", "accepted")
        assert e["seq"] == 1 and control.events(1) == [e] and all_events(s, "other") == [e]
        if durability == "relaxed":
            time.sleep(1)  # what was answered is on the disk by then
        restarts(disk, s, traffic)


def test_recovery_without_publishers(disk):
    """Orchestrators keep everybody away until /readyz says 200."""
    with serve(disk) as s:
        s.publish("a", "x")
        disk.fail(d.WRITE, errno.ENOSPC)
        check_refusal(s.post("a", b'{"message":"refused"}'))
        for _ in range(20):
            assert is_ready(s, 503)
            time.sleep(0.1)
        disk.well()
        until(lambda: is_ready(s), "it looks by itself")
        assert s.publish("a", "y")["seq"] == 2


def test_reads_fail(disk):
    """After a failed write SQLite has nothing in memory any more: it has to read before it can write again."""
    with serve(disk) as s:
        traffic = Traffic(s)
        traffic.goes_on()
        disk.fail(d.WRITE)
        until(lambda: is_ready(s, 503), "writes fail")
        disk.fail(d.READ)
        until(lambda: disk.hits > 0, "it reads")
        assert not any(is_ready(s) for _ in range(50))
        check_refusal(s.post("a", b'{"message":"refused"}'))
        disk.well()
        traffic.goes_on()
        traffic.end()
        restarts(disk, s, traffic)


@pytest.mark.parametrize("durability", ["commit", "relaxed"])
def test_short_writes(disk, durability):
    """A write that says it wrote less is no failure."""
    with serve(disk, "--durability", durability) as s:
        disk.fail(d.WRITE, manner=d.SHORT)
        traffic = Traffic(s)
        for _ in range(5):
            traffic.goes_on()
        assert disk.hits > 0 and not traffic.refused and is_ready(s)
        traffic.end()
        time.sleep(1)
        restarts(disk, s, traffic)


def test_the_search_index_comes_back(disk):
    """Nobody but who searches notices that it cannot be written, and what is found is right meanwhile."""

    def found(s, word):
        return [e["seq"] for e in s.get(f"/events?order=asc&q={word}", "a").json()["events"]]

    with serve(disk) as s:
        s.flood("a", (f"early {i}" for i in range(20)))
        disk.fail(d.WRITE, error=errno.ENOSPC, files=d.SEARCH)
        until(lambda: s.publish("a", "late") and disk.hits > 0, "it is to be written")
        assert is_ready(s) and found(s, "early") == list(range(1, 21)) and found(s, "late")[0] == 21
        until(lambda: "index cannot be written" in s.process.output(), "it is said")
        disk.well()
        until(lambda: "index is written again" in s.process.output(), "it is written again")
        last = s.publish("a", "last")["seq"]
        assert found(s, "last") == [last] and found(s, "late") == list(range(21, last))


@pytest.mark.parametrize("calls", [d.WRITE, d.SYNC])
def test_no_checkpoint(disk, calls):
    """What is committed is in the WAL; that it does not get from there into the database costs nothing but space."""
    with serve(disk) as s:
        disk.fail(calls, files=d.MAIN)
        traffic = Traffic(s)
        until(lambda: traffic.team.errors or disk.hits > 2, "checkpoints were tried")
        traffic.goes_on()
        assert not traffic.refused and is_ready(s)
        disk.well()
        traffic.goes_on()
        traffic.end()
        restarts(disk, s, traffic)


@pytest.mark.parametrize("durability", ["commit", "relaxed"])
def test_random_faults(disk, durability):
    rng = random.Random(11)
    hits = 0
    with serve(disk, "--durability", durability) as s:
        traffic = Traffic(s)
        for _ in range(20):
            traffic.goes_on()
            disk.fail(**d.draw(rng))
            time.sleep(rng.uniform(0.02, 0.7))
            hits += disk.hits
            disk.well()
        until(lambda: is_ready(s), "it recovers by itself")
        traffic.goes_on()
        assert hits > 20 and traffic.refused
        traffic.end()
        time.sleep(1)
        restarts(disk, s, traffic)


MISSING = {"database": ("",), "wal": ("-wal",), "all": ("", "-wal", "-shm")}


@pytest.mark.parametrize("durability", ["commit", "relaxed"])
@pytest.mark.parametrize("what", [*MISSING, "folder", "another"])
def test_files_that_vanish(tmp_path, what, durability):
    """What is written to a file that has no name any more is lost: it is not promised. Put back, all goes on."""
    away, folder = tmp_path / "away", tmp_path / "here"
    folder.mkdir()
    disk = Disk(folder)
    with serve(disk, "--durability", durability) as s:
        traffic = Traffic(s)
        traffic.goes_on()
        if what == "folder":
            folder.rename(away)
        else:
            away.mkdir()
            for suffix in MISSING.get(what, ("",)):
                os.rename(disk.path + suffix, away / f"log.db{suffix}")
        if what == "another":
            shutil.copy(away / "log.db", disk.path)
        until(lambda: is_ready(s, 503), "readyz says so")
        assert not any(is_ready(s) for _ in range(50))
        check_refusal(s.post("a", b'{"message":"refused"}'))
        if what == "folder":
            away.rename(folder)
        else:
            for suffix in MISSING.get(what, ("",)):
                os.rename(away / f"log.db{suffix}", disk.path + suffix)
        until(lambda: is_ready(s), "it recovers by itself")
        traffic.goes_on()
        traffic.end()
        time.sleep(1)
        restarts(disk, s, traffic)


def lock(path):
    """Takes the database from under a server that writes without a pause: SQLite's own waiting sleeps too long for that."""
    other = sqlite3.connect(path, isolation_level=None, timeout=0)

    def taken():
        try:
            return other.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError:
            return None

    until(taken, "it is locked", wait=60, pause=0)
    return other


@pytest.mark.parametrize("durability", ["commit", "relaxed"])
def test_locked_by_another(disk, durability):
    """Another process holds the database for longer than the server waits: readers notice nothing."""
    with serve(disk, "--durability", durability) as s:
        traffic = Traffic(s)
        traffic.goes_on()
        other = lock(disk.path)
        until(lambda: is_ready(s, 503), "readyz says so")
        check_refusal(s.post("a", b'{"message":"locked"}'))
        other.execute("ROLLBACK")
        other.close()
        until(lambda: is_ready(s), "it recovers by itself")
        traffic.goes_on()
        assert traffic.refused
        traffic.end()
        time.sleep(1)
        restarts(disk, s, traffic)
