"""What rides along: claims passed on with every datagram that has room, each a bounded number of times (SWIM
section 4.1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, log10
from typing import TYPE_CHECKING

from meshfleet.gossip.limits import RUMORS, Counts
from meshfleet.gossip.messages import Alive, Left, Message, Obituary, Revoked, Rumored, Suspect

if TYPE_CHECKING:
    from meshfleet.fleet.timing import Timing

Measure = Callable[[Message], int]
"""Encoded bytes of one message. Passed in, because how messages become bytes is none of the core's business."""


@dataclass(slots=True)
class Rumor:
    """One claim and how often it was sent."""

    claim: Rumored
    size: int
    sent: int = 0


class Rumors:
    """Claims still to be passed on. The newest about a node replaces the older; the least often sent go first.

    Obituaries, goodbyes and revocations go before everything else: they are rare, and somebody waits for them.
    Suspicions go last: one refutation answers many of them, and must not wait behind them.
    """

    def __init__(self, timing: Timing, measure: Measure, counts: Counts) -> None:
        self._retransmit = timing.retransmit
        self._measure = measure
        self._counts = counts
        self._rumors: dict[tuple[str, str], Rumor] = {}

    def __len__(self) -> int:
        return len(self._rumors)

    def add(self, claim: Rumored) -> None:
        """Pass `claim` on from now. What it makes obsolete is no longer sent."""
        if isinstance(claim, Alive):
            self._drop_refuted(claim)
        self._rumors[_slot(claim)] = Rumor(claim, self._measure(claim))
        if len(self._rumors) > RUMORS:
            most_sent = max(self._rumors, key=lambda slot: self._rumors[slot].sent)
            del self._rumors[most_sent]
            self._counts["dropped_rumor"] += 1

    def take(self, room: int, members: int) -> tuple[list[Rumored], int]:
        """Claims to send now, at most `room` bytes of them, and their bytes; each counts as sent once more."""
        if room < _SMALLEST:
            return [], 0
        before = room
        times = self._retransmit * ceil(log10(members + 2))
        taken: list[Rumored] = []
        for slot in sorted(self._rumors, key=self._urgency):
            rumor = self._rumors[slot]
            if rumor.size > room:
                continue
            room -= rumor.size
            taken.append(rumor.claim)
            rumor.sent += 1
            if rumor.sent >= times:
                del self._rumors[slot]
            if room < _SMALLEST:
                break
        return taken, before - room

    def _urgency(self, slot: tuple[str, str]) -> tuple[bool, bool, int]:
        rumor = self._rumors[slot]
        return (not isinstance(rumor.claim, Obituary | Left | Revoked), isinstance(rumor.claim, Suspect), rumor.sent)

    def _drop_refuted(self, alive: Alive) -> None:
        word = (alive.epoch, alive.incarnation)
        for slot in [slot for slot in self._rumors if slot[0] == alive.name]:
            claim = self._rumors[slot].claim
            if isinstance(claim, Suspect | Obituary) and (claim.epoch, claim.incarnation) < word:
                del self._rumors[slot]


_SMALLEST = 16
"""Below this room no claim fits; looking on would only cost time."""


def _slot(claim: Rumored) -> tuple[str, str]:
    """What a newer claim replaces: a member's own word as one, and each other's word about it apart."""
    match claim:
        case Alive() | Left():
            return (claim.name, "")
        case Suspect():
            return (claim.name, f"suspect/{claim.by}")
        case Obituary():
            return (claim.name, f"obituary/{claim.by}")
        case Revoked():
            return (claim.name, "revoked")
