"""Budgets of memory hold for what is kept of those who do not go on: messages that are not whole, answers that are not read,
subscribers who only sit there, and what would never fit."""

import base64
import contextlib
import json

import pytest

from harness import Closed, Eof, Http, Polling, SANITIZED, Server, Socket, joined, problem, until
from harness.metrics import scrape
from harness.websocket import BINARY, TEXT, Refused, frame

MIB = 1 << 20
JSON = {"Content-Type": "application/json"}
PATIENT = "--request-timeout", "600s"  # what is sent away is so for its memory
HALF = b'{"message":"' + b"a" * 900_000


def to(tenant):
    return {"X-Tenant-ID": tenant, **JSON}


def fill(s, tenant, count=500):
    for _ in range(count):
        assert s.post(tenant, b'{"message":"%s"}' % (b"x" * 2000)).status == 201


# Each begins something and does not go on with it. A connection, and what it is told when it is sent away.


def told_503(conn):
    r = conn.response("POST")
    problem(r, 503, "unavailable")
    assert int(r.header("Retry-After")) >= 1 and "close" in r.tokens("Connection")


def half_body(s, tenant):
    conn = s.http()
    head = "".join(f"{k}: {v}\r\n" for k, v in to(tenant).items())
    conn.send(f"POST /events HTTP/1.1\r\nHost: x\r\n{head}Content-Length: 1000000\r\n\r\n".encode() + HALF)
    return conn, told_503


