"""For how long nothing could have told an observer of a subject, and who was lost together with it: what makes of a
wrong `down` an error, or the price of presuming."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshfleet.sim.network import MICROSECONDS
from meshfleet.sim.truth import Truth, acquainted

if TYPE_CHECKING:
    from meshfleet.fleet.presence import Presence
    from meshfleet.fleet.timing import Timing
    from meshfleet.sim.host import Host
    from meshfleet.sim.staging import Theatre


ENDED = (Truth.EXITED, Truth.LEFT)
"""What ends a process by its own doing: who was lost to it was lost by his end, not by a cut that came later."""


def passing_us(timing: Timing) -> int:
    """In which a heartbeat comes through as a rule: a path that stood for less may have carried none."""
    return round((timing.beat_interval + 2 * timing.gossip_interval) * MICROSECONDS)


def asking_us(timing: Timing) -> int:
    """In which each has asked each itself as a rule."""
    return round(3 * timing.heartbeat * MICROSECONDS)


class Pair:
    """One observer's word about one subject, beside the truth."""

    __slots__ = (
        "apart_since_us", "asked_until_us", "direct_since_us", "group", "hushed", "hushed_until_us", "lost_life",
        "lost_to", "path_since_us", "said", "since_us", "truth", "truth_since_us",
    )  # fmt: skip

    def __init__(self, now_us: int, truth: Truth) -> None:
        self.said: Presence | None = None
        """None: the observer does not know the subject."""
        self.truth = truth
        self.since_us = now_us
        self.truth_since_us = now_us
        self.apart_since_us = now_us
        """When the last path between them ended that stood long enough for a heartbeat to pass."""
        self.path_since_us = -(10**12)
        self.direct_since_us: int | None = now_us
        self.asked_until_us = now_us
        """When the last direct path ended that stood long enough to ask by. A stopped process answers by no other."""
        self.group: tuple[int, ...] = ()
        """Who was cut off together with the subject then, itself included."""
        self.lost_to: Truth | None = None
        """What became of the subject when that path ended."""
        self.lost_life = 0
        """In which life it was then."""
        self.hushed = False
        """Whether nothing that the subject sends gets through to the observer on the straight way."""
        self.hushed_until_us = -(10**12)
        """If it is not: when it last was."""

    def lose(self, truth: Truth, subject: Host, group: list[int], now_us: int, passing_us: int) -> None:
        """The path to it ends. One that stood for less than a heartbeat takes has made good no cut."""
        stood = now_us - self.path_since_us >= passing_us
        if stood:
            self.apart_since_us, self.group = now_us, tuple(group)
        if stood or self.lost_to in ENDED:
            self.lost_to, self.lost_life = truth, subject.epoch

    def hush(self, there: bool, now_us: int) -> None:
        """Whether something keeps the subject's words from the observer now."""
        if self.hushed and not there:
            self.hushed_until_us = now_us
        self.hushed = there

    def direct(self, there: bool, now_us: int, long_enough_us: int) -> None:
        """Whether either could open a stream to the other now."""
        if there:
            self.direct_since_us = now_us if self.direct_since_us is None else self.direct_since_us
        elif self.direct_since_us is not None:
            if now_us - self.direct_since_us >= long_enough_us:
                self.asked_until_us = now_us
            self.direct_since_us = None


