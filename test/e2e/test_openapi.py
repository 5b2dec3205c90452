"""openapi.json: that it is well-formed, and that what the server answers is what it says.

The document is taken from the server. Each answer is held against it: a status, a header, a media type or a member that
is not documented fails the test that met it."""

import json
import re

import pytest

from harness import NOWHERE, Http, Polling, Server, Sse, WebSocket, program
from harness.openapi import OpenApi, check_openapi

USERS = [
    {"tenant": "a", "name": "ann", "token": "token-ann"},
    {"tenant": "a", "name": "reader", "token": "token-reader", "scopes": ["subscribe"]},
    {"tenant": "a", "name": "writer", "token": "token-writer", "scopes": ["publish"]},
]
ORIGIN = "http://page.example"

T = {"X-Tenant-ID": "tenant_a"}
JSON_TYPE = "application/json"
JSON = {**T, "Content-Type": JSON_TYPE}
POSTED = {"Content-Type": JSON_TYPE}
LINES = {**T, "Content-Type": "application/x-ndjson"}
TWICE = [("X-Tenant-ID", "tenant_a"), ("X-Tenant-ID", "tenant_a")]
OTHER = {"X-Tenant-ID": "tenant_a", "X-Request-Id": "mine.1"}
UPGRADE = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}
WS13 = {**UPGRADE, "Sec-WebSocket-Version": "13"}
FOREIGN = {"Origin": "http://elsewhere.example"}
A = "/api/v1/tenants/tenant_a"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
EVENT, EVENTS, POLL = "/api/v1/events", "/api/v1/events/batch", "/socket.io/?EIO=4&transport=polling"

