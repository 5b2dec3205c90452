"""What is refused before it is read: by the headers alone, and by a handshake that is malformed."""

import signal
import subprocess

import pytest

from harness import Http, Refused, Server, WebSocket, problem, program, until


@pytest.fixture(scope="module")
def server():
    with Server(tenants=False) as s:
        yield s


@pytest.mark.parametrize(
    "method, path, tenant, kind, status, code",
    [
        ("POST", "/nowhere", "tenant_a", "application/json", 404, "not_found"),
        ("PUT", "/events", "tenant_a", "application/json", 405, "method_not_allowed"),
        ("POST", "/events", "nobody", "application/json", 401, "unauthorized"),
        ("POST", "/events?tenant=tenant_b", "tenant_a", "application/json", 403, "forbidden"),
        ("POST", "/events", "tenant_a", "text/plain", 415, "unsupported_media_type"),
    ],
)
def test_expect_is_answered_at_once_where_the_headers_decide(server, method, path, tenant, kind, status, code):
    """RFC 9110, section 10.1.1: no 100 for a body that cannot change the answer."""
    conn = Http(server.port)
    headers = {"X-Tenant-ID": tenant, "Content-Type": kind, "Expect": "100-continue", "Content-Length": "19"}
    conn.send(conn.build(method, path, headers))
    r = conn.response(skip_100=False)
    problem(r, status, code)
    assert r.header("Connection") == "close"
    if status == 405:
        assert "POST" in r.header("Allow")
    conn.close()


@pytest.mark.parametrize(
    "offer", ["permessage-deflate; =5", 'permessage-deflate; a="b', "a b", "permessage-deflate;", ",,=", "x;y=z z"]
)
def test_malformed_extensions_fail_the_handshake(server, offer):
    """RFC 6455, section 9.1."""
    with pytest.raises(Refused) as refused:
        WebSocket(server.port, "/ws?tenant=tenant_a", offer=offer)
    problem(refused.value.response, 400, "bad_request")


def test_over_the_limit_a_request_is_read_before_it_is_refused():
    with Server("--max-connections", "1", tenants=False) as s:
        first = Http(s.port)
        assert first.request("GET", "/livez").status == 200
        second = Http(s.port)
        second.send(second.build("HEAD", "/livez", {"X-Request-Id": "mine"}))
        r = second.response("HEAD")
        assert (r.status, r.header("X-Request-Id"), r.body) == (503, "mine", b"")
        assert r.header("Retry-After")
        third = Http(s.port)  # connected, and says nothing: it takes no place
        assert Http(s.port).request("GET", "/livez").status == 503  # connections are accepted in order: the third is in
        first.close()
        until(lambda: Http(s.port).request("GET", "/livez").status == 200, "a free place")
        second.close()
        third.close()


def test_a_request_that_began_before_the_drain_is_served():
    with Server("--threads", "1", tenants=False) as s:
        body = b'{"message":"late"}'
        conn = Http(s.port)
        head = conn.build(
            "POST",
            "/events",
            {"X-Tenant-ID": "tenant_a", "Content-Type": "application/json", "Content-Length": str(len(body))},
        )
        conn.send(head + body[:5])
        assert Http(s.port).request("GET", "/readyz").status == 200  # one worker: it has read the first bytes by now
        s.process.signal(signal.SIGTERM)
        until(lambda: "draining" in s.process.output(), "the drain")
        conn.send(body[5:])
        assert conn.response().status == 201
        conn.close()


def test_head_of_a_stream_promises_no_length(server):
    for target, accept in (("/api/v1/events/stream", "*/*"), ("/events", "text/event-stream")):
        conn = Http(server.port)
        conn.send(conn.build("HEAD", target, {"X-Tenant-ID": "tenant_a", "Accept": accept}))
        r = conn.head()
        assert r.status == 200 and r.header("Content-Type") == "text/event-stream"
        assert r.header("Content-Length") is None
        conn.close()


@pytest.mark.parametrize("path", ["/api%2Fv1%2Ftenants", "/events%2fstats", "/js%2Fmain.js"])
def test_an_encoded_slash_is_none(server, path):
    """RFC 3986, section 2.2: a proxy's rules for paths must not be passed by."""
    r = Http(server.port).request("GET", path, {"X-Tenant-ID": "tenant_a"})
    problem(r, 404, "not_found")


@pytest.mark.parametrize("arguments", [["--nope"], ["--port", "abc"], ["--port", "99999"], ["--port"], ["x"]])
def test_echo_server_wants_sound_arguments(arguments):
    ran = subprocess.run([program("ECHO_SERVER_BIN"), *arguments], capture_output=True, timeout=20, check=False)
    assert ran.returncode == 2
    assert ran.stderr.startswith(b"usage:") and ran.stderr.count(b"\n") == 1
