"""Steps of a snapshot's way: told to have arrived while datagrams are lost, and taken again where they are not."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshfleet.fleet.names import AgentId, Epoch, NodeName
from meshfleet.fleet.state import Snapshot
from meshfleet.gossip.limits import STEPS
from meshfleet.gossip.messages import Alive, Got, Message, NodeInfo, SnapshotMessage
from meshfleet.gossip.roster import Roster
from meshfleet.gossip.steps import FIRST_WAIT, LEAST_WAIT, MOST_WAIT, TRIES, Steps
from meshfleet.gossip.timers import Timers
from tests.gossip.world import World

if TYPE_CHECKING:
    from meshfleet.gossip.record import Record

INFO = NodeInfo("h", "10.0.0.1", 7878)
SHOT = SnapshotMessage(Snapshot(NodeName("n0"), Epoch(1), 1, 0, 0, AgentId("n0/a"), b"x"), "n4")


class Sent:
    """An outbox that keeps what it is given."""

    def __init__(self) -> None:
        self.out: list[tuple[str, SnapshotMessage]] = []
        self.wait: float | None = None

    def datagram(self, record: Record, *messages: Message) -> None:
        self.out += [(record.name, message) for message in messages if isinstance(message, SnapshotMessage)]


class Walk:
    """n0 that takes steps to n1 … n5."""

    def __init__(self) -> None:
        self.roster, self.sent, self.timers = Roster(NodeName("n0"), Random(1), Counter()), Sent(), Timers()
        self.counts: Counter[str] = Counter()
        for i in range(1, 6):
            self.roster.add(Alive(f"n{i}", 1, 0, INFO), 0.0)
        self.steps = Steps(self.roster, self.sent, self.timers, self.counts)  # type: ignore[arg-type]  # it stands for the one
        self.now = 0.0

    def take(self, *names: str, message: SnapshotMessage = SHOT) -> None:
        told = [(record, message) for name in names if (record := self.roster.get(name)) is not None]
        self.steps.take(told, self.now)

    def passes(self, seconds: float) -> list[tuple[str, int]]:
        end, before = self.now + seconds, len(self.sent.out)
        while self.timers.next() <= end:
            self.now = self.timers.next()
            self.timers.run_due(self.now)
        self.now = end
        return [(name, message.step) for name, message in self.sent.out[before:]]


def test_what_is_not_told_in_time_is_sent_again_under_another_number_and_at_last_to_the_next_one_too() -> None:
    walk = Walk()
    walk.take("n1", "n2")
    assert [(name, message.step) for name, message in walk.sent.out] == [("n1", 1), ("n2", 2)]
    walk.steps.on_got(Got((2,)), 0.05)
    assert walk.passes(0.04) == []
    assert walk.passes(FIRST_WAIT) == [("n1", 3)]
    assert walk.passes(MOST_WAIT) == [("n2", 0), ("n1", 4)]
    assert walk.passes(10.0) == []
    assert walk.counts["step_again"] == TRIES - 1


def test_what_is_told_is_not_sent_again() -> None:
    walk = Walk()
    walk.take("n1")
    walk.steps.on_got(Got((1, 99)), 0.02)
    assert walk.passes(10.0) == []


def test_how_long_is_waited_follows_round_trips_even_of_those_told_too_late() -> None:
    walk = Walk()
    for _ in range(40):
        walk.take("n1")
        walk.steps.on_got(Got((walk.sent.out[-1][1].step,)), walk.now + 0.002)
        walk.passes(1.0)
    n1 = walk.roster.get("n1")
    assert n1 is not None
    assert walk.steps.wait(n1) == LEAST_WAIT
    for _ in range(40):
        walk.take("n1")
        number = walk.sent.out[-1][1].step
        walk.passes(0.2)
        walk.steps.on_got(Got((number,)), walk.now)
        walk.passes(1.0)
    assert 0.2 <= walk.steps.wait(n1) <= MOST_WAIT


def test_beyond_the_bound_steps_are_taken_without_asking() -> None:
    walk = Walk()
    for _ in range(STEPS + 3):
        walk.take("n1")
    assert [message.step for _, message in walk.sent.out[-3:]] == [0, 0, 0]
    assert walk.counts["untold_step"] == 3
    walk.passes(10.0)
    walk.take("n1")
    assert walk.sent.out[-1][1].step > 0, "those that are over make room"


@given(st.sets(st.integers(0, 30), min_size=2), st.integers(0, 30), st.integers(0, 30), st.integers(0, 30))
def test_the_next_in_a_stretch_is_the_first_after_it_before_the_end(
    members: set[int], first: int, until: int, but: int
) -> None:
    roster = Roster(NodeName("me"), Random(1), Counter())
    for i in members:
        roster.add(Alive(f"n{i:02}", 1, 0, INFO), 0.0)
    found = roster.next_in(f"n{first:02}", f"n{until:02}", but=f"n{but:02}")
    length = (until - first) % 31 or 31
    there = [i for k in range(1, length) if (i := (first + k) % 31) in members and i != but]
    assert (None if found is None else found.name) == (f"n{there[0]:02}" if there else None)


def late(world: World, publish: int) -> list[float]:
    """How late each publication was with each of the others."""
    delays: list[float] = []
    for i in range(publish):
        origin, agent = f"n{i % len(world.hosts)}", f"a{i}/{world.now}"  # another each time: nothing is held back
        world.publish(origin, agent, b"x")
        missing, began = {n for n in world.hosts if n != origin}, world.now
        for _ in range(1_000):
            world.run(0.005)
            there = {n for n in missing if world.body(n, origin, agent) == b"x"}
            delays += [world.now - began] * len(there)
            missing -= there
            if not missing:
                break
        assert not missing
    return sorted(delays)


@pytest.mark.parametrize("seed", range(2))
def test_with_a_tenth_of_all_datagrams_lost_news_is_there_after_twice_the_time(seed: int) -> None:
    whole, torn = World(32, seed=seed), World(32, seed=seed, loss=0.1)
    for world in (whole, torn):
        world.run(40)
    usual = late(whole, 60)
    assert whole.messages["Got"] == 0, "where nothing is lost nobody asks for it"
    late(torn, 30)  # until all have noticed, and know how long a round trip takes
    delays = late(torn, 60)
    assert torn.messages["Got"]
    p99 = int(0.99 * len(delays))
    assert delays[p99] <= 0.06  # the wait is 10 ms at the least; by digests alone it was 0.35 s
    assert delays[len(delays) // 2] <= 2 * usual[len(usual) // 2]


def test_what_waits_for_room_in_the_outbox_is_not_sent_again() -> None:
    walk = Walk()
    walk.take("n1")
    walk.sent.wait = 0.3  # it may not even have left
    assert walk.passes(2.0) == []
    walk.sent.wait = None
    assert [name for name, _ in walk.passes(2.0)][:1] == ["n1"]
