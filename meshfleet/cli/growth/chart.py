"""Curves against the size of a fleet as one picture: small multiples on logarithmic axes, an SVG that fetches nothing
and follows the reader's light or dark."""

from __future__ import annotations

from math import ceil, floor, log10
from typing import TYPE_CHECKING

import msgspec

from meshfleet.sim.report.markup import Html, element

if TYPE_CHECKING:
    from collections.abc import Sequence

COLUMNS = 2
WIDTH, HEIGHT = 420, 252
"""Of one panel, in pixels."""
HEAD = 34
"""Above all panels: how the kinds are drawn."""
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 56, 40
"""What is around its plot: numbers, title and names of curves, sizes."""
TICKS = 6
"""At most so many numbers along the height."""
ROOM = 1.15
"""How far beyond the least and the greatest the axis goes."""
LETTER = 6.1
"""Pixels that a letter of a curve's name takes, about."""

STYLE = """
:root{color-scheme:light dark}
svg{--page:#fff;--ink:#1b1f24;--soft:#5b6470;--rule:#e3e6ea;--a:#0b62c4;--b:#c4500b;--goal:#1d7a3a;
font:12px system-ui,-apple-system,"Segoe UI",sans-serif}
@media (prefers-color-scheme:dark){svg{--page:#14171b;--ink:#e8eaed;--soft:#9aa4b0;--rule:#2c3238;--a:#6fb1ff;
--b:#ff9d5c;--goal:#62c884}}
.page{fill:var(--page)} text{fill:var(--soft)} .title{fill:var(--ink);font-weight:600;font-size:13px}
.tick{stroke:var(--rule);stroke-width:1} .goal{stroke:var(--goal);stroke-width:1.5;stroke-dasharray:2 3}
.goal-word{fill:var(--goal);font-size:11px} .curve{fill:none;stroke-width:1.8} .bar{stroke-width:1.2}
.simulated{stroke:var(--a)} .real{stroke:var(--b)} .second{stroke-dasharray:5 3}
.dot{stroke-dasharray:none} .dot.simulated{fill:var(--a)} .dot.real{fill:var(--b)} .dot.second{fill:var(--page)}
.plain{stroke:var(--soft)}
"""


class Place(msgspec.Struct, frozen=True):
    """One point of a curve: the median of all runs, and the least and greatest of them."""

    nodes: int
    middle: float
    low: float
    high: float


class Curve(msgspec.Struct, frozen=True):
    """One quantity, of simulated or of real fleets. A `second` one of the same panel is drawn broken."""

    name: str
    """Empty where a panel has but one quantity."""
    kind: str
    places: tuple[Place, ...]
    second: bool = False


class Goal(msgspec.Struct, frozen=True):
    """A line to stay below."""

    value: float
    name: str


class Panel(msgspec.Struct, frozen=True):
    """One plot."""

    title: str
    unit: str
    curves: tuple[Curve, ...]
    goals: tuple[Goal, ...] = ()


class Scale:
    """Where a number lies between two ends, by its logarithm. The upper one is twice the lower or more."""

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high

    def at(self, value: float) -> float:
        """A place from 0 to 1."""
        return log10(value / self.low) / log10(self.high / self.low)

    def ticks(self) -> list[float]:
        """Round numbers between the ends: of each decade 1, 2 and 5, or as many of these as there is room for."""
        decades = range(floor(log10(self.low)), ceil(log10(self.high)) + 1)
        for steps in ((1, 2, 3, 4, 5, 6, 7, 8, 9), (1, 2, 5), (1,)):
            found = [step * 10.0**k for k in decades for step in steps]
            found = [tick for tick in found if self.low <= tick <= self.high]
            if len(found) <= TICKS:
                return found
        return found[:: ceil(len(found) / TICKS)]


KINDS = {"simulated": "virtual time", "real": "real processes"}


