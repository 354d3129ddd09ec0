"""A packet that asks for the same over and over gets a few answers, and one that asks for much gets all of it."""

from __future__ import annotations

from collections import Counter

import pytest

from meshfleet.fleet.names import AgentId, Epoch, NodeName
from meshfleet.fleet.state import Snapshot
from meshfleet.gossip.asked import Asked
from meshfleet.gossip.limits import ANSWER_BYTES, ASKED, TOLD_ALL, TOLD_ALL_PEERS, TOLD_ALL_WITHIN
from meshfleet.gossip.messages import Beats, Delta, Digest, Have, Message, Packet, RollCall, Sum, Sync, Via, Want
from meshfleet.gossip.orders import SendPacket
from tests.gossip.world import World, measure

NODES = 8
TIMES = 1_000
RIDES = 2_000
"""Bytes that may go along with answers: rumors, heartbeats."""

ALL_OF_IT: dict[str, Message] = {"sums": Sum(b"", b""), "everything": Sync((), Beats(()), Digest(()), True)}

QUESTIONS: dict[str, Message] = {
    "snapshots, wanted": Want((Have("n2", 1, 0),)),
    "snapshots, by a digest": Digest((Have("n2", 1, 0),)),
    "rolls of another order": RollCall(b"0000", b""),
}


@pytest.fixture(scope="module")
def world() -> World:
    """A fleet in which each node has agents."""
    world = World(NODES)
    for node in range(NODES):
        for agent in range(5):
            world.publish(f"n{node}", f"a{agent}", bytes(400))
    world.run(30.0)
    return world


def answers(world: World, *messages: Message, by: str = "n1", via: Via = Via.STREAM) -> list[Message]:
    """What n0 says in answer to one packet."""
    member = world.hosts["n0"].member
    member.receive(Packet(by, 1, 0, 0.0, 1, messages), world.address(by), via, world.now)
    return [m for out in member.outgoing(world.now) if isinstance(out, SendPacket) for m in out.messages]


def answered(world: World, *messages: Message) -> int:
    """Bytes that n0 sends in answer to one packet of n1's."""
    return sum([measure(message) for message in answers(world, *messages)])


def syncs(said: list[Message]) -> int:
    return sum([1 for message in said if isinstance(message, Sync)])


def few(world: World, alone: Message, *messages: Message) -> None:
    """`messages` ask TIMES what `alone` asks once, and get ASKED answers."""
    counts = world.hosts["n0"].member.counts
    answered(world)  # what waited
    once, before = answered(world, alone), counts["refused_repeat"]
    many = answered(world, *messages)
    assert 0 < once < many <= ASKED * once + RIDES
    assert counts["refused_repeat"] == before + TIMES - ASKED


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
def test_who_asks_a_thousand_times_in_one_packet_is_answered_a_few_times(world: World, question: Message) -> None:
    few(world, question, *[question] * TIMES)


@pytest.mark.parametrize("kind", [Want, Digest])
def test_who_asks_a_thousand_times_in_one_message_is_answered_a_few_times(
    world: World, kind: type[Want | Digest]
) -> None:
    few(world, kind((Have("n2", 1, 0),)), kind((Have("n2", 1, 0),) * TIMES))


def test_a_roll_of_ones_own_order_is_answered_a_few_times(world: World) -> None:
    call = RollCall(world.hosts["n0"].member.roll._hash, b"")
    few(world, call, *[call] * TIMES)


def test_who_asks_for_everybody_s_snapshots_in_one_packet_gets_all_of_them(world: World) -> None:
    wanted = [Have(f"n{node}", 1, 0) for node in range(NODES) if node != 1]
    each = [answered(world, Want((have,))) for have in wanted]
    assert answered(world, Want(tuple(wanted[:3])), *[Want((have,)) for have in wanted[3:]]) >= sum(each) - RIDES


def test_what_one_packet_asked_for_is_not_held_against_the_next(world: World) -> None:
    want = Want((Have("n2", 1, 0),))
    first = answered(world, *[want] * TIMES)
    assert answered(world, *[want] * TIMES) >= first - RIDES


