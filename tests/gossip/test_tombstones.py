"""The gone are remembered for a day, and count for nothing while those that are there are judged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from meshfleet.fleet.names import NodeName
from meshfleet.fleet.presence import Presence, Verdict
from meshfleet.fleet.standing import Standing
from meshfleet.fleet.timing import PRESETS
from meshfleet.gossip.messages import Alive, Left, NodeInfo, Suspect
from meshfleet.gossip.suspicion import shortest, timeout
from tests.gossip.rosters import record, roster
from tests.gossip.test_edges import member, tell
from tests.gossip.test_stories import fleet, standings

if TYPE_CHECKING:
    from tests.gossip.world import World

LAN = PRESETS["lan"]
GONE = 1_000


def with_tombstones(nodes: int) -> World:
    """A fleet that has settled, of which n0 remembers many more that went home."""
    world = fleet(nodes)
    n0 = member(world)
    for number in range(GONE):
        name = f"g{number}"
        n0.roster.add(Alive(name, 1, 0, NodeInfo(f"h-{name}", "10.1.0.1", 7878)), n0.heard_until)
        gone, _ = n0.roster.add(Left(name, 1, name, "left"), n0.heard_until)
        assert gone is not None
        n0.judging.judge(gone, world.now)
        assert gone.presence is Presence.LEFT
        gone.judged_since -= 0.75 * LAN.tombstone  # so nobody is told of it any more
    assert (len(n0.roster), n0.roster.there) == (GONE + nodes - 1, nodes - 1)
    return world


def test_a_wall_that_rejects_is_a_cut_whoever_went_home_before() -> None:
    world = with_tombstones(10)
    near = [f"n{i}" for i in range(5)]
    world.cut(near, [f"n{i}" for i in range(5, 10)], reject=True)
    world.run(2.5 * LAN.heartbeat)
    assert standings(world, *near) == {Standing.PARTITIONED}


def test_neighbours_are_as_many_as_whoever_is_there_needs() -> None:
    assert len(member(with_tombstones(6)).neighbours._chosen) == LAN.neighbours_small
    world = with_tombstones(6)
    member(world).neighbours.review()
    assert len(member(world).neighbours._chosen) == LAN.neighbours_small


def test_a_suspicion_lasts_as_long_as_those_that_are_there_make_it() -> None:
    world = with_tombstones(6)
    n0, suspected = member(world), world.record("n0", "n3")
    tell(world, "n0", Suspect("n3", 1, suspected.alive.incarnation, "n1"))
    assert suspected.suspicion is not None
    lasts = timeout(1, 5, 6, LAN)
    assert lasts < LAN.suspicion_beta * shortest(GONE, LAN)
    confirmed, could, expired = n0.judging._suspicion(suspected, suspected.suspicion.began + lasts + 0.01)
    assert (confirmed, could, expired) == (1, 5, True)


def test_a_suspicion_is_looked_into_by_enough_of_those_that_are_there() -> None:
    world = with_tombstones(5)
    suspected = world.record("n0", "n3")
    tell(world, "n0", Suspect("n3", 1, suspected.alive.incarnation, "n1"))
    assert suspected.looked_at == member(world).heard_until


@pytest.mark.parametrize("presence", list(Presence))
def test_how_many_are_there_is_counted_as_they_come_and_go(presence: Presence) -> None:
    it = roster("a", "b")
    gone = presence in (Presence.DOWN, Presence.LEFT)
    for _ in range(2):
        it.judged(record(it, "a"), Verdict(presence))
        assert it.there == 2 - gone == len([r for r in it if not r.is_gone])
    it.judged(record(it, "a"), Verdict(Presence.FRESH))
    assert it.there == 2
    it.judged(record(it, "a"), Verdict(presence))
    it.remove(record(it, "a"))
    assert it.there == 1
    it.add(Alive(NodeName("a"), 2, 0, NodeInfo("h", "10.0.0.1", 7878)), 0.0)
    assert it.there == 2
