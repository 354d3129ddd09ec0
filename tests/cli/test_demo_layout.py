"""Where a demo puts things, what it does about ports that are taken, and about a demo that was killed."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from meshfleet.cli.demo.layout import DEMO_FILE, LOG, clear, free_base, held, make_fleet, places
from meshfleet.cli.demo.run import end_leftovers
from meshfleet.cli.files import is_alive
from meshfleet.errors import ConfigError
from meshfleet.fleet.names import Address, NodeName
from meshfleet.node.store import StateDir
from meshfleet.node.vault import Vault

if TYPE_CHECKING:
    from pathlib import Path


def a_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> socket.socket:
    taken = socket.socket(socket.AF_INET, kind)
    taken.bind(("127.0.0.1", 0))
    if kind == socket.SOCK_STREAM:
        taken.listen()
    return taken


def test_each_node_has_two_ports_in_a_row(tmp_path: Path) -> None:
    one, two = places(tmp_path, 2, 7878)
    assert (one.name, one.gossip, one.http) == ("n1", Address("127.0.0.1", 7878), Address("127.0.0.1", 7879))
    assert (two.name, two.gossip, two.http) == ("n2", Address("127.0.0.1", 7880), Address("127.0.0.1", 7881))
    assert two.state_dir == tmp_path / "n2"


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_a_block_with_one_taken_port_is_passed_by(kind: socket.SocketKind) -> None:
    with closing(a_port(kind)) as taken:
        port = taken.getsockname()[1]
        base = free_base(2, port - 3)
        assert port not in range(base, base + 4)
        assert (base - (port - 3)) % 4 == 0


def test_no_free_block_up_to_the_last_port_is_told() -> None:
    with pytest.raises(ConfigError, match="--base-port 65535: no 4 free ports in a row"):
        free_base(2, 65_535)


def test_one_folder_is_held_by_one_demo(tmp_path: Path) -> None:
    with held(tmp_path / "demo") as first:
        assert first
        with held(tmp_path / "demo") as second:
            assert not second
    with held(tmp_path / "demo") as again:
        assert again


def test_a_demo_is_one_fleet_whose_first_node_holds_the_authority(tmp_path: Path) -> None:
    nodes = places(tmp_path, 3, 7878)
    make_fleet(nodes, time.time())
    identities = []
    for place in nodes:
        with StateDir.open(place.state_dir) as store:
            identities.append(Vault(store).identity(NodeName(place.name), time.time()))
    assert {each.fleet.fingerprint for each in identities} == {identities[0].fleet.fingerprint}
    assert [each.authority is not None for each in identities] == [True, False, False]
    assert [each.name for each in identities] == ["n1", "n2", "n3"]


def test_only_what_a_demo_made_is_removed(tmp_path: Path) -> None:
    for name in ("n1", "n12", "notes", "n2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
    for name in ("n1", "n12", "notes"):
        (tmp_path / name / LOG).touch()
    clear(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["n2", "notes"]


def demo_file(folder: Path, pid: int, state_dir: Path) -> None:
    node = {
        "name": "n4",
        "http": "http://127.0.0.1:1",
        "gossip": "127.0.0.1:2",
        "pid": pid,
        "state_dir": str(state_dir),
    }
    (folder / DEMO_FILE).write_text(json.dumps({"pid": 1, "nodes": [node]}))


def test_what_a_killed_demo_left_is_ended(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()", str(tmp_path / "n4")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as left:
        assert left.stdout is not None
        left.stdout.readline()
        demo_file(tmp_path, left.pid, tmp_path / "n4")
        assert end_leftovers(tmp_path) == ["n4"]
        assert left.wait(60) == -9
    assert not (tmp_path / DEMO_FILE).exists()


def test_a_pid_that_is_somebody_elses_by_now_is_left_alone(tmp_path: Path) -> None:
    demo_file(tmp_path, os.getpid(), tmp_path / "n4")
    assert end_leftovers(tmp_path) == []
    assert is_alive(os.getpid())
    assert not (tmp_path / DEMO_FILE).exists()


def test_a_damaged_file_of_an_earlier_demo_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / DEMO_FILE).write_text("{")
    assert end_leftovers(tmp_path) == []
