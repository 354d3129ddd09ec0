"""What connecting a runtime, or undoing that, makes of its settings file: bytes in, bytes out. Touches nothing."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, NamedTuple

from meshfleet.cli.connect import hooks
from meshfleet.cli.connect.claude import Claude
from meshfleet.cli.connect.codex import Codex
from meshfleet.cli.connect.files import Memory, text_of
from meshfleet.cli.connect.gemini import Gemini
from meshfleet.cli.connect.jsontext import Json, Text
from meshfleet.cli.connect.opencode import Opencode

if TYPE_CHECKING:
    from pathlib import Path

    from meshfleet.cli.connect.runtime import Runtime, Target

RUNTIMES: dict[str, Runtime] = {"claude": Claude(), "codex": Codex(), "gemini": Gemini(), "opencode": Opencode()}

_MADE = (("hooks",), ("env",), ("telemetry",), ("server",))
"""Objects that connecting makes where they are not there, and that go again where they are empty."""


class Plan(NamedTuple):
    """A change of one file."""

    path: Path
    now: bytes | None
    then: bytes | None
    before: bytes | None
    """As it is without anything of ours."""

    @property
    def changes(self) -> bool:
        """Whether there is anything to do."""
        return self.now != self.then

    def diff(self) -> str:
        """What changes, line by line."""
        now, then = ((side or b"").decode("utf-8", "replace") for side in (self.now, self.then))
        lines = difflib.unified_diff(
            now.splitlines(keepends=True), then.splitlines(keepends=True), str(self.path), str(self.path)
        )
        return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def connecting(runtime: Runtime, path: Path, now: bytes | None, memory: Memory | None, target: Target) -> Plan:
    """With all that it needs, and nothing of ours from before. Where it has just that already, nothing changes."""
    before = undone(runtime, path, now, memory)
    clean = Text(text_of(before, path), str(path))
    wanted = runtime.connected(clean, target)
    then: bytes | None = wanted.text.encode()
    if wanted.text == clean.text:
        then = before  # nothing is needed
    elif now is not None and _plain(Text(text_of(now, path), str(path))) == _plain(wanted):
        then = now  # only where it stands differs
    return Plan(path, now, then, before)


def undoing(runtime: Runtime, path: Path, now: bytes | None, memory: Memory | None) -> Plan:
    """Without anything of ours."""
    before = undone(runtime, path, now, memory)
    return Plan(path, now, before, before)


def undone(runtime: Runtime, path: Path, now: bytes | None, memory: Memory | None) -> bytes | None:
    """The file without anything of ours. Untouched since we wrote it, it is what it was, to the byte; else our parts
    are cut out of it where they stand, and the user's edits stay."""
    if now is None:
        return None
    if memory is not None and memory.is_untouched(path, now):
        return memory.before
    text = Text(text_of(now, path), str(path))
    was = _before(path, memory)
    if was is None and not runtime.recognisable:
        return now
    clean = runtime.disconnected(text)
    if clean.text == text.text:
        return now
    if was is not None:
        clean = _as_it_was_written(clean, was)
    for event in set(hooks.emptied(clean)) - set(hooks.emptied(text)):
        if was is None or not was.has(("hooks", event)):
            clean = clean.cut(("hooks", event))
    for made in _MADE:
        if clean.get(made) == {} and text.get(made) != {} and not (was is not None and was.has(made)):
            clean = clean.cut(made)
    if memory is not None and memory.before is None and memory.path == str(path) and _plain(clean) == {}:
        return None
    return clean.text.encode()


def _before(path: Path, memory: Memory | None) -> Text | None:
    if memory is None or memory.path != str(path):
        return None
    return Text(text_of(memory.before, path), str(path))


def _as_it_was_written(clean: Text, was: Text) -> Text:
    """The status line's command has two ways to be written as JSON: the user's is taken up again."""
    line = ("statusLine", "command")
    raw = was.raw(line)
    return clean.put(line, None, raw) if raw is not None and clean.get(line) == was.get(line) else clean


def _plain(text: Text) -> Json:
    return text.get(())
