"""What needs somebody's attention: one line each, the same at every node that sees the same."""

from __future__ import annotations

from enum import Enum

import msgspec


class Severity(str, Enum):
    """How soon somebody should look."""

    INFO = "info"
    """It is worth knowing."""
    WARNING = "warning"
    """Look at it when there is a moment."""
    CRITICAL = "critical"
    """Look at it now."""

    @property
    def rank(self) -> int:
        """The greater is the worse."""
        return tuple(Severity).index(self)


class Notice(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One thing that needs attention. It holds names and figures, never what an agent works on."""

    rule: str
    """`context`, `context_full`, `tool`, `waiting`, `rate_limit`, `session_cost`, `period_cost`, `error`, `presence` or
    `standing`."""
    severity: Severity
    subject: str
    """An agent's id, a node's name, `zone:` and another zone's, the fingerprint and window of a rate limit, or
    `fleet`."""
    since: str
    """When it began, as far as the serving node can tell."""
    text: str
    key: str
    """The same at every node and for as long as it lasts: what tells one notice from another."""
