"""Codex: hooks, in `hooks.json` of the user. Rollouts have all figures already, and its telemetry would add none: no
window, no limits, no cost. Checked against 0.169.0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshfleet.cli.connect import hooks, telling
from meshfleet.runtimes.hooks.codex import EVENTS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from meshfleet.cli.connect.jsontext import Json, Text
    from meshfleet.cli.connect.runtime import Target


class Codex:
    """See the module."""

    name = "Codex"
    program = "codex"
    needs_script = True
    recognisable = True

    def settings(self, environment: Mapping[str, str], home: Path) -> Path:
        """`hooks.json` in CODEX_HOME, else in `~/.codex`."""
        folder = environment.get("CODEX_HOME")
        return (home / ".codex" if not folder else home / folder) / "hooks.json"

    def connected(self, text: Text, target: Target) -> Text:
        """With hooks."""
        command = telling.command(target.scripts, target.host, target.port, "/hooks/codex")
        hook: Json = {"type": "command", "command": command, "timeout": telling.TIMEOUT}
        return hooks.added(text, dict.fromkeys(EVENTS, hook))

    def disconnected(self, text: Text) -> Text:
        """Without hooks of ours."""
        return hooks.removed(text)

    def notes(self, text: Text, target: Target) -> list[str]:
        """Codex runs no hook that its user has not trusted, and says nothing of it."""
        return [
            "Codex runs hooks only once you have trusted them: start `codex`, enter /hooks, and trust those of "
            "meshfleet-tell. Until then, and in `codex exec`, its rollouts tell everything but who waits for a person."
        ]
