"""Runs scenarios against servers, in turns, and gathers what carillon-load says."""

from __future__ import annotations

import os
import secrets
import sys
import time
from typing import Any

import durable
import idle_tenants
import keys
import loadgen
from figures import Run
from loadgen import LOAD
from scenarios import QUICK, Scenario
from servers import KINDS, ServerError, running

FLOOR_ROUNDS = 40
FLOOR_BYTES = 330  # where no event was delivered: about what one is long
STEP = 10  # bytes that two frames may differ by and share a floor


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def servers_for(scenario: Scenario, peers: bool) -> list[str]:
    """The servers that can do what the scenario asks."""
    names = list(KINDS) if peers and not scenario.alone else ["carillon"]
    return [name for name in names if KINDS[name].can(*scenario.needs())]


def workers_of(scenario: Scenario) -> int:
    return scenario.workers or len(os.sched_getaffinity(0))


def run_once(scenario: Scenario, server_name: str, quick: bool) -> Run:
    """One run against a fresh server; what went wrong is in its faults."""
    if scenario.keeping:
        return durable.run_once(scenario, workers_of(scenario), quick)
    kind = KINDS[server_name]
    run: Run = {"faults": []}
    try:
        admin_key = secrets.token_urlsafe(32) if scenario.by_key else None
        with (
            running(kind, workers_of(scenario), admin_key, scenario.tls, scenario.server) as server,
            keys.shown(server.port, admin_key, int(scenario.options["tenants"])) as shown,
        ):
            if scenario.registered:
                count = scenario.registered // (QUICK if quick else 1)
                run["registered"] = idle_tenants.register(server.port, server.pids[0], count)
            part = (QUICK if quick else 1) * (1 if server_name == "carillon" else scenario.peers_part)
            # Its own dialect, unless the scenario names another, which comes later.
            flags = loadgen.flags(server, kind.dialects[0]) + scenario.flags(part)
            with loadgen.pressing(server, scenario.press) as press:
                run["load"] = loadgen.ask(LOAD, scenario.mode, flags + shown)
            if scenario.press:
                run["press"] = press
                run["faults"] += [f"the other tenant: {fault}" for fault in press["faults"]]
    except (ServerError, OSError) as error:
        run["faults"].append(f"{server_name}: {error}")
    return run


class Floors:
    """The floor for each length of frame, measured at most once a turn."""

    def __init__(self, quick: bool):
        self.rounds = FLOOR_ROUNDS // (QUICK if quick else 1)
        self.known: dict[int, dict[str, Any]] = {}

    def of(self, run: Run) -> dict[str, Any]:
        length = (run.get("load") or {}).get("frame_bytes") or FLOOR_BYTES
        length = max(STEP, round(length / STEP) * STEP)
        if length not in self.known:
            self.known[length] = loadgen.ask(
                LOAD, "floor", ["--bytes", str(length), "--rounds", str(self.rounds), "--batch", "1"]
            )
        return self.known[length]


def wants_floor(scenario: Scenario) -> bool:
    return any(figure.endswith("_floors") for figure in scenario.figures)


def run_group(group: list[Scenario], peers: bool, runs: int, quick: bool) -> list[dict[str, Any]]:
    """Scenarios that are compared with each other, and all their servers, in turns: A B C A B C …"""
    lines: list[tuple[Scenario, str, list[Run]]] = [
        (scenario, server, []) for scenario in group for server in servers_for(scenario, peers)
    ]
    for turn in range(1, runs + 1):
        floors = Floors(quick)
        for scenario, server, kept in lines:
            began = time.monotonic()
            run = run_once(scenario, server, quick)
            if wants_floor(scenario):
                run["floor"] = floors.of(run)
            kept.append(run)
            skipped = f", skipped: {run['skipped']}" if run.get("skipped") else ""
            say(f"{scenario.name}, {server}, run {turn} of {runs}: {time.monotonic() - began:.1f} s{skipped}")
    return [
        {
            "scenario": scenario.name,
            "server": server,
            "workers": workers_of(scenario) if server == "carillon" else 1,
            "runs": kept,
        }
        for scenario, server, kept in lines
    ]
