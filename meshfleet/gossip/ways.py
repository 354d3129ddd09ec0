"""The ways to members that can't be reached themselves, and passing on for those whose relay this member is.

What is meant for a hidden member (one whose Alive names relays) at the address that it names goes over the stream that
stands with it; straight, if it was just heard from that very address; else by the first of its relays that can be hoped
to be there, sealed for its receiver: the relay passes it on unopened. An answer goes to where the question came from,
so what a hidden member asks by datagram is answered straight.

Members to which no datagram gets through are sent everything over a stream, which is opened where none stands. Pings
alone go by datagram as well, so that it is noticed when that works again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshfleet.gossip.limits import RELAY_BURST, RELAY_RATE, RELAYED, Counts
from meshfleet.gossip.record import HOPEFUL

if TYPE_CHECKING:
    from meshfleet.fleet.names import NodeName
    from meshfleet.gossip.record import Record
    from meshfleet.gossip.roster import Roster

NEAR_FOR = 20.0
"""Seconds for which a hidden node is sent to straight, after a datagram came from the very address that it names: from
the same side of a translator, or through a firewall that remembers it (for 30 s at least, on Linux)."""


DEAF_AFTER = 5.0
"""Seconds without any datagram, where each member sends one a second, after which it is taken that none comes."""


class Ways:
    """See the module."""

    def __init__(self, me: NodeName, roster: Roster, counts: Counts) -> None:
        self._me = me
        self._roster = roster
        self._counts = counts
        self.at = 0.0
        """Listening seconds of the input that is being handled."""
        self.datagram_at = -1e18
        """When a datagram last came here by itself, from anybody."""
        self._streamed: NodeName | None = None
        """The last one that was found to answer over streams alone."""
        self._budgets: dict[NodeName, tuple[float, float]] = {}
        """Whom I pass on for -> bytes that it may have, and when that was so."""

    def by_stream(self, record: Record) -> bool:
        """Whether no datagram gets through between it and me, as far as I know. Of a hidden one that is another matter:
        none gets through to where it says that it listens, and its relays pass them on. Where none comes from anybody,
        and one answers over streams alone, the others are not waited for: in a fleet of 20 that would take 20 s."""
        if record.info.relays:
            return False
        if record.delivery.fails:
            self._streamed = record.name
            return True
        if self._streamed is None or self.at - self.datagram_at < DEAF_AFTER:
            return False
        other = self._roster.get(self._streamed)
        return other is not None and other.delivery.fails

    def is_hidden(self, to: str | None) -> bool:
        """Whether it names relays."""
        return to is not None and (record := self._roster.get(to)) is not None and bool(record.info.relays)

    def way(self, to: str | None, address: tuple[str, int], at: float) -> Record | None:
        """By whom something goes that is meant for `to`: by a relay, or by `to` itself over a stream. None: straight to
        the address, as always but where no datagram gets through, or a hidden member is meant at the one it names."""
        record = None if to is None else self._roster.get(to)
        if record is None:
            return None
        if self.by_stream(record):
            record.sent_by = None
            return record
        if not record.info.relays or address != record.address:
            return None
        if record.has_stream:
            record.sent_by = None
            return record
        if at - record.near_at < NEAR_FOR:
            record.sent_by = None
            return None
        by = self.relay_of(record)
        record.sent_by = None if by is None else by.name
        return by

    def relay_of(self, record: Record) -> Record | None:
        """The first of its relays that can be hoped to be there."""
        return next(iter(self.relays_of(record)), None)

    def relays_of(self, record: Record) -> list[Record]:
        """All of them."""
        named = [self._roster.get(name) for name in record.info.relays]
        return [each for each in named if each is not None and each.presence in HOPEFUL and each is not record]

    # What I pass on

    def passes_on(self, to: str, size: int, at: float) -> Record | None:
        """Whether I pass on so many bytes to `to` now: the record of it, if so. I do for whom names me, over the stream
        that it holds, within what each may have of me in a second."""
        record = self._roster.get(to)
        if record is None or self._me not in record.info.relays or not record.has_stream:
            self._counts["refused_relay_on"] += 1
            return None
        left, since = self._budgets.get(record.name, (float(RELAY_BURST), at))
        left = min(float(RELAY_BURST), left + (at - since) * RELAY_RATE)
        if left < size or (record.name not in self._budgets and not self._has_room()):
            self._counts["dropped_relay_on"] += 1
            return None
        self._budgets[record.name] = (left - size, at)
        self._counts["relayed"] += 1
        return record

    def _has_room(self) -> bool:
        if len(self._budgets) >= RELAYED:
            for name in [name for name in self._budgets if not self._is_named_by(name)]:
                del self._budgets[name]
        return len(self._budgets) < RELAYED

    def _is_named_by(self, name: NodeName) -> bool:
        record = self._roster.get(name)
        return record is not None and self._me in record.info.relays
