"""Publishing many events with one request: all of them, one after the other, or none."""

import json
import random
import resource
import signal
import sqlite3

import pytest

from harness import Server, Team, check_event, problem, scaled

PATH = "/api/v1/events/batch"
NDJSON = {"Content-Type": "application/x-ndjson"}


@pytest.fixture(scope="module", params=["memory", "sqlite"])
def server(request, tmp_path_factory):
    store = f"sqlite:{tmp_path_factory.mktemp('batch')}/log.db" if request.param == "sqlite" else None
    with Server("--threads", "2", "--buffer-size", "100000", store=store) as s:
        yield s


def put(server, tenant, body, headers=None):
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    return server.post(tenant, body, path=PATH, headers=headers)


def stored(r, tenant, count):
    """The events of an answer, which has to be whole."""
    assert r.status == 201, r
    assert r.header("Content-Type").split(";")[0] == "application/json" and r.header("Location") is None
    assert set(r.json()) == {"events"}
    events = [check_event(e, tenant) for e in r.json()["events"]]
    assert len(events) == count
    assert [e["seq"] for e in events] == list(range(events[0]["seq"], events[0]["seq"] + count))
    assert len({e["id"] for e in events}) == count
    return events


def all_events(server, tenant):
    return server.get("/events?limit=1000&since=0", tenant).json()["events"]


def test_array(server, tenant):
    ws = server.ws(tenant)
    body = [
        {"message": "a\u2028<b>", "type": "x.y"},
        {"metadata": {"n": 12345678901234567890, "deep": [[1]]}},
        {"message": "c", "metadata": {}, "author": "nobody", "seq": 7},
    ]
    events = stored(put(server, tenant, body), tenant, 3)
    assert [e["seq"] for e in events] == [1, 2, 3]
    assert [e.get("message") for e in events] == ["a\u2028<b>", None, "c"]
    assert [e["type"] for e in events] == ["x.y", "message", "message"]
    assert events[1]["metadata"] == body[1]["metadata"] and events[2]["metadata"] == {}
    assert ws.events(3) == events
    assert all_events(server, tenant) == events
    assert server.get(f"/events/{events[1]['id']}", tenant).json() == events[1]
    assert stored(put(server, tenant, b' [ {"message":"alone"} ] '), tenant, 1)[0]["seq"] == 4


@pytest.mark.parametrize(
    "body",
    [
        b'{"message":"a"}\n{"message":"b"}\n',
        b'{"message":"a"}\n{"message":"b"}',
        b'{"message":"a"}\r\n{"message":"b"}\r\n',
        b'\n\n  \r\n{"message":"a"}\n\t\n { "message" : "b" } \n\n',
    ],
)
def test_ndjson(server, tenant, body):
    for kind in ("application/x-ndjson", "Application/X-NDJSON; charset=utf-8"):
        events = stored(put(server, tenant, body, {"Content-Type": kind}), tenant, 2)
        assert [e["message"] for e in events] == ["a", "b"]


def test_thousand(server, tenant):
    ws = server.ws(tenant)
    body = [{"message": f"m{i}"} for i in range(1001)]
    lines = "".join(json.dumps(e) + "\n" for e in body).encode()
    problem(put(server, tenant, body), 413, "too_large")
    problem(put(server, tenant, lines, NDJSON), 413, "too_large")
    events = stored(put(server, tenant, body[:1000]), tenant, 1000)
    assert [e["message"] for e in events] == [e["message"] for e in body[:1000]] and events[0]["seq"] == 1
    second = stored(put(server, tenant, b"\n" + lines.rsplit(b"\n", 2)[0], NDJSON), tenant, 1000)
    assert ws.events(2000) == events + second


def test_none(server, tenant):
    for body, headers in ((b"[]", {}), (b" [ ] ", {}), (b"", NDJSON), (b"\n \r\n\n", NDJSON)):
        problem(put(server, tenant, body, headers), 422, "validation_error", fields=True)
    for body in (b"{}", b'{"message":"x"}', b"1", b"null", b'"x"'):
        problem(put(server, tenant, body), 422, "validation_error", fields=True)
    for body in (b"", b"[", b'[{"message":"x"},]', b'[{"message":"x"}', b'[{"message":"x"}{"message":"y"}]', b"[]]"):
        problem(put(server, tenant, body), 400, "bad_request")
    assert all_events(server, tenant) == []


