"""Publishing over HTTP: the event, its message, type and metadata."""

import datetime
import json

import pytest

from harness import Server, Team, check_event, problem, scaled

PATHS = ["/events", "/api/events", "/api/v1/events"]
ASTRAL = "\U0001f600"


@pytest.fixture(scope="module")
def server():
    with Server() as s:
        yield s


def put(server, tenant, raw, **headers):
    """Publishes exactly these bytes."""
    return server.post(tenant, raw if isinstance(raw, bytes) else raw.encode(), headers=headers)


@pytest.mark.parametrize("path", PATHS)
def test_event_shape(server, tenant, path):
    before = datetime.datetime.now(datetime.timezone.utc)
    r = server.post(tenant, b'{"message":"hello"}', path=path)
    after = datetime.datetime.now(datetime.timezone.utc)
    assert r.status == 201, r
    assert r.header("Content-Type").split(";")[0] == "application/json"
    e = check_event(r.json(), tenant)
    assert e["seq"] == 1 and e["message"] == "hello" and e["type"] == "message"
    assert "metadata" not in e and "author" not in e
    assert r.header("Location") == f"/api/v1/events/{e['id']}"
    stamp = datetime.datetime.fromisoformat(e["timestamp"].replace("Z", "+00:00"))
    slack = datetime.timedelta(milliseconds=50)
    assert before - slack <= stamp <= after + slack
    again = server.get(r.header("Location"), tenant)
    assert again.status == 200 and again.json() == e


def test_tenants_that_exist_from_the_start():
    with Server(tenants=False) as s:
        for tenant in ("tenant_a", "tenant_b"):
            assert s.publish(tenant, "x")["seq"] == 1
        problem(s.post("tenant_c", b'{"message":"x"}'), 401, "unauthorized")
    with Server("--tenants", "one,two.x,3-y", tenants=False) as s:
        for tenant in ("one", "two.x", "3-y"):
            assert s.publish(tenant, "x")["tenant_id"] == tenant
        problem(s.post("tenant_a", b'{"message":"x"}'), 401, "unauthorized")
        listed = s.get("/api/v1/tenants").json()["tenants"]
        assert {t["id"] for t in listed} == {"one", "two.x", "3-y"}
        for t in listed:
            assert set(t) == {"id", "name", "created_at"}, t


def test_auto_tenants_up_to_the_limit():
    with Server("--max-tenants", "5", "--tenants", "t0,t1") as s:
        for i in range(5):
            s.publish(f"t{i}", "x")
        r = s.post("t5", b'{"message":"x"}')
        assert r.status in (401, 403, 429, 503), r
        for i in range(5):
            assert s.publish(f"t{i}", "x")["seq"] == 2


def test_seq_counts_from_one_in_each_tenant(server):
    a, b = server.tenant(), server.tenant()
    for n in range(1, 6):
        assert server.publish(a, "x")["seq"] == n
    for n in range(1, 4):
        assert server.publish(b, "x")["seq"] == n
    assert server.publish(a, "x")["seq"] == 6


def test_refused_events_leave_no_hole(server, tenant):
    assert server.publish(tenant, "one")["seq"] == 1
    for raw in (b'{"message":""}', b"{", b'{"message":"' + b"x" * 2049 + b'"}', b'{"message":1}'):
        assert put(server, tenant, raw).status >= 400
    assert server.publish(tenant, "two")["seq"] == 2


def test_many_publishers_make_one_order(server, tenant):
    rounds, team, seen = scaled(150), Team(), []

    def publisher():
        mine = [server.publish(tenant, "x") for _ in range(rounds)]
        seqs = [e["seq"] for e in mine]
        assert seqs == sorted(seqs)
        seen.extend(mine)

    for _ in range(6):
        team.go(publisher)
    team.join()
    assert sorted(e["seq"] for e in seen) == list(range(1, 6 * rounds + 1))
    assert len({e["id"] for e in seen}) == 6 * rounds
    by_id = {e["id"]: e for e in seen}
    listed = server.get("/events?limit=1000", tenant).json()["events"]
    assert [e["seq"] for e in listed] == list(range(6 * rounds, 6 * rounds - len(listed), -1))
    assert all(by_id[e["id"]] == e for e in listed)


# The message


