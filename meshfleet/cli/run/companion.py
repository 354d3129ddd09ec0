"""A node beside the command, where none runs on this machine but one has before: it has a state dir and an identity.

It is `meshfleet up`, in a session of its own so that the terminal's keys don't reach it, and holds on to us by its
standard input: when we end, however that is, it says goodbye and ends too. A machine that never was in a fleet is not
made one by running a command.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

IDENTITY = "node.crt"
"""A state dir has this once its node has a key and a certificate."""

OFF = "MESHFLEET_RUN_ALONE"
"""Set to anything, it keeps the companion away: in a companion itself, and where somebody wants none."""


def _state_dir() -> Path:
    """That of the node which `meshfleet up` would be here."""
    from meshfleet.node.settings import Given, load

    return load(Given(), os.environ).state_dir


class Companion:
    """The node, and the pipe that it lives by."""

    def __init__(self) -> None:
        self._pipe: int | None = None

    def start(self) -> bool:
        """Start it, if the state dir of this machine's node has an identity. False where it has none, or it can't be
        started."""
        if os.environ.get(OFF) or not (_state_dir() / IDENTITY).exists():
            return False
        reading, writing = os.pipe()
        null = os.open(os.devnull, os.O_WRONLY)
        actions = [(os.POSIX_SPAWN_DUP2, reading, 0), (os.POSIX_SPAWN_DUP2, null, 1), (os.POSIX_SPAWN_DUP2, null, 2)]
        words = [sys.executable, "-m", "meshfleet", "up", "--with-stdin", "--no-discover", "--json"]
        environment = {**os.environ, OFF: "1"}
        try:
            os.posix_spawn(words[0], words, environment, file_actions=actions, setsid=True, setsigmask=[])
        except (OSError, NotImplementedError):
            os.close(writing)
            return False
        finally:
            os.close(reading)
            os.close(null)
        self._pipe = writing
        return True

    def end(self) -> None:
        """Let it go: it says goodbye by itself."""
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None
