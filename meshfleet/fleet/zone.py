"""A whole zone in a few hundred bytes: what a fleet on two levels tells of those who are elsewhere.

Inside a zone everybody holds everything. Of another zone one sees sums, who there needs somebody, and how old the word
is: it is the word of the zone's delegates, handed on by delegates of one's own (docs/zones.md).
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from meshfleet.fleet.headroom import Headroom
from meshfleet.fleet.names import Address, NodeName
from meshfleet.fleet.notice import Notice
from meshfleet.fleet.presence import Presence

if TYPE_CHECKING:
    from meshfleet.fleet.view import FleetView

NOTICES_TOLD = 5
"""Notices of a zone that are told elsewhere, the worst; how many there are is told as well."""

LIMITS_TOLD = 8
"""Windows of API keys that are told, the fullest."""


class ZoneSums(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One zone, as one of its nodes sees it. Sums as in `Totals`: None is not known."""

    zone: str
    nodes: dict[str, int]
    """How many there are of each presence."""
    agents: dict[str, int]
    """The same."""
    by_status: dict[str, int]
    tokens_in: int | None = None
    tokens_out: int | None = None
    cost_usd: float | None = None
    rate_limits: tuple[Headroom, ...] = ()
    attention: tuple[Notice, ...] = ()
    """The worst of them."""
    notices: int = 0
    """How many there are."""
    period_cost_usd: float | None = None
    """What was used there in the billing period, by nodes and agents that are gone as well."""
    today_cost_usd: float | None = None
    ring: int = 0
    """The oldest version of the fleet's keyring that anybody there holds."""
    delegates: tuple[Address, ...] = ()
    """Where those who speak for it listen, in their zone: whoever wants to know more asks them."""
    issuers: tuple[Address, ...] = ()
    """Where certificates are renewed, if anybody there does it."""

    @property
    def there(self) -> int:
        """Nodes that are heard there."""
        return self.nodes.get(Presence.FRESH.value, 0)


class ZoneWord(msgspec.Struct, frozen=True, gc=False):
    """What a delegate says in its own zone of another one."""

    sums: ZoneSums
    of: NodeName
    """Which delegate of that zone made these sums."""
    presence: Presence
    """Of the zone: the best of what its delegates are, but not fresh where another one made these sums."""
    last_seen_ms: int | None = None
    """When who made these sums was last heard to stand by them, in Unix time by the clock of who says this; None while
    it is fresh."""


class ZoneView(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Another zone, as the serving node sees it."""

    zone: str
    presence: Presence
    age_s: float
    """How old these sums are: since they were made, or last said to be so by a delegate that lived."""
    by: NodeName
    """Who of this zone says so."""
    reasons: tuple[str, ...]
    sums: ZoneSums


def sums_of(zone: str, view: FleetView) -> ZoneSums:
    """What is told elsewhere of a zone that looks like this."""
    fullest = sorted(view.totals.rate_limits, key=lambda limit: (-(limit.used_pct or 0.0), limit.key, limit.window))
    return ZoneSums(
        zone=zone,
        nodes=dict(sorted(Counter(node.presence.value for node in view.nodes).items())),
        agents=view.totals.by_presence,
        by_status=view.totals.by_status,
        tokens_in=view.totals.tokens_in,
        tokens_out=view.totals.tokens_out,
        cost_usd=view.totals.cost_usd,
        rate_limits=tuple(fullest[:LIMITS_TOLD]),
        attention=view.attention[:NOTICES_TOLD],
        notices=len(view.attention),
        period_cost_usd=view.totals.period.cost_usd,
        today_cost_usd=None if view.totals.today is None else view.totals.today.cost_usd,
    )
