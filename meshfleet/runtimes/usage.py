"""Tokens and money of a session, each response of a model counted once, with its last word."""

from __future__ import annotations

from typing import Protocol

import msgspec

from meshfleet.fleet.usage import MICRO, Figures, Moment

RECENT = 256
"""Responses that may still be corrected. The blocks of one response stand within some ten records of each other; a
session keeps at most 60 KB for this."""


QUARTER = 900
"""Seconds. Days of every time zone in use begin on a quarter of an hour."""

QUARTERS = 1_024
"""Of a session's past, for each of which it is kept what was used: ten days and nights of work. The oldest fall
together."""


class Usage(msgspec.Struct, frozen=True, gc=False):
    """Tokens of one response, or a sum. All kinds exclude each other, but `cache_write_1h` is part of `cache_write`."""

    fresh: int = 0
    """Prompt tokens that were neither read from nor written to the cache."""
    cache_read: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0
    """Those written for an hour, where Anthropic takes twice the price of fresh ones; the others cost 1.25 times."""
    output: int = 0
    searches: int = 0
    """Web searches on the provider's side, which cost extra."""

    @property
    def prompt(self) -> int:
        """All prompt tokens, the cache included."""
        return self.fresh + self.cache_read + self.cache_write

    def plus(self, other: Usage, sign: int = 1) -> Usage:
        """The sum, or with sign -1 the difference."""
        return Usage(
            self.fresh + sign * other.fresh,
            self.cache_read + sign * other.cache_read,
            self.cache_write + sign * other.cache_write,
            self.cache_write_1h + sign * other.cache_write_1h,
            self.output + sign * other.output,
            self.searches + sign * other.searches,
        )


NOTHING = Usage()


class Tariff(Protocol):
    """What a model costs and holds. meshfleet.runtimes.pricing has the real one."""

    def cost(self, model: str, usage: Usage, at: float) -> float | None:
        """USD that one response cost at `at` (seconds since 1970); None where nobody knows."""

    def window(self, model: str) -> int | None:
        """Tokens that the model's context holds; None where nobody knows."""


class Ledger:
    """A running sum. Some runtimes write the usage of a response several times, growing: the last word counts."""

    def __init__(self, tariff: Tariff) -> None:
        self._tariff = tariff
        self._recent: dict[int, tuple[Usage, float | None, float]] = {}
        self._quarters: dict[int, tuple[Usage, float]] = {}
        self._cost = 0.0
        self._unpriced = 0
        self.total = NOTHING

    @property
    def cost(self) -> float | None:
        """USD of all that was counted; None where a single response could not be priced, since the sum would lie."""
        return None if self._unpriced else max(0.0, round(self._cost, 9))

    def count(self, response: str, model: str | None, usage: Usage, at: float, *, cost: float | None = None) -> None:
        """Count a response. Counted before, the more complete of both usages stays; `model` None is not priceable.
        `cost` is USD where the runtime itself says so; else the price list does."""
        key = hash(response)
        before = self._recent.pop(key, None)
        if before is not None and before[0].output > usage.output:
            self._recent[key] = before
            return
        if before is not None:
            self._book(*before, -1)
        if cost is None:
            cost = self._price(model, usage, at)
        self._book(usage, cost, at, 1)
        self._recent[key] = (usage, cost, at)
        if len(self._recent) > RECENT:
            del self._recent[next(iter(self._recent))]

    def complete(self, response: str, model: str | None, usage: Usage, at: float) -> None:
        """Correct a response that was counted with too few output tokens. Its prompt must be the same, or it is another
        response, and nothing changes."""
        before = self._recent.get(hash(response))
        if before is not None and before[0].prompt == usage.prompt:
            self.count(response, model, usage, at)

    def add(self, model: str | None, usage: Usage, at: float) -> None:
        """Count tokens that are known not to have been counted before."""
        self._book(usage, self._price(model, usage, at), at, 1)

    def course(self) -> tuple[Moment, ...]:
        """What had been used at the end of each quarter of an hour in which something was, oldest first. What was used
        nobody knows when is not in it."""
        total, cost, moments = NOTHING, 0.0, []
        for quarter in sorted(self._quarters):
            used, more = self._quarters[quarter]
            total, cost = total.plus(used), cost + more
            known = None if self._unpriced else max(0, round(cost * MICRO))
            moments.append(Moment(quarter * QUARTER, Figures(known, total.prompt, total.output)))
        return tuple(moments)

    def _price(self, model: str | None, usage: Usage, at: float) -> float | None:
        if usage == NOTHING:
            return 0.0
        return None if model is None else self._tariff.cost(model, usage, at)

    def _book(self, usage: Usage, cost: float | None, at: float, sign: int) -> None:
        self.total = self.total.plus(usage, sign)
        if at:
            used, before = self._quarters.pop(quarter := int(at) // QUARTER, (NOTHING, 0.0))
            if (used := used.plus(usage, sign)) != NOTHING:
                self._quarters[quarter] = (used, before + sign * (cost or 0.0))
            self._bound()
        if cost is None:
            self._unpriced += sign
        else:
            self._cost += sign * cost

    def _bound(self) -> None:
        if len(self._quarters) > QUARTERS:
            first, second = sorted(self._quarters)[:2]
            (used, cost), (more, dearer) = self._quarters.pop(first), self._quarters[second]
            self._quarters[second] = (used.plus(more), cost + dearer)
