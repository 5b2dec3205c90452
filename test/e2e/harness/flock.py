"""Many subscribers on one thread, each of which comes back, and publishers that do not give up; for servers that go away
and come again. Whatever is wrong with what they hear, they remember."""

import contextlib
import errno
import json
import random
import selectors
import socket
import threading
import time

from . import secure
from .http import Http
from .settings import WAIT
from .team import Team
from .websocket import frame
from .wire import Eof

KEY = "AAAAAAAAAAAAAAAAAAAAAA=="


class Member:
    """One subscriber: where it is, and how far it has come."""

    def __init__(self, flock, tenant, sse):
        self.flock, self.tenant, self.sse = flock, tenant, sse
        self.last, self.epoch, self.sock = 0, None, None
        self.due = 0.0

    def target(self):
        cursor = f"&epoch={self.epoch}" if self.epoch else ""
        if self.sse:
            return f"/api/v1/events/stream?tenant={self.tenant}&last_event_id={self.last}{cursor}"
        return f"/ws?tenant={self.tenant}&since={self.last}{cursor}"

    def connect(self):
        self.buf, self.head, self.sent, self.told = bytearray(), True, False, False
        self.sock = socket.socket()
        self.sock.setblocking(False)
        error = self.sock.connect_ex(("127.0.0.1", self.flock.port))
        assert error in (0, errno.EINPROGRESS), error
        self.flock.selector.register(self.sock, selectors.EVENT_WRITE, self)

    def leave(self, wait):
        if self.sock:
            self.flock.selector.unregister(self.sock)
            self.sock.close()
            self.sock = None
        self.due = time.monotonic() + wait
        self.flock.away.append(self)

    def wrong(self, what):
        self.flock.errors.append(f"{self.tenant} ({'sse' if self.sse else 'ws'}, at {self.last}): {what}")

    def on_writable(self):
        error = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            self.flock.refused += 1
            self.leave(0.05)
            return
        self.flock.selector.modify(self.sock, selectors.EVENT_READ, self)
        if self.flock.port in secure.ports:
            self.sock = secure.Secure(self.sock, shake=False)
            self.go_on()
        else:
            self.ask()

    def go_on(self):
        """With the handshake."""
        try:
            if self.sock.shakes():
                self.ask()
        except OSError:
            self.on_end()

    def ask(self):
        more = "" if self.sse else (
            f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n"
        )
        try:
            self.sock.send(f"GET {self.target()} HTTP/1.1\r\nHost: x\r\n{more}\r\n".encode())
        except OSError:
            self.flock.refused += 1
            self.leave(0.05)
            return
        self.sent = True

    def read(self):
        """Takes what has come. Whether more may come."""
        try:
            while data := self.sock.recv(1 << 16):
                self.buf += data
        except BlockingIOError:
            return True
        except OSError:
            pass
        return False

    def on_readable(self):
        if not self.sent:
            self.go_on()
            return
        more = self.read()
        if self.head and b"\r\n\r\n" in self.buf:
            self.on_head()
        if self.sock and not self.head:
            with contextlib.suppress(StopIteration):
                self.on_events() if self.sse else self.on_frames()
        if not more and self.sock:
            self.on_end()

    def on_head(self):
        head, _, rest = bytes(self.buf).partition(b"\r\n\r\n")
        status = int(head.split()[1])
        self.buf = bytearray(rest)
        if status == (200 if self.sse else 101):
            self.head = False
            self.flock.joined += 1
        elif status == 503 and b"\r\nRetry-After: " in head:
            self.flock.turned_away += 1
            self.leave(random.uniform(0.02, 0.2))  # sooner than it is told: the test does not wait that long
        else:
            self.wrong(head)
            self.leave(1)

    def on_end(self):
        if self.head:
            self.flock.unanswered += 1
        elif not self.told:
            self.flock.cut += 1
        self.leave(random.uniform(0.02, 0.2))

    def on_event(self, event):
        if event["seq"] != self.last + 1:
            self.wrong(f"{event['seq']} came next")
        self.last = event["seq"]
        known = self.flock.events.setdefault((self.tenant, self.last), event["id"])
        if known != event["id"]:
            self.wrong("an event is another one than others have seen")
        self.flock.heard += 1

    def on_message(self, message):
        kind = message["type"]
        if kind == "event_created":
            self.on_event(message["event"])
        elif kind == "connection_established":
            self.epoch = message["epoch"]
        else:
            self.wrong(message)

    def on_frames(self):
        buf = self.buf
        while self.sock and len(buf) >= 2:
            n, at = buf[1], 2
            if n == 126:
                n, at = int.from_bytes(buf[2:4], "big"), 4
            if len(buf) < at + n:
                return
            op, payload = buf[0] & 15, bytes(buf[at : at + n])
            del buf[: at + n]
            if op == 1:
                self.on_message(json.loads(payload))
            elif op == 9:
                self.sock.send(frame(10, payload))
            elif op == 8:
                self.told = True
                self.flock.told += 1
                self.flock.hints.add(payload[2:])
                if payload[:2] != b"\x03\xe9" or b"retry in " not in payload:
                    self.wrong(payload)
                with contextlib.suppress(OSError):
                    self.sock.send(frame(8, payload[:2]))
                self.leave(random.uniform(0.0, 0.1))
            else:
                self.wrong(f"opcode {op}")

    def on_events(self):
        while b"\n\n" in self.buf or self.buf.startswith(b"retry:"):
            end = self.buf.find(b"\n\n")
            if end < 0:
                return
            text = bytes(self.buf[:end]).decode()
            del self.buf[: end + 2]
            fields = dict(line.split(": ", 1) for line in text.split("\n") if ": " in line and line[0] != ":")
            if set(fields) == {"retry"}:  # at the beginning, and again before the end
                self.told = self.greeted if hasattr(self, "greeted") else False
                self.flock.told += self.told
                if self.told:
                    self.flock.hints.add(fields["retry"])
                continue
            if "data" not in fields:
                continue
            data = json.loads(fields["data"])
            kind = fields.get("event")
            if kind == "event_created":
                self.on_event(data)
            elif kind == "connection_established":
                self.greeted, self.epoch = True, data["epoch"]
            else:
                self.wrong(text)