# (operation, target, headers, body, status): the target without its path where that is the operation's own.
CASES = [
    ("publishEvent", "", JSON, b'{"message":"hello <b>","metadata":{"n":[1,2.5,null]},"type":"a:b"}', 201),
    ("publishEvent", "?tenant=tenant_a", {"Content-Type": "application/json"}, b'{"metadata":{}}', 201),
    ("publishEvent", "", {**JSON, "Idempotency-Key": "k1"}, b'{"message":"once"}', 201),
    ("publishEvent", "", {**JSON, "Idempotency-Key": "k1"}, b'{"message":"once"}', 201),
    ("publishEvent", "", {**JSON, "Idempotency-Key": "k1"}, b'{"message":"another"}', 422),
    ("publishEvent", "", {**JSON, "Idempotency-Key": "k" * 256}, b'{"message":"x"}', 400),
    ("publishEvent", "", {**JSON, "traceparent": TRACE}, b'{"message":"traced"}', 201),
    ("publishEvent", "", {**JSON, "Origin": ORIGIN}, b'{"message":"from a page"}', 201),
    ("publishEvent", "", JSON, b'{"message":"\\ud800"}', 400),
    ("publishEvent", "", JSON, b"{", 400),
    ("publishEvent", "", {"Content-Type": "application/json"}, b'{"message":"x"}', 401),
    ("publishEvent", "?tenant=tenant_b", JSON, b'{"message":"x"}', 403),
    ("publishEvent", "", JSON, json.dumps({"message": "x" * 2049}).encode(), 413),
    ("publishEvent", "", JSON, b" " * 70000, 413),
    ("publishEvent", "", {**T, "Content-Type": "text/plain"}, b"hello", 415),
    ("publishEvent", "", JSON, b'{"message":""}', 422),
    ("publishEvent", "", JSON, b'{"metadata":[]}', 422),
    ("publishBatch", "", JSON, b'[{"message":"a"},{"metadata":{"b":1}}]', 201),
    ("publishBatch", "", {**LINES, "Idempotency-Key": "k2"}, b'{"message":"a"}\n\n{"message":"b"}\n', 201),
    ("publishBatch", "", {**LINES, "Idempotency-Key": "k2"}, b'{"message":"a"}\n\n{"message":"b"}\n', 201),
    ("publishBatch", "", {**JSON, "traceparent": TRACE}, b'[{"message":"traced"}]', 201),
    ("publishBatch", "", LINES, b'{"message":"a"}\n{\n', 400),
    ("publishBatch", "", {"Content-Type": "application/json"}, b"[]", 401),
    ("publishBatch", "?tenant=tenant_b", JSON, b"[]", 403),
    ("publishBatch", "", JSON, json.dumps([{"message": "x"}] * 1001).encode(), 413),
    ("publishBatch", "", {**T, "Content-Type": "text/plain"}, b"[]", 415),
    ("publishBatch", "", JSON, b"[]", 422),
    ("publishBatch", "", JSON, b'[{"message":"a"},{"message":7}]', 422),
    ("listEvents", "", T, None, 200),
    ("listEvents", "?limit=2&order=asc", T, None, 200),
    ("listEvents", "?since=1&limit=1000&type=message&type=a:b", T, None, 200),
    ("listEvents", "?before=3&q=hello&from=2020-01-01T00:00:00Z&to=2099-01-01T00:00:00Z", T, None, 200),
    ("listEvents", "", {"X-Tenant-ID": "nothing-here"}, None, 200),
    ("listEvents", "", OTHER, None, 200),
    ("listEvents", "?limit=0", T, None, 400),
    ("listEvents", "?epoch=another", T, None, 400),
    ("listEvents", f"?sinceId={NOWHERE}", T, None, 400),
    ("listEvents", "", TWICE, None, 400),
    ("listEvents", "", {}, None, 401),
    ("listEvents", "?tenant=tenant_b", T, None, 403),
    ("listEvents", "?" + "x" * 20000, T, None, 431),
    ("eventStats", "", T, None, 200),
    ("eventStats", "", {"X-Tenant-ID": "nothing-here"}, None, 200),
    ("eventStats", "", TWICE, None, 400),
    ("eventStats", "", {}, None, 401),
    ("eventStats", "?tenant=tenant_b", T, None, 403),
    ("streamEvents", "?since=x", T, None, 400),
    ("streamEvents", "?snapshot=1001", T, None, 400),
    ("streamEvents", "", {}, None, 401),
    ("streamEvents", "?tenant=tenant_b", T, None, 403),
    ("getEvent", f"{EVENT}/{NOWHERE}", T, None, 404),
    ("getEvent", f"{EVENT}/x", T, None, 404),
    ("getEvent", f"{EVENT}/x", TWICE, None, 400),
    ("getEvent", f"{EVENT}/x", {}, None, 401),
    ("getEvent", f"{EVENT}/x?tenant=tenant_b", T, None, 403),
    ("openWebSocket", "", T, None, 426),
    ("openWebSocket", "", {**T, **UPGRADE, "Sec-WebSocket-Version": "8"}, None, 426),
    ("openWebSocket", "?since=x", {**T, **WS13}, None, 400),
    ("openWebSocket", "", WS13, None, 401),
    ("openWebSocket", "", {**T, **WS13, **FOREIGN}, None, 403),
    ("openSession", POLL, {}, None, 200),
    ("openSession", "", {}, None, 400),
    ("openSession", "/socket.io/?EIO=3&transport=polling", {}, None, 400),
    ("openSession", POLL + "&sid=none", {}, None, 400),
    ("openSession", POLL, FOREIGN, None, 403),
    ("postPackets", POLL, {}, b"40", 400),
    ("postPackets", POLL, FOREIGN, b"40", 403),
    ("listTenants", "", {}, None, 200),
    ("createTenant", "", POSTED, b'{"name":"ACME, inc."}', 201),
    ("createTenant", "", POSTED, b'{"name":"x","limits":{"events_per_second":5},"retention":"24h/1000"}', 201),
    ("createTenant", "", POSTED, b'{"id":"tenant_a"}', 409),
    ("createTenant", "", POSTED, b"{", 400),
    ("createTenant", "", POSTED, b"{}", 422),
    ("createTenant", "", POSTED, b"[]", 422),
    ("createTenant", "", POSTED, b'{"name":""}', 422),
    ("createTenant", "", POSTED, b'{"name":"a\\tb"}', 422),
    ("createTenant", "", POSTED, b'{"name":"x","id":"-"}', 422),
    ("createTenant", "", POSTED, b'{"name":"x","limits":{"history":0}}', 422),
    ("createTenant", "", POSTED, b'{"name":"x","limits":{"dreams":1}}', 422),
    ("createTenant", "", POSTED, b'{"name":"x","retention":24}', 422),
    ("createTenant", "", POSTED, b'{"name":"x","plan":"gold"}', 422),
    ("getTenant", A, {}, None, 200),
    ("getTenant", "/api/v1/tenants/nobody", {}, None, 404),
    ("changeTenant", A, POSTED, b'{"name":"A","limits":{"connections":7,"history":null},"retention":null}', 200),
    ("changeTenant", A, POSTED, b"{}", 200),
    ("changeTenant", A, POSTED, b'{"name":1}', 422),
    ("changeTenant", A, POSTED, b'{"limits":[]}', 422),
    ("changeTenant", "/api/v1/tenants/nobody", POSTED, b"{}", 404),
    ("removeTenant", "/api/v1/tenants/nobody", {}, None, 404),
    ("listKeys", A + "/keys", {}, None, 200),
    ("listKeys", "/api/v1/tenants/nobody/keys", {}, None, 404),
    ("createKey", A + "/keys", {}, None, 201),
    ("createKey", A + "/keys", POSTED, b'{"scopes":[]}', 422),
    ("createKey", A + "/keys", {"Content-Type": "text/plain"}, b"x", 415),
    ("createTenant", "", {"Content-Type": "text/plain"}, b"x", 415),
    ("changeTenant", A, {"Content-Type": "text/plain"}, b"x", 415),
    ("createKey", "/api/v1/tenants/nobody/keys", {}, None, 404),
    ("revokeKey", "/api/v1/tenants/nobody/keys/x", {}, None, 404),
    ("revokeKey", A + "/keys/x", {}, None, 404),
    ("createToken", A + "/token", POSTED, b"{}", 409),
    ("overview", "", {}, None, 200),
    ("overview", "?limit=3&sort=id&order=desc&q=tenant", {}, None, 200),
    ("overview", "?sort=name", {}, None, 400),
    ("settings", "", {}, None, 200),
    ("health", "", {}, None, 200),
    ("livez", "", {}, None, 200),
    ("readyz", "", {}, None, 200),
    ("metrics", "", {}, None, 200),
    ("openapi", "", {"Accept-Encoding": "gzip"}, None, 200),
    ("asyncapi", "", {"Origin": ORIGIN}, None, 200),
]
# Statuses of the tests below.
APART = {
    ("openWebSocket", 101),
    ("openSession", 101),
    ("postPackets", 200),
    ("streamEvents", 200),
    ("getEvent", 200),
    ("openapi", 304),
    ("asyncapi", 304),
    ("removeTenant", 204),
    ("revokeKey", 204),
    ("createToken", 200),
    ("createToken", 404),
    ("createToken", 422),
}
ADMINISTERED = (
    "listTenants",
    "createTenant",
    "getTenant",
    "changeTenant",
    "removeTenant",
    "listKeys",
    "createKey",
    "revokeKey",
    "createToken",
    "overview",
)
APART |= {(name, status) for name in ADMINISTERED for status in (401, 403)}
# What any request may be answered with, for reasons that are not its operation's.
ANYWHERE = {400, 408, 413, 429, 431, 500, 503}


