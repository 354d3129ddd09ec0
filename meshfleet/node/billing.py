"""When a billing period begins, and which day it is: settings that all nodes of a fleet should share."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

from meshfleet.errors import ConfigError
from meshfleet.fleet.usage import DAYS, period_start


class Billing(msgspec.Struct, frozen=True, kw_only=True):
    """See the module."""

    day: int = 1
    """Day of the month, 1 to 28, on which a period begins."""
    zone: str = "UTC"
    """Time zone, as in the IANA database, in which days begin."""

    def day_of(self, wall: float) -> str:
        """The day, `2026-11-25`, at that Unix time."""
        return datetime.fromtimestamp(wall, zone_of(self.zone)).date().isoformat()

    def read_on(self, timestamp: str, last_day: str | None, wall: float) -> str:
        """The day of what is read for the first time since a node began, which was there last on `last_day`: that of
        the agent's own last word, if it is from the time when the node was not there; else today. Nobody knows better
        when it was used, and an agent's clock moves nothing out of that time."""
        today = self.day_of(wall)
        if last_day is None:
            return today
        try:
            there = datetime.fromisoformat(timestamp)
            there = there.replace(tzinfo=UTC) if there.tzinfo is None else there
            told = there.astimezone(zone_of(self.zone)).date().isoformat()
        except (ValueError, OverflowError):
            return today
        return told if last_day <= told <= today else today

    def period(self, wall: float) -> str:
        """The first day of the period that runs."""
        return period_start(self.day_of(wall), self.day)

    def days_ago(self, wall: float, days: int) -> str:
        """The day that was so many days before."""
        return self.day_of(wall - timedelta(days=days).total_seconds())


def zone_of(name: str) -> ZoneInfo:
    """The time zone of that name; ConfigError where this machine knows none."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ConfigError(f"{name!r} is no time zone known here. Write one as in Europe/Berlin.") from error


def check_billing(billing: Billing) -> None:
    """ConfigError where it can't be."""
    if billing.day not in DAYS:
        raise ConfigError(f"{billing.day} is not a day that each month has. A billing day is {DAYS[0]} to {DAYS[-1]}.")
    zone_of(billing.zone)
