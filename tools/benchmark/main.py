"""tools/bench: measures Carillon, side by side with others where asked, and prints a table.

usage: tools/bench [--peers] [--quick] [--runs N] [--json FILE] [--charts DIR] [SCENARIO...]
       tools/bench list                 the scenarios
       tools/bench floor [FLAG...]      what a send() costs here; flags are carillon-load's
       tools/bench report FILE          the table of results that were kept
       tools/bench charts FILE DIR      their charts
"""

from __future__ import annotations

import argparse
import resource
import shlex
import sys

import charts
import documents
import ending
import loadgen
import machine
from documents import DocumentError, Results
from figures import Run, faults_of, floor_fault, part_fault
from loadgen import LOAD
from running import run_group, say
from scenarios import SCENARIOS, groups
from servers import BUILD
from table import Report, aligned, number

FEWEST_RUNS = 3


def list_scenarios() -> int:
    for scenario in SCENARIOS.values():
        print(f"{scenario.name}\n    {scenario.about}\n    {scenario.mode} {shlex.join(scenario.flags())}")
        print(f"    {scenario.threads()}; {scenario.store()}")
    return 0


def floor(flags: list[str]) -> int:
    answer = loadgen.ask(LOAD, "floor", flags)
    if not answer.get("ok"):
        say(f"floor: {'; '.join(answer['faults'])}")
        return 1
    rows = [
        [count, number(per_send), number(answer["event_us"][count])] for count, per_send in answer["send_us"].items()
    ]
    print(aligned(["events in a send()", "CPU per send, µs", "CPU per event, µs"], rows))
    return 0


def report(file: str) -> int:
    print(Report(documents.read(file)).text(), end="")
    return 0


def draw(results: Results, folder: str) -> int:
    for path in charts.write(results, documents.prepare_folder(folder)):
        say(f"drawn: {path}")
    return 0


def scenario_name(text: str) -> str:
    if text not in SCENARIOS:
        raise argparse.ArgumentTypeError(f"no scenario {text!r}; tools/bench list shows them")
    return text


def options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tools/bench", usage=__doc__.partition("usage: ")[2], allow_abbrev=False)
    parser.add_argument("--peers", action="store_true", help="the same against ws, socket.io and nginx with nchan")
    parser.add_argument("--quick", action="store_true", help="one short run of each: proof only that it works")
    parser.add_argument(
        "--runs", type=int, metavar="N", default=FEWEST_RUNS, help=f"at least {FEWEST_RUNS}, the default"
    )
    parser.add_argument(
        "--json", metavar="FILE", help="where results are kept; build/bench/results.json, or quick.json there"
    )
    parser.add_argument("--charts", metavar="DIR", help="draw them as well")
    parser.add_argument("scenarios", nargs="*", type=scenario_name, metavar="SCENARIO", help="all where none is named")
    chosen = parser.parse_args(arguments)
    if chosen.runs < FEWEST_RUNS and not chosen.quick:
        parser.error(f"fewer than {FEWEST_RUNS} runs say nothing about their spread")
    if chosen.quick:
        chosen.runs = 1
    if chosen.json is None:
        chosen.json = str(BUILD / "bench" / ("quick.json" if chosen.quick else "results.json"))
    return chosen


def measure(chosen: argparse.Namespace) -> int:
    """Ctrl-C leaves the groups that are finished, and their table."""
    target = documents.prepare(chosen.json)
    if chosen.charts:
        documents.prepare_folder(chosen.charts)
    results: Results = {
        "machine": machine.describe(chosen.peers),
        "settings": {"runs": chosen.runs, "quick": chosen.quick},
        "results": [],
    }
    broken_off = None
    try:
        for group in groups(chosen.scenarios or list(SCENARIOS)):
            results["results"] += run_group(group, chosen.peers, chosen.runs, chosen.quick)
            documents.keep(results, target)  # now: a later one may be broken off
    except ending.Ended as error:
        if not error.by_hand:
            raise
        broken_off = error
    if results["results"]:
        print(Report(results).text(), end="")
        say(f"kept: {target}")
    if broken_off:
        say("broken off: the table has what was finished" if results["results"] else "broken off: nothing was finished")
        raise broken_off
    if chosen.charts:
        draw(results, chosen.charts)
    return 1 if any(failed(run) for entry in results["results"] for run in entry["runs"]) else 0


def failed(run: Run) -> bool:
    parts = any(part_fault(run, part) for part in run.get("parts") or {})
    return bool(faults_of(run) or parts or "floor" in run and floor_fault(run))


def run(arguments: list[str]) -> int:
    match arguments:
        case ["list"]:
            return list_scenarios()
        case ["report", file]:
            return report(file)
        case ["charts", file, folder]:
            return draw(documents.read(file), folder)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # each connection is a file, here and in the servers
    match arguments:
        case ["floor", *flags]:
            return floor(flags)
    return measure(options(arguments))


def main(arguments: list[str]) -> int:
    ending.watch()
    try:
        return run(arguments)
    except DocumentError as error:
        say(f"tools/bench: {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
