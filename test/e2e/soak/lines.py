"""One way to listen, whatever the transport: begin somewhere, and be given events."""

import contextlib
import json
import select
import time
import urllib.parse

from harness import Closed, Eof, Polling, Refused, Socket, Sse, WebSocket, check_hello, split
from harness.websocket import CLOSE

KINDS = ("ws", "deflate", "sse", "polling /", "polling /events", "socket /", "socket /events",
         "upgrade /", "upgrade /events")
STALLED = 4096  # a receive buffer that is soon full


class Poller(Polling):
    def __init__(self, world):
        self.world, self.answered = world, time.monotonic()
        super().__init__(world.port)

    def request(self, *args, **more):
        if self.world.over.is_set():
            raise Eof("there is no connection that could be hung up")
        asked = time.monotonic()
        r = super().request(*args, **more)
        if r.status != 200:
            r.reason += f" ({asked - self.answered:.1f} s after the last answer, asked {time.monotonic() - asked:.1f} s ago)"
            raise Refused(r)
        self.answered = time.monotonic()
        return r


class Gap:
    """Events from `first` to `last` are told to be forgotten."""

    def __init__(self, told):
        self.first, self.last = told["from"], told["to"]


class Unwelcome(Exception):
    """A namespace was refused; the code is an HTTP answer's."""

    def __init__(self, code):
        super().__init__(code)
        self.code = code


BROKEN = (Closed, Eof, OSError, Refused, Unwelcome)  # what a connection looks like that did not live


def start(position, snapshot, epoch):
    """Parameters of a beginning: behind a position, or with a snapshot, or live."""
    if position is not None:
        return {"since": position, **({"epoch": epoch} if epoch else {})}
    return {"snapshot": snapshot} if snapshot is not None else {}


class SentAway(Eof):
    """A poll was told that the session has ended."""


class Line:
    """A connection that listens. `hello` is its greeting, or None where there is none; `position` the seq before the
    next event, or None where the first one tells. What is read are events, and gaps among them."""

    renews = False  # whether another token can be shown over it
    recovered = False  # whether it goes on where its session was

    def __init__(self):
        self.hello = self.position = None
        self.first = []  # events that came with the beginning
        self.answers = []  # to refresh: (number, the end of the token or None, the error's code or None)

    def waiting(self, seconds):
        """Whether there is something to read, or comes within that time."""
        if self.wire.buf or getattr(self.wire.sock, "untaken", False):
            return True
        try:
            return bool(select.select([self.wire.sock], [], [], seconds)[0])
        except ValueError:
            return True  # closed under us: reading tells

    def ports(self):
        with contextlib.suppress(OSError):
            return [self.wire.sock.getsockname()[1]]
        return []

    def hang_up(self):
        """By another thread: whoever reads is told that this is the end."""
        with contextlib.suppress(OSError):
            self.wire.sock.shutdown(2)

    def shut(self):
        """A polite end, where there is one."""
        self.close()

    def reset(self):
        self.wire.reset()

    def close(self):
        self.wire.close()


class WsLine(Line):
    renews = True

    def __init__(self, world, ledger, key, kind, begin, rcvbuf):
        super().__init__()
        query = urllib.parse.urlencode({**key.query, **begin})
        offer = "permessage-deflate" if kind == "deflate" else None
        self.ws = WebSocket(world.port, f"/ws?{query}", offer=offer, rcvbuf=rcvbuf)
        self.wire = self.ws.wire
        self.hello = check_hello(self.ws.recv_json("connection_established"), ledger.id)
        self.position = begin.get("since", self.hello["seq"])
        if "snapshot" in begin:
            shot = self.ws.recv_json("snapshot")
            self.first, self.position = shot["events"], shot["seq"] - len(shot["events"])

    def read(self):
        obj = self.ws.recv_json()
        if obj["type"] == "event_created":
            return [obj["event"]]
        if obj["type"] == "gap":
            return [Gap(obj)]
        if obj["type"] == "refreshed":
            self.answers.append((obj["ref"], obj["expires_at"], None))
        elif obj["type"] == "error":
            self.answers.append((obj["ref"], None, obj["code"]))
        else:
            assert obj["type"] == "system_message", obj
        return []

    def refresh(self, number, token):
        self.ws.send_json({"type": "refresh", "ref": number, "token": token})

    def shut(self):
        with contextlib.suppress(Eof):
            self.ws.send_frame(CLOSE, b"\x03\xe8")
        self.close()


