"""Calls, states of a credential, and what has to come of the two.

A call says what it asks for, a state what it is worth; `expected` is a few rules for all cells. Where a state is shown, it
is in the form that the call has for it: headers, parameters, or the payload of a Socket.IO CONNECT, whose codes are read
as the statuses that have them.
"""

import base64
import itertools
import json
from urllib.parse import quote

from .http import Http, problem
from .server import Server
from .socketio import Polling, Socket, join, split
from .sse import Sse
from .websocket import Refused, WebSocket

ADMIN = "the-key-of-the-administrator"
CODES = {400: "bad_request", 401: "unauthorized", 403: "forbidden", 404: "not_found", 405: "method_not_allowed",
         409: "conflict", 413: "too_large", 422: "validation_error", 429: "rate_limited", 503: "unavailable"}
STATUS = {code: status for status, code in CODES.items()}
BOTH = frozenset(("publish", "subscribe"))
FRESH = itertools.count()

# What is asked for, and what the answer is for who has it. Of the administrator's calls, those with {id} are also for a
# credential of that tenant with the scope `admin`.
CALLS = {
    "publish": ({"publish"}, 201),
    "batch": ({"publish"}, 201),
    "list": ({"subscribe"}, 200),
    "one": ({"subscribe"}, 200),
    "stats": ({"subscribe"}, 200),
    "sse, headers": ({"subscribe"}, 200),
    "sse, parameters": ({"subscribe"}, 200),
    "websocket, headers": ({"subscribe"}, 101),
    "websocket, parameters": ({"subscribe"}, 101),
    "websocket, post_event": (BOTH, 201),
    "socket.io polling /, headers": ({"subscribe"}, 200),
    "socket.io polling /events, payload": ({"subscribe"}, 200),
    "socket.io websocket /, payload": ({"subscribe"}, 200),
    "socket.io websocket /events, parameters": ({"subscribe"}, 200),
    "socket.io websocket /events, post_event": (BOTH, 201),
    "create tenant": ("admin", 201),
    "list tenants": ("admin", 200),
    "get tenant {id}": ("admin", 200),
    "change tenant": ("admin", 200),
    "delete tenant": ("admin", 204),
    "create key {id}": ("admin", 201),
    "list keys {id}": ("admin", 200),
    "delete key {id}": ("admin", 204),
    "order token": ("key", 200),
    "tenantStats": ("stats", "shown"),
}


class State:
    """A credential as it is shown. `fault` is the status of one that is good for nothing; else it has `scopes` at the
    tenant `ours`, or is the administrator's."""

    def __init__(self, name, headers=(), query="", payload=None, scopes=(), fault=None, admin=False, key=False):
        self.name, self.headers, self.query, self.payload = name, list(headers), query, payload or {}
        self.scopes, self.fault, self.admin, self.key = frozenset(scopes), fault, admin, key

    def naming(self, tenant):
        self.headers.append(("X-Tenant-ID", tenant))
        self.query += f"&tenant={quote(tenant)}"
        self.payload = {**self.payload, "tenant": tenant, "tenantId": tenant}
        return self


def api_key(name, value, **more):
    return State(name, [("X-API-Key", value)], f"api_key={value}", {"apiKey": value}, **more)


def bearer(name, value, **more):
    return State(name, [("Authorization", f"Bearer {value}")], f"token={value}", {"token": value}, **more)


def user(name, value, **more):
    return State(name, [("X-User-Token", value)], f"token={value}", {"token": value}, **more)


def expected(mode, call, state):
    asks, good = CALLS[call]
    if call == "order token" and mode != "key":  # whoever may is told that there are none in this mode
        return 409 if state.admin or (mode == "token" and not state.fault) else state.fault or 401
    if asks == "stats":  # no question of who may ask, but of what is in the answer
        return "shown" if mode == "open" or state.admin else "hidden"
    if asks == "admin" and state.admin:
        return good
    if asks == "admin" and mode == "open":
        return good if call == "list tenants" else state.fault or 401
    if asks == "key" and (state.admin or (state.key and not state.fault)):
        return good
    if state.fault:
        return state.fault
    if asks == "admin":
        return good if "{id}" in call and "admin" in state.scopes else 403
    if asks == "key":
        return 403
    return good if asks <= state.scopes else 403


