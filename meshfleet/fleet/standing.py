"""The verdict of an observer on itself, and on groups that fell silent together.

Two machines rarely die in the same ten seconds; networks break like that every day. So members that fall silent
within 2T of each other are judged as one event: a cut. On which side of it the observer sits decides what it may say
of the others.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshfleet.fleet.timing import Timing


class Standing(str, Enum):
    """How far this node's own view can be believed."""

    CONNECTED = "connected"
    DEGRADED = "degraded"
    SPLIT = "split"
    PARTITIONED = "partitioned"
    ISOLATED = "isolated"
    RESUMING = "resuming"

    @property
    def is_cut_off(self) -> bool:
        """Whether silence of others proves nothing here, so that nobody may be presumed down."""
        return self in (Standing.PARTITIONED, Standing.ISOLATED, Standing.RESUMING)


class Peer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What standing and group loss look at, of one other member that has not left and is not proven down."""

    name: str
    host: str
    zone: str | None
    heard_at: float
    """When it raised the newest heartbeat that is known here (listening seconds)."""
    refused: bool = False
    """Its host answers, its process doesn't listen: the path is whole, so its silence tells nothing of mine. A
    wall that rejects looks alike: with others that fell silent it may be behind the same cut."""
    given_up: bool = False
    """It is presumed down: the observer was not cut off when it said so, and is not now for that silence."""


class Self(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the observer knows of its own condition."""

    now: float
    """Listening seconds."""
    heard_anyone_at: float
    """When any member's packet last arrived, or its kernel last answered mine."""
    remembers: tuple[str, ...] = ()
    """Members of an earlier life of its fleet, where it has met nobody in this one."""
    resuming: bool = False
    sends_refused: bool = False
    """Its own network stack refuses to send, or its link is down."""
    local_health: int = 0
    loop_lag: float = 0.0
    """Seconds by which its timers came late of late."""


class Assessment(msgspec.Struct, frozen=True):
    """The observer's standing, why, and which members it lost together."""

    standing: Standing
    reasons: tuple[str, ...] = ()
    groups: tuple[tuple[str, ...], ...] = ()
    """Members that fell silent together, by name; disjoint, largest first."""

    def group_of(self, name: str) -> tuple[str, ...] | None:
        """The group that `name` fell silent with."""
        return next((group for group in self.groups if name in group), None)


def assess(me: Self, peers: Sequence[Peer], timing: Timing) -> Assessment:
    """Judge the observer. Pure, like `presence.judge`, which needs this verdict first."""
    fresh = [p for p in peers if p.refused or me.now - p.heard_at <= timing.stale_after]
    silent = [p for p in peers if not p.refused and me.now - p.heard_at > timing.stale_after]
    groups = lost_together(silent, len(fresh) + 1, timing)
    refused = [p for p in fresh if me.now - p.heard_at > timing.stale_after]
    lost = lost_together(silent + refused, len(fresh) + 1 - len(refused), timing) if refused else groups
    names = tuple(tuple(sorted(p.name for p in group)) for group in lost)
    if me.resuming:
        reason = "its clock or process stood still; ages begin anew"
        return Assessment(Standing.RESUMING, (reason,), names)
    if me.sends_refused:
        return Assessment(Standing.ISOLATED, ("its own network refuses to send",), names)
    if me.remembers and me.now - me.heard_anyone_at > timing.unreachable_after:
        few = ", ".join(me.remembers[:5]) + (" ..." if len(me.remembers) > 5 else "")
        reason = f"of {len(me.remembers)} remembered members none answers: {few}"
        return Assessment(Standing.ISOLATED, (reason,), names)
    if silent and not fresh and me.now - me.heard_anyone_at > timing.unreachable_after:
        reason = f"nothing heard from anyone for {me.now - me.heard_anyone_at:.0f} s"
        return Assessment(Standing.ISOLATED, (reason,), names)
    for group in groups:
        # Myself counts as one that is still there: of five, two that lost three are the smaller side. Who was given up
        # is no side: three hosts that died are not half of a fleet whose others went home.
        lost_now = len([peer for peer in group if not peer.given_up])
        if 2 * lost_now >= lost_now + len(fresh) + 1:
            return Assessment(Standing.PARTITIONED, (_fell_silent(group, len(fresh) + 1),), names)
    if groups:
        return Assessment(Standing.SPLIT, tuple(_fell_silent(group, len(fresh) + 1) for group in groups), names)
    return Assessment(*_own_health(me, timing), names)


def lost_together(silent: Sequence[Peer], still_there: int, timing: Timing) -> list[list[Peer]]:
    """Those of `silent` that fell silent within 2T of each other, on at least two hosts, and are at least 2 % of the
    fleet.

    Disjoint, largest first. `still_there` counts the members that are not silent, the observer included.
    """
    everybody = rest = sorted(silent, key=lambda p: (p.heard_at, p.name))
    groups: list[list[Peer]] = []
    # The largest may all be on one machine that died, and hide a smaller one that is a loss.
    while losses := [w for w in _windows(rest, 2 * timing.heartbeat) if _is_loss(w, still_there)]:
        group = max(losses, key=len)
        groups.append(group)
        gone = {p.name for p in group}
        rest = [p for p in rest if p.name not in gone]
    if groups and rest:
        _take_in(rest, groups, [w for w in _windows(everybody, 2 * timing.heartbeat) if _is_loss(w, still_there)])
    return groups


def _take_in(rest: list[Peer], groups: list[list[Peer]], losses: list[list[Peer]]) -> None:
    """Add to a group who fell silent together with one of its members, whom a larger window took."""
    for peer in rest:
        others = {p.name for window in losses if peer in window for p in window}
        group = next((group for group in groups if any(p.name in others for p in group)), None)
        if group is not None:
            group.append(peer)


def _is_loss(group: list[Peer], still_there: int) -> bool:
    """Whether so many, on so many hosts, are likelier cut off than dead."""
    return len(group) >= max(2.0, 0.02 * (len(group) + still_there)) and len({p.host for p in group}) > 1


def _windows(by_time: list[Peer], width: float) -> list[list[Peer]]:
    """For each peer, those that fell silent from it on within `width`; but none that is part of another, or thousands
    that died in one moment would make as many, each as long."""
    windows: list[list[Peer]] = []
    end = 0
    for i, first in enumerate(by_time):
        before = end
        while end < len(by_time) and by_time[end].heard_at - first.heard_at <= width:
            end += 1
        if end > before:
            windows.append(by_time[i:end])
    return windows


def _fell_silent(group: list[Peer], still_there: int) -> str:
    names = sorted(p.name for p in group)
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    zones = {p.zone for p in group}
    where = f" (all of zone {zone})" if len(zones) == 1 and (zone := next(iter(zones))) is not None else ""
    return f"{shown}{where} fell silent together; {still_there} of {still_there + len(names)} are on this side"


def _own_health(me: Self, timing: Timing) -> tuple[Standing, tuple[str, ...]]:
    if me.local_health >= 2:
        return Standing.DEGRADED, (f"local health score {me.local_health}: answers reach this node late or not at all",)
    if me.loop_lag > timing.direct_timeout / 4:
        return Standing.DEGRADED, (f"its event loop is {1000 * me.loop_lag:.0f} ms late",)
    return Standing.CONNECTED, ()
