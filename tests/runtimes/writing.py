"""Lines as the runtimes write them, made by hand, and what tests read them with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from meshfleet.runtimes.processes import Presence
from meshfleet.runtimes.record import rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from meshfleet.fleet.names import AgentId
    from meshfleet.fleet.state import AgentState
    from meshfleet.fleet.usage import Moment
    from meshfleet.runtimes.usage import Usage

DATA = Path(__file__).parent / "data"

T0 = 1_795_000_000.0
"""2026-11-18, 11:06:40 UTC: when sessions made by hand begin."""

SESSION = "1f3c9a02-5a4b-4c1d-8e2f-0123456789ab"
THREAD = "01a20abf-f473-7470-83e4-63e40b1178c5"


class Flat:
    """A price list that can be checked in one's head: a dollar per output token; `secret-model` has no price."""

    def cost(self, model: str, usage: Usage, at: float) -> float | None:
        return None if model == "secret-model" else float(usage.output)

    def window(self, model: str) -> int | None:
        return {"m-200k": 200_000, "m-1k": 1000}.get(model)


class Recorder:
    """A sink that remembers, and can be waited for."""

    def __init__(self) -> None:
        self.states: list[AgentState] = []
        self.now: dict[str, AgentState] = {}
        self.withdrawn: list[AgentId] = []
        self.renamed: list[tuple[AgentId, AgentId]] = []
        self.recalled: dict[str, tuple[Moment, ...]] = {}
        self._changed = trio.Event()

    def publish(self, state: AgentState) -> None:
        self.states.append(state)
        self.now[state.agent_id] = state
        self._wake()

    def withdraw(self, agent_id: AgentId) -> None:
        self.withdrawn.append(agent_id)
        self.now.pop(agent_id, None)
        self._wake()

    def carried(self, agent_id: AgentId) -> AgentState | None:
        return self.now.get(agent_id)

    def recall(self, state: AgentState, course: Sequence[Moment]) -> None:
        self.recalled[state.agent_id] = tuple(course)

    def rename(self, agent_id: AgentId, to: AgentId) -> None:
        self.renamed.append((agent_id, to))
        self.withdraw(agent_id)

    async def until(self, holds: Callable[[dict[str, AgentState]], bool]) -> None:
        """Wait until `holds` says so of the agents that are shown."""
        with trio.fail_after(10):
            while not holds(self.now):
                self._changed = trio.Event()
                await self._changed.wait()

    def _wake(self) -> None:
        self._changed.set()


class Living:
    """A process table in which exactly these pids live."""

    def __init__(self, *pids: int) -> None:
        self.pids = set(pids)

    def lives(self, pid: int, started: str | None) -> bool:
        return pid in self.pids


def presence(status: str | None, at: float, session: str = SESSION) -> Presence:
    return Presence(session=session, pid=7, status=status, status_at=at)


def line(**record: object) -> bytes:
    return json.dumps(record).encode()


# Claude Code


def prompt(at: float = T0, text: str = "CANARY", **more: object) -> bytes:
    message = {"role": "user", "content": text}
    return line(type="user", timestamp=rfc3339(at), sessionId=SESSION, cwd="/home/canary/shop", message=message, **more)


def answer(
    at: float,
    message: str,
    *,
    tools: dict[str, str] | None = None,
    stop: str | None = "end_turn",
    fresh: int = 0,
    read: int = 0,
    write: int = 0,
    out: int = 0,
    model: str = "m-200k",
    **more: object,
) -> bytes:
    """A block of an answer: with `tools` (call id -> name) calls, else text."""
    content: list[dict[str, object]] = [
        {"type": "tool_use", "id": call, "name": name, "input": {"command": "CANARY"}}
        for call, name in (tools or {}).items()
    ]
    usage = {
        "input_tokens": fresh,
        "cache_read_input_tokens": read,
        "cache_creation_input_tokens": write,
        "output_tokens": out,
    }
    said = {
        "id": message,
        "model": model,
        "stop_reason": "tool_use" if tools else stop,
        "content": content or [{"type": "text", "text": "CANARY"}],
        "usage": usage,
    }
    record = {"type": "assistant", "timestamp": rfc3339(at), "sessionId": SESSION, "requestId": "r-" + message}
    return line(**{**record, "message": said, **more})


def result(at: float, *calls: str, **more: object) -> bytes:
    content = [{"type": "tool_result", "tool_use_id": call, "content": "CANARY"} for call in calls]
    message = {"role": "user", "content": content}
    return line(type="user", timestamp=rfc3339(at), sessionId=SESSION, message=message, **more)


def system(at: float, subtype: str, **more: object) -> bytes:
    return line(type="system", subtype=subtype, timestamp=rfc3339(at), sessionId=SESSION, **more)


# Codex


def codex(at: float, kind: str, **payload: object) -> bytes:
    return line(timestamp=rfc3339(at), type=kind, payload=payload)


def meta(at: float = T0, **more: object) -> bytes:
    said = {"id": THREAD, "timestamp": rfc3339(at), "cwd": "/home/canary/shop", "cli_version": "0.50.0", **more}
    return codex(at, "session_meta", **said)


def event(at: float, kind: str, **more: object) -> bytes:
    return line(timestamp=rfc3339(at), type="event_msg", payload={"type": kind, **more})


def item(at: float, kind: str, **more: object) -> bytes:
    return line(timestamp=rfc3339(at), type="response_item", payload={"type": kind, **more})


def tokens(prompt: int, out: int, cached: int = 0) -> dict[str, int]:
    return {
        "input_tokens": prompt,
        "cached_input_tokens": cached,
        "output_tokens": out,
        "total_tokens": prompt + out,
    }


def token_count(at: float, total: dict[str, int], last: dict[str, int] | None = None, **more: object) -> bytes:
    info: dict[str, object] = {"total_token_usage": total, "model_context_window": 272_000}
    if last is not None:
        info["last_token_usage"] = last
    return event(at, "token_count", info=info, **more)
