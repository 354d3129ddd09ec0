"""What an observer thinks of itself, and who fell silent together."""

from __future__ import annotations

import pytest

from meshfleet.fleet.standing import Assessment, Peer, Self, Standing, assess
from meshfleet.fleet.timing import PRESETS

LAN = PRESETS["lan"]
T = LAN.heartbeat
NOW = 1_000.0
SILENT_FOR = 3 * T


def fresh(*names: str) -> list[Peer]:
    return [Peer(name=name, host=f"h-{name}", zone=None, heard_at=NOW - 1) for name in names]


def silent(*names: str, ago: float = SILENT_FOR, host: str = "", zone: str | None = None) -> list[Peer]:
    return [Peer(name=name, host=host or f"h-{name}", zone=zone, heard_at=NOW - ago) for name in names]


def stand(peers: list[Peer], *, heard_ago: float = 0.1, resuming: bool = False, refused: bool = False) -> Assessment:
    me = Self(now=NOW, heard_anyone_at=NOW - heard_ago, resuming=resuming, sends_refused=refused)
    return assess(me, peers, LAN)


@pytest.mark.parametrize(
    ("still", "gone", "standing"),
    [
        (4, 0, Standing.CONNECTED),
        (3, 1, Standing.CONNECTED),  # one alone is no group
        (2, 2, Standing.SPLIT),  # 2 of 5, I am one of three
        (1, 3, Standing.PARTITIONED),  # 3 of 5
        (1, 2, Standing.PARTITIONED),  # two equal halves: both sides must hold back
        (3, 3, Standing.SPLIT),  # 3 of 7
        (2, 3, Standing.PARTITIONED),  # 3 of 6: half
        (0, 2, Standing.PARTITIONED),
    ],
)
def test_the_smaller_side_is_partitioned_and_the_larger_split(still: int, gone: int, standing: Standing) -> None:
    peers = fresh(*(f"f{i}" for i in range(still))) + silent(*(f"s{i}" for i in range(gone)))
    assert stand(peers).standing is standing


def test_a_group_needs_two_hosts() -> None:
    assert stand(fresh("a", "b", "c") + silent("x", "y", host="one")).standing is Standing.CONNECTED
    assert stand(fresh("a", "b", "c") + silent("x", host="one") + silent("y", host="two")).standing is Standing.SPLIT


def test_one_machine_that_dies_soon_after_hides_no_group() -> None:
    cut = silent("x", ago=20.0 + 3 * T) + silent("y", ago=20.0 + 2 * T, host="one")
    died = silent("p", "q", ago=20.0, host="one")
    assert stand(fresh("a", "b", "c", "d", "e") + cut + died).groups == (("x", "y"),)
    assert stand(fresh("a", "b", "c", "d", "e") + died).groups == ()


def test_a_group_falls_silent_within_2t() -> None:
    together = silent("x", ago=20.0) + silent("y", ago=20.0 + 2 * T)
    apart = silent("x", ago=20.0) + silent("y", ago=20.1 + 2 * T)
    assert stand(fresh("a", "b", "c") + together).groups == (("x", "y"),)
    assert stand(fresh("a", "b", "c") + apart).groups == ()


def test_who_fell_silent_with_one_of_a_group_is_of_it_though_another_of_it_fell_silent_long_before() -> None:
    one_by_one = silent("x", ago=20.0 + 3.8 * T) + silent("y", ago=20.0 + 1.9 * T) + silent("z", ago=20.0)
    assert stand(fresh("a", "b", "c", "d") + one_by_one).groups == (("x", "y", "z"),)
    alone = silent("x", ago=20.0 + 3.8 * T) + silent("y", ago=20.0 + 1.9 * T) + silent("z", ago=20.0 - 2 * T)
    assert stand(fresh("a", "b", "c", "d") + alone).groups == (("x", "y"),)


