"""What a member may send of snapshots, so that whatever else it has to say never stands behind them: a token bucket.

Twice `state_rate`: a member hands on about as much as it hears, and that is `state_rate` at most in the long run; as
much again is for what was lost. As long as the narrowest link carries more, no queue of snapshots forms on the way, and
a probe is as fast as without them. The bucket is deep enough that a fleet with room to spare never meets its bottom.
"""

from __future__ import annotations

TIMES = 2.0
"""`state_rate` times this is sent at most."""

DEPTH = 0.25
"""Seconds of that which may go at once: a quarter of a probe's interval."""

PATIENCE = 2.0
"""Seconds of that which may wait. What comes then is dropped; digests bring it later, or what is newer by then."""


class Budget:
    """Bytes that may go now."""

    def __init__(self, state_rate: float) -> None:
        self._rate = TIMES * state_rate
        self._most = self._left = DEPTH * self._rate
        self._filled_at = 0.0
        self.longest = PATIENCE * self._rate
        """Bytes that may wait."""

    def take(self, size: int) -> bool:
        """Whether it may go: as long as anything is left, be it less than `size`, for the largest must go as well."""
        if self._left <= 0:
            return False
        self._left -= size
        return True

    def fill(self, at: float) -> None:
        """Time has passed, `at` is listening seconds."""
        self._left = min(self._most, self._left + max(0.0, at - self._filled_at) * self._rate)
        self._filled_at = at

    @property
    def wait(self) -> float:
        """Seconds until something may go."""
        return max(0.0, -self._left / self._rate)
