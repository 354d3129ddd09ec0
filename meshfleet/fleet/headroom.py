"""How much of its rate limits each API key has left, put together from all agents that share it.

A key is known by its fingerprint alone. Of several readings of one window of one key the newest counts: providers tell
what is left of the whole, not of one agent's part. Once a window has begun anew its last reading says nothing.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from meshfleet.fleet.state import AgentState, RateLimit

SKEW = 60.0
"""Seconds that a reading may come from the future of whoever judges it. One from later is by a clock that is wrong; it
would count as the newest for as long as that clock is ahead, so it counts as the oldest."""

_Rank = tuple[float, float, str, str]
"""When a reading was made, how full it says the window is, when that resets, and the first once more, as text."""

_MOMENT = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(\.\d{1,9})?(?:Z|\+00:00)", re.ASCII)


class Headroom(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One window of one API key, as the newest reading of any agent has it."""

    key: str
    """A fingerprint such as `anthropic:9f2e41`; never the key."""
    window: str
    used_pct: float | None
    """None where it is not known, or the window has begun anew since it was read."""
    resets_at: str | None
    read_at: str | None
    """When it was read, by the clock of who read it."""
    agents: int
    """How many agents of the view use the key, in this window."""


def headroom(states: Iterable[AgentState], now: str) -> tuple[Headroom, ...]:
    """Every window of every key once, in order of key and window. `now` is RFC 3339 UTC, as are all times here."""
    moment = seconds(now) or 0.0
    newest: dict[tuple[str, str], tuple[_Rank, RateLimit]] = {}
    users: dict[tuple[str, str], int] = {}
    for state in states:
        for limit in state.rate_limits:
            place = (limit.key, limit.window)
            said = limit.read_at or state.timestamp
            read = seconds(said)
            # Of two readings of one moment the fuller: every node must choose alike, in whatever order they come.
            at = -1.0 if read is None or read > moment + SKEW else read
            rank = (at, -1.0 if limit.used_pct is None else limit.used_pct, limit.resets_at or "", said)
            known = newest.get(place)
            if known is None or rank > known[0]:
                newest[place] = (rank, limit)
            users[place] = users.get(place, 0) + 1
    return tuple(_shown(*newest[place], users[place], moment) for place in sorted(newest))


def _shown(rank: _Rank, limit: RateLimit, agents: int, now: float) -> Headroom:
    resets = seconds(limit.resets_at) if limit.resets_at is not None else None
    return Headroom(
        key=limit.key,
        window=limit.window,
        used_pct=None if resets is not None and resets <= now else limit.used_pct,
        resets_at=limit.resets_at,
        read_at=rank[3],
        agents=agents,
    )


@lru_cache(maxsize=4096)
def seconds(text: str) -> float | None:
    """RFC 3339 in UTC as seconds since 1970; None where it is none. Kept, since views are made far more often than
    readings change."""
    found = _MOMENT.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    # Days since 1970 of the proleptic Gregorian calendar, with years that begin in March, so that leap days come last.
    year -= month <= 2
    of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    days = 365 * year + year // 4 - year // 100 + year // 400 + of_year - 719_468
    return 86_400.0 * days + 3_600 * hour + 60 * minute + second + float(found[7] or 0.0)
