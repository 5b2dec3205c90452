"""HTTP/1.1 itself: framing, limits, timeouts, methods, static files, CORS."""

import gzip
import json
import re
import time
from html.parser import HTMLParser

import pytest

from harness import (
    NOWHERE,
    WAIT,
    Eof,
    Http,
    Refused,
    Server,
    WebSocket,
    check_event,
    in_chunks,
    problem,
    refused,
    scaled,
    until,
)

EVENT = b'{"message":"x"}'
JSON = {"Content-Type": "application/json"}

# Every path of this version with the methods it answers besides OPTIONS.
RESOURCES = {
    "/events": {"GET", "HEAD", "POST"},
    "/api/events": {"GET", "HEAD", "POST"},
    "/api/v1/events": {"GET", "HEAD", "POST"},
    f"/events/{NOWHERE}": {"GET", "HEAD"},
    f"/api/events/{NOWHERE}": {"GET", "HEAD"},
    f"/api/v1/events/{NOWHERE}": {"GET", "HEAD"},
    "/events/stats": {"GET", "HEAD"},
    "/api/events/stats": {"GET", "HEAD"},
    "/api/v1/events/stats": {"GET", "HEAD"},
    "/api/v1/events/stream": {"GET", "HEAD"},
    "/ws": {"GET", "HEAD"},
    "/api/v1/ws": {"GET", "HEAD"},
    "/api/v1/tenants": {"GET", "HEAD"},
    "/api/health": {"GET", "HEAD"},
    "/health": {"GET", "HEAD"},
    "/livez": {"GET", "HEAD"},
    "/readyz": {"GET", "HEAD"},
    "/": {"GET", "HEAD"},
}


@pytest.fixture(scope="module")
def server():
    with Server() as s:
        yield s


@pytest.fixture
def conn(server):
    c = Http(server.port)
    yield c
    c.close()


def raw(server, data, method="GET"):
    """The answer to exactly these bytes, and the connection."""
    c = server.http()
    c.send(data if isinstance(data, bytes) else data.encode("latin-1"))
    return c.response(method), c


# Connections and their order


def test_keep_alive(server, conn):
    for i in range(200):
        r = conn.request("POST", "/events?tenant=keep", JSON, EVENT)
        assert r.status == 201 and r.json()["seq"] == i + 1
        assert "close" not in r.tokens("Connection")


def test_connection_close_is_kept(server, conn):
    r = conn.request("GET", "/livez", {"Connection": "close"})
    assert r.status == 200 and "close" in r.tokens("Connection")
    assert conn.ends()


def test_nothing_after_connection_close_is_answered(server, conn):
    tenant = server.tenant()
    head = {**JSON, "X-Tenant-ID": tenant}
    one = conn.build("POST", "/events", {**head, "Connection": "Keep-Alive, Close"}, EVENT)
    conn.send(one + conn.build("POST", "/events", head, EVENT))
    assert conn.response("POST").status == 201
    assert conn.ends()
    assert server.get("/events/stats", tenant).json()["total"] == 1


def test_http_1_0(server):
    r, c = raw(server, "GET /livez HTTP/1.0\r\n\r\n")
    assert r.status == 200 and c.ends()
    r, c = raw(server, "GET /livez HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n")
    assert r.status == 200
    if "keep-alive" in r.tokens("Connection"):
        assert c.request("GET", "/livez").status == 200
    else:
        assert c.ends()


def mixed(c, tenant):
    """Fifty requests of every kind, as (method, bytes, check of the answer)."""
    t = {"X-Tenant-ID": tenant}
    j = {**t, **JSON}
    out, posted = [], 0
    for i in range(50):
        kind = i % 10
        if kind in (0, 5):
            posted += 1
            body = json.dumps({"message": f"m{i}"}).encode()
            more = {"chunked": kind == 5}
            out.append(
                (
                    "POST",
                    c.build("POST", "/events", j, body, **more),
                    lambda r, i=i, n=posted: r.status == 201
                    and r.json()["message"] == f"m{i}"
                    and r.json()["seq"] == n,
                )
            )
        elif kind == 1:
            out.append(
                (
                    "GET",
                    c.build("GET", "/api/v1/events?limit=1", t),
                    lambda r, n=posted: r.status == 200 and r.json()["events"][0]["seq"] == n,
                )
            )
        elif kind == 2:
            out.append(
                (
                    "HEAD",
                    c.build("HEAD", "/api/v1/events?limit=1", t),
                    lambda r: r.status == 200 and r.header("Content-Length") != "0",
                )
            )
        elif kind == 3:
            out.append(("GET", c.build("GET", f"/nowhere/{i}"), lambda r: bool(problem(r, 404, "not_found"))))
        elif kind == 4:
            out.append(
                ("DELETE", c.build("DELETE", "/events", t), lambda r: bool(problem(r, 405, "method_not_allowed")))
            )
        elif kind == 6:
            out.append(("OPTIONS", c.build("OPTIONS", "/events"), lambda r: r.status in (200, 204)))
        elif kind == 7:
            out.append(("POST", c.build("POST", "/events", j, b"{"), lambda r: bool(problem(r, 400, "bad_request"))))
        elif kind == 8:
            out.append(
                (
                    "GET",
                    c.build("GET", "/events/stats", t),
                    lambda r, n=posted: r.status == 200 and r.json()["last_seq"] == n,
                )
            )
        else:
            out.append(
                (
                    "GET",
                    c.build("GET", "/events", {**t, "X-Request-Id": f"rid-{i}"}),
                    lambda r, i=i: r.header("X-Request-Id") == f"rid-{i}",
                )
            )
    return out


