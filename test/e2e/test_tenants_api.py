"""Tenants and their keys over the API: every answer, every refusal, restarts, crashes, and twenty who want the same id."""

import json
import re

import pytest

from harness import Http, Refused, Server, Socket, Team, created, join, joined, problem, until

TENANTS = "/api/v1/tenants"
ADMIN = {"Authorization": "Bearer boss"}
JSON = {"Content-Type": "application/json"}
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
KEY = re.compile(r"car_[A-Za-z0-9_-]{43,}")
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
LIMITS = ("events_per_second", "bytes_per_second", "connections", "message_bytes", "history")
NO_LIMITS = dict.fromkeys(LIMITS)


def serve(*flags, auth="key", **more):
    return Server("--threads", "2", "--admin-key", "boss", *flags, auth=auth, tenants=False, **more)


@pytest.fixture(scope="module")
def server():
    with serve() as s:
        yield s


@pytest.fixture
def place(tmp_path):
    return f"sqlite:{tmp_path}/log.db"


def call(server, method, path="", body=None, headers=ADMIN):
    raw = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    return server.request(method, TENANTS + path, {**(JSON if raw is not None else {}), **headers}, raw)


def create(server, **body):
    r = call(server, "POST", "", body)
    assert r.status == 201, r
    return r.json()


def whole(server, id_):
    r = call(server, "GET", f"/{id_}")
    assert r.status == 200, r
    return r.json()


def publish(server, key, message="hello"):
    return server.request("POST", "/events", {**JSON, "X-API-Key": key}, json.dumps({"message": message}).encode())


def test_create(server):
    r = call(server, "POST", "", {"name": "Acme Tools", "id": "acme"})
    assert r.status == 201 and r.header("Cache-Control") == "no-store", r
    made = r.json()
    assert set(made) == {"id", "name", "api_key", "created_at"}
    assert made["id"] == "acme" and made["name"] == "Acme Tools"
    assert KEY.fullmatch(made["api_key"]) and STAMP.fullmatch(made["created_at"])
    event = publish(server, made["api_key"])
    assert event.status == 201 and event.json()["tenant_id"] == "acme" and event.json()["seq"] == 1
    assert made["api_key"] not in server.process.output()
    # Its key is no other tenant's, and does not administer.
    r = server.request("GET", "/events", {"X-API-Key": made["api_key"], "X-Tenant-ID": "tenant_a"})
    problem(r, 403, "forbidden")
    problem(call(server, "GET", "/acme", headers={"X-API-Key": made["api_key"]}), 403, "forbidden")


@pytest.mark.parametrize(
    "name",
    ["Zoë & Søn", "日本語", "🚀", "  ", "a" * 128, "<script>", '"quoted\\"', "ß" * 64, "\u200fright", "Ⅷ", "a\u0301"],
)
def test_ids_are_made_of_names(server, name):
    made = create(server, name=name)
    again = create(server, name=name)
    assert ID.fullmatch(made["id"]) and made["id"] != again["id"]
    assert made["name"] == name and whole(server, made["id"])["name"] == name
    assert {t["id"]: t["name"] for t in call(server, "GET").json()["tenants"]}[made["id"]] == name


def test_names_are_harmless_inside_html(server):
    name = "</script><b>&\u2028\u2029"
    made = call(server, "POST", "", {"id": "html", "name": name})
    answers = [made, *(call(server, "GET", path) for path in ("", "/html")), call(server, "PATCH", "/html", {"name": name}),
               server.get("/api/v1/overview?limit=1000", headers=ADMIN)]
    for r in answers:
        assert r.status in (200, 201) and name in json.dumps(r.json(), ensure_ascii=False), r
        assert not re.search("[<>&\u2028\u2029]", r.body.decode()), r


def test_an_id_alone_is_the_name_as_well(server):
    assert create(server, id="only.an-id_1")["name"] == "only.an-id_1"
    assert create(server, id="x" * 64)["id"] == "x" * 64


