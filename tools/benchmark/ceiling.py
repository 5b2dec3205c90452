"""The plain SQLite ceiling: the rows that a server has just stored, inserted by a bare loop (carillon-ceiling)."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from servers import BUILD

PROGRAM = BUILD / "carillon-ceiling"
LIMIT = 300.0  # seconds that it may take
ASSUMED = 64.0  # events a transaction, where nobody knows
STORED = re.compile(r"store: (\d+) events in (\d+) transactions")
CHANGES_AT = 8  # in the header of SQLite's WAL index: a number that each transaction adds one to


class CeilingError(Exception):
    """It was not measured; the text says why."""


@dataclass(frozen=True)
class Batch:
    """The events of a transaction, on the average, and why they are not known where they are not."""

    events: float
    doubt: str = ""


def transactions(database: Path) -> int | None:
    """Those that were written since SQLite opened the database, while it is open; None where it does not say."""
    try:
        with open(f"{database}-shm", "rb") as file:
            header = file.read(CHANGES_AT + 4)
    except OSError:
        return None
    return int.from_bytes(header[CHANGES_AT:], "little") if len(header) == CHANGES_AT + 4 else None


def batch(log: str, events: int, begun: int | None, ended: int | None) -> Batch:
    """What the server says of it in its log; or, where it says nothing, what the WAL index counted from `begun` to
    `ended` while so many events were stored."""
    said = [(int(stored), int(count)) for stored, count in STORED.findall(log) if int(count)]
    if said and said[-1][0]:
        return Batch(said[-1][0] / said[-1][1])
    counted = (ended or 0) - (begun or 0)
    if begun is not None and counted > 0 and events >= counted:
        return Batch(events / counted)
    return Batch(ASSUMED, f"the server did not say how many events its transactions had: {ASSUMED:g} are assumed")


def measure(database: Path, target: Path, size: float) -> dict[str, Any]:
    """What carillon-ceiling says of the database's rows, inserted into a new one."""
    command = [str(PROGRAM), str(database), str(target), f"{max(1.0, size):.4f}"]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT, text=True)
        answer: dict[str, Any] = json.loads(done.stdout) if done.returncode == 0 else {}
    except subprocess.TimeoutExpired:
        raise CeilingError("carillon-ceiling did not end in time") from None
    except (OSError, ValueError) as error:
        raise CeilingError(f"carillon-ceiling: {error}") from None
    if not answer:
        lines = done.stderr.strip().splitlines()
        raise CeilingError(lines[-1] if lines else f"carillon-ceiling ended with {done.returncode}")
    return answer
