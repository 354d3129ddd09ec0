"""What agents used, as sums that only grow: how a cumulative figure becomes growth, and what a billing period is.

A state carries totals of its session. They are read again after every restart, may be corrected, and may begin anew;
so what counts is the growth beyond the highest figure seen of that session, its *mark*. Marks are joined by maximum,
and so are accounts: in any order, however often, the result is the same.

Money is whole millionths of a dollar: sums of them are exact, on every machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from meshfleet.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from meshfleet.fleet.state import AgentState

Amount = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]

MICRO = 1_000_000
"""Millionths in a dollar."""

DAYS = range(1, 29)
"""Days of a month on which a billing period may begin: each month has them."""


class Usage(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Money and tokens that were used."""

    cost: Amount = 0
    """Millionths of USD."""
    tokens_in: Amount = 0
    tokens_out: Amount = 0

    def __bool__(self) -> bool:
        return bool(self.cost or self.tokens_in or self.tokens_out)

    def plus(self, other: Usage) -> Usage:
        """The sum."""
        return Usage(self.cost + other.cost, self.tokens_in + other.tokens_in, self.tokens_out + other.tokens_out)

    def beyond(self, other: Usage) -> Usage:
        """By how much this exceeds the other, each figure for itself; never less than nothing."""
        return Usage(
            max(0, self.cost - other.cost),
            max(0, self.tokens_in - other.tokens_in),
            max(0, self.tokens_out - other.tokens_out),
        )

    def join(self, other: Usage) -> Usage:
        """The greater of each."""
        return Usage(
            max(self.cost, other.cost),
            max(self.tokens_in, other.tokens_in),
            max(self.tokens_out, other.tokens_out),
        )

    def within(self, other: Usage) -> Usage:
        """The lesser of each."""
        return Usage(
            min(self.cost, other.cost),
            min(self.tokens_in, other.tokens_in),
            min(self.tokens_out, other.tokens_out),
        )

    @property
    def usd(self) -> float:
        """The cost as the API tells it."""
        return self.cost / MICRO


NOTHING = Usage()


class Figures(msgspec.Struct, frozen=True):
    """What a state says that its session has used so far; None is not known."""

    cost: int | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None

    def within(self, total: Figures) -> Figures:
        """These, but none above the total's, and none that it does not know."""
        pairs = zip(msgspec.structs.astuple(self), msgspec.structs.astuple(total), strict=True)
        return Figures(*(None if said is None or most is None else min(said, most) for said, most in pairs))

    def over(self, mark: Usage) -> Usage:
        """These, with the mark's where they are not known."""
        return Usage(
            mark.cost if self.cost is None else self.cost,
            mark.tokens_in if self.tokens_in is None else self.tokens_in,
            mark.tokens_out if self.tokens_out is None else self.tokens_out,
        )


class Moment(msgspec.Struct, frozen=True):
    """What a session had used so far at some time of its past."""

    at: float
    """Seconds since 1970."""
    said: Figures


def figures(state: AgentState) -> Figures:
    """Of one state. A cost that is no amount (negative, not finite, beyond all bounds) is not known."""
    cost = state.cost_usd
    known = cost is not None and 0 <= cost < 1e9
    return Figures(round(cost * MICRO) if cost is not None and known else None, state.tokens_in, state.tokens_out)


def growth(mark: Usage, said: Figures, *, restarts: bool) -> tuple[Usage, Usage]:
    """What was used beyond `mark`, and the mark from now on.

    A figure below its mark is a correction: the mark stays, and nothing counts until it is exceeded. Only where
    `restarts`, of an agent that names no session, it is a new beginning: then all that it says counts, and is the mark.
    Whether it is one, tokens say, which are never priced anew; the cost says it where no tokens are known.
    """
    now = said.over(mark)
    fell = now.tokens_in < mark.tokens_in or now.tokens_out < mark.tokens_out
    rose = now.tokens_in > mark.tokens_in or now.tokens_out > mark.tokens_out
    if said.tokens_in is None and said.tokens_out is None:
        fell = now.cost < mark.cost
    if restarts and fell and not rose:
        begun = said.over(NOTHING)
        return begun, begun
    return now.beyond(mark), mark.join(now)


def period_start(day: str, first: int) -> str:
    """The first day, `2026-11-01`, of the billing period that has `day`, where periods begin on day `first` (1 to 28)
    of each month."""
    year, month, date = int(day[:4]), int(day[5:7]), int(day[8:10])
    if date < first:
        year, month = (year - 1, 12) if month == 1 else (year, month - 1)
    return f"{year:04}-{month:02}-{first:02}"


