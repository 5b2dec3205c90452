"""The WebSocket interface, over RFC 6455 and RFC 7692: every frame, joining, closing, compression."""

import asyncio
import json
import os
import random
import struct
import zlib

import pytest
import websockets

from harness import (
    BINARY,
    CLOSE,
    CONT,
    NOWHERE,
    PING,
    PONG,
    TEXT,
    WAIT,
    Eof,
    Server,
    WebSocket,
    check_event,
    frame,
    problem,
    refused,
    scaled,
    until,
)


@pytest.fixture(scope="module")
def server():
    with Server("--buffer-size", "1000") as s:
        yield s


@pytest.fixture
def tenant(server):
    return server.tenant()


@pytest.fixture
def ten(server, tenant):
    """A tenant with ten events."""
    return tenant, server.flood(tenant, (f"m{i}" for i in range(10)))


# First frames


def test_connection_established_comes_first(server, tenant):
    a = server.ws(tenant)
    assert a.hello["seq"] == 0
    server.publish(tenant, "x")
    b = server.ws(tenant)
    assert b.hello["seq"] == 1 and b.hello["epoch"] == a.hello["epoch"]
    assert a.hello["session_id"] != b.hello["session_id"]
    assert set(b.hello) >= {"type", "tenant_id", "session_id", "seq", "epoch", "server_time"}
    assert server.ws(tenant, path="/api/v1/ws").hello["seq"] == 1


def test_another_run_is_another_epoch():
    epochs = set()
    for _ in range(2):
        with Server() as s:
            epochs.add(s.ws("tenant_a").hello["epoch"])
    assert len(epochs) == 2


def test_tenant_by_header(server, tenant):
    ws = server.keep(WebSocket(server.port, "/ws", {"X-Tenant-ID": tenant}))
    assert ws.recv_json("connection_established")["tenant_id"] == tenant
    ws = server.ws(tenant, headers={"X-Tenant-ID": tenant})
    server.publish(tenant, "x")
    assert ws.events(1)[0]["message"] == "x"


def test_live_events_in_order(server, tenant):
    clients = [server.ws(tenant) for _ in range(5)]
    clients += [server.ws(tenant, offer="permessage-deflate") for _ in range(3)]
    sent = server.flood(tenant, (f"m{i}" for i in range(200)))
    for ws in clients:
        assert ws.events(200) == sent


def test_live_only_starts_at_the_announced_seq(server, ten):
    tenant, _ = ten
    ws = server.ws(tenant)
    assert ws.hello["seq"] == 10
    e = server.publish(tenant, "next")
    assert ws.events(1) == [e] and e["seq"] == 11


def test_event_frames_carry_the_event_as_rest_shows_it(server, tenant):
    ws = server.ws(tenant)
    e = server.publish(tenant, "<&>\u2028 \U0001f600", type="odd:type", metadata={"n": [1, 2.5, None], "<": ">"})
    got = ws.recv_json("event_created")
    assert set(got) == {"type", "event"} and check_event(got["event"], tenant) == e
    assert server.get(f"/events/{e['id']}", tenant).json() == e


# since, sinceId, epoch, snapshot


@pytest.mark.parametrize("since", [0, 1, 5, 9, 10])
def test_since(server, ten, since):
    tenant, events = ten
    ws = server.ws(tenant, f"since={since}")
    assert ws.hello["seq"] == 10
    assert ws.events(10 - since) == events[since:]
    e = server.publish(tenant, "live")
    assert ws.events(1) == [e]


def test_since_id(server, ten):
    tenant, events = ten
    ws = server.ws(tenant, f"sinceId={events[3]['id']}")
    assert ws.events(6) == events[4:]
    e = server.publish(tenant, "live")
    assert ws.events(1) == [e]
    ws = server.ws(tenant, f"sinceId={e['id']}")
    assert ws.hello["seq"] == 11
    later = server.publish(tenant, "later")
    assert ws.events(1) == [later]


def test_since_with_the_right_epoch(server, ten):
    tenant, events = ten
    epoch = server.ws(tenant).hello["epoch"]
    ws = server.ws(tenant, f"since=4&epoch={epoch}")
    assert ws.events(6) == events[4:]


