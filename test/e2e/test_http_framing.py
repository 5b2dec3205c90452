"""Where a message ends: nothing ambiguous passes, and everything has a limit."""

import pytest

from harness import Eof, Server, in_chunks, problem

EVENT = b'{"message":"x"}'


@pytest.fixture(scope="module")
def server():
    with Server() as s:
        yield s


def raw(server, data, method="GET"):
    """The answer to exactly these bytes, and the connection."""
    c = server.http()
    c.send(data if isinstance(data, bytes) else data.encode("latin-1"))
    return c.response(method), c


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
