"""Who is known, and what is known of each: one record a member, and the order in which they are probed."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from meshfleet.fleet.evidence import Fact, Kind
from meshfleet.fleet.names import Address, Epoch, NodeName
from meshfleet.fleet.presence import FRESH, Presence, Verdict
from meshfleet.gossip.claims import Known
from meshfleet.gossip.limits import FACTS, MEMBERS, REFUSALS, UNKNOWN_MEMBERS, Counts
from meshfleet.gossip.messages import Alive, Claim, NodeInfo

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

    from meshfleet.gossip.suspicion import Suspicion

_FNV_OFFSET = 0xCBF29CE484222325
_FNV_PRIME = 0x100000001B3


def beat_tag(name: str, epoch: int) -> int:
    """48 bits that stand for one life of one name in tables of heartbeats (FNV-1a, folded).

    Two of 1,000 members collide with a chance of 2 in 10^9; then one of them lacks its relayed beats until either
    restarts.
    """
    value = _FNV_OFFSET
    for byte in f"{name}\0{epoch}".encode():
        value = ((value ^ byte) * _FNV_PRIME) & 0xFFFFFFFFFFFFFFFF
    return (value >> 48) ^ (value & 0xFFFFFFFFFFFF)


class Record:
    """What this observer knows of one member. Times are listening seconds."""

    __slots__ = (
        "accepted_at",
        "acknowledged_at",
        "beat",
        "beat_at",
        "clock_offset",
        "direct_at",
        "direct_failed_at",
        "due",
        "eof",
        "facts",
        "grouped_at",
        "hopeful_place",
        "indirect_at",
        "indirect_via",
        "judged_since",
        "known",
        "name",
        "obituary_at",
        "refusals",
        "relay_via",
        "restarted_at",
        "rtt",
        "suspicion",
        "tag",
        "touched",
        "transport",
        "verdict",
    )

    def __init__(self, name: NodeName, now: float) -> None:
        self.name = name
        self.known = Known()
        self.tag = 0
        self.beat = 0
        self.beat_at = now
        """When it raised the newest heartbeat known here."""
        self.direct_at = -1e18
        self.indirect_at = -1e18
        self.indirect_via: str | None = None
        self.relay_via: str | None = None
        self.transport: str | None = None
        self.direct_failed_at = -1e18
        self.rtt: float | None = None
        self.clock_offset: float | None = None
        self.restarted_at = now
        self.suspicion: Suspicion | None = None
        self.accepted_at: float | None = None
        """Its kernel accepted a connection, and none was refused nor a stream ended since."""
        self.acknowledged_at: float | None = None
        """Its kernel acknowledged something on a standing stream."""
        self.grouped_at = -1e18
        """When it was last one of a group that fell silent together."""
        self.refusals: deque[Fact] = deque(maxlen=REFUSALS)
        self.eof: Fact | None = None
        self.obituary_at: float | None = None
        """When the first obituary of this life was heard, or my own proof found."""
        self.facts: deque[Fact] = deque(maxlen=FACTS)
        self.verdict: Verdict = FRESH
        self.judged_since = now
        self.due = now
        """When its verdict may change by the mere passing of time."""
        self.touched = True
        """Whether something was said about it since it was last judged."""
        self.hopeful_place = -1
        """Where it stands among those that can be hoped to answer; -1: nowhere."""

    @property
    def alive(self) -> Alive:
        """Its own newest word. Only records of introduced members are handed out, so there is one."""
        assert self.known.alive is not None
        return self.known.alive

    @property
    def info(self) -> NodeInfo:
        """What it says of itself."""
        return self.alive.info

    @property
    def epoch(self) -> Epoch:
        """Its newest life."""
        return Epoch(self.alive.epoch)

    @property
    def address(self) -> Address:
        """Where it says that it listens."""
        return Address(self.info.gossip_host, self.info.gossip_port)

    @property
    def presence(self) -> Presence:
        """The last verdict's word."""
        return self.verdict.presence

    @property
    def is_gone(self) -> bool:
        """Whether ordinary probing and gossip leave it out: left, down, or silent for long."""
        return self.verdict.presence in (Presence.LEFT, Presence.DOWN)

    @property
    def answering_at(self) -> float | None:
        """When its kernel last answered for it, be the process stopped or starved: accepted, or acknowledged a
        stream's keepalive."""
        answers = [at for at in (self.accepted_at, self.acknowledged_at) if at is not None]
        return max(answers) if answers else None

    @property
    def heard_at(self) -> float:
        """When the newest word of it was said, by any way."""
        return max(self.beat_at, self.direct_at, self.indirect_at)

    @property
    def reach(self) -> str | None:
        """How it is reached, by round trips: directly, through whom, or only by what others pass on."""
        if self.presence not in HOPEFUL:
            return None
        if self.direct_at > self.direct_failed_at:
            return "direct"
        if self.indirect_via is not None and self.indirect_at >= self.direct_failed_at:
            return f"indirect via {self.indirect_via}"
        return f"relay via {self.relay_via}" if self.relay_via else "direct"

    def note(self, kind: Kind, at: float, by: str, detail: str, host: str = "") -> Fact:
        """Remember a fact for `why`. Since the last verdict, the first and the last of one kind from one source
        are kept, so that a hundred lost pings don't push out how it began."""
        fact = Fact(kind, at, by, detail, host)
        newest = -1
        for i in range(len(self.facts) - 1, -1, -1):
            known = self.facts[i]
            if known.kind is Kind.VERDICT:
                break
            if known.kind is kind and known.by == by:
                if newest >= 0:
                    del self.facts[newest]
                    break
                newest = i
        self.facts.append(fact)
        return fact

    def begin_life(self, now: float) -> None:
        """A new epoch: nothing that was held against the old one counts any more."""
        self.tag = beat_tag(self.name, self.epoch)
        self.beat = 0
        self.beat_at = now
        self.restarted_at = now
        self.suspicion = None
        self.accepted_at = None
        self.acknowledged_at = None
        self.grouped_at = -1e18
        self.refusals.clear()
        self.eof = None
        self.obituary_at = None


