"""From measures to metrics as OTLP has them, whatever the encoding: attributes by name, states with all their words,
sums with their beginnings, and a last word for each series that ended.

A collector that is told nothing goes on showing the last figure for minutes. So what was told at the export before and
is not any more gets a point without a value, which Prometheus takes as the series' end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from meshfleet.fleet.measures import Kind, Since

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from meshfleet.fleet.measures import Family, Measured, Point

Attributes = tuple[tuple[str, str], ...]

_BY_CONVENTION = {
    ("gen_ai.token.type", "in"): "input",
    ("gen_ai.token.type", "out"): "output",
    ("network.io.direction", "received"): "receive",
    ("network.io.direction", "sent"): "transmit",
    ("network.transport", "stream"): "tcp",
}
"""Values that OpenTelemetry has words of its own for, by attribute and our word."""


class DataPoint(NamedTuple):
    """One figure of one series."""

    attributes: Attributes
    value: float | None
    """None: the series has ended."""


class Metric(NamedTuple):
    """A metric and its points at one moment."""

    name: str
    told: str
    unit: str
    since: int | None
    """Of a sum that only grows, when it began, in nanoseconds since 1970; None for a gauge."""
    points: tuple[DataPoint, ...]


class Export(NamedTuple):
    """All that is told at one moment."""

    resource: Attributes
    at: int
    """Nanoseconds since 1970."""
    metrics: tuple[Metric, ...]


def metrics(
    measured: Iterable[Measured], before: Iterable[Measured], begun: Mapping[Since, int], at: int
) -> tuple[Metric, ...]:
    """What is measured `at` that time, and which of what was told `before` has ended. `begun` has Unix times in
    nanoseconds."""
    now = {each.family: each.points for each in measured}
    earlier = {each.family: each.points for each in before}
    made = []
    for family in {**now, **earlier}:
        points = now.get(family, ())
        there = {_subject(family, point) for point in points}
        ended = {_subject(family, point): None for point in earlier.get(family, ())}
        told = [each for point in points for each in _told(family, point.labels, point.value)]
        told += [each for gone in ended if gone not in there for each in _told(family, gone, None)]
        if told:
            since = None if family.since is None else min(begun[family.since], at)
            made.append(Metric(family.otel, family.told, family.unit, since, tuple(told)))
    return tuple(made)


def _subject(family: Family, point: Point) -> tuple[str, ...]:
    """What a figure is of. A state is of whatever is in it."""
    return (*point.labels[:-1], "") if family.kind is Kind.STATE else point.labels


def _told(family: Family, labels: tuple[str, ...], value: float | None) -> Iterator[DataPoint]:
    """The points of one figure: of a state one for each of its words, as OpenTelemetry's conventions for states have
    it, so that whoever takes over tells the whole."""
    names = [label.attribute for label in family.labels]
    if family.kind is not Kind.STATE:
        yield DataPoint(_attributes(names, labels), value)
        return
    subject = _attributes(names[:-1], labels[:-1])
    for state in family.states:
        holds = None if value is None else float(state == labels[-1])
        yield DataPoint((*subject, (names[-1], state)), holds)


def _attributes(names: list[str], labels: tuple[str, ...]) -> Attributes:
    pairs = tuple((name, value) for name, value in zip(names, labels, strict=True) if value)
    if any(pair in _BY_CONVENTION for pair in pairs):
        return tuple((name, _BY_CONVENTION.get((name, value), value)) for name, value in pairs)
    return pairs


def split(export: Export, limit: int) -> list[Export]:
    """In parts of at most so many points; at least one."""
    parts: list[list[Metric]] = [[]]
    room = limit
    for metric in export.metrics:
        rest = metric.points
        while rest:
            if not room:
                parts.append([])
                room = limit
            parts[-1].append(metric._replace(points=rest[:room]))
            taken = len(rest[:room])
            rest, room = rest[taken:], room - taken
    return [export._replace(metrics=tuple(part)) for part in parts]
