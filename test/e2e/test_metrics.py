"""/metrics: that it is what Prometheus reads, that each counter moves by what was done and by nothing else, and that it
tells nobody what is not for them."""

import contextlib
import json
import os
import re
import threading

import pytest
import yaml

from harness import (
    Closed,
    Disk,
    Polling,
    Refused,
    Server,
    Socket,
    Sse,
    WebSocket,
    created,
    disk as d,
    join,
    joined,
    scaled,
    until,
)
from harness.metrics import REPOSITORY, SUFFIX, Moved, promtool, scrape
from harness.rates import ADMIN, keyed, users_file

JSON = {"Content-Type": "application/json"}
TENANT = ("published_events", "published_bytes", "delivered_events", "delivered_bytes")


def serve(*flags, **more):
    return Server("--threads", "2", *flags, **more)


def test_the_format():
    with serve() as s:
        e = s.ws("t")
        s.publish("t", "x")
        e.events(1)
        m = scrape(s)
        assert promtool("check", "metrics", text=m.text) == (0, "")
        assert "_other" in m.of("carillon_tenant_subscribers", "tenant")
        head = s.request("HEAD", "/metrics")
        assert head.status == 200 and head.body == b"" and head.header("Content-Type").startswith("text/plain; version")
        options = s.request("OPTIONS", "/metrics")
        assert options.status == 204 and options.header("Allow") == "GET, HEAD, OPTIONS"
        assert s.request("POST", "/metrics", JSON, b"{}").status == 405


def test_the_process():
    with serve() as s:
        m = scrape(s)
        assert m.values["carillon_build_info", (("version", s.get("/health").json()["version"]),)] == 1
        fds = [f for f in os.listdir(f"/proc/{s.process.child.pid}/fd")]
        assert m.get("process_open_fds") == len(fds)
        assert m.get("process_max_fds") >= len(fds)
        rss = s.get("/health").json()["memory"]["rss"]
        assert abs(m.get("process_resident_memory_bytes") - rss) < 8 << 20
        assert m.get("process_start_time_seconds") > 1.7e9
        assert m.get("carillon_tenants") == 2
        cpu = m.get("process_cpu_seconds_total")
        for _ in range(200):
            s.get("/health")
        assert scrape(s).get("process_cpu_seconds_total") > cpu


def test_publishes_by_outcome(tmp_path):
    with serve("--users", users_file(tmp_path), "--rate-limit-tenant", "6/1h", auth="token", tenants=False) as s:
        ann = {"X-User-Token": "token-ann", **JSON}

        def post(body=b'{"message":"x"}', headers=None, path="/events"):
            return s.request("POST", path, {**ann, **(headers or {})}, body).status

        moved = Moved(s)
        assert post(headers={"Idempotency-Key": "k"}) == 201
        assert post(headers={"Idempotency-Key": "k"}) == 201  # counts against the limit as well
        assert post(b'{"message":"other"}', {"Idempotency-Key": "k"}) == 422
        assert post(b'[{"message":"a"},{"message":"b"}]', path="/api/v1/events/batch") == 201
        assert post(b"{") == 400
        assert post(b'{"message":""}') == 422
        assert post(b'{"message":"%s"}' % (b"x" * 3000)) == 413
        assert post(headers={"Content-Type": "text/plain"}) == 415
        assert s.request("POST", "/events", {**JSON, "X-User-Token": "nobody"}, b"{}").status == 401
        assert post(headers={"X-Tenant-ID": "b"}) == 403
        ws = s.keep(WebSocket(s.port, "/ws?token=token-ann"))
        ws.recv_json("connection_established")
        for body, answer in (({"message": "ws"}, "ack"), ({"message": ""}, "error"), ({"message": "over"}, "error")):
            ws.send_json({"type": "post_event", "ref": 1, **body})
            until(lambda: ws.recv_json()["type"] == answer, answer)
        assert post() == 429
        expected = {
            "accepted": 3,
            "replayed": 1,
            "conflict": 1,
            "invalid": 5,
            "unauthorized": 1,
            "forbidden": 1,
            "rate_limited": 2,
        }
        assert moved.by("carillon_publishes_total", "outcome") == expected
        assert moved("carillon_published_events_total") == 4
        assert moved.by("carillon_limits_hit_total", "limit") == {"tenant": 2}
        stored = s.request("GET", "/events?since=0", {"X-User-Token": "token-ann"}).json()["events"]
        assert len(stored) == 4
        size = sum(len(json.dumps(e, separators=(",", ":"))) for e in stored)
        assert moved("carillon_published_bytes_total") == size


