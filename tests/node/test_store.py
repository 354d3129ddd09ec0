"""The state dir: held by one, whole after any crash, and no obstacle to a node's start but for good reasons."""

from __future__ import annotations

import logging
import os
import resource
import stat
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from meshfleet.errors import ConfigError, StateDirError
from meshfleet.fleet.names import Address, Epoch, NodeName
from meshfleet.node.store import DAMAGED_LIMIT, FILE_LIMIT, PEERS_LIMIT, Peer, StateDir

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOON = 1_763_923_200_000

GARBAGE = {
    "empty": b"",
    "garbage": b"\x00\xff\xfe garbage",
    "truncated": b'{"name":"n1","ep',
    "another type": b"[1,2,3]",
    "wrong types": b'{"name":7,"epoch":"x","peers":{"a":1}}',
    "out of range": b'{"name":"n1","epoch":-1,"peers":[{"name":"n1","address":"nowhere"}]}',
    "no name": b'{"name":"../n1","epoch":1,"peers":[{"name":"../n1","address":"10.0.0.1:1"}]}',
    "too deep": b'{"name":"n1","x":' + b"[" * 500_000,
    "too large": b'{"peers":[' + b" " * FILE_LIMIT + b"]}",
    "not UTF-8": b'{"name":"\xc3\x28","peers":[{"name":"\xc3\x28","address":"10.0.0.1:1"}]}',
}


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateDir]:
    with StateDir.open(tmp_path / "state") as state:
        yield state


@contextmanager
def full_disk() -> Iterator[None]:
    """No file can grow beyond 0 bytes: a real refusal of the kernel, as a full disk gives it."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def levels(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Levels of all that was logged above info."""
    return [record.levelname for record in caplog.records if record.levelno > logging.INFO]


def peer(i: int) -> Peer:
    return Peer(NodeName(f"n{i}"), Address("10.0.0.1", i))


def test_folder_and_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with StateDir.open(tmp_path / "deep" / "state") as state:
            state.node_name("n1")
            state.save_peers([peer(1)])
    finally:
        os.umask(before)
    assert mode(tmp_path / "deep" / "state") == 0o700
    modes = {path.name: mode(path) for path in (tmp_path / "deep" / "state").iterdir()}
    assert modes == {"node.lock": 0o600, "node.json": 0o600, "peers.json": 0o600}


def test_everything_is_there_again_after_a_restart(tmp_path: Path) -> None:
    peers = [Peer(NodeName("n2"), Address("10.0.0.2", 7878)), Peer(NodeName("n3"), Address("fe80::3", 7879))]
    with StateDir.open(tmp_path) as state:
        name = state.node_name("n1")
        state.save_peers(peers)
    with StateDir.open(tmp_path) as state:
        assert state.node_name("another-default") == name == "n1"
        assert state.peers() == tuple(peers)


