"""Engine.IO sessions on the server's Socket.IO path: handshakes, long-polling, upgrades, heartbeats, on any worker."""

import json
import re
import time

import pytest

from harness import Closed, Http, Polling, Server, Socket, Wire, created, join, joined, refused_as, until


@pytest.fixture(scope="module", params=[1, 4])
def server(request):
    with Server("--threads", request.param, "--cors-origin", "http://page.example") as s:
        yield s


def ask(server, method, query, headers=None, body=None, path="/socket.io/"):
    http = server.http()
    r = http.request(method, f"{path}?{query}", headers, body)
    http.close()
    return r


@pytest.mark.parametrize(
    "method, query, code",
    [
        ("GET", "", 0),
        ("GET", "EIO=4", 0),
        ("GET", "EIO=4&transport=webtransport", 0),
        ("GET", "EIO=4&transport=abc&sid=x", 0),
        ("GET", "transport=polling", 5),
        ("GET", "EIO=3&transport=polling", 5),
        ("GET", "EIO=abc&transport=polling", 5),
        ("GET", "EIO=44&transport=polling", 5),
        ("POST", "EIO=4&transport=polling", 2),
        ("PUT", "EIO=4&transport=polling", 2),
        ("DELETE", "EIO=4&transport=polling", 2),
        ("GET", "EIO=4&transport=websocket", 3),
        ("GET", "EIO=4&transport=polling&sid=abc", 1),
        ("GET", "EIO=4&transport=polling&sid=" + "A" * 24, 1),
        ("POST", "EIO=4&transport=polling&sid=" + "_" * 24, 1),
        ("GET", "EIO=4&transport=polling&sid=" + "A" * 5000, 1),
    ],
)
def test_refused(server, method, query, code):
    refused_as(ask(server, method, query, body=b"x" if method != "GET" else None), code)


def test_version_3_is_refused_over_websocket_too(server):
    head = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    head["Sec-WebSocket-Key"] = "dGhlIHNhbXBsZSBub25jZQ=="
    refused_as(ask(server, "GET", "EIO=3&transport=websocket", head), 5)
    refused_as(ask(server, "GET", "EIO=4&transport=polling", head), 3)
    head["Sec-WebSocket-Key"] = "short"
    refused_as(ask(server, "GET", "EIO=4&transport=websocket", head), 3)


@pytest.mark.parametrize("version", ["8", "12"])
def test_another_websocket_version_is_told_ours(server, tenant, version):
    head = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
    head["Sec-WebSocket-Version"] = version
    polling = Polling(server.port, f"tenant={tenant}")
    for query in ("EIO=4&transport=websocket", f"EIO=4&transport=websocket&sid={polling.sid}"):
        r = ask(server, "GET", query, head)
        assert r.status == 426 and r.header("Sec-WebSocket-Version") == "13", r
        assert r.header("Upgrade") == "websocket", r
    polling.send("40")


def test_handshake(server):
    for path in ("/socket.io/", "/socket.io"):
        polling = Polling(server.port, path=path)
        assert re.fullmatch(r"[A-Za-z0-9_-]{24}", polling.sid)
        assert polling.open == {
            "sid": polling.sid,
            "upgrades": ["websocket"],
            "pingInterval": 25000,
            "pingTimeout": 20000,
            "maxPayload": 1 << 20,
        }
    socket = Socket(server.port)
    assert socket.open["upgrades"] == []
    socket.close()


def test_ids_are_found_on_any_worker_and_cannot_be_varied(server, tenant):
    polling = Polling(server.port, f"tenant={tenant}")
    joined(polling)
    for i in range(len(polling.sid)):
        other = "A" if polling.sid[i] != "A" else "B"
        mangled = polling.sid[:i] + other + polling.sid[i + 1 :]
        refused_as(ask(server, "GET", f"EIO=4&transport=polling&sid={mangled}"), 1)
        refused_as(ask(server, "POST", f"EIO=4&transport=polling&sid={polling.sid[:i]}", body=b"41"), 1 if i else 2)
    for n in range(20):
        server.publish(tenant, f"m{n}")
        assert created(polling, 1)[0]["message"] == f"m{n}"


def test_requests_of_a_session_share_a_connection(server, tenant):
    """Pipelined, chunked and in pieces, with requests of others in between: answers come in order."""
    polling = Polling(server.port, f"tenant={tenant}")
    http = server.http()
    target = polling.target()
    wire = http.build("POST", target, body=b"40", chunked=True) + http.build("GET", "/livez")
    wire += http.build("GET", target) + http.build("POST", target, body=b'42["post_event",{"message":"x"}]')
    for at in range(0, len(wire), 50):
        http.send(wire[at : at + 50])
    assert http.response("POST").body == b"ok"
    assert http.response().status == 200
    assert b"connection_established" in http.response().body
    assert http.response("POST").body == b"ok"
    http.close()


