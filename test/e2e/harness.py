"""What the end-to-end tests stand on: the server as a child process, and clients over raw sockets.

The clients are strict on purpose. An answer that a lenient client would put up with (a header twice, a masked frame, a
length in a longer form than needed) fails the test that received it.

CARILLON_BIN and ECHO_SERVER_BIN name the programs. CARILLON_SLOW=1, or a sanitizer named in CARILLON_SANITIZE, scales
counts down and deadlines up.
"""

import base64
import contextlib
import ctypes
import hashlib
import itertools
import json
import os
import random
import re
import resource
import signal
import socket
import struct
import subprocess
import threading
import time
import zlib

SANITIZED = os.environ.get("CARILLON_SANITIZE", "").lower() not in ("", "0", "off", "no", "none", "false")
SLOW = SANITIZED or os.environ.get("CARILLON_SLOW", "") not in ("", "0")
WAIT = 60.0 if SLOW else 20.0  # seconds that anything awaited may take: generous, it is never a measurement
REPORT = re.compile(
    r"ERROR: AddressSanitizer|ERROR: LeakSanitizer|WARNING: ThreadSanitizer|WARNING: MemorySanitizer|runtime error:"
)
LISTENING = re.compile(r"listening on \S*:(\d+)")
UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
NOWHERE = "00000000-0000-4000-8000-000000000000"  # a well-formed id that no event has


def scaled(count, floor=1):
    """A count of rounds, made smaller where every step is slow."""
    return max(floor, count // 5) if SLOW else count


def program(variable):
    path = os.environ.get(variable)
    assert path, f"{variable} has to name the program under test"
    assert os.access(path, os.X_OK), f"{variable}={path} is no executable file"
    return path


def clean_environment(extra=None):
    """The caller's environment without CARILLON_*, which the server would read as flags."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("CARILLON_") and k not in ("PORT", "CORS_ORIGIN")}
    env.setdefault("ASAN_OPTIONS", "detect_leaks=1:abort_on_error=0:exitcode=99")
    env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
    env.setdefault("TSAN_OPTIONS", "exitcode=66:second_deadlock_stack=1")
    env.update(extra or {})
    return env


def until(question, what, wait=None, pause=0.02):
    """Asks until the answer is true, and returns it."""
    end = time.monotonic() + (wait or WAIT)
    while True:
        answer = question()
        if answer:
            return answer
        assert time.monotonic() < end, f"waited in vain: {what}"
        time.sleep(pause)


class Eof(Exception):
    """The peer closed or reset the connection where more was expected."""


class Wire:
    """A socket with a read buffer and a deadline for each call."""

    def __init__(self, port, host="127.0.0.1", rcvbuf=None, wait=None):
        self.wait = wait or WAIT
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if rcvbuf:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        self.sock.settimeout(self.wait)
        try:
            self.sock.connect((host, port))
        except OSError:
            self.sock.close()
            raise
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buf = bytearray()

    def send(self, data):
        self.sock.settimeout(self.wait)
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError) as gone:
            raise Eof("while sending") from gone

    def fill(self, wait=None):
        """Reads whatever comes next. Eof where nothing comes any more, TimeoutError where nothing came in time."""
        self.sock.settimeout(self.wait if wait is None else max(wait, 0.001))
        try:
            data = self.sock.recv(262144)
        except ConnectionResetError as gone:
            raise Eof("reset") from gone
        if not data:
            raise Eof("end")
        self.buf += data

    def read(self, n, wait=None):
        while len(self.buf) < n:
            self.fill(wait)
        out = bytes(self.buf[:n])
        del self.buf[:n]
        return out

    def read_line(self, wait=None):
        start = 0
        while True:
            at = self.buf.find(b"\n", start)
            if at >= 0:
                break
            start = len(self.buf)
            assert start < 1 << 20, "a line without an end"
            self.fill(wait)
        line = bytes(self.buf[: at + 1])
        del self.buf[: at + 1]
        return line

    def rest(self, wait=None):
        """Everything up to the end of the stream."""
        end = time.monotonic() + (wait or self.wait)
        with contextlib.suppress(Eof):
            while True:
                self.fill(end - time.monotonic())
        out = bytes(self.buf)
        self.buf.clear()
        return out

    def ends(self, wait=None):
        """Whether the stream ends without another byte."""
        if self.buf:
            return False
        try:
            self.fill(wait)
        except Eof:
            return True
        except TimeoutError:
            return False
        return False

    def quiet(self, seconds):
        """Whether nothing comes for so long. (For what must not come: the one kind of thing that can't be awaited.)"""
        if self.buf:
            return False
        try:
            self.fill(seconds)
        except TimeoutError:
            return True
        except Eof:
            return False
        return False

    def reset(self):
        """Gone with a RST."""
        with contextlib.suppress(OSError):
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self):
        self.sock.close()


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
    "date",
}


