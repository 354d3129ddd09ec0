"""A member that turned: it holds a certificate and the ring of the fleet, and lies about others. Over real sockets."""

from __future__ import annotations

import socket
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Self

import msgspec
import trio

from meshfleet.fleet.names import AgentId, Epoch
from meshfleet.fleet.presence import Presence
from meshfleet.fleet.state import Snapshot
from meshfleet.gossip.limits import FORGERIES
from meshfleet.gossip.messages import (
    Ack,
    Alive,
    Beats,
    Delta,
    Digest,
    Left,
    Message,
    NodeInfo,
    Obituary,
    Packet,
    Ping,
    Row,
    SnapshotMessage,
    Suspect,
    Sync,
)
from meshfleet.node.frames import Frames, greet
from meshfleet.node.node import Node, open_node
from meshfleet.node.sockets import RealNetwork
from meshfleet.node.trust import Trust, seeded
from meshfleet.wire.codec import decode_packet, encode_packet, encode_state
from meshfleet.wire.ring import keyring_of
from meshfleet.wire.seal import Sealer
from tests.node.meshing import FLEET, config, counted, notes, said, see, sees, state

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PATIENCE = 30.0
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
        return encode_packet(Packet(ROGUE, 1, 1, 0.0, 1, messages))

    def say_as(self, source: Alive, to: Node, *messages: Message) -> None:
        """By datagram under another's name, for the seal is the group's."""
        packet = Packet(source.name, source.epoch, 1, 0.0, 1, messages)
        self.udp.sendto(self.sealer.seal(encode_packet(packet)), to.address)

    @asynccontextmanager
    async def stream(self, to: Node) -> AsyncIterator[Frames]:
        """A stream on which it has introduced itself."""
        async with await RealNetwork().dial(to.address) as stream:
            frames = (await greet(stream, self.trust.dialling, dialled=True)).frames
            await frames.send(self.packet())
            await frames.send(self.packet(self.alive))
            yield frames


def lies(about: Node, epoch: int, incarnation: int, rogue: Rogue) -> list[Message]:
    """Everything that can be said in another's name, signed by the rogue."""
    name, info = about.name, NodeInfo("h9", *rogue.udp.getsockname())
    sign = rogue.trust.notary.sign
    return [
        sign(Alive(name, epoch, incarnation + 5, info)),
        sign(Alive(name, epoch + 5, 0, info)),
        sign(Left(name, epoch, name)),
        sign(Left(name, epoch, "n3", "forgotten")),
        sign(Suspect(name, epoch, incarnation, "n3")),
        sign(Obituary(name, epoch, incarnation, "n3", "seen")),
        sign(Row(name, epoch, 1_000, ("n1", "n3"))),
        SnapshotMessage(shot(about, 1_000, epoch, rogue)),
    ]


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


async def test_a_member_that_lies_in_the_name_of_others_is_not_believed_and_is_named() -> None:
    with Rogue() as rogue, trio.fail_after(PATIENCE):
        async with three() as (n1, n2, _), rogue.stream(n1) as frames:
            await see(n1, 4)
            before = word(n1, "n2")
            told = lies(n2, before.epoch, before.incarnation, rogue)
            for lie in told:
                await frames.send(rogue.packet(lie))
            await counted(n1, "forged_claim", 6)
            await counted(n1, "forged_row", 1)
            await counted(n1, "forged_snapshot", 1)
            assert word(n1, "n2") == before
            await notes(n1, "n2/a", "the truth")
            assert said(n1, "n2") is Presence.FRESH
            diagnosis = n1.diagnosis()
            assert {(each.sent_by, each.proven) for each in diagnosis.forgeries} == {(ROGUE, True)}
            assert {each.in_name_of for each in diagnosis.forgeries} == {"n2", "n3"}
            assert sum(each.times for each in diagnosis.forgeries) == len(told)
            assert diagnosis.drops["forged_claim"] == 6


async def test_datagrams_under_the_name_of_another_member_carry_no_lies_either() -> None:
    with Rogue() as rogue, trio.fail_after(PATIENCE):
        async with three() as (n1, n2, _):
            before = word(n1, "n2")
            for lie in lies(n2, before.epoch, before.incarnation, rogue):
                rogue.say_as(before, n1, lie)
            await counted(n1, "forged_snapshot", 1)
            await counted(n1, "forged_claim", 6)
            assert word(n1, "n2") == before
            assert {(each.sent_by, each.proven) for each in n1.diagnosis().forgeries} == {("n2", False)}


async def test_what_a_relay_altered_in_a_sync_or_a_delta_is_dropped_and_the_rest_is_taken() -> None:
    with Rogue() as rogue, trio.fail_after(PATIENCE):
        async with three() as (n1, n2, _), rogue.stream(n1) as frames:
            await see(n1, 4)
            genuine = word(n2, "n1")
            held = n2.member.replica.shelf("n2")
            assert held is not None
            snapshot = next(iter(held.held.values()))
            altered = msgspec.structs.replace(
                snapshot, seq=snapshot.seq + 1, body=encode_state(state("n2/a", note="a lie"))
            )
            theirs = msgspec.structs.replace(word(n1, "n2"), incarnation=99)
            sync = Sync((genuine, theirs, rogue.alive), Beats(()), Digest(()), reply=False)
            await frames.send(rogue.packet(sync, Delta("n2", snapshot.epoch, 0, 2**40, (altered,))))
            await counted(n1, "forged_claim", 1)
            await counted(n1, "forged_snapshot", 1)
            here = n1.member.replica.shelf("n2")
            assert here is not None
            assert here.complete == snapshot.seq, "who altered what it passed on is not believed that this was all"
            n2.publish(state("n2/a", note="newer"))
            await notes(n1, "n2/a", "newer")


async def test_a_flood_of_bad_signatures_is_not_looked_at_for_long_and_pings_are_answered() -> None:
    with Rogue() as rogue, trio.fail_after(PATIENCE):
        async with three() as (n1, n2, n3), rogue.stream(n1) as frames:
            await see(n1, 4)
            epoch = word(n1, "n2").epoch
            looked_at = n1._driver._trust.notary.looked_at
            for i in range(2_000):
                await frames.send(rogue.packet(SnapshotMessage(shot(n2, 1_000 + i, epoch, rogue))))
            await frames.send(rogue.packet(Ping(77, "n1")))
            await counted(n1, "unexamined", 2_000 - FORGERIES)
            await _acked(frames, 77)
            assert n1.counters()["forged_snapshot"] == FORGERIES
            assert n1._driver._trust.notary.looked_at - looked_at < FORGERIES + 30
            await sees(n3, "n1", Presence.FRESH)
            assert n1.counters().get("fault", 0) == 0


async def _acked(frames: Frames, seq: int) -> None:
    while not any(
        isinstance(message, Ack) and message.seq == seq for message in decode_packet(await frames.receive()).messages
    ):
        pass


async def test_honest_nodes_refuse_each_other_nothing() -> None:
    with trio.fail_after(PATIENCE):
        async with three() as nodes:
            for node in nodes:
                assert node.diagnosis().forgeries == ()
                drops = node.diagnosis().drops
                assert not [name for name in drops if name.startswith(("forged_", "unexamined"))]