@pytest.mark.parametrize(
    "body, status, code, field",
    [
        (b"", 422, "validation_error", "name"),
        (b"{}", 422, "validation_error", "name"),
        (b"{", 400, "bad_request", None),
        (b"\xff", 400, "bad_request", None),
        (b'{"name":"\\ud800"}', 400, "bad_request", None),
        (b'{"name":"a","name":"b"}', 400, "bad_request", None),
        (b"[" * 5000, 400, "bad_request", None),
        (b'"text"', 422, "validation_error", ""),
        (b"[]", 422, "validation_error", ""),
        (b"null", 422, "validation_error", ""),
        (b'{"name":"a\\u0000b"}', 422, "validation_error", "name"),
        ({"name": ""}, 422, "validation_error", "name"),
        ({"name": 7}, 422, "validation_error", "name"),
        ({"name": None}, 422, "validation_error", "name"),
        ({"name": "a\nb"}, 422, "validation_error", "name"),
        ({"name": "a" * 129}, 422, "validation_error", "name"),
        ({"name": "ß" * 65}, 422, "validation_error", "name"),
        ({"name": "a", "id": ""}, 422, "validation_error", "id"),
        ({"name": "a", "id": 7}, 422, "validation_error", "id"),
        ({"name": "a", "id": "-a"}, 422, "validation_error", "id"),
        ({"name": "a", "id": "a/b"}, 422, "validation_error", "id"),
        ({"name": "a", "id": "ä"}, 422, "validation_error", "id"),
        ({"name": "a", "id": "x" * 65}, 422, "validation_error", "id"),
        ({"name": "a", "colour": "red"}, 422, "validation_error", ""),
        ({"name": "a", "api_key": "car_mine"}, 422, "validation_error", ""),
        ({"name": "a", "limits": 5}, 422, "validation_error", "limits"),
        ({"name": "a", "limits": {"speed": 5}}, 422, "validation_error", "limits"),
        ({"name": "a", "limits": {"connections": 0}}, 422, "validation_error", "limits.connections"),
        ({"name": "a", "limits": {"connections": -1}}, 422, "validation_error", "limits.connections"),
        ({"name": "a", "limits": {"connections": 1.5}}, 422, "validation_error", "limits.connections"),
        ({"name": "a", "limits": {"connections": "5"}}, 422, "validation_error", "limits.connections"),
        ({"name": "a", "limits": {"connections": True}}, 422, "validation_error", "limits.connections"),
        ({"name": "a", "limits": {"history": 1000001}}, 422, "validation_error", "limits.history"),
        (b'{"name":"a","limits":{"message_bytes":1e99}}', 422, "validation_error", "limits.message_bytes"),
        (b'{"name":"a","limits":{"message_bytes":99999999999999999999}}', 400, "bad_request", None),
        ({"name": "a", "retention": 5}, 422, "validation_error", "retention"),
        ({"name": "a", "retention": "24h"}, 422, "validation_error", "retention"),
        ({"name": "a", "retention": "/"}, 422, "validation_error", "retention"),
        ({"name": "a", "retention": "1ms/"}, 422, "validation_error", "retention"),
        ({"name": "a", "retention": "/0"}, 422, "validation_error", "retention"),
    ],
)
def test_what_is_refused(server, body, status, code, field):
    before = call(server, "GET").json()
    p = problem(call(server, "POST", "", body), status, code, fields=status == 422)
    if status == 422:
        assert p["errors"][0]["field"] == field, p
    assert call(server, "GET").json() == before
    # The same goes for a change, where the name and the id may be left out.
    if isinstance(body, dict) and "id" not in body or body in (b"{", b"\xff", b"[]", b"null"):
        was = whole(server, "tenant_a")
        if body != {}:
            problem(call(server, "PATCH", "/tenant_a", body), status, code)
        assert whole(server, "tenant_a") == was


