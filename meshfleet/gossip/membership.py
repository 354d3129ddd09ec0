"""Who I am, and what is said of me and of others: joining, refuting, leaving, comparing everything.

Only a member's own word makes it alive, and only a later word of its own refutes. Third parties can say no more than
that they could not reach somebody, and when. Whoever is told old news answers with what it knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from meshfleet.fleet.evidence import Kind
from meshfleet.fleet.names import Address, Epoch, NodeName, is_listener
from meshfleet.gossip.events import Event, Joined, NameTaken, Renewed, Restarted
from meshfleet.gossip.limits import INCARNATION_LEAP, Counts
from meshfleet.gossip.messages import (
    CAST_OUT,
    Alive,
    Claim,
    Left,
    NodeInfo,
    Obituary,
    Revoked,
    Row,
    Suspect,
    Sync,
)
from meshfleet.gossip.pushpull import Everything
from meshfleet.gossip.suspicion import Suspicion

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from meshfleet.fleet.timing import Timing
    from meshfleet.gossip.awareness import Awareness
    from meshfleet.gossip.beats import Heartbeats
    from meshfleet.gossip.outbox import Outbox
    from meshfleet.gossip.outcasts import Outcasts
    from meshfleet.gossip.record import Record
    from meshfleet.gossip.roster import Roster
    from meshfleet.gossip.rows import Rows
    from meshfleet.gossip.rumors import Rumors
    from meshfleet.gossip.spread import Spread
    from meshfleet.gossip.vouching import Vouching

LEAVING = "left"
ASLEEP = "asleep"
"""Why a member says goodbye: for good, or because its machine is suspended."""

URGENT = 6
"""Members to whom the first proof of a death is passed on at once by everybody: all but one in 400 have it after three
or four steps."""


class Membership:
    """My own claim, and the merging of everybody's."""

    def __init__(
        self,
        me: Alive,
        timing: Timing,
        roster: Roster,
        awareness: Awareness,
        beats: Heartbeats,
        rows: Rows,
        spread: Spread,
        rumors: Rumors,
        outbox: Outbox,
        outcasts: Outcasts,
        vouching: Vouching,
        rng: Random,
        counts: Counts,
        emit: Callable[[Event], None],
    ) -> None:
        self._vouching = vouching
        self._timing = timing
        self._roster = roster
        self._awareness = awareness
        self._beats = beats
        self.me = self._signed(me)
        self._rows = rows
        self._spread = spread
        self._rumors = rumors
        self._outbox = outbox
        self._outcasts = outcasts
        self._rng = rng
        self._counts = counts
        self._emit = emit
        self.leaving = False
        self._left_for = LEAVING
        self.synced = False
        """Whether anybody has told me all that it knows."""
        self.zone: str | None = None
        """Of whom alone anybody is taken in; None: of whatever zone."""
        self._forgotten_at = -1e18
        """When I last went on as a later life for what somebody said."""
        self._usurped_by = 0
        self.usurper: Address | None = None
        """Where a later life of my name says that it listens: another process of it, of a copied state dir."""

    @property
    def name(self) -> NodeName:
        """My name."""
        return NodeName(self.me.name)

    @property
    def epoch(self) -> Epoch:
        """This life of mine."""
        return Epoch(self.me.epoch)

    def announce(self, info: NodeInfo | None = None) -> None:
        """Say a newer word of mine: to refute, or because something about me changed."""
        self._say(incarnation=self.me.incarnation + 1, info=self.me.info if info is None else info)

    def _say(self, **changed: object) -> None:
        self.me = self._signed(msgspec.structs.replace(self.me, **changed))
        self._rumors.add(self.me)

    def _signed(self, me: Alive) -> Alive:
        """My word, and what my heartbeats are proven by from now on."""
        beat, anchor = self._beats.anchor(me.epoch)
        return self._vouching.sign(msgspec.structs.replace(me, beat=beat, anchor=anchor))

    # What is said of others

    def hear(self, claim: Claim, source: Address, sender: NodeName, at: float, *, gossip: bool = True) -> Record | None:
        """Merge one claim. Returns whom it is about, if that told anything about them."""
        outcasts = self._outcasts.by_name
        if outcasts and (claim.name in outcasts or (not isinstance(claim, Alive) and claim.by in outcasts)):
            self._counts["revoked_claim"] += 1
            return None
        if claim.name == self.name:
            self._hear_of_myself(claim, source, sender, at)
            return None
        by_others = not isinstance(claim, Alive)  # asked once: nearly all claims are Alives
        if by_others and isinstance(claim, Suspect | Obituary) and claim.by == self.name:
            return None  # I know what I said; this is what an earlier life of mine said, or somebody in my name
        if by_others and (ahead := self._is_ahead(claim)):
            self._counts[ahead] += 1
            return None
        record, news = self._roster.get(claim.name), self._roster.is_news(claim)
        epoch_before = -1 if record is None else record.epoch
        if news:
            if not self._is_met(claim) or not self._is_genuine(claim):
                return None
            record, news = self._roster.add(claim, at)
        if by_others and isinstance(claim, Suspect) and claim.by == sender and record and record.known.is_buried:
            # It asks itself what is proven here. Rumors are sent so often and no more: one member may miss all of them.
            self._outbox.datagram_to(source, sender, record.known.obituaries[0])
        if not news:
            self._rumors.heard(claim, len(self._roster))
            self._answer_old_news(claim, record, source, sender)
            return None
        if gossip:
            self._rumors.add(claim)
        if record is None:
            return None
        if epoch_before == -1:
            self._emit(Joined(record.name))
        elif record.epoch > epoch_before:
            record.note(Kind.RESTARTED, at, record.name, f"speaks in a later life, {record.epoch}")
            self._emit(Restarted(record.name, record.epoch))
        self._follow(record, claim, at)
        return record

    def _is_ahead(self, claim: Claim) -> str | None:
        """What counts others' claims of a life, or a word, that their subject has not begun as far as is known here.
        Taken at its word a goodbye would settle whatever is said of the member, and an accusation put aside all others:
        its death would never be seen. What is true of them is told again once that word has come."""
        record = self._roster.get(claim.name)
        if isinstance(claim, Left):
            is_ahead = claim.by != claim.name and (record is None or claim.epoch > record.epoch)
            return "forgotten_ahead" if is_ahead else None
        is_ahead = isinstance(claim, Suspect | Obituary) and record is not None and record.known.is_ahead(claim)
        return "accused_ahead" if is_ahead else None

    def _is_met(self, claim: Claim) -> bool:
        """Whether an Alive is of somebody whom I take in: of my zone, where that is all of my mesh, and at an address
        that can be sent to. Of anything else a kernel makes an error, or a question to a server of names, for
        which every packet would wait."""
        if not isinstance(claim, Alive):
            return True
        why = "other_zone" if self.zone not in (None, claim.info.zone) else "no_address"
        if why == "no_address" and is_listener(claim.info.gossip_host):
            return True
        self._counts[why] += 1
        return False

    def _is_genuine(self, claim: Claim) -> bool:
        """Whether whoever is said to say it does. To be asked only of what would be news."""
        if isinstance(claim, Alive):
            return self._vouching.holds(claim, claim)
        if claim.by == self.name:
            return self._vouching.holds(claim, self.me)
        record = self._roster.get(claim.by)
        return self._vouching.holds(claim, None if record is None else record.alive)

    def _follow(self, record: Record, claim: Claim, at: float) -> None:
        """What a claim that was news means for the record's evidence."""
        record.due, record.touched = at, True
        match claim:
            case Alive():
                if record.suspicion and not record.known.is_accused:
                    record.suspicion = None
                    record.note(Kind.REFUTED, at, record.name, f"refutes, with incarnation {claim.incarnation}")
                else:
                    record.note(Kind.ALIVE, at, record.name, f"is there, at {record.address}")
                if not record.known.is_buried:
                    record.obituary_at = None  # the moment of one that was refuted is no veto against the next
            case Suspect():
                record.note(Kind.SUSPECTED, at, claim.by, f"{claim.by} could not reach it")
            case Obituary():
                if record.known.is_buried and record.obituary_at is None:
                    record.obituary_at = at
                    self._hurry(record, claim)
                record.note(Kind.OBITUARY, at, claim.by, f"{claim.by} says that it died: {claim.how}")
            case Left():
                record.note(Kind.GOODBYE, at, claim.by, claim.reason)
        self._count_suspicion(record, at)

    def _count_suspicion(self, record: Record, at: float) -> None:
        """A suspicion runs from when this life and incarnation was first suspected; another one begins anew."""
        if not record.known.is_accused:
            record.suspicion = None
            return
        epoch, incarnation = record.known.accused
        now = record.suspicion
        if now is None or (now.epoch, now.incarnation) != (epoch, incarnation):
            record.suspicion = Suspicion(epoch, incarnation, at)

    def suspect(self, record: Record, at: float) -> None:
        """My own probe of it failed: say so, as my own first-hand word."""
        claim = self._vouching.sign(Suspect(record.name, record.epoch, record.alive.incarnation, self.name))
        if record.known.add(claim):
            self._rumors.add(claim)
            self._follow(record, claim, at)

    def bury(self, record: Record, obituary: Obituary) -> None:
        """I hold proof of its death: say so, before everything else."""
        obituary = self._vouching.sign(obituary)
        if record.known.add(obituary):
            self._rumors.add(obituary)
            self._hurry(record, obituary)

    def _hurry(self, record: Record, obituary: Obituary) -> None:
        """The first proof of a death goes on at once, by everybody who hears it: as a rumor alone it reached the last
        of 128 after 2.6 s (virtual time). Whoever this misses has it from the rumors."""
        if len(record.known.obituaries) == 1:
            for other in self._roster.sample(URGENT, but=(record.name,)):
                self._outbox.datagram(other, obituary)

    def _answer_old_news(self, claim: Claim, record: Record | None, source: Address, sender: NodeName) -> None:
        if record is None:
            return
        told = (claim.epoch, -1 if isinstance(claim, Left) else claim.incarnation)
        if record.known.has_left and record.known.left is not None and told[0] <= record.known.left.epoch:
            newer: Claim = record.known.left
        elif told < record.known.number and not isinstance(claim, Left):
            newer = record.alive
        else:
            return
        if newer != claim:
            self._outbox.datagram_to(source, sender, newer)

    # What is said of me

    def _hear_of_myself(self, claim: Claim, source: Address, sender: NodeName, at: float) -> None:
        if claim.epoch > self.epoch:
            if isinstance(claim, Left) and claim.by == self.name:
                self._outlive(claim, at)
            if claim.epoch != self._usurped_by and isinstance(claim, Alive) and self._is_genuine(claim):
                self._usurped_by = claim.epoch
                self.usurper = Address(claim.info.gossip_host, claim.info.gossip_port)
                self._emit(NameTaken(claim.epoch, str(self.usurper)))
            self._counts["own_name"] += 1
            return
        match claim:
            case Left():
                if claim.epoch == self.epoch:
                    self._outlive(claim, at)
            case Suspect() | Obituary() | Alive():
                self._refute(claim, source, sender)

    def _refute(self, claim: Suspect | Obituary | Alive, source: Address, sender: NodeName) -> None:
        if claim.epoch < self.epoch or claim.incarnation < self.me.incarnation:
            self._outbox.datagram_to(source, sender, self.me)
            return
        if claim.incarnation > self.me.incarnation + INCARNATION_LEAP:
            self._counts["forged_incarnation"] += 1
            return
        if isinstance(claim, Alive) and claim == self.me:
            return
        if self.leaving or not self._is_genuine(claim):
            return
        if isinstance(claim, Suspect):
            self._awareness.was_suspected()
        self._say(incarnation=claim.incarnation + 1)
        self._counts["refuted"] += 1
        self._outbox.datagram_to(source, sender, self.me)

    def _outlive(self, claim: Left, at: float) -> None:
        """Somebody had me forgotten while I run, or another process with my key, of a copied state dir, went away: what
        left is final, so I go on as a later life. Nobody believes others who hears me, and a later life costs everybody
        something: once in T they may have one."""
        if claim.by != self.name and at - self._forgotten_at < self._timing.heartbeat:
            self._counts["forgotten_again"] += 1
        elif not self.leaving and self._is_genuine(claim):
            self._forgotten_at = at
            self._say(epoch=claim.epoch + 1, incarnation=0)
            self._emit(Renewed(self.me.epoch))

    def leave(self, reason: str = LEAVING) -> Left:
        """Say goodbye, to a few directly and by them to all. Where that is said already, for good, it stays so."""
        if not self.leaving:
            self._left_for = reason
        self.leaving = True
        goodbye = self._vouching.sign(Left(self.name, self.epoch, self.name, self._left_for))
        self._rumors.add(goodbye)
        for record in self._roster.sample(max(32, 2 * self._timing.fan_out)):
            self._outbox.datagram(record, goodbye)
        return goodbye

    def return_from(self, reason: str) -> None:
        """Be there again, if that is why I left: what left is final, so as a later life."""
        if self.leaving and self._left_for == reason:
            self.leaving = False
            self._say(epoch=self.epoch + 1, incarnation=0)
            self._emit(Renewed(self.me.epoch))

    def forget(self, record: Record, at: float) -> None:
        """An operator says that a member will not come back."""
        claim = self._vouching.sign(Left(record.name, record.epoch, self.name, "forgotten"))
        if record.known.add(claim):
            self._rumors.add(claim)
            self._follow(record, claim, at)

    def cast_out(self, revoked: Revoked, at: float) -> tuple[bool, Record | None]:
        """The owner threw somebody out: whether that is news, and whom it concerns of those that are known."""
        if not self._outcasts.add(revoked):
            return False, None
        self._rumors.add(revoked)
        record = self._roster.get(revoked.name)
        if record is not None:
            claim = Left(record.name, record.epoch, self.name, CAST_OUT)
            if record.known.add(claim):  # said to nobody: whoever hears of the revocation sees it by itself
                self._follow(record, claim, at)
        return True, record

    # Push-pull

    def everything(self, at: float, *, reply: bool, but: tuple[Claim, ...] = ()) -> list[Sync]:
        """All that I know, in frames (see pushpull): the first asks for the other side's. Of those thrown out the
        revocation says it all. Claims that the other side just told itself, `but`, are not told back."""
        gone_since, outcasts = at - self._timing.tombstone / 2, self._outcasts.by_name
        told = [record for record in self._roster.worth_telling(gone_since) if record.name not in outcasts]
        known = [claim for record in told for claim in record.known.claims()]
        told_to_me = frozenset(but)
        claims = [claim for claim in (self.me, *known) if claim not in told_to_me]
        beats, haves = self._beats.of(told), self._spread.everything()
        revoked, rows = self._outcasts.all(), self._rows.all()
        return Everything(claims, beats, haves, revoked, rows, at, self._outbox.measure).frames(reply=reply)

    def said(self, at: float) -> list[Claim | Row | Revoked]:
        """What of it is said of members. Rows of earlier lives and of the gone some have, and some don't."""
        gone_since, outcasts = at - self._timing.tombstone / 2, self._outcasts.by_name
        told = [record for record in self._roster.worth_telling(gone_since) if record.name not in outcasts]
        there = {record.name: record.epoch for record in told if not record.is_gone} | {self.name: self.epoch}
        rows = [row for row in self._rows.all() if there.get(NodeName(row.name)) == row.epoch]
        return [self.me, *[claim for r in told for claim in r.known.claims()], *rows, *self._outcasts.all()]

    def on_sync(
        self, sync: Sync, source: Address, sender: NodeName, at: float, transport: str, now: float, *, answers: bool
    ) -> list[Record]:
        """Merge all that somebody knows, and tell the same if it `answers`. Returns whom it told anything about.

        A newcomer does not pass on what it is told first, in answer: everybody else knows it.
        """
        pass_on = self.synced or sync.reply
        told = [self.hear(claim, source, sender, at, gossip=pass_on) for claim in sync.claims]
        heard, _, _ = self._beats.merge(sync.beats, sender, at, transport)
        if answers:
            self._outbox.stream_to(source, sender, *self.everything(at, reply=False, but=sync.claims))
        # After it: a newcomer knows nobody yet.
        self._spread.on_digest(sync.digest, source, sender, at, now, at_once=True)
        return [record for record in told if record is not None] + heard
