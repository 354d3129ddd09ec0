"""What must hold at every moment of every run, whatever is broken: looked at each five virtual seconds, and as verdicts
fall.

    no member is forgotten                 within one life of an observer
    nothing goes back                      epochs, incarnations, heartbeats, goodbyes, seqs of snapshots
    nobody speaks for another              no life, incarnation, heartbeat or snapshot that its owner has not had
    a goodbye is final                     for the life that said it
    everything is bounded                  gossip/limits.py; nothing is dropped in fleets as small as these
    a view can always be served            with everybody in it, and of each what its record says
    what is told is what is so             events say of each member what its record says
    a datagram fits                        gossip/limits.py
    the core never raises                  seen by whoever runs the world

The first that breaks ends the run: what comes after it explains nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshfleet.fleet.presence import Presence
from meshfleet.gossip.events import Event, Judged
from meshfleet.gossip.limits import ACCUSERS, MEMBERS, REPLICA_BYTES, RUMORS
from meshfleet.node.viewing import Viewing
from meshfleet.sim.network import MICROSECONDS

if TYPE_CHECKING:
    from meshfleet.fleet.names import NodeName
    from meshfleet.gossip.member import Member
    from meshfleet.gossip.record import Record
    from meshfleet.gossip.replica import Shelf
    from meshfleet.sim.host import Host
    from meshfleet.sim.marks import Marks
    from meshfleet.sim.score import Score
    from meshfleet.sim.staging import Theatre

LOOK_EVERY_S = 5.0
"""Virtual seconds between two looks at everybody; and of one member in turn at the view that it would serve. At whom a
verdict is about is looked as it falls."""

PAIRS_A_SECOND = 400
"""Pairs looked at in each virtual second: in fleets of more than 44 nodes all of them are looked at less often."""

TIMERS_EACH = 64
"""Timers that a member may have waiting for each member that it knows, itself counted. gossip/limits.py has no bound
for them: they are a fixed number of rounds, and a few for each probe, relay and knock under way."""

DROPS = (
    "dropped_event", "dropped_outgoing", "dropped_rumor", "refused_member", "forgotten_early", "refused_unknown",
    "refused_snapshot", "refused_connect", "forged_incarnation", "own_name", "untold_step", "short_row",
    "dropped_relay_on", "put_off_beat", "forged_beat", "unvouched",
)  # fmt: skip
"""Counters that stay 0 where nobody forges and limits are far away. `refused_relay` does not: a newcomer is asked about
members whom it has not heard of yet."""

STATES_DROPPED = "dropped_state"
"""Stays 0 where machines can do anything. Plans with slow links say too much on purpose: then too much waits, and what
still comes is dropped."""


class Broken(Exception):
    """An invariant does not hold: when, who, of whom, what."""


class _Own:
    """The highest numbers that a life has had, by its own account."""

    __slots__ = ("beat", "incarnation", "seq")

    def __init__(self) -> None:
        self.incarnation = self.beat = self.seq = 0


class _Seen:
    """What an observer's record of one member said when it was last looked at."""

    __slots__ = ("beat", "left", "number", "seqs", "shelf")

    def __init__(self) -> None:
        self.number = (-1, -1)
        self.beat = 0
        self.left = -1
        self.shelf = (-1, 0)
        self.seqs: dict[str, int] = {}


def _life(host: Host) -> tuple[int, int]:
    """Whose word is looked at. In stack mode a host's new process takes a moment to have a member of its own."""
    assert host.member is not None
    return host.number, host.member.epoch


