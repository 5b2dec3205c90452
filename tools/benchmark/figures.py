"""The figures that are read off a scenario's runs, and when a figure is refused."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Run = dict[str, Any]  # one run of one scenario, as running.py records it


@dataclass(frozen=True)
class Figure:
    label: str
    unit: str
    read: Callable[[Run], float | None]  # from a run; None where it was not reported
    timed: bool = False  # a rate or a latency: it says nothing where the load generator was the limit
    floors: bool = False  # it says nothing where the floor could not be measured
    parts: tuple[str, ...] = ()  # of run["parts"] that it is read off, and that have to be good


@dataclass(frozen=True)
class Summary:
    """The median of the runs with the least and the greatest, or why there is none."""

    median: float = 0.0
    least: float = 0.0
    most: float = 0.0
    refused: str | None = None


def at(*path: str) -> Callable[[Run], float | None]:
    """Reads the number at this path of a run; None where there is none."""

    def read(run: Run) -> float | None:
        value: Any = run
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        known = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        return float(value) if known else None

    return read


def both(
    first: Callable[[Run], float | None],
    second: Callable[[Run], float | None],
    combine: Callable[[float, float], float],
) -> Callable[[Run], float | None]:
    """Two readings combined; None where one of them is missing."""

    def read(run: Run) -> float | None:
        a, b = first(run), second(run)
        return None if a is None or b is None else combine(a, b)

    return read


FLOOR = at("floor", "event_us", "1")


def in_floors(cost: Callable[[Run], float | None]) -> Callable[[Run], float | None]:
    return both(cost, FLOOR, lambda cpu, floor: cpu / floor)


CPU_DELIVERY = at("load", "server_cpu_us_per_delivery")
CPU_EVENT = at("load", "server_cpu_us_per_event")

FIGURES: dict[str, Figure] = {
    "cpu_delivery": Figure("server CPU per delivery", "µs", CPU_DELIVERY),
    "cpu_floors": Figure("server CPU per delivery", "floors", in_floors(CPU_DELIVERY), floors=True),
    "cpu_event": Figure("server CPU per event", "µs", CPU_EVENT),
    "cpu_event_floors": Figure("server CPU per event", "floors", in_floors(CPU_EVENT), floors=True),
    "deliveries_s": Figure("deliveries", "per s", at("load", "deliveries_per_second"), timed=True),
    "events_s": Figure("events", "per s", at("load", "events_per_second"), timed=True),
    "deliver_p50": Figure("publish to deliver, p50", "µs", at("load", "deliver_us", "p50"), timed=True),
    "deliver_p99": Figure("publish to deliver, p99", "µs", at("load", "deliver_us", "p99"), timed=True),
    "deliver_p999": Figure("publish to deliver, p99.9", "µs", at("load", "deliver_us", "p999"), timed=True),
    "ack_p50": Figure("publish to ack, p50", "µs", at("load", "ack_us", "p50"), timed=True),
    "ack_p99": Figure("publish to ack, p99", "µs", at("load", "ack_us", "p99"), timed=True),
    "ack_p999": Figure("publish to ack, p99.9", "µs", at("load", "ack_us", "p999"), timed=True),
    "memory": Figure("server memory per connection", "bytes", at("load", "memory", "user_bytes_per_connection")),
    "kernel_memory": Figure(
        "kernel memory per connection, both ends", "bytes", at("load", "memory", "kernel_bytes_per_connection")
    ),
    "connects_s": Figure("connects", "per s", at("load", "connects", "per_second"), timed=True),
    "connect_cpu": Figure("server CPU per connect", "µs", at("load", "connects", "server_cpu_us")),
    "growth": Figure(
        "server memory, growth at its peak",
        "MiB",
        both(
            at("load", "memory", "rss_peak"),
            at("load", "memory", "rss_connected"),
            lambda peak, connected: (peak - connected) / 2**20,
        ),
    ),
    "press_s": Figure("the other tenant's requests", "per s", at("press", "per_second")),
    "press_refused": Figure(
        "of them answered 413, 429 or 503",
        "share",
        both(
            both(at("press", "limited"), at("press", "unavailable"), lambda limited, full: limited + full),
            both(at("press", "created"), at("press", "handshakes"), lambda created, opened: created + opened),
            lambda refused, taken: refused / (refused + taken or 1),
        ),
    ),
    "tenant_memory": Figure("server memory per idle tenant", "bytes", at("registered", "bytes_per_tenant")),
}


def asked(kind: str, about: str, ranks: tuple[str, ...] = ("p50", "p99", "max")) -> dict[str, Figure]:
    """The latencies of one kind of question."""
    return {
        f"{kind}_{rank}": Figure(f"{about}, {rank}", "ms", at("parts", kind, f"{rank}_ms"), timed=True, parts=(kind,))
        for rank in ranks
    }


SYNC = at("parts", "sync", "median_us")
LOOP_P99, LOOP_ALONE_P99 = at("parts", "loop", "p99_ms"), at("parts", "loop_alone", "p99_ms")

FIGURES |= {
    "batch": Figure("events in a transaction", "mean", at("parts", "ceiling", "batch"), parts=("ceiling",)),
    "ceiling_s": Figure(
        "plain SQLite, events", "per s", at("parts", "ceiling", "events_per_second"), parts=("ceiling",)
    ),
    "of_ceiling": Figure(
        "events, of plain SQLite's",
        "share",
        both(
            at("load", "events_per_second"), at("parts", "ceiling", "events_per_second"), lambda ours, all: ours / all
        ),
        timed=True,
        parts=("ceiling",),
    ),
    "sync": Figure("4 KiB written and synced, median", "µs", SYNC, parts=("sync",)),
    "sync_p99": Figure("4 KiB written and synced, p99", "µs", at("parts", "sync", "p99_us"), parts=("sync",)),
    "others": Figure("processor time taken by others", "share", at("parts", "others", "share"), parts=("others",)),
    "deliver_syncs": Figure(
        "publish to deliver, p99",
        "syncs",
        both(at("load", "deliver_us", "p99"), SYNC, lambda p99, sync: p99 / sync),
        timed=True,
        parts=("sync",),
    ),
    **asked("list", "newest 50"),
    **asked("page", "page of 1,000"),
    **asked("query", "word of many events"),
    **asked("rare", "word of one event"),
    **asked("loop_alone", "loop, nobody reading"),
    **asked("loop", "loop, while they read"),
    "loop_moved": Figure(
        "loop, p99 while they read",
        "of it alone",
        both(LOOP_P99, LOOP_ALONE_P99, lambda reading, alone: reading / alone),
        timed=True,
        parts=("loop", "loop_alone"),
    ),
}


def faults_of(run: Run) -> list[str]:
    """Every check of the load that failed in a run. One that was skipped has failed none."""
    if run.get("skipped"):
        return []
    load = run.get("load") or {}
    faults = [*run.get("faults", ()), *load.get("faults", ())]
    return faults if faults or load.get("ok") else ["it is not said which"]


def part_fault(run: Run, part: str) -> str | None:
    """Why what was measured beside the load says nothing; None where it does."""
    found = (run.get("parts") or {}).get(part)
    if not found:
        return "not reported"
    return f"a check failed: {found['faults'][0]}" if found.get("faults") else None


def floor_fault(run: Run) -> str | None:
    """Why nothing can be told in floors of this run; None where it can."""
    floor = run.get("floor") or {}
    if not floor.get("ok") or floor.get("faults"):
        return f"the floor is not known: {(floor.get('faults') or ['it is not said why'])[0]}"
    if (FLOOR(run) or 0) <= 0:
        return "the floor is not known: its cost was not reported, or as nothing"
    return None


def refusal(figure: Figure, run: Run) -> str | None:
    """Why this run does not count for this figure; None where it does."""
    if run.get("skipped"):
        return f"skipped: {run['skipped']}"
    load, faults = run.get("load") or {}, faults_of(run)
    if faults:
        return f"a check failed: {faults[0]}"
    for part in figure.parts:
        missing = part_fault(run, part)
        if missing:
            return missing
    limit = load.get("load") or {}
    open_loop = bool((load.get("config") or {}).get("rate"))
    # In a closed loop, what the server spends on a delivery is its own, however late the next event comes. What was
    # measured beside the load is no business of it.
    if limit.get("limited") and (figure.timed or open_loop and not figure.parts):
        return f"the load generator was the limit: {limit.get('why') or 'it does not say why'}"
    unknown = floor_fault(run) if figure.floors else None
    if unknown:
        return unknown
    if figure.read(run) is None:
        return "not reported"
    return None


def summarise(figure: Figure, runs: list[Run]) -> Summary:
    """Of all the runs, or of none: one that does not count takes the figure with it."""
    if not runs:
        return Summary(refused="never run")
    for number, run in enumerate(runs, 1):
        reason = refusal(figure, run)
        if reason:
            return Summary(refused=f"run {number}: {reason}")
    values = [value for value in map(figure.read, runs) if value is not None]
    return Summary(statistics.median(values), min(values), max(values))
