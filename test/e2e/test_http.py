"""HTTP/1.1 as section 3 of the interface says it: connections, bodies, methods and paths."""

import json
import socket
import time

import pytest

from harness import Eof, Http, RESOURCES, Server, in_chunks, problem, scaled

EVENT = b'{"message":"x"}'
JSON = {"Content-Type": "application/json"}


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


def test_urgent_data_hides_nothing(server):
    """A read ends at the urgent mark (tcp(7)), with more behind it that nothing else announces."""
    conns = [server.http() for _ in range(10)]
    assert server.get("/livez").status == 200  # accepted after them: they are all watched by now
    for c in conns:
        c.wire.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)  # it comes at once
        c.send(b"GET /livez HTTP/1.1\r\nHo")
        c.wire.sock.send(b"!", socket.MSG_OOB)
        c.send(b"st: x\r\n\r\n")
        c.wire.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
    for c in conns:
        assert c.response("GET").status == 200
        c.close()


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
