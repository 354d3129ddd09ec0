"""What is to be done when: a heap of deadlines. The member's only notion of the future."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(slots=True, order=True)
class Timer:
    """One thing to do at one time. `cancel` is cheap: the heap drops it when it surfaces."""

    when: float
    order: int
    action: Callable[[float], None] | None = field(compare=False)

    def cancel(self) -> None:
        """Never run it. Harmless when it has run."""
        self.action = None


class Timers:
    """Deadlines in order of time; equal ones in the order in which they were set."""

    def __init__(self) -> None:
        self._heap: list[Timer] = []
        self._count = 0

    def at(self, when: float, action: Callable[[float], None]) -> Timer:
        """Run `action(now)` at the first chance from `when` on."""
        self._count += 1
        timer = Timer(when, self._count, action)
        heapq.heappush(self._heap, timer)
        return timer

    def next(self) -> float:
        """When the next one is due; infinity when there is none."""
        while self._heap and self._heap[0].action is None:
            heapq.heappop(self._heap)
        return self._heap[0].when if self._heap else inf

    def run_due(self, now: float) -> None:
        """Run all that is due by `now`. What they set anew for `now` or earlier waits for the next call."""
        last = self._count
        due: list[Timer] = []
        while self._heap and self._heap[0].when <= now and self._heap[0].order <= last:
            due.append(heapq.heappop(self._heap))
        for timer in due:
            if timer.action is not None:
                timer.action(now)

    def __len__(self) -> int:
        return len(self._heap)
