"""How many may listen: limits of a tenant's connections and of an address's, whatever the transport, to the connection."""

import json
import socket

import pytest

from harness import Eof, Http, Polling, Refused, Server, Socket, Team, WebSocket, join, joined, problem, secured, split, until

TENANTS = "/api/v1/tenants"
JSON = {"Content-Type": "application/json"}
SIO = "/socket.io/?EIO=4&transport="


def serve(*flags, threads=2, **more):
    return Server("--threads", threads, *flags, **more)


def kinds(server, headers=None):
    """How a subscriber of each kind is opened."""
    return {
        "ws": lambda t: server.ws(t, headers=headers),
        "sse": lambda t: server.sse(t, headers=headers),
        "polling": lambda t: Polling(server.port, f"tenant={t}", headers=headers),
        "socket": lambda t: Socket(server.port, f"tenant={t}", headers=headers),
    }


def shut(client):
    """Ends a subscriber, whatever it is."""
    if isinstance(client, Polling):
        client.post("1")
    else:
        client.close()


def turned_away(server, kind, tenant, headers=None):
    """The answer to a handshake, which has to be 429, before the upgrade."""
    if kind == "ws" or kind == "sse":
        with pytest.raises(Refused) as refused:
            kinds(server, headers)[kind](tenant)
        r = refused.value.response
    elif kind == "polling":
        r = server.get(f"{SIO}polling&tenant={tenant}", headers=headers)
    else:
        with pytest.raises(Refused) as refused:
            WebSocket(server.port, f"{SIO}websocket&tenant={tenant}", headers=headers)
        r = refused.value.response
    problem(r, 429, "rate_limited")
    assert int(r.header("Retry-After")) >= 1, r


def comes_in(server, kind, tenant, headers=None):
    """A subscriber, as soon as the one that has just left is seen to have gone."""

    def opened():
        try:
            return kinds(server, headers)[kind](tenant)
        except Refused as refused:
            assert refused.response.status == 429
        except AssertionError:
            assert kind == "polling"
        return None

    return until(opened, "there is room again")


@pytest.mark.parametrize("flag", ["--max-connections-per-tenant", "--max-connections-per-ip"])
def test_one_more_is_refused_whatever_it_is(flag):
    with serve(flag, "3") as s:
        open_ = kinds(s)
        for mixed in (["ws", "sse", "socket"], ["polling", "polling", "ws"], ["socket", "polling", "sse"]):
            held = [open_[kind]("t") for kind in mixed]
            for kind in open_:
                turned_away(s, kind, "t")
            for i, kind in enumerate(("ws", "sse", "polling", "socket", "ws", "sse")):
                shut(held.pop(0))
                held.append(comes_in(s, kind, "t"))
                for other in open_:
                    turned_away(s, other, "t")
            for client in held:
                shut(client)
            until(lambda: all_gone(s, "t"), "all have gone")
        # Who only asks is not counted.
        held = [s.ws("t") for _ in range(3)]
        assert s.get("/api/v1/events", "t").status == 200 and s.publish("t", "x")["seq"] == 1
        r = s.request("HEAD", "/api/v1/events/stream", {"X-Tenant-ID": "t"})
        assert r.status == 200
        assert [ws.events(1)[0]["message"] for ws in held] == ["x"] * 3


def all_gone(server, tenant):
    return server.get(f"{TENANTS}/{tenant}").json()["counts"]["connections"] == 0


def test_tenants_do_not_count_for_each_other():
    with serve("--max-connections-per-tenant", "2") as s:
        a, b = [s.ws("a"), s.sse("a")], [s.ws("b"), s.sse("b")]
        turned_away(s, "ws", "a")
        turned_away(s, "ws", "b")
        assert len(a + b) == 4


def test_all_in_all_is_503_as_before():
    with serve("--max-connections", "3", "--max-connections-per-tenant", "2") as s:
        held = [s.ws("a"), s.ws("a"), s.ws("b")]
        over = s.http()
        over.send(over.build("GET", "/ws?tenant=c"))
        problem(over.response(), 503, "unavailable")
        assert len(held) == 3


