"""What an agent could say to get at the terminal of whoever reads it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from meshfleet.fleet.names import NodeName
from meshfleet.fleet.source import SourceTold
from tests.cli.top.fleet import NOW, a_fleet

if TYPE_CHECKING:
    from collections.abc import Collection

    from meshfleet.fleet.view import FleetView

EVIL = "x\nFAKE\x1b]52;c;ZXZpbA==\x07\x1b[2J\x9b31m\x85\u202e\u2066\u200f\u2028\x7f\r\x08[red]no[/red][/]"
ACTS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Written down once more, so that the product's own list is looked at, too. Only line breaks are left out."""

TIME = re.compile(r"\d{4}-\d\d")


def hostile(told: Any, kept: Collection[str] = ()) -> Any:  # an answer, or any part of one
    """The same with what is evil added to each text and each name that something is counted by, but for times and
    what is `kept`."""
    if isinstance(told, msgspec.Struct):
        return msgspec.structs.replace(
            told, **{name: hostile(getattr(told, name), kept) for name in told.__struct_fields__}
        )
    if isinstance(told, tuple):
        return tuple(hostile(each, kept) for each in told)
    if isinstance(told, dict):
        return {hostile(key, kept): hostile(each, kept) for key, each in told.items()}
    return told + EVIL if type(told) is str and told not in kept and not TIME.match(told) else told


def a_hostile_fleet(kept: Collection[str] = ()) -> FleetView:
    view = a_fleet()
    me = msgspec.structs.replace(
        view.served_by,
        reasons=("n9 is silent",),
        islands=((NodeName("n1"),), (NodeName("n2"),)),
        sources=(SourceTold(name="dns", nodes=1, agents=0, offered=None, problem="no answer", since=NOW),),
    )
    more = {"note": "n", "session": "s", "parent": "p"}
    agents = tuple(
        msgspec.structs.replace(each, reasons=("late",), state=msgspec.structs.replace(each.state, **more))
        for each in view.agents
    )
    found: FleetView = hostile(msgspec.structs.replace(view, served_by=me, agents=agents), kept)
    return found