def test_deliveries_by_transport():
    with serve() as s:
        subscribers = {"websocket": [s.ws("t"), s.ws("t", offer="permessage-deflate")], "sse": [s.sse("t")]}
        clients = [Polling(s.port, "tenant=t"), s.keep(Socket(s.port, "tenant=t"))]
        for client in clients:
            joined(client)
        until(lambda: scrape(s).get("carillon_socketio_sessions") == 2, "two sessions")
        other = s.ws("other")
        moved = Moved(s)
        sent = s.flood("t", [f"m{i}" for i in range(50)])
        assert [e["id"] for e in s.post("t", b'[{"message":"a"},{"message":"b"}]', "/api/v1/events/batch").json()["events"]]
        for found in (*subscribers["websocket"], *subscribers["sse"]):
            assert [e["id"] for e in found.events(52)][:50] == [e["id"] for e in sent]
        for client in clients:
            created(client, 52)
        expected = {"websocket": 104, "sse": 52, "socketio": 104}
        assert moved.by("carillon_delivered_events_total", "transport") == expected
        size = moved.by("carillon_delivered_bytes_total", "transport")
        # 142 bytes and more is an event; what else there is are frames, and what deflate saves.
        assert set(size) == set(expected) and all(size[k] > 52 * 142 for k in size), size
        assert moved("carillon_published_events_total") == 52
        name = "carillon_tenant_delivered_events_total"
        assert scrape(s).get(name, tenant="t") == 260
        assert moved("carillon_fanout_duration_seconds_count") >= 1
        assert moved("carillon_delivery_latency_seconds_count") >= 1
        s.publish("other", "x")
        other.events(1)
        assert moved.by("carillon_delivered_events_total", "transport") == {**expected, "websocket": 105}


def test_connections_by_transport():
    with serve() as s:
        before = scrape(s).of("carillon_connections", "transport")
        assert before == {"http": 1, "websocket": 0, "sse": 0, "socketio": 0}
        clients = [s.ws("t"), s.ws("t"), s.sse("t"), s.keep(Socket(s.port, "tenant=t")), s.http()]
        expected = {"http": 2, "websocket": 2, "sse": 1, "socketio": 1}
        until(lambda: scrape(s).of("carillon_connections", "transport") == expected, "all are counted")
        assert scrape(s).of("carillon_tenant_subscribers", "tenant") == {"_other": 3}
        assert scrape(s).get("carillon_connections_accepted_total") == 6
        for client in clients:
            client.close()
        until(lambda: scrape(s).of("carillon_connections", "transport") == before, "none is left")
        assert scrape(s).get("carillon_socketio_sessions") == 0


def test_gaps_and_catch_ups():
    with serve("--buffer-size", "10", store="memory:") as s:
        s.flood("t", [f"m{i}" for i in range(30)])
        moved = Moved(s)
        ws = s.ws("t", "since=5")
        assert ws.recv_json("gap")["to"] == 20
        ws.events(10)
        sse = s.sse("t", "since=25")
        sse.events(5)
        assert moved.by("carillon_gaps_told_total", "transport") == {"websocket": 1}
        until(lambda: moved.by("carillon_catch_ups_total", "transport") == {"websocket": 1, "sse": 1}, "caught up")
        live = s.sse("t")
        s.publish("t", "live")
        live.events(1)
        assert moved.by("carillon_catch_ups_total", "transport") == {"websocket": 1, "sse": 1}
        assert moved.by("carillon_delivered_events_total", "transport") == {"websocket": 11, "sse": 7}


