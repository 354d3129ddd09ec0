"""Claude Code: hooks, the status line and telemetry, in `settings.json` of the user.

Settings of a project and of an administrator go before these; telemetry in a project's settings is ignored by Claude
Code itself. Checked against 2.1.197.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshfleet.cli.connect import hooks, telling
from meshfleet.errors import ConfigError
from meshfleet.runtimes.hooks.claude import EVENTS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from meshfleet.cli.connect.jsontext import Json, Text
    from meshfleet.cli.connect.runtime import Target

LINE = ("statusLine", "command")


class Claude:
    """See the module."""

    name = "Claude Code"
    program = "claude"
    needs_script = True
    recognisable = True

    def settings(self, environment: Mapping[str, str], home: Path) -> Path:
        """`settings.json` in CLAUDE_CONFIG_DIR, else in `~/.claude`."""
        folder = environment.get("CLAUDE_CONFIG_DIR")
        return (home / ".claude" if not folder else home / folder) / "settings.json"

    def connected(self, text: Text, target: Target) -> Text:
        """With hooks, a status line around the user's own, and telemetry where the user has none."""
        place = (target.scripts, target.host, target.port)
        hook: Json = {
            "type": "command",
            "command": telling.command(*place, "/hooks/claude"),
            "timeout": telling.TIMEOUT,
        }
        text = hooks.added(text, dict.fromkeys(EVENTS, hook))
        line = text.get(("statusLine",))
        if text.has(("statusLine",)) and not (isinstance(line, dict) and isinstance(line.get("command"), str)):
            raise ConfigError(f"{text.name}: its `statusLine` has no `command`. Nothing was changed; mend it first.")
        if isinstance(line, dict):
            own = str(line["command"])
            text = text.put(LINE, telling.around(*place, "/hooks/claude/statusline", own))
        else:
            command = telling.command(*place, "/hooks/claude/statusline")
            text = text.put(("statusLine",), {"type": "command", "command": command})
        environment = text.get(("env",))
        if text.has(("env",)) and not isinstance(environment, dict):
            raise ConfigError(f"{text.name}: its `env` is no object. Nothing was changed; mend it first.")
        if not foreign(text):
            for variable, value in variables(target).items():
                if not text.has(("env", variable)):
                    text = text.put(("env", variable), value)
        return text

    def disconnected(self, text: Text) -> Text:
        """Without hooks, status line and telemetry of ours."""
        text = hooks.removed(text)
        command = text.get(LINE)
        own = telling.inside(command) if isinstance(command, str) else None
        if own is not None:
            text = text.put(LINE, own)
        elif telling.is_ours(command):
            text = text.cut(("statusLine",))
        if is_ours(text):
            for variable, value in _FIXED.items():
                if text.get(("env", variable)) == value:
                    text = text.cut(("env", variable))
            text = text.cut(("env", ENDPOINT))
            named = text.get(("env", ATTRIBUTES))
            if isinstance(named, str) and named.startswith("host.name=") and "," not in named:
                text = text.cut(("env", ATTRIBUTES))
        return text

    def notes(self, text: Text, target: Target) -> list[str]:
        """What is not as it could be."""
        if foreign(text):
            return [
                "Telemetry goes where you have it go already, so that tokens and cost come from transcripts and the "
                f"status line alone. To change that, set {ENDPOINT} to {target.url}/otlp yourself."
            ]
        return ["Sessions that run already take it up when they start anew."]


ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
ATTRIBUTES = "OTEL_RESOURCE_ATTRIBUTES"
_FIXED = {
    "CLAUDE_CODE_ENABLE_TELEMETRY": "1",
    "OTEL_METRICS_EXPORTER": "otlp",
    "OTEL_LOGS_EXPORTER": "otlp",
    "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json",
}


def variables(target: Target) -> dict[str, str]:
    """What telemetry needs. Prompts stay out of it unless OTEL_LOG_USER_PROMPTS is set, which it is not here."""
    return {**_FIXED, ENDPOINT: f"{target.url}/otlp", ATTRIBUTES: f"host.name={target.machine}"}


def is_ours(text: Text) -> bool:
    """Whether telemetry goes to a node: to `/otlp` on this machine."""
    endpoint = text.get(("env", ENDPOINT))
    near = ("http://127.", "http://localhost:", "http://[::1]:")
    return isinstance(endpoint, str) and endpoint.startswith(near) and endpoint.endswith("/otlp")


def foreign(text: Text) -> bool:
    """Whether the user has telemetry go somewhere, or wants none."""
    environment = text.get(("env",))
    if not isinstance(environment, dict) or is_ours(text):
        return False
    own = [key for key in environment if key.startswith("OTEL_") and "EXPORTER" in key]
    return bool(own) or environment.get("CLAUDE_CODE_ENABLE_TELEMETRY") in ("0", "false")
