"""Somebody who asks for all that there is, and for what is another's."""

import json
import time

from .http import Http, problem
from .parties import SUBSCRIBERS
from .socketio import Polling, Socket, join, split
from .sse import Sse
from .websocket import WebSocket, refused


class Spy:
    """Asks for all that there is, and for what is another's, while events flow."""

    def __init__(self, world, tenant, rng):
        self.world, self.tenant, self.rng = world, tenant, rng

    def work(self):
        probes = [self.lists, self.one, self.cursors, self.stats, self.named, self.wrong, self.errors, self.public]
        probes += [self.replay, self.snapshots, self.socketio]
        with self.tenant.tape.on():
            while not self.world.quiet:
                self.mine = self.tenant.pick(self.rng, "subscribe")
                self.other = self.rng.choice([t for t in self.world.tenants if t is not self.tenant])
                self.foreign = self.rng.choice(self.other.events) if self.other.events else None
                if self.foreign:
                    self.rng.choice(probes)()
                time.sleep(0.005)

    def ask(self, method, target, headers=None, body=None, credential=None):
        shown = (credential or self.mine).headers
        return self.world.server.request(method, target, {**shown, **(headers or {})}, body)

    def path(self):
        return self.rng.choice(("/events", "/api/events", "/api/v1/events"))

    def lists(self):
        for query in ("", "?limit=1000", "?since=0&limit=1000", "?order=asc", "?from=2020-01-01T00:00:00Z"):
            r = self.ask("GET", self.path() + query)
            assert r.status == 200 and {e["tenant_id"] for e in r.json()["events"]} <= {self.tenant.id}, r
        word = self.foreign["message"].partition(" ")[0]
        for query in (f"?q={word}", f"?type={self.foreign['type']}", f"?since=0&q={word}"):
            r = self.ask("GET", self.path() + query)
            assert r.status == 200 and r.json()["events"] == [], r
        for event in self.tenant.events[-1:]:
            r = self.ask("GET", self.path() + "?q=" + event["message"].partition(" ")[0])
            assert r.json()["events"] == [event], r

    def one(self):
        problem(self.ask("GET", f"{self.path()}/{self.foreign['id']}"), 404, "not_found")
        for event in self.tenant.events[-1:]:
            assert self.ask("GET", f"{self.path()}/{event['id']}").json() == event

    def cursors(self):
        query = f"sinceId={self.foreign['id']}"
        problem(self.ask("GET", f"{self.path()}?{query}"), 400, "bad_request")
        headers, shown = self.mine.way(self.rng)
        problem(refused(WebSocket, self.world.port, f"/ws?{shown}&{query}", headers), 400, "bad_request")
        problem(refused(Sse, self.world.port, f"/api/v1/events/stream?{shown}&{query}", headers), 400, "bad_request")

    def stats(self):
        r = self.ask("GET", f"{self.path()}/stats")
        assert r.json()["tenant_id"] == self.tenant.id, r

    def named(self):
        """Another tenant's name beside a credential of one's own."""
        query = f"{self.mine.query}&tenant={self.other.id}"
        if self.world.mode == "open":
            problem(self.ask("GET", f"/events?tenant={self.other.id}"), 403, "forbidden")
            return
        problem(self.ask("GET", self.path(), {"X-Tenant-ID": self.other.id}), 403, "forbidden")
        problem(self.ask("GET", f"{self.path()}/{self.foreign['id']}?tenant={self.other.id}"), 403, "forbidden")
        problem(refused(WebSocket, self.world.port, f"/ws?{query}"), 403, "forbidden")
        problem(refused(Sse, self.world.port, f"/events?{query}", {"Accept": "text/event-stream"}), 403, "forbidden")
        client = self.rng.choice((Polling, Socket))(self.world.port)
        kind, data = join(client, "/events", {**self.mine.payload, "tenantId": self.other.id})
        assert kind == "4" and data["data"]["code"] == "forbidden", data

    def wrong(self):
        name = {"open": "X-Tenant-ID", "token": "X-User-Token", "key": "X-API-Key"}[self.world.mode]
        r = self.world.server.request("GET", self.path(), {name: "no such one"})
        problem(r, 401, "unauthorized")
        if self.world.mode != "open":  # a name alone
            problem(self.world.server.request("GET", self.path(), {"X-Tenant-ID": self.other.id}), 401, "unauthorized")

    def errors(self):
        pen = self.tenant.pick(self.rng, "publish")
        word = self.tenant.word(self.rng)

        def post(body, kind="application/json", path="/events"):
            return self.ask("POST", path, {"Content-Type": kind}, body.encode(), pen)

        problem(post(f'{{"message":"{word}"'), 400, "bad_request")
        problem(post(f'{{"message":7,"metadata":{{"{word}":1}}}}'), 422, "validation_error")
        problem(post(json.dumps({"message": word * 200})), 413, "too_large")
        problem(post(word, "text/plain"), 415, "unsupported_media_type")
        problem(post("{}", path="/api/v1/events/nowhere/at/all"), 404, "not_found")
        problem(self.ask("DELETE", self.path()), 405, "method_not_allowed")
        problem(self.ask("GET", "/events?limit=0"), 400, "bad_request")

    def public(self):
        """What is nobody's, with and without a credential: where it lists tenants, it is for the public's tape."""
        known = self.world.public if self.world.mode == "open" else self.tenant.tape
        with known.on():
            for target in ("/health", "/api/health", "/livez", "/readyz", "/metrics", "/", "/api/v1/openapi.json",
                           "/api/v1/asyncapi.json", "/api/v1/tenants", f"/api/v1/tenants/{self.other.id}",
                           f"/api/v1/tenants/{self.other.id}/keys"):
                http = Http(self.world.port)
                r = http.request("GET", target, self.mine.headers if self.rng.random() < 0.5 else None)
                allowed = not target.startswith("/api/v1/tenants") or (self.world.mode == "open" and target.endswith("s"))
                assert r.status in ((200, 404) if allowed and "/keys" not in target else (401, 403, 404)), (target, r)
                if target == "/metrics" and self.world.mode != "open":
                    assert r.status == 200 and f'"{self.other.id}"' not in r.body.decode(), r
                http.close()

    def replay(self):
        headers, query = self.mine.way(self.rng)
        ws = WebSocket(self.world.port, f"/ws?{query}", headers)
        ws.recv_json("connection_established")
        for more in ({"since": 0, "limit": 1000}, {"sinceId": self.foreign["id"]}):
            ws.send_json({"type": "replay", "ref": 1, **more, "tenant": self.other.id, "tenant_id": self.other.id})
            got = ws.recv_json()
            while got["type"] == "event_created":
                got = ws.recv_json()
            assert got["type"] == ("error" if "sinceId" in more else "replay_result"), got
        ws.close()

    def snapshots(self):
        headers, query = self.mine.way(self.rng)
        ws = WebSocket(self.world.port, f"/ws?{query}&snapshot=100", headers, offer="permessage-deflate")
        ws.recv_json("connection_established")
        events = ws.recv_json("snapshot")["events"]
        sse = Sse(self.world.port, f"/events?{query}&snapshot=100", {**headers, "Accept": "text/event-stream"})
        sse.expect("connection_established")
        events += sse.expect("snapshot").json()["events"]
        more = {"Last-Event-ID": "0"}
        again = Sse(self.world.port, f"/api/v1/events/stream?{query}", {**headers, **more})
        again.expect("connection_established")
        events += again.events(min(3, len(self.tenant.events)))
        assert {e["tenant_id"] for e in events} <= {self.tenant.id}, events
        for client in (ws, sse, again):
            client.close()

    def socketio(self):
        """Another's position, or its way to recover."""
        client, nsp, payload = self.mine.sio(self.rng.choice(SUBSCRIBERS[3:]), self.rng, self.world.port)
        more = {"sinceId": self.foreign["id"]}
        if self.other.pids and self.rng.random() < 0.5:
            more = {"pid": self.rng.choice(self.other.pids), "offset": "0"}
        kind, data = join(client, nsp, {**(payload or {}), **more})
        if "pid" in more and kind == "0":
            assert data["pid"] not in self.other.pids, data
            kind, where, *_ = split(client.next())
            assert (kind, where) == ("2", nsp)
