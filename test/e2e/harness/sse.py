"""A strict reader of Server-Sent Events."""

import json

from .http import Http, check_standing_headers
from .websocket import Refused
from .wire import Eof


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
            self.wire.note(piece)
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
