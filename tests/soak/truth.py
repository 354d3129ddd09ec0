"""What is so, kept while faults are played: who runs, stands still or is cut off from whom, and since when.

With it a `down` is told right from wrong, as `meshfleet sim` does it. It is *false* of a process that runs where it is
called proven, or presumed although a two-way path led there (over others, too) within the last 3T, or although it is
one of a group that was cut off together for less than `group_hold`. Whoever was alone behind a cut for longer was
presumed dead as documented; that is counted, and no error.

Bad things are to be told just before they are done, good ones right after: so nothing is blamed on a node that was done
in the meantime.
"""

from __future__ import annotations

import threading
from collections import Counter
from enum import Enum
from itertools import permutations
from typing import TYPE_CHECKING

import msgspec

from meshfleet.fleet.presence import Certainty

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from meshfleet.fleet.timing import Timing


class Call(str, Enum):
    """What a `down` was."""

    RIGHT = "right"
    OF_A_PAST_LIFE = "of a past life"
    PRESUMED_WRONG = "presumed wrong"
    FALSE = "false"


class Now(msgspec.Struct, frozen=True):
    """How it is with one node."""

    running: bool
    stopped: bool
    leaving: bool
    """It was asked to go, and is about to."""
    left: bool
    life: int
    since: float
    """When anything of this changed last, or its cable or card did."""


class _Host:
    def __init__(self) -> None:
        self.running = self.stopped = self.dark = self.card_down = self.leaving = self.left = False
        self.life = 0
        self.epoch: int | None = None
        self.past: set[int] = set()
        self.since = 0.0
        self.stopped_at = self.went_on_at = float("-inf")

    @property
    def there(self) -> bool:
        """Whether packets come and go."""
        return self.running and not (self.dark or self.card_down)


class _Pair:
    def __init__(self, at: float) -> None:
        self.reached = False
        self.path_since = at
        self.apart_since = at
        self.direct_since: float | None = None
        self.asked_until = at


