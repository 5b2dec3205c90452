"""What is known of one tenant: what was sent, what was answered, and what somebody has seen at each seq."""

import datetime
import json
import threading
import time

from harness import Leak, Tape, canary
from harness.tape import CANARY

from .claims import Claims
from .terms import Terms

GONE = 10  # seconds after which what nobody answered is in the log, or never will be


class Strainer:
    """A stream that is searched as it flows by, and kept nowhere."""

    def __init__(self, sieve):
        self.sieve, self.tail = sieve, b""

    def __iadd__(self, data):
        text = self.tail + bytes(data)
        self.sieve.strain(text)
        self.tail = text[-64:]
        return self


class Sieve(Tape):
    """A tape of any length: a word of another tenant's raises Leak when it comes."""

    def strain(self, text):
        for m in CANARY.finditer(text):
            if int(m[1]) != self.owner and m[2].decode() not in self.known:
                raise Leak(f"tenant {self.owner} was shown {m[0].decode()}: {text[max(0, m.start() - 300) : m.end() + 100]}")

    def record(self, wire):
        return Strainer(self), Strainer(self)


def made(event):
    """When the server made it, as seconds."""
    return datetime.datetime.fromisoformat(event["timestamp"].replace("Z", "+00:00")).timestamp()


class Ledger:
    """All threads' own; the lock is held for each call. A message is sent once (or again under its key), and has words
    that nobody else has. `lives`: of how many servers it has been a tenant."""

    def __init__(self, number, rng, id_=None, terms=Terms()):
        self.number, self.id, self.terms = number, id_ or canary(rng, number, "t"), terms
        self.claims, self.began, self.lives = Claims(terms.kept), time.time(), 1
        self.sieve = Sieve(number, "t" if id_ else "")
        self.lock = threading.Lock()
        self.epoch, self.removed, self.keys, self.tokens = None, None, [], []
        self.log = {}  # seq: (message, digest of the event)
        self.seqs = {}  # message: seq
        self.stamps = {}  # seq: when it was made
        self.open = {}  # message: when it was lost, or None: without an answer so far
        self.refused, self.acked, self.newest, self.verified = set(), 0, 0, 0
        self.unheard = 0  # messages without an answer that may be in the log where nobody has looked in time

    def key(self, rng):
        return rng.choice([k for k in self.keys if not k.revoked])

    # What publishers say.

    def draft(self, rng):
        """Something to publish, and the message that it is known by."""
        w = canary(rng, self.number, "c")
        message = f"{w} & <{w}>" + " x" * rng.choice(self.terms.padding())
        draft = {"message": message}
        if rng.random() < 0.5:
            draft["metadata"] = {canary(rng, self.number, "c"): [rng.randrange(1 << 40), {"deep": w}]}
        self.send([message])
        return draft

    def send(self, messages):
        with self.lock:
            for m in messages:
                self.refused.discard(m)
                if m not in self.seqs:
                    self.open[m] = None

    def refuse(self, messages):
        """A refusal is a promise that it was not stored."""
        with self.lock:
            for m in messages:
                assert m not in self.seqs, f"refused, and in the log at {self.seqs[m]}: {m}"
                self.open.pop(m, None)
                self.refused.add(m)

    def lose(self, messages):
        """Nobody heard the answer, if there was one."""
        with self.lock:
            for m in messages:
                if m in self.open:
                    self.open[m] = time.monotonic()

    def ack(self, messages, events):
        for m, e in zip(messages, events, strict=True):
            assert e["message"] == m, (m, e)
            self.sight(e)
        assert [e["seq"] for e in events] == list(range(events[0]["seq"], events[0]["seq"] + len(events))), events
        with self.lock:
            self.acked += len(events)

    # What anybody sees.

    def sight(self, event):
        """The same event at the same seq, whoever sees it, however, whenever; and each message at one seq."""
        assert event["tenant_id"] == self.id, event
        seq, message = event["seq"], event["message"]
        digest = hash(json.dumps(event, sort_keys=True))
        with self.lock:
            before = self.log.get(seq)
            if before:
                assert before == (message, digest), f"seq {seq} was {before[0]!r}, and is {event}"
                return
            assert message not in self.seqs, f"in the log twice, at {self.seqs[message]} and {seq}: {event}"
            assert message not in self.refused, f"it was refused: {event}"
            assert message in self.open, f"nobody has sent it: {event}"
            del self.open[message]
            self.log[seq], self.seqs[message], self.stamps[seq] = (message, digest), seq, made(event)
            self.newest = max(self.newest, seq)

    def greet(self, epoch, seq, least):
        """What a connection begins with: the log is the same, and knows all that was seen of it."""
        with self.lock:
            self.epoch = self.epoch or epoch
            assert epoch == self.epoch, f"the log is another: {epoch}, {self.epoch}"
        assert seq >= least, f"the log ends at {seq}, and {least} was acknowledged before"

    def forgotten(self, seq):
        """Somebody is told so of that seq, and so of all before it."""
        with self.lock:
            self.claims.tell(seq)

    def settle(self):
        """In a quiet moment, with all seen that the log has: no hole but where events were forgotten before anybody
        looked, and what is not there will never be."""
        with self.lock:
            holes = self.newest - len(self.log)
            lost = [m for m, since in self.open.items() if since]
            assert self.newest == max(self.log, default=0)
            assert not holes or self.claims.kept, f"{len(self.log)} events up to {self.newest}"
            assert holes <= self.unheard + len(lost), f"{holes} seqs have nobody's event, {len(lost)} sent ones no answer"
            for m in [m for m in lost if time.monotonic() - self.open[m] > GONE]:
                del self.open[m]
                if holes:
                    self.unheard += 1
                else:
                    self.refused.add(m)
            self.claims.judge(self.stamps)
            most = self.terms.rate and self.terms.rate * (self.lives + time.time() - self.began)
            assert not most or self.newest <= most, f"{self.newest} events, where the limit lets {most:.0f} pass"
            self.verified = self.newest
