"""The virtual network: what becomes of a packet from one host to another, and what a connection attempt is told."""

from __future__ import annotations

from functools import lru_cache
from math import exp, log
from statistics import NormalDist
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from random import Random

    from meshfleet.sim.faults import Delay

MICROSECONDS = 1_000_000

Z99 = 2.3263478740408408
"""Standard deviations at the 99th percentile: the sigma of a lognormal is log(p99 / median) over this."""


_BITS = 12


@lru_cache(maxsize=256)
def _delays(median_s: float, sigma: float) -> tuple[int, ...]:
    """The lognormal as 4,096 equally likely delays, in whole microseconds: a draw takes a table, not exp and gauss."""
    normal, count = NormalDist(), 1 << _BITS
    return tuple(
        max(1, round(median_s * exp(sigma * normal.inv_cdf((i + 0.5) / count)) * MICROSECONDS)) for i in range(count)
    )


class Quality(msgspec.Struct, frozen=True):
    """How one link behaves."""

    median_s: float
    sigma: float
    loss: float
    duplicate: float
    reorder: float

    @staticmethod
    def of(delay: Delay, loss: float, duplicate: float, reorder: float) -> Quality:
        """From the scenario's words."""
        return Quality(delay.median, log(delay.p99 / delay.median) / Z99, loss, duplicate, reorder)

    @property
    def delays_us(self) -> tuple[int, ...]:
        """Equally likely ways of one packet, rounded at once to whole microseconds: so the same on every machine."""
        return _delays(self.median_s, self.sigma)

    def draw_us(self, rng: Random) -> int:
        """One packet's way."""
        return self.delays_us[rng.getrandbits(_BITS)]


class Worse:
    """What a fault makes of a link: what it does not name stays as it was."""

    def __init__(self, delay: Delay | None, loss: float | None, duplicate: float | None, reorder: float | None) -> None:
        self._delay = delay
        self._loss = loss
        self._duplicate = duplicate
        self._reorder = reorder
        self._made: dict[Quality, Quality] = {}

    def over(self, usual: Quality) -> Quality:
        """The link's quality meanwhile."""
        made = self._made.get(usual)
        if made is None:
            way = usual if self._delay is None else Quality.of(self._delay, 0.0, 0.0, 0.0)
            made = self._made[usual] = Quality(
                way.median_s,
                way.sigma,
                usual.loss if self._loss is None else self._loss,
                usual.duplicate if self._duplicate is None else self._duplicate,
                usual.reorder if self._reorder is None else self._reorder,
            )
        return made


class Barrier(msgspec.Struct, frozen=True, eq=False):
    """Something between hosts: what is on `left` can't send to what is on `right`."""

    left: frozenset[int]
    right: frozenset[int]
    reject: bool = False
    datagrams_only: bool = False


class Network:
    """All links. Hosts are numbers."""

    def __init__(self, usual: Quality, rng: Random) -> None:
        self._usual = usual
        self._usual_delays_us = usual.delays_us
        self._usual_and_good = None if usual.loss or usual.reorder or usual.duplicate else usual
        self._rng = rng
        self._special: dict[tuple[int, int], Quality] = {}
        self._worse: list[tuple[frozenset[int], frozenset[int], Worse]] = []
        self.barriers: list[Barrier] = []
        self.changes = 0
        """Grows with every change of who can reach whom."""

    def set_between(self, left: frozenset[int], right: frozenset[int], quality: Quality) -> None:
        """Links of a class of their own, both ways."""
        for a in sorted(left):
            for b in sorted(right):
                self._special[a, b] = self._special[b, a] = quality

    def quality(self, a: int, b: int) -> Quality:
        """How the link from `a` to `b` behaves now."""
        if not (self._special or self._worse):
            return self._usual
        quality = self._special.get((a, b), self._usual)
        for left, right, worse in self._worse:
            if (a in left and b in right) or (b in left and a in right):
                quality = worse.over(quality)
        return quality

    def degrade(self, left: frozenset[int], right: frozenset[int], worse: Worse) -> None:
        """Worse links, until `restore`."""
        self._worse.append((left, right, worse))

    def restore(self, left: frozenset[int], right: frozenset[int], worse: Worse) -> None:
        """Undo one `degrade`."""
        self._worse.remove((left, right, worse))

    def raise_barrier(self, barrier: Barrier) -> None:
        """Something comes between."""
        self.barriers.append(barrier)
        self.changes += 1

    def lift(self, barrier: Barrier) -> None:
        """It is gone."""
        self.barriers = [b for b in self.barriers if b is not barrier]
        self.changes += 1

    def barrier(self, a: int, b: int, *, datagram: bool) -> Barrier | None:
        """What stands between `a` and `b`, in this direction."""
        for barrier in self.barriers:
            if a in barrier.left and b in barrier.right and (datagram or not barrier.datagrams_only):
                return barrier
        return None

    def arrivals_us(self, a: int, b: int) -> list[int]:
        """When the copies of one datagram arrive, from now: none if it is lost, two if it is duplicated."""
        if self.barriers and self.barrier(a, b, datagram=True) is not None:
            return []
        quality, rng = self.quality(a, b), self._rng
        if quality is self._usual_and_good:  # as most are
            return [self._usual_delays_us[rng.getrandbits(_BITS)]]
        if quality.loss and rng.random() < quality.loss:
            return []
        times = [quality.draw_us(rng)]
        if quality.reorder and rng.random() < quality.reorder:
            times[0] += quality.draw_us(rng) * 5
        if quality.duplicate and rng.random() < quality.duplicate:
            times.append(quality.draw_us(rng))
        return times

    def stream_us(self, a: int, b: int) -> int:
        """One way over a stream: what is lost is sent again, which costs a round trip of 200 ms (TCP's shortest)."""
        quality, rng = self.quality(a, b), self._rng
        way = quality.draw_us(rng)
        while quality.loss and rng.random() < quality.loss:
            way += 200_000
        return way
