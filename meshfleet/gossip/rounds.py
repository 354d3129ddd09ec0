"""What recurs: heartbeats, gossip, digests, push-pull, looking for the gone, forgetting the dead."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshfleet.fleet.presence import Presence
from meshfleet.gossip.beats import ASKS, CALLS
from meshfleet.gossip.events import Forgotten
from meshfleet.gossip.timers import SLACK

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshfleet.fleet.names import Address, NodeName
    from meshfleet.gossip.member import Member
    from meshfleet.gossip.record import Record

REAP_EVERY = 60.0
"""Seconds between two looks for expired tombstones."""

ROOM = 1_100
"""Bytes of beats or claims sent on their own, where no other datagram carried them."""

BUSY = 2 * ASKS
"""Datagrams within one gossip interval from which on what is asked for waits for the next ones. Not where somebody is
doubted: among the next ones may be those that look for the lost."""


CALLED = 3
"""Members drawn to call the roll of one: whoever can't be reached is passed over."""

FIRST = 3
"""Members whose roll is called when my heartbeat was raised, so that it is with some soon: until then it spreads
slowly, and not at all if it has no luck. Evenly spread over the interval, as many calls left ages 0.5 s higher."""

APART = 0.2
"""Gossip intervals between them."""


class Rounds:
    """Sets a member's recurring duties going, from a random moment on, so that members started together spread out.
    A member's own fall together where they can: it wakes up once for all of them, and they share datagrams."""

    def __init__(self, member: Member) -> None:
        self._member = member
        member.roster.forget = self.forget
        self.seeds: tuple[Address, ...] = ()
        self._digested_at = 0.0
        timing = member.timing
        self._call_each = max(1, round(timing.beat_interval / timing.gossip_interval / CALLS))
        """In which of the rounds the roll is called, unless it was with a ping."""
        self._spared = 0
        """Rounds without a call until then."""
        self._called: Record | None = None
        """Of whom the roll was called in this round, as it was pinged."""
        self._datagrams = 0
        """How many had been sent at the last round."""
        self._back: list[Record] = []
        """Who was unreachable until a moment ago."""

    def start(self, now: float) -> None:
        """Begin all of them."""
        timing, rng = self._member.timing, self._member.rng
        phase = rng.uniform(0, timing.gossip_interval)
        turns = max(1, round(timing.probe_interval / timing.gossip_interval))
        first = phase + timing.gossip_interval * rng.randrange(turns)
        self._member.beats.raise_mine(self._member.listening.at(now))
        # The second is raised early, or in a fleet that started together all would be for ever at the same moments.
        turns = max(1, round(timing.beat_interval / timing.gossip_interval))
        second = now + phase + timing.gossip_interval * rng.randrange(turns)
        self._member.timers.at(second, lambda t: self._beat(t, early=True))
        self._every(timing.gossip_interval, now + phase, self._gossip)
        self._member.prober.start(now + first)
        self._digested_at = now + first
        self._member.prober.accompany = self._go_along
        self._member.judging.came_back = self.came_back
        self._member.timers.at(now + first + timing.digest_interval, self._digest)
        self._every(timing.push_pull_interval, now + rng.uniform(0, timing.push_pull_interval), self._push_pull)
        self._every(timing.gone_probe_interval, now + rng.uniform(0, timing.gone_probe_interval), self._seek)
        self._every(timing.heartbeat, now + phase, self._review)
        self._every(REAP_EVERY, now + rng.uniform(0, REAP_EVERY), self._reap)

    def _every(self, interval: float, first: float, action: Callable[[float], None]) -> None:
        timers = self._member.timers

        def run(t: float) -> None:
            timers.at(t + interval, run)
            action(t)

        timers.at(first, run)

    def _beat(self, now: float, *, early: bool = False) -> None:
        """Raise the heartbeat, unless a snapshot took one along in the meantime."""
        member, at = self._member, self._member.listening.at(now)
        try:
            if (early or at >= member.beats.due_at() - SLACK) and not member.membership.leaving:
                member.beats.raise_mine(at)
                self._spared = FIRST * self._call_each
                self._call_first(FIRST, now)
        finally:  # whatever fails: without another one everybody would take this member for dead
            member.timers.at(now + max(SLACK, member.beats.due_at() - at), self._beat)

    def _gossip(self, now: float) -> None:
        member, at = self._member, self._member.listening.at(now)
        member.judging.review(now)
        member.pacing.look(member.replica.said, now)
        self._ask_who_came_back(at)
        self._call_last(at)
        called = self._call_round(at)
        busy, late, alone = self._is_busy(), member.beats.late(at), member.beats.round_is_needed(at)
        for record in member.beats.overdue:
            self._ask_itself(record, record.beat, now, at)
        if not (late or alone or len(member.rumors)):
            return
        peers = member.roster.sample(member.timing.fan_out)
        if alone and len(peers) < member.timing.fan_out:
            self._call_out(member.timing.fan_out - len(peers), at)
        if late and busy and not member.roster.doubted:  # at 128 nodes a quarter of all datagrams did nothing but ask
            member.beats.ask_along(late)
        elif called is not None and member.beats.calls_suffice(at):
            member.outbox.datagram(called, *late)
        else:
            for record in peers[:ASKS] if late else ():
                member.outbox.datagram(record, *late)
        for record in peers if alone else ():
            if (table := member.beats.take(ROOM, at, alone=True)) is not None:
                member.outbox.datagram(record, table)
        if peers and not alone and len(member.rumors):
            claims, _ = member.rumors.take(ROOM, len(member.roster))
            member.outbox.datagram(peers[-1], *claims)

    def _ask_itself(self, record: Record, known: int, now: float, at: float) -> None:
        """A moment before it would be stale, unless another heartbeat than the `known` one has come by then."""

        def ask(then: float) -> None:
            if record.beat == known and record.presence is Presence.FRESH:
                self._member.outbox.datagram(record, *self._member.beats.asking([record], at + then - now))

        self._member.timers.at(now + max(0.0, self._member.beats.last_moment(record) - at), ask)

    def _call_round(self, at: float) -> Record | None:
        """Call the roll of somebody, unless it was called along with a ping a moment ago; of whom."""
        called, self._called = self._called, None
        if called is not None:
            return called
        if self._spared:
            self._spared -= 1
            return None
        self._spared = self._call_each - 1
        return self._call_some(at)

    def _call_first(self, left: int, now: float) -> None:
        """Call the roll of several, one after the other, so that each is asked only for what those before it lacked."""
        self._call_some(self._member.listening.at(now))
        if left > 1:
            again = now + self._member.timing.gossip_interval * APART
            self._member.timers.at(again, lambda t: self._call_first(left - 1, t))

    def _call_some(self, at: float) -> Record | None:
        """Not of one that nobody can reach: that would go through others."""
        for record in self._member.roster.sample(CALLED):
            if not record.info.relays:
                return self._call_roll(record, at)
        return None

    def _call_roll(self, record: Record, at: float) -> Record | None:
        """Call for the heartbeats that I lack; None if I lack none."""
        call = self._member.roll.call(at)
        if call is None:
            return None
        self._member.outbox.datagram(record, call)
        return record

    def came_back(self, name: NodeName) -> None:
        """A member that was unreachable is heard again."""
        record = self._member.roster.get(name)
        if record is not None and not self._back:  # of those behind the same cut one is enough: it has the others' news
            self._member.spread.tell_all(record)
        if record is not None and len(self._back) < self._member.timing.fan_out:
            self._back.append(record)

    def _ask_who_came_back(self, at: float) -> None:
        """A cut is over, and who was behind it heard others there until a moment ago. Of those that are not back
        themselves nothing else would tell: nobody passes on twice what it heard behind a cut."""
        back, self._back = self._back, []
        out = [r for r in self._member.roster.doubted.values() if not r.is_gone and r not in back] if back else []
        for record in back if out else ():
            self._member.outbox.datagram(record, *self._member.beats.asking(out, at))

    def _call_last(self, at: float) -> None:
        """Before somebody is presumed down, those who answer me are asked whether they know better. It may have woken
        a moment ago, beyond a bridge: who hears it directly has no reason to tell. One of them is asked over a stream
        where one stands: my datagrams may be what gets nowhere, and nobody tells me of that."""
        member = self._member
        silent = [record for record in member.judging.last_calls if not record.is_gone]
        answering = [record for record in member.roster.hopeful if not record.missed] if silent else []
        for record in member.rng.sample(answering, min(ASKS, len(answering))):
            member.outbox.datagram(record, *member.beats.asking(silent, at))
        streaming = [record for record in answering if record.has_stream]
        if streaming:
            member.outbox.stream(member.rng.choice(streaming), *member.beats.asking(silent, at))

    def _is_busy(self) -> bool:
        """Whether the next datagrams can be counted on to go in a moment."""
        before, self._datagrams = self._datagrams, self._member.outbox.datagrams
        return self._datagrams - before >= BUSY

    def _call_out(self, count: int, at: float) -> None:
        """Tell my heartbeat to some of those I don't hear: the cut may be one way, and they hear me."""
        member = self._member
        silent = [record for record in member.roster.doubted.values() if record.presence is Presence.UNREACHABLE]
        for record in member.rng.sample(silent, min(count, len(silent))):
            if (table := member.beats.take(ROOM, at, alone=True)) is not None:
                member.outbox.datagram(record, table)

    def _go_along(self, record: Record, now: float) -> None:
        """What takes no datagram of its own beside a ping: the roll call, in place of the next one, and a digest,
        unless somebody was told a moment ago."""
        at = self._member.listening.at(now)
        self._called = self._call_roll(record, at)
        pause = self._member.spread.pause(now)
        if now - self._digested_at >= pause / 2:
            self._send_digest(record, now)

    def _digest(self, now: float) -> None:
        """Where pings come too seldom for that: in haste after a loss, or in ill health."""
        spread = self._member.spread
        pause = spread.pause(now) * (1 if spread.is_lossy(now) else 1.25)  # else the ping's turn is a moment away
        try:
            if now - self._digested_at >= pause - SLACK:
                self._send_digest(None, now)
        finally:
            self._member.timers.at(self._digested_at + pause, self._digest)

    def _send_digest(self, to: Record | None, now: float) -> None:
        self._digested_at = now
        self._member.spread.send_digest(self._member.listening.at(now), now, to)

    def _push_pull(self, now: float) -> None:
        member, at = self._member, self._member.listening.at(now)
        for record in [r for r in member.roster.sample(1) if not r.info.relays or r.has_stream]:  # else it asks itself
            member.sums.compare_with(record, at)

    def _review(self, now: float) -> None:
        member = self._member
        member.neighbours.review()
        if not member.relays.hidden and member.rows.lost_me():
            member.relays.wonder(now)
        member.relays.review(now)
        for record in member.roster.doubted.values():
            if record.asked_by is not None and not record.is_gone:
                member.prober.probe(record, now)  # before the sign of life that a helper got is too old
        if member.rows.review():
            member.changes += 1

    def _seek(self, now: float) -> None:
        """Try one of the gone again, and a seed where few are left, so that a healed cut is noticed from either
        side."""
        member = self._member
        gone = member.roster.gone()
        if gone:
            record = member.rng.choice(gone)
            member.prober.probe(record, now)
            if record.presence is Presence.DOWN:
                member.neighbours.knock(record)
        hopeful = len(member.roster.sample(len(member.roster)))
        if self.seeds and member.rng.random() * (hopeful + 1) < 1 + len(gone):
            self._try_seed(member.rng.choice(self.seeds), now)

    def _try_seed(self, seed: Address, now: float) -> None:
        """Of one who is known to be there, what it knows is compared first."""
        member = self._member
        known = next((record for record in member.roster.hopeful if record.address == seed), None)
        if known is None:
            member.join(seed, now)
        else:
            member.sums.compare_with(known, member.listening.at(now))

    def _reap(self, now: float) -> None:
        """Forget who left or died a tombstone's time ago, and who was only ever talked about."""
        member, at = self._member, self._member.listening.at(now)
        member.roster.forget_strangers()
        for record in [r for r in member.roster if r.is_gone and at - r.gone_since > member.timing.tombstone]:
            self.forget(record)

    def forget(self, record: Record) -> None:
        """A member, and all that was said of it and by it."""
        member = self._member
        member.prober.forget(record)
        member.roster.remove(record)
        member.replica.drop(record.name)
        member.rows.forget(record.name)
        member.emit(Forgotten(record.name))
