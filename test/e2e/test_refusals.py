"""What is refused before it is read: by the headers alone, and by a handshake that is malformed."""

import pytest

from harness import Http, Refused, Server, WebSocket, problem


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


@pytest.mark.parametrize("offer", ["permessage-deflate; =5", 'permessage-deflate; a="b', "a b", "permessage-deflate;", ",,=", "x;y=z z"])
def test_malformed_extensions_fail_the_handshake(server, offer):
    """RFC 6455, section 9.1."""
    with pytest.raises(Refused) as refused:
        WebSocket(server.port, "/ws?tenant=tenant_a", offer=offer)
    problem(refused.value.response, 400, "bad_request")
