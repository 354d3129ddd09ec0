"""The node's accounts: what its agents use goes into its ledger, and what all ledgers say comes together here.

One task. It takes what was published since the last round, has the ledger count it (in a thread, where there is a
disk), looks at what others tell, and tells what changed: its own account, and those of nodes that are gone. An account
is told once the ledger holds it, so that a crash can't make it shrink.
"""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import msgspec
import trio

from meshfleet.fleet.usage import (
    NOTHING,
    Account,
    Counted,
    Figures,
    Moment,
    Usage,
    figures,
    named_period,
    next_start,
    others,
)
from meshfleet.logs import get_logger
from meshfleet.node.books import LEDGERS, Books
from meshfleet.node.costing import report
from meshfleet.node.hearsay import Carrier, Hearsay
from meshfleet.node.ledger import DAYS_KEPT, Ledger, Seen, is_damage, set_aside
from meshfleet.node.sums import Sums
from meshfleet.wire.accounts import MARKED, MARKS, OWN, Marks, Signer, pack

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Sequence

    from meshfleet.fleet.cost import CostReport
    from meshfleet.fleet.names import NodeName
    from meshfleet.fleet.state import AgentState
    from meshfleet.node.billing import Billing
    from meshfleet.node.trust import Trust

TICK = 1.0
"""Seconds between two rounds while nothing is published."""

SPACING = 0.25
"""Seconds between two rounds at least."""

TELL_EVERY = 15.0
"""Seconds between two of a node's own accounts, 300 bytes each and as much around them: an agent whose state changes
each 2 s is told with 400. The first is told at once."""

TELL_SOONER = 5.0
"""The same in a fleet of so many nodes and fewer; between, as many seconds as there are nodes."""

MARKS_EVERY = 120.0
"""Seconds between two tellings of its sessions' marks, at the most: a second for each mark, of some 20 bytes, and not
under TELL_EVERY. They are needed when a state dir was lost: what was used since is counted twice then."""

MARKS_OF_DAYS = 2
DISK_PAUSE = 5.0
"""Seconds before a disk that took nothing is tried again."""

PENDING = 1_024
"""Sessions whose figures wait for the disk. The longest unchanged go: `dropped_usage`; what comes later tells of it
too."""

log = get_logger("meshfleet.node")
_T = TypeVar("_T")