def test_overflows():
    """A batch is more than the lane of the other worker holds."""
    with serve() as s:
        readers = [s.ws("t"), s.ws("t")]  # one on each worker
        moved = Moved(s)
        s.publish("t", "one")
        for reader in readers:
            reader.events(1)
        assert moved("carillon_lane_overflows_total") == 0
        body = json.dumps([{"message": f"m{i}"} for i in range(500)]).encode()
        assert s.post("t", body, "/api/v1/events/batch").status == 201
        for reader in readers:
            assert [e["seq"] for e in reader.events(500)] == list(range(2, 502))
        assert moved("carillon_lane_overflows_total") >= 1


def test_slow_readers():
    def bulky(n):
        return json.dumps({"message": f"m{n}", "metadata": {"pad": os.urandom(50_000).hex()}}).encode()

    with serve("--buffer-size", "10", "--max-body-bytes", str(1 << 20), store="memory:") as s:
        fast = s.ws("t")
        stalled = {"websocket": s.ws("t", rcvbuf=4096), "sse": s.sse("t", rcvbuf=4096)}
        moved = Moved(s)
        for n in range(scaled(200, 150)):
            s.flood("t", [bulky(n)])
            fast.events(1)
        until(lambda: moved.by("carillon_slow_readers_total", "transport") == {"websocket": 1, "sse": 1}, "both are slow")
        with pytest.raises(Closed) as closed:
            while True:
                stalled["websocket"].recv_json("event_created")
        assert closed.value.code == 1013
        while stalled["sse"].recv().kind != "gap":
            pass
        assert moved.by("carillon_too_slow_closed_total", "transport") == {"websocket": 1}
        assert moved.by("carillon_gaps_told_total", "transport") == {"sse": 1}


def test_limits_by_kind():
    flags = ("--rate-limit-ip", "20/1h", "--rate-limit-user", "2/1h", "--max-connections-per-ip", "3")
    with keyed(*flags) as (s, key, second):
        s.request("PATCH", "/api/v1/tenants/a", ADMIN, {"limits": {"connections": 2, "bytes_per_second": 10}})
        moved = Moved(s)
        show = {"X-API-Key": key, **JSON}
        assert s.request("POST", "/events", show, b'{"message":"1"}').status == 201
        assert s.request("POST", "/events", show, b'{"message":"12345678901"}').status == 413  # more than a whole second's
        assert s.request("POST", "/events", show, b'{"message":"1"}').status == 201  # the refused one cost nothing
        assert s.request("POST", "/events", show, b'{"message":"1"}').status == 429
        assert moved.by("carillon_limits_hit_total", "limit") == {"tenant_bytes": 1, "user": 1}
        third = s.request("POST", "/api/v1/tenants/a/keys", ADMIN).json()["api_key"]
        for k in (second, third):
            s.keep(WebSocket(s.port, "/ws", headers={"X-API-Key": k}))
        with pytest.raises(Refused) as refused:
            WebSocket(s.port, "/ws", headers={"X-API-Key": third})
        assert refused.value.response.status == 429
        assert moved.by("carillon_limits_hit_total", "limit") == {"tenant_bytes": 1, "user": 1, "tenant_connections": 1}
        assert moved.by_two("carillon_handshakes_refused_total") == {("rate_limited", "websocket"): 1}
        wrong = [s.request("GET", "/events", {"X-API-Key": "nobody's"}).status for _ in range(30)]
        assert set(wrong) == {401, 429}
        expected = {"tenant_bytes": 1, "user": 1, "tenant_connections": 1, "ip": wrong.count(429)}
        assert moved.by("carillon_limits_hit_total", "limit") == expected


def test_connections_of_an_address():
    with serve("--max-connections-per-ip", "1") as s:
        moved = Moved(s)
        s.ws("t")
        for client in (lambda: WebSocket(s.port, "/ws?tenant=t"), lambda: Sse(s.port, "/api/v1/events/stream?tenant=t")):
            with pytest.raises(Refused):
                client()
        assert moved.by("carillon_limits_hit_total", "limit") == {"ip_connections": 2}
        refused = {("rate_limited", "websocket"): 1, ("rate_limited", "sse"): 1}
        assert moved.by_two("carillon_handshakes_refused_total") == refused


