"""How long until silence counts: suspicion with independent confirmations and a shrinking timeout (Lifeguard,
section IV.B)."""

from __future__ import annotations

from dataclasses import dataclass
from math import log, log10
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meshfleet.fleet.timing import Timing


@dataclass(slots=True)
class Suspicion:
    """One suspicion of one life and incarnation of a member, as this observer counts it."""

    epoch: int
    incarnation: int
    began: float
    """Listening seconds."""


def shortest(members: int, timing: Timing) -> float:
    """Seconds that a fully confirmed suspicion lasts: alpha × max(1, log10 n) × probe interval."""
    return timing.suspicion_alpha * max(1.0, log10(max(1, members))) * timing.probe_interval


def timeout(confirmed_by: int, could_confirm: int, members: int, timing: Timing) -> float:
    """Seconds from its beginning until the suspicion runs out.

    `confirmed_by` counts hosts that failed to reach the member themselves, the first accuser included;
    `could_confirm` the hosts that could. Fewer of these than K: the longest timeout holds. (memberlist takes the
    shortest there, so that fleets of three and fewer have none of Lifeguard's protection.)
    """
    low = shortest(members, timing)
    high = timing.suspicion_beta * low
    if could_confirm < timing.confirmations:
        return high
    confirmed = min(max(confirmed_by, 1), timing.confirmations)
    # The first accusation is no confirmation yet, as in the paper: C = 0 gives the longest, C = K - 1 the shortest.
    return high - (high - low) * log(confirmed) / log(timing.confirmations)
