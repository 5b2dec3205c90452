"""Server-Sent Events: the stream's form, resuming, what is refused, how it ends."""

import json

import pytest

from harness import Eof, NOWHERE, Server, Sse, check_event, in_chunks, problem, refused, scaled, until

ACCEPT = {"Accept": "text/event-stream"}


@pytest.fixture(scope="module")
def server():
    with Server("--buffer-size", "1000", "--sse-keepalive", "200ms") as s:
        yield s


# Opening


@pytest.mark.parametrize(
    "path,headers",
    [
        ("/api/v1/events/stream", {}),
        ("/api/v1/events/stream", ACCEPT),
        ("/events", ACCEPT),
        ("/api/events", ACCEPT),
        ("/events", {"Accept": "text/event-stream, */*;q=0.1"}),
        ("/events", {"accept": "Text/Event-Stream"}),
    ],
)
def test_each_way_in(server, tenant, path, headers):
    sse = server.sse(tenant, path=path, headers=headers)
    assert sse.hello["seq"] == 0
    e = server.publish(tenant, "x")
    assert sse.events(1) == [e]


@pytest.mark.parametrize("accept", ["*/*", "application/json", "text/html", "text/event-streams", "text/*"])
def test_lists_stay_lists(server, ten, accept):
    tenant, events = ten
    for path in ("/events", "/api/events"):
        r = server.get(path, tenant, {"Accept": accept})
        assert r.status == 200 and r.json()["events"] == events[::-1]


def test_connection_established_comes_first(server, ten):
    tenant, _ = ten
    ws, sse = server.ws(tenant), server.sse(tenant)
    assert sse.hello["seq"] == 10 and sse.hello["epoch"] == ws.hello["epoch"]
    assert sse.hello["session_id"] != ws.hello["session_id"]
    assert sse.hello_id in (None, "10")
    resumed = server.sse(tenant, "since=3")
    assert resumed.hello_id is None or int(resumed.hello_id) <= 3, "an id ahead of what is still to come would lose it"


def test_retry_and_comments(server, tenant):
    sse = server.sse(tenant)
    for _ in range(5):
        sse.comment()
    assert sse.retry is not None and 0 < sse.retry <= 60_000
    e = server.publish(tenant, "x")
    assert sse.events(1) == [e]
    for _ in range(3):
        sse.comment()


def test_tenant_by_header(server, tenant):
    sse = server.keep(Sse(server.port, "/api/v1/events/stream", {"X-Tenant-ID": tenant}))
    assert sse.expect("connection_established").json()["tenant_id"] == tenant


def test_http_1_0(server, tenant):
    sse = server.sse(tenant, version="HTTP/1.0")
    e = server.publish(tenant, "x")
    assert sse.events(1) == [e]


def test_head(server, tenant):
    c = server.http()
    for path, headers in (("/api/v1/events/stream", {}), ("/events", ACCEPT)):
        r = c.request("HEAD", f"{path}?tenant={tenant}", headers)
        assert r.status == 200 and r.header("Content-Type", "").startswith("text/event-stream"), r
    assert c.request("GET", "/livez").status == 200


# Events


def test_events(server, tenant):
    streams = [server.sse(tenant) for _ in range(4)]
    sent = server.flood(tenant, (f"m{i}" for i in range(200)))
    for sse in streams:
        assert sse.events(200) == sent


def test_event_as_rest_shows_it(server, tenant):
    sse = server.sse(tenant)
    nasty = "line\nline\r\ndata: x\n\nevent: evil\r<&>\u2028\u2029\u0085 \U0001f600 \u0000"
    e = server.publish(tenant, nasty, type="odd:type", metadata={nasty: [nasty, None, 1.5]})
    got = sse.recv()
    assert got.kind == "event_created" and got.id == "1"
    assert check_event(got.json(), tenant) == e and got.json()["message"] == nasty
    for forbidden in "<>&\u2028\u2029":
        assert forbidden not in got.data
    e = server.publish(tenant, "after")
    assert sse.events(1) == [e]


def test_big_events(server, tenant):
    sse = server.sse(tenant)
    sent = [server.publish(tenant, "x", metadata={"pad": "y" * 900_000, "i": i}) for i in range(5)]
    assert sse.events(5) == sent


# Resuming


@pytest.mark.parametrize("how", ["header", "parameter", "since", "header beats since", "parameter beats since"])
@pytest.mark.parametrize("last", [0, 1, 4, 9, 10])
def test_resume(server, ten, how, last):
    tenant, events = ten
    query, headers = "", {}
    if how.startswith("header"):
        headers = {"Last-Event-ID": str(last)}
    elif how.startswith("parameter"):
        query = f"last_event_id={last}"
    else:
        query = f"since={last}"
    if how.endswith("beats since"):
        query += ("&" if query else "") + "since=7"
    sse = server.sse(tenant, query, headers=headers)
    assert sse.hello["seq"] == 10
    assert sse.events(10 - last) == events[last:]
    e = server.publish(tenant, "live")
    assert sse.events(1) == [e]


def test_since_id(server, ten):
    tenant, events = ten
    sse = server.sse(tenant, f"sinceId={events[6]['id']}")
    assert sse.events(3) == events[7:]
    e = server.publish(tenant, "live")
    assert sse.events(1) == [e]


def test_epoch(server, ten):
    tenant, events = ten
    epoch = server.sse(tenant).hello["epoch"]
    assert server.sse(tenant, f"since=8&epoch={epoch}").events(2) == events[8:]
    sse = server.sse(tenant, "since=8&epoch=other")
    assert sse.expect("gap").json() == {"from": 1, "to": 0}
    assert sse.events(10) == events


