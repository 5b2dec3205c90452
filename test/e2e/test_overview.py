"""The administrator's overview: who may have it, what it tells, that it is bounded, and that it keeps no secret."""

import json
import re
import time

import pytest

from harness import Http, Polling, Server, problem, until

OVERVIEW = "/api/v1/overview"
ADMIN = {"Authorization": "Bearer boss"}
JSON = {"Content-Type": "application/json"}
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
KEPT = 128  # refusals that each worker keeps
TOLD = 100  # of them, at most


def serve(*flags, auth="key", **more):
    return Server("--threads", "2", "--admin-key", "boss", *flags, auth=auth, tenants=False, **more)


@pytest.fixture
def server():
    with serve() as s:
        yield s


def overview(server, query="", headers=ADMIN):
    r = server.get(OVERVIEW + query, headers=headers)
    assert r.status == 200, r
    assert r.header("Cache-Control") == "no-store"
    return r.json()


def create(server, **body):
    r = server.request("POST", "/api/v1/tenants", {**JSON, **ADMIN}, json.dumps(body).encode())
    assert r.status == 201, r
    return r.json()["api_key"]


def publish(server, key, message="hello", status=201):
    r = server.request("POST", "/events", {**JSON, "X-API-Key": key}, json.dumps({"message": message}).encode())
    assert r.status == status, r
    return r


def tenants(answer):
    return {tenant["id"]: tenant for tenant in answer["tenants"]}


def test_for_the_administrator_alone(server):
    key = create(server, name="Acme", id="acme")
    problem(server.get(OVERVIEW), 401, "unauthorized")
    problem(server.get(OVERVIEW, headers={"Authorization": "Bearer wrong"}), 401, "unauthorized")
    for headers in ({"X-API-Key": key}, {"X-API-Key": key, "X-Tenant-ID": "acme"}):
        problem(server.get(OVERVIEW, headers=headers), 403, "forbidden")
        problem(server.get(OVERVIEW + "?tenant=acme", headers=headers), 403, "forbidden")
    r = server.request("POST", "/api/v1/tenants/acme/token", {**JSON, "X-API-Key": key}, b"{}")
    problem(server.get(OVERVIEW, headers={"Authorization": f"Bearer {r.json()['token']}"}), 403, "forbidden")
    assert overview(server)["totals"]["tenants"] == 3


def test_in_open_mode_it_is_as_the_other_calls_are():
    with Server("--threads", "1") as s:
        assert overview(s, headers={})["totals"]["tenants"] == 2
    with Server("--threads", "1", "--admin-key", "boss") as s:
        problem(s.get(OVERVIEW), 401, "unauthorized")
        problem(s.get(OVERVIEW, "tenant_a"), 401, "unauthorized")
        assert overview(s)["totals"]["tenants"] == 2


def test_numbers_of_tenants(server):
    keys = {name: create(server, name=name.upper(), id=name) for name in ("one", "two")}
    for name, count in (("one", 3), ("two", 5)):
        for n in range(count):
            publish(server, keys[name], f"m{n}")
    reader = server.ws("two", f"api_key={keys['two']}")
    publish(server, keys["two"])
    reader.events(1)
    answer = overview(server)
    one, two = (tenants(answer)[name] for name in ("one", "two"))
    assert (one["name"], one["published"], one["events"], one["connections"]) == ("ONE", 3, 3, 0)
    assert (two["published"], two["events"], two["connections"], two["delivered"]) == (6, 6, 1, 1)
    assert one["published_bytes"] > 300 and two["delivered_bytes"] > 100 and one["delivered_bytes"] == 0
    assert one["rate_1m"] > 0 and STAMP.fullmatch(one["created_at"])
    assert [t["id"] for t in answer["tenants"][:2]] == ["two", "one"]  # by traffic
    assert [t["id"] for t in answer["talkers"][:2]] == ["two", "one"]
    totals = answer["totals"]
    assert (totals["published"], totals["delivered"], totals["connections"], totals["tenants"]) == (9, 1, 1, 4)
    assert totals["memory"] > 1 << 20 and totals["sockets"] >= 2
    assert STAMP.fullmatch(answer["at"]) and answer["uptime"] > 0 and answer["matched"] == 4


