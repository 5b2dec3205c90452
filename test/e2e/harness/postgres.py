"""A real PostgreSQL server, and what can stand between it and the server under test."""

import atexit
import itertools
import json
import os
import socket
import subprocess
import threading

from .settings import WAIT

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "support", "postgres.sh")
PASSWORD = "open sesame@1/2"
USER_AND_PASSWORD = "carillon:open%20sesame%401%2F2"


class Postgres:
    """The server of test/support/postgres.sh. It ends with the input of that script, so with this process."""

    one = None

    def __init__(self):
        self.script = subprocess.Popen(["bash", SCRIPT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        said = self.script.stdout.readline().split()
        assert said and said[0] == "ready", said + self.script.stdout.readlines()
        self.port = int(said[1])
        self.names = itertools.count(1)

    @classmethod
    def shared(cls):
        """The same one for all tests of this process."""
        if not cls.one:
            cls.one = cls()
            atexit.register(cls.one.close)
        return cls.one

    def close(self):
        self.script.stdin.close()
        self.script.wait(WAIT)

    def tell(self, command):
        self.script.stdin.write(command + "\n")
        self.script.stdin.flush()
        said = self.script.stdout.readline()
        assert said == "done\n", said

    def stop(self, mode):
        self.tell(f"stop {mode}")

    def start(self):
        self.tell("start")

    def uri(self, database, port=None):
        return f"postgres://{USER_AND_PASSWORD}@127.0.0.1:{port or self.port}/{database}"

    def new(self, more=""):
        """The name of a database that nobody has used."""
        database = f"e2e{next(self.names)}"
        self.sql("postgres", f"CREATE DATABASE {database} {more}")
        return database

    def sql(self, database, text):
        """The rows of the last statement, a list of texts each."""
        done = subprocess.run(
            ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", text, self.uri(database)],
            capture_output=True,
            text=True,
            timeout=WAIT,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return [line.split("|") for line in done.stdout.splitlines()]


    def events(self, database, tenant):
        """What the log has of a tenant, oldest first: the fields that its publisher has set, and seq."""
        rows = self.sql(
            database,
            "SELECT json_build_object('seq', seq, 'type', type)::jsonb || ('{' || substr(content, 2) || '}')::jsonb"
            f" FROM carillon.events WHERE tenant = (SELECT n FROM carillon.tenants WHERE id = '{tenant}') ORDER BY seq",
        )
        return [json.loads("|".join(row)) for row in rows]


READY = b"Z\0\0\0\5I"  # for the next: nothing is open


class Wall:
    """Stands between a server and PostgreSQL, and does to its connections what `mode` says:
    "pass"; "deaf": the answer of the next commit is cut off with its connection, once all of it has come; "shut": no
    connection is taken."""

    def __init__(self, port):
        self.target, self.mode, self.pairs, self.held = port, "pass", [], 0
        self.commits = set()  # connections whose commit has no answer yet
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                near = self.listener.accept()[0]
            except OSError:
                return
            if self.mode == "shut":
                near.close()
                continue
            try:
                far = socket.create_connection(("127.0.0.1", self.target))
            except OSError:  # it is stopped
                near.close()
                continue
            self.pairs.append((near, far))
            for way in ((near, far, False, len(self.pairs)), (far, near, True, len(self.pairs))):
                threading.Thread(target=self.pump, args=way, daemon=True).start()

    def pump(self, source, sink, answers, number):
        cut = b""
        try:
            while data := source.recv(65536):
                while number <= self.held:
                    threading.Event().wait(0.02)
                if not answers and b"COMMIT" in data:
                    self.commits.add(number)
                if answers and (cut or (self.mode == "deaf" and number in self.commits)):
                    cut += data
                    if cut.endswith(READY):
                        self.mode = "shut"
                        break
                else:
                    if answers and data.endswith(READY):
                        self.commits.discard(number)
                    sink.sendall(data)
        except OSError:
            pass
        while number <= self.held:
            threading.Event().wait(0.02)
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def hold(self):
        """From now on nothing comes through the connections that there are, and neither side hears of the other's end."""
        self.held = len(self.pairs)

    def cut(self):
        """Closes all connections."""
        self.held = 0
        for pair in self.pairs:
            for end in pair:
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def close(self):
        self.listener.close()
        self.cut()
