"""Writes down, if asked to, all that a picture of a run needs: who ran when, what lay between whom, who said what of
whom and why.

A score adds up and forgets; this remembers, which costs memory for every verdict. So no run has one unless a picture
was asked for. It stands between the world and the score and passes everything on: the run is the same, to its trace.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Protocol

import msgspec

from meshfleet.fleet.presence import Certainty, Presence
from meshfleet.fleet.standing import Standing
from meshfleet.gossip.events import Event, Forgotten, Joined, Judged, Stands
from meshfleet.sim.truth import islands

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshfleet.sim.host import Host
    from meshfleet.sim.network import Barrier, Network
    from meshfleet.sim.world import Watcher


class Process(str, Enum):
    """What a node's process really does."""

    ABSENT = "not started"
    RUNNING = "running"
    STOPPED = "stopped"
    ASLEEP = "asleep"
    EXITED = "dead"
    DARK = "host down"
    LEFT = "left"


class Truth(msgspec.Struct, frozen=True):
    """What was so of a node, from a moment on (microseconds)."""

    at_us: int
    process: Process
    cut_off: bool
    """Whether it runs, and no two-way path leads from it to more than half of those that run."""


class Word(msgspec.Struct, frozen=True):
    """What an observer said of a subject, from a moment on (microseconds). `said` is None where it knows nobody of
    that name: in the beginning, in each new life, and after it forgot."""

    at_us: int
    observer: int
    said: Presence | None
    certainty: Certainty | None = None
    reasons: tuple[str, ...] = ()


class Stood(msgspec.Struct, frozen=True):
    """What a node said of itself, from a moment on (microseconds)."""

    at_us: int
    standing: Standing
    reasons: tuple[str, ...] = ()


class Wall(msgspec.Struct):
    """What lay between hosts, by their numbers, and when; `end_us` is None while it stands."""

    left: tuple[int, ...]
    right: tuple[int, ...]
    reject: bool
    datagrams_only: bool
    begin_us: int
    end_us: int | None = None


class Stageable(Protocol):
    """What is recorded of a world, whichever it is."""

    network: Network
    hosts: list[Host]

    @property
    def now_us(self) -> int:
        """What time it is."""
        ...


class Record:
    """What happened, in order of time, by node number."""

    def __init__(self) -> None:
        self.truth: dict[int, list[Truth]] = {}
        self.words: dict[int, list[Word]] = {}
        """By subject."""
        self.stood: dict[int, list[Stood]] = {}
        self.walls: list[Wall] = []
        self._watcher: Watcher | None = None
        self._world: Stageable | None = None
        self._up: dict[Barrier, Wall] = {}
        self._lives: dict[int, int] = {}

    def beside(self, watcher: Watcher) -> Watcher:
        """A watcher to give to the world: it tells `watcher`, and this record."""
        self._watcher = watcher
        return self

    def attach(self, world: Stageable) -> None:
        """Record this world. Before anything is planned on it: stopping and going on is told to no watcher, since no
        score asks for it, so here the world's own methods for it are listened at."""
        self._world = world
        for deed in ("pause", "resume"):
            setattr(world, deed, self._and_look(getattr(world, deed)))

    def _and_look(self, deed: Callable[[Host], None]) -> Callable[[Host], None]:
        def done(here: Host) -> None:
            deed(here)
            assert self._world is not None
            before = self.truth.get(here.number)
            if before:
                self._note(here, before[-1].cut_off, self._world.now_us)

        return done

    # What the world tells

    def published(self, host: Host, agent: str, now_us: int) -> None:
        """A new snapshot left its origin."""
        assert self._watcher is not None
        self._watcher.published(host, agent, now_us)

    def happened(self, host: Host, event: Event, now_us: int) -> None:
        """A member said something."""
        assert self._watcher is not None
        self._watcher.happened(host, event, now_us)
        match event:
            case Judged(name, verdict):
                word = Word(now_us, host.number, verdict.presence, verdict.certainty, verdict.reasons)
                self.words.setdefault(int(name[1:]), []).append(word)
            case Joined(name):
                self.words.setdefault(int(name[1:]), []).append(Word(now_us, host.number, Presence.FRESH))
            case Forgotten(name):
                self.words.setdefault(int(name[1:]), []).append(Word(now_us, host.number, None))
            case Stands(now):
                self.stood.setdefault(host.number, []).append(Stood(now_us, now.standing, now.reasons))
            case _:
                pass

    def truth_changed(self, now_us: int) -> None:
        """Who runs, or who reaches whom, is not what it was."""
        assert self._watcher is not None
        assert self._world is not None
        self._watcher.truth_changed(now_us)
        hosts, network = self._world.hosts, self._world.network
        island = islands(hosts, network)
        running = [host.number for host in hosts if host.running and not host.left]
        sizes: dict[int, int] = {}
        for number in running:
            sizes[island[number]] = sizes.get(island[number], 0) + 1
        for host in hosts:
            at = island[host.number]
            alone = at < 0 or 2 * sizes.get(at, 0) <= len(running)
            self._note(host, host.running and not host.left and alone and len(running) > 1, now_us)
        self._walls(network.barriers, now_us)

    def _note(self, host: Host, cut_off: bool, now_us: int) -> None:
        if host.running and self._lives.get(host.number) != host.epoch:
            self._begins(host, now_us)
        told = self.truth.setdefault(host.number, [])
        now = Truth(now_us, process_of(host), cut_off)
        if told and told[-1].at_us == now_us:
            told.pop()
        if not told or (told[-1].process, told[-1].cut_off) != (now.process, now.cut_off):
            told.append(now)

    def _begins(self, host: Host, now_us: int) -> None:
        """A new life knows nobody, and has no doubts about itself."""
        if host.number in self._lives:
            for words in self.words.values():
                if any(word.observer == host.number for word in words):
                    words.append(Word(now_us, host.number, None))
            self.stood.setdefault(host.number, []).append(Stood(now_us, Standing.CONNECTED))
        self._lives[host.number] = host.epoch

    def _walls(self, barriers: list[Barrier], now_us: int) -> None:
        for barrier in [b for b in self._up if b not in barriers]:
            self._up.pop(barrier).end_us = now_us
        for barrier in barriers:
            if barrier not in self._up:
                sides = tuple(sorted(barrier.left)), tuple(sorted(barrier.right))
                wall = Wall(*sides, barrier.reject, barrier.datagrams_only, now_us)
                self.walls.append(wall)
                self._up[barrier] = wall


def process_of(host: Host) -> Process:
    """What a host's process does now."""
    if host.left:
        return Process.LEFT
    if not host.running:
        if host.epoch == 0:
            return Process.ABSENT
        return Process.DARK if host.dark else Process.EXITED
    if host.asleep_since_us is not None:
        return Process.ASLEEP
    return Process.STOPPED if host.paused else Process.RUNNING
