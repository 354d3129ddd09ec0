"""One node's part in a fleet on two levels: whether it is a delegate, and if so, what it hands on.

    look(now)      now and then: whether this node is to be in the upper mesh as well, where the delegates of all
                   zones are
    carry(now)     each second while it is: its zone's sums go up, and what it hears of other zones comes down

Of each thing to tell, one delegate tells it, in an order that all know. Another tells it too where nobody does, or
where its own word is better than all that is told: the upper mesh may be out of reach for one and not for the next. No
delegate waits for another one's leave, and nobody has to be elected.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from meshfleet.errors import WireError
from meshfleet.fleet.names import AgentId, NodeName
from meshfleet.fleet.presence import Presence
from meshfleet.fleet.rendezvous import ranked
from meshfleet.wire.zones import SUMS, UPPER, WORD, decode_sums, encode_sums, encode_upper, encode_word
from meshfleet.zones.delegates import delegates_seen
from meshfleet.zones.seen import WORSE, ZONES_LIMIT, Vouched, Words, is_of_this_life

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshfleet.fleet.names import Address
    from meshfleet.fleet.zone import ZoneSums
    from meshfleet.gossip.member import Member
    from meshfleet.gossip.record import Record

CARRIES_EVERY = 1.0
"""Seconds between two rounds of a delegate."""

PATIENCE = 2
"""T for which something must be so before a delegate steps down, or tells what is another's to tell: what is under way
has come by then."""


class FromAbove(NamedTuple):
    """What the upper mesh shows of another zone."""

    of: NodeName
    presence: Presence
    heard_at: float
    """When who made these sums was last heard to stand by them, in listening seconds of the upper member."""
    sums: bytes


class Said(NamedTuple):
    """What I say of another zone."""

    body: bytes
    presence: Presence
    heard_at: float
    last_seen: int | None
    at: float


class Sums(NamedTuple):
    """What a delegate tells of its zone, as far as it decides who is believed."""

    body: bytes
    zone: str = ""
    there: int = 0
    delegates: tuple[Address, ...] = ()


class Bridge:
    """See the module. `sums` tells of the zone as this node sees it; `wall` is Unix time, for people to read."""

    def __init__(
        self,
        zone: str,
        inner: Member,
        sums: Callable[[float], ZoneSums],
        wall: Callable[[], float],
    ) -> None:
        self.zone = zone
        self.upper: Member | None = None
        """Me in the upper mesh, while I am a delegate."""
        self.delegates: list[NodeName] = []
        """Who speaks for this zone, as I see it."""
        self.words = Words(inner, zone)
        self._inner = inner
        self._sums = sums
        self._wall = wall
        self._chosen_at = -1e18
        """When I was last one of them."""
        self._sums_told = b""
        """Of my own zone, to others; empty: nothing."""
        self._sums_at = -1e18
        self._said: dict[str, Said] = {}
        """Of other zones, to my own."""
        self._lacking: dict[str, float] = {}
        """What nobody tells as well as I could: since when."""
        self._read: dict[NodeName, Sums] = {}
        self._vouched = Vouched()
        """In the upper mesh."""

    # Whether

    def look(self, now: float) -> bool:
        """Whether this node is to be in the upper mesh now."""
        member = self._inner
        self.delegates = delegates_seen(self.zone, member)
        self.words.of_zones(member.listening.at(now), self._wall())
        hold = PATIENCE * member.timing.heartbeat
        if member.membership.leaving:
            return False
        if now - member.started_at < hold:
            return False  # it may not know the others yet, and would think itself the first
        if member.name in self.delegates:
            self._chosen_at = now
        return now - self._chosen_at <= hold

    def rise(self, upper: Member, there: Address, now: float) -> None:
        """I am in the upper mesh now, and listen `there`."""
        self.upper, self._sums_told, self._sums_at = upper, b"", -1e18
        self._inner.publish(AgentId(UPPER), encode_upper(there), now)

    def sink(self, now: float) -> None:
        """I am not in it any more: what I told as a delegate is told by others from now on."""
        self.upper = None
        for zone in [*self._said]:
            self._fall_silent(zone, now)
        self._lacking.clear()
        self._read.clear()
        self._vouched = Vouched()
        self._inner.publish(AgentId(UPPER), b"", now)

    # What

    def carry(self, now: float) -> None:
        """Hand on what is due. To be called each second."""
        if self.upper is None:
            return
        self._send_up(self.upper, now)
        self._bring_down(self.upper, now)

    def _send_up(self, upper: Member, now: float) -> None:
        """My zone's sums, once in T, where that is mine to do."""
        if now - self._sums_at < self._inner.timing.heartbeat:
            return
        lacking = not any(
            self._is_fresh(record, upper) and self._sums_of(record, upper) is not None
            for record in upper.roster
            if record.info.zone == self.zone
        )
        body = b""
        if self._is_due(SUMS, self.zone, lacking, now):
            body, self._sums_at = encode_sums(self._sums(now)), now
        elif lacking:
            return
        if body != self._sums_told:
            self._sums_told = body
            upper.publish(AgentId(SUMS), body, now)

    def _bring_down(self, upper: Member, now: float) -> None:
        """What the upper mesh shows of other zones."""
        shown, heard = self._from_above(upper), self.words.of_zones(self._inner.listening.at(now), self._wall())
        for zone, above in shown.items():
            best = next((one for one in heard.get(zone, ()) if one.by != self._inner.name), None)
            lacking = (
                best is None
                or best.carrier is not Presence.FRESH
                or WORSE.index(best.word.presence) > WORSE.index(above.presence)
            )
            if self._is_due(zone, f"{zone} in {self.zone}", lacking, now):
                self._say(zone, above, upper, now)
            elif not lacking:
                self._fall_silent(zone, now)
        for zone in self._said.keys() - shown.keys():
            self._fall_silent(zone, now)

    def _say(self, zone: str, above: FromAbove, upper: Member, now: float) -> None:
        """My word of a zone: at once where it is another presence, else once in T."""
        before, last_seen = self._said.get(zone), None
        if above.presence is not Presence.FRESH:
            ago = upper.listening.at(now) - above.heard_at
            last_seen = round((self._wall() - ago) * 1000)
            if before is not None and before.heard_at == above.heard_at and before.last_seen is not None:
                last_seen = before.last_seen  # told once: it would be a millisecond off, and another body, each time
        body = encode_word(above.of, above.presence, last_seen, above.sums)
        soon = before is not None and now - before.at < self._inner.timing.heartbeat
        if before is not None and before.presence is above.presence and (soon or body == before.body):
            return
        self._said[zone] = Said(body, above.presence, above.heard_at, last_seen, now)
        self._inner.publish(AgentId(WORD + zone), body, now)

    def _fall_silent(self, zone: str, now: float) -> None:
        """Another tells of that zone, or there is nothing to tell any more."""
        if self._said.pop(zone, None) is not None:
            self._inner.publish(AgentId(WORD + zone), b"", now)

    def _is_due(self, what: str, matter: str, lacking: bool, now: float) -> bool:
        """Whether I tell something: it is mine to tell, or has been lacking for a while."""
        if not lacking:
            self._lacking.pop(what, None)
        elif now - self._lacking.setdefault(what, now) >= PATIENCE * self._inner.timing.heartbeat:
            return True
        return bool(self.delegates) and ranked(matter, self.delegates)[0] == self._inner.name

    def lost(self) -> tuple[Address, ...]:
        """Where those of my zone are, in it, whom I see in the upper mesh and don't know: parts of a zone that began
        apart, or have forgotten each other."""
        if self.upper is None:
            return ()
        known = {record.name for record in self._inner.roster}
        told = [
            self._sums_of(record, self.upper)
            for record in self.upper.roster
            if record.info.zone == self.zone and record.name not in known and record.presence is Presence.FRESH
        ]
        return tuple(address for sums in told if sums is not None for address in sums.delegates)

    # What is above

    def _from_above(self, upper: Member) -> dict[str, FromAbove]:
        """Every other zone of which anybody in the upper mesh has told."""
        of_zone: dict[str, list[Record]] = {}
        for record in upper.roster:
            if (zone := record.info.zone) is not None and zone != self.zone:
                of_zone.setdefault(zone, []).append(record)
        found: dict[str, FromAbove] = {}
        for zone, records in sorted(of_zone.items())[:ZONES_LIMIT]:
            if (above := self._best(records, upper)) is not None:
                found[zone] = above
        for name in self._read.keys() - {record.name for record in upper.roster}:
            del self._read[name]
        self._vouched.keep(upper)
        return found

    def _best(self, records: list[Record], upper: Member) -> FromAbove | None:
        """Of what several delegates of one zone tell, what counts: that of one who is heard, and of a zone that is cut
        in two, of the larger part. Where none is heard, the newest: what the first of them to die had told was so
        before it died."""
        told = [
            (record, sums, until)
            for record in records
            if (sums := self._sums_of(record, upper)) is not None
            and (until := self._stood_by(record, upper)) is not None
        ]
        if not told:
            return None
        fresh = [one for one in told if self._is_fresh(one[0], upper)]
        if fresh:
            record, sums, until = min(fresh, key=lambda one: (-one[1].there, one[0].name))
            return FromAbove(record.name, Presence.FRESH, until, sums.body)
        record, sums, until = min(told, key=lambda one: (-one[2], one[0].name))
        presence = min((one[0].presence for one in told), key=WORSE.index)
        if any(one.presence is Presence.FRESH for one in records):
            presence = Presence.STALE  # the zone is there, but nobody who is heard has told these sums
        if presence is Presence.DOWN:
            presence = Presence.UNREACHABLE  # that who spoke for it died tells nothing of the zone
        return FromAbove(record.name, presence, until, sums.body)

    def _is_fresh(self, record: Record, upper: Member) -> bool:
        """Whether a delegate is heard, and what is held of it was told by this life of it."""
        shelf = upper.replica.shelf(record.name)
        return record.presence is Presence.FRESH and shelf is not None and is_of_this_life(record, shelf)

    def _stood_by(self, record: Record, upper: Member) -> float | None:
        """Until when a delegate stood by what is held of it; None where that is not known."""
        shelf = upper.replica.shelf(record.name)
        return None if shelf is None else self._vouched.until(record, shelf)

    def _sums_of(self, record: Record, upper: Member) -> Sums | None:
        """What a delegate tells of its own zone; None where that is nothing, or makes no sense."""
        shelf = upper.replica.shelf(record.name)
        held = None if shelf is None else shelf.held.get(AgentId(SUMS))
        if held is None or held.withdrawn:
            return None
        known = self._read.get(record.name)
        if known is None or known.body is not held.body:
            known = self._read[record.name] = self._decoded(held.body)
        return known if known.zone == record.info.zone else None

    def _decoded(self, body: bytes) -> Sums:
        try:
            sums = decode_sums(body)
        except WireError:
            self.words.undecodable += 1
            return Sums(body)
        return Sums(body, sums.zone, sums.there, sums.delegates)
