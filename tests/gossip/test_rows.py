"""Who can't reach whom: said by each of itself, known to all, and gone when it is over."""

from __future__ import annotations

import pytest

from meshfleet.fleet.evidence import Kind
from meshfleet.fleet.islands import Cut
from meshfleet.fleet.timing import PRESETS
from meshfleet.gossip import limits
from meshfleet.gossip.messages import Row
from tests.gossip.world import World

LEFT, RIGHT = ["n0", "n1", "n2"], ["n4", "n5"]


def bridged(seed: int = 0) -> World:
    world = World(6, seed=seed)
    world.run(20)
    world.cut(LEFT, RIGHT)
    world.run(60)
    return world


@pytest.mark.parametrize("seed", range(3))
def test_everybody_sees_the_cut_and_who_bridges_it(seed: int) -> None:
    world = bridged(seed)
    for host in world.hosts.values():
        rows = host.member.rows
        assert rows.islands([]) == (("n0", "n1", "n2", "n3", "n4", "n5"),)
        assert rows.cuts() == (Cut(("n0", "n1", "n2"), ("n4", "n5"), ("n3",)),)
    world.heal()
    world.run(60)
    assert [host.member.rows.cuts() for host in world.hosts.values()] == [()] * 6


def test_the_story_of_a_member_tells_who_else_can_t_reach_it() -> None:
    world = bridged()
    record = world.hosts["n0"].member.roster.get("n4")
    assert record is not None
    reports = {fact.by for fact in record.facts if fact.kind is Kind.REPORT}
    assert reports == {"n1", "n2"}


def test_a_well_fleet_has_no_rows_and_a_lossy_one_hardly_any() -> None:
    world = World(6, loss=0.05)
    world.run(200)
    assert [cut for host in world.hosts.values() for cut in host.member.rows.cuts()] == []
    world = World(4)
    world.run(100)
    assert [host.member.rows.all() for host in world.hosts.values()] == [()] * 4


def test_the_dead_are_nobody_s_exception_and_on_no_island() -> None:
    world = World(4)
    world.run(20)
    world.kill("n3")
    world.run(60)
    for name in ("n0", "n1", "n2"):
        rows = world.hosts[name].member.rows
        assert rows.islands([]) == (("n0", "n1", "n2"),)
        assert (rows.mine.unreached, rows.cuts()) == ((), ())


def test_only_a_later_word_of_an_introduced_member_s_newest_life_counts() -> None:
    world = World(3)
    world.run(20)
    rows = world.hosts["n0"].member.rows
    assert rows.hear(Row("n1", 1, 5, ("n2",)), 20.0)
    for stale in (
        Row("n1", 1, 5, ()),
        Row("n1", 1, 4, ()),
        Row("n1", 9, 9, ()),
        Row("stranger", 1, 1, ("n2",)),
        Row("n2", 1, 1, ("x",) * (limits.ROW + 1)),
    ):
        assert not rows.hear(stale, 20.0)
    assert rows.table()["n1"] == {"n2"}
    assert rows.hear(Row("n1", 1, 6, ()), 21.0)
    assert rows.table()["n1"] == frozenset()


def test_a_long_row_is_cut_short_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(6)
    world.run(20)
    monkeypatch.setattr("meshfleet.gossip.rows.ROW", 2)
    world.cut(["n0"], ["n1", "n2", "n3", "n4", "n5"])
    world.run(4 * PRESETS["lan"].heartbeat)
    member = world.hosts["n0"].member
    assert len(member.rows.mine.unreached) == 2
    assert member.counts["short_row"] > 0
