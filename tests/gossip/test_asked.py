"""A packet that asks for the same over and over gets a few answers, and one that asks for much gets all of it."""

from __future__ import annotations

import pytest

from meshfleet.gossip.limits import ASKED
from meshfleet.gossip.messages import Beats, Digest, Have, Message, Packet, RollCall, Sum, Sync, Via, Want
from meshfleet.gossip.orders import SendPacket
from tests.gossip.world import World, measure

NODES = 8
TIMES = 1_000
RIDES = 2_000
"""Bytes that may go along with answers: rumors, heartbeats."""

QUESTIONS: dict[str, Message] = {
    "sums": Sum(b"", b""),
    "everything": Sync((), Beats(()), Digest(()), True),
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


def answered(world: World, *messages: Message) -> int:
    """Bytes that n0 sends in answer to one packet of n1's."""
    member = world.hosts["n0"].member
    member.receive(Packet("n1", 1, 0, 0.0, 1, messages), world.address("n1"), Via.STREAM, world.now)
    sent = [out for out in member.outgoing(world.now) if isinstance(out, SendPacket)]
    return sum([measure(message) for out in sent for message in out.messages])


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
