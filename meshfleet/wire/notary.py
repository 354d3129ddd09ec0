"""Signatures of what is passed on, and what of an authority's word the receivers need to check them.

    signed        `meshfleet 1 ` + kind + a zero byte + fleet id + CBOR array of the statement's fields, those from
                  `until` and `signature` on left out
    credential    when it ends (Unix time, 5 bytes, big-endian), public key (32), signature (64) by the authority over
                  the first 37 bytes and the member's name, for the purpose `key`
    above         in the upper mesh of a fleet on two levels ` above` stands behind each kind, and behind the fleet id
                  of the chains of heartbeats

A credential stands in its member's certificate and says nothing else; it is apart because certificates have some 570
bytes, and each Alive carries it. What was looked at is remembered, within bounds: genuine or not, nobody makes this
node look at the same bytes twice.

The proofs of heartbeats are `wire.chain`'s.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Final, Generic, TypeVar

import msgspec

from meshfleet.fleet.state import Snapshot
from meshfleet.gossip.limits import CHAIN
from meshfleet.gossip.messages import Alive, Finding, Row, Statement
from meshfleet.wire import cbor
from meshfleet.wire.accounts import RESERVED
from meshfleet.wire.chain import PROOF_BYTES, Chain, back
from meshfleet.wire.identity import AGENT, OBSERVER, Certificate, Fleet, NodeKey, is_signed, read_credential, stated

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

REMEMBERED: Final = 8_192
"""Signatures whose outcome is remembered, by 16 bytes each; and as many credentials. The longest unasked go."""

_CHAIN_PURPOSE: Final = b"mf1 beat chain"

S = TypeVar("S", bound=Statement)
K = TypeVar("K", bound="Hashable")
V = TypeVar("V")


class Remembered(Generic[K, V]):
    """The last answers to a question that is dear to ask."""

    def __init__(self, limit: int = REMEMBERED) -> None:
        self.limit = limit
        self._answers: dict[K, V] = {}

    def __len__(self) -> int:
        return len(self._answers)

    def ask(self, key: K, answer: Callable[[], V]) -> V:
        """The answer to `key`: what it was, or what `answer` says now."""
        known = self._answers.pop(key, None)
        if known is None:
            known = answer()
        self._answers[key] = known
        while len(self._answers) > self.limit:
            del self._answers[next(iter(self._answers))]
        return known


class Keyholder(msgspec.Struct, frozen=True):
    """Whose key is `public`, by the authority's word, until `not_after`. An empty key: by nobody's."""

    public: bytes = b""
    not_after: float = 0.0


_NOBODY: Final = Keyholder()


class Notary:
    """Signs with a node's key, and looks at the signatures of its fleet. `wall` is Unix time in seconds: whose
    certificate has ended by it vouches for nothing."""

    def __init__(
        self, fleet: Fleet, key: NodeKey, certificate: Certificate, wall: Callable[[], float], mesh: bytes = b""
    ) -> None:
        self._mesh = mesh
        """Which of a fleet's meshes; empty for the one that a node is in anyway. What is signed in one proves nothing
        in another: a delegate listens elsewhere there, and lives other lives."""
        self._fleet = fleet
        self._key = key
        self._wall = wall
        self.certificate = certificate
        """Whose credential each Alive that is signed from now on carries."""
        self.looked_at = 0
        """Signatures that were really checked, the authority's under credentials among them."""
        self.keyholders: Remembered[tuple[str, bytes, bool], Keyholder] = Remembered()
        self.outcomes: Remembered[bytes, bool] = Remembered()
        self._chain: tuple[int, Chain] | None = None
        """My own of now, and its epoch."""

    def sign(self, statement: S) -> S:
        """The same with this node's signature; an Alive also with its credential."""
        if isinstance(statement, Alive):
            statement = msgspec.structs.replace(statement, credential=self.certificate.credential)
        return msgspec.structs.replace(
            statement, signature=self._key.sign(signed_bytes(self._fleet, statement, self._mesh))
        )

    def examine(self, statement: Statement, signer: Alive | None) -> Finding:
        """Whether `signer` made the statement. Never raises, whatever it is given."""
        if signer is None:
            return Finding.UNVOUCHED
        name, credential, observes = signer.name, signer.credential, signer.info.role == OBSERVER
        holder = self.keyholders.ask((name, credential, observes), lambda: self._read(name, credential, observes))
        if not holder.public or (observes and _is_of_an_agent(statement)):
            return Finding.FORGED  # whoever only looks carries no agent
        if self._wall() >= holder.not_after:
            return Finding.UNVOUCHED
        data = signed_bytes(self._fleet, statement, self._mesh)
        digest = blake2b(data, digest_size=16, key=statement.signature, salt=holder.public[:16]).digest()
        genuine = self.outcomes.ask(digest, lambda: self._is_signed(holder.public, statement.signature, data))
        return Finding.GENUINE if genuine else Finding.FORGED

    def prove(self, epoch: int, end: int, beat: int) -> bytes:
        """The proof of this node's heartbeat `beat`. Each chain is made of the node's key, so there is nothing to store
        and a life is the same however often it is begun: 4,096 hashes, when the chain begins."""
        known = self._chain
        if known is None or known[0] != epoch or known[1].end != end:
            said = epoch.to_bytes(8, "big") + end.to_bytes(8, "big")
            fleet_id = self._fleet.fleet_id + self._mesh
            last = self._key.secret(_CHAIN_PURPOSE, fleet_id + said, PROOF_BYTES)
            known = self._chain = (epoch, Chain(fleet_id, self.certificate.name, epoch, end, last))
        return known[1].proof(beat)

    def follows(self, name: str, epoch: int, end: int, known: tuple[int, bytes], beat: tuple[int, bytes]) -> bool:
        """Whether the heartbeat and proof `beat` hashes back to `known`, both of that chain. Never raises."""
        steps, place = beat[0] - known[0], end - beat[0]
        if steps < 0 or place < 0 or steps + place > CHAIN or len(beat[1]) != PROOF_BYTES:
            return False
        return back((self._fleet.fleet_id + self._mesh, name, epoch, end), place, beat[1], steps) == known[1]

    def _read(self, name: str, credential: bytes, observes: bool) -> Keyholder:
        """By a credential for agents' nodes; who says that it only looks may also have one that allows no more."""
        for role in (OBSERVER, AGENT) if observes else (AGENT,):
            self.looked_at += 1
            if (read := read_credential(self._fleet, name, credential, role)) is not None:
                return Keyholder(*read)
        return _NOBODY

    def _is_signed(self, public: bytes, signature: bytes, data: bytes) -> bool:
        self.looked_at += 1
        return is_signed(public, signature, data)


def signed_bytes(fleet: Fleet, statement: Statement, mesh: bytes = b"") -> bytes:
    """What a statement's signature is made over."""
    fields: list[object] = msgspec.to_builtins(statement, builtin_types=(bytes,))
    del fields[-2 if isinstance(statement, Row) else -1 :]
    kind = type(statement).__name__.lower().encode()
    return stated(kind + mesh, fleet.fleet_id, cbor.dump(fields if isinstance(statement, Snapshot) else fields[1:]))


def _is_of_an_agent(statement: Statement) -> bool:
    """Whether it tells of an agent, and not what nodes tell of themselves."""
    return isinstance(statement, Snapshot) and not statement.agent.startswith(RESERVED)
