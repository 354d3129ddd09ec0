"""A fleet in which something goes wrong all the time: for what must hold however long it goes on."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import msgspec

from meshfleet.fleet.timing import PRESETS
from meshfleet.gossip.rules import MESHFLEET
from meshfleet.sim.faults import Delay
from meshfleet.sim.network import MICROSECONDS, Barrier, Network, Quality
from meshfleet.sim.world import World

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshfleet.gossip.events import Event
    from meshfleet.sim.host import Host

TIMING = msgspec.structs.replace(PRESETS["lan"], tombstone=300.0)
"""The gone are forgotten after five minutes: a day would not end within the hour."""


class Nobody:
    """Keeps no score."""

    def happened(self, host: Host, event: Event, now_us: int) -> None:
        """Whatever."""

    def truth_changed(self, now_us: int) -> None:
        """Whatever."""

    def published(self, host: Host, agent: str, now_us: int) -> None:
        """Whatever."""


class Churn:
    """`stay` nodes that are never ended, as many others that are, all over again, and visitors: each comes once, under
    a name of its own. Each node carries two agents, which live for 100 s on the average, and then others begin."""

    def __init__(self, stay: int, seed: int) -> None:
        self._rng = Random(f"{seed}/churn")
        self._network = Network(Quality.of(Delay(0.001, 0.005), 0.0, 0.0, 0.0), Random(f"{seed}/network"))
        self.world = World(self._network, TIMING, MESHFLEET, str(seed), Nobody())
        self._count = 0
        self._busy: set[Host] = set()
        """Those that a fault has in its hands."""
        self.staying = [self._enter() for _ in range(stay)]
        self._others = [self._enter() for _ in range(stay)]
        self.faults = 0
        self._then(20, self._go_wrong)
        self._then(30, self._visit)

    def run(self, until: float) -> None:
        """Let it go on, to that second."""
        self.world.run(round(until * MICROSECONDS))

    def _then(self, seconds: float, action: Callable[[], None]) -> None:
        self.world.after(max(1, round(seconds * MICROSECONDS)), action)

    def _enter(self) -> Host:
        world = self.world
        name = f"n{len(world.hosts):03}"
        here = world.add(name, f"h-{name}", None)
        world.start(here, None if here is world.hosts[0] else world.hosts[0])
        for _ in range(2):
            self._then(5, lambda: self._work(here, 5))
        return here

    def _work(self, here: Host, words: int) -> None:
        """An agent begins, says so many words, ends, and the next one begins."""
        self._count += 1
        agent = f"{here.name}/a{self._count}"
        left = words

        def say() -> None:
            nonlocal left
            left -= 1
            self.world.publish(here, agent, self._rng.randbytes(self._rng.randrange(200, 500)))
            if left:
                self._then(self._rng.uniform(1.5, 4.5), say)
                return
            self._then(60, lambda: self.world.publish(here, agent, b""))
            self._work(here, 1 + round(self._rng.expovariate(1 / 30)))

        say()

    # What goes wrong

    def _visit(self) -> None:
        """Somebody comes who never was here, and goes."""
        here = self._enter()
        self._then(self._rng.uniform(5, 40), lambda: self._end(here))
        self._then(60, self._visit)

    def _end(self, here: Host) -> None:
        how = self._rng.choice((self.world.leave, self.world.kill))
        how(here)

    def _go_wrong(self) -> None:
        self._then(self._rng.uniform(5, 20), self._go_wrong)
        self.faults += 1
        lasts = self._rng.uniform(1, 40)
        kind = self._rng.choice((self._crash, self._pause, self._unplug, self._cut, self._cut))
        kind(lasts)

    def _take(self, hosts: list[Host]) -> Host | None:
        free = [here for here in hosts if here not in self._busy and here.listens and not here.left]
        here = self._rng.choice(free) if free else None
        self._busy |= {here} if here is not None else set()
        return here

    def _crash(self, lasts: float) -> None:
        here = self._take(self._others)
        if here is None:
            return
        self._end(here)

        def back() -> None:
            self._busy.discard(here)
            self.world.start(here, self._rng.choice(self.staying))

        self._then(1 + lasts, back)

    def _pause(self, lasts: float) -> None:
        here = self._take([*self.staying, *self._others])
        if here is None:
            return
        self.world.pause(here)

        def go_on() -> None:
            self._busy.discard(here)
            self.world.resume(here)

        self._then(lasts, go_on)

    def _unplug(self, lasts: float) -> None:
        here = self._take([*self.staying, *self._others])
        if here is None:
            return
        here.nic_down = True

        def plug_in() -> None:
            self._busy.discard(here)
            here.nic_down = False

        self._then(lasts, plug_in)

    def _cut(self, lasts: float) -> None:
        """Between two sides, both ways or one; silence or refusals; or for datagrams alone."""
        numbers = range(len(self.staying) + len(self._others))
        left = frozenset(self._rng.sample(numbers, self._rng.randrange(1, len(numbers))))
        right = frozenset(numbers) - left
        reject, datagrams_only = self._rng.random() < 0.3, self._rng.random() < 0.3
        between = [Barrier(left, right, reject, datagrams_only)]
        if self._rng.random() < 0.5:
            between.append(Barrier(right, left, reject, datagrams_only))
        for barrier in between:
            self._network.raise_barrier(barrier)
        self.world.barrier_changed()

        def mend() -> None:
            for barrier in between:
                self._network.lift(barrier)
            self.world.barrier_changed()

        self._then(lasts, mend)
