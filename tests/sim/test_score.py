"""The score holds a judge that lies to what docs/simulator.md says: who calls a running process dead is told so."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec
import pytest

from meshfleet.fleet.names import NodeName
from meshfleet.fleet.presence import Certainty, Presence, Verdict, judge
from meshfleet.gossip import outbox
from meshfleet.gossip.events import Judged
from meshfleet.gossip.judging import Judging
from meshfleet.node.viewing import Viewing
from meshfleet.sim.baselines import DETECTORS
from meshfleet.sim.network import MICROSECONDS
from meshfleet.sim.running import Report, Run
from meshfleet.sim.scenario import parse

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshfleet.fleet.evidence import Evidence
    from meshfleet.fleet.standing import Standing
    from meshfleet.fleet.timing import Timing
    from meshfleet.fleet.view import NodeView
    from meshfleet.gossip.record import Record

    Judge = Callable[[Evidence, Standing, Timing], Verdict]

LIE = "a lie"


class Liar:
    """Judges as meshfleet does, but for some members and some seconds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._now = self._me = self._of = ""
        self.lies = 0
        judges, overdue = Judging.judge, Judging._overdue
        self._run: Run

        def judged(judging: Judging, record: Record, now: float) -> None:
            self._me, self._of = judging._me, record.name
            judges(judging, record, now)

        def looked_at(judging: Judging, at: float) -> list[Record]:
            late = overdue(judging, at)
            return late + [r for r in judging._roster if self._lies(judging._me, r.name) and r not in late]

        monkeypatch.setattr(Judging, "judge", judged)
        monkeypatch.setattr(Judging, "_overdue", looked_at)

    def _lies(self, me: str, of: str) -> bool:
        now = self._run.world.now_us / MICROSECONDS
        return self._begin <= now < self._end and (self._by in (me, "")) and of in self._subjects

    def says(
        self,
        text: str,
        begin: float,
        end: float,
        subjects: str,
        *,
        by: str = "",
        word: Presence = Presence.DOWN,
        certainty: Certainty | None = Certainty.PRESUMED,
    ) -> Report:
        """Play it; from `begin` to `end` that word is said of the subjects, by one or by all."""
        self._begin, self._end, self._subjects, self._by, self.lies = begin, end, subjects.split(), by, 0

        def lying(evidence: Evidence, standing: Standing, timing: Timing) -> Verdict:
            if self._lies(self._me, self._of) and (not evidence.goodbye or word is Presence.UNREACHABLE):
                self.lies += 1
                return Verdict(word, (LIE,), None if word is Presence.UNREACHABLE else certainty)
            return judge(evidence, standing, timing)

        rules = msgspec.structs.replace(DETECTORS["meshfleet"], judge=lying)
        self._run = Run(parse(text), 1, rules=rules)
        report = self._run.run()
        assert self.lies, report.broken
        assert not report.broken
        return report


@pytest.fixture
def liar(monkeypatch: pytest.MonkeyPatch) -> Liar:
    return Liar(monkeypatch)


def plan(*faults: str, nodes: int = 8, seconds: float = 100.0, rest: str = "") -> str:
    head = f'name = "x"\nduration = {seconds}\n[fleet]\nnodes = {nodes}\nagents_per_node = 0\n'
    return head + "".join(f"[[fault]]\n{fault}\n" for fault in faults) + rest


ASLEEP = plan('kind = "suspend"\nat = 20.0\nuntil = 80.0\nnodes = ["n003"]', nodes=5)


def test_what_was_presumed_may_not_be_called_proven(liar: Liar) -> None:
    presumed = liar.says(ASLEEP, 60.0, 70.0, "n003", by="n000")
    assert presumed.false_down == 0
    assert presumed.presumed_wrong >= 1
    proven = liar.says(ASLEEP, 70.0, 75.0, "n003", by="n000", certainty=Certainty.PROVEN)
    assert proven.false_down >= 1, "it had been presumed by then"


HALVES = 'kind = "partition"\nat = 20.0\nuntil = 80.0\ngroups = [["n00[0-3]"], ["n00[4-7]"]]'


@pytest.mark.parametrize("begin", [60.0, 80.0, 80.5])
def test_a_group_is_held_until_its_heartbeats_have_come_through_after_the_heal(liar: Liar, begin: float) -> None:
    report = liar.says(plan(HALVES), begin, begin + 0.5, "n006 n007", by="n001")
    assert report.presumed_wrong == 0
    assert report.false_down >= 1, "for less than group_hold, and together"


def test_whoever_wakes_has_lost_all_others_together(liar: Liar) -> None:
    report = liar.says(ASLEEP, 80.0, 81.0, "n000 n001 n002 n004", by="n003")
    assert report.false_down >= 1
    assert report.presumed_wrong <= 4, "of it alone by the others, while it slept"


TWO_OF_SIX = 'kind = "partition"\nat = 20.0\ngroups = [["n004", "n005"], ["n00[0-3]"]]'


@pytest.mark.parametrize("until", ["", "until = 40.0\n"])
@pytest.mark.parametrize("kind", ["crash", "host_down", "leave"])
def test_who_dies_behind_a_cut_was_lost_by_the_cut(liar: Liar, kind: str, until: str) -> None:
    dies = f'kind = "{kind}"\nat = 30.0\n{until}nodes = ["n005"]'
    report = liar.says(plan(TWO_OF_SIX, dies, nodes=6, seconds=60.0), 50.0, 51.0, "n004", by="n000")
    assert report.false_down == 1


