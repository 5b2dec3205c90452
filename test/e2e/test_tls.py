"""TLS on the port: what is agreed, what is refused, resumption, reload, and what a connection is worth in its middle.

What goes over TLS once it is there, the other files test: with CARILLON_TEST_TLS=1 they all run over it."""

import contextlib
import signal
import socket
import ssl
import struct
import subprocess
import time

import pytest

from harness import (
    Authority,
    Eof,
    GET,
    Polling,
    Secure,
    Server,
    WAIT,
    answer,
    clients_context,
    dial,
    context,
    hup,
    joined,
    replace,
    run,
    scaled,
    secured,
    until,
)
from harness import secure

CIPHERS = {
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-RSA-CHACHA20-POLY1305",
}


@pytest.fixture(scope="module")
def server():
    with Server("--threads", "2", "--request-timeout", "1s", "--idle-timeout", "5s", "--buffer-size", 5000, tls=True) as s:
        yield s


def s_client(port, *flags, data=b"", wait=True):
    """What `openssl s_client` says, having sent the data and waited for an answer to it."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", secure.shared[0].cert, *map(str, flags)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        if data:
            child.stdin.write(data)
            child.stdin.flush()
        heard = b""
        while data and wait and b'{"status":"alive"}' not in heard:
            piece = child.stdout.read1(65536)
            assert piece, heard.decode()
            heard += piece
        more, _ = child.communicate(timeout=WAIT)
        return (heard + more).decode(errors="replace")
    finally:
        child.kill()
        child.wait()


# What is agreed


@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
def test_old_versions_are_refused(server, version):
    out = s_client(server.port, version, "-cipher", "ALL:@SECLEVEL=0")
    assert "protocol version" in out and "Cipher is (NONE)" in out, out


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_versions(server, version):
    out = s_client(server.port, version, data=GET)
    assert "Verification: OK" in out and "HTTP/1.1 200 OK" in out, out
    assert "Compression: NONE" in out and "Secure Renegotiation IS" in out, out


def test_ciphers_of_1_2():
    """Each cipher that the client's library has is offered alone: to one key of each kind."""
    authority = Authority()
    known = subprocess.run(
        ["openssl", "ciphers", "-s", "-tls1_2", "ALL:COMPLEMENTOFALL:@SECLEVEL=0"], capture_output=True, check=True, text=True
    ).stdout.strip()
    agreed = set()
    for kind in (("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"), ("-newkey", "rsa:2048")):
        cert, key = authority.issue(kind=kind)
        with Server("--tls-cert", cert, "--tls-key", key, tls=False) as s:
            for name in known.split(":"):
                client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                client.maximum_version = ssl.TLSVersion.TLSv1_2
                client.load_verify_locations(authority.cert)
                with contextlib.suppress(ssl.SSLError, ConnectionResetError):
                    client.set_ciphers(f"{name}:@SECLEVEL=0")
                    c = Secure(dial(s.port), client)
                    agreed.add(c.tls.cipher()[0])
                    c.close()
    assert agreed == CIPHERS


def test_renegotiation_is_refused(server):
    out = s_client(server.port, "-tls1_2", data=b"R\n", wait=False)
    assert "RENEGOTIATING" in out and "no renegotiation" in out, out
    assert server.get("/livez").status == 200


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_sessions_are_resumed(server, version, tmp_path):
    kept = tmp_path / "session"
    assert "\nNew, " in s_client(server.port, version, "-sess_out", kept, data=GET)
    assert "\nReused, " in s_client(server.port, version, "-sess_in", kept, data=GET)


def test_alpn(server):
    client = clients_context()
    for offered, agreed in ((["h2", "http/1.1"], "http/1.1"), (["http/1.1"], "http/1.1"), ([], None)):
        client = clients_context()
        if offered:
            client.set_alpn_protocols(offered)
        c = Secure(dial(server.port), client)
        assert c.tls.selected_alpn_protocol() == agreed
        c.close()
    client = clients_context()
    client.set_alpn_protocols(["h2", "spdy/3"])
    with pytest.raises(ssl.SSLError, match="(?i)no.application.protocol"):
        Secure(dial(server.port), client)