@pytest.mark.parametrize(
    "query",
    [
        "since=4&epoch=other",
        "since=10&epoch=other",
        "since=0&epoch=0",
        "since=11",
        "since=4000000000",
        "since=9007199254740991",
    ],
)
def test_since_of_another_log(server, ten, query):
    """The log was made anew, or never went so far: a gap, then everything."""
    tenant, events = ten
    ws = server.ws(tenant, query)
    gap = ws.recv_json("gap")
    assert gap == {"type": "gap", "from": 1, "to": 0}
    assert ws.events(10) == events
    e = server.publish(tenant, "live")
    assert ws.events(1) == [e]


def test_since_beyond_an_empty_log(server, tenant):
    ws = server.ws(tenant, "since=5")
    assert ws.recv_json("gap") == {"type": "gap", "from": 1, "to": 0}
    e = server.publish(tenant, "first")
    assert e["seq"] == 1 and ws.events(1) == [e]


def test_gap_where_events_have_been_forgotten():
    with Server("--buffer-size", "10") as s:
        events = s.flood("t", (f"m{i}" for i in range(25)))
        for since, first in ((0, 1), (3, 4), (14, 15)):
            ws = s.ws("t", f"since={since}")
            assert ws.recv_json("gap") == {"type": "gap", "from": first, "to": 15}
            assert ws.events(10) == events[15:]
        ws = s.ws("t", "since=15")
        assert ws.events(10) == events[15:]
        ws = s.ws("t", "since=7&epoch=other")
        assert ws.recv_json("gap") == {"type": "gap", "from": 1, "to": 15}
        assert ws.events(10) == events[15:]
        ws = s.ws("t", "since=26")
        assert ws.recv_json("gap") == {"type": "gap", "from": 1, "to": 15}
        assert ws.events(10) == events[15:]
        e = s.publish("t", "live")
        assert ws.events(1) == [e]


@pytest.mark.parametrize("n", [1, 3, 9, 10, 11, 1000])
def test_snapshot(server, ten, n):
    tenant, events = ten
    ws = server.ws(tenant, f"snapshot={n}")
    snap = ws.recv_json("snapshot")
    assert set(snap) == {"type", "events", "seq"} and snap["seq"] == 10
    assert snap["events"] == events[-n:]
    e = server.publish(tenant, "live")
    assert ws.events(1) == [e]


def test_snapshot_of_nothing(server, tenant):
    ws = server.ws(tenant, "snapshot=10")
    assert ws.recv_json("snapshot") == {"type": "snapshot", "events": [], "seq": 0}
    e = server.publish(tenant, "x")
    assert ws.events(1) == [e]


def test_snapshot_of_zero(server, ten):
    tenant, _ = ten
    ws = server.ws(tenant, "snapshot=0")
    e = server.publish(tenant, "live")
    first = ws.recv_json()
    if first["type"] == "snapshot":
        assert first["events"] == [] and first["seq"] == 10
        first = ws.recv_json()
    assert first == {"type": "event_created", "event": e}


def test_large_snapshot(server, tenant):
    """A single frame of some megabytes, with and without compression."""
    bodies = [json.dumps({"message": "x" * 2000, "metadata": {"i": i, "pad": "y" * 3000}}).encode() for i in range(600)]
    events = server.flood(tenant, bodies)
    for offer in (None, "permessage-deflate"):
        ws = server.ws(tenant, "snapshot=1000", offer=offer)
        assert ws.recv_json("snapshot") == {"type": "snapshot", "events": events, "seq": 600}
        ws.close()


# The handshake


@pytest.mark.parametrize(
    "query",
    [
        "since=abc",
        "since=-1",
        "since=1.5",
        "since=",
        "since=99999999999999999999999",
        "sinceId=abc",
        "sinceId=",
        f"sinceId={NOWHERE}",
        f"since=0&sinceId={NOWHERE}",
        "snapshot=abc",
        "snapshot=-1",
        "snapshot=1001",
        "snapshot=",
        "snapshot=1.5",
        "since=%zz",
        "since=1%00",
    ],
)
def test_bad_parameters_are_refused_before_the_upgrade(server, ten, query):
    tenant, _ = ten
    for path in ("/ws", "/api/v1/ws"):
        problem(refused(server.socket, tenant, query, path=path), 400, "bad_request")


