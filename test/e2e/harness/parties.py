"""The parties of a random world: tenants with words of their own, who publish and subscribe in every way there is."""

import json

from .http import Http, problem
from .socketio import Polling, Socket, created, joined, split
from .sse import Sse
from .tape import Tape, canary
from .websocket import WebSocket

ALL = ("publish", "subscribe")
SUBSCRIBERS = ("ws", "deflate", "sse", "polling /", "polling /events", "socket /", "socket /events")
PENS = ("rest", "again", "batch", "ndjson", "ws", "polling /", "polling /events", "socket /", "socket /events")


class Credential:
    """What is shown: as headers, as parameters, or as the payload of a Socket.IO CONNECT."""

    def __init__(self, headers, query, payload, author=None, scopes=ALL, tenant=None):
        self.headers, self.query, self.payload = headers, query, payload
        self.author, self.scopes, self.tenant = author, scopes, tenant

    def way(self, rng):
        """Headers and parameters of a handshake: one or the other."""
        return (self.headers, "") if rng.random() < 0.5 else ({}, self.query)

    def sio(self, kind, rng, port):
        """A Socket.IO client and the payload to join a namespace with."""
        transport, nsp = kind.split()
        make = Polling if transport == "polling" else Socket
        ways = [({}, "", self.payload), (self.headers, "", None), ({}, self.query, None)]
        headers, query, payload = rng.choice(ways)
        if self.tenant and payload:  # in open mode each namespace has its own word for it
            payload = {"tenant" if nsp == "/" else "tenantId": self.tenant}
        return make(port, query, headers=headers), nsp, payload


class Tenant:
    def __init__(self, number, rng):
        self.number = number
        self.id = canary(rng, number, "t")
        self.author = canary(rng, number, "a")
        self.tape = Tape(number)
        self.credentials, self.secrets = [], []
        self.acked = {}  # seq: message
        self.events = []  # as they were acknowledged
        self.pids = []
        self.keys = 0  # pens that publish under keys which everybody uses

    def pick(self, rng, scope):
        return rng.choice([c for c in self.credentials if scope in c.scopes])

    def word(self, rng):
        return canary(rng, self.number, "c")

    def draft(self, rng, kind="type"):
        w = self.word(rng)
        return {"message": f"{w} & <{w}>", "metadata": {self.word(rng): [w, {"deep": self.word(rng)}]}, kind: self.word(rng)}

    def ack(self, event, draft, credential):
        assert event["tenant_id"] == self.id and event["message"] == draft["message"], event
        assert event.get("author") == credential.author, event
        assert event["seq"] not in self.acked, event
        self.acked[event["seq"]] = event["message"]
        self.events.append(event)


class Subscriber:
    """Joins before anything is published, or later from the beginning; keeps what it is shown."""

    def __init__(self, world, tenant, kind, rng, late=False):
        self.tenant, self.kind, self.seen = tenant, kind, {}
        credential = tenant.pick(rng, "subscribe")
        headers, query = credential.way(rng)
        query += "&since=0" if late else ""
        if kind in ("ws", "deflate"):
            offer = "permessage-deflate" if kind == "deflate" else None
            self.client = WebSocket(world.port, f"/ws?{query}", headers, offer=offer)
            assert self.client.recv_json("connection_established")["tenant_id"] == tenant.id
        elif kind == "sse":
            self.client = Sse(world.port, f"/api/v1/events/stream?{query}", headers)
            assert self.client.expect("connection_established").json()["tenant_id"] == tenant.id
        else:
            self.client, self.nsp, payload = credential.sio(kind, rng, world.port)
            assert joined(self.client, self.nsp, payload)[0] == []
            tenant.pids.append(self.client.pid)

    def read(self, last):
        """Up to the event whose message that is."""
        while last not in self.seen.values():
            if " " in self.kind:
                (e,) = created(self.client, 1, self.nsp)
            else:
                (e,) = self.client.events(1)
            assert e["seq"] == len(self.seen) + 1 and e["tenant_id"] == self.tenant.id, (self.kind, e)
            self.seen[e["seq"]] = e["message"]


class Pen:
    """Publishes some events of one tenant over one transport."""

    def __init__(self, world, tenant, kind, rng):
        self.world, self.tenant, self.kind, self.rng = world, tenant, kind, rng
        self.credential = tenant.pick(rng, "publish")
        if kind == "ws" or " " in kind:  # who publishes there subscribes as well
            both = [c for c in tenant.credentials if set(ALL) <= set(c.scopes)]
            self.credential = rng.choice(both)

    def write(self, count):
        with self.tenant.tape.on():
            how = {"rest": self.rest, "again": self.again, "batch": self.batch, "ndjson": self.batch, "ws": self.ws}
            how.get(self.kind, self.sio)(count)

    def post(self, http, body, path="/api/v1/events", kind="application/json", **more):
        headers = {**self.credential.headers, "Content-Type": kind, **more}
        return http.request("POST", path, headers, body if isinstance(body, bytes) else json.dumps(body).encode())

    def rest(self, count):
        http = Http(self.world.port)
        for _ in range(count):
            draft = self.tenant.draft(self.rng)
            r = self.post(http, draft, self.rng.choice(("/events", "/api/events", "/api/v1/events")))
            assert r.status == 201, r
            self.tenant.ack(r.json(), draft, self.credential)

    def again(self, count):
        """Each twice, and then something else, under a key that is everybody's or one of its own."""
        http = Http(self.world.port)
        number = self.tenant.keys = self.tenant.keys + 1
        for i in range(count):
            draft = self.tenant.draft(self.rng)
            key = {"Idempotency-Key": self.tenant.word(self.rng) if i % 2 else f"key-{number}-{i}"}
            first, again, other = (self.post(http, d, **key) for d in (draft, draft, self.tenant.draft(self.rng)))
            assert first.status == again.status == 201, (first, again)
            assert again.header("Idempotent-Replayed") == "true" and again.body == first.body, again
            problem(other, 422, "validation_error")
            self.tenant.ack(first.json(), draft, self.credential)

    def batch(self, count):
        drafts = [self.tenant.draft(self.rng) for _ in range(count)]
        lines = b"\n".join(json.dumps(d).encode() for d in drafts)
        body, kind = (lines, "application/x-ndjson") if self.kind == "ndjson" else (drafts, "application/json")
        r = self.post(Http(self.world.port), body, "/api/v1/events/batch", kind)
        assert r.status == 201, r
        for event, draft in zip(r.json()["events"], drafts, strict=True):
            self.tenant.ack(event, draft, self.credential)

    def ws(self, count):
        headers, query = self.credential.way(self.rng)
        ws = WebSocket(self.world.port, f"/api/v1/ws?{query}", headers)
        for i in range(count):
            draft = self.tenant.draft(self.rng, "event_type")
            ws.send_json({"type": "post_event", "ref": i, **draft})
            ack, before = ws.recv_until("ack")
            assert ack["ref"] == i and not [b for b in before if b["type"] == "error"], (ack, before)
            self.tenant.ack(ack["event"], draft, self.credential)

    def sio(self, count):
        client, nsp, payload = self.credential.sio(self.kind, self.rng, self.world.port)
        joined(client, nsp, payload)
        head = "" if nsp == "/" else f"{nsp},"
        for i in range(count):
            draft = self.tenant.draft(self.rng)
            client.send(f"42{head}{i}" + json.dumps(["post_event", draft]))
            packets = iter(lambda: split(client.next()), None)
            number, data = next((p[2], p[3]) for p in packets if p[0] == "3")
            assert number == i and "event" in data[0], data
            self.tenant.ack(data[0]["event"], draft, self.credential)
