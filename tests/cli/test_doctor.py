"""`meshfleet doctor`, as people read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from meshfleet.cli.doctor import render
from meshfleet.fleet.names import NodeName
from meshfleet.fleet.standing import Standing
from meshfleet.node.diagnosis import Diagnosis, ForgeryTold
from tests.cli.processes import node, run

if TYPE_CHECKING:
    from pathlib import Path


def shown(told: Diagnosis) -> str:
    console = Console(width=120, color_system=None)
    with console.capture() as capture:
        console.print(render(told))
    return capture.get()


def test_a_forger_is_named_and_told_apart_from_whoever_passes_for_it() -> None:
    proven = ForgeryTold(sent_by="n9", proven=True, in_name_of="n2", kind="snapshot", times=3, age_s=12.0)
    likely = ForgeryTold(sent_by="n8", proven=False, in_name_of="n3", kind="left", times=1, age_s=90.0)
    text = shown(
        Diagnosis(
            node=NodeName("n1"),
            standing=Standing.DEGRADED,
            reasons=("n4 is silent",),
            drops={"forged_snapshot": 3, "unvouched": 1},
            forgeries=(proven, likely),
        )
    )
    lines = [line.split() for line in text.splitlines()]
    assert text.startswith("n1 is degraded.\n  n4 is silent\n")
    assert ["forged_snapshot", "3"] in lines
    assert ["snapshot", "n2", "n9", "3", "12", "s", "ago"] in lines
    assert "n8, or a member that says so" in text


def test_a_healthy_node_has_little_to_tell() -> None:
    told = Diagnosis(node=NodeName("n1"), standing=Standing.CONNECTED, reasons=(), drops={}, forgeries=())
    assert shown(told) == "n1 is connected.\n\nNobody sent it forgeries.\n"


@pytest.mark.processes
def test_a_running_node_tells_how_it_is(tmp_path: Path) -> None:
    with node(tmp_path / "one", "--name", "n1"):
        said = run("doctor", "--state-dir", str(tmp_path / "one"))
        assert said.stdout.startswith("n1 is ")
        assert '"forgeries":[]' in run("doctor", "--state-dir", str(tmp_path / "one"), "--json").stdout
    gone = run("doctor", "--state-dir", str(tmp_path / "one"))
    assert gone.returncode == 2 or "no node runs" in gone.stderr