def test_preflight_and_origins(server):
    r = ask(server, "OPTIONS", "EIO=4&transport=polling", {"Origin": "http://page.example"})
    assert r.status == 204 and r.header("Access-Control-Allow-Origin") == "http://page.example", r
    r = ask(server, "GET", "EIO=4&transport=polling", {"Origin": "http://page.example"})
    assert r.status == 200 and r.header("Access-Control-Allow-Credentials") == "true", r
    assert r.header("Access-Control-Allow-Origin") == "http://page.example", r
    refused_as(ask(server, "GET", "EIO=4&transport=polling", {"Origin": "http://other.example"}), 4)


def test_a_second_poll_ends_the_session(server):
    polling = Polling(server.port)
    first = polling.poll_later()
    time.sleep(0.2)
    refused_as(polling.request("GET"), 3)
    assert first.response().body == b"1"
    refused_as(polling.request("GET"), 1)


def test_close_by_the_client(server):
    polling = Polling(server.port)
    waiting = polling.poll_later()
    time.sleep(0.2)
    polling.send("1")
    assert waiting.response().body == b"6"
    refused_as(polling.request("GET"), 1)


@pytest.mark.parametrize(
    "body", [b"", b"abc", b"7", b"4a\x1e", b"\x1e", b"bA", b"b?", b"2", b"4\xff", b"4a\x1e\x1e4b", b"4abc", b"42{}"]
)
def test_malformed_payload(server, body):
    polling = Polling(server.port)
    waiting = polling.poll_later()
    time.sleep(0.1)
    refused_as(polling.request("POST", body), 3)
    assert waiting.response().body == b"1"
    refused_as(polling.request("POST", b"3"), 1)


def test_a_payload_too_large(server):
    polling = Polling(server.port)
    assert polling.request("POST", b"4" * ((1 << 20) + 1)).status == 413
    polling.send("3")


def test_a_poller_that_goes_is_gone(server):
    polling = Polling(server.port)
    waiting = polling.poll_later()
    time.sleep(0.2)
    waiting.close()
    until(lambda: polling.request("POST", b"3").status == 400, "the session has ended")
    refused_as(polling.request("GET"), 1)


def begin_post(polling, body, cut):
    """A POST whose head has arrived, and the first `cut` bytes of its body. The rest is for later."""
    http = Http(polling.port)
    whole = http.build("POST", polling.target(), body=body)
    at = len(whole) - len(body) + cut
    http.send(whole[:at])
    time.sleep(0.2)
    return http, whole[at:]


@pytest.mark.parametrize("cut", [0, 5])
def test_a_second_payload_ends_the_session(server, tenant, cut):
    """A POST is outstanding from its head on: what comes meanwhile may not overtake it."""
    polling = Polling(server.port, f"tenant={tenant}")
    joined(polling)
    waiting = polling.poll_later()
    http, rest = begin_post(polling, b'421["post_event",{"message":"FIRST"}]', cut)
    r = polling.request("POST", b'422["post_event",{"message":"SECOND"}]')
    assert r.status == 400, r
    assert waiting.response().body == b"1"
    http.send(rest)
    assert http.response("POST").status == 400
    assert server.get("/events", tenant).json()["events"] == []
    refused_as(polling.request("GET"), 1)


def test_a_payload_that_comes_slowly_is_taken(server, tenant):
    polling = Polling(server.port, f"tenant={tenant}")
    joined(polling)
    http, rest = begin_post(polling, b'421["post_event",{"message":"slow"}]', 9)
    server.publish(tenant, "meanwhile")
    assert created(polling, 1)[0]["message"] == "meanwhile"
    for i in range(len(rest)):
        http.send(rest[i : i + 1])
    assert http.response("POST").body == b"ok"
    assert {polling.next()[:2] for _ in range(2)} == {"42", "43"}
    polling.send("3")


def test_a_payload_that_breaks_off_ends_the_session(server, tenant):
    polling = Polling(server.port, f"tenant={tenant}")
    joined(polling)
    http, _ = begin_post(polling, b'421["post_event",{"message":"half"}]', 9)
    http.reset()
    until(lambda: polling.request("POST", b"3").status == 400, "the session has ended")


@pytest.mark.parametrize("packet", ["3", '421["post_event",{"message":"x"}]', '42["nothing"]'])
def test_a_poller_that_never_polls_is_dropped(packet):
    """However much it says: its pings have reached nobody."""
    with Server("--ping-interval", "1s", "--ping-timeout", "300ms", "--threads", "2") as s:
        polling = Polling(s.port, f"tenant={s.tenant()}")
        polling.send("40")
        until(lambda: polling.request("POST", packet.encode()).status == 400, "it has been dropped", pause=0.05)
        refused_as(polling.request("GET"), 1)


