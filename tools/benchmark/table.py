"""The results as text: a table that reads well and is Markdown, and what it was measured on."""

from __future__ import annotations

from documents import Results
from figures import FIGURES, Run, Summary, summarise
from goals import verdict
from scenarios import SCENARIOS

QUICK_LINE = "A quick run: it proves only that the benchmark works here. Its figures measure nothing and meet no goal."


def number(value: float) -> str:
    """Three digits that count, or all that stand before the point."""
    size = abs(value)
    digits = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3
    return f"{value:,.{digits}f}"


class Report:
    """The results by scenario and server."""

    def __init__(self, results: Results):
        self.results = results
        self.quick = bool(results["settings"]["quick"])
        self.runs: dict[tuple[str, str], list[Run]] = {}
        self.workers: dict[str, int] = {}
        for entry in results["results"]:
            self.runs[entry["scenario"], entry["server"]] = entry["runs"]
            if entry["server"] == "carillon":
                self.workers[entry["scenario"]] = entry["workers"]
        self.servers = list(dict.fromkeys(server for _, server in self.runs))
        self.notes: list[str] = []

    def summary(self, scenario: str, server: str, figure: str) -> Summary:
        return summarise(FIGURES[figure], self.runs.get((scenario, server), []))

    def cell(self, scenario: str, server: str, figure: str) -> str:
        if (scenario, server) not in self.runs:
            return ""
        summary = self.summary(scenario, server, figure)
        if summary.refused:
            return f"— {self.note(f'{scenario}, {server}: {summary.refused}')}"
        if len(self.runs[scenario, server]) == 1:
            return number(summary.median)
        return f"{number(summary.median)} ({number(summary.least)} … {number(summary.most)})"

    def note(self, text: str) -> str:
        """The mark of a note below the table; the same text has the same mark."""
        if text not in self.notes:
            self.notes.append(text)
        return f"({self.notes.index(text) + 1})"

    def row(self, scenario: str, figure: str) -> list[str]:
        cells = [self.cell(scenario, server, figure) for server in self.servers]
        label = f"{FIGURES[figure].label}, {FIGURES[figure].unit}"
        goal = verdict(scenario, figure, self.summary, self.quick)
        return [scenario, str(self.workers.get(scenario, "")), label, *cells, goal]

    def rows(self) -> list[list[str]]:
        present = {scenario for scenario, _ in self.runs}
        return [
            self.row(name, figure)
            for name, scenario in SCENARIOS.items()
            if name in present
            for figure in scenario.figures
        ]

    def text(self) -> str:
        header = ["scenario", "workers", "figure", *self.servers, "goal"]
        warning = QUICK_LINE if self.quick else ""
        parts = [conditions(self.results), warning, aligned(header, self.rows()), self.legend()]
        return "\n\n".join(part for part in parts if part) + "\n"

    def legend(self) -> str:
        present = {scenario for scenario, _ in self.runs}
        for (scenario, server), runs in self.runs.items():
            for text in dict.fromkeys(text for run in runs for text in run.get("notes") or ()):
                self.note(f"{scenario}, {server}: {text}")
        lines = [f"{mark}. {text}" for mark, text in enumerate(self.notes, 1)]
        if lines:
            lines.append("")
        lines += [f"- {name}: {scenario.about}" for name, scenario in SCENARIOS.items() if name in present]
        return "\n".join(lines)


def conditions(results: Results) -> str:
    """What was measured on, in a list."""
    settings = results["settings"]
    lines = [f"- {key}: {value}" for key, value in results["machine"].items()]
    if settings["quick"]:
        lines.append("- runs: 1, short")
    else:
        lines.append(f"- runs: {settings['runs']}, servers in turns; median (least … greatest)")
    lines.append(
        "- workers: Carillon's threads; each peer is one thread. A floor is the CPU time of one send() of the "
        "same bytes to a socket, measured in the same turn"
    )
    lines.append(
        "- where the load generator was the limit, rates and latencies are refused; the server's CPU time stands in a "
        "closed loop (a delivery, an event) and for a connect, for it is the server's own"
    )
    return "\n".join(lines)


def aligned(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table whose columns stand straight."""
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    rule = ["-" * size for size in widths]
    return "\n".join(
        "| " + " | ".join(cell.ljust(size) for cell, size in zip(row, widths)) + " |" for row in [header, rule, *rows]
    )