def test_too_many_connections():
    with serve("--max-connections", "3") as s:
        moved = Moved(s)
        held = [s.http() for _ in range(2)]
        for conn in held:
            assert conn.request("GET", "/livez").status == 200
        with contextlib.closing(s.http()) as over:
            assert over.request("GET", "/livez").status == 503
        assert moved.by("carillon_connections_refused_total", "reason") == {"max_connections": 1}
        assert moved("carillon_connections_accepted_total") == 3


def test_handshakes_that_storm_in():
    with serve("--handshake-rate", "1/1h") as s:
        moved = Moved(s)
        s.ws("t")
        with pytest.raises(Refused):
            WebSocket(s.port, "/ws?tenant=t")
        assert s.get("/socket.io/?EIO=4&transport=polling&tenant=t").status == 503
        assert moved.by("carillon_limits_hit_total", "limit") == {"handshakes": 2}
        refused = {("unavailable", "websocket"): 1, ("unavailable", "socketio"): 1}
        assert moved.by_two("carillon_handshakes_refused_total") == refused


def test_handshakes_refused():
    with serve(tenants=False) as s:
        moved = Moved(s)
        with pytest.raises(Refused):
            WebSocket(s.port, "/ws?tenant=nobody")
        with pytest.raises(Refused):
            WebSocket(s.port, "/ws?tenant=tenant_a&since=x")
        with pytest.raises(Refused):
            WebSocket(s.port, "/ws?tenant=tenant_a", headers={"Origin": "http://elsewhere.example"})
        with pytest.raises(Refused):
            Sse(s.port, "/api/v1/events/stream?tenant=nobody")
        assert s.get("/socket.io/?EIO=3&transport=polling").status == 400
        client = s.keep(Socket(s.port))
        kind, data = join(client, "/", {"tenant": "nobody"})
        assert kind == "4" and data["data"]["code"] == "unauthorized"
        assert moved.by_two("carillon_handshakes_refused_total") == {
            ("unauthorized", "websocket"): 1,
            ("invalid", "websocket"): 1,
            ("forbidden", "websocket"): 1,
            ("unauthorized", "sse"): 1,
            ("invalid", "socketio"): 1,
            ("unauthorized", "socketio"): 1,
        }


def test_requests_by_resource():
    with serve() as s:
        moved = Moved(s)
        s.publish("t", "x")
        s.post("t", b'[{"message":"a"}]', "/api/v1/events/batch")
        for _ in range(3):
            s.get("/events", "t")
        s.get("/nowhere")
        s.get("/api/v1/tenants")
        s.ws("t")
        s.sse("t")
        name = "carillon_http_request_duration_seconds_count"
        expected = {"publish": 1, "batch": 1, "events": 3, "other": 1, "tenants": 1, "websocket": 1, "stream": 1}
        until(lambda: {**moved.by(name, "resource"), "status": 0} == {**expected, "status": 0}, "all are counted")
        assert moved("carillon_http_responses_total", **{"class": "4xx"}) == 1
        assert moved("carillon_http_responses_total", **{"class": "1xx"}) == 1


def test_the_store(tmp_path):
    disk = Disk(tmp_path)
    with serve(store=disk.store, env=disk.env) as s:
        moved = Moved(s)
        assert scrape(s).get("carillon_store_failing") == 0
        for i in range(5):
            s.publish("t", f"m{i}")
        assert moved("carillon_store_events_total") == 5
        until(lambda: moved("carillon_store_transactions_total") >= 5, "committed")
        assert moved("carillon_store_commit_duration_seconds_count") >= 5
        assert moved("carillon_store_failures_total") == 0
        disk.fail(d.WRITE, files=d.LOG)
        assert s.post("t", b'{"message":"x"}').status == 503
        assert moved.by("carillon_publishes_total", "outcome") == {"accepted": 5, "unavailable": 1}
        assert moved("carillon_store_failures_total") >= 1
        assert scrape(s).get("carillon_store_failing") == 1
        assert moved("carillon_store_events_total") == 5
        disk.well()
        until(lambda: scrape(s).get("carillon_store_failing") == 0, "well again")
        s.publish("t", "again")
        assert moved("carillon_published_events_total") == 6


