"""What has been claimed of one name, and how claims merge.

The merge is a join: commutative, associative, idempotent. Whoever has heard the same set of claims, in whatever order
and however often, knows the same (tests/gossip/test_claims.py draws the orders). Numbers decide: a higher epoch is a
later life, a higher incarnation is the member's own newer word; at equal numbers the worse news wins (SWIM section
4.2).

One order matters. An accusation or obituary is of a word that its subject has said: one that comes before that word is
not kept, and has to be told again, as rumors and push-pull do. Kept, it would put aside all that stands against the
last word, and of who is dead no other comes: one lie of one member, and a death is never presumed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, assert_never

from meshfleet.gossip.limits import ACCUSERS
from meshfleet.gossip.messages import Alive, Claim, Left, Obituary, Suspect

if TYPE_CHECKING:
    from collections.abc import Callable

Number = tuple[int, int]
"""(epoch, incarnation), compared in this order."""

NEVER: Number = (-1, -1)


def _alone(name: str) -> str:
    return name


@dataclass(slots=True)
class Known:
    """All that has been claimed of one name, reduced to what still matters."""

    host_of: Callable[[str], str] = field(default=_alone, repr=False, compare=False)
    """On which host a member is."""
    alive: Alive | None = None
    left: Left | None = None
    accused: Number = NEVER
    suspects: tuple[Suspect, ...] = ()
    """Those at `accused`: one from each host, for confirmations count hosts, and sixteen on one would hide all others;
    the smallest name of it, at most ACCUSERS, by name."""
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
    def accusers(self) -> frozenset[str]:
        """Who could not reach it, in the life and incarnation that stands accused."""
        return frozenset([suspect.by for suspect in self.suspects])

    @property
    def is_accused(self) -> bool:
        """Whether a suspicion stands that the member has not refuted."""
        return self._stands(self.accused)

    @property
    def is_buried(self) -> bool:
        """Whether an obituary stands that the member has not refuted."""
        return self._stands(self.died)

    def _stands(self, number: Number) -> bool:
        """Whether what is held against this life and incarnation is neither refuted nor settled by a goodbye, nor ahead
        of what the member has said."""
        settled = self.left is not None and number[0] <= self.left.epoch
        return number > NEVER and (self.alive is None or number == self.number) and not settled

    def is_ahead(self, claim: Suspect | Obituary) -> bool:
        """Whether it is said of a word that its subject has not said, as far as is known here."""
        return self.alive is not None and (claim.epoch, claim.incarnation) > self.number

    def is_news(self, claim: Claim) -> bool:
        """Whether merging `claim` would change anything. Asked first, since only news is worth a look at its
        signature."""
        match claim:
            case Alive():
                return self._is_newer(claim)
            case Suspect():
                number = (claim.epoch, claim.incarnation)
                counts = number >= self.accused and claim.by != claim.name and self._stands(number)
                return counts and (number > self.accused or self._with(claim) != self.suspects)
            case Left():
                return self.left is None or _left_rank(claim) > _left_rank(self.left)
            case Obituary():
                number = (claim.epoch, claim.incarnation)
                counts = number >= self.died and claim.by != claim.name and self._stands(number)
                return counts and (number > self.died or self._is_another(claim))
            case _:
                assert_never(claim)

    def add(self, claim: Claim) -> bool:
        """Merge one claim; whether it changed anything."""
        if not self.is_news(claim):
            return False
        match claim:
            case Alive():
                self.alive = claim
                self._forget_refuted()
            case Suspect():
                number = (claim.epoch, claim.incarnation)
                self.suspects = self._with(claim) if number == self.accused else (claim,)
                self.accused = number
            case Left():
                self.left = claim
                self._forget_refuted()
            case Obituary():
                number = (claim.epoch, claim.incarnation)
                others = [o for o in self.obituaries if o.by != claim.by] if number == self.died else []
                self.died, self.obituaries = number, tuple(sorted([*others, claim], key=_by)[:ACCUSERS])
            case _:
                assert_never(claim)
        return True

    def claims(self) -> list[Claim]:
        """Claims that, added to an empty Known, make this one: what is told to whoever knows less."""
        told: list[Claim] = []
        if self.alive is not None:
            told.append(self.alive)
        if self.left is not None:
            told.append(self.left)
        if self.is_accused and self.alive is not None:
            told += self.suspects
        if self.is_buried:
            told += self.obituaries
        return told

    def _is_newer(self, claim: Alive) -> bool:
        # Equal numbers with different contents can only come from two processes with one name and epoch. Any fixed
        # choice will do, as long as everybody makes the same.
        known = self.alive
        if known is None:
            return True
        number, newest = (claim.epoch, claim.incarnation), (known.epoch, known.incarnation)
        return number > newest or (number == newest and claim != known and repr(claim.info) > repr(known.info))

    def _with(self, claim: Suspect) -> tuple[Suspect, ...]:
        """Those at `accused` when this one comes as well."""
        if any(said.by == claim.by for said in self.suspects):
            return self.suspects
        host = self.host_of(claim.by)
        rival = next((said for said in self.suspects if self.host_of(said.by) == host), None)
        if rival is not None and rival.by < claim.by:
            return self.suspects
        others = [said for said in self.suspects if said is not rival]
        return tuple(sorted([*others, claim], key=_by)[:ACCUSERS])

    def _is_another(self, claim: Obituary) -> bool:
        """Whether it is kept beside those at the same number, or in the place of its author's last."""
        rival = next((known for known in self.obituaries if known.by == claim.by), None)
        return _has_room(self.obituaries, claim.by) if rival is None else rival.how < claim.how

    def _forget_refuted(self) -> None:
        """What no longer stands is as if it had never been said: so it does not matter which came first."""
        if not self.is_accused:
            self.accused, self.suspects = NEVER, ()
        if not self.is_buried:
            self.died, self.obituaries = NEVER, ()


def _by(claim: Suspect | Obituary) -> str:
    return claim.by


def _has_room(known: tuple[Obituary, ...], by: str) -> bool:
    """Whether what `by` says is kept beside what is known: of many the smallest names are."""
    return len(known) < ACCUSERS or by < known[-1].by


def _left_rank(claim: Left) -> tuple[int, bool, str, str]:
    # The member's own goodbye outweighs an operator's `forget`.
    return (claim.epoch, claim.by == claim.name, claim.by, claim.reason)