@pytest.mark.parametrize(
    "unit,escaped",
    [
        ("x", False),
        ("\u00e9", False),
        ("\u20ac", False),
        (ASTRAL, False),
        (ASTRAL, True),
        ("\u0301", False),
        ("\n", True),
    ],
)
def test_message_length_counts_characters(server, tenant, unit, escaped):
    def body(n):
        return json.dumps({"message": unit * n}, ensure_ascii=escaped).encode()

    r = put(server, tenant, body(2048))
    assert r.status == 201 and r.json()["message"] == unit * 2048
    problem(put(server, tenant, body(2049)), 413, "too_large")
    assert put(server, tenant, body(1)).json()["seq"] == 2


def test_message_limit_by_flag():
    with Server("--max-message-chars", "500") as s:
        assert s.post("t", json.dumps({"message": ASTRAL * 500}).encode()).status == 201
        problem(s.post("t", json.dumps({"message": "x" * 501}).encode()), 413, "too_large")


@pytest.mark.parametrize(
    "message",
    [
        "plain",
        " spaces kept  ",
        "tab\tnewline\nreturn\r",
        'quote" backslash\\ slash/',
        "nul\u0000inside",
        "\u007f\u0080\u009f",
        "\ufeffBOM",
        "\uffff\ufffe",
        "a\u0301 not normalised",
        "\u202eright to left",
        ASTRAL + "\U0010ffff",
        "\b\f\u0001\u001f",
        "<script>alert('x')</script> & \u2028\u2029",
        "\\u003c not an escape",
        "%00%0a",
    ],
)
def test_message_is_kept_as_sent(server, tenant, message):
    for ascii_only in (True, False):
        r = put(server, tenant, json.dumps({"message": message}, ensure_ascii=ascii_only))
        assert r.status == 201, r
        e = r.json()
        assert e["message"] == message
        assert server.get(f"/events/{e['id']}", tenant).json()["message"] == message
        assert server.get("/events?limit=1", tenant).json()["events"][0]["message"] == message


def test_html_is_escaped_everywhere(server, tenant):
    nasty = "<img src=x onerror=alert(1)>&amp;\u2028\u2029"
    body = {"message": nasty, "metadata": {nasty: [nasty, {"deep": nasty}]}}
    for raw in (json.dumps(body), json.dumps(body, ensure_ascii=False)):
        r = put(server, tenant, raw)
        assert r.status == 201
        listed = server.get("/events?limit=1", tenant)
        one = server.get(r.header("Location"), tenant)
        for answer in (r, listed, one):
            for forbidden in (b"<", b">", b"&", "\u2028".encode(), "\u2029".encode()):
                assert forbidden not in answer.body, (forbidden, answer)
            text = answer.body.decode().lower()
            for escape in ("\\u003c", "\\u003e", "\\u0026", "\\u2028", "\\u2029"):
                assert text.count(escape) >= 4, (escape, text)
        for e in (r.json(), one.json(), listed.json()["events"][0]):
            assert e["message"] == nasty and e["metadata"] == body["metadata"]


def test_errors_are_escaped_too(server, tenant):
    nasty = "%3Cscript%3E%26%E2%80%A8"
    for r in (
        server.get(f"/api/v1/events?since={nasty}", tenant),
        server.get(f"/nowhere/{nasty}"),
        server.get(f"/api/v1/events?tenant={nasty}"),
        put(server, tenant, '{"message":"x","type":"<script>&"}'),
        put(server, tenant, '{"message":"x","metadata":"<script>&"}'),
    ):
        assert r.status >= 400
        for forbidden in (b"<", b">", b"&", "\u2028".encode()):
            assert forbidden not in r.body, r


# The type


@pytest.mark.parametrize("kind", ["a", "0", "message", "order.created", "a:b", "A_b-c.9", "x" * 64])
def test_type_kept(server, tenant, kind):
    assert server.publish(tenant, "x", type=kind)["type"] == kind


@pytest.mark.parametrize(
    "kind",
    [
        '""',
        '" a"',
        '"a b"',
        '"-a"',
        '".a"',
        '"_a"',
        '":a"',
        '"' + "x" * 65 + '"',
        '"é"',
        '"a\\n"',
        '"a\\u0000b"',
        '"a/b"',
        "1",
        "true",
        "[]",
        "{}",
    ],
)
def test_type_refused(server, tenant, kind):
    problem(put(server, tenant, f'{{"message":"x","type":{kind}}}'), 422, "validation_error", fields=True)


