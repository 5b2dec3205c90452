"""The server under test, and shortcuts to talk to it."""

import itertools
import json
import os
import signal
import tempfile
import threading

from . import secure
from .check import check_event, check_hello
from .http import Http
from .postgres import Postgres
from .process import Process, REPORT
from .settings import program
from .sse import Sse
from .websocket import WebSocket
from .wire import Eof


class Server:
    """The server for the length of a `with` block. On the way out it gets SIGTERM and has to exit with 0.

    Its log is in memory, or, where CARILLON_TEST_STORE says "sqlite" or "postgres", in a database of its own; `store` is
    a URI. It speaks TLS where CARILLON_TEST_TLS is 1, or `tls` says so."""

    def __init__(self, *flags, nofile=None, env=None, drain="2s", tenants=True, store=None, auth="open", tls=secure.TLS):
        self.folder = None
        if not store and os.environ.get("CARILLON_TEST_STORE") == "sqlite":
            self.folder = tempfile.TemporaryDirectory(prefix="carillon-")
            store = f"sqlite:{self.folder.name}/log.db"
        elif not store and os.environ.get("CARILLON_TEST_STORE") == "postgres":
            store = Postgres.shared().uri(Postgres.shared().new())
        self.command = [program("CARILLON_BIN"), "--port", "0", "--store", store or "memory:", "--auth", auth]
        self.command += ["--drain-timeout", drain]
        if tenants:
            self.command += ["--auto-tenants"]
        self.tls = tls
        if tls:
            self.command += secure.server_flags()
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
        if self.tls:
            secure.ports.add(self.port)
        else:
            secure.ports.discard(self.port)
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
            if self.folder:
                self.folder.cleanup()

    def crash(self):
        """kill -9; nothing is left to be done on the way out."""
        self.process.kill()
        self.ended = True

    def terminate(self, wait=None):
        """SIGTERM now, to be waited for by the caller's `with`; returns the exit code."""
        self.process.signal(signal.SIGTERM)
        code = self.process.wait(wait)
        self.process.check(0)
        self.ended = True
        return code

    def address(self, scheme="http"):
        return f"{scheme}{'s' if self.tls else ''}://127.0.0.1:{self.port}"

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
