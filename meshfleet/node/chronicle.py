"""What happened in the fleet, as this node saw it: the last few thousand lines in memory, and in a file over restarts.

The file is `events.jsonl` in the state dir, a line of JSON each; at a mebibyte it becomes `events.1.jsonl`, whose own
predecessor goes. What can't be written is kept in memory, said once, and counted.
"""

from __future__ import annotations

import os
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING

import msgspec
import trio

from meshfleet.errors import WireError
from meshfleet.fleet.happening import Happened, Happening
from meshfleet.fleet.presence import Presence
from meshfleet.fleet.standing import Standing
from meshfleet.fleet.state import AgentState, Status
from meshfleet.gossip.events import Arrived, CastOut, Event, Forgotten, Joined, Judged, Restarted, Stands
from meshfleet.logs import get_logger
from meshfleet.node.viewing import rfc3339
from meshfleet.wire.accounts import RESERVED
from meshfleet.wire.codec import decode_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from meshfleet.node.node import Node

FILE = "events.jsonl"
OLDER = "events.1.jsonl"

KEPT = 4_000
"""Lines in memory: some 1 MB."""

FILE_LIMIT = 1024 * 1024
"""Bytes of one file; there are two at most."""

WRITE_EVERY = 1.0
"""Seconds of lines that a crash may lose."""

AGENTS_KNOWN = 10_000
"""Agents whose last status is kept in mind; the one that was told of longest ago goes first."""

_TOLD = {
    Status.WAITING: (Happened.WAITING, "waits for a person"),
    Status.RATE_LIMITED: (Happened.RATE_LIMITED, "has used up a rate limit"),
    Status.ERROR: (Happened.ERROR, "met an error"),
}

_log = get_logger("meshfleet.node")


