"""What /metrics tells of memory: how much of it is what, and what its shortness has cost."""

import contextlib
import json
import os

import pytest

from harness import SANITIZED, Server, Socket, joined, until
from harness.metrics import Moved, scrape

JSON = {"Content-Type": "application/json"}


def serve(*flags, **more):
    return Server("--threads", "2", *flags, **more)


def bulky(size, n=0):
    return json.dumps({"message": f"m{n}", "metadata": {"pad": os.urandom(size // 2).hex()}}).encode()


KINDS = ("histories", "inlets", "output", "subscribers")


def by_kind(s):
    found = scrape(s).of("carillon_memory_bytes", "kind")
    return {kind: found[kind] for kind in KINDS}


def test_memory_by_kind(tmp_path):
    """In a database and without one: what comes is there, and what goes is not any more."""
    nothing = dict.fromkeys(KINDS, 0)
    for store in ("memory:", f"sqlite:{tmp_path}/log.db"):
        with serve("--buffer-size", "20", "--tenants", "gone", "--max-body-bytes", 1 << 20, store=store) as s:
            assert by_kind(s) == nothing
            readers = [s.ws("gone"), s.sse("gone"), s.keep(Socket(s.port, "tenant=gone"))]
            joined(readers[2])
            until(lambda: by_kind(s) == {**nothing, "subscribers": 3 * 512}, "three subscribers")
            size = 0
            for n in range(30):
                s.flood("gone", [bulky(1000)])
                size += len(json.dumps(s.get("/events?limit=1", "gone").json()["events"][0]))
                if n == 9:
                    until(lambda: by_kind(s)["inlets"] == 0, "nobody waits")
                    assert 0.8 * size < by_kind(s)["histories"] < 1.5 * size
            # No more than the newest twenty.
            until(lambda: by_kind(s)["histories"] < 1.5 * size * 20 / 30, "the oldest are forgotten")
            assert by_kind(s)["histories"] > 0.8 * size * 20 / 30
            stalled = s.ws("gone", rcvbuf=4096)
            for n in range(20):
                s.flood("gone", [bulky(300_000, n)])
            until(lambda: by_kind(s)["output"] > 50_000, "something waits for the one that does not read")
            stalled.reset()
            for reader in readers:
                reader.close()
            until(lambda: by_kind(s)["output"] == by_kind(s)["subscribers"] == 0, "they have gone")
            assert s.request("DELETE", "/api/v1/tenants/gone").status == 204
            until(lambda: by_kind(s) == nothing, "nothing is left")


def test_a_tenants_memory_runs_out():
    """Who stalls is sent away, and then publishers are refused; in memory nothing else can go."""
    flags = ("--tenant-memory", "6MiB", "--buffer-size", "30", "--max-body-bytes", 1 << 20)
    with serve(*flags, store="memory:") as s:
        moved = Moved(s)
        for n in range(30):
            s.flood("t", [bulky(100_000, n)])
        stalled = [s.ws("t", "since=0", rcvbuf=4096) for _ in range(40)]
        stalled += [s.sse("t", "since=0", rcvbuf=4096) for _ in range(20)]
        name = "carillon_memory_shed_subscribers_total"
        until(lambda: set(moved.by(name, "transport")) == {"websocket", "sse"}, "some of both are sent away")
        assert "carillon_too_slow_closed_total" not in {n for (n, _), v in moved.after.values.items() if v}
        for client in stalled:
            client.reset()
        until(lambda: by_kind(s)["subscribers"] == 0, "they have gone")
        s.request("PATCH", "/api/v1/tenants/t", JSON, b'{"limits":{"history":1000}}')
        refused = 0
        for n in range(60):
            refused += s.post("t", bulky(100_000, n)).status == 503
        # Near the end one that comes in pieces is sent away before it is whole, and a publish.
        whole = moved("carillon_memory_refused_publishes_total")
        assert refused and whole + moved("carillon_memory_shed_connections_total") == refused
        assert moved("carillon_publishes_total", outcome="unavailable") == whole
        assert moved("carillon_memory_trimmed_events_total") == 0
        assert scrape(s).get("carillon_memory_pressure") == 0


def test_a_database_has_what_is_trimmed(tmp_path):
    flags = ("--tenant-memory", "2MiB", "--max-body-bytes", 1 << 20)
    with serve(*flags, store=f"sqlite:{tmp_path}/log.db") as s:
        moved = Moved(s)
        for n in range(60):
            assert s.post("t", bulky(50_000, n)).status == 201
        trimmed = moved("carillon_memory_trimmed_events_total")
        assert 20 < trimmed < 60 and by_kind(s)["histories"] < 2 << 20
        assert moved("carillon_memory_refused_publishes_total") == 0


@pytest.mark.skipif(SANITIZED, reason="the sanitizers' own memory is most of it")
def test_the_process_is_short_of_memory():
    flags = ("--max-memory", "64MiB", "--buffer-size", "1000", "--max-body-bytes", 1 << 20)
    with serve(*flags, store="memory:") as s:
        moved = Moved(s)
        seen, statuses = set(), set()
        for n in range(300):
            statuses.add(s.post("loud", bulky(500_000, n)).status)
            pressure = scrape(s).get("carillon_memory_pressure")
            if pressure and not seen - {0.0}:
                with contextlib.closing(s.http()) as refused:
                    assert refused.request("GET", "/events", {"X-Tenant-ID": "loud"}).status == 503
            seen.add(pressure)
            if 503 in statuses and 2 in seen:
                break
        assert statuses == {201, 503} and seen >= {0, 2}
        assert set(moved.by("carillon_connections_refused_total", "reason")) == {"memory"}  # who scrapes is among them
        shed = moved("carillon_memory_shed_connections_total")  # while they said what they had to publish
        assert shed + moved("carillon_memory_refused_publishes_total") >= 1