def test_media_types(server):
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/x-ndjson", ""):
        headers = {**ADMIN, "Content-Type": kind}
        for method, path in (("POST", ""), ("PATCH", "/tenant_a")):
            r = server.request(method, TENANTS + path, headers, b'{"name":"typed"}')
            problem(r, 415, "unsupported_media_type")
    problem(server.request("POST", TENANTS, ADMIN, b'{"name":"typed"}'), 415, "unsupported_media_type")
    r = server.request("POST", TENANTS, {**ADMIN, "Content-Type": "application/json; charset=utf-8"}, b'{"name":"typed"}')
    assert r.status == 201
    assert [t["name"] for t in call(server, "GET").json()["tenants"]].count("typed") == 1


def test_too_large():
    with serve("--max-body-bytes", "4096") as s:
        problem(call(s, "POST", "", b'{"name":"' + b"a" * 5000 + b'"}'), 413, "too_large")
        problem(call(s, "PATCH", "/tenant_a", b" " * 5000), 413, "too_large")


def test_there_is_one_already(server):
    create(server, id="twice")
    problem(call(server, "POST", "", {"id": "twice", "name": "another"}), 409, "conflict")
    problem(call(server, "POST", "", {"id": "tenant_a", "name": "another"}), 409, "conflict")
    assert whole(server, "twice")["name"] == "twice"
    create(server, id="Twice")  # ids are told apart by their case


def test_who_may(server):
    key = create(server, id="whose")["api_key"]
    kid = call(server, "GET", "/whose/keys").json()["keys"][0]["id"]
    calls = [("POST", ""), ("GET", ""), ("GET", "/whose"), ("PATCH", "/whose"), ("DELETE", "/whose")]
    calls += [("POST", "/whose/keys"), ("GET", "/whose/keys"), ("DELETE", f"/whose/keys/{kid}")]
    for method, path in calls:
        for headers, status, code in (
            ({}, 401, "unauthorized"),
            ({"Authorization": "Bearer wrong"}, 401, "unauthorized"),
            ({"Authorization": "Bearer "}, 401, "unauthorized"),
            ({"Authorization": "Basic boss"}, 401, "unauthorized"),
            ({"Authorization": "boss"}, 401, "unauthorized"),
            ({"X-API-Key": "boss"}, 401, "unauthorized"),
            ({"X-API-Key": key}, 403, "forbidden"),
        ):
            body = {"name": "no"} if method in ("POST", "PATCH") and not path.endswith("keys") else None
            problem(call(server, method, path, body, headers), status, code)
    assert whole(server, "whose")["name"] == "whose" and publish(server, key).status == 201
    assert key not in server.process.output() and "boss" not in server.process.output()


def test_lists(server):
    made = create(server, name="Listed", id="listed")
    r = call(server, "GET")
    rows = r.json()["tenants"]
    assert r.status == 200 and [row["id"] for row in rows] == sorted(row["id"] for row in rows)
    assert all(set(row) == {"id", "name", "created_at"} for row in rows)
    assert {"id": "listed", "name": "Listed", "created_at": made["created_at"]} in rows
    assert "car_" not in r.body.decode()


def test_names_are_no_secret_in_open_mode():
    with serve(auth="open") as s:
        assert [t["id"] for t in call(s, "GET", headers={}).json()["tenants"]] == ["tenant_a", "tenant_b"]
        for method, path in (("POST", ""), ("GET", "/tenant_a"), ("PATCH", "/tenant_a"), ("DELETE", "/tenant_a")):
            problem(call(s, method, path, {"name": "no"} if method == "POST" else None, {}), 401, "unauthorized")
        assert create(s, id="made")["id"] == "made"
        assert s.publish("made", "x")["seq"] == 1
    with Server("--auth", "open", tenants=False) as s:
        assert call(s, "POST", "", {"name": "anybody's"}, {}).status == 201  # on a loopback address without a key
        assert call(s, "POST", "", {"name": "with a key"}).status == 201  # whatever is shown: there is none
        assert call(s, "DELETE", "/tenant_a", headers={}).status == 204


