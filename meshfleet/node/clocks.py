"""Whether this machine slept: the difference between a clock that runs on during suspend and one that does not."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

SLEPT = 1.0
"""Seconds of difference that are a suspend, and not the two calls being apart."""


def asleep_so_far() -> float:
    """Seconds that this machine has spent suspended since it started. Only differences of it mean anything.

    Linux: CLOCK_BOOTTIME counts suspend, CLOCK_MONOTONIC does not. macOS: CLOCK_MONOTONIC (mach_continuous_time)
    counts it, CLOCK_UPTIME_RAW does not. (The macOS half could not be tried here.)
    """
    if sys.platform == "darwin":
        return time.clock_gettime(time.CLOCK_MONOTONIC) - time.clock_gettime(time.CLOCK_UPTIME_RAW)
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)


class SuspendWatch:
    """Notices that the machine slept since it was last asked."""

    def __init__(self, asleep: Callable[[], float] = asleep_so_far) -> None:
        self._asleep = asleep
        self._before = asleep()

    def slept(self) -> float | None:
        """For how many seconds the machine slept since the last call; None if it did not."""
        now = self._asleep()
        gap, self._before = now - self._before, now
        return gap if gap > SLEPT else None