class Truth:
    """See the module. `at` is the monotonic clock's time, in seconds. Any thread may call."""

    def __init__(self, names: Sequence[str], timing: Timing) -> None:
        self._lock = threading.Lock()
        self._timing = timing
        self._hosts = {name: _Host() for name in names}
        self._pairs: dict[tuple[str, str], _Pair] = {}
        self._walls: Counter[tuple[str, str]] = Counter()
        self._no_udp: Counter[tuple[str, str]] = Counter()
        self._passing = timing.beat_interval + 2 * timing.gossip_interval
        """In which a heartbeat comes through as a rule: a path that stood for less may have carried none."""

    # What happens

    def begins(self, name: str, at: float) -> None:
        """A process, with a new life."""
        host = self._hosts[name]
        self._change(at, host, running=True, stopped=False, leaving=False, left=False)
        host.life += 1
        host.epoch = None

    def leaves(self, name: str, at: float) -> None:
        """It is asked to say goodbye."""
        self._change(at, self._hosts[name], leaving=True)

    def ends(self, name: str, at: float, *, left: bool = False) -> None:
        """Its process, killed or, with `left`, with a goodbye."""
        host = self._hosts[name]
        self._change(at, host, running=False, stopped=False, leaving=False, left=left)
        if host.epoch is not None:
            host.past.add(host.epoch)

    def stops(self, name: str, at: float) -> None:
        """Its process stands still."""
        self._hosts[name].stopped_at = at
        self._change(at, self._hosts[name], stopped=True)

    def goes_on(self, name: str, at: float) -> None:
        """Its process again."""
        self._hosts[name].went_on_at = at
        self._change(at, self._hosts[name], stopped=False)

    def darkens(self, name: str, at: float, *, dark: bool) -> None:
        """The cable is pulled, or put back."""
        self._change(at, self._hosts[name], dark=dark)

    def card(self, name: str, at: float, *, down: bool) -> None:
        """Its own card."""
        self._change(at, self._hosts[name], card_down=down)

    def blocks(self, sources: Iterable[str], targets: Sequence[str], at: float, by: int, *, udp: bool = False) -> None:
        """Nothing, or no datagram, passes from these to those; `by` is 1, or -1 where that is over."""
        with self._lock:
            for source in sources:
                for target in targets:
                    (self._no_udp if udp else self._walls)[source, target] += by
            self._survey(at)

    def has_epoch(self, name: str, life: int, epoch: int) -> None:
        """What a node calls its present life."""
        with self._lock:
            host = self._hosts[name]
            if host.life == life and host.running:
                host.epoch = epoch

    def _change(self, at: float, host: _Host, **flags: bool) -> None:
        with self._lock:
            for flag, value in flags.items():
                setattr(host, flag, value)
            host.since = at
            self._survey(at)

    # What is so

    def now(self, name: str) -> Now:
        """How it is with one node."""
        with self._lock:
            host = self._hosts[name]
            return Now(host.running, host.stopped, host.leaving, host.left, host.life, host.since)

    def _passes(self, source: str, target: str, *, datagram: bool) -> bool:
        way = (source, target)
        return self._walls[way] <= 0 and not (datagram and self._no_udp[way] > 0)

    def _two_way(self, one: str, other: str, *, datagram: bool = True) -> bool:
        there = self._hosts[one].there and self._hosts[other].there
        return (
            there
            and self._passes(one, other, datagram=datagram)
            and self._passes(other, one, datagram=datagram)
        )  # fmt: skip

    def _reached_from(self, name: str) -> set[str]:
        """To whom a path leads, over others that pass things on. One that stands still passes nothing on."""
        reached, front = {name}, [name]
        while front:
            here = front.pop()
            near = [n for n in self._hosts if n not in reached and self._two_way(here, n)]
            reached.update(near)
            front += [n for n in near if not self._hosts[n].stopped]
        return reached

    def _survey(self, at: float) -> None:
        asking = 3 * self._timing.heartbeat
        reached = {name: self._reached_from(name) for name in self._hosts}
        for observer, subject in permutations(self._hosts, 2):
            pair = self._pairs.setdefault((observer, subject), _Pair(at))
            direct = self._two_way(observer, subject, datagram=False)
            there = subject in reached[observer] or direct
            if there and not pair.reached:
                pair.path_since = at
            elif pair.reached and not there and at - pair.path_since >= self._passing:
                pair.apart_since = at
            pair.reached = there
            if direct and pair.direct_since is None:
                pair.direct_since = at
            elif not direct and pair.direct_since is not None:
                pair.asked_until = at if at - pair.direct_since >= asking else pair.asked_until
                pair.direct_since = None

    # What is said of it

    def call(self, observer: str, subject: str, at: float, certainty: Certainty | None, epoch: int | None) -> Call:
        """What a `down` that was said just now is."""
        with self._lock:
            host = self._hosts[subject]
            if not host.running:
                return Call.RIGHT
            if epoch is not None and (epoch in host.past or (host.epoch is not None and epoch < host.epoch)):
                return Call.OF_A_PAST_LIFE
            if certainty is Certainty.PROVEN:
                return Call.FALSE
            apart, group = self._apart(observer, subject, at)
            hold = self._timing.group_hold if group else 3 * self._timing.heartbeat
            hold -= 2 * self._timing.gossip_interval  # a heartbeat may have been under way by others as the path ended
            return Call.FALSE if apart < hold else Call.PRESUMED_WRONG

    def is_here(self, name: str, epoch: int | None) -> bool:
        """Whether that life of it runs, and has no thought of leaving: then `left` is wrong."""
        with self._lock:
            host = self._hosts[name]
            return host.running and not host.leaving and epoch is not None and host.epoch == epoch

    def _apart(self, observer: str, subject: str, at: float) -> tuple[float, bool]:
        """For how long nothing could have told of the subject, and whether it was lost together with others."""
        pair, host = self._pairs[observer, subject], self._hosts[subject]
        if host.stopped or self._has_just_gone_on(host, at):  # its kernel answers for it, to whoever asks it
            asked = pair.direct_since is not None and at - pair.direct_since >= 3 * self._timing.heartbeat
            return (0.0 if asked else at - pair.asked_until), False
        if pair.reached and at - pair.path_since >= self._passing:
            return 0.0, False
        others = [name for name in self._hosts if name not in (observer, subject)]
        side = [n for n in others if self._could_tell(self._pairs[observer, n], at)]
        last = max([pair, *(self._pairs[n, subject] for n in side)], key=lambda p: p.apart_since)
        together = [n for n in others if self._is_lost_with(self._pairs[observer, n], n, pair)]
        return at - last.apart_since, bool(together)

    def _has_just_gone_on(self, host: _Host, at: float) -> bool:
        stood = host.went_on_at - host.stopped_at
        return at - host.went_on_at < self._passing and stood >= self._timing.heartbeat

    def _could_tell(self, pair: _Pair, at: float) -> bool:
        return pair.reached and at - pair.path_since >= self._passing

    def _is_lost_with(self, pair: _Pair, name: str, subject: _Pair) -> bool:
        """Whether another, whose end nobody could see, was cut off in the same heartbeat."""
        host = self._hosts[name]
        silent = not pair.reached and (host.running or host.dark)
        return silent and abs(pair.apart_since - subject.apart_since) <= self._timing.heartbeat
