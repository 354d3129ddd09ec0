"""A machine that says before it sleeps: left meanwhile, and back in a later life."""

from __future__ import annotations

from meshfleet.fleet.presence import Presence
from meshfleet.gossip.events import Judged
from tests.gossip.world import World


def asleep(world: World, name: str) -> None:
    """It says so, is heard, and stands still."""
    world.do(name, lambda member: member.fall_asleep(world.now))
    world.run(1)
    world.pause(name)


def awake(world: World, name: str) -> None:
    """It goes on, its system says so."""
    world.resume(name)
    world.do(name, lambda member: member.slept(world.now))


def fleet() -> World:
    world = World(6, seed=2)
    world.run(20)
    return world


def test_it_is_left_for_all_and_back_for_all() -> None:
    world = fleet()
    others = [name for name in world.hosts if name != "n3"]
    asleep(world, "n3")
    assert world.says(*others, of="n3") == {Presence.LEFT}
    assert {world.record(name, "n3").verdict.reasons for name in others} == {("asleep",)}
    world.run(600)
    assert world.says(*others, of="n3") == {Presence.LEFT}
    awake(world, "n3")
    world.run(5)
    assert world.all_fresh()
    said = {e.verdict.presence for h in world.hosts.values() for e in h.events if isinstance(e, Judged)}
    assert not said & {Presence.DOWN, Presence.UNREACHABLE}


def test_who_stays_awake_after_all_is_back_at_once() -> None:
    world = fleet()
    epoch = world.hosts["n3"].member.epoch
    world.do("n3", lambda member: member.fall_asleep(world.now))
    world.run(1)
    world.do("n3", lambda member: member.wake_up(world.now))
    world.run(3)
    assert world.all_fresh()
    assert world.hosts["n3"].member.epoch == epoch + 1


def test_waking_brings_nobody_back_who_left_for_good() -> None:
    world = fleet()
    member = world.hosts["n3"].member
    world.do("n3", lambda member: member.leave(world.now))
    world.do("n3", lambda member: member.wake_up(world.now))
    assert member.membership.leaving
    world.do("n4", lambda member: member.wake_up(world.now))
    assert world.hosts["n4"].member.epoch == 1, "nor is it a later life where nobody slept"


def test_whoever_is_stopped_while_it_sleeps_stays_left() -> None:
    world = fleet()
    world.do("n3", lambda member: member.fall_asleep(world.now))
    world.do("n3", lambda member: member.leave(world.now))
    world.run(1)
    assert world.record("n0", "n3").verdict.reasons == ("asleep",)
