"""A part that fails is begun again, and one that fails time and again ends the node."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from meshfleet.errors import ConfigError
from meshfleet.node.supervise import FAILURES, PartFailed, supervise

if TYPE_CHECKING:
    from trio.testing import MockClock


async def test_a_part_that_fails_is_begun_again_and_counted(autojump_clock: MockClock) -> None:
    runs = 0
    counts: Counter[str] = Counter()

    async def part() -> None:
        nonlocal runs
        runs += 1
        if runs < 4:
            raise ValueError(runs)

    await supervise("watching", part, counts)
    assert runs == 4
    assert counts == {"failed_watching": 3}


async def test_a_part_that_never_recovers_ends_the_node_with_its_last_error(autojump_clock: MockClock) -> None:
    counts: Counter[str] = Counter()

    async def part() -> None:
        raise ValueError("no such thing")

    with pytest.raises(PartFailed, match=r"watching failed 10 times within a minute.*no such thing"):
        await supervise("watching", part, counts)
    assert counts["failed_watching"] == FAILURES


async def test_an_error_of_configuration_is_not_tried_again() -> None:
    async def part() -> None:
        raise ConfigError("port 80 is taken")

    with pytest.raises(ConfigError):
        await supervise("serving", part, Counter())