def test_since_and_since_id(server, ten):
    tenant, events = ten
    problem(refused(server.socket, tenant, f"since=1&sinceId={events[0]['id']}"), 400, "bad_request")


def test_who_is_refused(server, tenant):
    problem(refused(WebSocket, server.port, "/ws"), 401, "unauthorized")
    problem(refused(WebSocket, server.port, "/ws?tenant="), 401, "unauthorized")
    problem(refused(server.socket, tenant, headers={"X-Tenant-ID": server.tenant()}), 403, "forbidden")
    with Server(tenants=False) as s:
        problem(refused(s.socket, "nobody"), 401, "unauthorized")
        assert s.ws("tenant_a").hello["seq"] == 0


@pytest.mark.parametrize("version", ["12", "8", "0", "14", "13.0", "x", "113"])
def test_other_versions(server, tenant, version):
    r = refused(server.socket, tenant, headers={"Sec-WebSocket-Version": version})
    problem(r, 426, "upgrade_required")
    assert r.header("Sec-WebSocket-Version") == "13"


@pytest.mark.parametrize(
    "change,statuses",
    [
        ({"Sec-WebSocket-Key": None}, {400}),
        ({"Sec-WebSocket-Key": ""}, {400}),
        ({"Sec-WebSocket-Key": "short"}, {400}),
        ({"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAAAA"}, {400}),
        ({"Sec-WebSocket-Key": "!!!!!!!!!!!!!!!!!!!!!!=="}, {400}),
        ({"Sec-WebSocket-Version": None}, {400, 426}),
        ({"Upgrade": None}, {400, 426}),
        ({"Connection": None}, {400, 426}),
        ({"Connection": "keep-alive"}, {400, 426}),
        ({"Upgrade": "h2c"}, {400, 426}),
    ],
)
def test_handshakes_that_are_none(server, tenant, change, statuses):
    r = refused(server.socket, tenant, headers=change)
    assert r.status in statuses, r
    problem(r, r.status, {400: "bad_request", 426: "upgrade_required"}[r.status])


def test_plain_get(server, tenant):
    r = server.get("/ws", tenant)
    assert r.status in (400, 426), r


def test_handshake_over_http_1_0(server, tenant):
    key = (
        "Upgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13"
    )
    c = server.http()
    c.send(f"GET /ws?tenant={tenant} HTTP/1.0\r\nHost: x\r\n{key}\r\n\r\n".encode())
    assert c.response().status in (400, 426, 505)
    c = server.http()
    c.send(f"POST /ws?tenant={tenant} HTTP/1.1\r\nHost: x\r\n{key}\r\nContent-Length: 0\r\n\r\n".encode())
    assert c.response().status in (400, 405)


@pytest.mark.parametrize(
    "change",
    [
        {"Upgrade": "WebSocket"},
        {"Upgrade": "h2c, websocket"},
        {"Connection": "keep-alive, Upgrade"},
        {"Connection": "keep-alive,upgrade"},
        {"Connection": "UPGRADE"},
        {"Sec-WebSocket-Protocol": "chat, superchat"},
        {"Sec-WebSocket-Extensions": None, "Sec-WebSocket-Version": " 13 "},
    ],
)
def test_handshakes_of_any_case(server, tenant, change):
    assert server.ws(tenant, headers=change).alive()


def test_frames_in_the_same_packet_as_the_handshake(server, tenant):
    ping = frame(TEXT, b'{"type":"ping","ref":1}')
    ws = server.keep(WebSocket(server.port, f"/ws?tenant={tenant}", extra=ping * 3))
    assert ws.recv_json()["type"] == "connection_established"
    for _ in range(3):
        assert ws.recv_json() == {"type": "pong", "ref": 1}


# Where the handshake comes from


