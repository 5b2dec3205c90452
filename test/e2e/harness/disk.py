"""A disk that fails on demand under the server's database: test/support/disk_faults.c, preloaded."""

import errno
import mmap
import os
import struct

from .settings import clean_environment, program

WRITE, SYNC, READ, TRUNCATE = 1, 2, 4, 8
MAIN, LOG, INDEX, JOURNAL, SEARCH = 1, 2, 4, 8, 16
ANY = MAIN | LOG | INDEX | JOURNAL
FAIL, TORN, SHORT, LATE, KILL, KILL_TORN = range(6)

SIZE = 32


class Disk:
    """What the server's database lies on. `env` is for the server; faults go on and off while it runs."""

    def __init__(self, folder):
        self.path = os.path.join(os.path.realpath(folder), "log.db")
        self.store = f"sqlite:{self.path}"
        control = os.path.join(folder, "faults")
        with open(control, "w+b") as file:
            file.truncate(SIZE)
            self.control = mmap.mmap(file.fileno(), SIZE)
        self.env = {
            "LD_PRELOAD": program("DISK_FAULTS_LIB"),
            "DISK_FAULTS_PATH": self.path,
            "DISK_FAULTS_CONTROL": control,
            # It wants to be the first library; the calls go through both all the same.
            "ASAN_OPTIONS": clean_environment()["ASAN_OPTIONS"] + ":verify_asan_link_order=0",
        }

    def fail(self, calls, error=errno.EIO, files=ANY, manner=FAIL, skip=0, count=0):
        """From now on these calls on these files fail: `count` of them (0: all), after `skip` that go well."""
        self.well()
        struct.pack_into("<7I", self.control, 4, files, manner, error, skip, count, 0, 0)
        struct.pack_into("<I", self.control, 0, calls)

    def well(self):
        struct.pack_into("<I", self.control, 0, 0)

    @property
    def seen(self):
        """How many calls might have failed since fail()."""
        return struct.unpack_from("<I", self.control, 24)[0]

    @property
    def hits(self):
        """How many calls have failed since fail()."""
        return struct.unpack_from("<I", self.control, 28)[0]


def draw(rng, sync=SYNC):
    """A fault, for Disk.fail(); `sync=0`: not of a sync alone."""
    return {
        "calls": rng.choice((WRITE, sync or WRITE, WRITE | READ, READ, WRITE | sync | READ | TRUNCATE)),
        "error": rng.choice((errno.EIO, errno.ENOSPC)),
        "files": rng.choice((ANY, MAIN, LOG)),
        "manner": rng.choice((FAIL, TORN, SHORT, LATE)),
        "skip": rng.choice((0, 0, rng.randrange(40))),
        "count": rng.choice((0, 1, rng.randrange(1, 20))),
    }


def all_events(server, tenant):
    """What the log has of the tenant, oldest first, page by page."""
    events, since = [], 0
    while True:
        page = server.get(f"/events?limit=1000&since={since}", tenant).json()
        events += page["events"]
        if not page["has_more"]:
            return events
        since = page["next"]
