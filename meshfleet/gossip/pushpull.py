"""All that a member knows, in frames: filled by what their parts measure, since names, zones and addresses are as long
as their members like. A frame over the transport's limit would be lost whole, and everybody in it.

In the order in which whoever knows nobody needs it: who is there comes before what is said of them, so that whose word
it is can be told, and before their heartbeats and snapshots, which say nothing of a stranger.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from meshfleet.gossip.limits import FRAME_BYTES
from meshfleet.gossip.messages import Alive, Beat, Beats, Claim, Digest, Have, Revoked, Row, Sync

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from meshfleet.gossip.messages import Message
    from meshfleet.gossip.rumors import Measure

T = TypeVar("T")

CLAIMS_PER_SYNC = 120
"""Claims in one frame at most, some 300 bytes each: to look at so many signatures takes 17 ms, in which nobody else is
answered."""
ENTRIES_PER_SYNC = 1_000
"""The same of heartbeats, and of digest entries."""
REVOKED_PER_SYNC = 200
"""The same of revocations, some 150 bytes each, each with a signature to look at."""
ROWS_PER_SYNC = 40
"""The same of rows, each with a signature, and with up to 256 names of up to 64 bytes: two of those fill a frame."""


class Everything:
    """All that is to be told, and how much of it was."""

    def __init__(
        self,
        claims: Sequence[Claim],
        beats: Sequence[Beat],
        haves: Sequence[Have],
        revoked: Sequence[Revoked],
        rows: Sequence[Row],
        at: float,
        measure: Measure,
    ) -> None:
        self._claims: Sequence[Claim] = sorted(claims, key=_comes_later)
        self._beats, self._haves, self._revoked, self._rows = beats, haves, revoked, rows
        self._at = at
        self._measure = measure

    def frames(self, *, reply: bool) -> list[Sync]:
        """One at least, of which the first asks for the other side's where a `reply` is wanted."""
        frames = [self._next(reply=reply)]
        while self._claims or self._beats or self._haves or self._revoked or self._rows:
            frames.append(self._next(reply=False))
        return frames

    def _next(self, *, reply: bool) -> Sync:
        """As much as goes into one more."""
        at, measure = self._at, self._measure
        claims, self._claims, room = _part(self._claims, CLAIMS_PER_SYNC, FRAME_BYTES, lambda some: measure(_of(some)))
        if self._claims:
            return Sync(claims, Beats(()), Digest(()), reply)
        beats, self._beats, room = _part(self._beats, ENTRIES_PER_SYNC, room, lambda some: measure(Beats(some, at)))
        haves, self._haves, room = _part(self._haves, ENTRIES_PER_SYNC, room, lambda some: measure(Digest(some)))
        revoked, self._revoked, room = _part(
            self._revoked, REVOKED_PER_SYNC, room, lambda some: measure(_of((), (), some))
        )
        rows, self._rows, room = _part(self._rows, ROWS_PER_SYNC, room, lambda some: measure(_of((), some)))
        return Sync(claims, Beats(beats, at), Digest(haves), reply, rows, revoked)


def digests(haves: Sequence[Have], measure: Measure) -> list[Digest]:
    """All that is held, in messages that each fit a frame: one at least."""
    told: list[Digest] = []
    while haves or not told:
        some, haves, _ = _part(haves, ENTRIES_PER_SYNC, FRAME_BYTES, lambda some: measure(Digest(some)))
        told.append(Digest(some))
    return told


def _of(claims: tuple[Claim, ...], rows: tuple[Row, ...] = (), revoked: tuple[Revoked, ...] = ()) -> Message:
    return Sync(claims, Beats(()), Digest(()), False, rows, revoked)


def _part(
    items: Sequence[T], most: int, room: int, size: Callable[[tuple[T, ...]], int]
) -> tuple[tuple[T, ...], Sequence[T], int]:
    """As many of the first `items` as fit, at most `most` of them; the rest; and the room that is left.

    They are measured together, and where they are too large, as many are tried as would fit if all were as large: that
    is mostly the second try, where to measure one by one would make bytes of everything once more. With the whole
    frame for it one goes in any case, or this would never end.
    """
    count, least = min(most, len(items)), int(room == FRAME_BYTES)
    while count and (took := size(tuple(items[:count]))) > room and count > least:
        count = max(least, min(count - 1, count * room // took))
    if not count:
        return (), items, room
    return tuple(items[:count]), items[count:], room - took


def _comes_later(claim: Claim) -> bool:
    return not isinstance(claim, Alive)
