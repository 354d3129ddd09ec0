"""`bench mesh`: that it measures what it says; and that the mesh without trust beside it exists nowhere else."""

from __future__ import annotations

import ast
import shutil
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
import trio

from meshfleet.cli import bench, bench_runtimes, bench_view
from meshfleet.cli.bench_figures import Result
from meshfleet.cli.bench_serf import serf
from meshfleet.cli.bench_unsealed import Unsealed
from meshfleet.errors import JoinError, MeshfleetError
from meshfleet.node.opening import open_node
from meshfleet.node.trust import seeded
from meshfleet.wire.codec import decode_packet
from tests.node.meshing import FLEET, config, see

if TYPE_CHECKING:
    from collections.abc import Iterator

PRODUCT = Path(bench.__file__).parent.parent
PATIENCE = 60.0


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_nothing_but_the_node_of_the_benchmark_can_be_made_without_trust() -> None:
    sources = {str(path.relative_to(PRODUCT)): path for path in PRODUCT.rglob("*.py")}
    unsealed = {name for name, path in sources.items() if "meshfleet.cli.bench_unsealed" in set(imported(path))}
    asks = {name for name, path in sources.items() if "trusting=" in path.read_text()}
    starts = {name for name, path in sources.items() if "bench_node" in path.read_text()}
    assert (unsealed, asks) == ({"cli/bench_node.py"}, {"cli/bench_node.py"})
    assert starts == {"cli/bench.py"}


async def test_no_member_of_a_fleet_speaks_with_a_node_without_trust() -> None:
    naked = msgspec.structs.replace(config("n2"), identity=seeded(FLEET, "n2", time.time()))
    async with open_node(config("n1")) as n1, open_node(naked, trusting=Unsealed) as n2:
        with trio.fail_after(PATIENCE):
            for one, other in ((n1, n2), (n2, n1)):
                with pytest.raises(JoinError):
                    await one.join(other.address)
        assert [node.name for node in n1.fleet().nodes] == ["n1"]


async def test_what_is_compared_with_is_in_the_clear() -> None:
    async with (
        open_node(config("n1"), trusting=Unsealed) as n1,
        open_node(config("n2", n1.address), trusting=Unsealed) as n2,
    ):
        with trio.fail_after(PATIENCE):
            await see(n2, 2)
        assert decode_packet(n1._driver._sealer.seal(n1._driver.encode(()))).source == "n1"
        assert n1.member.membership.me.signature == b""


@pytest.mark.processes
def test_the_benchmark_prints_what_the_mesh_costs_with_trust_and_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "SETTLE", 0.5)
    monkeypatch.setattr(bench, "DRAIN", 1.0)
    said: list[str] = []

    async def run() -> Result:
        return await bench.mesh(3, update_every=1.0, seconds=2.0, payload=400, runs=1, say=said.append)

    result = trio.run(run)
    three = [msgspec.to_builtins(msgspec.structs.replace(result, join_s=seconds)) for seconds in (3.0, 1.0, 2.0)]
    assert msgspec.convert(bench._medians(three), Result) == msgspec.structs.replace(result, join_s=2.0)
    assert [line for line in said if line.startswith("starting")] == [
        "starting 3 node processes",
        "starting 3 unsealed node processes",
    ]
    assert result.unsealed is not None
    assert min(result.load.cpu_pct, result.unsealed.load_cpu_pct) > 0
    assert (result.nodes, result.load.delivered_pct, result.not_fresh) == (3, 100.0, 0)
    assert (result.crash.due, result.crash.seen) == (2, 2)
    assert 0 < result.crash.p50_s <= result.crash.max_s
    assert result.load.datagrams_per_s > 0
    assert "without seals, TLS and signatures" in bench.summary(result)


@pytest.mark.processes
def test_the_benchmark_of_views_measures_what_readers_see(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_view, "GETS", 5)
    monkeypatch.setattr(bench_view, "UPDATES", 3)
    monkeypatch.setattr(bench_view, "STALLED", 2)
    result = bench_view.bench(300, 20, lambda _: None)  # over two nodes, and more readers than one key may have
    assert (result.agents, result.readers) == (300, 20)
    assert result.bytes > 300 * 500
    assert 0 < result.unchanged_p50_ms < result.fleet_p99_ms
    assert 0 < result.sse_fanout_p50_ms <= result.sse_fanout_500_p99_ms
    assert "300 agents" in bench_view.summary(result)


@pytest.mark.processes
def test_the_benchmark_of_runtimes_reads_real_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_runtimes, "LINES", 3)
    monkeypatch.setattr(bench_runtimes, "IDLE_S", 0.2)
    result = bench_runtimes.bench(3, 2.5, lambda _: None)
    assert (result.files, result.megabytes) == (3, 2.5)
    assert 0 < result.startup_s <= result.read_s
    assert 0 < result.new_line_p50_ms <= result.new_line_p99_ms
    assert "3 session files" in bench_runtimes.summary(result)


@pytest.mark.processes
@pytest.mark.skipif(shutil.which("serf") is None, reason="serf is not there: apt-get install serf")
def test_serf_takes_the_same_load_and_says_what_it_sent() -> None:
    run = partial(serf, 3, update_every=0.2, seconds=1.0, payload=400, drain=1.0, say=lambda _text: None)
    peer = trio.run(run)
    assert peer.nodes == 3
    assert 50 < peer.delivered_pct <= 100  # serf repairs nothing that it lost
    assert peer.bytes_per_s > peer.idle_bytes_per_s > 0
    assert peer.rss_p50_mb > 1


def test_what_serf_cannot_take_is_said_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    begin = partial(serf, 2, update_every=1.0, seconds=1.0, drain=0.0, say=lambda _text: None)
    monkeypatch.setattr(shutil, "which", lambda _name: "/usr/bin/serf")
    with pytest.raises(MeshfleetError, match="507 bytes in an event; --payload 600 is more"):
        trio.run(partial(begin, payload=600))
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    with pytest.raises(MeshfleetError, match="apt-get install serf"):
        trio.run(partial(begin, payload=400))