class Roster:
    """All records, and the shuffled ring in which members are probed (SWIM section 4.3: round robin, reshuffled)."""

    def __init__(self, me: NodeName, rng: Random, counts: Counts) -> None:
        self._me = me
        self._rng = rng
        self._counts = counts
        self._records: dict[NodeName, Record] = {}
        self._heard_of: dict[NodeName, Known] = {}
        self._by_tag: dict[int, Record] = {}
        self._hopeful: list[Record] = []
        self.doubted: dict[NodeName, Record] = {}
        """Members whose last verdict was anything but fresh."""
        self._ring: list[Record] = []
        self._place = 0

    def __iter__(self) -> Iterator[Record]:
        """Introduced members, in the order in which they were introduced."""
        return iter(self._records.values())

    def __len__(self) -> int:
        return len(self._records)

    def get(self, name: str) -> Record | None:
        """The record of an introduced member."""
        return self._records.get(NodeName(name))

    def by_tag(self, tag: int) -> Record | None:
        """The record whose heartbeats carry this tag."""
        return self._by_tag.get(tag)

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
            if record.epoch != epoch:
                self._retag(record, now)
            return record, news
        return self._hear_of(name, claim, now)

    def _hear_of(self, name: NodeName, claim: Claim, now: float) -> tuple[Record | None, bool]:
        known = self._heard_of.get(name)
        if known is None:
            room = UNKNOWN_MEMBERS if not isinstance(claim, Alive) else MEMBERS - len(self._records)
            if room <= (len(self._heard_of) if not isinstance(claim, Alive) else 0):
                self._counts["refused_member" if isinstance(claim, Alive) else "refused_unknown"] += 1
                return None, False
            known = self._heard_of[name] = Known()
        news = known.add(claim)
        if known.alive is None:
            return None, news
        del self._heard_of[name]
        record = Record(name, now)
        record.known = known
        self._records[name] = record
        self.judged(record, record.verdict)
        self._retag(record, now)
        # A newcomer goes to a random place of the ring, so that a mass join is not probed in the order of joining.
        self._ring.insert(self._rng.randint(self._place, len(self._ring)), record)
        return record, news

    def _retag(self, record: Record, now: float) -> None:
        if self._by_tag.get(record.tag) is record:
            del self._by_tag[record.tag]
        record.begin_life(now)
        self._by_tag[record.tag] = record

    def forget_strangers(self) -> None:
        """Make room among those who were only ever talked about. Push-pull tells again of who is real."""
        self._heard_of.clear()

    def remove(self, record: Record) -> None:
        """Forget a member whose tombstone has expired."""
        self._leave_hopeful(record)
        self.doubted.pop(record.name, None)
        self._records.pop(record.name, None)
        self._by_tag.pop(record.tag, None)
        if record in self._ring:
            place = self._ring.index(record)
            del self._ring[place]
            self._place -= place < self._place

    def judged(self, record: Record, verdict: Verdict) -> None:
        """Keep a verdict, and with it who can be hoped to answer: asked for with every message, so never searched."""
        record.verdict = verdict
        if verdict.presence is Presence.FRESH:
            self.doubted.pop(record.name, None)
        else:
            self.doubted[record.name] = record
        if verdict.presence not in HOPEFUL:
            self._leave_hopeful(record)
        elif record.hopeful_place < 0:
            record.hopeful_place = len(self._hopeful)
            self._hopeful.append(record)

    def _leave_hopeful(self, record: Record) -> None:
        """The last takes its place."""
        place, record.hopeful_place = record.hopeful_place, -1
        if place >= 0:
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

    def sample(self, count: int, *, but: tuple[str, ...] = ()) -> list[Record]:
        """Up to `count` random members that can be hoped to answer."""
        drawn = self._rng.sample(self._hopeful, min(count + len(but), len(self._hopeful)))
        return [record for record in drawn if record.name not in but][:count]

    def gone(self) -> list[Record]:
        """Members that are tried again now and then: silent or down, but not those who said goodbye."""
        return [r for r in self._records.values() if r.presence in (Presence.UNREACHABLE, Presence.DOWN)]

    def knowledge(self) -> list[Claim]:
        """Every claim held of others, for push-pull."""
        return [claim for record in self._records.values() for claim in record.known.claims()]


HOPEFUL = (Presence.FRESH, Presence.STALE)
