"""One virtual host: its process, its clocks, and what its kernel does while the process can't."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from meshfleet.sim.network import MICROSECONDS

if TYPE_CHECKING:
    from meshfleet.fleet.names import Address
    from meshfleet.gossip.member import Member
    from meshfleet.gossip.messages import Packet, Via

RECEIVE_BUFFER = 600
"""Packets that a kernel holds for a process that does not read: some 200 KiB of small datagrams, Linux's default."""

BACKLOG = 4_096
"""Connections that a kernel accepts for a process that does not come round to it."""


class Host:
    """A node's machine. The world tells it what happens; it remembers."""

    def __init__(self, name: str, number: int, host: str, zone: str | None) -> None:
        self.name = name
        self.number = number
        self.host = host
        self.zone = zone
        self.member: Member | None = None
        self.address: Address
        self.epoch = 0
        self.running = False
        self.left = False
        self.dark = False
        self.paused = 0
        """How many faults keep the process stopped."""
        self.asleep_since_us: int | None = None
        self.asleep_us = 0
        self.nic_down = False
        self.outbound_only = False
        self.held: deque[tuple[Packet, Address, Via]] = deque()
        self.held_lost = 0
        self.accepted_unread = 0
        self.streams: dict[int, int] = {}
        """Peer's number -> number of the connection."""
        self.woken_at_us = -1
        """When its next timer event is due; -1: none is set."""
        self.died_at_us: int | None = None
        self.seqs: dict[str, int] = {}

    @property
    def listens(self) -> bool:
        """Whether its process runs its own code now."""
        return self.running and not self.paused and self.asleep_since_us is None and not self.dark

    def clock(self, now_us: int) -> float:
        """Its monotonic clock, in seconds: it stands still while the host is asleep."""
        if self.asleep_since_us is not None:
            now_us = self.asleep_since_us
        return (now_us - self.asleep_us) / MICROSECONDS

    def hold(self, packet: Packet, source: Address, via: Via) -> None:
        """Its kernel keeps a packet for later; at the limit the newest is lost, as in a socket's buffer."""
        if len(self.held) >= RECEIVE_BUFFER:
            self.held_lost += 1
            return
        self.held.append((packet, source, via))
