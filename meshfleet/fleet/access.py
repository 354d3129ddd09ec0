"""What a reader may do, and for how long: the words that tokens, keys and endpoints share."""

from __future__ import annotations

from enum import Enum

import msgspec


class Scope(str, Enum):
    """What a key or a token is good for. None contains another: whoever needs two has two keys."""

    READ = "read"
    """To see: the fleet's view, its parts, its stream, its metrics."""
    AGENT = "agent"
    """To speak for agents: push their states, withdraw them. Sees nothing."""
    METRICS = "metrics"
    """What a monitoring system collects: this node's own counters, and nothing else."""

    def __str__(self) -> str:
        return self.value


SESSION_SECONDS = 1_800
"""How long a session lasts where nobody asks for another length."""

SHORTEST_SESSION, LONGEST_SESSION = 900, 3_600
"""Seconds. A token can't be called back (any node believes it by itself), so it is short; below 15 minutes readers
would do little else than exchange."""

REFRESH_AT = 0.8
"""Part of a session's length after which its reader fetches the next one. What is left, 3 minutes of the shortest, is
for clocks that differ and nodes that don't answer at once."""


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks, as a token says it."""

    scope: Scope
    name: str
    """Of the API key, or `page`."""
    holder: str
    """Id of the API key, or of one page. Counts as one client, whatever the number of its tokens."""
    issued: int
    """Seconds since 1970, by the issuing node's clock."""
    expires: int
    renewable_until: int
    """Up to when the token itself can be traded for the next one. Not after `expires`, but for pages: they hold no
    key."""
