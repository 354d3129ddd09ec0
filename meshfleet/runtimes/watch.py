"""Which files there are, whose they are, and which of them changed.

Changes come from the operating system by way of watchfiles; where that can't be had, or has missed something, from
looking at sizes and times again (`RuntimesSettings.look_every`, `.scan_every`).
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import trio

from meshfleet.logs import get_logger
from meshfleet.runtimes import claude_code, codex, gemini_cli
from meshfleet.runtimes.record import project_of
from meshfleet.runtimes.sessions import Key

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from meshfleet.runtimes.settings import RuntimesSettings

FILES_LIMIT = 200_000
"""Files that one scan lists. A heavy user has some ten thousand after a year."""

FOLDERS_LIMIT = 50_000
"""Folders that one scan lists: a link may lead to a whole disk."""

DEPTH_LIMIT = 8
"""Folders within folders. Codex has sessions/YYYY/MM/DD, Claude Code projects/X/SESSION/subagents/workflows/Y."""

STEP_MS = 50
"""How often watchfiles collects what the system said: a third of the 300 ms within which a line must show."""

DEBOUNCE_MS = 100
"""How long it goes on collecting while more comes."""

FIRST_LINE = 64 * 1024
"""Bytes of a file in which its first line is looked for: whose it is stands there, where its place does not tell."""

RETRY = 5.0
"""Seconds until watching is tried again that failed, or whose folder isn't there yet."""

log = get_logger("meshfleet.runtimes")

_CODEX_NAME = re.compile(r"rollout-.+?-([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\.jsonl")
_CLAUDE_NAME = re.compile(r"([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\.jsonl")
_GEMINI_NAME = re.compile(r"session-[0-9T-]{10,32}-([0-9A-Za-z_-]{8})\.jsonl")
_GEMINI_PARENT = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_GEMINI_AGENT = re.compile(r"([0-9A-Za-z_-]{8,100})\.jsonl")
_HASH = re.compile(r"[0-9a-f]{64}")
_AGENT_NAME = re.compile(r"agent-([A-Za-z0-9_-]{1,64})\.jsonl")


class Found(msgspec.Struct, frozen=True):
    """A file of a session."""

    path: Path
    key: Key
    agent: str = ""
    """The sub-agent whose file it is; empty for the session's own."""
    archived: bool = False
    parent: str | None = None
    """The session that it is a sub-agent of, where its place tells."""
    project: str | None = None
    """What its folder is called, where that is the project's name."""
    changed_at: float = 0.0
    """Its modification time, seconds since 1970."""
    size: int = 0


def classify(path: Path) -> Found | None:
    """Whose file this is, by its place and name, where these tell; None where it is none of ours."""
    if (codex_file := _CODEX_NAME.fullmatch(path.name)) is not None:
        return Found(path, Key(codex.RUNTIME, codex_file[1]), archived="archived_sessions" in path.parts)
    if (gemini_file := _gemini(path)) is not None:
        return gemini_file
    if (claude_file := _CLAUDE_NAME.fullmatch(path.name)) is not None:
        return Found(path, Key(claude_code.RUNTIME, claude_file[1]))
    if (agent_file := _AGENT_NAME.fullmatch(path.name)) is not None:
        nested = "subagents" in path.parts
        session = path.parts[-path.parts[::-1].index("subagents") - 2] if nested else _session_inside(path)
        if _CLAUDE_NAME.fullmatch(f"{session}.jsonl"):
            return Found(path, Key(claude_code.RUNTIME, session), agent=agent_file[1])
    return None


class _FirstLine(msgspec.Struct, frozen=True):
    sessionId: str


_first_line = msgspec.json.Decoder(_FirstLine)


def _session_inside(path: Path) -> str:
    """Whose sub-agent's file it is that stands beside its session's, as of Claude Code 2.0; nobody's where that is not
    told yet."""
    try:
        return _told_first(str(path))
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""


@lru_cache(maxsize=16_384)  # some 5 MB at the most; Claude Code itself removes what is older than a month
def _told_first(path: str) -> str:
    with open(path, "rb") as file:
        return _first_line.decode(file.readline(FIRST_LINE)).sessionId


def _gemini(path: Path) -> Found | None:
    """`tmp/PROJECT/chats/session-….jsonl`, or a sub-agent's `tmp/PROJECT/chats/PARENT/….jsonl`."""
    parts = path.parts
    parent = None
    if len(parts) > 4 and parts[-3] == "chats" and _GEMINI_PARENT.fullmatch(parts[-2]):
        parent = parts[-2]
    elif len(parts) < 3 or parts[-2] != "chats":
        return None
    named = (_GEMINI_NAME if parent is None else _GEMINI_AGENT).fullmatch(path.name)
    if named is None:
        return None
    folder = parts[-3 if parent is None else -4]
    project = None if _HASH.fullmatch(folder) else project_of(folder)  # older versions hash the project's path
    return Found(path, Key(gemini_cli.RUNTIME, named[1]), parent=parent, project=project)


