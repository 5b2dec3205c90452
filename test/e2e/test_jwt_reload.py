"""--auth key: what SIGHUP makes of changed keys of JSON Web Tokens, for requests and for who is connected."""

import json
import re
import signal

import pytest

from harness import Closed, Eof, Polling, Server, Socket, Sse, WebSocket, split, until
from harness.tokens import KeyPair, claims_of, hs256

ADMIN = "an-administrators-key"
BOSS = {"Authorization": f"Bearer {ADMIN}"}
SECRET, OTHER = b"0123456789abcdef0123456789abcdef", b"another secret, and long enough too"
JUNK = "-----BEGIN PUBLIC KEY-----\nAAAA\nopen sesame\n-----END PUBLIC KEY-----\n"


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return [KeyPair(tmp_path_factory.mktemp("pair"), algorithm) for algorithm in ("RS256", "RS256", "ES256")]


@pytest.fixture
def key(tmp_path, pairs):
    file = tmp_path / "key.pem"
    put(pairs[0], file)
    return file


@pytest.fixture
def secret(tmp_path):
    file = tmp_path / "secret"
    file.write_bytes(SECRET)
    return file


def put(pair, file):
    file.write_bytes(pair.public.read_bytes())


class Audit:
    """The acts of one kind that the audit log has."""

    def __init__(self, server, act):
        self.server, self.act = server, act

    def lines(self):
        found = re.findall(rf"audit: (act={self.act} .*)", self.server.process.output())
        return [dict(re.findall(r'(\w+)=("[^"]*"|\S+)', line)) for line in found]


def serve(*flags, auth="key", **more):
    return Server("--threads", 2, "--admin-key", ADMIN, *flags, auth=auth, tenants=False, **more)


def reload(server):
    """Its line in the log, and in the audit log."""
    audit, log = Audit(server, "jwt_reload"), r"SIGHUP: (?!.* TLS certificate).*"
    acts, told = len(audit.lines()), len(re.findall(log, server.process.output()))
    server.process.signal(signal.SIGHUP)
    until(lambda: len(audit.lines()) > acts, "it reads the files again")
    (line,) = re.findall(log, server.process.output())[told:]
    (act,) = audit.lines()[acts:]
    return line, act


def fails(server, where):
    line, act = reload(server)
    assert act["outcome"] == "failed" and "keys" not in act, act
    assert f"the keys of tokens stay as they were: {where}" in line, line
    assert f" error: {line}" in server.process.output()


def succeeds(server, keys, ended):
    _, act = reload(server)
    assert act == {"act": "jwt_reload", "outcome": "ok", "keys": str(keys), "ended": str(ended)}


def status(server, token):
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    return server.request("POST", "/events", headers, b'{"message":"hello"}').status


def issue(server, **body):
    headers = {**BOSS, "Content-Type": "application/json"}
    r = server.request("POST", "/api/v1/tenants/tenant_a/token", headers, json.dumps(body).encode())
    assert r.status == 200, r
    return r.json()["token"]


def websocket(server, token):
    ws = server.keep(WebSocket(server.port, f"/ws?token={token}"))
    ws.recv_json("connection_established")
    return ws


def ends(client):
    with pytest.raises(Closed) as closed:
        while True:
            client.next()
    return closed.value.code


def test_another_key(pairs, key):
    with serve("--jwt-public-key", key) as s:
        claims = claims_of("tenant_a", 600, sub="ann")
        tokens = [pair.token(claims) for pair in pairs]
        assert [status(s, t) for t in tokens] == [201, 401, 401]
        for i in (1, 2, 0):
            put(pairs[i], key)
            succeeds(s, keys=2, ended=1)
            assert [status(s, t) for t in tokens] == [201 if k == i else 401 for k in range(3)]
        succeeds(s, keys=2, ended=0)
        key.write_text(f"the same key\n\n{key.read_text()}")
        succeeds(s, keys=2, ended=0)
        assert status(s, tokens[0]) == 201


