"""Who is known, and what is known of each: one record a member, and the order in which they are probed."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from math import inf
from typing import TYPE_CHECKING

from meshfleet.fleet.names import NodeName
from meshfleet.fleet.presence import Presence, Verdict
from meshfleet.gossip.claims import Known
from meshfleet.gossip.limits import MEMBERS, UNKNOWN_MEMBERS, Counts
from meshfleet.gossip.messages import Alive, Claim
from meshfleet.gossip.record import HOPEFUL, MISSES, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from random import Random


class Roster:
    """All records, and the shuffled ring in which members are probed (SWIM section 4.3: round robin, reshuffled)."""

    def __init__(self, me: NodeName, rng: Random, counts: Counts, *, host: str = "") -> None:
        """`host`: on which this member is; one of its own unless given."""
        self._me = me
        self._host = host or me
        self._rng = rng
        self._counts = counts
        self._records: dict[str, Record] = {}
        self.get: Callable[[str], Record | None] = self._records.get
        """The record of an introduced member."""
        self.forget: Callable[[Record], None] = self.remove
        """What is done to make room of a member that is gone: all that is known of it may have to go along."""
        self._heard_of: dict[NodeName, Known] = {}
        self.tags: dict[int, Record] = {}
        """Whose heartbeats carry which tag."""
        self._hopeful: list[Record] = []
        self._order: list[NodeName] = []
        """The names of the same, sorted: the ring along which snapshots are handed on."""
        self.doubted: dict[NodeName, Record] = {}
        """Members whose last verdict was anything but fresh."""
        self._ring: list[Record] = []
        self._place = 0
        self.there = 0
        """How many are not gone."""
        self.version = 0
        """Grows whenever another member, or another life of one, is there or gone."""

    def __iter__(self) -> Iterator[Record]:
        """Introduced members, in the order in which they were introduced."""
        return iter(self._records.values())

    def __len__(self) -> int:
        return len(self._records)

    def __contains__(self, name: object) -> bool:
        return name in self._records

    def is_news(self, claim: Claim) -> bool:
        """Whether a claim about anyone but myself would tell anything."""
        record = self._records.get(claim.name)
        known = self._heard_of.get(NodeName(claim.name)) if record is None else record.known
        return known is None or known.is_news(claim)

    def add(self, claim: Claim, now: float) -> tuple[Record | None, bool]:
        """Merge a claim about anyone but myself: the record, if its subject has been introduced, and whether it told
        anything.

        The first Alive introduces a member. Accusations and goodbyes that come earlier wait, within bounds, so that
        the order of arrival changes nothing.
        """
        name = NodeName(claim.name)
        assert name != self._me, "claims about myself are the member's to answer"
        record = self._records.get(name)
        if record is not None:
            epoch = record.epoch
            news = record.known.add(claim)
            if news and isinstance(claim, Alive):
                record.reread()
                if record.epoch != epoch:
                    self._retag(record, now)
            return record, news
        return self._hear_of(name, claim, now)

    def _hear_of(self, name: NodeName, claim: Claim, now: float) -> tuple[Record | None, bool]:
        known = self._heard_of.get(name)
        if known is None:
            if not isinstance(claim, Alive) and len(self._heard_of) >= UNKNOWN_MEMBERS:
                self._counts["refused_unknown"] += 1
                return None, False
            known = Known(self._host_of)
        if isinstance(claim, Alive) and self._is_full() and not self._make_room():
            self._counts["refused_member"] += 1
            return None, False
        self._heard_of[name] = known
        news = known.add(claim)
        if known.alive is None:
            return None, news
        del self._heard_of[name]
        record = Record(name, known, now)
        self._records[name] = record
        self.there += 1
        self.judged(record, record.verdict)
        self._retag(record, now)
        # A newcomer goes to a random place of the ring, so that a mass join is not probed in the order of joining.
        self._ring.insert(self._rng.randint(self._place, len(self._ring)), record)
        return record, news

    def _is_full(self) -> bool:
        return len(self._records) >= MEMBERS

    def _make_room(self) -> bool:
        """Whoever has been gone for longest is forgotten before its time; nobody who is not gone."""
        gone = [record for record in self.doubted.values() if record.is_gone]
        if not gone:
            return False
        self._counts["forgotten_early"] += 1
        self.forget(min(gone, key=lambda record: (record.gone_since, record.name)))
        return True

    def _host_of(self, name: str) -> str:
        """Who is not known stands for itself."""
        if name == self._me:
            return self._host
        record = self._records.get(name)
        return name if record is None else record.info.host

    def _retag(self, record: Record, now: float) -> None:
        self.version += 1
        if self.tags.get(record.tag) is record:
            del self.tags[record.tag]
        record.begin_life(now)
        self.tags.setdefault(record.tag, record)  # who came later has no choice of whose heartbeats to take over

    def forget_strangers(self) -> None:
        """Make room among those who were only ever talked about. Push-pull tells again of who is real."""
        self._heard_of.clear()

    def remove(self, record: Record) -> None:
        """Forget a member whose tombstone has expired, or is not worth its place."""
        self.version += 1
        self.there -= not record.is_gone
        self._leave_hopeful(record)
        record.hot = 0
        self.doubted.pop(record.name, None)
        self._records.pop(record.name, None)
        if self.tags.get(record.tag) is record:
            del self.tags[record.tag]
        if record in self._ring:
            place = self._ring.index(record)
            del self._ring[place]
            self._place -= place < self._place

    def judged(self, record: Record, verdict: Verdict) -> None:
        """Keep a verdict, and with it who can be hoped to answer: asked for with every message, so never searched.
        None of a member that is forgotten: what was under way about it may end later."""
        if self._records.get(record.name) is not record:
            return
        was_gone = record.is_gone
        record.verdict, record.presence = verdict, verdict.presence
        self.version += record.is_gone is not was_gone
        self.there += was_gone - record.is_gone
        if verdict.presence is Presence.FRESH:
            self.doubted.pop(record.name, None)
        else:
            self.doubted[record.name] = record
        if verdict.presence not in HOPEFUL:
            self._leave_hopeful(record)
        elif record.hopeful_place < 0:
            record.hopeful_place = len(self._hopeful)
            self._hopeful.append(record)
            insort(self._order, record.name)

    def _leave_hopeful(self, record: Record) -> None:
        """The last takes its place."""
        place, record.hopeful_place = record.hopeful_place, -1
        if place >= 0:
            del self._order[bisect_left(self._order, record.name)]
            last = self._hopeful.pop()
            if last is not record:
                self._hopeful[place] = last
                last.hopeful_place = place

    def next_to_probe(self) -> Record | None:
        """The next in the ring that is not gone; None if there is nobody."""
        for _ in range(2 * len(self._ring)):
            if self._place >= len(self._ring):
                self._rng.shuffle(self._ring)
                self._place = 0
            record = self._ring[self._place]
            self._place += 1
            if not record.is_gone:
                return record
        return None

    def sample(self, count: int, *, but: tuple[str, ...] = (), first: str | None = None) -> list[Record]:
        """Up to `count` random members that can be hoped to answer; `first` is one of them, if it can be too. Of twice
        as many those that are not known to be out of my own reach: behind a cut that others see round most of what is
        told would be lost (plan 7783)."""
        drawn = self._rng.sample(self._hopeful, min(2 * count + len(but), len(self._hopeful)))
        drawn.sort(key=_is_out_of_reach)
        if first is not None and (known := self._records.get(first)) is not None and known.presence in HOPEFUL:
            drawn = [known, *(record for record in drawn if record is not known)]
        return [record for record in drawn if record.name not in but][:count]

    @property
    def hopeful(self) -> list[Record]:
        """Members that can be hoped to answer, in no order that means anything. To be read only."""
        return self._hopeful

    def ahead(self, distance: int) -> Record | None:
        """The member so many places after me in the ring of names, round and round; None if that is myself."""
        order = self._order
        mine = bisect_left(order, self._me)
        place = (mine + distance) % (len(order) + 1)
        return None if place == mine else self._records[order[place - (place > mine)]]

    def next_in(self, name: str, until: str, *, but: str) -> Record | None:
        """Whoever comes after `name` in the ring, before `until`; not `but`, nor myself."""
        order, first = self._order, bisect_right(self._order, name)
        for i in range(min(2, len(order))):
            after = order[(first + i) % len(order)]
            if not (name < after < until if name < until else after > name or after < until):
                return None
            if after != but:
                return self._records[after]
        return None

    def share_out(self, until: str, parts: int, *, but: str, whole: bool) -> list[tuple[Record, NodeName]]:
        """Everybody between me and `until` in the ring of names, but for `but`, in at most `parts` stretches of equal
        length: of each its first, and the name at which it ends. `whole`: the whole ring, from a random place on.

        Whoever is first of a stretch answers for the rest of it. Stretches never overlap, whoever cuts them, so
        nobody is told twice; and members that only the first of a stretch knows are told by it.
        """
        order = self._order
        if whole:
            first = self._rng.randrange(len(order)) if order else 0
            length = len(order)
            until = order[first] if order else until
        else:
            first = bisect_right(order, self._me)
            end = bisect_left(order, until)
            length = end - first if self._me < until else len(order) - first + end
        if not length:
            return []
        shares: list[tuple[Record, NodeName]] = []
        parts, number = min(parts, length), len(order)
        ends, stop = NodeName(until), length
        for part in range(parts - 1, -1, -1):  # from the last on: a stretch ends where the next begins
            start = place = part * length // parts
            name = order[(first + place) % number]
            if name == but and place + 1 < stop:
                name = order[(first + place + 1) % number]
            if name != but:
                shares.append((self._records[name], ends))
                ends = name
            stop = start
        return shares

    def gone(self) -> list[Record]:
        """Members that are tried again now and then: silent or down, but not those who said goodbye."""
        return [r for r in self._records.values() if r.presence in (Presence.UNREACHABLE, Presence.DOWN)]

    def silent(self) -> list[NodeName]:
        """Members of whom any sign of life would matter: the driver looks whether their kernels still acknowledge."""
        return [r.name for r in self._records.values() if r.presence in (Presence.STALE, Presence.UNREACHABLE)]

    def worth_telling(self, gone_since: float) -> list[Record]:
        """Whom push-pull tells of: all but those that were gone by `gone_since` already. Half a tombstone's time ago
        everybody heard of that; who has forgotten them since must not be taught them anew. Nor must anybody while the
        roster is full: who is told, and full as well, would forget others for them, and tell of those it knows."""
        gone_since = inf if self._is_full() else gone_since
        return [r for r in self._records.values() if not r.is_gone or r.gone_since > gone_since]


def _is_out_of_reach(record: Record) -> bool:
    """Whether it did not answer itself of late. It is tried again each time that its turn comes."""
    return record.missed >= MISSES