def test_types(server, tenant):
    for kind in ("text/plain", "application/ndjson", "application/jsonl", "application/x-www-form-urlencoded", ""):
        problem(put(server, tenant, b"[]", {"Content-Type": kind}), 415, "unsupported_media_type")
    # Lines are no array, an array is no line.
    problem(put(server, tenant, b'{"message":"a"}\n{"message":"b"}\n'), 400, "bad_request")
    problem(put(server, tenant, b'[{"message":"a"}]', NDJSON), 422, "validation_error", fields=True)
    r = server.request("POST", PATH, {"X-Tenant-ID": tenant, "Expect": "100-continue", "Content-Type": "text/plain"}, b"x")
    problem(r, 415, "unsupported_media_type")


BAD = [
    ({"message": ""}, 422, "message"),
    ({"message": 1}, 422, "message"),
    ({}, 422, "message"),
    ({"message": "x", "type": "a b"}, 422, "type"),
    ({"message": "x", "metadata": []}, 422, "metadata"),
    ({"message": "x" * 2049}, 413, "message"),
    ([], 422, ""),
    (None, 422, ""),
    ("text", 422, ""),
]


@pytest.mark.parametrize("lines", [False, True])
def test_all_or_none(server, tenant, lines):
    """One bad element refuses all, with its own status, and says which it is; nobody sees any of the others."""
    ws = server.ws(tenant)
    for bad, status, field in BAD:
        for at in (0, 3, 9):
            body = [{"message": f"m{i}"} for i in range(9)]
            body.insert(at, bad)
            if lines:
                r = put(server, tenant, "\n".join(json.dumps(e) for e in body).encode(), NDJSON)
            else:
                r = put(server, tenant, body)
            p = problem(r, status, "too_large" if status == 413 else "validation_error", fields=True)
            assert p["errors"][0]["field"] == (f"{at}.{field}" if field else f"{at}")
    assert all_events(server, tenant) == []
    after = stored(put(server, tenant, [{"message": "after"}]), tenant, 1)
    assert ws.events(1) == after and after[0]["seq"] == 1


@pytest.mark.parametrize("bad", [b"{", b'{"message":"x"} x', b'{"message":"\\ud800"}', b'{"message":"\xff"}', b"x", b"{}{}"])
def test_a_line_that_is_no_json(server, tenant, bad):
    r = put(server, tenant, b'{"message":"a"}\n\n' + bad + b'\n{"message":"b"}\n', NDJSON)
    assert "line 3" in problem(r, 400, "bad_request")["detail"]
    assert all_events(server, tenant) == []


def test_what_the_path_answers(server, tenant):
    r = server.request("OPTIONS", PATH)
    assert r.status == 204 and r.tokens("Allow") == {"post", "options"}
    for method in ("GET", "PUT", "DELETE"):
        r = server.request(method, PATH, {"X-Tenant-ID": tenant})
        problem(r, 405, "method_not_allowed")
        assert r.tokens("Allow") == {"post", "options"}
    problem(server.request("POST", PATH, {"Content-Type": "application/json"}, b"[]"), 401, "unauthorized")


def test_a_body_that_is_too_long(tenant):
    with Server("--max-body-bytes", "4096") as s:
        body = [{"message": "x" * 100} for _ in range(40)]
        problem(put(s, tenant, body), 413, "too_large")
        assert len(stored(put(s, tenant, body[:30]), tenant, 30)) == 30


