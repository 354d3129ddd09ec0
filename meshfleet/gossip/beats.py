"""Heartbeats of the whole fleet as one table: how old the newest word of each member is.

A node raises its counter each `beat_interval`, or when a snapshot of its own goes to everybody anyway, and takes it
along. Else whoever hears a newer one passes it on to `fan_out` members, along with whatever goes to them anyway, with
the time for which it was held added to its age: a heartbeat that comes late does not make fresh (scylladb 8488: 15 s of
delay kept the dead alive for 300 s). Whoever is told an older one than it knows answers with the newer. That one rule
repairs what the spread missed: a member whose beat is late is asked for by telling somebody the old one.

Each heartbeat goes with its proof, so that nobody but its origin can have raised it; only its age is the teller's word.
"""

from __future__ import annotations

from array import array
from collections import deque
from math import inf, log10
from typing import TYPE_CHECKING

from meshfleet.fleet.evidence import Kind
from meshfleet.fleet.presence import Presence
from meshfleet.gossip.messages import Beat, Beats
from meshfleet.gossip.tags import beat_tag, chain_end

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshfleet.fleet.timing import Timing
    from meshfleet.gossip.limits import Counts
    from meshfleet.gossip.record import Record
    from meshfleet.gossip.roster import Roster
    from meshfleet.gossip.vouching import Vouching

ENTRIES = 60
"""Heartbeats in one message, so that a table fits a datagram beside other news."""

ASKS = 2
"""How many members are asked at a time for a beat that is late: one may be as ill as whoever was to tell it."""

PUSHED = 0.15
"""For how much of a beat interval after it was raised a heartbeat is pushed on; then it is called for."""

CALLS = 5
"""How often in a beat interval the roll is called; three of them when one's own heartbeat was raised."""

AFTER_ROLL = 1.5
"""Calls that a heartbeat is given besides, before it is asked for by name: asked for sooner, 19 of 20 came twice. None
while datagrams are lost, for calls and answers are lost too."""

LAST_ROUND = 1.2
"""Gossip intervals before a member is stale from which the next round would be too late, or a `direct_timeout` where
that is longer, as over a WAN: it is asked itself then, half a `direct_timeout` before it is stale. Three in a million
come so far without anything being wrong, but in a fleet of 256 somebody did each other second."""

ORIGINS = 128
"""How many are asked themselves in a round at most, where a large zone is cut off; the oldest first, each at a moment
of its own. Of 512 nodes at rest one lacks some 20 at a time, right before it calls the roll."""

HEAD = 8
"""Bytes of a table without entries."""

ENTRY = 18
"""Bytes of an entry, in a fleet that has been up for years (see wire.beattable). All of a table are as wide as its
widest, up to 24, and how wide that is its member chooses: whoever has to fit a table in measures it."""


