"""What memory has let go of is read from the database: lists, searches, single events, replays and subscribers alike.

The server keeps ten events in memory, and nothing after a restart."""

import json
import os
import random
import threading

import pytest

from harness import Polling, Server, Socket, Team, event, join, problem, scaled

COUNT = scaled(1500, 400)
TYPES = ("message", "order.created", "order.paid")


def message(i):
    return f"note {i} of day{i % 7}" + (" Ärger" if i % 5 == 0 else "")


@pytest.fixture(scope="module", params=["commit", "relaxed"])
def told(request, tmp_path_factory):
    """A server that was started anew, and the events of its tenants "t" and "other", oldest first."""
    store = None if os.environ.get("CARILLON_TEST_STORE") else f"sqlite:{tmp_path_factory.mktemp('history')}/log.db"
    bodies = [
        {"message": message(i), "type": TYPES[i % 3], "metadata": {"n": i, "deep": {"tag": f"x{i % 11}"}}}
        for i in range(COUNT)
    ]
    flags = ("--buffer-size", "10", "--durability", request.param)
    with Server(*flags, store=store) as first:
        events = first.flood("t", (json.dumps(b).encode() for b in bodies))
        others = first.flood("other", (message(i) for i in range(50)))
        if store:
            first.terminate()
        else:
            yield first, events, others
            return
    with Server(*flags, store=store) as s:
        yield s, events, others


def pages(server, query, tenant="t", key="since"):
    """All pages of a list, one after the other."""
    events, at = [], ""
    while True:
        page = server.get(f"/events?{query}{at}", tenant).json()
        events += page["events"]
        if not page["has_more"]:
            assert page["next"] is None
            return events
        at = f"&{key}={page['next']}"


def test_lists(told):
    s, events, others = told
    assert s.get("/events", "t").json()["events"] == events[: -51 : -1]
    assert s.get("/events?limit=1000", "t").json()["events"] == events[: -1001 : -1]
    assert pages(s, "limit=333", key="before") == events[::-1]
    assert pages(s, "limit=1000&order=asc") == events
    assert pages(s, "limit=7", "other", "before") == others[::-1]
    for i in random.Random(3).sample(range(COUNT), 20):
        page = s.get(f"/events?sinceId={events[i]['id']}&limit=20", "t").json()
        assert page["events"] == events[i + 1 : i + 21] and page["has_more"] == (i + 21 < COUNT)
        page = s.get(f"/events?before={events[i]['seq']}&limit=20", "t").json()
        assert page["events"] == events[:i][: -21 : -1]
    assert s.get(f"/events?since={COUNT}", "t").json() == {"events": [], "has_more": False, "next": None}
    assert s.get(f"/events?before={COUNT + 100}&limit=1", "t").json()["events"] == events[-1:]