def session_folders(settings: RuntimesSettings) -> list[Path]:
    """Where session files are."""
    claude = [folder / "projects" for folder in settings.claude_dirs]
    gemini = [folder / "tmp" for folder in settings.gemini_dirs]
    return (
        claude
        + gemini
        + [folder / part for folder in settings.codex_dirs for part in ("sessions", "archived_sessions")]
    )


def process_folders(settings: RuntimesSettings) -> list[Path]:
    """Where files about living processes are."""
    return [folder / "sessions" for folder in settings.claude_dirs]


class Listed(msgspec.Struct, frozen=True):
    """What a scan found."""

    files: list[Found]
    unlisted: frozenset[Path]
    """Folders that are there, or may be, and could not be listed: what is not found below them may be there."""

    def may_have(self, path: Path) -> bool:
        """Whether that file may be there though it was not found."""
        return not self.unlisted.isdisjoint(path.parents)


def scan(folders: Iterable[Path]) -> Listed:
    """All session files. Lists folders: not for the Trio thread. What can't be listed is left out, and named. Links to
    folders are followed, as watchfiles does, each folder once; what is found has the one path that is without them."""
    found: list[Found] = []
    unlisted: set[str] = set()
    seen: set[tuple[int, int]] = set()
    # Each folder with the path that leads there, by which its files are told, and the real one.
    waiting = [(str(folder), os.path.realpath(folder), 0) for folder in folders]
    while waiting and len(found) < FILES_LIMIT and len(seen) < FOLDERS_LIMIT:
        folder, real, depth = waiting.pop()
        try:
            status = os.stat(folder)
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(folder) as entries:
                for entry in entries:
                    path = os.path.join(real, entry.name)
                    if _is_folder(entry):
                        if depth < DEPTH_LIMIT:
                            waiting.append(
                                (entry.path, os.path.realpath(path) if entry.is_symlink() else path, depth + 1)
                            )
                    elif entry.name.endswith(".jsonl") and (file := classify(Path(entry.path))) is not None:
                        with suppress(FileNotFoundError):  # removed meanwhile, or a link to nothing
                            found.append(stamped(file, entry.stat(), path))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            unlisted.add(real)
    unlisted.update(real for _, real, _ in waiting)
    return Listed(found, frozenset(map(Path, unlisted)))


def find(path: str) -> Found | None:
    """The session file at `path`, as `scan` would find it. None where it is none, or not there."""
    if not path.endswith(".jsonl") or (file := classify(Path(path))) is None:
        return None
    folder, name = os.path.split(path)
    try:
        return stamped(file, os.stat(path), os.path.join(os.path.realpath(folder), name))
    except OSError:
        return None


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return True  # a link that leads nowhere for now: listing it will say what is wrong


def stamped(file: Found, status: os.stat_result, path: str) -> Found:
    """The file with its time and size, at its real path."""
    return msgspec.structs.replace(file, path=Path(path), changed_at=status.st_mtime, size=status.st_size)


async def watch(folder: Path, changed: Callable[[set[str]], None]) -> None:
    """Call `changed` with the paths under `folder` that changed, until cancelled. The folder may come, go and come."""
    try:
        from watchfiles import awatch
    except ImportError:
        log.warning("session files are looked at now and then only: watchfiles is not installed")
        return

    async def follow() -> None:
        stop = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_set_when_cancelled, stop)
            # No filter: it would be asked in the Trio thread for each file that a build writes.
            changes = awatch(
                folder, step=STEP_MS, debounce=DEBOUNCE_MS, watch_filter=None, recursive=True, stop_event=stop
            )
            async for batch in changes:
                changed({path for _, path in batch})
            nursery.cancel_scope.cancel()

    await _again_and_again(folder, follow)


async def _set_when_cancelled(stop: trio.Event) -> None:
    # Its thread can't be cancelled. Without this word it would hold up the end of the node for five seconds.
    try:
        await trio.sleep_forever()
    finally:
        stop.set()


async def _again_and_again(folder: Path, follow: Callable[[], Awaitable[None]]) -> None:
    warned = False
    while True:
        try:
            if await trio.Path(folder).is_dir():
                await follow()
        except* (OSError, RuntimeError) as errors:
            # Too many watches, a folder that went, a file system without events: looking now and then goes on.
            error = errors.exceptions[0]
            if not warned:
                log.warning(
                    "a folder can't be watched; it is looked at now and then", folder=folder.name, error=str(error)
                )
            warned = True
        await trio.sleep(RETRY)
