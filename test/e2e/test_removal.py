"""Tenants and keys that go: whoever listens has to leave, whoever publishes is told so, and nothing of the old one shows
at any door of a new one of that id."""

import hashlib
import json
import signal

import pytest

from harness import Closed, Eof, Http, Polling, Refused, Server, Socket, Team, join, joined, problem, split, until
from harness.metrics import scrape

TENANTS = "/api/v1/tenants"
ADMIN = {"Authorization": "Bearer boss"}
JSON = {"Content-Type": "application/json"}
SIO = "/socket.io/?EIO=4&transport="


class Realm:
    """A server, and how the tenants `t` and `other` are asked for in its mode."""

    def __init__(self, mode, folder, store=None):
        self.mode, self.store = mode, store
        self.users = folder / "users.json"
        users = [
            {"tenant": t, "name": "ann", "token_sha256": hashlib.sha256(f"token-{t}".encode()).hexdigest()}
            for t in ("t", "other")
        ]
        self.users.write_text(json.dumps({"users": users}))
        self.keys = {}

    def serve(self):
        flags = ["--threads", "2", "--admin-key", "boss", "--tenants", "tenant_a"]
        if self.mode == "token":
            flags += ["--users", self.users]
        self.server = Server(*flags, auth=self.mode, tenants=False, store=self.store)
        return self.server

    def create(self, tenant):
        """Makes the tenant, where it is not there by the users' file."""
        r = self.call("POST", "", {"id": tenant})
        assert r.status == 201 or (self.mode == "token" and r.status == 409), r
        if r.status == 201:
            self.keys[tenant] = r.json()["api_key"]

    def call(self, method, path, body=None):
        raw = None if body is None else json.dumps(body).encode()
        return self.server.request(method, TENANTS + path, {**ADMIN, **(JSON if raw else {})}, raw)

    def remove(self, tenant):
        r = self.call("DELETE", f"/{tenant}")
        assert r.status == 204, r

    def shown(self, tenant):
        """What a client of that tenant puts into its query."""
        shows = {"open": "", "token": f"&token=token-{tenant}", "key": f"&api_key={self.keys.get(tenant)}"}
        return tenant + shows[self.mode]

    def publish(self, tenant, message="hello", headers=None, path="/events"):
        body = json.dumps({"message": message}).encode()
        return self.server.request("POST", f"{path}?tenant={self.shown(tenant)}", {**JSON, **(headers or {})}, body)

    def get(self, tenant, path):
        return self.server.get(f"{path}{'&' if '?' in path else '?'}tenant={self.shown(tenant)}")


@pytest.fixture(params=["open", "token", "key"])
def realm(request, tmp_path):
    realm = Realm(request.param, tmp_path)
    with realm.serve():
        realm.create("t")
        realm.create("other")
        yield realm


def ends_polling(polling):
    """Reads on to the close packet, or to the answer that there is no such session any more."""

    def over():
        r = polling.request("GET")
        return r.status == 400 or "1" in r.body.decode().split("\x1e")

    until(over, "the session's end")


def ends_stream(sse):
    with pytest.raises(Eof):
        while True:
            sse.recv()


def test_connections_are_closed(realm):
    s = realm.server
    mine, others = realm.shown("t"), realm.shown("other")
    ws, sse = s.ws("t", mine[2:]), s.sse("t", mine[2:])
    polling, sock = Polling(s.port, f"tenant={mine}"), Socket(s.port, f"tenant={mine}")
    joined(polling)
    joined(sock, "/events")
    waiting = Polling(s.port, f"tenant={mine}")
    joined(waiting)
    poll = waiting.poll_later()
    bare, bare_polling = Socket(s.port, f"tenant={mine}"), Polling(s.port, f"tenant={mine}")  # in no namespace
    stay = s.ws("other", others[6:])
    stay_sio = Socket(s.port, f"tenant={others}")
    joined(stay_sio)
    nobody = Socket(s.port)
    realm.remove("t")
    ws.closes_with(1008)
    ends_stream(sse)
    sock.ws.closes_with(1008)
    bare.ws.closes_with(1008)
    assert b"1" in poll.response().body.split(b"\x1e")
    ends_polling(polling)
    ends_polling(bare_polling)
    assert realm.publish("other", "still here").status == 201
    assert stay.events(1)[0]["message"] == "still here" and "still here" in stay_sio.next()
    auth = {"tenant": "t", "token": "token-t"}
    kind, data = join(nobody, "/", auth)
    assert kind == "4" and data["data"]["code"] == "unauthorized"


