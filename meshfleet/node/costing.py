"""From accounts and lines of a ledger to the report of one billing period. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshfleet.fleet.cost import CostReport, Here, Spent, Today
from meshfleet.fleet.names import NodeName
from meshfleet.fleet.usage import NOTHING, Usage, others, spent, spent_on

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from meshfleet.fleet.usage import Account
    from meshfleet.node.ledger import Line

UNKNOWN = "unknown"
"""In place of a name that nobody told."""

AGENTS_TOLD = 1_000
"""Agents in one report, the dearest first; and as many nodes, days and models."""


def usd(used: Usage) -> float | None:
    """What it cost; None where nobody has told a cost. Tokens that were free or could not be priced cost nothing that
    is known."""
    return used.usd if used.cost else None


def of_day(day: str, used: Usage) -> Today | None:
    """What was used on a day; None where nobody has told of any."""
    return Today(day=day, cost_usd=usd(used), tokens_in=used.tokens_in, tokens_out=used.tokens_out) if used else None


def report(
    name: str,
    zone: str,
    start: str,
    end: str,
    today: str,
    accounts: Sequence[Account],
    own: Usage,
    lines: Sequence[Line],
) -> CostReport:
    """Of the period from `start` to before `end`; `today` is the day that runs."""
    by_node: dict[str, Usage] = {}
    for account in accounts:
        used = account.periods.get(start, NOTHING)
        if used:
            by_node[account.node] = by_node.get(account.node, NOTHING).plus(used)
    return CostReport(
        start=start,
        end=end,
        zone=zone,
        fleet=_spent(spent(accounts, start)),
        today=of_day(today, spent_on(accounts, today)) if start <= today < end else None,
        by_node=_told(by_node),
        here=Here(
            node=NodeName(name),
            total=_spent(own),
            by_day=dict(sorted(_told(_by(lines, lambda line: line.day)).items())),
            by_model=_told(_by(lines, lambda line: line.model)),
            by_runtime=_told(_by(lines, lambda line: line.runtime)),
            by_agent=_told(_by(lines, lambda line: line.agent)),
        ),
        other_billing_day=tuple(NodeName(name) for name in sorted(others(accounts, start))),
        known_periods=tuple(sorted({start for account in accounts for start in account.periods})),
    )


def _by(lines: Iterable[Line], what: Callable[[Line], str]) -> dict[str, Usage]:
    sums: dict[str, Usage] = {}
    for line in lines:
        key = what(line) or UNKNOWN
        sums[key] = sums.get(key, NOTHING).plus(line.used)
    return sums


def _told(sums: dict[str, Usage]) -> dict[str, Spent]:
    dearest = sorted(sums.items(), key=lambda item: (-item[1].cost, -item[1].tokens_in, item[0]))
    return {key: _spent(used) for key, used in dearest[:AGENTS_TOLD]}


def _spent(used: Usage) -> Spent:
    return Spent(cost_usd=usd(used), tokens_in=used.tokens_in, tokens_out=used.tokens_out)
