"""What a member does about bad news of another: it looks for itself, at once where there is proof, never in a storm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshfleet.fleet.presence import Presence
from meshfleet.fleet.timing import PRESETS
from meshfleet.gossip.membership import URGENT
from meshfleet.gossip.messages import Left, Obituary, Suspect
from tests.gossip.test_edges import member, tell
from tests.gossip.test_stories import fleet

if TYPE_CHECKING:
    import pytest

    from tests.gossip.world import World

LAN = PRESETS["lan"]


def knocks_of(world: World, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When n0 knocks at somebody's address, from now on."""
    times: list[float] = []
    monkeypatch.setattr(member(world).neighbours, "knock", lambda _: times.append(world.now))
    return times


def test_bad_news_of_one_member_is_looked_into_once_in_t(monkeypatch: pytest.MonkeyPatch) -> None:
    world = fleet(7)
    subject, knocks = member(world, "n6"), knocks_of(world, monkeypatch)
    for by in ("n1", "n2", "n3", "n4", "n5"):
        tell(world, "n0", Suspect("n6", subject.epoch, subject.membership.me.incarnation, by), sender=by)
        world.run(0.5)
    assert len(knocks) == 1


def test_the_first_proof_of_a_death_goes_on_at_once_and_whoever_hears_it_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    world = fleet(12)
    began, knocks = world.now, knocks_of(world, monkeypatch)
    first, second = (Obituary("n6", member(world, "n6").epoch, 0, by, "seen") for by in ("n1", "n2"))
    assert tell(world, "n0", first).count(first) >= URGENT
    assert tell(world, "n0", second, sender="n2").count(second) < URGENT
    world.run(1.0)
    assert knocks
    assert knocks[0] - began <= LAN.direct_timeout


def test_who_is_heard_is_not_forgotten_whoever_says_so_and_who_is_silent_is() -> None:
    world = fleet(3)
    said = Left("n2", member(world, "n2").epoch, "n1", "forgotten")
    tell(world, "n0", said)
    assert world.presence("n0", "n2") is Presence.FRESH
    world.kill("n2")
    world.run(3 * LAN.heartbeat)
    assert world.presence("n0", "n2") is Presence.LEFT


def test_of_a_life_that_is_yet_to_come_nobody_else_can_say_that_it_was_forgotten() -> None:
    world = fleet(3)
    for who in ("n2", "n9"):
        tell(world, "n0", Left(who, member(world, "n2").epoch + 1, "n1", "forgotten"))
    assert member(world, "n0").counts["forgotten_ahead"] == 2
    world.kill("n2")
    world.run(1.0)
    assert world.presence("n0", "n2") is Presence.DOWN
