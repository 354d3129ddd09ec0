"""What a model provider's answer says of the key's rate limits: headers -> RateLimits. Pure; `now` is passed in.

    provider      headers                                                                  windows
    Anthropic     anthropic-ratelimit-unified-{5h,7d,...}-{utilization,reset}              5h, 7d, ...
                  anthropic-ratelimit-{requests,tokens,...}-{limit,remaining,reset}        requests/min, tokens/min, ...
    OpenAI and    x-ratelimit-{limit,remaining,reset}-{requests,tokens,...}                requests, tokens, ...
    its kind
    Azure         the same, with seconds for a duration, and -1 where it does not know
    Codex         x-codex-{primary,secondary}-{used-percent,window-minutes,reset-...}      5h, 7d, by its minutes
    anybody       retry-after, with a 429                                                  retry

Anthropic's own limits are all per minute; OpenAI's are per minute or per day and do not say which. Checked against what
the providers documented in November 2026, and against recorded answers where there were any. Other headers are not
looked at, and of these only numbers, times and names that look like names get out.
"""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from math import isfinite
from typing import TYPE_CHECKING

import msgspec

from meshfleet.fleet.state import RateLimit
from meshfleet.runtimes import record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LIMITS = 8
"""Windows that one agent can tell of: AgentState takes no more."""

HEADERS_READ = 256
"""Headers of an answer that are looked at."""

TOO_MANY_REQUESTS = 429

