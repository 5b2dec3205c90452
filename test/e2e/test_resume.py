"""Every subscriber sees its tenant's events in order, each once, from where it asked on.

Thousands of joins while publishers flood; slow readers; reconnect storms; bursts that overflow every queue on the way.
"""

import contextlib
import json
import random
import threading
import time

import pytest

from harness import Closed, Eof, Server, Team, scaled

THREADS = [1, 2, 4]


class Flood:
    """Publishers at work in the background, the highest seq answered so far, and what each seq is."""

    def __init__(self, server, tenant, publishers=3, depth=4, pause=0.004, most=100_000, pad=0):
        self.server, self.tenant, self.most = server, tenant, most
        self.depth, self.pause, self.pad = depth, pause, pad
        self.done, self.team = threading.Event(), Team()
        self.ids, self.newest = {}, 0
        self.lock = threading.Lock()  # to look at newest and to raise it is one step
        self.publishers = publishers

    def __enter__(self):
        for n in range(self.publishers):
            self.team.go(self.publish, n)
        while not self.newest and not self.team.errors:
            time.sleep(0.001)
        return self

    def __exit__(self, *_):
        self.done.set()
        self.team.join()

    def publish(self, n):
        conn, count, pad = self.server.http(), 0, "p" * self.pad
        while not self.done.wait(self.pause) and count < self.most // self.publishers:
            bodies = [
                json.dumps({"message": f"{n}-{count + i}", "metadata": {"pad": pad}}).encode()
                for i in range(self.depth)
            ]
            for e in self.server.flood(self.tenant, bodies, depth=self.depth, conn=conn):
                with self.lock:
                    assert e["seq"] not in self.ids, "a seq was given twice"
                    self.ids[e["seq"]] = e["id"]
                    self.newest = max(self.newest, e["seq"])
            count += self.depth
        conn.close()

    def check(self, events):
        """The same seq is the same event to everybody. (Those whose answer is still under way are left out.)"""
        for e in events:
            known = self.ids.get(e["seq"])
            assert known is None or known == e["id"], e


def in_order(events, after):
    """No gap, no repeat, no disorder."""
    seqs = [e["seq"] for e in events]
    assert seqs == list(range(after + 1, after + 1 + len(seqs))), f"after {after}: {seqs[:5]} … {seqs[-5:]}"


def join(server, flood, rng):
    """One join of one of many kinds, read for a while and checked."""
    tenant, low = flood.tenant, flood.newest
    live = rng.randrange(1, 12)
    kind = rng.choice(
        (
            "ws since",
            "ws since",
            "ws deflate",
            "ws sinceId",
            "ws snapshot",
            "ws live",
            "sse last",
            "sse since",
            "sse snapshot",
            "sse live",
        )
    )
    since = max(0, low - rng.choice((0, 0, 1, 2, 5, 20, 60)))
    offer = "permessage-deflate" if kind == "ws deflate" or rng.random() < 0.2 else None
    if kind in ("ws since", "ws deflate"):
        c = server.ws(tenant, f"since={since}", offer=offer)
    elif kind == "ws sinceId":
        since = rng.choice(list(flood.ids.keys())[-30:])
        c = server.ws(tenant, f"sinceId={flood.ids[since]}", offer=offer)
    elif kind == "ws snapshot":
        c = server.ws(tenant, f"snapshot={rng.choice((1, 5, 50))}", offer=offer)
    elif kind == "ws live":
        c = server.ws(tenant, offer=offer)
    elif kind == "sse last":
        c = server.sse(tenant, headers={"Last-Event-ID": str(since)})
    elif kind == "sse since":
        c = server.sse(tenant, f"since={since}")
    elif kind == "sse snapshot":
        c = server.sse(tenant, f"snapshot={rng.choice((1, 5, 50))}")
    else:
        c = server.sse(tenant)
    assert c.hello["seq"] >= low, (kind, "older than what had been answered before the join", c.hello, low)
    if "snapshot" in kind:
        snap = c.recv_json("snapshot") if kind.startswith("ws") else c.expect("snapshot").json()
        assert 1 <= len(snap["events"]) <= 50 and snap["seq"] >= low, (kind, snap["seq"], low)
        in_order(snap["events"], snap["seq"] - len(snap["events"]))
        flood.check(snap["events"])
        since = snap["seq"]
    elif kind.endswith("live"):
        since = c.hello["seq"]
    events = c.events(max(0, c.hello["seq"] - since) + live)
    in_order(events, since)
    flood.check(events)
    c.reset() if rng.random() < 0.5 else c.close()
    server.open.remove(c)
    return kind


