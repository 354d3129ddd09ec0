"""What takes its turn: packets at a network card, and at a process that needs time for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshfleet.sim.network import MICROSECONDS

RECEIVE_BUFFER = 600
"""Packets that a kernel holds for a process that does not read: some 200 KiB of small datagrams, Linux's default."""

if TYPE_CHECKING:
    from meshfleet.sim.scenario import FleetPlan


class Queue:
    """First come, first served; what finds it full is lost."""

    def __init__(self, longest_us: int) -> None:
        self._longest_us = longest_us
        self._busy_until_us = 0
        self.lost = 0
        self.longest_us = 0
        """The longest that anything has waited."""

    def take(self, now_us: int, work_us: int, *, patient: bool = False) -> int | None:
        """When, from now on, that much work is through; None if it is lost. Who is `patient` waits outside instead, as
        a stream does."""
        waits = max(0, self._busy_until_us - now_us)
        if waits > self._longest_us and not patient:
            self.lost += 1
            return None
        self.longest_us = max(self.longest_us, waits)
        self._busy_until_us = now_us + waits + work_us
        return waits + work_us


class Capacity:
    """What one node's machine can do: bytes a second out of it, and packets a second that its process reads."""

    def __init__(self, plan: FleetPlan) -> None:
        self._plan = plan
        self.card: Queue | None = None
        self.desk: Queue | None = None
        self._packet_us = round(plan.packet_cost * MICROSECONDS)
        if plan.bandwidth is not None:
            self.card = Queue(round(plan.buffer / plan.bandwidth * MICROSECONDS))
        if self._packet_us:
            self.desk = Queue(RECEIVE_BUFFER * self._packet_us)

    @classmethod
    def of(cls, plan: FleetPlan) -> Capacity | None:
        """As the scenario has it; None where nothing is scarce."""
        return None if plan.bandwidth is None and not plan.packet_cost else cls(plan)

    def out(self, size: int, now_us: int, *, patient: bool) -> int | None:
        """How long until a packet has left; None if it is lost."""
        if self.card is None or self._plan.bandwidth is None:
            return 0
        return self.card.take(now_us, round(size / self._plan.bandwidth * MICROSECONDS), patient=patient)

    def read(self, now_us: int) -> int | None:
        """How long until one that came has been read; None if it is lost."""
        return 0 if self.desk is None else self.desk.take(now_us, self._packet_us)
