"""Virtual TCP: connection attempts, standing streams and their ends, as kernels answer (docs/design.md has the
table)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from meshfleet.fleet.names import NodeName
from meshfleet.gossip.messages import Connect, Packet, StreamEnd, Via
from meshfleet.sim.host import BACKLOG, Host

if TYPE_CHECKING:
    from meshfleet.fleet.names import Address
    from meshfleet.gossip.member import Member
    from meshfleet.gossip.orders import SendPacket
    from meshfleet.sim.world import World

KNOCK_US = 3_500_000
"""How long a connection attempt into silence lives, as node.links has it."""

ACKNOWLEDGED_S = 0.5
"""How long ago the last keepalive was answered, on the average: one is sent each second to a peer that says nothing."""

KEEPALIVE_US = 10_000_000
"""Until a stream into silence is given up: 5 s idle and five keepalives a second apart, as node.sockets sets them."""


def number_of(name: str) -> int:
    """The host of a node's name: n007 is 7."""
    return int(name[1:])


class Streams:
    """All connections between hosts."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._opened = 0
        self._ends: dict[int, dict[int, tuple[int, Address]]] = {}
        """Number of a connection -> number of each host -> the life and address at which it has that end; who opened it
        first."""

    def send(self, here: Host, to: Host, packet: Packet) -> None:
        """A packet over the stream that stands. It stalls behind a barrier, and goes through if that is lifted in
        time."""
        connection = here.streams.get(to.number, -1)
        life, address = self._ends.get(connection, {}).get(to.number, (to.epoch, to.address))
        if life != to.epoch and self.passes(here, to):
            # That end died unheard. A later life's kernel knows no such connection; where nobody is, nothing answers.
            if address == to.address or self._world.is_foreign(address):
                trip = self.way(here, to) + self.way(to, here)
                self._world.after(trip, self.ends, here, to.number, connection, StreamEnd.RESET)
        elif self.passes(here, to):
            self._world.after(self.way(here, to), self._world.reach, to, packet, here.address, Via.STREAM)
        elif to.number in here.streams:  # it stalls, and goes through if the way opens before the stream is given up
            self._world.after(1_000_000, self._retry, here, here.epoch, to, here.streams[to.number], packet)

    def relay(self, here: Host, by: Host, packet: Packet, out: SendPacket) -> None:
        """A packet to a hidden host, by way of one that passes on for it."""
        to = self._world.hosts[number_of(str(out.to))]
        ways = self._world.network.arrivals_us(here.number, by.number)
        if out.via is Via.STREAM:
            ways = [self.way(here, by)] if self.open(here, by, by.address) and self.passes(here, by) else []
        for way in ways:
            self._world.after(way, self._pass_on, by, to, packet, here.address, out.size)

    def _pass_on(self, by: Host, to: Host, packet: Packet, source: Address, size: int) -> None:
        if not by.listens or by.dark or by.nic_down or by.member is None or to.number not in by.streams:
            return
        if by.member.ways.passes_on(to.name, size, by.member.listening.at(self._world.clock(by))) is None:
            return
        self._world.bytes_sent[by.number] += size
        if self.passes(by, to):
            self._world.after(self.way(by, to), self._world.reach, to, packet, source, Via.RELAY)

    def _retry(self, here: Host, epoch: int, to: Host, connection: int, packet: Packet) -> None:
        if here.epoch == epoch and here.streams.get(to.number) == connection:
            self.send(here, to, packet)

    def passes(self, a: Host, b: Host) -> bool:
        """Whether a stream's packets pass both ways."""
        if (
            a.nic_down
            or b.nic_down
            or a.dark
            or b.dark
            or a.asleep_since_us is not None
            or b.asleep_since_us is not None
        ):
            return False
        net = self._world.network
        return not net.barriers or (
            net.barrier(a.number, b.number, datagram=False) is None
            and net.barrier(b.number, a.number, datagram=False) is None
        )

    def way(self, a: Host, b: Host) -> int:
        """One way over a stream, in microseconds."""
        return self._world.network.stream_us(a.number, b.number)

    def _answer(self, a: Host, b: Host, address: Address) -> tuple[Connect, int]:
        """How a connection attempt from `a` to `b`, sought at `address`, ends, and after how long."""
        if a.nic_down:
            return Connect.OWN_ERROR, 100
        there = self._world.network.barrier(a.number, b.number, datagram=False)
        back = self._world.network.barrier(b.number, a.number, datagram=False)
        if there is not None or back is not None:
            rejected = there is not None and there.reject
            return (Connect.REFUSED, self.way(a, b)) if rejected else (Connect.SILENT, KNOCK_US)
        if address != b.address:
            foreign = self._world.is_foreign(address)
            return (Connect.ACCEPTED, self.way(a, b) + self.way(b, a)) if foreign else (Connect.SILENT, KNOCK_US)
        if b.dark or b.nic_down or b.asleep_since_us is not None or b.outbound_only:
            return Connect.SILENT, KNOCK_US
        trip = self.way(a, b) + self.way(b, a)
        if trip > KNOCK_US:
            return Connect.SILENT, KNOCK_US
        if not b.running:
            return Connect.REFUSED, trip
        if b.paused:
            if b.accepted_unread > BACKLOG:
                return Connect.SILENT, KNOCK_US
            b.accepted_unread += 1
        return Connect.ACCEPTED, trip

    def knock(self, here: Host, name: str, epoch: int, address: Address) -> None:
        """TryConnect: how the kernel there answers."""
        outcome, after = self._answer(here, self._world.hosts[number_of(name)], address)
        self._world.after(after, self._answered, here, here.epoch, name, epoch, outcome)

    def _answered(self, here: Host, life: int, name: str, epoch: int, outcome: Connect) -> None:
        if here.epoch == life and here.running and not here.listens:
            here.untold.append(partial(self._answered, here, life, name, epoch, outcome))
        elif here.epoch == life and here.listens and here.member is not None:
            here.member.connect_answered(NodeName(name), epoch, outcome, self._world.clock(here))
            self._world.flush(here)

    def open(self, here: Host, to: Host, address: Address) -> bool:
        """Open a stream, if the way and the other process allow it; else the attempt's outcome is told in time."""
        if to.number in here.streams:
            return True
        outcome, after = self._answer(here, to, address)
        if outcome is not Connect.ACCEPTED or not to.listens or address != to.address:
            self._world.after(after, self._failed, here, here.epoch, to.name, outcome)
            return False
        self._opened += 1
        here.streams[to.number] = to.streams[here.number] = self._opened
        self._ends[self._opened] = {one.number: (one.epoch, one.address) for one in (here, to)}
        for one, other in ((here, to), (to, here)):
            self._world.after(after, self._stream_up, one, one.epoch, other.name)
        return True

    def _failed(self, here: Host, life: int, name: str, outcome: Connect) -> None:
        if here.epoch == life and here.listens and here.member is not None and outcome is not Connect.ACCEPTED:
            here.member.stream_failed(NodeName(name), outcome, self._world.clock(here))
            self._world.flush(here)

    def _stream_up(self, here: Host, life: int, name: str) -> None:
        if here.epoch == life and here.listens and here.member is not None:
            here.member.stream_up(NodeName(name), self._world.clock(here))
            self._world.flush(here)

    def acknowledge(self, here: Host, member: Member, clock: float) -> None:
        """Tell of silent peers whose kernels answer the keepalives of a standing stream: a stopped process has one."""
        for name in member.roster.silent():
            peer = self._world.hosts[number_of(name)]
            life, _ = self._ends.get(here.streams.get(peer.number, -1), {}).get(peer.number, (-1, peer.address))
            if life == peer.epoch and peer.running and self.passes(here, peer):
                member.stream_acknowledged(name, ACKNOWLEDGED_S, clock)

    def close(self, here: Host, to: Host) -> None:
        """DropStream: goodbye, then FIN. What the other side opened is its own, as node.links has it: a later life that
        has just joined by it waits for the answer (plan 8048)."""
        connection = here.streams.get(to.number)
        if connection is not None and next(iter(self._ends[connection])) == here.number:
            del here.streams[to.number]
            self._world.after(self.way(here, to), self.ends, to, here.number, connection, StreamEnd.GOODBYE)

    def give_up(self, here: Host, peer: int, connection: int) -> None:
        """Keepalives went unanswered for too long."""
        if here.streams.get(peer) == connection and not self.passes(here, self._world.hosts[peer]):
            self.ends(here, peer, connection, StreamEnd.RESET)

    def ends(self, here: Host, peer: int, connection: int, end: StreamEnd) -> None:
        """A stream ended, and this side learns of it; a process that does not run learns later."""
        if here.streams.get(peer) != connection:
            return
        if here.running and not here.listens:
            here.untold.append(partial(self.ends, here, peer, connection, end))
            return
        del here.streams[peer]
        if here.listens and here.member is not None:
            here.member.stream_ended(NodeName(self._world.hosts[peer].name), end, self._world.clock(here))
            self._world.flush(here)
