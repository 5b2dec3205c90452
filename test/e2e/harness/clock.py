"""A clock that leaps on demand under the server: test/support/clock_leap.c, preloaded."""

import mmap
import os
import struct

from .settings import clean_environment, program

DAY = 86400


class Clock:
    """What the server takes for the time. `env` is for the server; it leaps while that runs, and is noticed when the
    loop concerned wakes next."""

    def __init__(self, folder):
        name = os.path.join(folder, "leap")
        with open(name, "w+b") as file:
            file.truncate(8)
            self.leapt = mmap.mmap(file.fileno(), 8)
        self.env = {
            "LD_PRELOAD": program("CLOCK_LEAP_LIB"),
            "CLOCK_LEAP": name,
            # It wants to be the first library; the calls go through both all the same.
            "ASAN_OPTIONS": clean_environment()["ASAN_OPTIONS"] + ":verify_asan_link_order=0",
        }

    def leap(self, seconds):
        (now,) = struct.unpack("<q", self.leapt)
        struct.pack_into("<q", self.leapt, 0, now + seconds)
