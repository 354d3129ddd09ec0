"""What the fleet has used in the billing period that runs, and on the day that runs, from what all ledgers say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshfleet.fleet.usage import Usage, next_start, period_start, spent, spent_on
from meshfleet.fleet.view import Period
from meshfleet.node.costing import of_day, usd

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshfleet.fleet.cost import Today
    from meshfleet.fleet.usage import Account
    from meshfleet.node.billing import Billing


class Sums:
    """See the module. `accounts` has each ledger once; `wall` is Unix time in seconds."""

    def __init__(
        self,
        accounts: Callable[[], list[Account]],
        billing: Billing,
        wall: Callable[[], float],
        budget_usd: float | None,
    ) -> None:
        self._accounts = accounts
        self._billing = billing
        self._wall = wall
        self._budget_usd = budget_usd
        self._known: tuple[str, Usage, Usage] | None = None
        """A day, what was used in its period, and on it."""

    def period(self) -> Period:
        """The period, as far as it is known here."""
        day, used, _ = self._summed()
        start = period_start(day, self._billing.day)
        return Period(
            start=start,
            end=next_start(start),
            cost_usd=usd(used) if used else None,
            budget_usd=self._budget_usd,
            tokens_in=used.tokens_in if used else None,
            tokens_out=used.tokens_out if used else None,
        )

    def today(self) -> Today | None:
        """The day; None where nobody has told of any use."""
        day, _, used = self._summed()
        return of_day(day, used)

    def forget(self) -> None:
        """Some account is another."""
        self._known = None

    def _summed(self) -> tuple[str, Usage, Usage]:
        day = self._billing.day_of(self._wall())
        if self._known is None or self._known[0] != day:
            accounts, start = self._accounts(), period_start(day, self._billing.day)
            self._known = (day, spent(accounts, start), spent_on(accounts, day))
        return self._known
