"""What may get past the decoders: names of attributes and metrics, and nothing else.

Each dialect says which it reads; these are all of them together. Prompts, arguments, outputs, command lines, users and
paths are in none of the lists, and a test sees to it that they stay out.
"""

from __future__ import annotations

import msgspec

RESOURCE = frozenset(
    {
        "service.name",
        "service.version",
        "service.instance.id",
        "session.id",
        "host.name",
        "process.pid",
        "telemetry.sdk.language",
        "meshfleet.agent",
    }
)
"""Attributes of who sends."""

IDENTITY = frozenset(
    {"session.id", "conversation.id", "gen_ai.conversation.id", "meshfleet.agent", "event.name", "event.timestamp"}
)
"""Attributes of a record that say whose it is, and which."""


class Wanted(msgspec.Struct, frozen=True):
    """Names that get through."""

    resource: frozenset[str]
    record: frozenset[str]
    metrics: frozenset[str]
