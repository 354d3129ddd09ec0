"""A world whose members sign, with a notary that counts in place of cryptography."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from meshfleet.fleet.names import AgentId, Epoch, NodeName
from meshfleet.fleet.state import Snapshot
from meshfleet.gossip.messages import Alive, Finding, Packet, Row, Statement, Via
from tests.gossip.world import World

if TYPE_CHECKING:
    from meshfleet.gossip.messages import Message
    from meshfleet.gossip.vouching import S


class Stamps:
    """A notary whose signatures are names: what n1 signs ends in `n1`. So are proofs: n1's of its third is `n1 3`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.looked_at: Counter[str] = Counter()
        self.hashed = 0

    def sign(self, statement: S) -> S:
        return msgspec.structs.replace(statement, signature=self.name.encode())

    def examine(self, statement: Statement, signer: Alive | None) -> Finding:
        self.looked_at[
            repr(msgspec.structs.replace(statement, until=None) if isinstance(statement, Row) else statement)
        ] += 1
        if signer is None:
            return Finding.UNVOUCHED
        return Finding.GENUINE if statement.signature == signer.name.encode() else Finding.FORGED

    def prove(self, epoch: int, end: int, beat: int) -> bytes:
        return stamp(self.name, beat)

    def follows(self, name: str, epoch: int, end: int, known: tuple[int, bytes], beat: tuple[int, bytes]) -> bool:
        self.hashed += beat[0] - known[0]
        assert known[1] == stamp(name, known[0]), "only what is proven is built upon"
        return beat[1] == stamp(name, beat[0])


def stamp(name: str, beat: int) -> bytes:
    return f"{name} {beat}".encode()


class Signed:
    """A world whose members sign, and their notaries."""

    def __init__(self, nodes: int = 5) -> None:
        self.notaries: dict[str, Stamps] = {}
        self.world = World(nodes, notary=self._notary)
        self.world.run(20.0)

    def _notary(self, name: str) -> Stamps:
        return self.notaries.setdefault(name, Stamps(name))

    def tell(
        self,
        reader: str,
        sender: str,
        *messages: Message,
        via: Via = Via.DATAGRAM,
        beat: tuple[int, bytes] = (0, b""),
    ) -> None:
        """`sender` says something to `reader`, or somebody under its name."""
        world = self.world
        packet = Packet(sender, 1, beat[0], 0.0, 0, messages, beat[1])
        world.do(reader, lambda m: m.receive(packet, world.address(sender), via, world.now))

    def counts(self, name: str) -> Counter[str]:
        return self.world.hosts[name].member.counts


def shot(seq: int, *, node: str = "n2", floor: int = 0, by: str = "n2", body: bytes = b"x") -> Snapshot:
    return Snapshot(NodeName(node), Epoch(1), seq, 0, floor, AgentId("a"), body, by.encode())
