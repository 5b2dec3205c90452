"""--auth token: users who show a token, over every door; and what SIGHUP makes of a changed file."""

import hashlib
import json
import re
import signal
import subprocess

import pytest

from harness import Closed, Eof, Polling, Refused, Server, Socket, created, joined, problem, program, split, until

USERS = [
    {"tenant": "a", "name": "ann", "token": "token-ann"},
    {"tenant": "a", "name": "root", "token": "token-root", "scopes": ["publish", "subscribe", "admin"]},
    {"tenant": "a", "name": "reader", "token": "token-reader", "scopes": ["subscribe"]},
    {"tenant": "a", "name": "writer", "token_sha256": hashlib.sha256(b"token-writer").hexdigest(), "scopes": ["publish"]},
    {"tenant": "b", "name": "bob", "token": "token-bob"},
]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "users.json"
    path.write_text(json.dumps({"users": USERS}))
    return path


def serve(file, *flags):
    return Server("--threads", "2", "--users", file, *flags, auth="token", tenants=False)


@pytest.fixture
def server(file):
    with serve(file) as s:
        yield s


def shown(token, tenant=None):
    return {"X-User-Token": token, **({"X-Tenant-ID": tenant} if tenant else {})}


def publish(server, token, tenant=None, message="hello", **more):
    headers = {**shown(token, tenant), "Content-Type": "application/json"}
    return server.request("POST", "/events", headers, json.dumps({"message": message, **more}).encode())


def connect(server, payload, query="", nsp="/events"):
    """The packet that answers a Socket.IO CONNECT, and the client."""
    sio = Socket(server.port, query)
    sio.send(f"40{nsp}," + json.dumps(payload))
    return sio, split("4" + sio.next()[1:])


def test_who_publishes_is_the_author(server):
    for tenant in (None, "a"):
        r = publish(server, "token-ann", tenant, author="mallory")
        assert r.status == 201 and r.json()["author"] == "ann" and r.json()["tenant_id"] == "a", r
    assert publish(server, "token-writer").json()["author"] == "writer"
    r = server.request("GET", "/events?tenant=a&token=token-reader")
    assert r.status == 200 and len(r.json()["events"]) == 3


@pytest.mark.parametrize(
    "token, tenant, status, code",
    [
        (None, "a", 401, "unauthorized"),
        ("", "a", 401, "unauthorized"),
        ("wrong", "a", 401, "unauthorized"),
        ("token-anN", "a", 401, "unauthorized"),
        ("x" * 8192, "a", 401, "unauthorized"),
        (hashlib.sha256(b"token-ann").hexdigest(), "a", 401, "unauthorized"),
        ("token-ann", "b", 403, "forbidden"),
        ("token-ann", "nobody", 403, "forbidden"),
        ("token-reader", "a", 403, "forbidden"),
    ],
)
def test_who_may_not_publish(server, token, tenant, status, code):
    headers = {"X-Tenant-ID": tenant, "Content-Type": "application/json"}
    if token is not None:
        headers["X-User-Token"] = token
    problem(server.request("POST", "/events", headers, b'{"message":"no"}'), status, code)
    if token:
        assert token not in server.process.output()


@pytest.mark.parametrize("path", ["/events", "/api/v1/events/stats", "/api/v1/events/stream", "/api/v1/events/x"])
def test_who_may_not_read(server, path):
    for query, status, code in (
        ("tenant=a", 401, "unauthorized"),
        ("tenant=a&token=wrong", 401, "unauthorized"),
        ("tenant=b&token=token-ann", 403, "forbidden"),
        ("tenant=a&token=token-writer", 403, "forbidden"),
        ("token=token-ann&token=token-ann", 400, "bad_request"),
    ):
        problem(server.get(f"{path}?{query}"), status, code)
    problem(server.get(f"{path}?token=token-bob", headers={"X-User-Token": "token-ann"}), 400, "bad_request")


def test_websockets(server):
    for query, status in (("a", 401), ("a&token=wrong", 401), ("b&token=token-ann", 403), ("a&token=token-writer", 403)):
        with pytest.raises(Refused) as refused:
            server.socket(query)
        assert refused.value.response.status == status
    ann, reader = server.ws("a", "token=token-ann"), server.ws("a", "token=token-reader")
    bob = server.ws("b", "token=token-bob")
    ann.send_json({"type": "post_event", "ref": 1, "message": "by ann"})
    event = reader.recv_json("event_created")["event"]
    assert event["author"] == "ann" and event["message"] == "by ann"
    reader.send_json({"type": "post_event", "ref": 2, "message": "no"})
    assert reader.recv_json("error")["code"] == "forbidden"
    assert publish(server, "token-bob", message="by bob").status == 201
    assert bob.recv_json("event_created")["event"]["author"] == "bob"


