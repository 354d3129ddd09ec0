"""Whoever was lost and is heard again counts as come back, once: it is told all, and asked for the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshfleet.fleet.presence import Presence
from meshfleet.fleet.timing import PRESETS
from tests.gossip.test_edges import member
from tests.gossip.test_stories import fleet

if TYPE_CHECKING:
    from meshfleet.fleet.names import NodeName
    from tests.gossip.world import World

LAN = PRESETS["lan"]


def noted(world: World, name: str) -> list[NodeName]:
    """Who comes back, as that member notices from now on."""
    back: list[NodeName] = []
    tell = member(world, name).judging.came_back

    def note(other: NodeName) -> None:
        back.append(other)
        tell(other)

    member(world, name).judging.came_back = note
    return back


def test_who_was_presumed_down_behind_a_long_cut_comes_back_once() -> None:
    world = fleet(8)
    minority, majority = ["n0", "n1"], ["n2", "n3", "n4", "n5", "n6", "n7"]
    back, back_there = noted(world, "n5"), noted(world, "n1")
    world.cut(minority, majority)
    world.run(LAN.group_hold + 60.0)
    assert world.says("n5", of="n0") == {Presence.DOWN}
    assert back == back_there == []
    world.heal()
    world.run(20.0)
    assert world.all_fresh()
    assert sorted(back) == minority
    assert sorted(back_there) == majority


def test_who_is_stale_on_its_way_back_comes_back_once() -> None:
    world = fleet(5)
    back, n1 = noted(world, "n1"), member(world, "n1")
    world.power_off("n3")
    world.run(13.0)
    record = world.record("n1", "n3")
    told: list[Presence] = [record.presence]
    for age in (7.0, 0.0, 7.0, 0.0):
        record.beat_at = n1.heard_until - age
        n1.judging.judge(record, world.now)
        told.append(record.presence)
    assert told == [Presence.UNREACHABLE, *[Presence.STALE, Presence.FRESH] * 2]
    assert back == ["n3"]


def test_the_next_life_of_one_that_died_is_no_return() -> None:
    world = fleet(5)
    back = noted(world, "n1")
    world.power_off("n3")
    world.run(60.0)
    assert world.says("n1", of="n3") == {Presence.DOWN}
    world.start("n3", join="n0", epoch=2)
    world.run(5.0)
    assert world.all_fresh()
    assert back == []
