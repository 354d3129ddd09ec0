"""A member that turned: it holds a certificate and the ring of the fleet, and lies about others. Over real sockets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import trio

from meshfleet.fleet.presence import Presence
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
    Ping,
    Row,
    SnapshotMessage,
    Suspect,
    Sync,
)
from meshfleet.node.trust import Trust
from meshfleet.wire.codec import decode_packet, encode_state
from tests.node.meshing import counted, notes, said, see, sees, state
from tests.node.rogue import ROGUE, Rogue, shot, three, word

if TYPE_CHECKING:
    from meshfleet.node.frames import Frames
    from meshfleet.node.node import Node

PATIENCE = 30.0


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
            trust = n1._driver._trust
            assert isinstance(trust, Trust)
            looked_at = trust.notary.looked_at
            for i in range(2_000):
                await frames.send(rogue.packet(SnapshotMessage(shot(n2, 1_000 + i, epoch, rogue))))
            await frames.send(rogue.packet(Ping(77, "n1")))
            await counted(n1, "unexamined", 2_000 - FORGERIES)
            await _acked(frames, 77)
            assert n1.counters()["forged_snapshot"] == FORGERIES
            assert trust.notary.looked_at - looked_at < FORGERIES + 30
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
