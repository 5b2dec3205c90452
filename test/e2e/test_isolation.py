"""No byte of one tenant's events on another tenant's path, whatever the path.

Every message, type and metadata value of a tenant carries the tenant's canary. What a client of another tenant receives
is searched for it as raw text, whatever frame or field it might hide in.
"""

import contextlib
import json
import random
import re
import threading

import pytest

from harness import Eof, PONG, Refused, SANITIZED, Server, Team, WebSocket, problem, refused, scaled, until

TENANTS = 12
CANARY = re.compile(rb"canary\.([A-Za-z0-9._-]+?)\.end")


def canary(tenant):
    return f"canary.{tenant}.end"


def body(tenant, n):
    mark = canary(tenant)
    return json.dumps({"message": f"{mark} {n}", "type": f"{mark}"[:64], "metadata": {mark: [mark, {"n": n}]}}).encode()


def search(data, tenant):
    """Fails on the canary of anybody else."""
    data = data if isinstance(data, bytes) else data.encode()
    foreign = set(CANARY.findall(data)) - {tenant.encode()}
    assert not foreign, f"{tenant} was shown {foreign}: {data[:500]}"


@pytest.fixture(scope="module", params=[1, 4])
def server(request):
    with Server("--threads", request.param, "--buffer-size", "5000") as s:
        yield s


class Watcher:
    """A stream of one tenant that keeps everything it is shown."""

    def __init__(self, server, tenant, kind):
        self.tenant, self.kind, self.seqs = tenant, kind, []
        if kind == "sse":
            self.client = server.sse(tenant, "since=0")
        else:
            self.client = server.ws(tenant, "since=0", offer="permessage-deflate" if kind == "deflate" else None)

    def read(self, count):
        while len(self.seqs) < count:
            if self.kind == "sse":
                e = self.client.recv()
                text, kind, obj = b"\n".join(e.lines), e.kind, e.json()
                event = obj
            else:
                opcode, text = self.client.recv()
                assert opcode != PONG
                obj = json.loads(text)
                kind, event = obj["type"], obj.get("event")
            search(text, self.tenant)
            assert kind == "event_created", text
            assert event["tenant_id"] == self.tenant
            self.seqs.append(event["seq"])


def test_streams_under_load(server):
    tenants = [server.tenant("iso") for _ in range(TENANTS)]
    count = scaled(300)
    watchers = [Watcher(server, t, kind) for t in tenants for kind in ("ws", "deflate", "sse")]
    team = Team()

    def publish(tenant):
        posted = server.flood(tenant, (body(tenant, n) for n in range(count)), depth=random.choice((1, 7, 50)))
        for e in posted:
            search(json.dumps(e), tenant)
        assert [e["seq"] for e in posted] == list(range(1, count + 1))

    for t in tenants:
        team.go(publish, t)
    for w in watchers:
        team.go(w.read, count)
    team.join()
    for w in watchers:
        assert w.seqs == list(range(1, count + 1)), (w.tenant, w.kind)
    for w in watchers:
        w.client.close()


def test_queries(server):
    tenants = [server.tenant("q") for _ in range(TENANTS)]
    events = {t: server.flood(t, (body(t, n) for n in range(5 + i))) for i, t in enumerate(tenants)}
    for i, mine in enumerate(tenants):
        theirs = tenants[(i + 1) % TENANTS]
        foreign = events[theirs][2]
        for path in ("/events", "/api/events", "/api/v1/events"):
            for query in (
                "",
                "?limit=1000",
                "?since=0",
                "?order=asc",
                f"?type={canary(theirs)[:64]}",
                f"?sinceId={events[mine][0]['id']}",
                "?since=0&limit=1000",
            ):
                r = server.get(path + query, mine)
                assert r.status == 200
                search(r.body, mine)
                assert all(e["tenant_id"] == mine for e in r.json()["events"])
            # Another tenant's event does not exist here, not even as a cursor.
            problem(server.get(f"{path}/{foreign['id']}", mine), 404, "not_found")
            problem(server.get(f"{path}?sinceId={foreign['id']}", mine), 400, "bad_request")
            r = server.get(f"{path}/stats", mine)
            search(r.body, mine)
            assert r.json()["total"] == 5 + i and r.json()["by_type"] == {canary(mine)[:64]: 5 + i}
            # Two tenants named at once: neither is served.
            for target in (
                f"{path}?tenant={theirs}",
                f"{path}/{foreign['id']}?tenant={theirs}",
                f"{path}/stats?tenant={theirs}",
            ):
                r = server.get(target, mine)
                problem(r, 403, "forbidden")
                assert not CANARY.search(r.body)
        # A missing event and a foreign one can't be told apart.
        a = server.get(f"/events/{foreign['id']}", mine).json()
        b = server.get("/events/00000000-0000-4000-8000-000000000000", mine).json()
        assert {k: v for k, v in a.items() if k not in ("request_id", "detail")} == {
            k: v for k, v in b.items() if k not in ("request_id", "detail")
        }
        assert a["detail"].replace(foreign["id"], "X") == b["detail"].replace(
            "00000000-0000-4000-8000-000000000000", "X"
        )


