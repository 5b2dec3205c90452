"""What cannot be published, and who cannot publish."""

import re

import pytest

from harness import Http, NOWHERE, Server, UUID4, check_event, problem

PATHS = ["/events", "/api/events", "/api/v1/events"]


@pytest.fixture(scope="module")
def server():
    with Server() as s:
        yield s


def put(server, tenant, raw, **headers):
    """Publishes exactly these bytes."""
    return server.post(tenant, raw if isinstance(raw, bytes) else raw.encode(), headers=headers)


# What is refused


@pytest.mark.parametrize(
    "raw",
    [
        '{"message":""}',
        "{}",
        '{"type":"a"}',
        '{"message":1}',
        '{"message":true}',
        '{"message":["x"]}',
        '{"message":{"a":1}}',
        '{"message":"x","metadata":[]}',
        '{"message":"x","metadata":"{}"}',
        '{"message":"x","metadata":1}',
        '{"message":"x","metadata":true}',
        '{"message":"","metadata":{}}',
        "[]",
        '"message"',
        "1",
        "true",
        "null",
        '[{"message":"x"}]',
    ],
)
def test_breaks_a_rule(server, tenant, raw):
    problem(put(server, tenant, raw), 422, "validation_error", fields=raw.startswith("{"))


def test_validation_names_the_field(server, tenant):
    p = problem(put(server, tenant, '{"message":""}'), 422, "validation_error", fields=True)
    assert any(e["field"] == "message" for e in p["errors"]), p
    p = problem(put(server, tenant, '{"message":"x","metadata":[]}'), 422, "validation_error", fields=True)
    assert any(e["field"].startswith("metadata") for e in p["errors"]), p
    p = problem(put(server, tenant, '{"message":"x","type":"a b"}'), 422, "validation_error", fields=True)
    assert any(e["field"] == "type" for e in p["errors"]), p


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b" ",
        b"{",
        b"}",
        b'{"message":"x"',
        b'{"message":"x"}}',
        b'{"message":"x"} x',
        b'{"message":"x"}{"message":"y"}',
        b"{'message':'x'}",
        b'{message:"x"}',
        b'{"message":"x",}',
        b'{"message":x}',
        b'{"message" "x"}',
        b'{"message":"x" "y"}',
        b'{"message":NaN}',
        b'{"message":"x","metadata":{"a":Infinity}}',
        b'{"message":"x","metadata":{"a":01}}',
        b'{"message":"x","metadata":{"a":1.}}',
        b'{"message":"x","metadata":{"a":.5}}',
        b'{"message":"x","metadata":{"a":+1}}',
        b'{"message":"x","metadata":{"a":1e}}',
        b'{"message":"x","metadata":{"a":-}}',
        b'{"message":"x","metadata":{"a":0x1}}',
        b'{"message":"a\nb"}',
        b'{"message":"a\tb"}',
        b'{"message":"a\0b"}',
        b'{"message":"\\x41"}',
        b'{"message":"\\u12"}',
        b'{"message":"\\u12g4"}',
        b'{"message":"unterminated}',
        b'{"message":"x"} // comment',
        b'{"message":"x" /* c */}',
        b'{"message":True}',
        b"\x00",
        b'\x00{"message":"x"}',
        # lone surrogates
        b'{"message":"\\ud800"}',
        b'{"message":"\\udc00"}',
        b'{"message":"\\ud83d x"}',
        b'{"message":"\\udc00\\ud800"}',
        b'{"message":"\\ud83d\\ud83d\\ude00"}',
        b'{"message":"\\uD83D\\u0041"}',
        b'{"message":"x","metadata":{"\\ud800":1}}',
        b'{"message":"x","metadata":{"a":"\\udfff"}}',
        b'{"message":"x","metadata":{"a":["\\ud800"]}}',
        # not UTF-8
        b'{"message":"\xff"}',
        b'{"message":"\xc0\x80"}',
        b'{"message":"\xed\xa0\x80"}',
        b'{"message":"\xf4\x90\x80\x80"}',
        b'{"message":"\xe2\x82"}',
        b'{"message":"\x80"}',
        b'{"message":"\xf8\x88\x80\x80\x80"}',
        b'{"message":"x","metadata":{"a":"\xfe"}}',
        b'{"message":"x","\xff":1}',
        '{"message":"x"}'.encode("utf-16"),
    ],
)
def test_malformed_json(server, tenant, raw):
    problem(put(server, tenant, raw), 400, "bad_request")


def test_space_around_the_json(server, tenant):
    assert put(server, tenant, ' \r\n\t{ "message" : "x" } \n').status == 201


def test_names_may_be_escaped(server, tenant):
    r = put(server, tenant, '{"\\u006dessage":"x","\\u0074ype":"\\u0061","meta\\u0064ata":{"\\u0061":1}}')
    assert r.status == 201, r
    e = check_event(r.json(), tenant)
    assert (e["message"], e["type"], e["metadata"]) == ("x", "a", {"a": 1})


