"""Each call × each state of a credential × each mode, against the contract's statuses (API sections 2, 3, 4 and 6).

The calls, and the rules for what is expected of a cell, are harness/matrix.py's; here are the states.
"""

import base64
import hashlib
import json
import time

import pytest

from harness import ADMIN, BOTH, CALLS, FRESH, Matrix, Pair, Server, State, api_key, bearer, jwt, jwt_of_length, problem, user

SECRET = b"a secret of 32 bytes or more, for HS256"


# Open: who names a tenant is let in; the administrator alone makes some.


def test_open():
    with Matrix("open") as w:
        name = State("name", scopes=BOTH).naming("ours")
        w.publish(name)
        twice = [("X-Tenant-ID", "ours"), ("x-tenant-id", "ours")]
        w.states = [
            State("nothing", fault=401),
            name,
            State("unknown", fault=401).naming("nobody"),
            State("malformed", fault=401).naming("no such/name"),
            State("twice", twice, "tenant=ours&tenant=ours", fault=400),
            user("name, and somebody's token", "x" * 20, scopes=BOTH).naming("ours"),
            api_key("name, and a key", "y" * 20, scopes=BOTH).naming("ours"),
            State("administrator", [("Authorization", f"Bearer {ADMIN}")], scopes=BOTH, admin=True).naming("ours"),
            State("administrator, nearly", [("Authorization", f"Bearer {ADMIN}x")], scopes=BOTH).naming("ours"),
        ]
        w.check()


def test_open_without_an_administrator():
    """On a loopback address: everybody is."""
    with Server("--tenants", "ours,theirs") as s:
        for method, path, body, status in (
            ("POST", "", {"id": "more"}, 201),
            ("GET", "", None, 200),
            ("GET", "/more", None, 200),
            ("PATCH", "/more", {"name": "changed"}, 200),
            ("POST", "/more/keys", {}, 201),
            ("GET", "/more/keys", None, 200),
            ("DELETE", "/more", None, 204),
            ("GET", "/more", None, 404),
        ):
            headers = {"Content-Type": "application/json"} if body is not None else {}
            r = s.request(method, f"/api/v1/tenants{path}", headers, body and json.dumps(body).encode())
            assert r.status == status, r


# Token: users of a file.


def test_token(tmp_path):
    scopes = {"ann": BOTH, "reader": {"subscribe"}, "writer": {"publish"}, "root": {"publish", "subscribe", "admin"}}
    users = [{"tenant": "ours", "name": n, "token": f"token-of-{n}-1234", "scopes": sorted(s)} for n, s in scopes.items()]
    users.append({"tenant": "theirs", "name": "bob", "token": "token-of-bob-1234"})
    file = tmp_path / "users.json"
    file.write_text(json.dumps({"users": users}))
    with Matrix("token", "--users", file) as w:
        ann, bob = "token-of-ann-1234", "token-of-bob-1234"
        w.publish(user("ann", ann))
        twice = [("X-User-Token", ann), ("x-user-token", ann)]
        w.states = [
            State("nothing", fault=401),
            State("name alone", fault=401).naming("ours"),
            user("wrong", "token-of-anne-1234", fault=401).naming("ours"),
            user("case", ann.upper(), fault=401),
            user("digest", hashlib.sha256(ann.encode()).hexdigest(), fault=401),
            user("8 KiB", "x" * 8192, fault=401).naming("ours"),
            user("another's", bob, fault=403).naming("ours"),
            State("twice", twice, f"token={ann}&token={ann}", fault=400),
            api_key("as an API key", ann, fault=401),
            State("as a bearer's", [("Authorization", f"Bearer {ann}")], f"api_key={ann}", {"apiKey": ann}, fault=401),
            State("administrator", [("Authorization", f"Bearer {ADMIN}")], admin=True, fault=401).naming("ours"),
            bearer("administrator, nearly", ADMIN[:-1], fault=401),
            *(user(n, f"token-of-{n}-1234", scopes=s).naming("ours") for n, s in scopes.items()),
            user("ann without a name", ann, scopes=BOTH),
        ]
        w.check()


# Key: API keys, and JSON Web Tokens.


def both(name, token, key, **more):
    headers = [("Authorization", f"Bearer {token}"), ("X-API-Key", key)]
    return State(name, headers, f"token={token}&api_key={key}", {"token": token, "apiKey": key}, **more)


def claims(tenant="ours", scopes=("publish", "subscribe"), **more):
    return {"tenant": tenant, "sub": "somebody", "scopes": list(scopes), "exp": int(time.time()) + 600, **more}


def changed(token, part, by):
    """The token with the bytes of a part (0 to 2) changed: `by` takes them and returns others."""
    parts = token.split(".")
    raw = base64.urlsafe_b64decode(parts[part] + "=" * (-len(parts[part]) % 4))
    parts[part] = base64.urlsafe_b64encode(by(raw)).rstrip(b"=").decode()
    return ".".join(parts)


def flipped(raw):
    return raw[:-1] + bytes((raw[-1] ^ 1,))