def test_isolation_refused_writes(monkeypatch):
    """The server that delivers to the wrong ones, whose last check holds."""
    monkeypatch.setenv("CARILLON_BIN", os.path.join(os.environ["CARILLON_MUTANTS"], "misdeliver"))
    with serve() as s:
        assert scrape(s).get("carillon_isolation_refused_writes_total") == 0
        for i in range(16):  # both tenants on each worker
            s.keep(WebSocket(s.port, f"/ws?tenant=t{i // 2 % 2}"))
        for i in range(4):
            s.publish(f"t{i % 2}", "x")
        until(lambda: scrape(s).get("carillon_isolation_refused_writes_total") > 0, "it shows")


@pytest.mark.parametrize("most", [2, 100])
def test_tenants_and_the_rest_are_the_total(most):
    with serve("--metrics-tenants", str(most)) as s:
        readers = {f"t{i}": s.ws(f"t{i}") for i in range(6)}
        for i, (tenant, reader) in enumerate(readers.items()):
            s.flood(tenant, [f"{tenant} {k}" for k in range(3 * i + 1)])
            reader.events(3 * i + 1)
        m = scrape(s)
        for what in TENANT:
            assert m.sum(f"carillon_tenant_{what}_total") == m.sum(f"carillon_{what}_total"), what
        by = m.of("carillon_tenant_published_events_total", "tenant")
        if most == 2:
            assert by == {"t5": 16, "t4": 13, "_other": 22}
        else:
            assert by == {**{f"t{i}": 3 * i + 1 for i in range(6)}, "_other": 0}
        assert m.sum("carillon_tenant_subscribers") == 6


def test_no_tenants_at_all():
    with serve("--metrics-tenants", "0") as s:
        s.publish("t", "x")
        m = scrape(s)
        assert not [n for n in m.names() if n.startswith("carillon_tenant_")]
        assert m.get("carillon_published_events_total") == 1


@pytest.mark.parametrize("auth", ["key", "token"])
def test_names_are_the_administrators(auth, tmp_path):
    flags = ("--users", users_file(tmp_path)) if auth == "token" else ()
    names = ("secretive-one", "secretive-two")
    with serve("--admin-key", "boss", *flags, auth=auth, tenants=False) as s:
        keys = [s.request("POST", "/api/v1/tenants", ADMIN, {"name": n, "id": n}).json()["api_key"] for n in names]
        token = s.request("POST", f"/api/v1/tenants/{names[0]}/token", ADMIN, {"sub": "x", "scopes": ["publish"]})
        own = {"X-API-Key": keys[0]} if auth == "key" else {"X-User-Token": "token-ann"}
        for key in keys if auth == "key" else []:
            assert s.request("POST", "/events", {"X-API-Key": key, **JSON}, b'{"message":"x"}').status == 201
        for shown in (None, own, {"Authorization": "Bearer wrong"}, {"X-Tenant-ID": names[1]}, {"X-API-Key": "boss"}):
            m = scrape(s, shown)
            assert "tenant_" not in "".join(n for n in m.names() if not n.startswith("carillon_tenants")), shown
            assert "secretive" not in m.text and "boss" not in m.text and not any(k in m.text for k in keys)
        if auth == "key":
            bearer = {"Authorization": f"Bearer {token.json()['token']}"}
            assert "secretive" not in scrape(s, bearer).text
            by = scrape(s, ADMIN).of("carillon_tenant_published_events_total", "tenant")
            assert by == {names[0]: 1, names[1]: 1, "_other": 0}
        assert "_other" in scrape(s, ADMIN).text and "boss" not in scrape(s, ADMIN).text


