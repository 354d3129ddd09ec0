"""Whose word it is: what is passed on is signed by its origin, and looked at once, when it is news.

The core has no cryptography. Whoever drives it passes a `Notary`; here stands when that is asked. Never about what is
known already, never about pings and acks; and for a while no longer about what one peer passes on, once too much of
that proved forged: to look at a signature costs some hundred times what it costs to drop it.

Heartbeats have proofs instead of signatures, each the hash of the next one's. A newer one is believed if it hashes back
to what is known: the newest believed, or the anchor in its origin's Alive.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

import msgspec

from meshfleet.fleet.state import Snapshot
from meshfleet.gossip.limits import FORGERIES, FORGERIES_WITHIN, FORGERS, IN_VAIN, NEAR, PROVING, WASTED, Counts
from meshfleet.gossip.messages import Alive, Finding, Row, Statement, Via
from meshfleet.gossip.tags import chain_end

if TYPE_CHECKING:
    from collections.abc import Container

    from meshfleet.gossip.record import Record

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

    def prove(self, epoch: int, end: int, beat: int) -> bytes:
        """The proof of this member's heartbeat `beat` in that life of it, by the chain whose last one is `end`."""
        ...

    def follows(self, name: str, epoch: int, end: int, known: tuple[int, bytes], beat: tuple[int, bytes]) -> bool:
        """Whether `beat`, a heartbeat and its proof, hashes back to the one `known`, both of that chain. One hash for
        each heartbeat between them."""
        ...


class Trusting:
    """Signs with nothing and believes everything: for simulations of the core alone, in which nobody lies."""

    def sign(self, statement: S) -> S:
        """As it is."""
        return statement

    def examine(self, statement: Statement, signer: Alive | None) -> Finding:
        """Genuine."""
        return Finding.GENUINE

    def prove(self, epoch: int, end: int, beat: int) -> bytes:
        """Nothing: a `Vouching` that trusts never asks."""
        return b""

    def follows(self, name: str, epoch: int, end: int, known: tuple[int, bytes], beat: tuple[int, bytes]) -> bool:
        """It does."""
        return True


class Forgery(msgspec.Struct, frozen=True):
    """Somebody passed on what was not signed by whom it names."""

    by: str
    """The peer that sent it. By datagram any member can have said to be that peer; over a stream it was."""
    via: Via
    in_name_of: str
    kind: str
    """snapshot, row, alive, suspect, left, obituary, revoked or heartbeat."""
    times: int
    at: float
    """When last, in listening seconds."""


class Vouching:
    """The notary, asked as seldom as can be, and what came of it."""

    def __init__(self, notary: Notary, members: Container[str], counts: Counts) -> None:
        self._notary = notary
        self._members = members
        self._counts = counts
        self.trusts = isinstance(notary, Trusting)
        """Whether nothing is proven here, and nothing asked."""
        self.prove = notary.prove
        self._by, self._via, self._at = "", Via.DATAGRAM, 0.0
        self._forgeries: dict[tuple[str, Via, str, str], Forgery] = {}
        self._caught: dict[tuple[str, Via], tuple[float, int]] = {}
        """Of whom too much proved forged of late: since when it is counted, and how much. One entry a member and way,
        and one for all strangers, since those can take any name."""
        self._wasted: dict[tuple[str, Via], tuple[float, int]] = {}
        """Hashes that were spent of late on far heartbeats of whom, and since when; by the same names."""
        self._in_vain = self._far = 0
        """Hashes that this packet's heartbeats cost: those that proved nothing, and those of far ones."""

    def brought_by(self, peer: str, via: Via, at: float) -> None:
        """Who sent what is looked at from now on: one packet."""
        self._by, self._via, self._at = peer, via, at
        self._in_vain = self._far = 0

    def sign(self, statement: S) -> S:
        """What I say, signed."""
        return self._notary.sign(statement)

    def holds(self, statement: Statement, signer: Alive | None) -> bool:
        """Whether `statement`, which would be news, is its signer's. If not, that is counted, and kept for whoever asks
        who sent it."""
        if not self.may_look():
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

    def may_look(self) -> bool:
        """Whether a signature is looked at that was brought now. If not, that is counted."""
        if self._caught and self._is_overdone():
            self._counts["unexamined"] += 1
            return False
        return True

    def anchored(self, record: Record, beat: int) -> tuple[int, bytes] | None:
        """The newest heartbeat that is known to be the member's and of the same chain as its `beat`, with its proof.
        None: that chain is not known here, or only from a later heartbeat on."""
        end, alive = chain_end(record.tag, beat - 1), record.alive
        known: tuple[int, bytes] | None = None
        if record.beat and chain_end(record.tag, record.beat - 1) == end:
            known = (record.beat, record.proof)
        if record.beat <= alive.beat <= beat and chain_end(record.tag, alive.beat) == end:
            known = (alive.beat, alive.anchor)
        return known

    def proves(self, record: Record, beat: int, proof: bytes) -> bool:
        """Whether that heartbeat of a member, newer than known, is its own. If not, that is counted, and kept for
        whoever asks who sent it."""
        if self.trusts:
            return True
        known = self.anchored(record, beat)
        if known is None:
            self._counts["unproven_beat"] += 1
            return False
        steps = beat - known[0]
        if steps > NEAR and self._far + steps > PROVING:
            self._counts["put_off_beat"] += 1
            return False
        if self._in_vain >= IN_VAIN or (steps > NEAR and self._recent(self._wasted) >= WASTED):
            self._counts["unexamined"] += 1
            return False
        self._far += steps if steps > NEAR else 0
        if self._notary.follows(record.name, record.epoch, chain_end(record.tag, beat - 1), known, (beat, proof)):
            return True
        self._in_vain += steps + 1
        if steps > NEAR:
            self._add(self._wasted, steps)
        self._counts["forged_beat"] += 1
        self._note("heartbeat", record.name)
        return False

    def caught(self, kind: str, in_name_of: str) -> None:
        """What was brought last is a forgery, and it was dear to find that."""
        self._note(kind, in_name_of)
        self._add(self._caught, 1)

    def _note(self, kind: str, in_name_of: str) -> None:
        line = (self._by, self._via, in_name_of, kind)
        known = self._forgeries.pop(line, None)
        times = 1 if known is None else known.times + 1
        self._forgeries[line] = Forgery(self._by, self._via, in_name_of, kind, times, self._at)
        if len(self._forgeries) > FORGERS:
            del self._forgeries[next(iter(self._forgeries))]

    def forgeries(self) -> tuple[Forgery, ...]:
        """Who sent forgeries in whose name, the latest last."""
        return tuple(self._forgeries.values())

    @property
    def _bearer(self) -> tuple[str, Via]:
        return (self._by if self._by in self._members else "", self._via)

    def _is_overdone(self) -> bool:
        return self._recent(self._caught) >= FORGERIES

    def _add(self, tally: dict[tuple[str, Via], tuple[float, int]], much: int) -> None:
        since, count = tally.get(self._bearer, (self._at, 0))
        tally[self._bearer] = (since, count + much)

    def _recent(self, tally: dict[tuple[str, Via], tuple[float, int]]) -> int:
        """What is held against the bearer; nothing once FORGERIES_WITHIN seconds are over."""
        if not tally:
            return 0
        since, count = tally.get(self._bearer, (self._at, 0))
        if count and self._at - since >= FORGERIES_WITHIN:
            del tally[self._bearer]
            return 0
        return count
