"""Which node an agent reports to: the one given, MESHFLEET_NODE, or the one that runs on this machine."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import platformdirs

from meshfleet.errors import ConfigError
from meshfleet.fleet.names import node_url

if TYPE_CHECKING:
    from collections.abc import Iterator

PORT = 7879
DEFAULT = f"http://127.0.0.1:{PORT}"
"""Where a node that was told nothing serves."""


class Found(NamedTuple):
    """A node that an agent can report to."""

    url: str
    certificate: Path | None = None
    """Its certificate, where it is a node of this machine that speaks HTTPS."""


def find(given: str | None) -> Found:
    """The node. Looked for anew at each connection: nodes come and go."""
    named = given or os.environ.get("MESHFLEET_NODE")
    return _named(named) if named else next(_running(), Found(DEFAULT))


def _named(text: str) -> Found:
    """The node at an address. `HOST:PORT` alone has no scheme: a node that runs here says which is its."""
    try:
        url = node_url(text, "node", PORT)
    except ConfigError:
        return Found(text)  # who asks there says what is wrong with it
    if "://" not in text:
        place = url.partition("://")[2]
        return next((found for found in _running() if found.url.partition("://")[2] == place), Found(url))
    return Found(url)


def _running() -> Iterator[Found]:
    """What `running.json` in the usual state dirs says, the youngest first; nodes remove theirs when they end."""
    base = Path(platformdirs.user_state_path("meshfleet", appauthor=False))
    try:
        files = sorted(base.glob("*/running.json"), key=lambda path: path.stat().st_mtime, reverse=True)
        for file in files:
            certificate = file.with_name("http.crt")
            # Not msgspec: its import takes longer than all else that `meshfleet run` does before the command starts.
            said = json.loads(file.read_bytes()[:65_536])
            url = said.get("http") if isinstance(said, dict) else None
            if isinstance(url, str):
                yield Found(url, certificate if certificate.exists() else None)
    except (OSError, ValueError, RecursionError):
        return
