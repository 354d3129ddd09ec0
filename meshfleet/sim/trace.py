"""What a run did, line by line: kept as a hash, and as text where somebody wants to read it."""

from __future__ import annotations

from hashlib import sha256


class Trace:
    """Lines in order of time."""

    def __init__(self) -> None:
        self._hash = sha256()
        self.lines: list[str] | None = None
        """All of them, if set to a list before the run."""

    def note(self, now_us: int, *what: object) -> None:
        """One more."""
        line = f"{now_us} {' '.join(map(str, what))}\n"
        self._hash.update(line.encode())
        if self.lines is not None:
            self.lines.append(line)

    def hexdigest(self) -> str:
        """The hash of all of them."""
        return self._hash.hexdigest()
