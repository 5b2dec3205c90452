"""Who is at the other end: PROXY protocol headers from trusted proxies, and what the log says of each connection."""

import json
import re
import socket
import struct

import pytest

from harness import Server, TLS, run, until

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def header(source="192.0.2.1", target="198.51.100.2", command=0x21, more=b"", family=None):
    """A header of version 2 (section 2.2): of TCP over the family of its addresses."""
    kind = socket.AF_INET6 if ":" in source else socket.AF_INET
    rest = socket.inet_pton(kind, source) + socket.inet_pton(kind, target) + struct.pack(">HH", 4711, 80) + more
    family = family or (0x21 if ":" in source else 0x11)
    return SIGNATURE + bytes((command, family)) + struct.pack(">H", len(rest)) + rest


LOCAL = SIGNATURE + b"\x20\0\0\0"


def came(server, address):
    """How many connections the log has shown from there."""
    return sum(bool(re.search(rf"debug: connection from {re.escape(address)}$", line)) for line in server.process.lines)


def shown(server, address, times=1):
    until(lambda: came(server, address) >= times, f"a connection from {address}")
    assert came(server, address) == times, server.process.output()[-2000:]


def connect(server, first=b""):
    """Begins with that, in the clear, and then speaks as the server does."""
    return server.http(first=first)


def begin(server, first=b""):
    """Begins with that, and has said no more yet."""
    return server.http(first=first, plain=True)


def ends_unanswered(c):
    """Closed without a byte, be it with an end or a reset."""
    assert c.ends()
    c.close()


@pytest.fixture(scope="module")
def server():
    flags = ("--trusted-proxy", "127.0.0.0/8", "--proxy-protocol", "--threads", "2", "--log-level", "debug")
    with Server(*flags) as s:
        yield s


@pytest.fixture(scope="module")
def stranger():
    """A server whose trusted proxies are others than we."""
    with Server("--trusted-proxy", "10.0.0.0/8,fd00::/8", "--proxy-protocol", "--log-level", "debug") as s:
        yield s


def test_requests_behind_a_header(server):
    c = connect(server, header("192.0.2.10"))
    for _ in range(3):
        assert c.request("GET", "/livez").status == 200
    shown(server, "192.0.2.10")


def test_header_and_requests_at_once(server):
    first = header("2001:db8::7", "2001:db8::8", more=b"\x04\0\x02no")
    c = connect(server, first) if TLS else server.http()
    c.send((b"" if TLS else first) + 3 * c.build("GET", "/livez?secret=hush"))
    for _ in range(3):
        assert c.response().status == 200
    shown(server, "2001:db8::7")
    assert "hush" not in server.process.output()


def test_byte_by_byte(server):
    c = begin(server)
    for byte in header("192.0.2.11"):
        c.send(bytes((byte,)))
    c.wire.secure()
    for byte in c.build("GET", "/livez"):
        c.send(bytes((byte,)))
    assert c.response().status == 200
    shown(server, "192.0.2.11")


def test_address_of_the_proxy_itself(server):
    before = came(server, "127.0.0.1")
    for first in (LOCAL, header("192.0.2.12", command=0x20), header("192.0.2.12", family=0x12)):
        assert connect(server, first).request("GET", "/livez").status == 200
    shown(server, "127.0.0.1", before + 3)
    assert came(server, "192.0.2.12") == 0


