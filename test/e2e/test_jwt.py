"""--auth key: JSON Web Tokens, the server's own and others', over every door; their end, and how they are refreshed."""

import json
import os
import re
import signal
import subprocess
import time

import pytest

from harness import Closed, Eof, Polling, Refused, Server, Socket, Sse, WebSocket, problem, program, split, until
from harness.tokens import KeyPair, claims_of, hs256, part, parts

ADMIN = "an-administrators-key"
BOSS = {"Authorization": f"Bearer {ADMIN}"}
SECRET = b"0123456789abcdef0123456789abcdef"
JSON = {"Content-Type": "application/json"}
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("jwt")
    (folder / "secret").write_bytes(SECRET + b"\n")
    return folder


@pytest.fixture(scope="module")
def rsa(folder):
    return KeyPair(folder, "RS256")


def serve(folder, *flags, threads=2):
    flags = ("--admin-key", ADMIN, "--jwt-secret-file", folder / "secret", *flags)
    return Server("--threads", threads, *flags, auth="key", tenants=False)


@pytest.fixture(scope="module")
def server(folder):
    with serve(folder) as s:
        yield s


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def call(server, method, path, headers, body=None):
    return server.request(method, path, {**JSON, **headers}, None if body is None else json.dumps(body).encode())


def new_key(server, tenant="tenant_a"):
    r = call(server, "POST", f"/api/v1/tenants/{tenant}/keys", BOSS)
    assert r.status == 201, r
    return r.json()["api_key"]


def order(server, tenant="tenant_a", headers=BOSS, **body):
    return call(server, "POST", f"/api/v1/tenants/{tenant}/token", headers, body)


def issue(server, tenant="tenant_a", headers=BOSS, **body):
    r = order(server, tenant, headers, **body)
    assert r.status == 200, r
    return r.json()["token"]


def publish(server, token, message="hello", **headers):
    return call(server, "POST", "/events", {**bearer(token), **headers}, {"message": message})


def websocket(server, query):
    ws = server.keep(WebSocket(server.port, f"/ws?{query}"))
    ws.recv_json("connection_established")
    return ws


def connect(server, payload, query="", nsp="/events", make=Socket, **more):
    """The packet that answers a Socket.IO CONNECT, and the client; what greets it has been read."""
    sio = make(server.port, query, **more)
    sio.send(f"40{'' if nsp == '/' else nsp + ','}" + json.dumps(payload))
    answer = split(sio.next())
    if answer[0] == "0":
        for _ in range(2 if nsp == "/" else 1):
            sio.next()
    return sio, answer


def said(server, pattern):
    until(lambda: re.search(pattern, server.process.output()), pattern)


def ends(sio):
    """The close code of a client over WebSocket, whatever came before it."""
    with pytest.raises(Closed) as closed:
        while True:
            sio.next()
    return closed.value.code


# ------------------------------------------------------------------------------------------------------------ ordering


def test_what_is_issued(server):
    for who, scopes in ((BOSS, ["publish", "subscribe"]), ({"X-API-Key": new_key(server)}, ["publish", "subscribe"])):
        before = int(time.time())
        r = order(server, headers=who, sub="ann")
        assert r.status == 200 and set(r.json()) == {"token", "expires_at"}, r
        assert r.header("Cache-Control") == "no-store" and STAMP.fullmatch(r.json()["expires_at"])
        header, claims = parts(r.json()["token"])
        assert header == {"alg": "HS256", "typ": "JWT"}
        assert claims["tenant"] == "tenant_a" and claims["sub"] == "ann" and claims["scopes"] == scopes
        assert before + 3600 <= claims["exp"] <= int(time.time()) + 3600
        end = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(claims["exp"]))
        assert r.json()["expires_at"] == end
    r = call(server, "POST", "/api/v1/tenants/tenant_a/token", BOSS)  # without a body
    assert r.status == 200 and "sub" not in parts(r.json()["token"])[1]
    everything = ["publish", "subscribe", "admin"]
    claims = parts(issue(server, scopes=everything, ttl_s=86400))[1]
    assert claims["scopes"] == everything and claims["exp"] - claims["iat"] == 86400
    assert parts(issue(server, scopes=["subscribe"], headers={"X-API-Key": new_key(server)}))[1]["scopes"] == ["subscribe"]
    said(server, "act=token_issue outcome=ok status=200 tenant=tenant_a credential=admin target=ann")