def test_the_tenants_own_limit_beats_the_servers():
    with serve("--max-connections-per-tenant", "2") as s:

        def allow(n):
            r = s.request("PATCH", f"{TENANTS}/tenant_a", JSON, json.dumps({"limits": {"connections": n}}).encode())
            assert r.status == 200, r

        allow(4)
        held = [comes_in(s, kind, "tenant_a") for kind in ("ws", "sse", "socket", "polling")]
        turned_away(s, "ws", "tenant_a")
        allow(5)
        held.append(s.ws("tenant_a"))
        turned_away(s, "sse", "tenant_a")
        allow(1)  # nobody has to leave
        assert held[0].alive() and s.publish("tenant_a", "x")["seq"] == 1
        assert held[-1].events(1)[0]["seq"] == 1
        for client in held[:4]:
            shut(client)
        until(lambda: s.get(f"{TENANTS}/tenant_a").json()["counts"]["connections"] == 1, "four have gone")
        turned_away(s, "ws", "tenant_a")
        allow(None)
        assert s.ws("tenant_a")
        turned_away(s, "ws", "tenant_a")


def test_a_session_counts_once():
    """Two namespaces, the upgrade, the polls that meet other workers: it is one all the same."""
    with serve("--max-connections-per-tenant", "2", "--max-connections-per-ip", "2", threads=3) as s:
        first = Polling(s.port, "tenant=t")
        joined(first)
        joined(first, "/events")
        second = s.ws("t")
        for kind in kinds(s):
            turned_away(s, kind, "t")
        probe = first.probe()
        probe.send_text("2probe")
        assert probe.recv()[1] == b"3probe"
        turned_away(s, "sse", "t")
        probe.send_text("5")
        ws = Socket(s.port, ws=probe)
        s.publish("t", "over the upgraded one")
        until(lambda: "over the upgraded one" in ws.next(), "the event")
        for kind in kinds(s):
            turned_away(s, kind, "t")
        ws.close()
        third = comes_in(s, "sse", "t")
        turned_away(s, "ws", "t")
        assert second.alive() and third


def test_where_the_namespace_says_whose_it_is():
    with serve("--max-connections-per-tenant", "1") as s:
        first, second = Socket(s.port), Polling(s.port)  # nobody's yet
        held = s.ws("t")
        for client in (first, second):
            for nsp in ("/", "/events"):
                kind, data = join(client, nsp, {"tenant": "t"})
                assert kind == "4" and data["data"] == {"code": "rate_limited"}, data
        shut(held)
        until(lambda: join(first, "/events", {"tenant": "t"})[0] == "0", "there is room again")
        assert split(first.next())[3][0] == "snapshot"
        turned_away(s, "ws", "t")
        assert join(second, "/", {"tenant": "t"})[1]["data"]["code"] == "rate_limited"
        # What is refused for something else has taken no room.
        for auth in ({"tenant": "u", "sinceId": "no"}, {"tenant": "u", "snapshot": -1}, {"tenant": "no tenant"}):
            assert join(second, "/", auth)[1]["data"]["code"] in ("bad_request", "unauthorized")
        assert s.ws("u")
        # It is the tenant's until it ends, in a namespace or not.
        first.send("41/events,")
        turned_away(s, "ws", "t")
        first.close()
        assert comes_in(s, "ws", "t")


def test_no_namespace_is_needed_to_count():
    with serve("--max-connections-per-ip", "2", "--sio-connect-timeout", "3s") as s:
        held = [Polling(s.port), Socket(s.port)]
        turned_away(s, "ws", "t")
        turned_away(s, "polling", "t")
        assert held and comes_in(s, "ws", "t") and comes_in(s, "ws", "t")  # they were closed for want of one


def test_broken_handshakes_hold_nothing():
    with serve("--max-connections-per-tenant", "1", "--max-connections-per-ip", "1") as s:
        for target, headers, status in (
            ("/ws?tenant=t&since=x", {}, 400),
            ("/ws?tenant=t", {"Sec-WebSocket-Version": "12"}, 426),
            ("/ws?tenant=t", {"Origin": "http://evil.example"}, 403),
            ("/ws?tenant=t", {"Sec-WebSocket-Key": "short"}, 400),
        ):
            for _ in range(3):
                with pytest.raises(Refused) as refused:
                    WebSocket(s.port, target, headers=headers)
                assert refused.value.response.status == status
        for _ in range(3):
            assert s.get("/api/v1/events/stream?since=x", "t").status == 400
            assert s.get(SIO + "polling&tenant=t", headers={"Origin": "http://evil.example"}).status == 403
            assert s.get(SIO + "websocket&tenant=t").status == 400
            assert s.get("/socket.io/?EIO=3&transport=polling&tenant=t").status == 400
        # Gone before the answer, with a reset, in the middle of the head: nothing of it stays.
        for cut in (10, 60, None):
            for target in ("/ws?tenant=t", "/api/v1/events/stream?tenant=t", SIO + "websocket&tenant=t"):
                http = Http(s.port)
                up = "" if "stream" in target else (
                    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
                )
                http.send(f"GET {target} HTTP/1.1\r\nHost: x\r\n{up}\r\n".encode()[:cut])
                http.reset()
        held = comes_in(s, "ws", "t")
        turned_away(s, "ws", "t")
        assert held.alive()


