"""Whom a limit counts: addresses behind proxies, who guesses; and where a limit comes from: flags, and the seeds' names."""

import re
import socket
import struct

import pytest

from harness import Server, Socket, WebSocket, join, joined, run, secured, until
from harness.openapi import OpenApi
from harness.rates import ADMIN, EVENT, ask, handshake, keyed, limited, passes, poll_open, structured, users_file


def test_guesses_of_tokens(tmp_path):
    with Server("--rate-limit-ip", "4/1h", "--users", users_file(tmp_path), auth="token", tenants=False) as s:
        for left in (3, 2):
            passes(ask(s, X_User_Token=f"wrong-{left}"), 401, ip=left)
        http = s.http()  # a body that is not sent, either
        head = http.build("POST", "/events", {"Expect": "100-continue", "X-User-Token": "wrong"}, b"{}")
        http.send(head[: head.index(b"\r\n\r\n") + 4])
        passes(http.response("POST"), 401, ip=1)
        passes(handshake(lambda port: WebSocket(port, "/ws?token=wrong"))(s), 401, ip=0)
        limited(ask(s, X_User_Token="token-ann"), ip=0)
        http = s.http()
        http.send(head[: head.index(b"\r\n\r\n") + 4])
        limited(http.response("POST"), ip=0)


def test_a_body_that_is_waited_for_costs_once():
    with Server("--rate-limit-ip", "4/1h", "--rate-limit-tenant", "4/1h") as s:
        http = s.http()
        for left in (3, 2):
            fields = {"Expect": "100-continue", "X-Tenant-ID": "a", "Content-Type": "application/json"}
            whole = http.build("POST", "/events", fields, b'{"message":"x"}')
            cut = whole.index(b"\r\n\r\n") + 4
            http.send(whole[:cut])
            assert http.head().status == 100
            http.send(whole[cut:])
            passes(http.response("POST"), 201, ip=left, tenant=left)


def test_guesses_of_the_administrators_key():
    with keyed("--rate-limit-ip", "3/1h") as (s, key, _):
        wrong = {"Authorization": "Bearer wrong"}
        for left in (2, 1):
            passes(s.get("/api/v1/tenants", headers=wrong), 401, ip=left)
        for _ in range(5):
            passes(s.get("/api/v1/tenants", headers=ADMIN), 200)
        passes(s.get("/api/v1/tenants/a", headers={"X-API-Key": key}), 403, ip=0)
        limited(s.get("/api/v1/tenants", headers=wrong), ip=0)
        limited(s.get("/api/v1/tenants", headers=ADMIN), ip=0)
        passes(ask(s, X_API_Key=key), 201, ip=2)  # guesses are counted apart


def test_guesses_at_the_health(tmp_path):
    """It is told to everybody, and no place to try out keys."""
    with keyed("--rate-limit-ip", "3/1h") as (s, key, _):
        for left in (2, 1, 0):
            r = passes(s.get("/health", headers={"Authorization": "Bearer wrong"}), 200, ip=left)
            assert "tenantStats" not in r.json()["eventStats"]
        assert "tenantStats" not in s.get("/health", headers=ADMIN).json()["eventStats"]
        limited(s.get("/api/v1/tenants", headers=ADMIN), ip=0)
        told = "act=administer outcome=refused status=401"
        until(lambda: s.process.output().count(told) >= 3, "the audit log's lines")
        assert s.process.output().count(told) == 3
    with keyed("--rate-limit-ip", "1/1h") as (s, key, _):
        for _ in range(3):
            assert "tenantStats" in passes(s.get("/health", headers=ADMIN), 200).json()["eventStats"]


def test_guesses_over_an_open_session(tmp_path):
    with Server("--rate-limit-ip", "2/1h", "--users", users_file(tmp_path), auth="token", tenants=False) as s:
        sio = Socket(s.port)
        for _ in range(2):
            kind, data = join(sio, auth={"token": "wrong"})
            assert kind == "4" and data["data"]["code"] == "unauthorized"
        kind, data = join(sio, auth={"token": "token-ann"})
        assert kind == "4" and data["data"]["code"] == "rate_limited"
        sio.close()
    with Server("--rate-limit-ip", "1/1h", "--users", users_file(tmp_path), auth="token", tenants=False) as s:
        sio = Socket(s.port)
        for nsp in ("/", "/events"):  # good ones cost nothing
            joined(sio, nsp, auth={"token": "token-ann"})
        sio.close()