def test_order_filter_and_bounds(server):
    for n in range(12):
        create(server, name=f"Firm {n}", id=f"firm-{n:02}")
    ids = [t["id"] for t in overview(server, "?sort=id&limit=3")["tenants"]]
    assert ids == ["firm-00", "firm-01", "firm-02"]
    answer = overview(server, "?sort=id&order=desc&limit=2&q=FIRM")
    assert [t["id"] for t in answer["tenants"]] == ["firm-11", "firm-10"]
    assert answer["matched"] == 12 and answer["totals"]["tenants"] == 14
    assert overview(server, "?q=Firm%207")["matched"] == 1
    assert len(overview(server)["talkers"]) <= 10
    for query in ("limit=0", "limit=1001", "limit=x", "sort=name", "sort=id&sort=id", "order=up", "q=%00", "q=%ff"):
        problem(server.get(f"{OVERVIEW}?{query}", headers=ADMIN), 400, "bad_request")
    problem(server.get(f"{OVERVIEW}?q={'x' * 129}", headers=ADMIN), 400, "bad_request")


def test_a_refusal_says_what_and_no_secret(server):
    good = create(server, name="Acme", id="acme")
    wrong = "car_" + "W" * 44
    secrets = [good, wrong, "sesame-wrong-token", "boss-guess", "a-secret-in-the-path", "not.a.jwt"]
    publish(server, wrong, status=401)
    server.request("POST", f"/events?api_key={wrong}", JSON, b'{"message":"x"}')
    server.get("/events?token=not.a.jwt&tenant=acme")
    server.get(OVERVIEW, headers={"Authorization": "Bearer boss-guess"})
    server.get("/api/v1/tenants/a-secret-in-the-path/keys", headers={"Authorization": "Bearer boss-guess"})
    server.get("/events", headers={"X-API-Key": wrong, "X-Tenant-ID": "sesame-wrong-token"})
    publish_to = {**JSON, "X-API-Key": good, "X-Tenant-ID": "tenant_a", "X-Request-Id": "mine.7"}
    problem(server.request("POST", "/events", publish_to, b'{"message":"x"}'), 403, "forbidden")
    r = server.get(OVERVIEW, headers=ADMIN)
    answer = r.json()
    for secret in secrets:
        assert secret.encode() not in r.body, secret
    last, *others = answer["refusals"]
    assert len(others) == 6 and answer["totals"]["refused"] == 7
    assert STAMP.fullmatch(last.pop("at")) and last.pop("reason")
    assert last == {
        "status": 403,
        "code": "forbidden",
        "act": "publish",
        "method": "POST",
        "path": "/events",
        "tenant_id": "acme",
        "address": "127.0.0.1",
        "request_id": "mine.7",
    }
    paths = [refusal["path"] for refusal in others]
    assert paths == ["/events", "/api/v1/tenants/{id}/keys", OVERVIEW, "/events", "/events", "/events"]
    assert [refusal["tenant_id"] for refusal in others] == [None, None, None, "acme", None, None]
    assert tenants(answer)["acme"]["refused"] == 1  # those that were not shown to be its own are not
    assert tenants(answer)["tenant_a"]["refused"] == 0


