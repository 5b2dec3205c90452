"""The short form of tools/soak: everybody at once, with faults, for half a minute. CARILLON_TEST_SEED repeats its
choices; its seed and, on failure, its logs' folder are printed."""

import datetime
import os
import random
import time

import pytest

import soak
from harness import Leak, SLOW
from harness.tokens import claims_of, hs256
from soak.credentials import Token
from soak.ledger import Ledger
from soak.terms import Terms


def test_soak():
    seed = int(os.environ.get("CARILLON_TEST_SEED", 0)) or random.SystemRandom().getrandbits(32)
    rng = random.Random(seed)
    store = rng.choice(("commit", "commit", "postgres", "postgres", "relaxed", "memory"))
    pace = {"pause": 0.2 if SLOW else 0.05, "stay": 3, "stall": 5}
    soak.run(soak.Settings(seed, 30, store, tenants=4, readers=3, tls=rng.random() < 0.3, **pace))


def ledger_with(terms, count):
    """With so many events, which were acknowledged."""
    rng = random.Random(1)
    ledger = Ledger(1, rng, None, terms)
    ledger.rng = rng
    for seq in range(1, count + 1):
        publish(ledger, seq)
    ledger.settle()
    return ledger


@pytest.fixture
def ledger():
    return ledger_with(Terms(), 2)


def event(ledger, seq, message, made=None):
    made = datetime.datetime.fromtimestamp(made or time.time(), datetime.timezone.utc)
    stamp = made.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    return {"id": f"id-{message}", "tenant_id": ledger.id, "seq": seq, "timestamp": stamp, "message": message}


def publish(ledger, seq):
    message = ledger.draft(ledger.rng)["message"]
    ledger.ack([message], [event(ledger, seq, message)])
    return message


def at(ledger, seq):
    return ledger.log[seq][0]


WRONG = {
    "twice": (lambda l: l.sight(event(l, 3, at(l, 2))), "in the log twice"),
    "another one": (lambda l: l.sight({**event(l, 2, at(l, 2)), "id": "x"}), "seq 2 was"),
    "lost and its seq used anew": (lambda l: publish(l, 2), "seq 2 was"),
    "nobody's": (lambda l: l.sight(event(l, 3, "x")), "nobody has sent it"),
    "another tenant's": (lambda l: l.sight({**event(l, 2, at(l, 2)), "tenant_id": "x"}), "'tenant_id': 'x'"),
    "refused, but stored": (lambda l: l.refuse([at(l, 2)]), "refused, and in the log"),
    "a hole": (lambda l: (publish(l, 4), l.settle()), "3 events up to 4"),
    "another log": (lambda l: (l.greet("a", 2, 2), l.greet("b", 2, 2)), "the log is another"),
    "an older log": (lambda l: l.greet("a", 1, 2), "the log ends at 1"),
    "another's words": (lambda l: l.sieve.strain(b"canary2c0123456789ab"), "was shown canary2c"),
}


@pytest.mark.parametrize("what", WRONG)
def test_the_ledger_notices(ledger, what):
    act, why = WRONG[what]
    with pytest.raises((AssertionError, Leak), match=why):
        act(ledger)


def test_the_ledger_notices_what_was_refused_and_comes_later(ledger):
    message = ledger.draft(ledger.rng)["message"]
    ledger.refuse([message])
    with pytest.raises(AssertionError, match="it was refused"):
        ledger.sight(event(ledger, 3, message))


def unseen(ledger, seq, lost):
    """An event comes that nobody sees, and then one that somebody does."""
    if lost:
        ledger.lose([ledger.draft(ledger.rng)["message"]])
    publish(ledger, seq + 1)


def later(ledger, seq):
    """Told to be forgotten before the event comes for which it may be."""
    ledger.forgotten(seq)
    message = ledger.draft(ledger.rng)["message"]
    ledger.ack([message], [event(ledger, ledger.newest + 1, message, time.time() + 1)])


FORGOTTEN = {
    "that may be": (5, lambda l: l.forgotten(2), None),
    "one that has to be kept": (5, lambda l: l.forgotten(3), "3 was told to be forgotten, and 5 is the newest"),
    "too early": (5, lambda l: later(l, 3), "3 was told to be forgotten .* s before 3 newer ones"),
    "where all are kept": (None, lambda l: l.forgotten(1), "all have to be there"),
    "an event that nobody saw": (5, lambda l: unseen(l, 6, True), None),
    "an event that nobody has sent": (5, lambda l: unseen(l, 6, False), "1 seqs have nobody's event, 0 sent"),
    "an event where all are kept": (None, lambda l: unseen(l, 6, True), "6 events up to 7"),
}


@pytest.mark.parametrize("what", FORGOTTEN)
def test_what_is_forgotten_is_judged(what):
    kept, act, why = FORGOTTEN[what]
    ledger = ledger_with(Terms(kept and 3, bool(kept)), 5)
    if why:
        with pytest.raises(AssertionError, match=why):
            act(ledger)
            ledger.settle()
    else:
        act(ledger)
        ledger.settle()


def test_a_limit_is_judged():
    ledger = ledger_with(Terms(rate=12), 12)
    for seq in range(13, 40):
        publish(ledger, seq)
    with pytest.raises(AssertionError, match="39 events, where the limit lets 12 pass"):
        ledger.settle()


def test_a_tokens_end():
    """By its own time, and by a turn of the secret: what was ordered meanwhile may be of either."""
    now = time.time()

    def token(seconds, ordered, came, *turns):
        claims = {**claims_of("t", seconds), "iat": int(now)}
        return Token(hs256(b"x" * 32, claims), "", list(turns), ordered, came)

    assert (token(60, now - 5, now - 4).revoked, token(60, now - 5, now - 4).gone) == (None, None)
    ended = token(-2, now - 9, now - 8)
    assert ended.revoked == ended.gone == int(now) - 2
    before = token(60, now - 5, now - 4, (now - 3, now - 2))
    assert (before.revoked, before.gone) == (now - 3, now - 2)
    meanwhile = token(60, now - 3.5, now - 2.5, (now - 3, now - 2))
    assert (meanwhile.revoked, meanwhile.gone) == (now - 3, None)
    after = token(60, now - 1.5, now - 1, (now - 3, now - 2))
    assert (after.revoked, after.gone) == (None, None)


def test_words_are_found_across_reads(ledger):
    for stream in ledger.sieve.record(None):
        stream += b"x" * 100 + b"canary2c0123"
        with pytest.raises(Leak):
            stream += b"456789ab"