def test_guesses_of_tokens_over_an_open_connection():
    with keyed("--rate-limit-ip", "2/1h") as (s, key, _):
        made = s.request("POST", "/api/v1/tenants/a/token", {"X-API-Key": key}, {"sub": "ann", "scopes": ["subscribe"]})
        token = made.json()["token"]
        ws = s.keep(WebSocket(s.port, f"/ws?token={token}"))
        ws.recv_json("connection_established")

        def refresh(token):
            ws.send_json({"type": "refresh", "ref": 1, "token": token})
            m = ws.recv_json()
            return m["code"] if m["type"] == "error" else "ok"

        assert [refresh(token) for _ in range(3)] == ["ok"] * 3  # good ones cost nothing
        assert [refresh("wrong") for _ in range(3)] == ["unauthorized"] * 2 + ["rate_limited"]
        assert refresh(token) == "ok"  # no limit ends a connection: what others have guessed is no matter
        ws.send_json({"type": "ping", "ref": 2})
        assert ws.recv_json("pong")["ref"] == 2


def test_clients_behind_proxies():
    flags = ("--rate-limit-ip", "2/1h", "--trusted-proxy", "127.0.0.0/8,10.0.0.0/8")
    with Server(*flags) as s:
        for whom in ("192.0.2.1", "192.0.2.1:4711, 10.1.2.3", "198.51.100.66, 192.0.2.1"):
            last = ask(s, "GET", X_Forwarded_For=whom)
        limited(last, ip=0)
        passes(ask(s, "GET", X_Forwarded_For="::ffff:192.0.2.2"), 200, ip=1)
        passes(ask(s, "GET", X_Forwarded_For="192.0.2.2"), 200, ip=0)
        passes(ask(s, "GET"), 200, ip=1)
        # IPv6 by /64.
        for whom, left in (("2001:db8::1", 1), ("[2001:db8::ffff:2]:80", 0), ("2001:db8:0:1::1", 1)):
            passes(ask(s, "GET", X_Forwarded_For=whom), 200, ip=left)
        limited(ask(s, "GET", X_Forwarded_For="2001:db8::3"), ip=0)
        # And the connection's commands are their client's.
        headers = {"X-Forwarded-For": "192.0.2.9"}
        ws = s.keep(WebSocket(s.port, "/ws?tenant=a", headers=headers))
        ws.recv_json("connection_established")
        for ref in (1, 2):
            ws.send_json({"type": "post_event", "ref": ref, "message": "x"})
        assert {ws.recv_json()["type"] for _ in range(3)} == {"ack", "event_created", "error"}
        until(lambda: "peer=192.0.2.9" in s.process.output(), "the audit log to say who it was")
    with Server("--rate-limit-ip", "2/1h", "--trusted-proxy", "10.0.0.0/8") as s:
        for left in (1, 0):
            passes(ask(s, "GET", X_Forwarded_For=f"192.0.2.{left}"), 200, ip=left)
        limited(ask(s, "GET", X_Forwarded_For="192.0.2.7"), ip=0)


def test_clients_behind_proxy_protocol():
    def header(source):
        rest = socket.inet_aton(source) + socket.inet_aton("198.51.100.2") + struct.pack(">HH", 4711, 80)
        return b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + struct.pack(">H", len(rest)) + rest

    flags = ("--rate-limit-ip", "2/1h", "--trusted-proxy", "127.0.0.0/8,10.0.0.0/8", "--proxy-protocol")
    with Server(*flags) as s:

        def get(source, more=None):
            return s.http(first=header(source)).request("GET", "/events", {"X-Tenant-ID": "a", **(more or {})})

        passes(get("192.0.2.1"), 200, ip=1)
        passes(get("192.0.2.1", {"X-Forwarded-For": "192.0.2.66"}), 200, ip=0)  # no proxy: not believed
        limited(get("192.0.2.1"), ip=0)
        passes(get("10.0.0.1", {"X-Forwarded-For": "192.0.2.2"}), 200, ip=1)
        limited(get("10.0.0.1", {"X-Forwarded-For": "192.0.2.1"}), ip=0)