def signed_by_nobody(good, pair):
    """Tokens that nobody who may has signed."""
    _, body, signature = good.split(".")
    for algorithm in ("none", "None", "NONE", "nOnE"):
        token = jwt(claims(), None, algorithm)
        yield f"alg {algorithm}", token
        yield f"alg {algorithm}, with a signature", token + signature
    yield "RS256 taken for HS256", jwt(claims(), pair.pem)
    yield "RS256 taken for HS256, trimmed", jwt(claims(), pair.pem.strip())
    yield "HS256 taken for RS256", jwt(claims(), SECRET, "HS256", alg="RS256")
    yield "another secret", jwt(claims(), SECRET[:-1] + b"7")
    yield "empty secret", jwt(claims(), b"")
    yield "HS384", jwt(claims(), SECRET, "HS384")
    yield "HS512", jwt(claims(), SECRET, "HS512")
    yield "no signature", good.rpartition(".")[0] + "."
    yield "two parts", good.rpartition(".")[0]
    yield "four parts", good + "." + signature
    yield "signature changed", changed(good, 2, flipped)
    yield "tenant changed", changed(jwt(claims("theirs"), SECRET), 1, lambda raw: raw.replace(b"theirs", b"ours"))
    yield "scopes changed", changed(good, 1, lambda raw: raw.replace(b'"publish",', b'"publish","admin",'))
    yield "expiry changed", changed(jwt(claims(exp=1), SECRET), 1, lambda raw: raw.replace(b":1}", b":9999999999}"))
    yield "header changed", changed(good, 0, lambda raw: raw.replace(b"JWT", b"jwt"))
    yield "8 KiB of nothing", ("x" * 2730 + ".") * 2 + "x" * 2730
    yield "over 8 KiB", jwt_of_length(8200, claims(), SECRET)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs")
    return {n: Pair(folder, n, n[:5]) for n in ("RS256", "RS256-other", "ES256", "ES256-other")}


@pytest.fixture(scope="module")
def secret(tmp_path_factory):
    path = tmp_path_factory.mktemp("secret") / "secret"
    path.write_bytes(SECRET)
    return path


@pytest.fixture(scope="module")
def world(pairs, secret):
    with Matrix("key", "--jwt-secret-file", secret, "--jwt-public-key", pairs["RS256"].public) as w:
        w.key = w.admin("POST", "/ours/keys", {})["api_key"]
        w.publish(api_key("key", w.key))
        yield w


def test_api_keys(world):
    second = world.admin("POST", "/ours/keys", {})["api_key"]
    revoked = world.admin("POST", "/ours/keys", {})
    theirs = world.admin("POST", "/theirs/keys", {})["api_key"]
    world.admin("DELETE", f"/ours/keys/{revoked['id']}")
    gone = world.admin("POST", "", {"id": f"gone{next(FRESH)}"})
    world.admin("DELETE", f"/{gone['id']}")
    key = world.key
    good = {"scopes": BOTH, "key": True}
    twice = [("X-API-Key", key), ("x-api-key", key)]
    world.states = [
        State("nothing", fault=401),
        State("name alone", fault=401).naming("ours"),
        api_key("key", key, **good),
        api_key("key, and its tenant's name", key, **good).naming("ours"),
        api_key("second key", second, **good),
        api_key("wrong key", key[:-1] + ("A" if key[-1] != "A" else "B"), fault=401),
        api_key("beginning of a key", key[:12], fault=401),
        api_key("key and more", key + "A", fault=401),
        api_key("digest", hashlib.sha256(key.encode()).hexdigest(), fault=401),
        api_key("revoked key", revoked["api_key"], fault=401),
        api_key("key of a tenant that is gone", gone["api_key"], fault=401),
        api_key("another tenant's key", theirs, fault=403, key=True).naming("ours"),
        api_key("8 KiB", "car_" + "x" * 8188, fault=401),
        State("twice", twice, f"api_key={key}&api_key={key}", fault=400),
        bearer("as a bearer's", key, fault=401),
        State("as a user's", [("X-User-Token", key)], f"user={key}", {"user": key}, fault=401),
        State("administrator", [("Authorization", f"Bearer {ADMIN}")], admin=True, fault=401).naming("ours"),
        api_key("administrator's key as an API key", ADMIN, fault=401).naming("ours"),
        bearer("administrator, nearly", ADMIN[:-1], fault=401),
    ]
    world.check()


def test_another_tenants_key_without_a_name(world):
    """It is good, and shows what is that tenant's."""
    theirs = world.admin("POST", "/theirs/keys", {})["api_key"]
    state = api_key("theirs", theirs)
    assert world.http("GET", f"/events/{world.event}", state.headers).status == 404
    assert world.http("GET", "/events", state.headers).json()["events"] == []
    for call in CALLS:
        if "{id}" in call or call == "order token":  # the path names the tenant
            assert world.do(call, state) == 403, call


