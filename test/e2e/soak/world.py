"""What all parties of a run share: the server that is there now, tenants, what was done to them, and quiet moments."""

import contextlib
import itertools
import json
import os
import random
import shutil
import threading
import time

from harness import Disk, Http, Team, WAIT, problem, until

from .credentials import Key
from .database import Database
from .ledger import Ledger, Sieve
from .life import ADMIN, SECRET, Life
from .lines import BROKEN
from .places import SmallDisk
from .terms import MEMORY, draw

GRACE = 2  # seconds for which what comes of a fault may come after its end
PAGE = 500  # events


class Slot:
    """A place for a tenant, of which there may be several one after another."""

    def __init__(self, number):
        self.number, self.ledger = number, None


class Trouble:
    def __init__(self, kind):
        self.kind, self.begin, self.end = kind, time.time(), None


class World:
    """`settings`: see Settings in run.py. The main thread directs: it alone starts and ends servers, makes quiet, and
    adds troubles. Parties are threads."""

    def __init__(self, settings, folder, cuts, mounts):
        self.settings, self.seed, self.folder, self.cuts = settings, settings.seed, folder, cuts
        self.rng = random.Random(repr((self.seed, "world")))
        self.over, self.quiet = threading.Event(), threading.Event()
        self.parked, self.workers, self.parking = 0, 0, threading.Condition()
        self.troubles, self.parties, self.abandoned = [], [], []
        self.team, self.numbers, self.life, self.lives = Team(), itertools.count(), None, 0
        self.public = Sieve(None, "at")
        self.stay, self.stall, self.pause = settings.stay, settings.stall, settings.pause
        self.durable = settings.store != "memory"
        self.lasting = settings.store in ("commit", "postgres")  # what is answered survives whatever comes next
        self.small = self.disk = self.database = None
        self.store = self.keep(mounts)
        self.audit = os.path.join(folder, "audit.log")
        self.secret, self.turns = os.path.join(folder, "secret"), []  # of tokens, and when it was another
        self.write_secret(self.rng)
        size = self.rng.choice((20, 500)) if self.durable else MEMORY
        self.flags = ["--threads", self.rng.randrange(1, 4), "--buffer-size", size, "--audit-log", self.audit]
        self.flags += ["--ping-interval", "4s", "--ping-timeout", "8s", "--jwt-secret-file", self.secret]
        if settings.store == "relaxed":
            self.flags += ["--durability", "relaxed"]
        self.slots = [Slot(n) for n in range(settings.tenants)]

    def say(self, text):
        print(f"{time.strftime('%H:%M:%S', time.gmtime())} {text}", flush=True)

    def random(self, *names):
        return random.Random(repr((self.seed, *names)))

    def keep(self, mounts):
        """Where the log lies: its URI."""
        if not self.durable:
            return "memory:"
        if self.settings.store == "postgres":
            self.database = Database()
            return self.database.uri
        place = os.path.join(self.folder, "disk")
        os.makedirs(place, exist_ok=True)
        if mounts:
            with contextlib.suppress(PermissionError):
                self.small = SmallDisk(place)
        self.disk = Disk(place)
        return self.disk.store

    # The secret of tokens.

    def write_secret(self, rng):
        with open(f"{self.secret}.new", "w", encoding="ascii") as f:
            f.write(rng.randbytes(24).hex())
        os.replace(f"{self.secret}.new", self.secret)

    def turn(self, rng):
        """From now on tokens of the former one may be refused; and have to be, once it has been said that it is done."""
        self.turns.append((time.time(), None))
        self.write_secret(rng)

    def turned(self):
        self.turns[-1] = (self.turns[-1][0], time.time())

    # The server.

    @property
    def port(self):
        return self.life.server.port

    def start(self):
        self.life = Life(self, self.lives + 1)
        self.born()
        self.ready()

    def born(self):
        """Another process serves: with it rate limits begin anew."""
        self.lives += 1
        for slot in self.slots:
            if slot.ledger:
                slot.ledger.lives += 1

    def ask(self, method, target, headers=None, body=None):
        """One request of nobody's."""
        with self.public.on():
            http = Http(self.port)
        try:
            return http.request(method, target, headers, body)
        finally:
            http.close()

    def ready(self):
        until(lambda: self.ask("GET", "/readyz").status == 200, "the server is ready")

    def admin(self, method, path, body=None, known=()):
        """The administrator's request, until it is answered. `known`: what it says where an attempt before, whose
        answer was lost, was carried out."""
        headers = {"Authorization": f"Bearer {ADMIN}", **({"Content-Type": "application/json"} if body else {})}
        lost, since = False, time.time()
        end = time.monotonic() + 3 * WAIT
        while True:
            try:
                r = self.ask(method, f"/api/v1/tenants{path}", headers, body and json.dumps(body).encode())
                if r.status < 300 or (lost and r.status in known):
                    return r
                problem(r, 503, "unavailable")
                assert self.troubles_since(since) & {"disk", "end", "upgrade", "attempt"}, r
            except BROKEN as e:
                assert self.troubles_since(since) & {"end"}, f"the administrator: {e!r}"
                lost = True
            assert time.monotonic() < end and not self.team.stop.is_set(), "the administrator gets no answer"
            time.sleep(0.1)

    # What was done.

    @contextlib.contextmanager
    def trouble(self, kind):
        t = Trouble(kind)
        self.troubles.append(t)
        try:
            yield
        finally:
            t.end = time.time()

    def troubles_since(self, since):
        return {t.kind for t in list(self.troubles) if t.end is None or t.end + GRACE >= since}

    def troubles_at(self, at, late):
        """At that second, which is rounded down."""
        return {t.kind for t in list(self.troubles) if t.begin <= at + 1 and (t.end is None or t.end + late >= at)}

    # Tenants.

    def create(self, slot, id_=None):
        """A new tenant; whoever is in its place sees it from now on."""
        terms = draw(slot.number, self.durable, self.random("terms", slot.number))
        ledger = Ledger(next(self.numbers), self.rng if id_ is None else self.random("again", id_), id_, terms)
        r = self.admin("POST", "", {"id": ledger.id, "name": ledger.id, **terms.body()}, known=(409,))
        if r.status == 409:
            r = self.admin("POST", f"/{ledger.id}/keys")
        # What a tenant is made with has no name to revoke it by, so it is not for use.
        ledger.spare = r.json()["api_key"]
        self.key(ledger)
        self.key(ledger)
        slot.ledger = ledger

    def key(self, ledger):
        made = self.admin("POST", f"/{ledger.id}/keys").json()
        ledger.keys.append(Key(made["id"], made["api_key"]))

    def retire(self):
        """Whoever kept nothing begins anew."""
        for slot in self.slots:
            slot.ledger.removed = slot.ledger.removed or time.time()

    # Parties.

    def go(self, party, worker):
        self.workers += worker
        self.team.go(party.run)

    def rest(self):
        """Workers stand still here while it is quiet."""
        with self.parking:
            self.parked += 1
            self.parking.wait_for(lambda: not self.quiet.is_set() or self.over.is_set(), 10 * WAIT)
            self.parked -= 1

    def doze(self, seconds):
        """Until then, or until all are waited for."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.quiet.is_set():
            if self.over.wait(0.1):
                return

    def all_rest(self):
        with self.parking:
            return self.parked >= self.workers

    def abandon(self, line):
        """A client that is neither there nor gone."""
        self.abandoned.append((time.monotonic(), line))

    def reap(self, age=8):
        now = time.monotonic()
        for at, line in [a for a in self.abandoned if now - a[0] >= age]:
            self.abandoned.remove((at, line))
            line.reset()

    def check(self):
        if self.team.errors:
            raise self.team.errors[0]
        assert self.life.is_there(), "the server has ended by itself"

    def sleep(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.check()
            self.team.stop.wait(min(0.1, max(0.001, end - time.monotonic())))

    def wait(self, question, what):
        """For what has to come; a party's failure comes first."""
        end = time.monotonic() + 3 * WAIT
        while not question():
            self.check()
            assert time.monotonic() < end, f"waited in vain: {what()}"
            time.sleep(0.02)

    # Quiet moments.

    @contextlib.contextmanager
    def still(self):
        """Nobody publishes, asks or administers meanwhile; all that was sent has been answered, or never will be."""
        self.quiet.set()
        try:
            self.wait(self.all_rest, lambda: f"{self.workers - self.parked} do not stop")
            yield
        finally:
            self.quiet.clear()
            with self.parking:
                self.parking.notify_all()

    def roll_call(self):
        """The whole log is read, and every reader has seen it to its end; then what the server needs is taken."""
        with self.still():
            self.ready()
            self.reap(0)
            for party in self.parties:
                if party.struck and party.line:
                    party.line.hang_up()  # it may never hear that its connection is lost
            for slot in self.slots:
                self.audit_log(slot.ledger)
            readers = [p for p in self.parties if hasattr(p, "position")]
            self.wait(lambda: not self.behind(readers), lambda: self.behind(readers))
            self.life.sample()
            self.life.shed()

    def behind(self, readers):
        return [
            f"{r.name} at {r.position} of {r.slot.ledger.newest}"
            for r in readers
            if r.of is not r.slot.ledger or r.position != r.slot.ledger.newest
        ]

    def audit_log(self, ledger):
        """What has come since the last time is all there, and nothing else."""
        since = ledger.verified
        with ledger.sieve.on():
            http = Http(self.port)
        while True:
            key = next(k for k in ledger.keys if not k.revoked)
            r = http.request("GET", f"/events?limit={PAGE}&since={since}", key.headers)
            assert r.status == 200, r
            page = r.json()
            if page["events"] and page["events"][0]["seq"] > since + 1:
                ledger.forgotten(page["events"][0]["seq"] - 1)
                since = page["events"][0]["seq"] - 1
            for e in page["events"]:
                since += 1
                assert e["seq"] == since, e
                ledger.sight(e)
            if not page["has_more"]:
                break
        http.close()
        assert since == ledger.newest, f"the log ends at {since}, and {ledger.newest} was seen"
        ledger.settle()

    def filter_audit(self, path):
        """It has names, and nothing that is secret or an event's."""
        with open(path, "rb") as f:
            for line in f:
                self.life.words.strain(line)
                assert not SECRET.search(line.decode()), "the audit log tells a secret"

    def abort(self):
        """After a failure: nobody goes on, and what the server leaves is kept."""
        self.over.set()
        self.quiet.clear()
        if self.disk:
            self.disk.well()
        if self.life:
            self.life.abort()
        if self.small:
            shutil.copytree(self.small.folder, os.path.join(self.folder, "database"))
        self.close()

    def close(self):
        """What the log lies in."""
        if self.small:
            self.small.close()
        if self.database:
            self.database.close()

    def end(self):
        """Everybody goes; what they have used is given back."""
        self.over.set()
        with self.parking:
            self.parking.notify_all()
        for party in self.parties:
            if party.line:
                party.line.hang_up()
        self.team.join(5 * WAIT)
        self.reap(0)
        for party in self.parties:
            if getattr(party, "wire", None):
                party.wire.close()  # a publisher's that broke off
        life = self.life
        until(lambda: self.ask("GET", "/health").json()["sessions"] == 0, "sessions that nobody polls have ended")
        before = life.peers()
        try:
            until(lambda: life.sockets() <= life.base[1], f"sockets are closed, but for {life.base[1]}")
        except AssertionError:
            raise AssertionError(f"sockets stay open: {life.peers()}, of {before}") from None
        life.sample()
