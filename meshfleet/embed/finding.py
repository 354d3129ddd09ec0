"""Which node an agent reports to: the one given, MESHFLEET_NODE, or the one that runs on this machine."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import platformdirs

DEFAULT = "http://127.0.0.1:7879"
"""Where a node that was told nothing serves."""


class _Running(msgspec.Struct, frozen=True):
    http: str


def base_url(given: str | None) -> str:
    """The node's address. Looked for anew at each connection: nodes come and go."""
    return given or os.environ.get("MESHFLEET_NODE") or _running() or DEFAULT


def _running() -> str | None:
    """What the youngest `running.json` in the usual state dirs says; nodes remove theirs when they end."""
    base = Path(platformdirs.user_state_path("meshfleet", appauthor=False))
    try:
        files = sorted(base.glob("*/running.json"), key=lambda path: path.stat().st_mtime, reverse=True)
        for file in files:
            return msgspec.json.decode(file.read_bytes()[:65_536], type=_Running).http
    except (OSError, msgspec.DecodeError):
        return None
    return None
