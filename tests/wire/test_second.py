"""docs/protocol.md is enough: a program made by it alone is a member that all see, and finds all it hears genuine."""

from __future__ import annotations

from pathlib import Path

import msgspec
import trio

from meshfleet.fleet.presence import Presence
from meshfleet.node.opening import open_node
from tests.node.meshing import config, counted, notes, owner, sees, state
from tests.wire import second
from tests.wire.second import Second


async def test_a_second_implementation_enters_and_is_seen_and_finds_all_it_hears_genuine() -> None:
    async with open_node(owner("n1")) as n1, open_node(config("n2", n1.address)) as n2:
        with trio.fail_after(60):
            await sees(n1, "n2", Presence.FRESH)
            n2.publish(state("h2/a"))
            other = Second(await n1.office.invite("agent", 60.0, 1), "other")
            await other.enter()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(other.speak)
                for node in (n1, n2):
                    await sees(node, "other", Presence.FRESH)
                    while not any(agent.agent_id == "other/a1" for agent in node.fleet().agents):
                        await node.changed(node.version())
                await counted(n1, "snapshots_in", n1.counters().get("snapshots_in", 0) + 5)
                n2.publish(msgspec.structs.replace(state("h2/a", "again"), cost_usd=1.5, tokens_in=100, tokens_out=10))
                await notes(n1, "h2/a", "again")
                wanted = {"alive", "heartbeat", "roll", "snapshot", "account", "day"}
                while not wanted <= set(other.checked) or other.checked["heartbeat"] < 10:
                    await trio.lowlevel.checkpoint()
                nursery.cancel_scope.cancel()
        day = n2.accounting._joined().newest
        assert day is not None
        assert other.days == {"n2": [int(day.day.replace("-", "")), 1_500_000, 100, 10]}
        for node in (n1, n2):
            told = node.counters()
            assert {name: n for name, n in told.items() if name.startswith(("drop_", "forged_", "unvouched"))} == {}


def test_it_imports_nothing_of_ours() -> None:
    text = Path(second.__file__).read_text(encoding="utf-8")
    assert "import meshfleet" not in text
    assert "from meshfleet" not in text
    assert "from tests" not in text
