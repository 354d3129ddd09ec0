"""From what the roster knows to what the judge sees: evidence gathered, verdicts kept, standing assessed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshfleet.fleet.evidence import Evidence, Fact, Kind
from meshfleet.fleet.presence import Certainty, Presence
from meshfleet.fleet.standing import Assessment, Peer, Self, Standing, assess
from meshfleet.gossip.addresses import Addresses
from meshfleet.gossip.events import Event, Judged, Stands
from meshfleet.gossip.messages import CAST_OUT, Obituary

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshfleet.fleet.names import NodeName
    from meshfleet.fleet.timing import Timing
    from meshfleet.gossip.awareness import Awareness
    from meshfleet.gossip.listening import Listening
    from meshfleet.gossip.messages import NodeInfo
    from meshfleet.gossip.record import Record
    from meshfleet.gossip.roster import Roster
    from meshfleet.gossip.rules import Rules

_WELL = Assessment(Standing.CONNECTED)

RECENT = 6
"""Facts shown with a verdict; `why` has them all."""

SPLIT_FOR = 6
"""`group_hold`s for which those presumed down still count as a part of the fleet that may be cut off."""

SEEN = "its process ended, seen on the same machine"
"""What an obituary by a witness says."""


class Judging:
    """Keeps each record's verdict, and my own standing."""

    def __init__(
        self,
        me: str,
        info: NodeInfo,
        timing: Timing,
        roster: Roster,
        awareness: Awareness,
        listening: Listening,
        emit: Callable[[Event], None],
        bury: Callable[[Record, Obituary], None],
        rules: Rules,
    ) -> None:
        self._rules = rules
        self._me = me
        self._host = info.host
        self.addresses = Addresses(roster, info)
        self._timing = timing
        self._roster = roster
        self._awareness = awareness
        self._listening = listening
        self._emit = emit
        self._bury = bury
        self._group_refused: frozenset[str] = frozenset()
        self._cut_off_at = -1e18
        self._hosts: frozenset[str] | None = None
        """Hosts of fresh members: whoever could confirm a suspicion."""
        self._latest: dict[str, float] = {}
        """First name of each group that is lost -> its newest heartbeat."""
        self.assessment = Assessment(Standing.CONNECTED)
        self.stands_since = 0.0
        self.heard_anyone_at = 0.0
        self.remembered: tuple[str, ...] = ()
        """Members that were known in an earlier life: where none of them answers this one is cut off."""
        self.refused_since: float | None = None
        """Since when my own network stack has refused to send, with nothing heard since."""
        self.loop_lag = 0.0
        """Seconds by which the driver's timers came late of late."""
        self.came_back: Callable[[NodeName], None] = lambda name: None
        """Told of a member that was lost and is heard again."""
        self.last_calls: list[Record] = []
        """Who will be presumed down within a heartbeat's time, if nobody knows better."""

    def review(self, now: float) -> None:
        """Assess myself, then judge everybody whose verdict may have changed."""
        at = self._listening.at(now)
        self._hosts = None
        self.addresses.look_anew()
        self._latest.clear()
        overdue = self._overdue(at)
        doubts = bool(overdue or self._roster.doubted)
        self._group_refused = self._refused_together(at) if doubts else frozenset()
        before, self.assessment = self.assessment, self._assess(at, now, doubts=doubts)
        if self.assessment.standing.is_cut_off:
            self._cut_off_at = at
        changed = before.standing is not self.assessment.standing or before.groups != self.assessment.groups
        if before.standing is not self.assessment.standing:
            self.stands_since = at
            self._emit(Stands(self.assessment, before))
        for record in list(self._roster) if changed else overdue:
            self.judge(record, now)
        self.last_calls = [r for r in overdue if r.presence is Presence.UNREACHABLE and self._may_soon_presume(r, at)]

    def _overdue(self, at: float) -> list[Record]:
        """Whom time may have changed. Most are only to be looked at again: they were heard of in the meantime."""
        overdue: list[Record] = []
        since = self._listening.resumed_at
        early = self._rules.suspects_early
        for record in [r for r in self._roster if r.due <= at or (early and r.suspicion is not None)]:
            fresh_until = max(record.beat_at, since) + self._timing.stale_after
            doubted = record.touched or record.name in self._roster.doubted
            if early:
                doubted = doubted or record.suspicion is not None
            if at < fresh_until and not doubted:
                record.due = fresh_until
            else:
                overdue.append(record)
        return overdue

    def judge(self, record: Record, now: float) -> None:
        """Judge one member by what is known now."""
        at = self._listening.at(now)
        if record.life.witnessed is not None and record.life.witnessed < record.alive.incarnation:
            self._testify(record, at)
        evidence = self.evidence(record, at)
        verdict = self._rules.judge(evidence, self.assessment.standing, self._timing)
        record.touched = False
        before = record.verdict
        self._roster.judged(record, verdict)
        if verdict.presence is Presence.FRESH:
            record.due = at - evidence.age + self._timing.stale_after
        else:  # what is over seldom changes by the mere passing of time
            record.due = at + self._timing.heartbeat if record.is_gone else at
        if (before.presence, before.certainty) == (verdict.presence, verdict.certainty):
            return
        record.judged_since = at
        said = f"{verdict.presence.value}" + (f", {verdict.certainty.value}" if verdict.certainty else "")
        record.note(Kind.VERDICT, at, self._me, f"judged {said}" + "".join(f": {r}" for r in verdict.reasons[:1]))
        self._emit(Judged(record.name, verdict, before, record.epoch))
        self._notice_return(record)
        known = record.known
        proven = verdict.certainty is Certainty.PROVEN and not (
            known.is_buried and any(o.by == self._me for o in known.obituaries)
        )
        if proven or (self._rules.hearsay and verdict.presence is Presence.DOWN and not known.is_buried):
            record.obituary_at = at if record.obituary_at is None else record.obituary_at
            how = verdict.reasons[-1][:200] if verdict.reasons else "proven"
            self._bury(record, Obituary(record.name, record.epoch, record.alive.incarnation, self._me, how))

    def _notice_return(self, record: Record) -> None:
        """Who was behind a cut is back, whatever it was called in the meantime: stale on its way, or down where the
        cut was longer than a group is held."""
        if record.presence is Presence.UNREACHABLE or record.verdict.certainty is Certainty.PRESUMED:
            record.life.lost = True
        elif record.presence is Presence.FRESH and record.life.lost:
            record.life.lost = False
            self.came_back(record.name)

    def _may_soon_presume(self, record: Record, at: float) -> bool:
        """Whether one more heartbeat's time of silence would make it down."""
        if at - record.beat_at <= self._timing.presumed_after - self._timing.beat_interval:
            return False
        if self.assessment.standing.is_cut_off or self.assessment.group_of(record.name) is not None:
            return False
        later = self.evidence(record, at + self._timing.beat_interval)
        verdict = self._rules.judge(later, self.assessment.standing, self._timing)
        return verdict.certainty is Certainty.PRESUMED

    def witnessed(self, record: Record, now: float) -> None:
        """I saw its process end: proof, whatever its age."""
        record.life.witnessed = -1
        self.judge(record, now)

    def _testify(self, record: Record, at: float) -> None:
        """Say that I saw its process end; and again, where a word of it that was under way refutes that. It was of pid
        and start time (see node.witness), so nothing is said after it in that life."""
        record.life.witnessed = record.alive.incarnation
        record.note(Kind.WITNESSED, at, self._me, SEEN, self._host)
        record.obituary_at = at
        self._bury(record, Obituary(record.name, record.epoch, record.alive.incarnation, self._me, SEEN))

    def evidence(self, record: Record, at: float) -> Evidence:
        """All that the rules look at."""
        spoken_at = max(record.beat_at, self._listening.resumed_at)
        age = max(0.0, at - spoken_at)
        accepts = self._accepts(record, at)
        # Else nobody asks how far the suspicion has come.
        silent = age > self._timing.stale_after or self._rules.suspects_early
        confirmed, could, expired = self._suspicion(record, at) if silent else (0, 0, False)
        ended = self._obituary(record, at, age, accepts)
        return Evidence(
            age=age,
            heard_ago=max(0.0, at - max(record.heard_at, record.answered_at)),
            # A packet sent just before a death may come after its sign, by as much as a packet takes at worst.
            heard_at=record.said_at(self._timing.direct_timeout),
            known_for=at - record.met_at,
            goodbye=self._goodbye(record, at, there=ended is None and age <= self._timing.stale_after),
            ended=ended,
            eof=record.eof,
            refusals=tuple([r for r in record.refusals if r.at <= at - self.waits_for_answer(record)]),
            accepts=accepts or self._accepts_helpers(record, at),
            suspicion_expired=expired,
            confirmed_by=confirmed,
            could_confirm=could,
            group=self._group(record, at),
            contact_by=self._contact(record, at),
            recent=tuple(record.facts[-RECENT:]),
        )

    def _contact(self, record: Record, at: float) -> str | None:
        """Who reached it since it was suspected. That is a helper's word, of which nothing is proven, so it holds for
        so long and not for good."""
        since = at - 2 * self._timing.presumed_after
        contact = record.suspicion is not None and record.indirect_at > max(record.suspicion.began, since)
        return record.indirect_via if contact else None

    def _accepts(self, record: Record, at: float) -> bool:
        """Whether its kernel answers for it. A power cut after a stop sends neither refusal nor end of stream: an
        accept is outlived by attempts that met nothing but silence for as long as a group loss is held."""
        answering_at = record.answering_at
        if answering_at is None or answering_at <= record.heard_at:
            return False
        if self.addresses.are_anothers(record):  # and perhaps it was accepted before the other was known
            answering_at = record.acknowledged_at  # on a stream with itself
            if answering_at is None or answering_at <= record.heard_at:
                return False
        return record.unanswered_since is None or at - record.unanswered_since <= self._timing.group_hold

    def _accepts_helpers(self, record: Record, at: float) -> bool:
        """Whether the kernel of a hidden member answered a helper of mine of late: all that shows of it once its
        process is stopped, for nobody knocks there. A starved observer reads such answers late (plan 3964), so one
        holds for as long as a helper's contact."""
        since = max(record.heard_at, at - 2 * self._timing.presumed_after)
        return bool(record.info.relays) and record.asked_by is not None and record.answered_at > since

    def _goodbye(self, record: Record, at: float, *, there: bool) -> Fact | None:
        """A goodbye that I believe: its own, the owner's, or an operator's `forget` of one that is not there for me
        either. Any member can say that somebody was forgotten."""
        left = record.known.left
        if left is None or not record.known.has_left:
            return None
        own_word = left.by == record.name or (left.by == self._me and left.reason == CAST_OUT)
        if there and not own_word:
            return None
        said = left.reason if own_word else f"forgotten by {left.by}"
        return Fact(Kind.GOODBYE, at, left.by, said)

    def _obituary(self, record: Record, at: float, age: float, accepts: bool) -> Fact | None:
        """An obituary that I believe: my own, or one that what I see of the member does not contradict.

        Anybody could lie about a member, so another's word alone proves nothing: either my own connection is refused
        too, or the member has fallen silent here as well and nothing of it answers. What is heard of it after that is a
        veto, but where I saw its process end myself: then it was on its way.
        """
        if record.obituary_at is None or not record.known.is_buried:
            return None
        if self._rules.hearsay:
            first = record.known.obituaries[0]
            return Fact(Kind.OBITUARY, record.obituary_at, first.by, f"{first.by}: {first.how}")
        obituary = min(record.known.obituaries, key=lambda o: (o.by != self._me, o.by))
        seen = record.life.witnessed is not None
        if not seen and record.said_at(self._timing.direct_timeout) > record.obituary_at:
            return None
        since, until = record.obituary_at - self._timing.eof_window, at - self.waits_for_answer(record)
        refused = any(r.by == self._me and since <= r.at <= until for r in record.refusals)
        silent = age > self._timing.stale_after and not accepts
        if seen or obituary.by == self._me or refused or silent:
            said = obituary.how if obituary.by == self._me else f"{obituary.by}: {obituary.how}"
            return Fact(Kind.OBITUARY, record.obituary_at, obituary.by, said)
        return None

    def waits_for_answer(self, record: Record) -> float:
        """Seconds that a refusal waits for the answer to what was asked by datagram as the member was knocked at: both
        take about as long. It may be of what stands in front of a member, whose datagrams pass."""
        longest = self._timing.direct_timeout
        return longest / 20 if record.rtt is None else min(longest, longest / 20 + record.rtt / 4)

    def _suspicion(self, record: Record, at: float) -> tuple[int, int, bool]:
        """Hosts that confirm, hosts that could, and whether the suspicion has run out."""
        subject_host = record.info.host
        if self._hosts is None:
            self._hosts = frozenset(r.info.host for r in self._roster if r.presence is Presence.FRESH)
        could = len(self._hosts) - len(self._hosts & {self._host, subject_host})
        if could:  # where nobody else could, my own word alone confirms nothing: a fleet of two knows only proof
            could += self._host != subject_host
        if record.suspicion is None:
            return 0, could, False
        accusers = {
            host for said in record.known.suspects if (host := self._host_of(said.by)) not in (None, subject_host)
        }
        members = self._roster.there + 1
        lasts = self._rules.patience(len(accusers), could, members, self._timing)
        return len(accusers), could, at - record.suspicion.began >= lasts

    def _host_of(self, name: str) -> str | None:
        if name == self._me:
            return self._host
        record = self._roster.get(name)
        return None if record is None else record.info.host

    def _group(self, record: Record, at: float) -> str | None:
        """Why a member's silence is likelier a cut than a death; None where nothing says so."""
        follow = 2 * self._timing.heartbeat
        group = self.assessment.group_of(record.name)
        if group is not None:
            # Also what is left of a larger one: others may come back from another cut than these are behind.
            record.grouped_at = at  # whatever else holds it: both may end in the same moment
        if at - self._cut_off_at < self._timing.presumed_after:  # silence that I could not hear broken does not count
            return "this node itself was cut off until a moment ago"
        if group is not None:
            latest = self._latest_of(group, at)
            # The last heartbeat may have been raised that long before the silence began, as in presumed_after.
            if at - latest > self._timing.group_hold + self._timing.beat_interval:
                return None
            together = f"fell silent together with {len(group) - 1} other{'s' if len(group) != 2 else ''}"
            return f"{together}: a cut is likelier than as many deaths"
        given_up = record.presence is Presence.DOWN and at - record.judged_since > self._timing.group_hold
        if at - record.grouped_at < follow and not given_up:
            # A cut that ends is over for some a moment before it is for others.
            return f"most of those that fell silent with it came back: it is given {follow:.0f} s to follow"
        return None

    def _latest_of(self, group: tuple[str, ...], at: float) -> float:
        """When the last heartbeat of any of them was raised: looked up once a review, for they may be hundreds."""
        if group[0] not in self._latest:
            beats = [record.beat_at for name in group if (record := self._roster.get(name)) is not None]
            self._latest[group[0]] = max(beats, default=at)
        return self._latest[group[0]]

    def _assess(self, at: float, now: float, *, doubts: bool) -> Assessment:
        if not doubts and self._nothing_ails_me(now):
            return _WELL
        peers = [self._peer(r, at) for r in self._roster if not self._is_settled(r, at)] if doubts else []
        me = Self(
            now=at,
            heard_anyone_at=self.heard_anyone_at,
            remembers=() if len(self._roster) else self.remembered,
            resuming=self._listening.is_resuming(now),
            sends_refused=self.refused_since is not None and at - self.refused_since > self._timing.probe_interval,
            local_health=self._awareness.score,
            loop_lag=self.loop_lag,
        )
        return assess(me, peers, self._timing)

    def _nothing_ails_me(self, now: float) -> bool:
        """Whether `assess` could only say connected: as it nearly always could."""
        return (
            self._awareness.score == 0
            and self.refused_since is None
            and self.loop_lag == 0.0
            and not self._listening.is_resuming(now)
            and (not self.remembered or len(self._roster) > 0)
        )

    def _is_settled(self, record: Record, at: float) -> bool:
        """Whether its silence tells nothing more of me. A cut that outlasts its presumption by as long again, and more,
        is over as far as I am concerned: else whoever lost power would leave the fleet split for a day."""
        if record.presence is Presence.DOWN and at - record.judged_since > SPLIT_FOR * self._timing.group_hold:
            return True
        return record.presence is Presence.LEFT or record.verdict.certainty is Certainty.PROVEN

    def _peer(self, record: Record, at: float) -> Peer:
        since = at - 2 * self._timing.heartbeat
        refused = (
            any(r.by == self._me and r.at > since for r in record.refusals) and record.name not in self._group_refused
        )
        heard_at = max(record.beat_at, self._listening.resumed_at)
        return Peer(
            name=record.name,
            host=record.info.host,
            zone=record.info.zone,
            heard_at=heard_at,
            refused=refused,
            given_up=record.presence is Presence.DOWN,
        )

    def _refused_together(self, at: float) -> frozenset[str]:
        """Members refused within 2T of each other, on different hosts: that many don't die at once, so a firewall
        rejects."""
        since = at - 2 * self._timing.heartbeat
        refused = [r for r in self._roster if r.refusals]  # nobody, nearly always
        refused = [r for r in refused if any(f.at > since and f.at > r.heard_at for f in r.refusals)]
        # Of those that were fresh: whoever these refusals proved dead was, and who was gone before tells nothing.
        enough = max(2.0, 0.02 * (self._roster.there + len([r for r in refused if r.is_gone])))
        if len(refused) < enough or len({r.info.host for r in refused}) < 2:
            return frozenset()
        return frozenset(r.name for r in refused)
