"""Which node of a fleet tells a collector of it: one at a time, the next where that one goes or does not get through.

Those that are set up to export say so. Of those that are there, the first by rendezvous hashing does. One whose
exports fail counts that, and comes after those that failed less often: so each tries in turn until one gets through,
and that one goes on. Where a fleet is cut in two, each side has one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from meshfleet.fleet.names import NodeName
from meshfleet.fleet.rendezvous import ranked

if TYPE_CHECKING:
    from collections.abc import Sequence

MATTER = "otel"
"""What the order is of: another one than that of any notice."""


class Exporting(msgspec.Struct, frozen=True):
    """A node that is set up to export, by its own word."""

    name: NodeName
    is_there: bool
    began: int
    """Unix time at which the fleet's figures were exported first, as far as that node has heard."""
    failures: int
    """Intervals, one after the other, that it gave up."""


def whose_turn(exporting: Sequence[Exporting]) -> NodeName | None:
    """Who exports now; None where nobody is there."""
    there = {each.name: each.failures for each in exporting if each.is_there}
    order = ranked(MATTER, there)
    return min(order, key=there.__getitem__, default=None)  # of equal ones the first in that order


def began(exporting: Sequence[Exporting]) -> int:
    """From when on sums count that nobody knows a better beginning of: the earliest word, of those that are gone too,
    so that it stays whoever exports. There is at least one."""
    return min(each.began for each in exporting)
