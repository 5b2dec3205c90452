"""Publishers that have to show a client certificate, over every way to publish."""

import contextlib
import ssl

import pytest

from harness import (
    Authority,
    Http,
    Polling,
    Secure,
    Server,
    Socket,
    answer,
    clients_context,
    dial,
    hup,
    joined,
    problem,
    replace,
)
from harness import secure


@pytest.fixture(scope="module")
def publishers():
    """A server that wants its publishers to show a certificate, and authorities: the trusted one, and another."""
    trusted, other = Authority("publishers"), Authority("strangers")
    with Server("--threads", "2", "--tls-client-ca", trusted.cert, tls=True) as s:
        s.trusted, s.other = trusted, other
        yield s


def shown(authority, **more):
    made = clients_context()
    made.load_cert_chain(*authority.issue(**{"name": "a publisher", "usage": "clientAuth", **more}))
    return made


@contextlib.contextmanager
def showing(tls):
    """The harness's clients show that meanwhile."""
    before, secure.trusting = secure.trusting, tls
    try:
        yield
    finally:
        secure.trusting = before


def ways_to_publish(s):
    """name -> what comes of it: None where it was published, else its detail."""
    t = s.tenant()
    out = {}

    def http(name, target, body, **headers):
        c = s.http()
        r = c.request("POST", target, {"X-Tenant-ID": t, "Content-Type": "application/json", **headers}, body)
        out[name] = None if r.status == 201 else problem(r, 403, "forbidden")["detail"]

    for path in ("/events", "/api/events", "/api/v1/events"):
        http(path, path, b'{"message":"x"}')
    http("batch", "/api/v1/events/batch", b'[{"message":"x"}]')
    http("ndjson", "/api/v1/events/batch", b'{"message":"x"}', **{"Content-Type": "application/x-ndjson"})
    http("expect", "/events", b'{"message":"x"}', Expect="100-continue")
    ws = s.ws(t)
    ws.send_json({"type": "post_event", "ref": 1, "message": "x"})
    r = ws.recv_until("error")[0] if not out["/events"] is None else ws.recv_until("ack")[0]
    assert r["type"] == "ack" or r["code"] == "forbidden"
    out["websocket"] = None if r["type"] == "ack" else r["message"]
    for name, make in (("sio", Socket), ("polling", Polling)):
        for nsp in ("", "/events,"):
            sio = make(s.port, f"tenant={t}")
            joined(sio, nsp.rstrip(",") or "/")
            sio.send(f'42{nsp}7["post_event",{{"message":"x"}}]')
            while not (packet := sio.next()).startswith(f"43{nsp}7"):
                pass
            out[name + nsp] = None if "forbidden" not in packet else packet
    return out


def test_publishing_without_a_certificate(publishers):
    s = publishers
    for name, detail in ways_to_publish(s).items():
        assert detail and "client certificate" in detail, (name, detail)
    t = s.tenant()
    with showing(shown(s.trusted)):
        s.keep(Http(s.port)).request("POST", "/events", {"X-Tenant-ID": t}, {"message": "x"})
    assert s.get("/events", t).json()["events"][0]["message"] == "x"  # reading takes none


def test_publishing_with_a_certificate(publishers):
    with showing(shown(publishers.trusted)):
        assert set(ways_to_publish(publishers).values()) == {None}


@pytest.mark.parametrize("make", [
    lambda s: shown(s.other),
    lambda s: shown(s.trusted, usage="serverAuth"),
    lambda s: shown(s.trusted, days=0),
])
def test_bad_certificates_fail_the_handshake(publishers, make):
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        tls = make(publishers)
        tls.maximum_version = tls.minimum_version = version
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            answer(Secure(dial(publishers.port), tls))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_resumed_sessions_keep_the_certificate(publishers, version):
    """And only for as long as its authority is trusted: the server's other one."""
    s = publishers
    tls = shown(s.trusted)
    tls.maximum_version = version
    post = b"POST /events?tenant=t HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n"
    session = None
    for resumed in (False, True):
        c = Secure(dial(s.port), tls, session)
        c.sendall(post + b'{"message":"x"}')
        assert c.recv(100).startswith(b"HTTP/1.1 201")
        assert c.tls.session_reused == resumed
        session = c.tls.session
        c.close()


def test_sessions_of_another_authority_are_not_resumed(tmp_path):
    first, second = Authority("first"), Authority("second")
    bundle = tmp_path / "ca.pem"
    replace([bundle], [first.cert])
    with Server("--tls-client-ca", bundle, tls=True) as s:
        tls = shown(first)
        c = Secure(dial(s.port), tls)
        answer(c)
        session = c.tls.session
        replace([bundle], [second.cert])
        hup(s, "SIGHUP: connections begin with")
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            answer(Secure(dial(s.port), tls, session))
        answer(c)  # who is connected stays
        c.close()


def test_a_session_of_socketio_stays_certified(publishers):
    """A session that may publish goes on over connections that may only."""
    s = publishers
    with showing(shown(s.trusted)):
        sio = Polling(s.port, f"tenant={s.tenant()}")
        joined(sio)
    problem(sio.post('42["post_event",{"message":"x"}]'), 403, "forbidden")
    with showing(shown(s.trusted)):
        sio.send('420["post_event",{"message":"x"}]')
