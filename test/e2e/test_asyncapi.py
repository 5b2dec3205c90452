"""asyncapi.json: that it is well-formed, and that what the server sends is what it says.

The document is taken from the server. Each frame, event and packet is held against it: a type or a member that is not
documented fails the test that met it. So do commands, on their way out."""

import json
import signal

import pytest

from harness import NOWHERE, Server, Socket, WebSocket, split
from harness.asyncapi import AsyncApi, check_asyncapi

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
USERS = [
    {"tenant": "a", "name": "reader", "token": "token-reader", "scopes": ["subscribe"]},
    {"tenant": "a", "name": "writer", "token": "token-writer"},
]
# Messages that this server has no occasion to send; those that say when a token ends have a test of their own.
NEVER_SENT = {
    "live": {"SystemMessage", "Refreshed"},
    "stream": set(),
    "root": {"SioRefreshed"},
    "feed": {"SioRefreshed"},
}


@pytest.fixture(scope="module")
def server():
    with Server() as s:
        yield s


@pytest.fixture
def live(server):
    return AsyncApi(server.get("/api/v1/asyncapi.json").json())


def test_it_is_well_formed(live):
    check_asyncapi(live)


def test_the_schemas_of_both_documents_are_the_same(server, live):
    ours, theirs = live.root["components"], server.get("/api/v1/openapi.json").json()["components"]
    for name in ("EventId", "TenantId", "EventType", "Timestamp", "Metadata"):
        assert ours["schemas"][name] == theirs["schemas"][name]
    mine, other = (components["schemas"]["Event"] for components in (ours, theirs))
    assert set(mine["properties"]) == set(other["properties"]) and mine["required"] == other["required"]
    assert set(ours["schemas"]["ErrorCode"]["enum"]) <= set(theirs["schemas"]["ErrorCode"]["enum"])


def tell(document, ws, command):
    document.check("live", "receive", command["type"], command)
    ws.send_json(command)


def hear(document, ws, *names):
    """The next frames, which are of these types in some order; the last one."""
    found = [ws.recv_json() for _ in names]
    for frame in found:
        document.check("live", "send", frame["type"], frame)
    assert sorted(f["type"] for f in found) == sorted(names), found
    return found[-1]


def test_frames_of_a_websocket(live):
    with Server("--buffer-size", "4", store="memory:") as s:
        tenant = s.tenant()
        events = s.flood(tenant, (f"m{i}" for i in range(9)))
        ws = s.socket(tenant, "since=0")
        hear(live, ws, "connection_established")
        hear(live, ws, "gap")
        hear(live, ws, *["event_created"] * 4)
        ws = s.socket(tenant, "snapshot=2")
        hear(live, ws, "connection_established", "snapshot")
        posted = {"message": "<x>", "event_type": "a", "traceparent": TRACE}
        tell(live, ws, {"type": "post_event", "ref": {"any": [1]}, **posted})
        hear(live, ws, "ack", "event_created")
        tell(live, ws, {"type": "replay", "ref": 1.5, "sinceId": events[-2]["id"], "limit": 1})
        assert hear(live, ws, "replay_result")["has_more"]
        tell(live, ws, {"type": "ping"})
        assert hear(live, ws, "pong")["ref"] is None
        for bad in ('{"type":"post_event","message":""}', '{"type":"post_event","message":7,"ref":1}', "{", "[]"):
            ws.send_text(bad)
            hear(live, ws, "error")
        both = {"type": "replay", "since": 1, "sinceId": NOWHERE}
        for bad in ({"type": "nonsense"}, both, {"type": "replay", "limit": 0}):
            ws.send_json(bad)
            assert hear(live, ws, "error")["code"] == "bad_request"
        ws.send_json({"type": "post_event", "message": "x" * 2049})
        assert hear(live, ws, "error")["code"] == "too_large"
    assert live.unseen("live") == NEVER_SENT["live"]


def fields(live, sse, name):
    e = sse.expect(name)
    headers = {"event": e.kind, **({"id": e.id} if e.id is not None else {})}
    return live.check("stream", "send", name, e.json(), headers)


def test_events_of_a_stream(live):
    with Server("--buffer-size", "4", store="memory:") as s:
        tenant = s.tenant()
        s.flood(tenant, (f"m{i}" for i in range(9)))
        for path, headers in (("/api/v1/events/stream", {}), ("/events", {"Accept": "text/event-stream"})):
            sse = s.stream(tenant, "since=0", path=path, headers=headers)
            for kind in ("connection_established", "gap", "event_created", "event_created"):
                fields(live, sse, kind)
        sse = s.stream(tenant, "snapshot=2")
        fields(live, sse, "connection_established")
        assert len(fields(live, sse, "snapshot")["events"]) == 2
        s.publish(tenant, metadata={"a": None})
        fields(live, sse, "event_created")
    assert live.unseen("stream") == NEVER_SENT["stream"]


CHANNELS = {"/": "root", "/events": "feed"}


def packet(live, client, nsp, ack=None):
    """The next packet, which is documented; its name and its data. `ack` names the command that one may answer."""
    kind, where, _, data = split(client.next())
    assert where == nsp, (where, data)
    name = {"0": "connect", "4": "connect_error", "3": f"{ack}'s acknowledgement"}.get(kind) or data[0]
    form = {"0": "CONNECT", "4": "CONNECT_ERROR", "3": "ACK", "2": "EVENT"}[kind]
    return name, live.check(CHANNELS[nsp], "send", name, data, packet=form)


def emit(live, client, nsp, *data, ack="", check=True):
    if check:
        live.check(CHANNELS[nsp], "receive", data[0], list(data), packet="EVENT")
    client.send(f"42{'' if nsp == '/' else nsp + ','}{ack}{json.dumps(data)}")