def test_socketio(server):
    for payload, query, code in (
        ({}, "", "unauthorized"),
        ({"tenantId": "a"}, "", "unauthorized"),
        ({"tenantId": "a", "token": "wrong"}, "", "unauthorized"),
        ({"tenantId": "a", "token": 7}, "", "unauthorized"),
        ({"tenantId": "b", "token": "token-ann"}, "", "forbidden"),
        ({"token": "token-bob"}, "token=token-ann", "forbidden"),
        ({"token": "token-ann"}, "tenant=b", "forbidden"),
        ({"tenantId": "b"}, "token=token-ann", "forbidden"),
        ({"token": "token-writer"}, "", "forbidden"),
    ):
        sio, (kind, _, _, data) = connect(server, payload, query)
        assert kind == "4" and data["data"]["code"] == code, (payload, query, data)
        sio.close()
    for payload, query in (
        ({"tenantId": "a", "token": "token-ann"}, ""),
        ({"token": "token-ann"}, ""),
        ({"token": "token-ann"}, "tenant=a"),
        ({}, "token=token-ann"),
        ({"tenantId": "a"}, "token=token-ann"),
    ):
        sio, (kind, *_) = connect(server, payload, query)
        assert kind == "0", (payload, query)
        assert split(sio.next())[3] [0] == "snapshot"
        sio.send('42/events,7["post_event",{"message":"hi"}]')
        packets = [split(sio.next()), split(sio.next())]
        ack = next(p for p in packets if p[0] == "3")
        assert ack[3][0]["event"]["author"] == "ann"
        sio.close()


def test_an_open_server_takes_no_notice_of_tokens():
    with Server() as s:
        assert s.request("POST", "/events?token=1&token=2", {"X-Tenant-ID": "t", "Content-Type": "application/json"},
                         b'{"message":"hi"}').status == 201
        sio, (kind, *_) = connect(s, {"tenantId": "t", "token": "anything"})
        assert kind == "0"
        sio.close()


def reload(server):
    def told():  # of the file, and not of a certificate
        return len(re.findall(r"SIGHUP: (?!.*TLS certificate)", server.process.output()))

    before = told()
    server.process.signal(signal.SIGHUP)
    until(lambda: told() > before, "it reads the file again")


def test_who_goes_has_to_leave(file, server):
    ann, root = server.ws("a", "token=token-ann"), server.ws("a", "token=token-root")
    stream = server.sse("a", "token=token-ann")
    sio, (kind, *_) = connect(server, {"token": "token-ann"})
    assert kind == "0"
    changed = [u for u in USERS if u["name"] != "ann"] + [{"tenant": "b", "name": "new", "token": "token-new"}]
    file.write_text(json.dumps({"users": changed}))
    reload(server)
    with pytest.raises(Closed) as closed:
        ann.recv()
    assert closed.value.code == 1008
    with pytest.raises(Eof):
        while True:
            stream.more()
    with pytest.raises(Closed) as closed:
        while True:
            sio.next()
    assert closed.value.code == 1008
    problem(publish(server, "token-ann"), 401, "unauthorized")
    assert publish(server, "token-new").status == 201
    event = publish(server, "token-root").json()
    assert root.recv_json("event_created")["event"] == event


def test_whose_scopes_change_has_to_come_again(file, server):
    reader = server.ws("a", "token=token-reader")
    changed = [{**u, "scopes": ["publish", "subscribe"]} if u["name"] == "reader" else u for u in USERS]
    file.write_text(json.dumps({"users": changed}))
    reload(server)
    with pytest.raises(Closed) as closed:
        reader.recv()
    assert closed.value.code == 1008
    assert publish(server, "token-reader").status == 201


@pytest.mark.parametrize(
    "text, line, what",
    [
        ("users:\n- tenant: a\n  name: x\n  token: t\n- [1]\n", 5, "map"),
        ("users:\n- tenant: a\n  name: x\n  secret: t\n", 4, "nothing else"),
        ("users:\n- tenant: '-'\n  name: x\n  token: t\n", 2, "tenant"),
        ("users:\n- tenant: a\n  token: t\n", 2, "name"),
        ("users:\n- tenant: a\n  name: x\n", 2, "token"),
        ("users:\n- tenant: a\n  name: x\n  token: t\n  token_sha256: " + "0" * 64 + "\n", 2, "token"),
        ("users:\n- tenant: a\n  name: x\n  token_sha256: 12\n", 4, "64"),
        ("users:\n- tenant: a\n  name: x\n  token: sesame\n- tenant: b\n  name: y\n  token: sesame\n", 5, "same token"),
        ("users:\n- tenant: a\n  name: x\n  token: sesame\n  scopes: [all]\n", 5, "scope"),
        ("users:\n- tenant: a\n  name: x\n  token: [\n", 5, ""),
        ("users:\n- tenant: a\n  name: x\n  token: null\n", 4, "text"),
        ("users:\n- tenant: a\n  name: x\n  token: ~\n", 4, "text"),
        ("users:\n- tenant: a\n  name: x\n  token: true\n", 4, "text"),
        ("users:\n- tenant: a\n  name: x\n  token: !!null sesame\n", 4, "text"),
        ("users:\n- tenant: a\n  name:\n  token: sesame\n", 3, "text"),
        ("users:\n- tenant: null\n  name: x\n  token: sesame\n", 2, "text"),
        ('{"users": [\n{"tenant": "a", "name": "x",\n "token": null}]}', 3, "text"),
        ("users:\n- tenant: a\n  name: x\n  token: ' sesame'\n", 4, "spaces"),
        ('users:\n- tenant: a\n  name: x\n  token: "sesame\\r\\n"\n', 4, "control"),
        ("people: []\n", 1, "users"),
        ("", 1, "users"),
        ('{"users": 7}', 1, "list"),
        ('{"users": []}\nx', 2, ""),
        ("users: []\n---\nusers: []\n", 3, "more"),
    ],
)
def test_a_malformed_file(file, text, line, what):
    """At the start it is the end; later the users stay as they were."""
    with serve(file) as s:
        ann = s.ws("a", "token=token-ann")
        file.write_text(text)
        reload(s)
        assert f"{file}:{line}: " in s.process.output() and "sesame" not in s.process.output()
        event = publish(s, "token-ann").json()
        assert ann.recv_json("event_created")["event"] == event
    said = start("--auth", "token", "--users", file)
    assert said.returncode == 1, said
    assert said.stderr.count("\n") == 1 and f"{file}:{line}: " in said.stderr and what in said.stderr, said.stderr


