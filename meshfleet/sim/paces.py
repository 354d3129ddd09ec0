"""How often agents' snapshots left for the mesh, how soon they were everywhere, and what that cost: for `[[pace]]`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from meshfleet.sim.network import MICROSECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshfleet.fleet.state import Snapshot
    from meshfleet.sim.host import Host
    from meshfleet.sim.scenario import Pace
    from meshfleet.sim.selectors import Cast
    from meshfleet.sim.staging import Theatre


class PaceTold(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one expectation. Intervals are means, one of each agent, in seconds."""

    index: int
    ok: bool
    agents: int
    """Of whom two snapshots or more left; of others there is no interval."""
    every: tuple[float, float, float] | None
    """The shortest interval, the median, the longest."""
    unevenness: float | None
    """The longest over the shortest."""
    late_p99: float | None
    """Seconds from leaving to each other node."""
    bytes_per_node_s: float
    slowest: float
    """The greatest stretch that a node of them had at the end."""
    said: int
    """Nodes of them that had said that they slow down, and not that it is over, at the end."""
    details: tuple[str, ...] = ()


class Watch:
    """One expectation, while it runs."""

    def __init__(self, index: int, pace: Pace, cast: Cast, end_us: int) -> None:
        self.pace = pace
        self.begin_us = round(pace.start * MICROSECONDS)
        self.end_us = end_us if pace.end is None else round(pace.end * MICROSECONDS)
        self.agents = cast.agents_of(pace.agents, f"pace[{index}].agents")
        self._index = index
        self._known = frozenset(self.agents)
        self._left: dict[str, list[int]] = {agent: [] for agent in self.agents}
        self._late_us: list[int] = []
        self._sent = 0
        self._stretches: dict[str, tuple[float, bool]] = {}

    def arrived(self, snapshot: Snapshot, left_us: int, now_us: int, *, first: bool) -> None:
        """A snapshot is somewhere; `first`: nowhere else before."""
        if not self.begin_us <= left_us < self.end_us or snapshot.agent not in self._known:
            return
        if first:
            self._left[snapshot.agent].append(left_us)
        self._late_us.append(now_us - left_us)

    def begin(self, world: Theatre) -> None:
        """From now on it counts."""
        self._sent = sum(world.bytes_sent.values())

    def end(self, world: Theatre) -> None:
        """It no longer does."""
        self._sent = sum(world.bytes_sent.values()) - self._sent
        carriers = {agent.partition("/")[0] for agent in self.agents}
        for host in world.hosts:
            if host.name in carriers and host.member is not None and host.running:
                self._stretches[host.name] = (host.member.pacing.stretch, host.member.pacing.is_slow)

    def told(self, hosts: Sequence[Host]) -> PaceTold:
        """What came of it."""
        means = sorted((left[-1] - left[0]) / (len(left) - 1) for left in self._left.values() if len(left) > 1)
        every = tuple(round(means[i] / MICROSECONDS, 3) for i in (0, len(means) // 2, -1)) if means else None
        late = sorted(self._late_us)
        seconds = (self.end_us - self.begin_us) / MICROSECONDS
        said = [name for name, (_, is_slow) in self._stretches.items() if is_slow]
        told = PaceTold(
            index=self._index,
            ok=True,
            agents=len(means),
            every=every,  # type: ignore[arg-type]  # three of them
            unevenness=round(means[-1] / means[0], 3) if means else None,
            late_p99=round(late[int(0.99 * len(late))] / MICROSECONDS, 4) if late else None,
            bytes_per_node_s=round(self._sent / max(1, len(hosts)) / seconds, 1),
            slowest=round(max([stretch for stretch, _ in self._stretches.values()], default=1.0), 2),
            said=len(said),
        )
        details = tuple(self._amiss(told, said))
        return msgspec.structs.replace(told, ok=not details, details=details)

    def _amiss(self, told: PaceTold, said: list[str]) -> list[str]:
        pace, wrong = self.pace, list[str]()
        silent = [agent for agent, left in self._left.items() if len(left) < 2]
        if silent and (pace.every is not None or pace.uneven is not None):
            wrong.append(f"{silent[0]} has no interval: fewer than two of its snapshots left")
        if told.every is not None and pace.every is not None:
            low, high = pace.every
            if told.every[0] < low or told.every[2] > high:
                wrong.append(f"snapshots left each {told.every[0]} to {told.every[2]} s, not {low:g} to {high:g} s")
        if pace.uneven is not None and told.unevenness is not None and told.unevenness > pace.uneven:
            wrong.append(f"the slowest agent waits {told.unevenness} times as long as the fastest, not {pace.uneven:g}")
        if pace.late is not None and (told.late_p99 is None or told.late_p99 > pace.late):
            wrong.append(f"one snapshot of a hundred is {told.late_p99} s late, not {pace.late:g} s")
        if pace.bytes is not None and told.bytes_per_node_s > pace.bytes:
            wrong.append(f"a node sends {told.bytes_per_node_s:,.0f} bytes/s, not {pace.bytes:,.0f}")
        others = sorted(self._stretches.keys() - set(said))
        if pace.says is True and others:
            wrong.append(f"{others[0]} does not say that it slows down")
        if pace.says is False and said:
            wrong.append(f"{said[0]} says that it slows down")
        return wrong


class Paces:
    """All of a run's."""

    def __init__(self, paces: tuple[Pace, ...], cast: Cast, end_us: int) -> None:
        self.watches = [Watch(i, pace, cast, end_us) for i, pace in enumerate(paces)]
        self._left_us: dict[tuple[str, int, int], int] = {}
        """Node, epoch and seq -> when it was first anywhere, milliseconds after it left."""
        self._hosts: list[Host] = []

    def attach(self, world: Theatre) -> None:
        """Watch this world."""
        self._hosts = world.hosts
        for watch in self.watches:
            world.at(watch.begin_us, watch.begin, world)
            world.at(watch.end_us, watch.end, world)

    def arrived(self, snapshot: Snapshot, now_us: int) -> None:
        """A snapshot is somewhere."""
        if not self.watches:
            return
        key = (snapshot.node, snapshot.epoch, snapshot.seq)
        left_us = self._left_us.get(key)
        if left_us is None:
            self._left_us[key] = now_us
        for watch in self.watches:
            watch.arrived(snapshot, now_us if left_us is None else left_us, now_us, first=left_us is None)

    def told(self) -> tuple[PaceTold, ...]:
        """What came of each."""
        return tuple(watch.told(self._hosts) for watch in self.watches)
