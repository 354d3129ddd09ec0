"""The agents of this process that were not made by hand: by name, made when they first do something, bounded."""

from __future__ import annotations

import os
import re
import sys
import threading
from pathlib import Path

from meshfleet.embed.agent import Agent
from meshfleet.embed.quiet import failed

CREW_LIMIT = 32
"""Agents of one process. Each has a thread and a connection; a program that names its agents by the request would
otherwise have one for each. Beyond it the one that was idle longest ends, and comes back when it does something."""

NAME_LIMIT = 48
"""Characters of a name that go into an agent's id."""

_UNFIT = re.compile(r"[^A-Za-z0-9._@-]+")


class Crew:
    """Agents by name. Safe for threads."""

    def __init__(self, limit: int = CREW_LIMIT) -> None:
        self._limit = limit
        self._lock = threading.RLock()
        self._agents: dict[str, Agent] = {}

    def get(
        self, name: str, *, runtime: str = "python", origin: str = "agent", parent: str | None = None, own: bool = True
    ) -> Agent | None:
        """The agent of that name, started. `own`: its id tells this process from others that run the same program.
        None where all are busy and there is no place for one more; `quiet.failed` counts that."""
        with self._lock:
            agent = self._agents.pop(name, None)
            if agent is None or agent.over:
                if len(self._agents) >= self._limit and not self._make_room():
                    failed["crew_full"] += 1
                    return None
                agent = Agent(
                    f"{fit(name)}-{os.getpid()}" if own else name, runtime=runtime, origin=origin, parent=parent
                ).start()
                agent.update(status="idle")
            self._agents[name] = agent  # at the end: what was used longest ago stands first
            return agent

    def _make_room(self) -> bool:
        for name, agent in self._agents.items():
            if not agent.busy:
                del self._agents[name]
                agent.finish()
                return True
        return False

    def finish(self) -> None:
        """Every agent has exited."""
        with self._lock:
            for agent in self._agents.values():
                agent.finish()
            self._agents.clear()

    def forget(self) -> None:
        """In a forked child: they are the parent's."""
        self._lock = threading.RLock()
        self._agents = {}


CREW = Crew()
os.register_at_fork(after_in_child=CREW.forget)


def fit(name: str) -> str:
    """`name` as it may stand in an agent's id."""
    return _UNFIT.sub("-", name)[:NAME_LIMIT].strip("-._@") or "agent"


def program() -> str:
    """What this process is called, where no agent has a name: its script's, never its path."""
    return fit(Path(sys.argv[0] if sys.argv else "").stem) if sys.argv and sys.argv[0] not in ("", "-c") else "python"
