"""What is known of a session, at one moment -> its AgentState. Pure; `now` is handed in.

The status is what the file says, unless something knows better:

    process ended, or no process where there must be one    exited
    process says `waiting`                                   waiting: a permission prompt or a question
    process says `idle` after the file's last word           idle: a turn that was broken off, a command of the terminal
    process says `busy` after the file said idle             working
    process says `busy` after hooks said that it asks        the tool runs that was asked for
    answered, with no word on the turn's end, quiet          idle
    a run that is not interactive, and its turn is over      exited
    process not known, and silent for long                   exited
"""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING

import msgspec

from meshfleet.fleet.names import AGENT_ID_LIMIT, AgentId
from meshfleet.fleet.state import AgentState, Status
from meshfleet.runtimes import claude_code, codex, gemini_cli, opencode
from meshfleet.runtimes.processes import SINCE, Presence
from meshfleet.runtimes.record import SessionRecord, rfc3339
from meshfleet.runtimes.trend import Growth

if TYPE_CHECKING:
    from meshfleet.runtimes.merging import Merged
    from meshfleet.runtimes.settings import RuntimesSettings

QUIET = 20.0
"""Seconds after which an answer that says nothing of the turn's end counts as its end. In a turn that goes on, the next
tool or answer follows the text within a few seconds; one that takes longer shows as working again."""

UNREGISTERED = 300.0
"""Seconds of silence after which a session exited that should have a process file and has none. Not at once: some ways
of running Claude Code may not write one."""

_SHORT = {claude_code.RUNTIME: "claude", gemini_cli.RUNTIME: "gemini"}
"""How agents' ids begin, where not with the name of their runtime."""


class Process(Enum):
    """What is known of a session's process, where it doesn't live."""

    UNKNOWN = "unknown"
    ENDED = "ended"
    """It lived when it was last looked at."""
    ARCHIVED = "archived"
    """Somebody put the session away."""


class Judged(msgspec.Struct, frozen=True):
    """A status, where it comes from, and since when."""

    status: Status
    source: str
    at: float


def agent_id_of(host: str, record: SessionRecord, digits: int = 8) -> AgentId:
    """`HOST/claude-1f3c9a02`, or the id that the agent was given. Most session ids are random throughout; Codex's and
    opencode's begin with the time, and those of Gemini CLI's sub-agents with what the agent is called."""
    if record.agent is not None:
        return AgentId(record.agent)
    bare = re.sub(r"[^A-Za-z0-9._:@]", "", record.session) or "0"
    last = record.runtime in (codex.RUNTIME, opencode.RUNTIME) or (
        record.runtime == gemini_cli.RUNTIME and record.parent is not None
    )
    part = bare[-digits:] if last else bare[:digits]
    short = f"{_SHORT.get(record.runtime, record.runtime)}-{part}"
    clean = re.sub(r"[^A-Za-z0-9._:@-]", "-", record.host or host).lstrip("._:@-") or "host"
    return AgentId(f"{clean[: AGENT_ID_LIMIT - len(short) - 1]}/{short}")


def judge(record: SessionRecord, process: Presence | Process, now: float, settings: RuntimesSettings) -> Judged:
    """What the session does at `now`; the table above, in its order."""
    silent = now - (record.last_at if record.last_at is not None else now)
    if record.status is Status.EXITED and not isinstance(process, Presence):
        return Judged(Status.EXITED, f"reported:{record.source}", record.status_at)
    if process is Process.ENDED:
        return Judged(Status.EXITED, "inferred:its process ended", record.last_at or now)
    if process is Process.ARCHIVED:
        return Judged(Status.EXITED, "inferred:archived", record.last_at or now)
    if isinstance(process, Presence):
        said = _said(record, process)
        if said is not None:
            return said
    elif (gone := _gone(record, silent, now, settings)) is not None:
        return gone
    if record.open_ended and silent > QUIET and not (isinstance(process, Presence) and process.status == "busy"):
        return Judged(Status.IDLE, "inferred:quiet after an answer", record.status_at)
    return Judged(record.status or Status.STARTING, f"reported:{record.source}", record.status_at)


def _gone(record: SessionRecord, silent: float, now: float, settings: RuntimesSettings) -> Judged | None:
    """Signs of an end, where no process is known."""
    if record.runtime == claude_code.RUNTIME and record.version >= SINCE and silent > UNREGISTERED:
        return Judged(Status.EXITED, "inferred:it has no process", (record.last_at or now) + UNREGISTERED)
    if record.one_shot and record.status is Status.IDLE:
        return Judged(Status.EXITED, "inferred:its only turn is over", record.status_at)
    if silent > settings.silent_exit:
        return Judged(Status.EXITED, "inferred:long silence", (record.last_at or now) + settings.silent_exit)
    return None


def _said(record: SessionRecord, process: Presence) -> Judged | None:
    later = process.status_at >= record.status_at
    match process.status:
        case "waiting":
            return Judged(Status.WAITING, "reported:process file", process.status_at)
        case "idle" | "shell" if later and record.status not in (Status.ERROR, Status.RATE_LIMITED):
            return Judged(Status.IDLE, "reported:process file", process.status_at)
        case "busy" if later and record.status in (Status.STARTING, Status.IDLE):
            return Judged(Status.WORKING, "reported:process file", process.status_at)
        case "busy" if later and record.status is Status.WAITING and record.tool not in claude_code.ASKING:
            # Hooks tell that a person is asked, and not that it was granted.
            doing = Status.TOOL if record.tool is not None else Status.WORKING
            return Judged(doing, "reported:process file", process.status_at)
    return None


def agent_state(
    agent_id: AgentId,
    told: Merged,
    judged: Judged,
    now: float,
    *,
    parent: AgentId | None = None,
    growth: Growth | None = None,
) -> AgentState:
    """The state to publish."""
    record = told.record
    growth = Growth() if growth is None else growth
    sources = {"status": judged.source, **told.sources}
    if growth.slope is not None:
        sources["context_trend_pct_per_min"] = "inferred"
    granted = judged.status is Status.TOOL and record.status is Status.WAITING
    tool_at = judged.at if granted else record.tool_at  # what a person took to answer is no time of the tool's
    busy = judged.status in (Status.TOOL, Status.WAITING) and record.tool is not None
    usage = record.usage
    return AgentState(
        agent_id=agent_id,
        timestamp=rfc3339(record.last_at if record.last_at is not None else now),
        status=judged.status,
        runtime=record.runtime,
        model=record.model,
        project=record.project,
        session=record.session,
        parent=parent,
        context_pct=percent(record.context_tokens, record.context_limit),
        context_tokens=record.context_tokens,
        context_limit=record.context_limit,
        context_trend_pct_per_min=growth.slope,
        context_full_in_s=growth.full_in,
        tokens_in=usage.prompt if usage is not None else None,
        tokens_out=usage.output if usage is not None else None,
        tokens_cache_read=usage.cache_read if usage is not None else None,
        tokens_cache_write=usage.cache_write if usage is not None else None,
        cost_usd=round(record.cost, 6) if record.cost is not None else None,
        active_tool=record.tool if busy else None,
        active_tool_since=rfc3339(tool_at) if busy and tool_at else None,
        rate_limits=record.rate_limits,
        exit_code=record.exit_code if judged.status is Status.EXITED else None,
        sources=sources,
    )


def percent(tokens: int | None, limit: int | None) -> float | None:
    """How full the context is, to a tenth."""
    return None if tokens is None or not limit else round(100 * tokens / limit, 1)
