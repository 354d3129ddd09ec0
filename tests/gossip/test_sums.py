"""Sums: push-pull and digests of a fleet at rest say that they are equal; where they are not, all comes."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshfleet.fleet.names import AgentId, NodeName
from meshfleet.fleet.timing import PRESETS
from meshfleet.gossip.messages import Digest, Have, Left, Obituary, Sum, Suspect
from meshfleet.gossip.orders import SendPacket
from meshfleet.gossip.spread import QUIET, RESTING
from meshfleet.gossip.sums import NONE, held_sum, said_sum
from tests.gossip.drawing import claims
from tests.gossip.world import World

if TYPE_CHECKING:
    from random import Random

    from meshfleet.gossip.messages import Claim

LAN = PRESETS["lan"]


@given(st.lists(claims(), max_size=6, unique_by=repr), st.randoms(use_true_random=False))
def test_a_sum_does_not_hang_on_the_order_in_which_things_were_heard(told: list[Claim], rng: Random) -> None:
    shuffled = list(told)
    rng.shuffle(shuffled)
    assert said_sum(told) == said_sum(shuffled)


def test_whatever_differs_makes_another_sum() -> None:
    held = [
        held_sum(haves) for haves in ([], [Have("a", 1, 1)], [Have("a", 1, 2)], [Have("a", 2, 1)], [Have("b", 1, 1)])
    ]
    said = [
        said_sum(statements)
        for statements in (
            [], [Suspect("a", 1, 1, "b")], [Suspect("a", 1, 2, "b")], [Suspect("a", 1, 1, "c")], [Left("a", 1, "b")],
        )
    ]  # fmt: skip
    for sums in (held, said):
        assert sums[0] == NONE
        assert len(set(sums)) == len(sums)
        assert all(a != b for a, b in pairwise(sums))
    assert held_sum([Have("a", 1, 0)]) == NONE, "who holds nothing of a node may know its shelf or not"


def settled(nodes: int = 12) -> World:
    world = World(nodes, seed=3)
    world.run(20)
    for name in list(world.hosts):
        world.publish(name, f"{name}/a", name.encode())
    world.run(60)
    return world


def test_of_a_fleet_at_rest_push_pull_is_a_sum_and_a_digest_is_one_too() -> None:
    world = settled()
    world.messages.clear()
    sizes = world.sent_bytes.total()
    world.run(60)
    assert world.messages["Sum"] >= 20
    assert world.messages["Sync"] == 0
    assert world.messages["Delta"] == world.messages["Want"] == 0
    assert world.sent_bytes.total() - sizes < 12 * 60 * 700


def test_what_one_member_lost_its_next_digest_finds() -> None:
    world = settled()
    member = world.hosts["n3"].member
    shelf = member.replica.shelf("n7")
    assert shelf is not None
    shelf.clear(shelf.epoch)
    member.replica.version += 1
    world.run(2 * LAN.digest_interval + 0.5)
    assert world.body("n3", "n7", "n7/a") == b"n7"


def test_who_missed_a_claim_has_it_from_the_next_push_pull() -> None:
    world = settled(6)
    world.power_off("n5")  # who would refute it
    world.run(60)
    obituary = Obituary("n5", 1, world.record("n0", "n5").known.number[1], "n4", "seen")
    for name in ("n0", "n1"):
        world.record(name, "n5").known.add(obituary)
    world.messages.clear()
    world.run(4 * LAN.push_pull_interval)
    assert world.messages["Sync"]
    assert all(obituary in world.record(name, "n5").known.obituaries for name in ("n0", "n1", "n2", "n3"))


def test_while_news_is_on_its_way_no_sum_is_told_and_for_some_seconds_digests_have_turns() -> None:
    world = settled(3)
    member, at = world.hosts["n0"].member, world.now
    member.spread.push(member.replica.publish(AgentId("n0/a"), b"new"), at, at)
    told: dict[float, Digest] = {}
    for after in (0.1, QUIET + 0.1, RESTING + 0.1):
        member.outgoing(at)
        member.spread.send_digest(at + after, at + after, member.roster.get("n1"))
        (packet,) = [out for out in member.outgoing(at) if isinstance(out, SendPacket)]
        told[after] = next(m for m in packet.messages if isinstance(m, Digest))
    first, second, third = told.values()
    assert (first.sum, bool(first.entries)) == (b"", True)
    assert (len(second.sum), bool(second.entries)) == (8, True)
    assert (len(third.sum), third.entries) == (8, ())


@pytest.mark.parametrize(
    ("said", "held", "answer"), [(True, True, set()), (True, False, {"Digest"}), (False, True, {"Sync"})]
)
def test_a_sum_is_answered_with_what_differs(said: bool, held: bool, answer: set[str]) -> None:
    world = settled(3)
    member = world.hosts["n0"].member
    mine = Sum(said_sum(member.membership.said(world.now)), member.spread.sum())
    theirs = Sum(mine.said if said else NONE, mine.held if held else NONE)
    member.outgoing(world.now)
    member.sums.on_sum(theirs, world.address("n1"), NodeName("n1"), world.now)
    out = [out for out in member.outgoing(world.now) if isinstance(out, SendPacket)]
    assert {type(m).__name__ for packet in out for m in packet.messages} == answer
