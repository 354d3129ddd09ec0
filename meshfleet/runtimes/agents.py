"""Sessions of Claude Code, Codex and Gemini CLI as agents: `await watch_agents(node, host=…, settings=…)`.

One task owns all sessions. Files are read in a thread, one slice after the other, so that the Trio loop is never kept
waiting and nothing needs a lock. A long file is first read at both ends, which tells status, model and context at once;
its sums are unknown until the whole of it has been read, piece by piece, with pauses. Later only what is new is read.
"""

from __future__ import annotations

import os
import time
import traceback
from collections import Counter, deque
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import trio

from meshfleet.logs import get_logger
from meshfleet.runtimes import claude_code, codex, gemini_cli
from meshfleet.runtimes.desk import Desk
from meshfleet.runtimes.followed import Followed
from meshfleet.runtimes.merging import merged
from meshfleet.runtimes.pricing import Prices
from meshfleet.runtimes.processes import Presence, ProcessTable, presences, process_table
from meshfleet.runtimes.record import Channel
from meshfleet.runtimes.sessions import Key, Sessions
from meshfleet.runtimes.watch import Found, find, process_folders, scan, session_folders, watch
from meshfleet.runtimes.windows import Windows

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshfleet.runtimes.settings import RuntimesSettings
    from meshfleet.runtimes.sink import Host
    from meshfleet.runtimes.usage import Tariff

SLICE = 1024 * 1024
"""Bytes read in one go in the thread: some 5 ms of a long file's past. While it runs, Python lets the Trio thread in
every 5 ms (sys.getswitchinterval), which is all that the loop waits for it."""

LET_GO_LIMIT = 4096
"""Files remembered as no agent's any more, so that they aren't read again before they change."""

CHANGES_LIMIT = 10_000
"""Changed paths kept. Beyond it everything is looked at again, which is cheaper then."""

AT_ONCE = 32
"""Sessions judged between two checkpoints: less than a millisecond."""

log = get_logger("meshfleet.runtimes")

_Stamp = tuple[float, int]
_T = TypeVar("_T")


async def watch_agents(
    sink: Host,
    *,
    host: str,
    settings: RuntimesSettings,
    wall: Callable[[], float] = time.time,
    counts: Counter[str] | None = None,
    tariffs: dict[str, Tariff] | None = None,
    table: ProcessTable | None = None,
    desk: Desk | None = None,
    windows: Windows | None = None,
) -> None:
    """Publish the sessions of this machine to `sink` as they change, until cancelled.

    `host` begins the agents' ids. `desk` is where everything but files tells of sessions, `windows` knows those of
    local models. `counts` gets the counters, all named `runtimes_…`. `wall` (seconds since 1970), `tariffs` (by
    runtime) and `table` are what tests put in place of the clock, the price list and the process table.
    No file and no folder makes it raise: what can't be read is said once, counted, and left out.
    """
    counts = Counter() if counts is None else counts
    if tariffs is None:
        tariffs = {
            claude_code.RUNTIME: Prices("anthropic"),
            codex.RUNTIME: Prices("openai"),
            gemini_cli.RUNTIME: Prices("google"),
        }
    watching = _Watching(
        Sessions(sink, host=host, settings=settings, counts=counts),
        settings,
        wall,
        counts,
        tariffs,
        table,
        Desk(counts) if desk is None else desk,
        Windows() if windows is None else windows,
    )
    async with trio.open_nursery() as nursery:
        for folder in session_folders(settings):
            nursery.start_soon(watch, folder, watching.on_changes)
        for folder in process_folders(settings):
            nursery.start_soon(watch, folder, watching.on_processes)
        await watching.run()


