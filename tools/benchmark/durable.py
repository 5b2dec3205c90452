"""Runs of scenarios that keep events: in a folder of their own on the disk, with what is measured beside the load."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asking
import ceiling
import disk
import filling
import loadgen
import machine
import postgres
from ceiling import CeilingError
from figures import Run
from scenarios import QUICK, Keeping, Scenario
from servers import BUILD, KINDS, Server, ServerError, Start, fresh_folder, objection, serving

FOLDERS = BUILD / "bench"  # where temporary files are may be memory
DATABASE = "log.db"
CARILLON = KINDS["carillon"]
ASKING = Path(asking.__file__)

QUESTIONS = 300  # of each kind
INTERVAL = 0.05  # seconds between two of a kind
LOOP_INTERVAL = 0.01
ALONE, READING = 10.0, 20.0  # seconds that the questions may take: with the loop's alone, and with the others
AHEAD, BEYOND = 1.7, 2.0  # and that the load writes before them, its warm-up included, and after them


class Skipped(Exception):
    """It cannot be measured here; the text says why."""


@contextlib.contextmanager
def store_of(keeping: Keeping, folder: Path) -> Iterator[str]:
    """Carillon's --store."""
    if keeping.store == "sqlite":
        yield f"sqlite:{folder / DATABASE}"
        return
    programs = postgres.programs()
    if not programs:
        raise Skipped("PostgreSQL's initdb, postgres and pg_isready are not installed")
    with postgres.running(folder, programs) as uri:
        yield uri


def run_once(scenario: Scenario, workers: int, quick: bool) -> Run:
    """One run against a fresh server with a fresh store; what went wrong is in its faults."""
    run: Run = {"faults": [], "parts": {}, "notes": []}
    keeping = scenario.keeping
    assert keeping is not None
    try:
        FOLDERS.mkdir(parents=True, exist_ok=True)
        with fresh_folder(FOLDERS) as folder, store_of(keeping, folder) as store:
            start = Start(folder, workers, store, keeping.durability)
            refused = objection(start)
            if refused and keeping.store == "postgres":
                raise Skipped(refused)
            synced = disk.sync_us(folder)
            others = machine.Others()
            if keeping.stored:
                read_while_written(run, scenario, start, QUICK if quick else 1)
            else:
                write(run, scenario, start, QUICK if quick else 1)
            # Before and after: a disk that others use as well is not the same for long.
            run["parts"]["sync"] = disk.summary(synced + disk.sync_us(folder))
            if keeping.ceiling:
                measure_ceiling(run, folder)
            run["parts"]["others"] = {"share": others.share()}
    except Skipped as error:
        run["skipped"] = str(error)
    except (ServerError, OSError) as error:
        run["faults"].append(f"carillon: {error}")
    return run


# Writing


def write(run: Run, scenario: Scenario, start: Start, part: int) -> None:
    database = start.folder / DATABASE
    with serving(CARILLON, start) as server:
        begun = ceiling.transactions(database)
        flags = loadgen.flags(server, CARILLON.dialects[0]) + scenario.flags(part)
        run["load"] = loadgen.ask(loadgen.LOAD, scenario.mode, flags)
        run["transactions"] = {"begun": begun, "ended": ceiling.transactions(database)}


def measure_ceiling(run: Run, folder: Path) -> None:
    """Of what the server, which has ended, has left in the folder."""
    config = run["load"].get("config") or {}
    events = int(config.get("events", 0)) + int(config.get("warmup", 0))
    counted = run["transactions"]
    log = (folder / "log").read_text(encoding="utf-8", errors="replace")
    batch = ceiling.batch(log, events, counted["begun"], counted["ended"])
    if batch.doubt:
        run["notes"].append(batch.doubt)
    try:
        part = ceiling.measure(folder / DATABASE, folder / "plain.db", batch.events) | {"batch": batch.events}
        if part["events"] != events:
            part["faults"] = [f"{part['events']} events are in the database, and {events} were published"]
    except CeilingError as error:
        part = {"faults": [str(error)]}
    run["parts"]["ceiling"] = part


# Reading


def read_while_written(run: Run, scenario: Scenario, start: Start, part: int) -> None:
    assert scenario.keeping is not None
    events = scenario.keeping.stored // part
    run["notes"].append(f"filled over: {filling.fill(start, start.folder / DATABASE, events)}")
    stored, _ = filling.share(events)
    with serving(CARILLON, start) as server:
        alone = phase(run, scenario, server, "alone", ALONE / part, [])
        plans = [
            {"kind": kind, "count": QUESTIONS // part, "interval": INTERVAL}
            for kind in ("list", "page", "query", "rare")
        ]
        while_read = phase(run, scenario, server, "read from", READING / part, [p | {"stored": stored} for p in plans])
    run["load"] = while_read["load"]
    run["faults"] += alone["load"].get("faults", [])
    run["parts"] |= {"loop_alone": alone["loop"]} | {name: said for name, said in while_read.items() if name != "load"}


def phase(
    run: Run, scenario: Scenario, server: Server, name: str, seconds: float, plans: list[dict[str, Any]]
) -> dict[str, Any]:
    """What the load says, and each kind of question. The load writes from before the first one to after the last."""
    loop = {"kind": "loop", "count": int(seconds * 0.7 / LOOP_INTERVAL), "interval": LOOP_INTERVAL, "stored": 0}
    rate = int(scenario.options["rate"])
    warmup = rate
    flags = loadgen.flags(server, CARILLON.dialects[0]) + scenario.flags()
    flags += ["--warmup", str(warmup), "--events", str(int((AHEAD + seconds + BEYOND) * rate) - warmup)]
    with contextlib.ExitStack() as children:
        writer = children.enter_context(loadgen.started([str(loadgen.LOAD), scenario.mode, *flags]))
        time.sleep(AHEAD)
        askers = {}
        for plan in [loop, *plans]:
            asker = children.enter_context(loadgen.started([sys.executable, "-B", str(ASKING)]))
            assert asker.stdin is not None
            json.dump(plan | {"port": server.port, "limit": seconds}, asker.stdin)
            asker.stdin.close()
            asker.stdin = None  # communicate() leaves it alone
            askers[str(plan["kind"])] = asker
        said = {kind: asking_answer(asker, seconds) for kind, asker in askers.items()}
        if writer.poll() is not None:
            run["faults"].append(f"{name}: the load ended before the questions did")
        return said | {"load": loadgen.answer_of(writer)}


def asking_answer(asker: subprocess.Popen[str], seconds: float) -> dict[str, Any]:
    try:
        out, err = asker.communicate(timeout=seconds + asking.PATIENCE * 2)
        answer: dict[str, Any] = json.loads(out)
    except subprocess.TimeoutExpired:
        return {"faults": ["the questions had no end"]}
    except ValueError:
        lines = err.strip().splitlines()
        return {"faults": [f"the questions were not asked: {lines[-1] if lines else asker.returncode}"]}
    return answer
