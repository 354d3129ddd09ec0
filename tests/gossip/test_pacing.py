"""How often an agent's snapshots go: the first at once, the newest of the rest when it is its turn, all alike."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from meshfleet.fleet.names import AgentId
from meshfleet.fleet.timing import PRESETS
from meshfleet.gossip import outbox
from meshfleet.gossip.events import Event, Paced
from meshfleet.gossip.messages import Ping, SnapshotMessage
from meshfleet.gossip.orders import SendPacket
from meshfleet.gossip.pacing import LASTING, MOST, Pacing
from meshfleet.gossip.timers import Timers
from tests.gossip.world import World

if TYPE_CHECKING:
    import pytest

LAN = PRESETS["lan"]
RATE = LAN.state_rate
A, B = AgentId("n0/a"), AgentId("n0/b")


class Paces:
    """Pacing, and what went when."""

    def __init__(self) -> None:
        self.timers, self.counts, self.now = Timers(), Counter[str](), 0.0
        self.went: list[tuple[float, AgentId, bytes]] = []
        self.events: list[Event] = []
        self.said = 0.0
        self.pacing = Pacing(LAN, self.timers, self.counts, self._go, self.events.append)

    def _go(self, agent: AgentId, body: bytes, now: float) -> None:
        self.went.append((round(now, 6), agent, body))

    def run(self, until: float) -> None:
        while self.timers.next() <= until:
            self.now = max(self.now, self.timers.next())
            self.timers.run_due(self.now)
        self.now = until


def test_the_first_change_goes_at_once_and_of_the_rest_the_newest_a_second_later() -> None:
    it = Paces()
    for i in range(50):
        it.run(i / 50)
        it.pacing.publish(A, b"%d" % i, it.now)
    it.run(5.0)
    assert it.went == [(0.0, A, b"0"), (1.0, A, b"49")]
    assert it.counts["held_snapshot"] == 49


@given(st.lists(st.tuples(st.floats(0, 20), st.sampled_from([A, B]), st.binary(max_size=2)), max_size=40))
def test_whatever_is_published_the_newest_arrives_and_none_of_an_agent_comes_too_soon(
    said: list[tuple[float, AgentId, bytes]],
) -> None:
    it = Paces()
    said = sorted(said, key=lambda each: each[0])
    for at, agent, body in said:
        it.run(at)
        it.pacing.publish(agent, body, at)
    it.run(60.0)
    for agent in (A, B):
        went = [each for each in it.went if each[1] == agent]
        last = [body for _, name, body in said if name == agent][-1:]
        assert [w[2] for w in went][-1:] == last or (last == [b""] and not went)
        for earlier, later in pairwise(went):
            assert later[2] or earlier[2], "that it was withdrawn is said once"
            assert later[0] - earlier[0] >= LAN.snapshot_interval - 1e-4 or bool(later[2]) is not bool(earlier[2])
        for i, later in enumerate(went):  # and however it comes and goes, it has no more turns than others, but for two
            for j, earlier in enumerate(went[:i]):
                assert later[0] - earlier[0] >= (i - j - 2) * LAN.snapshot_interval - 1e-4


def test_an_agent_is_withdrawn_at_once_but_not_over_and_over() -> None:
    it = Paces()
    it.pacing.publish(A, b"x", 0.0)
    it.pacing.publish(A, b"", 0.1)
    it.pacing.publish(A, b"y", 0.2)
    it.pacing.publish(A, b"", 0.3)
    assert it.went == [(0.0, A, b"x"), (0.1, A, b"")]
    it.run(3.0)
    assert it.went == [(0.0, A, b"x"), (0.1, A, b"")]


def test_an_agent_that_is_there_again_goes_at_once_unless_it_comes_and_goes() -> None:
    it = Paces()
    it.pacing.publish(A, b"x", 0.0)
    it.run(5.0)
    for body in (b"", b"y", b"", b"z"):
        it.pacing.publish(A, body, 5.0)
    assert it.went[1:] == [(5.0, A, b""), (5.0, A, b"y"), (5.0, A, b"")]
    assert it.pacing.waiting() == [A]
    it.run(20.0)
    assert it.went[4:] == [(7.0, A, b"z")]


def test_who_leaves_says_what_was_held_first() -> None:
    it = Paces()
    it.pacing.publish(A, b"x", 0.0)
    it.pacing.publish(A, b"y", 0.1)
    it.pacing.flush(0.2)
    assert it.went[-1] == (0.2, A, b"y")
    it.run(5.0)
    assert len(it.went) == 2


@given(
    st.lists(st.tuples(st.floats(0, 30), st.sampled_from([A, B]), st.binary(min_size=1, max_size=2)), max_size=60),
    st.lists(st.floats(0, 8), min_size=30, max_size=30),
)
def test_whatever_the_fleet_says_none_comes_sooner_than_the_pace_has_it_and_the_newest_comes_in_the_end(
    said: list[tuple[float, AgentId, bytes]], rates: list[float]
) -> None:
    it, fleet, told = Paces(), 0.0, sorted(said, key=lambda each: each[0])
    turn, turns = 0.0, dict[float, float]()  # how far an agent's wait had come, by what the stretch was
    for second, rate in enumerate(rates):
        for at, agent, body in [each for each in told if second <= each[0] < second + 1]:
            it.run(at)
            it.pacing.publish(agent, body, at)
        it.run(second + 1.0)
        turns[second] = turn
        turn += 1 / it.pacing.stretch
        fleet += rate * RATE
        it.pacing.look(round(fleet), second + 1.0)
    it.run(200.0)
    for agent in (A, B):
        went = [each for each in it.went if each[1] == agent]
        published = [body for at, name, body in told if name == agent and at < 30]
        assert [w[2] for w in went][-1:] == published[-1:]
        assert all(w[2] in published for w in went)
        for earlier, later in pairwise([when for when, _, _ in went if when < 29]):
            passed = turns[int(later)] - turns[int(earlier)]  # whole seconds, so it may be one off on either side
            assert passed >= LAN.snapshot_interval - 1.0
            assert later - earlier >= LAN.snapshot_interval - 1e-4


def test_an_agent_that_was_quiet_goes_at_once_however_slow_the_fleet() -> None:
    it = Paces()
    slow_down(it, 5 * RATE, 60)
    assert it.pacing.stretch > 4
    it.run(70.0)
    it.pacing.publish(A, b"x", 70.0)
    assert it.went == [(70.0, A, b"x")]


def slow_down(it: Paces, rate: float, seconds: int, first: int = 0) -> None:
    """A fleet that says `rate` bytes a second where it is not slowed down."""
    for second in range(first + 1, first + seconds + 1):
        it.said += rate / it.pacing.stretch
        it.run(float(second))
        it.pacing.look(round(it.said), float(second))


def test_where_the_fleet_says_too_much_it_settles_at_what_it_may_and_returns_when_that_is_over() -> None:
    for demand in (2.0, 5.0, 20.0):
        it = Paces()
        slow_down(it, demand * RATE, 120)
        before = it.pacing.stretch
        assert 1.0 <= demand / before <= 1.3  # what is said now, in `state_rate`
        slow_down(it, demand * RATE, 1, 120)
        assert abs(it.pacing.stretch / before - 1) < 0.02  # it does not swing
        slow_down(it, 0.1 * RATE, 40, 121)
        assert it.pacing.stretch == 1.0


def test_two_that_once_differed_soon_wait_alike() -> None:
    one, two = Paces(), Paces()
    slow_down(one, 10 * RATE, 60)
    for second in range(61, 181):  # the other begins when the first has slowed down; both see what both say
        both = one.said + 5 * RATE / one.pacing.stretch + 5 * RATE / two.pacing.stretch
        one.said = both
        one.pacing.look(round(both), float(second))
        two.pacing.look(round(both), float(second))
        if second == 65:
            assert one.pacing.stretch > 1.5 * two.pacing.stretch
    assert one.pacing.stretch < 1.15 * two.pacing.stretch


def test_agents_wait_as_long_as_the_pace_of_now_has_it_not_that_of_when_they_began() -> None:
    it = Paces()
    it.pacing.stretch = 10.0
    it.pacing.publish(A, b"x", 0.0)
    it.pacing.publish(A, b"y", 0.1)
    it.run(5.0)
    assert len(it.went) == 1
    it.pacing.look(0, 5.0)
    it.pacing.stretch = 1.0  # half of its wait is over, and the other half takes half a second now
    it.run(5.4)
    assert len(it.went) == 1
    it.run(6.1)  # looked at once a second
    assert it.went[1:] == [(6.0, A, b"y")] or 5.5 <= it.went[1][0] <= 6.1


def test_it_is_said_once_that_snapshots_go_more_seldom_and_once_that_it_is_over() -> None:
    it = Paces()
    slow_down(it, 3 * RATE, LASTING - 1)
    assert it.events == []
    assert it.counts["slowed_snapshots"] == 0
    slow_down(it, 3 * RATE, 60, LASTING - 1)
    (begun,) = it.events
    assert isinstance(begun, Paced)
    assert begun.stretch > 1.1
    assert it.pacing.is_slow
    slow_down(it, 0.0, 60, 60 + LASTING)
    assert it.events == [begun, Paced(1.0)]
    assert (it.counts["slowed_snapshots"], it.pacing.is_slow) == (1, False)


def test_a_burst_is_not_worth_a_line_and_slows_nobody_down_for_long() -> None:
    it = Paces()
    it.said = 60 * RATE  # a newcomer is told everything
    slow_down(it, 0.2 * RATE, 1)
    assert 1.5 < it.pacing.stretch < 5
    slow_down(it, 0.2 * RATE, 10, 1)
    assert it.pacing.stretch == 1.0
    assert it.events == []


def test_nothing_gets_slower_than_once_a_minute() -> None:
    it = Paces()
    for second in range(1, 60):
        it.pacing.look(second * 100 * round(RATE), float(second))
    assert abs(it.pacing.stretch - MOST) < 1e-6


def test_an_agent_that_changes_50_times_a_second_costs_the_mesh_one_snapshot_of_them() -> None:
    world = World(6, seed=1)
    world.run(20)
    world.messages.clear()
    for i in range(250):
        world.publish("n0", "n0/a", b"%d" % i)
        world.run(0.02)
    assert world.messages["SnapshotMessage"] <= 6 * 5
    world.run(1.5)
    assert all(world.body(other, "n0", "n0/a") == b"249" for other in world.hosts)


def test_a_probe_is_never_pushed_out_by_snapshots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "OUTBOX", 20)
    monkeypatch.setattr(outbox, "STATE_OUTBOX", 10)
    world = World(3, seed=1)
    world.run(10)
    member = world.hosts["n0"].member
    record = member.roster.get("n1")
    assert record is not None
    member.outgoing(world.now)
    member.outbox.datagram(record, Ping(7, "n1"))
    for i in range(40):
        member._publish(AgentId(f"n0/{i}"), b"x", world.now)  # as fast as no pacing lets it
    out = [out for out in member.outgoing(world.now) if isinstance(out, SendPacket)]
    sent = [message for packet in out for message in packet.messages]
    assert Ping(7, "n1") in sent
    assert sum(isinstance(message, SnapshotMessage) for message in sent) == 10
    assert member.counts["dropped_state"] == 70
    assert member.counts["dropped_outgoing"] == 0
