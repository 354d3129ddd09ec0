"""Claude Code's hooks -> events. Pure, and by allow-list. Checked against 2.1.197.

| event | means |
|---|---|
| SessionStart | begun; `source` says whether again |
| UserPromptSubmit | prompted |
| PreToolUse | a tool begins; AskUserQuestion and ExitPlanMode ask a person |
| PostToolUse, PostToolUseFailure | it has ended |
| PermissionRequest, Notification `permission_prompt`, Elicitation | a person is asked |
| PermissionDenied, ElicitationResult | answered |
| Stop, Notification `idle_prompt` | the turn is over |
| StopFailure | the turn failed; at a limit where `error` is `rate_limit` |
| PreCompact, PostCompact | compacting; after an automatic one the turn goes on |
| SubagentStart, SubagentStop | a sub-agent, an agent of its own |
| SessionEnd | over |

`idle_prompt` comes a minute after each turn that nobody followed up. It is no question: such a session is idle.
What a sub-agent does comes with its `agent_id`. A SubagentStop with an empty `agent_type` is of the errand that
compacts, for which nothing began.
"""

from __future__ import annotations

import msgspec

from meshfleet.runtimes.hooks.events import Event, Kind
from meshfleet.runtimes.record import name, project_of

EVENTS = (
    *("SessionStart", "UserPromptSubmit", "PreToolUse", "PostToolUse", "PostToolUseFailure", "PermissionRequest"),
    *("PermissionDenied", "Notification", "Elicitation", "ElicitationResult", "Stop", "StopFailure", "PreCompact"),
    *("PostCompact", "SubagentStart", "SubagentStop", "SessionEnd"),
)
"""What `connect` subscribes to: all that means something here, and nothing else, since each costs the session time."""

_KINDS = {
    "SessionStart": Kind.BEGUN,
    "UserPromptSubmit": Kind.PROMPTED,
    "PreToolUse": Kind.TOOL,
    "PostToolUse": Kind.TOOL_ENDED,
    "PostToolUseFailure": Kind.TOOL_ENDED,
    "PermissionRequest": Kind.ASKING,
    "PermissionDenied": Kind.ANSWERED,
    "Elicitation": Kind.ASKING,
    "ElicitationResult": Kind.ANSWERED,
    "Stop": Kind.TURN_OVER,
    "StopFailure": Kind.FAILED,
    "PreCompact": Kind.COMPACTING,
    "PostCompact": Kind.COMPACTED,
    "SubagentStart": Kind.SUB_BEGUN,
    "SubagentStop": Kind.SUB_OVER,
    "SessionEnd": Kind.OVER,
}
_NOTIFICATIONS = {
    "permission_prompt": Kind.ASKING,
    "elicitation_dialog": Kind.ASKING,
    "idle_prompt": Kind.TURN_OVER,
}


class _Said(msgspec.Struct, frozen=True, gc=False):
    """The allow-list. What is not here is skipped unread."""

    session_id: str
    hook_event_name: str
    cwd: object = None
    source: object = None
    trigger: object = None
    tool_name: object = None
    tool_use_id: object = None
    notification_type: object = None
    agent_id: object = None
    agent_type: object = None
    model: object = None
    error: object = None


_decoder = msgspec.json.Decoder(_Said)


def read(body: bytes) -> Event | None:
    """What the hook says; None where it is of no session. msgspec.DecodeError or UnicodeDecodeError where it is no hook
    of Claude Code's."""
    said = _decoder.decode(body)
    session = name(said.session_id)
    if session is None:
        return None
    kind = _kind(said)
    return Event(
        kind=kind,
        session=session,
        agent=_text(said.agent_id),
        call=_text(said.tool_use_id),
        tool=_text(said.tool_name),
        model=_text(said.model),
        project=project_of(said.cwd if isinstance(said.cwd, str) else None),
        again=said.trigger == "auto" if kind is Kind.COMPACTED else said.source in ("resume", "compact"),
    )


def _kind(said: _Said) -> Kind:
    event = said.hook_event_name
    if event == "Notification":
        told = said.notification_type
        return _NOTIFICATIONS.get(told, Kind.SPOKE) if isinstance(told, str) else Kind.SPOKE
    if event == "StopFailure" and said.error == "rate_limit":
        return Kind.LIMITED
    if event in ("SubagentStart", "SubagentStop") and said.agent_type == "":
        return Kind.SPOKE
    return _KINDS.get(event, Kind.SPOKE)


def _text(value: object) -> str | None:
    return name(value) if isinstance(value, str) else None
