"""A tenant that is removed leaves nothing behind: no file of the store has a word of it any more, also where nothing else
happens, and nobody else has lost anything."""

import hashlib
import json
import os
import random
import signal
import sqlite3
import string
import time

import pytest

from harness import Server, Team, scaled, until

ADMIN = {"Authorization": "Bearer boss"}
JSON = {"Content-Type": "application/json"}
TENANTS = "/api/v1/tenants"


def word(rng, stem):
    return stem + "".join(rng.choice(string.ascii_lowercase) for _ in range(14))


class Party:
    """A tenant, with a user, and marks that are in all that it publishes."""

    def __init__(self, rng, name):
        self.rng, self.name, self.count = rng, name, 0
        self.author, self.key = word(rng, "aut"), word(rng, "key")
        self.message, self.type, self.meta, self.member = (word(rng, stem) for stem in ("mes", "typ", "met", "mem"))
        self.trace = f"{rng.getrandbits(128) | 1:032x}"
        self.words = {}  # how many events have it

    def marks(self):
        return [m.encode() for m in (self.author, self.key, self.message, self.type, self.meta, self.member, self.trace)]

    def draft(self, padding=0):
        """Of any length, with a word that few others have; the marks are all over it."""
        rng, some = self.rng, f"w{self.rng.randrange(50)}"
        self.count += 1
        self.words[some] = self.words.get(some, 0) + 1
        filler = " ".join([self.message, "x" * rng.randrange(60)] * (1 + rng.randrange(6)))
        return {
            "message": f"{some} {self.message} {filler} {self.message}{self.count}",
            "type": f"{self.type}.{rng.randrange(40)}",
            "metadata": {self.member: f"{self.meta} {self.count}", "n": [self.meta] * (padding // 20 + rng.randrange(4))},
        }


class House:
    """A server on one database, its tenants `gone` and `stays`, and a third that makes up the numbers."""

    def __init__(self, folder, *flags, seed=1):
        self.folder, self.flags = folder, flags
        self.rng = random.Random(seed)
        self.users = folder / "users.json"
        self.parties = {}
        for name in ("gone", "stays", "third"):
            self.add(name)
        self.server = None

    def add(self, name):
        party = self.parties[name] = Party(self.rng, name)
        users = [
            {"tenant": p.name, "name": p.author, "token_sha256": hashlib.sha256(f"token-{p.name}".encode()).hexdigest()}
            for p in self.parties.values()
        ]
        self.users.write_text(json.dumps({"users": users}))
        return party

    def serve(self):
        flags = ["--threads", "2", "--admin-key", "boss", "--users", self.users, *self.flags]
        self.server = Server(*flags, auth="token", store=f"sqlite:{self.folder}/log.db")
        return self.server

    def again(self, name):
        """A tenant of that name, where there was one."""
        self.add(name)
        r = self.server.request("POST", TENANTS, {**ADMIN, **JSON}, json.dumps({"id": name}).encode())
        assert r.status == 201, r
        self.server.process.signal(signal.SIGHUP)
        until(lambda: self.server.get(f"/events?token=token-{name}").status == 200, "the users are read again")

    def publish(self, name, count=1, padding=0):
        """In one batch; with some `padding`, in bytes."""
        party = self.parties[name]
        body = json.dumps([party.draft(padding) for _ in range(count)]).encode()
        headers = {**JSON, "Idempotency-Key": f"{party.key}-{party.count}"}
        headers["traceparent"] = f"00-{party.trace}-{party.count + 1:016x}-01"
        r = self.server.request("POST", f"/api/v1/events/batch?token=token-{name}", headers, body)
        assert r.status == 201, r

    def mix(self, events):
        """So many of each, in turns of a few, so that their rows come into pages side by side."""
        rng = random.Random(events)
        for _ in range(events // 25):
            for name in self.parties:
                self.publish(name, rng.randrange(1, 50))

    def remove(self, name="gone"):
        r = self.server.request("DELETE", f"{TENANTS}/{name}", ADMIN)
        assert r.status == 204, r
        return self.parties.pop(name).marks()

    def traces(self, marks):
        """Which of the files have which of the marks."""
        found = {}
        for path in sorted(self.folder.glob("log.db*")):
            try:
                data = path.read_bytes()
            except FileNotFoundError:
                continue
            have = [m.decode() for m in marks if m in data]
            if have:
                found[path.name] = have
        return found

    def becomes_clean(self, marks, wait=None):
        try:
            until(lambda: not self.traces(marks), "nothing is left", wait=wait, pause=0.2)
        except AssertionError:
            raise AssertionError(f"left: {self.traces(marks)}") from None

    def get(self, name, query):
        return self.server.get(f"{query}token=token-{name}").json()

    def is_whole(self, *names):
        """These have all that they have published, and find it, by words of all kinds."""
        for name in names or self.parties:
            party = self.parties[name]
            assert self.get(name, "/events/stats?")["total"] == party.count
            for some in self.rng.sample(sorted(party.words), min(6, len(party.words))):
                assert self.found(name, some) == party.words[some], (name, some)
            few = self.get(name, f"/events?limit=3&q={party.message[:9]}*%20{party.meta}&")["events"]
            assert len(few) == min(3, party.count) and all(e["author"] == party.author for e in few)
            for p in self.parties.values():
                assert p is party or not self.get(name, f"/events?q={p.message}&")["events"]

    def found(self, name, some):
        count, query = 0, f"/events?limit=1000&q={some}&"
        page = {"has_more": True, "next": None}
        while page["has_more"]:
            page = self.get(name, query + (f"before={page['next']}&" if page["next"] else ""))
            count += len(page["events"])
        return count


def sound(folder):
    for name in ("log.db", "log.db-search"):
        db = sqlite3.connect(f"{folder}/{name}", timeout=10)
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        db.close()


@pytest.mark.parametrize("durability", ["commit", "relaxed"])
def test_few(tmp_path, durability):
    house = House(tmp_path, "--durability", durability)
    with house.serve():
        for name in house.parties:
            house.publish(name, 3)
        marks = house.remove()
        house.becomes_clean(marks)
        house.is_whole()
    assert not house.traces(marks)
    sound(tmp_path)


def test_they_were_there(tmp_path):
    """The marks can be seen while they are there; but for words in the index, and the key, which is never stored."""
    house = House(tmp_path)
    with house.serve():
        house.publish("gone", 20)
        party = house.parties["gone"]
        shown = {party.author, party.message, party.type, party.meta, party.member, party.trace}
        until(lambda: set(sum(house.traces(party.marks()).values(), [])) == shown, "they are in the files")
        until(lambda: house.found("gone", party.message) == 20, "they are found")
    assert set(house.traces(party.marks())) == {"log.db"}


@pytest.mark.parametrize("seed", range(3))
def test_many(tmp_path, seed):
    house = House(tmp_path, seed=seed)
    with house.serve():
        house.mix(scaled(12_000))
        marks = house.remove()
        house.becomes_clean(marks)
        house.is_whole()
        house.mix(scaled(1000))  # pages that it had are used again, and go to the WAL
        assert not house.traces(marks)
        house.is_whole()
    assert not house.traces(marks)
    sound(tmp_path)


def test_one_after_the_other(tmp_path):
    """Tenants that come and go between those that stay."""
    house, marks = House(tmp_path), []
    with house.serve():
        for turn in range(6):
            if turn:
                house.again("gone")
            house.mix(scaled(1500))
            house.is_whole("gone")
            marks += house.remove()
        house.becomes_clean(marks)
        house.is_whole()
    sound(tmp_path)


def test_after_forgetting(tmp_path):
    """Most of it was forgotten before."""
    house = House(tmp_path, "--retention", "/3000")
    with house.serve():
        house.mix(scaled(10_000))
        house.becomes_clean(house.remove())
        house.becomes_clean(house.remove("third"))
    sound(tmp_path)


def test_large(tmp_path):
    """Messages of many pages."""
    house = House(tmp_path)
    with house.serve():
        for _ in range(scaled(60, 20)):
            for name in house.parties:
                house.publish(name, house.rng.randrange(1, 4), house.rng.choice((3000, 4000, 20_000, 50_000)))
        marks = house.remove()
        house.becomes_clean(marks)
        house.is_whole()
        for name in house.parties:
            house.publish(name, 5, 20_000)
        assert not house.traces(marks)
        house.is_whole()
    sound(tmp_path)


def test_made_anew(tmp_path):
    """One of the same id knows nothing of it, and stays."""
    house = House(tmp_path)
    with house.serve():
        house.mix(scaled(3000))
        marks = house.remove()
        house.again("gone")
        house.publish("gone", 30)
        house.becomes_clean(marks)
        house.is_whole()
    with house.serve():
        house.is_whole()


@pytest.mark.parametrize("durability", ["commit", "relaxed"])
def test_under_load(tmp_path, durability):
    """While others publish, and search."""
    house, team = House(tmp_path, "--durability", durability), Team()

    def publish(name):
        while not team.stop.is_set():
            house.publish(name, 10)

    def search():
        while not team.stop.is_set():
            assert not house.get("stays", "/events?q=w1&limit=1000&")["events"] == None

    with house.serve():
        house.mix(scaled(4000))
        marks = house.remove()
        team.go(publish, "stays")
        team.go(publish, "third")
        team.go(search)
        try:
            house.becomes_clean(marks)
            time.sleep(1)  # what is written now is of pages that were read before
            assert not house.traces(marks)
        finally:
            team.stop.set()
            team.join()
        house.is_whole()
    sound(tmp_path)


def test_killed(tmp_path):
    """kill -9 at any time: the next server goes on where that one was."""
    house, marks = House(tmp_path), []
    for turn in range(scaled(12, 4)):
        house.add("gone")
        with house.serve() as s:
            if turn:
                house.becomes_clean(marks)
            house.mix(scaled(1000))
            house.is_whole("gone", "stays")
            marks = house.remove()
            time.sleep(house.rng.choice((0, 0.02, 0.1, 0.3, 0.6, 1, 1.3)))
            s.crash()
        house.users.write_text(json.dumps({"users": []}))
        with house.serve() as s:
            time.sleep(house.rng.choice((0, 0.1, 0.5)))
            s.crash()
    with house.serve():
        house.becomes_clean(marks)
        house.add("gone")
    with house.serve():
        house.is_whole("stays", "third")
    sound(tmp_path)


def test_who_reads_meanwhile(tmp_path):
    """One who reads the files for long has it stay, and nobody wait."""
    house = House(tmp_path)
    with house.serve():
        house.mix(scaled(500))
        readers = [sqlite3.connect(f"file:{tmp_path}/{name}?mode=ro", uri=True) for name in ("log.db", "log.db-search")]
        for db in readers:
            db.execute("BEGIN")
            db.execute("SELECT count(*) FROM sqlite_schema").fetchall()
        marks = house.remove()
        end = time.monotonic() + 3
        while time.monotonic() < end:
            house.publish("stays")
        assert os.stat(f"{tmp_path}/log.db-wal").st_size > 0 and house.traces(marks)
        for db in readers:
            db.close()
        house.becomes_clean(marks)
        house.is_whole()
