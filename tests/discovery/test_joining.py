"""From a source to the fleet: what is found is tried, and only who is of this fleet is joined."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
import trio

from meshfleet.cli.discovering import discover, sources
from meshfleet.cli.local import administer
from meshfleet.errors import ConfigError
from meshfleet.fleet.source import read_source
from meshfleet.node import seeking
from meshfleet.node.admin import Doctor
from meshfleet.node.opening import open_node
from meshfleet.node.settings import read_environment, read_flags
from tests.cli.processes import node, run, seen
from tests.discovery.nameserver import name_server, needs_dnsmasq
from tests.node.meshing import config, counted, see
from tests.runtimes.serving import Stub

if TYPE_CHECKING:
    from pathlib import Path


@needs_dnsmasq
async def test_two_nodes_find_each_other_by_dns_whatever_else_stands_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seeking, "ROUND", 0.1)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and never listens
        async with (
            open_node(config("n1")) as n1,
            open_node(config("x1", fleet=b"z" * 32)) as other,
            open_node(config("n2")) as n2,
        ):
            ports = (n1.address.port, other.address.port, nobody.getsockname()[1], n2.address.port)
            options = [f"--srv-host=_gossip._udp.fleet.test,box.fleet.test,{port}" for port in ports]
            async with (
                name_server(tmp_path, *options, hosts="127.0.0.1 box.fleet.test") as server,
                trio.open_nursery() as nursery,
            ):
                opened = sources([read_source(f"dns:_gossip._udp.fleet.test@{server.at}")])
                nursery.start_soon(discover, n2, opened)
                with trio.fail_after(40):
                    await see(n2, 2)
                    await see(n1, 2)
                    await counted(n2, "discovery_join_failed", 2)
                assert [node.name for node in n2.fleet().nodes] == ["n1", "n2"]
                told = n2.fleet().served_by.sources[0]
                assert (told.nodes, told.problem, told.offered) == (3, None, None)
                assert n2.diagnosis().sources == n2.sources()
                await server.end()
                n2.sources()
                assert len(n2.fleet().nodes) == 2
                nursery.cancel_scope.cancel()


@pytest.mark.processes
async def test_an_agent_in_a_file_is_in_the_view_and_a_broken_file_is_told(tmp_path: Path) -> None:
    stub = Stub()
    stub.answers["/state"] = {"status": "working", "model": "qwen3:32b"}
    file, state_dir = tmp_path / "fleet.yaml", tmp_path / "n1"
    async with stub.running():
        file.write_text(
            f"- {{name: lab/one, base_url: '{stub.url}'}}\n- {{name: lab/two, base_url: 'http://[::1]:1'}}\n"
        )
        await trio.to_thread.run_sync(_look, file, state_dir)


def _look(file: Path, state_dir: Path) -> None:
    with node(state_dir, "--name", "n1", "--find", f"file:{file}") as (_, told):
        view = seen(told["http"], lambda view: len(view.agents) == 1 and view.served_by.sources[0].problem is not None)
        agent = view.agents[0]
        assert (agent.agent_id, agent.node, agent.transport) == ("lab/one", "n1", "poll")
        assert (agent.presence.value, agent.state.status.value) == ("fresh", "working")
        assert "lab/two never answered: n1" in str(view.served_by.sources[0].problem)
        file.write_text("- {name: lab/one")
        seen(told["http"], lambda view: "not valid YAML" in str(view.served_by.sources[0].problem))
        status = run("status", "--state-dir", str(state_dir))
        assert f"file:{file}"[:20] in status.stdout
        assert "lab/one" in status.stdout
        diagnosis = administer(state_dir, Doctor(), "no node").diagnosis
        assert diagnosis is not None
        assert (diagnosis.sources[0].agents, diagnosis.sources[0].nodes) == (2, 0)


def test_a_place_that_is_none_ends_the_start_with_the_form_that_was_meant() -> None:
    with pytest.raises(ConfigError, match=r"--find: 'etcd:x' is no place to look for nodes. There are: file:PATH"):
        read_flags(find=["etcd:x"])
    with pytest.raises(ConfigError, match=r"MESHFLEET_FIND: 'etcd:x' is no place"):
        read_environment({"MESHFLEET_FIND": "dns-sd, etcd:x"})
    with pytest.raises(ConfigError, match=r"--find: 17 places; at most 16"):
        read_flags(find=[f"dns:n{n}" for n in range(17)])


async def test_who_finds_only_strangers_is_told_why_it_is_alone() -> None:
    async with (
        open_node(config("x1", fleet=b"z" * 32)) as other,
        open_node(config("n2")) as n2,
        trio.open_nursery() as nursery,
    ):
        n2.seeking.found((other.address,))
        assert n2.seeking.why_alone() is None
        nursery.start_soon(n2.seeking.run)
        with trio.fail_after(40):
            await counted(n2, "discovery_join_failed", 1)
        said = str(n2.seeking.why_alone())
        assert "it belongs to another fleet. This node is not in that one: run `meshfleet invite` there" in said
        assert "certificate" not in said
        nursery.cancel_scope.cancel()
