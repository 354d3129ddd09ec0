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
    """For each host the number of its island: hosts with two-way paths between them, over others too. -1: none.

    A stopped process keeps its place: its host answers. A sleeping or dark host, and one whose link is down, has none.
    """
    there = [h.number for h in hosts if h.running and not (h.dark or h.nic_down) and h.asleep_since_us is None]
    island = [-1] * len(hosts)
    if not network.barriers:
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
            near = [b for b in sorted(todo) if _two_way(network, a, b)]
            todo.difference_update(near)
            front += near
    return island


def _two_way(network: Network, a: int, b: int) -> bool:
    return network.barrier(a, b, datagram=False) is None and network.barrier(b, a, datagram=False) is None


def truth_of(subject: Host, island_of_observer: int, island_of_subject: int) -> Truth:
    """The truth about one subject for an observer on an island."""
    if subject.left:
        return Truth.LEFT
    if not subject.running:
        return Truth.HOST_DOWN if subject.dark else Truth.EXITED
    same = island_of_observer >= 0 and island_of_observer == island_of_subject
    return Truth.REACHABLE if same else Truth.CUT_OFF