def half_chunks(s, tenant):
    conn = s.http()
    head = "".join(f"{k}: {v}\r\n" for k, v in to(tenant).items())
    chunk = b"%x\r\n" % len(HALF) + HALF + b"\r\n"
    conn.send(f"POST /events HTTP/1.1\r\nHost: x\r\n{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunk)
    return conn, told_503


def told_1013(ws):
    with pytest.raises(Closed) as closed:
        while True:
            ws.recv_json()
    assert closed.value.code == 1013 and "memory" in closed.value.reason, closed.value


def half_frame(s, tenant):
    ws = s.ws(tenant)
    ws.send_raw(frame(TEXT, HALF)[:-10])
    return ws, told_1013


def half_message(s, tenant):
    ws = s.ws(tenant)
    ws.send_raw(frame(TEXT, HALF, fin=False, key=b"\0\0\0\0"))
    return ws, told_1013


class Session(Polling):
    """One of Engine.IO that its tenant's namespace knows, on long-polling: its requests have been answered."""

    def __init__(self, s, tenant):
        super().__init__(s.port, f"tenant={tenant}")
        joined(self)

    def close(self):
        """Nothing more of it is read while answers wait, so it polls as well."""
        conn = Http(self.port)
        conn.send(conn.build("POST", self.target(), self.headers, b"1"))
        self.request("GET")
        conn.close()


def told_anew(session):
    """Its session is known no longer, or says good-bye."""
    r = session.request("GET")
    if r.body == b"2":
        raise TimeoutError("it may stay")
    assert (r.status, r.body) == (200, b"1") or r.json()["code"] == 1, r


def half_attachments(s, tenant):
    client = s.keep(Socket(s.port, f"tenant={tenant}"))
    try:
        joined(client)
    except Closed as closed:
        assert closed.code == 1013, closed
        raise Eof from closed  # while memory is short
    client.send(TWO_ATTACHMENTS)
    client.ws.send_raw(frame(BINARY, HALF))
    return client.ws, told_1013


def half_attachments_polled(s, tenant):
    """Base64 is a third more: this is what one payload may have. There can be more of them."""
    session = Session(s, tenant)
    if session.post(TWO_ATTACHMENTS, "b" + base64.b64encode(HALF[:700_000]).decode()).status == 503:
        raise Eof  # that alone was too much
    return session, told_anew


TWO_ATTACHMENTS = '452-["post_event",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]'
KINDS = half_body, half_chunks, half_frame, half_message
KINDS_OF_SESSIONS = half_attachments, half_attachments_polled


def sent_away(s):
    """For what they have begun, or for what they have not read yet of their greeting."""
    metrics = scrape(s)
    return sum(metrics.sum(f"carillon_memory_shed_{what}_total") for what in ("connections", "subscribers"))


@pytest.mark.parametrize("begin", KINDS + KINDS_OF_SESSIONS)
@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_what_is_not_whole_counts(begin, kind, tmp_path):
    """Forty connections hold back 36 MB: the tenant has 2 MiB. They are told; its publishers and others go on."""
    store = "memory:" if kind == "memory" else f"sqlite:{tmp_path}/log.db"
    with Server("--threads", "2", "--tenant-memory", 2 * MIB, "--max-body-bytes", MIB, *PATIENT, store=store) as s:
        reader = s.ws("other")
        before = s.process.peak()
        gone = 0
        held = []
        for _ in range(40):
            with contextlib.suppress(Eof):  # it was told before it had said all that
                held.append(begin(s, "hog"))
        until(lambda: sent_away(s) >= 36, "they are sent away")
        for conn, told in held:
            with contextlib.suppress(Eof, TimeoutError):
                if gone < 10:
                    told(conn)
                    gone += 1
        assert gone >= 5
        if not SANITIZED:
            assert s.process.peak() < before + 20 * MIB
        event = s.publish("other", "here")
        assert reader.events(1) == [event]
        until(lambda: s.post("hog", b'{"message":"a"}').status == 201, "there is room to publish")
        kinds = scrape(s).of("carillon_memory_bytes", "kind")
        assert kinds["input"] <= 2 * MIB
        for conn, _ in held:
            conn.close()
        until(lambda: scrape(s).of("carillon_memory_bytes", "kind")["input"] == 0, "nothing is held")


def test_one_large_message_is_no_fault(tmp_path):
    """Where the tenant has history in memory that its database has as well, that makes room for what comes slowly."""
    with Server("--threads", "1", "--tenant-memory", 2 * MIB, "--max-body-bytes", MIB, store=f"sqlite:{tmp_path}/log.db") as s:
        fill(s, "t", 900)
        body = json.dumps({"message": "m", "metadata": {"pad": "y" * 900_000}}).encode()
        conn = s.http()
        request = conn.build("POST", "/events", to("t"), body)
        conn.send(request[:700_000])
        until(lambda: scrape(s).of("carillon_memory_bytes", "kind")["input"] >= 600_000, "that has come")
        conn.send(request[700_000:])
        assert conn.response("POST").status == 201


@pytest.mark.skipif(SANITIZED, reason="the sanitizers' own memory is most of it")
@pytest.mark.parametrize("begin", KINDS)
def test_the_process_is_short(begin):
    """Who holds it back pays, and the tenant that was there before publishes and is read as ever."""
    budget = 64 * MIB
    with Server("--threads", "2", "--max-memory", budget, "--max-body-bytes", MIB, *PATIENT, store="memory:") as s:
        reader = s.ws("quiet")
        fill(s, "quiet", 200)
        reader.events(200)
        if begin in (half_frame, half_message):
            idle = [s.ws("hog") for _ in range(200)]
            half = frame(TEXT, HALF, fin=False, key=b"\0\0\0\0") if begin is half_message else frame(TEXT, HALF)[:-10]
            for ws in idle:
                with contextlib.suppress(Eof):
                    ws.send_raw(half)
        else:
            for _ in range(200):
                with contextlib.suppress(Eof, OSError):
                    begin(s, "hog")
        until(lambda: any("short: " in line for line in s.process.lines), "memory is short")
        for n in range(100):
            event = s.publish("quiet", f"q{n}")
            assert reader.events(1) == [event]
        # A quarter more is for what comes before it was noticed, on a machine that others use; 180 MB are offered.
        assert s.process.peak() < budget + budget // 4, f"{s.process.peak() >> 20} of {budget >> 20} MiB"
        reader.alive()


@pytest.mark.skipif(SANITIZED, reason="the sanitizers' own memory is most of it")
def test_what_is_nobodys_counts_for_the_process():
    """Bodies of requests that show no credential are refused first where the process is short, and only then."""
    budget = 64 * MIB
    with Server("--threads", "2", "--max-memory", budget, "--max-body-bytes", MIB, *PATIENT, "--tenant-memory", MIB, store="memory:") as s:
        reader = s.ws("quiet")
        conns = []
        for n in range(90):
            with contextlib.suppress(Eof, OSError):
                conn = s.http()
                conn.send(b"POST /events HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" + HALF)
                conns.append(conn)
            if n == 20:
                assert scrape(s).values["carillon_memory_shed_connections_total", ()] == 0
        assert s.process.peak() < budget + budget // 8, f"{s.process.peak() >> 20} MiB"
        for n in range(50):
            event = s.publish("quiet", f"q{n}")
            assert reader.events(1) == [event]


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_answers_that_are_not_read(kind, tmp_path):
    """A hundred ask for a list of 1 MB and do not read it: a few get it, and the others are told to come back. Who reads is
    served again when those have gone."""
    store = "memory:" if kind == "memory" else f"sqlite:{tmp_path}/log.db"
    with Server("--threads", "2", "--tenant-memory", 4 * MIB, store=store) as s:
        fill(s, "hog", 500)
        fill(s, "other", 20)
        before = s.process.peak()
        askers = [s.http(rcvbuf=4096) for _ in range(100)]
        for conn in askers:
            conn.send(conn.build("GET", "/events?limit=500", to("hog")))
        until(lambda: scrape(s).of("carillon_memory_bytes", "kind")["output"] > MIB, "some wait")
        assert s.get("/events?limit=20", "other").status == 200
        if not SANITIZED:
            assert s.process.peak() < before + 40 * MIB, f"{(s.process.peak() - before) >> 20} MiB"
        statuses = []
        for conn in askers:
            with contextlib.suppress(Eof):
                statuses.append(conn.response().status)
        assert 503 in statuses and 200 in statuses
        r = s.get("/events?limit=500", "hog")
        assert r.status == 200 and len(r.json()["events"]) == 500


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_answers_that_nobody_polls(kind, tmp_path):
    """Forty sessions on long-polling ask for 1 MB each and do not poll. What waits for them is the tenant's memory: they
    go, or are told that there is none. Others are served, and so is who polls."""
    store = "memory:" if kind == "memory" else f"sqlite:{tmp_path}/log.db"
    with Server("--threads", "2", "--tenant-memory", 4 * MIB, store=store) as s:
        fill(s, "hog", 500)
        before = s.process.peak()
        sessions = []
        for _ in range(40):
            with contextlib.suppress(AssertionError):  # while memory is short one is refused
                sessions.append(Session(s, "hog"))
                sessions[-1].send('421["replay",{"since":0,"limit":500}]')
        assert len(sessions) >= 4
        assert s.publish("other", "here")["seq"] == 1
        if not SANITIZED:
            assert s.process.peak() < before + 20 * MIB, f"{(s.process.peak() - before) >> 20} MiB"
        until(lambda: s.post("hog", b'{"message":"a"}').status == 201, "there is room to publish")

        def is_served():
            try:
                reader = Session(s, "hog")
                sessions.append(reader)
                reader.send('421["replay",{"since":0,"limit":500}]')
                return any(reader.next().startswith("431") for _ in range(10))
            except AssertionError:  # it came while memory was short again
                return False

        until(is_served, "who polls is served")
        for session in sessions:
            session.close()
        until(lambda: scrape(s).of("carillon_memory_bytes", "kind")["output"] == 0, "nothing is held")


def test_a_payload_that_waits_to_be_read():
    """What is left of it, while what it makes the server say is not polled, counts as well."""
    with Server("--threads", "1", "--tenant-memory", 2 * MIB, "--max-body-bytes", MIB, store="memory:") as s:
        sessions = [Session(s, "hog") for _ in range(20)]
        payload = "\x1e".join('421["nothing"]' for _ in range(14_000)).encode()
        posts = []
        for session in sessions:
            posts.append(s.http())
            posts[-1].send(posts[-1].build("POST", session.target(), {}, payload))
            assert s.get("/livez").status == 200  # so that hardly two of them are on their way at a time
        gone = "carillon_memory_shed_connections_total", "carillon_memory_shed_subscribers_total"
        until(lambda: sum(map(scrape(s).sum, gone)) >= 14, "they are sent away")
        kinds = scrape(s).of("carillon_memory_bytes", "kind")
        assert kinds["input"] + kinds["output"] <= 2 * MIB
        for conn in [c for c in posts if not c.wire.quiet(0.05)]:  # the others still wait for a poll
            r = conn.response("POST")
            assert r.status == 503 and int(r.header("Retry-After")) >= 1, r
        until(lambda: s.post("hog", b'{"message":"a"}').status == 201, "there is room to publish")
        for session in sessions:
            session.close()
        until(lambda: scrape(s).of("carillon_memory_bytes", "kind")["input"] == 0, "nothing is held")


def test_attachments_before_a_namespace_is_connected():
    """Nobody is there whose memory they could be."""
    with Server("--threads", "1", "--tenant-memory", MIB, store="memory:") as s:
        client = s.keep(Socket(s.port, "tenant=t"))
        client.send(TWO_ATTACHMENTS)
        client.ws.closes_with(1002)


def test_who_never_reads_an_answer_is_cut():
    """While the tenant is over its budget, connections whose answers have waited for long are closed."""
    with Server("--threads", "1", "--tenant-memory", 4 * MIB, store="memory:") as s:
        fill(s, "hog", 500)
        askers = [s.http(rcvbuf=4096) for _ in range(20)]
        for conn in askers:
            conn.send(conn.build("GET", "/events?limit=500", to("hog")))
        name = "carillon_memory_shed_connections_total"
        until(lambda: scrape(s).values[name, ()] >= 1, "some are cut")
        until(lambda: s.get("/events?limit=500", "hog").status == 200, "there is room again")
        assert s.post("hog", b'{"message":"a"}').status == 201


def test_subscribers_leave_room_to_publish():
    """They may use half of the tenant's memory; one more is told to come back, whatever it speaks."""
    with Server("--threads", "2", "--tenant-memory", "256KiB", store="memory:") as s:
        there = []
        for _ in range(256):
            there.append(s.ws("t"))
        with pytest.raises(Refused) as refused:
            s.ws("t")
        problem(refused.value.response, 503, "unavailable")
        assert int(refused.value.response.header("Retry-After")) >= 1
        r = s.get("/api/v1/events/stream", "t")
        problem(r, 503, "unavailable")
        assert scrape(s).values["carillon_memory_refused_subscribers_total", ()] == 2
        event = s.publish("t", "here")
        assert there[0].events(1) == [event] and there[255].events(1) == [event]
        s.ws("u").close()
        there[0].close()
        until(lambda: any(True for _ in [s.get("/health")] if _.json()["connections"] <= 257), "it has gone")


def test_what_never_fits():
    """Waiting would not help: 413, and nothing about when to come back."""
    with Server("--threads", "1", "--tenant-memory", "256KiB", "--max-body-bytes", MIB, store="memory:") as s:
        big = {"message": "m", "metadata": {"pad": "y" * 400_000}}
        batch = [{"message": "m", "metadata": {"pad": "y" * 10_000}}] * 40
        for path, body in ("/events", big), ("/api/v1/events/batch", batch):
            r = s.post("t", json.dumps(body).encode(), path=path)
            problem(r, 413, "too_large")
            assert r.header("Retry-After") is None
        s.request("GET", "/livez")  # a new connection, where the last was closed
        ws = s.ws("t")
        ws.send_json({"type": "post_event", "ref": 1, **big})
        ws.closes_with(1009)
        assert s.post("t", b'{"message":"a"}').status == 201
