"""The feed over Socket.IO on raw sockets: namespaces, credentials, cursors, recovery, slow readers, bad input."""

import json
import os
import threading

import pytest

from harness import Closed, Polling, SANITIZED, Server, Socket, created, event, join, joined, refused_as, scaled, split
from harness import until

TRANSPORTS = {"polling": Polling, "websocket": Socket}


@pytest.fixture(scope="module")
def server():
    with Server("--threads", "2", "--buffer-size", "3000") as s:
        yield s


@pytest.fixture(params=TRANSPORTS)
def transport(request):
    return TRANSPORTS[request.param]


def refusal(client, nsp="/", auth=None):
    kind, data = join(client, nsp, auth)
    assert kind == "4", data
    return data.get("data", {}).get("code"), data["message"]


def refusal_in_query(client, query, auth=None):
    """For a namespace with a query, as older clients write it; None where it is let in."""
    client.send(f"40/events?{query},{json.dumps(auth or {})}")
    kind, nsp, _, data = split(client.next())
    assert nsp == "/events", nsp
    return data["data"]["code"] if kind == "4" else None


def test_credentials(server, transport):
    a, b = server.tenant("a"), server.tenant("b")
    assert refusal(transport(server.port))[0] == "unauthorized"
    assert refusal(transport(server.port), "/events", {})[0] == "unauthorized"
    assert refusal(transport(server.port), auth={"tenant": "no such/name"})[0] == "unauthorized"
    assert refusal(transport(server.port), auth={"tenant": 7})[0] == "unauthorized"
    assert refusal(transport(server.port), auth={"tenant": a, "tenantId": b})[0] == "forbidden"
    assert refusal(transport(server.port, f"tenant={a}"), auth={"tenant": b})[0] == "forbidden"
    assert refusal(transport(server.port, f"tenant={a}&tenant={b}"))[0] == "bad_request"
    assert refusal(transport(server.port, f"tenant={a}"), "/nowhere") == ("not_found", "Invalid namespace")
    assert refusal_in_query(transport(server.port), f"tenant={a}", {"tenantId": b}) == "forbidden"
    assert refusal_in_query(transport(server.port), "tenant=no%20such") == "unauthorized"
    assert refusal_in_query(transport(server.port), "x=1&tenantId=" + a) is None
    client = transport(server.port)
    joined(client, "/", {"tenant": a})
    assert refusal(client, "/events", {"tenantId": b})[0] == "forbidden"
    joined(client, "/events", {"tenantId": a})


def test_greeting(server, transport):
    tenant = server.tenant()
    server.flood(tenant, (f"m{i}" for i in range(60)))
    client = transport(server.port, f"tenant={tenant}")
    kind, data = join(client)
    name, hello = event(client)
    assert kind == "0" and name == "connection_established"
    assert hello["tenant_id"] == tenant and hello["seq"] == 60 and hello["session_id"] == data["sid"]
    name, events, offset = event(client)
    assert name == "initial_events" and [e["seq"] for e in events] == list(range(11, 61)) and offset == "60"
    server.publish(tenant, "live")
    assert created(client, 1)[0]["seq"] == 61


