"""What tests of TLS itself are made of: bare connections, and servers whose files change."""

import signal
import socket

from . import secure
from .settings import WAIT, until

GET = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"


def dial(port):
    return socket.create_connection(("127.0.0.1", port), timeout=WAIT)


def clients_context(**more):
    return secure.context(secure.shared[0], **more)


def answer(sock):
    """Asks whether the server is alive, and reads that."""
    sock.sendall(GET)
    got = b""
    while b'{"status":"alive"}' not in got:
        piece = sock.recv(65536)
        if not piece:
            raise ConnectionResetError
        got += piece
    assert got.startswith(b"HTTP/1.1 200"), got


def replace(pair, other):
    for path, new in zip(pair, other):
        with open(path, "wb") as out, open(new, "rb") as source:
            out.write(source.read())


def hup(server, told):
    before = server.process.output().count(told)
    server.process.signal(signal.SIGHUP)
    until(lambda: server.process.output().count(told) > before, told)
