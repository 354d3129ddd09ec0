"""From the begins and ends that a library tells of to agents that live: which of them each belongs to, what it adds up
to, what is counted twice.

Libraries tell of a tree: a run, in it requests and tool calls, in these perhaps another agent's run. Each thing belongs
to the agent of what it is in, unless it begins a run of an agent of its own. What has no parent and no name belongs to
the program.

**Once.** Two instrumentations may tell of one request, one inside of the other, and frameworks sum up what is inside.
So of things that lie in each other the innermost that tells tokens counts. A tool or a run between them is a border:
what a tool asks of a model is its own request.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakSet

import msgspec

from meshfleet.embed.activity import Kind
from meshfleet.embed.crew import CREW, program
from meshfleet.embed.here import HERE
from meshfleet.embed.quiet import failed as counted
from meshfleet.runtimes.record import name as clean

if TYPE_CHECKING:
    from collections.abc import Hashable

    from meshfleet.embed.agent import Agent
    from meshfleet.embed.crew import Crew
    from meshfleet.embed.tally import Request
    from meshfleet.fleet.state import Status

OPEN_LIMIT = 4_096
"""Things open at once, in one process. Beyond it the oldest counts as ended: a library that loses an end must not grow
our memory, nor leave a tool running for ever."""


@dataclass(slots=True)
class _Open:
    agent: Agent
    kind: Kind
    within: Hashable | None
    """What it lies in, of things that may tell the same tokens."""
    name: str | None
    """Its agent's, where it said one."""
    before: Agent | None
    """Whose the code was that began it: of a `@meshfleet.agent` round a run, and of what comes after that run."""
    counted: bool = False
    """Something in it told tokens."""
    model: str | None = None
    """What something in it said, that did not tell tokens."""


class Following:
    """One per library. Safe for threads; no call waits for anything but another such call."""

    def __init__(self, origin: str, crew: Crew = CREW) -> None:
        self._origin = origin
        self._crew = crew
        self._lock = threading.RLock()
        self._open: dict[Hashable, _Open] = {}
        _ALL.add(self)

    def forget(self) -> None:
        """In a forked child: what is open is the parent's, and the lock may be held by a thread that is not there."""
        self._lock = threading.RLock()
        self._open = {}

    def begin(
        self,
        key: Hashable,
        parent: Hashable | None,
        kind: Kind,
        *,
        agent: str | None = None,
        tool: str | None = None,
        runtime: str = "python",
        under: str | None = None,
    ) -> None:
        """Something begins. `agent`: whose it is, where it says so. `under`: the id of an agent that stands for the
        whole process. A part of nothing that is known is left alone."""
        with self._lock:
            above = None if parent is None else self._open.get(parent)
            if above is None and kind is Kind.PART:
                return
            if above is not None and kind is Kind.RUN and agent in (None, above.name):
                kind = Kind.PART  # a framework that tells of one run twice, or of a step as of a run
            whose = above.agent if above is not None and kind is not Kind.RUN else None
            if whose is None:
                over = under if above is None else above.agent.agent_id
                whose = self._crew.get(agent or program(), runtime=runtime, origin=self._origin, parent=over)
            if whose is None:
                return
            name = agent if above is None or kind is Kind.RUN else above.name
            while len(self._open) >= OPEN_LIMIT:
                counted["open_limit"] += 1
                self._drop(next(iter(self._open)))
            border = above is None or above.kind in (Kind.RUN, Kind.TOOL) or kind in (Kind.RUN, Kind.TOOL)
            self._open[key] = _Open(whose, kind, None if border else parent, name, HERE.get())
            whose.begin((self._origin, key), kind, (clean(tool) or "unnamed") if kind is Kind.TOOL else None)
            HERE.set(whose)

    def end(
        self,
        key: Hashable,
        parent: Hashable | None = None,
        request: Request | None = None,
        failed: Status | None = None,
    ) -> None:
        """It ends. `request`: what it told of tokens."""
        with self._lock:
            thing = self._open.pop(key, None)
            if thing is None:
                return
            above = None if parent is None else self._open.get(parent)
            HERE.set(thing.before if above is None else above.agent)
            if request is not None:
                self._count(thing, request, failed)
            thing.agent.end((self._origin, key), failed)

    def agent_of(self, key: Hashable) -> Agent | None:
        """Whose that is, while it is open."""
        with self._lock:
            thing = self._open.get(key)
            return None if thing is None else thing.agent

    def finish(self) -> None:
        """Nothing more comes: everything has ended."""
        with self._lock:
            for key in list(self._open):
                self._drop(key)

    def _count(self, thing: _Open, request: Request, failed: Status | None) -> None:
        if thing.counted:
            return
        above = self._open.get(thing.within)
        if request.tells_tokens or request.cost is not None:
            if request.model is None:
                request = msgspec.structs.replace(request, model=thing.model)
            thing.agent.count(request)
            while above is not None and not above.counted:
                above.counted = True
                above = self._open.get(above.within)
        elif above is not None:
            above.model = request.model or above.model
        elif failed is None and thing.kind is Kind.REQUEST:
            thing.agent.count(request)  # an answer that told nothing: from now on the cost is not known

    def _drop(self, key: Hashable) -> None:
        thing = self._open.pop(key)
        thing.agent.end((self._origin, key))


_ALL: WeakSet[Following] = WeakSet()


def _in_child() -> None:
    for following in list(_ALL):
        following.forget()


os.register_at_fork(after_in_child=_in_child)