def test_one(server):
    made = create(server, id="one", name="One")
    assert whole(server, "one") == {
        "id": "one",
        "name": "One",
        "created_at": made["created_at"],
        "limits": NO_LIMITS,
        "retention": None,
        "counts": {"events": 0, "last_seq": 0, "connections": 0, "keys": 1},
    }
    for i in range(3):
        assert publish(server, made["api_key"], f"m{i}").status == 201
    ws = server.ws("one", f"api_key={made['api_key']}")
    assert whole(server, "one")["counts"] == {"events": 3, "last_seq": 3, "connections": 1, "keys": 1}
    ws.shut()
    until(lambda: whole(server, "one")["counts"]["connections"] == 0, "the connection is counted no more")
    r = call(server, "HEAD", "/one")
    assert r.status == 200 and r.body == b"" and int(r.header("Content-Length")) > 0
    for path in ("/nobody", "/nobody/keys", "/" + "x" * 65, "/%20", "/one%2Fkeys"):
        problem(call(server, "GET", path), 404, "not_found")
    problem(call(server, "PATCH", "/nobody", {"name": "x"}), 404, "not_found")
    problem(call(server, "DELETE", "/nobody"), 404, "not_found")
    problem(call(server, "POST", "/nobody/keys"), 404, "not_found")
    problem(call(server, "DELETE", "/nobody/keys/x"), 404, "not_found")
    assert whole(server, "%6fne")["id"] == "one"


@pytest.mark.parametrize(
    "sent, told",
    [
        ("24h/100", "24h/100"),
        ("86400s/100", "24h/100"),
        ("90m/", "90m/"),
        ("3600/", "1h/"),
        ("61s/7", "61s/7"),
        ("1500ms/", "1500ms/"),
        ("/9007199254740992", "/9007199254740992"),
    ],
)
def test_retention_round_trip(server, sent, told):
    made = create(server, name="Kept", retention=sent)
    assert whole(server, made["id"])["retention"] == told
    r = call(server, "PATCH", f"/{made['id']}", {"retention": told})
    assert r.status == 200 and r.json()["retention"] == told
    assert call(server, "PATCH", f"/{made['id']}", {"retention": None}).json()["retention"] is None


def test_change(server):
    limits = {"events_per_second": 5, "bytes_per_second": 1000, "connections": 3, "message_bytes": 64, "history": 10}
    made = create(server, id="changed", name="Before", limits=limits)
    assert whole(server, "changed")["limits"] == limits
    r = call(server, "PATCH", "/changed", {"limits": {"history": 20, "connections": None}})
    after = {**limits, "history": 20, "connections": None}
    assert r.status == 200 and r.json()["limits"] == after and r.json()["name"] == "Before"
    r = call(server, "PATCH", "/changed", {"name": "Nachher ✓"})
    assert r.json()["name"] == "Nachher ✓" and r.json()["limits"] == after and r.json()["id"] == "changed"
    assert call(server, "PATCH", "/changed", {}).json() == whole(server, "changed") == r.json()
    assert call(server, "PATCH", "/changed").json() == r.json()
    problem(call(server, "PATCH", "/changed", {"id": "other"}), 422, "validation_error")
    # All or nothing.
    problem(call(server, "PATCH", "/changed", {"name": "x", "limits": {"history": 0}}), 422, "validation_error")
    problem(call(server, "PATCH", "/changed", {"limits": {"history": 7, "no": 1}}), 422, "validation_error")
    assert whole(server, "changed") == r.json()
    assert call(server, "PATCH", "/changed", {"limits": dict.fromkeys(limits)}).json()["limits"] == NO_LIMITS
    assert made["created_at"] == whole(server, "changed")["created_at"]