def test_texts_that_look_like_something_else(file):
    """A number is the text that stands there, and what is quoted is always one."""
    file.write_text("users:\n- {tenant: a, name: 'true', token: 'null'}\n- {tenant: a, name: 007, token: 0123}\n")
    with serve(file) as s:
        assert publish(s, "null").json()["author"] == "true" and publish(s, "0123").json()["author"] == "007"
        problem(publish(s, "123"), 401, "unauthorized")


def test_a_file_over_a_limit(file):
    """Of bytes, and of tenants: two are there by default."""
    with serve(file, "--max-tenants", 4) as s:
        for text, told in (
            ("#" * (16 << 20) + "\n" + file.read_text(), ": the file has more than 16777216 bytes"),
            (json.dumps({"users": [*USERS, {"tenant": "c", "name": "x", "token": "t"}]}, indent=0), r":\d\d+: there are more tenants"),
        ):
            file.write_text(text)
            reload(s)
            until(lambda: re.search(f"users stay as they were: {re.escape(str(file))}{told}", s.process.output()), told)
            assert publish(s, "token-ann").status == 201 and publish(s, "t").status == 401
    file.write_text("#" * (16 << 20) + "\n")
    said = start("--auth", "token", "--users", file, "--check-config")
    assert said.returncode == 1 and said.stderr == f"carillon: {file}: the file has more than 16777216 bytes\n", said


def start(*flags):
    command = [program("CARILLON_BIN"), "--port", "0", "--store", "memory:", *map(str, flags)]
    return subprocess.run(command, capture_output=True, text=True, timeout=20)


def test_a_session_is_its_tenants(server):
    """Also for who knows its id: a packet that names or shows another tenant is not its."""
    polling = Polling(server.port)
    joined(polling, auth={"token": "token-ann"})
    packet = b'42["post_event",{"message":"x"}]'
    for fields in ({"X-Tenant-ID": "b"}, {"X-User-Token": "token-bob"}, {"X-Tenant-ID": "a", "X-User-Token": "token-bob"}):
        problem(server.request("POST", polling.target(), fields, packet), 403, "forbidden")
        problem(server.request("GET", polling.target(), fields), 403, "forbidden")
    for fields in ({}, {"X-Tenant-ID": "a"}, {"X-User-Token": "token-ann"}, {"X-User-Token": "good no more"}):
        assert server.request("POST", polling.target(), fields, packet).body == b"ok"
    assert [e["seq"] for e in created(polling, 4)] == [1, 2, 3, 4]


def test_flags(tmp_path):
    for flags, code, what in (
        (("--auth", "token"), 2, "--users"),
        (("--users", tmp_path), 2, "--auth token"),
        (("--auth", "token", "--users", tmp_path / "none"), 1, "No such file"),
        (("--auth", "token", "--users", tmp_path), 1, "directory"),
    ):
        said = start(*flags)
        assert said.returncode == code and what in said.stderr, said


def test_hash_token():
    command = [program("CARILLON_BIN"), "hash-token"]

    def run(text, *more):
        return subprocess.run([*command, *more], input=text, capture_output=True, text=True, timeout=20)

    for text in ("sesame", "sesame\n", "sesame\r\n", "sesame\nmore\n"):
        said = run(text)
        assert (said.returncode, said.stdout) == (0, hashlib.sha256(b"sesame").hexdigest() + "\n"), said
    assert run("x" * 1024).returncode == 0
    for text in ("", "\n", "x" * 1025):
        assert run(text).returncode == 1
    assert run("sesame", "sesame").returncode == 2
