"""The README's charts as SVG, from the results: horizontal bars, a whisker from the least run to the greatest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from documents import Results
from figures import FLOOR, Figure, Summary, summarise
from table import Report, number

WIDTH = 760
LEFT = 110  # where bars begin
RIGHT = 160  # what is kept free for the numbers behind them
BAR, GAP, HEAD, GROUP = 18, 8, 64, 30

STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.title { font-size: 16px; font-weight: 600 }
.quiet { fill: #59636e }
.ours { fill: #0969da }
.peer { fill: #afb8c1 }
.whisker { stroke: #1f2328; stroke-width: 1.5 }
.axis { stroke: #d1d9e0 }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc }
  .quiet { fill: #9198a1 }
  .ours { fill: #4493f8 }
  .peer { fill: #656c76 }
  .whisker { stroke: #f0f6fc }
  .axis { stroke: #3d444d }
}
"""


@dataclass(frozen=True)
class Bar:
    label: str
    value: Summary


@dataclass(frozen=True)
class Chart:
    title: str
    unit: str
    groups: list[tuple[str, list[Bar]]] = field(default_factory=list)

    def description(self) -> str:
        """What the picture says, for those who do not see it."""
        sentences = [
            f"{name or self.title}: " + ", ".join(f"{bar.label} {number(bar.value.median)} {self.unit}" for bar in bars)
            for name, bars in self.groups
        ]
        return ". ".join(sentences) + "."


def attribute(name: str, value: str | float) -> str:
    """Names are Python's: text_anchor, and class_ for what is a keyword."""
    text = escape(value) if isinstance(value, str) else f"{value:g}"
    return f'{name.rstrip("_").replace("_", "-")}="{text}"'


def element(name: str, text: str = "", **attributes: str | float) -> str:
    opened = " ".join([name, *(attribute(key, value) for key, value in attributes.items())])
    return f"<{opened}>{escape(text)}</{name}>" if text else f"<{opened}/>"


def bar_row(bar: Bar, unit: str, top: float, scale: float) -> list[str]:
    middle = top + BAR / 2
    least, most = LEFT + bar.value.least * scale, LEFT + bar.value.most * scale
    parts = [
        element("text", bar.label, x=LEFT - 8, y=middle + 5, text_anchor="end"),
        element(
            "rect",
            x=LEFT,
            y=top,
            width=max(1, bar.value.median * scale),
            height=BAR,
            class_="ours" if bar.label == "carillon" else "peer",
        ),
        element("text", f"{number(bar.value.median)} {unit}", x=most + 8, y=middle + 5),
    ]
    if most > least:
        parts.append(element("line", x1=least, x2=most, y1=middle, y2=middle, class_="whisker"))
        parts += [element("line", x1=x, x2=x, y1=middle - 4, y2=middle + 4, class_="whisker") for x in (least, most)]
    return parts


def draw(chart: Chart) -> str:
    most = max(bar.value.most for _, bars in chart.groups for bar in bars) or 1
    scale = (WIDTH - LEFT - RIGHT) / most
    body = [element("text", chart.title, x=16, y=28, class_="title")]
    top: float = HEAD
    for name, bars in chart.groups:
        if name:
            body.append(element("text", name, x=16, y=top, class_="quiet"))
            top += 12
        begin = top
        for bar in bars:
            body += bar_row(bar, chart.unit, top, scale)
            top += BAR + GAP
        body.append(element("line", x1=LEFT, x2=LEFT, y1=begin - 4, y2=top - GAP + 4, class_="axis"))
        top += GROUP
    height = top - GROUP + 16
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" role="img" '
            'aria-labelledby="title desc">',
            f'<title id="title">{escape(chart.title)}</title>',
            f'<desc id="desc">{escape(chart.description())}</desc>',
            f"<style>{STYLE}</style>",
            *body,
            "</svg>\n",
        ]
    )


def bars_of(report: Report, scenario: str, figure: str) -> list[Bar]:
    """A bar for each server whose figure is good."""
    bars = [Bar(server, report.summary(scenario, server, figure)) for server in report.servers]
    return [bar for bar in bars if not bar.value.refused]


def floor_bar(report: Report, scenario: str) -> list[Bar]:
    """What the kernel alone takes for one event in one send()."""
    floor = Figure("floor", "µs", FLOOR, floors=True)
    value = summarise(floor, report.runs.get((scenario, "carillon"), []))
    return [] if value.refused else [Bar("one send()", value)]


def cpu(report: Report) -> Chart:
    groups = [
        (about, bars_of(report, scenario, "cpu_delivery") + floor_bar(report, scenario))
        for scenario, about in (
            ("fan-out", "1 tenant of 1,000 sockets, one event in flight"),
            ("fan-out-64", "1 tenant of 1,000 sockets, 64 events in flight"),
            ("fan-out-sio", "1 tenant of 1,000 Socket.IO clients, one event in flight"),
            ("fan-out-64-sio", "1 tenant of 1,000 Socket.IO clients, 64 events in flight"),
            ("many-16", "1,000 tenants of 1 socket, 16 publishers with 16 events in flight"),
        )
    ]
    return Chart("Server CPU per delivery: less is better", "µs", groups)


def latency(report: Report) -> Chart:
    groups = [
        (name, bars_of(report, "latency", figure)) for figure, name in (("deliver_p50", "p50"), ("deliver_p99", "p99"))
    ]
    return Chart("From publish to deliver, 10,000 sockets, 200 events/s: less is better", "µs", groups)


def memory(report: Report) -> Chart:
    groups = [
        (about, bars_of(report, scenario, "memory"))
        for scenario, about in (("idle", "WebSocket"), ("idle-sio", "Socket.IO client, on its WebSocket transport"))
    ]
    return Chart("Server memory per idle connection: less is better", "bytes", groups)


CHARTS: dict[str, Callable[[Report], Chart]] = {"cpu": cpu, "latency": latency, "memory": memory}


def write(results: Results, folder: Path) -> list[Path]:
    """Draws each chart that there are good figures for; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    report, written = Report(results), []
    for name, make in CHARTS.items():
        chart = make(report)
        groups = [(title, bars) for title, bars in chart.groups if bars]
        if groups:
            title = f"Quick run, no measurement: {chart.title}" if report.quick else chart.title
            path = folder / f"{name}.svg"
            path.write_text(draw(Chart(title, chart.unit, groups)), encoding="utf-8")
            written.append(path)
    return written
