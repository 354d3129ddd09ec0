"""Three minutes of what `make soak` does for an hour: twelve real nodes under load, and a plan in which everything is
that ends, cuts off or stops a node. No times are looked at here but by patience: other tests run beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.network.fleet import GUARD
from tests.network.ground import why_not
from tests.soak.fleet import can_mount
from tests.soak.plan import draw
from tests.soak.soaking import Soak
from tests.soak.truth import Call

if TYPE_CHECKING:
    from pathlib import Path

WHY_NOT = why_not() or can_mount()
pytestmark = [pytest.mark.processes, pytest.mark.skipif(WHY_NOT is not None, reason=WHY_NOT or "")]

SEED = 944
"""Of a plan with kills, a pause, cuts, a full disk, a stepped clock and a rotation in it."""
ROUNDS = 2
SECONDS = 45.0


def test_what_goes_wrong_at_random_makes_no_node_lie_and_loses_nothing(tmp_path: Path) -> None:
    outcome = Soak(draw(SEED, ROUNDS, seconds=SECONDS), tmp_path, patience=GUARD, say=print).run()
    assert outcome.broken == []
    assert [each.astray for each in outcome.settled] == [()] * ROUNDS
    assert outcome.calls[Call.RIGHT], "somebody died, and it was said"
    assert outcome.words > 0
    assert outcome.spent > 0
    assert all(each.took for each in outcome.served.values()), "each node served"
