"""A connection, read by the line or by the byte, with deadlines."""

import contextlib
import socket
import struct
import threading
import time

from . import secure
from .settings import WAIT


class Eof(Exception):
    """The peer closed or reset the connection where more was expected."""


class Wire:
    """A socket with a read buffer and a deadline for each call. Where its thread has a tape running when it is made
    (tape.py), what is heard is recorded. `first` goes before all else, in the clear; `plain`: so does everything."""

    running = threading.local()  # .tape

    def __init__(self, port, host="127.0.0.1", rcvbuf=None, wait=None, first=b"", plain=False):
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
        if first:
            self.sock.sendall(first)
        self.port = port
        if not plain:
            self.secure()
        self.buf = bytearray()
        tape = getattr(Wire.running, "tape", None)
        self.raw, self.plain = tape.record(self) if tape else (None, None)

    def secure(self):
        """What goes before all else has been said."""
        self.sock = secure.secured(self.sock, self.port)

    def note(self, data):
        """What the bytes were, once they were taken out of chunks or inflated."""
        if self.plain is not None:
            self.plain += data

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
        if self.raw is not None:
            self.raw += data

    def need(self, n, wait=None):
        """Has so many bytes in the buffer, or takes none of them."""
        while len(self.buf) < n:
            self.fill(wait)

    def read(self, n, wait=None):
        self.need(n, wait)
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