@pytest.mark.parametrize(
    "body, status, field",
    [
        ({"sub": 7}, 422, "sub"),
        ({"sub": None}, 422, "sub"),
        ({"sub": ""}, 422, "sub"),
        ({"sub": "a\n"}, 422, "sub"),
        ({"sub": "x" * 129}, 422, "sub"),
        ({"scopes": "publish"}, 422, "scopes"),
        ({"scopes": []}, 422, "scopes"),
        ({"scopes": ["publish", "everything"]}, 422, "scopes"),
        ({"scopes": [1]}, 422, "scopes"),
        ({"ttl_s": 0}, 422, "ttl_s"),
        ({"ttl_s": 86401}, 422, "ttl_s"),
        ({"ttl_s": 60.0}, 422, "ttl_s"),
        ({"ttl_s": "60"}, 422, "ttl_s"),
        ({"ttl_s": True}, 422, "ttl_s"),
        ({"tenant": "tenant_b"}, 422, ""),
        ([], 422, ""),
    ],
)
def test_orders_that_break_a_rule(server, body, status, field):
    r = call(server, "POST", "/api/v1/tenants/tenant_a/token", BOSS, body)
    problem(r, status, "validation_error", fields=True)
    assert [e["field"] for e in r.json()["errors"]] == [field]


def test_who_may_order(server):
    key, token = new_key(server), issue(server, sub="ann", scopes=["publish", "subscribe", "admin"])
    for tenant, headers, body, status, code in (
        ("tenant_a", {}, {}, 401, "unauthorized"),
        ("tenant_a", bearer("wrong"), {}, 401, "unauthorized"),
        ("tenant_a", {"X-API-Key": key + "x"}, {}, 401, "unauthorized"),
        ("tenant_a", {"X-API-Key": new_key(server, "tenant_b")}, {}, 403, "forbidden"),
        ("tenant_a", {"X-API-Key": key}, {"scopes": ["admin"]}, 403, "forbidden"),
        ("tenant_a", {"X-API-Key": key, "X-Tenant-ID": "tenant_b"}, {}, 403, "forbidden"),
        ("tenant_a", bearer(token), {}, 403, "forbidden"),
        ("nobody", BOSS, {}, 404, "not_found"),
        ("nobody", {"X-API-Key": key}, {}, 403, "forbidden"),
    ):
        problem(order(server, tenant, headers, **body), status, code)
    problem(server.request("POST", "/api/v1/tenants/tenant_a/token", BOSS, b"{"), 400, "bad_request", fields=True)
    assert server.request("GET", "/api/v1/tenants/tenant_a/token", BOSS).status == 405


def test_where_tokens_are_not_taken(tmp_path):
    file = tmp_path / "users.json"
    file.write_text(json.dumps({"users": [{"tenant": "tenant_a", "name": "ann", "token": "t"}]}))
    with Server() as s:
        problem(order(s, headers={}), 409, "conflict")
        problem(call(s, "POST", "/events", bearer("any.thing.goes"), {"message": "x"}), 401, "unauthorized")
    with Server("--users", file, auth="token", tenants=False) as s:
        problem(order(s, headers={}), 401, "unauthorized")
        problem(order(s, headers={"X-User-Token": "t"}), 409, "conflict")


# --------------------------------------------------------------------------------------------------------- every door