@pytest.mark.parametrize("nsp", ["/", "/events", "/events?token=abc"])
def test_commands(server, transport, nsp):
    tenant = server.tenant()
    client = transport(server.port, f"tenant={tenant}")
    head = "" if nsp == "/" else f"{nsp},"
    client.send(f"40{head}")
    while not client.next().startswith("42"):
        pass
    if nsp == "/":
        event(client)
    client.send(f'42{head}0["post_event",{{"message":"a","metadata":{{"n":1e400}},"type":"t"}}]')
    answers = [split(client.next()) for _ in range(2)]
    ((_, where, number, data),) = [a for a in answers if a[0] == "3"]
    assert number == 0 and where == nsp.partition("?")[0] and data[0]["event"]["type"] == "t"
    bad = [
        ('["post_event",{}]', "validation_error"),
        ('["post_event"]', "validation_error"),
        ('["post_event",null]', "validation_error"),
        ('["post_event",[]]', "bad_request"),
        ('["post_event","x"]', "bad_request"),
        ('["post_event",{"message":5}]', "validation_error"),
        ('["post_event",{"message":"x","event_type":"no such"}]', "validation_error"),
        ('["replay",{"limit":0}]', "bad_request"),
        ('["replay",{"limit":1001}]', "bad_request"),
        ('["replay",{"since":1,"sinceId":"x"}]', "bad_request"),
        ('["nothing",1,2,3]', "bad_request"),
        ("[7]", "bad_request"),
    ]
    for i, (text, code) in enumerate(bad):
        client.send(f"42{head}{i + 7}{text}")
        kind, _, number, data = split(client.next())
        assert (kind, number) == ("3", i + 7) and data[0]["error"]["code"] == code, (text, data)
        client.send(f"42{head}{text}")
        kind, _, number, data = split(client.next())
        assert kind == "2" and data[0] == "error" and data[1]["code"] == code, (text, data)
    client.send(f"43{head}5[1,2]")  # an acknowledgement that nobody asked for
    client.send(f'42{head}["replay",{{}}]')
    kind, _, number, data = split(client.next())
    assert data[0] == "replay_result" and [e["seq"] for e in data[1]["events"]] == [1] and not data[1]["has_more"]


def test_leaving_a_namespace(server, transport):
    tenant = server.tenant()
    client = transport(server.port, f"tenant={tenant}")
    joined(client)
    joined(client, "/events")
    client.send("41")
    until(lambda: server.get("/events/stats", tenant).json()["connections"] == 1, "one has left")
    server.publish(tenant, "for one of them")
    assert created(client, 1, "/events")[0]["seq"] == 1
    joined(client)


def test_a_cursor(server, transport):
    tenant = server.tenant()
    sent = server.flood(tenant, (f"m{i}" for i in range(1500)))
    for auth, first in (
        ({"sinceId": sent[9]["id"]}, 11),
        ({"since": 10}, 11),
        ({"since": {"sinceId": sent[9]["id"]}}, 11),
        ({"since": 0}, 1),
        ({"since": 1499}, 1500),
        ({"since": 1500}, 1501),
    ):
        client = transport(server.port, f"tenant={tenant}")
        events, offset = joined(client, "/events", auth)
        rest = 1500 - len(events) - (first - 1)
        assert len(events) == min(1000, 1501 - first) and offset == str(first - 1 + len(events))
        got = [e["seq"] for e in events] + [e["seq"] for e in created(client, rest, "/events")]
        assert got == list(range(first, 1501))
    for auth in ({"sinceId": "x"}, {"since": -1}, {"since": "1"}, {"since": 1, "sinceId": "x"}, {"snapshot": 1001}):
        assert refusal(transport(server.port, f"tenant={tenant}"), "/events", auth)[0] == "bad_request"
    events, _ = joined(transport(server.port, f"tenant={tenant}"), "/events", {"snapshot": 3})
    assert [e["seq"] for e in events] == [1498, 1499, 1500]


def test_a_cursor_of_what_is_forgotten(transport):
    with Server("--buffer-size", "10", store="memory:") as s:
        tenant = s.tenant()
        s.flood(tenant, (f"m{i}" for i in range(30)))
        client = transport(s.port, f"tenant={tenant}")
        assert join(client, "/events", {"since": 5})[0] == "0"
        assert event(client, "/events") == ["gap", {"from": 6, "to": 20}]
        name, events, offset = event(client, "/events")
        assert [e["seq"] for e in events] == list(range(21, 31)) and offset == "30"