def test_tokens(world, pairs):
    good = jwt(claims(), SECRET)
    now = int(time.time())
    by = {"scopes": BOTH}
    twice = [("Authorization", f"Bearer {good}"), ("authorization", f"Bearer {good}")]
    world.states = [
        bearer("token", good, **by),
        bearer("token, and its tenant's name", good, **by).naming("ours"),
        bearer("RS256", jwt(claims(), pairs["RS256"], "RS256"), **by),
        bearer("nearly 8 KiB", jwt_of_length(8100, claims(), SECRET), **by),
        bearer("publish", jwt(claims(scopes=["publish"]), SECRET), scopes={"publish"}),
        bearer("subscribe", jwt(claims(scopes=["subscribe"]), SECRET), scopes={"subscribe"}),
        bearer("no scopes", jwt(claims(scopes=[]), SECRET)),
        bearer("unknown scope", jwt(claims(scopes=["everything", "*"]), SECRET)),
        bearer("admin", jwt(claims(scopes=[*BOTH, "admin"]), SECRET), scopes=BOTH | {"admin"}),
        bearer("admin of theirs", jwt(claims("theirs", [*BOTH, "admin"]), SECRET), fault=403).naming("ours"),
        bearer("another tenant's", jwt(claims("theirs"), SECRET), fault=403).naming("ours"),
        bearer("unknown tenant", jwt(claims("nobody"), SECRET), fault=401),
        bearer("malformed tenant", jwt(claims("no such/name"), SECRET), fault=401),
        bearer("expired", jwt(claims(exp=now - 1), SECRET), fault=401),
        bearer("expired, RS256", jwt(claims(exp=now - 1), pairs["RS256"], "RS256"), fault=401),
        bearer("without expiry", jwt({k: v for k, v in claims().items() if k != "exp"}, SECRET), fault=401),
        bearer("expiry as a text", jwt(claims(exp=str(now + 600)), SECRET), fault=401),
        bearer("early", jwt(claims(nbf=now + 300), SECRET), fault=401),
        bearer("critical header", jwt(claims(), SECRET, crit=["exp"]), fault=401),
        bearer("without tenant", jwt({k: v for k, v in claims().items() if k != "tenant"}, SECRET), fault=401),
        bearer("RS256, another's", jwt(claims(), pairs["RS256-other"], "RS256"), fault=401),
        bearer("RS256, changed", changed(jwt(claims(), pairs["RS256"], "RS256"), 2, flipped), fault=401),
        bearer("ES256", jwt(claims(), pairs["ES256"], "ES256"), fault=401),
        State("twice", twice, f"token={good}&token={good}", fault=400),
        both("token and key", good, world.key, fault=400),
        both("token and another tenant's key", good, world.admin("POST", "/theirs/keys", {})["api_key"], fault=400),
        State("Basic", [("Authorization", f"Basic {good}")], f"tokens={good}", {"tokens": good}, fault=401),
        api_key("as an API key", good, fault=401),
        *(bearer(name, token, fault=401) for name, token in signed_by_nobody(good, pairs["RS256"])),
    ]
    world.check()


def test_es256(pairs, secret):
    pair = pairs["ES256"]
    with Matrix("key", "--jwt-secret-file", secret, "--jwt-public-key", pair.public, "--jwt-algorithm", "ES256") as w:
        w.publish(bearer("token", jwt(claims(), pair, "ES256")))
        good = jwt(claims(), pair, "ES256")
        w.states = [
            bearer("ES256", good, scopes=BOTH),
            bearer("HS256", jwt(claims(), SECRET), scopes=BOTH),
            bearer("ES256, changed", changed(good, 2, flipped), fault=401),
            bearer("ES256, zeros", changed(good, 2, lambda raw: bytes(64)), fault=401),
            bearer("ES256, empty", changed(good, 2, lambda raw: b""), fault=401),
            bearer("ES256, another's", jwt(claims(), pairs["ES256-other"], "ES256"), fault=401),
            bearer("RS256", jwt(claims(), pairs["RS256"], "RS256"), fault=401),
            bearer("ES256 taken for HS256", jwt(claims(), pair.pem), fault=401),
        ]
        w.check()


def test_a_token_from_the_server(world):
    """It is good for what was asked for, no longer than it says, and for nobody else."""
    for key, headers in ((True, [("X-API-Key", world.key)]), (False, [("Authorization", f"Bearer {ADMIN}")])):
        body = {"sub": "ann", "scopes": ["subscribe"], "ttl_s": 60}
        r = world.http("POST", "/api/v1/tenants/ours/token", headers, body)
        assert r.status == 200, (key, r)
        assert set(r.json()) == {"token", "expires_at"}, r
        state = bearer("made by the server", r.json()["token"], scopes={"subscribe"})
        assert world.wrong(state) == []
        assert r.json()["token"] not in world.server.process.output()


def test_headers_that_are_too_large(world):
    """Before anybody looks at what is in them."""
    for state in (api_key("key", "x" * 20000), bearer("token", "x" * 20000)):
        for method, path in (("POST", "/events"), ("GET", "/events"), ("POST", "/api/v1/tenants"), ("GET", "/health")):
            body = {"message": "x"} if method == "POST" else None
            problem(world.http(method, path, state.headers, body), 431, "headers_too_large")
        for target in (f"/ws?{state.query}", f"/events?{state.query}"):
            problem(world.http("GET", target), 431, "headers_too_large")
