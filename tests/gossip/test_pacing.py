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
from meshfleet.gossip.limits import STATE_RATE
from meshfleet.gossip.messages import Ping, SnapshotMessage
from meshfleet.gossip.orders import SendPacket
from meshfleet.gossip.pacing import MOST, Pacing
from meshfleet.gossip.timers import Timers
from tests.gossip.world import World

if TYPE_CHECKING:
    import pytest

LAN = PRESETS["lan"]
A, B = AgentId("n0/a"), AgentId("n0/b")


class Paces:
    """Pacing, and what went when."""

    def __init__(self) -> None:
        self.timers, self.counts, self.now = Timers(), Counter[str](), 0.0
        self.went: list[tuple[float, AgentId, bytes]] = []
        self.events: list[Event] = []
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
        assert [w[2] for w in went][-1:] == [body for _, name, body in said if name == agent][-1:]
        gaps = [(later[0] - earlier[0], later[2], earlier[2]) for earlier, later in pairwise(went)]
        assert all(gap >= LAN.snapshot_interval - 1e-4 or (not body and before) for gap, body, before in gaps)


def test_an_agent_is_withdrawn_at_once_but_not_over_and_over() -> None:
    it = Paces()
    it.pacing.publish(A, b"x", 0.0)
    it.pacing.publish(A, b"", 0.1)
    it.pacing.publish(A, b"y", 0.2)
    it.pacing.publish(A, b"", 0.3)
    assert [when for when, _, _ in it.went] == [0.0, 0.1]
    it.run(3.0)
    assert it.went[2:] == [(1.1, A, b"")]


def test_who_leaves_says_what_was_held_first() -> None:
    it = Paces()
    it.pacing.publish(A, b"x", 0.0)
    it.pacing.publish(A, b"y", 0.1)
    it.pacing.flush(0.2)
    assert it.went[-1] == (0.2, A, b"y")
    it.run(5.0)
    assert len(it.went) == 2


def test_where_the_fleet_says_too_much_all_are_slowed_down_and_that_is_said() -> None:
    it = Paces()
    said = 0
    for second in range(1, 10):
        said += 2 * STATE_RATE if second < 4 else STATE_RATE // 10
        it.pacing.look(said, float(second))
        if second == 1:
            assert (it.pacing.stretch, it.events) == (2.0, [Paced(2.0)])
            it.pacing.publish(A, b"x", 1.0)
            it.pacing.publish(A, b"y", 1.1)
            it.pacing.publish(B, b"x", 1.1)
            it.pacing.publish(B, b"y", 1.2)
            it.run(2.9)
            assert len(it.went) == 2
            it.run(3.2)
            assert [when for when, _, _ in it.went[2:]] == [3.0, 3.1]
    assert it.pacing.stretch == 1.0
    assert it.events[-1] == Paced(1.0)
    assert it.counts["slowed_snapshots"] == 1
    for second in range(20, 60):
        said += 100 * STATE_RATE
        it.pacing.look(said, float(second))
    assert it.pacing.stretch == MOST


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
