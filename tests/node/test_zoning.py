"""A fleet on two levels, over real sockets: zones that know each other by their delegates."""

from __future__ import annotations

import tempfile
from contextlib import AsyncExitStack
from math import inf
from typing import TYPE_CHECKING

import msgspec
import pytest
import trio

from meshfleet.errors import ConfigError, JoinError, StateDirError
from meshfleet.fleet.names import Address, Epoch
from meshfleet.fleet.presence import Presence
from meshfleet.node.opening import open_node
from meshfleet.node.store import StateDir
from tests.node.meshing import config, counted, owner, see, state

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from meshfleet.fleet.zone import ZoneView
    from meshfleet.node.config import NodeConfig
    from meshfleet.node.node import Node

PATIENCE = 60.0


def of(zone: str, plain: NodeConfig) -> NodeConfig:
    """The same node, in a fleet on two levels."""
    return msgspec.structs.replace(plain, zone=zone, levels=2)


def zone(node: Node, name: str) -> ZoneView | None:
    """What a node shows of another zone."""
    return next((view for view in node.fleet().zones if view.zone == name), None)


async def shows(node: Node, name: str, holds: Callable[[ZoneView], bool]) -> ZoneView:
    """What it shows of it, once that is so."""
    while (view := zone(node, name)) is None or not holds(view):
        await node.changed(node.version())
    return view


async def opened(stack: AsyncExitStack, name: str, in_zone: str, *seeds: Address) -> Node:
    """One more node."""
    return await stack.enter_async_context(open_node(of(in_zone, config(name, *seeds))))


@pytest.fixture
async def fleet() -> AsyncIterator[dict[str, Node]]:
    """Two zones, of three and two nodes. Everybody was told of the first node alone, or of one of its own zone."""
    async with AsyncExitStack() as stack:
        nodes = {"n1": await stack.enter_async_context(open_node(of("eu", owner("n1"))))}
        first = nodes["n1"].address
        nodes["n2"] = await opened(stack, "n2", "eu", first)
        nodes["n3"] = await opened(stack, "n3", "eu", first)
        nodes["n4"] = await opened(stack, "n4", "us", first)
        nodes["n5"] = await opened(stack, "n5", "us", nodes["n4"].address, first)
        yield nodes


async def test_each_node_shows_its_zone_in_full_and_the_other_in_sums(fleet: dict[str, Node]) -> None:
    with trio.fail_after(PATIENCE):
        fleet["n5"].publish(state("us/a1"))
        fleet["n1"].publish(state("eu/a1"))
        for name in ("n1", "n2", "n3"):
            view = await shows(fleet[name], "us", lambda view: view.sums.agents == {"fresh": 1})
            assert (view.sums.nodes, view.presence) == ({"fresh": 2}, Presence.FRESH)
        for name in ("n4", "n5"):
            view = await shows(fleet[name], "eu", lambda view: view.sums.agents == {"fresh": 1})
            assert (view.sums.nodes, view.presence) == ({"fresh": 3}, Presence.FRESH)
    assert {n.name for n in fleet["n2"].fleet().nodes} == {"n1", "n2", "n3"}
    assert {n.name for n in fleet["n4"].fleet().nodes} == {"n4", "n5"}
    assert {a.agent_id for a in fleet["n4"].fleet().agents} == {"us/a1"}


async def test_a_zone_is_shown_in_full_to_whoever_asks(fleet: dict[str, Node]) -> None:
    with trio.fail_after(PATIENCE):
        fleet["n5"].publish(state("us/a1", "here"))
        await shows(fleet["n2"], "us", lambda view: view.sums.agents == {"fresh": 1})
        there = await fleet["n2"].zoning.view_of("us")
        assert [(a.agent_id, a.state.note) for a in there.agents] == [("us/a1", "here")]
        assert {n.name for n in there.nodes} == {"n4", "n5"}
        with pytest.raises(ConfigError, match="no zone 'asia' is known here"):
            await fleet["n2"].zoning.view_of("asia")


async def test_a_newcomer_told_of_another_zone_is_led_to_its_own(fleet: dict[str, Node]) -> None:
    with trio.fail_after(PATIENCE):
        await shows(fleet["n1"], "us", lambda view: view.sums.there == 2)
        async with open_node(of("us", config("n6", fleet["n1"].address))) as late:
            await see(late, 3)
            assert {n.name for n in late.fleet().nodes} == {"n4", "n5", "n6"}
            await shows(fleet["n2"], "us", lambda view: view.sums.there == 3)


async def test_a_first_node_of_a_zone_is_told_that_it_is_the_first(fleet: dict[str, Node]) -> None:
    with trio.fail_after(PATIENCE):
        async with open_node(of("asia", config("n6"))) as first:
            with pytest.raises(JoinError, match="knows nobody of zone asia yet"):
                await first.join(fleet["n1"].address)