_UNIFIED = re.compile(r"anthropic-ratelimit-unified-(\d{1,3}[hd](?:_[a-z]{1,16})?)-(utilization|reset)")
_BUCKET = re.compile(r"anthropic-ratelimit-((?:input-|output-)?tokens|requests)-(limit|remaining|reset)")
_OPENAI = re.compile(r"x-ratelimit-(limit|remaining|reset)-([a-z][a-z-]{0,31})")
_CODEX = re.compile(
    r"x-codex-(primary|secondary)-(used-percent|window-minutes|reset-at|reset-after-seconds|resets-in-seconds)"
)
_NUMBER = re.compile(r"-?\d{1,15}(?:\.\d{1,9})?")
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(h|ms|m|s|us|µs|ns)")
_UNITS = {"h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


class _Window(msgspec.Struct):
    """One window, as its headers come in."""

    name: str
    used: float | None = None
    limit: float | None = None
    remaining: float | None = None
    resets: float | None = None

    def percent(self) -> float | None:
        """How full it is, 0 to 100 and above; None where that can't be told."""
        if self.used is not None:
            return round(self.used, 1)
        if self.limit is None or self.remaining is None or self.limit <= 0 or self.remaining < 0:
            return None
        return round(100 * max(0.0, 1 - self.remaining / self.limit), 1)


def read_rate_limits(
    headers: Mapping[str, str] | Iterable[tuple[str, str]], *, key: str, now: float, status: int = 200
) -> tuple[RateLimit, ...]:
    """Every window that an answer tells of, at most LIMITS; () where it tells of none.

    `headers`: names in any case. `key`: the fingerprint of the key that was used. `now`: Unix time of the answer.
    `status`: of the answer; 429 makes `retry-after` mean something.
    """
    windows: dict[str, _Window] = {}
    retry: float | None = None
    pairs = headers.items() if hasattr(headers, "items") else headers
    for _, (name, value) in zip(range(HEADERS_READ), pairs, strict=False):
        lower = name.lower()
        if lower == "retry-after" and status == TOO_MANY_REQUESTS:
            retry = _moment(value, now)
        elif len(lower) <= 96 and "-" in lower:
            _take(windows, lower, value.strip(), now)
    told = [_limit(window, key, now) for window in windows.values()]
    told = [limit for limit in told if limit.used_pct is not None or limit.resets_at is not None]
    if retry is not None and not any((limit.used_pct or 0.0) >= 100 for limit in told):
        told.insert(0, _limit(_Window("retry", used=100.0, resets=retry), key, now))
    return tuple(told[:LIMITS])


def fullest_first(limits: Iterable[RateLimit]) -> tuple[RateLimit, ...]:
    """At most LIMITS of `limits`: those that matter most stay."""
    ranked = sorted(limits, key=lambda limit: (-(limit.used_pct or 0.0), limit.key, limit.window))
    return tuple(sorted(ranked[:LIMITS], key=lambda limit: (limit.key, limit.window)))


def window_name(minutes: int | None) -> str | None:
    """300 -> 5h, 10080 -> 7d; None where that is no length."""
    if minutes is None or minutes <= 0:
        return None
    if minutes % 1440 == 0:
        return f"{minutes // 1440}d"
    return f"{minutes // 60}h" if minutes % 60 == 0 else f"{minutes}m"


def _take(windows: dict[str, _Window], name: str, value: str, now: float) -> None:
    if (found := _UNIFIED.fullmatch(name)) is not None:
        window = _of(windows, "unified " + found[1], found[1])
        if window is not None and found[2] == "utilization":
            fraction = _number(value)
            window.used = None if fraction is None or fraction < 0 else 100 * fraction
        elif window is not None:
            window.resets = _moment(value, now)
    elif (found := _BUCKET.fullmatch(name)) is not None:
        _fill(_of(windows, "anthropic " + found[1], f"{found[1]}/min"), found[2], value, now)
    elif (found := _OPENAI.fullmatch(name)) is not None:
        _fill(_of(windows, "openai " + found[2], found[2]), found[1], value, now)
    elif (found := _CODEX.fullmatch(name)) is not None:
        _codex(_of(windows, "codex " + found[1], found[1]), found[2], value, now)


def _of(windows: dict[str, _Window], place: str, name: str) -> _Window | None:
    """The window at `place`, begun if it is new. None where there are enough of them."""
    if place not in windows and len(windows) >= 2 * LIMITS:
        return None
    return windows.setdefault(place, _Window(name))


def _fill(window: _Window | None, what: str, value: str, now: float) -> None:
    if window is None:
        return
    if what == "limit":
        window.limit = _number(value)
    elif what == "remaining":
        window.remaining = _number(value)
    else:
        window.resets = _moment(value, now)


def _codex(window: _Window | None, what: str, value: str, now: float) -> None:
    number = _number(value)
    if window is None or number is None or number < 0:
        return
    if what == "used-percent":
        window.used = number
    elif what == "window-minutes":
        window.name = window_name(int(number)) or window.name
    elif what == "reset-at":
        window.resets = _moment(value, now)
    else:
        window.resets = now + number


def _limit(window: _Window, key: str, now: float) -> RateLimit:
    resets = window.resets
    known = resets is not None and 1e9 < resets < 1e10
    return RateLimit(
        key=key,
        window=window.name,
        used_pct=window.percent(),
        resets_at=record.rfc3339(resets) if known and resets is not None else None,
        read_at=record.rfc3339(now),
    )


def _moment(value: str, now: float) -> float | None:
    """When that is, in Unix time: seconds since 1970, seconds from now, a Go duration, RFC 3339, a date of HTTP."""
    number = _number(value)
    if number is not None:
        return None if number < 0 else number if number > 1e9 else now + number
    if (duration := _duration(value)) is not None:
        return now + duration
    if (moment := record.seconds(value[:40])) is not None:
        return moment
    try:
        return parsedate_to_datetime(value[:40]).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _duration(text: str) -> float | None:
    """A duration as Go prints it: `6m0s`, `1h2m3.5s`, `12ms`. None where it is none."""
    end, total = 0, 0.0
    for part in _DURATION.finditer(text[:64]):
        if part.start() != end:
            return None
        end = part.end()
        total += float(part[1]) * _UNITS[part[2]]
    return total if end and end == len(text) and isfinite(total) else None


def _number(text: str) -> float | None:
    return float(text) if _NUMBER.fullmatch(text) else None