def test_requests(server):
    token = issue(server, sub="ann")
    event = publish(server, token).json()
    assert event["author"] == "ann" and event["tenant_id"] == "tenant_a"
    assert call(server, "POST", f"/events?token={token}&tenant=tenant_a", {}, {"message": "x"}).json()["author"] == "ann"
    assert call(server, "GET", f"/events?token={token}", bearer(token)).status == 200
    assert call(server, "GET", "/events", {"X-User-Token": token}).status == 200
    assert "author" not in publish(server, issue(server)).json()
    reader, writer = issue(server, scopes=["subscribe"]), issue(server, scopes=["publish"])
    problem(publish(server, reader), 403, "forbidden")
    assert publish(server, writer).status == 201
    for path in ("/events", "/api/v1/events/stats", "/api/v1/events/stream", "/ws"):
        problem(call(server, "GET", path, {**bearer(writer), **upgrade(path)}), 403, "forbidden")
    key = new_key(server)
    problem(publish(server, token, **{"X-Tenant-ID": "tenant_b"}), 403, "forbidden")
    problem(publish(server, token, **{"X-API-Key": key}), 400, "bad_request")
    problem(call(server, "GET", f"/events?token={reader}", bearer(token)), 400, "bad_request")
    problem(publish(server, ADMIN), 401, "unauthorized")
    problem(publish(server, key), 401, "unauthorized")
    # A key that is revoked leaves the tokens that were ordered with it.
    assert publish(server, issue(server, headers={"X-API-Key": key})).status == 201


def upgrade(path):
    return {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "A" * 22 + "=="} if path == "/ws" else {}


def test_what_the_tenant_administers(server):
    token, plain = issue(server, scopes=["admin"]), issue(server)
    assert call(server, "GET", "/api/v1/tenants/tenant_a", bearer(token)).status == 200
    problem(call(server, "GET", "/api/v1/tenants/tenant_b", bearer(token)), 403, "forbidden")
    problem(call(server, "GET", "/api/v1/tenants", bearer(token)), 403, "forbidden")
    problem(call(server, "GET", "/api/v1/tenants/tenant_a", bearer(plain)), 403, "forbidden")
    # Its keys are its own; what it may is not for itself to say.
    kid = call(server, "POST", "/api/v1/tenants/tenant_a/keys", bearer(token)).json()["id"]
    assert call(server, "DELETE", f"/api/v1/tenants/tenant_a/keys/{kid}", bearer(token)).status == 204
    for method, body in (("PATCH", {"limits": {"connections": 10}}), ("DELETE", None)):
        problem(call(server, method, "/api/v1/tenants/tenant_a", bearer(token), body), 403, "forbidden")


def test_websockets_and_streams(server):
    token = issue(server, sub="ann")
    ws = websocket(server, f"token={token}")
    headers = server.keep(WebSocket(server.port, "/ws", bearer(token)))
    headers.recv_json("connection_established")
    stream = server.keep(Sse(server.port, f"/api/v1/events/stream?token={token}"))
    stream.expect("connection_established")
    ws.send_json({"type": "post_event", "ref": 1, "message": "by ann"})
    event = ws.recv_until("ack")[0]["event"]
    assert event["author"] == "ann"
    assert headers.recv_json("event_created")["event"] == event
    assert stream.expect("event_created").json() == event
    for query, status in (("token=x.y.z", 401), ("", 401), (f"token={token}&tenant=tenant_b", 403), (f"token={token}&api_key={new_key(server)}", 400)):
        for make in (WebSocket, Sse):
            with pytest.raises(Refused) as refused:
                make(server.port, ("/ws?" if make is WebSocket else "/api/v1/events/stream?") + query)
            assert refused.value.response.status == status