@pytest.mark.parametrize("question", ALL_OF_IT.values(), ids=ALL_OF_IT)
def test_who_asks_for_everything_is_told_it_twice_in_a_second_in_however_many_packets(
    world: World, question: Message
) -> None:
    world.run(TOLD_ALL_WITHIN)
    counts = world.hosts["n0"].member.counts
    before = counts["refused_repeat"]
    assert syncs(answers(world, *[question] * TIMES)) == TOLD_ALL
    assert syncs(answers(world, question)) == 0
    assert counts["refused_repeat"] == before + TIMES + 1 - TOLD_ALL
    assert syncs(answers(world, question, by="n2")) == 1, "each has its own"
    world.run(TOLD_ALL_WITHIN)
    assert syncs(answers(world, question)) == 1


@pytest.mark.parametrize("question", ALL_OF_IT.values(), ids=ALL_OF_IT)
def test_nobody_is_told_everything_who_asks_by_datagram(world: World, question: Message) -> None:
    world.run(TOLD_ALL_WITHIN)
    counts = world.hosts["n0"].member.counts
    before = counts["stray_sync"]
    assert syncs(answers(world, *[question] * 4, via=Via.DATAGRAM)) == 0
    assert counts["stray_sync"] == before + 4


def test_all_who_ask_for_everything_by_a_relay_count_as_one(world: World) -> None:
    world.run(TOLD_ALL_WITHIN)
    told = [syncs(answers(world, Sum(b"", b""), by=f"n{i}", via=Via.RELAY)) for i in range(1, NODES)]
    assert told == [1] * TOLD_ALL + [0] * (NODES - 1 - TOLD_ALL)


def test_of_so_many_it_is_remembered_that_they_asked() -> None:
    asked = Asked(Counter())
    for i in range(TOLD_ALL_PEERS + 9):
        asked.begin(f"n{i}", Via.STREAM, 1.0)
        assert asked.may_have_all()
    assert len(asked._told_all) == TOLD_ALL_PEERS


SHELVES = 50
"""Nodes of which n0 holds something, as many as one datagram can ask about."""


def held(world: World) -> list[Have]:
    """Much, of many nodes; as who holds nothing of it asks for it."""
    for node in range(SHELVES):
        for seq in range(1, 11):
            at = AgentId(f"a{seq}")
            world.hosts["n0"].member.replica.add(
                Snapshot(NodeName(f"m{node}"), Epoch(1), seq, seq - 1, 0, at, bytes(800))
            )
    return [Have(f"m{node}", 1, 0) for node in range(SHELVES)]


@pytest.mark.parametrize("kind", [Want, Digest])
def test_a_datagram_is_answered_with_so_many_bytes_of_snapshots_and_the_rest_when_it_is_asked_for_again(
    kind: type[Want | Digest],
) -> None:
    world = World(2)
    world.run(10.0)
    lacked, counts = {have.node: have for have in held(world)}, world.hosts["n0"].member.counts
    for _ in range(SHELVES * 10 * 900 // ANSWER_BYTES + 5):
        before = counts["refused_rest"]
        deltas = [m for m in answers(world, kind(tuple(lacked.values())), via=Via.DATAGRAM) if isinstance(m, Delta)]
        assert sum([measure(delta) for delta in deltas]) <= ANSWER_BYTES + 1_000
        for delta in deltas:
            assert delta.after == lacked[delta.node].complete, "nothing between is missing"
            lacked[delta.node] = Have(delta.node, 1, delta.upto)
        lacked = {name: have for name, have in lacked.items() if have.complete < 10}
        assert bool(lacked) == (counts["refused_rest"] > before)
        world.run(1.0)
    assert lacked == {}


def test_over_a_stream_all_of_it_comes_at_once() -> None:
    world = World(2)
    world.run(10.0)
    deltas = [m for m in answers(world, Want(tuple(held(world)))) if isinstance(m, Delta)]
    assert len({delta.node for delta in deltas}) == SHELVES


def test_one_node_s_snapshots_that_are_more_than_a_datagram_s_answer_come_in_parts() -> None:
    world = World(2)
    world.run(10.0)
    replica, complete, times = world.hosts["n0"].member.replica, 0, 0
    for seq in range(1, 31):
        replica.add(Snapshot(NodeName("m0"), Epoch(1), seq, seq - 1, 0, AgentId(f"a{seq}"), bytes(4_000)))
    while complete < 30:
        (delta,) = [
            m for m in answers(world, Want((Have("m0", 1, complete),)), via=Via.DATAGRAM) if isinstance(m, Delta)
        ]
        complete, times = delta.upto, times + 1
        world.run(1.0)
    assert 3 < times < 8
