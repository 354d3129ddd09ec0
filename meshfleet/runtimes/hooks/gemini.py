"""Gemini CLI's hooks -> events. Pure, and by allow-list. Checked against 0.61.0.

| event | means |
|---|---|
| SessionStart | begun |
| BeforeAgent, AfterAgent | prompted; the turn is over |
| BeforeTool, AfterTool | a tool begins, has ended; calls have no id, so that the oldest of the same name ends |
| Notification `ToolPermission` | a person is asked |
| SessionEnd | over |

BeforeModel and AfterModel carry the whole conversation, PreCompress comes before each request, compacting or not: none
of them is subscribed to.
"""

from __future__ import annotations

import msgspec

from meshfleet.runtimes.hooks.events import Event, Kind
from meshfleet.runtimes.record import name, project_of

_KINDS = {
    "SessionStart": Kind.BEGUN,
    "BeforeAgent": Kind.PROMPTED,
    "AfterAgent": Kind.TURN_OVER,
    "BeforeTool": Kind.TOOL,
    "AfterTool": Kind.TOOL_ENDED,
    "Notification": Kind.SPOKE,
    "SessionEnd": Kind.OVER,
}
EVENTS = tuple(_KINDS)
"""What `connect` subscribes to."""


class _Said(msgspec.Struct, frozen=True, gc=False):
    session_id: str
    hook_event_name: str
    cwd: object = None
    source: object = None
    tool_name: object = None
    notification_type: object = None


_decoder = msgspec.json.Decoder(_Said)


def read(body: bytes) -> Event | None:
    """What the hook says; None where it is of no session. msgspec.DecodeError or UnicodeDecodeError where it is no hook
    of Gemini CLI's."""
    said = _decoder.decode(body)
    session = name(said.session_id)
    if session is None:
        return None
    kind = _KINDS.get(said.hook_event_name, Kind.SPOKE)
    if said.hook_event_name == "Notification" and said.notification_type == "ToolPermission":
        kind = Kind.ASKING
    return Event(
        kind=kind,
        session=session,
        tool=name(said.tool_name) if isinstance(said.tool_name, str) else None,
        project=project_of(said.cwd if isinstance(said.cwd, str) else None),
        again=said.source == "resume",
    )