class Flock:
    """`count` subscribers of these tenants, every fourth over Server-Sent Events, within a `with` block."""

    def __init__(self, port, tenants, count):
        self.port, self.selector, self.away = port, selectors.DefaultSelector(), []
        self.events, self.errors, self.hints = {}, [], set()
        self.refused = self.turned_away = self.unanswered = self.cut = self.told = self.joined = self.heard = 0
        self.members = [Member(self, tenants[k % len(tenants)], k // len(tenants) % 4 == 3) for k in range(count)]
        self.done = threading.Event()
        self.team = Team()

    def __enter__(self):
        self.away = list(self.members)
        self.team.go(self.run)
        return self

    def run(self):
        try:
            while not self.done.is_set():
                now = time.monotonic()
                here = [m for m in self.away if m.due <= now][:200]
                for m in here:
                    self.away.remove(m)
                    if hasattr(m, "greeted"):
                        del m.greeted
                    m.connect()
                for key, mask in self.selector.select(0.02):
                    if mask & selectors.EVENT_WRITE:
                        key.data.on_writable()
                    else:
                        key.data.on_readable()
        finally:
            for m in self.members:
                if m.sock:
                    m.sock.close()
            self.selector.close()

    def __exit__(self, kind, error, trace):
        self.done.set()
        self.team.join()

    def all_here(self):
        return not self.away and all(m.sock and not m.head for m in self.members)

    def all_at(self, newest):
        """Whether each has come to its tenant's newest event."""
        return all(m.last == newest[m.tenant] for m in self.members)

    def summary(self):
        names = ("joined", "told", "heard", "refused", "turned_away", "unanswered", "cut")
        return {name: getattr(self, name) for name in names}


class Publisher:
    """Publishes as one of these tenants after the other, each event until it is acknowledged, on a thread."""

    def __init__(self, port, tenants, name, pause=0.0):
        self.port, self.tenants, self.name, self.pause = port, tenants, name, pause
        self.acked, self.refused, self.turned_away, self.unanswered = [], 0, 0, 0
        self.statuses = set()
        self.conn = None

    def once(self, tenant, key):
        """The answer, or None."""
        fresh = not self.conn
        try:
            self.conn = self.conn or Http(self.port)
        except OSError:
            self.refused += 1
            return None
        try:
            r = self.conn.request(
                "POST",
                "/events",
                {"X-Tenant-ID": tenant, "Content-Type": "application/json", "Idempotency-Key": key},
                json.dumps({"message": key}).encode(),
            )
        except Eof:
            # A connection that nobody has accepted, and one that was idle, may be gone; who waits for an answer gets it.
            self.refused += fresh
            self.unanswered += not fresh
            self.drop()
            return None
        if "close" in r.tokens("Connection"):
            self.drop()
        return r

    def drop(self):
        if self.conn:
            self.conn.close()
        self.conn = None

    def run(self, done):
        number = 0
        while not done.is_set():
            tenant, key = self.tenants[number % len(self.tenants)], f"{self.name}-{number}"
            end = time.monotonic() + WAIT
            while True:
                r = self.once(tenant, key)
                if r is not None and r.status == 201:
                    e = r.json()
                    self.acked.append((tenant, e["seq"], e["id"], key))
                    break
                if r is not None:
                    self.turned_away += 1
                    assert r.status == 503 and r.header("Retry-After"), r
                assert time.monotonic() < end, "never acknowledged"
                time.sleep(random.uniform(0.01, 0.05))
            number += 1
            if self.pause:
                time.sleep(self.pause)
        self.drop()
