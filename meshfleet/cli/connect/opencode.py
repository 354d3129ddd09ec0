"""opencode: nothing is written. A node reads the event stream of its server, which `opencode serve` has by itself, and
the terminal only with `--port`: `server.port` in its settings counts for `serve` alone (tried with 1.18.33). No plugin:
one makes opencode fetch a package before its first session.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshfleet.cli.connect.jsontext import Text
    from meshfleet.cli.connect.runtime import Target

PORT = 4096
"""opencode's own default for `opencode serve`, and where a node looks for it."""


class Opencode:
    """See the module."""

    name = "opencode"
    program = "opencode"
    needs_script = False

    def settings(self, environment: Mapping[str, str], home: Path) -> Path:
        """OPENCODE_CONFIG, else `opencode.jsonc` or `opencode.json` in its folder."""
        if environment.get("OPENCODE_CONFIG"):
            return home / environment["OPENCODE_CONFIG"]
        folder = Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "opencode"
        with_comments = folder / "opencode.jsonc"
        return with_comments if with_comments.exists() else folder / "opencode.json"

    def connected(self, text: Text, target: Target) -> Text:
        """As it is."""
        return text

    def disconnected(self, text: Text) -> Text:
        """As it is."""
        return text

    def notes(self, text: Text, target: Target) -> list[str]:
        """How it is started so that a node sees it."""
        port = text.get(("server", "port"))
        notes = [f"Start it as `opencode --port {PORT}`, for which an alias is handy; `opencode serve` needs nothing."]
        if port not in (None, 0, PORT):
            notes.append(f"Your server.port is {port}, where `opencode serve` listens: a node looks at {PORT}.")
        return notes