class Partings:
    """All pairs of a world, and since when they are apart."""

    def __init__(self, world: Theatre, timing: Timing, pairs: dict[tuple[int, int], Pair]) -> None:
        self._world = world
        self._timing = timing
        self._pairs = pairs
        self._passing_us = passing_us(timing)
        self._asking_us = asking_us(timing)

    def held_long_enough(self, observer: Host, subject: Host, pair: Pair, now_us: int) -> bool:
        """Whether nothing could have told of it for so long that it may be presumed dead."""
        apart_s, group = self.apart(observer, subject, pair, now_us)
        others = (number for number in group if number != observer.number)
        silent = [
            n for n in others if self._is_silent(observer, n, now_us) and self._fell_silent_with(observer, n, subject)
        ]
        machines = {self._world.hosts[number].host for number in silent}  # one is no group, as in fleet.standing
        together = len(machines) > 1 and subject.number in silent
        hold = self._timing.group_hold if together else 3 * self._timing.heartbeat
        hold -= 2 * self._timing.gossip_interval  # a heartbeat may have been on its way by others when the path ended
        return apart_s >= hold

    def apart(self, observer: Host, subject: Host, pair: Pair, now_us: int) -> tuple[float, tuple[int, ...]]:
        """For how many seconds nothing could have told of the subject, and who was lost together with it."""
        others = (n for n in range(len(self._world.hosts)) if n not in (observer.number, subject.number))
        side = [n for n in others if self._could_tell(self._pairs.get((observer.number, n)), now_us)]
        if self._is_stopped(subject, now_us) or self._has_just_gone_on(observer, subject, now_us):
            return self._unasked(observer, subject, pair, side, now_us)
        led = pair.truth is Truth.REACHABLE and now_us - pair.path_since_us >= self._passing_us
        if led and acquainted(observer, subject, self._world.hosts, self._world.network):
            return 0.0, ()
        # Of those on the observer's side whoever lost the subject last: by their word the observer knew of it.
        last = max([pair, *(self._pairs[n, subject.number] for n in side)], key=lambda p: p.apart_since_us)
        return (now_us - self._last_word_us(last.apart_since_us, subject)) / MICROSECONDS, last.group

    def _is_stopped(self, subject: Host, now_us: int) -> bool:
        """Whether its process has been stopped for so long that it missed a heartbeat; who is starved runs."""
        return bool(subject.paused) and now_us - subject.stopped_us >= self._timing.heartbeat * MICROSECONDS

    def _unasked(
        self, observer: Host, subject: Host, pair: Pair, side: list[int], now_us: int
    ) -> tuple[float, tuple[int, ...]]:
        """The same for a stopped process. Its kernel answers for it, to whoever asks, and who was answered tells the
        others of his side. Of one that is hidden it answers over streams alone that stood already, and by those each
        learns for himself (corpus: stopped-as-it-could-be-reached)."""
        able = [observer.number, *(n for n in side if self._has_asked(self._world.hosts[n], subject, now_us))]
        if self._is_hidden(observer, subject):
            able = [observer.number] if subject.number in observer.streams else []
        pairs = [self._pairs[n, subject.number] for n in able]
        if any(p.direct_since_us is not None and now_us - p.direct_since_us >= self._asking_us for p in pairs):
            return 0.0, (subject.number,)
        cut_us = now_us if pair.truth is Truth.REACHABLE else pair.apart_since_us
        last_us = max((p.asked_until_us for p in pairs), default=min(cut_us, subject.stopped_us))
        return (now_us - last_us) / MICROSECONDS, (subject.number,)

    def _has_asked(self, host: Host, subject: Host, now_us: int) -> bool:
        """Whether that host runs, has run for long enough to have asked, and knows whom."""
        known = host.member is not None and host.member.roster.get(subject.name) is not None
        return host.listens and known and now_us - host.went_on_us >= self._asking_us

    def _last_word_us(self, ended_us: int, subject: Host) -> int:
        """When something of the subject can have come last by a path that ended then: where it ended during a stop of
        its process, before that (plan 20010)."""
        was_stopped = subject.stopped_us <= ended_us < subject.went_on_us + self._passing_us
        return min(ended_us, subject.stopped_us) if was_stopped else ended_us

    def _is_hidden(self, observer: Host, subject: Host) -> bool:
        """Whether no connection gets in to it, or the last that this observer was told is so. Nobody knocks at the
        address of one that names relays, and once it is stopped it can't find out, nor tell, that it is in vain no
        more (plan 5173: stopped in the moment in which it could be reached again)."""
        assert observer.member is not None
        record = observer.member.roster.get(subject.name)
        return subject.outbound_only or (record is not None and bool(record.info.relays))

    def _has_just_gone_on(self, observer: Host, subject: Host, now_us: int) -> bool:
        """Whether its process went on after a stop of T or more, so short a time ago that no word of it came by."""
        assert observer.member is not None
        since_us = now_us - subject.went_on_us
        stopped_us = subject.went_on_us - subject.stopped_us
        if since_us >= self._passing_us or stopped_us < self._timing.heartbeat * MICROSECONDS:
            return False
        record = observer.member.roster.get(subject.name)
        at = observer.member.listening.at(self._world.clock(observer))
        return record is not None and (at - record.heard_at) * MICROSECONDS > since_us

    def _fell_silent_with(self, observer: Host, number: int, subject: Host) -> bool:
        """Whether the last that reached this observer of either was said within 2T. A cut may be one way for a while:
        then who can still be heard stands on the other side, and is not lost yet; and a later life that began behind
        the cut was never there to be lost."""
        assert observer.member is not None
        if self._of_an_older_life(observer, number):
            return False
        one = observer.member.roster.get(self._world.hosts[number].name)
        two = observer.member.roster.get(subject.name)
        return one is not None and two is not None and abs(one.beat_at - two.beat_at) <= 2 * self._timing.heartbeat

    def _could_tell(self, pair: Pair | None, now_us: int) -> bool:
        """Whether there has been a path for long enough to tell by it what one knows."""
        return pair is not None and pair.truth is Truth.REACHABLE and now_us - pair.truth_since_us >= self._passing_us

    def hush(self, pair: Pair, observer: Host, other: Host, now_us: int) -> None:
        """Take down whether anything keeps the words of another host from this one, be there a way back or not."""
        powerless = any(h.dark or h.nic_down or h.asleep_since_us is not None for h in (observer, other))
        barrier = self._world.network.barrier(other.number, observer.number, datagram=False)
        pair.hush(powerless or barrier is not None, now_us)

    def _is_silent(self, observer: Host, number: int, now_us: int) -> bool:
        """Whether nothing of another host has got through to this one for a while. Who can be heard again has not been
        heard yet: he is as silent as he was until a heartbeat has come through. And who dies behind a cut was lost by
        the cut."""
        pair = self._pairs[observer.number, number]
        heard = pair.truth is Truth.REACHABLE and now_us - pair.path_since_us >= self._passing_us
        if heard or pair.lost_to in ENDED or now_us - pair.apart_since_us < self._passing_us:
            return False
        return pair.hushed or now_us - pair.hushed_until_us < self._passing_us

    def _of_an_older_life(self, observer: Host, number: int) -> bool:
        """Whether the observer has not heard of the life that it was in when the path ended."""
        assert observer.member is not None
        record = observer.member.roster.get(self._world.hosts[number].name)
        return record is not None and record.epoch < self._pairs[observer.number, number].lost_life