class _Watching:
    """The task that owns the sessions, and what wakes it."""

    def __init__(
        self,
        sessions: Sessions,
        settings: RuntimesSettings,
        wall: Callable[[], float],
        counts: Counter[str],
        tariffs: dict[str, Tariff],
        table: ProcessTable | None,
        desk: Desk,
        windows: Windows,
    ) -> None:
        self._sessions = sessions
        self._windows = windows
        self._desk = desk
        desk.wake = self._wake_up
        self._settings = settings
        self._wall = wall
        self._counts = counts
        self._tariffs = tariffs
        self._table = process_table() if table is None else table
        self._followed: dict[Key, Followed] = {}
        self._present: dict[Key, Presence] = {}
        self._let_go: dict[Path, _Stamp] = {}
        self._warned: set[str] = set()
        self._changes: set[str] = set()
        self._backlog: deque[Key] = deque()
        self._wake = trio.Event()
        self._next_look = self._next_scan = -1.0
        # Slices run one after the other, whatever else the process does in threads.
        self._thread = trio.CapacityLimiter(1)

    def _wake_up(self) -> None:
        self._wake.set()

    # From the watchers, in the Trio thread

    def on_changes(self, paths: set[str]) -> None:
        """Session files that may have changed."""
        if len(self._changes) + len(paths) > CHANGES_LIMIT:
            self._next_scan = self._next_look = -1.0
            self._counts["runtimes_changes_dropped"] += len(paths)
        else:
            self._changes |= paths
        self._wake.set()

    def on_processes(self, paths: set[str]) -> None:
        """Something happened to the files about processes."""
        self._next_look = -1.0
        self._wake.set()

    # The task

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._wake = trio.Event()
            now = trio.current_time()
            touched = await self._take_changes()
            if now >= self._next_look:
                self._next_look = now + self._settings.look_every
                touched |= await self._look()
            if now >= self._next_scan:
                self._next_scan = now + self._settings.scan_every
                touched |= await self._scan()
            await self._show(await self._read(touched) | self._desk.take_changed())
            pause = await self._work_off()
            with trio.move_on_after(pause):
                await self._wake.wait()

    async def _take_changes(self) -> set[Key]:
        paths, self._changes = self._changes, set()
        if not paths:
            return set()
        touched = set()
        for found in await self._in_thread(_find, paths):
            if found.key in self._followed or await self._begin(found):
                await self._in_thread(self._followed[found.key].add, found)
                touched.add(found.key)
        return touched

    async def _begin(self, found: Found) -> bool:
        """A session that is not followed yet: with all its files, if it is an agent."""
        if not self._is_recent(found):
            return False
        await self._follow(await self._in_thread(_related, found))
        return found.key in self._followed

    async def _look(self) -> set[Key]:
        """Processes, and files that changed without a word."""
        present: dict[Key, Presence] = {}
        for folder in process_folders(self._settings):
            for presence in await self._in_thread(presences, folder, self._table):
                present[Key(claude_code.RUNTIME, presence.session)] = presence
        for key in present.keys() - self._followed.keys():
            if key not in self._present:
                self._next_scan = -1.0  # its file may be an old one, taken up again
            self._followed[key] = self._new(key)
        self._present = present
        for key, path in await self._in_thread(_changed, list(self._followed.values())):
            self._followed[key].mark(path)
        return self._followed.keys() | self._desk.keys()

    async def _scan(self) -> set[Key]:
        listed = await self._in_thread(scan, session_folders(self._settings))
        found = listed.files
        active = {file.key for file in found if self._is_recent(file)}
        new = [file for file in found if file.key in active and not self._has(file)]
        await self._follow(new)
        known = {file.path for file in found}
        for followed in list(self._followed.values()):
            if followed.place is not None and followed.place not in known and listed.may_have(followed.place):
                continue  # too many open files, a share that hangs: not found is not gone
            if followed.main is not None and followed.main not in known:
                followed.drop(followed.main)
            if followed.main is None and followed.key not in self._present and not self._desk.records(followed.key):
                self._let_it_go(followed)
        return {file.key for file in new} & self._followed.keys()

    def _has(self, file: Found) -> bool:
        followed = self._followed.get(file.key)
        return followed is not None and file.path in followed.paths

    def _is_recent(self, file: Found) -> bool:
        if self._let_go.get(file.path) == (file.changed_at, file.size):
            return False
        return file.key in self._present or self._wall() - file.changed_at <= self._settings.history_after

    async def _follow(self, files: list[Found]) -> None:
        # The newest first: they are what people look at.
        for file in sorted(files, key=lambda file: -file.changed_at):
            followed = self._followed.get(file.key)
            if followed is None:
                followed = self._followed[file.key] = self._new(file.key)
            await self._in_thread(followed.add, file)

    def _new(self, key: Key) -> Followed:
        return Followed(key, self._tariffs[key.runtime])

    # Reading and showing

    async def _read(self, touched: set[Key]) -> set[Key]:
        for key in touched:
            followed = self._followed.get(key)
            if followed is not None and followed.behind:
                long = await self._catch_up(followed, 0 if followed.previewed else SLICE)
                if long and key not in self._backlog:
                    self._backlog.append(key)
        return touched

    async def _work_off(self) -> float:
        """One slice of what is long. Returns how long to wait for changes before the next."""
        while self._backlog:
            key = self._backlog.popleft()
            followed = self._followed.get(key)
            if followed is None or not followed.behind:
                continue
            began = trio.current_time()
            if await self._catch_up(followed, SLICE):
                self._backlog.append(key)
            else:
                await self._show({key})
            return trio.current_time() - began  # half of one core at most
        return max(0.0, min(self._next_look, self._next_scan) - trio.current_time())

    async def _catch_up(self, followed: Followed, most: int) -> bool:
        """Read on. Whether there is more."""
        before = followed.unreadable
        try:
            await self._in_thread(followed.catch_up, most)
        except OSError as error:
            self._unreadable(followed, error)
        except Exception as error:
            # A file that breaks a parser must not break the others, nor the node, which would stumble over it again.
            # Where, but not what: the text of an error may quote the file.
            place = traceback.extract_tb(error.__traceback__)[-1]
            log.error(
                "a session could not be understood and is left out; please report this",
                session=followed.key.session,
                error=type(error).__name__,
                where=f"{Path(place.filename).name}:{place.lineno}",
            )
            self._counts["runtimes_failed"] += 1
            self._let_it_go(followed)
        self._counts["runtimes_bad_lines"] += max(0, followed.unreadable - before)
        return followed.behind

    def _unreadable(self, followed: Followed, error: OSError) -> None:
        path = Path(os.fsdecode(error.filename)) if error.filename is not None else followed.main
        if path is None:
            return
        followed.drop(path)
        if isinstance(error, FileNotFoundError):
            return  # archived, cleaned up: the next scan knows
        self._counts["runtimes_unreadable"] += 1
        if path.name not in self._warned and len(self._warned) < LET_GO_LIMIT:
            self._warned.add(path.name)
            log.warning(
                "a session's file can't be read and is left out; check its permissions",
                file=path.name,
                error=error.strerror,
            )

    async def _show(self, keys: set[Key]) -> None:
        for number, key in enumerate(keys):
            if number % AT_ONCE == AT_ONCE - 1:
                await trio.lowlevel.checkpoint()
            self._show_one(key, self._followed.get(key))

    def _show_one(self, key: Key, followed: Followed | None) -> None:
        presence = self._present.get(key)
        records = dict(self._desk.records(key))
        if followed is not None:
            if followed.behind and not followed.previewed:
                return  # half of a file tells of the past
            record = followed.record(presence)
            if record.last_at is not None or presence is not None:
                records[Channel.FILE] = record
            elif followed.main is None and not records:
                self._let_it_go(followed)
        if not records:
            return  # a file without a record says nothing yet
        archived = followed is not None and followed.archived
        told = self._windows.fill(merged(records, self._settings.windows))
        course = followed.course if followed is not None and Channel.FILE in records else None
        if not self._sessions.see(key, told, presence, self._wall(), archived=archived, course=course):
            self._desk.forget(key)
            if followed is not None:
                self._let_it_go(followed)

    def _let_it_go(self, followed: Followed) -> None:
        self._sessions.forget(followed.key)
        self._followed.pop(followed.key, None)
        for path in followed.paths:
            try:
                status = path.stat()
            except OSError:
                continue
            self._let_go[path] = (status.st_mtime, status.st_size)
        while len(self._let_go) > LET_GO_LIMIT:
            del self._let_go[next(iter(self._let_go))]

    async def _in_thread(self, function: Callable[..., _T], *args: object) -> _T:
        return await trio.to_thread.run_sync(partial(function, *args), limiter=self._thread)


def _find(paths: set[str]) -> list[Found]:
    """Those of the changed paths that are session files and there."""
    return [found for path in sorted(paths) if (found := find(path)) is not None]


def _related(found: Found) -> list[Found]:
    """The file, and all others of its session."""
    if found.key.runtime == codex.RUNTIME:
        return [found]
    folder = found.path.with_suffix("")
    if found.agent:
        above = (parent for parent in found.path.parents if parent.name == found.key.session)
        folder = next(above, found.path.parent / found.key.session)
    beside = _find({f"{folder}.jsonl", *map(str, folder.parent.glob("agent-*.jsonl"))})
    own = [file for file in beside if file.key == found.key] + scan([folder]).files
    # The file itself was told by the path that leads there; by its real one it may not be.
    return [found, *(file for file in own if file.path != found.path)]


def _changed(followed: list[Followed]) -> list[tuple[Key, Path]]:
    return [(one.key, path) for one in followed for path in one.changed()]
