"""carillon-load, the load generator: what it is asked, and its answer."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from servers import BUILD, Server

LOAD = BUILD / "carillon-load"
LIMIT = 120  # seconds that it gives itself
GRACE = 30  # and what it may take beyond that


def flags(server: Server, dialect: str) -> list[str]:
    """What it has to know of a server, whatever the scenario."""
    target = ["--target", f"127.0.0.1:{server.port}", "--dialect", dialect]
    return target + ["--pids", ",".join(map(str, server.pids)), "--timeout", str(LIMIT)]


def ask(program: Path, mode: str, flags: list[str]) -> dict[str, Any]:
    """The JSON that it prints; where it prints none, one that says so as a fault."""
    try:
        with started([str(program), mode, *flags]) as child:
            return answer_of(child)
    except OSError as error:
        return failed(f"carillon-load: {error}")


@contextlib.contextmanager
def started(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """A child for the length of a `with` block: one that is left early ends it."""
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        try:
            yield child
        finally:
            child.kill()


@contextlib.contextmanager
def pressing(server: Server, options: dict[str, int | str] | None) -> Iterator[dict[str, Any]]:
    """Another tenant takes all that it can get of the server for the length of a `with` block. What became of it is in the
    dictionary behind it; without options nobody does."""
    found: dict[str, Any] = {}
    if options is None:
        yield found
        return
    words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
    with started([str(LOAD), "press", *flags(server, "carillon"), *words]) as child:
        assert child.stdout
        child.stdout.readline()  # it is connected
        yield found
        found |= answer_of(child)


def answer_of(child: subprocess.Popen[str]) -> dict[str, Any]:
    """What the started carillon-load says in the end."""
    try:
        out, err = child.communicate(timeout=LIMIT + GRACE)
    except subprocess.TimeoutExpired:
        return failed("carillon-load did not end in time")
    try:
        answer: dict[str, Any] = json.loads(out)
    except ValueError:
        lines = err.strip().splitlines()
        return failed(f"carillon-load ended with {child.returncode}: {lines[-1] if lines else 'it wrote nothing'}")
    # The exit code and the document say the same, or neither is believed.
    if (child.returncode == 0) != bool(answer.get("ok")):
        answer["faults"] = [*answer.get("faults", []), f"carillon-load ended with {child.returncode}"]
    return answer


def failed(why: str) -> dict[str, Any]:
    return {"ok": False, "faults": [why]}
