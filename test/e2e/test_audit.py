"""The audit log: a line for each act and each refusal, over every door, and never a secret or an event's content."""

import json
import os
import re
import shlex
import signal
import stat
import subprocess

import pytest

from harness import Closed, Eof, Refused, Server, Socket, TLS, frame, problem, program, split, until

USERS = [
    {"tenant": "a", "name": "ann of a", "token": "token-ann"},
    {"tenant": "a", "name": "reader", "token": "token-reader", "scopes": ["subscribe"]},
    {"tenant": "a", "name": "writer", "token": "token-writer", "scopes": ["publish"]},
    {"tenant": "b", "name": "bob", "token": "token-bob"},
]
JSON = {"Content-Type": "application/json"}
CONTENT = "what-events-hold"
STAMP = re.compile(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d\.\d{6} UTC audit: ")
NOT_KNOWN = "the user's token is not known"
ORIGIN = "pages of this origin may not connect"
NO_STRING = "the token must be a string"
TWO_NAMES = "X-Tenant-ID and the tenant parameter name different tenants"
NOT_SHOWN = "no user's token is shown: send X-User-Token, or the token parameter"
OTHER = "the credential is of another tenant"
TWO_TOKENS = "X-User-Token and the token parameter differ"
REVOKED = "the credential is good no more"


@pytest.fixture
def users(tmp_path):
    path = tmp_path / "users.json"
    path.write_text(json.dumps({"users": USERS}))
    return path


@pytest.fixture
def log(tmp_path):
    return tmp_path / "audit.log"


def serve(users, *flags):
    return Server("--threads", "2", "--users", users, *flags, auth="token", tenants=False)


def from_text(line):
    """The members of a line in text, which has to have its shape."""
    stamp = STAMP.match(line)
    assert stamp, line
    pairs = [word.partition("=") for word in shlex.split(line[stamp.end() :])]
    members = {name: int(value) if name in ("status", "users", "ended") else value for name, _, value in pairs}
    assert len(members) == len(pairs), line
    return members


def from_json(line):
    members = json.loads(line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", members.pop("time")), line
    return members


class Log:
    """Reads a file's new lines."""

    def __init__(self, path, read=from_text):
        self.path, self.read, self.at = path, read, 0

    def lines(self):
        text = self.path.read_text(encoding="utf-8")
        return text[: text.rfind("\n") + 1].splitlines()

    def next(self):
        """The next line's members; what is not the same from run to run is taken out."""
        until(lambda: len(self.lines()) > self.at, "a line")
        members = self.read(self.lines()[self.at])
        self.at += 1
        return members

    def expect(self, act, outcome, **members):
        """The next line. Who it is from has to be there, and the request's id, which is returned; of a subscriber the
        handshake's."""
        line = self.next()
        request_id = line.pop("request_id")
        assert request_id
        assert line.pop("peer") == "127.0.0.1", line
        unread = members.get("reason") in (NOT_SHOWN, NO_STRING, TWO_NAMES) or members.pop("nothing_shown", False)
        shown = {} if unread else {"credential": "token"}
        assert line == {"act": act, "outcome": outcome, **shown, **members}
        return request_id

    def certificate(self):
        """Over TLS, a reload begins with that."""
        if TLS:
            assert self.next() == {"act": "tls_reload", "outcome": "ok"}

    def ends(self):
        assert self.lines()[self.at :] == []


def connect(server, payload, query="", nsp="/events"):
    sio = Socket(server.port, query)
    sio.send(f"40{nsp}," + json.dumps(payload))
    return sio, split("4" + sio.next()[1:])


def body(message=CONTENT):
    return json.dumps({"message": message}).encode()


@pytest.mark.parametrize("form", ["text", "json"])
def test_http(users, log, form):
    with serve(users, "--audit-log", log, "--audit-format", form) as s:
        audit = Log(log, from_json if form == "json" else from_text)

        def refused(method, target, headers, status, act, why, path="/events", **whose):
            more = JSON if method == "POST" else {}
            r = s.request(method, target, {**headers, **more}, body() if method == "POST" else None)
            assert r.status == status
            audit.expect(act, "refused", status=status, method=method, path=path, reason=why, **whose)

        refused("POST", "/events", {}, 401, "publish", NOT_SHOWN)
        refused("POST", "/events", {"X-Tenant-ID": "a"}, 401, "publish", NOT_SHOWN, tenant="a")
        refused("POST", "/events?tenant=a&token=wrong-1", {}, 401, "publish", NOT_KNOWN, tenant="a")
        refused("GET", "/events?q=" + CONTENT, {"X-User-Token": "wrong-2"}, 401, "read", NOT_KNOWN)
        ann = {"X-User-Token": "token-ann"}
        whose = {"tenant": "a", "named": "b", "subject": "ann of a"}
        refused("POST", "/events", {**ann, "X-Tenant-ID": "b"}, 403, "publish", OTHER, **whose)
        refused("HEAD", "/events?tenant=b&token=token-ann", {}, 403, "read", OTHER, **whose)
        reader = {"tenant": "a", "subject": "reader"}
        lacks = "the credential may not publish"
        refused("POST", "/api/v1/events", {"X-User-Token": "token-reader"}, 403, "publish", lacks, "/api/v1/events", **reader)
        refused("POST", "/api/v1/events/batch?token=token-reader", {}, 403, "publish", lacks, "/api/v1/events/batch", **reader)
        writer = {"tenant": "a", "subject": "writer"}
        lacks = "the credential may not subscribe"
        for path, act in (("/events/stats", "read"), ("/api/v1/events/stream", "sse"), ("/events/x%20y", "read")):
            refused("GET", f"{path}?token=token-writer", {}, 403, act, lacks, path, **writer)
        refused("GET", "/events?tenant=b", {**ann, "X-Tenant-ID": "a"}, 403, "read", TWO_NAMES)
        # What is asked for, and is no question of who asks; and what is let through.
        assert s.request("POST", "/events", {**ann, **JSON}, body()).status == 201
        assert s.get("/events", headers=ann).status == 200
        assert s.get("/nowhere").status == 404
        assert s.request("POST", "/events", {**ann, **JSON}, b"{").status == 400
        assert s.request("DELETE", "/events", ann).status == 405
        audit.ends()
        # What nobody can tell whose it is.
        refused("GET", "/events?token=token-bob", ann, 400, "read", TWO_TOKENS, nothing_shown=True)
        audit.ends()


ADMIN = {"Authorization": "Bearer boss"}


def test_what_an_administrator_does(log):
    """Done, refused, and only looked at."""
    with Server("--admin-key", "boss", "--audit-log", log, auth="key", tenants=False) as s:

        def act(method, path, status, name, outcome, document=None, **members):
            r = s.request(method, f"/api/v1/tenants{path}", {**ADMIN, **JSON} if document is not None else ADMIN,
                          json.dumps(document).encode() if document is not None else None)
            assert r.status == status, r
            line = from_text(log.read_text().splitlines()[-1])
            assert line.pop("request_id") == r.header("X-Request-Id") and line.pop("peer") == "127.0.0.1"
            assert line == {"act": name, "outcome": outcome, "status": status, "credential": "admin", **members}
            return r

        act("GET", "", 200, "tenant_list", "ok")
        act("POST", "", 422, "tenant_create", "failed", {})
        act("POST", "", 422, "tenant_create", "failed", {"id": "-"})
        r = s.request("POST", "/api/v1/tenants", {**ADMIN, **JSON}, b'{"id":"a"}')
        assert r.status == 201
        act("POST", "", 409, "tenant_create", "failed", {"id": "a"}, tenant="a")
        act("GET", "/a", 200, "tenant_read", "ok", tenant="a")
        act("GET", "/b", 404, "tenant_read", "failed", tenant="b")
        act("PATCH", "/a", 422, "tenant_change", "failed", {"limits": {"history": -1}}, tenant="a")
        act("PATCH", "/a", 200, "tenant_change", "ok", {"limits": {"history": 9, "connections": 2}, "name": "A"}, tenant="a",
            target="name,limits.connections,limits.history")
        act("PATCH", "/b", 404, "tenant_change", "failed", {"name": "B"}, tenant="b")
        act("GET", "/a/keys", 200, "key_list", "ok", tenant="a")
        act("DELETE", "/a/keys/none", 404, "key_revoke", "failed", tenant="a", target="none")
        act("DELETE", f"/a/keys/{r.json()['api_key']}", 404, "key_revoke", "failed", tenant="a", target="car_")
        act("POST", "/a/token", 422, "token_issue", "failed", {"ttl_s": 0}, tenant="a")
        act("DELETE", "/b", 404, "tenant_remove", "failed", tenant="b")
        act("DELETE", "/a", 204, "tenant_remove", "ok", tenant="a")


def test_who_finds_no_room(log):
    with Server("--admin-key", "boss", "--audit-log", log, "--max-connections", "3", auth="open") as s:
        tenants = "/api/v1/tenants/tenant_a"
        assert s.request("PATCH", tenants, {**ADMIN, **JSON}, b'{"limits":{"message_bytes":5}}').status == 200
        audit = Log(log)
        audit.expect("tenant_change", "ok", status=200, tenant="tenant_a", target="limits.message_bytes", credential="admin")
        http = s.http()
        r = http.request("POST", "/events?tenant=tenant_a", JSON, b'{"message":"longer"}')
        assert r.status == 413
        audit.expect("publish", "refused", status=413, method="POST", path="/events", tenant="tenant_a", credential="open",
                     reason="has more than the tenant's 5 bytes")
        ws = s.ws("tenant_a")
        audit.expect("websocket", "ok", status=101, method="GET", path="/ws", tenant="tenant_a", credential="open")
        over = s.http()
        assert over.request("GET", "/health").status == 503 and ws.alive()
        audit.expect("connect", "refused", status=503, reason="too many connections, or too little memory", nothing_shown=True)
        audit.ends()


def test_the_request_id_is_the_answers(users, log):
    with serve(users, "--audit-log", log) as s:
        for headers in ({}, {"X-Request-Id": "mine-1"}, {"X-Request-Id": 'mine" outcome="ok'}):
            r = s.get("/events", headers=headers)
            assert Log(log).read(Log(log).lines()[-1])["request_id"] == r.header("X-Request-Id") == r.json()["request_id"]
        assert "mine-1" in log.read_text() and "outcome=ok" not in log.read_text()


def test_a_body_that_is_waited_for(users, log):
    """Refused before it is sent: one line."""
    with serve(users, "--audit-log", log) as s:
        audit = Log(log)
        http = s.http()
        head = http.build("POST", "/events", {**JSON, "Expect": "100-continue", "X-User-Token": "wrong"}, body())
        http.send(head[: head.index(b"\r\n\r\n") + 4])
        assert http.response("POST").status == 401
        audit.expect("publish", "refused", status=401, method="POST", path="/events", reason=NOT_KNOWN)
        audit.ends()


def test_websockets(users, log):
    with serve(users, "--audit-log", log) as s:
        audit = Log(log)
        there = {"method": "GET", "path": "/ws"}
        for query, status, why, whose in (
            ("a", 401, NOT_SHOWN, {"tenant": "a"}),
            ("a&token=wrong", 401, NOT_KNOWN, {"tenant": "a"}),
            ("b&token=token-ann", 403, OTHER, {"tenant": "a", "named": "b", "subject": "ann of a"}),
            ("a&token=token-writer", 403, "the credential may not subscribe", {"tenant": "a", "subject": "writer"}),
        ):
            with pytest.raises(Refused):
                s.socket(query)
            audit.expect("websocket", "refused", status=status, reason=why, **there, **whose)
        with pytest.raises(Refused):
            s.socket("a", "token=token-ann", headers={"Origin": "http://evil.example"})
        ann = {"tenant": "a", "subject": "ann of a"}
        audit.expect("websocket", "refused", status=403, reason="pages of this origin may not connect", **there, **ann)
        s.ws("a", "token=token-ann")
        audit.expect("websocket", "ok", status=101, **there, **ann)
        ws = s.ws("a", "token=token-reader")
        reader = {"tenant": "a", "subject": "reader"}
        audit.expect("websocket", "ok", status=101, **there, **reader)
        ws.send_json({"type": "post_event", "ref": 1, "message": CONTENT})
        assert ws.recv_json("error")["code"] == "forbidden"
        audit.expect("publish", "refused", status=403, reason="the credential may not publish", **reader)
        ws.send_json({"type": "post_event"})
        ws.send_json({"type": "nonsense"})
        ws.recv_json("error")
        ws.recv_json("error")
        audit.expect("publish", "refused", status=403, reason="the credential may not publish", **reader)
        audit.ends()


def test_socketio(users, log):
    with serve(users, "--audit-log", log) as s:
        audit = Log(log)
        ann = {"tenant": "a", "subject": "ann of a"}
        for payload, query, status, why, whose in (
            ({}, "", 401, NOT_SHOWN, {}),
            ({"tenantId": "a"}, "", 401, NOT_SHOWN, {"tenant": "a"}),
            ({}, "tenant=a", 401, NOT_SHOWN, {"tenant": "a"}),
            ({"tenantId": "a", "token": "wrong"}, "", 401, NOT_KNOWN, {"tenant": "a"}),
            ({"tenantId": "a", "token": 7}, "", 401, NO_STRING, {"tenant": "a"}),
            ({"tenantId": "b", "token": "token-ann"}, "", 403, OTHER, {"named": "b", **ann}),
            ({"tenantId": "b"}, "token=token-ann", 403, "the handshake names another tenant", {"named": "b", **ann}),
            ({"token": "token-writer"}, "", 403, "the credential may not subscribe", {"tenant": "a", "subject": "writer"}),
        ):
            sio, (kind, *_) = connect(s, payload, query)
            assert kind == "4"
            audit.expect("socketio", "refused", status=status, reason=why, path="/events", **whose)
            sio.close()
        sio, (kind, *_) = connect(s, {"token": "token-ann"}, nsp="/nowhere")
        assert kind == "4"
        sio.close()
        r = s.get("/socket.io/?EIO=4&transport=polling&tenant=a", headers={"Origin": "http://evil.example"})
        assert r.status == 403
        audit.expect("socketio", "refused", status=403, method="GET", path="/socket.io/", tenant="a", reason=ORIGIN,
                     nothing_shown=True)
        sio, (kind, *_) = connect(s, {"token": "token-reader", "tenantId": "a"})
        assert kind == "0"
        reader = {"tenant": "a", "subject": "reader"}
        audit.expect("socketio", "ok", path="/events", **reader)
        sio.send(f'42/events,7["post_event",{{"message":"{CONTENT}"}}]')
        audit.expect("publish", "refused", status=403, reason="the credential may not publish", **reader)
        sio.send("40" + json.dumps({"token": "token-ann"}))
        audit.expect("socketio", "ok", path="/", **ann)
        audit.ends()


def test_too_many_replays(log):
    """A limit's refusals, over both doors that have it. What comes in one piece is begun in one turn, however soon the
    database answers."""
    count = 64
    with Server("--audit-log", log, "--buffer-size", "1", store=f"sqlite:{log}.db") as s:
        s.flood("t", ["x"] * 50)
        ws = s.ws("t")
        asks = (json.dumps({"type": "replay", "ref": ref, "since": 0}).encode() for ref in range(count))
        ws.send_raw(b"".join(frame(1, ask) for ask in asks))
        answers = [ws.recv_json() for _ in range(count)]
        sio, (kind, *_) = connect(s, {"tenantId": "t"})
        assert kind == "0" and split(sio.next())[3][0] == "snapshot"
        asks = (f'42/events,{ref}["replay",{{"since":0}}]'.encode() for ref in range(count))
        sio.ws.send_raw(b"".join(frame(1, ask) for ask in asks))
        acks = [split(sio.next())[3][0] for _ in range(count)]
        sio.close()
        refused = [a["code"] for a in answers if a["type"] == "error"] + [a["error"]["code"] for a in acks if "error" in a]
        assert refused and set(refused) == {"rate_limited"}
        lines = [line for line in map(from_text, log.read_text().splitlines()) if line["outcome"] == "refused"]
        assert len({line.pop("request_id") for line in lines}) == 2  # of the two handshakes
        assert lines == len(refused) * [
            {"act": "replay", "outcome": "refused", "status": 429, "tenant": "t", "credential": "open",
             "peer": "127.0.0.1", "reason": "too many replays at a time"}
        ]
        assert any("error" in a for a in acks) and any(a["type"] == "error" for a in answers)


def reload(server):
    server.process.signal(signal.SIGHUP)


def test_who_has_to_leave(users, log):
    with serve(users, "--audit-log", log) as s:
        audit = Log(log)
        ann = {"tenant": "a", "subject": "ann of a"}
        ws = s.ws("a", "token=token-ann")
        opened = {audit.expect("websocket", "ok", status=101, method="GET", path="/ws", **ann)}
        stream = s.sse("a", "token=token-ann")
        opened.add(audit.expect("sse", "ok", status=200, method="GET", path="/api/v1/events/stream", **ann))
        sio, (kind, *_) = connect(s, {"token": "token-ann"})
        assert kind == "0"
        opened.add(audit.expect("socketio", "ok", path="/events", **ann))
        users.write_text(json.dumps({"users": USERS[1:]}))
        reload(s)
        audit.certificate()
        assert audit.next() == {"act": "users_reload", "outcome": "ok", "users": 3, "ended": 1}
        left = [audit.next() for _ in range(3)]
        assert {line.pop("request_id") for line in left} == opened
        common = {"outcome": "ended", "credential": "token", "peer": "127.0.0.1", "reason": REVOKED, **ann}
        assert sorted(left, key=lambda line: line["act"]) == [
            {"act": "socketio", "path": "/events", **common},
            {"act": "sse", **common},
            {"act": "websocket", **common},
        ]
        for read in (ws.recv, sio.next):
            with pytest.raises(Closed):
                while True:
                    read()
        with pytest.raises(Eof):
            while True:
                stream.more()
        users.write_text("users: 7")
        reload(s)
        audit.certificate()
        line = audit.next()
        assert line.pop("reason") and line == {"act": "users_reload", "outcome": "failed"}
        audit.ends()


def test_no_secret_and_no_content(users, log):
    """Whatever is done over whichever door, in both logs at their most talkative."""
    with serve(users, "--audit-log", log, "--log-level", "debug") as s:
        for token in ("token-ann", "token-reader", "token-bob", "sesame"):
            for tenant in ("a", "b"):
                headers = {"X-User-Token": token, "X-Tenant-ID": tenant, "Authorization": "Bearer bearer-sesame"}
                for path in ("/events", "/api/v1/events/batch"):
                    s.request("POST", path, {**headers, **JSON, "X-API-Key": "key-sesame"}, b"[" + body() + b"]")
                    s.request("POST", f"{path}?tenant={tenant}&token={token}&api_key=key-sesame", JSON, body())
                s.get(f"/events?q={CONTENT}", headers=headers)
                s.get(f"/api/v1/events/stream?tenant={tenant}&token=sesame")
                try:
                    ws = s.ws(tenant, f"token={token}&api_key=key-sesame")
                    ws.send_json({"type": "post_event", "message": CONTENT, "metadata": {"m": CONTENT}})
                    ws.recv_json()
                except Refused:
                    pass
                sio, (kind, *_) = connect(s, {"tenantId": tenant, "token": token}, f"token={token}")
                if kind == "0":
                    sio.send(f'42/events,1["post_event",{{"message":"{CONTENT}"}}]')
                    sio.next()
                sio.close()
        reload(s)
        until(lambda: "act=users_reload" in log.read_text(), "the reload")
        both = log.read_text() + s.process.output()
        for line in log.read_text().splitlines():
            from_text(line)
        assert "act=websocket outcome=ok" in both and "act=socketio outcome=refused" in both
        for secret in ("token-", "sesame", CONTENT):
            assert secret not in both


def test_a_key_in_the_place_of_a_name(log):
    """Whoever mistakes one for the other has it in no log, whole."""
    with Server("--admin-key", "boss", "--audit-log", log, "--log-level", "debug", auth="key", tenants=False) as s:
        boss = {"Authorization": "Bearer boss"}
        key = s.request("POST", "/api/v1/tenants", {**boss, **JSON}, b'{"id":"a"}').json()["api_key"]
        problem(s.get("/events", key), 401, "unauthorized")
        problem(s.get(f"/events?tenant={key}"), 401, "unauthorized")
        problem(s.get("/events", headers={"X-API-Key": key, "X-Tenant-ID": key}), 403, "forbidden")
        assert s.get("/events", headers={"X-API-Key": key + "x", "X-Request-Id": key}).status == 401
        problem(s.get(f"/api/v1/tenants/{key}", headers=boss), 404, "not_found")
        r = s.request("POST", "/api/v1/tenants/a/token", {**boss, **JSON}, json.dumps({"sub": key}).encode())
        assert r.status == 200
        with pytest.raises(Refused):
            s.ws(key, f"api_key={key}")
        until(lambda: len(log.read_text().splitlines()) >= 7, "the lines")
        assert "act=token_issue outcome=ok" in log.read_text() and "tenant=car_ " in log.read_text()
        refused = s.request("GET", "/api/v1/overview", boss).body.decode()
        assert "car_" in refused
        assert key not in log.read_text() + s.process.output() + refused


def test_hostile_names(users, log):
    with serve(users, "--audit-log", log) as s:
        for name in ("a%0A2026/11/20%2017:44:53.653654%20UTC%20audit:%20act=x", "a%22%20outcome=ok", "%1b%5b31m", "%C2%85%E2%80%A8",
                     "a" * 5000, "%00", "%22" * 3000):
            problem(s.get(f"/events?tenant={name}"), 401, "unauthorized")
        sio, _ = connect(s, {"tenantId": "a\n\x1b" + "b" * 1000})
        sio.close()
        until(lambda: log.read_text().count("\n") == 8, "the lines")
        for line in log.read_text().splitlines():  # which knows more line ends than one
            members = from_text(line)
            assert members["outcome"] == "refused" and line.isprintable() and len(line) < 1000
            assert len(members["tenant"]) <= 96
        assert len(log.read_text().splitlines()) == 8


def test_a_file_that_is_moved_away(users, log):
    with serve(users, "--audit-log", log) as s:
        assert stat.S_IMODE(os.stat(log).st_mode) & 0o137 == 0
        s.get("/events?tenant=first")
        moved = log.with_suffix(".1")
        log.rename(moved)
        s.get("/events?tenant=second")
        reload(s)
        until(lambda: log.exists() and "users_reload" in log.read_text(), "the new file")
        s.get("/events?tenant=third")
        assert [line["tenant"] for line in map(from_text, moved.read_text().splitlines())] == ["first", "second"]
        since = [line for line in map(from_text, log.read_text().splitlines()) if line["act"] != "tls_reload"]
        assert [line.get("tenant") for line in since] == [None, "third"]
        # Where it cannot be opened it goes on as it was.
        log.rename(log.with_suffix(".2"))
        log.mkdir()
        reload(s)
        until(lambda: "the audit log stays where it was" in s.process.output(), "it says so")
        s.get("/events?tenant=fourth")
        until(lambda: "tenant=fourth" in log.with_suffix(".2").read_text(), "the old file")


def test_a_full_disk(users, log):
    """Refusals are answered on, and the log says what is missing."""
    log.symlink_to("/dev/full")
    with serve(users, "--audit-log", log) as s:
        for _ in range(20):
            problem(s.get("/events?tenant=a"), 401, "unauthorized")
        log.unlink()
        reload(s)
        until(lambda: "20 of its lines were dropped" in s.process.output(), "it is told")
        assert s.process.output().count("the audit log cannot be written") == 1
        assert "act=users_reload" in log.read_text()


def test_where_it_goes(users, tmp_path):
    with serve(users) as s:  # to standard error, in the log's form
        s.get("/events?tenant=a")
        until(lambda: any(STAMP.match(line) for line in s.process.lines), "the line")
    with serve(users, "--log-format", "json") as s:
        s.get("/events?tenant=a")
        until(lambda: any(json.loads(line).get("act") for line in s.process.lines), "the line")
    with serve(users, "--audit-log", "off") as s:
        s.get("/events?tenant=a")
        s.ws("a", "token=token-ann")
    assert "act=" not in s.process.output()
    command = [program("CARILLON_BIN"), "--port", "0", "--store", "memory:"]
    for path, why in ((tmp_path / "none" / "x", "No such file or directory"), (tmp_path, "Is a directory")):
        for check in ([], ["--check-config"]):
            said = subprocess.run([*command, "--audit-log", path, *check], capture_output=True, text=True, timeout=20)
            assert (said.returncode, said.stderr) == (1, f"carillon: --audit-log: {path}: {why}\n")
    said = subprocess.run([*command, "--audit-log", tmp_path / "new", "--check-config"], timeout=20)
    assert said.returncode == 0 and not (tmp_path / "new").exists()  # it is looked at, and not made


def test_open(log):
    with Server("--audit-log", log) as s:
        s.publish("t", CONTENT)
        s.ws("t")
        (line,) = map(from_text, log.read_text().splitlines())
        assert line.pop("request_id")
        assert line == {"act": "websocket", "outcome": "ok", "status": 101, "tenant": "t", "credential": "open",
                        "peer": "127.0.0.1", "method": "GET", "path": "/ws"}
        problem(s.get("/events"), 401, "unauthorized")
        assert from_text(log.read_text().splitlines()[1])["status"] == 401
