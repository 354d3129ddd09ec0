"""Nodes over real sockets: what a fleet of them does, and what bad input brings."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import msgspec
import pytest
import trio

from meshfleet.errors import ConfigError, JoinError, PublishError
from meshfleet.fleet.names import Address, AgentId, NodeName
from meshfleet.fleet.presence import Certainty, Presence
from meshfleet.fleet.standing import Standing
from meshfleet.fleet.state import AGENTS_LIMIT
from meshfleet.node.opening import open_node
from tests.node.meshing import config, notes, said, see, sees, state

if TYPE_CHECKING:
    from pathlib import Path

    from meshfleet.node.node import Node

PATIENCE = 30.0


async def test_five_nodes_show_the_same_agents_from_any_of_them() -> None:
    async with AsyncExitStack() as stack:
        nodes: list[Node] = []
        for i in range(5):
            seeds = (nodes[0].address,) if nodes else ()
            nodes.append(await stack.enter_async_context(open_node(config(f"n{i}", *seeds))))
        with trio.fail_after(PATIENCE):
            for node in nodes:
                await see(node, 5)
            nodes[1].publish(state("h/a", "one"))
            nodes[4].publish(state("h/b", "two"))
            for node in nodes:
                await notes(node, "h/a", "one")
                await notes(node, "h/b", "two")
        assert {tuple(a.agent_id for a in node.fleet().agents) for node in nodes} == {("h/a", "h/b")}
        assert all(n.agents == ("h/a",) for node in nodes for n in node.fleet().nodes if n.name == "n1")


async def test_a_state_too_large_for_a_datagram_arrives_and_one_over_4_kib_is_refused() -> None:
    async with open_node(config("n1")) as n1, open_node(config("n2", n1.address)) as n2:
        with trio.fail_after(PATIENCE):
            await see(n1, 2)
            large = msgspec.structs.replace(state("h/a", "large"), sources={f"k{i}": "x" * 190 for i in range(19)})
            n1.publish(large)
            await notes(n2, "h/a", "large")
        with pytest.raises(PublishError, match="at most 4096 travel"):
            n1.publish(msgspec.structs.replace(large, sources={f"k{i}": "x" * 190 for i in range(30)}))
        assert [a.state.note for a in n1.fleet().agents] == ["large"]


async def test_a_node_refuses_one_agent_too_many_and_says_so() -> None:
    async with open_node(config("n1")) as n1:
        for i in range(AGENTS_LIMIT):
            n1.publish(state(f"h/a{i}"))
        with pytest.raises(PublishError, match="carries 256 agents already"):
            n1.publish(state("h/one-more"))
        n1.withdraw(AgentId("h/a0"))
        n1.publish(state("h/one-more"))
        assert len(n1.own_agents()) == AGENTS_LIMIT
        with pytest.raises(PublishError, match="h/a0 was not added"):
            n1.publish(state("h/a0"))  # who was withdrawn has left its place to another
        n1.publish(state("h/a1"))


async def test_a_withdrawn_agent_vanishes_everywhere() -> None:
    async with open_node(config("n1")) as n1, open_node(config("n2", n1.address)) as n2:
        with trio.fail_after(PATIENCE):
            await see(n1, 2)
            n1.publish(state("h/a", "here"))
            await notes(n2, "h/a", "here")
            n1.withdraw(AgentId("h/a"))
            while n2.fleet().agents:
                await n2.changed(n2.version())


async def test_an_agent_that_comes_and_goes_is_shown_by_its_node_at_once_and_withdrawn_before_others_hear() -> None:
    async with open_node(config("n1")) as n1:
        for note in ("one", "two"):
            n1.publish(state("h/a", note))
            assert [a.state.note for a in n1.own_agents()] == [note]
            n1.withdraw(AgentId("h/a"))
            assert n1.own_agents() == ()
        assert n1.member.pacing.waiting() == []


async def test_those_that_wait_for_their_turn_have_a_place_too() -> None:
    async with open_node(config("n1")) as n1:
        for i in range(AGENTS_LIMIT):
            n1.publish(state(f"h/a{i}"))
            n1.withdraw(AgentId(f"h/a{i}"))
            n1.publish(state(f"h/a{i}"))
        assert len(n1.member.pacing.waiting()) == len(n1.own_agents()) == AGENTS_LIMIT
        with pytest.raises(PublishError, match="carries 256 agents already"):
            n1.publish(state("h/one-more"))


async def test_a_goodbye_is_left_and_not_down() -> None:
    async with open_node(config("n1")) as n1:
        async with open_node(config("n2", n1.address)) as n2:
            with trio.fail_after(PATIENCE):
                await see(n1, 2)
                await n2.leave()
                await sees(n1, "n2", Presence.LEFT)
        assert said(n1, "n2") is Presence.LEFT


async def test_a_restarted_node_comes_back_by_itself_with_a_higher_epoch(tmp_path: Path) -> None:
    async with open_node(config("n1")) as n1:
        first = config("n2", n1.address, state_dir=tmp_path)
        async with open_node(first) as n2:
            with trio.fail_after(PATIENCE):
                await see(n1, 2)
                await see(n2, 2)
                before = n2.epoch
                while not (tmp_path / "peers.json").exists():
                    await trio.lowlevel.checkpoint()
        again = config("n2", state_dir=tmp_path)  # no seeds: it remembers whom it knew
        async with open_node(again) as n2:
            with trio.fail_after(PATIENCE):
                await see(n2, 2)
                while next(n for n in n1.fleet().nodes if n.name == "n2").epoch != n2.epoch:
                    await n1.changed(n1.version())
            assert n2.epoch > before


async def test_an_abrupt_end_is_proven_everywhere() -> None:
    async with open_node(config("n1")) as n1, open_node(config("n3", n1.address)) as n3:
        with trio.fail_after(PATIENCE):
            process = await _spawn("n2", n1.address)
            await see(n1, 3)
            await see(n3, 3)
            while n1.counters().get("stream_bytes_in", 0) == 0 or not _has_stream(n1, "n2"):
                await trio.lowlevel.checkpoint()
            process.kill()
            await process.wait()
            assert process.stdin is not None
            await process.stdin.aclose()
            await sees(n1, "n2", Presence.DOWN)
            await sees(n3, "n2", Presence.DOWN)
        verdicts = [n for node in (n1, n3) for n in node.fleet().nodes if n.name == "n2"]
        assert {verdict.certainty for verdict in verdicts} == {Certainty.PROVEN}
        assert {fact.kind.value for fact in n1.why("n2")} & {"witnessed", "refused"}


def _has_stream(node: Node, other: str) -> bool:
    return any(fact.kind.value == "stream up" for fact in node.why(other))


async def _spawn(name: str, seed: Address) -> trio.Process:
    import os
    import subprocess
    import sys

    env = {**os.environ, "MESHFLEET_BENCH_FLEET": (b"k" * 32).hex()}
    command = [sys.executable, "-m", "meshfleet.cli.bench_node", name, str(seed), "0"]
    return await trio.lowlevel.open_process(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=env)


async def test_a_cut_makes_nobody_dead_and_heals() -> None:
    async with AsyncExitStack() as stack:
        nodes: dict[str, Node] = {}
        for name in ("n1", "n2", "n3", "n4", "n5"):
            seeds = (nodes["n1"].address,) if nodes else ()
            nodes[name] = await stack.enter_async_context(open_node(config(name, *seeds)))
        minority, majority = ("n1", "n2"), ("n3", "n4", "n5")
        with trio.fail_after(2 * PATIENCE):
            for node in nodes.values():
                await see(node, 5)
            for name in minority:
                nodes[name].block([NodeName(other) for other in majority])
            for name in majority:
                nodes[name].block([NodeName(other) for other in minority])
            for name in minority:
                await _stands(nodes[name], Standing.PARTITIONED)
            for name in majority:
                await _stands(nodes[name], Standing.SPLIT)
            for node in nodes.values():
                assert Presence.DOWN not in {n.presence for n in node.fleet().nodes}
                node.unblock()
            for node in nodes.values():
                for other in nodes:
                    await sees(node, other, Presence.FRESH)


async def _stands(node: Node, standing: Standing) -> None:
    while node.fleet().served_by.standing is not standing:
        await node.changed(node.version())


async def test_joining_says_what_stands_in_the_way() -> None:
    async with open_node(config("n1")) as n1, open_node(config("x1", fleet=b"x" * 32)) as other_fleet:
        with trio.fail_after(PATIENCE):
            with pytest.raises(JoinError, match="this node itself"):
                await n1.join(n1.address)
            with pytest.raises(JoinError, match="can't be resolved"):
                await n1.join(Address("no-such-host.invalid", 7878))
            with pytest.raises(JoinError, match="connection refused"):
                await n1.join(Address("127.0.0.1", 1))
            with pytest.raises(JoinError, match="fleet"):
                await n1.join(other_fleet.address)


async def test_a_port_in_use_is_one_clear_error() -> None:
    async with open_node(config("n1")) as n1:
        with pytest.raises(ConfigError, match=f"UDP port {n1.address.port} on 127.0.0.1 is in use"):
            async with open_node(config("n2", port=n1.address.port)):
                pass


async def test_only_who_is_gone_can_be_forgotten() -> None:
    async with open_node(config("n1")) as n1, open_node(config("n2", n1.address)) as n2:
        with trio.fail_after(PATIENCE):
            await see(n1, 2)
        assert n2.name == "n2"
        with pytest.raises(ConfigError, match="n2 is fresh"):
            n1.forget(NodeName("n2"))
        with pytest.raises(ConfigError, match="n1 is this node itself"):
            n1.forget(NodeName("n1"))
        with pytest.raises(ConfigError, match="Known: n2"):
            n1.forget(NodeName("n9"))


async def test_nodes_meet_over_ipv6() -> None:
    async with open_node(config("n1", host="::1")) as n1, open_node(config("n2", n1.address, host="::1")) as n2:
        with trio.fail_after(PATIENCE):
            await see(n1, 2)
            await see(n2, 2)
        assert n1.address.host == "::1"


async def test_only_a_demo_node_can_be_cut_off() -> None:
    async with open_node(msgspec.structs.replace(config("n1"), demo=False)) as n1:
        with pytest.raises(ConfigError, match="demo"):
            n1.block([NodeName("n2")])


async def test_a_node_shows_its_own_agents_as_they_are_and_others_when_it_is_their_turn() -> None:
    async with open_node(config("n1")) as n1, open_node(config("n2", n1.address)) as n2:
        with trio.fail_after(PATIENCE):
            await see(n2, 2)
            for note in ("first", "second", "third"):
                version = n1.version()
                n1.publish(state("n1/a", note=note))
                assert n1.version() != version
                assert [agent.state.note for agent in n1.fleet().agents] == [note]
            assert n1.counters()["held_snapshot"] == 2
            await notes(n2, "n1/a", "third")
