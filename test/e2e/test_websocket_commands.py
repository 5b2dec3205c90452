"""What clients say over WebSocket, and what they are answered."""

import json

import pytest

from harness import NOWHERE, Server, TEXT, check_event, frame, scaled


@pytest.fixture(scope="module")
def server():
    with Server("--buffer-size", "1000") as s:
        yield s


# What clients say


REFS = [
    "text",
    "",
    0,
    1,
    -1,
    1.5,
    True,
    False,
    None,
    [],
    [1, "two", {"three": 3}],
    {},
    {"a": {"b": [None]}},
    "\u2028<&>\U0001f600",
    "x" * 1000,
]


def test_post_event(server, tenant):
    ws, other = server.ws(tenant), server.ws(tenant)
    for n, ref in enumerate(REFS, 1):
        ws.send_json(
            {"type": "post_event", "ref": ref, "message": f"m{n}", "metadata": {"n": n}, "event_type": "odd.type"}
        )
        frames = {f["type"]: f for f in (ws.recv_json(), ws.recv_json())}
        assert set(frames) == {"ack", "event_created"}
        assert (
            set(frames["ack"]) == {"type", "ref", "event"}
            and frames["ack"]["ref"] == ref
            and type(frames["ack"]["ref"]) is type(ref)
        )
        e = check_event(frames["ack"]["event"], tenant)
        assert (e["seq"], e["message"], e["metadata"], e["type"]) == (n, f"m{n}", {"n": n}, "odd.type")
        assert frames["event_created"]["event"] == e and other.events(1) == [e]
        assert server.get(f"/events/{e['id']}", tenant).json() == e


@pytest.mark.parametrize(
    "ref", ["12345678901234567890123", "1e400", "-0", "1.10", "0.1e-7", '"\\u0000"', ' {"a" : 1} ']
)
def test_refs_come_back_unchanged(server, tenant, ref):
    ws = server.ws(tenant)
    ws.send_text('{"type":"ping","ref":%s}' % ref)
    _, data = ws.recv()

    def exact(text):
        return json.loads(text, parse_int=str, parse_float=str)

    assert exact(data) == {"type": "pong", "ref": exact(ref)}


def test_post_event_without_ref_and_type(server, tenant):
    ws = server.ws(tenant)
    ws.send_json({"type": "post_event", "message": "x", "author": "mallory", "tenant_id": "tenant_b"})
    ack, _ = ws.recv_until("ack")
    assert ack.get("ref") is None
    assert check_event(ack["event"], tenant)["type"] == "message" and "metadata" not in ack["event"]
    ws.send_json({"type": "post_event", "ref": 1, "metadata": {}})
    ack, _ = ws.recv_until("ack")
    assert ack["event"]["metadata"] == {} and "message" not in ack["event"]


@pytest.mark.parametrize(
    "body,code",
    [
        ({"message": ""}, "validation_error"),
        ({}, "validation_error"),
        ({"message": 1}, "validation_error"),
        ({"message": "x", "metadata": []}, "validation_error"),
        ({"message": "x", "event_type": "a b"}, "validation_error"),
        ({"message": "x", "event_type": ""}, "validation_error"),
        ({"message": "x", "event_type": 1}, "validation_error"),
        ({"message": "x" * 2049}, "too_large"),
        ({"message": "\U0001f600" * 2049}, "too_large"),
    ],
)
def test_post_event_refused(server, tenant, body, code):
    ws = server.ws(tenant)
    ws.send_json({"type": "post_event", "ref": {"a": 1}, **body})
    got = ws.recv_json("error")
    assert got["ref"] == {"a": 1} and got["code"] == code and got["message"], got
    ws.send_json({"type": "post_event", "ref": 2, "message": "\U0001f600" * 2048})
    ack, _ = ws.recv_until("ack")
    assert ack["ref"] == 2 and ack["event"]["seq"] == 1


def test_metadata_depth(server, tenant):
    ws = server.ws(tenant)
    for levels, kind in ((16, "ack"), (17, "error")):
        deep = '{"k":' * (levels - 1) + "{}" + "}" * (levels - 1)
        ws.send_text('{"type":"post_event","ref":%d,"metadata":%s}' % (levels, deep))
        got, before = ws.recv_until(kind)
        assert got["ref"] == levels and (kind == "ack" or got["code"] == "validation_error")
        assert all(f["type"] == "event_created" for f in before)


def test_pipelined_posts_are_acknowledged_in_order(server, tenant):
    ws = server.ws(tenant)
    n = scaled(500)
    ws.send_raw(
        b"".join(
            frame(TEXT, json.dumps({"type": "post_event", "ref": i, "message": f"m{i}"}).encode()) for i in range(n)
        )
    )
    acks, events = [], []
    while len(acks) < n or len(events) < n:
        f = ws.recv_json()
        (acks if f["type"] == "ack" else events).append(f)
    assert [a["ref"] for a in acks] == list(range(n))
    assert [a["event"]["seq"] for a in acks] == list(range(1, n + 1))
    assert [e["event"] for e in events] == [a["event"] for a in acks]


