"""Whoever takes part: a thread that works on and on, and has to have a reason for every failure."""

import random
import time

from harness import Closed, Refused, check_refusal, problem
from harness.rates import limited, limits

from .credentials import order
from .lines import BROKEN, SentAway, Unwelcome

# What may come of what. "gone": the credential is no good any more, or the tenant removed; "stalled": it did not read for
# a while; "struck": its connection was cut, or ended by the run itself; "limited": the tenant has a rate limit.
CLOSES = {None: {"stalled", "struck"}, 1001: {"end", "upgrade"}, 1008: {"gone"}, 1011: {"disk"}, 1013: {"stalled", "disk"}}
STATUSES = {
    401: {"gone"},
    429: {"limited"},
    503: {"disk", "end", "upgrade", "attempt"},
    400: {"end", "upgrade", "stalled", "struck", "gone", "disk"},
}
WORDS = {"unauthorized": 401, "rate_limited": 429, "unavailable": 503}
SILENT = {"stalled", "struck"}
LOST = {"end", "upgrade", "disk", "gone", "stalled", "struck"}
POLLED = {*LOST, "attempt"}  # who polls while the store is about to be handed over has no other answer to be told on


def causes_of(error):
    """What has to have happened for that."""
    if isinstance(error, Closed):
        return CLOSES.get(error.code, set())
    if isinstance(error, Unwelcome):
        return STATUSES.get(WORDS.get(error.code), set())
    if isinstance(error, Refused):
        r = error.response
        if r.status == 503 and not r.body:
            assert int(r.header("Retry-After")) >= 1, r  # an Engine.IO session's beginning
        elif r.status == 503:
            check_refusal(r)
        elif r.status == 429:
            limited(r, tenant=limits(r)["tenant"])
        elif r.status == 401:
            problem(r, 401, "unauthorized")
        elif r.status == 400 and (b'"code":1' not in r.body and b'"code":3' not in r.body):
            return set()  # an Engine.IO session may be unknown; nothing else is a bad request
        return STATUSES.get(r.status, set())
    if isinstance(error, TimeoutError):
        return SILENT
    if isinstance(error, SentAway):
        return POLLED
    if isinstance(error, ConnectionRefusedError):
        return {"end"}  # an upgrade refuses nobody
    return LOST


class Party:
    """One thread's. `ledger` and `key` are whose it is right now; `since` is when it began what it is at."""

    tokens = 0.3  # how often it shows a token, and no API key

    def __init__(self, world, slot, name):
        self.world, self.slot, self.name, self.who = world, slot, name, name.replace(" ", "-")
        self.rng = random.Random(repr((world.seed, name)))
        self.ledger = self.key = self.line = None
        self.since, self.stalled, self.struck = time.time(), False, False
        world.parties.append(self)

    def begin(self):
        self.ledger = self.slot.ledger
        self.key = self.ledger.key(self.rng)
        self.since, self.stalled, self.struck = time.time(), False, False

    def run(self):
        while not self.world.over.is_set():
            self.begin()
            try:
                with self.ledger.sieve.on():
                    self.arm()
                    self.work()
            except BROKEN as e:
                self.explain(e)
                self.world.over.wait(self.rng.uniform(0.02, 0.3))

    def arm(self):
        """Sometimes with a token, of which many end while they are in use."""
        if self.rng.random() < self.tokens:
            self.key = order(self.world, self.ledger, self.key, self.who, self.rng.choice((2, 5, 8, 60)))

    def causes(self):
        found = self.world.troubles_since(self.since)
        if self.key.revoked or self.ledger.removed:
            found.add("gone")
        if self.ledger.terms.rate:
            found.add("limited")
        if self.stalled:
            found.add("stalled")
        if self.struck or self.world.over.is_set():  # all are hung up at the end
            found.add("struck")
        return found

    def explain(self, error, allowed=None):
        """Raises what nothing explains that has been done to the server, or to this party."""
        found = self.causes()
        if not found & (causes_of(error) if allowed is None else allowed):
            raise AssertionError(f"{self.name}: {error!r}, where there was {sorted(found) or 'no fault'}") from error
