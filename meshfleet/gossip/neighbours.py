"""Standing streams to a few members, and what their ends and refused connections tell.

A killed process closes its sockets within milliseconds, where probing once a second finds it after 4.4 s (p99 at 64
members). So each node holds streams to a few others: the next in the ring of names, so that everybody is watched by
somebody, and some at random. A bare end of such a stream is a cue to knock at once; a refusal then is proof (see
fleet.presence).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshfleet.fleet.evidence import Kind
from meshfleet.fleet.presence import Presence
from meshfleet.gossip.messages import Connect, StreamEnd
from meshfleet.gossip.timers import SLACK

if TYPE_CHECKING:
    from random import Random

    from meshfleet.fleet.names import Address, NodeName
    from meshfleet.fleet.timing import Timing
    from meshfleet.gossip.judging import Judging
    from meshfleet.gossip.limits import Counts
    from meshfleet.gossip.listening import Listening
    from meshfleet.gossip.outbox import Outbox
    from meshfleet.gossip.prober import Prober
    from meshfleet.gossip.record import Record
    from meshfleet.gossip.relays import Relays
    from meshfleet.gossip.roster import Roster
    from meshfleet.gossip.timers import Timers

SMALL_FLEET = 16


class Neighbours:
    """Chooses standing streams, and turns what kernels say into evidence."""

    def __init__(
        self,
        me: NodeName,
        host: str,
        timing: Timing,
        roster: Roster,
        prober: Prober,
        judging: Judging,
        listening: Listening,
        outbox: Outbox,
        timers: Timers,
        rng: Random,
        counts: Counts,
        relays: Relays,
    ) -> None:
        self._relays = relays
        relays.neighbours = self
        self._me = me
        self._host = host
        self._timing = timing
        self._roster = roster
        self._prober = prober
        self._judging = judging
        self._listening = listening
        self._outbox = outbox
        self._timers = timers
        self._rng = rng
        self._counts = counts
        self._chosen: dict[NodeName, int] = {}
        """Whom I hold a stream to, and in which life of theirs."""

    def review(self) -> None:
        """Fill the places of neighbours that are gone; let go of those beyond the number."""
        for name in [n for n, epoch in self._chosen.items() if not self._is_worth_it(n, epoch)]:
            self._let_go(name)
        missing = self._wanted() - len(self._chosen)
        if missing > 0:
            for record in self._candidates()[:missing]:
                self._chosen[record.name] = record.epoch
                self._outbox.keep_stream(record)
        for name in list(self._chosen)[: max(0, -missing)]:
            self._let_go(name)

    def _wanted(self) -> int:
        small = self._roster.there < SMALL_FLEET
        return self._timing.neighbours_small if small else self._timing.neighbours_large

    def _is_worth_it(self, name: NodeName, epoch: int) -> bool:
        record = self._roster.get(name)
        return record is not None and record.epoch == epoch and not record.is_gone

    def _candidates(self) -> list[Record]:
        """The next in the ring of names first, then the others at random."""
        fresh = [r for r in self._roster if r.presence is Presence.FRESH and r.name not in self._chosen]
        others = [r for r in fresh if not r.info.relays]  # a hidden one opens streams itself
        if not others:
            return []
        successor = min(others, key=lambda r: (r.name <= self._me, r.name))
        rest = [r for r in others if r is not successor]
        self._rng.shuffle(rest)
        return [successor, *rest]

    def _let_go(self, name: NodeName) -> None:
        del self._chosen[name]
        if name not in self._relays.chosen:
            self._outbox.drop_stream(name)

    def let_go_of(self, name: NodeName) -> None:
        """A stream is not needed as a relay's any more; as a neighbour's it may be."""
        if name not in self._chosen:
            self._outbox.drop_stream(name)

    # What the driver reports

    def stream_up(self, record: Record, now: float) -> None:
        """A stream with that member stands, whoever opened it."""
        at = self._listening.at(now)
        record.has_stream = True
        record.streamed = record.epoch
        record.eof = None  # whoever can open a stream again has not died
        record.note(Kind.STREAM_UP, at, self._me, "stream established")

    def stream_failed(self, record: Record) -> None:
        """The standing stream to it could not be opened: somebody else takes its place at the next review."""
        self._chosen.pop(record.name, None)

    def stream_ended(self, record: Record, end: StreamEnd, now: float) -> None:
        """A stream with that member ended. If nobody said goodbye, knock at once."""
        at = self._listening.at(now)
        record.has_stream = False
        self._chosen.pop(record.name, None)
        match end:
            case StreamEnd.EOF if record.streamed != record.epoch:
                # Of a life before: to whom that was stopped meanwhile its end comes after the next life's first words.
                record.note(Kind.RESET, at, self._me, "the stream with its last life ended", self._host)
            case StreamEnd.EOF:
                record.accepted_at = record.acknowledged_at = None
                record.eof = record.note(Kind.EOF, at, self._me, "stream ended without a goodbye", self._host)
            case StreamEnd.RESET:
                record.acknowledged_at = None  # what its kernel said on this stream, it says no more
                record.note(Kind.RESET, at, self._me, "stream was reset", self._host)
            case StreamEnd.GOODBYE | StreamEnd.DROPPED:
                return
        self._counts[f"stream_{end.value}"] += 1
        self.knock(record)
        if not record.is_gone:
            self._prober.probe(record, now)

    def acknowledged(self, record: Record, age: float, now: float) -> None:
        """Its kernel acknowledged something on a stream `age` seconds ago. Unlike accepts these don't run out: the
        backlog of a stopped process fills, its keepalives are answered for as long as it is stopped."""
        at = record.acknowledged_at = record.answered_at = self._listening.at(now) - age
        record.unanswered_since = None
        self._judging.heard_anyone_at = max(self._judging.heard_anyone_at, at)

    def knock(self, record: Record) -> None:
        """Ask the kernel at that address whether anybody listens. Not of a hidden member: at the address that it names
        nobody answers, or somebody else does."""
        if record.info.relays:
            return
        self._outbox.connect(record)

    def answered(self, record: Record, outcome: Connect, now: float) -> None:
        """How a kernel answered a connection attempt."""
        at = self._listening.at(now)
        if record.info.relays:
            self._prober.on_connect(record, outcome)  # a dial back: its answer is for who asked, and no evidence
            return
        if outcome in (Connect.ACCEPTED, Connect.REFUSED):
            record.unanswered_since = None
        anothers = outcome is Connect.ACCEPTED and self._judging.addresses.are_anothers(record)
        match outcome:
            case Connect.ACCEPTED if anothers:
                self._judging.heard_anyone_at = at
                self._is_anothers(record, at)
                self._knock_again(record, at, now)
            case Connect.ACCEPTED:
                record.accepted_at = record.answered_at = self._judging.heard_anyone_at = at
                record.note(Kind.ACCEPTED, at, self._me, "its kernel accepts connections", self._host)
                self._knock_again(record, at, now)
            case Connect.REFUSED:
                record.accepted_at = record.acknowledged_at = None
                fact = record.note(Kind.REFUSED, at, self._me, "connection refused: nobody listens there", self._host)
                record.refused(fact)
                self._confirm_refusal(record, now)
                if record.eof is not None or record.obituary_at is not None:
                    waits = now + self._judging.waits_for_answer(record) + 2 * SLACK
                    self._timers.at(waits, lambda t: self._judge_again(record, t))
            case Connect.NO_ROUTE:
                record.note(Kind.NO_ROUTE, at, self._me, "no route to it, says the network on the way", self._host)
                record.unanswered_since = at if record.unanswered_since is None else record.unanswered_since
            case Connect.SILENT:
                record.unanswered_since = at if record.unanswered_since is None else record.unanswered_since
            case Connect.OWN_ERROR:
                pass
        self._prober.on_connect(record, outcome, anothers=anothers)

    def usurped(self, record: Record, address: Address, by: NodeName, now: float) -> None:
        """A stream that was meant for it met another there, by its certificate: what that kernel accepts is none of
        its answers."""
        at = self._listening.at(now)
        record.life.usurped = (address, at)
        if address == record.address:  # else it moved while the stream was opened
            self._is_anothers(record, at, f"{by} listens at {address}")

    def _is_anothers(self, record: Record, at: float, said: str = "another member listens at its address") -> None:
        self._counts["accepted_for_another"] += 1
        record.accepted_at = None
        record.note(Kind.REPORT, at, self._me, said, self._host)

    def _knock_again(self, record: Record, at: float, now: float) -> None:
        """A dying process's kernel closes its sockets one by one: the stream may end while the listener still
        accepts (seen: 2 ms). So after an end without goodbye ask again, at doubling pauses, while a refusal would
        still prove it."""
        if record.eof is None or at - record.eof.at > self._timing.eof_window / 2:
            return
        self._timers.at(now + max(0.02, at - record.eof.at), lambda t: self.knock(record))

    def _confirm_refusal(self, record: Record, now: float) -> None:
        """After a first refusal knock once more, half a probe interval later: a restart in between shows as an
        accept."""
        if len(record.refusals) == 1:
            self._timers.at(now + self._timing.probe_interval / 2, lambda t: self.knock(record))

    def _judge_again(self, record: Record, now: float) -> None:
        if self._roster.get(record.name) is record:
            self._judging.judge(record, now)

    def helper_refused(self, record: Record, helper: Record, now: float) -> None:
        """A helper on another host was refused."""
        at = self._listening.at(now)
        fact = record.note(Kind.REFUSED, at, helper.name, f"{helper.name} was refused too", helper.info.host)
        record.refused(fact)

    def helper_accepted(self, record: Record, helper: Record, now: float) -> None:
        """Its kernel answered a helper: it is there, though none of my own attempts may reach it. Such an answer is a
        sign of life of that moment, and no more: what ends it would be told to the helper."""
        at = record.answered_at = self._listening.at(now)
        record.asked_by = helper.name
        record.note(Kind.ACCEPTED, at, helper.name, f"its kernel accepts {helper.name}'s connections", helper.info.host)