def test_an_address_of_ipv6():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("there is no ::1")
    with Server("--rate-limit-ip", "1/1h", "--host", "::1") as s:
        for status in (b"200", b"429"):
            with socket.create_connection(("::1", s.port)) as raw:
                c = secured(raw, s.port)
                c.sendall(b"GET /events HTTP/1.1\r\nHost: x\r\nX-Tenant-ID: a\r\n\r\n")
                assert c.recv(65536).split(b" ")[1] == status


@pytest.mark.parametrize(
    "env, flags, limit",
    [
        ({"RATE_LIMIT_WINDOW_MS": "60000", "RATE_LIMIT_MAX_REQUESTS": "7"}, (), (7, 60)),
        ({"RATE_LIMIT_WINDOW_MS": "60000"}, (), (100, 60)),
        ({"RATE_LIMIT_MAX_REQUESTS": "7"}, (), (7, 900)),
        ({"RATE_LIMIT_MAX_REQUESTS": "", "RATE_LIMIT_WINDOW_MS": ""}, (), None),
        ({"RATE_LIMIT_MAX_REQUESTS": "7", "CARILLON_RATE_LIMIT_IP": "3/5s"}, (), (3, 5)),
        ({"RATE_LIMIT_MAX_REQUESTS": "nonsense"}, ("--rate-limit-ip", "3/5s"), (3, 5)),
    ],
)
def test_the_seeds_names(env, flags, limit):
    with Server(*flags, env=env) as s:
        r = ask(s, "GET")
        assert r.status == 200
        policy = structured(r.header("RateLimit-Policy")) if limit else r.header("RateLimit-Policy")
        assert policy == ({"ip": {"q": limit[0], "w": limit[1]}} if limit else None)


def test_the_seeds_names_beat_a_file(tmp_path):
    file = tmp_path / "carillon.yaml"
    file.write_text("rate-limit-ip: 9/9s\nrate-limit-tenant: 8/8s\n")
    with Server("--config", file, env={"RATE_LIMIT_MAX_REQUESTS": "7"}) as s:
        policy = structured(ask(s).header("RateLimit-Policy"))
        assert policy == {"ip": {"q": 7, "w": 900}, "tenant": {"q": 8, "w": 8}}


@pytest.mark.parametrize("flag", ["--rate-limit-ip", "--rate-limit-user", "--rate-limit-tenant"])
@pytest.mark.parametrize("value", ["10", "10/", "/5s", "0/5s", "10/0", "-1/5s", "1.5/5s", "10/5y", "10/25h", "2000000000/1s"])
def test_malformed(flag, value):
    code, out, err = run("--store", "memory:", "--port", "0", f"{flag}={value}")
    assert code == 2 and out == "" and len(err.strip().splitlines()) == 1 and flag in err and value in err, err


@pytest.mark.parametrize("name, value", [("RATE_LIMIT_MAX_REQUESTS", "many"), ("RATE_LIMIT_WINDOW_MS", "1 hour")])
def test_malformed_seeds_names(name, value):
    code, out, err = run("--store", "memory:", "--port", "0", env={name: value})
    assert code == 2 and out == "" and len(err.strip().splitlines()) == 1 and name in err and value in err, err


def test_answers_are_documented():
    with Server("--rate-limit-ip", "2/1h", "--rate-limit-tenant", "1/1h") as s:
        rest = OpenApi(s.get("/api/v1/openapi.json").json())
        for name, r in (
            ("publishEvent", ask(s)),
            ("publishBatch", ask(s, path="/api/v1/events/batch", body=[EVENT] * 2)),
            ("publishEvent", ask(s)),
            ("listEvents", ask(s, "GET")),
            ("listEvents", ask(s, "GET")),
            ("openSession", poll_open(s)),
        ):
            rest.check_answer(name, r)


def test_refusals_are_told():
    with Server("--rate-limit-ip", "2/1h", "--rate-limit-tenant", "1/1h") as s:
        for _ in range(3):
            ask(s)
        ask(s, "GET")
        ask(s, "GET")
        until(lambda: "act=read" in s.process.output(), "the last refusal")
        told = [line for line in s.process.lines if "audit: act=" in line and "status=429" in line]
        assert [re.search(r"act=(\w+)", line)[1] for line in told] == ["publish", "publish", "read"]
        assert all("peer=127.0.0.1" in line and "tenant=a" in line and "reason=" in line for line in told)
