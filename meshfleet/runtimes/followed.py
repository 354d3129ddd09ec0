"""One session and its files: reads what is new, a slice at a time. Blocks on files: not for the Trio thread."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from meshfleet.runtimes import codex, gemini_cli
from meshfleet.runtimes.claude_code import ClaudeSession
from meshfleet.runtimes.codex import CodexSession
from meshfleet.runtimes.gemini_cli import GeminiSession
from meshfleet.runtimes.tail import CHUNK, Tail

if TYPE_CHECKING:
    from pathlib import Path

    from meshfleet.fleet.usage import Moment
    from meshfleet.runtimes.processes import Presence
    from meshfleet.runtimes.record import SessionRecord
    from meshfleet.runtimes.sessions import Key
    from meshfleet.runtimes.usage import Tariff
    from meshfleet.runtimes.watch import Found

PREVIEW_FROM = 2 * 1024 * 1024
"""Bytes from which a file is read at both ends first. Smaller ones are through in some 20 ms."""

HEAD = 64 * 1024
"""Bytes of a long file's beginning that tell what the session is. Codex's first record has 25 KB of instructions."""

ENDING = 256 * 1024
"""Bytes of a file's end in which every record is looked at; before that only those that count for the sums."""


Parser = ClaudeSession | CodexSession | GeminiSession


class _File:
    """A file of the session, and how far it was read."""

    def __init__(self, found: Found) -> None:
        self.agent = found.agent
        self.tail = Tail(found.path)
        self.changed_at = found.changed_at
        self.stamp: tuple[int, int, int] | None = None


class Followed:
    """A session's parser, fed from its files."""

    def __init__(self, key: Key, tariff: Tariff) -> None:
        self.key = key
        self.archived = False
        self.main: Path | None = None
        """The session's own file; None before it is there, and after it went."""
        self.place: Path | None = None
        """Where that is, or was last."""
        self._tariff = tariff
        self._parent: str | None = None
        self._project: str | None = None
        self._parser = self._new_parser()
        self._files: dict[Path, _File] = {}
        self._unread: dict[Path, None] = {}
        self._stale = False
        """What is known has lines of a file that was dropped. It must not be read into the same parser again."""
        self._preview: Parser | None = None
        self._preview_tail: Tail | None = None

    @property
    def behind(self) -> bool:
        """Whether there is something to read."""
        return bool(self._unread)

    @property
    def previewed(self) -> bool:
        """Whether its file is long, and has not been read to its end yet."""
        return self._preview is not None

    @property
    def paths(self) -> list[Path]:
        """Its files."""
        return list(self._files)

    @property
    def unreadable(self) -> int:
        """Lines that could not be read, too long ones included."""
        return self._parser.unreadable + sum(file.tail.too_long for file in self._files.values())

    def add(self, found: Found) -> None:
        """A file of the session: a new one, or one that may have grown."""
        known = self._files.get(found.path)
        if known is not None:
            known.changed_at = found.changed_at
        else:
            if not found.agent:
                main = self._files.get(self.main) if self.main is not None else None
                if main is not None and main.changed_at > found.changed_at:
                    return  # an older copy: the session was moved or resumed elsewhere
                if self.main is not None:
                    self._files.pop(self.main, None)
                    self._stale = True
                self.main = self.place = found.path
                self.archived = found.archived
            if found.parent != self._parent:
                self._parent = found.parent
                self._parser = self._new_parser()
            if self._stale:
                self._restart()
            self._project = found.project or self._project
            self._files[found.path] = _File(found)
            if not found.agent and found.size > PREVIEW_FROM:
                self._look_ahead(found)
        self._unread[found.path] = None

    def mark(self, path: Path) -> None:
        """One of its files may have grown."""
        if path in self._files:
            self._unread[path] = None

    def drop(self, path: Path) -> None:
        """A file that is gone, or can't be read. What was read of it stays known."""
        dropped = self._files.pop(path, None)
        self._unread.pop(path, None)
        if dropped is not None and dropped.tail.offset:  # of one that never could be read there is nothing
            self._stale = True
        if path == self.main:
            self.main = None
            self._preview = self._preview_tail = None

    def changed(self) -> list[Path]:
        """Files that are not as they were at the last look."""
        different = []
        for path, file in self._files.items():
            try:
                status = os.stat(path)
            except OSError:
                different.append(path)  # reading it will say what is wrong
                continue
            stamp = (status.st_size, status.st_mtime_ns, status.st_ino)
            if stamp != file.stamp:
                file.stamp = stamp
                different.append(path)
        return different

    def catch_up(self, most: int) -> None:
        """Read on, at most `most` bytes. OSError where a file can't be read: `.filename` says which."""
        if self._preview is not None and self._preview_tail is not None:
            for line in self._preview_tail.read(CHUNK).lines:
                self._preview.feed(line)
        while self._unread and most > 0:
            path = next(iter(self._unread))
            size = min(CHUNK, most)
            most -= size
            self._read(path, size)

    def record(self, presence: Presence | None) -> SessionRecord:
        """What is known. Sums are None while the files have not been read to their ends."""
        parser = self._preview or self._parser
        record = parser.record()
        if self.behind:
            record = msgspec.structs.replace(record, usage=None, cost=None)
        if record.project is None:
            project = presence.project if presence is not None else self._project
            record = msgspec.structs.replace(record, project=project)
        return record

    def course(self) -> tuple[Moment, ...]:
        """What the session had used when, by its files."""
        return self._parser.course()

    def _read(self, path: Path, most: int) -> None:
        file = self._files[path]
        tail = file.tail
        got = tail.read(most)
        if got.restarted:
            self._restart()
            file.tail = tail  # it has begun anew by itself: these lines are its first
        far = got.remaining > ENDING
        parser = self._parser
        for line in got.lines:
            if not far or parser.matters(line):
                parser.feed(line, file.agent)
        if got.remaining:
            self._unread[path] = None
            return
        self._unread.pop(path, None)
        if path == self.main:
            self._preview = self._preview_tail = None

    def _restart(self) -> None:
        """All files from their beginnings, with nothing known: one of them is another than it was."""
        self._parser = self._new_parser()
        self._stale = False
        self._preview = self._preview_tail = None
        for path, file in self._files.items():
            file.tail = Tail(path)
            self._unread[path] = None

    def _look_ahead(self, found: Found) -> None:
        preview = self._new_parser()
        ending = Tail(found.path, max(HEAD, found.size - ENDING))
        try:
            for line in Tail(found.path).read(HEAD).lines:
                preview.feed(line)
            for line in ending.read(CHUNK).lines:
                preview.feed(line)
        except OSError:
            return  # reading it in earnest will say what is wrong
        self._preview, self._preview_tail = preview, ending

    def _new_parser(self) -> Parser:
        if self.key.runtime == gemini_cli.RUNTIME:
            return GeminiSession(self.key.session, self._tariff, self._parent)
        made = CodexSession if self.key.runtime == codex.RUNTIME else ClaudeSession
        return made(self.key.session, self._tariff)
