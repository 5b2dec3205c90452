"""carillon-load, the load generator: what it is asked, and its answer."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

LIMIT = 120  # seconds that it gives itself
GRACE = 30  # and what it may take beyond that


def ask(program: Path, mode: str, flags: list[str]) -> dict[str, Any]:
    """The JSON that it prints; where it prints none, one that says so as a fault."""
    command = [str(program), mode, *flags]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT + GRACE, text=True)
    except subprocess.TimeoutExpired:
        return failed("carillon-load did not end in time")
    except OSError as error:
        return failed(f"carillon-load: {error}")
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        lines = done.stderr.strip().splitlines()
        return failed(f"carillon-load ended with {done.returncode}: {lines[-1] if lines else 'it wrote nothing'}")
    # The exit code and the document say the same, or neither is believed.
    if (done.returncode == 0) != bool(answer.get("ok")):
        answer["faults"] = [*answer.get("faults", []), f"carillon-load ended with {done.returncode}"]
    return answer


def failed(why: str) -> dict[str, Any]:
    return {"ok": False, "faults": [why]}
