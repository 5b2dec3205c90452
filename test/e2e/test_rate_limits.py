"""Rate limits: of addresses, users and tenants, on every door, and what is told of them.

Windows are an hour, so that nothing comes back while a test runs, and counts are exact."""

import json
import re

import pytest

from harness import Polling, Server, Socket, Sse, WebSocket, event, joined, problem, split, until
from harness.rates import ADMIN, EVENT, ask, handshake, keyed, limited, limits, passes, poll_open, structured, users_file


DOORS = {
    "publish": (201, ask),
    "publish in vain": (422, lambda s: ask(s, body={})),
    "batch": (201, lambda s: ask(s, path="/api/v1/events/batch", body=[EVENT] * 50)),
    "list": (200, lambda s: ask(s, "GET")),
    "head": (200, lambda s: ask(s, "HEAD")),
    "one": (404, lambda s: ask(s, "GET", "/events/nothing")),
    "stats": (200, lambda s: ask(s, "GET", "/api/v1/events/stats")),
    "nobody": (401, lambda s: ask(s, tenant=None)),
    "stream": (200, handshake(lambda port: Sse(port, "/api/v1/events/stream?tenant=a"))),
    "websocket": (101, handshake(lambda port: WebSocket(port, "/ws?tenant=a"))),
    "Socket.IO over polling": (200, poll_open),
    "Socket.IO over WebSocket": (101, handshake(lambda port: Socket(port, "tenant=a"))),
}


@pytest.mark.parametrize("name", DOORS)
def test_an_address_at_each_door(name):
    status, door = DOORS[name]
    with Server("--rate-limit-ip", "3/1h", "--threads", "2") as s:
        for left in (2, 1, 0):
            passes(door(s), status, ip=left)
        for other in (door, *(door for _, door in DOORS.values())):
            r = other(s)
            if r.body:
                assert "address" in limited(r, ip=0)
            assert r.status == 429 and limits(r) == {"ip": 0}
        for path in ("/health", "/livez", "/readyz", "/", "/api/v1/openapi.json", "/api/v1/tenants"):
            passes(s.get(path), 200)
        passes(s.request("OPTIONS", "/events"), 204)
        passes(s.request("PUT", "/events"), 405)
        passes(s.get("/nowhere"), 404)


def test_polls_and_packets_are_not_counted():
    with Server("--rate-limit-ip", "1/1h", "--threads", "2") as s:
        client = Polling(s.port, "tenant=a")
        joined(client)
        for _ in range(5):
            client.send("42" + json.dumps(["replay", {}]))
            assert event(client)[0] == "replay_result"
        limited(poll_open(s), ip=0)


def test_users_by_token(tmp_path):
    with Server("--rate-limit-user", "2/1h", "--users", users_file(tmp_path), auth="token", tenants=False) as s:
        passes(ask(s, tenant=None, X_User_Token="token-ann"), 201, user=1)
        passes(ask(s, "GET", "/events?token=token-ann", tenant=None), 200, user=0)
        assert "user" in limited(ask(s, X_User_Token="token-ann"), user=0)
        for make in (
            lambda port: WebSocket(port, "/ws?token=token-ann"),
            lambda port: Sse(port, "/api/v1/events/stream?token=token-ann"),
            lambda port: Socket(port, "token=token-ann"),
        ):
            limited(handshake(make)(s), user=0)
        passes(ask(s, X_User_Token="token-bob"), 201, user=1)
        passes(ask(s, tenant="b", X_User_Token="token-ann-b"), 201, user=1)
        for _ in range(3):
            passes(ask(s, X_User_Token="wrong"), 401)


def test_who_is_nobody_by_name():
    with Server("--rate-limit-user", "1/1h") as s:
        for _ in range(3):
            passes(ask(s), 201)


def test_users_by_key():
    with keyed("--rate-limit-user", "2/1h") as (s, one, two):
        passes(ask(s, X_API_Key=one), 201, user=1)
        passes(ask(s, "GET", X_API_Key=one), 200, user=0)
        limited(ask(s, X_API_Key=one), user=0)
        r = passes(ask(s, X_API_Key=two), 201, user=1)
        assert "author" not in r.json()


def test_users_who_are_nobody_by_name():
    """Tokens without a subject are one user, or they would be the way around the limit."""
    with keyed("--rate-limit-user", "2/1h") as (s, one, _):
        order = ("POST", "/api/v1/tenants/a/token", {"X-API-Key": one}, {})
        tokens = [s.request(*order).json()["token"] for _ in range(2)]
        s.request(*order[:2], ADMIN, {})
        passes(ask(s, Authorization=f"Bearer {tokens[0]}"), 201, user=1)
        passes(ask(s, "GET", Authorization=f"Bearer {tokens[1]}"), 200, user=0)
        limited(ask(s, Authorization=f"Bearer {tokens[1]}"), user=0)