def test_single_events(told):
    s, events, others = told
    for e in (events[0], events[COUNT // 2], events[-11], events[-1]):
        assert s.get(f"/events/{e['id']}", "t").json() == e
        assert s.get(f"/events/{e['id'].upper()}", "t").json() == e
        problem(s.get(f"/events/{e['id']}", "other"), 404, "not_found")
        problem(s.get(f"/events?sinceId={e['id']}", "other"), 400, "bad_request")
    problem(s.get("/events/00000000-0000-4000-8000-000000000000", "t"), 404, "not_found")
    assert s.get(f"/events/{others[0]['id']}", "other").json() == others[0]


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_searches(told, order):
    s, events, _ = told
    turned = events if order == "asc" else events[::-1]
    key = "since" if order == "asc" else "before"

    def expect(query, passes):
        want = [e for e in turned if passes(e)]
        assert pages(s, f"{query}&order={order}&limit=90", key=key) == want
        assert want or "none" in query

    expect("q=day3", lambda e: e["metadata"]["n"] % 7 == 3)
    expect("q=DAY3+%C3%84RGER", lambda e: e["metadata"]["n"] % 35 == 10)
    expect("q=day*", lambda e: True)
    expect("q=%C3%A4rg*", lambda e: e["metadata"]["n"] % 5 == 0)
    expect("q=x4", lambda e: e["metadata"]["n"] % 11 == 4)
    expect("q=tag+x4", lambda e: e["metadata"]["n"] % 11 == 4)
    expect("q=none", lambda e: False)
    expect("q=%21none%21", lambda e: False)
    expect("q=17", lambda e: e["metadata"]["n"] == 17)
    expect("type=order.paid", lambda e: e["type"] == "order.paid")
    expect("type=order.paid&type=order.created", lambda e: e["type"] != "message")
    expect("type=order.paid&q=day1", lambda e: e["type"] == "order.paid" and e["metadata"]["n"] % 7 == 1)
    expect("type=none", lambda e: False)
    start, end = events[COUNT // 3]["timestamp"], events[COUNT // 2]["timestamp"]
    expect(f"from={start}", lambda e: e["timestamp"] >= start)
    expect(f"from={start}&to={end}", lambda e: start <= e["timestamp"] <= end)
    expect(f"to={end}&q=day2", lambda e: e["timestamp"] <= end and e["metadata"]["n"] % 7 == 2)


def test_stats(told):
    s, events, others = told
    stats = s.get("/events/stats", "t").json()
    assert stats["total"] == stats["last_seq"] == COUNT and stats["first_seq"] == 1
    assert stats["by_type"] == {t: sum(e["type"] == t for e in events) for t in TYPES}
    assert stats["last_event_at"] == events[-1]["timestamp"]
    assert s.get("/events/stats", "other").json()["by_type"] == {"message": len(others)}
    health = s.get("/health").json()["eventStats"]
    assert health["totalEvents"] == COUNT + len(others) and health["tenantStats"]["t"]["total"] == COUNT


@pytest.mark.parametrize("deflate", [None, "permessage-deflate"])
def test_subscribers(told, deflate):
    s, events, _ = told
    for since in (0, 1, COUNT // 2, COUNT - 11, COUNT - 1):
        ws, sse = s.ws("t", f"since={since}", offer=deflate), s.sse("t", headers={"Last-Event-ID": str(since)})
        assert ws.events(COUNT - since) == events[since:] and sse.events(COUNT - since) == events[since:]
    by_id = s.ws("t", f"sinceId={events[5]['id']}")
    assert by_id.events(COUNT - 6) == events[6:]
    anew = s.ws("t", "since=7&epoch=0123456789abcdef")
    assert anew.recv_json()["type"] == "gap" and anew.events(COUNT) == events


def test_snapshots(told):
    s, events, _ = told
    for count in (0, 3, 50, 1000):
        want = events[COUNT - min(count, COUNT) :] if count else []
        ws = s.ws("t", f"snapshot={count}")
        assert ws.recv_json() == {"type": "snapshot", "events": want, "seq": COUNT}
        sse = s.sse("t", f"snapshot={count}")
        first = sse.recv()
        assert first.kind == "snapshot" and first.json() == {"events": want, "seq": COUNT}


def test_replays(told):
    s, events, _ = told
    ws = s.ws("t")
    for ref, since in enumerate((0, 10, COUNT - 30, COUNT - 5)):
        ws.send_json({"type": "replay", "ref": ref, "since": since, "limit": 25})
        answer = ws.recv_json()
        assert (answer["type"], answer["ref"]) == ("replay_result", ref)
        assert answer["events"] == events[since : since + 25] and answer["has_more"] == (since + 25 < COUNT)
    ws.send_json({"type": "replay", "ref": "id", "sinceId": events[40]["id"], "limit": 1000})
    assert ws.recv_json()["events"] == events[41:1041]
    for ref in range(60):  # more at a time than are read
        ws.send_json({"type": "replay", "ref": ref, "since": ref, "limit": 10})
    answers = {}
    for _ in range(60):
        answer = ws.recv_json()
        answers[answer["ref"]] = answer
    assert sorted(answers) == list(range(60))
    done = [ref for ref, a in answers.items() if a["type"] == "replay_result"]
    assert len(done) >= 8 and all(answers[ref]["events"] == events[ref : ref + 10] for ref in done)
    assert all(a["code"] == "rate_limited" for ref, a in answers.items() if ref not in done)


@pytest.mark.parametrize("transport", [Polling, Socket])
def test_another_logs_cursor(told, transport):
    """Is refused, or told as a gap; it never brings events as though they were the next ones."""
    s, events, _ = told
    epoch = s.ws("t").hello["epoch"]
    assert s.get(f"/events?since=5&epoch={epoch}&limit=1", "t").json()["events"] == events[5:6]
    for query in ("since=5", "before=5", "order=asc", ""):
        problem(s.get(f"/events?{query}&epoch=0123456789abcdef", "t"), 400, "bad_request")
    ws = s.ws("t")
    for named, answer in ((epoch, "replay_result"), (None, "replay_result"), ("other", "error"), (7, "error")):
        ws.send_json({"type": "replay", "ref": 1, "since": 5, "limit": 1, "epoch": named})
        assert ws.recv_json()["type"] == answer
    for start in ({"since": 20, "epoch": "0123456789abcdef"}, {"since": COUNT + 7}):
        client = transport(s.port, "tenant=t")
        assert join(client, "/events", start)[0] == "0"
        assert event(client, "/events")[0] == "gap"
        name, first, _ = event(client, "/events")
        assert name == "snapshot" and first == events[:1000]


@pytest.mark.parametrize("transport", [Polling, Socket])
def test_socketio(told, transport):
    s, events, _ = told
    client = transport(s.port, "tenant=t")
    assert join(client, "/")[0] == "0"
    assert event(client, "/")[0] == "connection_established"
    name, first, offset = event(client, "/")
    assert name == "initial_events" and first == events[-50:] and offset == str(COUNT)
    later = transport(s.port, "tenant=t")
    assert join(later, "/events", {"since": 20})[0] == "0"
    name, first, offset = event(later, "/events")
    upto = min(COUNT, 1020)
    assert name == "snapshot" and first == events[20:upto] and offset == str(upto)
    for e in events[upto:]:
        assert event(later, "/events")[1] == e


def test_all_at_once(told):
    """Readers of everything, in every way, while more is published; another tenant's see none of it."""
    s, events, others = told
    team, fresh, lock = Team(), [], threading.Lock()
    more = scaled(200, 40)

    def publish():
        for i in range(more):
            e = s.publish("t", f"later {i}")
            with lock:
                fresh.append(e)

    def subscribe():
        got = s.ws("t", "since=0").events(COUNT + more)
        assert [e["seq"] for e in got] == list(range(1, COUNT + more + 1)) and got[:COUNT] == events

    def page():
        got = pages(s, f"order=asc&limit=170&before={COUNT + 1}")
        assert got == events

    def look_elsewhere():
        for _ in range(20):
            assert pages(s, "limit=20", "other", "before") == others[::-1]
        assert s.ws("other", "since=0").events(len(others)) == others

    for job in (publish, subscribe, subscribe, page, page, look_elsewhere):
        team.go(job)
    team.join()
    assert s.get(f"/events?since={COUNT}&limit=1000", "t").json()["events"] == fresh
