"""The swimlanes: per node what was so, what the others said of it, what it said of itself; above them faults and cuts.

Each band is an SVG as wide as its column whose places are percentages, so letters and patterns keep their size at any
width of the page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshfleet.fleet.presence import Presence
from meshfleet.fleet.standing import Standing
from meshfleet.sim.lanes import Barred, Being, Change, Lane, Mix, names, seconds, told
from meshfleet.sim.record import Process
from meshfleet.sim.report.markup import Html, element, joined, percent

if TYPE_CHECKING:
    from collections.abc import Sequence

SAID_TOP, SAID_HEIGHT = 9, 16
OWN_TOP, OWN_HEIGHT = 28, 4
HEIGHT = 34
"""Pixels of one lane: truth, what is said of it, what it says of itself."""

LEAST = 0.0015
"""The least width of anything but `fresh`, as a share of the whole: what lasted a millisecond must be seen."""

WORDS_HEIGHT = 9
"""More, where what it says of itself is written under its line."""

CELLS = 800
"""Into how many parts a lane is cut: changes within one can't be told apart by eye. It bounds what a lane takes."""

MOST_CHANGES = 60
"""Rows of a lane's table, so that a page of many nodes still opens."""

COLUMNS = ("s", "who", "says", "because")

GONE = (Process.EXITED, Process.DARK, Process.LEFT)


class Scale:
    """Virtual time across a band."""

    def __init__(self, end_us: int) -> None:
        self.end_us = end_us

    def at(self, us: int) -> str:
        """Where a moment lies."""
        return percent(us / self.end_us)

    def width(self, begin_us: int, end_us: int, least: float = 0.0) -> str:
        """How wide a span is."""
        return percent(max(least, (end_us - begin_us) / self.end_us))

    def share(self, begin_us: int, end_us: int) -> float:
        """A span's part of the whole."""
        return (end_us - begin_us) / self.end_us


