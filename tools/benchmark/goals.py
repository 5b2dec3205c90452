"""What Carillon is to reach, and whether it did."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from figures import Summary
from scenarios import SCENARIOS

Lookup = Callable[[str, str, str], Summary]  # scenario, server, figure


@dataclass(frozen=True)
class Goal:
    """A bound on Carillon's figure, or on its ratio to a peer's, or to the one of the scenario's base."""

    limit: float
    at_least: bool = False
    peer: str | None = None
    to_base: bool = False


GOALS: dict[tuple[str, str], Goal] = {
    ("fan-out", "cpu_floors"): Goal(1.10),
    ("fan-out-64", "cpu_floors"): Goal(0.20),
    ("fan-out-64-2", "cpu_delivery"): Goal(1.15, to_base=True),
    ("many", "cpu_floors"): Goal(3.0),
    ("many-16", "cpu_floors"): Goal(1.4),
    ("publish", "cpu_event_floors"): Goal(0.30),
    ("publish-ws", "cpu_event_floors"): Goal(0.30),
    ("idle-tenants", "tenant_memory"): Goal(512),
    ("idle-tenants", "cpu_event"): Goal(1.10, to_base=True),
    ("publish-key", "events_s"): Goal(0.95, at_least=True, to_base=True),
    ("publish-key", "cpu_event"): Goal(1.05, to_base=True),
    ("latency", "deliver_p50"): Goal(0.65, peer="ws"),
    ("latency", "deliver_p99"): Goal(0.5, peer="ws"),
    ("one-to-one", "ack_p50"): Goal(0.9, peer="ws"),
    ("idle", "memory"): Goal(768),
    ("idle", "connects_s"): Goal(25000, at_least=True),
    ("idle", "connect_cpu"): Goal(25),
    ("paced-2", "cpu_delivery"): Goal(1.15, to_base=True),
    ("stalled", "growth"): Goal(16),
    ("stalled", "deliver_p99"): Goal(2, to_base=True),
    ("fan-out-sse", "cpu_delivery"): Goal(1.10, to_base=True),
    ("fan-out-64-sse", "cpu_delivery"): Goal(1.10, to_base=True),
    ("many-sse", "cpu_delivery"): Goal(1.10, to_base=True),
    ("many-16-sse", "cpu_delivery"): Goal(1.10, to_base=True),
    ("latency-sse", "deliver_p50"): Goal(1.10, to_base=True),
    ("latency-sse", "deliver_p99"): Goal(1.10, to_base=True),
    ("idle-sse", "memory"): Goal(1.10, to_base=True),
    ("fan-out-sio", "cpu_delivery"): Goal(0.4, peer="socket.io"),
    ("fan-out-64-sio", "cpu_delivery"): Goal(0.1, peer="socket.io"),
    ("idle-sio", "memory"): Goal(3072),
    ("ingest-key", "events_s"): Goal(0.95, at_least=True, to_base=True),
    ("ingest-key", "cpu_event"): Goal(1.05, to_base=True),
    ("ingest-commit", "events_s"): Goal(20000, at_least=True),
    ("ingest-commit", "of_ceiling"): Goal(0.6, at_least=True),
    ("deliver-commit", "deliver_syncs"): Goal(3),
    ("fair-flood", "deliver_p99"): Goal(1.5, to_base=True),
    ("fair-stalled", "deliver_p99"): Goal(1.5, to_base=True),
    ("fair-handshakes", "deliver_p99"): Goal(1.5, to_base=True),
    ("fair-batches", "deliver_p50"): Goal(1.5, to_base=True),
    ("fair-batches", "deliver_p99"): Goal(1.5, to_base=True),
    ("history", "list_p99"): Goal(20),
    ("history", "page_p99"): Goal(20),
    ("history", "query_p99"): Goal(20),
    ("history", "rare_p99"): Goal(20),
    ("history", "loop_moved"): Goal(1.25),
}


def verdict(scenario: str, figure: str, lookup: Lookup, quick: bool) -> str:
    """The goal of a row and whether it was met, which a quick run does not tell; empty where the row has none."""
    goal = GOALS.get((scenario, figure))
    if goal is None:
        return ""
    ours = lookup(scenario, "carillon", figure)
    text = f"{'≥' if goal.at_least else '≤'} {goal.limit:,g}"
    against = None
    if goal.peer:
        text += f" × {goal.peer}"
        against = lookup(scenario, goal.peer, figure)
    elif goal.to_base:
        base = SCENARIOS[scenario].base or scenario
        text += f" × {base}"
        against = lookup(base, "carillon", figure)
    if quick:
        return f"{text}: quick"
    if ours.refused or against and (against.refused or not against.median):
        return f"{text}: unknown"
    value = ours.median / against.median if against else ours.median
    met = value >= goal.limit if goal.at_least else value <= goal.limit
    ratio = f", {value:.2f}" if against else ""
    return f"{text}: {'met' if met else 'missed'}{ratio}"