def test_a_guess_costs_and_is_told():
    with keyed("--rate-limit-ip", "2/1h") as (s, _, _):
        for _ in range(2):
            assert "carillon_tenant_" not in scrape(s, {"Authorization": "Bearer guess"}).text
        assert "carillon_tenant_" not in scrape(s, ADMIN).text, "an address that has none left is not told"
        assert scrape(s).get("carillon_limits_hit_total", limit="ip") == 1


def test_no_content():
    w = "wren-canary-7391"
    with serve() as s:
        s.ws("t")
        s.publish("t", w, type=w, metadata={w: w})
        s.post("t", json.dumps({"message": w * 400}).encode())
        s.get(f"/{w}?{w}={w}", "t", {"X-Request-Id": w, "User-Agent": w})
        s.get("/events", w + "!")
        s.get(f"/events/{w}", "t")
        text = scrape(s).text
        assert w not in text


def test_counters_never_go_back():
    with serve("--metrics-tenants", "2") as s:
        stop = threading.Event()

        def work(number):
            conn, i = s.http(), 0
            while not stop.is_set():
                tenant = f"t{(i // 7 + number) % 5}"
                ws = WebSocket(s.port, f"/ws?tenant={tenant}&since=0")
                head = {"X-Tenant-ID": tenant, "Content-Type": "application/json"}
                for _ in range(1 + i % 9):
                    assert conn.request("POST", "/events", head, b'{"message":"x"}').status == 201
                ws.close()
                i += 1

        threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
        for t in threads:
            t.start()
        try:
            before = {}
            for _ in range(scaled(60)):
                now = scrape(s).counters()
                for key, value in now.items():
                    if dict(key[1]).get("tenant", "_other") == "_other":  # one that comes back begins anew
                        assert value >= before.get(key, 0), key
                before.update(now)
        finally:
            stop.set()
            for t in threads:
                t.join()