def test_origins(server, tenant):
    here = f"http://127.0.0.1:{server.port}"
    assert server.ws(tenant, headers={"Origin": here}).alive()
    assert server.ws(tenant).alive()
    assert server.ws(
        tenant, headers={"Origin": f"http://example.test:{server.port}", "Host": f"example.test:{server.port}"}
    ).alive()
    for origin in (
        "https://evil.example",
        "null",
        f"http://127.0.0.1:{server.port + 1}",
        "http://127.0.0.1",
        here + ".evil.example",
        f"http://localhost:{server.port}",
        "file://",
    ):
        r = refused(server.socket, tenant, headers={"Origin": origin})
        problem(r, 403, "forbidden")


def test_listed_origins(tenant):
    with Server("--cors-origin", "https://app.example", "--cors-origin", "http://localhost:3000") as s:
        for origin in ("https://app.example", "http://localhost:3000", f"http://127.0.0.1:{s.port}"):
            assert s.ws(tenant, headers={"Origin": origin}).alive()
        for origin in (
            "https://evil.example",
            "http://app.example",
            "https://app.example.evil.example",
            "https://app.example:8443",
            "null",
        ):
            problem(refused(s.socket, tenant, headers={"Origin": origin}), 403, "forbidden")
    with Server("--cors-origin", "*") as s:
        assert s.ws(tenant, headers={"Origin": "https://anybody.example"}).alive()


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
    with Server("--buffer-size", "10") as s:
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


# Closing


def test_binary_is_refused(server, tenant):
    for data in (frame(BINARY, b"x"), frame(BINARY, b""), frame(BINARY, b"x", fin=False) + frame(CONT, b"y")):
        ws = server.ws(tenant)
        ws.send_raw(data)
        ws.closes_with(1003)


@pytest.mark.parametrize(
    "frames",
    [
        [frame(TEXT, b'{"type":"\xff"}')],
        [frame(TEXT, b"\xc0\xaf")],
        [frame(TEXT, b"\xed\xa0\x80")],
        [frame(TEXT, b"\xf4\x90\x80\x80")],
        [frame(TEXT, b"cut off \xe2\x82")],
        [frame(TEXT, b"\xe2\x82", fin=False), frame(CONT, b"x")],
        [frame(TEXT, b'{"type":"ping"', fin=False), frame(CONT, b"\xfe}")],
        [frame(TEXT, b"\xf0\x9f", fin=False), frame(CONT, b"\x98", fin=False), frame(CONT, b"")],
    ],
)
def test_invalid_utf8(server, tenant, frames):
    ws = server.ws(tenant)
    ws.send_raw(b"".join(frames))
    ws.closes_with(1007)


def test_characters_may_be_cut_by_fragments(server, tenant):
    ws = server.ws(tenant)
    text = '{"type":"ping","ref":"€\U0001f600é"}'.encode()
    ws.send_raw(
        b"".join(frame(TEXT if i == 0 else CONT, text[i : i + 1], fin=i == len(text) - 1) for i in range(len(text)))
    )
    assert ws.recv_json() == {"type": "pong", "ref": "€\U0001f600é"}


PROTOCOL_ERRORS = {
    "unmasked text": frame(TEXT, b'{"type":"ping"}', masked=False),
    "unmasked ping": frame(PING, b"", masked=False),
    "unmasked close": frame(CLOSE, b"\x03\xe8", masked=False),
    "RSV1 without an extension": frame(TEXT, b"x", rsv=4),
    "RSV2": frame(TEXT, b"x", rsv=2),
    "RSV3": frame(TEXT, b"x", rsv=1),
    "RSV on a ping": frame(PING, b"x", rsv=4),
    "opcode 3": frame(3, b"x"),
    "opcode 7": frame(7, b""),
    "opcode 11": frame(11, b"x"),
    "opcode 15": frame(15, b""),
    "fragmented ping": frame(PING, b"x", fin=False),
    "fragmented close": frame(CLOSE, b"", fin=False),
    "ping of 126 bytes": frame(PING, b"x" * 126),
    "close of 126 bytes": frame(CLOSE, b"\x03\xe8" + b"x" * 124),
    "continuation of nothing": frame(CONT, b"x"),
    "unfinished continuation of nothing": frame(CONT, b"x", fin=False),
    "message inside a message": frame(TEXT, b"x", fin=False) + frame(TEXT, b"y"),
    "continuation after the end": frame(TEXT, b'{"type":', fin=False) + frame(CONT, b'"ping"}') + frame(CONT, b"z"),
    "length not in its shortest form, 16 bits": frame(TEXT, b"x" * 100, form=16),
    "length not in its shortest form, 64 bits": frame(TEXT, b"x" * 1000, form=64),
    "length with the highest bit": b"\x81\xff\x80" + b"\0" * 7 + b"\0\0\0\0x",
    "close with one byte": frame(CLOSE, b"\x03"),
    **{
        f"close code {n}": frame(CLOSE, struct.pack(">H", n))
        for n in (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)
    },
}


