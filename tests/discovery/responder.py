"""Two machines on a LAN of their own, as network namespaces on a veth pair; a real avahi-daemon runs on one of them.

avahi is spoken to over D-Bus, so it gets a bus of its own too. Its folders are mounted anew where it alone sees it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE = 60.0
WHERE = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin"
TOOLS = ("avahi-daemon", "avahi-browse", "dbus-daemon", "ip", "unshare", "mount")

SERVICE = """<?xml version="1.0" standalone="no"?>
<!DOCTYPE service-group SYSTEM "avahi-service.dtd">
<service-group><name>another</name><service><type>_meshfleet._udp</type><port>7901</port></service></service-group>
"""

AVAHI = """[server]
host-name=box-1
use-ipv4=yes
use-ipv6=yes
[wide-area]
enable-wide-area=no
[publish]
publish-hinfo=no
publish-workstation=no
"""

BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path={bus}</listen><auth>EXTERNAL</auth><policy context="default">
<allow user="*"/><allow own="*"/><allow send_type="method_call"/><allow send_type="signal"/>
<allow send_requested_reply="true"/><allow receive_type="method_call"/><allow receive_type="method_return"/>
<allow receive_type="error"/><allow receive_type="signal"/></policy></busconfig>
"""


def _why_not() -> str | None:
    missing = [tool for tool in TOOLS if shutil.which(tool, path=WHERE) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    if os.geteuid() != 0:
        return "network namespaces need root"
    tried = subprocess.run(["unshare", "--net", "--mount", "true"], capture_output=True, text=True, check=False)
    return None if tried.returncode == 0 else f"this machine gives no namespaces: {tried.stderr.strip()}"


needs_lan = pytest.mark.skipif((_why := _why_not()) is not None, reason=_why or "")


class Lan:
    """`node` is where a node may run, `responder` where avahi does."""

    def __init__(self, folder: Path) -> None:
        self.node = f"mf-n-{os.getpid()}"
        self.responder = f"mf-a-{os.getpid()}"
        self.address = "10.77.8.2"
        self._folder = folder
        self._bus = f"unix:path={folder}/bus"

    def run(self, namespace: str, *command: str) -> list[str]:
        """The command, so that it runs in there."""
        return ["ip", "netns", "exec", namespace, *command]

    def browse(self) -> list[str]:
        """What avahi knows of meshfleet on the LAN: `NAME HOST ADDRESS PORT TXT` a line."""
        told = subprocess.run(
            ["avahi-browse", "--resolve", "--parsable", "--terminate", "_meshfleet._udp"],
            env={**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": self._bus},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
        )
        lines = [line.split(";") for line in told.stdout.splitlines() if line.startswith("=")]
        return sorted({" ".join([line[3], *line[6:]]) for line in lines})

    @contextmanager
    def up(self) -> Iterator[Lan]:
        """With avahi running."""
        folder = self._folder
        (folder / "services").mkdir()
        (folder / "services" / "another.service").write_text(SERVICE)
        (folder / "avahi.conf").write_text(AVAHI)
        (folder / "bus.conf").write_text(BUS.format(bus=folder / "bus"))
        try:
            self._wire()
            bus = ["dbus-daemon", f"--config-file={folder}/bus.conf", "--nofork", "--nopidfile", "--print-address"]
            mounts = f"mount -t tmpfs run /run && mkdir /run/avahi-daemon && mount --bind {folder}/services"
            avahi = f"avahi-daemon --file={folder}/avahi.conf --no-drop-root --no-chroot --no-rlimits"
            with (
                _until(bus, "unix:path="),
                _until(
                    self.run(self.responder, "sh", "-c", f"{mounts} /etc/avahi/services && exec {avahi}"),
                    "successfully established",
                    DBUS_SYSTEM_BUS_ADDRESS=self._bus,
                ),
            ):
                yield self
        finally:
            for namespace in (self.node, self.responder):
                subprocess.run(["ip", "netns", "del", namespace], capture_output=True, check=False)

    def _wire(self) -> None:
        a, b = "mfa0", "mfn0"
        for namespace in (self.node, self.responder):
            _ip("netns", "add", namespace)
            _ip("-n", namespace, "link", "set", "lo", "up")
        _ip("link", "add", a, "netns", self.responder, "type", "veth", "peer", "name", b, "netns", self.node)
        for namespace, link, address in ((self.responder, a, "10.77.8.1/24"), (self.node, b, f"{self.address}/24")):
            _ip("-n", namespace, "addr", "add", address, "dev", link)
            _ip("-n", namespace, "link", "set", link, "up")


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@contextmanager
def _until(command: list[str], says: str, **extra: str) -> Iterator[None]:
    """The command, from when it says that to the end of the block."""
    pipe, both = subprocess.PIPE, subprocess.STDOUT
    with subprocess.Popen(command, stdout=pipe, stderr=both, text=True, env={**os.environ, **extra}) as process:
        try:
            assert process.stdout is not None
            said: list[str] = []
            for line in process.stdout:
                said.append(line)
                if says in line:
                    break
            assert says in said[-1], said
            yield
        finally:
            process.kill()