class Response:
    def __init__(self, status, reason, headers, body):
        self.status, self.reason, self.headers, self.body = status, reason, headers, body

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
    assert r.header("Strict-Transport-Security") is None, "HSTS over plain HTTP"


class Http:
    """One HTTP/1.1 connection, request by request or byte by byte."""

    def __init__(self, port, rcvbuf=None, wait=None, standing=True):
        self.port = port
        self.wire = Wire(port, rcvbuf=rcvbuf, wait=wait)
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
        return Response(int(m[1]), m[2].decode("latin-1"), headers, b"")

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


def check_event(e, tenant):
    """The shape of an event in open mode, where it has no author."""
    assert set(e) <= {"id", "tenant_id", "seq", "type", "message", "metadata", "timestamp"}, e
    assert UUID4.fullmatch(e["id"]), e
    assert e["tenant_id"] == tenant, e
    assert type(e["seq"]) is int and e["seq"] >= 1, e
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}", e["type"]), e
    assert "message" in e or "metadata" in e, e
    assert STAMP.fullmatch(e["timestamp"]), e
    return e


# ---------------------------------------------------------------------------------------------------------- WebSocket

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Refused(Exception):
    """The handshake was answered with something else than 101."""

    def __init__(self, response):
        super().__init__(repr(response))
        self.response = response


class Closed(Exception):
    """A Close frame came. `code` is None where it was empty."""

    def __init__(self, code, reason):
        super().__init__(f"{code} {reason!r}")
        self.code, self.reason = code, reason


