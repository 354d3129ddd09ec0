"""Which sessions have a living process, on the real process table."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from meshfleet.runtimes.processes import LinuxProcesses, ProcessTable, PsProcesses, presences, process_table
from tests.runtimes.writing import SESSION, Living

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with process:  # closes its input, which ends it
        yield process


TABLES = [
    pytest.param(
        LinuxProcesses(), id="proc", marks=pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc here")
    ),
    pytest.param(
        PsProcesses(), id="ps", marks=pytest.mark.skipif(not Path("/bin/ps").exists(), reason="there is no ps here")
    ),
]


def began(table: ProcessTable, pid: int) -> str:
    """When a process began, as Claude Code writes it."""
    if isinstance(table, LinuxProcesses):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    environment = {"LC_ALL": "C", "TZ": "UTC"}
    asked = ["/bin/ps", "-o", "lstart=", "-p", str(pid)]
    return subprocess.run(asked, env=environment, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("table", TABLES)
def test_a_process_lives_until_it_has_ended(table: ProcessTable, child: subprocess.Popen[bytes]) -> None:
    start = began(table, child.pid)
    assert table.lives(child.pid, start)
    assert table.lives(child.pid, None)
    child.communicate(b"\n", timeout=10)
    assert not table.lives(child.pid, start)


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc here")
def test_a_process_that_ended_and_is_not_yet_buried_is_dead(child: subprocess.Popen[bytes]) -> None:
    assert child.stdin is not None
    child.stdin.close()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not LinuxProcesses().lives(child.pid, None)


@pytest.mark.parametrize("table", TABLES)
def test_another_process_under_the_same_pid_is_another(table: ProcessTable) -> None:
    other = "1" if isinstance(table, LinuxProcesses) else "Mon Aug 17 05:43:19 2020"
    assert not table.lives(os.getpid(), other)


def test_this_system_has_a_table() -> None:
    assert process_table().lives(os.getpid(), None)


def write(folder: Path, file: str, **fields: object) -> None:
    (folder / file).write_text(json.dumps(fields))


def test_a_process_that_waits_says_so(tmp_path: Path) -> None:
    # As Claude Code 2.1.197 writes it at a permission prompt.
    write(
        tmp_path,
        "18091.json",
        **{"pid": 18091, "sessionId": SESSION, "cwd": "/home/canary/shop", "startedAt": 1795476953709},
        **{"procStart": "577205", "version": "2.1.197", "peerProtocol": 1, "kind": "interactive", "entrypoint": "cli"},
        **{"name": "shop-2c", "nameSource": "derived", "status": "waiting", "waitingFor": "permission prompt"},
        **{"updatedAt": 1795476968636, "statusUpdatedAt": 1795476968636},
    )
    (found,) = presences(tmp_path, Living(18091))
    assert (found.session, found.status, found.status_at) == (SESSION, "waiting", 1795476968.636)
    assert (found.project, found.version) == ("shop", (2, 1, 197))
    assert presences(tmp_path, Living()) == []


def test_files_of_other_shapes_are_passed_over(tmp_path: Path) -> None:
    write(tmp_path, "pid-7.json", session_id=SESSION, cwd="/x")  # an older generation
    write(tmp_path, "8.json", pid=8)
    write(tmp_path, "9.json", pid=9, sessionId="../../etc/canary")
    (tmp_path / "10.json").write_bytes(b'{"pid": 10, "sessio')
    (tmp_path / "11.json").mkdir()
    write(tmp_path, "12.json", pid=12, sessionId=SESSION)
    assert [found.pid for found in presences(tmp_path, Living(7, 8, 9, 10, 11, 12))] == [12]


def test_no_folder_is_no_process(tmp_path: Path) -> None:
    assert presences(tmp_path / "none", Living()) == []