@pytest.mark.parametrize("name", PROTOCOL_ERRORS)
def test_protocol_errors(server, tenant, name):
    ws = server.ws(tenant)
    ws.send_raw(PROTOCOL_ERRORS[name])
    ws.closes_with(*((1002, 1009) if "highest" in name else (1002,)))


def test_close_reason_has_to_be_utf8(server, tenant):
    ws = server.ws(tenant)
    ws.send_frame(CLOSE, b"\x03\xe8\xff\xfe")
    ws.closes_with(1007, 1002)


@pytest.mark.parametrize(
    "code", [None, 1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999]
)
def test_closing_handshake(server, tenant, code):
    ws = server.ws(tenant)
    ws.send_frame(CLOSE, b"" if code is None else struct.pack(">H", code) + "gr\u00fc\u00dfe".encode())
    got = ws.closing()
    assert got in ({None, 1000} if code is None else {code}), got
    assert ws.wire.ends()


def test_nothing_is_read_after_a_close(server, tenant):
    ws = server.ws(tenant)
    ws.send_raw(
        frame(CLOSE, struct.pack(">H", 1000))
        + frame(TEXT, b'{"type":"post_event","ref":1,"message":"late"}')
        + frame(PING, b"x")
    )
    assert ws.closing() == 1000 and ws.last_words == []
    assert ws.wire.ends()
    assert server.get("/events/stats", tenant).json()["total"] == 0


def test_what_was_acknowledged_before_a_close_is_sent(server, tenant):
    ws = server.ws(tenant)
    ws.send_raw(
        frame(TEXT, b'{"type":"post_event","ref":1,"message":"in time"}') + frame(CLOSE, struct.pack(">H", 1000))
    )
    assert ws.closing() == 1000
    kinds = [json.loads(data)["type"] for _, data in ws.last_words]
    assert "ack" in kinds, kinds


def test_too_big():
    with Server("--max-body-bytes", "4096") as s:

        def ping(size):
            return b'{"type":"ping","ref":"%s"}' % (b"x" * (size - len('{"type":"ping","ref":""}')))

        ws = s.ws("t")
        ws.send_text(ping(4096))
        assert ws.recv_json()["type"] == "pong"
        ws.send_text(ping(4097))
        ws.closes_with(1009)
        # Announced only: nothing of a big frame has to come first.
        for announced in (
            b"\x81\xfe\x10\x01" + b"\0" * 4,
            b"\x81\xff" + struct.pack(">Q", 2**40) + b"\0" * 4,
            b"\x81\xff" + struct.pack(">Q", 2**63 - 1) + b"\0" * 4,
        ):
            ws = s.ws("t")
            ws.send_raw(announced)
            ws.closes_with(1009)
        # By the sum of fragments, however many.
        ws = s.ws("t")
        ws.send_raw(frame(TEXT, b"x" * 2048, fin=False) + frame(CONT, b"x" * 2048, fin=False) + frame(CONT, b"x"))
        ws.closes_with(1009)
        # By what it inflates to.
        ws = s.ws("t", offer="permessage-deflate")
        if ws.extension is not None:
            bomb = ws.deflate(b"x" * 3_000_000)
            assert len(bomb) < 4096
            ws.send_frame(TEXT, bomb, rsv=4)
            ws.closes_with(1009)
        assert s.ws("t").alive()


def test_endless_empty_fragments(server, tenant):
    """A message of nothing, for ever: other clients are served, and the connection is closed or goes on, at no cost."""
    ws, other = server.ws(tenant), server.ws(tenant)
    before = server.process.rss()
    try:
        ws.send_raw(frame(TEXT, b"", fin=False))
        for _ in range(scaled(100)):
            ws.send_raw(frame(CONT, b"", fin=False) * 1000)
    except Eof:
        pass
    e = server.publish(tenant, "x")
    assert other.events(1) == [e]
    assert server.process.rss() - before < 64 << 20


