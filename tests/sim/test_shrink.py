"""A planted bug is found by drawn plans, shrunk to what it needs, and written as a file; two runs that differ are told
apart at their first difference."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from meshfleet.fleet.presence import Certainty, Presence, Verdict, judge
from meshfleet.gossip.rules import Rules
from meshfleet.sim.altering import ending, explicit, without_nodes
from meshfleet.sim.determinism import compare, first_difference
from meshfleet.sim.running import Run
from meshfleet.sim.scenario import load, parse
from meshfleet.sim.shrink import NothingToShrink, kind_of, shrink
from meshfleet.sim.swarm import draw
from meshfleet.sim.writing import to_toml

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from meshfleet.fleet.evidence import Evidence
    from meshfleet.fleet.standing import Standing
    from meshfleet.fleet.timing import Timing
    from meshfleet.gossip.member import Member
    from meshfleet.gossip.record import Record


def hasty(evidence: Evidence, standing: Standing, timing: Timing) -> Verdict:
    """The planted bug: after T of silence nobody asks any more."""
    if evidence.age > timing.stale_after and evidence.goodbye is None:
        return Verdict(Presence.DOWN, ("silent for T",), Certainty.PRESUMED)
    return judge(evidence, standing, timing)


HASTY = Rules(judge=hasty)


def test_a_planted_bug_is_found_and_shrunk_to_a_file_with_a_fault_or_two(tmp_path: Path) -> None:
    found = next(seed for seed in range(20) if kind_of(Run(draw(seed), seed, rules=HASTY).run()) == "false_down")
    smallest, kind = shrink(draw(found), found, rules=HASTY, tries=150)
    assert kind == "false_down"
    assert len(smallest.fault) <= 2
    assert smallest.fleet.nodes <= 3
    assert smallest.duration < draw(found).duration / 2
    file = tmp_path / "small.toml"
    file.write_text(to_toml(smallest))
    again = load(file)
    assert Run(again, again.seed, rules=HASTY).run().false_down
    assert Run(again, again.seed).run().ok


def test_what_holds_has_nothing_to_shrink() -> None:
    with pytest.raises(NothingToShrink, match="swarm-3 with seed 3 holds"):
        shrink(draw(3), 3)


PLAN = parse(
    'name = "x"\nduration = 60.0\n'
    '[fleet]\nnodes = 4\nzones = { east = ["n00[01]"] }\nhosts = { h1 = ["n002", "n003"] }\n'
    '[[fault]]\nkind = "host_down"\nat = 10.0\nuntil = 30.0\nhosts = ["h1"]\n'
    '[[fault]]\nkind = "cut"\nat = 40.0\nfrom = ["zone:east"]\nto = ["n003"]\n'
    '[[expect]]\nobservers = ["*"]\nsubjects = ["n000/*", "n003"]\nnever = ["down"]\nto = 50.0\n'
)


def test_a_plan_can_name_everybody_lose_a_node_and_end_early() -> None:
    named = explicit(PLAN)
    assert [getattr(fault, "nodes", None) for fault in named.fault] == [("n002", "n003"), None]
    assert named.expect[0].subjects == ("n000/a0", "n003")
    fewer = without_nodes(named, frozenset({"n000"}))
    assert fewer.fleet.nodes == 3
    assert fewer.fleet.zones == {"east": ("n000",)}
    assert fewer.expect[0].subjects == ("n002",)
    assert parse(to_toml(fewer)) == fewer
    assert len(without_nodes(named, frozenset({"n003"})).fault) == 1
    early = ending(named, 20.0)
    assert (len(early.fault), early.fault[0].until, early.expect[0].end) == (1, None, None)


def test_the_first_line_that_differs_is_named_with_its_time() -> None:
    one = ["0 start n000 1\n", "1500000 n000 ticks\n", "1500001 n000 hears n001\n"]
    assert first_difference(one, list(one)) is None
    other = [*one[:2], "1500002 n000 hears n002\n"]
    assert first_difference(one, other) == (3, 1.500001, "1500001 n000 hears n001", "1500002 n000 hears n002")
    assert first_difference(one, one[:2]) == (3, 1.500001, "1500001 n000 hears n001", "")


def test_a_run_is_the_same_in_two_fresh_processes(tmp_path: Path) -> None:
    file = tmp_path / "short.toml"
    file.write_text(to_toml(msgspec.structs.replace(PLAN, duration=45.0, expect=())))
    difference, lines = compare(str(file), 5)
    assert difference is None
    assert lines > 1_000


def test_an_invariant_that_breaks_ends_the_run_and_says_when_who_and_what() -> None:
    run = Run(PLAN, 0)

    def forget() -> None:
        member = run.world.hosts[0].member
        assert member is not None
        record = member.roster.get("n002")
        assert record is not None
        member.roster.remove(record)

    run.world.at(9_999_999, forget)  # else somebody has told of it again by the next look
    report = run.run()
    assert not report.ok
    assert report.broken == "10.000 s: n000 forgot n002"
    assert kind_of(report) == "broken: # s: # forgot #"


def goes_back(member: Member, record: Record) -> None:
    record.beat -= 5


def runs_ahead(member: Member, record: Record) -> None:
    record.beat += 100


def refutes_for_another(member: Member, record: Record) -> None:
    record.known.alive = msgspec.structs.replace(record.alive, incarnation=7)


def invents_a_life(member: Member, record: Record) -> None:
    record.known.alive = msgspec.structs.replace(record.alive, epoch=9)


def drops(member: Member, record: Record) -> None:
    member.counts["dropped_event"] = 1


def raises(member: Member, record: Record) -> None:
    raise KeyError("n009")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (goes_back, "went back from heartbeat"),
        (runs_ahead, "which has had"),
        (refutes_for_another, "knows incarnation 7 of n002"),
        (invents_a_life, "a life 9 of n002 that never was"),
        (drops, "counts 1 of dropped_event"),
        (raises, "raised KeyError: 'n009' at test_shrink.py:"),
    ],
)
def test_what_goes_wrong_in_one_member_breaks_an_invariant(wrong: Callable[[Member, Record], None], said: str) -> None:
    run = Run(PLAN, 0)

    def happen() -> None:
        member = run.world.hosts[0].member
        assert member is not None
        record = member.roster.get("n002")
        assert record is not None
        wrong(member, record)

    run.world.at(9_999_999, happen)
    assert said in run.run().broken


def test_every_life_leaves_its_marks() -> None:
    marks = Run(PLAN, 0).run().marks
    assert marks["restarted"] >= 2
    assert {"cut", "death", "suspected"} <= set(marks)
