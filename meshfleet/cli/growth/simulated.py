"""One fleet in virtual time, measured in a process of its own: rest, load, a crash, a host gone.

It begins as a fleet that has met: each member is told of all others by one push-pull, as a newcomer is. A fleet that
joins at once repeats everybody's introduction for as long as that takes: 45 virtual seconds at 128 nodes, minutes and
most of the CPU at a thousand, and it ends where this begins.

It counts with a watcher of its own. The simulator's score keeps a book on each pair of nodes, which with a thousand of
them would be a good part of the memory that is measured.
"""

from __future__ import annotations

import sys
import time
from array import array
from importlib.util import find_spec
from random import Random
from typing import TYPE_CHECKING

import msgspec

from meshfleet import __version__
from meshfleet.cli.growth.figures import UPDATE_EVERY, Death, Point, late
from meshfleet.cli.memory import rss_mb
from meshfleet.cli.saying import print_plain
from meshfleet.errors import MeshfleetError
from meshfleet.fleet.presence import Presence
from meshfleet.gossip.events import Arrived, Event, Judged
from meshfleet.gossip.messages import Beats, Digest, Sync, Via
from meshfleet.sim.agents import working
from meshfleet.sim.baselines import DETECTORS
from meshfleet.sim.faults import BODY
from meshfleet.sim.network import MICROSECONDS
from meshfleet.sim.scenario import FleetPlan, Scenario
from meshfleet.sim.staging import Stage
from meshfleet.sim.world import World

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshfleet.sim.host import Host

HEARTBEAT_S = 5.0
"""T. What is done once in T, or twice, is in each so often as in the next."""
SETTLE_S = 20.0
"""Before anything is measured: streams stand, and digests have said for 10 s that nothing is lacked, so they are
sums."""
WARM_UP_S = 3.0
"""Load before its window begins: every agent has published by then."""
DRAIN_S = 3.0
"""How long a state may still arrive after the window."""
SAMPLE_S = 0.5
OBSERVERS = 16
"""Nodes that are asked how old what they show is, twice a virtual second: of a thousand all would take longer than the
load."""
APART_S = 11.0
"""Between the crash and the host that goes: more than 2T, so that nobody takes the two for a group."""
NOTICE_S = 60.0
"""How long a death may go unnoticed before it counts as missed: a lone silent host takes 18 s by the rules."""


DETAILS = 20
"""Of what should not have been said."""


class Order(msgspec.Struct, frozen=True):
    """What the process is to measure."""

    nodes: int
    run: int


class Watch:
    """What happens in the world, as far as it is measured."""

    def __init__(self) -> None:
        self.not_fresh = 0
        self.details: list[str] = []
        self.arrived = 0
        self.published_us: dict[tuple[str, int], int] = {}
        self.window_us = (0, -1)
        """From when to when publishing counts."""
        self.in_window = 0
        self.delays = array("d")
        self.died_us: dict[str, int] = {}
        self.seen: dict[str, dict[str, float]] = {}
        """Who died -> who said so -> after how many seconds."""

    def happened(self, host: Host, event: Event, now_us: int) -> None:
        """A member said something."""
        if isinstance(event, Arrived):
            self.arrived += 1
            snapshot = event.snapshot
            began = self.published_us.get((snapshot.node, snapshot.seq), -1)
            if self.window_us[0] <= began <= self.window_us[1]:
                self.delays.append((now_us - began) / MICROSECONDS)
        elif isinstance(event, Judged):
            presence, died = event.verdict.presence, self.died_us.get(event.name)
            if died is None and presence is not Presence.FRESH:
                self.not_fresh += 1
                if len(self.details) < DETAILS:
                    why = "; ".join(event.verdict.reasons)
                    self.details.append(
                        f"{now_us / MICROSECONDS:.3f} s: {host.name} said {presence.value} of {event.name}: {why}"
                    )
            elif died is not None and presence is Presence.DOWN:
                self.seen[event.name].setdefault(host.name, (now_us - died) / MICROSECONDS)

    def settled(self) -> int:
        """Forget what was wrongly said so far: how often that was."""
        count, self.not_fresh, self.details = self.not_fresh, 0, []
        return count

    def truth_changed(self, now_us: int) -> None:
        """Who runs is known here: it is this benchmark that kills."""

    def published(self, host: Host, agent: str, now_us: int) -> None:
        """A new snapshot left its origin."""
        assert host.member is not None
        shelf = host.member.replica.shelf(host.member.name)
        assert shelf is not None
        newest = max(snapshot.seq for snapshot in shelf.held.values())
        self.published_us.setdefault((host.name, newest), now_us)
        self.in_window += self.window_us[0] <= now_us <= self.window_us[1]


