"""The roll call: whose heartbeats were heard of late, one bit a member, and those that a caller lacks for an answer.

Passed on by everybody to three others, each heartbeat arrives 2.9 times. Called for it arrives about once: a member
raises one each `beat_interval`, so whose newest is older than that has raised another, and a caller lacks it. Both
sides must mean the same by each bit: the tags of all members that are not gone, oneself among them, in order. A hash
of that order goes along. Where it differs, as while somebody joins, nothing is read into the bits; heartbeats are
passed on as rumors then, for some seconds (`Heartbeats.at_odds`). And where it still differs when nothing has changed
here for a while, one of the two missed a rumor: they compare all that they know (`takes_up`), for the next push-pull
is half a minute away.

Only the first steps of a heartbeat's way are pushed, in datagrams that go anyway: its origin's head has it in each.
"""

from __future__ import annotations

from array import array
from math import inf
from typing import TYPE_CHECKING, TypeAlias
from zlib import crc32

from meshfleet.gossip.messages import Beat, RollAnswer, RollCall

if TYPE_CHECKING:
    from random import Random

    from meshfleet.fleet.timing import Timing
    from meshfleet.gossip.beats import Heartbeats
    from meshfleet.gossip.record import Record
    from meshfleet.gossip.roster import Roster

    _Place: TypeAlias = "Record | _Me"

ENTRIES = 70
"""Heartbeats in one answer: with 13 bytes each it fits a datagram."""

SPAN = 1_024
"""Members that one answer's bits speak of: in larger fleets an answer is of a stretch of the order."""

ANSWERS = 8
"""Answers to one call: the rest is called for half a second later. Each begins at a random place, so nobody's
heartbeat is always among the rest."""

RETURN = 6
"""Heartbeats that a caller must have, of those that who answers lacks, for a call in return: it takes a datagram."""

ALONE = 8
"""The same where there is nothing to answer, so that it takes two."""

SETTLED = 2.0
"""Seconds without a change of my order from which on a difference is no rumor still under way: one takes about a second
to reach everybody."""

DOUBT = 0.05
"""Seconds by which two may differ over when a heartbeat was raised: ages are rounded down by each who tells them."""


class _Me:
    """My own place in the order: of myself I lack nothing, and packets tell of me anyway."""

    __slots__ = ("beat", "beat_at", "roll_place", "tag")

    def __init__(self) -> None:
        self.tag = self.beat = self.roll_place = 0
        self.beat_at = inf