def patch(s, limits, **more):
    r = s.request("PATCH", "/api/v1/tenants/a", ADMIN, {"limits": limits, **more})
    assert passes(r, 200).json()["limits"].items() >= limits.items()


def test_events_of_a_tenant():
    with Server("--rate-limit-tenant", "5/1h", "--threads", "2") as s:
        passes(ask(s), 201, tenant=4)
        batch = "/api/v1/events/batch"
        passes(ask(s, path=batch, body=[EVENT] * 2), 201, tenant=2)
        assert "tenant" in limited(ask(s, path=batch, body=[EVENT] * 3), tenant=2)
        r = ask(s, path=batch, body=[EVENT] * 6)
        problem(r, 413, "too_large")
        assert limits(r) == {"tenant": 2} and r.header("Retry-After") is None
        passes(ask(s, body={}), 422)
        passes(ask(s, path=batch, body=[EVENT, {}]), 422)
        passes(ask(s, path=batch, body=[EVENT] * 2), 201, tenant=0)
        limited(ask(s), tenant=0)
        assert len(passes(ask(s, "GET"), 200).json()["events"]) == 5
        passes(DOORS["websocket"][1](s), 101)
        passes(DOORS["stream"][1](s), 200)
        passes(ask(s, tenant="b"), 201, tenant=4)


def test_repeats_cost_as_others():
    with Server("--rate-limit-tenant", "2/1h", "--rate-limit-ip", "3/1h") as s:
        first = passes(ask(s, Idempotency_Key="k"), 201, ip=2, tenant=1)
        again = passes(ask(s, Idempotency_Key="k"), 201, ip=1, tenant=0)
        assert again.header("Idempotent-Replayed") == "true" and again.body == first.body
        limited(ask(s, Idempotency_Key="k"), ip=1, tenant=0)


def test_what_was_taken_for_nothing_is_given_back(tmp_path):
    flags = ("--rate-limit-ip", "9/1h", "--rate-limit-user", "5/1h", "--rate-limit-tenant", "2/1h", "--users", users_file(tmp_path))
    with Server(*flags, auth="token", tenants=False) as s:
        ann, bob = {"X_User_Token": "token-ann"}, {"X_User_Token": "token-bob"}
        passes(ask(s, **ann), 201, ip=8, user=4, tenant=1)
        passes(ask(s, **ann), 201, ip=7, user=3, tenant=0)
        for _ in range(20):
            limited(ask(s, **ann), ip=7, user=3, tenant=0)
        limited(ask(s, **bob), ip=7, user=5, tenant=0)
        for left in (2, 1, 0):
            passes(ask(s, "GET", **ann), 200, ip=4 + left, user=left)
        for _ in range(10):
            limited(ask(s, "GET", **ann), ip=4, user=0)
        passes(ask(s, "GET", **bob), 200, ip=3, user=4)


def test_a_tenants_own_limit():
    with keyed("--rate-limit-tenant", "1/1h") as (s, key, _):
        key = {"X_API_Key": key}
        batch = "/api/v1/events/batch"
        passes(ask(s, **key), 201, tenant=0)
        limited(ask(s, **key), tenant=0)
        patch(s, {"events_per_second": 1000000000, "bytes_per_second": None})
        r = ask(s, **key)
        assert r.status == 201 and structured(r.header("RateLimit-Policy")) == {"tenant": {"q": 10**9, "w": 1}}
        patch(s, {"events_per_second": 3})
        problem(ask(s, path=batch, body=[EVENT] * 4, **key), 413, "too_large")
        r = ask(s, path=batch, body=[EVENT] * 3, **key)
        assert r.status == 201 and structured(r.header("RateLimit-Policy")) == {"tenant": {"q": 3, "w": 1}}
        patch(s, {"events_per_second": None})
        limited(ask(s, **key), tenant=0)  # the server's again, as it was left


