"""What a fleet on two levels has spent: this zone by its own ledgers, each other one by those who speak for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshfleet.cli import showing
from meshfleet.fleet.presence import Presence

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshfleet.fleet.view import FleetView
    from meshfleet.fleet.zone import ZoneView

NAMED = 8
"""Other zones that `status` names in its line; `cost` has one for each."""


def own_zone(view: FleetView) -> str | None:
    """The zone that the view is of, where its fleet has others; None where it is of the whole fleet."""
    if not view.zones:
        return None
    return next((node.zone for node in view.nodes if node.name == view.served_by.node), None) or "of this node"


def in_line(view: FleetView) -> Iterator[str]:
    """What was spent in this billing period, for `status`: nothing where nobody has told of any."""
    period, own = view.totals.period, own_zone(view)
    if period.cost_usd is not None:
        today = None if view.totals.today is None else view.totals.today.cost_usd
        of_today = "" if today is None else f", {showing.money(today)} of it today"
        where = "in the fleet" if own is None else f"in zone {own}"
        yield f"{showing.money(period.cost_usd)} {where} since {period.start}{of_today}"
    told = [zone for zone in view.zones if zone.sums.period_cost_usd is not None]
    if told:
        each = [f"{showing.money(zone.sums.period_cost_usd)} in zone {zone.zone}" for zone in told[:NAMED]]
        each += [f"more in {len(told) - NAMED} others"] if len(told) > NAMED else []
        yield f"{', '.join(each)}; {_in_all(period.cost_usd, view.zones)}"


def by_zone(cost_usd: float | None, zones: tuple[ZoneView, ...]) -> Iterator[str]:
    """A line for each other zone, and the sum of all."""
    for zone in zones:
        usd = zone.sums.period_cost_usd
        used = "an unknown amount" if usd is None else showing.money(usd)
        old = (
            "" if zone.presence is Presence.FRESH else f" ({zone.presence.value}: as of {showing.age(zone.age_s)} ago)"
        )
        yield f"Zone {zone.zone} used {used}{old}."
    yield f"{_in_all(cost_usd, zones)}."


def _in_all(cost_usd: float | None, zones: tuple[ZoneView, ...]) -> str:
    """`$2,032.06 in all`; says so where a zone has told nothing."""
    amounts = [cost_usd, *(zone.sums.period_cost_usd for zone in zones)]
    known = [usd for usd in amounts if usd is not None]
    if len(known) == len(amounts):
        return f"{showing.money(sum(known))} in all zones"
    return (
        f"{showing.money(sum(known) if known else None)} in all, of the {len(known)} of {len(amounts)} zones that tell"
    )