class Chronicle:
    """Watches one node, and tells what it saw. `folder`: None keeps nothing over restarts."""

    def __init__(self, node: Node, wall: Callable[[], float], folder: Path | None) -> None:
        self._node = node
        self._wall = wall
        self._folder = folder
        self._lines: deque[Happening] = deque(maxlen=KEPT)
        self._unwritten: list[Happening] = []
        self._statuses: dict[str, Status] = {}
        self._complained = False
        self._last = 0
        self._due = trio.Event()
        """Set while there is something to write."""
        self._news = trio.Event()
        """Set, and replaced by another, at each line."""

    @property
    def last(self) -> int:
        """Id of the newest line; 0 where there is none."""
        return self._last

    def after(self, last: int, limit: int) -> list[Happening]:
        """The oldest `limit` lines with a greater id, of those that are still known."""
        return list(islice((line for line in self._lines if line.id > last), limit))

    def newest(self, limit: int) -> list[Happening]:
        """The newest `limit` lines, oldest first."""
        return list(self._lines)[-limit:]

    async def changed(self, last: int) -> None:
        """Return once there is a line with a greater id."""
        while self._last <= last:
            await self._news.wait()

    async def run(self) -> None:
        """Watch until cancelled; what was seen by then is in the file."""
        if self._folder is not None:
            for line in await trio.to_thread.run_sync(_read, self._folder):
                self._lines.append(line)
                self._last = max(self._last, line.id)
        self._tell(Happened.STARTED, self._node.name, "began to watch")
        self._node.watch(self._on_event)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._follow_own)
                while True:
                    await self._due.wait()
                    await self._write()
                    await trio.sleep(WRITE_EVERY)
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
                await self._write()

    # What is told

    def _on_event(self, event: Event) -> None:
        match event:
            case Joined():
                self._tell(Happened.JOINED, event.name, "joined")
            case Restarted():
                self._tell(Happened.RESTARTED, event.name, "began a new life")
            case Judged():
                self._judged(event)
            case Stands():
                self._stands(event)
            case CastOut():
                self._tell(Happened.CAST_OUT, event.revoked.name, "was cast out by the fleet's owner")
            case Arrived() if event.snapshot.agent.startswith(RESERVED):
                pass  # what nodes tell each other
            case Arrived() if not event.snapshot.withdrawn:
                try:
                    state = decode_state(event.snapshot.body)
                except WireError:
                    return
                self._agent(event.snapshot.agent, event.snapshot.node, state)
            case Arrived():
                self._statuses.pop(event.snapshot.agent, None)
            case Forgotten():
                pass  # its tombstone expired: what there was to tell was told
            case _:
                pass

    def _judged(self, event: Judged) -> None:
        presence, before = event.verdict.presence, event.before.presence
        why = "".join(f": {reason}" for reason in event.verdict.reasons[:1])
        match presence:
            case Presence.DOWN:
                self._tell(Happened.DOWN, event.name, f"is down, {(event.verdict.certainty or presence).value}{why}")
            case Presence.UNREACHABLE:
                self._tell(Happened.UNREACHABLE, event.name, f"is unreachable{why}")
            case Presence.LEFT:
                self._tell(Happened.LEFT, event.name, f"left{why}")
            case Presence.FRESH if before in (Presence.DOWN, Presence.UNREACHABLE, Presence.LEFT):
                self._tell(Happened.BACK, event.name, f"is back; it was {before.value}")
            case _:
                pass  # a moment's silence is no story

    def _stands(self, event: Stands) -> None:
        now = event.now.standing
        if now is Standing.DEGRADED or (now is Standing.CONNECTED and event.before.standing is Standing.DEGRADED):
            return  # as busy machines are now and then
        why = "".join(f": {reason}" for reason in event.now.reasons[:1])
        self._tell(Happened.STANDING, self._node.name, f"stands {now.value}{why}")

    async def _follow_own(self) -> None:
        """Of its own agents nothing arrives."""
        while True:
            version = self._node.version()
            own = self._node.own_agents()
            for agent in own:
                self._agent(agent.agent_id, self._node.name, agent.state)
            await trio.sleep(WRITE_EVERY / 4)
            await self._node.changed(version)

    def _agent(self, agent: str, node: str, state: AgentState) -> None:
        before, status = self._statuses.pop(agent, None), state.status
        self._statuses[agent] = status
        if len(self._statuses) > AGENTS_KNOWN:
            del self._statuses[next(iter(self._statuses))]
        if before is status:
            return
        if before is None and status is not Status.EXITED:
            self._tell(Happened.APPEARED, agent, f"appeared, {state.runtime}", node)
        if status is Status.EXITED and before is not None:
            code = "" if state.exit_code is None else f" with code {state.exit_code}"
            self._tell(Happened.EXITED, agent, f"exited{code}", node)
        elif status in _TOLD:
            kind, text = _TOLD[status]
            self._tell(kind, agent, text, node)

    def _tell(self, kind: Happened, subject: str, text: str, node: str | None = None) -> None:
        self._last += 1
        line = Happening(id=self._last, at=rfc3339(self._wall()), kind=kind, subject=subject, text=text, node=node)
        self._lines.append(line)
        if self._folder is not None:
            self._unwritten.append(line)
            del self._unwritten[:-KEPT]
            self._due.set()
        self._news.set()
        self._news = trio.Event()

    # The file

    async def _write(self) -> None:
        lines, self._unwritten = self._unwritten, []
        self._due = trio.Event()
        if self._folder is None or not lines:
            return
        data = b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
        try:
            await trio.to_thread.run_sync(_append, self._folder, data)
            self._complained = False
        except OSError as error:
            self._node.counts["events_unsaved"] += len(lines)
            if not self._complained:
                _log.error("what happens can't be written down; it is lost with a restart", error=error.strerror)
            self._complained = True


def _append(folder: Path, data: bytes) -> None:
    path = folder / FILE
    if path.exists() and path.stat().st_size + len(data) > FILE_LIMIT:
        path.replace(folder / OLDER)
    with open(path, "ab", opener=_private) as file:
        file.write(data)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def _read(folder: Path) -> list[Happening]:
    """The newest lines of both files. A line that is none is passed over: the last one may be half written."""
    found: list[Happening] = []
    for name in (OLDER, FILE):
        try:
            text = (folder / name).read_bytes()[-2 * FILE_LIMIT :]
        except OSError:
            continue
        found += _lines(text)
    return found[-KEPT:]


def _lines(text: bytes) -> Iterator[Happening]:
    for line in text.split(b"\n"):
        try:
            yield msgspec.json.decode(line, type=Happening)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
