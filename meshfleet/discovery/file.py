"""Nodes and agents that a file lists. It is read anew whenever it changes, also when it is replaced by another, as
editors do, or when the link to it is, as Kubernetes does with a ConfigMap."""

from __future__ import annotations

import stat
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import trio

from meshfleet.discovery.entries import has_tokens, read_entries, read_whole
from meshfleet.discovery.source import Found, Unfound

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from meshfleet.discovery.source import Here, Hurry
    from meshfleet.fleet.source import SourceSpec

FILE_LIMIT = 1024 * 1024
"""Bytes of a file. An entry has some 100."""

LOOK_EVERY = 5.0
"""Seconds between two looks, should the watching tell nothing: on network file systems it does not."""

STEP_MS, DEBOUNCE_MS = 50, 200
"""Of the watching: a file that is being written is read once it has been quiet for a moment."""


class File:
    """See the module."""

    def __init__(self, spec: SourceSpec) -> None:
        self.name = spec.text
        self._path = Path(spec.path).expanduser().absolute()
        self._changed = trio.Event()
        self._told: Found | None = None
        self._read = (b"", 0)
        """The content that the last good answer was made of, and the file's mode."""

    async def watch(self, here: Here, tell: Callable[[Found], None], hurry: Hurry) -> None:
        """Until cancelled. A file that is broken, or gone, is a problem beside what it had before."""
        self._told = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch_folder)
            good = Found()
            while True:
                self._changed = trio.Event()
                try:
                    now = good = await trio.to_thread.run_sync(self._look, good)
                except Unfound as error:
                    now = msgspec.structs.replace(good, problem=str(error))
                if now != self._told:
                    self._told = now
                    tell(now)
                with trio.move_on_after(LOOK_EVERY):
                    await self._changed.wait()

    def _look(self, before: Found) -> Found:
        content, mode = read_whole(self._path, FILE_LIMIT)
        if (content, mode) == self._read and self._told == before and b"token_file" not in content:
            return before
        found = read_entries(content, self._path)
        self._read = (content, mode)
        if has_tokens(found) and mode & (stat.S_IRWXG | stat.S_IRWXO):
            problem = f"it has tokens, and others on this machine may read them: chmod 600 {self._path.name}."
            return msgspec.structs.replace(found, problem=problem)
        return found

    async def _watch_folder(self) -> None:
        """Set `_changed` when something happens in the file's folder. Where that can't be watched, looks do."""
        from watchfiles import awatch

        while True:
            stop = trio.Event()
            # Its thread can't be cancelled: without this word it would hold up the end of the node.
            async with _set_when_cancelled(stop):
                with suppress(OSError, RuntimeError):
                    async for _ in awatch(
                        self._path.parent,
                        step=STEP_MS,
                        debounce=DEBOUNCE_MS,
                        watch_filter=None,
                        recursive=False,
                        stop_event=stop,
                    ):
                        self._changed.set()
            await trio.sleep(LOOK_EVERY)


@asynccontextmanager
async def _set_when_cancelled(event: trio.Event) -> AsyncIterator[None]:
    async def wait() -> None:
        try:
            await trio.sleep_forever()
        finally:
            event.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        yield
        nursery.cancel_scope.cancel()
