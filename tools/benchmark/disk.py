"""The disk that the databases lie on: what it is, and how long it takes to have a write safe."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from pathlib import Path

SYNC_BYTES = 4096
SYNC_ROUNDS = 200


def sync_us(folder: Path, rounds: int = SYNC_ROUNDS) -> list[float]:
    """Microseconds of a write of 4 KiB at a file's end with fdatasync(2), so often."""
    block, taken = os.urandom(SYNC_BYTES), []
    with tempfile.TemporaryFile(dir=folder, prefix="sync-", buffering=0) as file:
        for _ in range(rounds):
            began = time.perf_counter_ns()
            os.write(file.fileno(), block)
            os.fdatasync(file.fileno())
            taken.append((time.perf_counter_ns() - began) / 1000)
    return taken


def summary(taken: list[float]) -> dict[str, float]:
    return {
        "rounds": len(taken),
        "median_us": statistics.median(taken),
        "p99_us": sorted(taken)[len(taken) * 99 // 100],
        "max_us": max(taken),
    }


def describe(folder: Path) -> str:
    """The file system and the device of a folder, by the mount that is deepest."""
    try:
        mounts = [line.split() for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()]
    except OSError:
        return "unknown"
    whole = os.path.realpath(folder)
    above = [mount for mount in mounts if whole == mount[1] or whole.startswith(mount[1].rstrip("/") + "/")]
    return "{2} on {0}".format(*max(above, key=lambda mount: len(mount[1]))) if above else "unknown"
