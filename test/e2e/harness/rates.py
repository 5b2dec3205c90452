"""What the tests of limits share: requests, their answers' fields, and servers where users and tenants are known."""

import contextlib
import json
import re

from .http import problem
from .server import Server
from .websocket import Refused

USERS = [
    {"tenant": "a", "name": "ann", "token": "token-ann"},
    {"tenant": "a", "name": "bob", "token": "token-bob"},
    {"tenant": "b", "name": "ann", "token": "token-ann-b"},
]
ADMIN = {"Authorization": "Bearer boss", "Content-Type": "application/json"}
EVENT = {"message": "x"}
ITEM = re.compile(r'"([a-z-]+)"((?:;[a-z]+=(?:[0-9]{1,15}|"[a-z-]+"))*)')


def structured(text):
    """A List of Strings with parameters (RFC 9651, section 3.1), as the draft has it."""
    out = {}
    for item in text.split(", "):
        m = ITEM.fullmatch(item)
        assert m and m[1] not in out, text
        parts = [p.partition("=") for p in m[2].split(";")[1:]]
        out[m[1]] = {k: v.strip('"') if v.startswith('"') else int(v) for k, _, v in parts}
        assert len(out[m[1]]) == len(parts), text
    return out


def limits(r):
    """{name: what is left} of an answer; both fields name the same limits."""
    policy, state = r.header("RateLimit-Policy"), r.header("RateLimit")
    if policy is None:
        assert state is None and r.header("Retry-After") is None, r
        return {}
    policy, state = structured(policy), structured(state)
    assert list(policy) == list(state), r
    for name, p in policy.items():
        assert set(p) - {"qu"} == {"q", "w"} and set(state[name]) == {"r", "t"}, r
        assert state[name]["r"] <= p["q"] and p["w"] >= 1, r
    return {name: s["r"] for name, s in state.items()}


def limited(r, **left):
    """Checks a 429."""
    p = problem(r, 429, "rate_limited")
    assert limits(r) == left, r
    assert re.fullmatch(r"[1-9][0-9]*", r.header("Retry-After")), r
    empty = [state["t"] for name, state in structured(r.header("RateLimit")).items() if not left[name]]
    assert int(r.header("Retry-After")) >= min(empty, default=1)
    return p["detail"]


def passes(r, status, **left):
    assert r.status == status and limits(r) == left, r
    return r


def ask(s, method="POST", path="/events", body=None, tenant="a", **headers):
    headers = {k.replace("_", "-"): v for k, v in headers.items()}
    body = EVENT if body is None and method == "POST" else body
    return s.request(method, path, {**({"X-Tenant-ID": tenant} if tenant else {}), **headers}, body)


def handshake(make):
    def door(s):
        try:
            client = s.keep(make(s.port))
        except Refused as refused:
            return refused.response
        return client.response if hasattr(client, "response") else client.ws.response

    return door


def poll_open(s):
    return ask(s, "GET", "/socket.io/?EIO=4&transport=polling", tenant=None)


def users_file(folder):
    path = folder / "users.json"
    path.write_text(json.dumps({"users": USERS}))
    return path


@contextlib.contextmanager
def keyed(*flags):
    """A server of keys, and a tenant's two of them."""
    with Server("--admin-key", "boss", "--threads", "2", *flags, auth="key", tenants=False) as s:
        tenant = s.request("POST", "/api/v1/tenants", ADMIN, {"name": "A", "id": "a"}).json()
        second = s.request("POST", "/api/v1/tenants/a/keys", ADMIN).json()
        yield s, tenant["api_key"], second["api_key"]
