"""Whose word it is: what is passed on is signed by its origin, and looked at once, when it is news.

The core has no cryptography. Whoever drives it passes a `Notary`; here stands when that is asked. Never about what is
known already, never about pings and acks; and for a while no longer about what one peer passes on, once too much of
that proved forged: to look at a signature costs some hundred times what it costs to drop it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

import msgspec

from meshfleet.fleet.state import Snapshot
from meshfleet.gossip.limits import FORGERIES, FORGERIES_WITHIN, FORGERS, Counts
from meshfleet.gossip.messages import Alive, Finding, Row, Statement, Via

if TYPE_CHECKING:
    from collections.abc import Container

S = TypeVar("S", bound=Statement)


class Notary(Protocol):
    """Signs what this member says, and looks at the signatures of others."""

    def sign(self, statement: S) -> S:
        """The same with this member's signature; an Alive also with the credential of its key."""
        ...

    def examine(self, statement: Statement, signer: Alive | None) -> Finding:
        """Whether `signer`, as its own newest word introduces it, made the statement. None: nobody knows it here. An
        Alive introduces itself."""
        ...


class Trusting:
    """Signs with nothing and believes everything: for simulations of the core alone, in which nobody lies."""

    def sign(self, statement: S) -> S:
        """As it is."""
        return statement

    def examine(self, statement: Statement, signer: Alive | None) -> Finding:
        """Genuine."""
        return Finding.GENUINE


class Forgery(msgspec.Struct, frozen=True):
    """Somebody passed on what was not signed by whom it names."""

    by: str
    """The peer that sent it. By datagram any member can have said to be that peer; over a stream it was."""
    via: Via
    in_name_of: str
    kind: str
    """snapshot, row, alive, suspect, left, obituary or revoked."""
    times: int
    at: float
    """When last, in listening seconds."""


class Vouching:
    """The notary, asked as seldom as can be, and what came of it."""

    def __init__(self, notary: Notary, members: Container[str], counts: Counts) -> None:
        self._notary = notary
        self._members = members
        self._counts = counts
        self._by, self._via, self._at = "", Via.DATAGRAM, 0.0
        self._forgeries: dict[tuple[str, Via, str, str], Forgery] = {}
        self._caught: dict[tuple[str, Via], tuple[float, int]] = {}
        """Of whom too much proved forged of late: since when it is counted, and how much. One entry a member and way,
        and one for all strangers, since those can take any name."""

    def brought_by(self, peer: str, via: Via, at: float) -> None:
        """Who sent what is looked at from now on."""
        self._by, self._via, self._at = peer, via, at

    def sign(self, statement: S) -> S:
        """What I say, signed."""
        return self._notary.sign(statement)

    def holds(self, statement: Statement, signer: Alive | None) -> bool:
        """Whether `statement`, which would be news, is its signer's. If not, that is counted, and kept for whoever asks
        who sent it."""
        if self._caught and self._is_overdone():
            self._counts["unexamined"] += 1
            return False
        finding = self._notary.examine(statement, signer)
        if finding is Finding.GENUINE:
            return True
        if finding is Finding.UNVOUCHED:
            self._counts["unvouched"] += 1
            return False
        name = statement.node if isinstance(statement, Snapshot) else getattr(statement, "by", statement.name)
        kind = type(statement).__name__.lower()
        self._counts[f"forged_{kind if isinstance(statement, Snapshot | Row) else 'claim'}"] += 1
        self.caught(kind, name)
        return False

    def caught(self, kind: str, in_name_of: str) -> None:
        """What was brought last is a forgery."""
        line = (self._by, self._via, in_name_of, kind)
        known = self._forgeries.pop(line, None)
        times = 1 if known is None else known.times + 1
        self._forgeries[line] = Forgery(self._by, self._via, in_name_of, kind, times, self._at)
        if len(self._forgeries) > FORGERS:
            del self._forgeries[next(iter(self._forgeries))]
        since, count = self._caught.get(self._bearer, (self._at, 0))
        self._caught[self._bearer] = (since, count + 1)

    def forgeries(self) -> tuple[Forgery, ...]:
        """Who sent forgeries in whose name, the latest last."""
        return tuple(self._forgeries.values())

    @property
    def _bearer(self) -> tuple[str, Via]:
        return (self._by if self._by in self._members else "", self._via)

    def _is_overdone(self) -> bool:
        since, count = self._caught.get(self._bearer, (self._at, 0))
        if count and self._at - since >= FORGERIES_WITHIN:
            del self._caught[self._bearer]
            return False
        return count >= FORGERIES
