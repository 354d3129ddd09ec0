"""What a node can prove of itself, and whom it believes.

An `Identity` is what it starts with: from its state dir, or made in memory for members inside an agent and for
simulations. `Trust` is that at run time: it judges the certificates of peers, and follows renewals, new rings and
revocations.
"""

from __future__ import annotations

from contextlib import suppress
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from meshfleet.errors import StateDirError, Untrusted
from meshfleet.fleet.names import NodeName
from meshfleet.gossip.messages import Revoked
from meshfleet.node import tls
from meshfleet.node.frames import greet
from meshfleet.wire.identity import LIFETIME, Authority, Certificate, Fleet, NodeKey
from meshfleet.wire.keyring import KEY_BYTES
from meshfleet.wire.notary import Notary
from meshfleet.wire.revocation import is_genuine
from meshfleet.wire.ring import Ring, first_ring, keyring_of
from meshfleet.wire.seal import Sealer

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshfleet.gossip import vouching
    from meshfleet.node.frames import Hello
    from meshfleet.node.network import Stream

MESH_ABOVE: Final = b" above"
"""Stands in what is sealed and signed in the upper mesh."""

RENEWED_LATE: Final = 30 * 86_400.0
"""Seconds for which an expired certificate still gets its node a new one. A machine that was off for a month comes back
by itself; one that is not to come back is revoked."""


class Identity(msgspec.Struct, frozen=True):
    """Everything with which a node is one of its fleet."""

    fleet: Fleet
    key: NodeKey
    certificate: Certificate
    ring: Ring
    authority: Authority | None = None
    """Only where the fleet's owner keeps it: the node that began the fleet."""
    revoked: tuple[Revoked, ...] = ()

    @property
    def name(self) -> NodeName:
        """The node's name, as its certificate has it."""
        return self.certificate.name


def admit_to(
    authority: Authority,
    ring: Ring,
    name: NodeName,
    now: float,
    *,
    role: str = "agent",
    key: NodeKey | None = None,
    lifetime: float = LIFETIME,
) -> Identity:
    """An identity for one more node of the fleet, made by who has its authority."""
    key = key or NodeKey.new()
    certificate = authority.issue(name, role, key.public, now, lifetime)
    return Identity(authority.fleet, key, certificate, ring)


def seeded(seed: bytes, name: str, now: float, *, role: str = "agent", lifetime: float = LIFETIME) -> Identity:
    """An identity in the fleet whose every key comes from 32 secret bytes: whoever has them can be any node of it.

    For simulations, benchmarks and tests, whose nodes must find each other without a disk or an invitation.
    """
    authority = Authority.begin(NodeKey.of(seed), now)
    ring = first_ring(authority, 0, blake2b(b"ring", digest_size=KEY_BYTES, key=seed).digest())
    key = NodeKey.of(blake2b(name.encode(), digest_size=KEY_BYTES, key=seed).digest())
    return admit_to(authority, ring, NodeName(name), now, role=role, key=key, lifetime=lifetime)


class MeshTrust(Protocol):
    """What a driver and its streams ask: who may speak in this mesh, and with which seals and certificates."""

    @property
    def wall(self) -> Callable[[], float]:
        """Unix time, by which certificates are judged."""

    def sealer(self) -> Sealer:
        """What seals this node's datagrams, and opens others'."""

    async def greet(self, stream: Stream, *, dialled: bool) -> Hello:
        """TLS with a peer, or a newcomer."""

    def admit(self, der: bytes | None) -> Certificate:
        """The peer that shows this certificate; Untrusted where it may not speak here."""

    def is_revoked(self, name: str) -> bool:
        """Whether the owner threw that node out."""

    def is_genuine(self, revoked: Revoked) -> bool:
        """Whether the fleet's owner said so."""

    def cast_out(self, revoked: Revoked) -> None:
        """Believe that node nothing more."""