# What goes over it


def test_answers_have_hsts(server):
    for target, status in (("/livez", 200), ("/nowhere", 404), ("/", 200)):
        r = server.get(target)
        assert r.status == status and r.secure  # and the client checks the header
    c = server.http()
    c.send(b"no http\r\n\r\n")
    assert c.response().status == 400


def records_of(sock, wanted):
    """The lengths of the records that come, until so many bytes of them have come."""
    got = b""
    while len(got) < wanted:
        some = sock.recv(1 << 20)
        assert some, f"it ends after {len(got)} bytes"
        got += some
    lengths = []
    while got:
        lengths.append(struct.unpack(">H", got[3:5])[0])
        got = got[5 + lengths[-1] :]
    return lengths


def test_pipelined_answers_share_a_record(server):
    """What waits at the end of a turn goes out in one record, and a large answer in full ones."""
    c = server.http()
    r = c.request("GET", "/livez")
    assert r.status == 200
    sock = c.wire.sock
    sock.sendall(GET * 8)
    assert len(records_of(sock.sock, 8 * (len(r.body) + sum(len(name) + len(value) for name, value in r.headers)))) == 1
    c.close()


def test_large_bodies(server):
    t = server.tenant()
    events = [{"message": "x" * 2000} for _ in range(400)]
    r = server.request("POST", "/api/v1/events/batch", {"X-Tenant-ID": t}, events)
    assert r.status == 201 and len(r.json()["events"]) == 400
    assert len(server.get("/api/v1/events?limit=400", t).json()["events"]) == 400


def test_all_transports(server):
    t = server.tenant()
    ws, sse, sio = server.ws(t), server.stream(t), Polling(server.port, f"tenant={t}")
    sse.expect("connection_established")
    joined(sio)
    probe = sio.probe()
    probe.send_text("2probe")
    assert probe.recv()[1] == b"3probe"
    probe.send_text("5")
    for n in range(scaled(50)):
        server.publish(t, f"m{n}")
        assert ws.events(1)[0]["message"] == sse.events(1)[0]["message"] == f"m{n}"
    probe.close()


def test_sessions_of_socketio_move_between_workers(server):
    """A connection and its TLS go to the session's worker, with answers before and after."""
    t = server.tenant()
    sio = Polling(server.port, f"tenant={t}")
    joined(sio)
    http = server.http()
    for n in range(scaled(40, 8)):
        server.publish(t, f"m{n}")
        other = server.http()
        for c in (http, other):
            assert c.request("GET", "/livez").status == 200
        r = other.request("GET", sio.target())
        assert r.status == 200 and f"m{n}".encode() in r.body
        assert other.request("GET", "/livez").status == 200
        other.close()


def was_told(sock):
    """Whether the stream has ended with a close_notify, and not as if it had been cut off."""
    try:
        return sock.tls.read(1) == b""
    except ssl.SSLZeroReturnError:
        return True
    except ssl.SSLWantReadError:
        return False


def test_half_closed(server):
    """Whoever says that nothing more comes is answered, and hears the same (RFC 8446, section 6.1)."""
    for plainly in (False, True):
        sock = secured(dial(server.port), server.port)
        sock.sendall(GET)
        if plainly:
            sock.sock.shutdown(socket.SHUT_WR)
        else:
            sock.shutdown(socket.SHUT_WR)
        got = b""
        while piece := sock.recv(65536):
            got += piece
        assert got.startswith(b"HTTP/1.1 200")
        assert was_told(sock)
        sock.close()


def test_slow_reader(server):
    """One that stalls for a while gets all, in order, and holds nobody."""
    t = server.tenant()
    slow, quick = server.ws(t, rcvbuf=4096), server.ws(t)
    count = scaled(3000)
    server.flood(t, ["y" * 1000 + str(n) for n in range(count)])
    assert [e["seq"] for e in quick.events(count)] == list(range(1, count + 1))
    assert [e["seq"] for e in slow.events(count)] == list(range(1, count + 1))