def xor(payload, key):
    if key == b"\0\0\0\0" or not payload:
        return bytes(payload)
    n = len(payload)
    stream = (key * (n // 4 + 1))[:n]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(stream, "big")).to_bytes(n, "big")


def frame(opcode, payload=b"", fin=True, rsv=0, key=b"\x37\xfa\x21\x3d", masked=True, form=None):
    """The bytes of one frame. `form` forces a length encoding: 7, 16 or 64 bits."""
    n = len(payload)
    form = form or (7 if n < 126 else 16 if n < 65536 else 64)
    bit = 0x80 if masked else 0
    out = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    if form == 7:
        out += bytes([bit | n])
    elif form == 16:
        out += bytes([bit | 126]) + struct.pack(">H", n)
    else:
        out += bytes([bit | 127]) + struct.pack(">Q", n)
    return out + key + xor(payload, key) if masked else out + payload


def parse_extension(value):
    """[(name, {param: value or None})] of a Sec-WebSocket-Extensions header."""
    out = []
    for part in value.split(","):
        name, *params = [p.strip() for p in part.split(";")]
        found = {}
        for p in params:
            k, _, v = p.partition("=")
            assert k.strip() not in found, value
            found[k.strip()] = v.strip().strip('"') if "=" in p else None
        out.append((name, found))
    return out


class WebSocket:
    """A client that sends what it is told to and takes from the server only what RFC 6455 and 7692 allow."""

    def __init__(self, port, target, headers=None, offer=None, rcvbuf=None, wait=None, extra=b"", standing=True):
        self.http = Http(port, rcvbuf=rcvbuf, wait=wait, standing=standing)
        self.wire = self.http.wire
        self.auto_pong = True
        self.pings = 0
        self.raw_frames = 0
        self.deflated = 0  # messages that came deflated
        self.fragments, self.fragment_kind = None, None
        key = base64.b64encode(random.randbytes(16)).decode()
        fields = {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": key,
            "Sec-WebSocket-Version": "13",
        }
        if offer:
            fields["Sec-WebSocket-Extensions"] = offer
        fields.update(headers or {})
        fields = {k: v for k, v in fields.items() if v is not None}
        self.http.send(self.http.build("GET", target, fields) + extra)
        r = self.http.head()
        if r.status != 101:
            if standing:
                check_standing_headers(r)
            r.body = self.http.body(r)
            self.wire.close()
            raise Refused(r)
        if standing:
            check_standing_headers(r)
        accept = base64.b64encode(hashlib.sha1(fields["Sec-WebSocket-Key"].encode() + GUID).digest()).decode()
        assert r.header("Sec-WebSocket-Accept") == accept, r
        assert (r.header("Upgrade") or "").lower() == "websocket" and "upgrade" in r.tokens("Connection"), r
        assert r.header("Content-Length") is None and r.header("Transfer-Encoding") is None, r
        assert r.header("Sec-WebSocket-Protocol") is None, r
        self.response = r
        self.extension = None
        self.inflater = self.deflater = None
        agreed = r.header("Sec-WebSocket-Extensions")
        if agreed is not None:
            assert offer, "an extension nobody offered"
            ((name, params),) = parse_extension(agreed)
            assert name == "permessage-deflate", r
            self.extension = params
            self.agree(offer, params)

    def agree(self, offer, params):
        allowed = {
            "server_no_context_takeover",
            "client_no_context_takeover",
            "server_max_window_bits",
            "client_max_window_bits",
        }
        assert set(params) <= allowed, params
        # The answer has to fit one of the offers (RFC 7692, section 7.1).
        fits = False
        for name, asked in parse_extension(offer):
            if name != "permessage-deflate":
                continue
            ok = "server_no_context_takeover" not in asked or "server_no_context_takeover" in params
            if asked.get("server_max_window_bits"):
                bits = params.get("server_max_window_bits")
                ok = ok and bits is not None and int(bits) <= int(asked["server_max_window_bits"])
            if "client_max_window_bits" in params:
                ok = ok and "client_max_window_bits" in asked
            fits = fits or ok
        assert fits, f"answered {params} to {offer}"
        for k in ("server_no_context_takeover", "client_no_context_takeover"):
            assert params.get(k) is None, params
        for k in ("server_max_window_bits", "client_max_window_bits"):
            assert k not in params or re.fullmatch(r"[89]|1[0-5]", params[k] or ""), params
        self.server_bits = int(params.get("server_max_window_bits") or 15)
        self.client_bits = int(params.get("client_max_window_bits") or 15)
        self.inflater = zlib.decompressobj(-self.server_bits)
        self.deflater = self.new_deflater()

    def new_deflater(self):
        return zlib.compressobj(6, zlib.DEFLATED, -max(self.client_bits, 9))

    def deflate(self, payload, final=False):
        if "client_no_context_takeover" in self.extension:
            self.deflater = self.new_deflater()
        out = self.deflater.compress(payload) + self.deflater.flush(zlib.Z_SYNC_FLUSH)
        assert out.endswith(b"\0\0\xff\xff")
        return out[:-4] or b"\0"

    def inflate(self, payload):
        if "server_no_context_takeover" in self.extension:
            self.inflater = zlib.decompressobj(-self.server_bits)
        out = self.inflater.decompress(payload + b"\0\0\xff\xff")
        assert not self.inflater.unconsumed_tail
        if self.inflater.eof:  # a final block is allowed; the next message starts anew
            self.inflater = zlib.decompressobj(-self.server_bits)
        return out

    def send_raw(self, data):
        self.wire.send(data)

    def send_frame(self, opcode, payload=b"", **more):
        self.wire.send(frame(opcode, payload, **more))

    def send_text(self, text, deflated=False):
        payload = text.encode() if isinstance(text, str) else text
        if deflated:
            self.send_frame(TEXT, self.deflate(payload), rsv=4)
        else:
            self.send_frame(TEXT, payload)

    def send_json(self, obj, **more):
        self.send_text(json.dumps(obj), **more)

    def recv_frame(self, wait=None):
        b0, b1 = self.wire.read(2, wait)
        fin, rsv, opcode = b0 >> 7, b0 >> 4 & 7, b0 & 15
        assert not b1 & 0x80, "the server masked a frame"
        n = b1
        if n == 126:
            (n,) = struct.unpack(">H", self.wire.read(2, wait))
            assert n >= 126, "length not in its shortest form"
        elif n == 127:
            (n,) = struct.unpack(">Q", self.wire.read(8, wait))
            assert n >= 65536, "length not in its shortest form"
        payload = self.wire.read(n, wait)
        assert opcode in (CONT, TEXT, BINARY, CLOSE, PING, PONG), f"opcode {opcode}"
        if opcode >= 8:
            assert fin and n <= 125 and rsv == 0, "a control frame out of shape"
        else:
            assert rsv & 3 == 0 and not (rsv and (self.extension is None or opcode == CONT)), f"rsv {rsv}"
        self.raw_frames += 1
        return fin, rsv, opcode, payload

    def recv(self, wait=None):
        """The next (opcode, payload): data messages whole and inflated, and Pongs. Pings are answered on the way."""
        end = time.monotonic() + (self.wire.wait if wait is None else wait)
        while True:
            fin, rsv, opcode, payload = self.recv_frame(end - time.monotonic())
            if opcode == PING:
                self.pings += 1
                if self.auto_pong:
                    with contextlib.suppress(Eof):
                        self.send_frame(PONG, payload)
                continue
            if opcode == CLOSE:
                assert len(payload) != 1, "a Close frame with half a code"
                if not payload:
                    raise Closed(None, "")
                raise Closed(struct.unpack(">H", payload[:2])[0], payload[2:].decode("utf-8"))
            if opcode == PONG:
                return opcode, payload
            if opcode == CONT:
                assert self.fragments is not None, "a continuation of nothing"
                self.fragments.append(payload)
            else:
                assert self.fragments is None, "a message inside a message"
                self.fragments, self.fragment_kind = [payload], (opcode, rsv)
            if fin:
                data, (kind, first_rsv) = b"".join(self.fragments), self.fragment_kind
                self.fragments = None
                if first_rsv & 4:
                    self.deflated += 1
                    data = self.inflate(data)
                if kind == TEXT:
                    data.decode("utf-8")
                return kind, data

    def answer_pings(self, count):
        """Waits for so many more pings, with nothing but pings coming."""
        until_then = self.pings + count
        while self.pings < until_then:
            _, _, opcode, payload = self.recv_frame()
            assert opcode == PING, (opcode, payload[:100])
            self.pings += 1
            self.send_frame(PONG, payload)

    def recv_json(self, kind=None, wait=None):
        while True:
            opcode, data = self.recv(wait)
            if opcode == PONG:
                continue
            assert opcode == TEXT, (opcode, data[:100])
            break
        for forbidden in (b"<", b">", b"&", "\u2028".encode(), "\u2029".encode()):
            assert forbidden not in data, (forbidden, data[:300])
        obj = json.loads(data)
        assert isinstance(obj, dict) and isinstance(obj.get("type"), str), obj
        if kind is not None:
            assert obj["type"] == kind, obj
        return obj

    def recv_until(self, kind, wait=None):
        """The next frame of that kind and those that came before it."""
        before = []
        while True:
            obj = self.recv_json(wait=wait)
            if obj["type"] == kind:
                return obj, before
            before.append(obj)

    def events(self, count, wait=None):
        """So many event_created frames, nothing else between them."""
        return [self.recv_json("event_created", wait)["event"] for _ in range(count)]

    def closing(self, wait=None):
        """Reads on to the Close frame; its code. Whatever came before it is in .last_words."""
        self.last_words = []
        end = time.monotonic() + (wait or WAIT)
        while True:
            try:
                self.last_words.append(self.recv(end - time.monotonic()))
            except Closed as c:
                return c.code

    def closes_with(self, *codes, wait=None):
        """A Close frame with one of the codes, then the end of the stream."""
        code = self.closing(wait)
        assert code in codes, f"closed with {code}, expected {codes}"
        with contextlib.suppress(Eof):
            self.send_frame(CLOSE, struct.pack(">H", code) if code else b"")
        assert self.wire.ends(wait), "the connection stayed open after the closing handshake"
        return code

    def alive(self):
        """Whether the connection still answers; what came before the Pong is dropped."""
        token = random.randbytes(8)
        self.send_frame(PING, token)
        while True:
            opcode, payload = self.recv()
            if opcode == PONG and payload == token:
                return True

    def shut(self, code=1000):
        """The closing handshake from this side."""
        self.send_frame(CLOSE, struct.pack(">H", code))
        got = self.closing()
        assert got == code, f"answered {got} to Close {code}"
        assert self.wire.ends()
        self.close()

    def reset(self):
        self.wire.reset()

    def close(self):
        self.wire.close()


# ----------------------------------------------------------------------------------------------------------------- SSE


class SseEvent:
    def __init__(self, kind, data, id_, lines):
        self.kind, self.data, self.id, self.lines = kind, data, id_, lines

    def json(self):
        return json.loads(self.data)

    def __repr__(self):
        return f"<sse {self.kind} id={self.id} {self.data[:200]}>"


class Sse:
    """A Server-Sent Events client; follows the WHATWG parsing rules, but puts up with nothing unknown."""

    def __init__(self, port, target, headers=None, rcvbuf=None, version="HTTP/1.1", wait=None):
        self.http = Http(port, rcvbuf=rcvbuf, wait=wait)
        self.wire = self.http.wire
        self.comments, self.retry, self.last_id = 0, None, None
        self.text = bytearray()
        self.ended = False
        self.http.send(self.http.build("GET", target, headers, version=version))
        r = self.response = self.http.head()
        check_standing_headers(r)
        if r.status != 200:
            r.body = self.http.body(r)
            self.wire.close()
            raise Refused(r)
        assert r.header("Content-Type", "").split(";")[0] == "text/event-stream", r
        assert {"no-cache", "no-store"} & r.tokens("Cache-Control"), r
        assert r.header("Content-Length") is None, r
        self.chunked = r.header("Transfer-Encoding") == "chunked"
        assert not (self.chunked and version == "HTTP/1.0"), "chunked to an HTTP/1.0 client"

    def more(self, wait=None):
        if self.ended:
            raise Eof("the stream has ended")
        if self.chunked:
            size = int(self.wire.read_line(wait).strip().split(b";")[0], 16)
            piece = self.wire.read(size, wait)
            assert self.wire.read(2, wait) == b"\r\n"
            if size == 0:
                self.ended = True
                raise Eof("the stream has ended")
            self.text += piece
            return
        if not self.wire.buf:
            self.wire.fill(wait)
        self.text += self.wire.buf
        self.wire.buf.clear()

    def line(self, wait=None):
        while True:
            at = self.text.find(b"\n")
            if at >= 0:
                out = bytes(self.text[:at])
                del self.text[: at + 1]
                return out[:-1] if out.endswith(b"\r") else out
            self.more(wait)

    def recv(self, wait=None):
        """The next event. Comments and retry fields are counted on the way."""
        kind, data, id_, lines = "message", [], None, []
        while True:
            line = self.line(wait)
            if line == b"":
                if not data:
                    kind, id_, lines = "message", None, []
                    continue
                return SseEvent(kind, "\n".join(data), id_, lines)
            assert b"\r" not in line and b"\0" not in line, line
            lines.append(line)
            name, colon, value = line.partition(b":")
            value = value[1:] if value.startswith(b" ") else value
            if line.startswith(b":"):
                self.comments += 1
                lines.pop()
            elif name == b"event":
                kind = value.decode()
            elif name == b"data":
                data.append(value.decode("utf-8"))
            elif name == b"id":
                id_ = self.last_id = value.decode()
            elif name == b"retry":
                assert value.isdigit(), line
                self.retry = int(value)
            else:
                raise AssertionError(f"an unknown field: {line!r}")

    def expect(self, kind, wait=None):
        e = self.recv(wait)
        assert e.kind == kind, e
        for forbidden in ("<", ">", "&", "\u2028", "\u2029"):
            assert forbidden not in e.data, e
        return e

    def events(self, count, wait=None):
        out = []
        for _ in range(count):
            e = self.expect("event_created", wait)
            obj = e.json()
            assert e.id == str(obj["seq"]), e
            out.append(obj)
        return out

    def comment(self, wait=None):
        """Waits for the next comment line, with nothing but comments up to it."""
        seen = self.comments
        while self.comments == seen:
            line = self.line(wait)
            assert line == b"" or line.startswith(b":"), line
            self.comments += line.startswith(b":")

    def reset(self):
        self.wire.reset()

    def close(self):
        self.wire.close()


# ----------------------------------------------------------------------------------------------------------- processes


LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1


def before_exec(nofile):
    """For the child, between fork and exec: it dies with the test run, however that ends."""

    def work():
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if nofile:
            resource.setrlimit(resource.RLIMIT_NOFILE, (nofile, nofile))

    return work


class Process:
    """A program under test in its own process group, its output gathered line by line."""

    def __init__(self, command, env=None, nofile=None):
        self.lines = []
        self.child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=clean_environment(env),
            start_new_session=True,
            preexec_fn=before_exec(nofile),
        )
        self.pid = self.child.pid
        self.reader = threading.Thread(target=self.gather, daemon=True)
        self.reader.start()

    def gather(self):
        for line in self.child.stdout:
            self.lines.append(line.decode("utf-8", "replace").rstrip("\n"))

    def output(self):
        return "\n".join(self.lines)

    def listening(self):
        end = time.monotonic() + WAIT
        while True:
            for line in list(self.lines):
                m = LISTENING.search(line)
                if m:
                    return int(m[1])
            assert self.child.poll() is None, f"ended with {self.child.returncode} before listening:\n{self.output()}"
            assert time.monotonic() < end, f"never listened:\n{self.output()}"
            time.sleep(0.01)

    def signal(self, number):
        if self.child.poll() is None:
            os.kill(self.pid, number)

    def wait(self, wait=None):
        """The exit code; the program is killed where it does not end in time."""
        try:
            self.child.wait(wait or WAIT)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"did not end in time:\n{self.output()[-3000:]}") from None
        self.reader.join(WAIT)
        return self.child.returncode

    def kill(self):
        if self.child.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)  # the group is ours alone: start_new_session
            self.child.wait()
        self.reader.join(5)

    def check(self, expected=0):
        text = self.output()
        assert not REPORT.search(text), f"a sanitizer's report:\n{text[-20000:]}"
        assert self.child.returncode == expected, f"exit code {self.child.returncode}:\n{text[-3000:]}"

    def fds(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def rss(self):
        with open(f"/proc/{self.pid}/statm", encoding="ascii") as f:
            return int(f.read().split()[1]) * resource.getpagesize()

    def peak(self):
        """The most memory that has ever been resident, in bytes."""
        with open(f"/proc/{self.pid}/status", encoding="ascii") as f:
            return int(re.search(r"VmHWM:\s*(\d+) kB", f.read())[1]) << 10

    def cpu(self):
        """Seconds of processor time used so far."""
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as f:
            fields = f.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Server:
    """The server for the length of a `with` block. On the way out it gets SIGTERM and has to exit with 0."""

    def __init__(self, *flags, nofile=None, env=None, drain="2s", tenants=True):
        self.command = [program("CARILLON_BIN"), "--port", "0", "--store", "memory:", "--auth", "open"]
        self.command += ["--drain-timeout", drain]
        if tenants:
            self.command += ["--auto-tenants"]
        self.command += [str(f) for f in flags]
        self.nofile, self.env = nofile, env
        self.names = itertools.count(1)
        self.open = []
        self.local = threading.local()
        self.ended = False

    def __enter__(self):
        self.process = Process(self.command, env=self.env, nofile=self.nofile)
        try:
            self.port = self.process.listening()
        except BaseException:
            self.process.kill()
            raise
        return self

    def __exit__(self, kind, error, trace):
        for client in self.open:
            client.close()
        if self.ended:
            return
        try:
            self.process.signal(signal.SIGTERM)
            self.process.wait()
            if kind is None:
                self.process.check(0)
            elif REPORT.search(self.process.output()) or self.process.child.returncode:
                print(f"--- exit code {self.process.child.returncode}\n{self.process.output()[-20000:]}")
        finally:
            self.process.kill()

    def terminate(self, wait=None):
        """SIGTERM now, to be waited for by the caller's `with`; returns the exit code."""
        self.process.signal(signal.SIGTERM)
        code = self.process.wait(wait)
        self.process.check(0)
        self.ended = True
        return code

    def tenant(self, stem="t"):
        """The name of a tenant nobody has used yet."""
        return f"{stem}{next(self.names)}"

    def keep(self, client):
        self.open.append(client)
        return client

    def http(self, **more):
        return self.keep(Http(self.port, **more))

    def request(self, method, target, headers=None, body=None, **more):
        """One request on this thread's own connection, which is opened again where the server closed it."""
        conn, self.local.conn = getattr(self.local, "conn", None), None
        fresh = conn is None
        conn = conn or self.http()
        try:
            r = conn.request(method, target, headers, body, **more)
        except Eof:
            if fresh or method not in ("GET", "HEAD", "OPTIONS"):
                raise
            conn = self.http()
            r = conn.request(method, target, headers, body, **more)
        if "close" in r.tokens("Connection"):
            conn.close()
        else:
            self.local.conn = conn
        return r

    def get(self, target, tenant=None, headers=None):
        return self.request("GET", target, {**({"X-Tenant-ID": tenant} if tenant else {}), **(headers or {})})

    def post(self, tenant, body, path="/api/v1/events", headers=None):
        return self.request(
            "POST", path, {"X-Tenant-ID": tenant, "Content-Type": "application/json", **(headers or {})}, body
        )

    def publish(self, tenant, message=None, **fields):
        """The event that came of it."""
        body = dict(fields)
        if message is not None:
            body["message"] = message
        r = self.post(tenant, json.dumps(body).encode())
        assert r.status == 201, r
        return check_event(r.json(), tenant)

    def flood(self, tenant, messages, depth=64, conn=None):
        """Publishes by pipelining up to `depth` requests at a time; returns the events."""
        conn = conn or self.http()
        head = {"X-Tenant-ID": tenant, "Content-Type": "application/json"}
        out, part, size = [], [], 0

        def exchange():
            conn.send(b"".join(part))
            for _ in part:
                r = conn.response("POST")
                assert r.status == 201, r
                out.append(json.loads(r.body))
            part.clear()

        for m in messages:
            body = m if isinstance(m, bytes) else json.dumps({"message": m}).encode()
            # No more at once than buffers hold: neither side may wait for the other to read.
            if len(part) >= depth or size + len(body) > 131072:
                exchange()
                size = 0
            part.append(conn.build("POST", "/events", head, body))
            size += len(body)
        if part:
            exchange()
        return out

    def socket(self, tenant, query="", path="/ws", **more):
        """A WebSocket, before its first frame is read."""
        target = f"{path}?tenant={tenant}" + (f"&{query}" if query else "")
        return self.keep(WebSocket(self.port, target, **more))

    def ws(self, tenant, query="", **more):
        """A WebSocket whose first frame has been read and checked; it is in .hello."""
        ws = self.socket(tenant, query, **more)
        ws.hello = check_hello(ws.recv_json("connection_established"), tenant)
        return ws

    def stream(self, tenant, query="", path="/api/v1/events/stream", **more):
        target = f"{path}?tenant={tenant}" + (f"&{query}" if query else "")
        return self.keep(Sse(self.port, target, **more))

    def sse(self, tenant, query="", **more):
        sse = self.stream(tenant, query, **more)
        e = sse.expect("connection_established")
        sse.hello = check_hello(e.json(), tenant, kind=False)
        sse.hello_id = e.id
        return sse


def check_hello(obj, tenant, kind=True):
    if kind:
        assert obj["type"] == "connection_established", obj
    assert obj["tenant_id"] == tenant, obj
    assert isinstance(obj["session_id"], str) and obj["session_id"], obj
    assert type(obj["seq"]) is int and obj["seq"] >= 0, obj
    assert isinstance(obj["epoch"], (str, int)) and obj["epoch"] != "", obj
    assert STAMP.fullmatch(obj["server_time"]), obj
    return obj


def refused(make, *args, **more):
    """The answer to a handshake that has to be refused."""
    try:
        client = make(*args, **more)
    except Refused as r:
        return r.response
    client.close()
    raise AssertionError("the handshake went through")


class Team:
    """Threads whose first failure is the test's failure."""

    def __init__(self):
        self.threads, self.errors = [], []
        self.stop = threading.Event()

    def go(self, work, *args):
        def run():
            try:
                work(*args)
            except BaseException as e:  # handed on in join()
                self.errors.append(e)
                self.stop.set()

        t = threading.Thread(target=run, daemon=True)
        self.threads.append(t)
        t.start()

    def join(self, wait=None):
        end = time.monotonic() + (wait or 3 * WAIT)
        for t in self.threads:
            t.join(max(0.01, end - time.monotonic()))
        if self.errors:
            raise self.errors[0]
        stuck = [t for t in self.threads if t.is_alive()]
        assert not stuck, f"{len(stuck)} threads never ended"