@pytest.mark.parametrize(
    "query,headers", [("since=11", {}), ("", {"Last-Event-ID": "11"}), ("last_event_id=4000000", {})]
)
def test_beyond_the_newest(server, ten, query, headers):
    tenant, events = ten
    sse = server.sse(tenant, query, headers=headers)
    assert sse.expect("gap").json() == {"from": 1, "to": 0}
    assert sse.events(10) == events
    e = server.publish(tenant, "live")
    assert sse.events(1) == [e]


def test_gap_where_events_have_been_forgotten():
    with Server("--buffer-size", "10", store="memory:") as s:
        events = s.flood("t", (f"m{i}" for i in range(25)))
        for query, headers, first in (
            ("since=0", {}, 1),
            ("", {"Last-Event-ID": "3"}, 4),
            ("last_event_id=14", {}, 15),
        ):
            sse = s.sse("t", query, headers=headers)
            gap = sse.expect("gap")
            assert gap.json() == {"from": first, "to": 15}
            assert gap.id in (None, "15")
            assert sse.events(10) == events[15:]
        sse = s.sse("t", "since=15")
        assert sse.events(10) == events[15:]


@pytest.mark.parametrize("n", [1, 4, 10, 1000])
def test_snapshot(server, ten, n):
    tenant, events = ten
    sse = server.sse(tenant, f"snapshot={n}")
    snap = sse.expect("snapshot")
    assert snap.json() == {"events": events[-n:], "seq": 10}
    assert snap.id in (None, "10")
    e = server.publish(tenant, "live")
    assert sse.events(1) == [e]


def test_snapshot_of_nothing(server, tenant):
    sse = server.sse(tenant, "snapshot=5")
    assert sse.expect("snapshot").json() == {"events": [], "seq": 0}
    e = server.publish(tenant, "x")
    assert sse.events(1) == [e]


def test_reconnecting_with_the_last_id_misses_nothing(server, tenant):
    """What a browser's EventSource does, over and over, while events come."""
    last, got, sent = None, [], []
    for round_ in range(scaled(40)):
        headers = {"Last-Event-ID": last} if last else {}
        sse = server.sse(tenant, "" if last else "since=0", headers=headers)
        sent += server.flood(tenant, [f"{round_}-{i}" for i in range(7)])
        got += sse.events(round_ % 7)
        last = sse.last_id or last
        sse.reset()
    sse = server.sse(tenant, "" if last else "since=0", headers={"Last-Event-ID": last} if last else {})
    got += sse.events(len(sent) - len(got))
    assert got == sent


# What is refused


@pytest.mark.parametrize(
    "query,headers",
    [
        ("since=abc", {}),
        ("since=-1", {}),
        ("since=1.5", {}),
        ("since=", {}),
        ("sinceId=abc", {}),
        (f"sinceId={NOWHERE}", {}),
        ("last_event_id=abc", {}),
        ("last_event_id=-1", {}),
        ("", {"Last-Event-ID": "abc"}),
        ("", {"Last-Event-ID": "1.5"}),
        ("", {"Last-Event-ID": "99999999999999999999999"}),
        ("snapshot=abc", {}),
        ("snapshot=1001", {}),
        ("snapshot=-1", {}),
        (f"since=1&sinceId={NOWHERE}", {}),
        ("since=%zz", {}),
    ],
)
def test_bad_parameters(server, ten, query, headers):
    tenant, _ = ten
    problem(refused(server.stream, tenant, query, headers=headers), 400, "bad_request")


def test_who_is_refused(server, tenant):
    problem(refused(Sse, server.port, "/api/v1/events/stream"), 401, "unauthorized")
    problem(refused(Sse, server.port, "/events", ACCEPT), 401, "unauthorized")
    problem(refused(server.stream, tenant, headers={"X-Tenant-ID": server.tenant()}), 403, "forbidden")
    with Server(tenants=False) as s:
        problem(refused(s.stream, "nobody"), 401, "unauthorized")


# Ends


def test_requests_after_a_stream_began_are_not_answered(server, tenant):
    sse = server.sse(tenant)
    sse.http.send(sse.http.build("GET", "/livez") * 3)
    e = server.publish(tenant, "x")
    try:
        assert sse.events(1) == [e]
    except Eof:
        pass  # closing on unasked input is fine, too


def test_pipelined_before_a_stream(server, tenant):
    c = server.http()
    body = b'{"message":"x"}'
    c.send(
        c.build(
            "POST", f"/events?tenant={tenant}", {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}
        )
        + in_chunks(body)
    )
    c.send(c.build("GET", f"/api/v1/events/stream?tenant={tenant}&since=0"))
    assert c.response("POST").status == 201
    r = c.head()
    assert r.status == 200 and r.header("Content-Type").startswith("text/event-stream")
    while b"event_created" not in c.wire.buf:
        c.wire.fill()


def test_who_leaves_is_forgotten(server, tenant):
    def connections():
        return server.get("/events/stats", tenant).json()["connections"]

    streams = [server.sse(tenant) for _ in range(20)]
    until(lambda: connections() == 20, "twenty streams counted")
    for i, sse in enumerate(streams):
        sse.reset() if i % 2 else sse.close()
    until(lambda: connections() == 0, "nobody left")


def test_slow_reader_loses_nothing_that_is_kept(server, tenant):
    """A reader that stalls with small buffers and then reads on, while the log still has everything."""
    sse = server.sse(tenant, rcvbuf=4096)
    sent = server.flood(
        tenant, (json.dumps({"message": "x", "metadata": {"pad": "y" * 20_000, "i": i}}).encode() for i in range(600))
    )
    live = server.sse(tenant)
    sent.append(server.publish(tenant, "last"))
    assert live.events(1) == sent[-1:]
    assert sse.events(601) == sent
