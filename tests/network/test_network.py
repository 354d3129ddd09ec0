"""Twelve real nodes on twelve hosts in three zones: what real kernels, real firewalls and a real translator make of a
cut, a death, a moved host and a hidden one. The catalogue's long stories are played by `make network`.

Nothing here is timed: each step waits for what is to be said, and at the end of it all nobody may ever have said the
wrong thing.
"""

from __future__ import annotations

import signal
from functools import partial
from typing import TYPE_CHECKING

import pytest

from meshfleet.fleet.presence import Certainty, Presence
from meshfleet.fleet.standing import Standing
from meshfleet.node.store import PEERS
from tests.network.fleet import fleet
from tests.network.ground import Rule, ground, why_not

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.network.fleet import Fleet

WHY_NOT = why_not()
pytestmark = [pytest.mark.processes, pytest.mark.skipif(WHY_NOT is not None, reason=WHY_NOT or "")]

NAMES = [f"n{i:03}" for i in range(12)]
EAST, WEST = NAMES[:4], NAMES[8:]
HIDDEN = "n005"


def test_a_zone_behind_a_rejecting_firewall_a_death_and_a_hidden_node(tmp_path: Path) -> None:
    with ground(NAMES, behind_nat=(HIDDEN,)) as laid, fleet(laid, tmp_path) as nodes:
        nodes.assemble(NAMES)
        others = [name for name in NAMES if name not in EAST]
        wall(nodes, EAST, others)
        nodes.until_all(others, EAST, Presence.UNREACHABLE)
        nodes.until_all(EAST, others, Presence.UNREACHABLE)
        cut_off = (Standing.PARTITIONED, Standing.ISOLATED)
        nodes.until(lambda: all(nodes.stands(name) in cut_off for name in EAST), "the smaller side knows that it is")
        open_again(nodes, EAST, others)
        nodes.until_all_fresh(NAMES)
        assert nodes.ever(Presence.DOWN) == []

        nodes.until(lambda: len(nodes.relays.get(HIDDEN, ())) == 3, f"{HIDDEN} has three relays")
        relay = nodes.relays[HIDDEN][0]
        nodes.send(relay, signal.SIGKILL)
        alive = [name for name in NAMES if name != relay]
        nodes.until_all(alive, [relay], Presence.DOWN)
        assert {nodes.words[name, relay][-1].certainty for name in alive} == {Certainty.PROVEN}
        nodes.until(lambda: len({*nodes.relays[HIDDEN]} - {relay}) == 3, f"{HIDDEN} has another one in its place")
        nodes.until_all_fresh(alive)
        assert nodes.ever(Presence.DOWN, but=[relay]) == []


def wall(nodes: Fleet, one: Sequence[str], other: Sequence[str]) -> None:
    """A firewall that rejects, on every host of either side."""
    for names, those in ((one, other), (other, one)):
        for name in names:
            nodes.ground.rule(name, Rule(frozenset(those), "reject"))


def open_again(nodes: Fleet, one: Sequence[str], other: Sequence[str]) -> None:
    """It is gone."""
    for names, those in ((one, other), (other, one)):
        for name in names:
            nodes.ground.lift(name, Rule(frozenset(those), "reject"))


def knows(nodes: Fleet, name: str, address: str) -> bool:
    """Whether a node has written down that somebody is there: it does so within some seconds of hearing it."""
    return f'"{address}:' in (nodes.state_dir(name) / PEERS).read_text()


def test_a_node_that_gets_another_address_is_followed(tmp_path: Path) -> None:
    names = NAMES[:3]
    with ground(names) as laid, fleet(laid, tmp_path) as nodes:
        nodes.start(names[0])
        nodes.until(lambda: (nodes.state_dir(names[0]) / "running.json").exists(), "the first runs", every=0.1)
        line = nodes.invite(names[0], 2)
        nodes.start(names[1], line)
        nodes.start(names[2], line, "--gossip", "0.0.0.0:7878")
        nodes.until_all_fresh(names)
        laid.move(names[2], 77)
        for name in names[:2]:
            nodes.until(partial(knows, nodes, name, laid.address(names[2])), f"{name} knows where it is now")
        nodes.until_all_fresh(names)
        assert nodes.ever(Presence.DOWN) == []