# What is refused, or does not end


def test_plain_http_is_told_so(server):
    for request in (GET, b"POST /events HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100000, b"OPTIONS"):
        c = dial(server.port)
        c.sendall(request)
        got = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := c.recv(65536):
                got += piece
        assert got.startswith(b"HTTP/1.1 400 ") and got.endswith(b"HTTPS only\n"), got
        c.close()


@pytest.mark.parametrize(
    "garbage",
    [b"\0" * 5000, b"\x16\x03\x01\x00\x05hello", b"\x16\x03\x01\xff\xff" + b"x" * 70000, b"\x80\x2e\x01\x00\x02" + b"y" * 100,
     b"\x17\x03\x03\x00\x10" + b"z" * 16, b"\x15\x03\x03\x00\x02\x02\x28"],
)
def test_garbage(server, garbage):
    c = dial(server.port)
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        c.sendall(garbage)
        while c.recv(65536):
            pass
    c.close()
    assert server.get("/livez").status == 200


def test_garbage_after_the_handshake(server):
    c = server.http()
    assert c.request("GET", "/livez").status == 200
    c.wire.sock.sock.sendall(b"\x17\x03\x03\x00\x20" + b"z" * 32)
    with pytest.raises((ssl.SSLError, Eof)):
        c.request("GET", "/livez")


@pytest.mark.parametrize("first", [b"", b"\x16", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"])
def test_handshakes_have_their_time(server, first):
    """--request-timeout, and no byte moves its end."""
    c = dial(server.port)
    c.sendall(first)
    end = time.monotonic() + WAIT
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        while time.monotonic() < end:
            c.settimeout(0.1)
            with contextlib.suppress(TimeoutError):
                if not c.recv(100):
                    break
                continue
            if len(first) > 1:
                c.sendall(b"\0")
        else:
            pytest.fail("the handshake went on")
    c.close()


def test_endless_client_hello(server):
    """What a handshake may hold is bounded."""
    c = dial(server.port)
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        c.sendall(b"\x16\x03\x01\x40\x00\x01\x01\xff\xff\x03\x03" + b"\0" * (16384 - 6))
        end = time.monotonic() + WAIT
        while time.monotonic() < end:
            c.sendall(b"\x16\x03\x01\x40\x00" + b"\0" * 16384)
            time.sleep(0.01)
        pytest.fail("it went on")
    c.close()


# The files


def serial_of(port, authority):
    c = Secure(dial(port), context(authority))
    serial = ssl.DER_cert_to_PEM_cert(c.tls.getpeercert(True))
    c.close()
    return serial


def test_bad_files_keep_it_from_starting(tmp_path):
    """One line that names the file and the flag, and exit code 1; the same with --check-config."""
    authority = Authority()
    (cert, key), other = authority.issue(), authority.issue()
    locked, broken = tmp_path / "locked.key", tmp_path / "broken.pem"
    subprocess.run(["openssl", "pkey", "-in", key, "-aes256", "-passout", "pass:secret", "-out", locked], check=True, timeout=60)
    broken.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    for flags, flag, path, why in (
        ((tmp_path / "none", key), "tls-cert", tmp_path / "none", "No such file"),
        ((broken, key), "tls-cert", broken, ""),
        ((key, key), "tls-cert", key, "no certificate"),
        ((cert, tmp_path / "none"), "tls-key", tmp_path / "none", "No such file"),
        ((cert, other[1]), "tls-key", other[1], "not that of the certificate"),
        ((cert, locked), "tls-key", locked, "encrypted"),
        ((cert, cert), "tls-key", cert, "no private key"),
        ((cert, key, broken), "tls-client-ca", broken, ""),
    ):
        words = ["--port", "0", "--store", "memory:", "--audit-log", "off"]
        for name, value in zip(("--tls-cert", "--tls-key", "--tls-client-ca"), flags):
            words += [name, value]
        for more in ([], ["--check-config"], ["--host", "0.0.0.0"]):
            code, out, err = run(*words, *more)
            assert (code, out) == (1, ""), err
            assert err.startswith(f"carillon: --{flag}: {path}: ") and why in err and err.count("\n") == 1, err
            assert "KEY" not in err
    assert run("--tls-cert", cert, "--tls-key", key, "--tls-client-ca", authority.cert, "--check-config")[0] == 0


def test_flags_go_together():
    for words, flag in ((["--tls-cert", "a"], "--tls-key"), (["--tls-key", "a"], "--tls-cert"), (["--tls-client-ca", "a"], "--tls-cert")):
        code, _, err = run(*words)
        assert code == 2 and flag in err and err.count("\n") == 1, err


def test_reload():
    authority = Authority()
    pair, first, second = authority.issue(), None, authority.issue()
    with Server("--tls-cert", pair[0], "--tls-key", pair[1], tls=False) as s:
        stays = Secure(dial(s.port), context(authority))
        first = serial_of(s.port, authority)
        replace(pair, second)
        hup(s, "SIGHUP: connections begin with the TLS certificate")
        anew = serial_of(s.port, authority)
        assert anew != first
        answer(stays)
        with open(pair[0], "wb") as f:
            f.write(b"nothing of use")
        hup(s, "SIGHUP: the TLS certificate stays as it was: --tls-cert: " + pair[0])
        replace(pair, (second[0], authority.issue()[1]))
        hup(s, "SIGHUP: the TLS certificate stays as it was: --tls-key: " + pair[1])
        assert serial_of(s.port, authority) == anew
        answer(stays)
        stays.close()
        assert "act=tls_reload outcome=ok" in s.process.output()
        assert "act=tls_reload outcome=failed" in s.process.output()
        assert "PRIVATE KEY" not in s.process.output()


def test_reload_under_load():
    with Server("--threads", "2", tls=True) as s:
        ws = s.ws("t")
        for n in range(scaled(30, 5)):
            s.process.signal(signal.SIGHUP)
            c = s.http()
            assert c.request("GET", "/livez").status == 200
            c.close()
            s.publish("t", str(n))
            assert ws.events(1)[0]["message"] == str(n)


def test_drain():
    with Server("--threads", "2", tls=True) as s:
        ws, idle = s.ws("t"), s.http()
        assert idle.request("GET", "/livez").status == 200
        half = dial(s.port)
        half.sendall(b"\x16\x03\x01")
        s.process.signal(signal.SIGTERM)
        ws.closes_with(1001)
        assert idle.ends()
        s.process.wait()
        s.process.check(0)
        s.ended = True
        half.close()


def test_proxy_protocol():
    """The header comes in the clear, before the handshake (the PROXY protocol, section 2)."""
    rest = socket.inet_aton("192.0.2.9") + socket.inet_aton("198.51.100.2") + struct.pack(">HH", 4711, 443)
    header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + struct.pack(">H", len(rest)) + rest
    flags = ("--trusted-proxy", "127.0.0.0/8", "--proxy-protocol", "--log-level", "debug")
    with Server(*flags, tls=True) as s:
        for pieces in ([header], [header[:7], header[7:]]):
            c = dial(s.port)
            for piece in pieces:
                c.sendall(piece)
            c = Secure(c)
            answer(c)
            c.close()
        # Header and ClientHello in one segment: held back by the socket, or read together in any case.
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = clients_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
        with contextlib.suppress(ssl.SSLWantReadError):
            tls.do_handshake()
        c = dial(s.port)
        c.sendall(header + outgoing.read())
        while True:
            incoming.write(c.recv(65536))
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                pass
        c.close()
        until(lambda: s.process.output().count("connection from 192.0.2.9") == 2, "the proxy's word is taken")