def test_fields_of_the_server_are_not_taken_from_the_body(server, tenant):
    raw = {
        "message": "x",
        "id": NOWHERE,
        "tenant_id": "tenant_b",
        "seq": 99,
        "author": "mallory",
        "timestamp": "2001-01-01T00:00:00.000Z",
        "unknown": [1],
    }
    e = server.publish(tenant, **raw)
    assert e["seq"] == 1 and e["id"] != NOWHERE and "author" not in e and "unknown" not in e
    assert not e["timestamp"].startswith("2001")


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "text/html",
        "application/xml",
        "json",
        "application/jsonp",
        "application/x-ndjson",
    ],
)
def test_other_media_types(server, tenant, kind):
    problem(server.post(tenant, b'{"message":"x"}', headers={"Content-Type": kind}), 415, "unsupported_media_type")


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "application/json; charset=utf-8",
        "Application/JSON",
        "application/json;charset=UTF-8",
        "application/json ; charset=utf-8",
    ],
)
def test_json_media_types(server, tenant, kind):
    assert server.post(tenant, b'{"message":"x"}', headers={"Content-Type": kind}).status == 201


def test_body_over_the_limit():
    with Server("--max-body-bytes", "4096") as s:
        frame = len('{"metadata":{"a":""}}')
        fits = '{"metadata":{"a":"%s"}}' % ("x" * (4096 - frame))
        assert len(fits) == 4096
        assert s.post("t", fits.encode()).status == 201
        problem(s.post("t", fits.encode() + b" "), 413, "too_large")
        # Announced only, and as chunks without an announcement.
        c = s.http()
        c.send(
            c.build(
                "POST", "/events", {"X-Tenant-ID": "t", "Content-Type": "application/json", "Content-Length": "4097"}
            )
        )
        problem(c.response(), 413, "too_large")
        c = s.http()
        c.send(
            c.build(
                "POST", "/events", {"X-Tenant-ID": "t", "Content-Type": "application/json"}, b" " * 5000, chunked=True
            )
        )
        problem(c.response(), 413, "too_large")
        assert s.publish("t", "still there")["seq"] == 2


def test_body_over_the_default_limit(server, tenant):
    frame = len('{"metadata":{"a":""}}')
    fits = b'{"metadata":{"a":"%s"}}' % (b"x" * (2**20 - frame))
    assert server.post(tenant, fits).status == 201
    problem(
        Http(server.port).request(
            "POST", "/events", {"X-Tenant-ID": tenant, "Content-Type": "application/json"}, fits + b" "
        ),
        413,
        "too_large",
    )


# Who is asking


def test_no_tenant(server):
    body = b'{"message":"x"}'
    for path in PATHS:
        r = server.request("POST", path, {"Content-Type": "application/json"}, body)
        problem(r, 401, "unauthorized")
        problem(server.get(path), 401, "unauthorized")


def test_tenant_by_parameter(server, tenant):
    for path in PATHS:
        r = server.request("POST", f"{path}?tenant={tenant}", {"Content-Type": "application/json"}, b'{"message":"x"}')
        assert r.status == 201 and r.json()["tenant_id"] == tenant
        assert server.get(f"{path}?tenant={tenant}").status == 200
    r = server.request(
        "POST",
        f"/events?tenant={tenant}",
        {"x-TENANT-id": tenant, "content-type": "application/json"},
        b'{"message":"x"}',
    )
    assert r.status == 201


def test_header_and_parameter_disagree(server, tenant):
    other = server.tenant()
    server.publish(other, "x")
    server.publish(tenant, "x")
    for path in PATHS:
        problem(server.post(tenant, b'{"message":"y"}', path=f"{path}?tenant={other}"), 403, "forbidden")
        problem(server.get(f"{path}?tenant={other}", tenant), 403, "forbidden")
    for t in (tenant, other):
        assert server.get("/events/stats", t).json()["last_seq"] == 1


def test_tenant_header_twice(server, tenant):
    twice = [("X-Tenant-ID", tenant), ("x-tenant-id", tenant), ("Content-Type", "application/json")]
    problem(server.request("POST", "/events", twice, b'{"message":"x"}'), 400, "bad_request")
    problem(server.request("GET", "/events", twice[:2]), 400, "bad_request")


@pytest.mark.parametrize("name", ["-a", ".", "..", "a b", "a/b", "x" * 65, "é", "a\tb", "%41", "a,b", "_a", "*"])
def test_names_no_tenant_can_have(server, name):
    r = server.post(name, b'{"message":"x"}')
    assert r.status in (400, 401), r
    problem(r, r.status, {400: "bad_request", 401: "unauthorized"}[r.status])


@pytest.mark.parametrize("name", ["a", "0", "A.b_c-d", "x" * 64, "tenant_a", "Tenant_A"])
def test_names_a_tenant_can_have(server, name):
    assert server.publish(name, "x")["tenant_id"] == name


def test_tenant_names_differ_by_case(server):
    assert server.publish("CaseTest", "x")["seq"] == 1
    assert server.publish("casetest", "x")["seq"] == 1


# Request ids


def test_request_id(server, tenant):
    r = server.post(tenant, b'{"message":"x"}', headers={"X-Request-ID": "my-id_1.2:3"})
    assert r.header("X-Request-Id") == "my-id_1.2:3"
    r = put(server, tenant, "{", **{"X-Request-Id": "abc-123"})
    assert problem(r, 400, "bad_request")["request_id"] == "abc-123"
    for insane in ("", "a b", "x" * 1000, "\u00e9"):
        r = server.get("/livez", headers={"X-Request-Id": insane})
        assert r.header("X-Request-Id") not in (insane, None, ""), insane
    made = {server.get("/livez").header("X-Request-Id") for _ in range(50)}
    assert len(made) == 50


def test_error_titles_name_the_status(server, tenant):
    p = problem(put(server, tenant, "{"), 400, "bad_request")
    assert re.search("bad request", p["title"], re.I)
    assert UUID4.search(p["detail"]) is None
