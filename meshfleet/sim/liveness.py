"""What must come once a core is whole again, whatever is wrong with the others: everybody fresh, the dead called dead,
the newest snapshots everywhere, and no more changes of mind.

The core runs, its nodes reach each other well, and it is more than half of the fleet. Time is given by the rules
themselves, and argued where it is given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshfleet.fleet.presence import Presence
from meshfleet.gossip.suspicion import shortest
from meshfleet.sim.network import MICROSECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshfleet.fleet.names import AgentId
    from meshfleet.fleet.state import Snapshot
    from meshfleet.fleet.timing import Timing
    from meshfleet.sim.host import Host
    from meshfleet.sim.scenario import Liveness
    from meshfleet.sim.score import Score
    from meshfleet.sim.staging import Theatre


def until_fresh(timing: Timing) -> float:
    """Seconds until all of a healed core are fresh to each other: ten T, and four looks for somebody who is gone.

    Who was lost is found again by chance: each node asks one of those that are gone, and maybe a seed, in each
    `gone_probe_interval`.
    """
    return 10 * timing.heartbeat + 4 * timing.gone_probe_interval


def until_buried(timing: Timing, members: int) -> float:
    """Seconds until a death is noticed that nobody saw: those who fell together are held for `group_hold`; then they
    must have been silent for 3T and a beat, and the longest suspicion must have run out. Ill health stretches probes.
    """
    longest = timing.suspicion_beta * shortest(members, timing)
    return round(timing.group_hold + timing.presumed_after + longest + until_fresh(timing) / 2, 1)


def lives_taken_before(timing: Timing) -> float:
    """Seconds before the end at which it is taken down in which life everybody must then know whom.

    A rumor misses a member now and then. That two mean different lives their next roll call tells: two seconds after
    the last change, and again four later where the first comparison came to nothing. One T for the rumor.
    """
    return 4 * timing.heartbeat


def claims_taken_before(timing: Timing) -> float:
    """The same for incarnations.

    A rumor misses a member now and then: 14 members each told a refutation 5 to 10 times, and it missed one that had
    not heard of the suspicion either (plan 1781). Push-pull repairs that; one in vain, with a broken peer, is allowed
    for.
    """
    return 2 * (timing.push_pull_interval + timing.heartbeat)


def snapshots_taken_before(timing: Timing) -> float:
    """The same for snapshots, which digests repair each second or so."""
    return 2 * timing.heartbeat


class Latest:
    """What the core's nodes and agents had said a little before the end: by then everybody in the core must know it."""

    def __init__(self, timing: Timing) -> None:
        self.core: list[Host] = []
        """Those that can be held to it."""
        self._timing = timing
        self._seqs: list[dict[AgentId, int]] = []
        self._numbers: dict[str, tuple[int, int]] = {}
        self._lives: dict[str, int] = {}

    def take_claims(self, core: list[Host]) -> None:
        """Remember what they have said of themselves, now."""
        self._numbers = {host.name: _number(host) for host in core if host.member is not None}

    def take_lives(self, core: list[Host]) -> None:
        """Remember in which they are, now."""
        self._lives = {host.name: host.member.epoch for host in core if host.member is not None}

    def take_snapshots(self, core: list[Host]) -> None:
        """Remember what their agents have said, now."""
        self.core = met(core)
        self._seqs = [{s.agent: s.seq for s in _held(host, host)} for host in self.core]

    def missing(self) -> Iterator[str]:
        """Who lacks what, in words."""
        ago, lives_ago = claims_taken_before(self._timing), lives_taken_before(self._timing)
        for origin, seqs in zip(self.core, self._seqs, strict=True):
            number, life = self._numbers.get(origin.name, (0, 0)), self._lives.get(origin.name, 0)
            for host in self.core:
                if host is origin:
                    continue
                record = None if host.member is None else host.member.roster.get(origin.name)
                if record is not None and (known := record.known.number) < number:
                    yield f"{host.name} knows {origin.name} as {known}, which was {number} {ago:.0f} s before the end"
                if record is not None and record.epoch < life:
                    here_is = f"life {record.epoch} of {origin.name}"
                    yield f"{host.name} knows {here_is}, which was {life} {lives_ago:.0f} s before the end"
                here = {s.agent: s.seq for s in _held(host, origin)}
                for agent, seq in seqs.items():
                    if here.get(agent, 0) < seq:
                        yield f"{host.name} holds {agent} up to {here.get(agent, 0)}, of {seq}"