def test_a_second_process_is_refused_with_the_pid_of_the_first_until_that_ends(tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
from meshfleet.node.store import StateDir
state = StateDir.open(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""
    holder = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StateDirError, match=rf"held by the process with pid {holder.pid}\. Each node needs"):
            StateDir.open(tmp_path)
        holder.kill()
    StateDir.open(tmp_path).close()


def test_a_state_dir_is_free_once_it_is_closed(tmp_path: Path) -> None:
    first = StateDir.open(tmp_path)
    with pytest.raises(StateDirError, match=f"pid {os.getpid()}"):
        StateDir.open(tmp_path)
    first.close()
    first.close()
    StateDir.open(tmp_path).close()


def test_epochs_rise_even_when_the_clock_is_set_back(tmp_path: Path) -> None:
    epochs = []
    for wall in (NOON, NOON, NOON - 86_400_000, NOON + 5_000, 0):
        with StateDir.open(tmp_path) as state:
            epochs.append(state.next_epoch(wall))
    assert epochs == [NOON, NOON + 1, NOON + 2, NOON + 5_000, NOON + 5_001]


def test_an_epoch_is_on_the_disk_before_it_is_used(state: StateDir) -> None:
    epoch = state.next_epoch(NOON)
    assert str(epoch) in (state.path / "node.json").read_text()
    with full_disk(), pytest.raises(StateDirError, match=r"node\.json can't be used: File too large"):
        state.next_epoch(NOON + 1)
    assert state.next_epoch(0) == epoch + 1


def test_name_and_epoch_do_not_overwrite_each_other(state: StateDir) -> None:
    state.next_epoch(NOON)
    assert state.node_name("n1") == "n1"
    assert state.next_epoch(0) == NOON + 1
    assert state.rename("n2") == "n2"
    assert state.next_epoch(0) == NOON + 2
    assert state.node_name("n3") == "n2"


def test_what_is_no_name_is_not_remembered(state: StateDir) -> None:
    with pytest.raises(ConfigError, match="not a valid node name"):
        state.node_name("no name")
    assert state.node_name("n1") == "n1"


@pytest.mark.parametrize("content", GARBAGE.values(), ids=GARBAGE)
def test_a_damaged_node_file_is_set_aside_and_the_node_goes_on(
    state: StateDir, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (state.path / "node.json").write_bytes(content)
    assert state.next_epoch(NOON) == NOON
    assert (state.path / "node.json.damaged-1").read_bytes() == content
    assert levels(caplog) == ["WARNING"]
    assert state.node_name("n1") == "n1"
    assert state.next_epoch(0) == NOON + 1


@pytest.mark.parametrize("content", GARBAGE.values(), ids=GARBAGE)
def test_a_damaged_list_of_peers_is_set_aside_and_the_node_goes_on(
    state: StateDir, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (state.path / "peers.json").write_bytes(content)
    assert state.peers() == ()
    assert (state.path / "peers.json.damaged-1").read_bytes() == content
    assert levels(caplog) == ["WARNING"]
    state.save_peers([peer(1)])
    assert state.peers() == (peer(1),)


def test_damaged_copies_are_numbered_and_bounded(state: StateDir) -> None:
    for i in range(DAMAGED_LIMIT + 3):
        (state.path / "peers.json").write_text(f"damage {i}")
        assert state.peers() == ()
    copies = sorted(path.name for path in state.path.glob("*.damaged-*"))
    assert copies == [f"peers.json.damaged-{n}" for n in range(1, DAMAGED_LIMIT + 1)]
    assert (state.path / "peers.json.damaged-1").read_text() == "damage 0"
    assert (state.path / "peers.json.damaged-9").read_text() == f"damage {DAMAGED_LIMIT + 2}"


def test_a_folder_in_which_others_can_write_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tmp_path.chmod(0o777)
    StateDir.open(tmp_path).close()
    assert levels(caplog) == ["WARNING"]
    assert str(tmp_path) in caplog.text


def test_of_many_peers_the_first_are_kept(state: StateDir) -> None:
    state.save_peers([peer(i) for i in range(PEERS_LIMIT + 50)])
    assert state.peers() == tuple(peer(i) for i in range(PEERS_LIMIT))


def test_peers_that_did_not_change_are_not_written_again(state: StateDir) -> None:
    state.save_peers([peer(1)])
    before = (state.path / "peers.json").stat().st_ino
    state.save_peers([peer(1)])
    assert (state.path / "peers.json").stat().st_ino == before
    state.save_peers([peer(2)])
    assert state.peers() == (peer(2),)


def test_on_a_full_disk_peers_are_not_saved_and_the_node_goes_on(
    state: StateDir, caplog: pytest.LogCaptureFixture
) -> None:
    state.save_peers([peer(1)])
    with full_disk():
        state.save_peers([peer(2)])
        state.save_peers([peer(3)])
    assert state.peers() == (peer(1),), "the old file is whole"
    state.save_peers([peer(3)])
    assert state.unsaved == 2
    assert levels(caplog) == ["ERROR"], "once, not each time"
    assert state.peers() == (peer(3),)
    assert not list(state.path.glob(".*")), "nothing half written is left"


def test_a_peer_with_a_nonsense_address_is_left_out_and_spoils_nothing(state: StateDir) -> None:
    wrong = [Address("", 1), Address("a b", 1), Address("[", 1), Address("a]:5", 1), Address("10.0.0.1", 70_000)]
    state.save_peers(
        [Peer(NodeName("bad"), address) for address in wrong] + [peer(1), Peer(NodeName("a b"), peer(1).address)]
    )
    assert state.peers() == (peer(1),)
    assert not list(state.path.glob("*.damaged-*"))


def test_an_epoch_taken_while_running_is_outdone_by_the_next_life(state: StateDir) -> None:
    state.next_epoch(NOON)
    state.save_epoch(Epoch(NOON + 500))
    assert state.next_epoch(NOON) == NOON + 501
    state.save_epoch(Epoch(NOON))
    assert state.next_epoch(0) == NOON + 502


def test_an_epoch_that_can_not_be_saved_while_running_is_counted_and_nothing_else(
    state: StateDir, caplog: pytest.LogCaptureFixture
) -> None:
    state.next_epoch(NOON)
    with full_disk():
        state.save_epoch(Epoch(NOON + 500))
    assert (state.unsaved, levels(caplog)) == (1, ["ERROR"])
    assert state.next_epoch(0) == NOON + 1


def test_what_a_crash_left_half_written_is_no_obstacle(state: StateDir) -> None:
    (state.path / ".peers.json.new").write_text('{"peers":[{"na')
    state.save_peers([peer(1)])
    assert state.peers() == (peer(1),)
    assert not list(state.path.glob(".*"))


def test_a_file_is_replaced_never_rewritten(state: StateDir) -> None:
    state.save_peers([peer(1)])
    with (state.path / "peers.json").open("rb") as old:
        state.save_peers([peer(2)])
        assert b'"n1"' in old.read()


def test_a_state_dir_that_can_not_be_made_is_refused_with_path_and_reason(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StateDirError, match=r"file/state can't be used: Not a directory"):
        StateDir.open(tmp_path / "file" / "state")
    with pytest.raises(StateDirError, match=r"file can't be used: it is a file, not a folder"):
        StateDir.open(tmp_path / "file")


def test_a_full_disk_at_start_is_refused_with_path_and_reason(tmp_path: Path) -> None:
    with full_disk(), pytest.raises(StateDirError, match=r"node\.lock can't be used: File too large"):
        StateDir.open(tmp_path)
    StateDir.open(tmp_path).close()


def test_a_folder_where_a_file_should_be_is_refused_with_path_and_reason(state: StateDir) -> None:
    for name, use in (("node.json", lambda: state.node_name("n1")), ("peers.json", state.peers)):
        (state.path / name).mkdir()
        with pytest.raises(StateDirError, match=rf"{name} can't be used: Is a directory"):
            use()
