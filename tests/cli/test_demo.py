"""The demo, played as in the README: real nodes, killed, paused, cut off and healed."""

from __future__ import annotations

import json
import os
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from meshfleet.cli.files import is_alive
from tests.cli.processes import PATIENCE, foreground, one_line_of, presences, run, seen

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.processes

BASE = "20480"
ALL_FRESH = {"n1": "fresh", "n2": "fresh", "n3": "fresh"}


class Demo:
    """A running demo of three nodes."""

    def __init__(self, folder: Path, process: subprocess.Popen[str]) -> None:
        self.folder = folder
        self.process = process

    def play(self, *words: str) -> subprocess.CompletedProcess[str]:
        return run("demo", *words, "--state-dir", str(self.folder))

    def nodes(self) -> dict[str, dict[str, object]]:
        told = json.loads((self.folder / "demo.json").read_text())
        return {each["name"]: each for each in told["nodes"]}

    def http(self, name: str) -> str:
        return str(self.nodes()[name]["http"])

    def pids(self) -> list[int]:
        return [int(str(node["pid"])) for node in self.nodes().values() if node["pid"] is not None]

    def end(self) -> None:
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(PATIENCE) == 0


@contextmanager
def demo(folder: Path, base: str = BASE) -> Iterator[Demo]:
    words = ("demo", "--nodes", "3", "--base-port", base, "--state-dir", str(folder))
    with foreground(*words) as (process, _):
        running = Demo(folder, process)
        pids = running.pids()
        try:
            for name in running.nodes():
                seen(running.http(name), lambda view: presences(view) == ALL_FRESH)
            yield running
        finally:
            for pid in {*pids, *running.pids()} if (folder / "demo.json").exists() else pids:
                if process.poll() is None and is_alive(pid):
                    os.kill(pid, signal.SIGKILL)


def test_a_killed_node_is_down_everywhere_and_comes_back_with_a_higher_epoch(tmp_path: Path) -> None:
    with demo(tmp_path) as running:
        before = seen(running.http("n1"), lambda view: presences(view) == ALL_FRESH)
        assert "Killed n3" in running.play("kill", "n3").stdout
        for name in ("n1", "n2"):
            seen(running.http(name), lambda view: presences(view)["n3"] == "down")
        assert running.nodes()["n3"]["pid"] is None
        assert "Started n3 again" in running.play("start", "n3").stdout
        after = seen(running.http("n1"), lambda view: presences(view)["n3"] == "fresh")
        epochs = [next(each.epoch for each in view.nodes if each.name == "n3") for view in (before, after)]
        assert epochs[0] < epochs[1]
        pids = running.pids()
        running.end()
        assert [pid for pid in pids if is_alive(pid)] == []
        assert not (tmp_path / "demo.json").exists()


def test_a_paused_node_is_unreachable_and_not_down(tmp_path: Path) -> None:
    with demo(tmp_path) as running:
        running.play("pause", "n2")
        view = seen(running.http("n1"), lambda view: presences(view)["n2"] in ("unreachable", "down"))
        assert presences(view)["n2"] == "unreachable"
        again = running.play("pause", "n2")
        assert again.returncode == 1
        assert "n2 is paused; this takes one that is running" in one_line_of(again)
        running.play("resume", "n2")
        seen(running.http("n1"), lambda view: presences(view) == ALL_FRESH)
        running.end()


def test_a_cut_is_seen_from_both_sides_and_heals(tmp_path: Path) -> None:
    with demo(tmp_path) as running:
        assert "Cut n1, n2 off from n3" in running.play("cut", "n1,n2").stdout
        seen(running.http("n3"), lambda view: set(presences(view).values()) == {"fresh", "unreachable"})
        seen(running.http("n1"), lambda view: presences(view)["n3"] == "unreachable")
        alone = run("status", "--node", running.http("n3"))
        assert alone.returncode == 3
        states = json.loads(running.play("status", "--json").stdout)["nodes"]
        assert {state["name"]: state["cut_from"] for state in states} == {
            "n1": ["n3"],
            "n2": ["n3"],
            "n3": ["n1", "n2"],
        }
        running.play("heal")
        for name in running.nodes():
            seen(running.http(name), lambda view: presences(view) == ALL_FRESH)
        running.end()


def test_mistakes_are_told_and_change_nothing(tmp_path: Path) -> None:
    with demo(tmp_path) as running:
        unknown = running.play("kill", "n9")
        assert one_line_of(unknown).endswith("there is no node 'n9' in this demo. There are: n1, n2, n3.")
        assert "nobody would be left" in one_line_of(running.play("cut", "n1,n2,n3"))
        assert "n1 is running" in one_line_of(running.play("start", "n1"))
        second = run("demo", "--state-dir", str(tmp_path))
        assert second.returncode == 2
        assert f"a demo runs already (pid {running.process.pid}, 3 nodes" in one_line_of(second)
        assert len(running.pids()) == 3
        running.end()


def test_nodes_end_with_a_demo_that_is_killed_and_a_paused_one_with_the_next(tmp_path: Path) -> None:
    with demo(tmp_path) as running:
        running.play("pause", "n2")
        stuck = int(str(running.nodes()["n2"]["pid"]))
        running.process.kill()
        running.process.wait(PATIENCE)
    assert (tmp_path / "demo.json").exists()
    with demo(tmp_path) as running:
        assert not is_alive(stuck)
        running.end()
