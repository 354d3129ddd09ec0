"""What was measured, for people: a table for each kind of fleet, in Markdown or for a terminal, and the picture."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from meshfleet.cli.growth.chart import Curve, Goal, Panel, Place, number, picture
from meshfleet.cli.growth.figures import UPDATE_EVERY

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from meshfleet.cli.growth.figures import Kind, Point, Results
    from meshfleet.sim.report.markup import Html

BEGIN = "<!-- results: begin; written by `make growth` -->"
"""What the tables in a page begin with."""

SHARE_OF_CORE = 5.0
"""Per cent of a core that a node at rest may cost whoever lends it his machine; and bytes a second."""
BYTES_S = 15_000.0

MUCH = 0.3
"""Of the median: from there on the least and the greatest say more than a share."""


def _gone_p50(point: Point) -> float | None:
    return None if point.host_gone is None else point.host_gone.p50


def _gone_p99(point: Point) -> float | None:
    return None if point.host_gone is None else point.host_gone.p99


class Column(NamedTuple):
    """One quantity of the tables: how it is headed, and read off a run."""

    head: str
    of: Callable[[Point], float | None]


def costs(kind: Kind) -> tuple[Column, ...]:
    """What a node of that kind sends and takes."""
    sent = (
        Column("idle bytes/s", lambda p: p.idle_bytes_s),
        Column("datagrams/s", lambda p: p.idle_datagrams_s),
        Column("load bytes/s", lambda p: p.load_bytes_s),
        Column("datagrams/s", lambda p: p.load_datagrams_s),
        Column("times the least", lambda p: p.least_times),
        Column("copies", lambda p: p.copies),
    )
    memory = Column("MB a node", lambda p: p.memory_mb)
    if kind == "simulated":
        idle = Column("CPU s a virtual s, idle", lambda p: p.idle_cpu_pct * p.nodes / 100)
        return (*sent, idle, Column("load", lambda p: p.load_cpu_pct * p.nodes / 100), memory)
    every = Column("a state each, s", lambda p: p.update_every_s)
    cpu = (Column("CPU %, idle", lambda p: p.idle_cpu_pct), Column("load", lambda p: p.load_cpu_pct))
    return (every, *sent, *cpu, memory)


def speeds(kind: Kind) -> tuple[Column, ...]:
    """How soon, and how surely, things are known there."""
    gone = (Column("host gone p50 s", _gone_p50), Column("p99 s", _gone_p99))
    return (
        Column("delivered %", lambda p: p.delivered_pct),
        Column("delay p50 ms", lambda p: 1000 * p.delay.p50),
        Column("p99 ms", lambda p: 1000 * p.delay.p99),
        Column("age p50 s", lambda p: p.age.p50),
        Column("p99 s", lambda p: p.age.p99),
        Column("crash p50 s", lambda p: p.crash.p50),
        Column("p99 s", lambda p: p.crash.p99),
        *(gone if kind == "simulated" else ()),
        Column("wrongly not fresh", lambda p: float(p.not_fresh)),
    )


TITLES: dict[Kind, str] = {"simulated": "In virtual time", "real": "Real processes"}


def markdown(results: Results) -> str:
    """All tables, for the page."""
    parts: list[str] = []
    for kind, title in TITLES.items():
        sizes = results.of(kind)
        if sizes:
            parts += [f"### {title}", _table(costs(kind), sizes), _table(speeds(kind), sizes)]
    return "\n\n".join(parts)


def _table(shown: Sequence[Column], sizes: Sequence[tuple[int, list[Point]]]) -> str:
    lines = [
        f"| nodes | runs | {' | '.join(column.head for column in shown)} |",
        "|---|---|" + "---|" * len(shown),
    ]
    for nodes, points in sizes:
        compiled = "" if not any(point.compiled for point in points) else ", compiled"
        cells = [cell([column.of(point) for point in points]) for column in shown]
        lines.append(f"| {nodes:,} | {len(points)}{compiled} | {' | '.join(cells)} |")
    return "\n".join(lines)


def cell(values: Sequence[float | None]) -> str:
    """The median, and how far any run is from it: in per cent, or as the least and the greatest where that is much. A
    dot where nothing is known."""
    known = [value for value in values if value is not None]
    if not known:
        return "·"
    middle, low, high = median(known), min(known), max(known)
    far = max(high - middle, middle - low)
    if number(low) == number(high):
        return number(middle)
    if far > MUCH * middle:
        return f"{number(middle)} ({number(low)} to {number(high)})"
    return f"{number(middle)} ±{max(1, round(100 * far / middle))} %"


def text(results: Results) -> str:
    """For a terminal: one line a size, medians alone."""
    lines: list[str] = []
    for kind, title in TITLES.items():
        sizes = results.of(kind)
        if sizes:
            lines += [f"{title}: medians", _HEAD, *(_line(nodes, points) for nodes, points in sizes)]
    return "\n".join(lines)


_HEAD = (
    f"{'NODES':>5} {'RUNS':>4} {'IDLE B/S':>9} {'LEAST x':>7} {'DELIV %':>7} {'P99 MS':>6} {'CRASH S':>7} {'GONE S':>6}"
    f" {'CPU %':>6} {'MB':>6} {'NOT FRESH':>9}"
)


def _line(nodes: int, points: Sequence[Point]) -> str:
    def middle(of: Callable[[Point], float | None]) -> str:
        known = [value for point in points if (value := of(point)) is not None]
        return number(median(known)) if known else "-"

    return (
        f"{nodes:5,} {len(points):4} {middle(lambda p: p.idle_bytes_s):>9} {middle(lambda p: p.least_times):>7}"
        f" {middle(lambda p: p.delivered_pct):>7} {middle(lambda p: 1000 * p.delay.p99):>6}"
        f" {middle(lambda p: p.crash.p99):>7}"
        f" {middle(_gone_p99):>6}"
        f" {middle(lambda p: p.load_cpu_pct):>6} {middle(lambda p: p.memory_mb):>6}"
        f" {sum(point.not_fresh for point in points):9,}"
    )


def loaded(of: Callable[[Point], float | None]) -> Callable[[Point], float | None]:
    """The same, of runs with a state each 2 s alone: with other loads they are no points of one curve."""
    return lambda point: of(point) if point.update_every_s == UPDATE_EVERY else None


def drawn(results: Results) -> Html:
    """The picture."""

    def curves(*of: tuple[str, Callable[[Point], float | None]]) -> tuple[Curve, ...]:
        return tuple(
            Curve(name, kind, _places(results.of(kind), each), second=i > 0)
            for i, (name, each) in enumerate(of)
            for kind in TITLES
        )

    panels = (
        Panel(
            "Bytes at rest",
            "bytes/s a node",
            curves(("", lambda p: p.idle_bytes_s)),
            (Goal(BYTES_S, "what may be borne: 15 kB/s"),),
        ),
        Panel(
            "Datagrams",
            "1/s a node",
            curves(("load", loaded(lambda p: p.load_datagrams_s)), ("idle", lambda p: p.idle_datagrams_s)),
        ),
        Panel(
            "Bytes under load",
            "times the least possible",
            curves(("", loaded(lambda p: p.least_times))),
            (Goal(2.0, "goal: 2"), Goal(1.0, "the least: each state once to each node")),
        ),
        Panel(
            "Delay of a state",
            "ms",
            curves(("p99", lambda p: 1e3 * p.delay.p99), ("p50", lambda p: 1e3 * p.delay.p50)),
            (Goal(1_000.0, "goal for p99: 1 s"),),
        ),
        Panel(
            "Age of what is shown",
            "s",
            curves(("p99", loaded(lambda p: p.age.p99)), ("p50", loaded(lambda p: p.age.p50))),
        ),
        Panel(
            "Until a death is known",
            "s, p99 over observers",
            curves(
                ("crash", lambda p: p.crash.p99),
                ("host gone", _gone_p99),
            ),
            (Goal(2.5, "goal for a crash: 2.5 s"), Goal(18.0, "by the rules: 18 s of silence")),
        ),
        Panel(
            "CPU",
            "% of a core a node",
            curves(("load", loaded(lambda p: p.load_cpu_pct)), ("idle", lambda p: p.idle_cpu_pct)),
            (Goal(SHARE_OF_CORE, "what may be borne: 5 %"),),
        ),
        Panel("Memory", "MB a node", curves(("", lambda p: p.memory_mb))),
    )
    return picture(panels, "What a node costs and how fast news is, against the number of nodes")


def _places(sizes: Sequence[tuple[int, list[Point]]], of: Callable[[Point], float | None]) -> tuple[Place, ...]:
    places: list[Place] = []
    for nodes, points in sizes:
        known = [value for point in points if (value := of(point)) is not None]
        if known:
            places.append(Place(nodes, median(known), min(known), max(known)))
    return tuple(places)
