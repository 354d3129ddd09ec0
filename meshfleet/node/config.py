"""What a node needs to know before it starts."""

from __future__ import annotations

import platform
from pathlib import Path

import msgspec

from meshfleet.errors import ConfigError
from meshfleet.fleet.attention import Rules
from meshfleet.fleet.names import Address, NodeName
from meshfleet.fleet.timing import PRESETS, Timing
from meshfleet.node.billing import Billing, check_billing
from meshfleet.node.delivery import Delivery, check_delivery
from meshfleet.node.otel.settings import Otel, check_otel
from meshfleet.node.trust import Identity

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
    for field in ("host", "zone", "role", "version"):
        text = getattr(config, field)
        if text is not None and (len(text) > TEXT_LIMIT or not text.isprintable()):
            raise ConfigError(
                f"{field} {text[:30]!r} can't be told to peers: at most {TEXT_LIMIT} printable characters."
            )
