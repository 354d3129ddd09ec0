"""What `meshfleet bench runtimes` measures: a process that follows the session files of one folder.

Speaks JSON lines with the benchmark: says when all sessions are shown and when all are read, and when a tool shows up
whose name is the moment at which its line was written.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import trio

from meshfleet.cli.memory import rss_mb
from meshfleet.runtimes.agents import watch_agents
from meshfleet.runtimes.settings import RuntimesSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshfleet.fleet.names import AgentId
    from meshfleet.fleet.state import AgentState
    from meshfleet.fleet.usage import Moment

STAMP = "t"
"""Begins the names of tools that are moments."""


class Told(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line."""

    shown: int = 0
    """Sessions that are agents now."""
    read: int = 0
    """Sessions whose sums are known: all of their files is read."""
    delay_s: float | None = None
    """From a line's writing until its state is there."""
    cpu_s: float = 0.0
    rss_mb: float = 0.0


class Sink:
    """Where the states go."""

    def __init__(self, files: int) -> None:
        self._files = files
        self._read: dict[str, bool] = {}
        self._told: set[str] = set()

    def publish(self, state: AgentState) -> None:
        """Look at what is new."""
        if state.active_tool is not None and state.active_tool[1:].isdigit() and state.active_tool not in self._told:
            self._told.add(state.active_tool)
            self.say(delay_s=time.monotonic() - int(state.active_tool[1:]) / 1e9)
        before = self._counts()
        self._read[state.agent_id] = self._read.get(state.agent_id, False) or state.tokens_in is not None
        if self._counts() != before and self._files in self._counts():
            self.say()

    def withdraw(self, agent_id: AgentId) -> None:
        """Nobody leaves here."""

    def carried(self, agent_id: AgentId) -> AgentState | None:
        """Nobody else tells of them."""
        return None

    def recall(self, state: AgentState, course: Sequence[Moment]) -> None:
        """Nothing is counted here."""

    def rename(self, agent_id: AgentId, to: AgentId) -> None:
        """Nobody does."""

    def say(self, delay_s: float | None = None) -> None:
        """One line."""
        shown, read = self._counts()
        told = Told(shown=shown, read=read, delay_s=delay_s, cpu_s=time.process_time(), rss_mb=rss_mb())
        sys.stdout.buffer.write(msgspec.json.encode(told) + b"\n")
        sys.stdout.buffer.flush()

    def _counts(self) -> tuple[int, int]:
        return len(self._read), sum(self._read.values())


async def _main(folder: str, files: int) -> None:
    sink = Sink(files)
    settings = RuntimesSettings(claude_dirs=(Path(folder),))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: watch_agents(sink, host="bench", settings=settings, counts=Counter()))
        async with trio.lowlevel.FdStream(os.dup(sys.stdin.fileno())) as stdin:
            while await stdin.receive_some():
                sink.say()
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(_main, sys.argv[1], int(sys.argv[2]))
