"""A Socket.IO client on raw sockets: long-polling with a connection for each request, or WebSocket."""

import json

from .http import Http
from .websocket import WebSocket

SEPARATOR = "\x1e"
QUERY = "EIO=4&transport="
ERRORS = {
    0: "Transport unknown",
    1: "Session ID unknown",
    2: "Bad handshake method",
    3: "Bad request",
    4: "Forbidden",
    5: "Unsupported protocol version",
}


def refused_as(r, code):
    """Checks a refusal in Engine.IO's own form."""
    assert r.status == (403 if code == 4 else 400), r
    assert r.header("Content-Type", "").startswith("application/json"), r
    assert r.json() == {"code": code, "message": ERRORS[code]}, r


def split(packet):
    """A Socket.IO event or acknowledgement: (type, namespace, id, data)."""
    assert packet[0] == "4", packet
    kind, rest, nsp, number = packet[1], packet[2:], "/", None
    if rest.startswith("/"):
        nsp, _, rest = rest.partition(",")
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    if digits:
        number, rest = int(digits), rest[len(digits) :]
    return kind, nsp, number, json.loads(rest) if rest else None


class Polling:
    """An Engine.IO session over HTTP. Each request goes over a connection of its own, so that it meets any worker."""

    def __init__(self, port, query="", path="/socket.io/", headers=None, standing=True):
        self.port, self.path, self.headers, self.standing = port, path, headers, standing
        self.query = f"&{query}" if query else ""
        self.waiting = []
        r = self.request("GET", sid=False)
        assert r.status == 200 and r.header("Content-Type") == "text/plain; charset=UTF-8", r
        assert r.body[:1] == b"0", r
        self.open = json.loads(r.body[1:])
        self.sid = self.open["sid"]

    def target(self, sid=True):
        return f"{self.path}?{QUERY}polling{self.query}" + (f"&sid={self.sid}" if sid else "")

    def request(self, method, body=None, sid=True, wait=None):
        http = Http(self.port, wait=wait, standing=self.standing)
        try:
            return http.request(method, self.target(sid), self.headers, body)
        finally:
            http.close()

    def poll_later(self):
        """A poll whose answer is read by and by."""
        http = Http(self.port, standing=self.standing)
        http.send(http.build("GET", self.target(), self.headers))
        return http

    def poll(self, wait=None):
        """The packets of one poll."""
        r = self.request("GET", wait=wait)
        assert r.status == 200, r
        return r.body.decode().split(SEPARATOR)

    def post(self, *packets):
        return self.request("POST", SEPARATOR.join(packets))

    def send(self, *packets):
        r = self.post(*packets)
        assert r.status == 200 and r.body == b"ok", r

    def next(self, wait=None):
        """The next packet that is no ping; pings are answered."""
        while True:
            while not self.waiting:
                self.waiting = self.poll(wait)
            packet = self.waiting.pop(0)
            if packet != "2":
                return packet
            self.send("3")

    def probe(self, **more):
        return WebSocket(self.port, f"{self.path}?{QUERY}websocket&sid={self.sid}", standing=self.standing, **more)


class Socket:
    """The same over WebSocket."""

    def __init__(self, port, query="", path="/socket.io/", ws=None, standing=True, **more):
        more["standing"] = standing
        self.ws = ws or WebSocket(port, f"{path}?{QUERY}websocket" + (f"&{query}" if query else ""), **more)
        if not ws:
            packet = self.ws.recv()[1].decode()
            assert packet[0] == "0", packet
            self.open = json.loads(packet[1:])

    def send(self, *packets):
        for packet in packets:
            self.ws.send_text(packet)

    def next(self, wait=None):
        while True:
            packet = self.ws.recv(wait)[1].decode()
            if packet != "2":
                return packet
            self.send("3")

    def close(self):
        self.ws.close()


def join(client, nsp="/", auth=None):
    """Connects to a namespace; the answer to CONNECT."""
    head = "" if nsp == "/" else f"{nsp},"
    client.send(f"40{head}" + (json.dumps(auth) if auth is not None else ""))
    kind, where, _, data = split(client.next())
    assert where == nsp, where
    return kind, data


def joined(client, nsp="/", auth=None):
    """The same, which has to succeed and to begin anew; the events that it begins with, and their offset."""
    kind, data = join(client, nsp, auth)
    assert kind == "0" and set(data) == {"sid", "pid"}, data
    client.pid, client.name = data["pid"], data["sid"]
    if nsp == "/":
        assert event(client)[0] == "connection_established"
    name, events, offset = event(client, nsp)
    assert name == ("initial_events" if nsp == "/" else "snapshot"), name
    return events, offset


def event(client, nsp="/", wait=None):
    """The next event's name and arguments."""
    kind, where, number, data = split(client.next(wait))
    assert kind == "2" and where == nsp and number is None, (kind, where, data)
    return data


def created(client, count, nsp="/"):
    """The next `count` events of the feed, each with its seq as the offset."""
    out = []
    for _ in range(count):
        name, e, offset = event(client, nsp)
        assert name == "event_created" and offset == str(e["seq"]), (name, offset)
        out.append(e)
    return out