@pytest.mark.parametrize("end", ["close", "reset", "shut", "protocol", "silence", "remove"])
def test_every_way_to_end_gives_room_back(end):
    flags = ["--max-connections-per-tenant", "1", "--max-connections-per-ip", "1"]
    if end == "silence":
        flags += ["--ping-interval", "100ms", "--ping-timeout", "100ms"]
    with serve(*flags) as s:
        for _ in range(3):
            ws = comes_in(s, "ws", "t")
            if end == "close":
                ws.close()
            elif end == "reset":
                ws.reset()
            elif end == "shut":
                ws.shut()
            elif end == "protocol":
                ws.send_raw(b"\xff\xff")
                ws.closes_with(1002)
            elif end == "remove":
                assert s.request("DELETE", f"{TENANTS}/t").status == 204
                ws.closes_with(1008)
        if end == "silence":
            polling = comes_in(s, "polling", "t")
            assert comes_in(s, "sse", "t") and polling


@pytest.mark.parametrize("kind", ["ws", "socket"])
def test_whoever_ignores_that_it_was_sent_away_keeps_nobody_out(kind):
    admin = {"Authorization": "Bearer administrator-of-tests"}
    with serve("--max-connections-per-tenant", "1", auth="key", env={"CARILLON_ADMIN_KEY": "administrator-of-tests"}) as s:
        keys = [s.request("POST", f"{TENANTS}/tenant_a/keys", admin).json() for _ in range(2)]
        first, second = ({"X-API-Key": key["api_key"]} for key in keys)
        deaf = kinds(s, first)[kind]("tenant_a")
        turned_away(s, kind, "tenant_a", second)
        assert s.request("DELETE", f"{TENANTS}/tenant_a/keys/{keys[0]['id']}", admin).status == 204
        assert comes_in(s, kind, "tenant_a", second)
        wire = (deaf if kind == "ws" else deaf.ws).wire.sock
        assert b"\x03\xf0" in wire.recv(1 << 16)  # 1008
        assert wire.recv(1) == b""  # and that is all, whether it answers or not


def from_(*hops):
    return {"X-Forwarded-For": ", ".join(hops)}


def test_addresses_behind_a_proxy():
    with serve("--max-connections-per-ip", "2", "--trusted-proxy", "127.0.0.1") as s:
        held = [s.ws("t", headers=from_("192.0.2.1")), s.sse("u", headers=from_("192.0.2.1"))]
        for kind in kinds(s):
            turned_away(s, kind, "t", from_("192.0.2.1"))
            turned_away(s, kind, "t", from_("203.0.113.9", "192.0.2.1"))  # what stands to the left is anybody's word
        held += [s.ws("t", headers=from_("192.0.2.2")), s.ws("t", headers=from_("::ffff:192.0.2.2"))]
        turned_away(s, "ws", "t", from_("192.0.2.2:4711"))
        # IPv6 by /64.
        held += [s.ws("t", headers=from_("2001:db8:0:1::1")), s.ws("t", headers=from_("2001:db8:0:1:ffff::2"))]
        turned_away(s, "ws", "t", from_("2001:db8:0:1:1234:5678:9abc:def0"))
        held += [s.ws("t", headers=from_("2001:db8:0:2::1"))]
        # The proxy itself, where it says nothing of use.
        held += [s.ws("t"), s.ws("t", headers=from_("nobody"))]
        turned_away(s, "ws", "t")


def test_a_header_of_nobody_trusted_changes_nothing():
    with serve("--max-connections-per-ip", "2") as s:
        held = [s.ws("t", headers=from_(f"192.0.2.{n}")) for n in range(2)]
        turned_away(s, "ws", "t", from_("192.0.2.9"))
        assert len(held) == 2