def test_whoever_comes_later_is_refused(realm):
    s = realm.server
    shown = realm.shown("t")
    half = {
        "ws": f"GET /ws?tenant={shown} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n",
        "sse": f"GET /api/v1/events/stream?tenant={shown} HTTP/1.1\r\nHost: x\r\n",
        "post": f"POST /events?tenant={shown} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        'Content-Length: 15\r\n\r\n{"messa',
    }
    conns = {}
    for name, head in half.items():
        conns[name] = Http(s.port)
        conns[name].send(head.encode())
    polling = Polling(s.port)  # names nobody yet
    post = Http(s.port)
    payload = b'40{"tenant":"t","token":"token-t"}'
    post.send(f"POST {polling.target()} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(payload)}\r\n\r\n".encode())
    post.send(payload[:9])
    assert s.get("/livez").status == 200
    realm.remove("t")
    for name, conn in conns.items():
        conn.send(b'ge":"x"}' if name == "post" else b"\r\n")
        problem(conn.response("POST" if name == "post" else "GET"), 401, "unauthorized")
    post.send(payload[9:])
    assert post.response("POST").status == 200
    kind, _, _, data = split(polling.next())
    assert kind == "4" and data["data"]["code"] == "unauthorized"
    for path in ("/events", "/events/stats", "/api/v1/events/stream", "/events?q=x"):
        problem(realm.get("t", path), 401, "unauthorized")
    problem(realm.publish("t"), 401, "unauthorized")
    with pytest.raises(Refused) as refused:
        s.socket("t", shown[2:])
    assert refused.value.response.status == 401


def test_publishers_in_flight_are_told(realm):
    s, team, seen = realm.server, Team(), set()

    def publish(n):
        conn = Http(s.port)
        body = json.dumps({"message": f"m{n}"}).encode()
        while not team.stop.is_set():
            r = conn.request("POST", f"/events?tenant={realm.shown('t')}", JSON, body)
            seen.add(r.status)
            if r.status != 201:
                problem(r, 401, "unauthorized")
                return

    ws = s.ws("t", realm.shown("t")[2:])

    def post():
        try:
            for i in range(100_000):
                ws.send_json({"type": "post_event", "ref": i, "message": "w"})
                frame, _ = ws.recv_until("ack") if i % 2 else (ws.recv_json(), None)
                assert frame["type"] in ("ack", "event_created") or frame["code"] == "unauthorized", frame
        except Closed as closed:
            assert closed.code == 1008
        except Eof:
            pass  # it was closed while we were sending

    for n in range(6):
        team.go(publish, n)
    team.go(post)
    until(lambda: realm.get("t", "/events/stats").json()["total"] > 50, "they publish")
    realm.remove("t")
    team.join()
    assert seen == {201, 401}


@pytest.mark.parametrize("store", ["memory", "sqlite"])
@pytest.mark.parametrize("mode", ["open", "token", "key"])
def test_a_new_one_of_that_id(mode, store, tmp_path):
    realm = Realm(mode, tmp_path, "memory:" if store == "memory" else f"sqlite:{tmp_path}/log.db")
    with realm.serve() as s:
        realm.create("t")
        repeat = {"Idempotency-Key": "the same"}
        first = realm.publish("t", "canary one", repeat).json()
        old = [first] + [realm.publish("t", f"canary {i}").json() for i in range(2, 8)]
        sock = Socket(s.port, f"tenant={realm.shown('t')}")
        joined(sock)
        epoch = s.ws("t", realm.shown("t")[2:]).hello["epoch"]
        old_key = realm.shown("t")
        realm.remove("t")
        realm.create("t")
        if mode == "token":
            problem(realm.publish("t"), 401, "unauthorized")  # the users' file was read for the old one
            s.process.signal(signal.SIGHUP)
            until(lambda: realm.get("t", "/events").status == 200, "the users are read again")
        if mode == "key":
            assert realm.shown("t") != old_key
            problem(s.get(f"/events?tenant={old_key}"), 401, "unauthorized")
        nothing_shows(realm, old)
        r = realm.publish("t", "fresh one", repeat)  # what it published with that key it never did
        assert r.status == 201 and r.json()["seq"] == 1 and r.header("Idempotent-Replayed") is None
        for i in range(2, 10):
            assert realm.publish("t", f"fresh {i}").json()["seq"] == i
        only_fresh(realm, old, sock.pid, epoch)
        pid = sock.pid
    if store == "sqlite":
        for _ in range(2):
            with realm.serve():
                only_fresh(realm, old, pid, epoch)


