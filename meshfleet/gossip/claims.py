"""What has been claimed of one name, and how claims merge.

The merge is a join: commutative, associative, idempotent. Whoever has heard the same set of claims, in whatever order
and however often, knows the same (tests/gossip/test_claims.py draws the orders). Numbers decide: a higher epoch is a
later life, a higher incarnation is the member's own newer word; at equal numbers the worse news wins (SWIM section
4.2).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import assert_never

from meshfleet.gossip.limits import ACCUSERS
from meshfleet.gossip.messages import Alive, Claim, Left, Obituary, Suspect

Number = tuple[int, int]
"""(epoch, incarnation), compared in this order."""

NEVER: Number = (-1, -1)


@dataclass(slots=True)
class Known:
    """All that has been claimed of one name, reduced to what still matters."""

    alive: Alive | None = None
    left: Left | None = None
    accused: Number = NEVER
    accusers: frozenset[str] = field(default_factory=frozenset)
    died: Number = NEVER
    obituaries: tuple[Obituary, ...] = ()
    """Those at `died`: by name of who says so, at most ACCUSERS."""

    @property
    def number(self) -> Number:
        """The newest word of the member itself."""
        return NEVER if self.alive is None else (self.alive.epoch, self.alive.incarnation)

    @property
    def has_left(self) -> bool:
        """Whether its newest life said goodbye."""
        return self.left is not None and (self.alive is None or self.left.epoch >= self.alive.epoch)

    @property
    def is_accused(self) -> bool:
        """Whether a suspicion stands that the member has not refuted."""
        return self._stands(self.accused)

    @property
    def is_buried(self) -> bool:
        """Whether an obituary stands that the member has not refuted."""
        return self._stands(self.died)

    def _stands(self, number: Number) -> bool:
        """Whether what is held against this life and incarnation is neither refuted nor settled by a goodbye."""
        settled = self.left is not None and number[0] <= self.left.epoch
        return number > NEVER and number >= self.number and not settled

    def add(self, claim: Claim) -> bool:
        """Merge one claim; whether it changed anything."""
        match claim:
            case Alive():
                return self._add_alive(claim)
            case Suspect():
                return self._add_suspect(claim)
            case Left():
                return self._add_left(claim)
            case Obituary():
                return self._add_obituary(claim)
            case _:
                assert_never(claim)

    def claims(self) -> list[Claim]:
        """Claims that, added to an empty Known, make this one: what is told to whoever knows less."""
        told: list[Claim] = []
        if self.alive is not None:
            told.append(self.alive)
        if self.left is not None:
            told.append(self.left)
        if self.is_accused:
            epoch, incarnation = self.accused
            name = self.alive.name if self.alive else ""
            told += [Suspect(name, epoch, incarnation, by) for by in sorted(self.accusers) if name]
        if self.is_buried:
            told += self.obituaries
        return told

    def _add_alive(self, claim: Alive) -> bool:
        # Equal numbers with different contents can only come from two processes with one name and epoch. Any fixed
        # choice will do, as long as everybody makes the same.
        known = self.alive
        if known is not None:
            number, newest = (claim.epoch, claim.incarnation), (known.epoch, known.incarnation)
            if number < newest or (number == newest and (claim == known or repr(claim.info) <= repr(known.info))):
                return False
        self.alive = claim
        self._forget_refuted()
        return True

    def _add_suspect(self, claim: Suspect) -> bool:
        number = (claim.epoch, claim.incarnation)
        if number < self.accused or claim.by == claim.name or not self._stands(number):
            return False
        before = self.accusers if number == self.accused else frozenset()
        accusers = frozenset(sorted(before | {claim.by})[:ACCUSERS])
        if number == self.accused and accusers == before:
            return False
        self.accused, self.accusers = number, accusers
        return True

    def _add_left(self, claim: Left) -> bool:
        if self.left is not None and _left_rank(claim) <= _left_rank(self.left):
            return False
        self.left = claim
        self._forget_refuted()
        return True

    def _forget_refuted(self) -> None:
        """What no longer stands is as if it had never been said: so it does not matter which came first."""
        if not self.is_accused:
            self.accused, self.accusers = NEVER, frozenset()
        if not self.is_buried:
            self.died, self.obituaries = NEVER, ()

    def _add_obituary(self, claim: Obituary) -> bool:
        number = (claim.epoch, claim.incarnation)
        if number < self.died or claim.by == claim.name or not self._stands(number):
            return False
        before = self.obituaries if number == self.died else ()
        merged = {known.by: known for known in before}
        rival = merged.get(claim.by)
        if rival is not None and rival.how >= claim.how:
            return False
        merged[claim.by] = claim
        obituaries = tuple(merged[by] for by in sorted(merged)[:ACCUSERS])
        if number == self.died and obituaries == before:
            return False
        self.died, self.obituaries = number, obituaries
        return True


def _left_rank(claim: Left) -> tuple[int, bool, str, str]:
    # The member's own goodbye outweighs an operator's `forget`.
    return (claim.epoch, claim.by == claim.name, claim.by, claim.reason)
