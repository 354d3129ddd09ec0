"""Keeps the score of a run: truth against verdict, in seconds; how late deaths were seen; how fast news spread;
the cost."""

from __future__ import annotations

from collections import Counter
from math import fsum
from typing import TYPE_CHECKING

from meshfleet.fleet.presence import Certainty, Presence
from meshfleet.fleet.standing import Standing
from meshfleet.gossip.events import Arrived, Event, Joined, Judged, Stands
from meshfleet.sim.network import MICROSECONDS
from meshfleet.sim.parting import Pair, Partings, asking_us, passing_us
from meshfleet.sim.truth import Truth, directly, islands, truth_of
from meshfleet.sim.views import Views

if TYPE_CHECKING:
    from meshfleet.fleet.timing import Timing
    from meshfleet.sim.host import Host
    from meshfleet.sim.paces import Paces
    from meshfleet.sim.staging import Theatre

DEAD = (Truth.EXITED, Truth.HOST_DOWN)


class Score:
    """The world's watcher."""

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._settle_us = round(4 * timing.heartbeat * MICROSECONDS)
        self._pairs: dict[tuple[int, int], Pair] = {}
        self._world: Theatre | None = None
        self._partings: Partings | None = None
        self._passing_us = passing_us(timing)
        self._asking_us = asking_us(timing)
        self.confusion_us: Counter[tuple[str, str]] = Counter()
        self.false_down = 0
        self.presumed_wrong = 0
        self.details: list[str] = []
        self.said: dict[tuple[int, int], list[tuple[int, Presence]]] = {}
        self.stood: dict[int, list[tuple[int, Standing]]] = {}
        self.reasons: dict[tuple[int, str, int], tuple[str, ...]] = {}
        """Observer, of whom, when -> why it said so."""
        self.views = Views({})
        self.paces: Paces | None = None
        self._unknown_since: dict[tuple[int, int], list[int]] = {}
        """Observer and subject -> when the observer began lives in which it did not know the subject yet."""
        self._died_at_us: dict[int, int] = {}
        self.ended_us: dict[int, int] = {}
        """Subject -> when its last process ended, be it by a goodbye, if none has begun since."""
        self._lives: dict[int, int] = {}
        self._setting_on = False
        self.seen: dict[str, dict[int, list[float]]] = {"exited": {}, "host_down": {}}
        """Kind of death -> subject's death -> seconds until each observer said down."""
        self._published_us: dict[tuple[str, int, int], int] = {}
        self.spread_s: list[float] = []
        self.arrived = 0

    def attach(self, world: Theatre) -> None:
        """Watch this world."""
        self._world = world
        self._partings = Partings(world, self._timing, self._pairs)

    # What the world tells

    def published(self, host: Host, agent: str, now_us: int) -> None:
        """A new snapshot left its origin."""
        assert host.member is not None
        shelf = host.member.replica.shelf(host.name)
        assert shelf is not None
        newest = max((s.seq for s in shelf.held.values()), default=0)
        self._published_us.setdefault((host.name, host.epoch, newest), now_us)  # one that is held back is not there yet

    def happened(self, host: Host, event: Event, now_us: int) -> None:
        """A member said something."""
        assert self._world is not None
        if self._setting_on and self._world.events:
            self._setting_on = False
            self._survey(0)
        match event:
            case Judged():
                presence = event.verdict.presence
                self._world.note(host.name, "says", event.name, presence.value, event.verdict.certainty or "")
                self._judged(host, int(event.name[1:]), event, now_us)
                self._look(host, event.name, now_us)
            case Joined():
                self._met(host, int(event.name[1:]), now_us)
            case Stands():
                self._world.note(host.name, "stands", event.now.standing.value)
                self.stood.setdefault(host.number, []).append((now_us, event.now.standing))
                self.reasons[host.number, host.name, now_us] = event.now.reasons
            case Arrived():
                self.arrived += 1
                if self.paces is not None:
                    self.paces.arrived(event.snapshot, now_us)
                snapshot = event.snapshot
                began = self._published_us.get((snapshot.node, snapshot.epoch, snapshot.seq))
                if began is not None:
                    self.spread_s.append((now_us - began) / MICROSECONDS)
                self._look(host, snapshot.node, now_us)
            case _:
                pass

    def truth_changed(self, now_us: int) -> None:
        """Who runs, or who reaches whom, is not what it was."""
        assert self._world is not None
        self._setting_on = not self._world.events  # all start at once: looked at once, when the first thing happens
        if not self._setting_on:
            self._survey(now_us)

    def _survey(self, now_us: int) -> None:
        assert self._world is not None
        assert self._partings is not None
        hosts = self._world.hosts
        island = islands(hosts, self._world.network)
        together: dict[int, list[int]] = {}
        whole = not self._world.network.barriers and not any(host.outbound_only for host in hosts)
        for host in hosts:
            together.setdefault(island[host.number], []).append(host.number)
        for observer in hosts:
            if observer.running and self._lives.get(observer.number) != observer.epoch:
                self._begins(observer, now_us)
            if observer.running:
                self.ended_us.pop(observer.number, None)
            else:
                self.ended_us.setdefault(observer.number, now_us)
            for subject in hosts:
                if observer is not subject:
                    at = island[subject.number]
                    group = together[at] if at >= 0 else [subject.number]
                    same = at == island[observer.number] >= 0
                    direct = same if whole else directly(observer, subject, island, self._world.network)
                    truth = truth_of(subject, reached=same or direct)
                    pair = self._pair_changed((observer.number, subject.number), truth, group, now_us)
                    pair.direct(direct, now_us, self._asking_us)
                    self._partings.hush(pair, observer, subject, now_us)
                    if truth in DEAD and subject.died_at_us is not None:
                        self._died_at_us[subject.number] = subject.died_at_us

    def _begins(self, host: Host, now_us: int) -> None:
        """A new life knows nobody, and has lost nobody."""
        assert self._world is not None
        self._lives[host.number] = host.epoch
        if host.number in self.stood:
            self.stood[host.number].append((now_us, Standing.CONNECTED))
        self.views.forget(host, now_us)
        for subject in self._world.hosts:
            key = (host.number, subject.number)
            self._unknown_since.setdefault(key, []).append(now_us)
            if key in self._pairs:
                self._account(self._pairs[key], now_us)
                self._pairs[key].said = None

    def _met(self, host: Host, subject: int, now_us: int) -> None:
        """From now on it says something of that member."""
        pair = self._pairs.setdefault((host.number, subject), Pair(now_us, Truth.REACHABLE))
        if pair.said is None:
            self._account(pair, now_us)
            pair.said = Presence.FRESH
            self.said.setdefault((host.number, subject), []).append((now_us, Presence.FRESH))

    def says(self, observer: Host, subject: str) -> Presence | None:
        """What its events have said of that member so far; None: nothing."""
        pair = self._pairs.get((observer.number, int(subject[1:])))
        return None if pair is None else pair.said

    def _look(self, host: Host, carrier: str, now_us: int) -> None:
        for agent, reasons in self.views.look(host, carrier, now_us):
            self.reasons[host.number, agent, now_us] = reasons

    def told(self, observer: int, subject: str) -> list[tuple[int, Presence | None]]:
        """What that observer said of a node or an agent: from when on, which word; None while it did not know it."""
        if "/" in subject:
            return self.views.said.get((observer, subject), [])
        key = (observer, int(subject[1:]))
        nothing: list[tuple[int, Presence | None]] = [(since, None) for since in self._unknown_since.get(key, [])]
        return sorted([*nothing, *self.said.get(key, [])], key=lambda told: told[0])

    def _pair_changed(self, key: tuple[int, int], truth: Truth, group: list[int], now_us: int) -> Pair:
        """What is so of one pair; `group`: those that reach the subject, itself included."""
        pair = self._pairs.get(key)
        if pair is None:
            pair = self._pairs[key] = Pair(now_us, truth)
        elif truth is not pair.truth:
            self._account(pair, now_us)
            if pair.truth is Truth.REACHABLE:
                assert self._world is not None
                pair.lose(truth, self._world.hosts[key[1]], group, now_us, self._passing_us)
            if truth is Truth.REACHABLE:
                pair.path_since_us = now_us
            pair.truth, pair.truth_since_us = truth, now_us
        return pair

    def _judged(self, host: Host, subject: int, event: Judged, now_us: int) -> None:
        assert self._world is not None
        presence = event.verdict.presence
        pair = self._pairs.setdefault((host.number, subject), Pair(now_us, Truth.REACHABLE))
        self._account(pair, now_us)
        before, pair.said = pair.said, presence
        self.said.setdefault((host.number, subject), []).append((now_us, presence))
        self.reasons[host.number, event.name, now_us] = event.verdict.reasons
        proven = event.verdict.certainty is Certainty.PROVEN and event.before.certainty is not Certainty.PROVEN
        if presence is not Presence.DOWN or (before is Presence.DOWN and not proven):
            return
        if pair.truth in DEAD and before is not Presence.DOWN:
            latency = (now_us - self._died_at_us.get(subject, now_us)) / MICROSECONDS
            kind = "exited" if pair.truth is Truth.EXITED else "host_down"
            self.seen[kind].setdefault(self._died_at_us.get(subject, 0) * 100_000 + subject, []).append(latency)
        elif pair.truth in (Truth.REACHABLE, Truth.CUT_OFF) and not self._is_of_an_old_life(
            pair, subject, event, now_us
        ):
            self._wrong(host, self._world.hosts[subject], pair, event, now_us)

    def _is_of_an_old_life(self, pair: Pair, subject: int, event: Judged, now_us: int) -> bool:
        """Whether it was said of a life that did end, and for 3T no path has led to the one after it."""
        assert self._world is not None
        known = pair.truth is Truth.REACHABLE and now_us - pair.path_since_us >= self._asking_us
        return event.epoch < self._world.hosts[subject].epoch and not known

    def _wrong(self, observer: Host, subject: Host, pair: Pair, event: Judged, now_us: int) -> None:
        """Down was said of a process that runs: an error, or the price of presuming."""
        assert self._partings is not None
        presumed = event.verdict.certainty is not Certainty.PROVEN
        if presumed and self._partings.held_long_enough(observer, subject, pair, now_us):
            self.presumed_wrong += 1
            return
        self.false_down += 1
        why = "; ".join(event.verdict.reasons)
        said = f"{now_us / MICROSECONDS:.3f} s: {observer.name} said down of {subject.name}, {pair.truth.value}: {why}"
        if len(self.details) < 20:
            self.details.append(said)

    def _account(self, pair: Pair, now_us: int) -> None:
        """Add what has passed since to truth x verdict, but for the settling time after a change of truth."""
        begin = max(pair.since_us, pair.truth_since_us + self._settle_us)
        if now_us > begin and pair.said is not None:
            self.confusion_us[pair.truth.value, pair.said.value] += now_us - begin
        pair.since_us = now_us

    # At the end

    def finish(self, now_us: int) -> int:
        """Close the books; how many deaths were missed by somebody with a path to the majority."""
        assert self._world is not None
        if self._setting_on:
            self._survey(0)
        hosts = self._world.hosts
        island = islands(hosts, self._world.network)
        sizes = Counter(number for number in island if number >= 0)
        members = len([host for host in hosts if host.member is not None and not host.left])
        running = len([host for host in hosts if host.running and not host.left])
        missed = 0
        for (observer, subject), pair in sorted(self._pairs.items()):
            self._account(pair, now_us)
            dead_for = (now_us - self.ended_us.get(subject, now_us)) / MICROSECONDS
            # Whose kernel can be asked is known to be dead by the word of that; else half that are lost may be cut off.
            asked = pair.truth is not Truth.HOST_DOWN and self._would_be_told(hosts[observer], hosts[subject])
            watching = hosts[observer].listens and 2 * sizes[island[observer]] > (running if asked else members)
            gone = pair.truth in DEAD or pair.truth is Truth.LEFT
            late = gone and dead_for > 25 * self._timing.heartbeat
            if watching and late and pair.said not in (None, Presence.DOWN, Presence.LEFT):
                missed += 1
                if missed <= 20:
                    self.details.append(
                        f"at the end {hosts[observer].name} says {pair.said.value} of {hosts[subject].name}, "
                        f"{pair.truth.value} for {dead_for:.0f} s"
                    )
        return missed

    def _would_be_told(self, observer: Host, subject: Host) -> bool:
        """Whether the kernel of a process that ended can be asked, and its answer comes back."""
        assert self._world is not None
        ways = ((observer.number, subject.number), (subject.number, observer.number))
        barriers = [self._world.network.barrier(*way, datagram=False) for way in ways]
        return barriers == [None, None] and not subject.outbound_only and subject.powered and not subject.nic_down


def shares(values: list[float]) -> dict[str, float | None]:
    """p50, p99 and the maximum; None where there is nothing."""
    ordered = sorted(values)
    if not ordered:
        return {"p50": None, "p99": None, "max": None}
    return {
        "p50": round(ordered[len(ordered) // 2], 4),
        "p99": round(ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))], 4),
        "max": round(ordered[-1], 4),
    }


def mean(values: list[float]) -> float:
    """The mean; fsum, since the sum of floats differs between Python versions."""
    return fsum(values) / len(values) if values else 0.0
