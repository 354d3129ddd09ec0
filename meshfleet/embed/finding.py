"""Which node an agent reports to: the one given, MESHFLEET_NODE, or the one that runs on this machine."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import NamedTuple

import platformdirs

DEFAULT = "http://127.0.0.1:7879"
"""Where a node that was told nothing serves."""


class Found(NamedTuple):
    """A node that an agent can report to."""

    url: str
    certificate: Path | None = None
    """Its certificate, where it is a node of this machine that speaks HTTPS."""


def find(given: str | None) -> Found:
    """The node. Looked for anew at each connection: nodes come and go."""
    named = given or os.environ.get("MESHFLEET_NODE")
    return Found(named) if named else _running() or Found(DEFAULT)


def _running() -> Found | None:
    """What the youngest `running.json` in the usual state dirs says; nodes remove theirs when they end."""
    base = Path(platformdirs.user_state_path("meshfleet", appauthor=False))
    try:
        files = sorted(base.glob("*/running.json"), key=lambda path: path.stat().st_mtime, reverse=True)
        for file in files:
            certificate = file.with_name("http.crt")
            # Not msgspec: its import takes longer than all else that `meshfleet run` does before the command starts.
            said = json.loads(file.read_bytes()[:65_536])
            url = said.get("http") if isinstance(said, dict) else None
            if isinstance(url, str):
                return Found(url, certificate if certificate.exists() else None)
    except (OSError, ValueError, RecursionError):
        return None
    return None