class Heartbeats:
    """My own counter, and the table of everybody's."""

    def __init__(
        self,
        name: str,
        epoch: int,
        timing: Timing,
        roster: Roster,
        counts: Counts,
        listening_now: float,
        vouching: Vouching,
    ) -> None:
        self._name = name
        self._epoch = epoch
        self._timing = timing
        self._roster = roster
        self._counts = counts
        self._vouching = vouching
        self._trusts = vouching.trusts
        self.counter = 0
        self.proof = b""
        """Of my newest heartbeat."""
        self.used_up: Callable[[], None] = lambda: None
        """Called when the last heartbeat of a chain was raised: the next ones need another anchor."""
        self._raised_at = listening_now
        self.tag = beat_tag(name, epoch)
        self._rides_from = -inf
        """Until then no snapshot raises my heartbeat: the word that anchors its chain has a start of one interval."""
        self._mine_hot = 0
        """To how many my own newest beat is still to be told."""
        self._hot: deque[Record] = deque()
        """Members whose newest beat is still to be passed on; each record knows to how many."""
        self._rode: deque[Record] = deque()
        """Members whose newest beat came on a snapshot: told once more where there is room, for a cut may have lost the
        rest of the snapshot's way."""
        self.raised = array("d", [inf])
        """When each member of the roll call, in its order, raised its newest: `beat_at` once more, for each call asks
        for everybody's, and records lie all over memory. The last is of those who have no place (-1)."""
        self._asking: deque[Beat] = deque()
        """Whose newer beats are asked for with the next packets, by telling the late ones: each ASKS times."""
        self._late = 0
        """How many they are."""
        self.overdue: list[Record] = []
        """Of the late ones those that are about to be stale, when they were last looked for."""
        self._took = 0
        """How many packets have carried hot beats since the last round."""
        self._nobody_late_before = -inf
        self.lost_at = -inf
        """When somebody last did not answer a ping by datagram."""
        self._at_odds_until = listening_now + timing.heartbeat
        """Until then heartbeats go on as rumors: who calls for them and who answers do not mean the same members."""

    @property
    def are_hot(self) -> bool:
        """Whether there is anything to pass on."""
        return bool(self._hot or self._rode) or self._mine_hot > 0

    @property
    def are_late(self) -> bool:
        """Whether there is anything to ask for."""
        return bool(self._asking)

    def begin_life(self, epoch: int, at: float) -> None:
        """My own epoch changed."""
        self.tag, self._epoch = beat_tag(self._name, epoch), epoch
        self.counter = 0
        self.raise_mine(at)

    def raise_mine(self, at: float) -> None:
        """One more heartbeat of mine."""
        self._mine_hot = self._timing.fan_out
        self._raise(at)

    def _raise(self, at: float) -> None:
        self.counter += 1
        self._raised_at = at
        if not self._trusts:
            end = chain_end(self.tag, self.counter - 1)
            self.proof = self._vouching.prove(self._epoch, end, self.counter)
            if self.counter == end:
                self._rides_from = at + self._timing.beat_interval
                self.used_up()

    def anchor(self, epoch: int) -> tuple[int, bytes]:
        """For my own Alive of that life: how many heartbeats it has had, and what the proofs of the next hash back
        to."""
        counter, tag = (self.counter, self.tag) if epoch == self._epoch else (0, beat_tag(self._name, epoch))
        return counter, self._vouching.prove(epoch, chain_end(tag, counter), counter)

    def due_at(self) -> float:
        """When the next one is due (listening seconds)."""
        return self._raised_at + self._timing.beat_interval

    def ride(self, at: float) -> Beat:
        """My heartbeat, raised for a snapshot of mine that takes it to everybody: then it needs no other way."""
        if self._raised_at < at - self._timing.gossip_interval and at >= self._rides_from:
            self._mine_hot = 0
            self._raise(at)
        return Beat(self.tag, self.counter, self._raised_at, self.proof)

    def newest(self, record: Record) -> Beat:
        """The newest heartbeat known of a member."""
        return _beat(record)

    def told(self, record: Record, epoch: int) -> Beat:
        """The newest heartbeat of that life of a member."""
        return _beat(record) if record.epoch == epoch else Beat(record.tag, 0, record.beat_at)

    def my_age(self, at: float) -> float:
        """How long ago I raised it."""
        return max(0.0, at - self._raised_at)

    def hear(
        self,
        record: Record,
        counter: int,
        age: float,
        at: float,
        via: str | None,
        transport: str,
        *,
        proof: bytes = b"",
        rides: bool = False,
    ) -> bool:
        """A heartbeat of `record`, `age` seconds old on arrival, from itself (`via` None) or passed on; whether it
        was newer. `rides`: on a snapshot, which takes it to everybody."""
        raised_at = at - age
        if counter <= record.beat:
            if counter == record.beat and raised_at < record.beat_at:
                record.beat_at = self.raised[record.roll_place] = raised_at  # of two accounts the earlier is less late
                record.told = None
            if rides and counter == record.beat and record.hot > 1:
                record.hot = 1
            return False
        if not (self._trusts or self._vouching.proves(record, counter, proof)):
            return False
        # A later heartbeat is never older; but the moment of introduction, which stood in for the first, may be.
        if record.beat == 0 or raised_at > record.beat_at:
            record.beat_at = self.raised[record.roll_place] = raised_at
        record.beat, record.proof = counter, proof
        record.relay_via = via
        if via is None or at - record.direct_at > self._timing.heartbeat:  # else how it is heard itself says more
            record.transport = transport
        record.told = None
        if not rides and raised_at < at - PUSHED * self._timing.beat_interval and not self.is_at_odds(at):
            record.hot = min(record.hot, 1)  # whoever lacks it calls for it
            return True
        if record.hot == 0:
            (self._rode if rides else self._hot).append(record)
        record.hot = 1 if rides else self._timing.fan_out
        return True

    def merge(self, beats: Beats, via: str, at: float, transport: str) -> tuple[list[Record], list[Beat], int]:
        """Hear a whole table: whose beat was newer than known, what the sender should be told in turn, and of how many
        it tells of whom it must know more than is known here."""
        strangers = 0
        heard: list[Record] = []
        newer_here: list[Beat] = []
        by_tag = self._roster.tags.get
        behind = at - beats.at
        for beat in beats.entries:
            record = by_tag(beat.tag)
            if record is None:
                if beat.tag != self.tag:
                    self._counts["unknown_beat"] += 1
                    strangers += 1
                elif beats.asks and beat.counter < self.counter:
                    newer_here.append(Beat(self.tag, self.counter, self._raised_at, self.proof))
            elif beat.counter == record.beat:  # as most entries are, and as `hear` has it
                if beat.raised_at + behind < record.beat_at:
                    record.beat_at = self.raised[record.roll_place] = beat.raised_at + behind
                    record.told = None
                if record.hot:
                    record.hot -= 1  # one less who needs to be told
            elif beat.counter < record.beat:
                newer_here.append(_beat(record))
            elif not beats.asks:
                age, by = max(0.0, beats.at - beat.raised_at), None if via == record.name else via
                if not self.hear(record, beat.counter, age, at, by, transport, proof=beat.proof):
                    strangers += self.is_unanchored(record, beat.counter)
                    continue
                if record.presence is not Presence.FRESH:
                    record.note(Kind.BEAT, at, via, f"heartbeat {beat.counter} by way of {via}, {age:.1f} s old")
                heard.append(record)
        return heard, newer_here[:ENTRIES], strangers

    def is_unanchored(self, record: Record, counter: int) -> bool:
        """Whether that heartbeat, newer than known, is of a chain of which its origin told others, and me not yet."""
        return counter > record.alive.beat and self._vouching.anchored(record, counter) is None

    def is_outlived(self, record: Record, at: float) -> bool:
        """Whether the newest heartbeat of a member is so old that, without a newer one, nothing that others can have
        said in its name shows it alive. Whoever lives raises its own and has it in each packet."""
        return at - record.beat_at > self._timing.unreachable_after

    def take(self, room: int, at: float, *, alone: bool = False) -> Beats | None:
        """What to pass on in one more packet, in at most `room` bytes. My own is in each packet's head: a packet that
        goes for its sake `alone` may have an empty table."""
        mine, self._mine_hot = self._mine_hot, max(0, self._mine_hot - 1)
        entries: list[Beat] = []
        most = min(ENTRIES, (room - HEAD) // ENTRY)
        since = self._pushed_since(at)
        for hot in (self._hot, self._rode):
            for _ in range(len(hot)):
                if len(entries) >= most:
                    break
                record = hot.popleft()
                if record.beat_at < since and hot is self._hot:
                    record.hot = 0  # whoever lacks it calls for it
                if record.hot:  # else it began another life in the meantime, or is forgotten
                    entries.append(record.told or _beat(record))
                    record.hot -= 1
                    if record.hot:
                        self._hot.append(record)  # behind the others, so that all get their turn
        self._took += bool(entries or mine)
        return Beats(tuple(entries), at) if entries or (alone and mine) else None

    def put_back(self, entries: tuple[Beat, ...], at: float) -> None:
        """There was no room for these after all, which were just taken: they stay to be told, before others."""
        since = self._pushed_since(at)
        for beat in reversed(entries):
            if (record := self._roster.tags.get(beat.tag)) is None:
                continue
            record.hot += 1
            if record.hot == 1:  # else it is in line already; too old for the first line, it came from the second
                (self._rode if record.beat_at < since else self._hot).appendleft(record)

    def _pushed_since(self, at: float) -> float:
        """What was raised before is pushed on no more."""
        return -inf if self.is_at_odds(at) else at - PUSHED * self._timing.beat_interval

    def at_odds(self, at: float) -> None:
        """Somebody's roll is another than mine."""
        self._at_odds_until = at + self._timing.heartbeat

    def calls_suffice(self, at: float) -> bool:
        """Whether calls and their answers arrive, and are understood."""
        return at - self.lost_at >= self._timing.heartbeat and not self.is_at_odds(at)

    def is_at_odds(self, at: float) -> bool:
        """Whether that was so of late: then nothing is left to be called for."""
        return at < self._at_odds_until

    def round_is_needed(self, at: float) -> bool:
        """Whether too few packets carried beats along since the last call: then they need packets of their own."""
        took, self._took = self._took, 0
        return bool(self._hot or self._mine_hot) and took < self._timing.fan_out and self.is_at_odds(at)

    def late(self, at: float) -> list[Beats]:
        """Members whose next beat should have come by now: told as known, so that whoever knows more answers."""
        if at < self._nobody_late_before:
            self.overdue = []
            return []
        hops = 1 + log10(max(1.0, len(self._roster) / 10))  # in a large fleet a beat is on its way for longer
        called = AFTER_ROLL / CALLS if self.calls_suffice(at) else 0.0
        last = self._timing.stale_after - last_round(self._timing)
        patience = min(last, self._timing.beat_interval * (1 + called) + self._timing.gossip_interval * hops)
        hopeful, limit = self._roster.hopeful, at - patience
        late = [record for record in hopeful if record.beat_at < limit]
        overdue = [record for record in late if record.beat_at < at - last and record.presence is Presence.FRESH]
        self.overdue = sorted(overdue, key=_raised_first)[:ORIGINS]
        # Who is not late now is not before its beat is as old; who becomes hopeful again is looked at a moment later.
        oldest = limit if late else min([record.beat_at for record in hopeful], default=limit)
        self._nobody_late_before = min(oldest + patience, at + self._timing.beat_interval / 2)
        return self.asking(late, at)

    def last_moment(self, record: Record) -> float:
        """When it is to be asked itself, if nothing newer of it has come by then."""
        return record.beat_at + self._timing.stale_after - self._timing.direct_timeout / 2

    def asking(self, records: list[Record], at: float) -> list[Beats]:
        """What asks for newer ones of theirs: at most one table."""
        return tables([_beat(record) for record in records[:ENTRIES]], at, asks=True)

    def ask(self, room: int, at: float) -> Beats | None:
        """What to ask for along with one more packet, in at most `room` bytes."""
        count = min(len(self._asking), self._late, ENTRIES, (room - HEAD) // ENTRY)
        return Beats(tuple([self._asking.popleft() for _ in range(count)]), at, asks=True) if count > 0 else None

    def ask_along(self, late: list[Beats]) -> None:
        """Have the next packets ask for them, each in as many as ASKS."""
        entries = [beat for table in late for beat in table.entries]
        self._asking, self._late = deque(ASKS * entries), len(entries)

    def of(self, records: list[Record]) -> tuple[Beat, ...]:
        """Theirs, and mine, for push-pull."""
        mine = Beat(self.tag, self.counter, self._raised_at, self.proof)
        return (mine, *(_beat(record) for record in records if record.beat))


def last_round(timing: Timing) -> float:
    """How many seconds before a member is stale it is looked for among those to be asked themselves."""
    return max(LAST_ROUND * timing.gossip_interval, timing.direct_timeout)


def _raised_first(record: Record) -> float:
    return record.beat_at


def _beat(record: Record) -> Beat:
    """The newest of that member, made once."""
    if record.told is None:
        record.told = Beat(record.tag, record.beat, record.beat_at, record.proof)
    return record.told


def tables(entries: list[Beat], at: float, *, asks: bool = False) -> list[Beats]:
    """`entries` in messages of at most ENTRIES each."""
    return [Beats(tuple(entries[i : i + ENTRIES]), at, asks) for i in range(0, len(entries), ENTRIES)]