class Matrix:
    """A server with the tenants `ours` and `theirs`, and what one may do there with a state."""

    def __init__(self, mode, *flags, env=None):
        self.mode = mode
        more = {"env": {"CARILLON_ADMIN_KEY": ADMIN, **(env or {})}, "auth": mode, "tenants": False}
        self.server = Server("--threads", 2, "--tenants", "ours,theirs", *flags, **more)

    def __enter__(self):
        self.server.__enter__()
        self.states, self.event = [], None
        return self

    def __exit__(self, *trace):
        return self.server.__exit__(*trace)

    def http(self, method, target, headers=(), body=None, **more):
        headers = list(headers) + ([("Content-Type", "application/json")] if body is not None else [])
        http = Http(self.server.port)
        try:
            return http.request(method, target, headers, body and json.dumps(body).encode(), **more)
        finally:
            http.close()

    def admin(self, method, path, body=None):
        r = self.http(method, f"/api/v1/tenants{path}", [("Authorization", f"Bearer {ADMIN}")], body)
        assert r.status in (200, 201, 204), r
        return r.json() if r.body else None

    def publish(self, state):
        r = self.http("POST", "/events", state.headers, {"message": "hello"})
        assert r.status == 201, r
        self.event = r.json()["id"]

    # The calls. Each returns a status.

    def rest(self, call, state):
        fresh = f"fresh{next(FRESH)}"
        target = fresh if state.admin and call == "delete tenant" else "ours"
        if target != "ours":
            self.admin("POST", "", {"id": target})
        kid = self.admin("POST", "/ours/keys", {})["id"] if call == "delete key {id}" else None
        method, path, body = {
            "publish": ("POST", "/api/v1/events", {"message": "x"}),
            "batch": ("POST", "/api/v1/events/batch", [{"message": "x"}, {"message": "y"}]),
            "list": ("GET", "/events?limit=3", None),
            "one": ("GET", f"/api/v1/events/{self.event}", None),
            "stats": ("GET", "/api/events/stats", None),
            "create tenant": ("POST", "/api/v1/tenants", {"id": fresh}),
            "list tenants": ("GET", "/api/v1/tenants", None),
            "get tenant {id}": ("GET", f"/api/v1/tenants/{target}", None),
            "change tenant": ("PATCH", f"/api/v1/tenants/{target}", {"name": "changed"}),
            "delete tenant": ("DELETE", f"/api/v1/tenants/{target}", None),
            "create key {id}": ("POST", f"/api/v1/tenants/{target}/keys", {}),
            "list keys {id}": ("GET", f"/api/v1/tenants/{target}/keys", None),
            "delete key {id}": ("DELETE", f"/api/v1/tenants/{target}/keys/{kid}", None),
            "order token": ("POST", f"/api/v1/tenants/{target}/token", {"sub": "s", "scopes": ["publish"], "ttl_s": 60}),
        }[call]
        headers = state.headers
        if self.mode == "open" and state.name == "nothing":
            headers = []
        r = self.http(method, path, headers, body)
        if r.status >= 400:
            problem(r, r.status, CODES[r.status])
        return r.status

    def tenant_stats(self, _, state):
        r = self.http("GET", "/api/health", state.headers)
        assert r.status == 200, r
        return "shown" if "tenantStats" in r.json()["eventStats"] else "hidden"

    def sse(self, call, state):
        by_headers = call.endswith("headers")
        target = "/api/v1/events/stream" + ("" if by_headers else f"?{state.query}")
        client = Sse(self.server.port, target, state.headers if by_headers else None)
        client.expect("connection_established")
        client.close()
        return 200

    def websocket(self, call, state):
        by_headers = call.endswith("headers")
        headers = []
        if by_headers:
            headers = state.headers
        ws = self.socket("/ws" + ("" if by_headers else f"?{state.query}"), headers)
        assert ws.recv_json("connection_established")["tenant_id"] == "ours"
        status = 101
        if call.endswith("post_event"):
            ws.send_json({"type": "post_event", "ref": 1, "message": "x"})
            answer = ws.recv_json()
            while answer["type"] == "event_created":
                answer = ws.recv_json()
            status = 201 if answer["type"] == "ack" else STATUS[answer["code"]]
        ws.close()
        return status

    def socket(self, target, headers):
        """A header that is there twice does not fit into a dictionary."""
        names = [name for name, _ in headers]
        if len(set(names)) == len(names):
            return WebSocket(self.server.port, target, dict(headers))
        upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
        key = {"Sec-WebSocket-Key": base64.b64encode(bytes(16)).decode()}
        raise Refused(self.http("GET", target, [*upgrade.items(), *key.items(), *headers]))

    def socketio(self, call, state):
        _, transport, nsp, form = call.replace(",", "").split(" ")
        headers, query, payload = [], "", None
        if form == "headers" or (form == "payload" and not state.payload):
            headers = state.headers
        elif form == "parameters" or not state.payload:
            query = state.query.strip("&")
        else:
            payload = {k: v for k, v in state.payload.items() if k != ("tenantId" if nsp == "/" else "tenant")}
        if transport == "polling":
            client = Polling(self.server.port, query, headers=headers)
        elif headers:
            client = Socket(self.server.port, query, headers=dict(headers))
        else:
            client = Socket(self.server.port, query)
        kind, data = join(client, nsp, payload)
        if kind == "4":
            return STATUS[data["data"]["code"]]
        status = 200
        if form == "post_event":
            client.send('42/events,1["post_event",{"message":"x"}]')
            packet = split(client.next())
            while packet[0] != "3":
                packet = split(client.next())
            answer = packet[3][0]
            status = 201 if "event" in answer else STATUS[answer["error"]["code"]]
        return status

    def do(self, call, state):
        kind = call.replace(",", " ").split()[0]
        how = {"sse": self.sse, "websocket": self.websocket, "socket.io": self.socketio, "tenantStats": self.tenant_stats}
        try:
            return how.get(kind, self.rest)(call, state)
        except Refused as refused:
            r = refused.response
            problem(r, r.status, CODES[r.status])
            return r.status

    def wrong(self, state, skip=()):
        """The cells of one state that are not as expected."""
        out = []
        for call in CALLS:
            if call in skip:
                continue
            want = expected(self.mode, call, state)
            got = self.do(call, state)
            if got != want:
                out.append(f"{self.mode}, {state.name}, {call}: {got} and not {want}")
        return out

    def check(self, skip=lambda call, state: False):
        wrong = [w for s in self.states for w in self.wrong(s, {c for c in CALLS if skip(c, s)})]
        assert not wrong, "\n" + "\n".join(wrong)
        text = self.server.process.output()
        shown = {v for s in self.states for v in [*s.payload.values(), *dict(s.headers).values()] if len(v) > 16}
        for value in shown:
            assert value.removeprefix("Bearer ") not in text, "the log has a secret"
