"""What is measured of the other zones of a fleet on two levels: counts and sums, no series of a node or agent there.

Whoever wants those asks a node of that zone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meshfleet.fleet.fleet_measures import PRESENCE
from meshfleet.fleet.measures import Family, Kind, Label, Measured, Point, Since
from meshfleet.fleet.presence import Presence

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshfleet.fleet.view import FleetView

ZONE: Final = Label("zone", "meshfleet.zone")


def of_zones(view: FleetView) -> Iterator[Measured]:
    """Of each other zone; nothing on one level."""
    zones = view.zones
    presence = Family(
        "meshfleet_zone_presence", "meshfleet.zone.presence", Kind.STATE, "1 for what is said of the zone.",
        (ZONE, PRESENCE), states=tuple(presence.value for presence in Presence),
    )  # fmt: skip
    yield Measured(presence, tuple(Point((z.zone, z.presence.value), 1) for z in zones))
    age = Family("meshfleet_zone_age_seconds", "meshfleet.zone.age", Kind.GAUGE,
                 "How old the sums of the zone are.", (ZONE,), "s")  # fmt: skip
    yield Measured(age, tuple(Point((z.zone,), z.age_s) for z in zones))
    nodes = Family("meshfleet_zone_nodes", "meshfleet.zone.nodes", Kind.GAUGE, "Nodes of the zone.",
                   (ZONE, PRESENCE), "{node}")  # fmt: skip
    yield Measured(nodes, tuple(Point((z.zone, p), n) for z in zones for p, n in z.sums.nodes.items()))
    agents = Family("meshfleet_zone_agents", "meshfleet.zone.agents", Kind.GAUGE, "Agents of the zone.",
                    (ZONE, PRESENCE), "{agent}")  # fmt: skip
    yield Measured(agents, tuple(Point((z.zone, p), n) for z in zones for p, n in z.sums.agents.items()))
    cost = Family(
        "meshfleet_zone_cost_usd", "meshfleet.zone.cost", Kind.SUM,
        "What the billing period has cost in the zone, in USD.", (ZONE,), "usd", Since.PERIOD,
    )  # fmt: skip
    known = ((z.zone, z.sums.period_cost_usd) for z in zones)
    yield Measured(cost, tuple(Point((zone,), spent) for zone, spent in known if spent is not None))
    notices = Family("meshfleet_zone_notices", "meshfleet.zone.notices", Kind.GAUGE,
                     "How much there needs somebody.", (ZONE,), "{notice}")  # fmt: skip
    yield Measured(notices, tuple(Point((z.zone,), z.sums.notices) for z in zones))
