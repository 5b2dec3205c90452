"""Everything that somebody is shown, byte by byte, and whose words are in it."""

import contextlib
import re
import socket

from .wire import Wire

# Of which tenant, as what: c(ontent), a(uthor), t(enant's id). One word for a search, and nothing that is escaped.
CANARY = re.compile(rb"canary(\d+)([cat])[0-9a-f]{12}")


def canary(rng, number, kind):
    """A word that nobody else has."""
    return f"canary{number}{kind}{rng.getrandbits(48):012x}"


class Leak(AssertionError):
    """Somebody was shown what is another's."""


class Tape:
    """What the connections of one tenant hear; `owner` is its number, or None where it is nobody's. Of others it may
    have canaries of the kinds in `known`."""

    def __init__(self, owner=None, known=""):
        self.owner, self.known = owner, known
        self.wires, self.streams = [], []

    @contextlib.contextmanager
    def on(self):
        """Records the connections that this thread makes meanwhile, for as long as they live."""
        before = getattr(Wire.running, "tape", None)
        Wire.running.tape = self
        try:
            yield self
        finally:
            Wire.running.tape = before

    def record(self, wire):
        raw, plain = bytearray(), bytearray()
        self.wires.append(wire)
        self.streams += (raw, plain)
        return raw, plain

    def add(self, data):
        self.streams.append(data if isinstance(data, (bytes, bytearray)) else data.encode())

    def hang_up(self):
        """Ends the connections under those who read from them."""
        for wire in self.wires:
            with contextlib.suppress(OSError):
                wire.sock.shutdown(socket.SHUT_RDWR)

    def heard(self, kinds="c"):
        """How many canaries of its owner's there are."""
        found = (m for s in self.streams for m in CANARY.finditer(s))
        return sum(int(m[1]) == self.owner and m[2].decode() in kinds for m in found)

    def search(self, name, secrets=()):
        """Raises Leak where there is what should not be."""
        for stream in self.streams:
            for m in CANARY.finditer(stream):
                if int(m[1]) != self.owner and m[2].decode() not in self.known:
                    raise Leak(f"{name} was shown {m[0].decode()}: {bytes(stream[max(0, m.start() - 300) : m.end() + 100])}")
            for secret in secrets:
                if secret.encode() in stream:
                    at = stream.index(secret.encode())
                    raise Leak(f"{name} was shown a secret: {bytes(stream[max(0, at - 300) : at])}")
