"""What a node needs to know before it starts."""

from __future__ import annotations

import platform
from pathlib import Path

import msgspec

from meshfleet.errors import ConfigError
from meshfleet.fleet.attention import Rules
from meshfleet.fleet.names import Address, NodeName, node_name
from meshfleet.fleet.timing import PRESETS, Timing
from meshfleet.node.billing import Billing, check_billing
from meshfleet.node.delivery import Delivery, check_delivery
from meshfleet.node.otel.settings import Otel, check_otel
from meshfleet.node.trust import Identity

ABOVE_AFTER = 2
"""Ports from that of gossip to that of the upper mesh: between them is HTTP's, by default."""

TEXT_LIMIT = 200
"""Characters of host, zone and version."""


class NodeConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What a node needs to know. Addresses may be names; port 0 means any free one."""

    name: NodeName
    gossip: Address
    state_dir: Path | None
    """Where keys, epoch and known peers are kept; None keeps nothing (a member inside an agent's process)."""
    identity: Identity | None = None
    """With what the node shows who it is; None takes the state dir's, made at the first start."""
    seeds: tuple[Address, ...] = ()
    zone: str | None = None
    levels: int = 1
    """On two, a node's mesh is its zone, and some in each zone are delegates, which tell each other of theirs."""
    above: Address | None = None
    """Where this node listens while it is a delegate; None: at its gossip address, ABOVE_AFTER ports further on."""
    host: str = platform.node() or "localhost"
    """What counts as one machine: nodes of one host don't confirm each other's word."""
    role: str = "agent"
    timing: Timing = PRESETS["lan"]
    version: str = "0"
    billing: Billing = Billing()
    """When the periods begin over which costs are added up."""
    attention: Rules = Rules()
    """What needs somebody's attention."""
    delivery: Delivery = Delivery()
    """Where that is told, besides in views."""
    otel: Otel = Otel()
    """Which collector is told what is measured."""
    demo: bool = False
    """Allows `block`, with which a demo plays at outages."""


def check(config: NodeConfig) -> None:
    """Refuse texts that no peer would accept: the limits of gossip.messages, said where they can be mended."""
    check_billing(config.billing)
    check_delivery(config.delivery)
    check_otel(config.otel)
    if config.levels == 2:
        check_zone(config.zone)
    for field in ("host", "zone", "role", "version"):
        text = getattr(config, field)
        if text is not None and (len(text) > TEXT_LIMIT or not text.isprintable()):
            raise ConfigError(
                f"{field} {text[:30]!r} can't be told to peers: at most {TEXT_LIMIT} printable characters."
            )


def check_zone(zone: str | None) -> None:
    """Refuse a zone that has no name, or none that ids can be made of, in a fleet on two levels."""
    if zone is None:
        raise ConfigError("a fleet on two levels is made of zones: give --zone the name of this node's.")
    try:
        node_name(zone)
    except ConfigError:
        raise ConfigError(
            f"zone {zone[:30]!r}: in a fleet on two levels the name of a zone has letters, digits, '.', '_' and '-' "
            "alone, 64 of them at most, and begins with a letter or digit."
        ) from None
