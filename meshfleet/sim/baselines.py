"""The detectors that meshfleet is compared with: SWIM, and Lifeguard as memberlist has it. A suspicion that ran out
means down.

Both run on the same member, with the same probes and messages; only what is concluded differs. Neither knows ages,
groups, kernels' answers or its own standing.
"""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING

from meshfleet.fleet.presence import Certainty, Presence, Verdict
from meshfleet.gossip.rules import MESHFLEET, Rules
from meshfleet.gossip.suspicion import shortest

if TYPE_CHECKING:
    from meshfleet.fleet.evidence import Evidence
    from meshfleet.fleet.standing import Standing
    from meshfleet.fleet.timing import Timing


def suspicion_means_down(evidence: Evidence, standing: Standing, timing: Timing) -> Verdict:
    """Down when the suspicion has run out, and not before."""
    if evidence.goodbye is not None:
        return Verdict(Presence.LEFT, (evidence.goodbye.detail,))
    if evidence.suspicion_expired:
        return Verdict(Presence.DOWN, ("the suspicion ran out",), Certainty.PRESUMED, evidence.recent)
    return Verdict(Presence.FRESH)


def fixed(confirmed_by: int, could_confirm: int, members: int, timing: Timing) -> float:
    """SWIM's suspicion: as long whoever confirms it."""
    return shortest(members, timing)


def shrinking(confirmed_by: int, could_confirm: int, members: int, timing: Timing) -> float:
    """memberlist's: from the longest to the shortest by confirmations; the shortest at once where none could come."""
    low = shortest(members, timing)
    high = timing.suspicion_beta * low
    k = timing.confirmations
    if could_confirm < k:
        return low
    confirmations = max(0, confirmed_by - 1)
    return max(low, high - (high - low) * log(confirmations + 1) / log(k + 1))


DETECTORS: dict[str, Rules] = {
    "meshfleet": MESHFLEET,
    "swim": Rules(
        judge=suspicion_means_down, patience=fixed, health=False, buddy=False, listening=False, suspects_early=True
    ),
    "lifeguard": Rules(judge=suspicion_means_down, patience=shrinking, listening=False, suspects_early=True),
}