def lane(each: Lane, scale: Scale) -> Html:
    """One node: the bands are what is clicked, the table of changes is what opens."""
    inside = [_truth(span, scale) for span in each.being]
    inside += [_mix(mix, scale) for mix in _coarse(each.said, scale.end_us // CELLS)]
    inside += _words(each, scale)
    inside += [_own(span.begin_us, span.end_us, span.standing, scale) for span in each.own]
    words = _own_words(each, scale)
    height = HEIGHT + (WORDS_HEIGHT if words else 0)
    picture = element("svg", *inside, *words, class_="band", height=height, role="img", aria_label=told(each))
    name = element("span", each.name, element("small", each.zone) if each.zone else "", class_="name")
    summary = element("summary", name, element("span", picture, class_="plot"))
    return element("details", summary, _table(each), class_="lane")


def _hint(begin_us: int, end_us: int, what: str) -> Html:
    return element("title", f"{seconds(begin_us)}–{seconds(end_us)} s: {what}")


def _truth(span: Being, scale: Scale) -> Html:
    """A line: solid while it runs, broken while it is cut off, bars while it stands still, none when it is gone."""
    if span.process is Process.ABSENT:
        return Html()
    what = span.process.value + (", cut off from the majority" if span.cut_off else "")
    x, width = scale.at(span.begin_us), scale.width(span.begin_us, span.end_us)
    kind = {Process.STOPPED: "stopped", Process.ASLEEP: "asleep"}.get(span.process, "gone")
    if span.process is Process.RUNNING:
        kind = "apart" if span.cut_off else "runs"
    parts = [_hint(span.begin_us, span.end_us, what)]
    parts.append(element("rect", x=x, y=0, width=width, height=8, class_="touch"))
    top, height = (3, 2) if kind == "runs" else (1, 6)
    parts.append(element("rect", x=x, y=top, width=width, height=height, class_=f"t-{kind}"))
    if span.process in GONE:
        parts.append(element("line", x1=x, x2=x, y1=0, y2=8, class_="end"))
    return element("g", *parts)


def _mix(mix: Mix, scale: Scale) -> Html:
    """What the others said: each word as high as the share of those who said it, the worst at the bottom."""
    if not mix.counts:
        return Html()
    counts = ", ".join(f"{said.value} {number}" for said, number in mix.counts)
    parts = [_hint(mix.begin_us, mix.end_us, f"the others say {counts}, of {mix.asked}")]
    bottom = float(SAID_TOP + SAID_HEIGHT)
    for said, number in mix.counts:
        height = round(SAID_HEIGHT * number / mix.asked, 2)
        bottom = round(bottom - height, 2)
        least = 0.0 if said is Presence.FRESH else LEAST
        width = scale.width(mix.begin_us, mix.end_us, least)
        parts.append(
            element("rect", x=scale.at(mix.begin_us), y=bottom, width=width, height=height, class_=f"s-{said.value}")
        )
    return element("g", *parts)


def _coarse(said: Sequence[Mix], cell_us: int) -> list[Mix]:
    """What can be seen of it: of changes within one cell the worst, for as long as they all lasted."""
    seen: list[Mix] = []
    for mix in said:
        before = seen[-1] if seen else None
        if before is None or mix.end_us - before.begin_us > cell_us:
            seen.append(mix)
            continue
        worst = max(before, mix, key=_badness)
        seen[-1] = Mix(before.begin_us, mix.end_us, worst.counts, worst.asked)
    return seen


def _badness(mix: Mix) -> tuple[int, ...]:
    counts = dict(mix.counts)
    return tuple(counts.get(word, 0) for word in (Presence.DOWN, Presence.UNREACHABLE, Presence.STALE, Presence.LEFT))


def _words(each: Lane, scale: Scale) -> list[Html]:
    """The word itself, written on what most said, where there is room."""
    runs: list[tuple[int, int, Presence]] = []
    for mix in each.said:
        if mix.most in (None, Presence.FRESH):
            continue
        if runs and runs[-1][2] is mix.most and runs[-1][1] == mix.begin_us:
            runs[-1] = (runs[-1][0], mix.end_us, runs[-1][2])
        elif mix.most is not None:
            runs.append((mix.begin_us, mix.end_us, mix.most))
    labels = [label(said.value, begin, end, scale, y=SAID_TOP + 12, kind="word") for begin, end, said in runs]
    return [each for each in labels if each]


def label(word: str, begin_us: int, end_us: int, scale: Scale, *, y: int, kind: str) -> Html:
    """A word on a span, if the span is wide enough for it on a wide page, and hidden on a narrow one unless it is there
    as well."""
    share = scale.share(begin_us, end_us)
    needs = 7.0 * len(word) + 10
    if share * 860 < needs:
        return Html()
    narrow = "" if share * 250 >= needs else " wide-only"
    return element("text", word, x=scale.at(begin_us), dx=5, y=y, class_=kind + narrow, aria_hidden="true")


def _own(begin_us: int, end_us: int, standing: Standing, scale: Scale) -> Html:
    x, width = scale.at(begin_us), scale.width(begin_us, end_us)
    if standing is Standing.CONNECTED:
        mark = element("rect", x=x, y=OWN_TOP + 1, width=width, height=1, class_="o-connected")
    else:
        width = scale.width(begin_us, end_us, LEAST)
        mark = element("rect", x=x, y=OWN_TOP, width=width, height=OWN_HEIGHT, class_=f"o-{standing.value}")
    return element("g", _hint(begin_us, end_us, f"it says of itself: {standing.value}"), mark)


def _own_words(each: Lane, scale: Scale) -> list[Html]:
    """What it says of itself, written under the line for it, where there is room."""
    odd = [span for span in each.own if span.standing is not Standing.CONNECTED]
    labels = [
        label(span.standing.value, span.begin_us, span.end_us, scale, y=OWN_TOP + 13, kind="own-word") for span in odd
    ]
    return [each for each in labels if each]


def _table(each: Lane) -> Html:
    """Every change of a verdict on it, and of its own standing, with who said so and why."""
    shown = each.changes[:MOST_CHANGES]
    rows = [_row(change, each) for change in shown]
    head = element("tr", *(element("th", word, scope="col", class_="n" if word == "s" else None) for word in COLUMNS))
    caption = element("caption", f"Every change of what is said of {each.name}, and of what it says of itself")
    table = element("table", caption, element("thead", head), element("tbody", *rows))
    more = len(each.changes) - len(shown)
    note = element("p", f"and {more} more changes.", class_="soft") if more else ""
    return element(
        "div", table, note, class_="scroll changes", tabindex=0, role="region", aria_label=f"Changes of {each.name}"
    )


def _row(change: Change, each: Lane) -> Html:
    begin, end = seconds(change.begin_us), seconds(change.end_us)
    who = "itself" if change.of_itself else names(change.who)
    many = "" if len(change.who) < 2 else element("small", f" {len(change.who)}")
    sure = "" if change.certainty is None else f", {change.certainty.value}"
    mark = "own" if change.of_itself else "mark s-" + change.said
    said = joined(element("i", class_=mark, aria_hidden="true"), change.said, sure)
    return element(
        "tr",
        element("td", begin if begin == end else f"{begin}–{end}", class_="n"),
        element("td", who, many),
        element("td", said, class_="said"),
        element("td", "; ".join(change.reasons) or "–", class_="why"),
    )


def bar_row(words: object, spans: Sequence[tuple[int, int]], scale: Scale, kind: str, spoken: str) -> Html:
    """A labelled bar, or several: a fault, or what lay between whom."""
    bars = [
        element(
            "g",
            _hint(begin, end, spoken),
            element("rect", x=scale.at(begin), y=1, width=scale.width(begin, end, 0.003), height=7, class_=kind),
        )
        for begin, end in spans
    ]
    when = ", ".join(f"{seconds(b)}–{seconds(e)} s" if e > b else f"{seconds(b)} s" for b, e in spans[:4])
    when += f" and {len(spans) - 4} times more" if len(spans) > 4 else ""
    line = element("p", words, " ", element("small", when), style=_beside(spans, scale))
    picture = element("svg", *bars, class_="band", height=9, role="img", aria_label=f"{spoken}: {when}")
    return element("div", element("span", class_="name"), element("div", line, picture, class_="plot"), class_="event")


def _beside(spans: Sequence[tuple[int, int]], scale: Scale) -> str:
    """Where the words over a bar begin, or end, if the bar is far to the right."""
    begin, end = spans[0]
    if begin / scale.end_us <= 0.6:
        return f"margin-left:{scale.at(begin)}"
    return f"text-align:right;margin-right:{percent(max(0.0, 1 - max(end, begin) / scale.end_us))}"


def barred_row(each: Barred, scale: Scale) -> Html:
    """What lay between whom."""
    how = "refuses" if each.reject else "drops"
    how += " datagrams, streams pass" if each.datagrams_only else ""
    arrow = "↮" if each.both_ways else "↛"
    spoken = (
        f"nothing passes {'between' if each.both_ways else 'from'} {names(each.left)} "
        f"{'and' if each.both_ways else 'to'} {names(each.right)}; what is between {how}"
    )
    words = joined(element("b", names(each.left), f" {arrow} ", names(each.right), title=spoken), f" {how}")
    return bar_row(words, each.spans, scale, "cut", spoken)


def axis(scale: Scale, step_us: int) -> Html:
    """The seconds, over all bands."""
    ticks = [
        element("text", f"{us // 1_000_000}", x=scale.at(us), y=12, class_="first" if us == 0 else None)
        for us in range(0, scale.end_us + 1, step_us)
    ]
    picture = element("svg", *ticks, class_="band axis", height=17, aria_hidden="true")
    return element(
        "div", element("span", "s", class_="name"), element("div", picture, class_="plot"), class_="event ruler"
    )


def grid(scale: Scale, step_us: int, moments: Sequence[int]) -> Html:
    """Lines behind all bands: the seconds, and where something began or ended."""
    lines = [
        element("line", x1=scale.at(us), x2=scale.at(us), y1=0, y2="100%", class_="tick")
        for us in range(0, scale.end_us + 1, step_us)
    ]
    lines += [element("line", x1=scale.at(us), x2=scale.at(us), y1=0, y2="100%", class_="moment") for us in moments]
    return element("svg", *lines, class_="grid", aria_hidden="true")


PATTERNS = Html(
    '<svg class="patterns" aria-hidden="true"><defs>'
    '<pattern id="p-stale" width="5" height="5" patternUnits="userSpaceOnUse">'
    '<rect width="5" height="5" class="f-stale"/><circle cx="1.5" cy="1.5" r="1" class="g-stale"/></pattern>'
    '<pattern id="p-unreachable" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<rect width="6" height="6" class="f-unreachable"/><rect width="2" height="6" class="g-unreachable"/></pattern>'
    '<pattern id="p-down" width="7" height="7" patternUnits="userSpaceOnUse">'
    '<rect width="7" height="7" class="f-down"/><path d="M1.5 1.5l4 4m0-4l-4 4" class="g-down"/></pattern>'
    '<pattern id="p-left" width="6" height="4" patternUnits="userSpaceOnUse">'
    '<rect width="6" height="4" class="f-left"/><rect width="6" height="1" class="g-left"/></pattern>'
    '<pattern id="p-stopped" width="4" height="8" patternUnits="userSpaceOnUse">'
    '<rect width="2" height="8" class="g-truth"/></pattern>'
    '<pattern id="p-asleep" width="6" height="8" patternUnits="userSpaceOnUse">'
    '<circle cx="2" cy="4" r="1.3" class="g-truth"/></pattern>'
    '<pattern id="p-apart" width="10" height="8" patternUnits="userSpaceOnUse">'
    '<rect y="2" width="5" height="4" class="g-apart"/></pattern>'
    '<pattern id="p-cut" width="4" height="4" patternUnits="userSpaceOnUse" patternTransform="rotate(-45)">'
    '<rect width="1.6" height="4" class="g-truth"/></pattern>'
    '<pattern id="p-own" width="8" height="4" patternUnits="userSpaceOnUse">'
    '<rect width="6" height="4" class="g-own"/></pattern>'
    "</defs></svg>"
)