class Guard:
    """The world's watcher: passes everything on to the score, and looks whether the invariants hold."""

    def __init__(self, score: Score, marks: Marks) -> None:
        self._score = score
        self._marks = marks
        self._world: Theatre
        self._own: dict[tuple[str, int], _Own] = {}
        self._seen: dict[tuple[int, int], dict[NodeName, _Seen]] = {}
        """Observer's number and life -> member -> what was seen."""
        self._members: dict[int, Member] = {}
        self._turn = 0

    def attach(self, world: Theatre, nodes: int) -> None:
        """Watch this world, of about so many nodes."""
        self._world = world
        self._every_us = round(max(LOOK_EVERY_S, nodes * nodes / PAIRS_A_SECOND) * MICROSECONDS)
        world.after(self._every_us, self._look_around)

    # What the world tells

    def happened(self, host: Host, event: Event, now_us: int) -> None:
        """A member said something."""
        self._score.happened(host, event, now_us)
        self._marks.happened(event)
        if isinstance(event, Judged) and host.member is not None:
            record = host.member.roster.get(event.name)
            if record is None:
                raise self._broken(host, f"judged {event.name}, whom it does not know")
            self._look_at(host, record)

    def truth_changed(self, now_us: int) -> None:
        """Who runs, or who reaches whom, is not what it was."""
        for host in self._world.hosts:
            if not host.running and host.died_at_us == now_us:
                self._marks.hit["death"] += 1
        self._marks.hit["cut"] += bool(self._world.network.barriers)
        self._take_numbers()
        self._score.truth_changed(now_us)

    def published(self, host: Host, agent: str, now_us: int) -> None:
        """A new snapshot left its origin."""
        self._score.published(host, agent, now_us)

    # Looking

    def _broken(self, host: Host, what: str) -> Broken:
        return Broken(f"{self._world.now_us / MICROSECONDS:.3f} s: {host.name} {what}")

    def _take_numbers(self) -> None:
        """Ask every life for its own numbers; those that another has replaced for their last ones."""
        for host in self._world.hosts:
            before = self._members.get(host.number)
            if host.member is not None and before is not host.member:
                if before is not None:  # it may have begun anew half a goodbye after the last look (plan 8933)
                    self._take_numbers_of(before)
                self._members[host.number] = host.member
                self._marks.lives(host.member)
        for member in self._members.values():
            self._take_numbers_of(member)

    def _take_numbers_of(self, member: Member) -> None:
        own = self._own.setdefault((member.name, member.epoch), _Own())
        own.incarnation = max(own.incarnation, member.membership.me.incarnation)
        own.beat = max(own.beat, member.beats.counter)
        shelf = member.replica.shelf(member.name)
        if shelf is not None and shelf.held:
            own.seq = max(own.seq, *(snapshot.seq for snapshot in shelf.held.values()))

    def _look_around(self) -> None:
        self._world.after(self._every_us, self._look_around)
        self._take_numbers()
        watching = [host for host in self._world.hosts if host.listens and host.member is not None]
        for host in watching:
            self._look_at_member(host, self._members[host.number])
        if watching:
            self._turn += 1
            host = watching[self._turn % len(watching)]
            self._look_at_view(host, self._members[host.number])

    def _look_at_member(self, host: Host, member: Member) -> None:
        seen = self._seen.setdefault(_life(host), {})
        for name in seen:
            if member.roster.get(name) is None:
                raise self._broken(host, f"forgot {name}")
        for record in member.roster:
            self._look_at(host, record)
            told = self._score.says(host, record.name)
            if told is not record.presence and member.epoch == host.epoch:  # or its next process is about to begin
                raise self._broken(host, f"told {told and told.value} of {record.name}: {record.presence.value}")
            self._look_at_shelf(host, record.name, member.replica.shelf(record.name), seen[record.name])
        known = len(member.roster) + 1
        bounds = (
            ("rumors", len(member.rumors), RUMORS),
            ("members", len(member.roster), MEMBERS),
            ("timers", len(member.timers), TIMERS_EACH * known),
            ("bytes of snapshots", member.replica.bytes_held(), REPLICA_BYTES),
        )
        for what, count, bound in bounds:
            if count > bound:
                raise self._broken(host, f"has {count} {what}, more than {bound}")
        for dropped in DROPS if host.capacity is not None else (*DROPS, STATES_DROPPED):
            if member.counts[dropped]:
                raise self._broken(host, f"counts {member.counts[dropped]} of {dropped}")

    def _look_at(self, host: Host, record: Record) -> None:
        known, name = record.known, record.name
        seen = self._seen.setdefault(_life(host), {}).setdefault(name, _Seen())
        number = known.number
        if number < seen.number:
            raise self._broken(host, f"went back from {seen.number} to {number} of {name}, epoch and incarnation")
        if number[0] == seen.number[0] and record.beat < seen.beat:
            raise self._broken(host, f"went back from heartbeat {seen.beat} to {record.beat} of {name}")
        left = -1 if known.left is None else known.left.epoch
        if left < seen.left:
            raise self._broken(host, f"forgot that {name} said goodbye in life {seen.left}")
        if (left >= number[0]) is not (record.presence is Presence.LEFT):
            raise self._broken(host, f"says {record.presence.value} of {name}, life {number[0]}; it left in {left}")
        if len(known.accusers) > ACCUSERS or len(known.obituaries) > ACCUSERS:
            raise self._broken(host, f"keeps {len(known.accusers)} accusers of {name}, more than {ACCUSERS}")
        own = self._own.get((name, number[0]))
        if own is None or number[1] > own.incarnation or record.beat > own.beat:
            self._take_numbers()
            own = self._own.get((name, number[0]))
            if own is None:
                raise self._broken(host, f"knows a life {number[0]} of {name} that never was")
            if number[1] > own.incarnation:
                raise self._broken(host, f"knows incarnation {number[1]} of {name}, which has had {own.incarnation}")
            if record.beat > own.beat:
                raise self._broken(host, f"knows heartbeat {record.beat} of {name}, which has had {own.beat}")
        seen.number, seen.beat, seen.left = number, record.beat, left

    def _look_at_shelf(self, host: Host, name: NodeName, shelf: Shelf | None, seen: _Seen) -> None:
        if shelf is None:
            return
        now = (shelf.epoch, shelf.complete)
        if now < seen.shelf:
            raise self._broken(host, f"went back from {seen.shelf} to {now} of {name}'s snapshots, epoch and seq")
        if now[0] > seen.shelf[0]:
            seen.seqs.clear()
        own = self._own.get((name, shelf.epoch))
        top = 0 if own is None else own.seq
        for agent, snapshot in shelf.held.items():
            if snapshot.seq < seen.seqs.get(agent, 0):
                raise self._broken(host, f"went back from {seen.seqs[agent]} to {snapshot.seq} of {agent}")
            if snapshot.seq > top:
                raise self._broken(host, f"holds {snapshot.seq} of {agent}, whose node has published {top}")
            seen.seqs[agent] = snapshot.seq
        seen.shelf = now

    def _look_at_view(self, host: Host, member: Member) -> None:
        """The view that a node would serve now."""
        now = self._world.clock(host)
        view = Viewing(member).fleet(version="", now=now, wall=1e9 + now, lag=0.0)
        shown = {node.name for node in view.nodes}
        missing = [name for name in (member.name, *(r.name for r in member.roster)) if name not in shown]
        if missing:
            raise self._broken(host, f"serves a view without {', '.join(missing)}")
        for node in view.nodes:
            record = member.roster.get(node.name)
            if record is not None and node.presence is not record.presence:
                raise self._broken(host, f"serves {node.presence.value} of {node.name}: {record.presence.value}")