class Sent(msgspec.Struct, frozen=True):
    """All that was sent so far, and what it took."""

    sent: int
    datagrams: int
    cpu_s: float
    snapshots_in: int
    arrived: int


class Fleet:
    """The world, and time passing in it."""

    def __init__(self, nodes: int, seed: int) -> None:
        self.watch = Watch()
        plan = FleetPlan(nodes=nodes, agents_per_node=0, update_every=UPDATE_EVERY)
        scenario = Scenario(name="growth", duration=1.0, fleet=plan)
        stage = Stage(scenario, seed)
        self.world = World(stage.network, scenario.patience(), DETECTORS["meshfleet"], str(seed), self.watch)
        for name in stage.cast.nodes:
            self.world.add(name, stage.cast.hosts[name], None)
        for host in self.world.hosts:
            self.world.start(host, None)
        self._meet()
        self.nodes = nodes
        self.rng = Random(f"{seed}/growth")
        self._bodies = {host.name: working(f"{host.name}/a0") for host in self.world.hosts}
        self._until_us = 0
        for host in self.world.hosts:
            self.world.after(self._moment(UPDATE_EVERY), self._update, host, False)

    def _meet(self) -> None:
        """Everybody is told of everybody, over a stream, in answer: what a newcomer is told first it does not pass
        on."""
        hosts = self.world.hosts
        members = [host.member for host in hosts if host.member is not None]
        everybody = tuple(member.membership.me for member in members)
        for i, member in enumerate(members):
            teller, now = (i + 1) % len(members), self.world.clock(hosts[i])
            told = members[teller].envelope((Sync(everybody, Beats(()), Digest(()), False),), now, 0)
            member.receive(told, hosts[teller].address, Via.STREAM, now, 0.0)
            member.keep_seeds((hosts[0].address,))
            self.world.flush(hosts[i])

    def pass_(self, seconds: float) -> None:
        """Let time pass."""
        self.world.run(self.world.now_us + round(seconds * MICROSECONDS))

    def _moment(self, within: float) -> int:
        return round(self.rng.random() * within * MICROSECONDS)

    def publish_for(self, seconds: float) -> None:
        """From now on each agent has news each 2 s, give or take a tenth, for so long."""
        self._until_us = self.world.now_us + round(seconds * MICROSECONDS)
        for host in self.world.hosts:
            self.world.after(self._moment(UPDATE_EVERY), self._update, host, True)

    def _update(self, host: Host, again: bool) -> None:
        if again and self.world.now_us > self._until_us:
            return
        self.world.publish(host, f"{host.name}/a0", self._bodies[host.name])
        if again:
            every = UPDATE_EVERY * self.rng.uniform(0.9, 1.1)
            self.world.after(round(every * MICROSECONDS), self._update, host, True)

    def sent(self) -> Sent:
        """So far."""
        world = self.world
        received = sum(host.member.counts["snapshots_in"] for host in world.hosts if host.member is not None)
        return Sent(
            sum(world.bytes_sent.values()), sum(world.datagrams_sent.values()), time.process_time(), received,
            self.watch.arrived,
        )  # fmt: skip

    def ages(self, observers: list[Host]) -> list[float]:
        """How old each state is that these would show now."""
        found: list[float] = []
        for observer in observers:
            assert observer.member is not None
            for other in self.world.hosts:
                shelf = observer.member.replica.shelf(other.member.name) if other.member is not None else None
                if other is not observer and shelf is not None:
                    published = (self.watch.published_us[other.name, held.seq] for held in shelf.held.values())
                    found += [(self.world.now_us - at) / MICROSECONDS for at in published]
        return found

    def dies(self, number: int, *, silently: bool) -> Death:
        """Kill a node, and wait until all that run know it."""
        victim = self.world.hosts[number]
        seen = self.watch.seen[victim.name] = {}
        self.watch.died_us[victim.name] = self.world.now_us
        self.world.kill(victim, silently=silently)
        due, waited = sum(host.running for host in self.world.hosts), 0.0
        while len(seen) < due and waited < NOTICE_S:
            self.pass_(1.0)
            waited += 1.0
        return Death(late(list(seen.values())), 1, due, len(seen))