def connect(live, client, nsp, auth):
    live.check(CHANNELS[nsp], "receive", "connect", auth, packet="CONNECT")
    client.send(f"40{'' if nsp == '/' else nsp + ','}{json.dumps(auth)}")


@pytest.mark.parametrize("nsp", ["/", "/events"])
def test_packets_of_socketio(live, nsp):
    with Server("--buffer-size", "4", store="memory:") as s:
        tenant = s.tenant()
        s.flood(tenant, (f"m{i}" for i in range(9)))
        greeting = ["connect", "connection_established", "initial_events"] if nsp == "/" else ["connect", "snapshot"]
        client = Socket(s.port)
        connect(live, client, nsp, {"tenant": tenant, "since": 0})
        told = greeting[:-1] + ["gap"] + greeting[-1:]
        assert [packet(live, client, nsp)[0] for _ in told] == told
        client.close()
        client = Socket(s.port)
        connect(live, client, nsp, {"tenantId": tenant, "snapshot": 0})
        assert [packet(live, client, nsp)[0] for _ in greeting] == greeting
        posted = {"message": "x", "metadata": {}, "type": "a", "traceparent": TRACE}
        emit(live, client, nsp, "post_event", posted, ack="1")
        both = dict(packet(live, client, nsp, "post_event") for _ in range(2))
        assert both["post_event's acknowledgement"][0]["event"] == both["event_created"][1]
        emit(live, client, nsp, "post_event", {"message": ""}, ack="2", check=False)
        assert packet(live, client, nsp, "post_event")[1][0]["error"]["code"] == "validation_error"
        emit(live, client, nsp, "replay", {"since": 6, "limit": 2}, ack="3")
        assert packet(live, client, nsp, "replay")[1][0]["has_more"]
        emit(live, client, nsp, "replay", {"since": -1}, ack="4", check=False)
        assert packet(live, client, nsp, "replay")[1][0]["error"]["code"] == "bad_request"
        emit(live, client, nsp, "replay")
        assert packet(live, client, nsp)[0] == "replay_result"
        emit(live, client, nsp, "refresh", {"token": "none"}, ack="5")
        assert packet(live, client, nsp, "refresh")[1][0]["error"]["code"] == "forbidden"
        emit(live, client, nsp, "nonsense", check=False)
        assert packet(live, client, nsp)[0] == "error"
        bad = Socket(s.port)
        connect(live, bad, nsp, {"tenant": tenant, "snapshot": 1000, "sinceId": NOWHERE})
        assert packet(live, bad, nsp)[1]["data"]["code"] == "bad_request"
        bad.close()
        s.process.signal(signal.SIGTERM)
        assert packet(live, client, nsp)[0] == "system_message"
        client.close()
    assert live.unseen(CHANNELS[nsp]) == NEVER_SENT[CHANNELS[nsp]]


def test_packets_of_an_unknown_tenant(live):
    with Server(tenants=False) as s:
        for nsp in CHANNELS:
            client = Socket(s.port)
            connect(live, client, nsp, {"tenant": "nobody"})
            assert packet(live, client, nsp)[1]["data"]["code"] == "unauthorized"
            client.close()


def test_the_author_is_documented(tmp_path, live):
    file = tmp_path / "users.json"
    file.write_text(json.dumps({"users": USERS}))
    with Server("--users", file, auth="token", tenants=False) as s:
        ws = s.keep(WebSocket(s.port, "/ws?token=token-writer"))
        hear(live, ws, "connection_established")
        tell(live, ws, {"type": "post_event", "message": "x"})
        assert hear(live, ws, "ack", "event_created")["event"]["author"] == "writer"
        ws = s.keep(WebSocket(s.port, "/ws?token=token-reader"))
        hear(live, ws, "connection_established")
        tell(live, ws, {"type": "post_event", "message": "x"})
        assert hear(live, ws, "error")["code"] == "forbidden"
        client = Socket(s.port)
        connect(live, client, "/events", {"tenantId": "a", "token": "token-writer"})
        assert packet(live, client, "/events")[0] == "connect"
        assert packet(live, client, "/events")[1][1][0]["author"] == "writer"
        client.close()


def test_what_is_refreshed_is_documented(live):
    with Server("--admin-key", "boss", auth="key", tenants=False) as s:
        path, boss = "/api/v1/tenants/tenant_a/token", {"Authorization": "Bearer boss"}
        token = s.request("POST", path, boss, b"{}").json()["token"]
        ws = s.keep(WebSocket(s.port, f"/ws?token={token}"))
        hear(live, ws, "connection_established")
        tell(live, ws, {"type": "refresh", "ref": 1, "token": token})
        hear(live, ws, "refreshed")
        tell(live, ws, {"type": "refresh", "token": "wrong"})
        assert hear(live, ws, "error")["code"] == "unauthorized"
        for nsp in CHANNELS:
            client = Socket(s.port)
            connect(live, client, nsp, {"token": token})
            for _ in range(3 if nsp == "/" else 2):
                packet(live, client, nsp)
            emit(live, client, nsp, "refresh", {"token": token}, ack="1")
            assert packet(live, client, nsp, "refresh")[0] == "refresh's acknowledgement"
            emit(live, client, nsp, "refresh", {"token": token})
            assert packet(live, client, nsp)[0] == "refreshed"
            client.close()


def test_what_is_not_documented_fails(live):
    live.check("live", "send", "pong", {"type": "pong", "ref": 1})
    for frame in (
        {"type": "pong", "ref": 1, "more": 1},
        {"type": "pong"},
        {"type": "unheard_of"},
        {"type": "gap", "from": "1", "to": 2},
    ):
        with pytest.raises(AssertionError):
            live.check("live", "send", frame["type"], frame)
