"""What makes a node one of its fleet, on disk: keys, certificates, keyring, revocations, in its state dir.

    ca.key         the authority's private key, PEM: only where the fleet was begun
    ca.crt         the authority's certificate, PEM: which fleet this is
    node.key       the node's private key, PEM
    node.crt       the node's certificate, PEM; written last, so that it is there only where all the rest is
    keyring        the ring that datagrams are sealed with, as the authority signed it (CBOR)
    revoked.json   who was thrown out

All are 0600 and replaced whole. A secret that is damaged is never replaced: with another one the node would be alone,
and nobody would know why. What can be made again from what is there, is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from meshfleet.errors import ConfigError, StateDirError, WireError
from meshfleet.gossip.limits import REVOKED
from meshfleet.gossip.messages import Revoked
from meshfleet.logs import get_logger
from meshfleet.node.trust import Identity
from meshfleet.wire.identity import Authority, Certificate, Fleet, NodeKey, der_of, pem_of
from meshfleet.wire.revocation import is_genuine
from meshfleet.wire.ring import Ring, first_ring, read_ring

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshfleet.fleet.names import NodeName
    from meshfleet.node.store import StateDir

_T = TypeVar("_T")

CA_KEY = "ca.key"
CA_CERTIFICATE = "ca.crt"
NODE_KEY = "node.key"
NODE_CERTIFICATE = "node.crt"
KEYRING = "keyring"
REVOCATIONS = "revoked.json"

SECRETS = (CA_KEY, NODE_KEY, KEYRING)

_log = get_logger(__name__)


class Vault:
    """The identity in one state dir, which the caller holds. Everything blocks for as long as the disk takes."""

    def __init__(self, store: StateDir) -> None:
        self._store = store

    def identity(self, name: NodeName, now: float) -> Identity:
        """The node's identity; on a fresh machine that of a new fleet of one, made now.

        Where the fleet was begun here, a certificate that is missing, of another name, expired or not good yet is made
        anew: the last was made by a clock that was ahead, and nobody would let this node in until it begins.
        """
        known = self.load()
        if known is not None and known.certificate.name == name and known.certificate.is_good(now):
            return known
        if known is not None and known.authority is None:
            if known.certificate.name == name:
                return known  # not good: it asks for a new one, and until then no peer lets it in
            raise ConfigError(
                f"{self._store.path} belongs to the node {known.certificate.name}, by its certificate, not to {name}. "
                f"Start it with --name {known.certificate.name}, or give --state-dir another folder."
            )
        authority = self._authority(now)
        key, ring, fleet = self._node_key(), self._ring(authority.fleet), authority.fleet
        if ring is None:
            ring = first_ring(authority, int(now * 1000))
            self.save_ring(ring)
        self._store.write(CA_CERTIFICATE, fleet.pem())
        certificate = authority.issue(name, "agent", key.public, now)
        self.save_certificate(certificate)
        return Identity(fleet, key, certificate, ring, authority, self._revoked(fleet))

    def load(self) -> Identity | None:
        """What is there; None where the node belongs to no fleet yet. StateDirError where it is damaged."""
        for name in SECRETS:
            if self._store.read(name) is not None:
                self._store.close_to_others(name)
        public, shown = self._store.read(CA_CERTIFICATE), self._store.read(NODE_CERTIFICATE)
        private = self._store.read(CA_KEY)
        if public is None or shown is None:
            if public is None or private is not None:
                return None
            raise StateDirError(
                f"{self._store.path} was about to join a fleet and was interrupted. Give `meshfleet up --invite` the "
                "same line again, or a new one; or remove the folder to begin anew."
            )
        fleet = self._sound(CA_CERTIFICATE, lambda: Fleet.read(public))
        authority = None
        if private is not None:
            authority = self._sound(CA_KEY, lambda: Authority(NodeKey.read(private), fleet))
        ring, key = self._ring(fleet), self._store.read(NODE_KEY)
        if key is None or ring is None:
            if authority is not None:
                return None  # both can be made again
            raise StateDirError(
                f"{self._store.path} lacks {NODE_KEY} or {KEYRING}. Put back a copy of them, or remove the folder and "
                "have the node invited anew."
            )
        node_key = self._sound(NODE_KEY, lambda: NodeKey.read(key))
        certificate = self._sound(NODE_CERTIFICATE, lambda: fleet.read_certificate(der_of(shown)))
        if certificate.public != node_key.public:
            raise self._damaged(NODE_CERTIFICATE, "it is of another key than node.key")
        return Identity(fleet, node_key, certificate, ring, authority, self._revoked(fleet))

    def load_unless_interrupted(self) -> Identity | None:
        """The same, for whoever has an invitation in hand: a joining that was cut short begins anew."""
        interrupted = self._store.read(NODE_CERTIFICATE) is None and self._store.read(CA_KEY) is None
        return None if interrupted else self.load()

    def key_to_join_with(self) -> NodeKey:
        """The key that the node has, or a new one that it has from now on: before anybody is asked to certify it."""
        return self._node_key()

    def install(self, identity: Identity) -> None:
        """Be this node from now on."""
        if identity.authority is not None:
            self._store.write(CA_KEY, identity.authority.key.pem())
        self._store.write(NODE_KEY, identity.key.pem())
        self.save_ring(identity.ring)
        self.save_revoked(identity.revoked)
        self._store.write(CA_CERTIFICATE, identity.fleet.pem())
        self.save_certificate(identity.certificate)

    def save_certificate(self, certificate: Certificate) -> None:
        """Keep a new certificate."""
        self._store.write(NODE_CERTIFICATE, pem_of(certificate.der))

    def save_ring(self, ring: Ring) -> None:
        """Keep a newer ring."""
        self._store.write(KEYRING, ring.dump())

    def save_revoked(self, revoked: tuple[Revoked, ...]) -> None:
        """Keep who was thrown out."""
        self._store.write(REVOCATIONS, msgspec.json.encode(revoked[:REVOKED]) + b"\n")

    def _authority(self, now: float) -> Authority:
        pem = self._store.read(CA_KEY)
        if pem is None:
            key = NodeKey.new()
            self._store.write(CA_KEY, key.pem())
            _log.info("began a new fleet", state_dir=str(self._store.path))
            return Authority.begin(key, now)
        key = self._sound(CA_KEY, lambda: NodeKey.read(pem))
        public = self._store.read(CA_CERTIFICATE)
        if public is None:
            return Authority.begin(key, now)
        return self._sound(CA_CERTIFICATE, lambda: Authority(key, Fleet.read(public)))

    def _node_key(self) -> NodeKey:
        pem = self._store.read(NODE_KEY)
        if pem is not None:
            return self._sound(NODE_KEY, lambda: NodeKey.read(pem))
        key = NodeKey.new()
        self._store.write(NODE_KEY, key.pem())
        return key

    def _ring(self, fleet: Fleet) -> Ring | None:
        data = self._store.read(KEYRING)
        return None if data is None else self._sound(KEYRING, lambda: read_ring(fleet, data))

    def _revoked(self, fleet: Fleet) -> tuple[Revoked, ...]:
        data = self._store.read(REVOCATIONS)
        if data is None:
            return ()
        read = self._sound(REVOCATIONS, lambda: msgspec.json.decode(data, type=tuple[Revoked, ...]))
        return tuple(each for each in read[:REVOKED] if is_genuine(fleet, each))

    def _sound(self, name: str, read: Callable[[], _T]) -> _T:
        try:
            return read()
        except (ConfigError, WireError, msgspec.DecodeError, UnicodeDecodeError) as error:
            raise self._damaged(name, str(error)) from error

    def _damaged(self, name: str, why: str) -> StateDirError:
        return StateDirError(
            f"{self._store.path / name} is damaged: {why.rstrip('.')}. Put back a copy of it, or remove "
            "the folder and have the node invited anew."
        )
