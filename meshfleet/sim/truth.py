"""What is so, at each moment, of each pair: whether the subject runs, and whether a two-way path leads to it."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meshfleet.sim.host import Host
    from meshfleet.sim.network import Network


class Truth(str, Enum):
    """What is so of a subject, as seen from where an observer is."""

    REACHABLE = "running_reachable"
    """It runs, and a path leads there and back, also by way of others."""
    CUT_OFF = "running_cut_off"
    EXITED = "exited"
    """Its process is dead, its host alive."""
    HOST_DOWN = "host_down"
    LEFT = "left"


def islands(hosts: list[Host], network: Network) -> list[int]:
    """For each host the number of its island: hosts with two-way paths for datagrams, over others too. -1: none.

    A stopped process keeps its place: its host answers. A sleeping or dark host, and one whose link is down, has none.
    """
    there = [h.number for h in hosts if h.running and not (h.dark or h.nic_down) and h.asleep_since_us is None]
    island = [-1] * len(hosts)
    if not network.barriers and not any(h.outbound_only for h in hosts):
        for number in there:
            island[number] = 0
        return island
    todo, current = set(there), -1
    while todo:
        current += 1
        front = [min(todo)]
        todo.discard(front[0])
        while front:
            a = front.pop()
            island[a] = current
            near = [b for b in sorted(todo) if _two_way(network, hosts[a], hosts[b])]
            todo.difference_update(near)
            front += near
    return island


def _two_way(network: Network, a: Host, b: Host, *, datagram: bool = True) -> bool:
    """Whether each can send to the other: datagrams, which is how news is passed on, or streams at least."""
    if a.outbound_only and b.outbound_only and b.number not in a.streams:
        return False  # neither can begin
    if not network.barriers:
        return True
    return all(network.barrier(x.number, y.number, datagram=datagram) is None for x, y in ((a, b), (b, a)))


def acquainted(observer: Host, subject: Host, hosts: list[Host], network: Network) -> bool:
    """Whether a path leads there over hosts of which each knows the next, or is known to it. A newcomer that has met
    neither side of a cut stands between them, and can tell nobody."""
    todo = {h.number for h in hosts if h.running and not (h.dark or h.nic_down) and h.asleep_since_us is None}
    front = [observer]
    todo.discard(observer.number)
    while front:
        here = front.pop()
        if here is subject:
            return True
        near = [hosts[n] for n in sorted(todo) if _knows(here, hosts[n]) or _knows(hosts[n], here)]
        near = [other for other in near if _two_way(network, here, other, datagram=False)]
        todo.difference_update(other.number for other in near)
        front += near
    return False


def _knows(one: Host, other: Host) -> bool:
    return one.member is not None and one.member.roster.get(other.name) is not None


def directly(observer: Host, subject: Host, island: list[int], network: Network) -> bool:
    """Whether one could open a stream to the other, or the other way round: a path too, where no datagrams pass."""
    if island[observer.number] < 0 or island[subject.number] < 0:
        return False
    return _two_way(network, observer, subject, datagram=False)


def truth_of(subject: Host, *, reached: bool) -> Truth:
    """The truth about one subject, which a path leads to or not."""
    if subject.left:
        return Truth.LEFT
    if not subject.running:
        return Truth.HOST_DOWN if subject.dark else Truth.EXITED
    return Truth.REACHABLE if reached else Truth.CUT_OFF
