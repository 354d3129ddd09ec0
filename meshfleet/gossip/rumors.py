"""What rides along: claims passed on with every datagram that has room, each a bounded number of times (SWIM
section 4.1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, log10
from typing import TYPE_CHECKING

from meshfleet.gossip.limits import RUMORS, Counts
from meshfleet.gossip.messages import Alive, Claim, Left, Message, Obituary, Revoked, Rumored, Suspect

if TYPE_CHECKING:
    from meshfleet.fleet.timing import Timing

Measure = Callable[[Message], int]
"""Encoded bytes of one message. Passed in, because how messages become bytes is none of the core's business."""


@dataclass(slots=True, eq=False)
class Rumor:
    """One claim, how often it was sent, and how often others told it."""

    slot: tuple[str, str]
    claim: Rumored
    size: int
    rank: int
    """The lowest goes first: see Rumors."""
    sent: int = 0
    heard: int = 0


class Rumors:
    """Claims still to be passed on. The newest about a node replaces the older; the least often sent go first.

    Obituaries, goodbyes and revocations go before everything else: they are rare, and somebody waits for them.
    Suspicions go last: one refutation answers many of them, and must not wait behind them.

    Each is sent `retransmit` times the decimal digits of the fleet's size. Who is told by others what it passes on
    itself needs to tell it less often ("feedback", Demers and others, PODC 1987): what it hears counts as sent, once it
    was sent `retransmit` times. After 128 nodes had joined at once, that took away 38 % of all claims sent. What
    somebody waits for is sent as often as ever.
    """

    def __init__(self, timing: Timing, measure: Measure, counts: Counts) -> None:
        self._retransmit = timing.retransmit
        self._measure = measure
        self._counts = counts
        self._rumors: dict[tuple[str, str], Rumor] = {}
        self._turns: dict[tuple[int, int], dict[tuple[str, str], Rumor]] = {}
        """(rank, sent) -> those of which both are true. Kept in order, for each packet asks whose turn it is."""
        self._least = _MUCH
        """No rumor here is smaller."""

    def __len__(self) -> int:
        return len(self._rumors)

    def add(self, claim: Rumored) -> None:
        """Pass `claim` on from now. What it makes obsolete is no longer sent."""
        if isinstance(claim, Alive):
            self._drop_refuted(claim)
        slot = _slot(claim)
        if (older := self._rumors.pop(slot, None)) is not None:
            self._step_out(older)
        rumor = self._rumors[slot] = Rumor(slot, claim, self._measure(claim), _rank(claim))
        self._least = min(self._least, rumor.size)
        self._line_up(rumor)
        if len(self._rumors) > RUMORS:
            most_sent = max(self._rumors.values(), key=lambda rumor: rumor.sent)
            self._drop(most_sent)
            self._counts["dropped_rumor"] += 1

    def heard(self, claim: Claim, members: int) -> None:
        """Somebody told a claim that is known here already."""
        rumor = self._rumors.get(_slot(claim))
        if rumor is not None and rumor.rank != _AWAITED and rumor.claim == claim:
            rumor.heard += 1
            if self._is_done(rumor, members):
                self._drop(rumor)

    def take(self, room: int, members: int) -> tuple[list[Rumored], int]:
        """Claims to send now, at most `room` bytes of them, and their bytes; each counts as sent once more."""
        if room < self._least:
            return [], 0
        before = room
        taken: list[Rumor] = []
        for rumor in (rumor for turn in sorted(self._turns) for rumor in self._turns[turn].values()):
            if rumor.size <= room:
                room -= rumor.size
                taken.append(rumor)
            if room < self._least:
                break
        for rumor in taken:
            self._step_out(rumor)
            rumor.sent += 1
            if self._is_done(rumor, members):
                del self._rumors[rumor.slot]
            else:
                self._line_up(rumor)
        if not self._rumors:
            self._least = _MUCH
        return [rumor.claim for rumor in taken], before - room

    def _is_done(self, rumor: Rumor, members: int) -> bool:
        times = self._retransmit * ceil(log10(members + 2))
        return rumor.sent >= times or (rumor.sent >= self._retransmit and rumor.sent + rumor.heard >= times)

    def _line_up(self, rumor: Rumor) -> None:
        self._turns.setdefault((rumor.rank, rumor.sent), {})[rumor.slot] = rumor

    def _step_out(self, rumor: Rumor) -> None:
        turn = (rumor.rank, rumor.sent)
        del self._turns[turn][rumor.slot]
        if not self._turns[turn]:
            del self._turns[turn]

    def _drop(self, rumor: Rumor) -> None:
        del self._rumors[rumor.slot]
        self._step_out(rumor)

    def _drop_refuted(self, alive: Alive) -> None:
        word = (alive.epoch, alive.incarnation)
        said_by_others = [line for (rank, _), line in self._turns.items() if rank != _OWN_WORD]
        for rumor in [r for line in said_by_others for r in line.values() if r.claim.name == alive.name]:
            if isinstance(rumor.claim, Suspect | Obituary) and (rumor.claim.epoch, rumor.claim.incarnation) < word:
                self._drop(rumor)


_MUCH = 1 << 30
"""Bytes: more than there is room for anywhere."""


_AWAITED, _OWN_WORD, _SUSPICION = range(3)
"""Ranks."""


def _rank(claim: Rumored) -> int:
    if isinstance(claim, Obituary | Left | Revoked):
        return _AWAITED
    return _SUSPICION if isinstance(claim, Suspect) else _OWN_WORD


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
