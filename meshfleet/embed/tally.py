"""What an agent's requests to its models add up to: tokens, money, and how full the context of the newest is.

Adding costs the agent a few additions. Prices and windows take a library that is imported at their first use, in a
fifth of a second: so they are looked up where the state is sent, in the thread that sends.
"""

from __future__ import annotations

import threading
from collections import deque
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from meshfleet.runtimes.record import counted
from meshfleet.runtimes.usage import Usage

if TYPE_CHECKING:
    from meshfleet.runtimes.usage import Tariff

WAITING = 1_024
"""Requests that wait to be priced. Only while no state can be sent do so many gather; the cost is unknown then."""

_PROVIDERS = {
    "aws.bedrock": "aws",
    "azure.ai.inference": "azure",
    "azure.ai.openai": "azure",
    "az.ai.openai": "azure",
    "gcp.gemini": "google",
    "gcp.gen_ai": "google",
    "gcp.vertex_ai": "google",
    "google_genai": "google",
    "google_vertexai": "google",
    "mistral_ai": "mistral",
    "x_ai": "x-ai",
}
"""What the conventions, and LangChain, call a provider -> what its list of prices does, where these differ."""


class Request(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One answered request to a model. Counts are of tokens; None is "not told"."""

    input: int | None = None
    """The whole prompt, cache reads and writes included."""
    output: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    model: str | None = None
    provider: str | None = None
    cost: float | None = None
    """USD, where the library itself knows it."""

    @property
    def tells_tokens(self) -> bool:
        """Whether it says anything of tokens."""
        return self.input is not None or self.output is not None


class Tally:
    """Sums over an agent's requests. `add` may be called from any thread, `settle` from the one that sends."""

    def __init__(self, tariff: Tariff | None = None) -> None:
        self._lock = threading.RLock()
        self._tariff = tariff
        self._sums = dict.fromkeys(("tokens_in", "tokens_out", "tokens_cache_read", "tokens_cache_write"), 0)
        self._told: set[str] = set()
        self._newest: Request | None = None
        self._unpriced: deque[tuple[Request, float]] = deque()
        self._overflown = False
        self._cost: float | None = 0.0
        self._kinds: set[str] = set()

    def add(self, request: Request, at: float) -> None:
        """Count a request that was answered at `at` (Unix time). What is no count is left out."""
        request = _sane(request)
        parts = (request.input, request.output, request.cache_read, request.cache_write)
        with self._lock:
            for name, part in zip(self._sums, parts, strict=True):
                if part is not None:
                    self._sums[name] += part
                    self._told.add(name)
            self._newest = request
            if len(self._unpriced) < WAITING:
                self._unpriced.append((request, at))
            else:
                self._overflown = True

    def fields(self) -> dict[str, object]:
        """What is known at once, as fields of an agent's state: sums, model, and the context's tokens."""
        with self._lock:
            known: dict[str, object] = {name: self._sums[name] for name in self._told}
            newest = self._newest
        if newest is not None and newest.model is not None:
            known["model"] = newest.model
        if newest is not None:
            known["context_tokens"] = newest.input  # None where the newest did not tell: what it was before is over
        return known

    def settle(self) -> tuple[dict[str, object], dict[str, str]]:
        """What has to be looked up: cost, window and how full it is, and where each comes from."""
        with self._lock:
            while self._unpriced:
                self._price(*self._unpriced.popleft())
            cost, newest = None if self._overflown else self._cost, self._newest
        known: dict[str, object] = {}
        sources: dict[str, str] = {}
        if self._kinds:
            known["cost_usd"] = None if cost is None else round(cost, 9)
            sources["cost_usd"] = "priced" if "priced" in self._kinds else "reported:library"
        if newest is not None and newest.model is not None:
            limit = self._prices(newest.provider).window(newest.model)
            if limit:
                known["context_limit"] = limit
                sources["context_limit"] = "inferred:genai-prices"
        return known, sources

    def _price(self, request: Request, at: float) -> None:
        cost = request.cost
        self._kinds.add("reported" if cost is not None else "priced")
        if cost is None and request.model is not None and request.input is not None:
            cost = self._prices(request.provider).cost(request.model, _usage(request), at)
        # One request without a price, or that told no tokens, and the sum would lie.
        self._cost = None if cost is None or self._cost is None else self._cost + cost

    def _prices(self, provider: str | None) -> Tariff:
        return self._tariff or prices(_PROVIDERS.get(provider or "", provider or ""))


@lru_cache(maxsize=16)
def prices(provider: str) -> Tariff:
    """List prices, where genai-prices is installed; else nobody knows."""
    from meshfleet.runtimes.pricing import Prices

    return Prices(provider)


def _usage(request: Request) -> Usage:
    read, write = request.cache_read or 0, request.cache_write or 0
    return Usage(
        fresh=max(0, (request.input or 0) - read - write),
        cache_read=read,
        cache_write=write,
        output=request.output or 0,
    )


def _sane(request: Request) -> Request:
    """`request` with whole, bounded counts; an input that left its cache out has it put in."""
    whole = _count(request.input)
    read, write = _count(request.cache_read), _count(request.cache_write)
    cached = (read or 0) + (write or 0)
    # By the conventions `input` has the cache in it. Some libraries leave it out, which shows where that can't be.
    if whole is not None and cached > whole:
        whole += cached
    cost = request.cost
    return Request(
        input=whole,
        output=_count(request.output),
        cache_read=read,
        cache_write=write,
        model=request.model,
        provider=request.provider,
        cost=float(cost) if isinstance(cost, int | float) and 0 <= cost < 1e9 else None,
    )


def _count(number: object) -> int | None:
    known = isinstance(number, int) and not isinstance(number, bool) and 0 <= number < 2**53
    return counted(number) if known else None
