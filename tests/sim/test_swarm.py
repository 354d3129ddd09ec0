"""Drawn plans hold; what broke once holds for good; a sweep adds up, and says where its plans do not reach."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from meshfleet.sim.catalogue import FOLDER, find, plan
from meshfleet.sim.faults import KINDS
from meshfleet.sim.marks import MARKS
from meshfleet.sim.running import Run
from meshfleet.sim.scenario import Scenario, ScenarioError, load, parse
from meshfleet.sim.swarm import draw
from meshfleet.sim.sweep import ENOUGH, Here, Job, Result, Sum, file_jobs, play, processes, swarm_jobs, sweep
from meshfleet.sim.writing import to_toml

if TYPE_CHECKING:
    from pathlib import Path

CORPUS = sorted((FOLDER / "corpus").glob("*.toml"))


def is_small(drawn: Scenario) -> bool:
    """Whether a plan is played in a fraction of a second: cost grows with time and with the square of the nodes."""
    return drawn.fleet.nodes**2 * drawn.duration < 2_600


SMALL = [seed for seed in range(200) if is_small(draw(seed))][:40]


@pytest.fixture(scope="module")
def total() -> Sum:
    return sweep((Job(name=f"swarm:{seed}", seed=seed) for seed in SMALL), Here())


def test_drawn_plans_hold(total: Sum) -> None:
    assert [(job.replay, result.why) for job, result in total.failures] == []
    assert (total.runs, total.words["failed"]) == (len(SMALL), 0)
    assert (total.false_down, total.missed_down) == (0, 0)


def test_a_few_dozen_of_them_reach_most_rules_of_the_mesh(total: Sum) -> None:
    assert len([mark for mark in MARKS if total.marks[mark]]) > 0.8 * len(MARKS)


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_what_broke_once_holds_for_good(path: Path) -> None:
    scenario = load(path)
    report = Run(scenario, scenario.seed).run()
    assert report.ok, (report.broken, report.details, report.liveness)


def test_a_plan_is_the_same_each_time_and_survives_being_written() -> None:
    for seed in range(100):
        drawn = draw(seed)
        assert drawn == draw(seed)
        assert parse(to_toml(drawn)) == drawn


def test_each_kind_of_fault_is_drawn_and_about_half_the_time_not() -> None:
    plans = []
    for drawn in map(draw, range(200)):
        assert drawn.liveness is not None
        first = [fault for fault in drawn.fault if fault.at < drawn.liveness.start]
        plans.append({type(fault).__struct_config__.tag for fault in first})
    for kind in (kind for kind in KINDS if kind not in ("move", "skew", "chatter")):
        share = sum(kind in faults for faults in plans) / len(plans)
        assert 0.2 < share < 0.8, (kind, share)


def test_a_core_is_more_than_half_and_runs_when_it_is_healed() -> None:
    for seed in range(100):
        drawn = draw(seed)
        assert drawn.liveness is not None
        run = Run(drawn, seed)
        assert 2 * len(drawn.liveness.core) > len(run.world.hosts)
        for fault in drawn.fault:
            nodes = set(getattr(fault, "nodes", ())) & set(drawn.liveness.core)
            assert not nodes or (fault.until is not None and fault.until <= drawn.liveness.start)


def test_a_file_of_the_catalogue_survives_being_written() -> None:
    for path in sorted(FOLDER.glob("*.toml")):
        assert parse(to_toml(load(path))) == load(path)


def test_a_name_may_mean_a_drawn_plan() -> None:
    assert plan("swarm:7") == draw(7)
    with pytest.raises(ScenarioError, match="after 'swarm:' a seed is wanted"):
        plan("swarm:x")


def test_a_run_in_which_nothing_went_wrong_has_shown_nothing() -> None:
    quiet = parse('name = "x"\nduration = 10.0\ntiming = "local"\n[fleet]\nnodes = 3\n')
    crash = parse(to_toml(quiet) + '[[fault]]\nkind = "crash"\nat = 5.0\nnodes = ["n001"]\n')
    jobs = file_jobs({"quiet": quiet, "crash": crash}, range(2))
    total = sweep(jobs, Here())
    assert dict(total.words) == {"unknown": 2, "ok": 2}
    assert total.ok
    assert not sweep(file_jobs({"quiet": quiet}, range(1)), Here()).ok


def test_a_mark_that_enough_drawn_plans_never_hit_fails_the_sweep() -> None:
    total = Sum()
    for seed in range(ENOUGH):
        everything = {mark: 1 for mark in MARKS if mark != "witnessed"}
        total.add(Job(name="swarm:0", seed=seed), Result(name="swarm:0", seed=seed, word="ok", marks=everything))
        assert total.ok is (seed < ENOUGH - 1)
    assert total.unmarked == ["witnessed"]


def test_a_failure_is_named_with_the_command_that_shows_it_again() -> None:
    scenario = msgspec.structs.replace(load(find("minority-cut")), detector="swim", duration=60.0)
    scenario = msgspec.structs.replace(scenario, expect=scenario.expect[:1], fault=scenario.fault[:1])
    scenario = parse(to_toml(scenario).replace("until = 90.0\n", "").replace("to = 90.0\n", ""))
    total = sweep(file_jobs({"minority-cut": scenario}, range(1)), Here())
    (job, result) = total.failures[0]
    assert not total.ok
    assert job.replay == "meshfleet sim run minority-cut --seed 0"
    assert "said down of" in result.why[0]
    assert next(swarm_jobs(range(4, 5), "swim")).replay == "meshfleet sim run swarm:4 --detector swim"


def test_it_does_not_matter_where_a_run_runs() -> None:
    jobs = [Job(name=f"swarm:{seed}", seed=seed) for seed in SMALL[:2]]
    here = [without_time(play(job)) for job in jobs]
    with processes(2) as pool:
        assert [without_time(each) for each in pool.map(play, jobs)] == here


def without_time(result: Result) -> Result:
    return msgspec.structs.replace(result, wall_s=0.0)


@pytest.mark.filterwarnings("default")  # whatever a release of Dask warns of is not ours to mend
def test_a_sweep_runs_on_a_dask_cluster() -> None:
    distributed = pytest.importorskip("distributed", reason="the extra 'dask' is not installed")
    with (
        distributed.LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        total = sweep(swarm_jobs(range(SMALL[0], SMALL[0] + 2)), client.get_executor(), workers=1)
    assert (total.runs, total.interrupted) == (2, False)


def test_an_interrupt_ends_a_sweep_with_what_is_there() -> None:
    def enough(total: Sum) -> None:
        if total.runs == 2:
            raise KeyboardInterrupt

    total = sweep((Job(name=f"swarm:{seed}", seed=seed) for seed in SMALL[:5]), Here(), done=enough)
    assert (total.runs, total.interrupted) == (2, True)
