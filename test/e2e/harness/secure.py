"""TLS for the harness's sockets. With CARILLON_TEST_TLS=1 every server speaks it, and so does whoever connects to one."""

import contextlib
import os
import socket
import ssl
import threading

from .certificates import Authority

TLS = os.environ.get("CARILLON_TEST_TLS", "") not in ("", "0")
RECORD = 16384

ports = set()  # of servers that speak it; another's may be met again in the clear
lock = threading.Lock()
shared = None
trusting = None  # a client's context for that


def server_flags():
    """The flags that have a server speak TLS, with the process's own certificate."""
    global shared, trusting
    with lock:
        if shared is None:
            authority = Authority()
            shared = (authority, *authority.issue())
            trusting = context(authority)
    return ["--tls-cert", shared[1], "--tls-key", shared[2]]


def context(authority, **more):
    """A client's, which trusts the authority. `more`: attributes of ssl.SSLContext."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.load_verify_locations(authority.cert)
    for name, value in more.items():
        setattr(made, name, value)
    return made


class Secure:
    """A connected socket that speaks TLS. Unlike ssl.SSLSocket it may be written by one thread and read by another, and
    read on when it has been shut for writing."""

    def __init__(self, sock, tls=None, session=None, shake=True):
        self.sock = sock
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = (tls or trusting).wrap_bio(self.incoming, self.outgoing, server_hostname="localhost", session=session)
        self.lock, self.writing = threading.Lock(), threading.Lock()
        self.unsent = b""
        while shake and not self.step(self.tls.do_handshake):
            self.more()

    def __getattr__(self, name):
        return getattr(self.sock, name)

    def step(self, what):
        """Whether it could be done with what has come so far."""
        with self.writing:
            try:
                with self.lock:
                    what()
                return True
            except ssl.SSLWantReadError:
                return False
            finally:
                self.flush()

    def flush(self):
        with self.lock:
            data = self.outgoing.read()
        if data:
            self.sock.sendall(data)

    def shakes(self):
        """For sockets that do not block, made without `shake`: goes on with the handshake. Whether it is over."""
        with contextlib.suppress(BlockingIOError):
            self.more()
        return self.step(self.tls.do_handshake)

    def more(self):
        data = self.sock.recv(262144)
        if not data:
            raise ConnectionResetError("the peer ended during the handshake")
        self.incoming.write(data)

    def recv(self, size):
        while True:
            try:
                with self.lock:
                    return self.tls.read(size)
            except ssl.SSLZeroReturnError:
                return b""
            except ssl.SSLWantReadError:
                pass
            data = self.sock.recv(262144)
            if not data:
                return b""
            with self.lock:
                self.incoming.write(data)

    @property
    def untaken(self):
        """Whether something has come that the socket does not tell of any more."""
        return bool(self.incoming.pending or self.tls.pending())

    def put(self, data):
        with self.lock:
            at = 0
            while at < len(data):
                at += self.tls.write(data[at : at + RECORD])

    def sendall(self, data):
        with self.writing:
            self.put(data)
            self.flush()

    def send(self, data, flags=0):
        """For sockets that do not block: at most a record; BlockingIOError while the last one waits. With flags: past
        TLS, for what TCP has beside its stream."""
        if flags:
            return self.sock.send(data, flags)
        if not self.unsent:
            data = data[:RECORD]
            self.put(data)
            self.unsent = self.outgoing.read()
            self.push()
            return len(data)
        self.push()
        if self.unsent:
            raise BlockingIOError
        return self.send(data)

    def push(self):
        try:
            self.unsent = self.unsent[self.sock.send(self.unsent) :]
        except BlockingIOError:
            pass

    def shutdown(self, how):
        if how != socket.SHUT_RD:
            self.step(self.tls.unwrap)
        self.sock.shutdown(how)


def secured(sock, port):
    """The connected socket, over TLS where the port speaks it."""
    if port not in ports:
        return sock
    try:
        return Secure(sock)
    except BaseException:
        sock.close()
        raise
