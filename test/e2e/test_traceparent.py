"""W3C Trace Context: a traceparent is taken in, put on the event, and handed out, whatever the way in and the way out."""

import json
import re

import pytest

from harness import Polling, Postgres, Server, Socket, created, event, join, joined, run, split

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OTHER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"
THIRD = "00-4bf92f3577b34da6a3ce929d0e0e4737-00f067aa0ba902b7-03"
WITHOUT = ["id", "tenant_id", "seq", "type", "message", "timestamp"]
JSON = "application/json"


@pytest.fixture(scope="module")
def server():
    with Server("--threads", "2") as s:
        yield s


def post(s, tenant, body, *traceparents, path="/api/v1/events", kind=JSON, more=()):
    headers = [("X-Tenant-ID", tenant), ("Content-Type", kind), *more]
    headers += [t if isinstance(t, tuple) else ("traceparent", t) for t in traceparents]
    r = s.request("POST", path, headers, body if isinstance(body, bytes) else json.dumps(body).encode())
    assert r.status == 201, r
    return r


def is_traced(e, traceparent):
    """To the letter, members in their order."""
    assert list(e) == WITHOUT + (["traceparent"] if traceparent else []), e
    assert e.get("traceparent") == traceparent, e
    return True


@pytest.mark.parametrize("path", ["/events", "/api/events", "/api/v1/events"])
def test_a_header(server, path):
    tenant = server.tenant()
    r = post(server, tenant, {"message": "m"}, TRACE, path=path)
    assert r.body.endswith(b'Z","traceparent":"' + TRACE.encode() + b'"}'), r
    assert is_traced(r.json(), TRACE)
    assert is_traced(post(server, tenant, {"message": "m"}, ("TraceParent", OTHER), path=path).json(), OTHER)
    assert is_traced(post(server, tenant, {"message": "m"}, f"  {OTHER}\t", path=path).json(), OTHER)
    r = post(server, tenant, {"message": "m"}, path=path)
    assert re.search(rb'"timestamp":"[^"]{24}"}$', r.body), r
    assert is_traced(r.json(), None)


def test_one_that_is_none(server):
    """It is passed over, and never an error."""
    tenant = server.tenant()
    bad = ["", "x", TRACE.upper(), TRACE + "-x", TRACE[:-1], "ff" + TRACE[2:], "00-" + "0" * 32 + TRACE[35:],
           TRACE[:36] + "0" * 16 + TRACE[52:], f"{TRACE},{OTHER}", "cc" + TRACE[2:] + ".x", TRACE.replace("0", '"', 1),
           "x" * 8000]
    for text in bad:
        assert is_traced(post(server, tenant, {"message": "m"}, text).json(), None), text
    assert is_traced(post(server, tenant, {"message": "m"}, TRACE, OTHER).json(), None)
    assert is_traced(post(server, tenant, {"message": "m"}, TRACE, TRACE).json(), None)
    assert is_traced(post(server, tenant, {"message": "m"}, TRACE, ("tracestate", "a=b")).json(), TRACE)
    assert is_traced(post(server, tenant, {"message": "m"}, ("tracestate", "a=b")).json(), None)
    for text in (b'{"message":"m","traceparent":"%s"}' % TRACE.encode(), b'{"message":"m","traceparent":{"a":[1]}}'):
        assert is_traced(post(server, tenant, text).json(), None), "a body has none over HTTP"
        assert is_traced(post(server, tenant, text, OTHER).json(), OTHER)


def test_a_later_version(server):
    """What version 00 knows of it is kept, as version 00."""
    tenant = server.tenant()
    for text, want in [("cc" + TRACE[2:], TRACE), ("01" + TRACE[2:] + "-more-of-it", TRACE),
                       ("cc" + TRACE[2:53] + "ff", TRACE[:53] + "03")]:
        assert is_traced(post(server, tenant, {"message": "m"}, text).json(), want)


