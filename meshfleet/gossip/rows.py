"""Reachability rows: each node says whom it does not reach directly, and passes on what others say of themselves.

A row holds exceptions only, and only its owner changes it: the whole row of the higher version holds (Pekko's table of
reachability). In a fleet without trouble there are none, and they cost nothing. They are handed on along the ring like
snapshots, and push-pull repairs what was lost. Nobody is judged by them: they show where a cut runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from meshfleet.fleet.evidence import Kind
from meshfleet.fleet.islands import Cut, Unreached, cuts, islands
from meshfleet.fleet.presence import Certainty, Presence
from meshfleet.gossip.limits import ROW, Counts
from meshfleet.gossip.messages import Row
from meshfleet.gossip.record import HOPEFUL, MISSES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshfleet.fleet.names import NodeName
    from meshfleet.fleet.timing import Timing
    from meshfleet.gossip.outbox import Outbox
    from meshfleet.gossip.record import Record
    from meshfleet.gossip.roster import Roster
    from meshfleet.gossip.vouching import Vouching


class Rows:
    """My own row, and everybody's."""

    def __init__(
        self,
        me: NodeName,
        epoch: int,
        timing: Timing,
        roster: Roster,
        outbox: Outbox,
        vouching: Vouching,
        counts: Counts,
    ) -> None:
        self._vouching = vouching
        self._timing = timing
        self._roster = roster
        self._outbox = outbox
        self._counts = counts
        self.mine = Row(me, epoch, 0, ())
        self._theirs: dict[str, Row] = {}

    def begin_life(self, epoch: int) -> None:
        """My own epoch changed."""
        self.mine = Row(self.mine.name, epoch, 0, ())
        self.review()

    def review(self) -> bool:
        """Say whom I don't reach, if that changed; whether it did."""
        missed = sorted(record.name for record in self._roster if _is_missed(record))
        if len(missed) > ROW:
            self._counts["short_row"] += 1
            del missed[ROW:]
        if tuple(missed) == self.mine.unreached:
            return False
        row = Row(self.mine.name, self.mine.epoch, self.mine.version + 1, tuple(missed))
        self.mine = self._vouching.sign(row)
        self._hand_on(self.mine, self.mine.name, whole=True)
        return True

    def hear(self, row: Row, at: float) -> bool:
        """What somebody says of whom it reaches; whether that was news. Who was never introduced has no row."""
        owner = self._roster.get(row.name)
        if owner is None or row.epoch != owner.epoch or len(row.unreached) > ROW:
            return False
        known = self._theirs.get(row.name)
        if known is not None and (known.epoch, known.version) >= (row.epoch, row.version):
            return False
        if not self._vouching.holds(row, owner.alive):
            return False
        before = set(known.unreached) if known is not None and known.epoch == row.epoch else set()
        self._theirs[row.name] = msgspec.structs.replace(row, until=None)
        self._note(row.name, before, set(row.unreached), at)
        if row.until is not None:
            self._hand_on(row, row.until, whole=False)
        return True

    def _note(self, owner: str, before: set[str], now: set[str], at: float) -> None:
        for name in sorted(before ^ now):
            if (record := self._roster.get(name)) is not None:
                can = "can't reach it directly" if name in now else "reaches it directly again"
                record.note(Kind.REPORT, at, owner, f"{owner} {can}")

    def _hand_on(self, row: Row, until: str, *, whole: bool) -> None:
        for record, ends in self._roster.share_out(until, self._timing.shares, but=row.name, whole=whole):
            self._outbox.datagram(record, msgspec.structs.replace(row, until=ends))

    def lost_me(self) -> bool:
        """Whether two or more members, all of a small fleet, say that they don't reach me directly, and I hear them."""
        hearing = [r for r in self._roster.hopeful if r.presence is Presence.FRESH and not r.missed]
        losing = [r for r in hearing if (row := self._theirs.get(r.name)) and self.mine.name in row.unreached]
        return bool(losing) and len(losing) >= min(2, len(hearing))

    def all(self) -> tuple[Row, ...]:
        """Every row that ever held something, for push-pull."""
        mine = (self.mine,) if self.mine.version else ()
        return (*mine, *self._theirs.values())

    def forget(self, name: str) -> None:
        """A member is forgotten, and its word with it."""
        self._theirs.pop(name, None)

    # What they show

    def table(self) -> dict[str, Unreached]:
        """Whom each node that is heard of does not reach, by its newest word; mine as I see it now."""
        table: dict[str, Unreached] = {
            self.mine.name: frozenset(record.name for record in self._roster if _is_missed(record))
        }
        for record in self._roster.hopeful:
            row = self._theirs.get(record.name)
            table[record.name] = frozenset(row.unreached if row is not None and row.epoch == record.epoch else ())
        return table

    def islands(self, together: Sequence[Sequence[str]]) -> tuple[tuple[str, ...], ...]:
        """Who is with whom, as far as I can tell; mine first. The dead and the departed are on none."""
        there = [record.name for record in self._roster if not _is_dead(record)]
        return islands(self.mine.name, there, self.table(), together)

    def cuts(self) -> tuple[Cut, ...]:
        """Where nothing passes directly, though somebody reaches either side."""
        return cuts(self.table())


def _is_dead(record: Record) -> bool:
    return record.presence is Presence.LEFT or record.verdict.certainty is Certainty.PROVEN


def _is_missed(record: Record) -> bool:
    return not _is_dead(record) and (record.presence not in HOPEFUL or record.missed >= MISSES)
