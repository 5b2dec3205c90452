"""kill -9 on a disk that fails, between any two calls, and within one; and starts on such a disk."""

import errno
import itertools
import json
import random
import signal
import time

import pytest

from harness import BIG, Disk, Server, Traffic, all_events, check_refusal, disk as d, scaled, until


@pytest.fixture
def disk(tmp_path):
    return Disk(tmp_path)


def serve(disk, *flags):
    return Server(*BIG, *flags, store=disk.store, env=disk.env)


def crash_rounds(disk, rounds, work):
    """Server after server on one database, each with traffic, until it is killed in work(); what is there is checked.
    A few rounds more, where a slow server was killed before it had answered every tenant once."""
    acked = None
    for i in range(5 * rounds):
        if i >= rounds and all(acked.values()):
            break
        with serve(disk) as s:
            traffic = Traffic(s, f"r{i}", acked)
            work(s, traffic)
            traffic.dies()
            disk.well()
        with Server(*BIG, store=disk.store) as s:
            acked = traffic.survivors(s)
    assert all(acked.values())


def test_crashes_while_failing(disk):
    """kill -9 while the disk fails: nobody was told wrong. (Of failing syncs there is another test.)"""
    rng = random.Random(12)

    def work(_, traffic):
        traffic.goes_on()
        disk.fail(**d.draw(rng, sync=0))
        time.sleep(rng.uniform(0.01, 0.4))

    crash_rounds(disk, scaled(20), work)


@pytest.mark.parametrize("files", [d.ANY, d.MAIN])
def test_crashes_at_a_call(disk, files):
    """Killed between any two calls, or in the midst of a write; in the database file that is within a checkpoint."""
    rng = random.Random(files)

    def work(server, traffic):
        manner = rng.choice((d.KILL, d.KILL_TORN))
        skip = rng.choice((rng.randrange(20), rng.randrange(400)))
        traffic.dying = True
        disk.fail(d.WRITE | d.SYNC | d.TRUNCATE, files=files, manner=manner, skip=skip)
        until(lambda: server.process.child.poll() is not None, "it is killed")
        assert server.process.child.returncode == -signal.SIGKILL and disk.hits > 0

    crash_rounds(disk, scaled(15), work)


@pytest.mark.parametrize("manner", [d.FAIL, d.LATE])
@pytest.mark.parametrize("pause", [0, 1.5])
def test_a_failed_sync_and_a_crash(disk, manner, pause):
    """All of the transaction is in the file, and only its sync has failed: what was refused must not come back."""
    with serve(disk) as s:
        s.flood("a", ["first", "second"])
        disk.fail(d.SYNC, manner=manner, count=0 if pause else 1)
        check_refusal(s.post("a", json.dumps({"message": "refused " + "x" * 2000}).encode()))
        time.sleep(pause)
        s.crash()
    with Server(*BIG, store=disk.store) as s:
        assert [e["message"] for e in all_events(s, "a")] == ["first", "second"]


def test_crashes_while_syncs_fail(disk):
    rng = random.Random(13)

    def work(_, traffic):
        traffic.goes_on()
        disk.fail(d.SYNC, files=rng.choice((d.LOG, d.ANY)), skip=rng.randrange(20), count=rng.choice((0, 1, 3)))
        time.sleep(rng.uniform(0.01, 0.4))

    crash_rounds(disk, scaled(20), work)


def attempt(disk):
    """The exit code of a server that is started, and stopped where it came up, and what it said where it did not."""
    s = serve(disk)
    try:
        s.__enter__()
    except AssertionError:
        s.process.kill()
        return s.process.child.returncode, s.process.lines
    try:
        s.__exit__(None, None, None)
    except AssertionError:
        s.process.check(-signal.SIGKILL)  # its last call was one of its last
    return s.process.child.returncode, None


def sweep(tmp_path, prepare, check, **fault):
    """One start for each call that may fail: that call does, on a database of its own."""
    for n in itertools.count():
        folder = tmp_path / str(n)
        folder.mkdir()
        disk = Disk(folder)
        prepare(disk)
        disk.fail(**fault, skip=n)
        code, lines = attempt(disk)
        disk.well()
        if code == 1:
            assert len(lines) == 1 and lines[0].startswith(f"carillon: {disk.path}: "), lines
        else:
            assert code in (0, -signal.SIGKILL), (code, lines)
        check(disk)
        if not disk.hits:
            assert n > 3
            return
        assert n < 200


@pytest.mark.parametrize("count", [0, 1])
@pytest.mark.parametrize("manner", [d.FAIL, d.TORN])
@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
def test_a_start_that_fails(tmp_path, error, manner, count):
    """Whichever call of a start fails, be it once or from then on: one line and exit 1, or it does without; and what a
    crash had left is as good as before."""
    sent = [f"m{i}" for i in range(5)]

    def prepare(disk):
        with Server(*BIG, store=disk.store) as s:
            s.flood("a", sent)
            s.crash()

    def check(disk):
        with Server(*BIG, store=disk.store) as s:
            assert [(e["seq"], e["message"]) for e in all_events(s, "a")] == list(enumerate(sent, 1))

    calls = d.READ | d.WRITE | d.SYNC | d.TRUNCATE
    sweep(tmp_path, prepare, check, calls=calls, error=error, manner=manner, count=count)


@pytest.mark.parametrize("manner", [d.FAIL, d.TORN, d.KILL, d.KILL_TORN])
def test_a_database_that_is_not_made(tmp_path, manner):
    """Whichever call of the first start fails, or is its last: the next start makes the database."""

    def check(disk):
        with Server(*BIG, store=disk.store) as s:
            assert s.publish("a", "first")["seq"] == 1

    sweep(tmp_path, lambda _: None, check, calls=d.WRITE | d.SYNC | d.TRUNCATE, error=errno.ENOSPC, manner=manner)
