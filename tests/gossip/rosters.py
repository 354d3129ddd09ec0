"""Rosters for tests that need no world."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import TYPE_CHECKING

from meshfleet.fleet.names import NodeName
from meshfleet.fleet.timing import PRESETS
from meshfleet.gossip.messages import (
    Alive,
    NodeInfo,
)
from meshfleet.gossip.roster import Roster

if TYPE_CHECKING:
    from meshfleet.gossip.record import Record

LAN = PRESETS["lan"]
INFO = NodeInfo("h", "10.0.0.1", 7878)


def roster(*names: str, counts: Counter[str] | None = None) -> Roster:
    it = Roster(NodeName("me"), Random(1), Counter() if counts is None else counts)
    for name in names:
        it.add(Alive(name, 1, 0, INFO), 0.0)
    return it


def record(it: Roster, name: str) -> Record:
    found = it.get(name)
    assert found is not None
    return found