class Accounting:
    """See the module. `wall` is Unix time in seconds."""

    def __init__(
        self,
        carrier: Carrier,
        trust: Trust,
        ledger: Ledger,
        billing: Billing,
        counts: Counter[str],
        wall: Callable[[], float],
        budget_usd: float | None = None,
    ) -> None:
        self._carrier = carrier
        self._trust = trust
        self._ledger = ledger
        self._billing = billing
        self._counts = counts
        self._wall = wall
        self.name: NodeName = carrier.member.name
        self.books = Books(self.name, trust, counts, wall)
        self.hearsay = Hearsay(carrier, self.books, counts)
        self.sums = Sums(self._all, billing, wall, budget_usd)
        self._day_shown = billing.day_of(wall())
        self.tell_every = TELL_EVERY
        self.marks_every = MARKS_EVERY
        self.settle = 2 * carrier.member.timing.heartbeat if ledger.is_new and ledger.lasts else 0.0
        """Seconds for which a new ledger says nothing: it may be one after a loss, and hear what the old one had."""
        self._pending: dict[tuple[str, str | None], Seen] = {}
        self._former: dict[str, str] = {}
        """Agents that go on under another id: who they were before."""
        self._met: dict[tuple[str, str | None], None] = {}
        """Sessions of which something was seen in this life of the node."""
        self._last: dict[bytes, Usage] = {}
        """What each session had when it was counted last in this life, should the ledger be lost."""
        self._own = Counted()
        self._told: Counted | None = None
        self._told_at = self._marks_at = -1e18
        self._marks: dict[bytes, Usage] = {}
        self._marks_seq = 0
        self._applied: dict[tuple[str, bytes], int] = {}
        self.unwritten: str | None = None
        """Why the ledger can't be written, while it can't."""
        self._warned: set[str] = set()
        self._loaded = False
        self._tidied = ""
        self._woken = trio.Event()
        self._disk = trio.CapacityLimiter(1)

    # What is asked

    def observe(self, state: AgentState) -> None:
        """An agent of this node says how much it has used so far."""
        said = figures(state)
        if said == Figures():
            return
        key = (state.agent_id, state.session)
        before = self._pending.pop(key, None)
        if before is not None:
            said = _over(said, before.said)
        day = self._day(key, state.timestamp)
        self._pending[key] = Seen(
            state.agent_id,
            state.session,
            state.model,
            state.runtime,
            said,
            day,
            past=() if before is None else before.past,
            former=self._former.get(state.agent_id),
        )
        if len(self._pending) > PENDING:
            del self._pending[next(iter(self._pending))]
            self._counts["dropped_usage"] += 1
        self._woken.set()

    def recall(self, state: AgentState, course: Sequence[Moment]) -> None:
        """What the session of a state that was just observed had used when, by its own records: what of it this node
        has not counted counts on those days."""
        seen = self._pending.get((state.agent_id, state.session))
        if seen is None:
            return
        today, past = self._billing.day_of(self._wall()), {}
        for moment in course:
            if (day := self._billing.day_of(moment.at)) < today:
                past[day] = moment.said.within(seen.said)
        self._pending[seen.agent, seen.session] = msgspec.structs.replace(seen, past=tuple(past.items()))

    def rename(self, agent: str, to: str) -> None:
        """An agent goes on under another id: what its sessions used before is not used again."""
        self._former[to] = agent
        if len(self._former) > PENDING:
            del self._former[next(iter(self._former))]

    def _day(self, session: tuple[str, str | None], timestamp: str) -> str:
        """What grows while this node looks on is of today. What grew while it did not, it sees at its first look."""
        wall = self._wall()
        if session in self._met:
            return self._billing.day_of(wall)
        self._met[session] = None
        if len(self._met) > PENDING:
            del self._met[next(iter(self._met))]
        return self._billing.read_on(timestamp, self._ledger.last_day, wall)

    async def cost(self, period: str | None) -> CostReport:
        """One billing period: `2026-11`, its first day, or None for the one that runs. ConfigError where it is none."""
        today = self._billing.day_of(self._wall())
        start = self._billing.period(self._wall()) if period is None else named_period(period, self._billing.day)
        end = next_start(start)
        try:
            lines = await self._on_disk(partial(self._ledger.lines, start, end))
        except sqlite3.Error:
            lines = []
        own = self._own.periods.get(start, NOTHING)
        return report(self.name, self._billing.zone, start, end, today, self._all(), own, lines)

    def close(self) -> None:
        """Count what is still to be counted, and let go of the ledger. Blocks for a moment, at the node's end."""
        with suppress(sqlite3.Error):
            self._ledger.record(self._pending.values(), self._billing.day_of(self._wall()))
        self._ledger.close()

    # The task

    async def run(self) -> None:
        """Until cancelled."""
        begun = trio.current_time()
        while True:
            self._woken = trio.Event()
            try:
                await self._round(is_settled=trio.current_time() - begun >= self.settle)
                self.unwritten = None
            except sqlite3.Error as error:
                await self._disk_failed(error)
            await trio.sleep(SPACING)
            with trio.move_on_after(TICK - SPACING):
                await self._woken.wait()

    async def _round(self, *, is_settled: bool) -> None:
        """All of it once. What comes from others comes in whatever becomes of the disk."""
        if self.hearsay.listen():
            self._changed()
            self._complain_of_others()
        if (day := self._billing.day_of(self._wall())) != self._day_shown:
            self._day_shown = day
            self._changed()  # another day runs: who follows the view is told so, though nobody used anything
        self.hearsay.retell((self.name, self._ledger.id))
        if not self._loaded:
            await self._load()
        await self._count()
        if await self._take_back():
            self._changed()
        await self._keep()
        if is_settled:
            self._tell_own()
            await self._tell_marks()

    async def _load(self) -> None:
        """What was known when this node ran last. Ours among it says what we have told: never less from now on."""
        for kept in await self._on_disk(self._ledger.kept):
            self.books.take(kept.data, keep=False)
        await self._read_own()
        self._loaded = True
        self._changed()

    async def _read_own(self) -> None:
        self._own = await self._on_disk(partial(self._ledger.counted, self._billing.day, self._latest_day()))

    def _latest_day(self) -> str:
        """The last that can be the newest: tomorrow, for a clock that was a moment ahead at midnight. What is of later
        days was counted by a clock that was wrong."""
        return self._billing.days_ago(self._wall(), -1)

    async def _count(self) -> None:
        if not self._pending:
            return
        batch, self._pending = self._pending, {}
        seen = [self._with_rivals(each) for each in batch.values()]
        today = self._billing.day_of(self._wall())
        try:
            await self._on_disk(partial(self._ledger.record, seen, today))
            await self._read_own()
        except BaseException:
            self._pending = {**batch, **self._pending}  # also where it was cancelled: the same figures count once
            raise
        for each in seen:
            self._last.pop(each.key, None)
            self._last[each.key] = each.said.over(NOTHING)
        while len(self._last) > PENDING:
            del self._last[next(iter(self._last))]
        await self._tidy()
        self._changed()

    def _with_rivals(self, seen: Seen) -> Seen:
        told, counts_there = self.hearsay.rival(seen.agent, seen.session)
        return msgspec.structs.replace(seen, told=told, counts=not counts_there) if told else seen

    async def _disk_failed(self, error: sqlite3.Error) -> None:
        self._counts["unrecorded_usage"] += 1
        path = self._ledger.path
        if path is not None and is_damage(error):
            self._ledger.close()
            set_aside(path, error)
            self._ledger = await self._on_disk(partial(Ledger.open, path, self.name, _another(self._ledger.id)))
            self._told, self._own = None, Counted()
            self._applied.clear()
            self.books.keep_all()
            today = self._billing.day_of(self._wall())
            with suppress(sqlite3.Error):
                await self._on_disk(partial(self._ledger.raise_marks, self._last, today))
            return
        if self.unwritten is None:
            log.error("the ledger can't be written; what was used is counted once it can be", why=error)
        self.unwritten = f"{path or 'the ledger'}: {error}"
        await trio.sleep(DISK_PAUSE)

    async def _tidy(self) -> None:
        today = self._billing.day_of(self._wall())
        if self._tidied != today:
            self._tidied = today
            oldest = self._billing.days_ago(self._wall(), DAYS_KEPT)
            await self._on_disk(partial(self._ledger.tidy, oldest))

    async def _take_back(self) -> bool:
        """What another ledger of this node, which is lost, had counted before."""
        lost = [marks for key, marks in self.books.marks.items() if marks.node == self.name]
        lost = [m for m in lost if m.ledger != self._ledger.id and self._applied.get((m.node, m.ledger), -1) < m.seq]
        for marks in lost:
            today = self._billing.day_of(self._wall())
            await self._on_disk(partial(self._ledger.raise_marks, marks.marks, today))
            await self._read_own()
            self._applied[(marks.node, marks.ledger)] = marks.seq
        return bool(lost)

    async def _keep(self) -> None:
        kept = self.books.unkept()
        if kept:
            try:
                await self._on_disk(partial(self._ledger.keep, kept))
            except BaseException:
                self.books.keep_again(kept)
                raise

    # What is told

    def _floor(self) -> Account | None:
        return self.books.accounts.get((self.name, self._ledger.id))

    def _joined(self) -> Counted:
        """What this ledger says: what it has counted, and never less than it has said."""
        floor = self._floor()
        if floor is None:
            return self._own
        newest = floor.newest if floor.newest is not None and floor.newest.day <= self._latest_day() else None
        return self._own.join(Counted(floor.periods, newest))

    def _all(self) -> list[Account]:
        others = [account for key, account in self.books.accounts.items() if key != (self.name, self._ledger.id)]
        own = self._joined()
        return [*others, Account(self.name, self._ledger.id, 0, 0, own.periods, own.newest)]

    def _tell_own(self) -> None:
        now, said = trio.current_time(), self._joined()
        pause = min(self.tell_every, max(TELL_SOONER, float(len(self._carrier.member.roster) + 1)))
        if not said or said == self._told or now - self._told_at < pause:
            return
        floor = self._floor()
        seq = 0 if floor is None else floor.seq
        account = Account(self.name, self._ledger.id, seq + 1, int(self._wall()), said.periods, said.newest)
        data = Signer(self._trust.fleet, self._trust.key, self._trust.certificate).account(account)
        self.books.take(data)
        self._told, self._told_at = said, now
        self._carrier.tell_beside(OWN, pack([data]))

    async def _tell_marks(self) -> None:
        now = trio.current_time()
        pause = min(self.marks_every, max(TELL_EVERY, float(len(self._marks))))
        if not self._ledger.lasts or now - self._marks_at < pause:
            return
        since = self._billing.days_ago(self._wall(), MARKS_OF_DAYS)
        marks = await self._on_disk(partial(self._ledger.recent_marks, since, MARKED))
        if not marks or marks == self._marks:
            return
        self._marks, self._marks_at = marks, now
        self._marks_seq = max(self._marks_seq + 1, int(self._wall()))
        said = Marks(self.name, self._ledger.id, self._marks_seq, int(self._wall()), marks)
        data = Signer(self._trust.fleet, self._trust.key, self._trust.certificate).marks(said)
        self.books.take(data)
        self._carrier.tell_beside(MARKS, pack([data]))

    def _complain_of_others(self) -> None:
        """Once for each node: it would be missing from a sum, and nobody would know."""
        for name in others(self._all(), self._billing.period(self._wall())) - self._warned:
            if len(self._warned) < LEDGERS:
                self._warned.add(name)
                log.warning("a node has another billing_day; what it uses is not in this node's sums", node=name)

    def _changed(self) -> None:
        self.sums.forget()
        self._carrier.changed_beside()

    async def _on_disk(self, work: Callable[[], _T]) -> _T:
        if not self._ledger.lasts:
            return work()
        return await trio.to_thread.run_sync(work, limiter=self._disk)


def _over(new: Figures, old: Figures) -> Figures:
    """`new`, with what only `old` knows."""
    return Figures(
        old.cost if new.cost is None else new.cost,
        old.tokens_in if new.tokens_in is None else new.tokens_in,
        old.tokens_out if new.tokens_out is None else new.tokens_out,
    )


def _another(ledger: bytes) -> bytes:
    """An id for the ledger that follows one that was lost."""
    return (int.from_bytes(ledger, "big") + 1 & (1 << 64) - 1).to_bytes(8, "big")
