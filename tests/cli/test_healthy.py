"""The probe of containers, at real nodes, over HTTP and HTTPS."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.cli.processes import PATIENCE, environment, foreground, node

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.processes


def probe(*arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "meshfleet.cli.healthy", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE, env=environment(**extra), check=False
    )


def stands(done: subprocess.CompletedProcess[str]) -> str:
    """How it stands: on a machine with much else to do `degraded` is true."""
    return "degraded" if "degraded" in done.stdout else "connected"


def test_who_serves_is_healthy_and_who_is_gone_is_not(tmp_path: Path) -> None:
    with node(tmp_path, "--name", "box") as (process, _):
        done = probe(MESHFLEET_STATE_DIR=str(tmp_path))
        assert (done.returncode, done.stdout, done.stderr) == (0, f"box serves, and is {stands(done)}\n", "")
        process.kill()
        process.wait(PATIENCE)
        done = probe(str(tmp_path))  # which `kill -9` left its files in
        assert done.returncode == 1
        assert "gives no answer" in done.stderr
    assert "no node runs in" in probe(str(tmp_path / "elsewhere")).stderr
    assert probe().returncode == 2


def test_a_node_that_serves_https_on_all_addresses_is_asked_on_loopback(tmp_path: Path) -> None:
    serving = ("--http", "0.0.0.0:0", "--tls", "own", "--gossip", "127.0.0.1:0", "--no-discover", "--name", "box")
    with foreground("up", "--state-dir", str(tmp_path), *serving):
        done = probe(str(tmp_path))
        assert done.stdout == f"box serves, and is {stands(done)}\n"
