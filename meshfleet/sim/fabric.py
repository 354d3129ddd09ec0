"""A network in memory for real Trio programs: datagrams and streams with delay, loss, cuts, refusals and silence.

    fabric = Fabric(wires)                  # the links: sim.network.Network
    nursery.start_soon(fabric.run)          # one task, which delivers whatever is due
    network = fabric.attach(machine, "10.0.0.7")   # a meshfleet.node.network.Network

What a kernel does by itself goes on by itself here: it accepts, holds, acknowledges, refuses and resets, whatever the
process does. It knows machines, not who runs on them or why: a process that is stopped reads nothing; that one died is
told to `Attachment.process_died`, that a machine lost its power to `power_lost`. Times are whole microseconds since
`run` began; under Trio's MockClock they are virtual, under its usual clock real.

Here are time and the machines; attachment.py has what a machine's kernel does, connection.py its streams.
"""

from __future__ import annotations

import heapq
from math import inf
from typing import TYPE_CHECKING, Any, Protocol

import trio

from meshfleet.sim.attachment import Attachment
from meshfleet.sim.network import MICROSECONDS, Barrier
from meshfleet.sim.network import Network as Wires

if TYPE_CHECKING:
    from collections.abc import Callable


class Machine(Protocol):
    """What the fabric must know of a machine, at each moment."""

    @property
    def number(self) -> int:
        """Its number on the links."""
        ...

    @property
    def powered(self) -> bool:
        """Whether its kernel does anything: it is neither off nor asleep."""
        ...

    @property
    def nic_down(self) -> bool:
        """Whether its own network refuses to send."""
        ...

    @property
    def outbound_only(self) -> bool:
        """Whether only what it asked for gets in."""
        ...

    @property
    def translated(self) -> bool:
        """Whether its datagrams come from an address that is good for answers alone."""
        ...


class Fabric:
    """All machines, what is on its way between them, and the heap of what happens next."""

    def __init__(self, wires: Wires) -> None:
        self.wires = wires
        self.events = 0
        """What has happened so far."""
        self._heap: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = 0
        self._began: float | None = None
        self._due_us: float = 0
        self._sleep = trio.CancelScope()
        self._attached: dict[str, Attachment] = {}

    # Time

    @property
    def now_us(self) -> int:
        """Microseconds since `run` began; 0 before."""
        return 0 if self._began is None else round((trio.current_time() - self._began) * MICROSECONDS)

    def moment(self, at_us: int) -> float:
        """That time by Trio's clock."""
        assert self._began is not None, "the fabric does not run yet"
        return self._began + at_us / MICROSECONDS

    def at(self, when_us: int, action: Callable[..., None], *args: object) -> None:
        """Have something happen. What is asked for first happens first, where the times are equal."""
        self._count += 1
        heapq.heappush(self._heap, (when_us, self._count, action, args))
        if when_us < self._due_us:
            self._due_us = when_us
            self._sleep.deadline = self.moment(when_us)

    def after(self, delay_us: int, action: Callable[..., None], *args: object) -> None:
        """Have something happen later."""
        self.at(self.now_us + delay_us, action, *args)

    async def run(self) -> None:
        """Let things happen when they are due, for ever. What an action raises ends it."""
        self._began = trio.current_time()
        heap = self._heap
        while True:
            now_us, self._due_us = self.now_us, 0
            while heap and heap[0][0] <= now_us:
                _, _, action, args = heapq.heappop(heap)
                self.events += 1
                action(*args)
            self._due_us = heap[0][0] if heap else inf
            deadline = self.moment(heap[0][0]) if heap else inf
            with trio.CancelScope(deadline=deadline) as self._sleep:
                await trio.sleep_forever()

    # Machines

    def attach(self, machine: Machine, host: str) -> Attachment:
        """A machine's place on the network, under one IP address."""
        self._attached[host] = Attachment(self, machine, host)
        return self._attached[host]

    def move(self, attached: Attachment, host: str) -> None:
        """A machine is under another IP address from now on; at the old one is nobody."""
        del self._attached[attached.host]
        attached.host = host
        self._attached[host] = attached

    def attached(self, host: str) -> Attachment | None:
        """Who is at that IP address."""
        return self._attached.get(host)

    def passes(self, a: Machine, b: Machine) -> bool:
        """Whether a stream's packets pass both ways."""
        if a.nic_down or b.nic_down or not (a.powered and b.powered):
            return False
        return not self.wires.barriers or (self.barrier(a, b) is None and self.barrier(b, a) is None)

    def barrier(self, a: Machine, b: Machine) -> Barrier | None:
        """What stands in the way of a stream's packets, in this direction."""
        return self.wires.barrier(a.number, b.number, datagram=False)

    def way_us(self, a: Machine, b: Machine) -> int:
        """One way over a stream."""
        return self.wires.stream_us(a.number, b.number)