@pytest.mark.parametrize("flag", ["--max-connections-per-tenant", "--max-connections-per-ip"])
def test_exactly_as_many_come_in_as_there_is_room(flag):
    """Sixteen doors at once, again and again: never one too many, and none too few."""
    with serve(flag, "7", threads=4) as s:
        for turn in range(6):
            team, held, refused = Team(), [], []

            def rush(n, held=held, refused=refused):
                kind = ("ws", "sse", "polling", "socket")[n % 4]
                try:
                    held.append(kinds(s)[kind]("t"))
                except (Refused, AssertionError) as no:
                    assert isinstance(no, AssertionError) or no.response.status == 429
                    refused.append(n)

            for n in range(16):
                team.go(rush, n)
            team.join()
            assert len(held) == 7 and len(refused) == 9
            turned_away(s, "ws", "t")
            for client in held:
                shut(client)
            until(lambda: all_gone(s, "t"), f"all have gone in turn {turn}")


def test_comers_and_goers_leave_nothing():
    with serve("--max-connections-per-tenant", "4", "--max-connections-per-ip", "5", threads=4) as s:
        team = Team()

        def come_and_go(n):
            for i in range(15):
                kind = ("ws", "sse", "polling", "socket")[(n + i) % 4]
                try:
                    shut(kinds(s)[kind](f"t{n % 2}"))
                except (Refused, AssertionError, Eof):
                    pass

        for n in range(8):
            team.go(come_and_go, n)
        team.join()
        until(lambda: all_gone(s, "t0") and all_gone(s, "t1"), "all have gone")
        held = [comes_in(s, "ws", "t0") for _ in range(4)] + [comes_in(s, "ws", "t1")]
        turned_away(s, "ws", "t0")
        turned_away(s, "ws", "t1")
        assert len(held) == 5


def test_it_is_in_the_audit_log(tmp_path):
    with serve("--max-connections-per-tenant", "1", "--audit-log", tmp_path / "audit", "--audit-format", "json") as s:
        held = [s.ws("t")]
        nobody = Socket(s.port)
        for kind in kinds(s):
            turned_away(s, kind, "t")
        join(nobody, "/", {"tenant": "t"})
        rows = [json.loads(line) for line in (tmp_path / "audit").read_text().splitlines()]
        refused = [(r["act"], r["status"]) for r in rows if r["outcome"] == "refused"]
        assert refused == [("websocket", 429), ("sse", 429), ("socketio", 429), ("socketio", 429), ("socketio", 429)]
        assert held


def test_what_the_flags_take():
    with Server("--max-connections-per-tenant", "0", "--max-connections-per-ip", "0") as s:
        assert [s.ws("t") for _ in range(5)]
    with Server(env={"CARILLON_MAX_CONNECTIONS_PER_TENANT": "1", "CARILLON_MAX_CONNECTIONS_PER_IP": "1"}) as s:
        held = s.ws("t")
        turned_away(s, "ws", "t")
        turned_away(s, "ws", "u")
        assert held


# What else a tenant's limits say.


def limited(server, **limits):
    r = server.request("POST", TENANTS, JSON, json.dumps({"name": "limited", "limits": limits}).encode())
    assert r.status == 201, r
    return r.json()["id"]


def change(server, tenant, **limits):
    r = server.request("PATCH", f"{TENANTS}/{tenant}", JSON, json.dumps({"limits": limits}).encode())
    assert r.status == 200, r


