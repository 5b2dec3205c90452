"""One server process of a run: its log, its memory and descriptors, and its end. One that takes its place goes on with
its log."""

import calendar
import contextlib
import os
import re
import resource
import signal
import time

from harness import Line, WAIT, secure, until
from harness.process import REPORT

from .ledger import Sieve

ADMIN = "soak-administrator"
STAMP = re.compile(r"(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d)\.\d{6} UTC (error|warning): (.*)")
SECRET = re.compile(rf"{ADMIN}|car_[A-Za-z0-9_-]{{40}}|eyJ[A-Za-z0-9_-]+[.]")
LATE = 3  # seconds that a line may come after the end of what it is about
# What the log may say, and what has to have been done for it.
EXPLAINED = (
    (re.compile(r"cannot accept connections for now: "), "descriptors", LATE),
    (re.compile(r"closing \d+ connections that did not end in time"), "end", LATE),
    (re.compile(r"closing \d+ connections that did not end in time"), "upgrade", LATE),
    (re.compile(r"SIGUSR2: no upgrade, this server goes on: the new program"), "attempt", LATE),
    (re.compile(r"store: nothing is forgotten: unable to open database file"), "descriptors", LATE),  # SQLite's own, for a moment
    (re.compile(r"store: (well again|the search index is written again)"), "disk", 60),
    (re.compile(r"store: (?!\d+ events that were answered are lost)"), "disk", LATE),
)


class Life:
    """From start to end. `base` is how many descriptors, and sockets among them, there are while nobody is connected."""

    def __init__(self, world, number):
        self.world, self.number = world, number
        self.file = open(os.path.join(world.folder, f"server-{number}.log"), "w", encoding="utf-8")
        self.words = Sieve(None, "t")  # a log names tenants, and has nothing else of theirs
        self.series = []  # (seconds, bytes resident, descriptors, sockets)
        env = {**(world.disk.env if world.disk else {}), "CARILLON_ADMIN_KEY": ADMIN}
        more = {"drain": "3s", "tls": world.settings.tls or secure.TLS}
        self.server = Line(*world.flags, store=world.store, env=env, auth="key", tenants=False, **more)
        self.server.__enter__()
        self.process = self.server.process
        self.began, self.base = time.monotonic(), (self.fds(), self.sockets())
        self.shed()

    @property
    def pid(self):
        return self.server.pid

    def signal(self, number):
        if self.is_there():
            os.kill(self.pid, number)

    def is_there(self):
        return not self.server.has_ended(self.pid)

    def upgrade(self):
        """Another process; what is known of the former one's memory is none of its."""
        self.server.upgrade()
        self.series, self.began = [], time.monotonic()

    def rss(self):
        with open(f"/proc/{self.pid}/statm", encoding="ascii") as f:
            return int(f.read().split()[1]) * resource.getpagesize()

    def fds(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def sockets(self):
        """Those of its port; it may have others with a database."""
        return sum(port == self.server.port for _, port, _, _ in self.peers())

    def peers(self):
        """Its TCP sockets: state, port here, port there, and what waits, as the kernel has it (proc_net_tcp.txt)."""
        inodes = set()
        for fd in os.listdir(f"/proc/{self.pid}/fd"):
            with contextlib.suppress(FileNotFoundError):
                inodes.add(os.readlink(f"/proc/{self.pid}/fd/{fd}").removeprefix("socket:[").removesuffix("]"))
        with open(f"/proc/{self.pid}/net/tcp", encoding="ascii") as f:
            rows = [line.split() for line in f.readlines()[1:]]
        return [(r[3], int(r[1][-4:], 16), int(r[2][-4:], 16), r[4]) for r in rows if r[9] in inodes]

    def sample(self):
        self.series.append((time.monotonic() - self.began, self.rss(), self.fds(), self.sockets()))

    def shed(self):
        """Moves what the server has said to a file, and looks at it."""
        lines = self.process.lines
        count = len(lines)
        text = "".join(f"{line}\n" for line in lines[:count])
        del lines[:count]
        self.file.write(text)
        self.file.flush()
        assert not REPORT.search(text), f"a sanitizer's report:\n{text[-20000:]}"
        self.words.strain(text.encode())
        assert not SECRET.search(text), "the log tells a secret"
        for line in text.splitlines():
            self.judge(line)

    def judge(self, line):
        m = STAMP.match(line)
        if not m:
            return
        at = calendar.timegm(time.strptime(m[1], "%Y/%m/%d %H:%M:%S"))
        for pattern, kind, late in EXPLAINED:
            if pattern.match(m[3]) and kind in self.world.troubles_at(at, late):
                return
        raise AssertionError(f"server {self.number} said, and nothing explains it: {line}")

    def crash(self):
        self.leave(signal.SIGKILL)
        self.gone()

    def end(self):
        """SIGTERM: it exits with 0, and leaves no write-ahead log behind."""
        self.leave(signal.SIGTERM)
        code = self.server.codes[self.pid]
        self.gone()
        assert code == 0, f"exit code {code}"

    def leave(self, number, wait=None):
        self.signal(number)
        until(lambda: not self.is_there(), "the server ends", wait)
        self.server.ended = True

    def gone(self):
        self.process.reader.join(WAIT)
        self.shed()
        self.file.close()
        self.server.place.cleanup()

    def abort(self):
        """The run has failed: whatever is left."""
        try:
            self.leave(signal.SIGTERM, 30)
        except AssertionError:
            self.leave(signal.SIGKILL)
        if not self.file.closed:
            self.process.reader.join(5)
            self.file.write(self.process.output())
            self.file.close()
