"""Random tenants, credentials and transports: whatever leaves the server is recorded, and searched for others' words.

What a tenant publishes is made of words that only it has: in messages, types, names and values of metadata, authors and
idempotency keys. What each of its connections hears, to the last byte, is on its tape; so is what is public, and the
server's log. And lest nothing leaks because nothing is delivered, each subscriber has to see all of its own tenant's
events, each once and in order.

CARILLON_TEST_SEED repeats a run. CARILLON_TEST_FAULT=misdeliver is for a server that offers events to the wrong
subscribers (test_mutation.py): then only leaks count, and the write boundary has to have been reached.
"""

import hashlib
import json
import os
import random
import signal
import time

import pytest

from harness import ADMIN, ALL, Closed, Credential, Eof, Http, Leak, PENS, Pen, Refused, SUBSCRIBERS, Server, Spy, Subscriber
from harness import Tape, Team, Tenant, canary, problem, scaled, until

TENANTS = 5
JSON = {"Content-Type": "application/json"}
BOUNDARY = "refused to write one tenant's bytes to another's connection"
FAULT = os.environ.get("CARILLON_TEST_FAULT") == "misdeliver"
BROKEN = (AssertionError, Closed, Eof, OSError, Refused, ValueError)  # what a connection that is cut off looks like


