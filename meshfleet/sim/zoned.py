"""A fleet on two levels in virtual time: a mesh for each zone, and one of their delegates above.

Each node is a host, and the delegate in it another one on the same machine, which runs while it is one. What is above
and what is in a zone differ by who is met there, and by nothing else.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from meshfleet.fleet.zone import sums_of
from meshfleet.gossip.messages import Beats, Digest, Sync, Via
from meshfleet.node.viewing import Viewing
from meshfleet.sim.agents import working
from meshfleet.sim.baselines import DETECTORS
from meshfleet.sim.network import MICROSECONDS, Barrier, Network, Quality
from meshfleet.sim.scenario import NetworkPlan
from meshfleet.sim.world import World
from meshfleet.zones.bridge import CARRIES_EVERY, Bridge
from meshfleet.zones.seen import uppers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshfleet.fleet.timing import Timing
    from meshfleet.fleet.zone import ZoneSums, ZoneView
    from meshfleet.gossip.member import Member
    from meshfleet.sim.host import Host
    from meshfleet.sim.world import Watcher

CHATTER = 2.0
"""Seconds between two states of an agent, while agents have news."""


class Seat:
    """One node: its member in its zone, and its bridge."""

    def __init__(self, host: Host, above: Host, zone: str) -> None:
        self.host = host
        self.above = above
        """Where it is a delegate."""
        self.zone = zone
        self.bridge: Bridge | None = None
        """Of this life."""
        self.viewing: Viewing | None = None

    @property
    def member(self) -> Member:
        """In its zone."""
        assert self.host.member is not None
        return self.host.member

    @property
    def is_delegate(self) -> bool:
        """Whether it is in the upper mesh."""
        return self.bridge is not None and self.bridge.upper is not None


class ZonedFleet:
    """`zones` meshes of `size` nodes each, and what lies above. Times are virtual seconds."""

    def __init__(self, zones: int, size: int, timing: Timing, seed: int, watcher: Watcher) -> None:
        plan = NetworkPlan()
        quality = Quality.of(plan.delay, plan.loss, plan.duplicate, plan.reorder)
        self.timing = timing
        self.network = Network(quality, Random(f"{seed}/network"))
        self.world = World(self.network, timing, DETECTORS["meshfleet"], str(seed), watcher)
        self.rng = Random(f"{seed}/zoned")
        names = [f"n{number:05}" for number in range(zones * size)]
        hosts = [self.world.add(name, f"h-{name}", f"z{number // size:03}") for number, name in enumerate(names)]
        self.seats = []
        for host in hosts:
            above = self.world.add(f"n{len(self.world.hosts):05}", host.host, host.zone)
            self.seats.append(Seat(host, above, host.zone or ""))
        self.zones = [self.seats[first : first + size] for first in range(0, zones * size, size)]
        for zone in self.zones:
            for seat in zone:
                self._begin(seat, None)
            self._meet(zone)
        self._until_us = 0

    # Time

    @property
    def now(self) -> float:
        """What time it is."""
        return self.world.now_us / MICROSECONDS

    def pass_(self, seconds: float) -> None:
        """Let time pass."""
        self.world.run(self.world.now_us + round(seconds * MICROSECONDS))

    # Nodes

    def _begin(self, seat: Seat, join: Seat | None) -> None:
        """A node's process begins a life."""
        host = seat.host
        self.world.start(host, None if join is None else join.host)
        seat.viewing = Viewing(seat.member)
        seat.bridge = Bridge(
            seat.zone, seat.member, lambda now: self._sums(seat, now), lambda: host.wall_ms(self.world.now_us) / 1000
        )
        self.world.publish(host, f"{host.name}/a0", working(f"{host.name}/a0"))
        self.world.after(self._moment(self.timing.heartbeat), self._look, seat, host.epoch)

    def _meet(self, zone: list[Seat]) -> None:
        """Everybody of a zone is told of everybody in it, as a newcomer is: a zone that joins at once would repeat
        introductions for most of the run."""
        everybody = tuple(seat.member.membership.me for seat in zone)
        for i, seat in enumerate(zone):
            teller, now = zone[(i + 1) % len(zone)], self.world.clock(seat.host)
            told = teller.member.envelope((Sync(everybody, Beats(()), Digest(()), False),), now, 0)
            seat.member.receive(told, teller.host.address, Via.STREAM, now, 0.0)
            seat.member.keep_seeds((zone[0].host.address,))
            self.world.flush(seat.host)

    def _sums(self, seat: Seat, now: float) -> ZoneSums:
        assert seat.viewing is not None
        wall = seat.host.wall_ms(self.world.now_us) / 1000
        return sums_of(seat.zone, seat.viewing.fleet(str(seat.member.changes), now, wall, 0.0))

    def _moment(self, within: float) -> int:
        return round(self.rng.random() * within * MICROSECONDS)

    # Two levels

    def _look(self, seat: Seat, epoch: int) -> None:
        """What a node does beside its members: each T, and each second while it is a delegate."""
        host, bridge = seat.host, seat.bridge
        if host.epoch != epoch or not host.running or bridge is None:
            return
        if host.listens:
            now = self.world.clock(host)
            wanted = bridge.look(now)
            if wanted and bridge.upper is None:
                self._rise(seat, bridge, now)
            elif not wanted and bridge.upper is not None:
                bridge.sink(now)
                self.world.leave(seat.above)
            if bridge.upper is not None:
                bridge.carry(now)
                self._find_others(seat, bridge.upper)
                self.world.flush(seat.above)
            self.world.flush(host)
        again = CARRIES_EVERY if bridge.upper is not None else self.timing.heartbeat
        self.world.after(round(again * MICROSECONDS), self._look, seat, epoch)

    def _rise(self, seat: Seat, bridge: Bridge, now: float) -> None:
        """Begin a life above, and join by whoever of the own zone is there."""
        here = seat.above
        self.world.start(here, None)
        assert here.member is not None
        bridge.rise(here.member, here.address, now)
        beside = [address for address in uppers(seat.member).values() if address != here.address]
        here.member.keep_seeds(tuple(beside))
        for address in beside:
            here.member.join(address, now)
        self.world.flush(here)

    def _find_others(self, seat: Seat, upper: Member) -> None:
        """Where nobody of another zone is known, any node of one is asked for its delegates: operators name some."""
        if any(record.info.zone != seat.zone for record in upper.roster):
            return
        asked = self.rng.choice(self.seats)
        reached = self.network.barrier(seat.host.number, asked.host.number, datagram=False) is None
        if asked.zone == seat.zone or not asked.host.listens or not reached:
            return
        for address in uppers(asked.member).values():
            upper.join(address, self.world.clock(seat.above))

    # What happens to it

    def publish_for(self, seconds: float) -> None:
        """From now on each agent has news each 2 s, give or take a tenth, for so long."""
        self._until_us = self.world.now_us + round(seconds * MICROSECONDS)
        for seat in self.seats:
            self.world.after(self._moment(CHATTER), self._publish, seat)

    def _publish(self, seat: Seat) -> None:
        if self.world.now_us <= self._until_us:
            name = f"{seat.host.name}/a0"
            self.world.publish(seat.host, name, working(name))
            self.world.after(round(CHATTER * self.rng.uniform(0.9, 1.1) * MICROSECONDS), self._publish, seat)

    def kill(self, seat: Seat, *, silently: bool = False) -> None:
        """A node's process ends, and its delegate with it; `silently`: its whole host goes dark."""
        for host in (seat.host, seat.above):
            self.world.kill(host, silently=silently)
        seat.bridge = None

    def restart(self, seat: Seat) -> None:
        """It begins another life."""
        seat.host.dark = seat.above.dark = False
        others = [other for other in self.zones_of(seat.zone) if other.host.listens and other is not seat]
        self._begin(seat, self.rng.choice(others) if others else None)

    def cut(self, left: Sequence[Seat], right: Sequence[Seat]) -> list[Barrier]:
        """Nothing passes between these any more."""
        one, two = _numbers(left), _numbers(right)
        barriers = [Barrier(one, two), Barrier(two, one)]
        for barrier in barriers:
            self.network.raise_barrier(barrier)
        self.world.barrier_changed()
        return barriers

    def heal(self, barriers: Sequence[Barrier]) -> None:
        """It does again."""
        for barrier in barriers:
            self.network.lift(barrier)
        self.world.barrier_changed()

    # What is seen

    def zones_of(self, zone: str) -> list[Seat]:
        """All seats of a zone."""
        return [seat for seat in self.seats if seat.zone == zone]

    def delegates(self) -> list[Seat]:
        """Who is in the upper mesh."""
        return [seat for seat in self.seats if seat.host.running and seat.is_delegate]

    def seen(self, seat: Seat) -> dict[str, ZoneView]:
        """What a node shows of other zones."""
        assert seat.bridge is not None
        at = seat.member.listening.at(self.world.clock(seat.host))
        wall = seat.host.wall_ms(self.world.now_us) / 1000
        return {view.zone: view for view in seat.bridge.words.views(at, wall)}


def _numbers(seats: Sequence[Seat]) -> frozenset[int]:
    return frozenset(number for seat in seats for number in (seat.host.number, seat.above.number))
