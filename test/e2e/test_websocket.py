"""WebSocket as section 4 of the interface says it: first frames, cursors, the handshake."""

import json

import pytest

from harness import NOWHERE, Server, TEXT, WebSocket, check_event, frame, problem, refused


@pytest.fixture(scope="module")
def server():
    with Server("--buffer-size", "1000") as s:
        yield s


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