def test_websocket_and_stream(server):
    ws = connect(server, header("192.0.2.13"))
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    ws.send(ws.build("GET", "/ws?tenant=a", {**upgrade, "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}))
    assert ws.head().status == 101
    sse = connect(server, header("192.0.2.14"))
    sse.send(sse.build("GET", "/api/v1/events/stream?tenant=a"))
    assert sse.head().status == 200
    shown(server, "192.0.2.13")
    shown(server, "192.0.2.14")


def test_connections_that_move_to_another_worker(server):
    """A session's requests go to its worker, each with its connection: shown once, and asked for no second header."""
    first = connect(server, header("192.0.2.20"))
    r = first.request("GET", "/socket.io/?EIO=4&transport=polling&tenant=a")
    assert r.status == 200
    target = f"/socket.io/?EIO=4&transport=polling&tenant=a&sid={json.loads(r.body[1:])['sid']}"
    for i in range(8):
        c = connect(server, header(f"192.0.2.{30 + i}"))
        assert c.request("POST", target, {"Content-Type": "text/plain"}, b"40" if i == 0 else b"3").status == 200
        assert c.request("GET", "/livez").status == 200
    for i in range(8):
        shown(server, f"192.0.2.{30 + i}")


MALFORMED = {
    "none": b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n",
    "version 1": b"PROXY TCP4 192.0.2.1 198.51.100.2 4711 80\r\nGET /livez HTTP/1.1\r\nHost: x\r\n\r\n",
    "version 3": header(command=0x31),
    "no command": header(command=0x22),
    "no family": header(family=0x41),
    "too few bytes for its family": header(family=0x21),
    "over the limit": SIGNATURE + b"\x21\x11\xff\xff",
    "an element that goes on behind it": header(more=b"\x04\xff\xffno"),
    "a checksum that is not its own": header(more=b"\x03\0\x04\0\0\0\0"),
    "TLS": b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_is_not_answered(server, name):
    before = server.process.fds()
    ends_unanswered(begin(server, MALFORMED[name]))
    until(lambda: server.process.fds() <= before, "the descriptor to be free again")


def test_second_header_is_no_request(server):
    c = connect(server, header("192.0.2.15"))
    c.send(header("192.0.2.16"))
    assert c.response().status == 400
    assert c.ends()


def test_header_has_the_time_of_a_request():
    flags = ("--trusted-proxy", "127.0.0.1", "--proxy-protocol", "--request-timeout", "500ms")
    with Server(*flags, "--idle-timeout", "60s") as s:
        waiting = [begin(s, first) for first in (b"", SIGNATURE, header()[:-1], header())]
        for c in waiting:
            ends_unanswered(c)


def test_others_are_served_as_they_are(stranger):
    before = came(stranger, "127.0.0.1")
    c = connect(stranger)
    assert c.request("GET", "/livez", {"X-Forwarded-For": "192.0.2.66"}).status == 200
    assert c.request("GET", "/livez").status == 200
    shown(stranger, "127.0.0.1", before + 1)
    c = connect(stranger)
    c.send(header("192.0.2.66"))
    assert c.response().status == 400
    assert c.ends()
    assert "192.0.2.66" not in stranger.process.output()


def test_without_the_flag():
    with Server("--trusted-proxy", "127.0.0.1", "--log-level", "debug") as s:
        assert connect(s).request("GET", "/livez?secret=hush").status == 200
        shown(s, "127.0.0.1")
        c = connect(s)
        c.send(header())
        assert c.response().status == 400
        assert "hush" not in s.process.output()
    with Server() as s:
        assert s.get("/livez").status == 200
        assert "connection from" not in s.process.output()


@pytest.mark.parametrize("flags", [("--trusted-proxy", "10.0.0.0/8"), ("--trusted-proxy", "127.0.0.0/8")])
def test_socket_of_both_families(flags):
    """A client of IPv4 on a socket of IPv6 is one of IPv4: in the log, and in the list of proxies."""
    with Server("--host", "::", *flags, "--proxy-protocol", "--log-level", "debug") as s:
        trusted = flags[1].startswith("127")
        assert connect(s, header("192.0.2.9") if trusted else b"").request("GET", "/livez").status == 200
        shown(s, "192.0.2.9" if trusted else "127.0.0.1")


def test_connections_over_the_limit():
    flags = ("--trusted-proxy", "127.0.0.1", "--proxy-protocol", "--max-connections", "1")
    with Server(*flags) as s:
        assert connect(s, header()).request("GET", "/livez").status == 200
        assert connect(s, header()).request("GET", "/livez").status == 503


def test_draining_while_a_header_is_due():
    with Server("--trusted-proxy", "127.0.0.1", "--proxy-protocol", drain="20s") as s:
        waiting = [begin(s), begin(s, header()[:-1])]
        assert connect(s, header()).request("GET", "/livez").status == 200
        assert s.terminate() == 0
        for c in waiting:
            ends_unanswered(c)


@pytest.mark.parametrize(
    "flags",
    [
        ("--proxy-protocol",),
        ("--trusted-proxy", "10.0.0.1/8"),
        ("--trusted-proxy", "proxy.example"),
        ("--trusted-proxy", "10.0.0.0/8,::/129"),
        ("--trusted-proxy", "10.0.0.0/33"),
        ("--trusted-proxy", ""),
    ],
)
def test_flags_that_make_no_sense(flags):
    code, out, err = run("--store", "memory:", "--port", "0", *flags)
    assert code == (1 if len(flags) > 1 else 2) and out == ""
    lines = err.strip().splitlines()
    assert len(lines) == 1 and flags[0] in lines[0], err
