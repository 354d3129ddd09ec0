"""A flood of garbage at one member: nobody loses sight of anybody, and nothing grows."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
import trio

from meshfleet.fleet.presence import Presence
from meshfleet.gossip.messages import Packet
from meshfleet.node.opening import open_node
from meshfleet.wire.codec import encode_packet
from meshfleet.wire.seal import Sealer
from tests.node.meshing import config, see
from tests.node.test_hostile import RING, _rss_bytes

if TYPE_CHECKING:
    from meshfleet.node.node import Node

FIRST, ALL = 100_000, 1_000_000


async def flooded(node: Node, count: int) -> float:
    """Datagrams a second that a process of its own threw at `node`, for as long as it took."""
    sample = Sealer(RING).seal(encode_packet(Packet("x9", 1, 1, 0.0, 1, ()))).hex()
    command = [sys.executable, "-m", "tests.node.flooding", node.address.host, str(node.address.port), str(count)]
    done = await trio.run_process([*command, sample], capture_stdout=True)
    return count / float(done.stdout)


async def watch(node: Node, said: set[Presence]) -> None:
    """Collect whatever `node` says of anybody."""
    while True:
        said.update(told.presence for told in node.fleet().nodes)
        await node.changed(node.version())


@pytest.mark.processes
async def test_a_million_garbage_datagrams_make_no_member_less_than_fresh(capsys: pytest.CaptureFixture[str]) -> None:
    async with (
        open_node(config("n1")) as n1,
        open_node(config("n2", n1.address)) as n2,
        open_node(config("n3", n1.address)) as n3,
    ):
        said: set[Presence] = set()
        nodes = (n1, n2, n3)
        with trio.fail_after(300):
            for node in nodes:
                await see(node, 3)
            await flooded(n1, FIRST)
            resident = _rss_bytes()
            async with trio.open_nursery() as nursery:
                for node in nodes:
                    nursery.start_soon(watch, node, said)
                rate = await flooded(n1, ALL - FIRST)
                nursery.cancel_scope.cancel()
        counters = n1.counters()
        dropped = counters["drop_unsealed"] + counters["drop_too_big"]
        assert said == {Presence.FRESH}
        assert [told.name for told in n1.fleet().nodes] == ["n1", "n2", "n3"]
        assert dropped > ALL // 100, "what the kernel handed over is counted, by cause"
        assert counters["datagrams_in"] - dropped < ALL // 100
        if sys.platform.startswith("linux"):
            unseen = ALL - dropped - counters.get("udp_overflow", 0)
            assert abs(unseen) < ALL // 100, "and what did not fit into the kernel's buffer is counted by the kernel"
        assert _rss_bytes() - resident < 8_000_000
        assert [node.counters().get("fault", 0) for node in nodes] == [0, 0, 0]
        with capsys.disabled():
            print(f"\n{rate:,.0f} garbage datagrams a second, of which {dropped / ALL:.0%} were read")
