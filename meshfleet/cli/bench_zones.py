"""`meshfleet bench zones`: a fleet on two levels in virtual time. What a node costs, and how soon what happens in one
zone is seen in all others.

It goes through one story: rest, a state of each agent each 2 s, a crash, all delegates of a zone dead at once, a zone
cut off, and its return. Nobody may say anything of anybody that these do not explain.
"""

from __future__ import annotations

import sys
import time
from random import Random
from typing import TYPE_CHECKING

import msgspec

from meshfleet import __version__
from meshfleet.cli.growth.simulated import is_compiled
from meshfleet.cli.memory import rss_mb
from meshfleet.fleet.presence import Presence
from meshfleet.fleet.timing import PRESETS
from meshfleet.gossip.events import Arrived, Event, Judged
from meshfleet.sim.faults import BODY
from meshfleet.sim.score import shares
from meshfleet.sim.zoned import ZonedFleet

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from meshfleet.fleet.zone import ZoneView
    from meshfleet.sim.host import Host
    from meshfleet.sim.zoned import Seat

SETTLE_S = 45.0
"""Before anything is measured: delegates stand after 2T, and each zone is known everywhere some seconds later."""
REST_S = 20.0
"""Four T."""
WARM_UP_S, LOAD_S = 3.0, 5.0
STEP_S = 0.5
"""How often it is looked at who sees what."""
ASKED = 200
"""Nodes that are asked, chosen by chance. A view of all zones takes 2 ms to make where there are a hundred."""
CUT_S = 40.0
PATIENCE_S = 90.0
"""How long something may go unseen before it counts as missed."""


class Seen(msgspec.Struct, frozen=True):
    """How late those who were asked saw something, in seconds; and how many of them did."""

    p50: float | None
    p99: float | None
    most: float | None
    due: int
    seen: int


class Cost(msgspec.Struct, frozen=True):
    """What a node sends in a second: of those that are no delegates, and of delegates in their zone and above."""

    bytes_s: float
    datagrams_s: float
    delegate_bytes_s: float
    above_bytes_s: float
    cpu_s: float
    """CPU seconds of the whole simulation in a virtual second."""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One fleet."""

    zones: int
    size: int
    seed: int
    version: str
    compiled: bool
    rest: Cost
    load: Cost
    load_least_times: float
    """Bytes over 400 for each state and each other node of its zone."""
    memory_mb: float
    """A node."""
    known_s: float | None
    """When all who were asked knew all zones."""
    crash: Seen
    """Nodes of other zones, and that one node of this zone is down."""
    replaced: Seen
    """The same, that a zone all of whose delegates died is there again."""
    unheard_s: Seen
    """For how long they called it unreachable meanwhile."""
    cut: Seen
    """That a zone is cut off, in all others; and in it, that the others are."""
    healed: Seen
    wrong: int
    """Verdicts on nodes that nothing explains."""
    wrong_zones: int
    """Looks at which a zone was not fresh that nothing had happened to."""
    details: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether all was seen, and nothing else."""
        seen = (self.crash, self.replaced, self.cut, self.healed)
        return not (self.wrong or self.wrong_zones) and all(one.due == one.seen for one in seen)


class Watch:
    """Counts what is said of nodes that nothing has happened to."""

    def __init__(self) -> None:
        self.excused: set[str] = set()
        self.cut_off: set[int] = set()
        """Numbers of hosts on the one side of a cut."""
        self.wrong = 0
        self.details: list[str] = []
        self.arrived = 0

    def happened(self, host: Host, event: Event, now_us: int) -> None:
        """A member said something."""
        if isinstance(event, Arrived):
            self.arrived += 1
        if not isinstance(event, Judged) or event.verdict.presence in (Presence.FRESH, Presence.LEFT):
            return
        if event.name in self.excused or (int(event.name[1:]) in self.cut_off) is not (host.number in self.cut_off):
            return
        self.wrong += 1
        if len(self.details) < 20:
            why = "; ".join(event.verdict.reasons)
            self.details.append(
                f"{now_us / 1e6:.3f} s: {host.name} said {event.verdict.presence.value} of {event.name}: {why}"
            )

    def truth_changed(self, now_us: int) -> None:
        """Who runs is known here: it is this benchmark that kills."""

    def published(self, host: Host, agent: str, now_us: int) -> None:
        """A new snapshot left its origin."""