def test_handshakes(server):
    mine, theirs = server.tenant("h"), server.tenant("h")
    foreign = server.flood(theirs, (body(theirs, n) for n in range(10)))
    server.flood(mine, (body(mine, n) for n in range(3)))
    for make in (server.socket, server.stream):
        problem(refused(make, mine, f"sinceId={foreign[0]['id']}"), 400, "bad_request")
        problem(refused(make, mine, headers={"X-Tenant-ID": theirs}), 403, "forbidden")
    r = None
    try:
        ws = WebSocket(server.port, f"/ws?tenant={mine}&tenant={theirs}")
        search(ws.recv()[1], mine)
        ws.close()
    except Refused as refusal:
        r = refusal.response
        assert r.status in (400, 403), r
    ws = server.ws(mine, "since=0")
    for n in range(3):
        search(json.dumps(ws.events(1)[0]), mine)
    # Nothing that a client says moves it to another tenant.
    for request in (
        {"type": "replay", "ref": 1, "sinceId": foreign[0]["id"]},
        {"type": "replay", "ref": 1, "since": 0, "tenant": theirs, "tenant_id": theirs, "tenantId": theirs},
        {"type": "post_event", "ref": 1, "message": "x", "tenant": theirs, "tenant_id": theirs, "tenantId": theirs},
    ):
        ws.send_json(request)
        got = ws.recv_json()
        search(json.dumps(got), mine)
        if request["type"] == "post_event":
            got = got if got["type"] == "ack" else ws.recv_json("ack")
            assert got["event"]["tenant_id"] == mine
        elif "sinceId" in request:
            assert got["type"] == "error" and got["code"] == "bad_request"
        else:
            assert len(got["events"]) == 3
    assert server.get("/events/stats", theirs).json()["last_seq"] == 10
    snap = server.ws(mine, "snapshot=1000").recv_json("snapshot")
    search(json.dumps(snap), mine)
    assert len(snap["events"]) == 4
    search(server.sse(mine, "snapshot=1000").expect("snapshot").data, mine)


def test_one_connection_for_many_tenants(server):
    """A keep-alive connection belongs to no tenant; each answer is of the tenant its own request named."""
    tenants = [server.tenant("k") for _ in range(5)]
    c, rng, counts = server.http(), random.Random(5), dict.fromkeys(tenants, 0)
    for _ in range(scaled(40)):
        asked, data = [], b""
        for _ in range(20):
            t, post = rng.choice(tenants), rng.random() < 0.5
            asked.append((t, post))
            if post:
                data += c.build("POST", "/events", {"X-Tenant-ID": t, "Content-Type": "application/json"}, body(t, 1))
            else:
                data += c.build("GET", f"/api/v1/events?tenant={t}&limit=5")
        c.send(data)
        for t, post in asked:
            r = c.response("POST" if post else "GET")
            search(r.body, t)
            if post:
                counts[t] += 1
                assert r.status == 201 and r.json()["tenant_id"] == t and r.json()["seq"] == counts[t]
            else:
                assert r.status == 200 and len(r.json()["events"]) == min(5, counts[t])


def test_health_counts_each_tenant(server):
    a, b = server.tenant("health"), server.tenant("health")
    server.flood(a, ("x" for _ in range(3)))
    server.flood(b, ("x" for _ in range(4)))
    h = server.get("/api/health").json()
    assert {a, b} <= set(h["eventStats"]["tenantStats"])
    assert not CANARY.search(json.dumps(h["eventStats"]["tenantStats"][a]).encode())


