"""What the fleet used in this period, at any node: over restarts, losses, farewells and partitions. Real nodes."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import msgspec
import pytest
import trio

from meshfleet.errors import ConfigError, PublishError
from meshfleet.fleet.names import AgentId
from meshfleet.fleet.presence import Presence
from meshfleet.fleet.state import AgentState, Status
from meshfleet.fleet.usage import Figures, Moment
from meshfleet.node.billing import Billing
from meshfleet.node.hosting import Hosting, MadeUp
from meshfleet.node.ledger import LEDGER
from meshfleet.node.opening import open_node
from tests.node.meshing import config, see, sees, state

if TYPE_CHECKING:
    from pathlib import Path

    from meshfleet.node.node import Node


PATIENCE = 40.0


def used(agent: str, cost: float | None, session: str | None = "s1", tokens: int = 100) -> AgentState:
    return msgspec.structs.replace(
        state(agent), cost_usd=cost, tokens_in=tokens, tokens_out=tokens // 10, session=session, model="some-model"
    )


async def costs(node: Node, usd: float) -> None:
    """Until `node` says that the fleet has used so much in this period."""
    while node.fleet().totals.period.cost_usd != usd:
        await node.changed(node.version())


def hasty(node: Node) -> Node:
    """Tells everything at once, so that no test waits for the sake of a few bytes."""
    node.accounting.tell_every = node.accounting.marks_every = 0.0
    node.accounting.hearsay.gone_after = 0.0
    return node


async def forget(node: Node, name: str) -> None:
    """As if a day had passed since `name` left: nothing of it is held any more."""
    record = node.member.roster.get(name)
    assert record is not None
    node.member.roster.remove(record)
    node.member.replica.drop(record.name)


async def test_every_node_shows_what_all_agents_used_and_each_counts_once() -> None:
    with trio.fail_after(PATIENCE):
        async with open_node(config("n1")) as n1, open_node(config("n2", n1.address)) as n2:
            hasty(n1), hasty(n2)
            for cost in (1.0, 1.0, 1.5):
                n1.publish(used("n1/a", cost))
            n2.publish(used("n2/a", 2.25))
            await costs(n1, 3.75)
            await costs(n2, 3.75)
            period = n2.fleet().totals.period
            assert (period.tokens_in, period.tokens_out) == (200, 20)
            assert period.start.endswith("-01")
            assert [agent.agent_id for agent in n2.fleet().agents] == ["n1/a", "n2/a"]
            assert n2.counters()["undecodable_state"] == 0


async def test_what_made_up_agents_seem_to_use_is_shown_and_in_no_ledger(tmp_path: Path) -> None:
    with trio.fail_after(PATIENCE):
        async with open_node(config("n1", state_dir=tmp_path)) as n1:
            made_up = MadeUp(n1)
            for cost in (300.0, 320.11):
                made_up.publish(used("n1/sample-a", cost))
            n1.publish(used("n1/a", 1.5))
            await costs(n1, 1.5)
            assert n1.fleet().totals.cost_usd == 321.61
            made_up.withdraw(AgentId("n1/sample-a"))
            assert [agent.agent_id for agent in n1.fleet().agents] == ["n1/a"]
        with closing(sqlite3.connect(tmp_path / LEDGER)) as ledger:
            assert not [line for line in ledger.iterdump() if "sample" in line]


async def test_where_nobody_has_used_anything_the_cost_is_not_known() -> None:
    with trio.fail_after(PATIENCE):
        async with open_node(config("n1")) as n1:
            assert n1.fleet().totals.period.cost_usd is None
            n1.publish(used("n1/a", None))
            while n1.fleet().totals.period.tokens_in != 100:
                await n1.changed(n1.version())
            assert n1.fleet().totals.period.cost_usd is None


async def test_what_a_session_used_before_its_node_first_ran_counts_on_the_days_when_it_did(tmp_path: Path) -> None:
    now = 1_795_687_200.0  # 2026-11-26, 10:00 UTC
    with trio.fail_after(PATIENCE):
        async with open_node(config("n1", state_dir=tmp_path), wall=lambda: now) as n1:
            host = Hosting(n1)
            told = used("n1/a", 3.0, tokens=300)
            host.publish(told)
            # In October, yesterday, and a sum of today, when the price was thought to be higher.
            course = [(now - 30 * 86_400, 1.0, 100), (now - 86_400, 2.5, 250), (now - 60, 3.5, 300)]
            host.recall(told, [Moment(at, Figures(round(cost * 1e6), t, t // 10)) for at, cost, t in course])
            await costs(n1, 2.0)
            report = await n1.cost()
            assert {day: used.cost_usd for day, used in report.here.by_day.items()} == {
                "2026-11-25": 1.5,
                "2026-11-26": 0.5,
            }
            assert (await n1.cost("2026-10")).fleet.cost_usd == 1.0
            host.publish(used("n1/a", 3.25, tokens=300))
            await costs(n1, 2.25)
        async with open_node(config("n1", state_dir=tmp_path), wall=lambda: now) as n1:
            Hosting(n1).publish(told)
            Hosting(n1).recall(told, [Moment(now - 86_400, Figures(3_000_000, 300, 30))])
            await costs(n1, 2.25)


async def test_an_agent_that_gets_another_id_counts_on(tmp_path: Path) -> None:
    with trio.fail_after(PATIENCE):
        async with open_node(config("n1", state_dir=tmp_path)) as n1:
            host = Hosting(n1)
            host.publish(used("n1/claude-1f3c9a02", 1.5))
            await costs(n1, 1.5)
            host.rename(AgentId("n1/claude-1f3c9a02"), AgentId("n1/claude"))
            assert host.carried(AgentId("n1/claude-1f3c9a02")) is None
            host.publish(used("n1/claude", 1.75))
            await costs(n1, 1.75)


async def test_an_agent_that_is_withdrawn_stays_in_the_sum() -> None:
    with trio.fail_after(PATIENCE):
        async with open_node(config("n1")) as n1:
            n1.publish(used("n1/a", 1.5))
            await costs(n1, 1.5)
            n1.withdraw(n1.fleet().agents[0].agent_id)
            assert n1.fleet().agents == ()
            await costs(n1, 1.5)


async def test_a_node_that_comes_when_another_was_long_forgotten_still_hears_what_that_one_used() -> None:
    with trio.fail_after(PATIENCE):
        async with open_node(config("n2")) as n2:
            hasty(n2)
            async with open_node(config("n1", n2.address)) as n1:
                hasty(n1).publish(used("n1/a", 1.5))
                await costs(n2, 1.5)
                await n1.leave()
            await sees(n2, "n1", Presence.LEFT)
            await forget(n2, "n1")
            async with open_node(config("n3", n2.address)) as n3:
                await costs(n3, 1.5)
                assert [node.name for node in n3.fleet().nodes] == ["n2", "n3"]


async def test_after_a_restart_nothing_is_lost_and_nothing_counted_twice(tmp_path: Path) -> None:
    with trio.fail_after(PATIENCE):
        async with open_node(config("n2")) as n2:
            hasty(n2)
            for told, expected in ((1.5, 1.5), (1.5, 1.5), (2.5, 2.5)):
                async with open_node(config("n1", n2.address, state_dir=tmp_path)) as n1:
                    hasty(n1).publish(used("n1/a", told))
                    await costs(n1, expected)
                    await costs(n2, expected)


async def test_after_its_state_dir_was_lost_a_node_counts_on_where_it_had_been(tmp_path: Path) -> None:
    with trio.fail_after(PATIENCE):
        async with open_node(config("n2")) as n2:
            hasty(n2)
            async with open_node(config("n1", n2.address, state_dir=tmp_path / "first")) as n1:
                hasty(n1).publish(used("n1/a", 5.0))
                await costs(n2, 5.0)
                while not n2.accounting.books.marks:
                    await n2.changed(n2.version())
            async with open_node(config("n1", n2.address, state_dir=tmp_path / "second")) as n1:
                hasty(n1).publish(used("n1/a", 7.0))
                n1.publish(used("n1/b", 1.0))
                await costs(n1, 8.0)
                await costs(n2, 8.0)


async def test_a_ledger_that_is_damaged_while_the_node_runs_is_replaced_without_counting_twice(tmp_path: Path) -> None:
    with trio.fail_after(PATIENCE):
        async with open_node(config("n1", state_dir=tmp_path)) as n1:
            hasty(n1).accounting.settle = 0.0
            n1.publish(used("n1/a", 5.0))
            await costs(n1, 5.0)
            while n1.accounting._told is None:
                await n1.changed(n1.version())
            with closing(sqlite3.connect(tmp_path / LEDGER)) as other:  # so that nothing is read from memory any more
                other.execute("INSERT INTO meta VALUES ('touched', 1)")
                other.commit()
                other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            with (tmp_path / LEDGER).open("r+b") as file:
                file.seek(4096)
                file.write(b"\xff" * 50_000)
            n1.publish(used("n1/a", 6.0))
            await costs(n1, 6.0)
            assert (tmp_path / f"{LEDGER}.damaged-1").exists()


async def test_of_two_nodes_that_carry_one_agent_one_counts_it() -> None:
    with trio.fail_after(PATIENCE):
        async with open_node(config("n1")) as n1, open_node(config("n2", n1.address)) as n2:
            hasty(n1), hasty(n2)
            await see(n1, 2)
            n1.publish(used("box/a", 5.0))
            await costs(n2, 5.0)
            n2.publish(used("box/a", 7.0))
            await costs(n1, 7.0)
            await costs(n2, 7.0)
            for node in (n1, n2):
                node.publish(used("box/a", 9.0))
            await costs(n1, 9.0)
            await costs(n2, 9.0)


async def test_both_sides_of_a_cut_are_in_the_sum_when_it_heals() -> None:
    with trio.fail_after(PATIENCE):
        async with open_node(config("n1")) as n1, open_node(config("n2", n1.address)) as n2:
            hasty(n1), hasty(n2)
            await see(n1, 2)
            n1.block([n2.name])
            n2.block([n1.name])
            n1.publish(used("n1/a", 1.0))
            n2.publish(used("n2/a", 2.0))
            await costs(n1, 1.0)
            await costs(n2, 2.0)
            n1.unblock()
            n2.unblock()
            await costs(n1, 3.0)
            await costs(n2, 3.0)


async def test_the_report_has_the_fleet_by_node_and_this_node_in_detail(tmp_path: Path) -> None:
    with trio.fail_after(PATIENCE):
        async with open_node(config("n1", state_dir=tmp_path)) as n1, open_node(config("n2", n1.address)) as n2:
            hasty(n1), hasty(n2)
            n1.publish(used("n1/a", 1.0))
            n2.publish(used("n2/a", 2.0))
            await costs(n1, 3.0)
            told = await n1.cost()
            assert told.fleet.cost_usd == 3.0
            assert {name: spent.cost_usd for name, spent in told.by_node.items()} == {"n2": 2.0, "n1": 1.0}
            assert {name: spent.cost_usd for name, spent in told.here.by_agent.items()} == {"n1/a": 1.0}
            assert [*told.here.by_model] == ["some-model"]
            assert told.known_periods == (told.start,)
            assert (await n1.cost("2001-01")).fleet.cost_usd is None
            with pytest.raises(ConfigError, match="no period"):
                await n1.cost("now")


async def test_nodes_with_another_billing_day_are_named(caplog: pytest.LogCaptureFixture) -> None:
    other = msgspec.structs.replace(config("n2"), billing=Billing(day=15))
    with trio.fail_after(PATIENCE):
        async with open_node(config("n1")) as n1:
            other = msgspec.structs.replace(other, seeds=(n1.address,))
            async with open_node(other) as n2:
                hasty(n1).publish(used("n1/a", 1.5))
                hasty(n2).publish(used("n2/a", 2.0))
                while not (report := await n1.cost()).other_billing_day:
                    await n1.changed(n1.version())
                assert (report.other_billing_day, report.fleet.cost_usd) == (("n2",), 1.5)
                while not (report := await n2.cost()).other_billing_day:
                    await n2.changed(n2.version())
                assert report.other_billing_day == ("n1",)
    assert "another billing_day" in caplog.text


async def test_no_agent_can_have_an_id_of_the_nodes_own() -> None:
    with trio.fail_after(PATIENCE):
        async with open_node(config("n1")) as n1:
            with pytest.raises(PublishError, match="the nodes' own"):
                n1.publish(state("meshfleet:account", status=Status.IDLE))


async def test_an_idle_fleet_tells_no_accounts() -> None:
    with trio.fail_after(PATIENCE):
        async with open_node(config("n1")) as n1, open_node(config("n2", n1.address)) as n2:
            hasty(n1), hasty(n2)
            n1.publish(used("n1/a", 1.0))
            await costs(n2, 1.0)
            seq = n1.member.replica.have(["n1"])[0].complete
            n1.publish(used("n1/a", 1.0))
            n2.publish(used("n2/a", 1.0))
            await costs(n1, 2.0)
            assert n1.member.replica.have(["n1"])[0].complete == seq + 1, "the state alone"
