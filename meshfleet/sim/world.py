"""What happens next: a heap of events in integer microseconds, over hosts and the network between them.

The members are the very objects that a node runs. They are handed messages as objects; sizes come from one estimate.
Everything random is drawn from a generator of its own purpose, seeded by text, so that the same file and seed give
the same run on every machine and Python.
"""

from __future__ import annotations

import heapq
from collections import Counter
from functools import partial
from math import ceil
from random import Random
from typing import TYPE_CHECKING, Any, Protocol

from meshfleet.fleet.names import Address, AgentId, Epoch, NodeName
from meshfleet.gossip.member import Member
from meshfleet.gossip.messages import NodeInfo, Packet, StreamEnd, Via
from meshfleet.gossip.orders import DropStream, KeepStream, Outgoing, SendPacket, TryConnect
from meshfleet.gossip.vouching import Trusting
from meshfleet.sim.host import TRANSLATED, Host
from meshfleet.sim.measuring import OVERHEAD, measure
from meshfleet.sim.network import MICROSECONDS, Network
from meshfleet.sim.streams import KEEPALIVE_US, Streams, number_of
from meshfleet.sim.trace import Trace

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshfleet.fleet.timing import Timing
    from meshfleet.gossip.events import Event
    from meshfleet.gossip.rules import Rules

WITNESS_US = 1_000
"""How soon a process's end is known on its own machine."""

LOOK_US = 1_000_000
"""How often a node whom somebody is silent to looks whether kernels acknowledge, as node.driver has it."""

JOINED_BY = 8
"""Seeds and members of an earlier life by which a node joins at its start, as node.node has it."""


class Watcher(Protocol):
    """Who is told what happens, to keep the score."""

    def happened(self, host: Host, event: Event, now_us: int) -> None:
        """A member said something."""
        ...

    def truth_changed(self, now_us: int) -> None:
        """Who runs, or who reaches whom, is not what it was."""
        ...

    def published(self, host: Host, agent: str, now_us: int) -> None:
        """A new snapshot left its origin."""
        ...


