"""The local socket asks the kernel who connected."""

from __future__ import annotations

import os
import socket
import sys
from typing import TYPE_CHECKING

import pytest
import trio

from meshfleet.node import admin
from meshfleet.node.admin import Answered, serve_lines
from meshfleet.node.peercred import may_command, peer_uid

if TYPE_CHECKING:
    from pathlib import Path

NOBODY = 65_534


def test_the_kernel_tells_who_is_at_the_other_end() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        assert peer_uid(ours) == os.geteuid()
    with socket.socket() as none:
        assert peer_uid(none) is None or sys.platform == "linux"  # Linux answers -1 for what is no Unix socket
        assert not may_command(peer_uid(none))


def test_the_nodes_own_user_and_root_may_command_and_nobody_else() -> None:
    assert may_command(os.geteuid())
    assert may_command(0)
    assert not any(may_command(uid) for uid in (None, -1, os.geteuid() + 1, NOBODY))


async def test_a_stranger_is_turned_away_unheard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[bytes] = []

    async def answer(line: bytes) -> Answered:
        heard.append(line)
        return Answered(b"yes")

    async with trio.open_nursery() as nursery:
        await nursery.start(serve_lines, tmp_path / "s", answer)
        monkeypatch.setattr(admin, "peer_uid", lambda _: os.geteuid() + 1)
        assert await _said(tmp_path / "s") == b""
        assert heard == []
        monkeypatch.undo()
        assert await _said(tmp_path / "s") == b"yes\n"
        nursery.cancel_scope.cancel()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
async def test_another_user_is_turned_away_even_where_every_mode_is_open(tmp_path: Path) -> None:
    async def answer(_line: bytes) -> Answered:
        return Answered(b"yes")

    script = (
        "import os, socket, sys; os.setuid(int(sys.argv[2])); s = socket.socket(socket.AF_UNIX);"
        "s.connect(sys.argv[1]); s.settimeout(10)\n"
        "try: s.sendall(b'x\\n'); print(s.recv(9))\n"
        "except (BrokenPipeError, ConnectionResetError): print(b'')"
    )
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            await nursery.start(serve_lines, tmp_path / "s", answer)
            open_to_all(tmp_path, tmp_path / "s")
            said = [
                # From inside of the folder, so that none above has to be open to all.
                (
                    await trio.run_process(
                        [sys.executable, "-c", script, "s", str(uid)], capture_stdout=True, cwd=tmp_path
                    )
                ).stdout
                for uid in (NOBODY, 0)
            ]
            nursery.cancel_scope.cancel()
    assert said == [b"b''\n", b"b'yes\\n'\n"]


def open_to_all(*paths: Path) -> None:
    for path in paths:
        path.chmod(0o777)


async def _said(path: Path) -> bytes:
    with trio.fail_after(10):
        async with await trio.open_unix_socket(path) as stream:
            try:
                await stream.send_all(b"x\n")
                return bytes(await stream.receive_some())
            except trio.BrokenResourceError:
                return b""
