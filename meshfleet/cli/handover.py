"""From the command line to the node: the same process, begun again without the command line's parser.

Typer brings pydantic along. Both are of no use once the flags are read, and would stay in each node's memory for as
long as it runs: 10 MB, a sixth of an observer. So `up` reads its settings, and then replaces its own program by the
bare node's. The process, with its pid, terminal, signals and visible arguments, stays the same.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

import msgspec

from meshfleet.node.invites import PREFIX
from meshfleet.node.settings import Settings

VARIABLE = "MESHFLEET_HANDOVER"
"""Where the settings travel: not among the arguments, where they would fill a screen of `ps`."""


class Extras(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of one `up` and is no setting of a node."""

    sample: int = 0
    """Made-up agents to carry."""
    demo: bool = False
    with_stdin: bool = False
    """Leave when standard input ends."""
    as_json: bool = False


class _Handover(msgspec.Struct, frozen=True):
    settings: Settings
    extras: Extras


def become_node(settings: Settings, extras: Extras) -> NoReturn:
    """Go on as the node that `settings` describe."""
    handover = msgspec.json.encode(_Handover(settings, extras), enc_hook=_plain).decode()
    sys.stdout.flush()
    sys.stderr.flush()
    os.environ[VARIABLE] = handover
    os.execv(sys.executable, [sys.executable, "-m", "meshfleet.cli.up", *_shown(sys.argv[1:])])


def _shown(arguments: list[str]) -> list[str]:
    """What `ps` shows of the node from now on: everything but an invitation's secret."""
    return [f"{PREFIX}..." if PREFIX in argument else argument for argument in arguments]


def read_handover() -> tuple[Settings, Extras]:
    """What `become_node` handed over. The variable is taken out, so that no child of the node sees it."""
    handover = msgspec.json.decode(os.environ.pop(VARIABLE), type=_Handover, dec_hook=_path)
    return handover.settings, handover.extras


def _plain(value: object) -> str:
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError(type(value))


def _path(kind: type, value: object) -> Path:
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise NotImplementedError(kind)
