"""Lends a Member a clock, sockets and streams. Decides nothing: whatever needs a test of its own belongs in the core.

Each input is followed by `_flush`: send what is outgoing, and move the wake-up. That is the one thing to forget here,
so every input passes through `_with_member`.
"""

from __future__ import annotations

from collections import Counter, deque
from functools import partial
from typing import TYPE_CHECKING

import msgspec
import trio

from meshfleet.errors import MeshfleetError, TooBig, WireError
from meshfleet.fleet.names import Address, NodeName
from meshfleet.gossip.events import CastOut, Event, Joined, Restarted
from meshfleet.gossip.limits import DATAGRAM_BYTES
from meshfleet.gossip.messages import (
    Connect,
    Message,
    Packet,
    Relay,
    Revoked,
    StreamEnd,
    Sync,
    Via,
)
from meshfleet.gossip.orders import DropStream, KeepStream, Outgoing, SendPacket, TryConnect
from meshfleet.logs import get_logger
from meshfleet.node.clocks import SuspendWatch
from meshfleet.node.links import Links, knock
from meshfleet.node.order import probes_first
from meshfleet.node.paths import OF_PATHS, Paths
from meshfleet.node.process import Process, parse
from meshfleet.node.relaying import Relaying
from meshfleet.wire.codec import decode_packet, encode_packet
from meshfleet.wire.seal import UnknownKey

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from meshfleet.gossip.member import Member
    from meshfleet.node.frames import Hello
    from meshfleet.node.link import Link
    from meshfleet.node.machine import Machine
    from meshfleet.node.network import Datagrams, Network
    from meshfleet.node.trust import MeshTrust

FAULTS = 100
"""Errors of our own while handling inputs that a node survives within FAULTS_WITHIN. At it the node ends: better gone
than wrong. Over months so many may come together of a defect that does no harm."""

FAULTS_WITHIN = 3_600.0
"""Seconds, see there."""

LOOK_EVERY = 1.0
"""Seconds between two looks at whose kernels acknowledge, while anybody is silent."""

WITNESSED = 512
"""Processes of this machine that are watched at once. Deaths of further ones are found as those of other machines
are."""

_CHECKED = (Revoked, Sync)
"""Messages in which there may be something that only the fleet's owner can say."""

_BESIDE = (Relay, *OF_PATHS)
"""Messages that the core does not hear: they are the driver's own business."""

log = get_logger("meshfleet.node")