def test_replay(server, ten):
    tenant, events = ten
    ws = server.ws(tenant)

    def replay(**request):
        ws.send_json({"type": "replay", "ref": "r", **request})
        got = ws.recv_json("replay_result")
        assert set(got) == {"type", "ref", "events", "has_more"} and got["ref"] == "r"
        return got["events"], got["has_more"]

    assert replay(since=0) == (events, False)
    assert replay(since=0, limit=3) == (events[:3], True)
    assert replay(since=7, limit=3) == (events[7:], False)
    assert replay(since=6, limit=3) == (events[6:9], True)
    assert replay(since=10) == ([], False)
    assert replay(sinceId=events[4]["id"], limit=1000) == (events[5:], False)
    assert replay(sinceId=events[4]["id"], limit=1) == (events[5:6], True)
    e = server.publish(tenant, "live goes on")
    assert ws.events(1) == [e]


@pytest.mark.parametrize(
    "request_",
    [
        {"since": 0, "limit": 0},
        {"since": 0, "limit": 1001},
        {"since": 0, "limit": -1},
        {"since": 0, "limit": 1.5},
        {"since": -1},
        {"since": 1.5},
        {"since": True},
        {"since": [0]},
        {"sinceId": NOWHERE},
        {"sinceId": "abc"},
        {"sinceId": 1},
        {"since": 0, "sinceId": NOWHERE},
        {"since": 0, "limit": []},
    ],
)
def test_bad_replay(server, ten, request_):
    tenant, _ = ten
    ws = server.ws(tenant)
    ws.send_json({"type": "replay", "ref": 7, **request_})
    got = ws.recv_json("error")
    assert got["ref"] == 7 and got["code"] in ("bad_request", "validation_error"), got
    assert ws.alive()


def test_replay_of_what_is_forgotten():
    with Server("--buffer-size", "10", store="memory:") as s:
        events = s.flood("t", (f"m{i}" for i in range(25)))
        ws = s.ws("t")
        ws.send_json({"type": "replay", "ref": 1, "since": 3, "limit": 4})
        got, before = ws.recv_until("replay_result")
        assert all(f["type"] == "gap" for f in before)
        assert got["events"] == events[15:19] and got["has_more"]


def test_ping(server, tenant):
    ws = server.ws(tenant)
    for ref in REFS:
        ws.send_json({"type": "ping", "ref": ref})
        assert ws.recv_json() == {"type": "pong", "ref": ref}
    ws.send_json({"type": "ping"})
    got = ws.recv_json("pong")
    assert got.get("ref") is None


@pytest.mark.parametrize(
    "text",
    [
        '{"type":"\\u0070ing","ref":1}',
        '{"\\u0074ype":"ping","\\u0072ef":1}',
        ' \n{ "ref" : 1 , "type" : "ping" }\t',
        '{"ref":1,"type":"ping","unknown":[{}]}',
    ],
)
def test_any_spelling_of_the_same_json(server, tenant, text):
    ws = server.ws(tenant)
    ws.send_text(text)
    assert ws.recv_json() == {"type": "pong", "ref": 1}


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "{",
        "nonsense",
        "[]",
        "1",
        '"text"',
        "null",
        "{}",
        '{"type":1}',
        '{"type":null}',
        '{"type":"unknown","ref":1}',
        '{"ref":1}',
        '{"type":"ping"',
        '{"type":"ping"}}',
        '{"type":"ping"}{"type":"ping"}',
        '{"type":"\\ud800"}',
        '{"type":"ping","ref":"\\udc00"}',
        '{"type":"event_created"}',
        '{"type":"connection_established"}',
        "[" * 10000,
        '{"type":"ping","ref":' + "[" * 50000,
        "NaN",
        '{"type":"post_event","message":"\\ud800"}',
        '{"type":"PING"}',
    ],
)
def test_bad_messages_get_an_error_and_the_connection_lives_on(server, tenant, text):
    ws = server.ws(tenant)
    ws.send_text(text)
    got = ws.recv_json("error")
    assert (
        got["code"] in ("bad_request", "validation_error") and isinstance(got["message"], str) and got["message"]
    ), got
    if text == '{"type":"unknown","ref":1}':
        assert got["ref"] == 1
    ws.send_json({"type": "ping", "ref": "alive"})
    assert ws.recv_json() == {"type": "pong", "ref": "alive"}
    e = server.publish(tenant, "x")
    assert ws.events(1) == [e]
