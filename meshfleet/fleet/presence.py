"""The verdict on a node or agent: seven presences, first rule that holds decides.

The table is the specification, here, in docs/design.md and in the tests:

    1 left         it said goodbye, or its process is reported to have exited
    2 down         proven: a witness saw the process end, or a stream ended bare and its address refused soon after
    3 unreachable  suspended: silent, but I am the one who is cut off, so its silence proves nothing
    4 down         presumed: silent for 3T and a beat, suspicion ran out, confirmed, no group loss, nothing accepts
    5 unreachable  silent for 2T
    6 stale        silent for T + grace
    7 fresh        otherwise
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

import msgspec

from meshfleet.fleet.evidence import Evidence, Fact

if TYPE_CHECKING:
    from meshfleet.fleet.standing import Standing
    from meshfleet.fleet.timing import Timing


class Presence(str, Enum):
    """What an observer says of a node or an agent."""

    FRESH = "fresh"
    STALE = "stale"
    UNREACHABLE = "unreachable"
    DOWN = "down"
    LEFT = "left"


class Certainty(str, Enum):
    """How sure a `down` is. Proven must never be wrong; presumed is a policy about silence."""

    PROVEN = "proven"
    PRESUMED = "presumed"


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """One judgement, with what decided it."""

    presence: Presence
    reasons: tuple[str, ...] = ()
    certainty: Certainty | None = None
    because: tuple[Fact, ...] = ()


FRESH = Verdict(Presence.FRESH)


def judge(evidence: Evidence, standing: Standing, timing: Timing) -> Verdict:
    """Judge one member. Pure: the same evidence gives the same verdict, whoever asks and whenever."""
    age = evidence.age
    if evidence.goodbye is not None:
        return Verdict(Presence.LEFT, (evidence.goodbye.detail,), because=(evidence.goodbye,))
    proof = proof_of_death(evidence, timing)
    if proof:
        return Verdict(Presence.DOWN, tuple(fact.detail for fact in proof), Certainty.PROVEN, proof)
    if age <= timing.stale_after:
        return FRESH
    if standing.is_cut_off:
        return Verdict(
            Presence.UNREACHABLE,
            (f"this node is {standing.value}: its silence proves nothing",),
            because=evidence.recent,
        )
    if _may_presume(evidence, timing):
        detail = f"silent for {age:.1f} s, {evidence.confirmed_by} confirmations, nothing of it answers"
        return Verdict(Presence.DOWN, (detail,), Certainty.PRESUMED, evidence.recent)
    if age > timing.unreachable_after:
        return Verdict(Presence.UNREACHABLE, _why_only_unreachable(evidence, timing), because=evidence.recent)
    return Verdict(Presence.STALE, (f"no news for {age:.1f} s",), because=evidence.recent)


def proof_of_death(evidence: Evidence, timing: Timing) -> tuple[Fact, ...]:
    """The facts that prove a death, or nothing. Anything newer heard of the member, by anyone, is a veto."""
    if evidence.ended is not None:  # a witness saw the process end, or another's proof is believed
        return (evidence.ended,)
    if evidence.eof is not None and evidence.heard_at <= evidence.eof.at:
        # A process that dies closes its sockets: FIN. No firewall rule that was measured makes a FIN, so with a
        # refusal soon after it is proof even in a fleet of two. RST instead is not: a rebooted or rejecting firewall
        # looks alike. A process that forwards makes both, so the refusal has waited for the answer to a datagram.
        for refusal in evidence.refusals:
            if 0 <= refusal.at - evidence.eof.at <= timing.eof_window:
                return (evidence.eof, refusal)
    return ()


def _may_presume(evidence: Evidence, timing: Timing) -> bool:
    return (
        min(evidence.age, evidence.heard_ago, evidence.known_for) > timing.presumed_after
        and evidence.suspicion_expired
        and evidence.confirmed_by >= min(timing.confirmations, evidence.could_confirm)
        and evidence.could_confirm > 0
        and evidence.group is None
        and not evidence.accepts
        and evidence.contact_by is None
    )


def _why_only_unreachable(evidence: Evidence, timing: Timing) -> tuple[str, ...]:
    """Why it is not called down. The first reason is the one that weighs most."""
    reasons: list[str] = []
    if evidence.contact_by is not None:
        reasons.append(f"only this node lost it: {evidence.contact_by} reports contact")
    if evidence.accepts:
        reasons.append("its process is there and does not answer: connections are accepted, nothing is said")
    if evidence.group is not None:
        reasons.append(f"group loss: {evidence.group}")
    if evidence.heard_ago <= timing.unreachable_after:
        reasons.append(f"a sign of life {evidence.heard_ago:.1f} s ago, without a newer heartbeat")
    if evidence.known_for <= timing.presumed_after < evidence.age:
        reasons.append(f"known here for only {evidence.known_for:.1f} s: its silence before that is hearsay")
    if evidence.refusals:
        reasons.append("connections are refused, which proves nothing alone: a firewall that rejects looks the same")
    if not reasons and evidence.could_confirm == 0:
        reasons.append("nobody else could confirm its death")
    if not reasons:
        reasons.append(
            f"silent for {evidence.age:.1f} s, {evidence.confirmed_by} of "
            f"{min(timing.confirmations, evidence.could_confirm)} confirmations"
        )
    return tuple(reasons)
