"""What a seed stands for."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import pytest

from tests.soak.plan import ENDS, OF_A_HOST, Kind, draw, read

if TYPE_CHECKING:
    from pathlib import Path

MANY = 60
"""Rounds in which everything is drawn."""


def test_a_seed_is_a_plan_and_a_file_is_the_same_plan(tmp_path: Path) -> None:
    plan = draw(7, 3)
    assert plan == draw(7, 3)
    assert plan != draw(8, 3)
    plan.write(tmp_path / "plan.json")
    assert read(tmp_path / "plan.json") == plan


def test_everything_that_can_go_wrong_does() -> None:
    assert {fault.kind for of in draw(1, MANY).rounds for fault in of.faults} == set(Kind)


@pytest.mark.parametrize("seed", range(5))
def test_a_host_has_one_fault_of_its_own_in_a_round_and_the_steady_are_never_ended(seed: int) -> None:
    plan = draw(seed, MANY)
    for of in plan.rounds:
        own = [fault for fault in of.faults if fault.kind in OF_A_HOST]
        assert all(one.nodes != other.nodes for one, other in combinations(own, 2))
        assert not any(fault.kind in ENDS and fault.nodes[0] in plan.steady for fault in own)


@pytest.mark.parametrize("seed", range(5))
def test_all_but_deaths_is_over_when_a_round_is(seed: int) -> None:
    for of in draw(seed, MANY).rounds:
        for fault in of.faults:
            assert 0 <= fault.at < (of.seconds if fault.until is None else fault.until) <= of.seconds
            if fault.until is None:
                assert fault.kind not in (Kind.HOST_DOWN, Kind.PAUSE, Kind.NIC_DOWN, Kind.DISK_FULL)
                assert not fault.others
