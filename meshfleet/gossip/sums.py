"""What two members know, in a few bytes: equal where they know the same, so that they need not tell each other.

Push-pull compares everything each 30 s, and at rest there is nothing to tell: of 4.8 kB/s that each of 128 idle nodes
sent, 1.2 were claims that the other side knew. So it begins with a `Sum`, and goes on only where that differs. A digest
at rest has the sum of all that is held in place of entries in turn (see spread).

Whoever makes up a sum deceives whoever compares with it, and nobody else: the next is asked half a minute later.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

from meshfleet.gossip.messages import Alive, Claim, Have, Left, Obituary, Revoked, Row, Sum
from meshfleet.gossip.pushpull import digests

if TYPE_CHECKING:
    from collections.abc import Iterable

    from meshfleet.fleet.names import Address, NodeName
    from meshfleet.gossip.membership import Membership
    from meshfleet.gossip.outbox import Outbox
    from meshfleet.gossip.record import Record
    from meshfleet.gossip.roster import Roster
    from meshfleet.gossip.spread import Spread

NONE = bytes(8)
"""Of nothing."""


class Sums:
    """Push-pull, where it need not be more than a comparison."""

    def __init__(self, membership: Membership, spread: Spread, roster: Roster, outbox: Outbox) -> None:
        self._membership = membership
        self._spread = spread
        self._roster = roster
        self._outbox = outbox

    def compare_with(self, record: Record, at: float) -> None:
        """Begin a push-pull with that member."""
        self._outbox.stream(record, self._mine(at))

    def on_sum(self, theirs: Sum, source: Address, sender: NodeName, at: float) -> None:
        """Somebody's: tell all that I know, and have the same told, where it is not the same."""
        mine = self._mine(at)
        if theirs.said != mine.said:
            self._outbox.stream_to(source, sender, *self._membership.everything(at, reply=True))
        elif theirs.held != mine.held:
            self._outbox.stream_to(source, sender, *digests(self._spread.everything(), self._outbox.measure))

    def _mine(self, at: float) -> Sum:
        return Sum(said_sum(self._membership.said(at)), self._spread.sum())


def said_sum(statements: Iterable[Claim | Row | Revoked]) -> bytes:
    """Of what is said of members: all claims, rows and revocations that push-pull would tell."""
    return _sum([_line(statement) for statement in statements])


def held_sum(haves: Iterable[Have]) -> bytes:
    """Of the snapshots that are held."""
    return _sum([f"{have.node} {have.epoch} {have.complete}" for have in haves if have.complete])


def _line(said: Claim | Row | Revoked) -> str:
    match said:
        case Alive():
            return f"1 {said.name} {said.epoch} {said.incarnation}"
        case Left():
            return f"3 {said.name} {said.epoch} {said.by}"
        case Obituary():
            return f"4 {said.name} {said.epoch} {said.incarnation} {said.by}"
        case Row():
            return f"6 {said.name} {said.epoch} {said.version}"
        case Revoked():
            return f"7 {said.name} {said.at_ms}"
        case _:
            return f"2 {said.name} {said.epoch} {said.incarnation} {said.by}"


def _sum(lines: list[str]) -> bytes:
    return blake2b("\n".join(sorted(lines)).encode(), digest_size=8, person=b"mf1 sum").digest() if lines else NONE
