"""The tokens of a connection that stays: another one is shown over the connection itself, before the former one ends."""

import time

from harness import Refused, WAIT

from .credentials import Token, order
from .party import STATUSES, WORDS


class Renewal:
    """Of one reader's line. Once the server has taken the other token, the former one's end is none of the line's."""

    def __init__(self, reader, line):
        self.reader, self.line, self.next, self.number, self.asked = reader, line, None, 0, 0
        self.willing = line.renews and isinstance(reader.key, Token) and reader.rng.randrange(4) > 0

    def look(self):
        """Asks where it is time; takes the answer where it has come."""
        while self.line.answers:
            self.take(*self.line.answers.pop(0))
        if self.next:
            assert time.monotonic() - self.asked < WAIT or self.reader.causes(), f"{self.reader.name}: no answer to a refresh"
        elif self.willing and self.reader.key.end - time.time() < 0.6 * self.reader.key.length:
            self.ask()

    def ask(self):
        reader = self.reader
        key = reader.ledger.key(reader.rng)
        try:
            self.next = order(reader.world, reader.ledger, key, reader.who, reader.rng.randrange(2, 20))
        except Refused as e:
            if not key.revoked:
                raise
            assert e.response.status == 401, e
            return
        self.number += 1
        self.asked = time.monotonic()
        self.line.refresh(self.number, self.next.secret)

    def take(self, number, expires_at, code):
        token, self.next = self.next, None
        assert token and number == self.number, (number, self.number)
        if code:
            if not token.revoked:
                self.reader.explain(AssertionError(f"refresh: {code}"), STATUSES.get(WORDS.get(code), set()))
            return
        assert expires_at == token.expires_at, (expires_at, token.expires_at)
        self.reader.key = token
        self.reader.renewed += 1