def nothing_shows(realm, old):
    s = realm.server
    assert realm.get("t", "/events").json() == {"events": [], "has_more": False, "next": None}
    stats = realm.get("t", "/events/stats").json()
    assert stats["total"] == 0 and stats["by_type"] == {} and stats["last_seq"] == 0, stats
    counts = realm.call("GET", "/t").json()["counts"]
    assert counts["events"] == counts["last_seq"] == 0, counts
    ws = s.ws("t", realm.shown("t")[2:] + "&snapshot=50")
    assert ws.hello["seq"] == 0 and ws.recv_json("snapshot")["events"] == []
    ws.close()


def only_fresh(realm, old, pid, epoch):
    """At no door there is anything of the old one, whatever is shown of it."""
    s = realm.server
    ids = {e["id"] for e in old}

    def fresh(events):
        assert events and all(e["message"].startswith("fresh") and e["id"] not in ids for e in events), events

    for path in ("/events", "/events?since=0", "/events?limit=1000&order=asc", "/events?since=3", "/events?before=7",
                 "/events?q=fresh", "/events?type=message"):
        fresh(realm.get("t", path).json()["events"])
    assert realm.get("t", "/events?q=canary").json()["events"] == []
    for e in old:
        problem(realm.get("t", f"/events/{e['id']}"), 404, "not_found")
        problem(realm.get("t", f"/events?sinceId={e['id']}"), 400, "bad_request")
    shown = realm.shown("t")[2:] if realm.mode != "open" else ""
    for query in ("&since=0", "&since=3", "&snapshot=50"):
        ws = s.ws("t", shown + query)
        frame = ws.recv_json()
        fresh(frame["events"] if frame["type"] == "snapshot" else [frame["event"]])
        ws.close()
        sse = s.sse("t", shown + query)
        data = sse.recv().json()
        fresh(data["events"] if "events" in data else [data])
        sse.close()
    # Its cursors are of another log, as their epoch says: everything, not what comes behind.
    for make in (s.ws, s.sse):
        client = make("t", f"{shown}&since=7&epoch={epoch}")
        assert client.hello["epoch"] != epoch and client.hello["seq"] == 9
        gap = client.recv_json("gap") if make == s.ws else client.expect("gap").json()
        assert gap["from"] == 1 and gap["to"] == 0
        first = client.events(9)
        fresh(first)
        assert [e["seq"] for e in first] == list(range(1, 10))
        client.close()
    sock = Socket(s.port, f"tenant={realm.shown('t')}")
    assert join(sock, "/events", {"since": 7, "epoch": epoch})[0] == "0"
    assert split(sock.next())[3] == ["gap", {"from": 1, "to": 0}]
    name, events, _ = split(sock.next())[3]
    assert name == "snapshot" and len(events) == 9
    sock.close()
    problem(realm.get("t", f"/events?since=7&epoch={epoch}"), 400, "bad_request")
    with pytest.raises(Refused) as refused:
        s.socket("t", f"{shown}&sinceId={old[3]['id']}")
    assert refused.value.response.status == 400
    ws = s.ws("t", shown)
    ws.send_json({"type": "replay", "ref": 1, "sinceId": old[2]["id"]})
    assert ws.recv_json("error")["code"] == "bad_request"
    ws.send_json({"type": "replay", "ref": 2, "since": 0, "limit": 1000})
    fresh(ws.recv_json("replay_result")["events"])
    ws.close()
    # What the old one's client would recover with is nobody's.
    for offset in ("0", "3", "7"):
        sock = Socket(s.port, f"tenant={realm.shown('t')}")
        kind, data = join(sock, "/", {"pid": pid, "offset": offset})
        assert kind == "0" and data["pid"] != pid, data
        assert split(sock.next())[3][0] == "connection_established"
        name, events, _ = split(sock.next())[3]
        assert name == "initial_events"
        fresh(events)
        sock.close()
    for path in ("/health", "/api/v1/events/stats"):
        assert "canary" not in realm.get("t", path).body.decode()
    assert realm.get("t", "/events/stats").json()["total"] == 9