class RollCalls:
    """What is called for, and what is answered."""

    def __init__(self, beats: Heartbeats, roster: Roster, timing: Timing, rng: Random) -> None:
        self._beats = beats
        self._roster = roster
        self._timing = timing
        self._rng = rng
        self._me = _Me()
        self._order: list[_Place] = []
        """Members by tag, and me."""
        self._hash = b""
        self._stands = (-1, -1)
        """Version of the roster, and my own tag, of which that is the order."""
        self._compare_at = inf
        """When a difference is looked into (listening seconds)."""
        self._pause = SETTLED
        """How long it then takes until another is. Doubled each time: who is given up here and not there by two that
        see different parts of the fleet stays a difference."""

    def call(self, at: float) -> RollCall | None:
        """What calls for the heartbeats that I lack; None if I lack none."""
        lacked = self._lacked(at)
        return RollCall(self._hash, self._heard(lacked)) if lacked else None

    def _lacked(self, at: float) -> int:
        """One bit for each whose next heartbeat must have been raised by now."""
        since = at - self._timing.beat_interval
        self._review(at)
        late = bytes([raised_at <= since for raised_at in self._beats.raised])
        return int(late[-2::-1].translate(_DIGITS), 2)  # bit by bit it would take five times as long

    def _heard(self, lacked: int) -> bytes:
        count = len(self._order)
        return ((1 << count) - 1 ^ lacked).to_bytes((count + 7) // 8, "little")

    def answer(self, call: RollCall, at: float) -> list[RollAnswer | RollCall]:
        """Heartbeats that the caller lacks and I know; and a call of my own where it has enough that I lack. An empty
        answer says that our orders differ."""
        lacked, order = self._lacked(at), self._order
        if call.order != self._hash:
            self._beats.at_odds(at)
            return [RollAnswer(self._hash, 0, b"", (), at)]
        heard, known = int.from_bytes(call.heard, "little"), (1 << len(order)) - 1 ^ lacked
        since = at - self._timing.beat_interval + DOUBT
        told = [place for place in _places(known & ~heard) if order[place].beat_at > since and order[place].beat]
        if len(told) > ENTRIES * ANSWERS:
            start = self._rng.randrange(len(told))
            told = told[start:] + told[:start]
        said: list[RollAnswer | RollCall] = [self._told(places, at) for places in _stretches(told)]
        if not call.returned and (heard & lacked).bit_count() >= (RETURN if said else ALONE):
            said.append(RollCall(self._hash, self._heard(lacked), returned=True))
        return said

    def differs(self, call: RollCall, at: float) -> bool:
        """Whether the caller means other members than I do."""
        self._review(at)
        return call.order != self._hash

    def takes_up(self, call: RollCall, at: float) -> bool:
        """Whether to compare all that I know with the caller, now: our orders differ, and mine has stood for long. The
        next time is later then, whoever calls."""
        if not self.differs(call, at) or at < self._compare_at:
            return False
        self._pause = min(2 * self._pause, self._timing.push_pull_interval)
        self._compare_at = at + self._pause
        return True

    def _told(self, places: list[int], at: float) -> RollAnswer:
        first = places[0] & ~7
        bits = 0
        for place in places:
            bits |= 1 << place - first
        records = [self._order[place] for place in places]
        entries = tuple([self._beats.newest(record) for record in records if not isinstance(record, _Me)])
        return RollAnswer(self._hash, first, bits.to_bytes((bits.bit_length() + 7) // 8, "little"), entries, at)

    def read(self, answer: RollAnswer, at: float) -> tuple[Beat, ...]:
        """The heartbeats of an answer, each with its member's tag; none where our orders differ."""
        order = self._review(at)
        if answer.order != self._hash:
            self._beats.at_odds(at)
            return ()
        places = _places(int.from_bytes(answer.told, "little") << answer.first)
        told = [order[place].tag for place in places if place < len(order)]
        return tuple(
            [
                Beat(tag, beat.counter, beat.raised_at, beat.proof)
                for tag, beat in zip(told, answer.entries, strict=False)
            ]
        )

    def _review(self, at: float) -> list[_Place]:
        """The order as it is now."""
        stands = (self._roster.version, self._beats.tag)
        if stands != self._stands:
            self._stands, self._me.tag = stands, self._beats.tag
            self._order = sorted([*[r for r in self._roster if not r.is_gone], self._me], key=_by_tag)
            tags = b"".join([place.tag.to_bytes(5, "big") for place in self._order])
            before, self._hash = self._hash, crc32(tags).to_bytes(4, "big")
            if self._hash != before:
                self._pause = SETTLED
                self._compare_at = at + SETTLED
            for record in self._roster:
                record.roll_place = -1
            for i, place in enumerate(self._order):
                place.roll_place = i
            self._beats.raised = array("d", [*[place.beat_at for place in self._order], inf])
        return self._order


_DIGITS = bytes.maketrans(b"\0\1", b"01")


def _by_tag(place: _Place) -> int:
    return place.tag


def _places(bits: int) -> list[int]:
    """Which bits are set, the lowest first."""
    places: list[int] = []
    while bits:
        lowest = bits & -bits
        places.append(lowest.bit_length() - 1)
        bits ^= lowest
    return places


def _stretches(places: list[int]) -> list[list[int]]:
    """`places` as answers take them: in order, so many at most, and not too far apart."""
    stretches: list[list[int]] = []
    for place in places:
        last = stretches[-1] if stretches else []
        if not last or len(last) >= ENTRIES or not last[0] <= place < (last[0] & ~7) + SPAN:
            if len(stretches) >= ANSWERS:
                break
            stretches.append([])
        stretches[-1].append(place)
    return stretches