@pytest.mark.parametrize("threads", THREADS)
def test_joins_while_events_flow(threads):
    joins, joiners = scaled(3000), 6
    kinds, lock = {}, threading.Lock()
    with Server("--threads", threads, "--buffer-size", "200000") as s:
        with Flood(s, "flood") as flood, Flood(s, "other", publishers=1):
            team = Team()

            def work(seed):
                rng = random.Random(seed * 1000 + threads)
                for _ in range(joins // joiners):
                    if team.stop.is_set():
                        return
                    kind = join(s, flood, rng)
                    with lock:
                        kinds[kind] = kinds.get(kind, 0) + 1

            for seed in range(joiners):
                team.go(work, seed)
            team.join()
        assert sum(kinds.values()) == joins and len(kinds) == 9, kinds
        # In the end the log is what was answered, nothing more and nothing less.
        stats = s.get("/events/stats", "flood").json()
        assert stats["last_seq"] == stats["total"] == len(flood.ids) == flood.newest
        everything = s.ws("flood", "since=0").events(flood.newest)
        in_order(everything, 0)
        assert {e["seq"]: e["id"] for e in everything} == flood.ids


def drain(client, upto, rng=None):
    """Reads up to a seq; stalls now and then where a generator of chances is given."""
    events = []
    while not events or events[-1]["seq"] < upto:
        if rng and rng.random() < 0.002:
            time.sleep(rng.random() * 0.3)
        events += client.events(1)
    return events


@pytest.mark.parametrize("threads", THREADS)
def test_slow_readers_catch_up(threads):
    """Readers with small buffers that stall until the server can't write to them, then read on: nothing is missing."""
    count = scaled(3000)
    with Server("--threads", threads, "--buffer-size", "100000") as s:
        readers = [s.ws("t", "since=0", rcvbuf=4096) for _ in range(3)]
        readers += [s.ws("t", "since=0", rcvbuf=4096, offer="permessage-deflate") for _ in range(3)]
        readers += [s.sse("t", "since=0", rcvbuf=4096) for _ in range(3)]
        fast = s.ws("t")
        team = Team()
        bodies = [
            json.dumps({"message": f"m{i}", "metadata": {"pad": "%x" % random.getrandbits(8000)}}).encode()
            for i in range(count)
        ]
        half = count // 2

        def publish(part):
            s.flood("t", part, depth=20)

        def read_fast():
            in_order(drain(fast, count), 0)

        def read_slowly(client, seed):
            first_half_written.wait()
            in_order(drain(client, count, random.Random(seed)), 0)

        first_half_written = threading.Event()
        team.go(read_fast)
        for seed, client in enumerate(readers):
            team.go(read_slowly, client, seed)
        publish(bodies[:half])
        first_half_written.set()
        publish(bodies[half:])
        team.join()


@pytest.mark.parametrize("threads", THREADS)
def test_reconnect_storm(threads):
    """All clients vanish at once and come back with their last seq, over and over, while events flow."""
    clients, rounds = scaled(120, 24), 6
    with Server("--threads", threads, "--buffer-size", "200000") as s:
        last = [0] * clients
        epoch = None
        # So many events, and no more: a slow machine would have ever more of them to read.
        with Flood(s, "t", publishers=2, pause=0.02, most=4_000) as flood:
            for round_ in range(rounds):
                storm = []
                for i in range(clients):
                    if i % 3 == 2:
                        storm.append(s.sse("t", headers={"Last-Event-ID": str(last[i])}))
                    else:
                        storm.append(s.ws("t", f"since={last[i]}" + (f"&epoch={epoch}" if epoch else "")))
                    epoch = storm[-1].hello["epoch"]
                for i, c in enumerate(storm):
                    goal = min(max(last[i] + 1, flood.newest - i % 40), flood.most)
                    events = drain(c, goal) if goal > last[i] else []
                    in_order(events, last[i])
                    flood.check(events)
                    last[i] = goal
                for c in storm:
                    c.reset()
                    s.open.remove(c)
        for i in range(0, clients, 7):
            if last[i] < flood.newest:
                events = drain(s.ws("t", f"since={last[i]}"), flood.newest)
                in_order(events, last[i])
                flood.check(events)


@pytest.mark.parametrize("threads", THREADS)
def test_bursts_overflow_the_lanes(threads):
    """Far more at once than any queue between publisher and worker holds: caught up from the history, nothing lost."""
    burst, rounds = scaled(2000), 3
    with Server("--threads", threads, "--buffer-size", "100000") as s:
        clients = [s.ws("t") for _ in range(2 * threads + 2)] + [s.sse("t") for _ in range(threads + 1)]
        team, upto = Team(), 0
        for _ in range(rounds):
            team = Team()
            before, upto = upto, upto + 3 * burst

            def publish():
                s.flood("t", ("x" for _ in range(burst)), depth=500)

            def read(client, before=before, upto=upto):
                in_order(drain(client, upto), before)

            for _ in range(3):
                team.go(publish)
            for c in clients:
                team.go(read, c)
            team.join()


def honest(client, upto, since, sse):
    """Reads to a seq where events may be forgotten on the way: whatever is missing was announced, exactly. Returns the
    number of events and of gaps, and whether it got to the end (or was told 1013)."""
    position, events, gaps = since, 0, 0
    while position < upto:
        try:
            if sse:
                e = client.recv()
                kind, obj = e.kind, e.json()
            else:
                obj = client.recv_json()
                kind = obj["type"]
                obj = obj.get("event", obj)
        except Closed as closed:
            assert closed.code == 1013 and not sse, closed
            return position, events, gaps
        if kind == "gap":
            assert obj["from"] == position + 1 and obj["to"] >= obj["from"], (position, obj)
            position = obj["to"]
            gaps += 1
        else:
            assert kind == "event_created" and obj["seq"] == position + 1, (position, kind, obj)
            position += 1
            events += 1
    return position, events, gaps


@pytest.mark.parametrize("threads", THREADS)
def test_little_is_kept_and_much_is_sent(threads):
    """With a few events in memory and bursts of many: each reader gets all, or is told what it does not get."""
    with Server("--threads", threads, "--buffer-size", "50") as s:
        with Flood(s, "t", publishers=3, depth=60, pause=0.001, most=scaled(12000), pad=300) as flood:
            team = Team()

            def read(seed):
                rng, position = random.Random(seed), 0
                sse = seed % 3 == 0
                for _ in range(scaled(60)):
                    if team.stop.is_set():
                        return
                    query = f"since={position}"
                    make = s.sse if sse else s.ws
                    c = make("t", query, rcvbuf=rng.choice((None, 4096)))
                    goal = min(position + rng.randrange(1, 300), max(flood.newest, 1))
                    if rng.random() < 0.3:
                        time.sleep(rng.random() * 0.05)
                    position, _, _ = honest(c, goal, position, sse)
                    c.reset()
                    s.open.remove(c)

            for seed in range(9):
                team.go(read, seed)
            team.join()
        newest = flood.newest
        for make, sse in ((s.ws, False), (s.sse, True)):
            position, events, gaps = honest(make("t", "since=0"), newest, 0, sse)
            assert (position, events, gaps) == ((newest, 50, 1) if "memory:" in s.command else (newest, newest, 0))


@pytest.mark.parametrize("threads", THREADS)
def test_a_join_knows_what_was_answered_before_it(threads):
    """However far a worker lags behind in handing out: who joins after an answer is told at least its seq."""
    with Server("--threads", threads, "--buffer-size", "200000") as s:
        crowd = [s.ws("t") for _ in range(8 * threads)]
        conn, newest = s.http(), 0
        for i in range(scaled(25)):
            newest += len(s.flood("t", ("x" for _ in range(200)), depth=200, conn=conn))
            joined = [
                (s.ws if (i + n) % 2 else s.sse)("t", query)
                for n, query in enumerate(("", f"since={newest - 3}", "snapshot=2", ""))
            ]
            for c in joined:
                assert c.hello["seq"] == newest
            snap = joined[2].recv_json("snapshot") if i % 2 else joined[2].expect("snapshot").json()
            assert [e["seq"] for e in snap["events"]] == [newest - 1, newest] and snap["seq"] == newest
            in_order(joined[1].events(3), newest - 3)
            newest += 1
            e = s.publish("t", "next")
            assert e["seq"] == newest
            for c in joined:
                assert c.events(1) == [e]
                c.close()
                s.open.remove(c)
        for c in crowd:
            in_order(drain(c, newest), 0)


def test_joins_between_two_events():
    """Join and publish as close together as can be: the event is either before the join or after it."""
    with Server("--threads", "2") as s:
        rng = random.Random(3)
        conn = s.http()
        head = {"X-Tenant-ID": "t", "Content-Type": "application/json"}
        request = conn.build("POST", "/events", head, b'{"message":"x"}')
        seq = 0
        for i in range(scaled(400)):
            make, query = s.ws if i % 2 else s.sse, rng.choice(("", f"since={seq}"))
            if rng.random() < 0.5:
                conn.send(request)
                c = make("t", query)
            else:
                c = make("t", query)
                conn.send(request)
            assert conn.response("POST").json()["seq"] == seq + 1
            conn.send(request)
            assert conn.response("POST").json()["seq"] == seq + 2
            after = seq if query else c.hello["seq"]
            assert after in (seq, seq + 1)
            in_order(c.events(seq + 2 - after), after)
            seq += 2
            c.close()
            s.open.remove(c)


def test_replay_pages_while_events_flow():
    with Server("--threads", "2", "--buffer-size", "200000") as s, Flood(s, "t") as flood:
        for _ in range(scaled(5)):
            ws = s.ws("t")
            position, live = 0, []
            goal = flood.newest
            while position < goal:
                ws.send_json({"type": "replay", "ref": position, "since": position, "limit": 200})
                got, before = ws.recv_until("replay_result")
                assert all(f["type"] == "event_created" for f in before)
                live += [f["event"] for f in before]
                assert got["ref"] == position
                in_order(got["events"], position)
                flood.check(got["events"])
                position = got["events"][-1]["seq"]
            in_order(live, ws.hello["seq"])
            ws.close()


def test_list_pages_while_events_flow():
    with Server("--threads", "2", "--buffer-size", "200000") as s, Flood(s, "t") as flood:
        for _ in range(scaled(10)):
            position, goal = 0, flood.newest
            while position < goal:
                p = s.get(f"/api/v1/events?since={position}&limit=500", "t").json()
                in_order(p["events"], position)
                flood.check(p["events"])
                position = p["events"][-1]["seq"]
            with contextlib.suppress(Eof):
                p = s.get("/api/v1/events?limit=100", "t").json()
                assert p["events"][0]["seq"] >= goal
                in_order(p["events"][::-1], p["events"][-1]["seq"] - 1)