def queries():
    """All PromQL of the dashboard and the alerts."""
    board = json.loads((REPOSITORY / "tools/grafana/carillon.json").read_text())
    for panel in board["panels"]:
        for target in panel.get("targets", ()):
            expr = target["expr"].replace("$__rate_interval", "5m").replace("$job", ".*").replace("$instance", ".*")
            yield panel["title"], expr
    for group in yaml.safe_load((REPOSITORY / "tools/prometheus/alerts.yml").read_text())["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]


def test_dashboard_and_alerts(tmp_path):
    code, said = promtool("check", "rules", str(REPOSITORY / "tools/prometheus/alerts.yml"))
    assert code == 0, said
    found = list(queries())
    assert len(found) > 40
    rules = [{"record": f"q{i}", "expr": expr} for i, (_, expr) in enumerate(found)]
    path = tmp_path / "queries.yml"
    path.write_text(json.dumps({"groups": [{"name": "queries", "rules": rules}]}))
    code, said = promtool("check", "rules", str(path))
    assert code == 0, said
    with serve(store=f"sqlite:{tmp_path}/log.db", tls=True) as s:
        s.publish("t", "x")
        m = scrape(s)
        used = set()
        for title, expr in found:
            for name in set(re.findall(r"\b(?:carillon|process)_[a-z_]+", expr)):
                assert name in m.names(), (title, name)
                used.add(SUFFIX.sub("", name) if SUFFIX.sub("", name) in m.kinds else name)
            for label, value in re.findall(r'\b([a-z]+)!?="([^"]+)"', expr):
                if label not in ("job", "instance"):
                    assert f'{label}="{value}"' in m.text, (title, label, value)
            for labels in re.findall(r"\bby \(([a-z, ]+)\)", expr):
                for label in set(labels.split(", ")) - {"job", "instance"}:
                    assert f'{label}="' in m.text, (title, label)
        # Nothing that is told is left out of the dashboard.
        missing = {n for n in m.kinds if n.startswith("carillon_")} - used
        assert missing <= {"carillon_build_info", "carillon_tenants", "carillon_draining"}, missing


def test_alerts_fire(tmp_path):
    """promtool runs the rules over made-up series."""
    text = (REPOSITORY / "tools/prometheus/alerts.yml").read_text()
    (tmp_path / "alerts.yml").write_text(text)
    series = 'job="carillon",instance="a"'
    labels = {"job": "carillon", "instance": "a"}

    def case(alert, given, at, more=None, fires=True):
        made = [{"series": f"{name}{{{series}{extra}}}", "values": values} for name, extra, values in given]
        rule = next(r for g in yaml.safe_load(text)["groups"] for r in g["rules"] if r["alert"] == alert)
        exp = {"exp_labels": {**labels, **rule["labels"], **(more or {})}}
        says = {k: v.replace("{{ $labels.instance }}", "a") for k, v in rule["annotations"].items()}
        for k, v in (more or {}).items():
            says = {name: words.replace("{{ $labels.%s }}" % k, v) for name, words in says.items()}
        exp["exp_annotations"] = says
        return {
            "interval": "15s",
            "input_series": made,
            "alert_rule_test": [{"eval_time": at, "alertname": alert, "exp_alerts": [exp] if fires else []}],
        }

    refused = "carillon_isolation_refused_writes_total"
    pressure, shed = "carillon_memory_pressure", "carillon_memory_shed_subscribers_total"
    slow = [("carillon_loop_lag_seconds_bucket", ',worker="1",le="0.065536"', "0x80")]
    slow += [("carillon_loop_lag_seconds_bucket", f',worker="1",le="{le}"', "0+10x80") for le in ("0.524288", "+Inf")]
    expiry, day = "carillon_tls_certificate_expiry_timestamp_seconds", 86400
    tests = [
        case("CarillonCertificateExpires", [(expiry, "", f"{13 * day}x20")], "2m"),
        case("CarillonCertificateExpires", [(expiry, "", f"{15 * day}x20")], "2m", fires=False),
        case("CarillonCertificateExpires", [(expiry, "", "60x20")], "2m", fires=False),  # it has
        case("CarillonCertificateExpired", [(expiry, "", "60x20")], "2m"),
        case("CarillonCertificateExpired", [(expiry, "", "180x20")], "2m", fires=False),
        case("CarillonDown", [("up", "", "1 0x20")], "3m"),
        case("CarillonDown", [("up", "", "1x20")], "3m", fires=False),
        case("CarillonIsolationFault", [(refused, "", "0 1")], "15s"),
        case("CarillonIsolationFault", [(refused, "", "0x4")], "15s", fires=False),
        case("CarillonStoreFailing", [("carillon_store_failing", "", "1x10")], "1m"),
        case("CarillonLoopLag", slow, "15m", {"worker": "1"}),
        case("CarillonLimitsHit", [("carillon_limits_hit_total", ',limit="ip"', "0+60x80")], "18m", {"limit": "ip"}),
        case("CarillonSlowReaders", [("carillon_too_slow_closed_total", ',transport="sse"', "0+60x120")], "25m"),
        case("CarillonDescriptors", [("process_open_fds", "", "950x40"), ("process_max_fds", "", "1000x40")], "8m"),
        case("CarillonMemoryShort", [(pressure, "", "1x40")], "8m"),
        case("CarillonMemoryShort", [(pressure, "", "0x40")], "8m", fires=False),
        case("CarillonTenantMemoryShort", [(shed, ',transport="sse"', "0+60x120")], "25m"),
        case("CarillonTenantMemoryShort", [("carillon_memory_refused_publishes_total", "", "0+60x120")], "25m"),
        case("CarillonTenantMemoryShort", [(shed, ',transport="sse"', "7x120")], "25m", fires=False),
        case("CarillonConnectionsRefused", [("carillon_connections_refused_total", ',reason="memory"', "0+1x40")], "8m", {"reason": "memory"}),
        case("CarillonDescriptors", [("process_open_fds", "", "50x40"), ("process_max_fds", "", "1000x40")], "8m", fires=False),
    ]
    path = tmp_path / "tests.yml"
    path.write_text(json.dumps({"rule_files": ["alerts.yml"], "evaluation_interval": "15s", "tests": tests}))
    code, said = promtool("test", "rules", str(path))
    assert code == 0, said
