"""What a node knows of other zones: of all that delegates of its own zone say, the best word of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from meshfleet.errors import WireError
from meshfleet.fleet.presence import Presence
from meshfleet.fleet.zone import ZoneView, ZoneWord
from meshfleet.gossip.limits import ZONES
from meshfleet.wire.zones import UPPER, WORD, decode_upper, decode_word

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshfleet.fleet.names import Address, AgentId, NodeName
    from meshfleet.fleet.state import Snapshot
    from meshfleet.gossip.member import Member
    from meshfleet.gossip.record import Record
    from meshfleet.gossip.replica import Shelf

ZONES_LIMIT = ZONES
"""Zones of which a node shows anything."""

WORSE = (Presence.FRESH, Presence.STALE, Presence.UNREACHABLE, Presence.DOWN, Presence.LEFT)
"""From the best to the worst, as far as a word about somebody goes."""


class Heard(NamedTuple):
    """One delegate's word of another zone, as it stands here."""

    by: NodeName
    carrier: Presence
    """What this node thinks of who says it."""
    age_s: float
    """How long ago the sums were made, or last said to be so, by a delegate that lived."""
    word: ZoneWord

    def rank(self, margin: float) -> tuple[bool, float, str]:
        """The least is the best: what is fresh, and of a zone that is cut in two the larger part; else the newest sums,
        for the larger part of the past is a zone in which nobody had died yet. Two delegates may have heard another
        zone `margin` s apart: by so much has the word of one who is silent to be newer than that of one who is not."""
        if self.carrier is Presence.FRESH and self.word.presence is Presence.FRESH:
            return False, -self.word.sums.there, self.by
        return True, self.age_s + (0.0 if self.carrier is Presence.FRESH else margin), self.by


class Vouched:
    """Until when a node stood by what is held of it: up to the last heartbeat of the life that said it.

    A life that has told nothing yet leaves what the one before it told on its shelf, and is heard itself."""

    def __init__(self) -> None:
        self._until: dict[NodeName, tuple[int, float]] = {}

    def until(self, record: Record, shelf: Shelf) -> float | None:
        """That heartbeat, in listening seconds; None where nobody here heard that life."""
        if is_of_this_life(record, shelf):
            self._until[record.name] = (shelf.epoch, record.beat_at)
            return record.beat_at
        epoch, at = self._until.get(record.name, (-1, 0.0))
        return at if epoch == shelf.epoch else None

    def keep(self, member: Member) -> None:
        """Forget who is not known any more."""
        for gone in [name for name in self._until if member.roster.get(name) is None]:
            del self._until[gone]


def is_of_this_life(record: Record, shelf: Shelf) -> bool:
    """Whether what is held of a node was told by the life of it that is heard."""
    return shelf.epoch >= record.epoch


class Words:
    """Reads what delegates say, and keeps what it has read: bodies change far less often than they are looked at."""

    def __init__(self, member: Member, zone: str) -> None:
        self._member = member
        self._zone = zone
        self._read: dict[tuple[NodeName, str], tuple[bytes, ZoneWord | None]] = {}
        self._vouched = Vouched()
        self.undecodable = 0
        """Words that are authentic and make no sense to this version."""

    def of_zones(self, at: float, wall: float) -> dict[str, list[Heard]]:
        """Every zone that anybody tells of, with all that is said of it, the best first. `at` is in listening
        seconds, `wall` the same moment in Unix time. To be asked now and then: how long the last life of who tells was
        heard is known by having looked."""
        found: dict[str, list[Heard]] = {}
        seen: set[tuple[NodeName, str]] = set()
        for name, carrier, silent_s, off_s, snapshots in self._shelves(at):
            for snapshot in snapshots:
                seen.add((name, snapshot.agent))
                word = self._word(name, snapshot)
                if word is not None and (word.sums.zone in found or len(found) < ZONES_LIMIT):
                    age_s = silent_s
                    if word.last_seen_ms is not None:
                        age_s = max(age_s, wall + off_s - word.last_seen_ms / 1000)
                    found.setdefault(word.sums.zone, []).append(Heard(name, carrier, age_s, word))
        for gone in self._read.keys() - seen:
            del self._read[gone]
        self._vouched.keep(self._member)
        for heard in found.values():
            heard.sort(key=lambda one: one.rank(self._member.timing.heartbeat))
        return found

    def _shelves(self, at: float) -> Iterator[tuple[NodeName, Presence, float, float, list[Snapshot]]]:
        member = self._member
        for name, shelf in member.replica:
            words = [s for agent, s in shelf.held.items() if agent.startswith(WORD) and not s.withdrawn]
            record = member.roster.get(name)
            if words and name == member.name:
                yield member.name, Presence.FRESH, 0.0, 0.0, words
            elif words and record is not None and (until := self._vouched.until(record, shelf)) is not None:
                carrier = record.presence
                if carrier is Presence.FRESH and not is_of_this_life(record, shelf):
                    carrier = Presence.STALE
                yield record.name, carrier, max(0.0, at - until), record.clock_offset or 0.0, words

    def _word(self, name: NodeName, snapshot: Snapshot) -> ZoneWord | None:
        known = self._read.get((name, snapshot.agent))
        if known is None or known[0] is not snapshot.body:
            known = self._read[name, snapshot.agent] = (snapshot.body, self._decoded(snapshot))
        return known[1]

    def _decoded(self, snapshot: Snapshot) -> ZoneWord | None:
        try:
            word = decode_word(snapshot.body)
        except WireError:
            word = None
        if word is None or snapshot.agent != WORD + word.sums.zone or word.sums.zone == self._zone:
            self.undecodable += 1
            return None
        return word

    def views(self, at: float, wall: float) -> tuple[ZoneView, ...]:
        """All other zones, in order of name, at a moment that is `wall` in Unix time."""
        return tuple(_view(zone, heard[0]) for zone, heard in sorted(self.of_zones(at, wall).items()))


def _view(zone: str, best: Heard) -> ZoneView:
    """What is shown of a zone. It is never said to be better than who tells of it."""
    word, presence = best.word, best.word.presence
    reasons = [f"{best.by} hears {word.of}, who speaks for {zone}"]
    if word.presence is not Presence.FRESH:
        reasons = [f"{best.by} says so: it hears none of those who speak for {zone}"]
        if word.presence is Presence.STALE:
            reasons = [f"{best.by} says so: {word.of}, who made these sums, has not stood by them since"]
        if word.presence is Presence.LEFT:
            reasons = [f"{best.by} says so: all who spoke for {zone} said goodbye"]
    if best.carrier is not Presence.FRESH and word.presence is not Presence.LEFT:
        presence = max(presence, min(best.carrier, Presence.UNREACHABLE, key=WORSE.index), key=WORSE.index)
        reasons.append(f"{best.by} itself is {best.carrier.value} here")
    return ZoneView(
        zone=zone, presence=presence, age_s=round(best.age_s, 1), by=best.by, reasons=tuple(reasons), sums=word.sums
    )


def uppers(member: Member) -> dict[NodeName, Address]:
    """Who of this zone says that it listens in the upper mesh, and where."""
    found: dict[NodeName, Address] = {}
    for name, shelf in member.replica:
        told: Snapshot | None = shelf.held.get(_UPPER)
        record = member.roster.get(name)
        there = record is not None and not record.is_gone
        if told is not None and not told.withdrawn and (there or name == member.name):
            try:
                found[member.name if record is None else record.name] = decode_upper(told.body)
            except WireError:
                continue
    return found


_UPPER: AgentId = UPPER  # type: ignore[assignment]  # an id that no agent can have