def picture(panels: Sequence[Panel], caption: str) -> Html:
    """All panels that have anything to show. `caption` says what was measured, for whoever does not see it."""
    shown = [panel for panel in panels if any(curve.places for curve in panel.curves)]
    rows = -(-len(shown) // COLUMNS)
    sizes = sorted({place.nodes for panel in shown for curve in panel.curves for place in curve.places})
    width, height = COLUMNS * WIDTH, HEAD + rows * HEIGHT
    inside = [_kinds(shown)]
    inside += [_panel(panel, sizes, i % COLUMNS * WIDTH, HEAD + i // COLUMNS * HEIGHT) for i, panel in enumerate(shown)]
    return element(
        "svg", element("title", caption), element("style", Html(STYLE)),
        element("rect", width=width, height=height, class_="page"), *inside,
        xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {width} {height}", width=width, height=height, role="img",
    )  # fmt: skip


def _kinds(shown: Sequence[Panel]) -> Html:
    """Circles are virtual time, squares are real: colours alone say nothing."""
    there = {curve.kind for panel in shown for curve in panel.curves if curve.places}
    parts: list[Html] = []
    for kind in [kind for kind in KINDS if kind in there]:
        x = LEFT + 130 * (len(parts) // 3)
        curve = Curve(KINDS[kind], kind, ())
        parts += [
            element("line", x1=x, x2=x + 22, y1=18, y2=18, class_=_kind("curve", curve)),
            _dot(curve, x + 11, 18.0),
            element("text", curve.name, x=x + 28, y=22),
        ]
    return element("g", *parts)


def _panel(panel: Panel, sizes: Sequence[int], left: int, top: int) -> Html:
    across, up = _scales(panel, sizes)
    parts = [
        element("text", panel.title, x=LEFT, y=20, class_="title"),
        element("text", panel.unit, x=WIDTH - RIGHT, y=20, text_anchor="end"),
        element("text", "nodes", x=WIDTH - RIGHT, y=HEIGHT - 8, text_anchor="end"),
    ]
    parts += [_number(tick, up) for tick in up.ticks()]
    parts += [_size(nodes, across) for nodes in sizes]
    parts += [each for goal in panel.goals for each in _goal(goal, up)]
    parts += [_curve(curve, across, up) for curve in panel.curves if curve.places]
    names = dict.fromkeys((curve.name, curve.second) for curve in panel.curves if curve.places and curve.name)
    x = float(LEFT)
    for name, second in names:
        parts.append(_name(name, x, second=second))
        x += 44 + LETTER * len(name)
    return element("g", *parts, transform=f"translate({left} {top})")


def _scales(panel: Panel, sizes: Sequence[int]) -> tuple[Scale, Scale]:
    values = [each for c in panel.curves for p in c.places for each in (p.low, p.middle, p.high) if each > 0]
    values += [goal.value for goal in panel.goals]
    low, high = min(values, default=1.0) / ROOM, max(values, default=1.0) * ROOM
    return Scale(sizes[0] / ROOM, sizes[-1] * ROOM), Scale(low, max(high, 2 * low))


def _x(nodes: float, across: Scale) -> float:
    return round(LEFT + (WIDTH - LEFT - RIGHT) * across.at(nodes), 1)


def _y(value: float, up: Scale) -> float:
    return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * up.at(max(value, up.low)), 1)


def _number(tick: float, up: Scale) -> Html:
    y = _y(tick, up)
    line = element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, class_="tick")
    return element("g", line, element("text", number(tick), x=LEFT - 6, y=y + 4, text_anchor="end"))


def _size(nodes: int, across: Scale) -> Html:
    x = _x(nodes, across)
    line = element("line", x1=x, x2=x, y1=TOP, y2=HEIGHT - BOTTOM, class_="tick")
    return element("g", line, element("text", f"{nodes:,}", x=x, y=HEIGHT - BOTTOM + 16, text_anchor="middle"))


def _goal(goal: Goal, up: Scale) -> tuple[Html, Html]:
    y = _y(goal.value, up)
    return (
        element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, class_="goal"),
        element("text", goal.name, x=LEFT + 4, y=y - 4, class_="goal-word"),
    )


def _name(name: str, x: float, *, second: bool) -> Html:
    line = element("line", x1=x, x2=x + 22, y1=38, y2=38, class_="curve plain second" if second else "curve plain")
    return element("g", line, element("text", name, x=x + 27, y=42))


def _curve(curve: Curve, across: Scale, up: Scale) -> Html:
    """A line through the medians, a mark at each, and a bar from the least to the greatest run."""
    spots = [(_x(place.nodes, across), place) for place in curve.places if place.middle > 0]
    path = "L".join(f"{x} {_y(place.middle, up)}" for x, place in spots)
    parts = [element("path", d=f"M{path}", class_=_kind("curve", curve))] if spots else []
    for x, place in spots:
        what = f"{curve.name}, {KINDS[curve.kind]}" if curve.name else KINDS[curve.kind]
        hint = f"{what}, {place.nodes:,} nodes: {number(place.middle)}"
        if place.high > place.low:
            y1, y2 = _y(place.low, up), _y(place.high, up)
            parts.append(element("line", x1=x, x2=x, y1=y1, y2=y2, class_=_kind("bar", curve)))
            hint += f" ({number(place.low)} to {number(place.high)})"
        parts.append(element("g", element("title", hint), _dot(curve, x, _y(place.middle, up))))
    return element("g", *parts)


def _dot(curve: Curve, x: float, y: float) -> Html:
    if curve.kind == "real":
        return element("rect", x=round(x - 3, 1), y=round(y - 3, 1), width=6, height=6, class_=_kind("dot", curve))
    return element("circle", cx=x, cy=y, r=3, class_=_kind("dot", curve))


def _kind(what: str, curve: Curve) -> str:
    return f"{what} {curve.kind}" + (" second" if curve.second else "")


def number(value: float) -> str:
    """Three digits that count, without an exponent: `1,460`, `0.0776`, `17.5`."""
    if value <= 0:
        return "0"
    digits = max(0, 2 - floor(log10(value)))
    shown = f"{value:,.{digits}f}" if digits else f"{round(value, 2 - floor(log10(value))):,.0f}"
    return shown.rstrip("0").rstrip(".") if "." in shown else shown
