"""What this observer knows of one member."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from meshfleet.fleet.evidence import Fact, Kind
from meshfleet.fleet.names import Address, Epoch, NodeName
from meshfleet.fleet.presence import FRESH, Presence, Verdict
from meshfleet.gossip.limits import FACTS, REFUSALS
from meshfleet.gossip.tags import beat_tag

if TYPE_CHECKING:
    from meshfleet.gossip.claims import Known
    from meshfleet.gossip.messages import Alive, Beat, NodeInfo
    from meshfleet.gossip.suspicion import Suspicion

HOPEFUL = (Presence.FRESH, Presence.STALE)
"""Who can be hoped to answer."""

MISSES = 2
"""Rounds in a row without a direct answer after which a member is out of one's own reach: one may be two lost
datagrams."""

LOST, LOST_THOUGH_HEARD = 2, 5
"""Probes in a row that went by stream after which a member is sent nothing by datagram any more: where none of its own
came meanwhile, and where some did. At 10 % loss each way 1 in 4,000 rows of five is chance, and then the streams cost
a handshake, no more."""


class Delivery:
    """How datagrams fare between a member and me."""

    __slots__ = ("lost", "lost_since", "received_at", "source")

    def __init__(self) -> None:
        self.received_at = -1e18
        """When one of its own last came here by itself."""
        self.source: Address | None = None
        """From where."""
        self.lost = 0
        """Probes in a row that it answered over a stream, and not by datagram, or that it made over a stream itself."""
        self.lost_since = 0.0

    def received(self, source: Address, at: float) -> None:
        """One of its own came."""
        self.source, self.received_at = source, at

    def was_lost(self, at: float) -> None:
        """A probe went the longer way."""
        self.lost_since = self.lost_since if self.lost else at
        self.lost += 1

    def went_both_ways(self) -> None:
        """A ping by datagram was answered by datagram."""
        self.lost = 0

    @property
    def fails(self) -> bool:
        """Whether they don't get through, this way or that, until one has gone both ways again."""
        return self.lost >= (LOST if self.received_at < self.lost_since else LOST_THOUGH_HEARD)


class Rival(NamedTuple):
    """A life of a name that goes on after a later one has begun: most likely a second process, of a copied state
    dir."""

    times: int
    at: float
    """Listening seconds, of the last time."""
    where: Address
    proven: bool
    """It came over a stream, from whoever holds the key. Any member can seal a datagram in any name."""


class Life:
    """What is remembered of one life of a member, and of no other."""

    __slots__ = ("lost", "ran_at", "usurped", "witnessed")

    def __init__(self, *, lost: bool = False) -> None:
        self.lost = lost
        """Whether it was silent for so long that there may have been a cut between us; until it is heard again."""
        self.ran_at = -1e18
        """When it ran for certain: then it was asked what it answered."""
        self.usurped: tuple[Address, float] | None = None
        """Where a stream that was meant for it met another member, and when last."""
        self.witnessed: int | None = None
        """Of which incarnation I said last that I saw its process end; None: I did not see that."""


