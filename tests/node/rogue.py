"""A member that turned: it holds a certificate and the ring of the fleet, and says what it likes."""

from __future__ import annotations

import socket
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Self

from meshfleet.fleet.names import AgentId, Epoch
from meshfleet.fleet.state import Snapshot
from meshfleet.gossip.messages import Alive, Message, NodeInfo, Packet
from meshfleet.node.frames import Frames, greet
from meshfleet.node.opening import open_node
from meshfleet.node.sockets import RealNetwork
from meshfleet.node.trust import Trust, seeded
from meshfleet.wire.codec import encode_packet, encode_state
from meshfleet.wire.ring import keyring_of
from meshfleet.wire.seal import Sealer
from tests.node.meshing import FLEET, config, notes, see, state

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from meshfleet.node.node import Node

ROGUE = "n9"


class Rogue:
    """Speaks the protocol under its own name, and signs whatever it likes with its own key."""

    def __init__(self) -> None:
        identity = seeded(FLEET, ROGUE, time.time())
        self.trust = Trust(identity, time.time)
        self.sealer = Sealer(keyring_of(identity.ring, identity.fleet))
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", 0))
        self.alive = self.trust.notary.sign(Alive(ROGUE, 1, 0, NodeInfo("h9", *self.udp.getsockname())))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.udp.close()

    def packet(self, *messages: Message) -> bytes:
        """Under its own name. It tells of no heartbeat of its own."""
        return encode_packet(Packet(ROGUE, 1, 0, 0.0, 1, messages))

    def say_as(self, source: Alive, to: Node, *messages: Message, beat: tuple[int, bytes] = (0, b"")) -> None:
        """By datagram under another's name, for the seal is the group's."""
        packet = Packet(source.name, source.epoch, beat[0], 0.0, 1, messages, beat[1])
        self.udp.sendto(self.sealer.seal(encode_packet(packet)), to.address)

    @asynccontextmanager
    async def stream(self, to: Node) -> AsyncIterator[Frames]:
        """A stream on which it has introduced itself."""
        async with await RealNetwork().dial(to.address) as stream:
            frames = (await greet(stream, self.trust.dialling, dialled=True)).frames
            await frames.send(self.packet())
            await frames.send(self.packet(self.alive))
            yield frames


def shot(about: Node, seq: int, epoch: int, rogue: Rogue) -> Snapshot:
    body = encode_state(state(f"{about.name}/a", note="a lie"))
    snapshot = Snapshot(about.name, Epoch(epoch), seq, 0, 0, AgentId(f"{about.name}/a"), body)
    return rogue.trust.notary.sign(snapshot)


def word(node: Node, of: str) -> Alive:
    record = node.member.roster.get(of)
    assert record is not None
    return record.alive


@asynccontextmanager
async def three() -> AsyncIterator[tuple[Node, Node, Node]]:
    async with (
        open_node(config("n1")) as n1,
        open_node(config("n2", n1.address)) as n2,
        open_node(config("n3", n1.address)) as n3,
    ):
        for node in (n1, n2, n3):
            await see(node, 3)
        n2.publish(state("n2/a", note="the truth"))
        for node in (n1, n3):
            await notes(node, "n2/a", "the truth")
        yield n1, n2, n3
