"""Steps of a snapshot's way, told to have arrived while datagrams are lost, and taken again where they are not.

Without loss nobody asks for that: it would take as many datagrams again. Whoever lost one of late numbers each step;
its receiver tells the number back at once. What is not told within a few round trips is sent again, each time under a
number of its own, so that round trips can be told apart (Karn and Partridge, SIGCOMM 1987); at last also to the next
member of the stretch, for the first may be dead. Digests repair whatever that misses.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import msgspec

from meshfleet.gossip.limits import STEPS

if TYPE_CHECKING:
    from meshfleet.gossip.limits import Counts
    from meshfleet.gossip.messages import Got, SnapshotMessage
    from meshfleet.gossip.outbox import Outbox
    from meshfleet.gossip.record import Record
    from meshfleet.gossip.roster import Roster
    from meshfleet.gossip.timers import Timers

TRIES = 3
"""How often a step is taken: of 10 datagrams in 100 lost, 1 step in 1,000 fails so."""

FIRST_WAIT, LEAST_WAIT, MOST_WAIT = 0.1, 0.01, 0.5
"""Seconds to wait before it is taken again: before any round trip is known, and what is waited for in any case."""


class Step:
    """One step under way."""

    __slots__ = ("arrived", "message", "numbers", "to", "tries")

    def __init__(self, to: Record, message: SnapshotMessage) -> None:
        self.to = to
        self.message = message
        self.tries = 0
        self.arrived = False
        self.numbers: list[int] = []


class Steps:
    """Those that are not told yet."""

    def __init__(self, roster: Roster, outbox: Outbox, timers: Timers, counts: Counts) -> None:
        self._roster = roster
        self._outbox = outbox
        self._timers = timers
        self._counts = counts
        self._number = 0
        self._pending: dict[int, tuple[Step, float]] = {}
        """Each number, and when it was sent."""
        self._trip: float | None = None
        self._vary = 0.0
        """Round trip and its variation, smoothed (Jacobson, SIGCOMM 1988)."""

    def wait(self, to: Record) -> float:
        """Seconds in which a step is told to have arrived, if it did."""
        if self._trip is None:
            return FIRST_WAIT if to.rtt is None else min(FIRST_WAIT, max(LEAST_WAIT, 3 * to.rtt))
        return min(MOST_WAIT, max(LEAST_WAIT, self._trip + 4 * self._vary))

    def take(self, steps: list[tuple[Record, SnapshotMessage]], now: float) -> None:
        """Send all of these, and again those that do not arrive."""
        self._send([Step(record, message) for record, message in steps], now)

    def _send(self, steps: list[Step], now: float) -> None:
        for step in steps:
            step.tries += 1
            number = 0
            if len(self._pending) < STEPS:
                number = self._number = self._number + 1
                step.numbers.append(number)
                self._pending[number] = (step, now)
            else:
                self._counts["untold_step"] += 1
            self._outbox.datagram(step.to, msgspec.structs.replace(step.message, step=number))
        if any([step.numbers for step in steps]):
            self._timers.at(now + max([self.wait(step.to) for step in steps]), lambda t: self._look(steps, t))

    def _look(self, steps: list[Step], now: float) -> None:
        """What did not arrive by now is sent again."""
        if (wait := self._outbox.wait) is not None:  # they may not have left yet
            self._timers.at(now + wait + MOST_WAIT, lambda t: self._look(steps, t))
            return
        again: list[Step] = []
        for step in [step for step in steps if not step.arrived]:
            if step.tries >= TRIES:  # told late it still says how long that takes
                self._timers.at(now + MOST_WAIT, partial(self._forget_late, step))
                continue
            again.append(step)
            if step.tries == TRIES - 1 and (around := self._around(step)) is not None:
                self._outbox.datagram(around, msgspec.structs.replace(step.message, step=0))
        if again:
            self._counts["step_again"] += len(again)
            self._send(again, now)

    def _around(self, step: Step) -> Record | None:
        """The next member of that stretch."""
        until = step.message.until
        return None if until is None else self._roster.next_in(step.to.name, until, but=step.message.snapshot.node)

    def on_got(self, got: Got, now: float) -> None:
        """Somebody tells that steps arrived."""
        for number in got.steps:
            step, sent_at = self._pending.get(number, (None, 0.0))
            if step is None:
                continue
            step.arrived = True
            self._forget(step)
            self._learn(now - sent_at)

    def _learn(self, trip: float) -> None:
        if self._trip is None:
            self._trip, self._vary = trip, trip / 2
            return
        self._vary += (abs(trip - self._trip) - self._vary) / 4
        self._trip += (trip - self._trip) / 8

    def _forget_late(self, step: Step, now: float) -> None:
        self._forget(step)

    def _forget(self, step: Step) -> None:
        for number in step.numbers:
            self._pending.pop(number, None)
        step.numbers.clear()
