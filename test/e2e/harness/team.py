"""Threads of one test."""

import threading
import time

from .settings import WAIT


class Team:
    """Threads whose first failure is the test's failure."""

    def __init__(self):
        self.threads, self.errors = [], []
        self.stop = threading.Event()

    def go(self, work, *args):
        def run():
            try:
                work(*args)
            except BaseException as e:  # handed on in join()
                self.errors.append(e)
                self.stop.set()

        t = threading.Thread(target=run, daemon=True)
        self.threads.append(t)
        t.start()

    def join(self, wait=None):
        end = time.monotonic() + (wait or 3 * WAIT)
        for t in self.threads:
            t.join(max(0.01, end - time.monotonic()))
        if self.errors:
            raise self.errors[0]
        stuck = [t for t in self.threads if t.is_alive()]
        assert not stuck, f"{len(stuck)} threads never ended"
