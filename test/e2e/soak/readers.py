"""Subscribers: each comes, goes, and resumes over any transport, and sees every event once."""

import time

from harness import Closed

from .ledger import made
from .lines import Gap, KINDS, STALLED, SentAway, connect, start
from .party import POLLED, Party
from .renewal import Renewal

LATE = 5  # seconds after which a credential's end has come through to its connections, however busy the machine is


class Reader(Party):
    """`position` is the seq up to which it has seen all there is, or was told that it is not there any more; None
    before it has begun."""

    tokens = 0.5

    def __init__(self, world, slot, name):
        super().__init__(world, slot, name)
        self.position, self.recover, self.seen, self.of = None, None, 0, None
        self.gaps, self.renewed, self.outlived, self.overrun = 0, 0, 0, 0

    def work(self):
        """One stay: from coming to going."""
        if self.of is not self.ledger:
            self.of, self.position, self.recover = self.ledger, None, None
        if self.ledger.terms.asked and self.position is not None and not self.rng.randrange(4):
            self.position = 0  # from the start again, of which little is left
        kind = self.rng.choice(KINDS)
        habit = self.rng.choice(("steady",) * 4 + ("slow", "stall", "stall"))
        before, snapshot = self.position, None
        if before is None and not self.rng.randrange(3):
            before = 0
        elif before is None and self.rng.randrange(2):
            snapshot = self.rng.randrange(200)
        least = max(self.position or 0, self.ledger.newest)
        begin = start(before, snapshot, self.ledger.epoch if self.position else None)
        rcvbuf = STALLED if habit != "steady" else None
        self.line = connect(self.world, self.ledger, self.key, kind, begin, rcvbuf, self.recovery(kind))
        try:
            self.arrive(least)
            self.stay(habit, time.monotonic() + self.rng.expovariate(1 / self.world.stay))
        finally:
            self.leave(kind)
        if self.ledger.terms.asked and self.rng.randrange(2):
            self.world.doze(self.rng.uniform(0, self.world.stall))  # away, until what comes next is forgotten, or not

    def recovery(self, kind):
        """What a client that was in that namespace shows, with the same key, to have what it missed."""
        if not self.recover or self.recover[:2] != (kind.split()[-1], self.key) or self.rng.randrange(2):
            return None
        return {"pid": self.recover[2], "offset": str(self.position)}

    def arrive(self, least):
        line = self.line
        if line.hello:
            self.ledger.greet(line.hello["epoch"], line.hello["seq"], least)
        if self.position is not None and line.position != self.position:
            self.ledger.forgotten(self.position + 1)  # so a session is not gone on with
            self.gaps += 1
            self.position = None
        if self.position is None:
            self.position = line.position
        self.take(line.first)

    def take(self, events):
        gone = self.key.gone
        for e in events:
            if isinstance(e, Gap):
                assert e.first == self.position + 1 and e.last >= e.first, (self.position, vars(e))
                self.ledger.forgotten(e.last)
                self.position = e.last
                self.gaps += 1
                continue
            assert not gone or made(e) < gone + LATE, f"{self.name} reads on with {self.key.secret}, which is no more: {e}"
            assert e["seq"] == self.position + 1, f"{self.name} was at {self.position}, and is shown {e}"
            self.ledger.sight(e)
            self.position = e["seq"]
            self.seen += 1

    def stay(self, habit, end):
        """Nobody leaves, or stops reading, while all are waited for."""
        world, line, renewal = self.world, self.line, Renewal(self, self.line)
        pause = time.monotonic() + self.rng.uniform(0, 2)
        while time.monotonic() < end or world.quiet.is_set():
            if world.over.is_set():
                return
            if habit == "stall" and time.monotonic() > pause and not world.quiet.is_set():
                self.stalled, habit = True, "steady"
                long = self.rng.uniform(1, world.stall)
                world.doze(long if self.ledger.terms.asked else self.rng.choice((0.5, 2, long)))
            renewal.look()
            if line.waiting(0.2):
                self.take(line.read())
                if habit == "slow" and not world.quiet.is_set():
                    time.sleep(0.02)

    def explain(self, error, allowed=None):
        """Who falls behind all that is kept is sent away, and that has to be true."""
        closed = isinstance(error, Closed) and error.code == 1013
        other = self.causes() & ({"disk", "end", "upgrade"} if closed else POLLED)
        if (closed or isinstance(error, SentAway)) and self.ledger.terms.kept and not other:
            self.ledger.forgotten(self.position + 1)
            self.overrun += 1
        else:
            super().explain(error, allowed)
        self.outlived += isinstance(error, Closed) and error.code == 1008

    def leave(self, kind):
        line, self.line = self.line, None
        if line is None:
            return
        if " " in kind and self.world.durable:
            self.recover = (line.nsp, self.key, line.pid)
        how = self.rng.choice((line.close, line.shut, line.reset, None))
        if how:
            how()
        else:
            self.world.abandon(line)