def test_among_others(server):
    """Batches and single events of many publishers at once: each batch is in one piece, in its own tenant only, and
    every subscriber sees all of it in order."""
    tenants = [server.tenant("one"), server.tenant("two")]
    rounds, sockets, streams = scaled(40), {}, {}
    for t in tenants:
        sockets[t], streams[t] = [server.ws(t) for _ in range(3)], server.sse(t)
    done = {t: [] for t in tenants}

    def publish(n):
        rng = random.Random(n)
        for i in range(rounds):
            t = tenants[(n + i) % 2]
            if n % 2:
                done[t].append([server.publish(t, f"{t} {n} {i}")])
            else:
                count = rng.choice((1, 2, 70, 300))
                lines = "".join(json.dumps({"message": f"{t} {n} {i} {k}"}) + "\n" for k in range(count))
                events = stored(put(server, t, lines.encode(), NDJSON), t, count)
                assert [e["message"] for e in events] == [f"{t} {n} {i} {k}" for k in range(count)]
                done[t].append(events)

    team = Team()
    for n in range(6):
        team.go(publish, n)
    team.join()
    for t in tenants:
        expected = sorted((e for events in done[t] for e in events), key=lambda e: e["seq"])
        assert [e["seq"] for e in expected] == list(range(1, len(expected) + 1))
        for client in (*sockets[t], streams[t]):
            assert client.events(len(expected)) == expected


def test_a_store_that_refuses(tmp_path):
    """A full disk: none of a batch is there, and its publisher is told to come again."""
    with Server("--threads", "2", store=f"sqlite:{tmp_path}/log.db") as s:
        ws = s.ws("t")
        first = stored(put(s, "t", [{"message": "a"}, {"message": "b"}]), "t", 2)
        hard = resource.prlimit(s.process.pid, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(s.process.pid, resource.RLIMIT_FSIZE, (4096, hard))
        r = put(s, "t", [{"message": "no room"}] * 500)
        problem(r, 503, "unavailable")
        assert int(r.header("Retry-After")) >= 1
        assert all_events(s, "t") == first
        resource.prlimit(s.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, hard))
        second = stored(put(s, "t", [{"message": "room"}] * 500), "t", 500)
        assert second[0]["seq"] == 3
        assert ws.events(502) == first + second
    rows = sqlite3.connect(tmp_path / "log.db").execute("SELECT seq FROM events ORDER BY seq").fetchall()
    assert rows == [(e["seq"],) for e in first + second]


def whole(count):
    """A batch that takes many slices to read."""
    return json.dumps([{"message": "x" * 900}] * count).encode()


def test_connection_ends_while_it_is_read(server, tenant):
    """Whoever does not wait for the answer has published nevertheless: all of each batch, or none of it."""
    body = whole(900)
    for _ in range(10):
        conn = server.http()
        conn.send(conn.build("POST", PATH, {"X-Tenant-ID": tenant, "Content-Type": "application/json"}, body))
        conn.close()
    assert stored(put(server, tenant, whole(900)), tenant, 900)[0]["seq"] % 900 == 1


def test_what_is_behind_it_waits(server, tenant):
    """Answers come in the order of the requests, however long one is read."""
    headers = {"X-Tenant-ID": tenant, "Content-Type": "application/json"}
    conn = server.http()
    one = conn.build("POST", "/events", headers, b'{"message":"x"}')
    bad = conn.build("POST", PATH, headers, whole(500)[:-1] + b",]")
    conn.send(one + conn.build("POST", PATH, headers, whole(1000)) + one + bad + one)
    answers = [conn.response("POST") for _ in range(5)]
    assert [r.status for r in answers] == [201, 201, 201, 400, 201]
    assert [answers[i].json()["seq"] for i in (0, 2, 4)] == [1, 1002, 1003]
    conn.close()


def test_an_end_waits_for_it(tmp_path):
    """What was being read when the server was told to end is answered, and in the log, as far as it was whole."""
    with Server("--threads", "1", store=f"sqlite:{tmp_path}/log.db") as server:
        conns = [server.http() for _ in range(4)]
        for conn in conns:
            conn.send(conn.build("POST", PATH, {"X-Tenant-ID": "t", "Content-Type": "application/json"}, whole(1000)))
        first = conns[0].response("POST")
        server.process.signal(signal.SIGTERM)
        answers = [first] + [conn.response("POST") for conn in conns[1:]]
        server.process.wait()
    assert first.status == 201 and {r.status for r in answers} <= {201, 503}
    with sqlite3.connect(f"{tmp_path}/log.db") as db:
        (count,) = db.execute("SELECT count(*) FROM events").fetchone()
    assert count == 1000 * sum(r.status == 201 for r in answers)
