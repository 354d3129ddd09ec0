"""A small world in virtual time: members, a network between them, and what can go wrong with both.

Packets are passed as objects; their sizes are counted by a fixed rule of thumb. What a kernel would say (accept,
refuse, FIN, silence) follows the table that docs/design.md gives for real ones.
"""

from __future__ import annotations

import heapq
from collections import Counter
from random import Random
from typing import TYPE_CHECKING

import msgspec

from meshfleet.fleet.names import Address, AgentId, Epoch, NodeName
from meshfleet.fleet.presence import Presence
from meshfleet.fleet.timing import PRESETS, Timing
from meshfleet.gossip.member import Member
from meshfleet.gossip.messages import Beats, Connect, Message, NodeInfo, Packet, RollAnswer, StreamEnd, Via
from meshfleet.gossip.orders import DropStream, KeepStream, Outgoing, SendPacket, TryConnect
from meshfleet.gossip.vouching import Trusting

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshfleet.gossip.events import Event
    from meshfleet.gossip.record import Record
    from meshfleet.gossip.vouching import Notary

OVERHEAD = 80
SILENCE = 3.0
"""Seconds after which a connection attempt into silence is given up."""


def measure(message: Message) -> int:
    """About what a message costs on the wire."""
    return len(msgspec.msgpack.encode(message))


class Host:
    """One node's process and its kernel."""

    def __init__(self, member: Member, index: int) -> None:
        self.member = member
        self.index = index
        self.running = True
        self.dark = False
        """Its host answers nothing at all."""
        self.paused = False
        self.held: list[tuple[Packet, Address, Via]] = []
        self.streams: set[str] = set()
        self.events: list[Event] = []


