"""Where the runtimes keep their files, and how patient the watching is."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

Seconds = float

OPENCODE = "http://127.0.0.1:4096"
"""Where `opencode serve` listens by default."""

OLLAMA_PORT = 11434


class RuntimesSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What `watch_agents` needs to know. Folders need not exist: they are looked for again and again."""

    claude_dirs: tuple[Path, ...] = ()
    """Claude Code's folders: each has `projects`, and `sessions` for the processes that live."""

    codex_dirs: tuple[Path, ...] = ()
    """Codex's homes: each has `sessions` and `archived_sessions`."""

    gemini_dirs: tuple[Path, ...] = ()
    """Gemini CLI's folders: each has `tmp`, with a folder for each project."""

    opencode: tuple[str, ...] = ()
    """URLs of opencode's servers on this machine. They need not be there."""

    opencode_password: str | None = None
    """What those servers want to be shown, where they were started with one."""

    ollama: str | None = None
    """URL of this machine's Ollama. It need not be there."""

    windows: Mapping[str, int] = {}
    """Tokens that the context of a model holds, by its name, for models that no list has: what the runtime itself says
    comes before it, what lists say after."""

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
    """Settings with the places where each runtime itself would look: CLAUDE_CONFIG_DIR, CODEX_HOME,
    GEMINI_CLI_HOME (which stands for the home folder itself), or its default.

    Without CLAUDE_CONFIG_DIR both of Claude Code's places are watched: `~/.claude`, and `~/.config/claude`, which some
    of its versions used.
    """
    claude, codex = environment.get("CLAUDE_CONFIG_DIR"), environment.get("CODEX_HOME")
    gemini = environment.get("GEMINI_CLI_HOME")
    return RuntimesSettings(
        claude_dirs=(Path(claude),) if claude else (home / ".claude", home / ".config" / "claude"),
        codex_dirs=(Path(codex) if codex else home / ".codex",),
        opencode=(OPENCODE,),
        opencode_password=environment.get("OPENCODE_SERVER_PASSWORD") or None,
        ollama=_ollama(environment.get("OLLAMA_HOST", "")),
        gemini_dirs=((Path(gemini) if gemini else home) / ".gemini",),
    )


def _ollama(text: str) -> str | None:
    """Where Ollama serves, as OLLAMA_HOST says it: a host, a port, both, or a URL. None where that is another machine,
    or HTTPS: what it has loaded is not this machine's to show."""
    split = urlsplit(text if "://" in text else f"http://{text}")
    try:
        host, port = split.hostname or "127.0.0.1", split.port or OLLAMA_PORT
        here = host.lower() == "localhost" or ip_address(host).is_loopback
        everywhere = not here and ip_address(host).is_unspecified
    except ValueError:
        return None
    if split.scheme != "http" or not (here or everywhere):
        return None
    named = "127.0.0.1" if everywhere else host
    return f"http://[{named}]:{port}" if ":" in named else f"http://{named}:{port}"
