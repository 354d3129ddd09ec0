"""What is to be done when: a heap of deadlines. The member's only notion of the future."""

from __future__ import annotations

import heapq
from collections import deque
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


SLACK = 0.001
"""Seconds by which a timer may run early, where another is run anyway: duties that fall together then stay together,
and what they send to one member shares a datagram."""


class Timer:
    """One thing to do at one time. `cancel` is cheap: the heap drops it when it surfaces."""

    __slots__ = ("action", "when")

    def __init__(self, when: float, action: Callable[[float], None]) -> None:
        self.when = when
        self.action: Callable[[float], None] | None = action

    def cancel(self) -> None:
        """Never run it. Harmless when it has run."""
        self.action = None


class Timers:
    """Deadlines in order of time; equal ones in the order in which they were set."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._count = 0

    def at(self, when: float, action: Callable[[float], None]) -> Timer:
        """Run `action(now)` at the first chance from `when` on."""
        self._count += 1
        timer = Timer(when, action)
        heapq.heappush(self._heap, (when, self._count, timer))
        return timer

    def next(self) -> float:
        """When the next one is due; infinity when there is none."""
        heap = self._heap
        while heap and heap[0][2].action is None:
            heapq.heappop(heap)
        return heap[0][0] if heap else inf

    def run_due(self, now: float) -> None:
        """Run all that is due by `now`, if anything is. What they set anew for then waits for the next call. If one of
        them raises, the others are run by that: duties fall together, and most live by setting themselves anew."""
        heap, last = self._heap, self._count
        if not heap or heap[0][0] > now:
            return
        due: deque[tuple[float, int, Timer]] = deque()
        while heap and heap[0][0] <= now + SLACK and heap[0][1] <= last:
            due.append(heapq.heappop(heap))
        try:
            while due:
                if (action := due.popleft()[2].action) is not None:
                    action(now)
        finally:
            for later in due:
                heapq.heappush(heap, later)

    def __len__(self) -> int:
        return len(self._heap)