def test_batches(server):
    tenant = server.tenant()
    path = "/api/v1/events/batch"
    body = [{"message": "m"}, {"message": "m", "traceparent": OTHER}, {"message": "m"}]
    assert all(is_traced(e, TRACE) for e in post(server, tenant, body, TRACE, path=path).json()["events"])
    lines = b"\n".join(json.dumps(e).encode() for e in body)
    kind = "application/x-ndjson"
    assert all(is_traced(e, OTHER) for e in post(server, tenant, lines, OTHER, path=path, kind=kind).json()["events"])
    assert all(is_traced(e, None) for e in post(server, tenant, lines, path=path, kind=kind).json()["events"])
    assert all(is_traced(e, None) for e in post(server, tenant, body, "bad", path=path).json()["events"])


def test_pipelined(server):
    """Each request has its own, also where it is all that differs from the one before it."""
    tenant = server.tenant()
    sent = [TRACE, OTHER, None, None, THIRD, TRACE, "bad", None]
    conn, parts = server.http(), []
    for text in sent:
        head = {"X-Tenant-ID": tenant, "Content-Type": JSON, **({"traceparent": text} if text else {})}
        parts.append(conn.build("POST", "/events", head, b'{"message":"m"}'))
    conn.send(b"".join(parts))
    for text in sent:
        assert is_traced(json.loads(conn.response("POST").body), None if text == "bad" else text)


# What stands in a command, as JSON, and what comes of it.
GIVEN = [
    (json.dumps(TRACE), TRACE),
    (json.dumps("cc" + TRACE[2:] + "-x"), TRACE),
    (json.dumps(TRACE).replace("0", "\\u0030"), TRACE),
    (json.dumps(TRACE.upper()), None),
    (json.dumps(" " + TRACE), None),
    (json.dumps(TRACE + "\n"), None),
    ('"\\u0000"', None),
    ('""', None),
    ("null", None),
    ("7", None),
    ("[" + json.dumps(TRACE) + "]", None),
    ('{"a":' + json.dumps(TRACE) + "}", None),
]


def test_websocket_commands(server):
    tenant = server.tenant()
    ws = server.ws(tenant, headers={"traceparent": OTHER})  # the handshake's is not the events'
    for given, want in GIVEN:
        ws.send_text('{"type":"post_event","ref":1,"message":"m","traceparent":' + given + "}")
        answers = {f["type"]: f["event"] for f in (ws.recv_json(), ws.recv_json())}
        assert set(answers) == {"ack", "event_created"} and answers["ack"] == answers["event_created"], answers
        assert is_traced(answers["ack"], want), given
    ws.send_json({"type": "post_event", "ref": 1, "message": "m"})
    assert is_traced(ws.recv_until("ack")[0]["event"], None)
    ws.send_json({"type": "replay", "ref": 2, "since": 0, "traceparent": TRACE})
    events = ws.recv_until("replay_result")[0]["events"]
    assert len(events) == len(GIVEN) + 1
    for e, (_, want) in zip(events, GIVEN + [(None, None)]):
        assert is_traced(e, want)


@pytest.mark.parametrize("transport", [Polling, Socket])
@pytest.mark.parametrize("nsp", ["/", "/events"])
def test_socketio_commands(server, transport, nsp):
    tenant = server.tenant()
    client = transport(server.port, f"tenant={tenant}", headers={"traceparent": OTHER})
    head = "" if nsp == "/" else f"{nsp},"
    joined(client, nsp)
    for given, want in GIVEN:
        client.send(f'42{head}1["post_event",{{"message":"m","traceparent":{given}}}]')
        answers = sorted((split(client.next()) for _ in range(2)), key=lambda a: a[0])
        assert [a[0] for a in answers] == ["2", "3"], answers
        assert is_traced(answers[0][3][1], want), given  # event_created
        assert answers[0][3][1] == answers[1][3][0]["event"]