class Story:
    """One fleet, and what happens to it."""

    def __init__(self, zones: int, size: int, seed: int, say: Callable[[str], None]) -> None:
        self._before_mb = rss_mb()
        self._say = say
        self.watch = Watch()
        self.fleet = ZonedFleet(zones, size, PRESETS["lan"], seed, self.watch)
        self.nodes = zones * size
        self._rng = Random(f"{seed}/asked")
        self.asked = self._rng.sample(self.fleet.seats, min(ASKED, self.nodes))
        self.wrong_zones = 0

    def seen_when(self, of: Sequence[Seat], holds: Callable[[dict[str, ZoneView]], bool], within: float) -> Seen:
        """Let time pass until all of these see something, and say after how long each did."""
        waiting = {seat.host.number: seat for seat in of if seat.host.running}
        due, late, began = len(waiting), list[float](), self.fleet.now
        while waiting and self.fleet.now - began < within:
            self.fleet.pass_(STEP_S)
            for number, seat in list(waiting.items()):
                if holds(self.fleet.seen(seat)):
                    del waiting[number]
                    late.append(self.fleet.now - began)
        found = shares(late)
        return Seen(found["p50"], found["p99"], found["max"], due, len(late))

    def look(self, but: Sequence[str] = ()) -> None:
        """Count the zones that are not fresh, though nothing happened to them."""
        for seat in self.asked:
            if seat.host.running and seat.zone not in but:
                views = self.fleet.seen(seat).values()
                self.wrong_zones += sum(v.presence is not Presence.FRESH for v in views if v.zone not in but)

    def known(self) -> float | None:
        """When all zones were known to all who are asked."""
        others = len(self.fleet.zones) - 1
        seen = self.seen_when(self.asked, lambda views: len(views) == others, SETTLE_S)
        self.fleet.pass_(max(0.0, SETTLE_S - self.fleet.now))
        return seen.most if seen.seen == seen.due else None

    def cost(self, seconds: float, *, looks: bool) -> Cost:
        """What it costs while that much time passes."""
        world = self.fleet.world
        sent, datagrams, cpu = world.bytes_sent.copy(), sum(world.datagrams_sent.values()), time.process_time()
        for _ in range(round(seconds / 5)):
            self.fleet.pass_(5)
            if looks:
                self.look()
        cpu = time.process_time() - cpu
        delegates = self.fleet.delegates()
        chosen = {seat.host.number for seat in delegates}
        rest = [seat.host.number for seat in self.fleet.seats if seat.host.number not in chosen]

        def rate(numbers: Sequence[int]) -> float:
            return round(sum(world.bytes_sent[n] - sent[n] for n in numbers) / len(numbers) / seconds, 1)

        return Cost(
            rate(rest),
            round((sum(world.datagrams_sent.values()) - datagrams) / self.nodes / seconds, 3),
            rate([*chosen]),
            rate([seat.above.number for seat in delegates]),
            round(cpu / seconds, 3),
        )

    def memory(self) -> float:
        """Of a node, in MB."""
        return round((rss_mb() - self._before_mb) / self.nodes, 4)

    def loaded(self) -> tuple[Cost, float]:
        """Every agent has news each 2 s: what that costs, and how many times the least that is."""
        self.fleet.publish_for(WARM_UP_S + LOAD_S)
        self.fleet.pass_(WARM_UP_S)
        sent, arrived = sum(self.fleet.world.bytes_sent.values()), self.watch.arrived
        cost = self.cost(LOAD_S, looks=False)
        sent, arrived = sum(self.fleet.world.bytes_sent.values()) - sent, self.watch.arrived - arrived
        self.fleet.pass_(WARM_UP_S)
        return cost, round(sent / max(1, arrived * BODY), 3)

    def crash(self, zone: list[Seat]) -> Seen:
        """A node that is no delegate dies."""
        victim = self._rng.choice([seat for seat in zone if not seat.is_delegate])
        self._kill(victim)
        others = [seat for seat in self.asked if seat.zone != victim.zone]
        return self.seen_when(others, lambda views: "down" in views[victim.zone].sums.nodes, PATIENCE_S)

    def _kill(self, seat: Seat) -> None:
        self.watch.excused.update((seat.host.name, seat.above.name))
        self.fleet.kill(seat)

    def behead(self, zone: list[Seat]) -> tuple[Seen, Seen]:
        """All delegates of a zone die at once: when it is there again, and for how long each called it unreachable."""
        name, size = zone[0].zone, len([seat for seat in zone if seat.host.running])
        dead = [seat for seat in zone if seat.is_delegate]
        for seat in dead:
            self._kill(seat)
        unheard: dict[int, float] = {}

        def is_back(number: int, views: dict[str, ZoneView]) -> bool:
            view = views[name]
            if view.presence is Presence.UNREACHABLE:
                unheard[number] = unheard.get(number, 0.0) + STEP_S
            return view.presence is Presence.FRESH and view.sums.there <= size - len(dead)

        others = {seat.host.number: seat for seat in self.asked if seat.zone != name and seat.host.running}
        late, began = dict[int, float](), self.fleet.now
        while len(late) < len(others) and self.fleet.now - began < PATIENCE_S:
            self.fleet.pass_(STEP_S)
            for number, seat in others.items():
                if number not in late and is_back(number, self.fleet.seen(seat)):
                    late[number] = self.fleet.now - began
        back, gone = shares([*late.values()]), shares([*unheard.values()])
        return (
            Seen(back["p50"], back["p99"], back["max"], len(others), len(late)),
            Seen(gone["p50"], gone["p99"], gone["max"], len(others), len(unheard)),
        )

    def cut(self, zone: list[Seat]) -> tuple[Seen, Seen]:
        """A zone is cut off, and comes back."""
        name = zone[0].zone
        rest = [seat for seat in self.fleet.seats if seat.zone != name]
        self.watch.cut_off = {number for seat in zone for number in (seat.host.number, seat.above.number)}
        barriers = self.fleet.cut(zone, rest)
        asked = [*(seat for seat in self.asked if seat.zone != name), *zone[:ASKED]]

        def lost(views: dict[str, ZoneView]) -> bool:
            away = [view for view in views.values() if view.zone == name] or [*views.values()]
            return all(view.presence is Presence.UNREACHABLE for view in away)

        began = self.fleet.now
        gone = self.seen_when(asked, lost, CUT_S)
        self.fleet.pass_(max(0.0, CUT_S - (self.fleet.now - began)))
        self.look(but=(name,))
        self.fleet.heal(barriers)
        healed = self.seen_when(
            asked, lambda views: all(view.presence is Presence.FRESH for view in views.values()), PATIENCE_S
        )
        self.watch.cut_off = set()
        return gone, healed


