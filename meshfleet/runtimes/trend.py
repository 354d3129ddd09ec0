"""How fast a context fills: a robust slope over the last minutes, and the time until it is full.

Theil and Sen's estimator: the median of the slopes between all pairs of readings, which a few odd ones don't move (Sen
1968, "Estimates of the regression coefficient based on Kendall's tau"). A compaction or a new session empties the
context: what was read before it says nothing of what comes.
"""

from __future__ import annotations

from collections import deque
from statistics import median

import msgspec

READINGS = 24
"""Readings kept: 276 pairs, some 60 µs."""

SPAN = 900.0
"""Seconds that a reading counts for."""

AT_LEAST = 20.0
"""Seconds that the readings must span before a slope means anything: one answer may bring in a whole file."""

FALL = 0.85
"""A reading below this part of the one before is a compaction, not noise."""

LONGEST = 86_400.0
"""Seconds to full that are told. What lasts longer than a day is no forecast."""


AGAIN = 60.0
"""Seconds after which a reading counts though it is what it was: a context that rests grows more and more slowly."""


class Growth(msgspec.Struct, frozen=True):
    """How a context fills."""

    slope: float | None = None
    """Percentage points per minute; None where too little is known."""
    full_in: float | None = None
    """Seconds until it is full, at that slope; None where it does not fill within a day."""


class Trend:
    """Readings of one session's context, as parts of its window."""

    def __init__(self) -> None:
        self._readings: deque[tuple[float, float]] = deque(maxlen=READINGS)
        self._growth = Growth()

    def read(self, at: float, percent: float | None) -> Growth:
        """The context is `percent` full at `at` (seconds since 1970). None: it is not known, as after a compaction."""
        if self._take(at, percent):
            slope = self._slope(at)
            self._growth = Growth(slope, self._full_in(slope))
        return self._growth

    def _take(self, at: float, percent: float | None) -> bool:
        """Whether that was news."""
        if percent is None:
            known = bool(self._readings)
            self._readings.clear()
            return known
        if self._readings:
            last_at, last = self._readings[-1]
            if at <= last_at or (percent == last and at - last_at < AGAIN):
                return False
            if percent < FALL * last:
                self._readings.clear()
        self._readings.append((at, percent))
        return True

    def _slope(self, now: float) -> float | None:
        points = [(at, percent) for at, percent in self._readings if now - at <= SPAN]
        if len(points) < 3 or points[-1][0] - points[0][0] < AT_LEAST:
            return None
        slopes = [(b[1] - a[1]) / (b[0] - a[0]) for i, a in enumerate(points) for b in points[i + 1 :]]
        return round(60 * median(slopes), 2)

    def _full_in(self, slope: float | None) -> float | None:
        if slope is None or slope <= 0:
            return None
        left = max(0.0, 100.0 - self._readings[-1][1]) * 60 / slope
        return float(round(left)) if left <= LONGEST else None