def test_bytes_of_a_tenant():
    with keyed() as (s, key, _):
        key = {"X_API_Key": key}
        patch(s, {"bytes_per_second": 100})
        message, metadata = '"' + "é" * 40 + '"', '{ "a" : 1 }'
        body = f'{{"message":{message},"metadata":{metadata},"type":"not.counted"}}'.encode()
        sent = len(message.encode()) + len(metadata)
        r = ask(s, body=body, Content_Type="application/json", **key)
        assert r.status == 201
        policy = structured(r.header("RateLimit-Policy"))
        assert policy == {"tenant-bytes": {"q": 100, "w": 1, "qu": "content-bytes"}}
        assert limits(r) == {"tenant-bytes": 100 - sent}
        r = ask(s, body={"message": "x" * 99}, **key)
        problem(r, 413, "too_large")
        assert r.header("Retry-After") is None
        r = ask(s, path="/api/v1/events/batch", body=[{"message": "x" * 30}] * 4, **key)
        problem(r, 413, "too_large")
        assert r.json()["detail"] == "this is more than the tenant may publish in a second"
        # What has been taken is back in a second at most.
        until(lambda: ask(s, body={"message": "x" * 98}, **key).status == 201, "the bytes to be there again")


def test_commands(tmp_path):
    flags = ("--rate-limit-user", "3/1h", "--rate-limit-tenant", "4/1h", "--users", users_file(tmp_path))
    with Server(*flags, auth="token", tenants=False) as s:
        watcher = s.keep(WebSocket(s.port, "/ws?tenant=a&token=token-bob"))
        watcher.recv_json("connection_established")
        ws = s.keep(WebSocket(s.port, "/ws?tenant=a&token=token-ann"))
        ws.recv_json("connection_established")

        def post(ref):
            ws.send_json({"type": "post_event", "ref": ref, "message": str(ref)})
            got = [ws.recv_json(), ws.recv_json()] if ref < 3 else [ws.recv_json()]
            return {m["type"]: m for m in got}

        for ref in (1, 2):
            assert post(ref)["ack"]["event"]["message"] == str(ref)
        for ref in (3, 4, 5):
            error = post(ref)["error"]
            assert error["ref"] == ref and error["code"] == "rate_limited"
            assert re.search(r"of this user: try again in \d+ s$", error["message"])
        ws.send_json({"type": "ping", "ref": 9})
        assert ws.recv_json("pong")["ref"] == 9

        bob = Socket(s.port, "tenant=a&token=token-bob")  # the second of his units; the watcher was the first
        joined(bob)

        def emit(number):
            bob.send(f"42{number}" + json.dumps(["post_event", EVENT]))
            out = {}
            while "3" not in out:
                kind, _, _, data = split(bob.next())
                out[kind] = data
            return out["3"][0]

        assert emit(1)["event"]["author"] == "bob"
        error = emit(2)["error"]
        assert error["code"] == "rate_limited" and "user" in error["message"]
        # The tenant's limit, and that nobody has been closed.
        passes(ask(s, tenant="b", X_User_Token="token-ann-b"), 201, user=2, tenant=3)
        assert [watcher.recv_json("event_created")["event"]["seq"] for _ in range(3)] == [1, 2, 3]
        bob.close()


def test_subscribers_stay_while_publishers_are_refused():
    with Server("--rate-limit-ip", "8/1h", "--rate-limit-tenant", "2/1h", "--threads", "2") as s:
        ws, sse = s.ws("a"), s.sse("a")
        sio = Socket(s.port, "tenant=a")
        joined(sio)
        for ref in range(10):
            ws.send_json({"type": "post_event", "ref": ref, "message": "x"})
        codes, events = [], 0
        while len(codes) < 10 or events < 2:
            m = ws.recv_json()
            codes += [m.get("code", "ok")] if m["type"] in ("ack", "error") else []
            events += m["type"] == "event_created"
        assert sorted(codes) == ["ok"] * 2 + ["rate_limited"] * 8
        sio.send("4217" + json.dumps(["post_event", EVENT]))
        assert event(sio)[0] == event(sio)[0] == "event_created"
        kind, _, number, data = split(sio.next())
        assert kind == "3" and number == 17 and data[0]["error"]["code"] == "rate_limited"
        limited(ask(s), ip=3, tenant=0)
        assert [sse.expect("event_created").id for _ in range(2)] == ["1", "2"]
        ws.send_json({"type": "ping", "ref": 1})
        assert ws.recv_json("pong")
        sio.close()


def test_a_command_that_is_too_large():
    with keyed() as (s, key, _):
        patch(s, {"bytes_per_second": 50})
        ws = s.keep(WebSocket(s.port, f"/ws?api_key={key}"))
        ws.recv_json("connection_established")
        ws.send_json({"type": "post_event", "ref": 1, "message": "x" * 50})
        assert ws.recv_json("error")["code"] == "too_large"
        ws.send_json({"type": "post_event", "ref": 2, "message": "x" * 40})
        assert {ws.recv_json()["type"], ws.recv_json()["type"]} == {"ack", "event_created"}