@pytest.mark.parametrize("nsp", ["/", "/events"])
def test_socketio(server, nsp):
    token, key = issue(server, sub="ann"), new_key(server)
    ws = {"headers": bearer(token)}
    for payload, query, more, author in (
        ({"token": token}, "", {}, "ann"),
        ({"tenantId": "tenant_a", "token": token}, "", {}, "ann"),
        ({"token": token}, "tenant=tenant_a", {}, "ann"),
        ({}, f"token={token}", {}, "ann"),
        ({}, "", ws, "ann"),
        ({"apiKey": key}, "", {}, None),
        ({"tenant": "tenant_a", "apiKey": key}, "", {}, None),
        ({"tenant": "tenant_a"}, f"api_key={key}", {}, None),
        ({}, "", {"headers": {"X-API-Key": key}}, None),
    ):
        for make in (Socket, Polling) if not more else (Polling,):
            sio, answer = connect(server, payload, query, nsp, make, **more)
            assert answer[0] == "0", (payload, query, answer)
            sio.send(f'42{"" if nsp == "/" else nsp + ","}7["post_event",{{"message":"hi"}}]')
            ack = next(p for p in (split(sio.next()) for _ in range(2)) if p[0] == "3")
            assert ack[3][0]["event"].get("author") == author, ack
            if make is Socket:
                sio.close()
    for payload, query, code in (
        ({}, "", "unauthorized"),
        ({"tenantId": "tenant_a"}, "", "unauthorized"),
        ({"token": "x.y.z"}, "", "unauthorized"),
        ({"token": 7}, "", "unauthorized"),
        ({"apiKey": "car_wrong"}, "", "unauthorized"),
        ({"apiKey": [key]}, "", "unauthorized"),
        ({"apiKey": key, "token": token}, "", "bad_request"),
        ({"tenantId": "tenant_b", "token": token}, "", "forbidden"),
        ({"tenantId": "tenant_b", "apiKey": key}, "", "forbidden"),
        ({"apiKey": new_key(server, "tenant_b")}, f"token={token}", "forbidden"),
        ({"token": issue(server, scopes=["publish"])}, "", "forbidden"),
    ):
        sio, (kind, _, _, data) = connect(server, payload, query, nsp)
        assert kind == "4" and data["data"]["code"] == code, (payload, query, data)
        sio.close()


# ------------------------------------------------------------------------------------------------------------ refusals


def test_tokens_that_are_refused(server, rsa):
    good = hs256(SECRET, claims_of("tenant_a"))
    assert publish(server, good).status == 201
    head, body, signature = good.split(".")
    none = part(b'{"alg":"none"}')
    far = int(time.time()) + 3600
    for token in (
        f"{head}.{body}.{signature[:-3]}AAA",
        f"{head}.{part(json.dumps(claims_of('tenant_b')).encode())}.{signature}",
        f"{head}.{body}.",
        f"{none}.{body}.",
        f"{none}.{body}.{signature}",
        hs256(b"another secret of 32 bytes, truly", claims_of("tenant_a")),
        hs256(rsa.public.read_bytes(), claims_of("tenant_a")),
        hs256(SECRET, claims_of("tenant_a"), alg="RS256"),
        hs256(SECRET, claims_of("tenant_a"), alg="HS512"),
        rsa.token(claims_of("tenant_a")),
        hs256(SECRET, claims_of("tenant_a", -1)),
        hs256(SECRET, claims_of("tenant_a", nbf=far)),
        hs256(SECRET, {"tenant": "tenant_a", "scopes": ["publish"]}),
        hs256(SECRET, claims_of("nobody")),
        hs256(SECRET, claims_of("tenant_a", tenant_created=1)),
        hs256(SECRET, claims_of("tenant_a", sub="a\n")),
        "x" * 8192,
        good + "." + "x" * 6000,
        "",
    ):
        problem(publish(server, token), 401, "unauthorized")
        problem(call(server, "GET", f"/events?token={token}", {}), 401, "unauthorized")
        if token:
            with pytest.raises(Refused) as refused:
                WebSocket(server.port, f"/ws?token={token}")
            assert refused.value.response.status == 401
    said(server, "act=publish outcome=refused status=401.*the token's signature is wrong")
    for text in (signature, body, "another secret", ADMIN):
        assert text not in server.process.output()


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_tokens_of_others(folder, algorithm):
    pair = KeyPair(folder, algorithm)
    flags = ("--jwt-public-key", pair.public, "--jwt-algorithm", algorithm, "--jwt-audience", "feed", "--jwt-issuer", "me")
    with serve(folder, *flags) as s:
        mine = {"aud": ["else", "feed"], "iss": "me"}
        assert publish(s, pair.token(claims_of("tenant_a", sub="ann", **mine))).json()["author"] == "ann"
        assert publish(s, issue(s, sub="bob")).json()["author"] == "bob"
        for claims in ({}, {"aud": "feed"}, {"iss": "me"}, {**mine, "aud": "else"}, {**mine, "iss": "you"}, {**mine, "exp": 1}):
            problem(publish(s, pair.token(claims_of("tenant_a", **claims) | claims)), 401, "unauthorized")
        problem(publish(s, hs256(pair.public.read_bytes(), claims_of("tenant_a", **mine))), 401, "unauthorized")
        problem(publish(s, hs256(pair.public.read_bytes(), claims_of("tenant_a", **mine), alg=algorithm)), 401, "unauthorized")
        other = KeyPair(folder, algorithm)
        problem(publish(s, other.token(claims_of("tenant_a", **mine))), 401, "unauthorized")
        said(s, "the token is for another audience")
        said(s, "the token is of another issuer")


