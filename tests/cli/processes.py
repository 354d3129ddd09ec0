"""The real command, run as people run it: in processes of its own, on ports of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from meshfleet.cli.asking import Asked, reader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from meshfleet.fleet.view import FleetView

COMMAND = (sys.executable, "-m", "meshfleet")
PATIENCE = 60.0
"""Seconds after which a test gives up. Long, as machines that run tests can be slow; nothing waits for it to pass."""


def environment(**extra: str) -> dict[str, str]:
    """This process's, at a width that output can be compared at. PATH and HOME stay; conftest has seen to HOME."""
    return {**os.environ, "COLUMNS": "80", "PYTHONWARNINGS": "error", **extra}


def run(*arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
    """The command with these arguments, to its end."""
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=PATIENCE, env=environment(**extra), check=False
    )


def invitation(state_dir: Path, *flags: str) -> str:
    """The line that the node of `state_dir` lets a machine in with."""
    done = run("invite", "--state-dir", str(state_dir), *flags)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def one_line_of(done: subprocess.CompletedProcess[str]) -> str:
    """What it complained of, which has to be one line that says who complains."""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("meshfleet: ")
    return lines[0]


@contextmanager
def foreground(*arguments: str, **extra: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, object]]]:
    """A command that stays, with --json: the process, and the line that it prints when it is up. Killed at the end."""
    command = [*COMMAND, *arguments, "--json"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment(**extra)) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, process.communicate(timeout=PATIENCE)[1]
            told = json.loads(line)
            assert isinstance(told, dict)
            yield process, told
        finally:
            process.kill()


@contextmanager
def node(state_dir: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, object]]]:
    """A node on free ports, without agents: the process, and its `name`, `http`, `gossip` and `pid`."""
    free = ("--gossip", "127.0.0.1:0", "--http", "127.0.0.1:0", "--no-discover")
    with foreground("up", "--state-dir", str(state_dir), *free, *arguments) as (process, told):
        yield process, told


def seen(url: object, what: Callable[[FleetView], bool], patience: float = PATIENCE) -> FleetView:
    """The first view of a node of which `what` holds. Views come with each change, and every five seconds."""
    deadline = time.monotonic() + patience
    view = None
    for view in reader(Asked(str(url))).views():
        if what(view):
            return view
        assert time.monotonic() < deadline, f"not within {patience} s; the last view: {view}"
    raise AssertionError(f"the node ended its stream; the last view: {view}")


def presences(view: FleetView) -> dict[str, str]:
    """What it says of each node."""
    return {each.name: each.presence.value for each in view.nodes}
