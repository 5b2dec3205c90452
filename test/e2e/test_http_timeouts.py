"""Requests that do not come, come slowly, or come to a full house."""

import time

import pytest

from harness import Eof, Http, Refused, Server, WAIT, problem, until

EVENT = b'{"message":"x"}'
JSON = {"Content-Type": "application/json"}


def post(*fields, body=b"", line="POST /events?tenant=tenant_a HTTP/1.1"):
    return (
        "\r\n".join((line, "Host: x", "Content-Type: application/json", *fields)).encode("latin-1") + b"\r\n\r\n" + body
    )


CHUNKED = "Transfer-Encoding: chunked"


# Timeouts


@pytest.fixture(scope="module")
def hasty():
    with Server("--request-timeout", "1s", "--idle-timeout", "1s", "--ping-interval", "200ms") as s:
        yield s


STALLS = {
    "in the method": b"GE",
    "in the target": b"GET /li",
    "after the request line": b"GET /livez HTTP/1.1\r\n",
    "in a header": b"GET /livez HTTP/1.1\r\nHost: x\r\nX-A: b",
    "before the last empty line": b"GET /livez HTTP/1.1\r\nHost: x\r\n",
    "before the body": post("Content-Length: 15"),
    "in the body": post("Content-Length: 15", body=EVENT[:5]),
    "in a chunk size": post(CHUNKED, body=b"f"),
    "in a chunk": post(CHUNKED, body=b"f\r\n{"),
    "before the last chunk": post(CHUNKED, body=b"f\r\n" + EVENT + b"\r\n"),
    "in the trailers": post(CHUNKED, body=b"f\r\n" + EVENT + b"\r\n0\r\nX-A: b\r\n"),
}


def test_stalled_requests_time_out(hasty):
    clients = []
    for name, data in STALLS.items():
        c = hasty.http()
        c.send(data)
        clients.append((name, c))
    for name, c in clients:
        r = c.response("POST")
        assert r.status == 408, (name, r)
        problem(r, 408, "request_timeout")
        assert "close" in r.tokens("Connection"), (name, r)
        assert c.ends(), name
    assert hasty.get("/events/stats", "tenant_a").json()["total"] == 0


def test_trickled_requests_time_out(hasty):
    """The whole request has its time, not each byte."""
    for data in (
        b"GET /livez HTTP/1.1\r\nHost: x\r\nX-A: " + b"y" * 400,
        post("Content-Length: 1000", body=b" " * 900),
    ):
        c = hasty.http()
        start = time.monotonic()
        sent = 0
        with pytest.raises(Eof):
            c.send(data[:-390])
            for at in range(len(data) - 390, len(data)):
                c.send(data[at : at + 1])
                sent += 1
                if not c.wire.quiet(0.1):
                    raise Eof
                assert time.monotonic() - start < WAIT
        try:
            problem(c.response("POST"), 408, "request_timeout")
        except Eof:
            pass  # lost to the reset, as bytes were still under way


def test_silent_connections_are_closed(hasty):
    never, once = hasty.http(), hasty.http()
    assert once.request("GET", "/livez").status == 200
    assert once.ends(), "an idle connection gets no answer, only an end"
    try:
        r = never.response()
        assert r.status == 408
    except Eof:
        pass
    again = hasty.http()
    for _ in range(4):
        assert again.request("GET", "/livez").status == 200
        time.sleep(0.3)


def test_streams_are_not_timed_out(hasty):
    tenant = hasty.tenant()
    ws, sse = hasty.ws(tenant), hasty.sse(tenant)
    ws.answer_pings(12)  # well over two seconds
    r = hasty.http().request("POST", f"/events?tenant={tenant}", JSON, b'{"message":"still here"}')
    assert r.status == 201
    assert ws.events(1)[0]["message"] == "still here"
    assert sse.events(1)[0]["message"] == "still here"


def test_many_stalled_connections_do_not_hinder_others(hasty):
    crowd = []
    for _ in range(200):
        crowd.append(hasty.http())
        crowd[-1].send(b"POST /events?tenant=tenant_a HTTP/1.1\r\nHost: x\r\n")
    for _ in range(20):
        assert hasty.get("/livez").status == 200
    for c in crowd:
        assert c.response("POST").status == 408
        c.close()


def test_max_connections():
    with Server("--max-connections", "5") as s:
        held = [s.http() for _ in range(5)]
        for c in held:
            assert c.request("GET", "/livez").status == 200
        over = s.http()
        over.send(over.build("GET", "/livez"))
        r = over.response()
        problem(r, 503, "unavailable")
        assert int(r.header("Retry-After")) >= 0
        assert "close" in r.tokens("Connection") and over.ends()
        assert held[0].request("GET", "/livez").status == 200
        held.pop().close()

        def admitted():
            c = Http(s.port)
            try:
                return c.request("GET", "/livez").status == 200
            except Eof:
                return False
            finally:
                c.close()

        until(admitted, "a place that became free is given away")
        # Upgraded connections count as well.
        for c in held:
            c.close()
        until(admitted, "places free again")
        streams = []

        def join():
            try:
                streams.append(s.ws("tenant_a"))
                return len(streams) == 5
            except (Refused, Eof):
                return False

        until(join, "five streams")
        over = s.http()
        try:
            over.send(over.build("GET", "/livez"))
            problem(over.response(), 503, "unavailable")
        except Eof:
            raise AssertionError("closed without an answer") from None
