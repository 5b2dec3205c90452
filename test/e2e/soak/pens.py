"""Publishers: over each transport, under keys, in batches; some are gone before they have an answer."""

import json
import urllib.parse

from harness import Http, Refused, WebSocket

from .lines import BROKEN, connect
from .party import STATUSES, WORDS, Party, causes_of

JSON = "application/json"


def is_last(r):
    """Whether the connection ends with that answer."""
    return "close" in r.tokens("Connection")


class Pen(Party):
    def __init__(self, world, slot, name):
        super().__init__(world, slot, name)
        self.ways = [self.rest, self.rest, self.keyed, self.batch, self.websocket, self.socketio]
        self.sent = self.limited = 0

    def work(self):
        self.world.rest()
        if self.slot.ledger is self.ledger and not self.world.over.is_set():
            way = self.rng.choice(self.ways)
            # What has been forgotten is no answer to a repeat.
            (self.rest if way == self.keyed and self.ledger.terms.asked else way)()

    def pace(self):
        """Whether it goes on with this connection. While all are waited for nobody publishes."""
        self.world.over.wait(self.rng.uniform(0.5, 1.5) * self.world.pause)
        return not self.world.quiet.is_set() and not self.world.over.is_set()

    def sometimes(self, share=0.03):
        return self.rng.random() < share

    # HTTP.

    def http(self):
        http = Http(self.world.port)
        self.wire = http.wire
        return http

    def post(self, http, messages, body, path="/events", kind=JSON, **more):
        """The answer; where there is none, what was sent may be in the log, or not."""
        headers = {**self.key.headers, "Content-Type": kind, **more}
        self.sent += len(messages)
        try:
            if self.sometimes():
                http.send(http.build("POST", path, headers, body))
                http.reset()
                raise ConnectionAbortedError("the publisher is gone")
            return http.request("POST", path, headers, body)
        except BROKEN as e:
            self.ledger.lose(messages)
            self.explain(e, causes_of(e) - {"upgrade"})  # which leaves no request without an answer
            raise

    def answered(self, r, messages, again=False):
        """Whether it is in the log. Where an attempt before may have succeeded, a refusal is none of the event."""
        if r.status == 201:
            events = r.json()
            self.ledger.ack(messages, events["events"] if "events" in events else [events])
            return True
        (self.ledger.lose if again else self.ledger.refuse)(messages)
        self.explain(Refused(r))
        self.limited += r.status == 429
        return False

    def rest(self):
        http = self.http()
        while self.pace():
            draft = self.ledger.draft(self.rng)
            path = self.rng.choice(("/events", "/api/events", "/api/v1/events"))
            messages = [draft["message"]]
            r = self.post(http, messages, json.dumps(draft).encode(), path)
            if not self.answered(r, messages) or is_last(r) or self.sometimes(0.05):
                break
        self.done(http)

    def done(self, client):
        self.rng.choice((client.close, client.reset))()

    def explain(self, error, allowed=None):
        if not isinstance(error, ConnectionAbortedError):
            super().explain(error, allowed)

    def keyed(self):
        """Asks until it is answered; however often, it is one event."""
        while self.pace():
            draft = self.ledger.draft(self.rng)
            self.insist(draft, json.dumps(draft).encode(), f"key-{draft['message'].partition(' ')[0]}")
            if self.sometimes(0.2):
                return

    def insist(self, draft, body, key):
        http, first, messages, again = None, None, [draft["message"]], False
        repeats = self.rng.choice((0, 0, 1, 2))
        while not self.world.over.is_set():
            try:
                http = http or self.http()
                self.ledger.send(messages)
                r = self.post(http, messages, body, "/events", **{"Idempotency-Key": key})
                if self.answered(r, messages, again):
                    again = True
                    replayed = r.header("Idempotent-Replayed")
                    assert not first or (replayed == "true" and r.body == first), (first, r)
                    first = r.body
                    if repeats == 0:
                        return self.done(http)
                    repeats -= 1
                elif r.status == 401:
                    return self.done(http)
                if is_last(r):
                    http = http.close()
            except BROKEN as e:
                self.explain(e)
                http, again = None, True
            if self.ledger.removed or self.key.revoked:
                break
            self.world.over.wait(self.rng.uniform(0.01, 0.2))
        return http and http.close()

    def batch(self):
        http = self.http()
        while self.pace():
            drafts = [self.ledger.draft(self.rng) for _ in range(self.rng.randrange(1, 12))]
            if self.rng.randrange(2):
                body, kind = json.dumps(drafts).encode(), JSON
            else:
                body, kind = b"\n".join(json.dumps(d).encode() for d in drafts), "application/x-ndjson"
            messages = [d["message"] for d in drafts]
            r = self.post(http, messages, body, "/api/v1/events/batch", kind)
            if not self.answered(r, messages) or is_last(r) or self.sometimes(0.3):
                break
        self.done(http)

    # Over connections that listen as well.

    def command(self, message, ask, answer):
        """Sends, and takes ("ack", event) or ("error", code)."""
        self.sent += 1
        try:
            ask()
            if self.sometimes():
                self.vanish()
                raise ConnectionAbortedError("the publisher is gone")
            kind, what = answer()
        except BROKEN:
            self.ledger.lose([message])
            raise
        if kind == "ack":
            self.ledger.ack([message], [what])
            return True
        self.ledger.refuse([message])
        self.explain(AssertionError(f"post_event: {what}"), STATUSES.get(WORDS.get(what), set()))
        self.limited += what == "rate_limited"
        return False

    def vanish(self):
        if self.wire:
            self.wire.reset()

    def websocket(self):
        offer = self.rng.choice((None, "permessage-deflate"))
        ws = WebSocket(self.world.port, f"/api/v1/ws?{urllib.parse.urlencode(self.key.query)}", offer=offer)
        self.wire, number = ws.wire, 0
        ws.recv_json("connection_established")

        def answer():
            while True:
                obj = ws.recv_json()
                if obj["type"] in ("ack", "error"):
                    assert obj["ref"] == number, obj
                    return obj["type"], obj.get("event") or obj.get("code")
                if obj["type"] == "event_created":
                    self.ledger.sight(obj["event"])

        while self.pace():
            number += 1
            draft = self.ledger.draft(self.rng)
            asked = {"type": "post_event", "ref": number, **draft}
            if not self.command(draft["message"], lambda: ws.send_json(asked, deflated=bool(offer)), answer):
                break
            if self.sometimes(0.05):
                break
        self.done(ws)

    def socketio(self):
        kind = self.rng.choice(("polling /", "polling /events", "socket /", "socket /events"))
        line = connect(self.world, self.ledger, self.key, kind, {})
        self.wire, number = line.wire, 0
        # One that polls hears something only while it asks, and may be behind what is kept by then.
        self.stalled = kind.startswith("polling") and self.ledger.terms.asked
        head = "" if line.nsp == "/" else f"{line.nsp},"

        def answer():
            while True:
                kind, _, ref, data = line.packet()
                if kind == "3":
                    assert ref == number, (ref, number)
                    return ("ack", data[0]["event"]) if "event" in data[0] else ("error", data[0]["error"]["code"])
                if kind == "2" and data[0] == "event_created":
                    self.ledger.sight(data[1])

        while self.pace():
            number += 1
            draft = self.ledger.draft(self.rng)
            packet = f"42{head}{number}{json.dumps(['post_event', draft])}"
            if not self.command(draft["message"], lambda: line.client.send(packet), answer):
                break
            if self.sometimes(0.1):
                break
        line.shut()