# Control frames and fragments


def test_ping_pong(server, tenant):
    ws = server.ws(tenant)
    for payload in (b"", b"x", b"\x00\xff\xfe", b"y" * 125):
        ws.send_frame(PING, payload)
        assert ws.recv() == (PONG, payload)
    ws.send_frame(PONG, b"unasked")
    ws.send_frame(PING, b"after")
    assert ws.recv() == (PONG, b"after")
    ws.send_raw(b"".join(frame(PING, b"%d" % i) for i in range(100)))
    for i in range(100):
        assert ws.recv() == (PONG, b"%d" % i)


def test_control_frames_between_fragments(server, tenant):
    ws = server.ws(tenant)
    ws.send_frame(TEXT, b'{"type":"pi', fin=False)
    ws.send_frame(PING, b"between")
    assert ws.recv() == (PONG, b"between")
    e = server.publish(tenant, "meanwhile")
    assert ws.events(1) == [e]
    ws.send_frame(CONT, b'ng","ref', fin=False)
    ws.send_frame(PONG, b"")
    ws.send_frame(CONT, b"", fin=False)
    ws.send_frame(CONT, b'":5}')
    assert ws.recv_json() == {"type": "pong", "ref": 5}
    ws.send_frame(TEXT, b"unfinished", fin=False)
    ws.shut()


@pytest.mark.parametrize("step", [1, 2, 5])
def test_frames_byte_by_byte(server, tenant, step):
    ws = server.ws(tenant)
    data = (
        frame(TEXT, b'{"type":"ping","ref":1}')
        + frame(PING, b"p")
        + frame(TEXT, b'{"type":"ping","ref":"' + b"x" * 200 + b'"}')
    )
    for at in range(0, len(data), step):
        ws.send_raw(data[at : at + step])
    assert ws.recv_json() == {"type": "pong", "ref": 1}
    assert ws.recv() == (PONG, b"p")
    assert ws.recv_json() == {"type": "pong", "ref": "x" * 200}


@pytest.mark.parametrize("size", [124, 125, 126, 127, 65535, 65536, 65537, 1_000_000])
def test_frame_sizes(server, tenant, size):
    """Both sides' length encodings at their borders (the ref makes the answer about as long)."""
    ws = server.ws(tenant)
    shell = len('{"type":"ping","ref":""}')
    ws.send_text('{"type":"ping","ref":"%s"}' % ("x" * (size - shell)))
    assert ws.recv_json() == {"type": "pong", "ref": "x" * (size - shell)}


def test_any_mask(server, tenant):
    ws = server.ws(tenant)
    for key in (b"\0\0\0\0", b"\xff\xff\xff\xff", os.urandom(4), b"\x80\x01\x00\x7f"):
        for n in range(20):
            ws.send_frame(TEXT, b'{"type":"ping","ref":"%s"}' % (b"x" * n), key=key)
            assert ws.recv_json() == {"type": "pong", "ref": "x" * n}


# Heartbeat


def test_heartbeat():
    with Server("--ping-interval", "200ms", "--ping-timeout", "1s", "--idle-timeout", "500ms") as s:
        ws = s.ws("t")
        ws.answer_pings(8)
        e = s.publish("t", "x")
        assert ws.events(1) == [e]


def test_who_does_not_answer_is_dropped():
    with Server("--ping-interval", "200ms", "--ping-timeout", "200ms") as s:
        dead = [s.ws("t") for _ in range(20)]
        for ws in dead:
            ws.auto_pong = False
        for ws in dead:
            try:
                ws.closing()
            except Eof:
                pass
            assert ws.wire.ends()
            assert ws.pings >= 1
        until(lambda: s.get("/events/stats", "t").json()["connections"] == 0, "dropped sessions are forgotten")


# permessage-deflate