def test_only_the_newest_are_kept(server):
    wrong = {"X-API-Key": "car_" + "W" * 44}
    http = [Http(server.port) for _ in range(6)]  # on both workers
    for n in range(2 * KEPT + 60):
        r = http[n % 6].request("GET", "/events", {**wrong, "X-Request-Id": f"r-{n}"})
        assert r.status == 401
    answer = overview(server)
    assert answer["totals"]["refused"] == 2 * KEPT + 60
    told = [int(refusal["request_id"][2:]) for refusal in answer["refusals"]]
    assert len(told) == TOLD and len(set(told)) == TOLD
    stamps = [refusal["at"] for refusal in answer["refusals"]]
    assert stamps == sorted(stamps, reverse=True)
    # Those of one millisecond may come in any order; what is told is what came last.
    assert min(told) >= 2 * KEPT + 60 - TOLD - 12 and max(told) >= 2 * KEPT + 60 - 12
    for client in http:
        client.close()


def test_limits_and_commands_are_refusals_too():
    with serve("--rate-limit-tenant", "2/60s") as s:
        key = create(s, name="Acme", id="acme")
        ws = s.ws("acme", f"api_key={key}")
        publish(s, key)
        publish(s, key)
        ws.events(2)
        publish(s, key, status=429)
        ws.send_json({"type": "post_event", "ref": 1, "message": "x"})
        assert ws.recv_json("error")["code"] == "rate_limited"
        refusals = overview(s)["refusals"]  # of one millisecond they may come in any order
        by_command, by_request = sorted(refusals, key=lambda refusal: refusal["method"] is not None)
        assert by_request["status"] == by_command["status"] == 429
        assert by_request["tenant_id"] == by_command["tenant_id"] == "acme"
        assert (by_request["method"], by_request["path"]) == ("POST", "/events")
        assert (by_command["method"], by_command["path"], by_command["act"]) == (None, None, "publish")
        assert tenants(overview(s))["acme"]["refused"] == 2


def test_a_name_that_is_html_stays_text(server):
    name = "<img src=x onerror=alert(1)>"
    create(server, name=name, id="odd")
    assert tenants(overview(server))["odd"]["name"] == name


PAD = 100_000


def bulky(n):
    return json.dumps({"message": f"m{n}", "metadata": {"pad": "y" * PAD}}).encode()


def test_slow_readers():
    with Server("--threads", "2", "--admin-key", "boss", "--buffer-size", "2000", store="memory:") as s:
        fast, stalled = s.ws("t"), s.ws("t", rcvbuf=4096)
        assert overview(s)["slow_readers"] == []
        began = time.time()
        sent = 0
        while sent < 200:
            s.flood("t", (bulky(sent + n) for n in range(5)))
            fast.events(5)
            sent += 5
        until(lambda: overview(s)["slow"] == 1, "somebody is slow")
        answer = overview(s)
        (slow,) = answer["slow_readers"]
        assert (slow["tenant_id"], slow["transport"], slow["address"]) == ("t", "websocket", "127.0.0.1")
        assert 0 < slow["events_behind"] <= sent and slow["bytes_waiting"] > 0
        assert slow["request_id"] == stalled.response.header("X-Request-Id")
        assert STAMP.fullmatch(slow["since"])
        assert began - 3 < time.mktime(time.strptime(slow["since"][:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone
        stalled.events(sent)
        until(lambda: overview(s)["slow"] == 0, "nobody is slow")


def test_a_poller_that_does_not_poll_is_behind():
    with Server("--threads", "1", store="memory:") as s:
        client = Polling(s.port)
        client.post("40" + json.dumps({"tenant": "tenant_a"}))
        client.request("GET")
        s.publish("tenant_a", "x")
        until(lambda: overview(s, headers={})["slow"] == 1, "somebody is slow")
        (slow,) = overview(s, headers={})["slow_readers"]
        assert (slow["transport"], slow["events_behind"], slow["address"]) == ("socketio", 1, "127.0.0.1")


def test_asked_for_while_the_server_ends(server):
    """Whoever asks gets an answer or the end of the connection, and no worker stays behind."""
    clients = [Http(server.port) for _ in range(8)]
    for client in clients:
        client.send(b"".join(client.build("GET", OVERVIEW, ADMIN) for _ in range(20)))
    server.terminate()
    for client in clients:
        client.close()