def window_of(nodes: int) -> float:
    """Virtual seconds of each of rest and load: four T, and in large fleets as few as one, for there is more to count
    in each of them, and each takes a minute of CPU."""
    return HEARTBEAT_S * max(1, min(4, round(512 / nodes)))


def measure(order: Order, say: Callable[[str], None]) -> Point:
    """All of it, for one fleet."""
    nodes, before_mb = order.nodes, rss_mb()
    fleet = Fleet(nodes, order.run)
    watch, window = fleet.watch, window_of(nodes)
    say(f"settling for {SETTLE_S:g} virtual s")
    fleet.pass_(SETTLE_S)
    settling = watch.settled()
    say(f"at rest for {window:g} virtual s")
    started = fleet.sent()
    fleet.pass_(window)
    rested = fleet.sent()
    memory_mb = (rss_mb() - before_mb) / nodes
    say(f"{(rested.sent - started.sent) / nodes / window:,.0f} bytes/s a node, {watch.not_fresh} verdicts not fresh")
    say(f"load for {WARM_UP_S:g} and {window:g} virtual s")
    begun, loaded, ended, ages = _load(fleet, window)
    say(f"{(loaded.sent - begun.sent) / nodes / window:,.0f} bytes/s a node, {watch.not_fresh} verdicts not fresh")
    say("a process is killed")
    victims = fleet.rng.sample(range(1, nodes), 2)
    crash = fleet.dies(victims[0], silently=False)
    fleet.pass_(APART_S)
    say("a host goes dark")
    host_gone = fleet.dies(victims[1], silently=True)
    due, sent = watch.in_window * (nodes - 1), loaded.sent - begun.sent
    delay, age = late(watch.delays), late(ages)
    if delay is None or age is None:
        raise MeshfleetError(f"no state arrived anywhere in a simulated fleet of {nodes}: there is nothing to measure.")
    return Point(
        kind="simulated",
        nodes=nodes,
        run=order.run,
        version=__version__,
        compiled=is_compiled(),
        update_every_s=UPDATE_EVERY,
        joined_s=None,
        window_s=window,
        idle_bytes_s=round((rested.sent - started.sent) / nodes / window, 1),
        idle_datagrams_s=round((rested.datagrams - started.datagrams) / nodes / window, 3),
        idle_cpu_pct=round(100 * (rested.cpu_s - started.cpu_s) / nodes / window, 5),
        load_bytes_s=round(sent / nodes / window, 1),
        load_datagrams_s=round((loaded.datagrams - begun.datagrams) / nodes / window, 3),
        load_cpu_pct=round(100 * (loaded.cpu_s - begun.cpu_s) / nodes / window, 5),
        least_times=round(sent / (due * BODY), 4),
        copies=round((ended.snapshots_in - rested.snapshots_in) / max(1, ended.arrived - rested.arrived), 4),
        delivered_pct=round(100 * len(watch.delays) / due, 4),
        delay=delay,
        age=age,
        memory_mb=round(memory_mb, 4),
        crash=crash,
        host_gone=host_gone,
        not_fresh=watch.not_fresh,
        details=tuple(watch.details),
        not_fresh_settling=settling,
    )


def _load(fleet: Fleet, window: float) -> tuple[Sent, Sent, Sent, list[float]]:
    """Publish, count, and let what is under way arrive: what was sent before and after the window, and at the end; and
    the ages of what was shown in it."""
    world, ages = fleet.world, list[float]()
    observers = fleet.rng.sample(world.hosts, min(OBSERVERS, fleet.nodes))
    fleet.publish_for(WARM_UP_S + window)
    fleet.pass_(WARM_UP_S)
    fleet.watch.window_us = (world.now_us, world.now_us + round(window * MICROSECONDS))
    begun = fleet.sent()
    for _ in range(round(window / SAMPLE_S)):
        fleet.pass_(SAMPLE_S)
        ages += fleet.ages(observers)
    loaded = fleet.sent()
    fleet.pass_(DRAIN_S)
    return begun, loaded, fleet.sent(), ages


def is_compiled() -> bool:
    """Whether the core that runs here is compiled."""
    found = find_spec("meshfleet.gossip.member")
    return found is not None and found.origin is not None and not found.origin.endswith(".py")


if __name__ == "__main__":

    def _say(text: str) -> None:
        print_plain(f"    {text}", file=sys.stderr, flush=True)

    point = measure(msgspec.json.decode(sys.argv[1], type=Order), _say)
    print_plain(msgspec.json.encode(point).decode())
