"""What the fleet used today, at any node: when days turn, clocks step, nodes restart and nodes are gone. Real nodes."""

from __future__ import annotations

import time
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
import pytest
import trio

from meshfleet.fleet.names import NodeName
from meshfleet.fleet.presence import Presence
from meshfleet.fleet.usage import Account, Daily, Usage
from meshfleet.node.billing import Billing
from meshfleet.node.books import MARKS_FOR, Books
from meshfleet.node.opening import open_node
from meshfleet.node.trust import Trust, seeded
from meshfleet.serve.changes import Changes
from meshfleet.wire.accounts import Signer, read_statement
from tests.node.meshing import FLEET, config, sees
from tests.node.test_accounts import forget, hasty, used

if TYPE_CHECKING:
    from pathlib import Path

    from meshfleet.fleet.cost import Today
    from meshfleet.node.node import Node

PATIENCE = 40.0
DAY = 86_400
MIDNIGHT = (int(time.time()) // DAY + 1) * DAY
"""The next one in UTC: certificates are good on both sides of it."""


class Clock:
    """A wall clock that a test turns."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def date(when: float) -> str:
    return datetime.fromtimestamp(when, UTC).date().isoformat()


async def today(node: Node, usd: float | None) -> Today | None:
    """What `node` says of today, once that is so much; None where it is to know of nothing."""
    while (None if (told := node.fleet().totals.today) is None else told.cost_usd) != usd:
        await node.changed(node.version())
    return told


async def test_every_node_says_what_all_used_today_and_when_the_day_turns_nothing_is_told() -> None:
    clock = Clock(MIDNIGHT - 60)
    with trio.fail_after(PATIENCE):
        async with (
            open_node(config("n1"), wall=clock) as n1,
            open_node(config("n2", n1.address), wall=clock) as n2,
        ):
            hasty(n1), hasty(n2)
            assert n1.fleet().totals.today is None
            n1.publish(used("n1/a", 1.0))
            n2.publish(used("n2/a", 2.25))
            for node in (n1, n2):
                told = await today(node, 3.25)
                assert told is not None
                assert (told.day, told.tokens_in, told.tokens_out) == (date(MIDNIGHT - 60), 200, 20)
            assert (await n2.cost()).today == n2.fleet().totals.today
            followed = Changes()
            followed.look(n2.fleet())
            seen, seq = followed.number, n1.member.replica.have(["n1"])[0].complete
            clock.now = MIDNIGHT + 1
            await today(n1, None)
            await today(n2, None)
            assert followed.look(n2.fleet())
            change = followed.since(seen)
            assert change is not None
            assert change.totals is not None, "who follows the view hears that another day runs"
            assert change.totals.today is None
            assert n1.member.replica.have(["n1"])[0].complete == seq, "nodes tell each other nothing of it"
            n1.publish(used("n1/a", 1.5))
            told = await today(n2, 0.5)
            assert told is not None
            assert told.day == date(MIDNIGHT)


async def test_a_view_changes_when_the_day_turns_though_nothing_else_does() -> None:
    clock = Clock(MIDNIGHT - 60)
    with trio.fail_after(PATIENCE):
        async with open_node(config("n1"), wall=clock) as n1:
            hasty(n1).publish(used("n1/a", 1.0))
            await newest(n1, 1_000_000)
            assert n1.fleet().totals.today is not None
            before = n1._beside
            clock.now = MIDNIGHT + 1
            assert n1.accounting.sums.today() is None, "whoever asks first keeps it from nobody"
            while n1._beside == before:  # the mesh does not do it
                await n1.changed(n1.version())
            assert n1.fleet().totals.today is None


async def test_a_day_begins_by_the_billing_zone() -> None:
    clock = Clock(MIDNIGHT - 60)
    east = msgspec.structs.replace(config("n1"), billing=Billing(zone="Asia/Tokyo"))
    with trio.fail_after(PATIENCE):
        async with open_node(east, wall=clock) as n1:
            n1.publish(used("n1/a", 1.0))
            told = await today(n1, 1.0)
            assert told is not None
            assert told.day == date(MIDNIGHT + DAY / 2)


async def test_what_was_used_on_a_day_before_is_not_of_today(tmp_path: Path) -> None:
    clock = Clock(MIDNIGHT - 60)
    with trio.fail_after(PATIENCE):
        async with open_node(config("n1", state_dir=tmp_path), wall=clock) as n1:
            n1.publish(used("n1/a", 1.0))
            await today(n1, 1.0)
        async with open_node(config("n1", state_dir=tmp_path), wall=clock) as n1:
            await today(n1, 1.0)  # after a restart as before
        clock.now = MIDNIGHT + 60
        async with open_node(config("n1", state_dir=tmp_path), wall=clock) as n1:
            n1.publish(used("n1/b", 2.0, "s2"))
            await today(n1, 2.0)


async def test_a_node_that_comes_later_hears_what_one_that_is_gone_used_today() -> None:
    with trio.fail_after(PATIENCE):
        async with open_node(config("n2"), wall=Clock(MIDNIGHT - 60)) as n2:
            hasty(n2)
            async with open_node(config("n1", n2.address), wall=Clock(MIDNIGHT - 60)) as n1:
                hasty(n1).publish(used("n1/a", 1.5))
                await today(n2, 1.5)
                await n1.leave()
            await sees(n2, "n1", Presence.LEFT)
            await forget(n2, "n1")
            async with open_node(config("n3", n2.address), wall=Clock(MIDNIGHT - 60)) as n3:
                await today(n3, 1.5)


async def newest(node: Node, cost: int) -> str | None:
    """The day that the node's own account tells, once that has cost so much."""
    while True:
        told = node.accounting.books.accounts.get((node.name, node.accounting._ledger.id))
        if told is not None and told.newest is not None and told.newest.used.cost == cost:
            return told.newest.day
        await trio.lowlevel.checkpoint()


async def test_a_clock_that_steps_back_over_midnight_takes_no_day_back() -> None:
    clock = Clock(MIDNIGHT + 1)
    with trio.fail_after(PATIENCE):
        async with open_node(config("n1"), wall=clock) as n1:
            hasty(n1).publish(used("n1/a", 1.0))
            assert await newest(n1, 1_000_000) == date(MIDNIGHT)
            clock.now = MIDNIGHT - 1
            n1.publish(used("n1/a", 3.0))
            while n1.fleet().totals.period.cost_usd not in (2.0, 3.0):  # 2 where a period begins at that midnight
                await n1.changed(n1.version())
            assert await newest(n1, 1_000_000) == date(MIDNIGHT)
            clock.now = MIDNIGHT + 2
            await today(n1, 1.0)


@pytest.mark.parametrize("lasts", [True, False])
async def test_a_clock_that_was_a_week_ahead_keeps_no_day_from_being_told(lasts: bool, tmp_path: Path) -> None:
    clock = Clock(MIDNIGHT + 7 * DAY)
    with trio.fail_after(PATIENCE):
        async with open_node(config("n1", state_dir=tmp_path if lasts else None), wall=clock) as n1:
            hasty(n1).accounting.settle = 0.0
            n1.publish(used("n1/a", 1.0))
            assert await newest(n1, 1_000_000) == date(MIDNIGHT + 7 * DAY)
            clock.now = MIDNIGHT - 60
            n1.publish(used("n1/a", 3.0))
            await today(n1, 2.0)
            assert await newest(n1, 2_000_000) == date(MIDNIGHT - 60)


def test_a_day_that_is_long_over_is_not_told_again_so_that_more_accounts_fit() -> None:
    now = float(MIDNIGHT)
    me, gone, clock = seeded(FLEET, "n1", now), seeded(FLEET, "n2", now), Clock(now)
    books = Books(NodeName("n1"), Trust(me, clock), Counter(), clock)
    account = Account("n2", b"ledger-1", 1, int(now), {"2026-11-01": Usage(5)}, Daily(date(now), Usage(3)))
    data = Signer(gone.fleet, gone.key, gone.certificate).account(account)
    assert books.take(data)
    [(bucket, told)] = books.retell([account.key], [NodeName("n1")])
    assert told == [data]
    clock.now = now + MARKS_FOR + 1
    [(again, bare)] = books.retell([account.key], [NodeName("n1")])
    assert again == bucket
    assert len(bare[0]) < len(data) - 64
    assert read_statement(me.fleet, bare[0], clock.now) == msgspec.structs.replace(account, newest=None)
    assert not books.take(bare[0])
    assert books.retell([account.key], [NodeName("n1")]) == []