def test_message_bytes():
    with serve() as s:
        t = limited(s, message_bytes=20)

        def post(body, path="/events"):
            return s.post(t, json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode(), path)

        for body, fits in (
            ({"message": "x" * 20}, True),
            ({"message": "x" * 21}, False),
            ({"message": "ü" * 10}, True),
            ({"message": "ü" * 11}, False),
            ({"metadata": {"a": "x" * 12}}, True),
            ({"metadata": {"a": "x" * 13}}, False),
            ({"message": "x" * 12, "metadata": {"a": 12}}, True),
            ({"message": "x" * 13, "metadata": {"a": 12}}, False),
            ({"message": '"' * 10}, True),  # as it was sent: each has its backslash
            ({"message": '"' * 10 + "x"}, False),
        ):
            r = post(body)
            if fits:
                assert r.status == 201, (body, r)
            else:
                p = problem(r, 413, "too_large", fields=True)
                assert p["errors"][0]["field"] in ("message", "metadata"), p
        before = s.get("/events/stats", t).json()["total"]
        p = problem(post([{"message": "x"}, {"message": "x" * 21}], "/api/v1/events/batch"), 413, "too_large", fields=True)
        assert p["errors"][0]["field"] == "1.message"
        lines = b'{"message":"x"}\n{"metadata":{"long":"xxxxxxxxxxxxxxx"}}\n'
        r = s.post(t, lines, "/api/v1/events/batch", {"Content-Type": "application/x-ndjson"})
        problem(r, 413, "too_large", fields=True)
        ws = s.ws(t)
        ws.send_json({"type": "post_event", "ref": 1, "message": "x" * 21})
        error = ws.recv_json("error")
        assert error["ref"] == 1 and error["code"] == "too_large"
        sio = Socket(s.port, f"tenant={t}")
        assert join(sio)[0] == "0"
        sio.send('421["post_event",{"message":"' + "x" * 21 + '"}]')
        while True:
            kind, _, number, data = split(sio.next())
            if kind == "3":
                break
        assert number == 1 and data[0]["error"]["code"] == "too_large"
        assert s.get("/events/stats", t).json()["total"] == before
        assert s.post("other", json.dumps({"message": "x" * 2000}).encode()).status == 201
        change(s, t, message_bytes=21)
        assert post({"message": "x" * 21}).status == 201
        change(s, t, message_bytes=None)
        assert post({"message": "x" * 2000}).status == 201


def messages(server, tenant):
    return [int(e["message"]) for e in server.get("/events?order=asc&limit=1000", tenant).json()["events"]]


def test_history():
    with Server("--threads", "2", "--buffer-size", "10", store="memory:") as s:
        t = limited(s, history=25)
        s.flood(t, (str(i) for i in range(40)))
        s.flood("other", (str(i) for i in range(40)))
        assert messages(s, t) == list(range(15, 40)) and messages(s, "other") == list(range(30, 40))
        change(s, t, history=5)
        s.flood(t, ["40"])
        assert messages(s, t) == list(range(36, 41))
        change(s, t, history=None)
        s.flood(t, (str(i) for i in range(41, 60)))
        assert messages(s, t) == list(range(50, 60))
        change(s, t, history=1000)
        s.flood(t, (str(i) for i in range(60, 1100)))
        assert messages(s, t) == list(range(100, 1100))
        change(s, t, history=1)
        s.flood(t, ["1100"])
        assert messages(s, t) == [1100]
        ws = s.ws(t, "since=1")
        assert ws.recv_json("gap") == {"type": "gap", "from": 2, "to": 1100}
        assert ws.events(1)[0]["message"] == "1100"


def test_history_with_the_store_behind_it(tmp_path):
    with Server("--threads", "2", "--buffer-size", "10", store=f"sqlite:{tmp_path}/log.db") as s:
        t = limited(s, history=3)
        s.flood(t, (str(i) for i in range(40)))
        assert messages(s, t) == list(range(40))
        ws = s.ws(t, "since=0")
        assert [int(e["message"]) for e in ws.events(40)] == list(range(40))
    with Server("--threads", "2", store=f"sqlite:{tmp_path}/log.db") as s:
        assert s.get(f"{TENANTS}/{t}").json()["limits"]["history"] == 3
        assert messages(s, t) == list(range(40))


def test_retention_by_number_in_memory():
    with Server("--threads", "2", "--buffer-size", "50", "--retention", "/20", store="memory:") as s:
        for retention, kept in (("/7", 7), ("/30", 30), (None, 20), ("24h/", 20), ("/90", 50)):
            r = s.request("POST", TENANTS, JSON, json.dumps({"name": "kept", "retention": retention}).encode())
            t = r.json()["id"]
            s.flood(t, (str(i) for i in range(60)))
            assert messages(s, t) == list(range(60 - kept, 60)), retention


def test_ipv6_of_the_connection_itself():
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    with Server("--host", "::1", "--max-connections-per-ip", "1") as s:
        request = b"GET /api/v1/events/stream?tenant=t HTTP/1.1\r\nHost: x\r\n\r\n"
        answers = []
        for _ in range(2):
            sock = secured(socket.create_connection(("::1", s.port), timeout=20), s.port)
            s.keep(sock)
            sock.sendall(request)
            answers.append(sock.recv(100).split(b"\r\n")[0])
        assert answers == [b"HTTP/1.1 200 OK", b"HTTP/1.1 429 Too Many Requests"]
