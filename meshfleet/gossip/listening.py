"""Silence is counted only in time through which this member was listening.

A process that is stopped, starved or suspended hears nobody, and must not blame them for it. Restate lost both healthy
peers in one tick that way (restate 5156, 2026); Cassandra convicts nobody for 5 s after a long tick of its own.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meshfleet.fleet.timing import Timing


class Listening:
    """A clock that runs while the member listens, and stands still while it can't.

    Every entry into the member passes here first. Between two of them at most `2 × gossip_interval` counts; what is
    longer was spent deaf. A gap of more than a second and two probe intervals means that clock or process stood still:
    the member is `resuming` for one T, and all ages begin anew.
    """

    def __init__(self, timing: Timing, now: float, *, enabled: bool = True) -> None:
        self._counts_at_most = 2 * timing.gossip_interval if enabled else inf
        self._jump = max(1.0, 2 * timing.probe_interval)
        self._resume_for = timing.heartbeat
        self._last = now
        self.deaf = 0.0
        """Seconds until now that don't count."""
        self.resumed_at = -1e18
        """When ages began anew, on this clock."""
        self._resuming_until = now

    def advance(self, now: float) -> bool:
        """Note that the member is awake at `now`; whether it had stood still so long that it is resuming."""
        gap = now - self._last
        if gap <= 0:
            return False
        self._last = now
        if gap <= self._counts_at_most:
            return False
        self.deaf += gap - self._counts_at_most
        if gap <= self._jump:
            return False
        self.resume(now)
        return True

    def resume(self, now: float) -> None:
        """All ages begin anew: after a stop, or when the host says that it slept."""
        self.resumed_at = self.at(now)
        self._resuming_until = now + self._resume_for

    def at(self, now: float) -> float:
        """Listening seconds at `now`."""
        return now - self.deaf

    def is_resuming(self, now: float) -> bool:
        """Whether silence still proves nothing because this member itself was away."""
        return now < self._resuming_until