@pytest.mark.parametrize(
    "offer",
    [
        "permessage-deflate",
        "permessage-deflate; client_max_window_bits",
        "permessage-deflate; client_max_window_bits=10",
        "permessage-deflate; server_max_window_bits=10",
        "permessage-deflate; server_max_window_bits=15",
        "permessage-deflate; server_no_context_takeover",
        "permessage-deflate; client_no_context_takeover",
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover; "
        "server_max_window_bits=9; client_max_window_bits=9",
        "x-unknown, permessage-deflate",
        "permessage-deflate; bogus=1, permessage-deflate",
        "PERMESSAGE-deflate; foo, permessage-deflate; client_max_window_bits",
        'permessage-deflate; server_max_window_bits="12"',
    ],
)
def test_deflate_both_ways(server, tenant, offer):
    ws = server.ws(tenant, offer=offer)
    if "server_max_window_bits" in offer and ws.extension is None:
        pytest.skip("a small window may be declined")
    assert ws.extension is not None, ws.response
    text = "carillon " * 200
    for n in range(1, 11):
        # Repetition across messages makes use of the context, where it is kept.
        ws.send_json({"type": "post_event", "ref": n, "message": text, "metadata": {"n": n}}, deflated=n % 3 != 0)
        frames = {f["type"]: f for f in (ws.recv_json(), ws.recv_json())}
        assert frames["ack"]["event"]["message"] == text and frames["event_created"]["event"] == frames["ack"]["event"]
    for i in range(10):
        e = server.publish(tenant, text + str(i))
        assert ws.events(1) == [e]
    assert ws.deflated, "nothing was ever sent deflated"
    ws.shut()


@pytest.mark.parametrize(
    "offer",
    [
        "permessage-deflate; bogus",
        "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; client_max_window_bits=7",
        "permessage-deflate; client_max_window_bits=x",
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; server_max_window_bits=10; server_max_window_bits=10",
        "permessage-deflate; client_no_context_takeover; client_no_context_takeover",
        "permessage-deflate; server_max_window_bits=010",
        "x-webkit-deflate-frame",
        "permessage-deflate-x",
        "permessage-bzip2",
    ],
)
def test_offers_that_have_to_be_declined(server, tenant, offer):
    ws = WebSocket(server.port, f"/ws?tenant={tenant}", offer=offer)
    assert ws.extension is None, ws.response
    ws.close()


def test_small_windows_are_kept_to(server, tenant):
    """What the server sends inflates with the window it agreed to: repetition farther back may not be used."""
    rng = random.Random(7)
    for bits in (9, 10, 12):
        ws = server.ws(tenant, offer=f"permessage-deflate; server_max_window_bits={bits}")
        if ws.extension is None:
            continue
        block = "".join(rng.choice("abcdefghijklmnopqrstuvwxyz0123456789") for _ in range(900))
        e = server.publish(tenant, block + block[:100] + block, metadata={"pad": block * 20})
        assert ws.events(1) == [e]
        ws.close()


def test_deflated_fragments_and_controls(server, tenant):
    ws = server.ws(tenant, offer="permessage-deflate")
    data = ws.deflate(json.dumps({"type": "ping", "ref": "fragment " * 100}).encode())
    cut = [data[i : i + 5] for i in range(0, len(data), 5)]
    for i, piece in enumerate(cut):
        ws.send_frame(TEXT if i == 0 else CONT, piece, fin=i == len(cut) - 1, rsv=4 if i == 0 else 0)
        if i % 3 == 0:
            ws.send_frame(PING, b"%d" % i)
    got, pongs = None, 0
    while got is None or pongs < len(range(0, len(cut), 3)):
        opcode, payload = ws.recv()
        if opcode == PONG:
            pongs += 1
        else:
            got = json.loads(payload)
    assert got == {"type": "pong", "ref": "fragment " * 100}
    # Undeflated among deflated, an empty deflated one, one of stored blocks, one with a final block.
    ws.send_json({"type": "ping", "ref": 1})
    assert ws.recv_json()["ref"] == 1
    ws.send_frame(TEXT, b"\x00", rsv=4)
    assert ws.recv_json()["type"] == "error"
    stored = zlib.compressobj(0, zlib.DEFLATED, -15)
    data = stored.compress(b'{"type":"ping","ref":2}') + stored.flush(zlib.Z_SYNC_FLUSH)
    ws.send_frame(TEXT, data[:-4], rsv=4)
    assert ws.recv_json()["ref"] == 2
    final = zlib.compressobj(6, zlib.DEFLATED, -15)
    data = final.compress(b'{"type":"ping","ref":3}') + final.flush(zlib.Z_FINISH)
    ws.send_frame(TEXT, data + b"\x00", rsv=4)
    assert ws.recv_json()["ref"] == 3
    assert ws.alive()