@pytest.fixture(scope="module")
def server():
    with Server("--cors-origin", ORIGIN, "--max-body-bytes", "65536") as s:
        yield s


@pytest.fixture(scope="module")
def rest(server):
    return OpenApi(server.get("/api/v1/openapi.json").json())


def path_of(document, name):
    return re.sub(r"\{\w+\}", "tenant_a", document.operation(name)[1])


def test_openapi_is_well_formed(rest):
    check_openapi(rest)


@pytest.mark.parametrize("name", ["openapi", "asyncapi"])
def test_they_are_served_as_files_are(server, rest, name):
    r = server.get(path_of(rest, name))
    assert r.header("Content-Type") == "application/json"
    again = server.get(path_of(rest, name), headers={"If-None-Match": r.header("ETag")})
    rest.check_answer(name, again)
    assert again.status == 304
    page = server.get(path_of(rest, name), headers={"Origin": ORIGIN})
    assert page.header("Access-Control-Allow-Origin") == ORIGIN
    rest.check_common("MethodNotAllowed", server.request("POST", path_of(rest, name), {}, b"{}"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{case[4]}")
def test_answers_are_documented(server, rest, case):
    name, target, headers, body, status = case
    verb, path, _ = rest.operation(name)
    http = Http(server.port)
    r = http.request(verb, target if target.startswith("/") else path + target, headers, body)
    assert r.status == status, r
    if r.header("Content-Encoding") == "gzip":
        r.body = b"{}"  # it is the same document as without
    rest.check_answer(name, r)
    rule = status in (201, 422) and "Idempotency-Key" not in headers and dict(headers).get("Content-Type") == JSON_TYPE
    json_body = body if rule else None  # else it was refused, or taken, for something else than what it says
    rest.check_request(name, target, json_body, status < 300)
    http.close()


def test_every_operation_and_every_status_of_its_own_is_asked_for(rest):
    names = {name for name, _, _ in rest.operations()}
    asked = {(case[0], case[4]) for case in CASES} | APART
    here = {name for name, _ in asked}
    assert here == names, (names - here, here - names)
    told = {(n, int(status)) for n in names for status in rest.operation(n)[2]["responses"]}
    missing = {(n, status) for n, status in told - asked if status not in ANYWHERE}
    assert not missing


def test_a_repeat_says_so_and_an_event_is_where_it_says(server, rest):
    first, again = (server.post("tenant_a", b'{"message":"x"}', headers={"Idempotency-Key": "k3"}) for _ in range(2))
    rest.check_answer("publishEvent", again)
    assert (first.header("Idempotent-Replayed"), again.header("Idempotent-Replayed")) == (None, "true")
    assert again.header("Location") == first.header("Location")
    r = server.get(first.header("Location"), "tenant_a")
    rest.check_answer("getEvent", r)
    assert r.status == 200 and r.json() == first.json()


@pytest.mark.parametrize("name", ["publishEvent", "listEvents", "eventStats", "getEvent", "health"])
def test_the_other_paths_answer_the_same(server, rest, name):
    verb, path, _ = rest.operation(name)
    other = [at for at, home in rest.paths().items() if home == path and at != path]
    assert other
    id_ = server.publish("tenant_a", "where")["id"]
    for at in other:
        for headers in (JSON, {"Content-Type": "application/json"}):
            r = server.request(verb, at.replace("{id}", id_), headers, b'{"message":"x"}' if verb == "POST" else None)
            assert r.status == (401 if headers != JSON and name != "health" else 201 if verb == "POST" else 200), r
            rest.check_answer(name, r)


def test_every_path_answers_options_and_head_and_no_other_method(server, rest):
    for at, path in rest.paths().items():
        item, target = rest.root["paths"][path], at.replace("{id}", "x").replace("{kid}", "k")
        there = {n: v for n, v, p in rest.operations() if p == path}
        r = server.request("OPTIONS", target)
        assert r.status == 204, r
        rest.check_common("Options", r)
        verbs = set(there.values()) | ({"HEAD"} if "get" in item else set())
        assert set(r.header("Allow").split(", ")) == verbs | {"OPTIONS"}, (at, r)
        if path == "/socket.io/":
            continue
        rest.check_common("MethodNotAllowed", server.request("PUT", target, T))
        if "get" in item:
            (name,) = (n for n, v in there.items() if v == "GET")
            rest.check_answer(name, server.request("HEAD", target, T), head=True)
    rest.check_common("NotFound", server.get("/nowhere"))
    rest.check_common("NotFound", server.get("/api/v1/nowhere"))


def known_paths(server):
    """Where something answers: the program's own texts say where that may be, and the server where it is. Each with
    whether it is a whole text: the linker may have put one together with the end of another."""
    with open(program("CARILLON_BIN"), "rb") as f:
        whole = {text.decode() for text in re.findall(rb"(?<![!-~])/[a-z0-9{}/._-]*(?=\0)", f.read())}
    found = {}
    for path in sorted({text[i:] for text in whole for i in range(len(text)) if text[i] == "/"}):
        # Nothing answers a PUT: where there is something, it is refused otherwise than where there is nothing.
        target = path.replace("{id}", "tenant_a").replace("{kid}", "k")
        if server.request("PUT", target, T).status == 404:
            continue
        page = server.request("HEAD", target, T).header("ETag") and not path.startswith("/api/")
        if not page:
            found[path] = path in whole
    return found


def undocumented(paths, known):
    """What ends another text is documented where it is an {id}: /events/batch is the event `batch`."""
    patterns = [re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(at))) for at in paths]
    secret = {path for path in known if path not in paths}
    return {path for path in secret if known[path] or not any(p.fullmatch(path) for p in patterns)}