def test_only_a_pong_answers_a_ping():
    with Server("--ping-interval", "1s", "--ping-timeout", "1s") as s:
        socket = Socket(s.port, f"tenant={s.tenant()}")
        joined(socket)
        assert socket.ws.recv()[1] == b"2"
        with pytest.raises(Closed):
            while True:
                socket.send('42["replay",{}]')
                socket.ws.recv()


def test_upgrade(server, tenant):
    polling = Polling(server.port, f"tenant={tenant}")
    joined(polling)
    waiting = polling.poll_later()
    ws = polling.probe()
    ws.send_text("2probe")
    assert ws.recv()[1] == b"3probe"
    assert waiting.response().body == b"6"
    server.publish(tenant, "between the transports")
    ws.send_text("5")
    socket = Socket(server.port, ws=ws)
    assert created(socket, 1)[0]["message"] == "between the transports"
    server.publish(tenant, "behind")
    assert created(socket, 1)[0]["seq"] == 2
    refused_as(polling.request("GET"), 3)
    refused_as(polling.request("POST", b"3"), 3)
    polling.probe().closes_with(1008)
    server.publish(tenant, "still")
    assert created(socket, 1)[0]["seq"] == 3
    socket.close()
    until(lambda: polling.request("GET").json()["code"] == 1, "the session has ended")


@pytest.mark.parametrize("goes_on", [True, False])
def test_an_upgrade_of_a_session_that_has_to_end_is_told_why(server, tenant, goes_on):
    polling = Polling(server.port, f"tenant={tenant}")
    joined(polling)
    ws = polling.probe()
    ws.send_text("2probe")
    assert ws.recv()[1] == b"3probe"
    assert server.request("DELETE", f"/api/v1/tenants/{tenant}").status == 204
    if goes_on:
        time.sleep(0.5)  # the session waits for a poll to tell it to
        ws.send_text("5")
    ws.closes_with(1008)


@pytest.mark.parametrize("packet", ["4hello", "2", "2probes", "3probe", "abc", ""])
def test_a_bad_probe_ends_alone(server, tenant, packet):
    polling = Polling(server.port, f"tenant={tenant}")
    joined(polling)
    ws = polling.probe()
    ws.send_text(packet)
    ws.closes_with(1002)
    server.publish(tenant, "the session lives on")
    assert created(polling, 1)[0]["seq"] == 1


def test_heartbeat_and_timeout():
    with Server("--ping-interval", "200ms", "--ping-timeout", "2s", "--threads", "2") as s:
        polling = Polling(s.port)
        for _ in range(4):
            assert polling.poll() == ["2"]
            polling.send("3")
        socket = Socket(s.port)
        for _ in range(4):
            assert socket.ws.recv()[1] == b"2"
            socket.send("3")
        assert socket.ws.recv()[1] == b"2"
        with pytest.raises(Closed):
            socket.ws.recv()
        until(lambda: polling.request("POST", b"3").status == 400, "the silent poller has been dropped")


def test_nobody_may_stay_without_a_namespace():
    with Server("--sio-connect-timeout", "3s", "--threads", "2") as s:
        tenant = s.tenant()
        idle, stays = Socket(s.port), Socket(s.port, f"tenant={tenant}")
        joined(stays)
        polling = Polling(s.port)
        waiting = polling.poll_later()
        assert join(idle, "/nowhere")[0] == "4"
        idle.ws.closes_with(1008)
        assert waiting.response().body == b"1"
        s.publish(tenant, "x")
        assert created(stays, 1)[0]["seq"] == 1
        stays.close()


def test_the_end_comes_soon_and_is_told():
    with Server("--threads", "2", drain="30s") as s:
        tenant = s.tenant()
        polling, socket = Polling(s.port, f"tenant={tenant}"), Socket(s.port, f"tenant={tenant}")
        joined(polling)
        joined(socket)
        silent = Polling(s.port, f"tenant={tenant}")
        joined(silent)
        waiting = polling.poll_later()
        time.sleep(0.2)
        begin = time.monotonic()
        s.process.signal(15)
        assert b"system_message" in waiting.response().body
        assert b"system_message" in socket.ws.recv()[1]
        socket.ws.closes_with(1001)
        s.process.wait()
        s.process.check(0)
        s.ended = True
        assert time.monotonic() - begin < 25


def test_more_sessions_than_connections_are_turned_away():
    with Server("--max-connections", "20") as s:
        statuses = []
        for _ in range(40):
            http = Http(s.port)
            statuses.append(http.request("GET", "/socket.io/?EIO=4&transport=polling").status)
            http.close()
        assert statuses[:10] == [200] * 10 and statuses[-1] == 503, statuses
        assert json.loads(s.get("/health").body)["status"] == "healthy"
        Wire(s.port).close()
