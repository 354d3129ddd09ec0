"""Gemini CLI: hooks and telemetry, in `settings.json` of the user. Checked against 0.61.0.

Its telemetry tells tokens; by default it would also tell prompts, which `logPrompts: false` keeps out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshfleet.cli.connect import hooks, telling
from meshfleet.errors import ConfigError
from meshfleet.runtimes.hooks.gemini import EVENTS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from meshfleet.cli.connect.jsontext import Json, Text
    from meshfleet.cli.connect.runtime import Target

TELEMETRY = ("telemetry",)


class Gemini:
    """See the module."""

    name = "Gemini CLI"
    program = "gemini"
    needs_script = True

    def settings(self, environment: Mapping[str, str], home: Path) -> Path:
        """`.gemini/settings.json` in GEMINI_CLI_HOME, which stands for the home folder itself, else in that."""
        folder = environment.get("GEMINI_CLI_HOME")
        return (home if not folder else home / folder) / ".gemini" / "settings.json"

    def connected(self, text: Text, target: Target) -> Text:
        """With hooks, and telemetry where the user has none."""
        command = telling.command(target.scripts, target.host, target.port, "/hooks/gemini")
        # Milliseconds here, unlike in the other two.
        hook: Json = {
            "type": "command",
            "name": "meshfleet",
            "command": command,
            "timeout": telling.TIMEOUT * 1000,
        }
        text = hooks.added(text, dict.fromkeys(EVENTS, hook))
        if text.has(TELEMETRY) and not isinstance(text.get(TELEMETRY), dict):
            raise ConfigError(f"{text.name}: its `telemetry` is no object. Nothing was changed; mend it first.")
        if not foreign(text):
            for key, value in wanted(target).items():
                text = text.put(("telemetry", key), value)
        return text

    def disconnected(self, text: Text) -> Text:
        """Without hooks and telemetry of ours."""
        text = hooks.removed(text)
        if is_ours(text):
            for key in wanted_keys():
                if text.has(("telemetry", key)):
                    text = text.cut(("telemetry", key))
        return text

    def notes(self, text: Text, target: Target) -> list[str]:
        """What is not as it could be."""
        if foreign(text):
            return [
                "Your telemetry settings stay as they are, so that tokens are not known. To change that, have "
                f"telemetry.otlpEndpoint be {target.url}/otlp, with otlpProtocol http and logPrompts false."
            ]
        return ["Sessions that run already take it up when they start anew."]


def wanted(target: Target) -> dict[str, Json]:
    """The telemetry."""
    return {
        "enabled": True,
        "target": "local",
        "otlpEndpoint": f"{target.url}/otlp",
        "otlpProtocol": "http",
        "logPrompts": False,
    }


def wanted_keys() -> tuple[str, ...]:
    """Its keys."""
    return ("enabled", "target", "otlpEndpoint", "otlpProtocol", "logPrompts")


def is_ours(text: Text) -> bool:
    """Whether telemetry goes to a node: to `/otlp` on this machine."""
    endpoint = text.get(("telemetry", "otlpEndpoint"))
    near = ("http://127.", "http://localhost:", "http://[::1]:")
    return isinstance(endpoint, str) and endpoint.startswith(near) and endpoint.endswith("/otlp")


def foreign(text: Text) -> bool:
    """Whether the user has telemetry settings of another kind."""
    return not is_ours(text) and any(text.has(("telemetry", key)) for key in (*wanted_keys(), "outfile"))
