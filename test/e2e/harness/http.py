"""A strict HTTP/1.1 client on a raw socket."""

import json
import re

from .secure import Secure
from .wire import Wire

TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
ONLY_ONCE = {
    "content-length",
    "content-type",
    "location",
    "etag",
    "retry-after",
    "transfer-encoding",
    "x-request-id",
    "x-content-type-options",
    "x-frame-options",
    "referrer-policy",
    "content-security-policy",
    "cross-origin-opener-policy",
    "access-control-allow-origin",
    "sec-websocket-accept",
    "strict-transport-security",
    "date",
}


class Response:
    def __init__(self, status, reason, headers, body, secure=False):
        self.status, self.reason, self.headers, self.body = status, reason, headers, body
        self.secure = secure  # came over TLS

    def header(self, name, default=None):
        found = [v for k, v in self.headers if k.lower() == name.lower()]
        return ", ".join(found) if found else default

    def tokens(self, name):
        return {t.strip().lower() for t in (self.header(name) or "").split(",") if t.strip()}

    def json(self):
        kind = self.header("Content-Type", "")
        assert re.match(r"application/(problem\+)?json\b", kind), (self.status, kind, self.body[:300])
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.reason} {self.headers} {self.body[:400]!r}>"


def check_standing_headers(r):
    """What every answer has to carry."""
    assert r.header("X-Content-Type-Options") == "nosniff", r
    assert r.header("X-Frame-Options") == "DENY", r
    assert r.header("Referrer-Policy") == "no-referrer", r
    assert r.header("Cross-Origin-Opener-Policy"), r
    policy = r.header("Content-Security-Policy") or ""
    assert "default-src" in policy or "script-src" in policy, r
    assert "unsafe-inline" not in policy and "unsafe-eval" not in policy and "http" not in policy, r
    assert re.fullmatch(r"[\x21-\x7e]{1,200}", r.header("X-Request-Id") or ""), r
    assert (r.header("Strict-Transport-Security") == "max-age=31536000") == r.secure, "HSTS is for TLS, and all of it"


class Http:
    """One HTTP/1.1 connection, request by request or byte by byte."""

    def __init__(self, port, standing=True, **more):
        """`more`: what a Wire takes."""
        self.port = port
        self.wire = Wire(port, **more)
        self.standing = standing

    def send(self, data):
        self.wire.send(data)

    def build(self, method, target, headers=None, body=None, version="HTTP/1.1", host=True, chunked=False):
        lines = [f"{method} {target} {version}"]
        fields = list(headers.items()) if isinstance(headers, dict) else list(headers or ())
        if host and not any(k.lower() == "host" for k, _ in fields):
            lines.append(f"Host: 127.0.0.1:{self.port}")
        lines += [f"{k}: {v}" for k, v in fields]
        if body is not None:
            lines.append("Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}")
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8")
        if body is None:
            return head
        return head + (in_chunks(body) if chunked else body)

    def request(self, method, target, headers=None, body=None, wait=None, **more):
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
            headers = dict(headers or {})
            headers.setdefault("Content-Type", "application/json")
        elif isinstance(body, str):
            body = body.encode()
        self.send(self.build(method, target, headers, body, **more))
        return self.response(method, wait)

    def head(self, wait=None):
        line = self.wire.read_line(wait)
        m = re.fullmatch(rb"HTTP/1\.[01] ([1-5]\d\d) ([\t\x20-\x7e\x80-\xff]*)\r\n", line)
        assert m, f"no status line: {line!r}"
        headers = []
        while True:
            line = self.wire.read_line(wait)
            if line == b"\r\n":
                break
            assert line.endswith(b"\r\n"), line
            name, colon, value = line[:-2].partition(b":")
            assert colon and TOKEN.fullmatch(name) and b"\r" not in value and b"\0" not in value, line
            headers.append((name.decode(), value.strip(b" \t").decode("latin-1")))
        names = [k.lower() for k, _ in headers]
        twice = {n for n in names if names.count(n) > 1} & ONLY_ONCE
        assert not twice, f"sent twice: {twice} in {headers}"
        secure = isinstance(self.wire.sock, Secure)
        return Response(int(m[1]), m[2].decode("latin-1"), headers, b"", secure)

    def response(self, method="GET", wait=None, skip_100=True):
        while True:
            r = self.head(wait)
            if r.status == 100 and skip_100:
                continue
            break
        if r.status >= 200 and self.standing:
            check_standing_headers(r)
        r.body = self.body(r, method, wait)
        return r

    def body(self, r, method="GET", wait=None):
        length, coding = r.header("Content-Length"), r.header("Transfer-Encoding")
        assert not (length and coding), r
        if r.status < 200 or r.status == 204:
            assert length is None and coding is None, r
            return b""
        if method == "HEAD" or r.status == 304:
            return b""
        if coding is not None:
            assert coding == "chunked", r
            out = b""
            while True:
                size = int(self.wire.read_line(wait).strip().split(b";")[0], 16)
                piece = self.wire.read(size, wait)
                assert self.wire.read(2, wait) == b"\r\n"
                out += piece
                self.wire.note(piece)
                if not size:
                    return out
        if length is not None:
            assert re.fullmatch(r"\d+", length), r
            return self.wire.read(int(length), wait)
        return self.wire.rest(wait)

    def ends(self, wait=None):
        return self.wire.ends(wait)

    def reset(self):
        self.wire.reset()

    def close(self):
        self.wire.close()


def in_chunks(body, size=7):
    out = b""
    for at in range(0, len(body), size):
        piece = body[at : at + size]
        out += b"%x\r\n%s\r\n" % (len(piece), piece)
    return out + b"0\r\n\r\n"


def problem(r, status, code, fields=False):
    """Checks an error answer: RFC 9457 with `code` and `request_id`."""
    assert r.status == status, (r, f"expected {status} {code}")
    assert r.header("Content-Type", "").split(";")[0] == "application/problem+json", r
    if not r.body and r.status == status:
        return None  # a HEAD
    p = json.loads(r.body)
    assert p["type"] == "about:blank" and p["status"] == status and p["code"] == code, p
    assert isinstance(p["title"], str) and p["title"], p
    assert isinstance(p["detail"], str) and p["detail"], p
    assert p["request_id"] == r.header("X-Request-Id"), r
    if fields:
        assert p["errors"], p
        for e in p["errors"]:
            assert isinstance(e["field"], str) and isinstance(e["message"], str) and e["message"], p
    if status == 401:
        assert r.header("WWW-Authenticate"), r
    return p
