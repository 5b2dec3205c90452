"""Who looks at the log in every other way, and who administers."""

import time
import urllib.parse

from harness import Http, Refused, WebSocket, problem

from .lines import BROKEN
from .party import STATUSES, WORDS, Party


class Looker(Party):
    """Lists, searches, replays, and asks for what is another's."""

    def __init__(self, world, slot, name):
        super().__init__(world, slot, name)
        self.looks = [self.page, self.latest, self.one, self.search, self.stats, self.replay, self.strange, self.late]
        self.looked = 0

    def run(self):
        while not self.world.over.is_set():
            self.slot = self.rng.choice(self.world.slots)
            self.world.rest()
            self.once()
            self.world.over.wait(self.rng.uniform(0.5, 1.5) * self.world.pause)

    def once(self):
        """One of them; run() of Party would go on for ever."""
        self.begin()
        try:
            with self.ledger.sieve.on():
                self.arm()
                self.rng.choice(self.looks)()
            self.looked += 1
        except BROKEN as e:
            self.explain(e)

    def get(self, target, status=200, **headers):
        http = Http(self.world.port)
        try:
            r = http.request("GET", target, {**self.key.headers, **headers})
        finally:
            http.close()
        if r.status != status:
            raise Refused(r)
        return r

    def recent(self):
        """A seq that memory has, whatever the log."""
        newest = self.ledger.newest
        return self.rng.randrange(max(0, newest - 1000), newest + 1) if not self.world.durable else self.rng.randrange(newest + 1)

    def run_of(self, events, first):
        """In a row from the first one that was asked for; where that is forgotten, from a later one."""
        if events and events[0]["seq"] > first:
            self.ledger.forgotten(events[0]["seq"] - 1)
            first = events[0]["seq"]
        for i, e in enumerate(events):
            assert e["seq"] == first + i, (first, e)
            self.ledger.sight(e)

    def page(self):
        least, since, limit = self.ledger.newest, self.recent(), self.rng.choice((1, 50, 200))
        page = self.get(f"/api/v1/events?since={since}&limit={limit}").json()
        self.run_of(page["events"], since + 1)
        last = page["events"][-1]["seq"] if page["events"] else since
        assert page["has_more"] or last >= least or self.ledger.removed, (least, since, page)

    def latest(self):
        least = self.ledger.newest
        events = self.get("/api/events?limit=50").json()["events"]
        assert not least or self.ledger.removed or events[0]["seq"] >= least, (least, events[:1])
        self.run_of(events[::-1], events[-1]["seq"] if events else 1)

    def known(self):
        """A recent seq and the message there, or None."""
        seq = self.recent()
        return seq and (seq, self.ledger.log[seq][0]) if seq in self.ledger.log else None

    def search(self):
        known = self.known()
        if known:
            word = known[1].partition(" ")[0]
            events = self.get(f"/events?q={word}").json()["events"]
            if not events and self.ledger.terms.kept and not self.ledger.removed:
                self.ledger.forgotten(known[0])
                return
            assert [e["seq"] for e in events] == [known[0]] or self.ledger.removed, (known, events)
            self.run_of(events, known[0])

    def one(self):
        since = self.recent()
        for e in self.get(f"/events?since={since}&limit=1").json()["events"]:
            try:
                assert self.get(f"/events/{e['id']}").json() == e
            except Refused as r:
                if r.response.status != 404:
                    raise
                if not self.ledger.removed:
                    self.ledger.forgotten(e["seq"])

    def stats(self):
        least = self.ledger.newest
        stats = self.get("/events/stats").json()
        assert stats["tenant_id"] == self.ledger.id and (stats["last_seq"] >= least or self.ledger.removed), (least, stats)

    def replay(self):
        since, limit = self.recent(), self.rng.choice((1, 50, 200))
        query = urllib.parse.urlencode(self.key.query)
        ws = WebSocket(self.world.port, f"/ws?{query}", offer=self.rng.choice((None, "permessage-deflate")))
        try:
            ws.recv_json("connection_established")
            ws.send_json({"type": "replay", "ref": 1, "since": since, "limit": limit})
            obj = ws.recv_json()
            while obj["type"] == "event_created":
                obj = ws.recv_json()
            if obj["type"] == "error":
                return self.explain(AssertionError(f"replay: {obj}"), STATUSES.get(WORDS.get(obj["code"]), set()))
            assert obj["type"] == "replay_result", obj
            self.run_of(obj["events"], since + 1)
        finally:
            ws.close()
        return None

    def late(self):
        """A token that has ended is good for nothing."""
        token = next((t for t in list(self.ledger.tokens) if t.gone), None)
        if token:
            self.key = token
            problem(self.get("/events", 401), 401, "unauthorized")

    def strange(self):
        """Another's event, and another's name."""
        other = self.rng.choice(self.world.slots).ledger
        if other is self.ledger or other.id == self.ledger.id:
            return
        problem(self.get("/events", 403, **{"X-Tenant-ID": other.id}), 403, "forbidden")


class Keeper(Party):
    """Makes and revokes keys, removes tenants and makes others, some of the same name."""

    def run(self):
        while not self.world.over.is_set():
            self.world.over.wait(self.rng.uniform(0.5, 1.5) * self.world.settings.keep)
            self.world.rest()
            if self.world.over.is_set():
                return
            slot = self.rng.choice(self.world.slots)
            self.rng.choice((self.make, self.revoke, self.revoke, self.change, self.replace))(slot)

    def make(self, slot):
        if sum(not k.revoked for k in slot.ledger.keys) < 4:
            self.world.key(slot.ledger)

    def revoke(self, slot):
        ledger = slot.ledger
        good = [k for k in ledger.keys if not k.revoked]
        if len(good) < 2:
            return self.make(slot)
        key = self.rng.choice(good)
        key.revoked = time.time()
        self.world.admin("DELETE", f"/{ledger.id}/keys/{key.id}", known=(404,))
        self.refused(key)
        key.gone = time.time()
        return None

    def refused(self, key):
        """From its removal on."""
        since = time.time()
        try:
            r = self.world.ask("GET", "/events", {"X-API-Key": key.secret})
        except BROKEN:
            assert "end" in self.world.troubles_since(since)
            return
        problem(r, 401, "unauthorized")

    def change(self, slot):
        self.world.admin("PATCH", f"/{slot.ledger.id}", {"name": f"another {self.rng.randrange(1000)}"})

    def replace(self, slot):
        old = slot.ledger
        old.removed = time.time()
        self.world.admin("DELETE", f"/{old.id}", known=(404,))
        for key in old.keys:
            self.refused(key)
            key.gone = time.time()
        self.world.create(slot, old.id if self.rng.randrange(2) else None)