def test_a_tenant_that_was_removed(server):
    """Its tokens are not good for the one that is called so after it."""

    def make():
        r = call(server, "POST", "/api/v1/tenants", BOSS, {"id": "acme"})
        assert r.status == 201, r

    make()
    token = issue(server, "acme", sub="ann")
    ws = websocket(server, f"token={token}")
    assert publish(server, token).status == 201
    ws.recv_json("event_created")
    assert call(server, "DELETE", "/api/v1/tenants/acme", BOSS).status == 204
    ws.closes_with(1008)
    problem(publish(server, token), 401, "unauthorized")
    make()
    problem(publish(server, token), 401, "unauthorized")
    assert publish(server, issue(server, "acme")).status == 201


# ------------------------------------------------------------------------------------------------------------- the end


def test_connections_end_with_their_token(server):
    token = issue(server, sub="ann", ttl_s=3)
    end = parts(token)[1]["exp"]
    ws, stays = websocket(server, f"token={token}"), websocket(server, f"token={issue(server)}")
    stream = server.keep(Sse(server.port, f"/api/v1/events/stream?token={token}"))
    stream.expect("connection_established")
    root, _ = connect(server, {"token": token}, nsp="/")
    named, _ = connect(server, {}, f"token={token}")
    polling, _ = connect(server, {"token": token}, make=Polling)
    late = Polling(server.port, f"token={token}")  # which has no namespace yet
    waiting = polling.poll_later()
    ws.closes_with(1008)
    assert time.time() >= end
    with pytest.raises(Eof):
        while True:
            stream.more()
    assert ends(root) == 1008 and ends(named) == 1008
    waiting.response()
    assert polling.request("GET").status == 400  # the session is no more
    assert late.next() == "1"  # it is closed
    problem(publish(server, token), 401, "unauthorized")
    stays.alive()
    for act in ("websocket", "sse", "socketio"):
        said(server, f"act={act} outcome=ended tenant=tenant_a subject=ann credential=jwt")


def test_nothing_is_published_after_the_end(folder):
    """Also where the server is too late to close the connection: what it has not read by then has no author."""
    with serve(folder, threads=8) as s:
        token = issue(s, sub="ann", ttl_s=5)
        end = parts(token)[1]["exp"]
        posting, reading = ([websocket(s, f"token={token}") for _ in range(12)] for _ in range(2))
        sio, _ = connect(s, {"token": token})
        http = s.http()
        assert http.request("GET", "/events", bearer(token)).status == 200
        s.process.signal(signal.SIGSTOP)
        os.waitpid(s.process.pid, os.WUNTRACED)  # all of its threads
        for ws in posting:
            ws.send_json({"type": "post_event", "message": "late"})
        for ws in reading:
            ws.send_json({"type": "replay", "since": 0})
        sio.send('42/events,1["post_event",{"message":"late"}]')
        http.send(http.build("POST", "/events", {**bearer(token), **JSON}, b'{"message":"late"}'))
        while time.time() < end:
            time.sleep(0.05)
        s.process.signal(signal.SIGCONT)
        problem(http.response("POST"), 401, "unauthorized")
        for ws in posting + reading:
            with pytest.raises(Closed) as closed:
                while True:
                    assert ws.recv_json("error")["code"] == "unauthorized"
            assert closed.value.code == 1008
        assert ends(sio) == 1008
        r = call(s, "GET", "/events", bearer(issue(s)))
        assert r.status == 200 and r.json()["events"] == []


