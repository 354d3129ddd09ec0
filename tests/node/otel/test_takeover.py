"""One node of the fleet exports, the next takes over, and a backend sees one series all the while. Real nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import trio

from meshfleet.fleet.exporting import Exporting, whose_turn
from meshfleet.fleet.names import NodeName
from meshfleet.fleet.state import Status
from meshfleet.node.opening import open_node
from meshfleet.node.otel.settings import Mode, Otel
from meshfleet.node.otel.turn import FILE
from tests.node.meshing import config, counted, notes, see, state
from tests.node.otel.collector import Reply, collecting

if TYPE_CHECKING:
    from pathlib import Path

    from meshfleet.node.config import NodeConfig
    from meshfleet.node.node import Node
    from tests.node.otel.collector import Collector, Received

PATIENCE = 60.0
AGENT = (("gen_ai.agent.id", "n3/a"),)
TOKENS = (*AGENT, ("gen_ai.token.type", "input"))


def exports(name: str, collector: Collector, *seeds: Node, **more: object) -> NodeConfig:
    """Each by a path of its own, so that the collector can tell who it was."""
    otel = Otel(endpoint=f"{collector.url}/{name}/v1/metrics", interval_s=0.2)
    plain = msgspec.structs.replace(config(name, *(seed.address for seed in seeds)), otel=otel)
    return msgspec.structs.replace(plain, **more)


def by(received: list[Received]) -> list[str]:
    """Who sent each."""
    return [each.path.split("/")[1] for each in received]


def quick(*nodes: Node) -> None:
    for node in nodes:
        assert node.exporter is not None
        node.exporter.look_every, node.exporter.settle = 0.05, 0.5


async def live(
    config: NodeConfig, *, task_status: trio.TaskStatus[tuple[Node, trio.CancelScope]] = trio.TASK_STATUS_IGNORED
) -> None:
    with trio.CancelScope() as scope:
        async with open_node(config) as node:
            quick(node)
            task_status.started((node, scope))
            await trio.sleep_forever()


async def agree(*nodes: Node) -> str:
    """Until all name the same one as whose turn it is, knowing of all."""
    while True:
        told = {node.exporter.told().exporter for node in nodes if node.exporter is not None}
        if len(told) == 1 and (name := told.pop()) is not None:
            return name
        await trio.lowlevel.checkpoint()


async def test_of_two_nodes_one_exports_and_when_it_is_killed_the_other_does() -> None:
    with trio.fail_after(PATIENCE):
        async with collecting() as collector, open_node(config("n3")) as n3, trio.open_nursery() as nursery:
            nodes: dict[str, tuple[Node, trio.CancelScope]] = {}
            for name in ("n1", "n2"):
                nodes[name] = await nursery.start(live, exports(name, collector, n3))
            for node in (n3, *(node for node, _ in nodes.values())):
                await see(node, 3)
            n3.publish(msgspec.structs.replace(state("n3/a", note="x"), tokens_in=100, cost_usd=0.5, active_tool="sh"))
            for node, _ in nodes.values():
                await notes(node, "n3/a", "x")
            first = await agree(*(node for node, _ in nodes.values()))
            other = next(name for name in nodes if name != first)
            before = len(collector.received)
            await collector.until(lambda got: by(got[before:]).count(first) >= 5)
            overlap = by(collector.received[before:])
            assert overlap.count(other) <= 1, "one at a time; what was under way when they met may end"
            assert nodes[other][0].counters().get("otel_failed", 0) == 0

            nodes[first][1].cancel()  # without a goodbye
            await collector.until(lambda got: by(got[before:]).count(other) >= 3)
            sequence = by(collector.received)
            assert first not in sequence[sequence.index(other, before + 5) :], "it is gone"

            n3.publish(msgspec.structs.replace(state("n3/a", note="y"), tokens_in=120, cost_usd=0.6))
            await notes(nodes[other][0], "n3/a", "y")
            after = len(collector.received)
            await collector.until(lambda got: len(got) >= after + 3)
            _is_one_series(collector.received[before:])
            tool = (*AGENT, ("gen_ai.tool.name", "sh"))
            told = [each.points("meshfleet.agent.tool").get(tool, -1.0) for each in collector.received[after - 1 :]]
            assert None in told, "that a tool ended is told once"
            nursery.cancel_scope.cancel()


def _is_one_series(received: list[Received]) -> None:
    """Whoever sends: one resource, one beginning, and sums that never fall."""
    assert len({tuple(each.resource.items()) for each in received}) == 1
    assert set(received[0].resource) == {"service.name", "service.instance.id"}
    with_tokens = [each for each in received if TOKENS in each.points("meshfleet.agent.tokens")]
    values = [each.points("meshfleet.agent.tokens")[TOKENS] or 0.0 for each in with_tokens]
    assert values == sorted(values)
    assert (values[0], values[-1]) == (100, 120)
    assert len({start for each in with_tokens for start in starts_in(each)}) == 1
    times = [metric.gauge.data_points[0].time_unix_nano for each in received for metric in each.metrics[:1]]
    assert times == sorted(times)


async def test_one_that_does_not_get_through_leaves_it_to_the_next() -> None:
    names = {Exporting(NodeName(name), True, 1, 0) for name in ("n1", "n2")}
    first = whose_turn(sorted(names, key=lambda each: each.name))
    second = "n2" if first == "n1" else "n1"
    assert first is not None
    with trio.fail_after(PATIENCE):
        async with collecting() as collector, collecting() as broken, trio.open_nursery() as nursery:
            broken.reply = lambda _: Reply(403)
            bad: Node
            good: Node
            bad, _ = await nursery.start(live, exports(first, broken))
            await counted(bad, "otel_failed", 2)  # alone, it goes on trying
            good, _ = await nursery.start(live, exports(second, collector, bad))
            await collector.until(lambda got: len(got) >= 5)
            assert await agree(bad, good) == second
            told, others = bad.diagnosis().exports, good.diagnosis().exports
            assert told is not None
            assert others is not None
            assert (told.exporter, told.last_s, others.failing, others.failed) == (second, None, None, 0)
            assert told.failing is not None
            assert told.failing.startswith("it answers 403: is what otel.headers_file")
            nursery.cancel_scope.cancel()


async def test_each_tells_of_its_own_and_of_itself() -> None:
    with trio.fail_after(PATIENCE):
        async with collecting() as collector, open_node(config("n3")) as n3:
            otel = Otel(endpoint=f"{collector.url}/v1/metrics", interval_s=0.2, mode=Mode.OWN)
            more = {"otel": otel, "version": "1.2"}
            async with (
                open_node(exports("n1", collector, n3, **more)) as n1,
                open_node(exports("n2", collector, n3, **more)) as n2,
            ):
                for node in (n1, n2):
                    quick(node)
                    await see(node, 3)
                    node.publish(state(f"{node.name}/a", status=Status.WAITING))
                n3.publish(state("n3/a"))
                heard = {"n1/a", "n2/a"}
                await collector.until(lambda got: heard <= {a for each in got for a in agents(each)})
    assert {a for each in collector.received for a in agents(each)} == heard
    per_instance = {each.resource["service.instance.id"].split("@")[0]: each for each in collector.received}
    assert set(per_instance) == {"n1", "n2"}
    for name, each in per_instance.items():
        assert {key: each.resource[key] for key in ("service.name", "service.version", "host.name")} == {
            "service.name": "meshfleet-node", "service.version": "1.2", "host.name": f"h-{name}"
        }  # fmt: skip
        assert agents(each) <= {f"{name}/a"}
        assert each.points("meshfleet.nodes")[(("meshfleet.presence", "fresh"),)] is not None
        sent = each.points("meshfleet.datagrams")[(("network.io.direction", "transmit"),)]
        assert sent is not None
        assert sent > 0
        assert each.points("meshfleet.fleet.node.info") == {}


def agents(received: Received) -> set[str]:
    """Of which it tells."""
    return {dict(key)["gen_ai.agent.id"] for key in received.points("meshfleet.agent.status")}


def starts_in(received: Received) -> set[int]:
    """When the tokens of agents are said to have begun to count."""
    tokens = (metric for metric in received.metrics if metric.name == "meshfleet.agent.tokens")
    return {point.start_time_unix_nano for metric in tokens for point in metric.sum.data_points}


async def test_sums_go_on_from_the_same_beginning_after_a_restart(tmp_path: Path) -> None:
    starts = set()
    with trio.fail_after(PATIENCE):
        async with collecting() as collector:
            for _ in range(2):
                collector.received.clear()
                async with open_node(exports("n1", collector, state_dir=tmp_path / "n1")) as n1:
                    quick(n1)
                    n1.publish(msgspec.structs.replace(state("n1/a"), tokens_in=5))
                    await collector.until(lambda got: len(got) > 0 and bool(starts_in(got[-1])))
                    while not (tmp_path / "n1" / FILE).exists():
                        await trio.lowlevel.checkpoint()
                starts |= starts_in(collector.received[-1])
    assert len(starts) == 1
