"""A real dnsmasq on a free port of loopback, that answers what a test lays down and asks nobody else."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

DNSMASQ = shutil.which("dnsmasq", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin:/usr/bin")

needs_dnsmasq = pytest.mark.skipif(DNSMASQ is None, reason="dnsmasq is not installed")


class NameServer:
    """It runs. `at` is where."""

    def __init__(self, port: int, hosts: Path, process: trio.Process) -> None:
        self.at = f"127.0.0.1:{port}"
        self._hosts = hosts
        self._process = process

    def names(self, *lines: str) -> None:
        """Have it know these hosts from now on, as /etc/hosts has them."""
        self._hosts.write_text("\n".join(lines) + "\n")
        self._process.send_signal(signal.SIGHUP)

    async def end(self) -> None:
        """It dies."""
        self._process.kill()
        await self._process.wait()


def _free_port() -> int:
    """One that is free for UDP and for TCP, for dnsmasq takes both."""
    for _ in range(50):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket() as tcp, suppress(OSError):
            udp.bind(("127.0.0.1", 0))
            tcp.bind(udp.getsockname())
            return int(udp.getsockname()[1])
    raise AssertionError("no port is free for both")


@asynccontextmanager
async def name_server(tmp_path: Path, *options: str, hosts: str = "") -> AsyncIterator[NameServer]:
    """A dnsmasq with these options, once it answers."""
    assert DNSMASQ is not None
    port = _free_port()
    file = tmp_path / "hosts"
    file.write_text(f"{hosts}\n")
    command = [
        *(DNSMASQ, "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user=", "--group="),
        *(f"--port={port}", "--listen-address=127.0.0.1", "--bind-interfaces", "--pid-file=", "--log-facility=-"),
        *(f"--addn-hosts={file}", "--local=/test/", *options),
    ]
    async with trio.open_nursery() as nursery:
        pipe = subprocess.PIPE
        process = await nursery.start(partial(trio.run_process, command, stderr=pipe, stdin=pipe, check=False))
        try:
            with trio.fail_after(20):
                said = b""
                while b"started" not in said:
                    piece = await process.stderr.receive_some()
                    assert piece, said.decode()
                    said += piece
            yield NameServer(port, file, process)
        finally:
            nursery.cancel_scope.cancel()
