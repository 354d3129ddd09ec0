"""Between the agent's threads and the one that sends: a place for one thing, the newest."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """Putting never waits and never fails. What was not fetched yet is replaced: a newer state makes it moot."""

    def __init__(self) -> None:
        self._newest: T | None = None
        self._filled = threading.Event()
        self.closed = False

    def put(self, thing: T) -> None:
        """Leave the newest."""
        self._newest = thing
        if not self._filled.is_set():
            self._filled.set()

    def close(self) -> None:
        """Nothing comes after what is in it."""
        self.closed = True
        self._filled.set()

    def wait(self, seconds: float) -> T | None:
        """The newest, once there is one that was not fetched; None when time is over or the box is closed and empty."""
        self._filled.wait(seconds)
        # In this order: what is put in between is fetched now or wakes the next wait.
        self._filled.clear()
        newest, self._newest = self._newest, None
        if self.closed:
            self._filled.set()
        return newest
