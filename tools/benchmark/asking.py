"""Asks a server one kind of question again and again, one at a time, and tells how long the answers took; a process of
its own, so that it waits for nothing but them. The answers are checked when all are in: what was not asked for is a
fault and no figure.

usage: asking.py < PLAN, a JSON object with the members of Plan
"""

from __future__ import annotations

import json
import os
import random
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

TENANT = "t0"  # the one that is asked; carillon-load writes to it, too
WORDS = 997  # an event has one of so many words, by its seq
FAULTS_MAX = 3
PATIENCE = 20.0  # seconds that an answer may take


@dataclass(frozen=True)
class Plan:
    kind: str
    port: int
    stored: int  # TENANT's events, 1 to so many, that are there when it begins
    count: int
    interval: float  # seconds from one question to the next, where the answer is there by then
    limit: float  # seconds for all of them


class AskingError(Exception):
    """An answer that is not what was asked for."""


def message(seq: int) -> str:
    """That of the stored event: 100 characters, with a word that others have and one that none has."""
    return f"stored event, word{seq % WORDS:03d} only{seq:08d} ".ljust(100, ".")


# The connection


def connect(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def exchange(connection: socket.socket, path: str) -> bytes:
    """The body of a 200."""
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nX-Tenant-ID: {TENANT}\r\n\r\n"
    connection.sendall(request.encode())
    answer = bytearray()
    while b"\r\n\r\n" not in answer:
        receive(connection, answer)
    head, _, rest = bytes(answer).partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    fields = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
    if "content-length" not in fields:
        raise AskingError(f"{lines[0]}: an answer without a length")
    body, size = bytearray(rest), int(fields["content-length"])
    while len(body) < size:
        receive(connection, body)
    if not lines[0].startswith("HTTP/1.1 200 "):
        raise AskingError(f"{path} was answered with {lines[0]}")
    return bytes(body)


def receive(connection: socket.socket, into: bytearray) -> None:
    part = connection.recv(1 << 20)
    if not part:
        raise AskingError("the server hung up")
    into += part


# The questions, and what is to be said


def listed(body: bytes) -> tuple[list[int], bool]:
    """The seqs of an answer, and whether there is more."""
    try:
        answer: dict[str, Any] = json.loads(body)
        events = answer["events"]
        if any(event["tenant_id"] != TENANT for event in events):
            raise AskingError("an event of another tenant came")
        return [int(event["seq"]) for event in events], bool(answer["has_more"])
    except (ValueError, KeyError, TypeError):
        raise AskingError("the answer is no list of events") from None


def expect(body: bytes, seqs: list[int], what: str) -> None:
    got, _ = listed(body)
    if got != seqs:
        raise AskingError(f"{what}: {len(seqs)} events were due, {outline(seqs)}, and {len(got)} came, {outline(got)}")


def outline(seqs: list[int]) -> str:
    return f"seq {seqs[0]} to {seqs[-1]}" if seqs else "none"


def newest(plan: Plan, _: random.Random) -> tuple[str, Callable[[bytes], None]]:
    def check(body: bytes) -> None:
        got, _ = listed(body)
        first = got[0] if got else 0
        if first < plan.stored or got != list(range(first, first - 50, -1)):
            raise AskingError(f"the newest 50, {plan.stored} or later: {len(got)} came, {outline(got)}")

    return "/api/v1/events?limit=50", check


def page(plan: Plan, dice: random.Random) -> tuple[str, Callable[[bytes], None]]:
    """Deep: among the oldest nine tenths."""
    size = min(1000, plan.stored // 10)
    since = dice.randrange(0, plan.stored * 9 // 10 - size)
    due = list(range(since + 1, since + size + 1))
    path = f"/api/v1/events?since={since}&limit={size}"
    return path, lambda body: expect(body, due, f"a page of {size} after {since}")


def query(plan: Plan, dice: random.Random) -> tuple[str, Callable[[bytes], None]]:
    """A word that one event of 997 has."""
    word = dice.randrange(WORDS)
    last = plan.stored - (plan.stored - word) % WORDS
    due = [seq for seq in range(last, 0, -WORDS)][:50]
    return f"/api/v1/events?q=word{word:03d}", lambda body: expect(body, due, f"the events with word{word:03d}")


def rare(plan: Plan, dice: random.Random) -> tuple[str, Callable[[bytes], None]]:
    """A word that one event has."""
    seq = dice.randrange(1, plan.stored + 1)
    return f"/api/v1/events?q=only{seq:08d}", lambda body: expect(body, [seq], f"the event with only{seq:08d}")


def alive(_: Plan, __: random.Random) -> tuple[str, Callable[[bytes], None]]:
    return "/livez", lambda body: None


KINDS = {"list": newest, "page": page, "query": query, "rare": rare, "loop": alive}


# Asking


def run_ahead() -> None:
    """As carillon-load does in an open loop: this process is to measure the server, not the scheduler."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(os.sched_get_priority_min(os.SCHED_FIFO)))
    except OSError:
        pass


def ask(plan: Plan) -> dict[str, Any]:
    dice = random.Random(f"{plan.kind} {plan.stored}")
    taken: list[float] = []
    kept: list[tuple[bytes, Callable[[bytes], None]]] = []
    with connect(plan.port) as connection:
        exchange(connection, "/livez")
        began = due = done = time.perf_counter()
        while len(taken) < plan.count and time.perf_counter() - began < plan.limit:
            time.sleep(max(0.0, due - time.perf_counter()))
            path, check = KINDS[plan.kind](plan, dice)
            # The loop is asked at fixed times: where it kept one question waiting, that is part of the next one's time.
            start = due if plan.kind == "loop" and done > due else time.perf_counter()
            body = exchange(connection, path)
            done = time.perf_counter()
            taken.append(done - start)
            kept.append((body, check))
            due = due + plan.interval if plan.kind == "loop" else max(due + plan.interval, done)
    return summary(plan, taken, check_all(plan, kept))


def check_all(plan: Plan, kept: list[tuple[bytes, Callable[[bytes], None]]]) -> list[str]:
    faults = []
    for body, check in kept:
        try:
            check(body)
        except AskingError as error:
            faults.append(str(error))
    if len(kept) < plan.count:
        faults.append(f"{len(kept)} answers in {plan.limit:g} s, and {plan.count} were asked for")
    return faults[:FAULTS_MAX]


def summary(plan: Plan, taken: list[float], faults: list[str]) -> dict[str, Any]:
    ordered = sorted(taken) or [0.0]
    return {
        "count": len(taken),
        "p50_ms": ordered[len(ordered) // 2] * 1e3,
        "p99_ms": ordered[len(ordered) * 99 // 100] * 1e3,
        "max_ms": ordered[-1] * 1e3,
        "faults": faults,
    }


def main() -> int:
    plan = Plan(**json.load(sys.stdin))
    run_ahead()
    try:
        answer = ask(plan)
    except (OSError, AskingError) as error:
        answer = {"count": 0, "faults": [str(error)]}
    json.dump(answer, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