def test_a_revoked_key_ends_its_connections(tmp_path):
    realm = Realm("key", tmp_path)
    with realm.serve() as s:
        realm.create("t")
        kept = realm.keys["t"]
        r = realm.call("POST", "/t/keys")
        kid, key = r.json()["id"], r.json()["api_key"]
        mine = f"t&api_key={key}"
        ws, sse = s.ws("t", f"api_key={key}"), s.sse("t", f"api_key={key}")
        polling, sock = Polling(s.port, f"tenant={mine}"), Socket(s.port, f"tenant={mine}")
        joined(polling, "/events")
        joined(sock)
        bare = Socket(s.port, f"tenant={mine}")
        stay = s.ws("t", f"api_key={kept}")
        stay_sio = Socket(s.port, f"tenant=t&api_key={kept}")
        joined(stay_sio)
        half = Http(s.port)
        half.send(
            f"GET /ws?tenant={mine} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n".encode()
        )
        assert realm.call("DELETE", f"/t/keys/{kid}").status == 204
        ws.closes_with(1008)
        ends_stream(sse)
        sock.ws.closes_with(1008)
        bare.ws.closes_with(1008)
        ends_polling(polling)
        half.send(b"\r\n")
        problem(half.response(), 401, "unauthorized")
        r = s.request("POST", "/events", {**JSON, "X-API-Key": kept}, b'{"message":"still here"}')
        assert r.status == 201
        assert stay.events(1)[0]["message"] == "still here" and "still here" in stay_sio.next()
        r = s.request("POST", "/events", {**JSON, "X-API-Key": key}, b'{"message":"no"}')
        problem(r, 401, "unauthorized")
        assert key not in s.process.output() and kept not in s.process.output()


def test_who_reads_nothing_leaves_all_the_same(tmp_path):
    """What waits for them would hold them for as long as they like."""
    realm = Realm("key", tmp_path)
    with realm.serve() as s:
        realm.create("t")
        kept = realm.keys["t"]
        r = realm.call("POST", "/t/keys")
        kid, key = r.json()["id"], r.json()["api_key"]
        stalled = [s.ws("t", f"api_key={key}", rcvbuf=4096), s.sse("t", f"api_key={key}", rcvbuf=4096)]
        stalled.append(Socket(s.port, f"tenant=t&api_key={key}", rcvbuf=4096))
        joined(stalled[2])
        body = json.dumps({"metadata": {"pad": "x" * 50_000}}).encode()
        for _ in range(200):
            assert s.request("POST", "/events", {**JSON, "X-API-Key": kept}, body).status == 201
        speaking = ("websocket", "sse", "socketio")
        until(lambda: all(scrape(s).of("carillon_slow_readers_total", "transport")[t] for t in speaking), "they are behind")
        assert realm.call("DELETE", f"/t/keys/{kid}").status == 204
        until(lambda: all(scrape(s).of("carillon_connections", "transport")[t] == 0 for t in speaking), "they are gone")


def test_a_handshake_alone_that_was_good_for_another_namespace(realm):
    """A session that is in a namespace stays as long as what let it in there."""
    s = realm.server
    sock = Socket(s.port, f"tenant={realm.shown('t')}")
    joined(sock)
    sock.send("41")  # it leaves it again
    realm.remove("t")
    kind, data = join(sock, "/events", {"token": "token-t"} if realm.mode == "token" else None)
    assert kind == "4" and data["data"]["code"] == "unauthorized", data


def test_removed_and_made_anew_under_subscribers(realm):
    """A tenant that comes and goes: each one's subscribers see its own events only."""
    if realm.mode == "token":
        pytest.skip("its users are read once")
    s = realm.server
    for turn in range(8):
        ws = s.ws("t", realm.shown("t")[2:])
        sse = s.sse("t", realm.shown("t")[2:])
        assert ws.hello["seq"] == 0
        assert realm.publish("t", f"turn {turn}").json()["seq"] == 1
        assert ws.events(1)[0]["message"] == sse.events(1)[0]["message"] == f"turn {turn}"
        realm.remove("t")
        realm.create("t")
        ws.closes_with(1008)
        ends_stream(sse)
