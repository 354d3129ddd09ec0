"""What `meshfleet cost` and `GET /v1/cost` tell: what the fleet used in one billing period, and this node in detail."""

from __future__ import annotations

import msgspec

from meshfleet.fleet.names import NodeName


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """Sums of one period, or of a part of it. None is not known: nobody has told a cost."""

    cost_usd: float | None
    tokens_in: int
    tokens_out: int


class Today(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the fleet has used on the day that runs at the serving node, as far as any ledger tells of it."""

    day: str
    """By that node's `billing_zone`."""
    cost_usd: float | None
    tokens_in: int
    tokens_out: int


class Here(msgspec.Struct, frozen=True, kw_only=True):
    """What the asked node's own ledger has in detail: of its own agents alone."""

    node: NodeName
    total: Spent
    by_day: dict[str, Spent]
    by_model: dict[str, Spent]
    """`unknown` where an agent named none."""
    by_runtime: dict[str, Spent]
    by_agent: dict[str, Spent]


class CostReport(msgspec.Struct, frozen=True, kw_only=True):
    """One billing period."""

    start: str
    end: str
    """The first day that is not in it."""
    zone: str
    """Time zone in which its days begin."""
    fleet: Spent
    today: Today | None = None
    """Of it today; None where nobody has told of any, and of periods that do not run."""
    by_node: dict[str, Spent]
    """Of the whole fleet, nodes that are gone included; what several ledgers of one name counted is added up."""
    here: Here
    other_billing_day: tuple[NodeName, ...] = ()
    """Nodes whose billing periods begin on another day (`billing_day`): what they use now is in none of these sums."""
    known_periods: tuple[str, ...]
    """First days of all periods of which any ledger tells something."""
