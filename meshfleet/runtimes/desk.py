"""Where everything but files tells of sessions: hooks, status lines, telemetry. Owned by the Trio thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshfleet.runtimes.sessions import canonical

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Mapping

    from meshfleet.runtimes.record import Channel, SessionRecord
    from meshfleet.runtimes.sessions import Key

DESK_LIMIT = 1024
"""Sessions told of and kept. A node carries 256 agents; beyond this the one that was silent longest goes, counted."""


class Desk:
    """The newest word of each channel about each session."""

    def __init__(self, counts: Counter[str]) -> None:
        self._counts = counts
        self._told: dict[Key, dict[Channel, SessionRecord]] = {}
        self._changed: set[Key] = set()
        self.wake: Callable[[], None] = lambda: None
        """Called when something was told."""

    def hear(self, key: Key, channel: Channel, record: SessionRecord) -> None:
        """A channel's newest word; it replaces the one before. Never waits, never raises."""
        key = canonical(key)
        told = self._told.get(key)
        if told is None:
            if len(self._told) >= DESK_LIMIT:
                self._counts["runtimes_desk_dropped"] += 1
                self.forget(min(self._told, key=self._spoke_at))
            told = self._told[key] = {}
        told[channel] = record
        self._changed.add(key)
        self.wake()

    def told(self, key: Key, channel: Channel) -> SessionRecord | None:
        """What that channel said last."""
        return self._told.get(canonical(key), {}).get(channel)

    def records(self, key: Key) -> Mapping[Channel, SessionRecord]:
        """All channels' newest words about a session; empty where nothing was told."""
        return self._told.get(canonical(key), {})

    def keys(self) -> set[Key]:
        """Sessions that something is known of."""
        return set(self._told)

    def take_changed(self) -> set[Key]:
        """Those told of since the last call."""
        changed, self._changed = self._changed, set()
        return changed

    def forget(self, key: Key) -> None:
        """The session is no agent any more."""
        key = canonical(key)
        self._told.pop(key, None)
        self._changed.discard(key)

    def _spoke_at(self, key: Key) -> float:
        return max(record.last_at or 0.0 for record in self._told[key].values())