def test_a_websocket_refreshes(server):
    first = issue(server, sub="ann", ttl_s=3)
    end = parts(first)[1]["exp"]
    ws, witness = websocket(server, f"token={first}"), websocket(server, f"token={first}")
    ended = hs256(SECRET, claims_of("tenant_a", -1, sub="ann"))
    for token, code in (
        (None, "bad_request"),
        (7, "bad_request"),
        ("", "unauthorized"),
        ("x.y.z", "unauthorized"),
        (ended, "unauthorized"),
        (new_key(server), "unauthorized"),
        (ADMIN, "unauthorized"),
        (issue(server, "tenant_b", sub="ann"), "forbidden"),
        (issue(server, sub="bob"), "forbidden"),
        (issue(server), "forbidden"),
        (issue(server, sub="ann", scopes=["publish"]), "forbidden"),
    ):
        ws.send_json({"type": "refresh", "ref": {"n": 1}, "token": token})
        answer = ws.recv_json("error")
        assert answer["code"] == code and answer["ref"] == {"n": 1}, (token, answer)
    r = order(server, sub="ann", scopes=["subscribe"]).json()
    ws.send_json({"type": "refresh", "ref": [2], "token": r["token"]})
    assert ws.recv_json() == {"type": "refreshed", "ref": [2], "expires_at": r["expires_at"]}
    ws.send_json({"type": "post_event", "message": "no more"})
    assert ws.recv_json("error")["code"] == "forbidden"
    witness.closes_with(1008)
    assert time.time() >= end
    ws.alive()
    ws.send_json({"type": "refresh", "token": issue(server, sub="ann")})
    assert ws.recv_json("refreshed")["ref"] is None
    ws.send_json({"type": "post_event", "message": "again"})
    assert ws.recv_until("ack")[0]["event"]["author"] == "ann"
    said(server, "act=refresh outcome=refused status=401 tenant=tenant_a subject=ann credential=jwt")
    said(server, "act=refresh outcome=ok tenant=tenant_a subject=ann credential=jwt")


def test_a_refresh_may_end_sooner(server):
    ws = websocket(server, f"token={issue(server, sub='ann')}")
    ws.send_json({"type": "refresh", "token": issue(server, sub="ann", ttl_s=2)})
    ws.recv_json("refreshed")
    ws.closes_with(1008)


def test_who_has_no_token_refreshes_nothing(server):
    token = issue(server)
    for query in (f"api_key={new_key(server)}",):
        ws = websocket(server, query)
        ws.send_json({"type": "refresh", "token": token})
        assert ws.recv_json("error")["code"] == "forbidden"
        ws.alive()
    with Server() as s:
        ws = s.ws("t")
        ws.send_json({"type": "refresh", "token": token})
        assert ws.recv_json("error")["code"] == "forbidden"


@pytest.mark.parametrize("nsp", ["/", "/events"])
def test_socketio_refreshes(server, nsp):
    first = issue(server, sub="ann", ttl_s=3)
    sio, _ = connect(server, {"token": first}, nsp=nsp)
    witness, _ = connect(server, {"token": first}, nsp=nsp)
    head = "42" + ("" if nsp == "/" else nsp + ",")
    for argument, code in (
        ([], "bad_request"),
        ([{"token": 7}], "bad_request"),
        ([{"token": "x.y.z"}], "unauthorized"),
        ([{"token": issue(server, "tenant_b", sub="ann")}], "forbidden"),
    ):
        sio.send(f"{head}1{json.dumps(['refresh', *argument])}")
        kind, _, number, data = split(sio.next())
        assert kind == "3" and number == 1 and data[0]["error"]["code"] == code, (argument, data)
    sio.send(f'{head}["refresh",{{"token":"x.y.z"}}]')
    assert split(sio.next())[3][0] == "error"
    r = order(server, sub="ann").json()
    sio.send(f"{head}2{json.dumps(['refresh', {'token': r['token']}])}")
    assert split(sio.next()) == ("3", nsp, 2, [{"expires_at": r["expires_at"]}])
    sio.send(f"{head}{json.dumps(['refresh', {'token': r['token']}])}")
    assert split(sio.next())[3] == ["refreshed", {"expires_at": r["expires_at"]}]
    assert ends(witness) == 1008
    sio.send(f'{head}3["post_event",{{"message":"still here"}}]')
    ack = next(p for p in (split(sio.next()) for _ in range(2)) if p[0] == "3")
    assert ack[3][0]["event"]["author"] == "ann"
    sio.close()


