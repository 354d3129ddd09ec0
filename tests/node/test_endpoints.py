"""Agents without a node, between real nodes: one carries each, another takes over, and views say what is known."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio

from meshfleet.fleet.endpoint import Endpoint
from meshfleet.fleet.names import AgentId, NodeName
from meshfleet.fleet.presence import Presence
from meshfleet.fleet.rendezvous import ranked
from meshfleet.node.opening import open_node
from meshfleet.runtimes.endpoints import following, watching
from meshfleet.runtimes.endpoints.watching import watch_endpoints
from meshfleet.wire.contacts import key_of
from tests.node.meshing import config, counted, see
from tests.runtimes.serving import Stub

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from meshfleet.fleet.names import Address
    from meshfleet.fleet.view import AgentView
    from meshfleet.node.node import Node

NAME = AgentId("lab/one")
FIRST, SECOND = ranked(f"endpoint {NAME}", [NodeName("n1"), NodeName("n2")])


@pytest.fixture(autouse=True)
def in_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "LEAST_POLL", 0.1)
    monkeypatch.setattr(following, "LONGEST_POLL", 0.2)
    monkeypatch.setattr(watching, "HANDOVER", 0.5)


@asynccontextmanager
async def knowing(name: str, url: str, *seeds: Address) -> AsyncIterator[Node]:
    """A node that knows the endpoint at `url`."""
    async with open_node(config(name, *seeds)) as node, trio.open_nursery() as nursery:
        node.endpoints.know((Endpoint(name=NAME, base_url=url),))
        nursery.start_soon(node.endpoints.run)
        nursery.start_soon(watch_endpoints, node, node.endpoints, node.counts)
        yield node
        nursery.cancel_scope.cancel()


async def shows(node: Node, fits: Callable[[AgentView], bool]) -> AgentView:
    """The agent, once `node` shows it so."""
    with trio.fail_after(40):
        while True:
            for agent in node.fleet().agents:
                if agent.agent_id == NAME and fits(agent):
                    return agent
            with trio.move_on_after(0.5):  # ages alone change nothing
                await node.changed(node.version())


async def asks(stub: Stub) -> None:
    """Until somebody asks it once more."""
    await stub.until("/state", stub.asked.count("/state") + 1)


async def test_of_two_that_know_it_one_carries_it_and_the_other_takes_over_when_it_goes() -> None:
    stub = Stub()
    stub.answers["/state"] = {"status": "idle"}
    async with stub.running(), knowing(SECOND, stub.url) as second:
        await shows(second, lambda agent: agent.node == SECOND)
        async with knowing(FIRST, stub.url, second.address) as first:
            agent = await shows(second, lambda agent: agent.node == FIRST)
            assert (agent.presence, agent.transport, agent.reasons) == (Presence.FRESH, "poll", ())
            held = second.member.replica.shelf(NodeName(SECOND))
            assert held is not None
            with trio.fail_after(20):
                while not held.held[NAME].withdrawn:
                    await second.changed(second.version())
            assert [agent.agent_id for agent in second.fleet().agents] == [NAME]
            await shows(first, lambda agent: agent.node == FIRST)
            await first.leave()
        agent = await shows(second, lambda agent: agent.node == SECOND)
        assert agent.presence is Presence.FRESH


async def test_who_reaches_it_carries_it_though_it_is_not_its_turn() -> None:
    stub = Stub()
    stub.answers["/state"] = {"status": "idle"}
    async with (
        stub.running(),
        knowing(FIRST, "http://127.0.0.1:1") as first,
        knowing(SECOND, stub.url, first.address) as second,
    ):
        agent = await shows(first, lambda agent: agent.node == SECOND)
        assert (agent.presence, agent.state.status.value) == (Presence.FRESH, "idle")
        assert first.endpoints.never_answered()[0][0] == NAME
        assert "is refused when it asks" in first.endpoints.never_answered()[0][1]
        assert second.endpoints.never_answered() == []


async def test_one_that_falls_silent_is_unreachable_while_its_node_is_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    from meshfleet.fleet import endpoint

    monkeypatch.setattr(endpoint, "LONGEST_POLL", 0.5)
    stub = Stub()
    stub.answers["/state"] = {"status": "idle"}
    async with (
        stub.running(),
        knowing(FIRST, stub.url) as first,
        open_node(config(SECOND, first.address)) as looker,
    ):
        await shows(looker, lambda agent: agent.presence is Presence.FRESH)
        await stub.end()
        agent = await shows(looker, lambda agent: agent.presence is Presence.UNREACHABLE)
        assert agent.node == FIRST
        assert agent.certainty is None
        assert f"{FIRST} is refused when it asks" in agent.reasons[0]
        assert agent.age_s >= 0.5
        node = next(node for node in looker.fleet().nodes if node.name == FIRST)
        assert node.presence is Presence.FRESH


async def test_the_death_of_who_asked_is_not_said_of_the_agent() -> None:
    stub = Stub()
    stub.answers["/state"] = {"status": "idle"}
    async with stub.running(), open_node(config(SECOND)) as looker:
        async with knowing(FIRST, stub.url, looker.address) as first:
            await shows(looker, lambda agent: agent.presence is Presence.FRESH)
            await first.leave()
        agent = await shows(looker, lambda agent: agent.presence is Presence.UNREACHABLE)
        assert agent.reasons == (f"{FIRST}, which asks it, is left",)


async def test_one_whose_token_is_changed_stays_in_view_and_one_that_is_taken_away_goes() -> None:
    stub = Stub()
    stub.answers["/state"] = {"status": "idle"}
    async with stub.running(), knowing(FIRST, stub.url) as first:
        await shows(first, lambda agent: agent.transport == "poll")
        held = first.member.replica.shelf(NodeName(FIRST))
        assert held is not None
        first.endpoints.know((Endpoint(name=NAME, base_url=stub.url, token="s3cret"),))
        await stub.until("/auth/session")
        await asks(stub)
        assert not held.held[NAME].withdrawn
        first.endpoints.know(())
        with trio.fail_after(20):
            while not held.held[NAME].withdrawn:
                await first.changed(first.version())
        assert first.fleet().agents == ()
        assert first.counters().get("failed_endpoints") is None


async def test_what_a_member_tells_of_contacts_may_be_anything() -> None:
    async with open_node(config("n1")) as looker, open_node(config("n2", looker.address)) as liar:
        await see(looker, 2)
        liar.tell_beside("meshfleet:endpoints", b"\xff\x00")
        stub = Stub()
        async with stub.running():
            stub.answers["/state"] = {"status": "idle"}
            looker.endpoints.know((Endpoint(name=NAME, base_url=stub.url),))
            with trio.fail_after(20):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(looker.endpoints.run)
                    nursery.start_soon(watch_endpoints, looker, looker.endpoints, looker.counts)
                    await counted(looker, "undecodable_contacts", 1)
                    await shows(looker, lambda agent: agent.node == "n1")
                    nursery.cancel_scope.cancel()


def test_the_key_of_an_agent_is_that_of_the_page() -> None:
    assert key_of(NAME).hex() == "9aaf118ea4a243c5"
