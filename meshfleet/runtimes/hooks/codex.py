"""Codex's hooks -> events. Pure, and by allow-list. Checked against 0.169.0.

| event | means |
|---|---|
| SessionStart | begun; `source` says whether again |
| UserPromptSubmit | prompted |
| PreToolUse, PostToolUse | a tool begins, has ended |
| PermissionRequest | a person is asked, which leaves no trace in the rollout |
| PreCompact, PostCompact | compacting |
| Stop | the turn is over |
| SessionEnd | over |

All else is in the rollout, exactly; hooks tell what is going on before it is written, and who waits.
"""

from __future__ import annotations

import msgspec

from meshfleet.runtimes.hooks.events import Event, Kind
from meshfleet.runtimes.record import name, project_of

_KINDS = {
    "SessionStart": Kind.BEGUN,
    "UserPromptSubmit": Kind.PROMPTED,
    "PreToolUse": Kind.TOOL,
    "PostToolUse": Kind.TOOL_ENDED,
    "PermissionRequest": Kind.ASKING,
    "PreCompact": Kind.COMPACTING,
    "PostCompact": Kind.COMPACTED,
    "Stop": Kind.TURN_OVER,
    "SessionEnd": Kind.OVER,
}
EVENTS = tuple(_KINDS)
"""What `connect` subscribes to."""


class _Said(msgspec.Struct, frozen=True, gc=False):
    session_id: str
    hook_event_name: str
    cwd: object = None
    source: object = None
    trigger: object = None
    model: object = None
    tool_name: object = None
    tool_use_id: object = None


_decoder = msgspec.json.Decoder(_Said)


def read(body: bytes) -> Event | None:
    """What the hook says; None where it is of no session. msgspec.DecodeError or UnicodeDecodeError where it is no hook
    of Codex's."""
    said = _decoder.decode(body)
    session = name(said.session_id)
    if session is None:
        return None
    kind = _KINDS.get(said.hook_event_name, Kind.SPOKE)
    return Event(
        kind=kind,
        session=session,
        call=_text(said.tool_use_id),
        tool=_text(said.tool_name),
        model=_text(said.model),
        project=project_of(said.cwd if isinstance(said.cwd, str) else None),
        again=said.trigger == "auto" if kind is Kind.COMPACTED else said.source in ("resume", "compact"),
    )


def _text(value: object) -> str | None:
    return name(value) if isinstance(value, str) else None
