"""Nodes of one test fleet, over real sockets on loopback, and ways to wait for what they see."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from meshfleet.fleet.names import Address, NodeName
from meshfleet.fleet.state import AgentState, Status
from meshfleet.fleet.timing import PRESETS
from meshfleet.node.config import NodeConfig

if TYPE_CHECKING:
    from pathlib import Path

    from meshfleet.fleet.presence import Presence
    from meshfleet.node.node import Node

KEY = b"k" * 32


def config(
    name: str,
    *seeds: Address,
    key: bytes | None = KEY,
    state_dir: Path | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
) -> NodeConfig:
    """A node that counts as a machine of its own, so that a fleet on loopback is judged as one on a network is."""
    return NodeConfig(
        name=NodeName(name),
        gossip=Address(host, port),
        state_dir=state_dir,
        fleet_key=key,
        seeds=seeds,
        host=f"h-{name}",
        timing=PRESETS["local"],
        demo=True,
    )


def state(agent: str, note: str = "", status: Status = Status.WORKING) -> AgentState:
    """A small state."""
    return AgentState(
        agent_id=agent, timestamp="2026-11-23T20:15:05.123Z", status=status, runtime="test", note=note or None
    )


async def see(node: Node, count: int) -> None:
    """Until `node` shows `count` nodes."""
    while len(node.fleet().nodes) != count:
        await node.changed(node.version())


async def sees(node: Node, other: str, *presences: Presence) -> None:
    """Until `node` says one of these of `other`."""
    while said(node, other) not in presences:
        await node.changed(node.version())


async def notes(node: Node, agent: str, note: str) -> None:
    """Until `node` shows an agent with this note."""
    while not any(a.agent_id == agent and a.state.note == note for a in node.fleet().agents):
        await node.changed(node.version())


def said(node: Node, other: str) -> Presence | None:
    """What `node` says of `other`."""
    return next((n.presence for n in node.fleet().nodes if n.name == other), None)


async def counted(node: Node, name: str, at_least: int) -> None:
    """Until a counter of `node` has come that far."""
    while node.counters().get(name, 0) < at_least:
        await trio.lowlevel.checkpoint()