def test_every_path_that_the_server_knows_is_documented(server, rest):
    known = known_paths(server)
    assert not undocumented(rest.paths(), known)
    here = {path for _, _, path in rest.operations()}
    there = {at for at, path in rest.paths().items() if path in here}
    assert there <= set(known), f"the search is blind: {there - set(known)}"
    for at in there:
        assert at in undocumented({p: home for p, home in rest.paths().items() if p != at}, {**known, at: True})


def test_who_shows_a_token(tmp_path, rest):
    file = tmp_path / "users.json"
    file.write_text(json.dumps({"users": USERS}))
    with Server("--users", file, auth="token", tenants=False) as s:

        def ask(name, target, token, status, body=None):
            headers = {"X-User-Token": token, **({"Content-Type": "application/json"} if body else {})}
            r = s.request(rest.operation(name)[0], target, headers, body)
            assert r.status == status, r
            rest.check_answer(name, r)
            return r

        assert ask("publishEvent", EVENT, "token-ann", 201, b'{"message":"x"}').json()["author"] == "ann"
        assert ask("publishBatch", EVENTS, "token-writer", 201, b'[{"message":"x"}]').json()["events"]
        ask("publishEvent", EVENT, "token-reader", 403, b'{"message":"x"}')
        ask("publishEvent", EVENT, "wrong", 401, b'{"message":"x"}')
        ask("listEvents", EVENT, "token-writer", 403)
        ask("listEvents", f"{EVENT}?tenant=b", "token-ann", 403)
        ask("listEvents", EVENT, "token-reader", 200)


