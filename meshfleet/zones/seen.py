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

ZONES_LIMIT = ZONES
"""Zones of which a node shows anything."""

WORSE = (Presence.FRESH, Presence.STALE, Presence.UNREACHABLE, Presence.DOWN, Presence.LEFT)
"""From the best to the worst, as far as a word about somebody goes."""


class Heard(NamedTuple):
    """One delegate's word of another zone, as it stands here."""

    by: NodeName
    carrier: Presence
    """What this node thinks of who says it."""
    silent_s: float
    """Since when nothing of the delegate has come."""
    wall_off_s: float
    """How far its clock is ahead."""
    word: ZoneWord

    @property
    def rank(self) -> tuple[int, int, int, str]:
        """The least is the best: who is heard, who hears them, and of a zone that is cut in two the larger part."""
        return WORSE.index(self.carrier), WORSE.index(self.word.presence), -self.word.sums.there, self.by


class Words:
    """Reads what delegates say, and keeps what it has read: bodies change far less often than they are looked at."""

    def __init__(self, member: Member, zone: str) -> None:
        self._member = member
        self._zone = zone
        self._read: dict[tuple[NodeName, str], tuple[bytes, ZoneWord | None]] = {}
        self.undecodable = 0
        """Words that are authentic and make no sense to this version."""

    def of_zones(self, at: float) -> dict[str, list[Heard]]:
        """Every zone that anybody tells of, with all that is said of it, the best first. `at` is in listening
        seconds."""
        found: dict[str, list[Heard]] = {}
        seen: set[tuple[NodeName, str]] = set()
        for name, carrier, silent_s, off_s, snapshots in self._shelves(at):
            for snapshot in snapshots:
                seen.add((name, snapshot.agent))
                word = self._word(name, snapshot)
                if word is not None and (word.sums.zone in found or len(found) < ZONES_LIMIT):
                    found.setdefault(word.sums.zone, []).append(Heard(name, carrier, silent_s, off_s, word))
        for gone in self._read.keys() - seen:
            del self._read[gone]
        for heard in found.values():
            heard.sort(key=lambda one: one.rank)
        return found

    def _shelves(self, at: float) -> Iterator[tuple[NodeName, Presence, float, float, list[Snapshot]]]:
        member = self._member
        for name, shelf in member.replica:
            words = [s for agent, s in shelf.held.items() if agent.startswith(WORD) and not s.withdrawn]
            record = member.roster.get(name)
            if words and name == member.name:
                yield member.name, Presence.FRESH, 0.0, 0.0, words
            elif words and record is not None:
                yield record.name, record.presence, max(0.0, at - record.beat_at), record.clock_offset or 0.0, words

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
        return tuple(_view(zone, heard[0], wall) for zone, heard in sorted(self.of_zones(at).items()))


def _view(zone: str, best: Heard, wall: float) -> ZoneView:
    """What is shown of a zone. It is never said to be better than who tells of it."""
    word, presence = best.word, best.word.presence
    reasons = [f"{best.by} hears {word.of}, who speaks for {zone}"]
    if word.presence is not Presence.FRESH:
        reasons = [f"{best.by} says so: it hears none of those who speak for {zone}"]
        if word.presence is Presence.STALE:
            reasons = [f"{best.by} says so: {word.of}, who made these sums, was not heard a moment ago"]
        if word.presence is Presence.LEFT:
            reasons = [f"{best.by} says so: all who spoke for {zone} said goodbye"]
    if best.carrier is not Presence.FRESH and word.presence is not Presence.LEFT:
        presence = max(presence, min(best.carrier, Presence.UNREACHABLE, key=WORSE.index), key=WORSE.index)
        reasons.append(f"{best.by} itself is {best.carrier.value} here")
    age = best.silent_s
    if word.last_seen_ms is not None:
        age = max(age, wall + best.wall_off_s - word.last_seen_ms / 1000)
    return ZoneView(
        zone=zone, presence=presence, age_s=round(age, 1), by=best.by, reasons=tuple(reasons), sums=word.sums
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
