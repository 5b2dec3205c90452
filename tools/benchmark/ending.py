"""The signals that end the benchmark: as an exception, so that servers are stopped and their folders removed."""

from __future__ import annotations

import signal
from typing import NoReturn

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Ended(SystemExit):
    """A signal has come; the exit code is the shell's for it."""

    def __init__(self, number: int):
        super().__init__(128 + number)
        self.by_hand = number == signal.SIGINT


def end(number: int, _frame: object) -> NoReturn:
    for other in ENDING:
        signal.signal(other, signal.SIG_IGN)  # a second one would break off what the first one has cleared away
    raise Ended(number)


def watch() -> None:
    for number in ENDING:
        if signal.getsignal(number) != signal.SIG_IGN:  # as nohup leaves it
            signal.signal(number, end)