class Record:
    """What this observer knows of one member. Times are listening seconds."""

    __slots__ = (
        "accepted_at", "acknowledged_at", "address", "answered_at", "asked_by", "beat", "beat_at", "clock_offset",
        "delivery", "direct_at", "direct_failed_at", "due", "eof", "epoch", "facts", "grouped_at", "has_stream",
        "hopeful_place", "hot", "indirect_at", "indirect_via", "info", "judged_since", "known", "life", "looked_at",
        "met_at", "missed", "name", "near_at", "obituary_at", "presence", "proof", "refusals", "relay_via", "rival",
        "roll_place", "rtt", "sent_by", "streamed", "suspicion", "tag", "told", "touched", "transport",
        "unanswered_since", "verdict",
    )  # fmt: skip

    def __init__(self, name: NodeName, known: Known, now: float) -> None:
        self.name = name
        self.known = known
        self.epoch: Epoch
        """Its newest life."""
        self.info: NodeInfo
        """What it says of itself."""
        self.address: Address
        """Where it says that it listens."""
        self.reread()
        self.life = Life()
        self.tag = self.beat = 0
        self.proof = b""
        """Of that heartbeat."""
        self.beat_at = now
        """When it raised the newest heartbeat known here."""
        self.roll_place = -1
        """Where it stands in the order of the roll call; -1: nowhere, or nobody has looked yet."""
        self.hot = 0
        """To how many members that heartbeat is still to be passed on."""
        self.told: Beat | None = None
        """The same as it is told, once it was."""
        self.direct_at = self.indirect_at = -1e18
        self.indirect_via: str | None = None
        self.relay_via: str | None = None
        self.transport: str | None = None
        self.direct_failed_at = self.looked_at = -1e18
        self.has_stream, self.streamed = False, -1
        """Whether a stream with it stands, whoever opened it; and of which life of it something last came over one."""
        self.near_at = -1e18
        """When a datagram of it last came from the address that it names."""
        self.delivery = Delivery()
        self.rival: Rival | None = None
        """Who went on speaking as an earlier life of it, after this one had begun."""
        self.sent_by: NodeName | None = None
        """By which relay it was last sent to; None: straight, or over the stream that stands."""
        self.missed = 0
        """Probes in a row that it did not answer directly."""
        self.rtt: float | None = None
        self.clock_offset: float | None = None
        self.met_at = now
        """When this life of it was first heard of here."""
        self.suspicion: Suspicion | None = None
        self.accepted_at: float | None = None
        """Its kernel accepted a connection, and none was refused nor a stream ended since."""
        self.acknowledged_at: float | None = None
        """Its kernel acknowledged something on a standing stream."""
        self.answered_at = -1e18
        """When its kernel last answered for it, whatever came after."""
        self.asked_by: NodeName | None = None
        """Whom its kernel last answered as a helper of mine."""
        self.unanswered_since: float | None = None
        """Since when attempts to connect to it have met nothing but silence."""
        self.grouped_at = -1e18
        """When it was last one of a group that fell silent together."""
        self.refusals: list[Fact] = []
        self.eof: Fact | None = None
        self.obituary_at: float | None = None
        """When the first obituary of this life was heard, or my own proof found."""
        self.facts: list[Fact] = []
        self.verdict: Verdict = FRESH
        self.presence = Presence.FRESH
        """The last verdict's word."""
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

    def reread(self) -> None:
        """Take over its own newest word. Kept apart, because each packet sent or received asks for it."""
        alive = self.alive
        self.epoch, self.info = Epoch(alive.epoch), alive.info
        self.address = Address(alive.info.gossip_host, alive.info.gossip_port)

    @property
    def is_gone(self) -> bool:
        """Whether ordinary probing and gossip leave it out: it left, or is down."""
        return self.presence in (Presence.LEFT, Presence.DOWN)

    @property
    def gone_since(self) -> float:
        """Since when it has been gone. Whoever was told of one that was gone already goes by its last heartbeat: else
        each newcomer would tell of it for half a tombstone's time more, and the next one again."""
        return self.judged_since if self.beat_at > self.met_at else min(self.judged_since, self.beat_at)

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

    def said_at(self, under_way: float) -> float:
        """The same, but certainly: what came may have been under way for so long, an answer is newer than its
        question."""
        return max(self.heard_at - under_way, self.life.ran_at)

    @property
    def reach(self) -> str | None:
        """How it is reached, by round trips: directly, through whom, or only by what others pass on."""
        if self.presence not in HOPEFUL:
            return None
        if self.info.relays and self.sent_by is not None:
            return f"relay via {self.sent_by}"
        if self.direct_at > self.direct_failed_at:
            return "direct"
        if self.indirect_via is not None and self.indirect_at >= self.direct_failed_at:
            return f"indirect via {self.indirect_via}"
        return f"relay via {self.relay_via}" if self.relay_via else "direct"

    @property
    def way(self) -> str | None:
        """By what it was last heard: udp or stream. Of one that is hidden, by what it is sent to: relay, its stream."""
        hidden = "relay" if self.sent_by is not None else "stream" if self.has_stream else self.transport
        return hidden if self.info.relays else self.transport

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
        del self.facts[:-FACTS]  # lists, for most records have few facts: a deque takes 600 bytes empty
        return fact

    def refused(self, fact: Fact) -> None:
        """A connection to it was refused."""
        self.refusals.append(fact)
        del self.refusals[:-REFUSALS]

    def begin_life(self, now: float) -> None:
        """A new epoch: nothing that was held against the old one counts any more."""
        self.tag = beat_tag(self.name, self.epoch)
        self.beat, self.proof, self.hot, self.told, self.beat_at = 0, b"", 0, None, now
        self.met_at = now
        self.life = Life(lost=self.life.lost and not self.is_gone)  # who was gone joins anew, and is told so
        self.suspicion = self.accepted_at = self.acknowledged_at = self.unanswered_since = self.asked_by = None
        self.answered_at = self.grouped_at = self.looked_at = -1e18
        self.missed = self.delivery.lost = 0
        self.refusals.clear()
        self.eof = self.obituary_at = None
