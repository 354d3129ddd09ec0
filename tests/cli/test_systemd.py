"""What systemd hears of a node of Type=notify, at a real socket."""

from __future__ import annotations

import os
import signal
import socket
from typing import TYPE_CHECKING

import pytest

from meshfleet.cli.telling_systemd import Systemd
from tests.cli.processes import PATIENCE, foreground

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.processes

FREE = ("--gossip", "127.0.0.1:0", "--http", "127.0.0.1:0", "--no-discover")


def heard_until(listening: socket.socket, line: str) -> list[str]:
    """All lines up to this one."""
    lines: list[str] = []
    while line not in lines:
        lines += listening.recv(4096).decode().splitlines()
    return lines


def test_a_node_says_that_it_serves_that_it_lives_and_that_it_ends(tmp_path: Path) -> None:
    where = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(where))
        listening.settimeout(PATIENCE)
        watched = {"NOTIFY_SOCKET": str(where), "WATCHDOG_USEC": "20000"}
        with foreground("up", "--state-dir", str(tmp_path / "state"), *FREE, **watched) as (process, _):
            assert heard_until(listening, "READY=1") == ["READY=1"]
            assert heard_until(listening, "STATUS=connected")[0] == "WATCHDOG=1"
            heard_until(listening, "WATCHDOG=1")  # and again
            process.send_signal(signal.SIGTERM)
            heard_until(listening, "STOPPING=1")
            assert process.wait(PATIENCE) == 0


def test_a_socket_that_is_gone_harms_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    systemd = Systemd({"NOTIFY_SOCKET": str(tmp_path / "gone")})
    systemd.tell("READY=1")
    systemd.tell("STOPPING=1")
    assert [record.getMessage() for record in caplog.records if "can't be told" in record.getMessage()] != []
    assert len(caplog.records) == 1


async def test_a_watchdog_that_is_meant_for_another_process_is_not_answered(tmp_path: Path) -> None:
    told = {"NOTIFY_SOCKET": str(tmp_path), "WATCHDOG_USEC": "1000", "WATCHDOG_PID": str(os.getpid() + 1)}
    await Systemd(told).signs_of_life(lambda: "connected")  # returns