def test_who_was_let_in_has_to_leave(pairs, key):
    with serve("--jwt-public-key", key) as s:
        claims = claims_of("tenant_a", 600, sub="ann")
        former, latter = pairs[0].token(claims), pairs[1].token(claims)
        steady = issue(s, sub="ann")
        gone, stays, moved = websocket(s, former), websocket(s, steady), websocket(s, former)
        moved.send_json({"type": "refresh", "token": steady})
        moved.recv_json("refreshed")
        stream = s.keep(Sse(s.port, f"/api/v1/events/stream?token={former}"))
        stream.expect("connection_established")
        clients = [make(s.port, f"token={former}") for make in (Socket, Polling)]
        for sio in clients:
            sio.send("40/events,{}")
            assert split(sio.next())[0] == "0"
            sio.next()
        waiting = clients[1].poll_later()
        for _ in range(2):  # those of a key that stays stay
            succeeds(s, keys=2, ended=0)
            gone.alive()
        put(pairs[1], key)
        succeeds(s, keys=2, ended=1)
        gone.closes_with(1008)
        with pytest.raises(Eof):
            while True:
                stream.more()
        assert ends(clients[0]) == 1008
        waiting.response()
        assert clients[1].request("GET").status == 400
        acts = ["socketio", "socketio", "sse", "websocket"]
        until(lambda: len(Audit(s, r"\w+ outcome=ended").lines()) >= 4, "the audit log says so")
        left = Audit(s, r"\w+ outcome=ended").lines()
        assert sorted(line["act"] for line in left) == acts
        assert all(line["subject"] == "ann" and line["credential"] == "jwt" for line in left)
        for ws in (stays, moved):
            ws.send_json({"type": "post_event", "message": "still here"})
            ws.recv_until("ack")
        stays.send_json({"type": "refresh", "token": former})
        assert stays.recv_until("error")[0]["code"] == "unauthorized"
        stays.send_json({"type": "refresh", "token": latter})
        stays.recv_until("refreshed")
        stays.alive()


@pytest.mark.parametrize(
    "what, line",
    [(JUNK, 3), ("open sesame\n", 1), (JUNK.replace("open sesame", "AAAA"), 1), ("\n" + JUNK[:30], 2), ("", 1), (None, None)],
)
def test_a_bad_key_changes_nothing(pairs, key, secret, what, line):
    with serve("--jwt-public-key", key, "--jwt-secret-file", secret) as s:
        former, made = pairs[0].token(claims_of("tenant_a", 600)), issue(s)
        clients = [websocket(s, former), websocket(s, made)]
        secret.write_bytes(OTHER)  # which is good, but it is all or nothing
        if what is None:
            key.unlink()
        else:
            key.write_text(what)
        fails(s, f"{key}:{line}: " if line else f"{key}: No such file or directory")
        assert status(s, former) == status(s, made) == status(s, issue(s)) == 201
        assert status(s, hs256(OTHER, claims_of("tenant_a"))) == 401
        for ws in clients:
            ws.alive()
        assert "sesame" not in s.process.output()
        put(pairs[1], key)
        succeeds(s, keys=2, ended=2)
        for ws in clients:
            ws.closes_with(1008)
        assert status(s, former) == status(s, made) == 401 and status(s, issue(s)) == 201


@pytest.mark.parametrize(
    "what, told",
    [
        (b"open sesame", ":1: a secret has to be"),
        (JUNK.encode(), ":1: a secret has to be"),
        (b"s" * 70000, ": the file has more than 65536 bytes"),
        (None, ": No such file or directory"),
    ],
)
def test_a_bad_secret_changes_nothing(secret, what, told):
    with serve("--jwt-secret-file", secret) as s:
        made = issue(s)
        ws = websocket(s, made)
        if what is None:
            secret.unlink()
        else:
            secret.write_bytes(what)
        fails(s, f"{secret}{told}")
        assert status(s, made) == status(s, issue(s)) == 201
        ws.alive()
        assert "sesame" not in s.process.output()
        secret.write_bytes(OTHER + b"\n")
        succeeds(s, keys=1, ended=1)
        ws.closes_with(1008)
        assert status(s, made) == 401
        assert status(s, issue(s)) == status(s, hs256(OTHER, claims_of("tenant_a"))) == 201


def test_a_drawn_secret_is_kept(pairs, key):
    with serve("--jwt-public-key", key) as s:
        made = issue(s)
        ws = websocket(s, made)
        for pair in (pairs[1], pairs[0]):
            put(pair, key)
            succeeds(s, keys=2, ended=1)
            assert status(s, made) == status(s, issue(s)) == 201
        ws.alive()
    with serve(tls=False) as s:  # and where there is no file at all
        made = issue(s)
        s.process.signal(signal.SIGHUP)
        until(lambda: "SIGHUP: no users, no keys" in s.process.output(), "it says so")
        assert status(s, made) == 201 and Audit(s, "jwt_reload").lines() == []


def test_a_shared_secret_outlives_a_restart(secret, tmp_path):
    """With the log, whose tenant it is, and not without it."""
    store = ("--store", f"sqlite:{tmp_path / 'log.db'}", "--jwt-secret-file", secret)
    with serve(*store) as s:
        made = issue(s)  # nothing else is known of the tenant
    with serve(*store) as s:
        assert status(s, made) == 201
    with serve("--jwt-secret-file", secret) as s:
        assert status(s, made) == 401
        assert status(s, hs256(SECRET, claims_of("tenant_a"))) == 201
