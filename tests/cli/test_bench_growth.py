"""`bench growth`: what it counts in virtual time, what makes it fail, and that nothing that was measured is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from meshfleet.cli import bench_figures as mesh
from meshfleet.cli.growth import command, measuring, simulated
from meshfleet.cli.growth.figures import Death, Late, Point, Results, amiss, late, pace
from meshfleet.cli.growth.measuring import missing, of_real
from meshfleet.cli.growth.shown import BEGIN
from meshfleet.cli.growth.simulated import Fleet, Order, measure
from meshfleet.errors import ConfigError, MeshfleetError
from meshfleet.fleet.timing import PRESETS
from meshfleet.sim.baselines import DETECTORS
from meshfleet.sim.network import MICROSECONDS, Barrier
from meshfleet.sim.scenario import FleetPlan, Scenario
from meshfleet.sim.staging import Stage
from meshfleet.sim.table import END
from meshfleet.sim.world import World

if TYPE_CHECKING:
    from pathlib import Path

SOON = Death(Late(0.1, 0.2, 0.2), 1, 7, 7)

GOOD = Point(
    kind="simulated", nodes=8, run=0, version="1", compiled=False, update_every_s=2.0, joined_s=None, window_s=20.0,
    idle_bytes_s=400.0, idle_datagrams_s=3.4, idle_cpu_pct=0.02, load_bytes_s=2_500.0, load_datagrams_s=5.5,
    load_cpu_pct=0.03, least_times=1.76, copies=1.01, delivered_pct=100.0, delay=Late(0.002, 0.02, 0.08),
    age=Late(1.0, 2.1, 2.2), memory_mb=0.05, crash=SOON, host_gone=SOON, not_fresh=0,
)  # fmt: skip


def silent(_said: str) -> None:
    pass


# In virtual time


def test_a_fleet_that_is_told_of_all_at_once_costs_at_rest_what_one_costs_that_has_joined() -> None:
    fleet = Fleet(16, 0)
    fleet.pass_(30.0)
    before = fleet.sent()
    fleet.pass_(20.0)
    told = fleet.sent().sent - before.sent
    plan = FleetPlan(nodes=16, agents_per_node=1, update_every=3_600.0)
    stage = Stage(Scenario(name="joins", duration=120.0, fleet=plan), 0)
    world = World(stage.network, PRESETS["lan"], DETECTORS["meshfleet"], "0", simulated.Watch())
    stage.set_on(world)
    world.run(100 * MICROSECONDS)
    sent = sum(world.bytes_sent.values())
    world.run(120 * MICROSECONDS)
    joined = sum(world.bytes_sent.values()) - sent
    assert told == pytest.approx(joined, rel=0.1)


def test_a_run_says_what_was_sent_how_fast_news_was_and_when_deaths_were_known() -> None:
    point = measure(Order(8, 1), silent)
    assert amiss(point) == []
    assert (point.kind, point.nodes, point.run, point.delivered_pct) == ("simulated", 8, 1, 100.0)
    assert 1.0 <= point.copies < 1.1 < point.least_times < 2.5
    assert 0 < point.idle_bytes_s < point.load_bytes_s
    assert 0.001 < point.delay.p50 < point.delay.p99 < 0.1
    assert point.age.p50 < 2.2  # a state each 2 s, give or take a tenth
    assert (point.crash.due, point.crash.seen) == (7, 7)
    assert point.crash.late is not None
    assert point.crash.late.max < 1.0
    assert point.host_gone is not None
    assert (point.host_gone.due, point.host_gone.seen) == (6, 6)
    assert point.host_gone.late is not None
    assert point.host_gone.late.p50 > 3 * PRESETS["lan"].heartbeat - 0.5  # the last heartbeat was a little before


def test_the_same_seed_shows_the_same_but_for_what_the_machine_takes() -> None:
    once, again = (
        msgspec.structs.replace(measure(Order(5, 3), silent), idle_cpu_pct=0.0, load_cpu_pct=0.0, memory_mb=0.0)
        for _ in range(2)
    )
    assert once == again


def test_who_runs_and_is_not_called_fresh_is_told_with_when_and_why() -> None:
    fleet = Fleet(5, 0)
    fleet.pass_(10.0)
    assert fleet.watch.not_fresh == 0
    fleet.world.pause(fleet.world.hosts[3])
    fleet.pass_(6.0)
    assert fleet.watch.not_fresh == 4
    assert all("said stale of n003: no news for" in said for said in fleet.watch.details)
    assert fleet.watch.settled() == 4
    assert (fleet.watch.not_fresh, fleet.watch.details) == (0, [])


def test_states_that_do_not_arrive_count(monkeypatch: pytest.MonkeyPatch) -> None:
    publish = Fleet.publish_for

    def deaf(fleet: Fleet, seconds: float) -> None:
        publish(fleet, seconds)
        everybody = frozenset(range(fleet.nodes))
        fleet.world.network.raise_barrier(Barrier(everybody, frozenset({0})))

    monkeypatch.setattr(Fleet, "publish_for", deaf)
    monkeypatch.setattr(simulated, "NOTICE_S", 1.0)
    point = measure(Order(5, 0), silent)
    assert 50 < point.delivered_pct <= 80  # one of five hears nothing, and hands nothing on
    assert any(said.startswith("only ") for said in amiss(point))
    assert any("verdicts never came" in said for said in amiss(point))


def test_a_large_fleet_is_measured_for_one_heartbeat_a_small_one_for_four() -> None:
    assert [simulated.window_of(nodes) for nodes in (8, 128, 256, 512, 1_000)] == [20.0, 20.0, 10.0, 5.0, 5.0]


# What makes a failure


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, []),
        ({"not_fresh": 3}, ["nodes that ran were called something else than fresh 3 times"]),
        ({"delivered_pct": 99.99}, ["only 99.990 % of all states arrived"]),
        ({"crash": Death(None, 1, 7, 0)}, ["crash: 7 of 7 verdicts never came"]),
        ({"host_gone": Death(Late(18, 18, 18), 1, 6, 5)}, ["host gone: 1 of 6 verdicts never came"]),
        ({"host_gone": None}, []),
    ],
)
def test_a_run_fails_by_a_wrong_word_a_lost_state_or_a_death_unnoticed(
    changed: dict[str, object], said: list[str]
) -> None:
    assert amiss(msgspec.structs.replace(GOOD, **changed)) == said


def test_shares_are_of_all_values() -> None:
    assert late([]) is None
    assert late([0.3, 0.1, 0.2]) == Late(0.2, 0.3, 0.3)


# On real processes


def test_real_fleets_that_two_cores_can_not_carry_say_less_often_what_is_new() -> None:
    assert [pace(nodes) for nodes in (8, 32, 64, 128)] == [2.0, 2.0, 8.0, 32.0]


def test_what_bench_mesh_measures_is_taken_over() -> None:
    result = mesh.Result(
        nodes=64, join_s=2.5, idle=mesh.Idle(1_000.0, 5.5, 0.9),
        load=mesh.Load(99.9, 99.0, 0.004, 0.02, 0.5, 1.0, 2.0, 2.2, 1.01, 4_000.0, 12.0, 1.7, 1.5),
        rss_mb=mesh.Rss(63.0, 64.0), not_fresh=2, crash=mesh.Crash(0.02, 0.03, 0.04, 63, 62),
    )  # fmt: skip
    point = of_real(result, 4, 20.0)
    assert (point.kind, point.nodes, point.run, point.update_every_s, point.joined_s) == ("real", 64, 4, 8.0, 2.5)
    assert (point.idle_bytes_s, point.load_datagrams_s, point.memory_mb) == (1_000.0, 12.0, 63.0)
    assert (point.delay, point.age) == (Late(0.004, 0.02, 0.5), Late(1.0, 2.0, 2.2))
    assert (point.crash, point.host_gone) == (Death(Late(0.02, 0.03, 0.04), 1, 63, 62), None)
    assert len(amiss(point)) == 3


# What is kept


def test_all_sizes_come_once_before_any_comes_twice_and_what_is_there_does_not() -> None:
    there = Results(points=(GOOD,))
    assert missing({"simulated": (16, 8), "real": (8,)}, 2, there) == [
        ("simulated", 16, 0), ("real", 8, 0), ("simulated", 8, 1), ("simulated", 16, 1), ("real", 8, 1),
    ]  # fmt: skip
    assert missing({"simulated": (16, 8)}, 0, there) == []


def fake(*stops: tuple[str, int, int] | MeshfleetError) -> object:
    """Measures nothing: every run is GOOD, but for what ends it or goes wrong."""

    def one(kind: str, nodes: int, run: int, _say: object) -> Point:
        if (kind, nodes, run) in stops:
            raise KeyboardInterrupt
        if nodes == 9:
            raise MeshfleetError("the machine is too busy")
        return msgspec.structs.replace(GOOD, kind=kind, nodes=nodes, run=run)

    return one


def run(folder: Path, sizes: str = "8,16", runs: int = 2, **changed: object) -> int:
    given: dict[str, object] = {"results": folder / "g.json", "picture": None, "page": None, "as_json": False}
    return command.growth(sizes, runs, "simulated", **{**given, **changed})  # type: ignore[arg-type]  # mixed values


def test_who_stops_it_has_what_was_measured_and_the_same_command_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"{BEGIN}\n{END}\n")
    monkeypatch.setattr(measuring, "one", fake(("simulated", 8, 1)))
    assert run(tmp_path, page=page) == 130
    assert "stopped, runs to go: 2" in capsys.readouterr().err
    assert page.read_text() == f"{BEGIN}\n{END}\n"  # half a table takes no whole one's place
    assert [(p.nodes, p.run) for p in measuring.load(tmp_path / "g.json").points] == [(8, 0), (16, 0)]
    monkeypatch.setattr(measuring, "one", fake())
    assert run(tmp_path, page=page) == 0
    out = capsys.readouterr()
    assert "[1/2] simulated, 8 nodes, run 2" in out.err
    assert "| 16 | 2 |" in page.read_text()
    assert len(measuring.load(tmp_path / "g.json").points) == 4


def test_a_size_that_can_not_be_measured_does_not_end_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(measuring, "one", fake())
    assert run(tmp_path, "8,9,16", 1) == 1
    assert "AMISS: simulated, 9 nodes, run 1: the machine is too busy" in capsys.readouterr().err
    assert [p.nodes for p in measuring.load(tmp_path / "g.json").points] == [8, 16]


def test_without_runs_it_only_shows_what_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = msgspec.structs.replace(GOOD, not_fresh=1, details=("12 s: n001 said stale of n002",))
    measuring.save(tmp_path / "g.json", Results(points=(bad,)))
    assert run(tmp_path, runs=0, picture=tmp_path / "g.svg", as_json=True) == 1
    shown = capsys.readouterr()
    assert msgspec.json.decode(shown.out, type=Results).points == (bad,)
    assert "called something else than fresh" in shown.err
    assert (tmp_path / "g.svg").read_text().startswith("<svg")


def test_nothing_runs_where_the_words_are_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> Point:
        raise AssertionError("it ran")

    monkeypatch.setattr(measuring, "one", never)
    (tmp_path / "g.json").write_text('{"something": "else"}')
    (tmp_path / "page.md").write_text("no marks")
    for words, sizes, changed in (
        (r"g\.json is no file of this command's results", "8", {}),
        (r"page\.md needs the lines", "8", {"page": tmp_path / "page.md", "results": None}),
        (r"--picture: there is no folder .*nowhere", "8", {"picture": tmp_path / "nowhere/a.svg", "results": None}),
        (r"'8-16' is no list of numbers", "8-16", {"results": None}),
        (r"3 are too few", "3,8", {"results": None}),
        (r"20,000 are too many: 10,000 at most", "20000", {"results": None}),
    ):
        with pytest.raises(ConfigError, match=words):
            run(tmp_path, sizes, 1, **changed)