# ------------------------------------------------------------------------------------------------------- configuration


def start(*flags):
    command = [program("CARILLON_BIN"), "--port", "0", "--store", "memory:", *map(str, flags)]
    return subprocess.run(command, capture_output=True, text=True, timeout=20)


PEM = "-----BEGIN PUBLIC KEY-----\n"


@pytest.mark.parametrize(
    "flag, text, line",
    [
        ("--jwt-public-key", "nothing\n", 1),
        ("--jwt-public-key", "# a key\n" + PEM + "!!!\n-----END PUBLIC KEY-----\n", 3),
        ("--jwt-public-key", PEM + "AAAA\nAAA\nAAAA\n-----END PUBLIC KEY-----\n", 3),
        ("--jwt-public-key", PEM + "AAAA\n", 1),
        ("--jwt-secret-file", "open sesame\n", 1),
        ("--jwt-secret-file", PEM + "A" * 64 + "\n", 1),
    ],
)
@pytest.mark.parametrize("check", [(), ("--check-config",)])
def test_malformed_files(tmp_path, flag, text, line, check):
    file = tmp_path / "file"
    file.write_text(text)
    told = start("--auth", "key", flag, file, *check)
    assert told.returncode == 1 and told.stdout == "", told
    assert re.fullmatch(rf"carillon: {re.escape(str(file))}:\d+: .+\n", told.stderr), told.stderr
    assert told.stderr.startswith(f"carillon: {file}:{line}: "), told.stderr
    assert "sesame" not in told.stderr and "AAAA" not in told.stderr


def test_check_config(tmp_path, folder, rsa):
    users = tmp_path / "users.yaml"
    users.write_text("users:\n- {tenant: a, name: x, token: t}\n")
    for flags in (
        ("--auth", "key"),
        ("--auth", "key", "--jwt-public-key", rsa.public, "--jwt-secret-file", folder / "secret", "--jwt-algorithm", "RS256"),
        ("--auth", "token", "--users", users),
        (),
    ):
        told = start(*flags, "--check-config")
        assert (told.returncode, told.stdout, told.stderr) == (0, "configuration is valid\n", ""), told
    for flags, code, what in (
        (("--auth", "key", "--jwt-public-key", tmp_path / "none"), 1, f"{tmp_path / 'none'}: No such file"),
        (("--auth", "key", "--jwt-public-key", rsa.private), 1, f"{rsa.private}:1: "),
        (("--auth", "key", "--jwt-public-key", rsa.public, "--jwt-algorithm", "ES256"), 1, f"{rsa.public}:"),
        (("--auth", "token", "--users", users, "--max-tenants", "2"), 1, f"{users}:2: there are more tenants"),
        (("--auth", "open", "--jwt-issuer", "me"), 2, "--jwt-issuer: is for --auth key only"),
        (("--auth", "token", "--users", users, "--jwt-public-key", rsa.public), 2, "--jwt-public-key"),
        (("--jwt-secret-file", folder / "secret"), 2, "--jwt-secret-file"),
    ):
        told = start(*flags, "--check-config")
        assert told.returncode == code and told.stdout == "" and told.stderr.count("\n") == 1, told
        assert what in told.stderr, told.stderr
    users.write_text("users:\n- tenant: a\n  name: x\n  secret: t\n")
    told = start("--auth", "token", "--users", users, "--check-config")
    assert told.returncode == 1 and f"{users}:4: " in told.stderr and told.stdout == "", told
