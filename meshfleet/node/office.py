"""What the fleet's owner asks of a node: to invite, to rotate keys, to throw out, and to tell how all that stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import trio

from meshfleet.errors import ConfigError
from meshfleet.node.invites import MOST_ADDRESSES, Invite
from meshfleet.node.viewing import rfc3339
from meshfleet.wire.identity import ROLES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshfleet.fleet.names import Address, NodeName
    from meshfleet.node.invites import Book
    from meshfleet.node.tending import Tending

LONGEST_INVITE = 30 * 86_400.0
"""Seconds. An invitation is a secret in somebody's mailbox: a month is long enough for any."""

MOST_USES = 1_000


class KeyTold(msgspec.Struct, frozen=True):
    """One key of the ring. Never the key itself."""

    id: str
    added: str
    seals: bool


class NodeTold(msgspec.Struct, frozen=True):
    """One name that was given out."""

    name: str
    role: str
    until: str
    """When its certificate ends, if it is not renewed."""
    revoked: bool


class KeysTold(msgspec.Struct, frozen=True, kw_only=True):
    """How a node stands with its fleet's keys."""

    node: str
    fleet: str
    """The fleet's id."""
    authority: str
    """SHA-256 of the authority's public key."""
    holds_authority: bool
    issuers: list[str]
    """Other nodes that hold it, as far as is known here."""
    certificate_until: str
    keys: list[KeyTold]
    stragglers: list[str]
    """Members that hold an older ring than this node."""
    nodes: list[NodeTold]
    """Names that were given out: only where the authority is."""
    revoked: list[str]


class Office:
    """The owner's desk at one node. Invitations, rotations and revocations need the authority's key there."""

    def __init__(self, tending: Tending, book: Book | None, name: NodeName, address: Address) -> None:
        self._tending = tending
        self._book = book
        self._name = name
        self._address = address

    async def invite(self, role: str, seconds: float, uses: int, at: Sequence[Address] = ()) -> str:
        """The line that lets `uses` machines in within so many seconds, which dial this node `at` these addresses, or
        where it listens. ConfigError where that can't be."""
        if role not in ROLES:
            raise ConfigError(f"{role!r} is not a role. There are: {', '.join(ROLES)}.")
        if not 0 < seconds <= LONGEST_INVITE:
            raise ConfigError(
                f"an invitation lasts up to {LONGEST_INVITE / 86_400:.0f} days, not {seconds / 86_400:g}."
            )
        if not 1 <= uses <= MOST_USES:
            raise ConfigError(f"an invitation is good for 1 to {MOST_USES} machines, not {uses}.")
        if len(at) > MOST_ADDRESSES:
            raise ConfigError(f"an invitation names up to {MOST_ADDRESSES} addresses, not {len(at)}.")
        trust, book = self._tending.trust, self._book
        if trust.authority is None or book is None:
            raise ConfigError(
                f"this node does not hold the fleet's authority, so it can't invite. {self._tending.who_issues()}"
            )
        make = book.invite
        now = trust.wall()
        if book.is_kept:
            number, secret, expires = await trio.to_thread.run_sync(make, role, seconds, uses, now)
        else:
            number, secret, expires = make(role, seconds, uses, now)
        fingerprint = trust.fleet.fingerprint
        where = tuple(str(address) for address in at or (self._address,))
        return Invite(fingerprint, self._name, where, number, secret, expires).line()

    async def rotate(self) -> None:
        """Give the fleet a new datagram key, in steps that lose nothing."""
        await self._tending.rotate()

    async def revoke(self, name: NodeName) -> None:
        """Throw a node out everywhere, for good."""
        await self._tending.revoke(name, self._book is not None and name in self._book.issued)

    def keys(self) -> KeysTold:
        """How it all stands."""
        trust = self._tending.trust
        ring, revoked = trust.ring, sorted(each.name for each in trust.revoked)
        issued = {} if self._book is None else self._book.issued
        return KeysTold(
            node=self._name,
            fleet=trust.fleet.fleet_id.hex(),
            authority=trust.fleet.fingerprint.hex(),
            holds_authority=trust.authority is not None,
            issuers=[str(name) for name in self._tending.issuers()],
            certificate_until=rfc3339(trust.certificate.not_after),
            keys=[
                KeyTold(key.key_id.hex(), rfc3339(key.added_ms / 1000), key.key_id == ring.current) for key in ring.keys
            ],
            stragglers=[str(name) for name in self._tending.stragglers()],
            nodes=[
                NodeTold(name, each.role, rfc3339(each.until), name in revoked) for name, each in sorted(issued.items())
            ],
            revoked=revoked,
        )
