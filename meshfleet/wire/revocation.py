"""The owner's word that a node is thrown out: made by the authority, checked by everybody, spread as gossip.

It names a name, and is final: that name is given to no other key again, so nothing that is signed or remembered under
it can be taken for a newcomer's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshfleet.gossip.messages import Revoked

if TYPE_CHECKING:
    from meshfleet.fleet.names import NodeName
    from meshfleet.wire.identity import Authority, Fleet

PURPOSE = b"revoked"


def revoke(authority: Authority, name: NodeName, at_ms: int) -> Revoked:
    """Throw `name` out. `at_ms` is when, in milliseconds since 1970 by the authority's clock."""
    return Revoked(name, at_ms, authority.sign(PURPOSE, _said(name, at_ms)))


def is_genuine(fleet: Fleet, revoked: Revoked) -> bool:
    """Whether the fleet's authority said so."""
    return fleet.checks(PURPOSE, revoked.signature, _said(revoked.name, revoked.at_ms))


def _said(name: str, at_ms: int) -> bytes:
    return at_ms.to_bytes(8, "big") + name.encode()