async def test_who_is_thrown_out_in_one_zone_is_thrown_out_in_all(fleet: dict[str, Node]) -> None:
    with trio.fail_after(PATIENCE):
        await shows(fleet["n1"], "us", lambda view: view.sums.there == 2)
        await shows(fleet["n5"], "eu", lambda view: view.sums.there == 3)
        await fleet["n1"].tending.revoke(fleet["n5"].name, known=True)
        while not fleet["n4"].tending.trust.is_revoked("n5"):
            await trio.lowlevel.checkpoint()
        await shows(fleet["n1"], "us", lambda view: view.sums.nodes == {"fresh": 1, "left": 1})


async def test_two_parts_of_a_zone_that_began_apart_find_each_other() -> None:
    async with AsyncExitStack() as stack:
        first = await opened(stack, "n1", "eu")
        apart = [await opened(stack, name, "us", first.address) for name in ("n2", "n3")]
        with trio.fail_after(PATIENCE):
            for node in apart:
                await see(node, 2)
            await shows(first, "us", lambda view: view.sums.nodes == {"fresh": 2})


async def test_a_rotation_of_keys_reaches_every_zone(fleet: dict[str, Node]) -> None:
    with trio.fail_after(PATIENCE):
        await shows(fleet["n1"], "us", lambda view: view.sums.there == 2)
        await shows(fleet["n5"], "eu", lambda view: view.sums.there == 3)
        before = fleet["n1"].tending.trust.ring.version
        await fleet["n1"].office.rotate()
        for node in fleet.values():
            while node.tending.trust.ring.version == before or not node.tending.trust.ring.is_settled:
                await trio.lowlevel.checkpoint()
        assert {node.tending.trust.ring.current for node in fleet.values()} == {fleet["n1"].tending.trust.ring.current}
        assert zone(fleet["n2"], "us") is not None
        assert not any(node.counters().get("drop_unsealed") for node in fleet.values())


async def test_a_delegate_that_goes_is_replaced(fleet: dict[str, Node]) -> None:
    with trio.fail_after(PATIENCE):
        await shows(fleet["n1"], "us", lambda view: view.sums.there == 2)
        async with open_node(of("us", config("n6", fleet["n4"].address))) as third:
            await shows(fleet["n1"], "us", lambda view: view.sums.there == 3)
            await counted(third, "became_delegate", 1)
            await fleet["n4"].leave()
            await shows(
                fleet["n1"], "us", lambda v: v.sums.nodes == {"fresh": 2, "left": 1} and v.presence is Presence.FRESH
            )
            third.publish(state("us/late"))
            await shows(fleet["n2"], "us", lambda view: view.sums.agents == {"fresh": 1})


async def test_a_seed_that_never_answers_holds_a_delegate_up_in_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshfleet.node.entering.PATIENCE", inf)
    with trio.fail_after(PATIENCE):
        async with open_node(of("eu", owner("n1"))) as n1, AsyncExitStack() as stack:
            (silent,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
            await stack.enter_async_context(silent)
            n1.tending.seeds = (Address("127.0.0.1", silent.socket.getsockname()[1]),)
            await stack.enter_async_context(await silent.accept())
            us = await opened(stack, "n2", "us", n1.address)
            us.publish(state("us/late"))
            await shows(n1, "us", lambda view: view.sums.agents == {"fresh": 1})
            n1.publish(state("eu/late"))
            await shows(us, "eu", lambda view: view.sums.agents == {"fresh": 1})
            assert n1.counters().get("zone_not_found", 0) == 0, "it is still being waited for"


async def test_a_node_that_can_not_listen_above_goes_on_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    with trio.fail_after(PATIENCE):
        async with open_node(config("n9")) as other:
            taken = msgspec.structs.replace(of("eu", config("n1")), above=other.address)
            async with open_node(taken) as n1:
                await counted(n1, "above_not_bound", 1)
                assert not n1.zoning.delegates()
                assert "is in use" in caplog.text


@pytest.mark.parametrize("full", ["state dir", "temporary files"])
async def test_a_node_whose_disk_is_full_when_it_is_to_speak_for_its_zone_goes_on_and_says_so(
    full: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("meshfleet.node.zoning.BOUND_AGAIN", 0.0)
    with trio.fail_after(PATIENCE), monkeypatch.context() as machine:
        async with open_node(of("eu", owner("n1", state_dir=tmp_path))) as n1:
            if full == "state dir":

                def refuse(*_: object) -> Epoch:
                    raise StateDirError("no space left")

                machine.setattr(StateDir, "next_epoch", refuse)
            else:
                machine.setattr(tempfile, "tempdir", str(tmp_path / "not there"))
            await counted(n1, "above_not_bound", 2)
            assert not n1.zoning.delegates()
            assert "can't speak for its zone" in caplog.text
            machine.undo()
            await counted(n1, "became_delegate", 1)


@pytest.mark.parametrize(
    ("named", "said"),
    [(None, "give --zone the name"), ("Europe, west", "has letters, digits"), ("é", "has letters"), ("z" * 65, "64")],
)
async def test_a_zone_of_a_fleet_on_two_levels_has_a_name_that_ids_are_made_of(named: str | None, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        async with open_node(msgspec.structs.replace(config("n1"), zone=named, levels=2)):
            pass