@pytest.mark.parametrize("step", [0, 1, 3, 100, 1447])
def test_pipelining(server, conn, step):
    """Answered in order, however the bytes are cut."""
    todo = mixed(conn, server.tenant())
    data = b"".join(request for _, request, _ in todo)
    if step == 0:
        conn.send(data)
    else:
        for at in range(0, len(data), step):
            conn.send(data[at : at + step])
    for n, (method, _, check) in enumerate(todo):
        r = conn.response(method)
        assert check(r), (n, method, r)
    assert conn.wire.quiet(0.1)


def test_pipelining_deeply(server, conn):
    """More requests than anyone would hold answers for, sent by a client that reads late."""
    tenant, n = server.tenant(), scaled(3000)
    one = conn.build("POST", "/events", {**JSON, "X-Tenant-ID": tenant}, EVENT)
    sent = 0
    conn.wire.sock.setblocking(False)
    data = one * n
    stuck = time.monotonic()
    while sent < len(data):
        try:
            sent += conn.wire.sock.send(data[sent : sent + 65536])
            stuck = time.monotonic()
        except BlockingIOError:
            # The server may stop reading until its answers are taken; so they are, after a while.
            if time.monotonic() - stuck > 0.2:
                try:
                    conn.wire.buf += conn.wire.sock.recv(65536)
                except BlockingIOError:
                    time.sleep(0.01)
    seqs = []
    for _ in range(n):
        r = conn.response("POST")
        assert r.status == 201, r
        seqs.append(r.json()["seq"])
    assert seqs == list(range(1, n + 1))


