"""The rules by which a member judges: meshfleet's own, unless a simulation sets another detector beside them.

SWIM and Lifeguard as others run them are baselines of the simulator. They drive the same member, so that what differs
between two runs is the rules and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

from meshfleet.fleet.presence import Verdict, judge
from meshfleet.gossip.prober import Prober
from meshfleet.gossip.suspicion import timeout

if TYPE_CHECKING:
    from meshfleet.fleet.evidence import Evidence
    from meshfleet.fleet.standing import Standing
    from meshfleet.fleet.timing import Timing


class Judge(Protocol):
    """From evidence to verdict."""

    def __call__(self, evidence: Evidence, standing: Standing, timing: Timing) -> Verdict: ...


class Patience(Protocol):
    """Seconds until a suspicion runs out."""

    def __call__(self, confirmed_by: int, could_confirm: int, members: int, timing: Timing) -> float: ...


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """One detector."""

    judge: Judge = judge
    patience: Patience = timeout
    health: bool = True
    """Whether a member that hears badly stretches its own timeouts (Lifeguard, LHA-Probe)."""
    buddy: bool = True
    """Whether whom one pings is told that it is suspected (Lifeguard, buddy system)."""
    listening: bool = True
    """Whether silence counts only while this member was listening: a stop or a sleep of its own blames nobody, and
    what came meanwhile is read before timers run. Ours."""
    prober: type[Prober] = Prober
    """Who is probed when, and what a probe that fails tells of this member itself. Ours looks again wherever there
    is cause."""
    hearsay: bool = False
    """Whether `down` is a fact that is told and believed: whoever says it tells all, and all say it too, until the
    member refutes it by a higher incarnation. SWIM's `confirm`. Nothing else is evidence then: neither witnesses,
    nor errors of one's own sockets."""
    suspects_early: bool = False
    """Whether a suspicion alone may decide, of whoever was heard of just now: SWIM knows no ages."""


MESHFLEET = Rules()
