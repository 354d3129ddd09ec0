"""The seven rules of presence, as a table: the first that holds decides."""

from __future__ import annotations

import msgspec
import pytest

from meshfleet.fleet.evidence import Evidence, Fact, Kind
from meshfleet.fleet.presence import Certainty, Presence, judge
from meshfleet.fleet.standing import Standing
from meshfleet.fleet.timing import PRESETS

LAN = PRESETS["lan"]
T = LAN.heartbeat
NOW = 100.0


def fact(kind: Kind, at: float = NOW, by: str = "n1", host: str = "h1") -> Fact:
    return Fact(kind, at, by, f"{kind.value} at {at}", host)


GOODBYE = fact(Kind.GOODBYE)
WITNESSED = fact(Kind.WITNESSED)
EOF = fact(Kind.EOF, at=NOW)
REFUSED_SOON = fact(Kind.REFUSED, at=NOW + 1.9)
REFUSED_LATE = fact(Kind.REFUSED, at=NOW + 2.1)
REFUSED_BEFORE = fact(Kind.REFUSED, at=NOW - 0.1)
REFUSED_BY_ANOTHER = fact(Kind.REFUSED, at=NOW + 2.5, by="n2", host="h2")

SILENT = Evidence(
    age=LAN.presumed_after + 1, heard_at=NOW - 3 * T, suspicion_expired=True, confirmed_by=3, could_confirm=5
)
"""Enough to be presumed down. Each row below changes one thing."""


def but(**changes: object) -> Evidence:
    return msgspec.structs.replace(SILENT, **changes)


RULES = [
    # rule 7
    ("heard just now", Evidence(age=0.0), Presence.FRESH, None),
    ("at the very edge of T + grace", Evidence(age=LAN.stale_after), Presence.FRESH, None),
    # rule 6
    ("just over it", Evidence(age=LAN.stale_after + 0.01), Presence.STALE, None),
    ("at the very edge of 2T", Evidence(age=2 * T), Presence.STALE, None),
    # rule 5
    ("just over 2T", Evidence(age=2 * T + 0.01), Presence.UNREACHABLE, None),
    (
        "2T to 3T and a beat, with all that a presumption needs but time",
        but(age=LAN.presumed_after),
        Presence.UNREACHABLE,
        None,
    ),
    # rule 4 and each of its conditions
    ("all of it", SILENT, Presence.DOWN, Certainty.PRESUMED),
    ("suspicion still runs", but(suspicion_expired=False), Presence.UNREACHABLE, None),
    ("two confirmations of five possible", but(confirmed_by=2), Presence.UNREACHABLE, None),
    ("two of the two there can be", but(confirmed_by=2, could_confirm=2), Presence.DOWN, Certainty.PRESUMED),
    ("nobody else could confirm", but(confirmed_by=1, could_confirm=0), Presence.UNREACHABLE, None),
    ("fell silent with others", but(group="with n5"), Presence.UNREACHABLE, None),
    ("its kernel accepts", but(accepts=True), Presence.UNREACHABLE, None),
    ("somebody reports contact", but(contact_by="n7"), Presence.UNREACHABLE, None),
    ("a packet of it just now, with an old heartbeat", but(heard_ago=0.0), Presence.UNREACHABLE, None),
    ("its last packet 3T and a beat ago", but(heard_ago=LAN.presumed_after), Presence.UNREACHABLE, None),
    ("known here for just 3T and a beat", but(known_for=LAN.presumed_after), Presence.UNREACHABLE, None),
    ("known here for longer", but(known_for=LAN.presumed_after + 0.01), Presence.DOWN, Certainty.PRESUMED),
    # rule 2
    ("a witness, though heard just now", Evidence(age=0.0, ended=WITNESSED), Presence.DOWN, Certainty.PROVEN),
    (
        "end of stream, then refused",
        Evidence(age=1, eof=EOF, refusals=(REFUSED_SOON,)),
        Presence.DOWN,
        Certainty.PROVEN,
    ),
    ("end of stream, refused too late", Evidence(age=1, eof=EOF, refusals=(REFUSED_LATE,)), Presence.FRESH, None),
    ("refused before the end of stream", Evidence(age=1, eof=EOF, refusals=(REFUSED_BEFORE,)), Presence.FRESH, None),
    ("end of stream alone", Evidence(age=1, eof=EOF), Presence.FRESH, None),
    (
        "end of stream and refusal, but heard since",
        Evidence(age=1, heard_at=NOW + 0.1, eof=EOF, refusals=(REFUSED_SOON,)),
        Presence.FRESH,
        None,
    ),
    (
        "refused, by two hosts, time and again",
        Evidence(age=1, refusals=(REFUSED_SOON, REFUSED_BY_ANOTHER, REFUSED_LATE)),
        Presence.FRESH,
        None,
    ),
    ("refused and silent", but(refusals=(REFUSED_SOON,), suspicion_expired=False), Presence.UNREACHABLE, None),
    # rule 1
    ("a goodbye, whatever else", but(goodbye=GOODBYE, ended=WITNESSED), Presence.LEFT, None),
]


@pytest.mark.parametrize(("evidence", "presence", "certainty"), [r[1:] for r in RULES], ids=[r[0] for r in RULES])
def test_the_first_rule_that_holds_decides(evidence: Evidence, presence: Presence, certainty: Certainty | None) -> None:
    verdict = judge(evidence, Standing.CONNECTED, LAN)
    assert (verdict.presence, verdict.certainty) == (presence, certainty)


@pytest.mark.parametrize("standing", [Standing.PARTITIONED, Standing.ISOLATED, Standing.RESUMING])
def test_who_is_cut_off_calls_nobody_down_for_being_silent(standing: Standing) -> None:
    verdict = judge(SILENT, standing, LAN)
    assert verdict.presence is Presence.UNREACHABLE
    assert standing.value in verdict.reasons[0]
    assert judge(Evidence(age=LAN.stale_after), standing, LAN).presence is Presence.FRESH


@pytest.mark.parametrize("standing", [Standing.PARTITIONED, Standing.ISOLATED, Standing.RESUMING])
def test_proof_is_proof_for_who_is_cut_off_too(standing: Standing) -> None:
    assert judge(but(ended=WITNESSED), standing, LAN).certainty is Certainty.PROVEN


@pytest.mark.parametrize("standing", [Standing.CONNECTED, Standing.DEGRADED, Standing.SPLIT])
def test_who_is_with_the_majority_may_presume(standing: Standing) -> None:
    assert judge(SILENT, standing, LAN).certainty is Certainty.PRESUMED


@pytest.mark.parametrize(
    ("evidence", "said"),
    [
        (but(contact_by="n7"), "only this node lost it: n7 reports contact"),
        (but(accepts=True), "its process is there and does not answer"),
        (but(group="with 2 others"), "group loss: with 2 others"),
        (but(refusals=(REFUSED_SOON,), suspicion_expired=False), "which proves nothing alone"),
        (but(heard_ago=1.0), "a sign of life 1.0 s ago, without a newer heartbeat"),
        (but(could_confirm=0), "nobody else could confirm its death"),
        (but(confirmed_by=1), "1 of 3 confirmations"),
    ],
)
def test_unreachable_says_why_it_is_not_called_down(evidence: Evidence, said: str) -> None:
    assert said in judge(evidence, Standing.CONNECTED, LAN).reasons[0]


def test_a_proven_death_carries_the_facts_that_prove_it() -> None:
    verdict = judge(Evidence(age=1, eof=EOF, refusals=(REFUSED_SOON,)), Standing.CONNECTED, LAN)
    assert verdict.because == (EOF, REFUSED_SOON)
