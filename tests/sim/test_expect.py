"""When an observer is asked, what counts as its word, and what is said of an expectation that did not hold."""

from __future__ import annotations

import pytest

from meshfleet.sim.running import Report, Run
from meshfleet.sim.scenario import parse


def run(*tables: str, nodes: int = 5, seconds: float = 60.0) -> Report:
    text = f'name = "x"\nduration = {seconds}\n[fleet]\nnodes = {nodes}\nagents_per_node = 2\n'
    return Run(parse(text + "\n".join(tables)), 0).run()


CRASH = '[[fault]]\nkind = "crash"\nat = 20.0\nuntil = 40.0\nnodes = ["n003"]\n'


def expect(observers: str, subjects: str, rest: str) -> str:
    return f'[[expect]]\nobservers = ["{observers}"]\nsubjects = ["{subjects}"]\n{rest}\n'


def details(report: Report) -> list[str]:
    return [held.detail for held in report.expect]


def test_nobody_is_fresh_to_whom_he_is_unknown() -> None:
    late = '[[fault]]\nkind = "join"\nat = 30.0\ncount = 1\n'
    report = run(
        late,
        expect("n000", "n005", 'reach = "fresh"'),
        expect("n000", "n005", 'from = 30.0\nwithin = 3.0\nreach = "fresh"'),
        expect("n005", "n000", 'within = 3.0\nreach = "fresh"'),
        expect("n000", "n005", 'to = 30.0\nnever = ["fresh", "down"]'),
    )
    assert details(report) == ["n000 knew nothing of n005 at 0.00 s, not fresh", "", "", ""]


def test_an_observer_is_not_asked_while_it_does_not_run_and_has_within_afterwards() -> None:
    report = run(
        CRASH,
        expect("n003", "n001", 'from = 10.0\nwithin = 2.0\nreach = "fresh"'),
        expect("n003", "n001", 'from = 10.0\nreach = "fresh"'),
    )
    assert details(report) == ["", "n003 knew nothing of n001 at 40.00 s, not fresh"]


def test_a_new_life_does_not_answer_for_what_the_old_one_said() -> None:
    cut = '[[fault]]\nkind = "partition"\nat = 10.0\nuntil = 39.0\ngroups = [["n003"], ["*", "!n003"]]\n'
    report = run(cut, CRASH, expect("n003", "n001", 'from = 41.0\nnever = ["unreachable", "stale", "down"]'))
    assert details(report) == [""]


def test_what_is_never_to_be_said_holds_the_moment_an_observer_runs_again() -> None:
    asleep = '[[fault]]\nkind = "crash"\nat = 20.0\nnodes = ["n001"]\n[[fault]]\nkind = "suspend"\nat = 30.0\n'
    asleep += 'until = 40.0\nnodes = ["n003"]\n'
    report = run(asleep, expect("n003", "n001", 'from = 30.0\nwithin = 5.0\nnever = ["down"]'))
    [said] = details(report)
    assert said.startswith("n003 said down of n001 at 40.00 s (")
    assert said.endswith("), which it never may")


def test_a_pair_of_a_node_with_itself_and_its_own_agents_is_left_out() -> None:
    report = run(
        '[[fault]]\nkind = "agent_exit"\nat = 20.0\nagents = ["n003/a1"]\n',
        expect("n003", "*/a1", 'from = 10.0\nreach = "fresh"'),
        expect("*", "*", 'from = 10.0\nreach = "fresh"'),
    )
    assert details(report) == ["", ""]


def test_an_agent_that_exited_left_though_its_node_is_fresh_and_nobody_else_did() -> None:
    report = run(
        '[[fault]]\nkind = "agent_exit"\nat = 20.0\nuntil = 40.0\nagents = ["n003/a1"]\ncode = 1\n',
        expect("n000", "n003/a1", 'from = 10.0\nreach = "fresh"'),
        expect("n000", "n003/a1", 'from = 20.0\nto = 40.0\nwithin = 1.0\nreach = "left"'),
        expect("n000", "n003/a1", 'from = 40.0\nwithin = 3.0\nreach = "fresh"'),
        expect("n000", "n003/a0", 'from = 10.0\nreach = "fresh"'),
        expect("n000", "n003", 'from = 10.0\nreach = "fresh"'),
    )
    first, *others = details(report)
    assert first.startswith("n000 said left of n003/a1 at 20.")
    assert first.endswith(" (its process exited with code 1), not fresh")
    assert others == ["", "", "", ""]


@pytest.mark.parametrize("subject", ["n003", "n003/a0", "n003/*"])
def test_an_agent_has_its_nodes_presence(subject: str) -> None:
    report = run(
        CRASH,
        expect("n000", subject, 'from = 20.0\nto = 40.0\nwithin = 2.0\nreach = "down"'),
        expect("n000", subject, 'from = 40.0\nwithin = 5.0\nreach = "fresh"'),
        expect("n000", subject, 'from = 10.0\nnever = ["down"]'),
    )
    *held, last = details(report)
    assert held == ["", ""]
    assert last.startswith(f"n000 said down of {subject.replace('*', 'a0')} at 20.")
    assert "connection refused" in last


def test_the_majority_is_of_all_that_have_not_left() -> None:
    most = '[[fault]]\nkind = "host_down"\nat = 5.0\nnodes = ["n00[2-4]"]\n'
    assert run(most, seconds=140.0).missed_down == 0