def test_churn(server):
    """Sessions of many tenants come and go while events flow: buffers that are used again show nothing of before."""
    tenants = [server.tenant("c") for _ in range(6)]
    team, rounds = Team(), scaled(60)

    def publish(tenant):
        conn, n = server.http(), 0
        while n < 4000 and not done.wait(0.002) and not team.stop.is_set():
            server.flood(tenant, [body(tenant, n)], conn=conn)
            n += 1

    def come_and_go(seed):
        rng = random.Random(seed)
        for _ in range(rounds):
            t = rng.choice(tenants)
            w = Watcher(server, t, rng.choice(("ws", "deflate", "sse")))
            with contextlib.suppress(Eof):
                w.read(rng.randrange(1, 20))
            assert w.seqs == list(range(1, len(w.seqs) + 1))
            w.client.reset() if rng.random() < 0.5 else w.client.close()

    done = threading.Event()
    publishers = Team()
    for t in tenants:
        publishers.go(publish, t)
    for seed in range(4):
        team.go(come_and_go, seed)
    try:
        team.join()
    finally:
        done.set()
    publishers.join()


@pytest.mark.parametrize("threads", [1, 4])
def test_tenants_born_under_contention(threads):
    """Many clients name the same new tenants at the same moment: each tenant comes to be once, with one order."""
    makers, count = 8, scaled(60)
    with Server("--threads", threads) as s:
        team, start, seqs, streams = Team(), threading.Barrier(makers), {}, {}

        def make(n):
            conn = s.http()
            for i in range(count):
                start.wait(60)
                t = f"new{i}"
                if n == 0:
                    streams[t] = s.ws(t, "since=0")
                elif n == 1:
                    streams[f"sse {t}"] = s.sse(t, "since=0")
                else:
                    (e,) = s.flood(t, [body(t, n)], conn=conn)
                    seqs.setdefault(t, []).append(e["seq"])

        for n in range(makers):
            team.go(make, n)
        team.join()
        for i in range(count):
            t = f"new{i}"
            assert sorted(seqs[t]) == list(range(1, makers - 1))
            for client in (streams[t], streams[f"sse {t}"]):
                events = client.events(makers - 2)
                assert [e["seq"] for e in events] == list(range(1, makers - 1))
                search(json.dumps(events), t)
        names = [t["id"] for t in s.get("/api/v1/tenants").json()["tenants"]]
        assert len(names) == len(set(names)) and {f"new{i}" for i in range(count)} <= set(names)


def test_no_more_tenants_than_allowed():
    """The limit holds when many race for the last places, and who was turned away left nothing behind."""
    with Server("--threads", "4", "--max-tenants", "20", "--tenants", "a,b") as s:
        team, admitted = Team(), []

        def make(n):
            for i in range(20):
                r = s.post(f"t{n}-{i}", b'{"message":"x"}')
                if r.status == 201:
                    admitted.append(f"t{n}-{i}")
                else:
                    assert r.status in (401, 403, 429, 503), r

        for n in range(6):
            team.go(make, n)
        team.join()
        assert len(admitted) == 18
        assert {t["id"] for t in s.get("/api/v1/tenants").json()["tenants"]} == {"a", "b", *admitted}
        for t in admitted:
            assert s.publish(t, "x")["seq"] == 2


def test_very_many_tenants():
    count = scaled(5000)
    with Server("--threads", "2") as s:
        before = s.process.rss()
        conn = s.http()
        for at in range(0, count, 50):
            names = [f"n{i}" for i in range(at, min(at + 50, count))]
            conn.send(
                b"".join(
                    conn.build("POST", "/events", {"X-Tenant-ID": t, "Content-Type": "application/json"}, body(t, 0))
                    for t in names
                )
            )
            for t in names:
                r = conn.response("POST")
                assert r.status == 201 and r.json()["seq"] == 1
                search(r.body, t)
        if not SANITIZED:
            assert s.process.rss() - before < 64 << 20
        for i in random.Random(1).sample(range(count), 100):
            r = s.get("/events", f"n{i}")
            search(r.body, f"n{i}")
            assert len(r.json()["events"]) == 1


def test_messages_are_not_logged():
    with Server("--log-level", "debug") as s:
        for t in ("a", "b"):
            s.flood(t, (body(t, n) for n in range(5)))
            s.post(t, body(t, 1)[:-5])
            s.ws(t, "since=0").events(5)
            s.sse(t, "since=0").events(5)
            s.get(f"/events?type={canary(t)}", t)
        until(lambda: any("tenant b" in line for line in s.process.lines), "a line about tenant b")
        text = s.process.output()
        for t in ("a", "b"):
            assert f"{canary(t)} " not in text, "event content is logged only under --log-payloads"