def test_keys(server):
    first = create(server, id="keyed")["api_key"]
    r = call(server, "POST", "/keyed/keys")
    second = r.json()
    assert r.status == 201 and set(second) == {"id", "api_key", "created_at"} and KEY.fullmatch(second["api_key"])
    assert second["api_key"] != first and STAMP.fullmatch(second["created_at"])
    r = call(server, "GET", "/keyed/keys")
    rows = r.json()["keys"]
    assert r.status == 200 and len(rows) == 2 and all(set(k) == {"id", "prefix", "created_at"} for k in rows)
    assert first not in r.body.decode() and second["api_key"] not in r.body.decode()
    mine = next(k for k in rows if k["id"] == second["id"])
    assert second["api_key"].startswith(mine["prefix"]) and len(mine["prefix"]) < 20
    # Both are good until the old one is revoked; another tenant's key cannot be revoked from here.
    assert publish(server, first).status == publish(server, second["api_key"]).status == 201
    other = create(server, id="keyed2")
    problem(call(server, "DELETE", f"/keyed2/keys/{second['id']}"), 404, "not_found")
    old = next(k["id"] for k in rows if k["id"] != second["id"])
    r = call(server, "DELETE", f"/keyed/keys/{old}")
    assert r.status == 204 and r.body == b""
    problem(publish(server, first), 401, "unauthorized")
    assert publish(server, second["api_key"]).status == 201 and publish(server, other["api_key"]).status == 201
    problem(call(server, "DELETE", f"/keyed/keys/{old}"), 404, "not_found")
    problem(call(server, "DELETE", "/keyed/keys/" + "x" * 4000), 404, "not_found")
    assert [k["id"] for k in call(server, "GET", "/keyed/keys").json()["keys"]] == [second["id"]]
    # The last one may go, too.
    assert call(server, "DELETE", f"/keyed/keys/{second['id']}").status == 204
    assert call(server, "GET", "/keyed/keys").json() == {"keys": []}
    problem(publish(server, second["api_key"]), 401, "unauthorized")


def test_a_key_is_like_any_other(server):
    """What is said of it beyond that is not passed by in silence."""
    create(server, id="plain")
    for body, status in ((None, 201), ({}, 201), ({"scopes": ["subscribe"]}, 422), (b"{", 400), ([], 422)):
        r = call(server, "POST", "/plain/keys", body)
        assert r.status == status, (body, r)
    assert len(call(server, "GET", "/plain/keys").json()["keys"]) == 3


def test_created_with_limits(server):
    create(server, id="limited", limits={"connections": 7}, retention="1h/10")
    told = whole(server, "limited")
    assert told["limits"] == {**NO_LIMITS, "connections": 7} and told["retention"] == "1h/10"


def test_who_the_audit_log_says_it_was(server):
    made = create(server, id="told")
    kid = call(server, "GET", "/told/keys").json()["keys"][0]["id"]
    second = call(server, "POST", "/told/keys").json()["id"]
    assert call(server, "DELETE", f"/told/keys/{second}").status == 204
    assert call(server, "POST", "/told/token", {"sub": "ann"}, {"X-API-Key": made["api_key"]}).status == 200
    assert call(server, "DELETE", f"/told/keys/{made['api_key']}", headers={"Authorization": "Bearer wrong"}).status == 401
    assert call(server, "DELETE", "/told").status == 204
    until(lambda: "act=tenant_remove outcome=ok status=204 tenant=told " in server.process.output(), "the last line")
    log = server.process.output()
    for act, status, more in (
        ("tenant_create", 201, f"tenant=told credential=admin target={kid} "),
        ("key_create", 201, f"tenant=told credential=admin target={second} "),
        ("key_revoke", 204, f"tenant=told credential=admin target={second} "),
        ("token_issue", 200, f"tenant=told credential=key:{kid} target=ann "),
        ("tenant_remove", 204, "tenant=told credential=admin "),
    ):
        assert f"act={act} outcome=ok status={status} {more}request_id=" in log, (act, log)
    assert "path=/api/v1/tenants/told/keys/car_ reason=" in log and made["api_key"] not in log


