"""How snapshots reach everybody: handed on along the ring of names, digests for whom that missed.

The origin cuts the ring into `shares` stretches, at a random place, and sends its news to the first member of each,
with the name at which the stretch ends; that member cuts its stretch in the same way, until nobody is left. So
everybody gets one copy, in log n steps of milliseconds, and no links need to be kept or mended: each step uses the
roster as it is then. (The scheme is that of broadcasts in structured overlays, El-Ansary and others, IPTPS 2003.)

A datagram that is lost takes the rest of its stretch with it. Who lacks something learns of it by a digest (one number
a node, see replica), waits a moment, for it may be on its way, and asks. Who had to ask sends digests of its own more
often for a while: where one datagram was lost, others will be. What digests lost, push-pull repairs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from meshfleet.gossip.limits import ANSWER_BYTES, DATAGRAM_BYTES, FRAME_BYTES, PENDING_DIGESTS
from meshfleet.gossip.messages import Beat, Delta, Digest, Got, Have, SnapshotMessage, Via, Want
from meshfleet.gossip.steps import Steps
from meshfleet.gossip.sums import held_sum

if TYPE_CHECKING:
    from random import Random

    from meshfleet.fleet.names import Address, NodeName
    from meshfleet.fleet.state import Snapshot
    from meshfleet.fleet.timing import Timing
    from meshfleet.gossip.asked import Asked
    from meshfleet.gossip.beats import Heartbeats
    from meshfleet.gossip.limits import Counts
    from meshfleet.gossip.outbox import Outbox
    from meshfleet.gossip.record import Record
    from meshfleet.gossip.replica import Replica
    from meshfleet.gossip.roster import Roster
    from meshfleet.gossip.timers import Timers
    from meshfleet.gossip.vouching import Vouching

HAVES = 40
"""Entries of one digest: about 25 bytes each, so that it fits a datagram beside other news."""

CHANGED_DIGESTS = 4
"""Digests in which a node whose snapshots changed is named; then it takes turns with the others. Who missed a push is
told of it in one of them, unless four members in a row missed it as well."""

TURNS = 8
"""How many of the unchanged are in each digest besides."""

LOSSY_TURNS = 40
"""The same after a loss: what changed without me is among them."""

PATIENCE = 0.1
"""Seconds to wait for what a digest tells of before asking for it: some steps of a snapshot's way. Plumtree calls the
same a graft timeout; corrosion's is 1 s, iroh-gossip's 80 ms."""

QUIET = 2.0
"""Seconds without news after which a digest has the sum of all that is held: while news is on its way sums differ for
no reason."""

RESTING = 10.0
"""Seconds without news after which it has that alone. What was lost in 30 of 100 datagrams is repaired by the turns
until then; sums alone, told from the beginning, brought some of it 26 s late (virtual time)."""

HASTE = 5
"""How many times as often digests are sent, for as many digest intervals after something had to be asked for."""

TOLD_FOR = 30.0
"""Seconds for which steps are told to have arrived after a loss: for 5, one in twelve was not while 10 % were lost."""

PUSHED = DATAGRAM_BYTES - 490
"""Bytes of a body that is pushed: with names, signature and head it fits a datagram. A longer one is announced and
fetched."""


class Spread:
    """Pushes, digests, and answers to digests."""

    def __init__(
        self,
        me: NodeName,
        timing: Timing,
        roster: Roster,
        replica: Replica,
        beats: Heartbeats,
        outbox: Outbox,
        timers: Timers,
        vouching: Vouching,
        rng: Random,
        counts: Counts,
        asked: Asked,
    ) -> None:
        self._vouching = vouching
        self._asked = asked
        self._steps = Steps(roster, outbox, timers, counts)
        self._me = me
        self._beats = beats
        self._timers = timers
        self._waiting = 0
        """Digests whose news is still waited for."""
        self._asked_at = self._asked_before = self._asked_lately = -1e18
        """When something that was waited for last had to be asked for; the last two times, but for joins."""
        self._timing = timing
        self._roster = roster
        self._replica = replica
        self._outbox = outbox
        self._changed: dict[str, float] = {}
        """When each node's snapshots last changed here; the longest unchanged first."""
        self._turns: list[str] = []
        self._round = rng.randrange(64)
        self._changed_at = 0.0
        """When anything last changed."""
        self._answered_at = 0.0
        """When a sum that differed was last answered."""
        self._summed = ((-1, -1), b"")
        """Versions of replica and roster, and the sum of what they held."""

    def push(self, snapshots: list[Snapshot], at: float, now: float) -> None:
        """Send out news of my own, each to the first of some stretches of the ring."""
        for snapshot in snapshots:
            self._pass_on(snapshot, at, now, self._me, self._beats.ride(at), whole=True)

    def _pass_on(self, snapshot: Snapshot, at: float, now: float, until: str, beat: Beat, *, whole: bool) -> None:
        self._note_change(snapshot.node, at)
        if len(snapshot.body) > PUSHED:
            have = Digest((Have(snapshot.node, snapshot.epoch, snapshot.seq),))
            for record in self._roster.sample(self._timing.fan_out, but=(snapshot.node,)):
                self._outbox.datagram(record, have)
            return
        age = max(0.0, at - beat.raised_at)
        told = [
            (record, SnapshotMessage(snapshot, ends, beat.counter, age, beat.proof))
            for record, ends in self._roster.share_out(until, self._timing.shares, but=snapshot.node, whole=whole)
        ]
        if told and self._outbox.wait is None and self._is_to_be_told(at, now):
            self._steps.take(told, now)
            return
        for record, message in told:
            self._outbox.datagram(record, message)

    def _is_to_be_told(self, at: float, now: float) -> bool:
        """Whether steps are told to have arrived: a ping of mine was lost of late, or two snapshots for me. One may be
        late and no more; nor does a step that is taken again show a loss, or what is late would keep this going."""
        return at - self._beats.lost_at < TOLD_FOR or now - self._asked_before < TOLD_FOR

    def _note_change(self, node: str, at: float) -> None:
        self._changed.pop(node, None)  # so that the longest unchanged stay in front
        self._changed[node] = self._changed_at = at

    def pause(self, now: float) -> float:
        """Seconds until the next digest."""
        return self._timing.digest_interval / (HASTE if self.is_lossy(now) else 1)

    def is_lossy(self, now: float) -> bool:
        """Whether something had to be asked for of late."""
        return now - self._asked_at < HASTE * self._timing.digest_interval

    def send_digest(self, at: float, now: float, pinged: Record | None) -> None:
        """Tell one member what is held: what changed of late, and some of the rest in turn.

        Whom: who is pinged at this moment, for it costs no datagram then. Else 1, 2, 4, … places on in the ring of
        names, turn by turn: so each member is told by log n others in turn, none of them left to chance, and what one
        of them lacks spreads from the others in as many steps.
        """
        distance = 1 << self._round % max(1, len(self._roster.hopeful)).bit_length()
        self._round += pinged is None
        to = self._roster.ahead(distance) if pinged is None else pinged
        self._forget_old_changes(at)
        if to is None:
            return
        lossy, quiet = self.is_lossy(now), at - self._changed_at
        turns = 0 if quiet > RESTING and not lossy else LOSSY_TURNS if lossy else TURNS
        entries = self._replica.have([*self._changed, *self._take_turns(turns)])
        total = self.sum() if quiet > QUIET else b""
        for i in range(0, max(len(entries), 1), HAVES):
            self._outbox.datagram(to, Digest(tuple(entries[i : i + HAVES]), total if i == 0 else b""))

    def sum(self) -> bytes:
        """Of what is held of all members that are not gone, and of myself."""
        stands = (self._replica.version, self._roster.version)
        if stands != self._summed[0]:
            there: list[str] = [self._me, *[record.name for record in self._roster if not record.is_gone]]
            self._summed = (stands, held_sum(self._replica.have(there)))
        return self._summed[1]

    def _forget_old_changes(self, at: float) -> None:
        old = at - CHANGED_DIGESTS * self._timing.digest_interval
        while self._changed:
            node = next(iter(self._changed))
            if self._changed[node] > old:
                return
            del self._changed[node]

    def _take_turns(self, count: int) -> list[str]:
        """The next few nodes of those held, changed or not: a queue that is filled anew when it is empty."""
        if not self._turns:
            self._turns = [node for node, _ in self._replica]
        left = max(0, len(self._turns) - count)
        turns, self._turns = self._turns[left:], self._turns[:left]
        return [node for node in turns if node not in self._changed]

    def tell_all(self, record: Record) -> None:
        """Tell one member all that is held: it was behind a cut, and each side lacks what the other said meanwhile."""
        entries = self.everything()
        for i in range(0, len(entries), HAVES):
            self._outbox.datagram(record, Digest(tuple(entries[i : i + HAVES])))

    def everything(self) -> list[Have]:
        """The whole digest, for push-pull."""
        return self._replica.have()

    def on_digest(
        self, digest: Digest, source: Address, sender: NodeName, at: float, now: float, *, at_once: bool = False
    ) -> None:
        """Ask for what I lack, when it had time to come by itself or `at_once`; send what the sender lacks."""
        i_lack, they_lack = self._replica.compare(digest.entries)
        if i_lack and (at_once or self._waiting >= PENDING_DIGESTS):
            self._ask(i_lack, source, sender, Via.STREAM if at_once else Via.DATAGRAM)
        elif i_lack:
            self._waiting += 1
            self._timers.at(now + PATIENCE, lambda t: self._ask_still(digest, source, sender, at + t - now, t))
        self._answer(they_lack, source, sender, Via.STREAM if at_once else Via.DATAGRAM)
        if digest.sum:
            self._compare_sum(digest.sum, source, sender, at)

    def _compare_sum(self, theirs: bytes, source: Address, sender: NodeName, at: float) -> None:
        """Where they hold something else, send entries in turn; the next sum brings the next ones."""
        if theirs == self.sum() or at - self._changed_at <= QUIET:
            return
        if at - self._answered_at >= self._timing.digest_interval / 2:
            self._answered_at = at
            entries = self._replica.have(self._take_turns(LOSSY_TURNS))
            self._outbox.datagram_to(source, sender, Digest(tuple(entries)))

    def _ask_still(self, digest: Digest, source: Address, sender: NodeName, at: float, now: float) -> None:
        self._waiting -= 1
        if self._ask(self._replica.compare(digest.entries)[0], source, sender, Via.DATAGRAM):
            if not self._beats.is_at_odds(at):  # while a fleet joins, all of it comes late
                self._asked_before, self._asked_lately = self._asked_lately, now
            self._asked_at = now

    def _ask(self, i_lack: list[Have], source: Address, sender: NodeName, via: Via) -> bool:
        """Ask for it; whether there was anything. Who was never introduced, or is forgotten, has no agents here."""
        i_lack = [have for have in i_lack if self._roster.get(have.node) is not None]
        for i in range(0, len(i_lack), HAVES):
            self._send(source, sender, Want(tuple(i_lack[i : i + HAVES])), via)
        return bool(i_lack)

    def on_want(self, want: Want, source: Address, sender: NodeName, via: Via) -> None:
        """Send what is asked for, the way it was asked for: after a push-pull that is its stream, so that nothing is
        lost for good to which the way is too narrow by datagram."""
        self._answer(list(want.entries), source, sender, via)

    def _send(self, address: Address, to: NodeName, message: Want | Delta, via: Via) -> None:
        send = self._outbox.stream_to if via is Via.STREAM else self._outbox.datagram_to
        send(address, to, message)

    def _answer(self, wanted: list[Have], source: Address, sender: NodeName, via: Via) -> None:
        record = self._roster.get(sender)
        address = source if record is None else record.address
        for have in wanted:
            delta = self._replica.delta(have)
            if delta is None or not self._asked.may_have(have.node):
                continue
            for part in self._parts(delta, FRAME_BYTES if via is Via.STREAM else ANSWER_BYTES):
                if via is not Via.STREAM and not self._asked.may_take(self._outbox.measure(part)):
                    break  # a part behind one that is lacking would be of no use
                self._send(address, sender, part, via)

    def _parts(self, delta: Delta, most: int) -> list[Delta]:
        """`delta` in pieces of about so many bytes: each covers its stretch of seqs, the last up to the end."""
        parts: list[Delta] = []
        taken: list[Snapshot] = []
        after, room = delta.after, most
        for snapshot in delta.snapshots:
            size = len(snapshot.body) + 270
            if taken and size > room:
                upto = min(taken[-1].seq, delta.upto)  # what came ahead of order proves nothing about the gap before it
                parts.append(Delta(delta.node, delta.epoch, after, max(after, upto), tuple(taken)))
                after, taken, room = max(after, upto), [], most
            taken.append(snapshot)
            room -= size
        return [*parts, Delta(delta.node, delta.epoch, after, delta.upto, tuple(taken))]

    def on_got(self, got: Got, now: float) -> None:
        """Steps of mine arrived."""
        self._steps.on_got(got, now)

    def on_snapshot(self, message: SnapshotMessage, source: Address, sender: NodeName, at: float, now: float) -> bool:
        """Somebody's push; whether it was news. Who was never introduced, or is forgotten, has no agents here."""
        snapshot = message.snapshot
        if message.step:
            self._outbox.datagram_to(source, sender, Got((message.step,)))
        record = self._roster.get(snapshot.node)
        if record is None or not self._is_genuine_news(snapshot, record) or not self._replica.add(snapshot):
            return False
        if message.until is not None:
            self._pass_on(snapshot, at, now, message.until, self._beats.told(record, snapshot.epoch), whole=False)
        return True

    def _is_genuine_news(self, snapshot: Snapshot, record: Record) -> bool:
        """In this order: what is known already costs no look at its signature."""
        return self._replica.is_news(snapshot) and self._vouching.holds(snapshot, record.alive)

    def on_delta(self, delta: Delta, at: float) -> list[Snapshot]:
        """An answer to my digest. Not pushed on: who else lacks it asks for it."""
        record = self._roster.get(delta.node)
        if record is None:
            return []
        told = delta.snapshots
        held = tuple([s for s in told if not self._replica.is_news(s) or self._is_genuine_news(s, record)])
        if len(held) < len(told):  # so it is not known what lives up to there
            delta = msgspec.structs.replace(delta, upto=delta.after, snapshots=held)
        news = self._replica.apply(delta)
        for snapshot in news:
            self._note_change(snapshot.node, at)
        return news