class World:
    """All hosts and the network between them, driven by one heap."""

    def __init__(
        self,
        nodes: int,
        *,
        timing: Timing = PRESETS["lan"],
        seed: int = 0,
        delay: float = 0.001,
        loss: float = 0.0,
        notary: Callable[[str], Notary] = lambda _name: Trusting(),
    ) -> None:
        self.notary = notary
        self.now = 1_000.0
        self.udp_blocked: set[str] = set()
        """Nodes whose datagrams are lost, both ways; streams pass."""
        self.narrow: dict[str, int] = {}
        """Nodes to which no datagram comes that is larger than so many bytes."""
        self.hidden: set[str] = set()
        """Nodes behind address translation: they are seen at another address, which is good for answers alone."""
        self._dialled: set[tuple[str, str]] = set()
        """Who said anything to whom over a stream: the answer comes back over it."""
        self.relayed: Counter[str] = Counter()
        """Packets that each passed on."""
        self.unanswered: set[str] = set()
        """Nodes whose kernels answer no new connection: backlog full."""
        self.unopened: set[tuple[str, str]] = set()
        """From whom to whom no stream can be opened, though datagrams pass."""
        self.timing = timing
        self.rng = Random(f"{seed}/network")
        self.seed = seed
        self.delay = delay
        self.loss = loss
        self.cuts: set[tuple[str, str]] = set()
        self.refusing: set[tuple[str, str]] = set()
        self.hosts: dict[str, Host] = {}
        self.sent: Counter[str] = Counter()
        self.sent_bytes: Counter[str] = Counter()
        self.messages: Counter[str] = Counter()
        """Sent, by kind."""
        self.beats_told = 0
        """Heartbeats in tables and answers, heads not counted."""
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        for index in range(nodes):
            self.start(f"n{index}", join="n0" if index else None)

    # The story

    def start(
        self, name: str, *, join: str | None, epoch: int = 1, host: str | None = None, index: int | None = None
    ) -> Host:
        """A node's process begins."""
        if index is None:
            index = self.hosts[name].index if name in self.hosts else len(self.hosts)
        info = NodeInfo(host or f"h-{name}", f"10.0.0.{index}", 7878)
        rng = Random(f"{self.seed}/{name}/{epoch}")
        member = Member(
            NodeName(name), Epoch(epoch), info, self.timing, rng, measure, OVERHEAD, self.notary(name), self.now
        )
        self.hosts[name] = here = Host(member, index)
        if join is not None:
            member.join(self.address(join), self.now)
            member.keep_seeds((self.address(join),))
        self._flush(here)
        return here

    def run(self, seconds: float) -> None:
        """Let virtual time pass."""
        end = self.now + seconds
        while self._heap and self._heap[0][0] <= end:
            self.now, _, action = heapq.heappop(self._heap)
            action()
        self.now = end

    def kill(self, name: str) -> None:
        """SIGKILL: the kernel closes all sockets."""
        host = self.hosts[name]
        host.running = False
        for other in sorted(host.streams):
            self._end_stream(name, other, StreamEnd.EOF)

    def power_off(self, name: str) -> None:
        """The host goes dark: not even a refusal."""
        self.hosts[name].running = False
        self.hosts[name].dark = True

    def pause(self, name: str) -> None:
        """SIGSTOP."""
        self.hosts[name].paused = True

    def resume(self, name: str) -> None:
        """SIGCONT: what the kernel held is read, then timers run."""
        host = self.hosts[name]
        host.paused = False
        for packet, source, via in host.held:
            host.member.receive(packet, source, via, self.now)
        host.held.clear()
        host.member.handle_timer(self.now)
        self._flush(host)

    def cut(self, left: list[str], right: list[str], *, reject: bool = False) -> None:
        """No packet between these, either way; with `reject` a firewall refuses instead of silence."""
        pairs = {(a, b) for a in left for b in right} | {(b, a) for a in left for b in right}
        self.cuts |= pairs
        if reject:
            self.refusing |= pairs

    def heal(self) -> None:
        """All cuts end."""
        self.cuts.clear()
        self.refusing.clear()

    def publish(self, name: str, agent: str, body: bytes) -> None:
        """An agent at this node has news."""
        host = self.hosts[name]
        host.member.publish(AgentId(agent), body, self.now)
        self._flush(host)

    def do(self, name: str, action: Callable[[Member], object]) -> None:
        """Let a member do something, and send what comes of it."""
        action(self.hosts[name].member)
        self._flush(self.hosts[name])

    # What observers say

    def presence(self, observer: str, subject: str) -> Presence | None:
        """What one says of another."""
        record = self.hosts[observer].member.roster.get(subject)
        return None if record is None else record.presence

    def record(self, observer: str, subject: str) -> Record:
        """All that one knows of another."""
        record = self.hosts[observer].member.roster.get(subject)
        assert record is not None, f"{observer} does not know {subject}"
        return record

    def says(self, *observers: str, of: str) -> set[Presence | None]:
        """What these say of one."""
        return {self.presence(o, of) for o in observers if o != of}

    def all_fresh(self) -> bool:
        """Whether every running member calls every running member fresh."""
        up = [n for n, h in self.hosts.items() if h.running]
        return all(self.presence(a, b) is Presence.FRESH for a in up for b in up if a != b)

    def body(self, observer: str, node: str, agent: str) -> bytes | None:
        """What one holds of somebody's agent."""
        shelf = self.hosts[observer].member.replica.shelf(node)
        snapshot = None if shelf is None else shelf.held.get(AgentId(agent))
        return None if snapshot is None else snapshot.body

    # The machinery

    def address(self, name: str) -> Address:
        """Where it listens."""
        return Address(f"10.0.0.{self.hosts[name].index}", 7878)

    def _seen_at(self, name: str) -> Address:
        return Address("translator", self.hosts[name].index) if name in self.hidden else self.address(name)

    def _at(self, address: tuple[str, int]) -> str | None:
        there = [n for n in self.hosts if self._seen_at(n) == address]
        return next((n for n in there if self.hosts[n].running), there[0] if there else None)

    def _later(self, delay: float, action: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._heap, (self.now + delay, self._count, action))

    def _flush(self, host: Host) -> None:
        for out in host.member.outgoing(self.now):
            self._send(host, out)
        host.events += host.member.events()
        due = host.member.next_timer()
        self._later(max(0.0, due - self.now), lambda: self._tick(host))

    def _tick(self, host: Host) -> None:
        if host.running and not host.paused and host.member.next_timer() <= self.now:
            host.member.handle_timer(self.now)
            self._flush(host)

    def _send(self, host: Host, out: Outgoing) -> None:
        name = str(host.member.name)
        match out:
            case SendPacket():
                packet = host.member.envelope(out.messages, self.now, 0)
                if out.relay is not None:
                    self._relay(host, out.relay, str(out.to), packet, out.size)
                    return
                if out.to in self.hidden and out.host != "translator" and not self._stands(host, out):
                    return
                to = out.to if out.to is not None else self._at((out.host, out.port))
                self._deliver(name, to, packet, out.via)
            case TryConnect():
                self._connect(host, out.to, out.epoch)
            case KeepStream():
                self._later(2 * self.delay, lambda: self._open(name, out.to))
            case DropStream():
                self._end_stream(name, out.to, StreamEnd.GOODBYE)

    def _stands(self, host: Host, out: SendPacket) -> bool:
        dialled = out.via is Via.STREAM and (str(out.to), str(host.member.name)) in self._dialled
        return dialled or out.to in host.streams

    def _relay(self, host: Host, relay: str, to: str, packet: Packet, size: int) -> None:
        name, by = str(host.member.name), self.hosts[relay]

        def pass_on() -> None:
            if by.running and not by.paused and to in by.streams and self.hosts[to].running:
                member = by.member
                if member.ways.passes_on(to, size, member.listening.at(self.now)) is not None:
                    self.relayed[relay] += 1
                    self.hosts[to].member.receive(packet, self.address(name), Via.RELAY, self.now, 0.0)
                    self._flush(self.hosts[to])

        if (name, relay) not in self.cuts and (relay, to) not in self.cuts:
            self._later(2 * self.delay, pass_on)

    def _deliver(self, name: str, to: str | None, packet: Packet, via: Via) -> None:
        self.sent[name] += 1
        for message in packet.messages:
            self.messages[type(message).__name__] += 1
            if isinstance(message, RollAnswer) or (isinstance(message, Beats) and not message.asks):
                self.beats_told += len(message.entries)
        self.sent_bytes[name] += sum(measure(m) for m in packet.messages) + OVERHEAD
        if to not in self.hosts or (name, to) in self.cuts:
            return
        if via is Via.STREAM:
            self._dialled.add((name, to))
        if via is Via.DATAGRAM and (self.rng.random() < self.loss or self.udp_blocked & {name, str(to)}):
            return
        if via is Via.DATAGRAM and sum(measure(m) for m in packet.messages) + OVERHEAD > self.narrow.get(to, 1_400):
            return
        target, source = self.hosts[to], self._seen_at(name)

        def arrive() -> None:
            if not target.running or self.hosts[to] is not target or (name, to) in self.cuts:
                return
            if target.paused:
                if len(target.held) < 500:
                    target.held.append((packet, source, via))
                return
            target.member.receive(packet, source, via, self.now, 0.0)
            self._flush(target)

        self._later(self.delay * self.rng.uniform(0.5, 1.5), arrive)

    def _connect(self, host: Host, to: str, epoch: int) -> None:
        name, target = str(host.member.name), self.hosts[to]
        if (name, to) in self.refusing:
            outcome, after = Connect.REFUSED, self.delay
        elif (name, to) in self.cuts or to in self.unanswered | self.hidden:
            outcome, after = Connect.SILENT, SILENCE
        elif any(each.running and each.index == target.index for each in self.hosts.values()):
            outcome, after = Connect.ACCEPTED, 2 * self.delay  # be it another's, who has its address now
        elif target.dark:
            outcome, after = Connect.SILENT, SILENCE
        else:
            outcome, after = Connect.REFUSED, 2 * self.delay
        self._later(after, lambda: self._answer(host, to, epoch, outcome))

    def _answer(self, host: Host, to: str, epoch: int, outcome: Connect) -> None:
        if host.running and not host.paused:
            host.member.connect_answered(NodeName(to), epoch, outcome, self.now)
            self._flush(host)

    def _open(self, name: str, to: str) -> None:
        a, b = self.hosts[name], self.hosts[to]
        if (name, to) in self.unopened and to not in a.streams:
            self._later(SILENCE, lambda: self._not_opened(a, to))
            return
        if not (a.running and b.running) or b.paused or (name, to) in self.cuts or to in a.streams or to in self.hidden:
            return
        for here, there in ((a, to), (b, name)):
            here.streams.add(there)
            here.member.stream_up(NodeName(there), self.now)
            self._flush(here)

    def _not_opened(self, host: Host, to: str) -> None:
        if host.running and not host.paused:
            host.member.stream_failed(NodeName(to), Connect.SILENT, self.now)
            self._flush(host)

    def _end_stream(self, name: str, to: str, end: StreamEnd) -> None:
        self.hosts[name].streams.discard(to)
        other = self.hosts[to]
        if name not in other.streams:
            return
        other.streams.discard(name)
        if (name, to) in self.cuts:
            return

        def learn() -> None:
            if other.running and not other.paused:
                other.member.stream_ended(NodeName(name), end, self.now)
                self._flush(other)

        self._later(self.delay, learn)
