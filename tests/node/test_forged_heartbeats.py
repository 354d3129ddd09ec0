"""A member that turned keeps nobody alive that is dead, by whichever way it tells of heartbeats. Over real sockets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from meshfleet.fleet.presence import Presence
from meshfleet.gossip.messages import Ack, Beat, Beats, Digest, Ping, SnapshotMessage, Sync
from meshfleet.node.opening import open_node
from tests.node.meshing import config, counted, notes, said, see, sees, state
from tests.node.rogue import ROGUE, Rogue, word

if TYPE_CHECKING:
    from meshfleet.fleet.state import Snapshot
    from meshfleet.gossip.record import Record
    from meshfleet.node.frames import Frames
    from meshfleet.node.node import Node

PATIENCE = 60.0


def record(node: Node, of: str) -> Record:
    found = node.member.roster.get(of)
    assert found is not None
    return found


async def tell_all_ways(rogue: Rogue, frames: Frames, to: Node, shot: Snapshot, beat: tuple[int, bytes]) -> None:
    """That heartbeat of a node, told in each way in which heartbeats travel; and answers in its name."""
    of = shot.node
    rogue.say_as(word(to, of), to, beat=beat)
    table = Beats((Beat(record(to, of).tag, beat[0], 0.0, beat[1]),))
    await frames.send(rogue.packet(table))
    await frames.send(rogue.packet(SnapshotMessage(shot, None, beat[0], 0.0, beat[1])))
    await frames.send(rogue.packet(Sync((), table, Digest(()), reply=False)))
    for seq in range(to.member.prober._seq - 3, to.member.prober._seq + 2):
        rogue.say_as(word(to, of), to, Ack(max(0, seq), of, word(to, of).epoch), beat=beat)


async def test_a_member_that_forges_heartbeats_of_a_dead_node_does_not_keep_it_alive_and_is_named() -> None:
    with Rogue() as rogue, trio.fail_after(PATIENCE):
        async with open_node(config("n1")) as n1, open_node(config("n3", n1.address)) as n3:
            async with open_node(config("n2", n1.address)) as n2:
                for node in (n1, n2, n3):
                    await see(node, 3)
                n2.publish(state("n2/a", note="its last"))
                await notes(n1, "n2/a", "its last")
            held = n1.member.replica.shelf("n2")
            assert held is not None
            (shot,) = held.held.values()
            async with rogue.stream(n1) as frames, trio.open_nursery() as nursery:

                async def lie() -> None:
                    while True:
                        beat, proof = record(n1, "n2").beat, record(n1, "n2").proof
                        await tell_all_ways(rogue, frames, n1, shot, (beat, proof))
                        await tell_all_ways(rogue, frames, n1, shot, (beat + 1, proof))
                        await tell_all_ways(rogue, frames, n1, shot, (beat + 9, b"a lie..."))
                        await counted(n1, "forged_beat", n1.counters().get("forged_beat", 0) + 1)

                nursery.start_soon(lie)
                await sees(n1, "n2", Presence.UNREACHABLE, Presence.DOWN)
                await counted(n1, "forged_beat", n1.counters()["forged_beat"] + 100)
                assert said(n1, "n2") in (Presence.UNREACHABLE, Presence.DOWN)
                nursery.cancel_scope.cancel()
            assert said(n3, "n2") is not Presence.FRESH
            told = {(each.sent_by, each.proven, each.in_name_of, each.kind) for each in n1.diagnosis().forgeries}
            assert told == {(ROGUE, True, "n2", "heartbeat"), ("n2", False, "n2", "heartbeat")}
            assert n1.diagnosis().drops["forged_beat"] >= 100
            assert n1.counters().get("fault", 0) == 0


async def test_what_is_forged_in_the_name_of_a_living_node_takes_none_of_its_heartbeats_and_pings_are_answered() -> (
    None
):
    with Rogue() as rogue, trio.fail_after(PATIENCE):
        async with open_node(config("n1")) as n1, open_node(config("n2", n1.address)) as n2:
            for node in (n1, n2):
                await see(node, 2)
            before = record(n1, "n2").beat
            async with rogue.stream(n1) as frames:
                await see(n1, 3)
                for i in range(300):
                    lie = (record(n1, "n2").beat + 1 + i % 3, b"a lie..%d" % (i % 10))
                    rogue.say_as(word(n1, "n2"), n1, beat=lie)
                    await frames.send(rogue.packet(Beats((Beat(record(n1, "n2").tag, *lie[:1], 0.0, lie[1]),))))
                await frames.send(rogue.packet(Ping(77, "n1")))
                await frames.receive()
                await counted(n1, "forged_beat", 300)
                while record(n1, "n2").beat < before + 2:
                    await n1.changed(n1.version())
            assert said(n1, "n2") is Presence.FRESH
            assert n1.counters().get("fault", 0) == 0