class SseLine(Line):
    def __init__(self, world, ledger, key, kind, begin, rcvbuf):
        super().__init__()
        query = urllib.parse.urlencode(begin)
        headers = key.headers
        self.sse = Sse(world.port, f"/api/v1/events/stream?{query}", headers, rcvbuf=rcvbuf)
        self.wire = self.sse.wire
        self.hello = check_hello(self.sse.expect("connection_established").json(), ledger.id, kind=False)
        self.position = begin.get("since", self.hello["seq"])
        if "snapshot" in begin:
            shot = self.sse.expect("snapshot").json()
            self.first, self.position = shot["events"], shot["seq"] - len(shot["events"])

    def waiting(self, seconds):
        return b"\n\n" in self.sse.text or super().waiting(seconds)

    def read(self):
        e = self.sse.recv()
        if e.kind == "system_message":
            return []
        if e.kind == "gap":
            return [Gap(e.json())]
        assert e.kind == "event_created" and e.id == str(e.json()["seq"]), e
        return [e.json()]


class SioLine(Line):
    renews = True

    def __init__(self, world, ledger, key, kind, begin, rcvbuf, recover=None):
        super().__init__()
        transport, self.nsp = kind.split()
        self.client = Socket(world.port, rcvbuf=rcvbuf) if transport == "socket" else Poller(world)
        self.wire = self.client.ws.wire if transport == "socket" else None
        self.held = []  # what a poll had brought before the transport was changed
        head = "" if self.nsp == "/" else f"{self.nsp},"
        auth = {**key.auth, **(recover or begin)}
        self.client.send(f"40{head}{json.dumps(auth)}")
        kind, _, _, data = self.packet()
        if kind == "4":
            raise Unwelcome(data["data"]["code"])
        assert kind == "0", (kind, data)
        self.pid = data["pid"]
        self.recovered = bool(recover) and recover["pid"] == self.pid
        if self.nsp == "/":
            self.hello = check_hello(self.told("connection_established")[1], ledger.id)
        self.position = begin.get("since")
        if not self.recovered:
            asked = "since" in begin and not recover
            _, self.first, offset = self.array(asked)
            if not asked:
                self.position = int(offset) - len(self.first)
        if transport == "upgrade":
            self.upgrade(rcvbuf)

    def upgrade(self, rcvbuf):
        """From polling to WebSocket, while events flow."""
        ws = self.client.probe(rcvbuf=rcvbuf)
        self.wire = ws.wire
        ws.send_text("2probe")
        assert ws.recv()[1] == b"3probe"
        ws.send_text("5")
        self.held, self.client = self.client.waiting, Socket(self.client.port, ws=ws)

    def array(self, asked):
        """What it begins with, behind a gap where it was asked for what is behind a seq."""
        kind, nsp, number, data = self.packet()
        assert kind == "2" and nsp == self.nsp and number is None, (kind, nsp, data)
        gaps = []
        if data[0] == "gap" and asked:
            gaps, data = [Gap(data[1])], self.told("initial_events" if nsp == "/" else "snapshot")
        assert data[0] == ("initial_events" if nsp == "/" else "snapshot"), data
        return data[0], gaps + data[1], data[2]

    def packet(self):
        packet = self.held.pop(0) if self.held else self.client.next()
        if packet == "2":
            self.client.send("3")
            return self.packet()
        if packet[0] in "16":  # closed, or nothing more for this poll
            raise SentAway(f"Engine.IO said {packet}")
        return split(packet)

    def told(self, name):
        kind, nsp, number, data = self.packet()
        assert kind == "2" and nsp == self.nsp and number is None and data[0] == name, (kind, nsp, data)
        return data

    def waiting(self, seconds):
        return True if self.wire is None or self.held else super().waiting(seconds)

    def read(self):
        kind, nsp, number, data = self.packet()
        if kind == "1":
            raise Eof("the namespace was disconnected")
        if kind == "3":
            self.answers.append((number, data[0].get("expires_at"), data[0].get("error", {}).get("code")))
            return []
        assert kind == "2" and nsp == self.nsp, (kind, nsp, data)
        if data[0] == "system_message":
            return []
        if data[0] == "gap":
            return [Gap(data[1])]
        assert data[0] == "event_created" and data[2] == str(data[1]["seq"]), data
        return [data[1]]

    def refresh(self, number, token):
        head = "" if self.nsp == "/" else f"{self.nsp},"
        self.client.send(f"42{head}{number}{json.dumps(['refresh', {'token': token}])}")

    def ports(self):
        return super().ports() if self.wire else []

    def hang_up(self):
        if self.wire:
            super().hang_up()

    def shut(self):
        with contextlib.suppress(Eof, OSError, AssertionError, Refused):
            self.client.send("1")
        self.close()

    def reset(self):
        if self.wire:
            self.wire.reset()

    def close(self):
        if self.wire:
            self.wire.close()


def connect(world, ledger, key, kind, begin, rcvbuf=None, recover=None):
    if kind == "sse":
        return SseLine(world, ledger, key, kind, begin, rcvbuf)
    if " " in kind:
        return SioLine(world, ledger, key, kind, begin, rcvbuf, recover)
    return WsLine(world, ledger, key, kind, begin, rcvbuf)
