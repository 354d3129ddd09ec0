"""Whose agents are shown while one life of their node ends and another begins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from meshfleet.fleet.names import AgentId, Epoch, NodeName
from meshfleet.fleet.state import AgentState, Snapshot, Status
from meshfleet.gossip.messages import SnapshotMessage, Via
from meshfleet.node.viewing import OF_LAST_LIFE, Viewing
from meshfleet.wire.codec import encode_state
from tests.gossip.world import World

if TYPE_CHECKING:
    from meshfleet.fleet.view import AgentView

N3 = NodeName("n3")


def told(agent: str) -> bytes:
    return encode_state(
        AgentState(agent_id=AgentId(agent), timestamp="2026-01-01T00:00:00Z", status=Status.WORKING, runtime="python")
    )


@pytest.fixture
def world() -> World:
    world = World(4)
    world.run(5)
    for agent in ("n3/a", "n3/b"):
        world.publish("n3", agent, told(agent))
    world.run(2)
    return world


def agents(world: World, viewing: Viewing) -> list[AgentView]:
    return [*viewing.fleet("1", world.now, 1.7e9 + world.now, 0.0).agents]


def test_what_a_later_life_tells_waits_until_it_is_introduced(world: World) -> None:
    viewing = Viewing(world.hosts["n1"].member)
    before = agents(world, viewing)
    assert {(a.agent_id, a.epoch) for a in before} == {("n3/a", 1), ("n3/b", 1)}
    world.kill("n3")
    world.run(3)
    snapshot = Snapshot(N3, Epoch(2), 1, 0, 0, AgentId("n3/a"), told("n3/a"))
    packet = world.hosts["n2"].member.envelope((SnapshotMessage(snapshot),), world.now, 0)
    world.do("n1", lambda m: m.receive(packet, world.address("n2"), Via.DATAGRAM, world.now))
    shelf = world.hosts["n1"].member.replica.shelf(N3)
    assert shelf is not None
    assert shelf.epoch == 2
    assert {(a.agent_id, a.epoch, a.presence.value) for a in agents(world, viewing)} == {
        ("n3/a", 1, "down"), ("n3/b", 1, "down"),
    }  # fmt: skip
    world.start("n3", join="n0", epoch=2)
    world.run(1)
    assert [(a.agent_id, a.epoch, a.presence.value) for a in agents(world, viewing)] == [("n3/a", 2, "fresh")]


def test_agents_of_the_last_life_are_stale_for_4t_and_then_gone(world: World) -> None:
    viewing = Viewing(world.hosts["n1"].member)
    world.kill("n3")
    world.run(3)
    world.start("n3", join="n0", epoch=2)
    world.run(15)
    for agent in agents(world, viewing):
        assert (agent.epoch, agent.presence.value, agent.reasons[0]) == (1, "stale", OF_LAST_LIFE)
    assert len(agents(world, viewing)) == 2
    world.publish("n3", "n3/b", told("n3/b"))
    world.run(1)
    assert [(a.agent_id, a.epoch, a.presence.value) for a in agents(world, viewing)] == [("n3/b", 2, "fresh")]


def test_a_life_without_agents_has_none_in_the_end(world: World) -> None:
    viewing = Viewing(world.hosts["n1"].member)
    world.kill("n3")
    world.run(3)
    world.start("n3", join="n0", epoch=2)
    world.run(30)
    assert agents(world, viewing) == []
