"""How many files a node may have open: more than the shell gave it, and no word where that can't be."""

from __future__ import annotations

import resource
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from meshfleet.cli.room import FILES
from tests.cli.processes import node

if TYPE_CHECKING:
    from pathlib import Path

HARD = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
TOLD = "import resource; print(*resource.getrlimit(resource.RLIMIT_NOFILE))"
ASKED = f"from meshfleet.cli.room import may_open_many; may_open_many(); {TOLD}"


def limits(soft: int, hard: int, code: str) -> tuple[int, int]:
    """Those that a process has which began with `soft` and `hard` and runs `code`."""
    lowered = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard})); {code}"
    told = subprocess.run([sys.executable, "-c", lowered], capture_output=True, text=True, check=True, timeout=60)
    assert told.stderr == ""
    now, most = told.stdout.split()
    return int(now), int(most)


@pytest.mark.skipif(0 <= HARD < FILES, reason="this machine allows fewer")
def test_a_node_may_open_more_than_its_shell_gave_it() -> None:
    assert limits(256, HARD, ASKED) == (FILES, HARD)


def test_no_more_than_its_user_may_and_never_less_than_it_had() -> None:
    assert limits(256, 512, ASKED) == (512, 512)
    assert limits(512, 512, ASKED) == (512, 512)


@pytest.mark.processes
@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="other processes' limits are told on Linux alone")
@pytest.mark.skipif(0 <= HARD < FILES, reason="this machine allows fewer")
def test_up_asks_for_them(tmp_path: Path) -> None:
    mine = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, mine[1]))
    try:
        with node(tmp_path) as (process, _):
            assert resource.prlimit(process.pid, resource.RLIMIT_NOFILE) == (FILES, HARD)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, mine)


def test_a_member_in_an_agents_process_leaves_it_the_limits_that_it_had() -> None:
    inside = """
import trio
from tests.node.meshing import config
from meshfleet.node.opening import open_node

async def live():
    async with open_node(config("n1")):
        pass

trio.run(live)
"""
    assert limits(256, HARD, f"exec({inside + TOLD!r})") == (256, HARD)
