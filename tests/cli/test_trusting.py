"""`invite` and `keys`, as an owner lives with them: real processes, from one machine's command to another's node."""

from __future__ import annotations

import contextlib
import io
import json
import socket
import stat
import sys
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from meshfleet.cli import local, trusting
from meshfleet.cli.trusting import export_ca, seconds
from meshfleet.errors import ConfigError, Refused, StateDirError
from meshfleet.fleet.names import NodeName
from meshfleet.node.admin import Revoke, Status
from tests.cli.processes import PATIENCE, invitation, node, one_line_of, presences, run, seen
from tests.node.test_store import full_disk

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.processes
def test_an_owner_invites_lists_rotates_and_revokes(tmp_path: Path) -> None:
    one = ("--state-dir", str(tmp_path / "one"))
    with node(tmp_path / "one", "--name", "n1") as (_, first):
        line = invitation(tmp_path / "one", "--role", "observer", "--expires", "5m")
        assert line.startswith("mfi1_")
        with node(tmp_path / "two", "--name", "n2", "--host", "h2", "--invite", line) as (_, second):
            seen(first["http"], lambda view: presences(view) == {"n1": "fresh", "n2": "fresh"})
            roles = {each.name: each.role for each in seen(second["http"], lambda view: len(view.nodes) == 2).nodes}
            assert roles == {"n1": "agent", "n2": "observer"}
            again = run("up", "--state-dir", str(tmp_path / "three"), "--name", "n3", "--invite", line)
            assert again.returncode != 0
            assert "this invitation was used already" in one_line_of(again)
            told = json.loads(run("keys", "list", *one, "--json").stdout)
            assert told["holds_authority"]
            assert [each["name"] for each in told["nodes"]] == ["n1", "n2"]
            elsewhere = run("invite", "--state-dir", str(tmp_path / "two"))
            assert elsewhere.returncode == 1
            assert "Ask n1" in one_line_of(elsewhere)
            assert run("keys", "revoke", "n2", *one).stdout.startswith("n2 is thrown out")
            seen(first["http"], lambda view: presences(view)["n2"] == "left")
            assert "n2    observer  revoked" in run("keys", "list", *one).stdout
            assert run("keys", "rotate", *one, "--json").stdout == '{"ok":true}\n'


@pytest.mark.processes
def test_secrets_are_in_files_for_their_owner_alone_and_the_public_half_is_printed(tmp_path: Path) -> None:
    with node(tmp_path / "one", "--name", "n1") as (process, _):
        files = {path.name: path for path in (tmp_path / "one").iterdir()}
        assert {"ca.key", "ca.crt", "node.key", "node.crt", "keyring"} <= set(files)
        modes = {name: stat.S_IMODE(path.stat().st_mode) for name, path in files.items() if path.is_file()}
        assert {name for name, mode in modes.items() if mode & 0o077} == set()
        one = ("--state-dir", str(tmp_path / "one"))
        assert run("keys", "export-ca", *one).stdout == files["ca.crt"].read_text()
        copy = tmp_path / "copy"
        assert "keep it where only you can" in run("keys", "export-ca", "--private", "--out", str(copy), *one).stdout
        assert copy.read_bytes() == files["ca.key"].read_bytes()
        assert stat.S_IMODE(copy.stat().st_mode) == 0o600
        assert "is there already" in one_line_of(run("keys", "export-ca", "--out", str(copy), *one))
        process.terminate()
        process.wait(PATIENCE)


def test_a_copy_of_the_key_that_does_not_fit_on_the_disk_leaves_no_half_of_it(tmp_path: Path) -> None:
    (tmp_path / "ca.key").write_bytes(b"k" * 119)
    out = tmp_path / "copy"
    with full_disk(), pytest.raises(StateDirError, match=r"can't be written: File too large\. Nothing was left"):
        export_ca(private=True, out=str(out), node=None, state_dir=str(tmp_path))
    assert not out.exists()
    export_ca(private=True, out=str(out), node=None, state_dir=str(tmp_path))
    assert out.read_bytes() == b"k" * 119


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a full queue from nobody at all")
def test_a_node_that_has_its_hands_full_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits = threading.Event()
    monkeypatch.setattr(local, "sleep", lambda _seconds: waits.set())

    def serve() -> None:
        waits.wait(PATIENCE)
        for _ in others:
            listening.accept()[0].close()
        with listening.accept()[0] as asked:
            asked.recv(100)
            asked.sendall(b'{"ok":true}\n')

    with socket.socket(socket.AF_UNIX) as listening, ExitStack() as stack:
        listening.bind(str(tmp_path / "admin.sock"))
        listening.listen(1)
        others: list[socket.socket] = []
        while True:
            other = stack.enter_context(socket.socket(socket.AF_UNIX))
            other.setblocking(False)
            if other.connect_ex(str(tmp_path / "admin.sock")):
                break  # no room
            others.append(other)
        server = threading.Thread(target=serve)
        server.start()
        try:
            assert local.administer(tmp_path, Status(), "nobody runs there", patience=PATIENCE).ok
        finally:
            waits.set()
            server.join(PATIENCE)


@pytest.mark.parametrize(("text", "wanted"), [("90s", 90), ("30m", 1_800), ("1h", 3_600), ("7d", 604_800)])
def test_times_are_written_with_their_unit(text: str, wanted: float) -> None:
    assert seconds(text) == wanted


@pytest.mark.parametrize("text", ["", "1", "h", "-1h", "1.5h", "1w", "1h "[:1] + "x"])
def test_what_is_no_time_is_told(text: str) -> None:
    with pytest.raises(ConfigError, match="not a time such as"):
        seconds(text)


class Typed(io.StringIO):
    """What somebody types; a terminal, or a script's input."""

    def __init__(self, text: str, *, terminal: bool) -> None:
        super().__init__(text)
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


@pytest.mark.parametrize(
    ("typed", "terminal", "sure", "asked", "done"),
    [
        ("y\n", True, False, True, True),
        ("\n", True, False, True, False),
        ("", True, False, True, False),
        ("", True, True, False, True),
        ("", False, False, False, True),
    ],
)
def test_who_throws_a_node_out_at_a_terminal_is_asked_first(
    typed: str,
    terminal: bool,
    sure: bool,
    asked: bool,
    done: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    requests: list[object] = []
    monkeypatch.setattr(trusting, "_ask", lambda request, *_: requests.append(request))
    monkeypatch.setattr(sys, "stdin", Typed(typed, terminal=terminal))
    with contextlib.nullcontext() if done else pytest.raises(Refused, match="n2 was not thrown out"):
        trusting.revoke("n2", sure=sure, node=None, state_dir=None, as_json=False)
    assert requests == ([Revoke(NodeName("n2"))] if done else [])
    assert ("For good, its name included" in capsys.readouterr().err) is asked
