"""What adds up over a run: truth against verdict, how late deaths were seen, how fast news spread, what it cost."""

from __future__ import annotations

from math import fsum, log10
from typing import TYPE_CHECKING

from meshfleet.fleet.presence import Presence
from meshfleet.sim.lanes import nice
from meshfleet.sim.report.markup import Html, element, joined, percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshfleet.sim.running import Report

TRUTHS = {
    "running_reachable": "runs, reachable",
    "running_cut_off": "runs, cut off",
    "exited": "process dead",
    "host_down": "host down",
    "left": "left",
}

MOST_POINTS = 200
"""Steps that a curve is drawn with."""


def confusion(report: Report) -> Html:
    """Seconds of pairs, and shares of the row. The bar under a number is its share."""
    words = [said.value for said in Presence]
    head = element("tr", element("td"), *(element("th", word, scope="col", class_="n") for word in words))
    rows: list[Html] = []
    for truth, said in report.confusion.items():
        whole = fsum(said.get(word, 0.0) for word in words)
        if whole < 0.05:
            continue
        cells = [_cell(said.get(word, 0.0), whole, word) for word in words]
        rows.append(element("tr", element("th", TRUTHS.get(truth, truth), scope="row"), *cells))
    caption = element(
        "caption",
        "Seconds of (observer, subject) pairs, and share of the row; without the first 4T after a change of truth",
    )
    return _scrolled(
        "Truth and verdict", element("table", caption, element("thead", head), element("tbody", *rows), class_="even")
    )


def _cell(value: float, whole: float, word: str) -> Html:
    if value < 0.05:
        return element("td", "–", class_="n none")
    share = value / whole
    shown = "100 %" if share > 0.9995 else f"{100 * share:.1f} %"
    bar = element("rect", x=0, y=0, width=percent(max(share, 0.01)), height=4, class_=f"s-{word}")
    picture = element("svg", bar, class_="share", height=4, aria_hidden="true")
    return element("td", f"{value:,.0f}", element("small", shown), picture, class_="n")


def _scrolled(name: str, *inside: object) -> Html:
    """Something wide, which scrolls by itself on a narrow screen and can be reached by keyboard."""
    return element("div", *inside, class_="scroll", tabindex=0, role="region", aria_label=name)


class Curve:
    """One cumulative distribution: which part of the values is at most so large."""

    def __init__(self, name: str, kind: str, values: Sequence[float]) -> None:
        self.name = name
        self.kind = kind
        self.values = sorted(values)

    def quantile(self, share: float) -> float:
        """The value that this share of all does not exceed."""
        return self.values[min(len(self.values) - 1, int(share * len(self.values)))]

    def points(self) -> list[tuple[float, float]]:
        """Value and share, few enough to draw."""
        count = len(self.values)
        if count <= MOST_POINTS:
            return [(value, (i + 1) / count) for i, value in enumerate(self.values)]
        places = dict.fromkeys(min(count - 1, round(i * (count - 1) / MOST_POINTS)) for i in range(MOST_POINTS + 1))
        return [(self.values[i], (i + 1) / count) for i in places]


class Axis:
    """Where a number of seconds lies: linear, or by decades where there are many."""

    def __init__(self, low: float, high: float) -> None:
        self.decades = low > 0 and high / low > 30
        if self.decades:
            self.low, self.high = log10(low), log10(high)
            first, last = _floor(self.low), -_floor(-self.high)
            self.low, self.high = first, last
            self.ticks = [10.0**k for k in range(first, last + 1)]
        else:
            step = nice(high / 4)
            steps = -_floor(-high / step)
            self.low, self.high = 0.0, step * max(1, steps)
            self.ticks = [round(step * i, 9) for i in range(max(1, steps) + 1)]

    def at(self, value: float) -> float:
        """A place from 0 to 1."""
        where = log10(max(value, 1e-9)) if self.decades else value
        return min(1.0, max(0.0, (where - self.low) / (self.high - self.low)))


