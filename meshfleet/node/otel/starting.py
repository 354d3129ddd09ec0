"""An exporter as a node's configuration has it; the rest of this package is imported by a node that exports alone."""

from __future__ import annotations

import os
import random
from datetime import date, datetime, time
from typing import TYPE_CHECKING

from meshfleet.node.billing import zone_of
from meshfleet.node.otel.settings import Mode
from meshfleet.node.supervise import supervise

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

    import trio

    from meshfleet.node.billing import Billing
    from meshfleet.node.config import NodeConfig
    from meshfleet.node.otel.exporter import Exported, Exporter
    from meshfleet.node.otel.telling import ExportTold


def exporting(
    node: Exported, config: NodeConfig, fleet: bytes, counts: Counter[str], wall: Callable[[], float]
) -> Exporter | None:
    """None where this node exports nothing. `fleet` is the fleet's id."""
    otel = config.otel
    if otel.endpoint is None:
        return None
    from meshfleet.node.heeding import Calendar
    from meshfleet.node.otel.exporter import NODE_SERVICE, SERVICE, Exporter
    from meshfleet.node.otel.sending import Sending
    from meshfleet.node.otel.turn import Turn

    shared = otel.mode is Mode.FLEET
    turn = Turn(node, counts, wall, config.state_dir, shared=shared)
    sending = Sending(otel, counts, wall, random.Random(), os.environ, config.version)
    resource: tuple[tuple[str, str], ...] = (("service.name", SERVICE), ("service.instance.id", fleet.hex()))
    if not shared:
        resource = (
            ("service.name", NODE_SERVICE),
            ("service.instance.id", f"{config.name}@{fleet.hex()}"),
            ("service.version", config.version),
            ("host.name", config.host),
        )
    # Two heartbeats: as long as it takes until one that fell silent is taken for unreachable. Alone it needs none.
    settle = 2 * config.timing.heartbeat if shared else 0.0
    return Exporter(
        node,
        otel,
        turn,
        sending,
        counts,
        wall,
        Calendar().read,
        lambda: start_of(config.billing, wall()),
        resource,
        settle,
    )


def start_exporting(exporter: Exporter | None, nursery: trio.Nursery, counts: Counter[str]) -> None:
    """Run it as a part of its node, where there is one."""
    if exporter is not None:
        nursery.start_soon(supervise, "otel", exporter.run, counts)


def told(exporter: Exporter | None) -> ExportTold | None:
    """How it goes; None where there is none."""
    return None if exporter is None else exporter.told()


def start_of(billing: Billing, wall: float) -> float:
    """Unix time at which the billing period began that runs at `wall`."""
    first = date.fromisoformat(billing.period(wall))
    return datetime.combine(first, time(), zone_of(billing.zone)).timestamp()
