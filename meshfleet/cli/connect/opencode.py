"""opencode: a fixed port for its server, whose event stream the node reads. No plugin: one makes opencode fetch a
package before its first session.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from meshfleet.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshfleet.cli.connect.jsontext import Text
    from meshfleet.cli.connect.runtime import Target

PORT = 4096
"""opencode's own default for `opencode serve`, and where a node looks for it."""

PLACE = ("server", "port")


class Opencode:
    """See the module."""

    name = "opencode"
    program = "opencode"
    needs_script = False
    recognisable = False

    def settings(self, environment: Mapping[str, str], home: Path) -> Path:
        """OPENCODE_CONFIG, else `opencode.jsonc` or `opencode.json` in its folder."""
        if environment.get("OPENCODE_CONFIG"):
            return home / environment["OPENCODE_CONFIG"]
        folder = Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "opencode"
        with_comments = folder / "opencode.jsonc"
        return with_comments if with_comments.exists() else folder / "opencode.json"

    def connected(self, text: Text, target: Target) -> Text:
        """With a port, where the user has set none."""
        if text.has(("server",)) and not isinstance(text.get(("server",)), dict):
            raise ConfigError(f"{text.name}: its `server` is no object. Nothing was changed; mend it first.")
        return text if text.has(PLACE) else text.put(PLACE, PORT)

    def disconnected(self, text: Text) -> Text:
        """Without the port, if it is this one."""
        return text.cut(PLACE) if text.get(PLACE) == PORT else text

    def notes(self, text: Text, target: Target) -> list[str]:
        """Which port it is."""
        port = text.get(PLACE)
        if port != PORT:
            return [f"opencode has port {port} of your own: nothing was changed. A node looks at {PORT}."]
        return [f"opencode serves on 127.0.0.1:{PORT} when it starts anew; a second one at a time gets another port."]
