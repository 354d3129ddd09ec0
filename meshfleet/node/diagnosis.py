"""What a node says of itself to its owner: how it stands, what it dropped and why, and who sent it forgeries."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from meshfleet.fleet.findings import Finding
from meshfleet.fleet.names import NodeName
from meshfleet.fleet.source import SourceTold
from meshfleet.fleet.standing import Standing
from meshfleet.gossip.messages import Via
from meshfleet.node.otel.telling import ExportTold

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshfleet.gossip.member import Member

DROPS = ("datagram_too_big", "drop_", "dropped_", "endpoint_bad", "endpoint_refused", "fault", "forged_",
         "frame_too_big", "no_address", "old_life", "own_name", "refused_", "revoked_", "undecodable_contacts",
         "unexamined", "unvouched", "unknown_message")  # fmt: skip
"""How the names of counters begin whose growth means that something was not taken as it came."""


class ForgeryTold(msgspec.Struct, frozen=True, kw_only=True):
    """Forgeries of one kind that one peer sent."""

    sent_by: str
    proven: bool
    """Whether it was that peer: it came over a stream, and not by datagram, which any member can seal as any other."""
    in_name_of: str
    kind: str
    times: int
    age_s: float
    """Seconds since the last."""


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """See the module."""

    node: NodeName
    standing: Standing
    reasons: tuple[str, ...]
    drops: dict[str, int]
    forgeries: tuple[ForgeryTold, ...]
    """The latest first."""
    exports: ExportTold | None = None
    """How OpenTelemetry is told; None where this node is not set up for it."""
    sources: tuple[SourceTold, ...] = ()
    """Where it looks for nodes and agents."""
    peers: int = 0
    """Nodes that it hears."""
    tested: tuple[NodeName, ...] = ()
    """Those of them whose path was tested, and that told their half."""
    findings: tuple[Finding, ...] = ()
    """What is wrong, the worst first."""


def diagnose(
    member: Member,
    counters: Mapping[str, int],
    now: float,
    exports: ExportTold | None = None,
    sources: tuple[SourceTold, ...] = (),
) -> Diagnosis:
    """How the node of `member` is at `now`, monotonic seconds."""
    at = member.listening.at(now)
    forgeries = [
        ForgeryTold(
            sent_by=each.by,
            proven=each.via is Via.STREAM,
            in_name_of=each.in_name_of,
            kind=each.kind,
            times=each.times,
            age_s=round(max(0.0, at - each.at), 1),
        )
        for each in reversed(member.vouching.forgeries())
    ]
    return Diagnosis(
        node=member.name,
        standing=member.standing.standing,
        reasons=tuple(member.standing.reasons),
        drops={name: count for name, count in counters.items() if count and name.startswith(DROPS)},
        forgeries=tuple(forgeries),
        sources=sources,
        exports=exports,
    )
