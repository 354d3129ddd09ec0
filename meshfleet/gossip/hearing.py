"""What a member does with each message that reaches it. `Member.receive` has looked at the packet around it by then."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from meshfleet.fleet.presence import Presence
from meshfleet.gossip.asked import A_ROLL
from meshfleet.gossip.events import Arrived, Synced
from meshfleet.gossip.messages import (
    Ack,
    Alive,
    Beats,
    Claim,
    Delta,
    Digest,
    Goodbye,
    Got,
    Left,
    Message,
    Nack,
    Obituary,
    Packet,
    PathProbe,
    PathReport,
    PathTest,
    Ping,
    PingReq,
    Relay,
    Revoked,
    RollAnswer,
    RollCall,
    Row,
    SnapshotMessage,
    Sum,
    Suspect,
    Sync,
    Via,
    Want,
)
from meshfleet.gossip.record import Rival

if TYPE_CHECKING:
    from meshfleet.fleet.names import Address, NodeName
    from meshfleet.gossip.member import Member
    from meshfleet.gossip.record import Record

INTRODUCTION_PAUSE = 1.0
"""Seconds between two requests for introductions: when a stranger of our fleet speaks, or somebody tells of one."""

TRANSPORT = {Via.DATAGRAM: "udp", Via.STREAM: "stream", Via.RELAY: "relay"}
"""What views call the ways of travelling."""


class Hearing:
    """Takes messages apart and hands each to the part that it concerns."""

    def __init__(self, member: Member, now: float) -> None:
        self._member = member
        self._asked_introduction_at = now - INTRODUCTION_PAUSE

    def hear_sender(
        self, record: Record, packet: Packet, via: Via, at: float, now: float, clock_offset: float | None
    ) -> None:
        """Whatever a packet says, it is a sign of life of who sent it. Over a stream that is whom it names; by datagram
        any member can name any other, but for a heartbeat that is newer than any that was told."""
        beats = self._member.beats
        beats.hear(record, packet.beat, packet.beat_age, at, None, TRANSPORT[via], proof=packet.proof)
        if packet.beat > record.beat and beats.is_unanchored(record, packet.beat):
            self._ask_introduction(record.address, now)
        if via is not Via.STREAM and beats.is_outlived(record, at):
            return
        if via is Via.STREAM:
            record.streamed = packet.epoch
        record.direct_at = at
        record.transport = TRANSPORT[via]
        if clock_offset is not None:
            record.clock_offset = clock_offset

    def meet(self, packet: Packet, source: Address, via: Via, at: float, now: float) -> None:
        """A stranger of our fleet speaks, or a known name in a later life: have it introduce itself."""
        member = self._member
        record = member.roster.get(packet.source)
        if record is not None and packet.epoch == record.epoch:
            self.hear_sender(record, packet, via, at, now, None)  # it did, in this very packet
            member.neighbours.review()
        elif via is not Via.STREAM:
            self._ask_introduction(source, now)

    def hear_rival(self, record: Record, source: Address, via: Via, at: float) -> None:
        """An earlier life of a known name speaks. What was under way when the later one began has come after 2T."""
        if at - record.met_at > 2 * self._member.timing.heartbeat:
            times = 1 if record.rival is None else record.rival.times + 1
            record.rival = Rival(times, at, source, proven=via is Via.STREAM)

    def _ask_introduction(self, address: Address, now: float) -> None:
        member = self._member
        if now - self._asked_introduction_at >= INTRODUCTION_PAUSE:
            self._asked_introduction_at = now
            member.join(address, now)

    def dispatch(self, message: Message, source: Address, sender: NodeName, via: Via, at: float, now: float) -> None:
        """One message, in whatever state this member is."""
        member = self._member
        match message:
            case SnapshotMessage():  # by how many there are of each: to find that it is another costs 0.1 us a line
                member.counts["snapshots_in"] += 1
                self._hear_riding(message, sender, via, at, now)
                if member.spread.on_snapshot(message, source, sender, at, now):
                    member.emit(Arrived(message.snapshot))
            case Beats():
                self._hear_beats(message, source, sender, via, at, now)
            case RollCall():
                if member.asked.may_have(A_ROLL):
                    self._hear_call(message, source, sender, at, now)
            case RollAnswer():
                if told := member.roll.read(message, at):
                    self._hear_beats(Beats(told, message.at), source, sender, via, at, now)
            case Alive() | Suspect() | Left() | Obituary():
                record = member.membership.hear(message, source, sender, at)
                if record is not None:
                    self._told_about(record, message, now)
            case Ping():
                self._hear_ping(message, source, sender, via, at)
            case Ack() if (message.subject, message.epoch) == (member.name, member.epoch):
                member.relays.dialled(message.seq, sender, through=True, now=now)
            case Ack():
                self._hear_ack(message, sender, via, at, now)
            case Digest():
                member.spread.on_digest(message, source, sender, at, now, at_once=via is Via.STREAM)
            case PingReq():
                member.prober.on_ping_request(message, source, sender, now)
            case Nack() if (message.subject, message.epoch) == (member.name, member.epoch):
                member.relays.dialled(message.seq, sender, through=False, now=now)
            case Nack():
                member.prober.on_nack(message, sender, now)
            case Want():
                member.spread.on_want(message, source, sender, via)
            case Delta():
                member.counts["snapshots_in"] += len(message.snapshots)
                for snapshot in member.spread.on_delta(message, at):
                    member.emit(Arrived(snapshot))
            case Sync() | Sum() if via is Via.DATAGRAM:
                member.counts["stray_sync"] += 1  # push-pull takes streams: whose word it is, a datagram can't say
            case Sync():
                self._on_sync(message, source, sender, via, at, now)
            case Got():
                member.spread.on_got(message, now)
            case Sum():
                if member.asked.may_have_all():
                    member.sums.on_sum(message, source, sender, at)
            case Row():
                self._hear_row(message, at)
            case Revoked():
                member.revoke(message, now)
            case Goodbye() | Relay() | PathProbe() | PathTest() | PathReport():
                pass  # the driver's business: it tells an end on purpose from a death, has the seals, and tests paths
            case _:
                assert_never(message)

    def _hear_ping(self, ping: Ping, source: Address, sender: NodeName, via: Via, at: float) -> None:
        """A question. That it came over a stream tells that none of my datagrams had answered its sender."""
        member, record = self._member, self._member.roster.get(sender)
        if via is Via.STREAM and record is not None:
            record.delivery.was_lost(at)
        member.prober.on_ping(ping, source, sender, member.epoch, via)

    def _hear_ack(self, ack: Ack, sender: NodeName, via: Via, at: float, now: float) -> None:
        """An answer. A datagram may be anybody's, and what a helper says of another is its word alone: both are
        believed only while there is a heartbeat that agrees."""
        member, record = self._member, self._member.roster.get(ack.subject)
        hearsay = via is not Via.STREAM or sender != ack.subject
        if hearsay and record is not None and member.beats.is_outlived(record, at):
            member.counts["unproven_ack"] += 1
            return
        member.prober.on_ack(ack, sender, via, now)

    def _hear_riding(self, message: SnapshotMessage, sender: NodeName, via: Via, at: float, now: float) -> None:
        """The heartbeat of a snapshot's origin, which came along."""
        member, snapshot = self._member, message.snapshot
        record = member.roster.get(snapshot.node)
        if record is None or record.epoch != snapshot.epoch or not message.beat:
            return
        by = None if sender == snapshot.node else sender
        newer = member.beats.hear(
            record, message.beat, message.beat_age, at, by, TRANSPORT[via], proof=message.proof, rides=True
        )
        if newer and record.presence is not Presence.FRESH:
            member.judging.judge(record, now)

    def _hear_beats(self, beats: Beats, source: Address, sender: NodeName, via: Via, at: float, now: float) -> None:
        member = self._member
        heard, newer_here, strangers = member.beats.merge(beats, sender, at, TRANSPORT[via])
        if strangers and (record := member.roster.get(sender)) is not None:
            self._ask_introduction(record.address, now)  # it knows members that I don't
        for record in heard:
            if record.presence is not Presence.FRESH:
                member.judging.judge(record, now)
        if newer_here:  # by the way that the question came: whoever asks over a stream may have no other
            send = member.outbox.stream_to if via is Via.STREAM else member.outbox.datagram_to
            send(source, sender, Beats(tuple(newer_here), at))

    def _hear_call(self, call: RollCall, source: Address, sender: NodeName, at: float, now: float) -> None:
        member = self._member
        for answer in member.roll.answer(call, at):
            member.outbox.datagram_to(source, sender, answer)
        if member.roll.differs(call, at):
            # Once the rest of its packet is heard: what I missed may ride along.
            member.timers.at(now, lambda t: self._compare_orders(call, sender, at + t - now))

    def _compare_orders(self, call: RollCall, sender: NodeName, at: float) -> None:
        """One of us may have missed that somebody joined, or left. Where it is reached through others alone that would
        be too much for them; it asks itself."""
        member, record = self._member, self._member.roster.get(sender)
        if record is not None and (not record.info.relays or record.has_stream) and member.roll.takes_up(call, at):
            member.sums.compare_with(record, at)

    def _hear_row(self, row: Row, at: float) -> None:
        if self._member.rows.hear(row, at):
            self._member.changes += 1

    def _told_about(self, record: Record, claim: Claim, now: float) -> None:
        """Something new was said about a member. A proof of its death everybody looks into, for nobody believes
        another's; a suspicion few enough of us not to storm it."""
        member, timing = self._member, self._member.timing
        member.changes += 1
        member.judging.judge(record, now)
        if record.is_gone or not isinstance(claim, Suspect | Obituary):
            return
        soon = member.rng.uniform(0, timing.direct_timeout)
        if isinstance(claim, Obituary) and record.known.obituaries == (claim,):
            soon = max(soon / 2, record.looked_at + timing.probe_interval / 2 - now)
        elif member.rng.random() * member.roster.there >= 2 * timing.confirmations:
            return
        elif now - record.looked_at < timing.heartbeat:
            return  # a member that half of the packets reach is suspected and refutes all the time
        record.looked_at = now
        member.timers.at(now + soon, lambda t: self._look_into(record, t))

    def _look_into(self, record: Record, now: float) -> None:
        member = self._member
        member.neighbours.knock(record)
        member.prober.probe(record, now)

    def _on_sync(self, sync: Sync, source: Address, sender: NodeName, via: Via, at: float, now: float) -> None:
        member = self._member
        answers = sync.reply and member.asked.may_have_all()
        for record in member.membership.on_sync(sync, source, sender, at, TRANSPORT[via], now, answers=answers):
            member.judging.judge(record, now)
        for row in sync.rows:
            self._hear_row(row, at)
        for revoked in sync.revoked:
            member.revoke(revoked, now)
        if not sync.reply:
            if not member.membership.synced:
                member.timers.at(now + member.timing.probe_interval, member.relays.wonder)  # they know me by then
            member.membership.synced = True
            member.emit(Synced(sender))
        member.neighbours.review()