def test_two_per_cent_of_a_large_fleet_are_needed() -> None:
    many = fresh(*(f"f{i}" for i in range(196)))
    assert stand(many + silent("x", "y", "z")).groups == ()
    assert stand(many[:140] + silent("x", "y", "z")).groups == (("x", "y", "z"),)


def test_two_cuts_at_different_times_are_two_groups_the_larger_first() -> None:
    peers = fresh(*"abcdef") + silent("x", "y", ago=12.0) + silent("p", "q", "r", ago=60.0)
    assessment = stand(peers)
    assert assessment.groups == (("p", "q", "r"), ("x", "y"))
    assert assessment.group_of("x") == ("x", "y")
    assert assessment.group_of("a") is None
    assert len(assessment.reasons) == 2


def test_who_is_refused_is_not_silent() -> None:
    refused = [Peer(name=n, host=f"h-{n}", zone=None, heard_at=NOW - SILENT_FOR, refused=True) for n in "xyz"]
    assert stand(fresh("a") + refused).standing is Standing.CONNECTED


def test_who_is_refused_is_of_the_group_that_fell_silent_with_it_and_the_standing_is_not_changed_by_that() -> None:
    refused = [Peer(name="x", host="h-x", zone=None, heard_at=NOW - SILENT_FOR, refused=True)]
    assessment = stand(fresh("a", "b") + refused + silent("y", ago=SILENT_FOR + 2 * T))
    assert (assessment.standing, assessment.groups) == (Standing.CONNECTED, (("x", "y"),))
    assert stand(fresh("a", "b") + refused + silent("y", ago=SILENT_FOR + 2.1 * T)).groups == ()
    heard = [Peer(name="x", host="h-x", zone=None, heard_at=NOW - 1, refused=True)]
    assert stand(fresh("a", "b") + heard + silent("y")).groups == ()


def test_nothing_heard_from_anyone_is_isolation() -> None:
    peers = silent("a", "b")
    assert stand(peers, heard_ago=2 * T + 0.1).standing is Standing.ISOLATED
    assert stand(peers, heard_ago=2 * T).standing is Standing.PARTITIONED
    assert stand(silent("a"), heard_ago=2 * T + 0.1).standing is Standing.ISOLATED  # a fleet of two


def test_who_still_sees_somebody_is_not_isolated_for_hearing_nobody_new() -> None:
    assert stand(fresh("a") + silent("b"), heard_ago=60.0).standing is Standing.CONNECTED


def test_a_fleet_of_one_is_connected() -> None:
    assert stand([], heard_ago=1e6).standing is Standing.CONNECTED


def test_own_sends_refused_is_isolation_at_once() -> None:
    assert stand(fresh("a", "b"), refused=True).standing is Standing.ISOLATED


def test_resuming_comes_before_everything() -> None:
    assert stand(silent("a", "b"), heard_ago=60, resuming=True, refused=True).standing is Standing.RESUMING


@pytest.mark.parametrize(
    ("health", "lag", "standing"),
    [
        (0, 0.0, Standing.CONNECTED),
        (1, LAN.direct_timeout / 4, Standing.CONNECTED),
        (2, 0.0, Standing.DEGRADED),
        (0, LAN.direct_timeout / 4 + 0.001, Standing.DEGRADED),
    ],
)
def test_an_ill_observer_says_so(health: int, lag: float, standing: Standing) -> None:
    me = Self(now=NOW, heard_anyone_at=NOW, local_health=health, loop_lag=lag)
    assert assess(me, fresh("a"), LAN).standing is standing


def test_a_lost_zone_is_named() -> None:
    reasons = stand(fresh("a", "b", "c") + silent("x", "y", zone="east")).reasons
    assert reasons == ("x, y (all of zone east) fell silent together; 4 of 6 are on this side",)


def test_a_long_list_of_names_is_cut_short() -> None:
    assert "x4 and 2 more fell" in stand(fresh(*"abcdefghi") + silent(*(f"x{i}" for i in range(7)))).reasons[0]