def test_recovery(server, transport):
    tenant, other = server.tenant(), server.tenant()
    client = transport(server.port, f"tenant={tenant}")
    joined(client)
    server.flood(tenant, ("a", "b", "c"))
    created(client, 3)
    auth = {"pid": client.pid, "offset": "2"}
    again = transport(server.port, f"tenant={tenant}")
    assert join(again, auth=auth) == ("0", {"sid": client.name, "pid": client.pid})
    assert event(again)[0] == "connection_established"
    assert [e["seq"] for e in created(again, 1)] == [3]
    server.flood(other, ("d", "e", "f", "g"))  # the offset alone would do for it
    for query, nsp, auth in (
        (f"tenant={other}", "/", auth),
        (f"tenant={tenant}", "/events", auth),
        (f"tenant={tenant}", "/", {**auth, "offset": "4"}),
        (f"tenant={tenant}", "/", {**auth, "offset": "-1"}),
        (f"tenant={tenant}", "/", {**auth, "offset": 2}),
        (f"tenant={tenant}", "/", {**auth, "offset": "2" * 40}),
        (f"tenant={tenant}", "/", {"pid": client.pid}),
        (f"tenant={tenant}", "/", {**auth, "pid": client.pid[:-1] + ("A" if client.pid[-1] != "A" else "B")}),
        (f"tenant={tenant}", "/", {**auth, "pid": "x" * 10000}),
        (f"tenant={tenant}", "/", {**auth, "pid": None}),
    ):
        fresh = transport(server.port, query)
        events, _ = joined(fresh, nsp, auth)
        assert fresh.pid != client.pid and fresh.name != client.name
        assert [e["message"] for e in events] == (list("defg") if query.endswith(other) else list("abc"))


BAD = [
    "4", "47", "42", "42[]", "42{}", '42["x"', "42[null]", '42["connect"]', '42["disconnect"]', '42x["a"]',
    '42/events,["a"]', '42/nowhere,["a"]', '429007199254740992["a"]', "41{}", "40[]", "40", '44{"message":"x"}',
    '45["a"]', '45-["a"]', '4511-["a"]', '4599999999999-["a"]', '451-["a",{"_placeholder":true,"num":1}]',
    "43", "43{}", "2", "8", "x", '42["' + "\ud83d" + '"]', '42["a","' + "\\ud83" + '"]', '42["a",\\ud800]',
]  # fmt: skip


@pytest.mark.parametrize("packet", BAD)
def test_a_bad_packet_ends_the_session_alone(server, transport, packet):
    tenant = server.tenant()
    neighbour = transport(server.port, f"tenant={tenant}")
    joined(neighbour)
    client = transport(server.port, f"tenant={tenant}")
    joined(client)
    raw = packet.encode("utf-8", "surrogatepass")
    if transport is Polling:
        refused_as(client.request("POST", raw), 3)
        refused_as(client.request("GET"), 1)
    else:
        client.ws.send_frame(1, raw)
        client.ws.closes_with(*([1009] if packet.startswith(("4511", "4599")) else [1002, 1007]))
    server.publish(tenant, "x")
    assert created(neighbour, 1)[0]["seq"] == 1


def test_half_a_character_spoils_its_command_alone(server, transport):
    """JavaScript writes a string that was cut within a character as an escape that stands for nothing."""
    tenant = server.tenant()
    client = transport(server.port, f"tenant={tenant}")
    joined(client)
    for i, text in enumerate(("cut \\ud83d", "\\udc00", "\\ud83d\\ud83d\\ude00", "\\\\\\ud83dx")):
        client.send(f'42{i}["post_event",{{"message":"{text}"}}]')
        kind, _, number, data = split(client.next())
        assert (kind, number) == ("3", i) and data[0]["error"]["code"] == "bad_request", data
    client.send('42["post_event",{"message":"\\udfff"}]')
    kind, _, _, data = split(client.next())
    assert kind == "2" and data[0] == "error" and data[1]["code"] == "bad_request"
    client.send('42["post_event",{"message":"whole \\ud83d\\ude00"}]')
    assert created(client, 1)[0]["message"] == "whole \U0001f600"
    assert refusal(transport(server.port, f"tenant={tenant}"), "/events", {"x": "\ud83d"})[0] == "bad_request"