def through_lists(s, tenant, want):
    """All ways in which the log is asked."""
    by_seq = {e["seq"]: e for e in want}
    last = max(by_seq)
    assert s.get(f"/events?limit=100&since={min(by_seq) - 1}", tenant).json()["events"] == want
    assert s.get("/events?limit=100", tenant).json()["events"] == want[::-1]
    assert s.get("/events?limit=100&q=word&order=asc", tenant).json()["events"] == want
    assert s.get("/events?limit=100&q=00f067aa0ba902b7", tenant).json()["events"] == [], "no words"
    for e in want:
        r = s.get(f"/events/{e['id']}", tenant)
        assert r.status == 200 and list(r.json().items()) == list(e.items()), r
    ws = s.ws(tenant, "since=0")
    assert ws.events(len(want)) == want
    ws.send_json({"type": "replay", "ref": 1, "since": 0, "limit": 100})
    assert ws.recv_json("replay_result")["events"] == want
    assert s.ws(tenant, "snapshot=100").recv_json("snapshot")["events"] == want
    deflated = s.ws(tenant, "since=0", offer="permessage-deflate")
    assert deflated.events(len(want)) == want
    sse = s.sse(tenant, "since=0")
    assert sse.events(len(want)) == want
    assert s.sse(tenant, "snapshot=100").expect("snapshot").json()["events"] == want
    for transport in (Polling, Socket):
        assert joined(transport(s.port, f"tenant={tenant}"))[0] == want
        client = transport(s.port, f"tenant={tenant}")
        assert joined(client, "/events")[0] == want
        client.send('42/events,5["replay",{"since":0,"limit":100}]')
        assert split(client.next())[3][0]["events"] == want
        old = transport(s.port, f"tenant={tenant}")
        assert join(old, "/", {"since": last - 2})[0] == "0"
        assert event(old)[0] == "connection_established"
        assert event(old)[1] == want[-2:]


def live(s, tenant, publish):
    """What everybody hears who listens while it is published."""
    ws, flat, sse = s.ws(tenant), s.ws(tenant, offer="permessage-deflate"), s.sse(tenant)
    clients = [(t(s.port, f"tenant={tenant}"), nsp) for t in (Polling, Socket) for nsp in ("/", "/events")]
    for client, nsp in clients:
        joined(client, nsp)
    sent = publish()
    assert ws.events(len(sent)) == sent and flat.events(len(sent)) == sent
    assert sse.events(len(sent)) == sent
    for client, nsp in clients:
        assert created(client, len(sent), nsp) == sent
    return sent


@pytest.mark.parametrize("store", ["memory", "sqlite", "postgres"])
def test_everywhere(tmp_path, store):
    """The event that was answered is what everybody gets; from a database over restarts, and after kill -9."""
    uri = {"memory": "memory:", "sqlite": f"sqlite:{tmp_path}/log.db"}.get(store) or Postgres.shared().uri(
        Postgres.shared().new()
    )
    flags = ("--threads", "2") + (() if store == "memory" else ("--buffer-size", "2"))
    key = [("Idempotency-Key", "k")]
    big = {"message": "word " * 200}  # to be deflated

    def publish():
        """Some of each kind."""
        one = post(s, "t", big, TRACE).json()
        two = post(s, "t", {"message": "word"}).json()
        more = post(s, "t", [{"message": "word"}, big], OTHER, path="/api/v1/events/batch").json()["events"]
        last = post(s, "t", {"message": "word"}, THIRD, more=key).json()
        assert [e.get("traceparent") for e in (one, two, *more, last)] == [TRACE, None, OTHER, OTHER, THIRD]
        return [one, two, *more, last]

    def repeat():
        """The first event, whoever asks again."""
        for text in ([OTHER], []):
            r = post(s, "t", {"message": "word"}, *text, more=key)
            assert r.header("Idempotent-Replayed") == "true" and r.json() == want[-1], r

    with Server(*flags, store=uri) as s:
        want = live(s, "t", publish)
        through_lists(s, "t", want)
        repeat()
        if store != "memory":
            s.crash()
    for _ in range(2 if store != "memory" else 0):
        with Server(*flags, store=uri) as s:
            through_lists(s, "t", want)
            repeat()


def test_a_backup(tmp_path):
    """It has them, too."""
    with Server(store=f"sqlite:{tmp_path}/log.db") as s:
        want = [post(s, "t", {"message": "word"}, t).json() for t in (TRACE, OTHER)]
        assert run("backup", f"{tmp_path}/copy.db", "--store", f"sqlite:{tmp_path}/log.db")[0] == 0
    with Server("--buffer-size", "1", store=f"sqlite:{tmp_path}/copy.db") as s:
        assert s.get("/events?order=asc&since=0", "t").json()["events"] == want