def test_deflate_faults(server, tenant):
    for data, codes in (
        (frame(TEXT, b"\xff\xff\xff\xff", rsv=4), (1002, 1007)),
        (frame(PING, b"x", rsv=4), (1002,)),
        (frame(TEXT, b"x", rsv=6), (1002,)),
        (frame(TEXT, b"\x4a", fin=False, rsv=4) + frame(CONT, b"\x04\x00", rsv=4), (1002,)),
        (frame(CLOSE, b"\x03\xe8", rsv=4), (1002,)),
    ):
        ws = server.ws(tenant, offer="permessage-deflate")
        ws.send_raw(data)
        ws.closes_with(*codes)
    ws = server.ws(tenant, offer="permessage-deflate")
    ws.send_frame(TEXT, ws.deflate(b'{"type":"ping","ref":"\xff"}'), rsv=4)
    ws.closes_with(1007)
    ws = server.ws(tenant, offer="permessage-deflate")
    ws.send_frame(BINARY, ws.deflate(b"x"), rsv=4)
    ws.closes_with(1003)


# Stock clients


def run(coroutine):
    asyncio.run(asyncio.wait_for(coroutine, WAIT))


@pytest.mark.parametrize("compression", ["deflate", None])
def test_stock_client(server, tenant, compression):
    async def talk():
        url = f"ws://127.0.0.1:{server.port}/ws?tenant={tenant}"
        async with websockets.connect(url, compression=compression, max_size=None) as ws:
            hello = json.loads(await ws.recv())
            assert hello["type"] == "connection_established" and hello["tenant_id"] == tenant
            for n in range(1, 101):
                await ws.send(
                    json.dumps({"type": "post_event", "ref": n, "message": "stock " * 50, "metadata": {"n": n}})
                )
            acks, events = [], []
            while len(acks) + len(events) < 200:
                f = json.loads(await ws.recv())
                (acks if f["type"] == "ack" else events).append(f)
            assert [f["ref"] for f in acks] == list(range(1, 101))
            assert [f["event"]["seq"] for f in events] == list(range(1, 101))
            await (await ws.ping())

            async def pieces():
                for c in '{"type":"ping","ref":"in pieces"}':
                    yield c

            await ws.send(pieces())
            assert json.loads(await ws.recv()) == {"type": "pong", "ref": "in pieces"}
        assert ws.close_code == 1000
        async with websockets.connect(url + "&since=95", compression=compression) as ws:
            assert json.loads(await ws.recv())["seq"] == 100
            assert [json.loads(await ws.recv())["event"]["seq"] for _ in range(5)] == [96, 97, 98, 99, 100]
            await ws.send(b"binary")
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await ws.recv()
            assert closed.value.rcvd.code == 1003

    run(talk())


def test_stock_client_is_refused(server):
    async def talk():
        with pytest.raises(websockets.InvalidStatusCode) as refusal:
            await websockets.connect(f"ws://127.0.0.1:{server.port}/ws")
        assert refusal.value.status_code == 401
        with pytest.raises(websockets.InvalidStatusCode) as refusal:
            await websockets.connect(f"ws://127.0.0.1:{server.port}/ws?tenant=tenant_a", origin="https://evil.example")
        assert refusal.value.status_code == 403

    run(talk())


def test_reset_in_mid_stream_hurts_nobody(server, tenant):
    others = [server.ws(tenant) for _ in range(3)]
    for i in range(scaled(50)):
        gone = server.ws(tenant, offer="permessage-deflate" if i % 2 else None)
        gone.send_raw(frame(TEXT, b'{"type":"ping"', fin=False)[: i % 12])
        gone.reset()
        e = server.publish(tenant, f"m{i}")
        for ws in others:
            assert ws.events(1) == [e]
