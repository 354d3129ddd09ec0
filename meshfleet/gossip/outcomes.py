"""What comes of a probe: evidence noted, a suspicion begun, and the member judged anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshfleet.fleet.evidence import Kind
from meshfleet.fleet.presence import Presence
from meshfleet.gossip.hearing import TRANSPORT
from meshfleet.gossip.messages import Via

if TYPE_CHECKING:
    from meshfleet.gossip.member import Member
    from meshfleet.gossip.record import Record

ON_ITS_WAY = 1e-6
"""Seconds that a question takes at least: so the answer is newer than whatever was known as it was asked."""


class Outcomes:
    """Told by the prober, on the member's behalf."""

    def __init__(self, member: Member) -> None:
        self._member = member

    def probe_answered(
        self, record: Record, now: float, *, via: str | None, transport: Via, took: float, rtt: float | None
    ) -> None:
        """A member answered a probe of mine, itself or through a helper."""
        at = self._member.heard_until
        record.life.ran_at = max(record.life.ran_at, at - took + ON_ITS_WAY)
        if transport is Via.STREAM:
            self._member.beats.lost_at = at
        if via is None:
            record.missed = 0
            record.rtt = rtt if rtt is not None else record.rtt
            record.note(Kind.ACK, at, record.name, f"answered a ping by {TRANSPORT[transport]}")
            if transport is Via.STREAM:
                self._not_delivered(record, at, now)
        else:
            record.indirect_at, record.indirect_via, record.direct_failed_at = at, via, at
            record.note(Kind.INDIRECT_ACK, at, via, f"answered {via}'s ping on my behalf")
            self._missed(record, now)
        if record.presence is not Presence.FRESH:
            self._member.judging.judge(record, now)

    def probe_failed(self, record: Record, now: float, *, nacks: int, asked: int) -> None:
        """Nothing of a member answered: neither it, nor through helpers, nor over a stream."""
        at = self._member.heard_until
        record.direct_failed_at = at
        said = f"ping lost, directly and through {asked} others ({nacks} said so)"
        record.note(Kind.PROBE_FAILED, at, self._member.name, said)
        if self._member.judging.refused_since is None and not self._member.membership.leaving:
            self._member.membership.suspect(record, at)
        if not record.is_gone:
            self._member.neighbours.knock(record)
            self._missed(record, now)
        self._member.judging.judge(record, now)

    def _not_delivered(self, record: Record, at: float, now: float) -> None:
        """It answered over a stream alone. Ask again soon: either a datagram was lost, or none gets through."""
        record.delivery.was_lost(at)
        if record.delivery.lost == 1:
            again = now + self._member.timing.probe_interval
            self._member.timers.at(again, lambda t: self._member.prober.probe(record, t))

    def _missed(self, record: Record, now: float) -> None:
        """It did not answer directly. Ask again soon, not in a whole round's time: a datagram may have been lost."""
        record.missed += 1
        self._member.beats.lost_at = self._member.heard_until
        if record.missed == 1:
            again = now + self._member.timing.probe_interval
            self._member.timers.at(again, lambda t: self._member.prober.probe(record, t))

    def helper_refused(self, record: Record, helper: str, now: float) -> None:
        """A helper's connection to a member was refused."""
        helper_record = self._member.roster.get(helper)
        if helper_record is not None:
            self._member.neighbours.helper_refused(record, helper_record, now)
            self._member.judging.judge(record, now)

    def helper_accepted(self, record: Record, helper: str, now: float) -> None:
        """A helper's connection to a member was accepted."""
        helper_record = self._member.roster.get(helper)
        if helper_record is not None:
            self._member.neighbours.helper_accepted(record, helper_record, now)
            self._member.judging.judge(record, now)
