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
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Self, Unpack, cast
from weakref import WeakSet

import msgspec

from meshfleet.embed.activity import Activity, Kind
from meshfleet.embed.courier import Courier
from meshfleet.embed.fields import KNOWN, Fields, Said, new_session
from meshfleet.embed.mailbox import Mailbox
from meshfleet.embed.quiet import quietly
from meshfleet.embed.readings import Readings
from meshfleet.embed.tally import Request, Tally
from meshfleet.embed.work import Work
from meshfleet.fleet.state import Status
from meshfleet.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from types import TracebackType

    from meshfleet.fleet.state import RateLimit
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
    nodes of it. `origin` is whose word its fields are, where it is not the agent's own.
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
        origin: str = "agent",
        **fields: Unpack[Fields],
    ) -> None:
        host = platform.node().partition(".")[0] or "localhost"
        self.agent_id = name if "/" in name else f"{host}/{name}"
        self.counts: Counter[str] = Counter()
        """`sent`, and what did not work: `unknown_field`, `invalid`, `unsent`, `refused`."""
        # Reentrant: a generator that the collector ends while the lock is held may end something of this agent.
        self._lock = threading.RLock()
        self._tally = Tally()
        self._readings = Readings()
        self._activity = Activity()
        session = {"session": new_session(os.getpid())}
        self._said = Said(session, time.time(), origin=origin, tally=self._tally, readings=self._readings)
        self._mailbox: Mailbox[Said] = Mailbox()
        self._thread: threading.Thread | None = None
        self._over = False
        self._runs = False
        """Whether it said of anything but a tool that it begins."""
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
            self._said = said = msgspec.structs.replace(
                before, fields={**before.fields, **fields}, at=now, tool_since=since
            )
            self._mailbox.put(said)

    # What it does, said as it happens

    def tool(self, name: str) -> Work:
        """`with agent.tool("bash"):` shows the tool while the block runs; `async with` does the same. Tools may run
        side by side: the one that has run longest shows."""
        return Work(self, Kind.TOOL, name)

    def run(self) -> Work:
        """`with agent.run():` is one piece of work: `working` in it, `idle` after it, `error` after an exception."""
        return Work(self, Kind.RUN)

    def used(
        self,
        *,
        input: int | None = None,
        output: int | None = None,
        cache_read: int | None = None,
        cache_write: int | None = None,
        model: str | None = None,
        provider: str | None = None,
        cost: float | None = None,
    ) -> None:
        """A model answered: what it took, in tokens, is added up. `input` is the whole prompt, with what the cache gave
        (`cache_read`) and took (`cache_write`); it is also how full the context is. `cost` in USD, where it is known;
        else it is priced, where genai-prices is installed and knows `model`, by default the agent's."""
        if model is None:
            said = self._said.fields.get("model")
            model = said if isinstance(said, str) else None
        self.count(
            Request(
                input=input,
                output=output,
                cache_read=cache_read,
                cache_write=cache_write,
                model=model,
                provider=provider,
                cost=cost,
            )
        )

    # The same, for who has begin and end in two places

    @quietly
    def begin(self, key: Hashable, kind: Kind, tool: str | None = None) -> None:
        """Something begins, that `end(key)` ends."""
        if self._over:  # in a forked child, too, where somebody may hold the lock who is not there
            return
        with self._lock:
            self._activity.begin(key, kind, time.time(), tool)
            self._show()

    @quietly
    def end(self, key: Hashable, failed: Status | None = None) -> None:
        """It ends, well or as `failed` says. Unknown keys change nothing."""
        if self._over:
            return
        with self._lock:
            self._activity.end(key, failed)
            self._show()

    @quietly
    def count(self, request: Request) -> None:
        """A request to a model was answered."""
        if self._over:
            return
        with self._lock:
            self._tally.add(request, time.time())
            self.update(**cast("Fields", self._tally.fields()))

    @quietly
    def limited(self, provider: str, key: str, limits: tuple[RateLimit, ...]) -> None:
        """`provider` said of the API key `key` how much of its limits is used. The key goes no further than its
        fingerprint: docs/security.md."""
        self._readings.add(provider, key, limits)
        self.update()

    @property
    def over(self) -> bool:
        """Whether it has said its last word."""
        return self._over

    @property
    def busy(self) -> bool:
        """Whether a run, a request or a tool has begun and not ended."""
        return self._activity.busy

    def _show(self) -> None:
        # An agent that never spoke of runs is at work whenever it has no tool: only it knows when it is idle.
        self._runs = self._runs or self._activity.busy_with_other_than_tools
        fields = self._activity.fields(Status.IDLE if self._runs else Status.WORKING)
        said = self._said.fields
        if any(said.get(name, self) != value for name, value in fields.items()):
            self.update(**cast("Fields", fields))

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

    def finish(self, exit_code: int = 0) -> None:
        """As `close`, without waiting: the word gets out by itself, at the latest in the process's last half second."""
        self._end(exit_code)
        if self._thread is not None:
            _ENDING.add(self._thread)

    def _end(self, exit_code: int | None) -> None:
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
        self.finish(_exit_code(error))


def _exit_code(error: BaseException | None) -> int:
    if error is None:
        return 0
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    return 1


def _code_at_exit() -> int | None:
    """What the interpreter ends with, as far as it tells: 1 after an exception that nobody caught. `sys.exit(3)` leaves
    no trace, and a prompt keeps the last exception of many."""
    failed = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)  # before Python 3.12 the second alone
    return None if failed is None or hasattr(sys, "ps1") else 1


_RUNNING: set[Agent] = set()
"""Started and not closed. Held here: an agent that nobody else holds runs on until its process ends."""
_ENDING: WeakSet[threading.Thread] = WeakSet()


def _at_exit() -> None:
    """The interpreter ends: every agent gets to say so, all together in half a second."""
    threads = [agent._thread for agent in list(_RUNNING) if agent._thread is not None]
    for agent in list(_RUNNING):
        agent._end(_code_at_exit())
    deadline = time.monotonic() + FAREWELL
    for thread in [*threads, *_ENDING]:
        thread.join(max(0.0, deadline - time.monotonic()))


def _in_child() -> None:
    for agent in list(_RUNNING):
        agent.forked()
    _RUNNING.clear()


atexit.register(_at_exit)
os.register_at_fork(after_in_child=_in_child)
