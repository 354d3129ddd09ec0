"""Where the runtimes keep their files, and how patient the watching is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

Seconds = float


class RuntimesSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What `watch_agents` needs to know. Folders need not exist: they are looked for again and again."""

    claude_dirs: tuple[Path, ...] = ()
    """Claude Code's folders: each has `projects`, and `sessions` for the processes that live."""

    codex_dirs: tuple[Path, ...] = ()
    """Codex's homes: each has `sessions` and `archived_sessions`."""

    gemini_dirs: tuple[Path, ...] = ()
    """Gemini CLI's folders: each has `tmp`, with a folder for each project."""

    history_after: Seconds = 3600.0
    """A session silent for longer than this is history, not an agent, unless its process is known to live."""

    silent_exit: Seconds = 3600.0
    """Silence after which a session whose process isn't known counts as exited. People leave a prompt open over lunch,
    so it is generous; a session that speaks again is there again."""

    exited_shown: Seconds = 3600.0
    """How long an agent that exited stays in the view before it is withdrawn."""

    look_every: Seconds = 2.0
    """How often processes and followed files are looked at, should the watching of files have missed something.
    Each look costs some 10 µs per session."""

    scan_every: Seconds = 30.0
    """How often all folders are listed for files that the watching did not tell of. Costs some 10 µs per file there."""


def find_runtimes(environment: Mapping[str, str], home: Path) -> RuntimesSettings:
    """Settings with the folders where each runtime itself would look: CLAUDE_CONFIG_DIR, CODEX_HOME,
    GEMINI_CLI_HOME (which stands for the home folder itself), or its default.

    Without CLAUDE_CONFIG_DIR both of Claude Code's places are watched: `~/.claude`, and `~/.config/claude`, which some
    of its versions used.
    """
    claude, codex = environment.get("CLAUDE_CONFIG_DIR"), environment.get("CODEX_HOME")
    gemini = environment.get("GEMINI_CLI_HOME")
    return RuntimesSettings(
        claude_dirs=(Path(claude),) if claude else (home / ".claude", home / ".config" / "claude"),
        codex_dirs=(Path(codex) if codex else home / ".codex",),
        gemini_dirs=((Path(gemini) if gemini else home) / ".gemini",),
    )
