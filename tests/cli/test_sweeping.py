"""`meshfleet sim sweep`, `check` and `shrink` as typed: what they print, and how they end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from meshfleet.cli.main import run as main
from meshfleet.sim.scenario import load

if TYPE_CHECKING:
    from pathlib import Path

CRASH = (
    'name = "crash"\nduration = 20.0\ntiming = "local"\n[fleet]\nnodes = 4\n'
    '[[fault]]\nkind = "crash"\nat = 5.0\nnodes = ["n003"]\n'
)
WRONG = CRASH + '[[expect]]\nobservers = ["n000"]\nsubjects = ["n003"]\nnever = ["down"]\n'


@pytest.fixture
def crash(tmp_path: Path) -> str:
    (tmp_path / "crash.toml").write_text(CRASH)
    return str(tmp_path / "crash.toml")


@pytest.fixture
def wrong(tmp_path: Path) -> str:
    (tmp_path / "wrong.toml").write_text(WRONG)
    return str(tmp_path / "wrong.toml")


def test_a_sweep_in_which_all_held_ends_with_0_and_its_sums(crash: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sim", "sweep", crash, "--seeds", "0:3", "--jobs", "1"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("3 runs: 3 ok")
    assert "wrongly down 0" in out
    assert err == ""


def test_a_sweep_in_json_names_each_failure_with_its_command(
    crash: str, wrong: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "kept"
    arguments = ["sim", "sweep", crash, wrong, "--seeds", "4:6", "--jobs", "1", "--json", "--keep", str(kept)]
    assert main(arguments) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["runs"] == {"all": 4, "ok": 2, "failed": 2, "unknown": 0}
    assert told["detect_s"]["exited"]["p50"] < 2.0
    assert [failure["replay"] for failure in told["failures"]] == [
        f"meshfleet sim run {wrong} --seed {seed}" for seed in (4, 5)
    ]
    assert [load(file).seed for file in sorted(kept.iterdir())] == [4, 5]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "what is to be run"),
        (["quiet", "--seeds", "7"], "0:100 runs the seeds 0 to 99"),
        (["quiet", "--seeds", "7:7"], "no range of seeds"),
        (["quit"], "the nearest is 'quiet'"),
        (["swarm:4"], "one plan with one seed"),
        (["quiet", "--detector", "x"], "none of meshfleet, swim, lifeguard"),
    ],
)
def test_a_mistake_ends_with_2_before_anything_runs(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sim", "sweep", *arguments]) == 2
    out, err = capsys.readouterr()
    assert said in err
    assert out == ""


def test_an_interrupted_sweep_prints_what_is_done_and_ends_with_130(
    crash: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from meshfleet.sim import sweep

    played = sweep.play

    def interrupted(job: sweep.Job) -> sweep.Result:
        if job.seed == 2:
            raise KeyboardInterrupt
        return played(job)

    monkeypatch.setattr(sweep, "play", interrupted)
    assert main(["sim", "sweep", crash, "--seeds", "0:9", "--jobs", "1"]) == 130
    assert capsys.readouterr().out.startswith("stopped early: 2 runs: 2 ok")


def test_a_check_says_that_two_processes_agree(crash: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sim", "check", crash, "--seed", "2"]) == 0
    assert "seed 2: the same in both processes" in capsys.readouterr().out


def test_a_plan_is_shrunk_into_a_file_that_fails_alike(
    wrong: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = tmp_path / "small.toml"
    assert main(["sim", "shrink", wrong, "--tries", "40", "-o", str(small)]) == 0
    assert load(small).fleet.nodes == 2
    assert main(["sim", "run", str(small)]) == 1
    assert "n000 said down of n001" in capsys.readouterr().out


def test_what_holds_is_not_shrunk(crash: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sim", "shrink", crash]) == 2
    assert main(["sim", "shrink"]) == 2
    said = capsys.readouterr().err
    assert "nothing to make smaller" in said
    assert "which plan?" in said
