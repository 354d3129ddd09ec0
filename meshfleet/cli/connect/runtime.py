"""What `connect` knows of a runtime: where its settings are, what they need, and what is to be said."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from meshfleet.cli.connect.jsontext import Text


class Target(NamedTuple):
    """The node, and this machine."""

    host: str
    port: int
    machine: str
    """What counts as one machine: the `host` of the node's agents."""
    scripts: Path
    """Where the script is that hooks run."""

    @property
    def url(self) -> str:
        """The node's base URL."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


class Runtime(Protocol):
    """One runtime."""

    name: str
    """For people."""
    program: str
    needs_script: bool
    recognisable: bool
    """Whether what is ours can be told by itself, with nothing remembered."""

    def settings(self, environment: Mapping[str, str], home: Path) -> Path:
        """The settings file of this user."""
        ...

    def connected(self, text: Text, target: Target) -> Text:
        """With all that is needed; `text` has nothing of ours. ConfigError where a part of it has another shape."""
        ...

    def disconnected(self, text: Text) -> Text:
        """Without anything of ours. Objects of ours that are empty by that stay."""
        ...

    def notes(self, text: Text, target: Target) -> list[str]:
        """What the user has to know or to do, about a connected `text`."""
        ...
