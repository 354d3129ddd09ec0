"""Who is probed now, and what a probe that fails tells: directly, through others, over a stream (SWIM section 3.1).

One round, at local health 0 with the LAN preset:

    0.00 s  ping, by datagram. To a suspected member with the suspicion in it (Lifeguard's buddy system)
    0.40 s  no ack: three members are asked to ping it and to answer either way by 0.88 s; beside that a ping over a
            stream, so that blocked UDP is not taken for death
    1.00 s  still nothing: the probe has failed
    1.25 s  helpers that sent neither ack nor nack are counted: evidence about *me* (see awareness)

Rounds are keyed by the member's epoch: an answer from another life answers nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from meshfleet.fleet.names import Address, NodeName
from meshfleet.gossip.limits import PENDING_RELAYS, Counts
from meshfleet.gossip.messages import Ack, Connect, Message, Nack, Ping, PingReq, Trouble, Via
from meshfleet.gossip.record import Record
from meshfleet.gossip.timers import Timer

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshfleet.fleet.timing import Timing
    from meshfleet.gossip.awareness import Awareness
    from meshfleet.gossip.outbox import Outbox
    from meshfleet.gossip.roster import Roster
    from meshfleet.gossip.timers import Timers


class Outcome(Protocol):
    """Who is told how a probe ended."""

    def probe_answered(
        self, record: Record, now: float, *, via: str | None, transport: Via, took: float, rtt: float | None
    ) -> None:
        """It answered what was asked `took` seconds ago: itself, in `rtt` seconds, or through the helper `via`."""
        ...

    def probe_failed(self, record: Record, now: float, *, nacks: int, asked: int) -> None:
        """Nothing of it answered; of `asked` helpers `nacks` say that it did not answer them either."""
        ...

    def helper_refused(self, record: Record, helper: str, now: float) -> None:
        """A helper's connection to it was refused."""
        ...

    def helper_accepted(self, record: Record, helper: str, now: float) -> None:
        """A helper's connection to it was accepted, though it answered nothing."""
        ...


@dataclass(slots=True)
class _Round:
    record: Record
    epoch: int
    began: float
    timers: list[Timer] = field(default_factory=list)
    helpers: dict[str, bool] = field(default_factory=dict)
    nacks: int = 0
    answered: bool = False
    failed: bool = False


@dataclass(slots=True)
class _Relay:
    """A ping on somebody's behalf."""

    asker: Address
    asker_name: NodeName
    asker_seq: int
    record: Record
    epoch: int
    trouble: Trouble = Trouble.SILENT
    dials_back: bool = False
    """It is the asker itself that is sought, where it says that it listens. Somebody else may be there, in another
    network, so a connection and an answer of its own are wanted."""
    accepted: bool = False
    answered: bool = False
    timers: list[Timer] = field(default_factory=list)