class Trust:
    """See the module. `wall` is Unix time in seconds: certificates are judged by it, and nothing else is."""

    def __init__(self, identity: Identity, wall: Callable[[], float]) -> None:
        self.wall = wall
        self.fleet = identity.fleet
        self.key = identity.key
        self.authority = identity.authority
        self.ring = identity.ring
        self.keyring = keyring_of(identity.ring, identity.fleet)
        """Seals and opens datagrams; always that of `ring`."""
        self._revoked: dict[str, Revoked] = {each.name: each for each in identity.revoked}
        self.notary = Notary(identity.fleet, identity.key, identity.certificate, wall)
        self.renew(identity.certificate)

    def renew(self, certificate: Certificate) -> None:
        """Show this certificate from now on. Streams that stand go on. StateDirError where no temporary file can be
        written; then all is as before."""
        accepting = tls.accepting(self.fleet, self.key, certificate)
        dialling = tls.dialling(self.fleet, self.key, certificate, tls.MESH)
        entering = tls.dialling(self.fleet, self.key, certificate, tls.ENTRANCE)
        self.accepting, self.dialling, self.entering = accepting, dialling, entering  # all of them, or none
        self.certificate = self.notary.certificate = certificate

    def above(self) -> Above:
        """The same trust in the upper mesh, where a fleet is on two levels. StateDirError as of `renew`."""
        return Above(self)

    def sealer(self) -> Sealer:
        """What seals this node's datagrams, and opens those of its fleet."""
        return Sealer(self.keyring)

    def vouching(self) -> vouching.Notary:
        """What signs, and looks at signatures, for the core."""
        return self.notary

    async def greet(self, stream: Stream, *, dialled: bool) -> Hello:
        """TLS with a peer of the mesh, or a newcomer. What it raises: `frames.greet`."""
        return await greet(stream, self.dialling if dialled else self.accepting, dialled=dialled)

    def admit(self, der: bytes | None) -> Certificate:
        """The peer that shows this certificate; Untrusted where it may not speak in this fleet."""
        return self._unless_revoked(self.fleet.verify(_shown(der), self.wall()))

    def admit_late(self, der: bytes | None) -> Certificate:
        """The same for whoever comes for a new certificate: it may have expired a while ago."""
        certificate = self.fleet.read_certificate(_shown(der))
        if self.wall() > certificate.not_after + RENEWED_LATE:
            raise Untrusted(f"the certificate of {certificate.name} expired too long ago; invite it anew")
        return self._unless_revoked(certificate)

    def _unless_revoked(self, certificate: Certificate) -> Certificate:
        if certificate.name in self._revoked:
            raise Untrusted(f"{certificate.name} was revoked")
        return certificate

    def is_revoked(self, name: str) -> bool:
        """Whether the owner threw that node out."""
        return name in self._revoked

    @property
    def revoked(self) -> tuple[Revoked, ...]:
        """All revocations that this node knows."""
        return tuple(self._revoked.values())

    def is_genuine(self, revoked: Revoked) -> bool:
        """Whether the fleet's owner said so. What is known already costs no cryptography."""
        return self._revoked.get(revoked.name) == revoked or is_genuine(self.fleet, revoked)

    def cast_out(self, revoked: Revoked) -> None:
        """Believe that node nothing more."""
        self._revoked[revoked.name] = revoked

    def follow(self, ring: Ring) -> bool:
        """Seal and open with the keys of `ring` from now on, if it is newer than the one held. It was read by
        `read_ring`, so the authority signed it."""
        if ring.version <= self.ring.version:
            return False
        self.ring = ring
        self.keyring.follow(ring.secrets(), ring.current)
        return True


class Above:
    """A delegate's trust in the upper mesh: keys, certificates and revocations are those that it has anyway, looked up
    where they are kept; what is sealed, signed or greeted there counts there alone."""

    def __init__(self, below: Trust) -> None:
        self._below = below
        self.wall = below.wall
        self.notary = Notary(below.fleet, below.key, below.certificate, below.wall, MESH_ABOVE)
        self._show(below.certificate)

    def _show(self, certificate: Certificate) -> None:
        below = self._below
        self._accepting, self._dialling = (
            tls.accepting(below.fleet, below.key, certificate, tls.ABOVE),
            tls.dialling(below.fleet, below.key, certificate, tls.ABOVE),
        )
        self.notary.certificate = certificate

    def sealer(self) -> Sealer:
        """What seals this node's datagrams there."""
        return Sealer(self._below.keyring, mesh=MESH_ABOVE)

    def vouching(self) -> vouching.Notary:
        """What signs, and looks at signatures, for the core of the member there."""
        return self.notary

    async def greet(self, stream: Stream, *, dialled: bool) -> Hello:
        """TLS with another delegate, or a newcomer."""
        if self.notary.certificate is not self._below.certificate:
            with suppress(StateDirError):  # no temporary file: the old one is good for a while yet, and the next tries
                self._show(self._below.certificate)
        return await greet(stream, self._dialling if dialled else self._accepting, dialled=dialled)

    def admit(self, der: bytes | None) -> Certificate:
        """The delegate that shows this certificate."""
        return self._below.admit(der)

    def is_revoked(self, name: str) -> bool:
        """Whether the owner threw that node out."""
        return self._below.is_revoked(name)

    def is_genuine(self, revoked: Revoked) -> bool:
        """Whether the fleet's owner said so."""
        return self._below.is_genuine(revoked)

    def cast_out(self, revoked: Revoked) -> None:
        """Believe that node nothing more."""
        self._below.cast_out(revoked)


def _shown(der: bytes | None) -> bytes:
    if der is None:
        raise Untrusted("it shows no certificate")
    return der
