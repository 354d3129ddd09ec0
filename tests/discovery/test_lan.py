"""DNS-SD with a real avahi-daemon: a node finds what avahi announces, avahi sees the node, and sees it go."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from meshfleet.cli.local import administer
from meshfleet.node.admin import Doctor
from tests.cli.processes import PATIENCE, environment
from tests.discovery.responder import Lan, needs_lan

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from meshfleet.fleet.source import SourceTold


def looks(state_dir: Path) -> SourceTold:
    """What the node says of its one source."""
    diagnosis = administer(state_dir, Doctor(), "no node").diagnosis
    assert diagnosis is not None
    return diagnosis.sources[0]


def until(fits: Callable[[], bool]) -> None:
    """Asked again until it is so."""
    deadline = time.monotonic() + PATIENCE
    while not fits():
        assert time.monotonic() < deadline


@needs_lan
@pytest.mark.processes
def test_a_node_and_avahi_find_each_other_on_the_lan(tmp_path: Path) -> None:
    state_dir = tmp_path / "n1"
    with Lan(tmp_path).up() as lan:
        up = lan.run(
            lan.node,
            *(sys.executable, "-m", "meshfleet", "up", "--name", "n1", "--state-dir", str(state_dir), "--no-discover"),
            *("--gossip", f"{lan.address}:7878", "--http", "127.0.0.1:0", "--find", "dns-sd", "--json"),
        )
        pipe = subprocess.PIPE
        with subprocess.Popen(up, stdout=pipe, text=True, env=environment()) as node:
            try:
                assert node.stdout is not None
                assert json.loads(node.stdout.readline())["name"] == "n1"
                until(lambda: looks(state_dir).nodes == 1 and looks(state_dir).offered is True)
                until(lambda: "connection refused" in str(looks(state_dir).problem))  # nobody is at that port
                until(lambda: any(line.startswith("n1 ") for line in lan.browse()))
                said = next(line for line in lan.browse() if line.startswith("n1 "))
                assert said.startswith(f"n1 meshfleet-n1.local {lan.address} 7878")
                assert '"node=n1"' in said
                os.kill(node.pid, signal.SIGTERM)
                assert node.wait(PATIENCE) == 0
                until(lambda: {line.split()[0] for line in lan.browse()} == {"another"})
            finally:
                node.kill()
