"""`meshfleet sim run` and `sim table` for people: within 80 columns, plain where colour is not wanted, and told early
of what can't be written. `bench sim` measures in a fresh process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from meshfleet.cli.bench_sim import Case, measure, summary
from meshfleet.cli.main import run
from meshfleet.errors import ConfigError
from meshfleet.sim.table import BEGIN, END, Cell, Row, chosen, first_sentence, markdown, rows, write

if TYPE_CHECKING:
    from pathlib import Path

PLAN = """
name = "tiny"
about = "Two of five lose the rest. It is short."
duration = 40.0
[fleet]
nodes = 5
[[fault]]
kind = "partition"
at = 10.0
groups = [["n000", "n001"], ["n00[2-4]"]]
[[expect]]
observers = ["n002", "n003", "n004"]
subjects = ["n000", "n001"]
never = ["unreachable"]
"""


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    path = tmp_path / "tiny.toml"
    path.write_text(PLAN)
    return path


def test_a_run_is_shown_within_80_columns_with_what_did_not_hold(
    plan: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["sim", "run", str(plan), "--timeline"]) == 1
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    assert "\x1b" not in shown
    assert "DID NOT HOLD" in shown
    assert "n002 n003 n004 must say never unreachable of n000 n001" in shown
    assert "n002 said unreachable of n000 at" in shown
    assert "a capital: most say so" in shown
    assert any(line.startswith("n000  is") and "=-" in line for line in shown.splitlines())


def test_a_report_is_written_beside_what_is_printed(plan: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = plan.parent / "page.html"
    assert run(["sim", "run", str(plan), "--json", "--report", str(target)]) == 1
    assert target.read_text().startswith("<!doctype html>")
    assert msgspec.json.decode(capsys.readouterr().out)["scenario"] == "tiny"


def test_a_report_that_cant_be_written_is_told_before_anything_runs(
    plan: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["sim", "run", str(plan), "--report", str(plan.parent / "none" / "page.html")]) == 2
    assert "there is no folder" in capsys.readouterr().err
    assert run(["sim", "run", str(plan), "--json", "--timeline"]) == 2


def test_the_catalogue_is_played_with_every_detector(plan: Path) -> None:
    done: list[tuple[int, int]] = []
    (row,) = rows([plan], range(0, 1), 1, lambda now, of: done.append((now, of)))
    assert [(cell.detector, cell.runs) for cell in row.cells] == [("meshfleet", 1), ("swim", 1), ("lifeguard", 1)]
    assert [cell.false_down > 0 for cell in row.cells] == [False, True, True]
    assert done[-1] == (3, 3)
    assert row.about == "Two of five lose the rest"


def test_a_scenario_that_takes_minutes_is_left_out_unless_asked_for(plan: Path) -> None:
    slow = plan.parent / "slow.toml"
    slow.write_text('name = "slow"\nduration = 900.0\n[fleet]\nnodes = 128\n')
    assert chosen([plan, slow]) == [plan]
    assert chosen([plan, slow], slow=True) == [plan, slow]


def cell(detector: str, false_down: int, late: float | None) -> Cell:
    return Cell(detector, 3, 3, false_down, 0, 0, late, None)


def test_the_table_is_written_between_its_marks_and_nowhere_else(tmp_path: Path) -> None:
    row = Row("cut", "A | B", (cell("meshfleet", 0, 0.5), cell("swim", 12, None), cell("lifeguard", 1_200, 4.25)))
    table = markdown([row], range(0, 3))
    assert "| `cut` | A \\| B | · / 12 / 1,200 | · | · | 0.5 / · / 4.25 | · |" in table
    page = tmp_path / "README.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write(page, table)
    assert page.read_text() == f"before\n{BEGIN}\n\n{table}\n\n{END}\nafter\n"
    page.write_text("no marks")
    with pytest.raises(ConfigError, match="needs the lines"):
        write(page, table)


@pytest.mark.parametrize("seeds", ["3:1", "a", "1:", ""])
def test_a_range_of_seeds_that_is_none_is_told(seeds: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sim", "table", "--seeds", seeds]) == 2
    assert "0:3 means 0, 1 and 2" in capsys.readouterr().err


def test_a_sentence_is_cut_at_its_end_or_at_a_word() -> None:
    assert first_sentence("One is killed: proof follows.") == "One is killed"
    assert first_sentence("word " * 40, most=12) == "word word …"


def test_speed_is_measured_in_a_process_of_its_own() -> None:
    result = measure(Case(nodes=3, update_every_s=2.0, virtual_s=1.0, goal=1.0))
    assert result.virtual_s == 1.0
    assert result.events_per_cpu_s > 0
    assert 10 < result.rss_mb < 80  # its own memory, not that of the tests
    assert max(map(len, summary([result]).splitlines())) <= 80