def _held(host: Host, origin: Host) -> list[Snapshot]:
    assert host.member is not None
    assert origin.member is not None
    shelf = host.member.replica.shelf(origin.name)
    return [] if shelf is None or shelf.epoch != origin.member.epoch else list(shelf.held.values())


def met(core: list[Host]) -> list[Host]:
    """Those of the core that can be held to it: no newcomer whose seeds broke for good before it met anybody. That its
    last life said goodbye is all that some may know of it: then nobody looks for it."""
    return [host for host in core if not _is_stranded(host, [other for other in core if other is not host])]


def _is_stranded(host: Host, others: list[Host]) -> bool:
    assert host.member is not None
    seeds = host.member.rounds.seeds
    return not any(other.address in seeds or _looks_for(host, other) or _looks_for(other, host) for other in others)


def _looks_for(host: Host, other: Host) -> bool:
    record = None if host.member is None else host.member.roster.get(other.name)
    return record is not None and record.presence is not Presence.LEFT


def amiss(plan: Liveness, core: list[Host], world: Theatre, score: Score, timing: Timing) -> Iterator[str]:
    """All that is not as it must be at the end, in words; nothing where all is well."""
    at = world.now_us / MICROSECONDS
    due_us = round((plan.start + plan.within) * MICROSECONDS)
    blip_us = round(timing.beat_interval * MICROSECONDS)
    for observer in core:
        member = observer.member
        assert member is not None
        if member.standing.standing.is_cut_off:
            yield f"{at:.1f} s: {observer.name} of the core stands {member.standing.standing.value}"
        for subject in core:
            if subject is observer:
                continue
            assert subject.member is not None
            record = member.roster.get(subject.name)
            if record is None:
                yield f"{at:.1f} s: {observer.name} does not know {subject.name}, both of the core"
            elif record.presence is not Presence.FRESH:
                why = "; ".join(record.verdict.reasons)
                yield f"{at:.1f} s: {observer.name} says {record.presence.value} of {subject.name}, both core: {why}"
            else:
                said = score.said.get((observer.number, subject.number), [])
                for when, presence in _flips(said, due_us, blip_us):
                    word = f"{observer.name} said {presence.value} of {subject.name}, both core"
                    yield f"{when / MICROSECONDS:.1f} s: {word}"


def _flips(said: list[tuple[int, Presence]], due_us: int, blip_us: int) -> Iterator[tuple[int, Presence]]:
    """Changes of mind from `due_us` on. A heartbeat or two that chance lost on their way make nobody but stale, for a
    moment: that is no change of mind."""
    for i, (when, presence) in enumerate(said):
        over = i + 1 < len(said) and said[i + 1][0] - when <= blip_us and said[i + 1][1] is Presence.FRESH
        if when > due_us and presence is not Presence.FRESH and not (presence is Presence.STALE and over):
            yield when, presence


def missed(plan: Liveness, core: list[Host], world: Theatre, score: Score) -> Iterator[str]:
    """Deaths that somebody of the core has not noticed, though enough are left to confirm them. A goodbye that nobody
    heard leaves a process that is dead as any other."""
    for subject in world.hosts:
        if subject.running or subject.number not in score.ended_us:
            continue
        since = max(plan.start, score.ended_us[subject.number] / MICROSECONDS)
        if world.now_us / MICROSECONDS < since + plan.deaths_within:
            continue
        hosts = {host.host for host in core} - {subject.host}
        if len(hosts) < 2:  # nobody else could confirm it: only proof makes down
            continue
        for observer in core:
            assert observer.member is not None
            record = observer.member.roster.get(subject.name)
            if record is not None and record.presence not in (Presence.DOWN, Presence.LEFT):
                why = "; ".join(record.verdict.reasons)
                yield f"{observer.name} says {record.presence.value} of {subject.name}, dead since {since:.1f} s: {why}"


def _number(subject: Host) -> tuple[int, int]:
    assert subject.member is not None
    return subject.member.epoch, subject.member.membership.me.incarnation