class World:
    """A server with tenants that have credentials."""

    def __init__(self, mode, store, folder):
        self.mode, self.quiet, self.server = mode, False, None
        self.seed = int(os.environ.get("CARILLON_TEST_SEED", 0)) or random.SystemRandom().getrandbits(32)
        print(f"CARILLON_TEST_SEED={self.seed}")
        self.rng = random.Random(self.seed)
        self.public, self.readers = Tape(known="at"), []
        self.tenants = [Tenant(n, self.rng) for n in range(TENANTS)]
        self.store = "memory:" if store == "memory" else f"sqlite:{folder}/log.db"
        self.flags = ["--threads", self.rng.randrange(1, 5), "--log-level", "debug"]
        self.flags += ["--buffer-size", 5000 if store == "memory" else self.rng.choice((20, 5000))]
        if mode == "token":
            users = folder / "users.json"
            users.write_text(json.dumps({"users": [u for t in self.tenants for u in self.users(t)]}))
            self.flags += ["--users", users]

    def serve(self):
        more = {"tenants": self.mode == "open", "auth": self.mode, "store": self.store}
        self.server = Server(*self.flags, env={"CARILLON_ADMIN_KEY": ADMIN}, **more)
        return self.server

    @property
    def port(self):
        return self.server.port

    def random(self, *names):
        return random.Random(repr((self.seed, *names)))

    # Tenants and their credentials.

    def users(self, t):
        for i, scopes in enumerate((ALL, ALL, ("subscribe",), ("publish",))):
            token, name = f"token-{self.rng.getrandbits(128):x}", f"{t.author}.{i}"
            t.secrets.append(token)
            t.credentials.append(Credential({"X-User-Token": token}, f"token={token}", {"token": token}, name, scopes))
            shown = {"token": token} if i % 2 else {"token_sha256": hashlib.sha256(token.encode()).hexdigest()}
            yield {"tenant": t.id, "name": name, "scopes": scopes, **shown}

    def admin(self, method, path, body=None, key=ADMIN):
        with Tape(known="at").on():  # secrets are shown there, once
            http = Http(self.port)
        headers = {"Authorization": f"Bearer {key}", **(JSON if body is not None else {})}
        r = http.request(method, f"/api/v1/tenants{path}", headers, body and json.dumps(body).encode())
        http.close()
        return r

    def create(self, t, again=False):
        if self.mode == "token" or (self.mode == "open" and not again and t.number % 2):
            self.name(t)  # comes to be by itself
            return
        r = self.admin("POST", "", {"id": t.id, "name": f"{t.id} in full"})
        assert r.status == 201 and r.json()["id"] == t.id, r
        self.public.add(self.admin("POST", "", {"id": t.id, "name": "x"}).body)  # a conflict
        if self.mode == "open":
            self.name(t)
            return
        keys = [r.json()["api_key"], self.admin("POST", f"/{t.id}/keys", {}).json()["api_key"]]
        for key in keys:
            t.credentials.append(Credential({"X-API-Key": key}, f"api_key={key}", {"apiKey": key}))
        for i, scopes in enumerate((ALL, ("subscribe",), ("publish",))):
            r = self.admin("POST", f"/{t.id}/token", {"sub": f"{t.author}.{i}", "scopes": scopes, "ttl_s": 600})
            assert r.status in (200, 201), r
            token = r.json()["token"]
            bearer = {"Authorization": f"Bearer {token}"}
            t.credentials.append(Credential(bearer, f"token={token}", {"token": token}, f"{t.author}.{i}", scopes))
            keys.append(token)
        t.secrets += keys

    def name(self, t):
        if self.mode == "open":
            t.credentials.append(Credential({"X-Tenant-ID": t.id}, f"tenant={t.id}", {"tenant": t.id}, tenant=t.id))

    # The scenario.

    def try_to(self, work, *args):
        """Where deliveries go astray, connections are cut off: no reason to stop looking for what leaks."""
        try:
            return work(*args)
        except BROKEN:
            if not FAULT or self.server.process.child.poll() is not None:
                raise
            return None

    def subscribe(self, t, kind, late=False):
        with t.tape.on():
            return self.try_to(Subscriber, self, t, kind, self.random("subscriber", t.number, kind, late), late)

    def join_late(self, t, kind, last, sleep):
        time.sleep(sleep)
        self.read(t, self.subscribe(t, kind, True), last)

    def read(self, t, subscriber, last):
        if subscriber:
            with t.tape.on():
                self.try_to(subscriber.read, last)
            self.readers.append(subscriber)

    def look_on(self):
        """The administrator sees tenants and counts, and no event."""
        with self.public.on():
            while not self.quiet:
                for path in ("", *(f"/{t.id}{more}" for t in self.tenants for more in ("", "/keys"))):
                    r = self.server.request("GET", f"/api/v1/tenants{path}", {"Authorization": f"Bearer {ADMIN}"})
                    assert r.status == 200, r
                self.server.request("GET", "/api/health", {"Authorization": f"Bearer {ADMIN}"})
                time.sleep(0.05)

    def deal(self):
        """(tenant, transport): each transport is somebody's, and everybody has some."""
        deck = [kind for _ in range(1 + TENANTS * 4 // len(PENS)) for kind in PENS]
        self.rng.shuffle(deck)
        return [(t, deck.pop()) for t in self.tenants for _ in range(4)]

    def live(self):
        """Everybody at once."""
        for t in self.tenants:
            self.create(t)
        first = [(t, self.subscribe(t, kind)) for t in self.tenants for kind in SUBSCRIBERS]
        readers, writers, lookers = Team(), Team(), Team()
        last = {t: t.draft(self.rng) for t in self.tenants}
        for t, subscriber in first:
            readers.go(self.read, t, subscriber, last[t]["message"])
        for t in self.tenants:
            lookers.go(self.try_to, Spy(self, t, self.random("spy", t.number)).work)
            for kind in ("ws", "deflate", "sse"):
                readers.go(self.join_late, t, kind, last[t]["message"], self.rng.random())
        lookers.go(self.look_on)
        for i, (t, kind) in enumerate(self.deal()):
            writers.go(self.try_to, Pen(self, t, kind, self.random("pen", i)).write, scaled(12, 4))
        teams = (writers, lookers, readers)
        self.wait(writers, teams)
        for t in self.tenants:
            with t.tape.on():
                pen = Pen(self, t, "rest", self.rng)
                r = pen.post(Http(self.port), last[t])
                assert r.status == 201, r
                t.ack(r.json(), last[t], pen.credential)
        time.sleep(0.3)  # for the spies to see a whole log
        self.quiet = True
        self.wait(lookers, teams)
        self.wait(readers, teams)
        for s in self.readers:
            assert FAULT or s.seen == s.tenant.acked, f"{s.kind} of tenant {s.tenant.number} saw other events than there are"

    def wait(self, team, teams):
        """For a team; one that fails ends all of them."""
        end = time.monotonic() + (5 if FAULT and self.quiet else 120)
        while any(thread.is_alive() for thread in team.threads):
            errors = [e for t in teams for e in t.errors]
            if errors or time.monotonic() > end:
                self.quiet = True
                until(lambda: self.hang_up(teams), "everybody stops")
                raise errors[0] if errors else AssertionError("something that had to come never came")
            time.sleep(0.02)
        team.join()

    def hang_up(self, teams):
        """Under those who read what will not come any more. Whether all have noticed: some may only be connecting."""
        for tape in (self.public, *(t.tape for t in self.tenants)):
            tape.hang_up()
        return not any(thread.is_alive() for t in teams for thread in t.threads)

    def search(self):
        """Nobody's words on anybody else's tape."""
        log = Tape(known="at")
        log.add(self.server.process.output())
        secrets = [(t, s) for t in self.tenants for s in (*t.secrets, *t.pids)]
        for t in self.tenants:
            t.tape.search(f"tenant {t.number}", [s for o, s in secrets if o is not t] + [ADMIN])
        everyones = [s for _, s in secrets] + [ADMIN]
        self.public.search("the public", everyones)
        log.search("the log", everyones)


def run(world):
    """The scenario, and then what was heard in it: a leak goes before everything else that was wrong."""
    failure = None
    try:
        world.live()
    except BROKEN as e:
        failure = e
    world.server.process.signal(signal.SIGTERM)
    world.server.process.wait()
    world.search()
    reached = BOUNDARY in world.server.process.output()
    if reached and not FAULT:
        raise AssertionError("only the write boundary kept it from leaking") from failure
    if failure:
        raise failure
    assert reached == FAULT, "nothing was delivered to the wrong one"


@pytest.mark.parametrize("store", ["memory", "sqlite"])
@pytest.mark.parametrize("mode", ["open", "token", "key"])
def test_isolation(mode, store, tmp_path):
    world = World(mode, store, tmp_path)
    with world.serve():
        run(world)
        if FAULT:
            return
        for t in world.tenants:
            assert t.tape.heard() > 10 * len(t.acked), "a tape has less than its subscribers have seen"
        assert mode == "open" or any(t.tape.heard("a") for t in world.tenants), "no author was shown"


@pytest.mark.parametrize("store", ["memory", "sqlite"])
@pytest.mark.parametrize("mode", ["open", "key"])
def test_whoever_comes_after(mode, store, tmp_path):
    """A tenant of an id that was another's before: not a byte, nor a key, of what that had is left to it."""
    world = World(mode, store, tmp_path)
    with world.serve():
        old, new = world.tenants[0], world.tenants[1]
        new.id, new.tape.known = old.id, "t"
        old.tape.known = "t"
        world.create(old, again=True)
        for kind in ("batch", "ndjson"):
            Pen(world, old, kind, world.rng).write(300)
        subscriber = world.subscribe(old, "ws", late=True)
        Pen(world, old, "again", world.rng).write(5)
        assert world.admin("DELETE", f"/{old.id}").status == 204
        assert subscriber.client.closing() == 1008
        world.create(new, again=True)
        if mode == "key":
            for c in old.credentials:
                problem(world.server.request("GET", "/events", c.headers), 401, "unauthorized")
        with new.tape.on():
            mine = new.pick(world.rng, "subscribe")
            ask = lambda target: world.server.request("GET", target, mine.headers)
            word = old.events[0]["message"].partition(" ")[0]
            for query in ("", "?since=0", f"?q={word}", f"?type={old.events[0]['type']}", "?order=asc&limit=1000"):
                assert ask(f"/events{query}").json()["events"] == []
            assert ask("/events/stats").json()["total"] == 0
            for event in old.events[:3]:
                problem(ask(f"/events/{event['id']}"), 404, "not_found")
                problem(ask(f"/events?sinceId={event['id']}"), 400, "bad_request")
            late = [world.subscribe(new, kind, late=kind != SUBSCRIBERS[3]) for kind in SUBSCRIBERS[:4]]
            Pen(world, new, "again", world.rng).write(5)
            last = new.events[-1]["message"]
            for s in late:
                s.read(last)
                assert s.seen == new.acked and list(new.acked) == [1, 2, 3, 4, 5]
        world.search()
        assert BOUNDARY not in world.server.process.output()


def test_the_tape_finds_what_it_is_for():
    rng = random.Random(1)
    tape = Tape(1, known="t")
    for kind in "cat":
        tape.add(canary(rng, 1, kind))
    tape.add("…" + canary(rng, 2, "t"))
    tape.search("it", ["secret"])
    assert tape.heard() == 1 and tape.heard("a") == 1
    for more in (canary(rng, 2, "c"), canary(rng, 12, "a"), "my secret"):
        tape.add(f"before {more} after")
        with pytest.raises(Leak):
            tape.search("it", ["secret"])
        tape.streams.pop()