def test_who_administers(rest):
    with Server("--admin-key", "boss", auth="key", tenants=False) as s:

        def ask(name, status, headers, body=None, target=None):
            verb, path, operation = rest.operation(name)
            path = target or re.sub(r"\{\w+\}", "tenant_a", path)
            r = s.request(verb, path, {**headers, **(POSTED if body is not None else {})}, body)
            assert r.status == status, (name, r)
            rest.check_answer(name, r)
            if body is not None and status in (200, 201, 422):
                rest.check_request(name, path, body, status != 422)
            return r.json() if r.body else None

        boss = {"Authorization": "Bearer boss"}
        key = {"X-API-Key": ask("createKey", 201, boss)["api_key"]}
        other = {"X-API-Key": ask("createTenant", 201, boss, b'{"id":"b"}')["api_key"]}
        for name in ADMINISTERED:
            ask(name, 401, {})
            ask(name, 401, {"Authorization": "Bearer wrong"})
            ask(name, 403, other)
        for name in set(ADMINISTERED) - {"createToken"}:
            ask(name, 403, key)
        assert len(ask("listTenants", 200, boss)["tenants"]) == 3
        for body in (b"{}", b'{"sub":"ann","scopes":["subscribe"],"ttl_s":86400}'):
            token = ask("createToken", 200, key, body)["token"]
        for body in (b'{"sub":""}', b'{"scopes":[]}', b'{"scopes":["all"]}', b'{"ttl_s":86401}', b'{"ttl":1}', b"7"):
            ask("createToken", 422, boss, body)
        ask("createToken", 400, boss, b"{")
        ask("createToken", 403, {"Authorization": f"Bearer {token}"}, b"{}")
        ask("createToken", 404, boss, b"{}", "/api/v1/tenants/nobody/token")
        kid = ask("listKeys", 200, boss)["keys"][0]["id"]
        ask("revokeKey", 204, boss, target=f"/api/v1/tenants/tenant_a/keys/{kid}")
        ask("createToken", 401, key, b"{}")
        ask("listEvents", 200, {"Authorization": f"Bearer {token}"})
        ask("removeTenant", 204, boss)
        ask("getTenant", 404, boss)
        ask("listEvents", 401, {"Authorization": f"Bearer {token}"})


