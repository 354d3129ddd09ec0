"""The fleet of a soak: that of tests/network, with the truth told of each start and end, and asked of each `down`."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from meshfleet.fleet.presence import Presence
from tests.network.fleet import Fleet
from tests.soak.truth import Call

if TYPE_CHECKING:
    from tests.network.ground import Ground
    from tests.soak.plan import Plan
    from tests.soak.truth import Truth

FAKETIME = ("/usr/lib/*/faketime/libfaketime.so.1", "/usr/lib*/faketime/libfaketime.so.1")
"""Where Debian's and Fedora's packages put it."""
EXITED_SHOWN = 60
"""Seconds for which an ended agent is shown. An hour, as by default, would make views grow for the first hour."""
SMALL_DISK = "8m"


def faketime() -> Path | None:
    """The library that gives a process a wall clock of its own; None where it is not installed."""
    return next((path for pattern in FAKETIME for path in Path("/").glob(pattern.lstrip("/"))), None)


class SoakFleet(Fleet):
    """See the module."""

    def __init__(self, ground: Ground, folder: Path, plan: Plan, truth: Truth, flags: tuple[str, ...] = ()) -> None:
        super().__init__(ground, folder, flags)
        self.truth = truth
        self._plan = plan
        self._library = faketime()
        self.calls: dict[Call, list[str]] = {call: [] for call in Call}
        """Each `down` that was said, in words."""
        self.wrong_goodbyes: list[str] = []
        """Each `left` that was said of a node that runs."""
        for name in plan.names:
            self.state_dir(name).mkdir(exist_ok=True)
            self.nodes_file(name).write_text("endpoints: []\n")
        for name in plan.clocks:
            self.step(name, 0.0)
        self._mount = self.state_dir(plan.small_disk)
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK},mode=0700", "soak", str(self._mount)], check=True
        )

    def nodes_file(self, name: str) -> Path:
        """Where it looks for nodes besides."""
        return self._folder / f"{name}.yaml"

    @property
    def can_step(self) -> bool:
        """Whether wall clocks can be stepped here."""
        return self._library is not None

    def step(self, name: str, offset: float) -> None:
        """Its wall clock is so many seconds off from now on, within a second."""
        path = self._clock(name)
        beside = path.with_suffix(".new")
        beside.write_text(f"{offset:+.0f}\n")
        beside.replace(path)

    def _clock(self, name: str) -> Path:
        return self._folder / f"{name}.clock"

    def before(self, name: str) -> tuple[str, ...]:
        """The environment of one node."""
        # A step must not take it into another billing period: the first day is two weeks away.
        day = min(28, (datetime.now(UTC) + timedelta(days=14)).day)
        env = ["env", f"MESHFLEET_BILLING_DAY={day}", f"MESHFLEET_EXITED_SHOWN={EXITED_SHOWN}"]
        if name in self._plan.clocks and self._library is not None:
            env += [
                f"LD_PRELOAD={self._library}", f"FAKETIME_TIMESTAMP_FILE={self._clock(name)}",
                "FAKETIME_DONT_FAKE_MONOTONIC=1", "FAKETIME_CACHE_DURATION=1", "NO_FAKE_STAT=1",
            ]  # fmt: skip
        return tuple(env)

    def flags_of(self, name: str) -> tuple[str, ...]:
        """The file that is rewritten under it."""
        return ("--find", f"file:{self.nodes_file(name)}")

    def start(self, name: str, invite: str | None = None, *more: str) -> None:
        """As there; the truth knows."""
        self.truth.begins(name, time.monotonic())
        super().start(name, invite, *more)

    def end(self, name: str, number: signal.Signals) -> None:
        """Kill it, or ask it to go."""
        left = number is signal.SIGTERM
        if left:
            self.truth.leaves(name, time.monotonic())
        else:
            self.truth.ends(name, time.monotonic())
        self.send(name, number)
        if left:
            self.truth.ends(name, time.monotonic(), left=True)

    def fill(self) -> None:
        """The small disk is full to its last byte."""
        size = 1 << 16
        with (self._mount / "ballast").open("ab", buffering=0) as file:
            while size:
                try:
                    file.write(b"\0" * size)
                except OSError:
                    size //= 2

    def empty(self) -> None:
        """There is room again."""
        (self._mount / "ballast").unlink(missing_ok=True)

    def _note(self, name: str, at: float, what: str, told: dict[str, str]) -> None:
        super()._note(name, at, what, told)
        if what != "judged":
            return
        word = self.words[name, told["node"]][-1]
        if word.said is Presence.LEFT and self.truth.is_here(told["node"], word.epoch):
            self.wrong_goodbyes.append(f"{at:.3f} {name} said left of {told['node']}: {word.because}")
        if word.said is not Presence.DOWN:
            return
        call = self.truth.call(name, told["node"], time.monotonic(), word.certainty, word.epoch)
        certainty = "" if word.certainty is None else f" ({word.certainty.value})"
        self.calls[call].append(f"{at:.3f} {name} said down{certainty} of {told['node']}: {word.because}")

    def close(self) -> None:
        """End all, and give the small disk back."""
        super().close()
        subprocess.run(["umount", "-l", str(self._mount)], check=False)

    def alive(self, name: str) -> bool:
        """Whether its process is there."""
        return self.process(name).poll() is None

    def pid(self, name: str) -> int:
        """Of its present life."""
        return self.process(name).pid


def can_mount() -> str | None:
    """Why no file system can be mounted here; None where one can."""
    if os.geteuid() != 0:
        return "to mount a small disk takes root"
    with tempfile.TemporaryDirectory(prefix="meshfleet-soak-") as folder:
        mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "soak", folder]
        tried = subprocess.run(mount, capture_output=True, text=True, check=False)
        if tried.returncode:
            return f"no small disk can be mounted: {tried.stderr.strip()}"
        subprocess.run(["umount", folder], check=False)
    return None
