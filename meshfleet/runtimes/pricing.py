"""List prices and context windows, from genai-prices, offline. Imported when first asked: it costs 10 MB and 0.2 s.

The library takes some 70 µs for a price, and a long session has thousands of responses. Its prices are linear between
the steps that some models have (more than 200,000 prompt tokens cost more), so the rates of each step are asked for
once and kept.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from meshfleet.logs import get_logger

if TYPE_CHECKING:
    from genai_prices.types import PriceCalculation

    from meshfleet.runtimes.usage import Usage

log = get_logger("meshfleet.runtimes")

MILLION = 1_000_000


class _Rates(msgspec.Struct, frozen=True, gc=False):
    """USD per token, of one model, on one day, on one step of its prices."""

    fresh: float
    cache_read: float
    cache_write: float
    cache_write_1h: float
    output: float
    search: float


class Prices:
    """Answers for one provider; models that it doesn't have are looked for with all others, and so are all where it is
    None. One thread at a time."""

    def __init__(self, provider: str | None) -> None:
        self._provider = provider
        # One entry per model, day and step: a node sees a handful.
        self._rates = lru_cache(maxsize=256)(self._find_rates)
        self._steps = lru_cache(maxsize=256)(self._find_steps)
        self.window: Callable[[str], int | None] = lru_cache(maxsize=256)(self._find_window)

    def cost(self, model: str, usage: Usage, at: float) -> float | None:
        """USD of one response; None where its model has no list price."""
        day = int(at // 86_400)
        step = sum(1 for start in self._steps(model, day) if usage.prompt > start)
        rates = self._rates(model, day, step)
        if rates is None:
            return None
        return (
            usage.fresh * rates.fresh
            + usage.cache_read * rates.cache_read
            + (usage.cache_write - usage.cache_write_1h) * rates.cache_write
            + usage.cache_write_1h * rates.cache_write_1h
            + usage.output * rates.output
            + usage.searches * rates.search
        )

    def _find_window(self, model: str) -> int | None:
        found = self._calculate(model, int(datetime.now(UTC).timestamp() // 86_400), input_tokens=1)
        return None if found is None else found.model.context_window

    def _find_steps(self, model: str, day: int) -> tuple[int, ...]:
        found = self._calculate(model, day, input_tokens=1)
        if found is None:
            return ()
        tiers = getattr(found.model_price.input_mtok, "tiers", ())
        return tuple(sorted(tier.start for tier in tiers))

    def _find_rates(self, model: str, day: int, step: int) -> _Rates | None:
        steps = self._steps(model, day)
        prompt = steps[step - 1] + 1 if step else (steps[0] if steps else MILLION)

        def usd(**usage: int) -> float | None:
            found = self._calculate(model, day, input_tokens=prompt, **usage)
            return None if found is None else float(found.total_price)

        fresh = usd()
        if fresh is None:
            return None
        read = usd(cache_read_tokens=prompt)
        write = usd(cache_write_tokens=prompt)
        hour = usd(cache_write_tokens=prompt, cache_write_1h_tokens=prompt)
        output = usd(output_tokens=MILLION)
        search = usd(web_searches=1000)
        if read is None or write is None or output is None:
            return None
        return _Rates(
            fresh=fresh / prompt,
            cache_read=read / prompt,
            cache_write=write / prompt,
            cache_write_1h=(write if hour is None else hour) / prompt,
            output=(output - fresh) / MILLION,
            search=0.0 if search is None else (search - fresh) / 1000,
        )

    def _calculate(self, model: str, day: int, **usage: int) -> PriceCalculation | None:
        calculate = _calculator()
        if calculate is None:
            return None
        when = datetime.fromtimestamp(day * 86_400 + 43_200, UTC)
        return calculate(model, self._provider, when, usage) or calculate(model, None, when, usage)


_Calculate = Callable[[str, str | None, datetime, dict[str, int]], "PriceCalculation | None"]


@lru_cache(maxsize=1)
def _calculator() -> _Calculate | None:
    try:
        from genai_prices import Usage as Asked
        from genai_prices import calc_price
    except ImportError:
        log.warning("costs are not known: genai-prices is not installed. pip install 'meshfleet[runtimes]' adds it")
        return None

    def calculate(model: str, provider: str | None, when: datetime, usage: dict[str, int]) -> PriceCalculation | None:
        try:
            return calc_price(Asked(**usage), model, provider_id=provider, genai_request_timestamp=when)
        except (LookupError, ValueError):  # no such model, or no price for a kind of usage
            return None

    return calculate
