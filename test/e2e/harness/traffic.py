"""Everybody at once on a server whose database is in trouble, and what has to be true of it."""

import json
import random
import threading
import time

from .disk import all_events
from .http import Http, problem
from .settings import WAIT, until
from .team import Team
from .wire import Eof

TENANTS = ("a", "b")
BIG = ("--threads", "2", "--buffer-size", "1000000")  # so that lists have all there is
END = "the end"


def post(conn, tenant, message, path="/events"):
    body = json.dumps({"message": message}).encode()
    return conn.request("POST", path, {"Content-Type": "application/json", "X-Tenant-ID": tenant}, body)


def check_refusal(r):
    problem(r, 503, "unavailable")
    assert int(r.header("Retry-After")) >= 1


def is_ready(server, status=200):
    """Whether /readyz says so, and says it as it should."""
    r = server.get("/readyz")
    if r.status == 503:
        problem(r, 503, "unavailable")
        assert int(r.header("Retry-After")) >= 1
    return r.status == status


class Traffic:
    """Publishers over keep-alive connections, a WebSocket and a stream of each tenant that read from the first event
    on, and somebody who lists: all of them at once, whatever becomes of the disk. An answer is 201 or 503."""

    def __init__(self, server, name="m", acked=None, publishers=6):
        self.server, self.name, self.team = server, name, Team()
        self.acked = acked or {t: {} for t in TENANTS}  # seq: message
        self.dying = False
        self.refused, self.unknown = set(), set()
        self.lock = threading.Lock()
        self.seen = []  # of each subscriber: its tenant and its events
        for tenant in TENANTS:
            for client in (server.ws(tenant, "since=0"), server.sse(tenant, "since=0")):
                events = []
                self.seen.append((tenant, events))
                self.team.go(self.subscribe, client, events)
        for n in range(publishers):
            self.team.go(self.publish, TENANTS[n % len(TENANTS)], n)
        self.publishers = self.team.threads[-publishers:]
        self.team.go(self.look)

    def publish(self, tenant, n):
        message, rng = None, random.Random(n)
        try:
            conn = Http(self.server.port)
            for i in range(50_000):
                if self.team.stop.is_set():
                    return
                message = f"{self.name}-{n}-{i} " + "x" * rng.choice((0, 10, 500, 2000))
                r = post(conn, tenant, message)
                with self.lock:
                    if r.status == 201:
                        self.acked[tenant][r.json()["seq"]] = message
                    else:
                        check_refusal(r)
                        self.refused.add(message)
                time.sleep(0.002 if r.status == 201 else 0.02)
        except (Eof, OSError):
            assert self.dying
            with self.lock:
                self.unknown.add(message)

    def subscribe(self, client, events):
        try:
            while not events or events[-1]["message"] != END:
                events.extend(client.events(1))
        except (Eof, OSError):
            assert self.dying

    def look(self):
        try:
            conn = Http(self.server.port)
            while not self.team.stop.is_set():
                for tenant in TENANTS:
                    r = conn.request("GET", "/events?limit=1000", {"X-Tenant-ID": tenant})
                    if r.status == 503:
                        continue  # what memory does not have cannot be read now
                    seqs = [e["seq"] for e in r.json()["events"]]
                    assert r.status == 200 and seqs == list(range(len(seqs) and seqs[0], 0, -1))[: len(seqs)]
                assert conn.request("GET", "/livez").status == 200
                time.sleep(0.05)
        except (Eof, OSError):
            assert self.dying

    def count(self):
        with self.lock:
            return sum(len(acked) for acked in self.acked.values())

    def goes_on(self):
        before = self.count()
        until(lambda: self.team.errors or self.count() > before + 20, "publishing goes on")

    def end(self):
        """Everybody stops. What everyone has seen is what was acknowledged, and nothing else."""
        self.team.stop.set()
        for thread in self.publishers:
            thread.join(WAIT)
        if not self.team.errors:
            for tenant in TENANTS:
                self.acked[tenant][self.server.publish(tenant, END)["seq"]] = END
        self.team.join(None if not self.team.errors else 1)
        for tenant, events in self.seen:
            assert {e["seq"]: e["message"] for e in events} == self.acked[tenant]
            assert [e["seq"] for e in events] == list(range(1, len(events) + 1))
        self.check(self.server)

    def dies(self):
        """kill -9, or the server has been killed: everybody stops."""
        self.dying = True
        self.team.stop.set()
        self.server.crash()
        self.team.join()

    def survivors(self, server):
        """After a crash: what was acknowledged is there, what was refused is not, and what was under way may be."""
        there = {}
        for tenant in TENANTS:
            events = all_events(server, tenant)
            assert [e["seq"] for e in events] == list(range(1, len(events) + 1))
            there[tenant] = {e["seq"]: e["message"] for e in events}
            assert self.acked[tenant].items() <= there[tenant].items()
            more = [m for q, m in there[tenant].items() if q not in self.acked[tenant]]
            assert len(set(more)) == len(more) and set(more) <= self.unknown
        return there

    def check(self, server):
        for tenant in TENANTS:
            events = all_events(server, tenant)
            assert [e["seq"] for e in events] == list(range(1, len(events) + 1))
            assert {e["seq"]: e["message"] for e in events} == self.acked[tenant]
