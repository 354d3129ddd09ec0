"""Agents made up for the demo: plausible figures that change every second or two. Each says so in its note, and in its
id, which every list of agents shows.

The same `random.Random` gives the same agents doing the same things, whatever the clock says.
"""

from __future__ import annotations

import time
from random import Random
from typing import TYPE_CHECKING

import msgspec
import trio

from meshfleet.fleet.names import AgentId
from meshfleet.fleet.state import AgentState, RateLimit, Status
from meshfleet.runtimes.record import rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshfleet.runtimes.sink import Sink

NOTE = "sample"
SHORTEST, LONGEST = 1.0, 2.0
"""Seconds between two changes of one agent."""


class _Kind(msgspec.Struct, frozen=True):
    """What a made-up agent looks like. Prices in USD per million tokens, close to the list; None where it is free."""

    runtime: str
    short: str
    model: str
    window: int
    tools: tuple[str, ...]
    price_in: float | None
    price_out: float | None
    limits: tuple[str, ...] = ()


_KINDS = (
    _Kind("claude-code", "claude", "claude-sonnet-4-5", 200_000, ("Bash", "Read", "Edit", "Grep", "Agent"), 0.9, 15.0),
    _Kind("codex", "codex", "gpt-5-codex", 272_000, ("exec_command", "view_image"), 0.4, 10.0, ("5h", "7d")),
    _Kind("gemini-cli", "gemini", "gemini-2.5-pro", 1_048_576, ("run_shell_command", "read_file"), 0.5, 10.0),
    _Kind("ollama", "ollama", "qwen3-coder:30b", 32_768, (), None, None),
    _Kind("python", "python", "claude-haiku-4-5", 200_000, ("search", "fetch"), 0.3, 5.0),
)

_PROJECTS = ("shop", "billing", "docs", "search", "ingest", "mobile")

_AFTER: dict[Status, tuple[tuple[Status, int], ...]] = {
    Status.STARTING: ((Status.WORKING, 1),),
    Status.WORKING: ((Status.TOOL, 6), (Status.WORKING, 3), (Status.IDLE, 2)),
    Status.TOOL: ((Status.TOOL, 4), (Status.WORKING, 6), (Status.WAITING, 1)),
    Status.WAITING: ((Status.WAITING, 3), (Status.TOOL, 1), (Status.WORKING, 1)),
    Status.IDLE: ((Status.IDLE, 2), (Status.WORKING, 1)),
}
"""What follows what, with its weight."""


class SampleAgent:
    """One made-up agent."""

    def __init__(self, host: str, number: int, rng: Random, now: float) -> None:
        self._rng = rng
        self._kind = kind = _KINDS[number % len(_KINDS)]
        session = f"{rng.getrandbits(32):08x}"
        self._tool_at: float | None = None
        limits = tuple(
            RateLimit(
                key=f"{kind.short}:sample", window=window, used_pct=float(rng.randrange(5, 60)), resets_at=rfc3339(at)
            )
            for window, at in zip(kind.limits, (now + 3 * 3600, now + 4 * 86_400), strict=False)
        )
        self.state = AgentState(
            agent_id=AgentId(f"{host}/{NOTE}-{kind.short}-{session}"),
            timestamp=rfc3339(now),
            status=Status.STARTING,
            runtime=kind.runtime,
            model=kind.model,
            project=rng.choice(_PROJECTS),
            session=session,
            context_pct=0.0,
            context_tokens=0,
            context_limit=kind.window,
            tokens_in=0,
            tokens_out=0,
            cost_usd=None if kind.price_in is None else 0.0,
            rate_limits=limits,
            note=NOTE,
        )

    def step(self, now: float) -> AgentState:
        """What it does next."""
        nexts, weights = zip(*_AFTER[self.state.status], strict=True)
        status: Status = self._rng.choices(nexts, weights)[0]
        if status is Status.TOOL and not self._kind.tools:
            status = Status.WORKING
        state = msgspec.structs.replace(self.state, timestamp=rfc3339(now), status=status)
        if status is Status.WORKING:
            state = self._answered(state)
        self.state = self._with_tool(state, now)
        return self.state

    def _answered(self, state: AgentState) -> AgentState:
        kind, rng = self._kind, self._rng
        context = (state.context_tokens or 0) + rng.randrange(200, max(400, kind.window // 40))
        if context > 0.92 * kind.window:
            context = rng.randrange(kind.window // 20, kind.window // 8)  # compacted
        answer = rng.randrange(50, 900)
        cost = state.cost_usd
        if cost is not None and kind.price_in is not None and kind.price_out is not None:
            cost = round(cost + (context * kind.price_in + answer * kind.price_out) / 1e6, 6)
        return msgspec.structs.replace(
            state,
            context_tokens=context,
            context_pct=round(100 * context / kind.window, 1),
            tokens_in=(state.tokens_in or 0) + context,
            tokens_out=(state.tokens_out or 0) + answer,
            cost_usd=cost,
        )

    def _with_tool(self, state: AgentState, now: float) -> AgentState:
        if state.status not in (Status.TOOL, Status.WAITING):
            return msgspec.structs.replace(state, active_tool=None, active_tool_since=None)
        if state.active_tool is None:
            tool = self._rng.choice(self._kind.tools)
            return msgspec.structs.replace(state, active_tool=tool, active_tool_since=rfc3339(now))
        return state


async def sample_agents(
    sink: Sink, *, host: str, rng: Random | None = None, count: int = 2, wall: Callable[[], float] = time.time
) -> None:
    """Publish `count` made-up agents of different runtimes under `host`, and change them, until cancelled.

    Without `rng` each run has others: the nodes of a demo share a host, and each must make up agents of its own.
    """
    rng = Random() if rng is None else rng
    agents = [SampleAgent(host, rng.randrange(len(_KINDS)) + number, rng, wall()) for number in range(count)]
    for agent in agents:
        sink.publish(agent.state)
    while True:
        for agent in agents:
            await trio.sleep(rng.uniform(SHORTEST, LONGEST) / len(agents))
            sink.publish(agent.step(wall()))
