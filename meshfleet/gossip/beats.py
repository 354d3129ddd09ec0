"""Heartbeats of the whole fleet as one table: how old the newest word of each member is.

A node raises its counter each `beat_interval`. Whoever hears a newer one passes it on to `fan_out` members, along with
whatever goes to them anyway, with the time for which it was held added to its age: a heartbeat that comes late does
not make fresh (scylladb 8488: 15 s of delay kept the dead alive for 300 s). Whoever is told an older one than it knows
answers with the newer. That one rule repairs what the spread missed: a member whose beat is late is asked for by
telling somebody the old one.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from meshfleet.fleet.evidence import Kind
from meshfleet.fleet.presence import Presence
from meshfleet.gossip.messages import Beat, Beats
from meshfleet.gossip.roster import Record, Roster, beat_tag

if TYPE_CHECKING:
    from meshfleet.fleet.timing import Timing
    from meshfleet.gossip.limits import Counts

ENTRIES = 80
"""Heartbeats in one message, so that a table fits a datagram beside other news."""

HEAD = 8
"""Bytes of a table without entries."""

ENTRY = 11
"""Bytes of an entry, in a fleet that has been up for years (see wire.beattable)."""


class Heartbeats:
    """My own counter, and the table of everybody's."""

    def __init__(
        self, name: str, epoch: int, timing: Timing, roster: Roster, counts: Counts, listening_now: float
    ) -> None:
        self._name = name
        self._timing = timing
        self._roster = roster
        self._counts = counts
        self.counter = 0
        self._raised_at = listening_now
        self._tag = beat_tag(name, epoch)
        self.hot: dict[int, int] = {}
        """Tags of members whose newest beat is still to be passed on, and to how many."""
        self._took = 0
        """How many packets have carried hot beats since the last round."""

    def begin_life(self, epoch: int, at: float) -> None:
        """My own epoch changed."""
        self._tag = beat_tag(self._name, epoch)
        self.counter = 0
        self.raise_mine(at)

    def raise_mine(self, at: float) -> None:
        """One more heartbeat of mine."""
        self.counter += 1
        self._raised_at = at
        self.hot[self._tag] = self._timing.fan_out

    def my_age(self, at: float) -> float:
        """How long ago I raised it."""
        return max(0.0, at - self._raised_at)

    def hear(self, record: Record, counter: int, age: float, at: float, via: str | None, transport: str) -> bool:
        """A heartbeat of `record`, `age` seconds old on arrival, from itself (`via` None) or passed on; whether it
        was newer."""
        raised_at = at - age
        if counter <= record.beat:
            if counter == record.beat and raised_at < record.beat_at:
                record.beat_at = raised_at  # of two accounts of one heartbeat the earlier holds less delay
            return False
        # A later heartbeat is never older; but the moment of introduction, which stood in for the first, may be.
        record.beat_at = raised_at if record.beat == 0 else max(record.beat_at, raised_at)
        record.beat = counter
        record.relay_via = via
        record.transport = transport
        self.hot[record.tag] = self._timing.fan_out
        return True

    def merge(self, beats: Beats, via: str, at: float, transport: str) -> tuple[list[Record], list[Beat], int]:
        """Hear a whole table: whose beat was newer than known, what the sender should be told in turn, and of how many
        strangers it tells."""
        strangers = 0
        heard: list[Record] = []
        newer_here: list[Beat] = []
        by_tag = self._roster.tags.get
        for beat in beats.entries:
            record = by_tag(beat.tag)
            if record is None:
                if beat.tag != self._tag:
                    self._counts["unknown_beat"] += 1
                    strangers += 1
            elif beat.counter == record.beat:  # as most entries are, and as `hear` has it
                if at - beat.age < record.beat_at:
                    record.beat_at = at - beat.age
            elif beat.counter < record.beat:
                newer_here.append(_beat(record, at))
            elif self.hear(record, beat.counter, beat.age, at, None if via == record.name else via, transport):
                if record.presence is not Presence.FRESH:
                    record.note(Kind.BEAT, at, via, f"heartbeat {beat.counter} by way of {via}, {beat.age:.1f} s old")
                heard.append(record)
        return heard, newer_here[:ENTRIES], strangers

    def take(self, room: int, at: float) -> Beats | None:
        """What to pass on in one more packet, in at most `room` bytes."""
        hot, tags = self.hot, self._roster.tags
        entries: list[Beat] = []
        for tag in list(islice(hot, max(0, min(ENTRIES, (room - HEAD) // ENTRY)))):
            left = hot.pop(tag)
            if left > 1:
                hot[tag] = left - 1  # behind the others, so that all get their turn
            record = tags.get(tag)
            if record is not None:
                entries.append(_beat(record, at))
            elif tag == self._tag:
                entries.append(Beat(tag, self.counter, self.my_age(at)))
        self._took += bool(entries)
        return Beats(tuple(entries)) if entries else None

    def round_is_needed(self) -> bool:
        """Whether too few packets carried beats along since the last call: then they need packets of their own."""
        took, self._took = self._took, 0
        return bool(self.hot) and took < self._timing.fan_out

    def late(self, at: float) -> list[Beats]:
        """Members whose next beat should have come by now: told as known, so that whoever knows more answers."""
        limit = at - self._timing.beat_interval - 2 * self._timing.gossip_interval
        late = [record for record in self._roster.hopeful if record.beat_at < limit]
        return tables([_beat(record, at) for record in late[:ENTRIES]])

    def of(self, records: list[Record], at: float) -> Beats:
        """Theirs, and mine, for push-pull."""
        mine = Beat(self._tag, self.counter, self.my_age(at))
        return Beats((mine, *(_beat(record, at) for record in records if record.beat)))


def _beat(record: Record, at: float) -> Beat:
    age = at - record.beat_at
    return Beat(record.tag, record.beat, age if 0.0 < age < 1e7 else min(1e7, max(0.0, age)))


def tables(entries: list[Beat]) -> list[Beats]:
    """`entries` in messages of at most ENTRIES each."""
    return [Beats(tuple(entries[i : i + ENTRIES])) for i in range(0, len(entries), ENTRIES)]
