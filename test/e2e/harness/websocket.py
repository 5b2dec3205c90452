"""A strict WebSocket client on a raw socket: frames, masks, close codes and timing are the test's."""

import base64
import contextlib
import hashlib
import json
import random
import re
import struct
import time
import zlib

from .http import Http, check_standing_headers
from .settings import WAIT
from .wire import Eof

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
        """A frame; one that is not whole in time is left for the next call."""
        self.wire.need(2, wait)
        b0, b1 = self.wire.buf[:2]
        fin, rsv, opcode = b0 >> 7, b0 >> 4 & 7, b0 & 15
        assert not b1 & 0x80, "the server masked a frame"
        n = b1
        head = 2 + {126: 2, 127: 8}.get(n, 0)
        self.wire.need(head, wait)
        if n == 126:
            (n,) = struct.unpack(">H", self.wire.buf[2:head])
            assert n >= 126, "length not in its shortest form"
        elif n == 127:
            (n,) = struct.unpack(">Q", self.wire.buf[2:head])
            assert n >= 65536, "length not in its shortest form"
        self.wire.need(head + n, wait)
        payload = self.wire.read(head + n)[head:]
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
                self.wire.note(data + b"\n")
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


def refused(make, *args, **more):
    """The answer to a handshake that has to be refused."""
    try:
        client = make(*args, **more)
    except Refused as r:
        return r.response
    client.close()
    raise AssertionError("the handshake went through")