# The metadata


def nested(levels, opener='{"k":', closer="}", core="{}"):
    """A JSON object of so many levels; the core counts as one."""
    return opener * (levels - 1) + core + closer * (levels - 1)


@pytest.mark.parametrize("inner", ["object", "array"])
def test_metadata_depth(server, tenant, inner):
    def body(levels):
        if inner == "object":
            deep = nested(levels)
        else:
            deep = '{"k":' + nested(levels - 1, "[", "]", "[]") + "}"
        return f'{{"message":"x","metadata":{deep}}}'

    for levels in (1, 2, 15, 16):
        if inner == "array" and levels == 1:
            continue
        r = put(server, tenant, body(levels))
        assert r.status == 201, (levels, r)
        assert r.json()["metadata"] == json.loads(body(levels))["metadata"]
    for levels in (17, 18, 100):
        problem(put(server, tenant, body(levels)), 422, "validation_error", fields=True)
    # A scalar is no level, and depth is not a sum over siblings.
    deep16 = nested(16, core='{"a":1,"b":"x"}')
    assert put(server, tenant, f'{{"metadata":{deep16}}}').status == 201
    siblings = ",".join(f'"k{i}":{nested(15)}' for i in range(20))
    assert put(server, tenant, f'{{"metadata":{{{siblings}}}}}').status == 201


@pytest.mark.parametrize("opener,closer", [("[", "]"), ('{"a":', "}")])
def test_absurd_depth_does_no_harm(server, tenant, opener, closer):
    bottomless = opener * 100_000 + "1" + closer * 100_000
    for raw in (bottomless, f'{{"message":"x","metadata":{{"a":{bottomless}}}}}', opener * 100_000):
        assert put(server, tenant, raw).status in (400, 422)
    assert server.publish(tenant, "fine")["seq"] == 1


NUMBERS = [
    "0",
    "-0",
    "1",
    "-1",
    "9007199254740993",
    "12345678901234567890",
    "123456789012345678901234567890",
    "-98765432109876543210",
    "0.1",
    "1.0",
    "1.10",
    "1e5",
    "1E+5",
    "1e-7",
    "0.000000000000000000000000000001",
    "1e400",
    "-1e400",
    "1e-400",
    "3.141592653589793238462643383279",
    "-0.0",
]


def test_metadata_numbers_unchanged(server, tenant):
    def exact(text):
        return json.loads(text, parse_int=str, parse_float=str)

    raw = '{"message":"x","metadata":{"n":[' + ",".join(NUMBERS) + "]}}"
    r = put(server, tenant, raw)
    assert r.status == 201, r
    for answer in (r, server.get(r.header("Location"), tenant)):
        assert exact(answer.body)["metadata"]["n"] == NUMBERS
    listed = server.get("/events", tenant)
    assert exact(listed.body)["events"][0]["metadata"]["n"] == NUMBERS
    with_ws = server.ws(tenant, "since=0")
    _, data = with_ws.recv()
    assert exact(data)["event"]["metadata"]["n"] == NUMBERS


def test_metadata_kept(server, tenant):
    metadata = {
        "": "",
        "a b": None,
        "unicode \u00e9\u20ac" + ASTRAL: True,
        "list": [1, "two", [], {}, None, False],
        "z": 1,
        "a": 2,
        "nul\u0000": "\u0000",
        "__proto__": {"x": 1},
    }
    e = server.publish(tenant, "x", metadata=metadata)
    assert e["metadata"] == metadata
    assert server.get(f"/events/{e['id']}", tenant).json() == e


def test_metadata_alone_and_empty(server, tenant):
    e = server.publish(tenant, metadata={})
    assert e["metadata"] == {} and "message" not in e
    e = server.publish(tenant, metadata={"a": 1}, type="alone")
    assert e["metadata"] == {"a": 1} and "message" not in e and e["type"] == "alone"


def test_large_metadata(server, tenant):
    big = {"blob": "x" * 900_000, "wide": list(range(10_000))}
    e = server.publish(tenant, metadata=big)
    assert e["metadata"] == big
