"""Nodes of one test fleet, over real sockets on loopback, and ways to wait for what they see."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec
import trio

from meshfleet.fleet.names import Address, NodeName
from meshfleet.fleet.state import AgentState, Status
from meshfleet.fleet.timing import PRESETS
from meshfleet.node.config import NodeConfig
from meshfleet.node.trust import seeded
from meshfleet.wire.identity import Authority, NodeKey

if TYPE_CHECKING:
    from pathlib import Path

    from meshfleet.fleet.presence import Presence
    from meshfleet.node.node import Node

FLEET = b"k" * 32
"""What all keys of the test fleet are made of."""


def config(
    name: str,
    *seeds: Address,
    fleet: bytes | None = FLEET,
    state_dir: Path | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
) -> NodeConfig:
    """A node that counts as a machine of its own, so that a fleet on loopback is judged as one on a network is."""
    return NodeConfig(
        name=NodeName(name),
        gossip=Address(host, port),
        state_dir=state_dir,
        identity=None if fleet is None else seeded(fleet, name, time.time()),
        seeds=seeds,
        host=f"h-{name}",
        timing=PRESETS["local"],
        demo=True,
    )


def owner(name: str, *seeds: Address, state_dir: Path | None = None) -> NodeConfig:
    """The same, of the node that holds the fleet's authority."""
    plain = config(name, *seeds, state_dir=state_dir)
    assert plain.identity is not None
    authority = Authority.begin(NodeKey.of(FLEET), time.time())
    identity = msgspec.structs.replace(plain.identity, authority=authority, fleet=authority.fleet)
    return msgspec.structs.replace(plain, identity=identity)


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