class Driver:
    """See the module. `run` lives as long as the node."""

    def __init__(
        self,
        member: Member,
        network: Network,
        datagrams: Datagrams,
        trust: MeshTrust,
        *,
        enter: Callable[[Hello, Address], Awaitable[None]],
        machine: Machine,
        wall_ms: Callable[[], int],
        on_events: Callable[[list[Event]], None],
    ) -> None:
        self.member = member
        self.counts: Counter[str] = Counter()
        self._network = network
        self._datagrams = datagrams
        self._sealer = trust.sealer()
        self._trust = trust
        self._enter = enter
        self.missed_key = False
        """Whether a datagram named a key that this node does not have, since that was last looked at. Strangers can set
        it: so nobody is dialled because of it but members, and those seldom."""
        self._machine = machine
        self._wall_ms = wall_ms
        self._on_events = on_events
        self._sleep = trio.CancelScope()
        self._links: Links | None = None
        self._relaying = Relaying(self)
        self._nursery: trio.Nursery | None = None
        self._paths: Paths | None = None
        self._changes = 0
        """Of the member, when last told."""
        self._lag = 0.0
        self._suspend = SuspendWatch(machine.asleep)
        self._looked_at = 0.0
        self._faults: deque[float] = deque(maxlen=FAULTS)
        """When the last ones were."""
        self._watched: dict[NodeName, trio.CancelScope] = {}
        """Whose processes are watched, each that of a node's newest life."""
        self._blocked: frozenset[NodeName] = frozenset()
        self._unblocked = trio.Event()

    @property
    def links(self) -> Links:
        """The node's streams."""
        assert self._links is not None, "the driver is not running"
        return self._links

    @property
    def paths(self) -> Paths:
        """Tests of the paths to peers."""
        assert self._paths is not None, "the driver is not running"
        return self._paths

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Drive the member until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            self._links = Links(self._network, self._trust, self, nursery)
            self._paths = Paths(self, self._network, nursery)
            nursery.start_soon(self._receive_forever)
            nursery.start_soon(self._wake_when_due)
            nursery.start_soon(self._links.close_idle)
            task_status.started()

    def tell(self, what: Callable[[Member, float], None]) -> None:
        """Let something happen to the member, and send what comes of it."""
        now = self._machine.now()
        try:
            what(self.member, now)
        except Exception as error:
            self.fault(error)
        self._flush(now)

    # What arrives

    async def _receive_forever(self) -> None:
        while True:
            for data, source in await self._datagrams.receive():
                packet = self.opened(data)
                if packet is not None:
                    self.receive(packet, source, Via.DATAGRAM)

    def opened(self, data: bytes, most: int = DATAGRAM_BYTES) -> Packet | None:
        """What a datagram holds; None where it is none of this fleet's."""
        try:
            packet = decode_packet(self._sealer.open(data, most=most), self.counts)
            self._sealer.hold_to(data, packet.source)
        except WireError as error:
            self.counts[f"drop_{error.cause}"] += 1
            if isinstance(error, UnknownKey):
                self.missed_key = True
            return None
        return packet

    def took_missed_key(self) -> bool:
        """Whether a key was missed; and look anew from here on."""
        missed, self.missed_key = self.missed_key, False
        return missed

    def packet_arrived(self, packet: Packet, link: Link) -> None:
        """A stream's frame."""
        self.receive(packet, link.address, Via.STREAM)

    def receive(self, packet: Packet, source: Address, via: Via) -> None:
        """An authentic packet, from wherever."""
        if packet.source in self._blocked:
            return
        if any(isinstance(message, _CHECKED) for message in packet.messages):
            packet = self._without_forgeries(packet, via)
        if any(isinstance(message, _BESIDE) for message in packet.messages):
            packet = self._relaying.without(packet, via, self._machine.now())
            packet = self.paths.without(packet, source, via)
        offset = (packet.wall_ms - self._wall_ms()) / 1000
        for part in probes_first(packet):
            self.tell(partial(_receive, part, source, via, offset))

    def _without_forgeries(self, packet: Packet, via: Via) -> Packet:
        """The packet with those revocations alone that the owner made: the core believes what it is told."""
        self.member.vouching.brought_by(packet.source, via, self.member.listening.at(self._machine.now()))
        messages: list[Message] = []
        for message in packet.messages:
            if isinstance(message, Revoked) and not self._is_genuine(message):
                continue
            if isinstance(message, Sync) and message.revoked:
                genuine = tuple([each for each in message.revoked if self._is_genuine(each)])
                message = msgspec.structs.replace(message, revoked=genuine)
            messages.append(message)
        return msgspec.structs.replace(packet, messages=tuple(messages))

    def _is_genuine(self, revoked: Revoked) -> bool:
        """Whether the owner said so. Looked at as signatures of members are: not where it is known already, nor for a
        while where too much of what the same peer brought proved forged."""
        if self.member.outcasts.holds(revoked):
            return True
        if not self.member.vouching.may_look():
            return False
        if self._trust.is_genuine(revoked):
            return True
        self.counts["drop_forged"] += 1
        self.member.vouching.caught("revoked", revoked.name)
        return False

    async def entered(self, hello: Hello, source: Address) -> None:
        """Somebody came to the entrance."""
        await self._enter(hello, source)

    def stream_up(self, name: NodeName) -> None:
        """A peer's stream stands."""
        self.tell(lambda member, now: member.stream_up(name, now))

    def stream_ended(self, name: NodeName, end: StreamEnd) -> None:
        """The last stream with a peer ended."""
        self.tell(lambda member, now: member.stream_ended(name, end, now))

    def met_another(self, name: NodeName, address: Address, by: NodeName) -> None:
        """A stream to a peer met another there, by its certificate."""
        self.tell(lambda member, now: member.stream_usurped(name, address, by, now))

    def dial_failed(self, name: NodeName | None, outcome: Connect | None) -> None:
        """A stream to a peer could not be opened; None: for want of room here."""
        if name is not None:
            self.tell(lambda member, now: member.stream_failed(name, outcome, now))

    def _answered(self, name: NodeName, epoch: int, outcome: Connect) -> None:
        self.tell(lambda member, now: member.connect_answered(name, epoch, outcome, now))

    # The clock

    async def _wake_when_due(self) -> None:
        while True:
            due = self._machine.moment(self.member.next_timer())
            with trio.CancelScope(deadline=due) as self._sleep:
                await trio.sleep_forever()
            now = self._machine.now()
            # The worst of late, fading by half each second or so: one late wake-up is seen, an old one forgotten.
            self._lag = max(now - self.member.next_timer(), self._lag * 0.9)
            self.member.judging.loop_lag = self._lag
            self._look_around(now)
            self.tell(lambda member, at: member.handle_timer(at))

    def _look_around(self, now: float) -> None:
        """What only the system can tell: whether it slept, and whose kernels still acknowledge."""
        if self._suspend.slept() is not None:
            self._sealer.renew()  # the machine may be a restored copy, with salt and counter of the original
            self.tell(lambda member, at: member.slept(at))
        if now < self._looked_at + LOOK_EVERY:
            return
        self._looked_at = now
        for name in self.member.roster.silent():
            ago = self.links.acknowledged_ago(name)
            if ago is not None and name not in self._blocked:  # by a demo's cut, through which no kernel would answer
                self.member.stream_acknowledged(name, ago, now)

    @property
    def lag(self) -> float:
        """Seconds by which timers came late of late."""
        return self._lag

    def _watch_process(self, name: str) -> None:
        """If that member runs on this machine, watch its process; no longer that of its life before, which may go on:
        nodes inside of agents begin anew in one process."""
        record, me = self.member.roster.get(name), parse(self.member.membership.me.info.process)
        process = None if record is None else parse(record.info.process)
        if record is not None and (before := self._watched.pop(record.name, None)) is not None:
            before.cancel()
        if record is None or me is None or process is None or process.machine != me.machine or process == me:
            return
        if len(self._watched) < WITNESSED:
            assert self._nursery is not None
            scope = self._watched[record.name] = trio.CancelScope()
            self._nursery.start_soon(self._witness, record.name, record.epoch, process, scope)

    async def _witness(self, name: NodeName, epoch: int, process: Process, scope: trio.CancelScope) -> None:
        ended = False
        with scope:
            ended = await self._machine.watch(process)
        if self._watched.get(name) is scope:
            del self._watched[name]
        if ended:
            self.tell(lambda member, now: member.witnessed_end(name, epoch, now))

    def _flush(self, now: float) -> None:
        for out in self.member.outgoing(now):
            self.send(out)
        events = list(self.member.events())
        for event in events:
            if isinstance(event, Joined | Restarted):
                self._watch_process(event.name)
            elif isinstance(event, CastOut):
                self._trust.cast_out(event.revoked)
                self.links.throw_out(NodeName(event.revoked.name))
        if events or self.member.changes != self._changes:  # what a member says of itself may change without an event
            self._changes = self.member.changes
            self._on_events(events)
        if self._sleep.deadline != (due := self._machine.moment(self.member.next_timer())):
            self._sleep.deadline = due

    # What is sent

    def send(self, out: Outgoing) -> None:
        """One order of the member's."""
        match out:
            case SendPacket(relay=str()):
                self._relaying.send(out)
            case SendPacket(via=Via.DATAGRAM):
                self.send_datagram(out.to, Address(out.host, out.port), out.messages)
            case SendPacket():
                self.links.send(out.to, Address(out.host, out.port), out.messages)
            case TryConnect():
                assert self._nursery is not None
                self._nursery.start_soon(self._knock, out)
            case KeepStream():
                self.links.keep(out.to, Address(out.host, out.port))
            case DropStream():
                self.links.drop(out.to)

    def send_datagram(self, to: str | None, there: Address, messages: tuple[Message, ...]) -> None:
        """One datagram, unless a demo cut `to` off."""
        if to in self._blocked:
            return
        data = self.seal(messages, DATAGRAM_BYTES)
        if data is not None and self._datagrams.send(data, there) is Connect.OWN_ERROR:
            self.member.send_refused(self._machine.now())

    def seal(self, messages: tuple[Message, ...], most: int) -> bytes | None:
        """The datagram that carries `messages`; None where it would have more than `most` bytes."""
        try:
            return self._sealer.seal(self.encode(messages), most=most)
        except TooBig:
            self.counts["datagram_too_big"] += 1  # the core packs by size: a bug of ours, and no reason to stop
            return None

    def encode(self, messages: tuple[Message, ...]) -> bytes:
        """The packet that carries `messages`, as bytes."""
        return encode_packet(self.packet(messages))

    def packet(self, messages: tuple[Message, ...]) -> Packet:
        """The packet that carries `messages`."""
        return self.member.envelope(messages, self._machine.now(), self._wall_ms())

    async def _knock(self, out: TryConnect) -> None:
        outcome = Connect.SILENT
        try:
            outcome = await knock(self._network, Address(out.host, out.port), lambda: self.may_send(out.to))
        except Exception as error:
            self.fault(error)  # a bug of ours, and one peer's matter: the others' go on
        self._answered(out.to, out.epoch, outcome)

    def count(self, what: str) -> None:
        """One more of something, by name."""
        self.counts[what] += 1

    # The demo's cuts

    def block(self, names: frozenset[NodeName]) -> None:
        """Lose every packet to and from these, in silence, until told otherwise."""
        self._blocked = names
        self._unblocked.set()
        self._unblocked = trio.Event()

    async def may_send(self, name: NodeName | None) -> None:
        """Return once nothing stands between this node and `name`: a cut stream stalls, it does not break."""
        while name in self._blocked:
            await self._unblocked.wait()

    def fault(self, error: Exception) -> None:
        """Something of ours failed over one input, or over one peer."""
        self.counts["fault"] += 1
        log.error("an input could not be handled; the node goes on", faults=self.counts["fault"], exc_info=error)
        now = self._machine.now()
        self._faults.append(now)
        if len(self._faults) == FAULTS and now - self._faults[0] < FAULTS_WITHIN:
            raise MeshfleetError(
                f"{FAULTS} inputs in an hour could not be handled, the last because of {error!r}. This node ends."
            ) from error


def _receive(packet: Packet, source: Address, via: Via, offset: float, member: Member, now: float) -> None:
    member.receive(packet, source, via, now, offset)