class World:
    """Hosts, network, and time."""

    def __init__(self, network: Network, timing: Timing, rules: Rules, seed: str, watcher: Watcher) -> None:
        self.now_us = 0
        self.network = network
        self.hosts: list[Host] = []
        self.events = 0
        self.bytes_sent: Counter[int] = Counter()
        self.datagrams_sent: Counter[int] = Counter()
        self.trace = Trace()
        self._timing = timing
        self._rules = rules
        self._seed = seed
        self._watcher = watcher
        self._heap: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = 0
        self.streams = Streams(self)
        self._by_address: dict[tuple[str, int], Host] = {}
        self._moves = 0
        self._strangers: set[tuple[str, int]] = set()
        self.foreign = 0
        """Packets that went to a node of another fleet, whose key does not open them."""

    # Time

    def at(self, when_us: int, action: Callable[..., None], *args: object) -> None:
        """Have something happen."""
        self._count += 1
        heapq.heappush(self._heap, (when_us, self._count, action, args))

    def after(self, delay_us: int, action: Callable[..., None], *args: object) -> None:
        """Have something happen later."""
        self._count += 1
        heapq.heappush(self._heap, (self.now_us + delay_us, self._count, action, args))

    def run(self, until_us: int) -> None:
        """Let time pass."""
        heap = self._heap
        while heap and heap[0][0] <= until_us:
            self.now_us, _, action, args = heapq.heappop(heap)
            self.events += 1
            action(*args)
        self.now_us = until_us

    # Hosts

    def add(self, name: str, host: str, zone: str | None) -> Host:
        """A machine, with nothing running on it yet."""
        number = len(self.hosts)
        here = Host(name, number, host, zone)
        here.address = Address(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 7878)
        self.hosts.append(here)
        self._by_address[here.address] = here
        return here

    def start(self, here: Host, join: Host | None) -> None:
        """A node's process begins a life."""
        here.epoch = 1 + (here.epoch if here.member is None else max(here.epoch, here.member.epoch))
        here.running, here.left, here.died_at_us, here.woken_at_us = True, False, None, -1
        here.forget_what_waits()
        here.accepted_unread, here.paused, here.reads = 0, 0, None
        info = NodeInfo(here.host, here.address.host, here.address.port, here.zone, "agent")
        rng = Random(f"{self._seed}/{here.name}/{here.epoch}")
        before, at = here.member, self.clock(here)
        known = [] if before is None else [record.address for record in before.roster if not record.is_gone]
        here.member = Member(
            NodeName(here.name),
            Epoch(here.epoch),
            info,
            self._timing,
            rng,
            measure,
            OVERHEAD,
            Trusting(),
            at,
            self._rules,
        )
        seeds = here.seeds(join, known)
        here.member.keep_seeds(seeds)
        for seed in seeds[:JOINED_BY]:
            here.member.join(seed, at)
        self.note("start", here.name, here.epoch)
        self._watcher.truth_changed(self.now_us)
        self.flush(here)

    def kill(self, here: Host, *, silently: bool = False) -> None:
        """Its process ends: the kernel closes all sockets, unless the host itself goes dark (`silently`)."""
        if not here.running:
            return
        here.running, here.died_at_us = False, self.now_us
        here.dark = silently
        here.forget_what_waits()
        for peer, connection in sorted(here.streams.items()):
            other = self.hosts[peer]
            if silently:
                self.after(KEEPALIVE_US, self.streams.ends, other, here.number, connection, StreamEnd.RESET)
            elif self.streams.passes(here, other):
                self.after(
                    self.streams.way(here, other), self.streams.ends, other, here.number, connection, StreamEnd.EOF
                )
            else:
                self.after(KEEPALIVE_US, self.streams.ends, other, here.number, connection, StreamEnd.RESET)
        here.streams.clear()
        for beside in self.hosts:
            if not silently and beside is not here and beside.host == here.host:
                self.after(WITNESS_US, self._witnessed, beside, here.name, here.epoch)
        self.note("dark" if silently else "kill", here.name)
        self._watcher.truth_changed(self.now_us)

    def _witnessed(self, here: Host, name: str, epoch: int) -> None:
        """Whoever runs on the same machine sees the process end."""
        if self._rules.hearsay:  # it knows no witnesses
            return
        if here.listens and here.member is not None:
            here.member.witnessed_end(NodeName(name), epoch, self.clock(here))
            self.flush(here)
        elif here.running and not here.dark:
            here.untold.append(partial(self._witnessed, here, name, epoch))

    def readdress(self, here: Host, *, reused: bool) -> None:
        """A machine moves to a new address. At the old one is nobody, or (`reused`) a node of another fleet."""
        if reused:
            self._strangers.add(here.address)
        del self._by_address[here.address]
        self._moves += 1
        here.address = Address(f"172.16.{self._moves >> 8 & 255}.{self._moves & 255}", 7878)
        self._by_address[here.address] = here

    def is_foreign(self, address: Address) -> bool:
        """Whether a node of another fleet is there."""
        return address in self._strangers

    def leave(self, here: Host) -> None:
        """A goodbye; half a second later the process ends."""
        if here.member is not None and here.running:
            here.member.leave(self.clock(here))
            here.left = True
            self.flush(here)
            self._end_streams(here)
            self.after(500_000, self._end_after_leave, here, here.epoch)
            self._watcher.truth_changed(self.now_us)

    def _end_streams(self, here: Host) -> None:
        for peer, connection in sorted(here.streams.items()):
            other = self.hosts[peer]
            way = self.streams.way(here, other)
            self.after(way, self.streams.ends, other, here.number, connection, StreamEnd.GOODBYE)
        here.streams.clear()

    def _end_after_leave(self, here: Host, epoch: int) -> None:
        if here.epoch == epoch:
            self._end_streams(here)  # those that were begun since: its next life has none of them
            here.running = False
            self._watcher.truth_changed(self.now_us)

    def pause(self, here: Host) -> None:
        """SIGSTOP."""
        here.stop(self.now_us)

    def resume(self, here: Host) -> None:
        """SIGCONT: it catches up."""
        here.go_on(self.now_us)
        if here.listens:
            self._catch_up(here)

    def sleep(self, here: Host) -> None:
        """The machine is suspended."""
        here.asleep_since_us = self.now_us
        self._watcher.truth_changed(self.now_us)

    def wake(self, here: Host) -> None:
        """It wakes, and says so to its member, as the driver's watch on the clocks does."""
        if here.asleep_since_us is None:
            return
        here.asleep_us += self.now_us - here.asleep_since_us
        here.asleep_since_us = None
        self._watcher.truth_changed(self.now_us)
        if here.member is not None and here.listens:
            if self._rules.listening:
                here.member.slept(self.clock(here))
            self._catch_up(here)

    def tell_sleep(self, here: Host, *, begins: bool) -> None:
        """The system tells its member."""
        if here.member is not None and here.listens and not here.left:
            (here.member.fall_asleep if begins else here.member.wake_up)(self.clock(here))
            self.flush(here)

    def publish(self, here: Host, agent: str, body: bytes) -> None:
        """An agent has news."""
        if here.member is not None and here.listens and not here.left:
            here.member.publish(AgentId(agent), body, self.clock(here))
            self._watcher.published(here, agent, self.now_us)
            self.flush(here)

    def barrier_changed(self) -> None:
        """Streams across a new barrier end after a while, if it is still there then."""
        self._watcher.truth_changed(self.now_us)
        for here in self.hosts:
            for peer, connection in sorted(here.streams.items()):
                if not self.streams.passes(here, self.hosts[peer]):
                    self.after(KEEPALIVE_US, self.streams.give_up, here, peer, connection)

    # The machinery

    def note(self, *what: object) -> None:
        """One line of the trace."""
        self.trace.note(self.now_us, *what)

    def clock(self, here: Host) -> float:
        """The host's own monotonic clock, now."""
        return here.clock(self.now_us)

    def _catch_up(self, here: Host) -> None:
        """What the kernel held is read, then timers run. Where it does not matter whether one was listening it is the
        other way round: memberlist's timers fire at once, on threads of their own, before a reader has read it all."""
        assert here.member is not None
        if not self._rules.listening:
            here.member.handle_timer(self.clock(here))
        here.accepted_unread = 0
        for _ in range(here.takes(len(here.held))):
            packet, source, via = here.held.popleft()
            self._receive(here, here.member, packet, source, via)
        here.hear_the_rest()
        if self._rules.listening:
            here.member.handle_timer(self.clock(here))
        self.flush(here)

    def flush(self, here: Host) -> None:
        """Send what the member has to send, and set its next timer: what a driver does after every input."""
        member = here.member
        assert member is not None
        clock = here.clock(self.now_us)
        for out in member.outgoing(clock):
            if type(out) is SendPacket:
                self._send_packet(here, member, out, clock)
            else:
                self._order(here, out)
        for event in member.events():
            self._watcher.happened(here, event, self.now_us)
        self._wake_at(here, member.next_timer(), clock)

    def _wake_at(self, here: Host, due: float, clock: float) -> None:
        """Have the member's timers run then, by its own clock, which shows `clock` now."""
        # Never early, and never in this same microsecond: a tick before its time would only ask for itself again.
        due_us = self.now_us + max(1, ceil((due - clock) * MICROSECONDS))
        if here.woken_at_us < self.now_us or due_us < here.woken_at_us:
            here.woken_at_us = due_us
            self.at(due_us, self._tick, here, here.epoch)

    def _tick(self, here: Host, epoch: int) -> None:
        if here.epoch != epoch or here.woken_at_us > self.now_us:
            return
        here.woken_at_us = -1
        member = here.member
        if not here.listens or member is None:
            return
        clock = self.clock(here)
        due = member.next_timer()
        if due > clock:  # what it was set for has been called off
            self._wake_at(here, due, clock)
            return
        if member.roster.doubted and self.now_us >= here.looked_at_us + LOOK_US:
            here.looked_at_us = self.now_us
            self.streams.acknowledge(here, member, clock)
        member.handle_timer(clock)
        self.flush(here)

    def _order(self, here: Host, out: Outgoing) -> None:
        match out:
            case TryConnect():
                self.streams.knock(here, out.to, out.epoch, Address(out.host, out.port))
            case KeepStream():
                self.streams.open(here, self.hosts[number_of(out.to)], Address(out.host, out.port))
            case DropStream():
                self.streams.close(here, self.hosts[number_of(out.to)])

    def _send_packet(self, here: Host, member: Member, out: SendPacket, clock: float) -> None:
        self.bytes_sent[here.number] += out.size
        self.datagrams_sent[here.number] += out.via is Via.DATAGRAM
        if here.nic_down:
            if not self._rules.hearsay:
                member.send_refused(clock)
            return
        to = self._by_address.get((out.host, out.port)) or self._translated(here, out)
        if to is None or (to.translated and out.host == to.address.host and not self._has_stream(here, to, out)):
            self.foreign += (out.host, out.port) in self._strangers
            return
        packet = member.envelope(out.messages, clock, here.wall_ms(self.now_us))
        if here.capacity is None:
            self._leaves(here, to, packet, out)
        elif (wait := here.capacity.out(out.size, self.now_us, patient=out.via is Via.STREAM)) is not None:
            self.after(wait, self._leaves, here, to, packet, out)

    def _leaves(self, here: Host, to: Host, packet: Packet, out: SendPacket) -> None:
        """A packet is on its way."""
        if out.relay is not None:
            self.streams.relay(here, to, packet, out)
            return
        if out.via is Via.DATAGRAM:
            if here.outbound_only:
                here.asked_us[to.number] = self.now_us
            if not to.outbound_only or to.lets_in(here.number, self.now_us):
                for way in self.network.arrivals_us(here.number, to.number):
                    self.after(way, self.reach, to, packet, here.seen_at(to.number), out.via)
        elif to.number in here.streams or self.streams.open(here, to, Address(out.host, out.port)):
            self.streams.send(here, to, packet)

    def _translated(self, here: Host, out: SendPacket) -> Host | None:
        """Who is behind a translator, if `here` is whom that address is good for."""
        number = out.host.removeprefix(TRANSLATED)
        mine = number != out.host and out.port == here.number
        return self.hosts[int(number)] if mine and self.hosts[int(number)].translated else None

    def _has_stream(self, here: Host, to: Host, out: SendPacket) -> bool:
        return out.via is Via.STREAM and to.number in here.streams

    def reach(self, to: Host, packet: Packet, source: Address, via: Via) -> None:
        """A packet reaches its host, and arrives when it is its turn there."""
        if to.capacity is None or not to.running:
            self.arrive(to, packet, source, via)
        elif (wait := to.capacity.read(self.now_us)) is not None:
            self.after(wait, self.arrive, to, packet, source, via)

    def arrive(self, to: Host, packet: Packet, source: Address, via: Via) -> None:
        """A packet arrives: read, held by the kernel, or lost."""
        if not to.running or to.dark or to.nic_down or to.asleep_since_us is not None:
            return
        if to.paused or to.held or (to.reads is not None and not to.takes(1)):
            to.hold(packet, source, via)
            return
        assert to.member is not None
        self._receive(to, to.member, packet, source, via)
        self.flush(to)

    def _receive(self, here: Host, member: Member, packet: Packet, source: Address, via: Via) -> None:
        now_us = self.now_us
        offset = (packet.wall_ms - here.wall_ms(now_us)) / 1000
        member.receive(packet, source, via, here.clock(now_us), offset)
