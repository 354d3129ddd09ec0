"""One virtual host: its process, its clocks, and what its kernel does while the process can't."""

from __future__ import annotations

from collections import deque
from math import ceil
from typing import TYPE_CHECKING

from meshfleet.sim.network import MICROSECONDS
from meshfleet.sim.queueing import RECEIVE_BUFFER

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshfleet.fleet.names import Address
    from meshfleet.gossip.member import Member
    from meshfleet.gossip.messages import Packet, Via
    from meshfleet.sim.queueing import Capacity

BACKLOG = 4_096
"""Connections that a kernel accepts for a process that does not come round to it."""

ASKED_US = 30_000_000
"""How long a NAT lets answers to a datagram in: what Linux's connection tracking takes for UDP."""

TRANSLATED = "translated-"
"""What the address of a translator begins with; then comes the number of who is behind it, and as port that of whom it
spoke to."""

EPOCH_MS = 1_767_225_600_000
"""What everybody's wall clock shows at the start, in Unix time: any day would do."""


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
        self._told_of: list[Host] = []
        """By whom it was to join, in each of its lives, the last one first."""
        self.running = False
        self.left = False
        self.dark = False
        self.paused = 0
        """How many faults keep the process stopped."""
        self.stopped_us = 0
        """When it was last stopped."""
        self.went_on_us = 0
        """When it last went on."""
        self.reads: int | None = None
        """How many packets the process gets through before it is stopped again; None: all."""
        self.asleep_since_us: int | None = None
        self.asleep_us = 0
        self.up_us = 0
        """What its monotonic clock showed when the run began, or would have, had it been booted last by then."""
        self.nic_down = False
        self.outbound_only = False
        self.translated = False
        """Whether datagrams of it come from an address that is good for answers alone."""
        self.asked_us: dict[int, int] = {}
        """Behind NAT: peer's number -> when it was last sent a datagram, and so may answer."""
        self._wall_off_us = 0
        self._wall_drift = 0.0
        self._wall_since_us = 0
        self.held: deque[tuple[Packet, Address, Via]] = deque()
        self.held_lost = 0
        self.untold: list[Callable[[], None]] = []
        """What else its kernel tells its process once that runs again: streams that ended, connections answered."""
        self.capacity: Capacity | None = None
        """What its machine can do; None: anything, at once."""
        self.accepted_unread = 0
        self.streams: dict[int, int] = {}
        """Peer's number -> number of the connection."""
        self.looked_at_us = 0
        """When it last looked whether kernels acknowledge what it sent on its streams."""
        self.woken_at_us = -1
        """When its next timer event is due; -1: none is set."""
        self.died_at_us: int | None = None
        self.seqs: dict[str, int] = {}

    def seeds(self, join: Host | None, known: list[Address]) -> tuple[Address, ...]:
        """By whom a life begins: whom it is told of now, whom it knew before, and whomever it was told of before:
        settings outlive a process that never met anybody (plan 7266)."""
        if join is not None:
            self._told_of.insert(0, join)
        told = [host.address for host in self._told_of]
        return tuple(dict.fromkeys([*told[:1], *known, *told]))

    @property
    def listens(self) -> bool:
        """Whether its process runs its own code now."""
        return self.running and not self.paused and self.asleep_since_us is None and not self.dark

    def stop(self, now_us: int) -> None:
        """SIGSTOP; by several faults at once it is stopped until the last of them ends."""
        self.stopped_us = self.stopped_us if self.paused else now_us
        self.paused += 1

    def go_on(self, now_us: int) -> None:
        """SIGCONT."""
        self.paused = max(0, self.paused - 1)
        self.went_on_us = self.went_on_us if self.paused else now_us

    def takes(self, waiting: int) -> int:
        """How many of so many packets its process reads now."""
        if self.reads is None:
            return waiting
        taken = min(waiting, self.reads)
        self.reads -= taken
        return taken

    @property
    def powered(self) -> bool:
        """Whether its kernel does anything."""
        return not self.dark and self.asleep_since_us is None

    def clock(self, now_us: int) -> float:
        """Its monotonic clock, in seconds: it stands still while the host is asleep."""
        if self.asleep_since_us is not None:
            now_us = self.asleep_since_us
        return (now_us + self.up_us - self.asleep_us) / MICROSECONDS

    def shows_us(self, at: float) -> int:
        """When its monotonic clock shows that, if it does not fall asleep before."""
        return ceil(at * MICROSECONDS) + self.asleep_us - self.up_us

    def wall_ms(self, now_us: int) -> int:
        """Its wall clock, Unix time: it goes on while the host is asleep, and is as wrong as `set_wall` made it."""
        drifted_us = round(self._wall_drift * (now_us - self._wall_since_us)) if self._wall_drift else 0
        return EPOCH_MS + (now_us + self._wall_off_us + drifted_us) // 1_000

    def set_wall(self, now_us: int, offset_s: float, drift: float) -> None:
        """From now on its wall clock is off by `offset_s` and runs `drift` too fast; zeroes set it right again."""
        self._wall_off_us, self._wall_drift = round(offset_s * MICROSECONDS), drift
        self._wall_since_us = now_us

    def lets_in(self, peer: int, now_us: int) -> bool:
        """Whether a datagram of `peer` gets in: behind NAT, only as an answer."""
        return not self.outbound_only or now_us - self.asked_us.get(peer, -ASKED_US) < ASKED_US

    def seen_at(self, peer: int) -> Address:
        """Where its datagrams come from, as `peer` sees it."""
        return self.address._replace(host=f"{TRANSLATED}{self.number}", port=peer) if self.translated else self.address

    def hear_the_rest(self) -> None:
        """Its process runs again, and is told what else happened."""
        untold, self.untold = self.untold, []
        for tell in untold:
            tell()

    def forget_what_waits(self) -> None:
        """Its process ended, and with it all that its kernel kept for it."""
        self.held.clear()
        self.untold.clear()

    def hold(self, packet: Packet, source: Address, via: Via) -> None:
        """Its kernel keeps a packet for later; at the limit the newest is lost, as in a socket's buffer."""
        if len(self.held) >= RECEIVE_BUFFER:
            self.held_lost += 1
            return
        self.held.append((packet, source, via))
