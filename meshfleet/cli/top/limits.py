"""The limits' page: what is left of each API key's windows, whoever of its agents told last."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from rich.text import Text

from meshfleet.cli.top.glance import GREY, bar, level, share, short
from meshfleet.cli.top.grid import Column, Row
from meshfleet.cli.top.reading import unix

if TYPE_CHECKING:
    from meshfleet.cli.top.reading import Reading
    from meshfleet.fleet.view import FleetView

NO_LIMITS = "No agent has told of a rate limit."

_WINDOW = re.compile(r"(\d+)\s*([mhdw])")
_SECONDS = {"m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0}


class Limit(NamedTuple):
    """One window of one key."""

    key: str
    window: str
    used_pct: float | None
    resets_at: float | None
    """Unix time by the serving node's clock."""
    agents: tuple[str, ...]
    """Who uses the key."""


def limits(view: FleetView) -> list[Limit]:
    """Each key's windows, as the agent with the newest word tells them."""
    users: dict[tuple[str, str], list[str]] = {}
    for agent in view.agents:
        for limit in agent.state.rate_limits:
            users.setdefault((limit.key, limit.window), []).append(agent.agent_id)
    return [
        Limit(
            each.key, each.window, each.used_pct, _time(each.resets_at), tuple(users.get((each.key, each.window), ()))
        )
        for each in view.totals.rate_limits
    ]


def length(window: str) -> float | None:
    """Seconds of a window such as `5h` or `7d`; None where the word does not say."""
    found = _WINDOW.fullmatch(window.strip())
    return None if found is None else float(found[1]) * _SECONDS[found[2]]


def runs_out(limit: Limit, now: float) -> float | None:
    """Seconds until all is used if it goes on as it went since the window began; None where it resets before, or that
    can't be told."""
    seconds = length(limit.window)
    if seconds is None or limit.resets_at is None or not limit.used_pct:
        return None
    left = limit.resets_at - now
    passed = seconds - left
    if passed <= 0 or left <= 0:
        return None
    full = (100.0 - limit.used_pct) * passed / limit.used_pct
    return max(0.0, full) if full < left else None


def _time(when: str | None) -> float | None:
    try:
        return None if when is None else unix(when)
    except ValueError:
        return None  # an agent's own word, in whatever form


def _used(limit: Limit, _reading: Reading, width: int) -> Text:
    if limit.used_pct is None:
        return Text("not reported", GREY)
    return bar(limit.used_pct, width - 5) + Text(f" {share(limit.used_pct):>4}", level(limit.used_pct))


def _resets(limit: Limit, reading: Reading, _width: int) -> Text:
    if limit.resets_at is None:
        return Text("-", GREY)
    left = limit.resets_at - reading.now
    return Text(f"in {short(left)}" if left > 0 else "due")


def _runs_out(limit: Limit, reading: Reading, _width: int) -> Text:
    seconds = runs_out(limit, reading.now)
    if seconds is not None:
        return Text(f"in {short(seconds)}", "red")
    known = length(limit.window) is not None and limit.resets_at is not None and limit.used_pct is not None
    return Text("resets first" if known else "-", GREY)


COLUMNS: tuple[Column[Limit], ...] = (
    Column("key", "KEY", 14, 30, lambda limit, _, width: Text(limit.key)),
    Column("window", "WINDOW", 7, 14, lambda limit, _, width: Text(limit.window)),
    Column("used", "USED", 16, 46, _used),
    Column("resets", "RESETS", 7, 8, _resets),
    Column("out", "USED UP", 12, 12, _runs_out),
    Column("agents", "AGENTS", 10, 60, lambda limit, _, width: Text(f"{len(limit.agents)}: {', '.join(limit.agents)}")),
)


def shown(view: FleetView) -> list[Row[Limit]]:
    """The rows, by key and window."""
    return [Row(f"{limit.key} {limit.window}", limit) for limit in limits(view)]
