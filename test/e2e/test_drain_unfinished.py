"""Requests that have not come whole when --drain-timeout ends: who has begun one is told, in the clear and over TLS."""

import contextlib
import signal
import time

import pytest

from harness import WAIT, Eof, Secure, Server, dial, problem

EVENT = b'{"message":"x"}'
CHUNKED = "Transfer-Encoding: chunked"


def post(*fields, body=b""):
    lines = ("POST /events?tenant=t HTTP/1.1", "Host: x", "Content-Type: application/json", *fields)
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


# The head is whole: the server can't serve it any more. Or it is not: the request is one that did not come in time.
BEGUN = {
    "before the body": (503, post("Content-Length: 15")),
    "in the body": (503, post("Content-Length: 15", body=EVENT[:5])),
    "in a large body": (503, post("Content-Length: 900000", body=b" " * 300_000)),
    "in a chunk size": (503, post(CHUNKED, body=b"f")),
    "in a chunk": (503, post(CHUNKED, body=b"f\r\n{")),
    "in the trailers": (503, post(CHUNKED, body=b"f\r\n" + EVENT + b"\r\n0\r\nX-A: b\r\n")),
    "of no resource": (503, b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"),
    "in the method": (408, b"GE"),
    "in the target": (408, b"GET /li"),
    "after the request line": (408, b"GET /livez HTTP/1.1\r\n"),
    "before the last empty line": (408, b"GET /livez HTTP/1.1\r\nHost: x\r\n"),
}
CODES = {503: "unavailable", 408: "request_timeout"}


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
def server(request):
    """One that gives them a while."""
    with Server("--threads", "2", "--request-timeout", "300s", "--idle-timeout", "300s", drain="3s", tls=request.param) as s:
        yield s
        assert s.terminate() == 0


def told(conn, status):
    r = conn.response("POST")
    problem(r, status, CODES[status])
    assert "close" in r.tokens("Connection")
    if status == 503:
        assert 1 <= int(r.header("Retry-After")) <= 5
    assert conn.ends()
    conn.close()


def test_who_has_begun_is_told(server):
    s, begun = server, []
    for name, (status, data) in BEGUN.items():
        begun.append((name, status, s.http()))
        begun[-1][2].send(data)
    after = s.http()  # the one before was answered
    assert after.request("GET", "/livez").status == 200
    after.send(b"GET /livez HTTP/1.1\r\nHo")
    waits = s.http()
    waits.send(post("Content-Length: 15", "Expect: 100-continue"))
    assert waits.head().status == 100
    begun += [("after another", 408, after), ("after 100", 503, waits)]
    s.process.signal(signal.SIGTERM)
    for name, status, conn in begun:
        try:
            told(conn, status)
        except (AssertionError, Eof) as e:
            raise AssertionError(f"{name}: {e}") from e


def test_who_has_begun_nothing_is_told_nothing(server):
    """Kept alive, or never used."""
    s = server
    idle, silent = s.http(), s.http()
    assert idle.request("GET", "/livez").status == 200
    s.process.signal(signal.SIGTERM)
    assert idle.ends() and silent.ends()
    for conn in (idle, silent):
        conn.close()


def test_nothing_can_be_said_in_half_a_handshake():
    with Server("--threads", "2", drain="500ms", tls=True) as s:
        half = dial(s.port)
        half.sendall(b"\x16\x03\x01")
        assert s.get("/livez").status == 200
        s.process.signal(signal.SIGTERM)
        assert half.recv(100) == b""
        half.close()


def test_a_handshake_is_followed_by_a_request():
    """Whenever its end comes, the client has a moment for what it connected for."""
    ask = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
    with Server("--threads", "2", drain="20s", tls=True) as s:
        conns = [Secure(dial(s.port), shake=False) for _ in range(60)]
        for conn in conns:
            conn.setblocking(False)
            assert not conn.shakes()
        assert s.get("/livez").status == 200
        s.process.signal(signal.SIGTERM)
        begun = time.monotonic()
        shaken = []
        for turn in range(len(conns) + 5):
            time.sleep(max(0, begun + turn * 0.02 - time.monotonic()))
            if turn < len(conns):
                conn = conns[turn]
                conn.settimeout(WAIT)
                while not conn.shakes():
                    pass
                shaken.append(conn)
            if turn >= 5:
                shaken[turn - 5].sendall(ask)
        for turn, conn in enumerate(conns):
            assert conn.recv(4096).startswith(b"HTTP/1.1 200 "), f"after {turn * 20} ms"
            conn.close()
        assert s.process.wait() == 0
        s.ended = True


def test_what_becomes_whole_in_time_is_answered(server):
    """Also beside others that do not."""
    s = server
    slow, never = s.http(), s.http()
    for conn in (slow, never):
        conn.send(post("Content-Length: 15", body=EVENT[:5]))
    gone = s.http()
    assert gone.request("GET", "/livez").status == 200
    s.process.signal(signal.SIGTERM)
    assert gone.ends()  # so the drain goes on
    slow.send(EVENT[5:])
    r = slow.response("POST")
    assert r.status == 201 and "close" in r.tokens("Connection")
    told(never, 503)
    for conn in (slow, gone):
        conn.close()


def test_who_goes_on_sending_is_told_all_the_same(server):
    """What else it sends is thrown away while the answer is on its way (RFC 9112, section 9.6)."""
    s = server
    conn = s.http()
    conn.send(post("Content-Length: 900000", body=b" " * 300_000))
    s.process.signal(signal.SIGTERM)
    while conn.wire.quiet(0.01):
        conn.send(b" ")
    with contextlib.suppress(Eof):
        conn.send(b" " * 100_000)
    problem(conn.response("POST"), 503, "unavailable")
    conn.close()
