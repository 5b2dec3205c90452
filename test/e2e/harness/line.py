"""A line of servers, each of which takes the former one's place (SIGUSR2)."""

import contextlib
import os
import shutil
import signal
import tempfile
import threading
import time

from .process import LIBC, REPORT
from .server import Server
from .settings import WAIT, program, until

PR_SET_CHILD_SUBREAPER = 36


class Line(Server):
    """As Server; `pid` is the process that serves, and `program` the file that the next one is started from."""

    def __init__(self, *flags, store=None, drain="5s", **more):
        # Those whose starter has ended are ours from then on, and their exit codes with them.
        LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1)
        self.place = tempfile.TemporaryDirectory(prefix="carillon-")
        self.program, self.pid_file = f"{self.place.name}/carillon", f"{self.place.name}/pid"
        self.put(program("CARILLON_BIN"))
        store = store or f"sqlite:{self.place.name}/log.db"
        super().__init__("--pid-file", self.pid_file, *flags, store=store, drain=drain, **more)
        self.command[0] = self.program
        self.codes = {}

    def put(self, source):
        """Another file in the program's place, as an installer does it."""
        beside = f"{self.program}.new"
        shutil.copy2(source, beside)
        os.chmod(beside, 0o755)
        os.replace(beside, self.program)

    def restart(self):
        """Another one at the same port, where the last one has ended."""
        self.command[self.command.index("--port") + 1] = str(self.port)
        Server.__enter__(self)
        self.pid = self.process.pid
        self.local = threading.local()

    def put_script(self, text):
        """A program that is none; REAL is one that is."""
        real = program("CARILLON_BIN")
        beside = f"{self.program}.new"
        with open(beside, "w", encoding="utf-8") as f:
            f.write("#!/bin/bash\n" + text.replace("REAL", real))
        os.chmod(beside, 0o755)
        os.replace(beside, self.program)

    def __enter__(self):
        super().__enter__()
        self.pid = self.process.pid
        return self

    def written_pid(self):
        with contextlib.suppress(OSError, ValueError), open(self.pid_file, encoding="ascii") as f:
            return int(f.read())
        return None

    def ask(self):
        os.kill(self.pid, signal.SIGUSR2)

    def moved(self):
        """Another one serves: to be talked to over connections of its own."""
        self.pid = self.written_pid()
        self.local = threading.local()

    def has_ended(self, pid):
        """Whether that process has; its exit code is kept."""
        if pid == self.process.pid:
            code = self.process.child.poll()
        else:
            try:
                done, status = os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                return False  # its starter has not ended yet
            code = os.waitstatus_to_exitcode(status) if done else None
        if code is not None:
            self.codes[pid] = code
        return code is not None

    def said(self, text):
        return sum(text in line for line in list(self.process.lines))

    def upgrade(self, wait=None):
        """One upgrade, which has to succeed: the former process has exited with 0 when this returns."""
        former = self.pid
        self.ask()
        until(lambda: self.written_pid() not in (None, former), "another one serves", wait)
        self.moved()
        until(lambda: self.has_ended(former), "the former one has ended", wait)
        assert self.codes[former] == 0, (self.codes, self.process.output()[-3000:])

    def fails(self, why):
        """An upgrade that has to fail: one line says why, and the same process serves on."""
        before = self.said("no upgrade, this server goes on")
        self.ask()
        until(lambda: self.said("no upgrade, this server goes on") > before, "the upgrade fails")
        assert self.said("no upgrade, this server goes on") == before + 1
        line = [line for line in self.process.lines if "no upgrade, this server goes on" in line][-1]
        assert why in line, line
        assert not self.has_ended(self.pid) and self.written_pid() == self.pid
        assert self.get("/readyz").status == 200

    def __exit__(self, kind, error, trace):
        try:
            for client in self.open:
                client.close()
            if not self.ended and not self.has_ended(self.pid):
                os.kill(self.pid, signal.SIGTERM)
                end = time.monotonic() + WAIT
                while not self.has_ended(self.pid) and time.monotonic() < end:
                    time.sleep(0.01)
            if kind is None:
                text = self.process.output()
                assert not REPORT.search(text), text[-20000:]
                assert self.codes.get(self.pid) == 0, (self.codes, text[-3000:])
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)  # the group is ours alone
            with contextlib.suppress(ChildProcessError):
                self.process.child.wait(WAIT)
            self.place.cleanup()
