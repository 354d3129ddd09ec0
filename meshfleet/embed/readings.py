"""What providers said of the rate limits of an agent's API keys, until it is sent.

A key is held in memory until its fingerprint is known, which takes a tenth of a second in the thread that sends, once
in the life of the process. It is never written, logged or sent.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from hashlib import blake2b
from typing import TYPE_CHECKING

import msgspec

from meshfleet.runtimes.keyprint import fingerprint
from meshfleet.runtimes.ratelimits import fullest_first

if TYPE_CHECKING:
    from meshfleet.fleet.state import RateLimit

WAITING = 64
"""Answers whose keys have no fingerprint yet; beyond it the oldest goes, since newer ones say the same better."""

WINDOWS = 32
"""Windows that are remembered of one agent; the eight that are fullest are told."""

FINGERPRINTS = 256
"""Keys of a process whose fingerprints are kept."""

_SECRET = os.urandom(32)
_known: dict[bytes, str] = {}
_lock = threading.Lock()


class Readings:
    """The newest reading of each window of each key. `add` from any thread, `settle` from the one that sends."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[str, str, tuple[RateLimit, ...]]] = deque(maxlen=WAITING)
        self._newest: dict[tuple[str, str], RateLimit] = {}

    def add(self, provider: str, key: str, limits: tuple[RateLimit, ...]) -> None:
        """Take what an answer said of `key`. Returns at once."""
        self._waiting.append((provider, key, limits))

    def settle(self) -> tuple[RateLimit, ...]:
        """What there is to tell."""
        while self._waiting:
            provider, key, limits = self._waiting.popleft()
            name = name_of(provider, key)
            for limit in limits:
                self._newest.pop((name, limit.window), None)
                self._newest[name, limit.window] = msgspec.structs.replace(limit, key=name)
            while len(self._newest) > WINDOWS:
                del self._newest[next(iter(self._newest))]
        return fullest_first(self._newest.values())


def name_of(provider: str, key: str) -> str:
    """The fingerprint of a key. Slow at first sight of it; then it is looked up, by a hash that means nothing outside
    of this process."""
    seen = blake2b(f"{provider} {key}".encode(errors="replace"), key=_SECRET, digest_size=32).digest()
    with _lock:
        known = _known.get(seen)
    if known is None:
        known = fingerprint(provider, key)
        with _lock:
            while len(_known) >= FINGERPRINTS:
                del _known[next(iter(_known))]
            _known[seen] = known
    return known