class Prober:
    """Probes one member each interval, and pings for others when asked."""

    def __init__(
        self,
        me: NodeName,
        timing: Timing,
        roster: Roster,
        awareness: Awareness,
        outbox: Outbox,
        timers: Timers,
        counts: Counts,
        outcome: Outcome,
        *,
        buddy: bool,
    ) -> None:
        self._tells_suspects = buddy
        self._me = me
        self._timing = timing
        self._roster = roster
        self._awareness = awareness
        self._outbox = outbox
        self._timers = timers
        self._counts = counts
        self._outcome = outcome
        self._seq = 0
        self.accompany: Callable[[Record, float], None] = lambda record, now: None
        """Told whose turn it is: what else is sent to it at this moment costs no datagram."""
        self._rounds: dict[int, _Round] = {}
        self._relays: dict[int, _Relay] = {}

    def start(self, first: float) -> None:
        """Probe from then on."""
        self._timers.at(first, self._next_round)

    def abandon(self) -> None:
        """Forget the rounds under way: this member stood still, so their silence proves nothing."""
        timers = [timer for probing in self._rounds.values() for timer in probing.timers]
        timers += [timer for relay in self._relays.values() for timer in relay.timers]
        for timer in timers:
            timer.cancel()
        self._rounds.clear()
        self._relays.clear()

    def forget(self, record: Record) -> None:
        """Nothing comes of a round under way with a member that is forgotten: nobody is suspected who is not known."""
        for seq in [seq for seq, probing in self._rounds.items() if probing.record is record]:
            for timer in self._rounds.pop(seq).timers:
                timer.cancel()

    def probe(self, record: Record, now: float) -> None:
        """Begin one round out of turn: something was heard that is worth asking after; if it is not forgotten since."""
        if self._roster.get(record.name) is record:
            self._begin(record, now)

    def _begin(self, record: Record, now: float) -> None:
        self._seq += 1
        seq, stretch = self._seq, self._awareness.multiplier
        probing = self._rounds[seq] = _Round(record, record.epoch, now)
        self._outbox.datagram(record, Ping(seq, record.name), *self._buddy(record))
        if self._outbox.ways.by_stream(record):
            self._outbox.straight(record, Ping(seq, record.name))  # perhaps datagrams get through again
        deadline = now + self._timing.probe_deadline * stretch
        probing.timers = [
            self._timers.at(now + self._timing.direct_timeout * stretch, lambda t: self._ask_helpers(seq, t)),
            self._timers.at(deadline, lambda t: self._give_up(seq, t)),
        ]

    def _next_round(self, now: float) -> None:
        # Who hears nobody harms nobody by asking: at nine times the interval it would be presumed dead while it waits,
        # though its network is back (plan 292); and perhaps one of them alone can be reached (plan 7783).
        alone = not self._roster.hopeful
        stretch = 1 if alone else self._awareness.multiplier
        self._timers.at(now + self._timing.probe_interval * stretch, self._next_round)
        turns = [self._roster.next_to_probe() for _ in range(self._timing.helpers if alone else 1)]
        for record in dict.fromkeys(turns):  # of fewer than so many, nobody twice at once
            if record is not None:
                self._begin(record, now)
                self.accompany(record, now)

    def _buddy(self, record: Record) -> list[Message]:
        """The suspicion that stands against whom I ping, so that it can refute at once (Lifeguard, section IV.C)."""
        if not self._tells_suspects or not record.known.is_accused:
            return []
        return [*record.known.suspects[:1]]

    def _ask_helpers(self, seq: int, now: float) -> None:
        probing = self._rounds[seq]
        record, stretch = probing.record, self._awareness.multiplier
        within = probing.began + self._timing.nack_deadline * stretch - now
        for helper in self._helpers(record):
            probing.helpers[helper.name] = False
            self._outbox.datagram(helper, PingReq(seq, record.name, max(0.0, within)))
        if record.info.relays:  # its relays are asked; and it may be near, though it went another way
            self._outbox.straight(record, Ping(seq, record.name))
        else:
            self._outbox.stream(record, Ping(seq, record.name))

    def _helpers(self, record: Record) -> list[Record]:
        """Whoever passes on for it first: each has a stream of its own to it."""
        if not record.info.relays:
            return self._roster.sample(self._timing.helpers, but=(record.name,), first=record.asked_by)
        first = self._outbox.ways.relays_of(record)[: self._timing.helpers]
        others = (record.name, *[each.name for each in first])
        return [*first, *self._roster.sample(self._timing.helpers - len(first), but=others)]

    def _give_up(self, seq: int, now: float) -> None:
        probing = self._rounds[seq]
        probing.failed = True
        if probing.record.known.number[0] == probing.epoch:
            self._outcome.probe_failed(probing.record, now, nacks=probing.nacks, asked=len(probing.helpers))
        length = now - probing.began
        probing.timers = [self._timers.at(probing.began + 1.25 * length, lambda t: self._account(seq))]

    def _account(self, seq: int) -> None:
        probing = self._rounds.pop(seq)
        if not probing.answered and not probing.record.is_gone:
            silent = sum(1 for answered in probing.helpers.values() if not answered)
            self._awareness.round_ended(asked=len(probing.helpers), silent=silent)

    # What arrives

    def on_ping(self, ping: Ping, source: Address, sender: NodeName, epoch: int, via: Via) -> None:
        """Answer a ping that is meant for me, the way it came."""
        if ping.target != self._me:
            self._counts["ping_for_another"] += 1
            return
        ack, record = Ack(ping.seq, self._me, epoch), self._roster.get(sender)
        if via is Via.STREAM:
            self._outbox.stream_to(source, sender, ack)
            return
        straight = via is Via.DATAGRAM and record is not None and self._outbox.ways.by_stream(record)
        self._outbox.datagram_to(source, None if straight else sender, ack)

    def on_ping_request(self, request: PingReq, source: Address, sender: NodeName, now: float) -> None:
        """Ping somebody for `sender`. Answer either way, in time for it to count."""
        record = self._roster.get(request.target)
        if record is None or len(self._relays) >= PENDING_RELAYS:
            self._counts["refused_relay"] += 1
            trouble = Trouble.NO_ROUTE if record is None else Trouble.SILENT
            self._outbox.datagram_to(source, sender, Nack(request.seq, request.target, 0, trouble))
            return
        self._seq += 1
        seq = self._seq
        dials = request.target == sender  # it wants to know whether it can be reached where it listens
        relay = self._relays[seq] = _Relay(source, sender, request.seq, record, record.epoch, dials_back=dials)
        within = min(request.within, self._timing.probe_deadline * (1 + self._timing.health_max))
        relay.timers = [self._timers.at(now + within, lambda t: self._nack(seq))]
        if dials:
            self._outbox.straight(record, Ping(seq, record.name))
            self._outbox.connect(record)
            return
        self._outbox.datagram(record, Ping(seq, record.name), *self._buddy(record))
        relay.timers.append(self._timers.at(now + within / 2, lambda t: self._ask_its_kernel(relay)))

    def _ask_its_kernel(self, relay: _Relay) -> None:
        """A hidden member's answers on the stream that it holds, or not at all."""
        record = relay.record
        if not record.info.relays:
            self._outbox.connect(record)
        elif record.acknowledged_at is not None and record.acknowledged_at > record.heard_at:
            relay.trouble = Trouble.ACCEPTED_MUTE

    def _nack(self, seq: int) -> None:
        relay = self._relays.pop(seq)
        for timer in relay.timers:
            timer.cancel()
        nack = Nack(relay.asker_seq, relay.record.name, relay.epoch, relay.trouble)
        self._outbox.datagram_to(relay.asker, relay.asker_name, nack)

    def on_connect(self, record: Record, outcome: Connect, *, anothers: bool = False) -> None:
        """How a kernel answered: what helpers tell in their nack. Not where it is likely that it was another's; who
        asks to be dialled back must answer by itself besides."""
        for seq, relay in [*self._relays.items()]:
            if relay.record is not record:
                continue
            if anothers and not relay.dials_back:
                continue
            relay.trouble = _TROUBLE.get(outcome, relay.trouble)
            relay.accepted = outcome is Connect.ACCEPTED
            if relay.dials_back and not relay.accepted:
                self._nack(seq)
            elif relay.dials_back and relay.answered:
                self._tell_answered(seq)

    def on_ack(self, ack: Ack, sender: NodeName, via: Via, now: float) -> None:
        """Somebody answered: a round of mine, or one of those I ping for."""
        if via is Via.DATAGRAM and sender == ack.subject and (known := self._roster.get(sender)) is not None:
            known.delivery.went_both_ways()
        if ack.seq in self._relays:
            self._pass_on(ack, sender)
            return
        probing = self._rounds.get(ack.seq)
        if probing is None or probing.record.name != ack.subject or probing.epoch != ack.epoch:
            self._counts["stray_ack"] += 1
            return
        if sender in probing.helpers:
            probing.helpers[sender] = True
        if probing.answered:
            return
        probing.answered = True
        direct = sender == ack.subject
        for timer in probing.timers:
            timer.cancel()
        del self._rounds[ack.seq]
        if probing.failed:
            self._counts["late_ack"] += 1
        else:
            self._awareness.probe_succeeded()
        waited = via is Via.STREAM and not self._outbox.ways.by_stream(probing.record)
        at_first = not probing.helpers and not waited
        took = now - probing.began
        rtt = took if direct and at_first else None
        by = None if direct else sender
        self._outcome.probe_answered(probing.record, now, via=by, transport=via, took=took, rtt=rtt)

    def _pass_on(self, ack: Ack, sender: NodeName) -> None:
        relay = self._relays[ack.seq]
        if sender != relay.record.name or ack.subject != relay.record.name:
            self._counts["stray_ack"] += 1
            return
        relay.answered = True
        if relay.accepted or not relay.dials_back:
            self._tell_answered(ack.seq)

    def _tell_answered(self, seq: int) -> None:
        relay = self._relays.pop(seq)
        for timer in relay.timers:
            timer.cancel()
        self._outbox.datagram_to(relay.asker, relay.asker_name, Ack(relay.asker_seq, relay.record.name, relay.epoch))

    def on_nack(self, nack: Nack, sender: NodeName, now: float) -> None:
        """A helper is well, and got no answer."""
        probing = self._rounds.get(nack.seq)
        if probing is None or sender not in probing.helpers or probing.helpers[sender]:
            self._counts["stray_nack"] += 1
            return
        probing.helpers[sender] = True
        probing.nacks += 1
        if nack.trouble is Trouble.REFUSED and nack.epoch == probing.epoch:
            self._outcome.helper_refused(probing.record, sender, now)
        elif nack.trouble is Trouble.ACCEPTED_MUTE and nack.epoch == probing.epoch:
            self._outcome.helper_accepted(probing.record, sender, now)


_TROUBLE = {
    Connect.REFUSED: Trouble.REFUSED,
    Connect.ACCEPTED: Trouble.ACCEPTED_MUTE,
    Connect.NO_ROUTE: Trouble.NO_ROUTE,
    Connect.OWN_ERROR: Trouble.NO_ROUTE,
}
