"""One file that grows: bytes -> whole lines. Bounded, whatever the file holds; only what is new is read.

The file is opened for each read and not held, so that a rotated, replaced or deleted file is noticed, and hundreds of
sessions cost no descriptors.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from pathlib import Path

LINE_LIMIT = 4 * 1024 * 1024
"""Bytes of the longest line that is looked at. What is longer holds images or whole files, never a usage; it is skipped
and counted. A line of this size takes msgspec some 4 ms, which is what a node's loop may wait for it."""

CHUNK = 256 * 1024
"""Bytes that are read at once."""

MARK = 48
"""Bytes before the offset that are compared at each read: a file cut and grown again beyond it is another file."""


class Lines(msgspec.Struct, frozen=True):
    """What one read gave."""

    lines: list[bytes]
    """Whole lines, without their ends. Empty ones are left out."""
    restarted: bool
    """The file was cut or replaced: these lines are its first, and all that was read before no longer holds."""
    remaining: int
    """Bytes that the file had beyond this read."""


class Tail:
    """Remembers how far a file has been read. For use from one thread at a time."""

    def __init__(self, path: Path, start: int = 0) -> None:
        self.path = path
        self.offset = start
        self.too_long = 0
        """Lines over LINE_LIMIT so far."""
        self._identity: tuple[int, int] | None = None
        self._mark = b""
        self._partial = bytearray()
        self._skipping = start > 0  # the middle of a line, most likely: its rest is no line

    def read(self, most: int = CHUNK) -> Lines:
        """The next lines, from at most `most` bytes. OSError where the file can't be read."""
        with self.path.open("rb", buffering=0) as file:
            status = os.fstat(file.fileno())
            identity = (status.st_dev, status.st_ino)
            restarted = self._identity is not None and (
                identity != self._identity or status.st_size < self.offset or not self._same_before(file.fileno())
            )
            if restarted:
                self._restart()
            self._identity = identity
            data = os.pread(file.fileno(), most, self.offset)
        self.offset += len(data)
        self._mark = (self._mark + data)[-MARK:]
        return Lines(self._split(data), restarted, max(0, status.st_size - self.offset))

    def _same_before(self, descriptor: int) -> bool:
        return os.pread(descriptor, len(self._mark), self.offset - len(self._mark)) == self._mark

    def _restart(self) -> None:
        self.offset = 0
        self._mark = b""
        self._partial.clear()
        self._skipping = False

    def _split(self, data: bytes) -> list[bytes]:
        first, newline, rest = data.partition(b"\n")
        if not newline:
            self._keep(data)
            return []
        lines: list[bytes] = []
        if self._skipping:
            self._skipping = False
        elif len(self._partial) + len(first) > LINE_LIMIT:
            self.too_long += 1
        else:
            lines.append(bytes(self._partial) + first)
        self._partial.clear()
        *whole, last = rest.split(b"\n")
        lines += whole
        self._keep(last)
        return [line for line in lines if line and not line.isspace()]

    def _keep(self, piece: bytes) -> None:
        if self._skipping:
            return
        if len(self._partial) + len(piece) > LINE_LIMIT:
            self.too_long += 1
            self._skipping = True
            self._partial.clear()
        else:
            self._partial += piece
