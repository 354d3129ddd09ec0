"""What a member may send of snapshots: its own budget, beside which all else goes at once, and which nothing goes
beyond."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from meshfleet.fleet.names import Address, AgentId, Epoch, NodeName
from meshfleet.fleet.state import Snapshot
from meshfleet.gossip.budget import DEPTH, PATIENCE, TIMES, Budget
from meshfleet.gossip.messages import Delta, Ping, SnapshotMessage
from meshfleet.gossip.orders import SendPacket
from tests.gossip.world import World

if TYPE_CHECKING:
    from meshfleet.gossip.member import Member

RATE = 20_000.0
HERE = Address("10.0.0.9", 1)


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(1, 1_400)), max_size=200))
def test_in_no_time_more_goes_than_its_rate_and_what_may_go_at_once(asks: list[tuple[float, int]]) -> None:
    budget, at, taken = Budget(RATE), 0.0, list[tuple[float, int]]()
    for pause, size in asks:
        at += pause
        budget.fill(at)
        if budget.take(size):
            taken.append((at, size))
        elif budget.wait > 0:
            budget.fill(at + budget.wait + 1e-6)  # then there is room
            assert budget.take(0)
            budget.fill(at)
    for i, (begin, _) in enumerate(taken):
        for end, _ in taken[i:]:
            sent = sum(size for when, size in taken if begin <= when <= end)
            assert sent <= TIMES * RATE * (end - begin + DEPTH) + 1_400 + 1


def crowded() -> tuple[World, Member]:
    world = World(3, seed=1)
    world.run(10)
    member = world.hosts["n0"].member
    member.outgoing(world.now)
    member.outbox._budget = Budget(RATE)
    member.outbox._budget.fill(member.listening.at(world.now))
    return world, member


def shot(seq: int) -> SnapshotMessage:
    return SnapshotMessage(Snapshot(NodeName("n1"), Epoch(1), seq, 0, 0, AgentId("n1/a"), b"x" * 900), None, 0, 0.0)


def sent(member: Member, now: float) -> list[object]:
    return [m for out in member.outgoing(now) if isinstance(out, SendPacket) for m in out.messages]


def test_beyond_the_budget_snapshots_wait_and_a_probe_does_not() -> None:
    world, member = crowded()
    for seq in range(1, 31):
        member.outbox.datagram_to(HERE, NodeName("n1"), shot(seq))
    member.outbox.datagram_to(HERE, NodeName("n1"), Ping(7, "n1"))
    first = sent(member, world.now)
    assert Ping(7, "n1") in first
    size = member.outbox.measure(shot(1))
    at_once = [m.snapshot.seq for m in first if isinstance(m, SnapshotMessage)]
    assert at_once == list(range(1, len(at_once) + 1))
    assert DEPTH * TIMES * RATE <= len(at_once) * size < DEPTH * TIMES * RATE + size
    now, later = world.now, list[int]()
    while member.outbox.wait is not None:
        now = min(member.next_timer(), now + 0.1)
        member.handle_timer(now)
        later += [m.snapshot.seq for m in sent(member, now) if isinstance(m, SnapshotMessage)]
    assert later == list(range(len(at_once) + 1, 31)), "in their order, and none lost"
    assert now - world.now >= (30 - len(at_once) - 1) * size / (TIMES * RATE) - 0.1
    assert member.counts["late_state"] == 30 - len(at_once)


def test_what_would_wait_too_long_is_dropped_and_so_are_answers_for_they_are_asked_for_again() -> None:
    _, member = crowded()
    for seq in range(1, 201):
        member.outbox.datagram_to(HERE, NodeName("n1"), shot(seq))
    waiting = member.counts["late_state"] * member.outbox.measure(shot(1))
    assert waiting <= PATIENCE * TIMES * RATE
    assert member.counts["dropped_state"] > 0
    before = member.outbox.waiting
    member.outbox.datagram_to(HERE, NodeName("n1"), Delta("n1", 1, 0, 1, (shot(1).snapshot,)))
    assert (member.counts["unanswered_want"], member.outbox.waiting) == (1, before)