def test_binary(server):
    client = Socket(server.port, f"tenant={server.tenant()}")
    joined(client)
    client.send('452-5["post_event",{"message":{"_placeholder":true,"num":0}},{"_placeholder":true,"num":1}]')
    client.ws.send_frame(2, b"abc")
    client.ws.send_frame(2, b"")
    assert split(client.next())[3][0]["error"]["code"] == "validation_error"
    client.send('451-["post_event"]')
    client.ws.send_frame(2, b"x" * (1 << 19))
    assert split(client.next())[3][0] == "error"
    client.send('452-["post_event"]')
    client.ws.send_frame(2, b"x" * (1 << 19))
    client.ws.send_frame(2, b"x" * (1 << 19))
    client.ws.closes_with(1009)
    alone = Socket(server.port, f"tenant={server.tenant()}")
    alone.ws.send_frame(2, b"abc")
    alone.ws.closes_with(1002)
    polling = Polling(server.port, f"tenant={server.tenant()}")
    joined(polling)
    polling.send('451-9["post_event",{"_placeholder":true,"num":0}]', "bAQID")
    assert split(polling.next())[3][0]["error"]["code"] == "validation_error"


def test_a_flood_by_a_poller_that_never_polls(server):
    """Each command has a large answer. It is read on only as far as the answers go out."""
    tenant = server.tenant()
    server.flood(tenant, (json.dumps({"message": "x" * 2000}).encode() for _ in range(500)))
    client = Polling(server.port, f"tenant={tenant}")
    client.send("40")
    before = server.process.peak()
    payload = "\x1e".join(['42["replay",{"limit":1000}]'] * 30000).encode()
    poster = threading.Thread(target=lambda: client.request("POST", payload), daemon=True)
    poster.start()
    polls = [client.poll() for _ in range(scaled(10))]
    assert any("replay_result" in packet for packets in polls for packet in packets)
    assert SANITIZED or server.process.peak() - before < 64 << 20
    refused_as(client.request("POST", b"3"), 1)  # two at a time: the session ended when this one began
    poster.join(20)
    assert not poster.is_alive()


def test_a_slow_reader_catches_up_and_a_hopeless_one_is_closed():
    with Server("--buffer-size", "40", "--max-body-bytes", 1 << 20, "--threads", "2", store="memory:") as s:
        tenant = s.tenant()
        fast, poller = s.ws(tenant), Polling(s.port, f"tenant={tenant}")
        slow = Socket(s.port, f"tenant={tenant}", rcvbuf=4096)
        joined(slow)
        joined(poller)
        bodies = [json.dumps({"metadata": {"pad": os.urandom(50000).hex()}}).encode() for _ in range(5)]
        seq = 0
        for _ in range(3):  # a poller that comes by now and then is not slow
            s.flood(tenant, bodies)
            fast.events(5)
            assert [e["seq"] for e in created(poller, 5)] == list(range(seq + 1, seq + 6))
            seq += 5
        assert [e["seq"] for e in created(slow, seq)] == list(range(1, seq + 1))
        for _ in range(40):
            s.flood(tenant, bodies)
            fast.events(5)
        with pytest.raises(Closed) as closed:
            while True:
                (e,) = created(slow, 1)
                seq += 1
                assert e["seq"] == seq
        assert closed.value.code == 1013
        assert poller.poll() == ["1"] or True
        refused_as(poller.request("GET"), 1)


def test_compression(server):
    """As on the plain WebSocket: what is large comes deflated, events as well as answers, in both namespaces."""
    tenant = server.tenant()
    client = Socket(server.port, f"tenant={tenant}", offer="permessage-deflate; client_max_window_bits")
    assert client.ws.extension is not None
    joined(client)
    joined(client, "/events")
    before = client.ws.deflated
    server.flood(tenant, ["y" * 2000, "small", "z" * 2000])
    got = [split(client.next()) for _ in range(6)]
    for nsp in ("/", "/events"):
        events = [data[1] for _, where, _, data in got if where == nsp]
        assert [e["seq"] for e in events] == [1, 2, 3] and events[2]["message"] == "z" * 2000
    assert client.ws.deflated == before + 4
    client.send('427["replay",{}]')
    assert len(split(client.next())[3][0]["events"]) == 3
    assert client.ws.deflated == before + 5