def test_what_http_itself_refuses(rest):
    with Server("--request-timeout", "1s") as s:
        late = Http(s.port)
        late.send(late.build("POST", EVENT, {**JSON, "Content-Length": "9"}))
        r = late.response("POST")
        assert r.status == 408, r
        rest.check_answer("publishEvent", r)
        for data, name in (
            (late.build("GET", EVENT, T, version="HTTP/2.7"), "VersionNotSupported"),
            (late.build("POST", EVENT, {**JSON, "Transfer-Encoding": "x, chunked"}), "NotImplemented"),
            (late.build("GET", EVENT, {f"X-{i}": "" for i in range(101)}), "HeadersTooLarge"),
            (b"nonsense\r\n\r\n", "BadRequest"),
        ):
            http = Http(s.port)
            http.send(data)
            rest.check_common(name, http.response())
            http.close()
    with Server("--max-connections", "1") as s:
        first, second = Http(s.port), Http(s.port)
        assert first.request("GET", "/livez").status == 200
        r = second.request("GET", "/livez")
        assert r.status == 503, r
        rest.check_answer("livez", r)


def test_handshakes_that_succeed(server, rest):
    ws = WebSocket(server.port, "/api/v1/ws?tenant=tenant_a", offer="permessage-deflate")
    rest.check_answer("openWebSocket", ws.response)
    ws.close()
    for name, path, headers in (
        ("streamEvents", "/api/v1/events/stream", {}),
        ("listEvents", EVENT, {"Accept": "text/event-stream"}),
    ):
        sse = Sse(server.port, f"{path}?tenant=tenant_a&since=0", headers)
        sse.response.body = b""
        rest.check_answer(name, sse.response)
        sse.close()


def test_a_session_by_polling(server, rest):
    client = Polling(server.port)
    r = client.post("40" + json.dumps({"tenant": "tenant_a"}))
    assert r.status == 200, r
    rest.check_answer("postPackets", r)
    r = client.request("GET")
    assert r.status == 200 and r.body.startswith(b"40"), r
    rest.check_answer("openSession", r)
    ws = client.probe()
    rest.check_answer("openSession", ws.response)
    ws.close()


def test_what_is_not_documented_fails(server, rest):
    good = server.get("/livez")
    rest.check_answer("livez", good)
    for change in (
        lambda r: setattr(r, "status", 418),
        lambda r: setattr(r, "body", b'{"status":"alive","more":1}'),
        lambda r: setattr(r, "body", b'{"status":"dead"}'),
        lambda r: r.headers.append(("X-Powered-By", "bells")),
        lambda r: r.headers.remove(next(h for h in r.headers if h[0] == "X-Request-Id")),
        lambda r: setattr(r, "headers", [(n, "text/x" if n == "Content-Type" else v) for n, v in r.headers]),
    ):
        bad = server.get("/livez")
        change(bad)
        with pytest.raises(AssertionError):
            rest.check_answer("livez", bad)