def _floor(value: float) -> int:
    return int(value // 1)


def span(value: float) -> str:
    """`2.5 ms`, `0.48 s`, `16 s`."""
    if value < 0.1:
        return f"{1000 * value:.3g} ms"
    return f"{value:.3g} s"


def chart(title: str, note: str, curves: Sequence[Curve]) -> Html:
    """Curves of shares over seconds, and under them the same in numbers."""
    present = [curve for curve in curves if curve.values]
    if not present:
        return Html()
    low = min(max(curve.values[0], 1e-4) for curve in present)
    axis = Axis(low, max(max(curve.values[-1] for curve in present), 2 * low))
    lines = [_line(curve, axis) for curve in present]
    ticks = [
        element("span", span(tick) if tick else "0", style=f"left:{percent(axis.at(tick))}") for tick in axis.ticks
    ]
    rules = [
        element("line", x1=round(1000 * axis.at(t), 1), x2=round(1000 * axis.at(t), 1), y1=0, y2=1000, class_="tick")
        for t in axis.ticks
    ]
    rules += [element("line", x1=0, x2=1000, y1=y, y2=y, class_="tick") for y in (0, 500, 1000)]
    spoken = "; ".join(f"{c.name}: half by {span(c.quantile(0.5))}, 99 % by {span(c.quantile(0.99))}" for c in present)
    picture = element(
        "svg", *rules, *lines, viewBox="0 0 1000 1000", preserveAspectRatio="none", role="img",
        aria_label=f"{title}. {spoken}",
    )  # fmt: skip
    up = element("div", element("span", "100 %"), element("span", "50 %"), element("span", "0"), class_="up")
    body = element(
        "div", up, element("div", picture, class_="area"), element("div", *ticks, class_="along"), class_="chart"
    )
    caption = element("figcaption", element("b", title), element("span", note, class_="soft"))
    return element("figure", caption, body, _numbers(present))


def _line(curve: Curve, axis: Axis) -> Html:
    points = curve.points()
    path = [f"M{1000 * axis.at(points[0][0]):.1f} 1000"]
    path += [f"H{1000 * axis.at(value):.1f}V{1000 * (1 - share):.1f}" for value, share in points]
    path.append("H1000")
    return element("path", d="".join(path), class_=f"curve c-{curve.kind}")


def _numbers(curves: Sequence[Curve]) -> Html:
    head = element("tr", *(element("th", word, scope="col") for word in ("", "half by", "99 % by", "all by", "count")))
    rows = [
        element(
            "tr",
            element("th", _sample(curve.kind), curve.name, scope="row"),
            *(element("td", span(curve.quantile(share)), class_="n") for share in (0.5, 0.99, 1.0)),
            element("td", f"{len(curve.values):,}", class_="n"),
        )
        for curve in curves
    ]
    return element("table", element("thead", head), element("tbody", *rows), class_="numbers")


def _sample(kind: str) -> Html:
    line = element("line", x1=0, x2=26, y1=4, y2=4, class_=f"curve c-{kind}")
    return element("svg", line, width=26, height=8, class_="sample", aria_hidden="true")


COSTS = {
    "bytes_per_node_s": ("sent by a node, bytes/s", "{:,.0f}"),
    "datagrams_per_node_s": ("packets by UDP, a node and second", "{:,.1f}"),
    "copies_per_snapshot": ("copies received of each snapshot", "{:.2f}"),
    "bytes_over_minimum": ("bytes over the least possible", "{:.2f} ×"),
}


def costs(report: Report) -> Html:
    """What was sent for it."""
    rows = [
        element("tr", element("th", name, scope="row"), element("td", form.format(report.cost[key]), class_="n"))
        for key, (name, form) in COSTS.items()
        if key in report.cost
    ]
    return element("figure", element("figcaption", element("b", "What was sent for it")), element("table", *rows))


def figures(report: Report) -> Html:
    """The numbers that decide, large."""
    counts = (
        ("wrongly called down", report.false_down, "must be 0", bool(report.false_down)),
        ("deaths missed", report.missed_down, "must be 0", bool(report.missed_down)),
        ("presumed of who was cut off", report.presumed_wrong, "the price of presuming", False),
    )
    return element(
        "dl",
        *(
            element(
                "div",
                element("dt", name),
                element("dd", f"{number:,}", element("small", note)),
                class_="bad" if bad else None,
            )
            for name, number, note, bad in counts
        ),
        class_="figures",
    )


def verdict(report: Report) -> Html:
    """Whether it held, in words."""
    held = len([each for each in report.expect if each.ok])
    of = f"{held} of {len(report.expect)} expectations held" if report.expect else "nothing was expected"
    word = element("b", "✓ held" if report.ok else "✕ did not hold", class_="good" if report.ok else "bad")
    return element("p", word, joined(" ", of), class_="verdict")
