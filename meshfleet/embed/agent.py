"""`meshfleet.Agent`: tells the fleet what one Python agent does.

    async with meshfleet.Agent("reviewer", model="claude-sonnet-4-5") as agent:
        agent.update(status="tool", active_tool="bash")

It works alike from asyncio, Trio and plain threads, because all it does in the agent's own thread is to replace one
value. It never raises into the agent, never waits and never slows it, be the node there or not.
"""

from __future__ import annotations

import atexit
import os
import platform
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Self, Unpack
from weakref import WeakSet

from meshfleet.embed.courier import Courier
from meshfleet.embed.fields import KNOWN, Fields, Said
from meshfleet.embed.mailbox import Mailbox
from meshfleet.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from meshfleet.node.trust import Identity

FAREWELL = 0.5
"""Seconds that `close` gives the last state to get out. The agent is over by then; its process may not be."""

log = get_logger("meshfleet.agent")


class Agent:
    """One agent, as its own process reports it.

    `node` is the base URL of the machine's node (default: MESHFLEET_NODE, else the one that runs here). One of another
    machine wants `key`, an API key with scope `agent` (default: MESHFLEET_API_KEY). With `member=True` the process
    becomes a gossip member of its own instead: then `invite` is the line that `meshfleet invite` printed, and what it
    brings is kept in `state_dir` if there is one; or an `identity` shows that it belongs to the fleet, and `join` names
    nodes of it.
    """

    def __init__(
        self,
        name: str,
        *,
        runtime: str = "python",
        node: str | None = None,
        key: str | None = None,
        member: bool = False,
        join: tuple[str, ...] = (),
        gossip: str = "127.0.0.1:0",
        identity: Identity | None = None,
        invite: str | None = None,
        state_dir: str | Path | None = None,
        **fields: Unpack[Fields],
    ) -> None:
        host = platform.node().partition(".")[0] or "localhost"
        self.agent_id = name if "/" in name else f"{host}/{name}"
        self.counts: Counter[str] = Counter()
        """`sent`, and what did not work: `unknown_field`, `invalid`, `unsent`, `refused`."""
        self._lock = threading.Lock()
        self._said = Said({"session": str(os.getpid())}, time.time())
        self._mailbox: Mailbox[Said] = Mailbox()
        self._thread: threading.Thread | None = None
        self._over = False
        self._run = self._way(runtime, node, key, member, join, gossip, identity, invite, state_dir)
        self.update(**fields)

    def _way(
        self,
        runtime: str,
        node: str | None,
        key: str | None,
        member: bool,
        join: tuple[str, ...],
        gossip: str,
        identity: Identity | None,
        invite: str | None,
        state_dir: str | Path | None,
    ) -> Callable[[], None]:
        if not member:
            return Courier(self.agent_id, runtime, node, self._mailbox, self.counts, key).run
        from meshfleet.embed.member import Inside  # brings Trio and the sockets along

        kept = None if state_dir is None else Path(state_dir)
        inside = Inside(
            self.agent_id,
            runtime,
            self._mailbox,
            self.counts,
            join=join,
            gossip=gossip,
            identity=identity,
            invite=invite,
            state_dir=kept,
        )
        return inside.run

    def update(self, **fields: Unpack[Fields]) -> None:
        """Say what changed; the rest stays as it was. Returns at once, always; what makes no sense is counted."""
        if self._over:
            return
        if not fields.keys() <= KNOWN:
            self._leave_out_unknown(fields)
        now = time.time()
        with self._lock:
            before = self._said
            since = before.tool_since
            if "active_tool" in fields and fields["active_tool"] != before.fields.get("active_tool"):
                since = now
            self._said = said = Said({**before.fields, **fields}, now, since)
            self._mailbox.put(said)

    def _leave_out_unknown(self, fields: Fields) -> None:
        unknown = sorted(fields.keys() - KNOWN)
        if not self.counts["unknown_field"]:
            log.warning("a field is not one of an agent's state and is left out", fields=", ".join(unknown))
        self.counts["unknown_field"] += len(unknown)
        for name in unknown:
            fields.pop(name)  # type: ignore[misc]  # what a caller without a type checker passed

    def start(self) -> Self:
        """Begin to report. A second call changes nothing."""
        if self._thread is None and not self._over:
            self._thread = threading.Thread(target=self._run, name=f"meshfleet {self.agent_id}", daemon=True)
            self._thread.start()
            _RUNNING.add(self)
        return self

    def close(self, exit_code: int = 0) -> None:
        """Say that the agent has exited, and stop reporting. Waits up to half a second for the word to get out."""
        self._end(exit_code)
        if self._thread is not None:
            self._thread.join(FAREWELL)

    def _end(self, exit_code: int) -> None:
        if not self._over:
            self.update(status="exited", exit_code=exit_code, active_tool=None)
            self._over = True
            self._mailbox.close()
            _RUNNING.discard(self)

    def forked(self) -> None:
        """In a forked child: the agent is the parent's; the child says nothing in its name."""
        self._over = True
        self._thread = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(_exit_code(error))

    async def __aenter__(self) -> Self:
        return self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Not waited for: an event loop may run here. The thread sends the last word; at the process's end it gets its
        # half second.
        self._end(_exit_code(error))
        if self._thread is not None:
            _ENDING.add(self._thread)


def _exit_code(error: BaseException | None) -> int:
    if error is None:
        return 0
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    return 1


_RUNNING: set[Agent] = set()
"""Started and not closed. Held here: an agent that nobody else holds runs on until its process ends."""
_ENDING: WeakSet[threading.Thread] = WeakSet()


def _at_exit() -> None:
    """The interpreter ends: every agent gets to say so, all together in half a second."""
    threads = [agent._thread for agent in list(_RUNNING) if agent._thread is not None]
    for agent in list(_RUNNING):
        agent._end(0)
    deadline = time.monotonic() + FAREWELL
    for thread in [*threads, *_ENDING]:
        thread.join(max(0.0, deadline - time.monotonic()))


def _in_child() -> None:
    for agent in list(_RUNNING):
        agent.forked()
    _RUNNING.clear()


atexit.register(_at_exit)
os.register_at_fork(after_in_child=_in_child)