def test_leading_empty_lines(server):
    r, _ = raw(server, "\r\n\r\nGET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
    assert r.status == 200


# Bodies


@pytest.mark.parametrize("size", [1, 2, 7, 100])
def test_chunked(server, conn, size):
    body = json.dumps({"message": "chunk " * 20, "metadata": {"a": list(range(50))}}).encode()
    head = conn.build("POST", "/events?tenant=chunks", {**JSON, "Transfer-Encoding": "chunked"})
    conn.send(head + in_chunks(body, size))
    e = conn.response("POST").json()
    assert e["message"] == "chunk " * 20 and e["metadata"] == {"a": list(range(50))}
    assert conn.request("GET", "/livez").status == 200


@pytest.mark.parametrize(
    "chunks",
    [
        b"F\r\n" + EVENT + b"\r\n0\r\n\r\n",
        b"00000f\r\n" + EVENT + b"\r\n000\r\n\r\n",
        b"f;ext\r\n" + EVENT + b"\r\n0;last\r\n\r\n",
        b'f;name=value;q="a b"\r\n' + EVENT + b"\r\n0\r\n\r\n",
        b"f\r\n" + EVENT + b"\r\n0\r\nX-Trailer: 1\r\nOther: x\r\n\r\n",
    ],
)
def test_chunked_forms(server, conn, chunks):
    conn.send(conn.build("POST", "/events?tenant=chunks", {**JSON, "Transfer-Encoding": "Chunked"}) + chunks)
    assert conn.response("POST").status == 201
    assert conn.request("GET", "/livez").status == 200


def test_trailers_are_not_headers(server, conn):
    trailer = b"f\r\n" + EVENT + b"\r\n0\r\nX-Tenant-ID: tenant_b\r\n\r\n"
    conn.send(conn.build("POST", "/events?tenant=tenant_a", {**JSON, "Transfer-Encoding": "chunked"}) + trailer)
    r = conn.response("POST")
    assert r.status == 400 or r.status == 201 and r.json()["tenant_id"] == "tenant_a", r


def test_body_of_a_get_is_read_away(server, conn):
    conn.send(conn.build("GET", "/livez", None, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"))
    assert conn.response().status == 200
    assert conn.request("GET", "/nowhere").status == 404


def test_unread_bodies_of_refused_requests(server, conn):
    """An early refusal does not let the body be taken for the next request."""
    evil = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
    for method, target, status in (("POST", "/nowhere", 404), ("PUT", "/events", 405), ("POST", "/events", 401)):
        c = server.http()
        c.send(c.build(method, target, JSON, evil))
        assert c.response(method).status == status
        try:
            assert c.request("GET", "/nowhere-else").status == 404
        except Eof:
            pass  # closing is an honest way out as well


def test_expect_continue(server, conn):
    tenant = server.tenant()
    conn.send(
        conn.build(
            "POST",
            "/events",
            {**JSON, "X-Tenant-ID": tenant, "Expect": "100-continue", "Content-Length": str(len(EVENT))},
        )
    )
    assert conn.head().status == 100
    conn.send(EVENT)
    r = conn.response("POST", skip_100=False)
    assert r.status == 201
    # Sent with the body at once: a 100 is of no use, but harmless.
    conn.send(conn.build("POST", "/events", {**JSON, "X-Tenant-ID": tenant, "Expect": "100-Continue"}, EVENT))
    assert conn.response("POST").json()["seq"] == 2
    # Chunked, and a request after it.
    conn.send(
        conn.build(
            "POST", "/events", {**JSON, "X-Tenant-ID": tenant, "Expect": "100-continue", "Transfer-Encoding": "chunked"}
        )
    )
    assert conn.head().status == 100
    conn.send(in_chunks(EVENT))
    assert conn.response("POST").json()["seq"] == 3
    assert conn.request("GET", "/livez").status == 200


def test_expect_continue_refused(server):
    head = {**JSON, "X-Tenant-ID": "tenant_a", "Expect": "100-continue"}
    for change, status, code in (
        ({"Content-Length": str(2**20 + 1)}, 413, "too_large"),
        ({"Content-Length": "10", "X-Tenant-ID": "-"}, None, None),
    ):
        c = server.http()
        c.send(c.build("POST", "/events", {**head, **change}))
        r = c.head()
        if status is None and r.status == 100:
            continue  # checked after the body came: allowed
        assert r.status >= 400, r
        r.body = c.body(r)
        if status:
            problem(r, status, code)


def test_no_continue_to_http_1_0(server):
    c = server.http()
    c.send(
        b"POST /events?tenant=old HTTP/1.0\r\nContent-Type: application/json\r\n"
        b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(EVENT) + EVENT
    )
    assert c.response("POST", skip_100=False).status == 201


# Methods and paths


@pytest.mark.parametrize("path", RESOURCES)
def test_options(server, conn, path):
    r = conn.request("OPTIONS", path)
    assert r.status in (200, 204), r
    allow = {m.upper() for m in r.tokens("Allow")}
    assert RESOURCES[path] | {"OPTIONS"} <= allow, r
    assert r.body == b""
    assert conn.request("GET", "/livez").status == 200


@pytest.mark.parametrize("path", RESOURCES)
def test_head(server, conn, path):
    tenant = "tenant_a"
    stream = path.endswith("/stream")
    head = conn.request("HEAD", path, {"X-Tenant-ID": tenant})
    if stream:
        assert head.status == 200 and head.header("Content-Type", "").startswith("text/event-stream"), head
    else:
        get = conn.request("GET", path, {"X-Tenant-ID": tenant})
        assert head.status == get.status, (head, get)
        assert head.header("Content-Type") == get.header("Content-Type")
        if "health" not in path:
            assert head.header("Content-Length") == get.header("Content-Length")
    assert conn.request("GET", "/livez").status == 200


@pytest.mark.parametrize("path", RESOURCES)
def test_method_not_allowed(server, path):
    for method in ("POST", "PUT", "DELETE", "PATCH", "TRACE"):
        if method in RESOURCES[path] or method == "POST" and path == "/api/v1/tenants":
            continue
        r = server.request(method, path, {"X-Tenant-ID": "tenant_a"}, None if method == "TRACE" else b"")
        problem(r, 405, "method_not_allowed")
        allow = {m.upper() for m in r.tokens("Allow")}
        assert RESOURCES[path] <= allow and method not in allow, r


@pytest.mark.parametrize("method", ["FOO", "get", "Post", "PROPFIND", "X" * 100])
def test_odd_methods(server, method):
    r, c = raw(server, f"{method} /events HTTP/1.1\r\nHost: x\r\n\r\n")
    assert r.status in (400, 405, 501), r


@pytest.mark.parametrize(
    "path",
    [
        "/nowhere",
        "/api",
        "/api/v1",
        "/api/v2/events",
        "/events/",
        "/wss",
        "/EVENTS",
        "/api/v1/events/stats/x",
        "//events",
        "/index.html/x",
        "/../../../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/..%2f..%2fetc/passwd",
        "/./livez",
        "/static/../../etc/passwd",
        "/%00",
        "/livez%00",
        "/livez/",
        "/\\..\\etc",
        "/~root",
    ],
)
def test_not_found(server, path):
    r = server.get(path, "tenant_a")
    assert r.status in ((404, 400) if "%00" in path or "\\" in path or ".." in path else (404,)), r
    problem(r, r.status, {404: "not_found", 400: "bad_request"}[r.status])


def test_absolute_form(server):
    r, c = raw(
        server,
        f"GET http://127.0.0.1:{server.port}/events?tenant=tenant_a HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n",
    )
    assert r.status == 200 and "events" in r.json()


def test_asterisk_form(server):
    r, c = raw(server, "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n")
    assert r.status in (200, 204), r
    r, c = raw(server, "GET * HTTP/1.1\r\nHost: x\r\n\r\n")
    assert r.status in (400, 404), r


def test_connect_is_no_tunnel(server):
    r, c = raw(server, "CONNECT example.org:80 HTTP/1.1\r\nHost: example.org:80\r\n\r\n")
    assert r.status in (400, 404, 405, 501), r


# Ambiguity about where a message ends


def post(*fields, body=b"", line="POST /events?tenant=tenant_a HTTP/1.1"):
    return (
        "\r\n".join((line, "Host: x", "Content-Type: application/json", *fields)).encode("latin-1") + b"\r\n\r\n" + body
    )


CHUNKED = "Transfer-Encoding: chunked"
AMBIGUOUS = {
    "length and chunked": post("Content-Length: 15", CHUNKED, body=in_chunks(EVENT)),
    "chunked and length": post(CHUNKED, "Content-Length: 15", body=in_chunks(EVENT)),
    "two lengths": post("Content-Length: 15", "Content-Length: 16", body=EVENT),
    "the same length twice": post("Content-Length: 15", "Content-Length: 15", body=EVENT),
    "a list of lengths": post("Content-Length: 15, 15", body=EVENT),
    "length with a plus": post("Content-Length: +15", body=EVENT),
    "negative length": post("Content-Length: -15", body=EVENT),
    "hex length": post("Content-Length: 0xf", body=EVENT),
    "length with text": post("Content-Length: 15a", body=EVENT),
    "length with inner space": post("Content-Length: 1 5", body=EVENT),
    "empty length": post("Content-Length: ", body=EVENT),
    "length in scientific form": post("Content-Length: 1e1", body=EVENT),
    "space before the colon": post("Content-Length : 15", body=EVENT),
    "tab before the colon": post("Transfer-Encoding\t: chunked", body=in_chunks(EVENT)),
    "chunked twice": post("Transfer-Encoding: chunked, chunked", body=in_chunks(EVENT)),
    "chunked in two fields": post(CHUNKED, CHUNKED, body=in_chunks(EVENT)),
    "chunked not last": post("Transfer-Encoding: chunked, identity", body=in_chunks(EVENT)),
    "chunked, gzip": post("Transfer-Encoding: chunked, gzip", body=in_chunks(EVENT)),
    "identity": post("Transfer-Encoding: identity", body=EVENT),
    "unknown coding": post("Transfer-Encoding: xchunked", body=in_chunks(EVENT)),
    "quoted coding": post('Transfer-Encoding: "chunked"', body=in_chunks(EVENT)),
    "coding with a parameter": post("Transfer-Encoding: chunked;q=1", body=in_chunks(EVENT)),
    "coding after a vertical tab": post("Transfer-Encoding: \x0bchunked", body=in_chunks(EVENT)),
    "empty coding": post("Transfer-Encoding: ", body=in_chunks(EVENT)),
    "chunked in HTTP/1.0": post(CHUNKED, body=in_chunks(EVENT), line="POST /events?tenant=tenant_a HTTP/1.0"),
    "obsolete folding": post("X-A: b", " c", "Content-Length: 15", body=EVENT),
    "folded coding": post("Transfer-Encoding:", " chunked", body=in_chunks(EVENT)),
    "folded with a tab": post("X-A: b", "\tc", "Content-Length: 15", body=EVENT),
    "space before the first field": b"GET /livez HTTP/1.1\r\n Host: x\r\n\r\n",
    "bare CR in a value": post("X-A: b\rTransfer-Encoding: chunked", "Content-Length: 15", body=EVENT),
    "bare CR ends a line": b"GET /livez HTTP/1.1\rHost: x\r\r",
    "bare CR in the request line": b"GET /livez\r HTTP/1.1\r\nHost: x\r\n\r\n",
    "CR CR LF": b"GET /livez HTTP/1.1\r\r\nHost: x\r\r\n\r\r\n",
    "NUL in a value": post("X-A: b\0c", "Content-Length: 15", body=EVENT),
    "NUL in a name": post("X-\0A: b", "Content-Length: 15", body=EVENT),
    "control in a value": post("X-A: b\x01c", "Content-Length: 15", body=EVENT),
    "DEL in a value": post("X-A: b\x7fc", "Content-Length: 15", body=EVENT),
    "empty name": post(": b", "Content-Length: 15", body=EVENT),
    "space in a name": post("X A: b", "Content-Length: 15", body=EVENT),
    "no colon": post("Content-Length 15", body=EVENT),
    "bracket in a name": post("X[A]: b", "Content-Length: 15", body=EVENT),
    "non-ASCII name": post("X-\xe9: b", "Content-Length: 15", body=EVENT),
    "chunk size missing": post(CHUNKED, body=b"\r\n" + EVENT + b"\r\n0\r\n\r\n"),
    "chunk size not hex": post(CHUNKED, body=b"g\r\n" + EVENT + b"\r\n0\r\n\r\n"),
    "chunk size negative": post(CHUNKED, body=b"-f\r\n" + EVENT + b"\r\n0\r\n\r\n"),
    "chunk size with a plus": post(CHUNKED, body=b"+f\r\n" + EVENT + b"\r\n0\r\n\r\n"),
    "chunk size with 0x": post(CHUNKED, body=b"0xf\r\n" + EVENT + b"\r\n0\r\n\r\n"),
    "chunk size after a space": post(CHUNKED, body=b" f\r\n" + EVENT + b"\r\n0\r\n\r\n"),
    "chunk size overflows": post(CHUNKED, body=b"1000000000000000f\r\n" + EVENT + b"\r\n0\r\n\r\n"),
    "chunk size overflows far": post(CHUNKED, body=b"f" * 40 + b"\r\n" + EVENT + b"\r\n0\r\n\r\n"),
    "chunk too long for its size": post(CHUNKED, body=b"e\r\n" + EVENT + b"\r\n0\r\n\r\n"),
    "chunk without its line end": post(CHUNKED, body=b"f\r\n" + EVENT + b"0\r\n\r\n"),
    "chunk ends in XX": post(CHUNKED, body=b"f\r\n" + EVENT + b"XX0\r\n\r\n"),
    "chunk size ended by LF": post(CHUNKED, body=b"f\n" + EVENT + b"\r\n0\r\n\r\n"),
    "chunk size ended by CR": post(CHUNKED, body=b"f\r" + EVENT + b"\r\n0\r\n\r\n"),
    "chunk data ended by LF": post(CHUNKED, body=b"f\r\n" + EVENT + b"\n0\r\n\r\n"),
    "CR in a chunk extension": post(CHUNKED, body=b"f;a\rb\r\n" + EVENT + b"\r\n0\r\n\r\n"),
    "LF in a chunk extension": post(CHUNKED, body=b"f;a\nb\r\n" + EVENT + b"\r\n0\r\n\r\n"),
    "NUL in a chunk extension": post(CHUNKED, body=b"f;a\0b\r\n" + EVENT + b"\r\n0\r\n\r\n"),
    "trailer without a colon": post(CHUNKED, body=b"f\r\n" + EVENT + b"\r\n0\r\nnonsense\r\n\r\n"),
    "trailer folded": post(CHUNKED, body=b"f\r\n" + EVENT + b"\r\n0\r\nA: b\r\n c\r\n\r\n"),
    "no Host": b"GET /livez HTTP/1.1\r\n\r\n",
    "two Hosts": b"GET /livez HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "the same Host twice": b"GET /livez HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
    "Host with a space": b"GET /livez HTTP/1.1\r\nHost: a b\r\n\r\n",
    "Host with a path": b"GET /livez HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "Host with a user": b"GET /livez HTTP/1.1\r\nHost: a@b\r\n\r\n",
    "Host as a list": b"GET /livez HTTP/1.1\r\nHost: a, b\r\n\r\n",
    "Host with a bad port": b"GET /livez HTTP/1.1\r\nHost: a:b\r\n\r\n",
    "three words before the version": b"GET /livez x HTTP/1.1\r\nHost: x\r\n\r\n",
    "tab in the request line": b"GET\t/livez\tHTTP/1.1\r\nHost: x\r\n\r\n",
    "control in the target": b"GET /li\x01vez HTTP/1.1\r\nHost: x\r\n\r\n",
    "NUL in the target": b"GET /li\0vez HTTP/1.1\r\nHost: x\r\n\r\n",
    "target without a slash": b"GET livez HTTP/1.1\r\nHost: x\r\n\r\n",
    "no target": b"GET HTTP/1.1\r\nHost: x\r\n\r\n",
    "lower-case version": b"GET /livez http/1.1\r\nHost: x\r\n\r\n",
    "version with a letter": b"GET /livez HTTP/1.x\r\nHost: x\r\n\r\n",
    "version with more digits": b"GET /livez HTTP/1.10\r\nHost: x\r\n\r\n",
    "another protocol": b"GET /livez ICY/1.1\r\nHost: x\r\n\r\n",
    "only a line": b"hello\r\n\r\n",
    "TLS to a plain port": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 32 + b"\r\n\r\n",
    "binary": bytes(range(256)) * 4,
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}
MAYBE_501 = {
    "identity",
    "unknown coding",
    "chunked, gzip",
    "chunked not last",
    "quoted coding",
    "coding with a parameter",
}


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_ambiguous_requests_are_refused(server, name):
    """400, and nothing of what follows is answered: neither side can know where it starts."""
    follow = b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Request-Id: smuggled\r\n\r\n"
    before = server.get("/events/stats", "tenant_a").json()["last_seq"]
    r, c = raw(server, AMBIGUOUS[name] + follow)
    allowed = {400, 501} if name in MAYBE_501 else {400, 505} if name == "HTTP/2 preface" else {400}
    assert r.status in allowed, (name, r)
    if r.status == 400:
        problem(r, 400, "bad_request")
    assert "close" in r.tokens("Connection"), r
    assert c.ends(), "the connection stayed open"
    assert server.get("/events/stats", "tenant_a").json()["last_seq"] == before, "and yet it was published"


def test_content_length_out_of_range(server):
    for length in (str(2**63), str(2**64), str(2**64 + 15), "9" * 50):
        r, c = raw(server, post(f"Content-Length: {length}", body=EVENT))
        assert r.status in (400, 413), r
        assert c.ends()


def test_http_version(server):
    for version in ("HTTP/2.0", "HTTP/3.0", "HTTP/0.9", "HTTP/9.9"):
        r, c = raw(server, f"GET /livez {version}\r\nHost: x\r\n\r\n")
        assert r.status in (400, 505), r
        assert c.ends()


@pytest.mark.parametrize(
    "host", ["a", "a.b-c.example:80", "[::1]", "[::1]:8080", "127.0.0.1", "A_B", "xn--bcher-kva.example", "a:"]
)
def test_hosts_that_are_fine(server, host):
    r, _ = raw(server, f"GET /livez HTTP/1.1\r\nHost: {host}\r\n\r\n")
    assert r.status == 200


# Limits


def test_number_of_headers(server):
    def ask(n):
        return raw(
            server, "GET /livez HTTP/1.1\r\nHost: x\r\n" + "".join(f"X-{i}: y\r\n" for i in range(n - 1)) + "\r\n"
        )

    r, _ = ask(100)
    assert r.status == 200
    r, c = ask(101)
    problem(r, 431, "headers_too_large")
    assert c.ends()
    r, c = ask(700)
    problem(r, 431, "headers_too_large")


def test_size_of_headers(server):
    def ask(n):
        return raw(server, f"GET /livez HTTP/1.1\r\nHost: x\r\nX-A: {'y' * n}\r\n\r\n")

    r, _ = ask(15 * 1024)
    assert r.status == 200
    r, c = ask(17 * 1024)
    problem(r, 431, "headers_too_large")
    assert c.ends()
    r, _ = raw(
        server, "GET /livez HTTP/1.1\r\nHost: x\r\n" + "".join(f"X-{i}: {'y' * 900}\r\n" for i in range(20)) + "\r\n"
    )
    problem(r, 431, "headers_too_large")


def test_header_that_never_ends(server):
    """Refused at the limit, long before the end of what is sent."""
    c = server.http()
    try:
        c.send(b"GET /livez HTTP/1.1\r\nHost: x\r\nX-A: ")
        for _ in range(200):
            c.send(b"y" * 65536)
    except Eof:
        pass
    try:
        problem(c.response(), 431, "headers_too_large")
    except Eof:
        pass  # the answer was lost to the reset that too much data provokes


def test_long_targets(server):
    r, _ = raw(server, f"GET /livez?{'a' * 4000} HTTP/1.1\r\nHost: x\r\n\r\n")
    assert r.status == 200
    r, c = raw(server, f"GET /{'a' * 40000} HTTP/1.1\r\nHost: x\r\n\r\n")
    assert r.status in (414, 431), r
    assert c.ends()


def test_trailers_are_limited(server):
    many = b"".join(b"X-%d: y\r\n" % i for i in range(2000))
    try:
        r, c = raw(server, post(CHUNKED, body=b"f\r\n" + EVENT + b"\r\n0\r\n" + many + b"\r\n"))
    except Eof:
        return
    assert r.status in (400, 413, 431), r


def test_chunk_overhead_is_limited(server):
    """A megabyte of chunk extensions around one byte."""
    c = server.http()
    try:
        c.send(post(CHUNKED, body=b"f;" + b"x" * 2_000_000 + b"\r\n" + EVENT + b"\r\n0\r\n\r\n"))
        r = c.response("POST")
    except Eof:
        return
    assert r.status in (400, 413, 431), r


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
    crowd = [hasty.http() for _ in range(200)]
    for c in crowd:
        c.send(b"POST /events?tenant=tenant_a HTTP/1.1\r\nHost: x\r\n")
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


# Static files


class Links(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found, self.inline = [], []

    def handle_starttag(self, tag, attrs):
        a = dict(attrs)
        if tag == "script":
            if a.get("src"):
                self.found.append(a["src"])
            else:
                self.inline.append(tag)
        if tag == "link" and a.get("href"):
            self.found.append(a["href"])
        if tag == "img" and a.get("src"):
            self.found.append(a["src"])
        self.inline += [k for k in a if k.startswith("on") or k == "style"]


def static_files(server):
    page = server.get("/")
    assert page.status == 200 and page.header("Content-Type").lower().replace(" ", "") == "text/html;charset=utf-8"
    links = Links()
    links.feed(page.body.decode("utf-8"))
    assert not links.inline, f"inline script or style: {links.inline}"
    assert links.found
    return ["/"] + ["/" + link.lstrip("./") for link in links.found]


def test_the_page_and_its_files(server):
    kinds = {
        "js": r"(text|application)/javascript",
        "mjs": r"(text|application)/javascript",
        "css": "text/css",
        "svg": r"image/svg\+xml",
        "ico": "image/",
        "png": "image/png",
        "json": "application/",
        "webmanifest": "application/",
    }
    seen = set()
    for path in static_files(server)[1:]:
        assert "//" not in path, f"a foreign origin: {path}"
        r = server.get(path)
        assert r.status == 200 and r.body, (path, r)
        ending = path.split("?")[0].rpartition(".")[2]
        assert re.match(kinds[ending], r.header("Content-Type")), r
        seen.add(ending)
    assert seen & {"js", "mjs"} and "css" in seen


def test_etags_and_conditions(server):
    for path in static_files(server):
        r = server.request("OPTIONS", path)
        assert r.status in (200, 204) and {"get", "head", "options"} <= r.tokens("Allow")
        problem(server.request("POST", path, None, b"x"), 405, "method_not_allowed")
        r = server.get(path)
        etag = r.header("ETag")
        assert re.fullmatch(r'(W/)?"[\x21\x23-\x7e]+"', etag or ""), r
        weak = etag if etag.startswith("W/") else "W/" + etag
        for condition in (etag, weak, "*", f'"other", {etag}', f'"a","b" , {weak}'):
            cond = server.get(path, headers={"If-None-Match": condition})
            assert cond.status == 304 and cond.body == b"" and cond.header("ETag") == etag, (condition, cond)
        for condition in ('"other"', etag.replace('"', '"x', 1), ""):
            again = server.get(path, headers={"If-None-Match": condition})
            assert again.status == 200 and again.body == r.body
        head = server.request("HEAD", path)
        assert head.status == 200 and head.header("ETag") == etag and head.header("Content-Length") == str(len(r.body))
        assert server.request("HEAD", path, {"If-None-Match": etag}).status == 304


def test_gzip(server):
    squeezed = 0
    for path in static_files(server):
        plain = server.get(path)
        assert plain.header("Content-Encoding") is None
        for accept in (
            "gzip",
            "gzip, deflate, br",
            "br;q=1.0, gzip;q=0.8, *;q=0.1",
            "*",
            "GZIP",
            "deflate, gzip ; q=0.5",
        ):
            r = server.get(path, headers={"Accept-Encoding": accept})
            assert r.status == 200
            if r.header("Content-Encoding") is None:
                assert r.body == plain.body  # too small to be worth it
                continue
            assert r.header("Content-Encoding") == "gzip" and gzip.decompress(r.body) == plain.body
            assert "accept-encoding" in r.tokens("Vary") and "accept-encoding" in plain.tokens("Vary")
            if not plain.header("ETag").startswith("W/"):
                assert r.header("ETag") != plain.header("ETag"), "two representations, one strong ETag"
            assert (
                server.get(path, headers={"Accept-Encoding": accept, "If-None-Match": r.header("ETag")}).status == 304
            )
            squeezed += 1
        for accept in ("", "identity", "gzip;q=0", "gzip;q=0.0, *;q=0.5", "gzip;q=0.000", "br", "*;q=0", "xgzip"):
            r = server.get(path, headers={"Accept-Encoding": accept})
            assert r.status in (200, 406)
            if r.status == 200:
                assert r.header("Content-Encoding") is None and r.body == plain.body, (accept, r)
    assert squeezed, "nothing is ever compressed"


def test_csp_allows_the_page_to_connect(server):
    policy = server.get("/").header("Content-Security-Policy")
    directives = {d.split()[0]: d.split()[1:] for d in policy.split(";") if d.strip()}
    connect = directives.get("connect-src", directives.get("default-src"))
    assert "'self'" in connect
    assert "'self'" in directives.get("script-src", directives.get("default-src"))
    assert "*" not in policy


# Cross-origin


ORIGIN, OTHER = "https://app.example", "https://evil.example"
PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type,x-tenant-id"}


def cors_headers(r):
    return [(k, v) for k, v in r.headers if k.lower().startswith("access-control-")]


def test_no_cors_by_default(server):
    for method, path in (
        ("GET", "/api/v1/events"),
        ("GET", "/livez"),
        ("OPTIONS", "/api/v1/events"),
        ("GET", "/nowhere"),
        ("GET", "/"),
    ):
        r = server.request(method, path, {"Origin": ORIGIN, "X-Tenant-ID": "tenant_a", **PREFLIGHT})
        assert cors_headers(r) == [], r


def test_cors_for_listed_origins():
    with Server("--cors-origin", ORIGIN, "--cors-origin", "http://localhost:3000") as s:
        for origin in (ORIGIN, "http://localhost:3000"):
            for method, path, status in (
                ("GET", "/api/v1/events", 200),
                ("GET", "/nowhere", 404),
                ("POST", "/events", 415),
                ("GET", "/events?limit=0", 400),
            ):
                r = s.request(
                    method, path, {"Origin": origin, "X-Tenant-ID": "tenant_a"}, b"x" if method == "POST" else None
                )
                assert r.status == status
                assert r.header("Access-Control-Allow-Origin") == origin, r
                assert "origin" in r.tokens("Vary"), r
            r = s.request("GET", "/api/v1/events", {"Origin": origin})
            assert r.status == 401 and r.header("Access-Control-Allow-Origin") == origin
            for path in ("/events", "/api/v1/events", "/api/v1/events/stats", f"/api/v1/events/{NOWHERE}"):
                r = s.request("OPTIONS", path, {"Origin": origin, **PREFLIGHT})
                assert r.status in (200, 204) and r.header("Access-Control-Allow-Origin") == origin, r
                assert "get" in r.tokens("Access-Control-Allow-Methods"), r
                if RESOURCES.get(path, {"POST"}) >= {"POST"}:
                    assert "post" in r.tokens("Access-Control-Allow-Methods"), r
                allowed = r.tokens("Access-Control-Allow-Headers")
                assert {"content-type", "x-tenant-id"} <= allowed, r
                assert "origin" in r.tokens("Vary"), r
        sse = s.sse("tenant_a", headers={"Origin": ORIGIN})
        assert sse.response.header("Access-Control-Allow-Origin") == ORIGIN
        for origin in (
            OTHER,
            "null",
            ORIGIN + ".evil.example",
            ORIGIN + ":444",
            "http://app.example",
            "https://APP",
            ORIGIN + "/",
            "",
        ):
            for method in ("GET", "OPTIONS"):
                r = s.request(method, "/api/v1/events", {"Origin": origin, "X-Tenant-ID": "tenant_a", **PREFLIGHT})
                assert r.header("Access-Control-Allow-Origin") is None, (origin, r)
        assert s.get("/api/v1/events", "tenant_a").header("Access-Control-Allow-Origin") is None


def test_cors_for_everybody():
    with Server("--cors-origin", "*") as s:
        for origin in (ORIGIN, OTHER):
            r = s.request("GET", "/api/v1/events", {"Origin": origin, "X-Tenant-ID": "tenant_a"})
            assert r.header("Access-Control-Allow-Origin") in ("*", origin)
            assert r.header("Access-Control-Allow-Credentials") is None, "credentials for everybody"
            r = s.request("OPTIONS", "/api/v1/events", {"Origin": origin, **PREFLIGHT})
            assert r.header("Access-Control-Allow-Origin") in ("*", origin)


def test_header_injection(server):
    """Nothing that a client sends can break a header line of the answer (the client here would notice)."""
    for value in ("/nowhere%0d%0aX-Evil:%201", "/events/%0d%0aSet-Cookie:a=b", "/events?since=%0d%0a%0d%0a<html>"):
        r = server.get(value, "tenant_a")
        assert r.status >= 400 and r.header("X-Evil") is None and r.header("Set-Cookie") is None


def test_websocket_handshake_after_other_requests(server):
    """An upgrade on a connection that has been used, and one with a pipelined request before it."""
    tenant = server.tenant()
    e = check_event(server.post(tenant, EVENT).json(), tenant)
    c = server.http()
    key = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
    }
    c.send(c.build("GET", f"/events/{e['id']}", {"X-Tenant-ID": tenant}) + c.build("GET", f"/ws?tenant={tenant}", key))
    assert c.response().json() == e
    r = c.head()
    assert r.status == 101 and r.header("Sec-WebSocket-Accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert refused(WebSocket, server.port, "/ws?tenant=-").status == 401