def test_a_recovery_is_the_keys_own(server):
    """A pid is refused with any other credential, also of the same tenant."""
    one = create(server, id="recovers")["api_key"]
    two = call(server, "POST", "/recovers/keys").json()["api_key"]
    client = Socket(server.port)
    joined(client, auth={"apiKey": one})
    for message in ("a", "b"):
        assert publish(server, one, message).status == 201
    created(client, 2)
    client.close()
    for key, same in ((two, False), (one, True)):
        again = Socket(server.port)
        joined_as = join(again, auth={"apiKey": key, "pid": client.pid, "offset": "1"})
        assert (joined_as[1]["pid"] == client.pid) == same, joined_as
        again.close()


def test_methods(server):
    create(server, id="methods")
    for path, allowed in (
        ("", "GET, HEAD, POST, OPTIONS"),
        ("/methods", "GET, HEAD, PATCH, DELETE, OPTIONS"),
        ("/methods/keys", "GET, HEAD, POST, OPTIONS"),
        ("/methods/keys/some", "DELETE, OPTIONS"),
    ):
        r = server.request("OPTIONS", TENANTS + path)
        assert r.status == 204 and r.header("Allow") == allowed, r
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"):
            if method not in allowed:
                r = call(server, method, path)
                assert r.status == 405 and r.header("Allow") == allowed, r
        if "HEAD" in allowed:
            got, head = call(server, "GET", path), call(server, "HEAD", path)
            assert head.status == 200 and head.body == b"" and head.header("Content-Length") == str(len(got.body))


def test_remove(server):
    made = create(server, id="gone")
    assert publish(server, made["api_key"]).status == 201
    r = call(server, "DELETE", "/gone")
    assert r.status == 204 and r.body == b""
    problem(call(server, "GET", "/gone"), 404, "not_found")
    problem(call(server, "DELETE", "/gone"), 404, "not_found")
    problem(publish(server, made["api_key"]), 401, "unauthorized")
    assert "gone" not in [t["id"] for t in call(server, "GET").json()["tenants"]]


def test_max_tenants():
    with serve("--max-tenants", "4") as s:
        create(s, id="third")
        create(s, id="fourth")
        r = call(s, "POST", "", {"id": "fifth"})
        problem(r, 503, "unavailable")
        assert int(r.header("Retry-After")) >= 1
        problem(call(s, "POST", "", {"id": "third"}), 409, "conflict")
        assert call(s, "DELETE", "/third").status == 204
        create(s, id="fifth")
        assert len(call(s, "GET").json()["tenants"]) == 4


def test_a_restart_keeps_all(place):
    with serve(store=place) as s:
        made = create(s, id="kept", name="Ünïcode", limits={"connections": 3, "history": 50}, retention="90m/100")
        more = call(s, "POST", "/kept/keys").json()
        create(s, id="gone")
        assert publish(s, made["api_key"]).status == 201
        assert call(s, "DELETE", "/gone").status == 204
        assert call(s, "PATCH", "/kept", {"limits": {"connections": 7}}).status == 200
        before, keys = whole(s, "kept"), call(s, "GET", "/kept/keys").json()["keys"]
    with serve(store=place) as s:
        assert whole(s, "kept") == before and before["limits"]["connections"] == 7 and before["retention"] == "90m/100"
        by_id = lambda k: k["id"]  # noqa: E731
        assert sorted(call(s, "GET", "/kept/keys").json()["keys"], key=by_id) == sorted(keys, key=by_id)
        assert publish(s, made["api_key"]).json()["seq"] == 2
        assert publish(s, more["api_key"]).json()["seq"] == 3
        problem(call(s, "GET", "/gone"), 404, "not_found")


def test_the_first_tenants_stay_who_they_are(place):
    """Before anything has happened to them: when they were made, and what names their log."""
    found = []
    for tenants in ("a,b", "a,b,c", "c,a,b"):
        with serve("--tenants", tenants, store=place, auth="open") as s:
            found.append({t: (whole(s, t)["created_at"], s.ws(t).hello["epoch"]) for t in sorted(tenants.split(","))})
    assert found[2] == found[1] and found[1] == {**found[0], "c": found[1]["c"]}
    assert len({epoch for _, epoch in found[2].values()}) == 3