def next_start(start: str) -> str:
    """The first day of the period after the one that begins with `start`."""
    year, month = int(start[:4]), int(start[5:7])
    year, month = (year + 1, 1) if month == 12 else (year, month + 1)
    return f"{year:04}-{month:02}-{start[8:]}"


def named_period(text: str, first: int) -> str:
    """The start of the period that somebody calls `2026-11` or `2026-11-15`. ConfigError where it is neither."""
    parts = text.split("-")
    numbers = [int(part) for part in parts if part.isascii() and part.isdigit() and len(part) in (2, 4)]
    well = len(numbers) == len(parts) in (2, 3) and len(parts[0]) == 4 and 1 <= numbers[1] <= 12
    if not well or not all(len(part) == 2 for part in parts[1:]) or not 1 <= numbers[-1] <= 31:
        raise ConfigError(f"{text[:20]!r} is no period. Write a month, as in 2026-11, or the day that it begins with.")
    if len(parts) == 2:
        return f"{text}-{first:02}"
    return text


class Daily(msgspec.Struct, frozen=True):
    """What was used on one day."""

    day: str
    used: Usage

    def join(self, other: Daily | None) -> Daily:
        """The later day; of one day the greater of each."""
        if other is None or other.day != self.day:
            return self if other is None or other.day < self.day else other
        return Daily(self.day, self.used.join(other.used))


class Counted(msgspec.Struct, frozen=True):
    """What a ledger has counted."""

    periods: dict[str, Usage] = {}
    """In each billing period, by its first day."""
    newest: Daily | None = None
    """On the last day on which it counted anything."""

    def __bool__(self) -> bool:
        return any(self.periods.values())

    def join(self, other: Counted) -> Counted:
        """Of each period the greater of each, and of the later of their newest days."""
        starts = sorted({*self.periods, *other.periods})
        newest = other.newest if self.newest is None else self.newest.join(other.newest)
        joined = {s: self.periods.get(s, NOTHING).join(other.periods.get(s, NOTHING)) for s in starts}
        return Counted(joined, newest)


class Account(msgspec.Struct, frozen=True):
    """What one ledger has counted, by its own word: the whole of it, in place of any earlier one."""

    node: str
    """Whose ledger it is: only that node's signature makes it true."""
    ledger: bytes
    """Eight bytes that a ledger is given when it begins: after a state dir was lost, another one."""
    seq: int
    at: int
    """When it was said, in seconds since 1970, by that node's clock."""
    periods: dict[str, Usage]
    """By first day. What an earlier one said of a period, a later one never says less of."""
    newest: Daily | None = None
    """The last day on which it counted anything: what an earlier one said of that day, a later one never says less of,
    and never goes back to a day before. Earlier versions say nothing of it."""

    @property
    def key(self) -> tuple[str, bytes]:
        """Whose it is."""
        return (self.node, self.ledger)

    @property
    def rank(self) -> tuple[int, int, list[tuple[str, int, int, int]], tuple[str, int, int, int]]:
        """What decides between two of one ledger: the greater is the newer. The figures only matter where somebody
        says two things under one number, or the day was left out; then all nodes keep the same one."""
        said = sorted((start, u.cost, u.tokens_in, u.tokens_out) for start, u in self.periods.items())
        newest = Daily("", NOTHING) if self.newest is None else self.newest
        day = (newest.day, newest.used.cost, newest.used.tokens_in, newest.used.tokens_out)
        return (self.seq, self.at, said, day)

    def used_on(self, day: str) -> Usage:
        """What it says of that day: no more than of the period that has it, so that who makes up a day has to make up
        a period, which stands under its name wherever cost is shown by node."""
        if self.newest is None or self.newest.day != day:
            return NOTHING
        most = NOTHING
        for start, used in self.periods.items():
            if start <= day < next_start(start):
                most = most.join(used)
        return self.newest.used.within(most)


def others(accounts: Iterable[Account], start: str) -> set[str]:
    """Nodes whose billing periods begin on another day than that of `start`: what they used in this period is in none
    of the sums for it. Those whose newest period was over before `start` say nothing of this one."""
    newest = [(each.node, max(each.periods)) for each in accounts if each.periods and start not in each.periods]
    return {node for node, latest in newest if latest[8:] != start[8:] and next_start(latest) > start}


def spent(accounts: Iterable[Account], start: str) -> Usage:
    """What all of them together used in one period. Each ledger must be among them once."""
    total = NOTHING
    for account in accounts:
        total = total.plus(account.periods.get(start, NOTHING))
    return total


def spent_on(accounts: Iterable[Account], day: str) -> Usage:
    """What all of them together used on one day: each says of its newest alone. Each ledger must be among them once."""
    total = NOTHING
    for account in accounts:
        total = total.plus(account.used_on(day))
    return total
