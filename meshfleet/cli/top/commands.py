"""What `:` takes: a page, an order, a group, another node's view, or whom to go to."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, NamedTuple

from meshfleet.cli.top.zones import subject_of
from meshfleet.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshfleet.fleet.view import FleetView

HINT = ":agents :nodes :limits :zones  :sort cost  :group node  :view n3  :NAME  :q"


class Command(NamedTuple):
    """What is to be done, and with what."""

    does: str
    """`page`, `sort`, `group`, `view`, `go` or `quit`."""
    what: str = ""


def read_command(
    text: str, view: FleetView, pages: Sequence[str], orders: Sequence[str], groups: Sequence[str | None]
) -> Command:
    """The command that was typed, its colon left out. ConfigError says what could have been meant."""
    word, _, rest = text.strip().partition(" ")
    rest = rest.strip()
    nodes = [node.name for node in view.nodes]
    if word in ("q", "quit"):
        return Command("quit")
    if word in pages and not rest:
        return Command("page", word)
    if word == "sort":
        return Command("sort", _one_of(rest, orders, "is no column to sort by"))
    if word == "group":
        return Command("group", "" if rest == "none" else _one_of(rest, [g for g in groups if g], "groups nothing"))
    if word == "view":
        return Command("view", _one_of(rest, nodes, "is no node here"))
    names = [*nodes, *(agent.agent_id for agent in view.agents), *(subject_of(zone) for zone in view.zones)]
    return Command("go", _named(text.strip(), names))


def _one_of(text: str, words: Sequence[str], wrong: str) -> str:
    if text in words:
        return text
    near = get_close_matches(text, words, 1)
    raise ConfigError(f"{text or 'nothing'!r} {wrong}. {f'Did you mean {near[0]}?' if near else ', '.join(words[:12])}")


def _named(text: str, names: Sequence[str]) -> str:
    """The one of that name, or the only one that has it in its own."""
    found = [name for name in names if text == name] or [name for name in names if text and text in name]
    if len(found) == 1:
        return found[0]
    if found:
        raise ConfigError(f"{len(found)} names have {text!r} in them: {', '.join(found[:4])} ...")
    raise ConfigError(f"{text!r} is no command, node or agent. {HINT}")
