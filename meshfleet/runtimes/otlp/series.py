"""Points of counters -> what each adds to the sum, by the temporality that it came with. Pure.

    delta        all of it, unless the interval was told before: an exporter that got no answer sends again
    cumulative   what it is more than before. Another start is another life of the counter, with a sum of its own; less
                 than before, with the same start, is a life whose start was not told
    late         a delta counts whenever it comes; of a cumulative series only the newest point counts

OpenTelemetry's data model for metrics, "Temporality" and "Resets and gaps", has these rules.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from meshfleet.runtimes.otlp.plain import Point, Temporality

SERIES_LIMIT = 256
"""Series of one session. Claude Code has 4 kinds of tokens x 3 sources x a handful of models."""

INTERVALS = 16
"""Intervals of a delta series that are remembered, so that they are not counted again. Exporters send again within a
minute, and a series has a point each 5 to 60 s."""


class _Name(NamedTuple):
    metric: str
    labels: tuple[tuple[str, str], ...]
    start: float
    """Of cumulative ones: each life is a series of its own, so that two processes of one session don't seem to take
    turns in beginning anew. 0 for deltas."""


class _Life:
    """One series."""

    def __init__(self) -> None:
        self.time = 0.0
        self.value = 0.0
        self.intervals: deque[tuple[float, float]] = deque(maxlen=INTERVALS)


class Series:
    """All series of one session. When the session is forgotten they go with it, sums and all: nothing is counted
    against a sum that is not there any more."""

    def __init__(self) -> None:
        self._lives: dict[_Name, _Life] = {}

    def __len__(self) -> int:
        return len(self._lives)

    def added(self, point: Point, labels: tuple[tuple[str, str], ...], room: int) -> float | None:
        """What the point adds to the sum of its metric. None: it is of one series too many; `room` is for how many
        there is elsewhere."""
        delta = point.temporality is Temporality.DELTA
        name = _Name(point.name, labels, 0.0 if delta else point.start)
        life = self._lives.get(name)
        if life is None:
            if not room or len(self._lives) >= SERIES_LIMIT:
                return None
            life = self._lives[name] = _Life()
        return _of_delta(life, point) if delta else _of_total(life, point)


def _of_delta(life: _Life, point: Point) -> float:
    interval = (point.start, point.time)
    if interval in life.intervals:
        return 0.0
    life.intervals.append(interval)
    return point.value


def _of_total(life: _Life, point: Point) -> float:
    if point.time <= life.time:
        return 0.0
    before, life.time, life.value = life.value, point.time, point.value
    return point.value - before if point.value >= before else point.value