def bench(zones: int, size: int, seed: int, say: Callable[[str], None]) -> Result:
    """All of it, for one fleet."""
    story = Story(zones, size, seed, say)
    say(f"{zones * size:,} nodes in {zones} zones: {SETTLE_S:g} virtual s to settle")
    known = story.known()
    settled, story.watch.wrong, story.watch.details = story.watch.wrong, 0, []
    say(f"all zones known to all after {known} s; said of nodes wrongly meanwhile: {settled}. At rest for {REST_S:g} s")
    rest = story.cost(REST_S, looks=True)
    memory = story.memory()
    say(f"{rest.bytes_s:,.0f} bytes/s a node, {rest.cpu_s:g} s of CPU each. Load for {WARM_UP_S + LOAD_S:g} s")
    load, least = story.loaded()
    say(f"{load.bytes_s:,.0f} bytes/s a node, {load.cpu_s:g} s of CPU each. A process is killed")
    crash = story.crash(story.fleet.zones[0])
    story.fleet.pass_(11)  # more than 2T, so that nobody takes what follows for one event with it
    say(f"known elsewhere after {crash.p50} s, {crash.most} at the most. All delegates of a zone die")
    replaced, unheard = story.behead(story.fleet.zones[1])
    story.fleet.pass_(11)
    say(f"replaced after {replaced.p50} s, {replaced.most} at the most. A zone is cut off for {CUT_S:g} s")
    cut, healed = story.cut(story.fleet.zones[-1])
    return Result(
        zones=zones,
        size=size,
        seed=seed,
        version=__version__,
        compiled=is_compiled(),
        rest=rest,
        load=load,
        load_least_times=least,
        memory_mb=memory,
        known_s=known,
        crash=crash,
        replaced=replaced,
        unheard_s=unheard,
        cut=cut,
        healed=healed,
        wrong=story.watch.wrong,
        wrong_zones=story.wrong_zones,
        details=tuple(story.watch.details),
    )


def summary(result: Result) -> str:
    """For people."""
    rest, load = result.rest, result.load
    lines = [
        f"{result.zones * result.size:,} nodes: {result.zones} zones of {result.size}, on two levels",
        f"  at rest       {rest.bytes_s:9,.0f} bytes/s a node, {rest.datagrams_s:g} datagrams/s; a delegate "
        f"{rest.delegate_bytes_s:,.0f} in its zone and {rest.above_bytes_s:,.0f} above",
        f"  under load    {load.bytes_s:9,.0f} bytes/s a node, {result.load_least_times:g} times the least; a delegate "
        f"{load.delegate_bytes_s:,.0f} and {load.above_bytes_s:,.0f}",
        f"  CPU           {rest.cpu_s:9g} s a virtual second of the whole fleet at rest, {load.cpu_s:g} under load",
        f"  memory        {result.memory_mb:9g} MB a node",
        f"  all known     {_s(result.known_s)} after the start",
        f"  a crash       {_seen(result.crash)} in other zones",
        f"  no delegates  {_seen(result.replaced)} until it is there again; unreachable meanwhile for "
        f"{_s(result.unheard_s.most).strip()} at the most",
        f"  a zone cut    {_seen(result.cut)}",
        f"  healed        {_seen(result.healed)}",
        f"  wrongly said  {result.wrong:9} of nodes, {result.wrong_zones} of zones",
    ]
    return "\n".join([*lines, *result.details])


def _s(seconds: float | None) -> str:
    return f"{'never':>9}" if seconds is None else f"{seconds:9.1f} s"


def _seen(seen: Seen) -> str:
    missed = "" if seen.seen == seen.due else f", NEVER by {seen.due - seen.seen} of {seen.due}"
    p99 = "" if seen.p99 is None else f" (p50), {seen.p99:.1f} s (p99)"
    return f"{_s(seen.p50)}{p99}{missed}"


def progress(text: str) -> None:
    """How far it is, on stderr."""
    from meshfleet.cli.saying import print_plain

    print_plain(text, file=sys.stderr, flush=True)