def test_who_died_before_the_cut_was_not_lost_by_it(liar: Liar) -> None:
    dies = 'kind = "crash"\nat = 19.0\nnodes = ["n005"]'
    report = liar.says(plan(TWO_OF_SIX, dies, nodes=6, seconds=60.0), 50.0, 51.0, "n004", by="n000")
    assert report.false_down == 0
    assert report.presumed_wrong >= 1


HIDDEN = 'kind = "outbound_only"\nat = 10.0\nnodes = ["n003"]'
STOPPED = 'kind = "pause"\nat = 70.0\nuntil = 77.5\nnodes = ["n003"]'


def test_that_one_is_hidden_and_stopped_says_nothing_before_it_has_been_silent_for_long(liar: Liar) -> None:
    story = plan(HIDDEN, STOPPED, nodes=20, seconds=80.0)
    assert liar.says(story, 76.0, 77.0, "n003").presumed_wrong == 0


KEPT_FROM = 'kind = "partition"\nat = 20.0\ngroups = [["n001"], ["n003"]]'


@pytest.mark.parametrize(
    "fault",
    [
        'kind = "starve"\nat = 60.0\nuntil = 90.0\nnodes = ["n003"]\nslice = 0.1\nof = 1.0',
        'kind = "pause"\nat = 50.0\nuntil = 95.0\nnodes = ["n003"]',
    ],
    ids=["starved", "stopped"],
)
def test_others_tell_of_one_that_hardly_runs(liar: Liar, fault: str) -> None:
    report = liar.says(plan(KEPT_FROM, fault), 75.0, 85.0, "n003", by="n001")
    assert report.false_down >= 1
    assert report.presumed_wrong == 0


@pytest.mark.parametrize(("seconds", "false"), [(40.0, 0), (46.0, 1)])
def test_an_old_life_may_be_called_dead_until_its_next_one_must_be_known(seconds: float, false: int) -> None:
    run = Run(parse(plan('kind = "crash"\nat = 20.0\nuntil = 30.0\nnodes = ["n003"]', nodes=4)), 1)
    run.world.run(round(seconds * MICROSECONDS))
    proven = Verdict(Presence.DOWN, (LIE,), Certainty.PROVEN)
    said = Judged(NodeName("n003"), proven, Verdict(Presence.FRESH), run.world.hosts[3].epoch - 1)
    run.score.happened(run.world.hosts[0], said, run.world.now_us)
    assert run.score.false_down == false


# Deaths that are missed


def test_that_half_died_does_not_excuse_those_who_never_notice(liar: Liar) -> None:
    story = plan('kind = "crash"\nat = 20.0\nnodes = ["n00[0-3]"]', seconds=150.0)
    report = liar.says(story, 20.0, 150.0, "n000 n001 n002 n003", word=Presence.UNREACHABLE)
    assert report.missed_down == 16
    assert Run(parse(story), 1).run().missed_down == 0


@pytest.mark.parametrize("core", [True, False])
def test_who_said_goodbye_behind_a_cut_is_to_be_called_dead(liar: Liar, core: bool) -> None:
    healed = '[liveness]\ncore = ["n00[0-4]"]\nfrom = 40.0\nwithin = 30.0\ndeaths_within = 100.0\n' if core else ""
    cut = 'kind = "partition"\nat = 20.0\nuntil = 40.0\ngroups = [["n005"], ["n00[0-4]"]]'
    story = plan(cut, 'kind = "leave"\nat = 30.0\nnodes = ["n005"]', nodes=6, seconds=160.0, rest=healed)
    report = liar.says(story, 0.0, 160.0, "n005", word=Presence.UNREACHABLE)
    assert report.missed_down == 5
    assert Run(parse(story), 1).run().missed_down == 0


# Invariants


def test_what_is_told_is_what_is_so(monkeypatch: pytest.MonkeyPatch) -> None:
    text = plan('kind = "crash"\nat = 20.0\nnodes = ["n003"]', nodes=4, seconds=40.0)
    emit = Judging.judge

    def in_silence(judging: Judging, record: Record, now: float) -> None:
        before = judging._emit
        judging._emit = lambda event: None
        emit(judging, record, now)
        judging._emit = before

    monkeypatch.setattr(Judging, "judge", in_silence)
    assert Run(parse(text), 1).run().broken.endswith("told fresh of n003: down")


def test_what_is_served_is_what_is_so(monkeypatch: pytest.MonkeyPatch) -> None:
    text = plan('kind = "crash"\nat = 20.0\nnodes = ["n003"]', nodes=4, seconds=60.0)
    shows = Viewing._node

    def rosy(viewing: Viewing, record: Record, at: float, wall: float) -> NodeView:
        return msgspec.structs.replace(shows(viewing, record, at, wall), presence=Presence.FRESH)

    monkeypatch.setattr(Viewing, "_node", rosy)
    assert Run(parse(text), 1).run().broken.endswith("serves fresh of n003: down")


def test_a_datagram_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "DATAGRAM_BYTES", 1_500)
    run = Run(parse('name = "x"\nduration = 60.0\n[fleet]\nnodes = 20\nagents_per_node = 3\n'), 1)
    assert re.search(r"sent a datagram of 14\d\d bytes, more than 1400", run.run().broken)


@pytest.mark.parametrize("counter", ["dropped_state", "short_row", "unvouched", "forged_beat"])
def test_where_nobody_forges_nothing_is_refused(counter: str) -> None:
    run = Run(parse(plan(nodes=3, seconds=20.0)), 1)
    run.world.run(MICROSECONDS)
    member = run.world.hosts[1].member
    assert member is not None
    member.counts[counter] += 1
    assert run.run().broken == f"5.000 s: n001 counts 1 of {counter}"