def test_a_crash_right_after_the_answer_keeps_it(place):
    for turn in range(3):
        with serve(store=place) as s:
            made = create(s, id=f"crash{turn}", limits={"history": 5})
            s.crash()
        with serve(store=place) as s:
            assert whole(s, made["id"])["limits"]["history"] == 5
            assert publish(s, made["api_key"]).status == 201
            kid = call(s, "POST", f"/{made['id']}/keys").json()
            s.crash()
        with serve(store=place) as s:
            assert publish(s, kid["api_key"]).status == 201
            assert call(s, "DELETE", f"/{made['id']}/keys/{kid['id']}").status == 204
            s.crash()
        with serve(store=place) as s:
            problem(publish(s, kid["api_key"]), 401, "unauthorized")
            assert call(s, "DELETE", f"/{made['id']}").status == 204
            s.crash()
        with serve(store=place) as s:
            problem(call(s, "GET", f"/{made['id']}"), 404, "not_found")
            problem(publish(s, made["api_key"]), 401, "unauthorized")


def test_twenty_want_the_same_id(place):
    for store in (None, place):
        with serve(store=store) as s:
            for turn in range(5):
                answers, team = [], Team()

                def want(turn=turn, answers=answers):
                    http = Http(s.port)
                    answers.append(http.request("POST", TENANTS, {**ADMIN, **JSON}, json.dumps({"id": f"wanted{turn}"})))
                    http.close()

                for _ in range(20):
                    team.go(want)
                team.join()
                made = [r.json() for r in answers if r.status == 201]
                assert len(made) == 1 and sorted(r.status for r in answers) == [201] + [409] * 19
                assert publish(s, made[0]["api_key"]).json()["seq"] == 1
                assert whole(s, f"wanted{turn}")["counts"]["keys"] == 1


def test_made_and_removed_by_many_at_once(server):
    team = Team()

    def come_and_go(n):
        for i in range(10):
            made = create(server, id=f"many-{n}-{i}")
            assert publish(server, made["api_key"]).json()["seq"] == 1
            assert call(server, "DELETE", f"/many-{n}-{i}").status == 204
            problem(publish(server, made["api_key"]), 401, "unauthorized")

    for n in range(6):
        team.go(come_and_go, n)
    team.join()
    assert not [t for t in call(server, "GET").json()["tenants"] if t["id"].startswith("many-")]


@pytest.mark.parametrize("store", ["memory:", "sqlite"])
def test_changes_at_once_are_all_made(store, tmp_path):
    """Each changes a member of its own, and what was acknowledged last of each is what there is."""
    with serve("--store", store if store == "memory:" else f"sqlite:{tmp_path}/log.db") as s:
        create(s, id="busy")
        last = {}

        def change(member):
            http = Http(s.port)
            for n in range(1, 41):
                value = f"/{n}" if member == "retention" else f"name {n}" if member == "name" else n
                body = {"limits": {member: value}} if member in LIMITS else {member: value}
                r = http.request("PATCH", f"{TENANTS}/busy", {**ADMIN, **JSON}, json.dumps(body).encode())
                now = r.json()
                assert r.status == 200 and {**now, **now["limits"]}[member] == value, r
                last[member] = value
            http.close()

        team = Team()
        for member in (*LIMITS, "retention", "name"):
            team.go(change, member)
        team.join()
        now = whole(s, "busy")
        assert {**now, **now["limits"]} == {**now, **now["limits"], **last} and len(last) == len(LIMITS) + 2


def test_a_change_of_nothing_changes_nothing(server):
    create(server, id="same", name="Same", limits={"history": 7}, retention="1h/9")
    before = whole(server, "same")
    for body in ({}, {"limits": {}}):
        assert call(server, "PATCH", "/same", body).json() == before
    assert whole(server, "same") == before


def test_a_handshake_with_a_key_of_nobody(server):
    with pytest.raises(Refused) as refused:
        server.socket("tenant_a", "api_key=car_" + "x" * 43)
    assert refused.value.response.status == 401
