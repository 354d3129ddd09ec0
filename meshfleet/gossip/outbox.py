"""What is to be sent, packed: messages to one receiver share datagrams, and rumors fill what room is left."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from meshfleet.fleet.names import Address, NodeName
from meshfleet.gossip.budget import Budget
from meshfleet.gossip.limits import CONNECTS, DATAGRAM_BYTES, FRAME_BYTES, OUTBOX, STATE_OUTBOX, Counts
from meshfleet.gossip.messages import Beats, Delta, Message, RollAnswer, SnapshotMessage, Via
from meshfleet.gossip.orders import DropStream, KeepStream, Outgoing, SendPacket, TryConnect

if TYPE_CHECKING:
    from meshfleet.gossip.beats import Heartbeats
    from meshfleet.gossip.record import Record
    from meshfleet.gossip.rumors import Measure, Rumors
    from meshfleet.gossip.ways import Ways

FOR_BEATS = 400
"""Bytes of a datagram that claims leave to heartbeats that are to be passed on. Signed claims take some 100 bytes each:
when many are told at once, as where a cut heals, heartbeats would wait behind them, and silence seem longer."""

RELAY_HEAD = 80
"""Bytes of a Relay beside what it carries: the longest name, and heads."""

_STATE = (SnapshotMessage, Delta)

_Place = tuple[str, int, NodeName | None, Via]


class Outbox:
    """Collects what one input gives rise to, and hands it out as few packets.

    A message that does not fit a datagram goes over a stream instead. Bounded: when the driver does not fetch, the
    oldest go.
    """

    def __init__(
        self,
        measure: Measure,
        overhead: int,
        rumors: Rumors,
        beats: Heartbeats,
        counts: Counts,
        ways: Ways,
        state_rate: float,
    ) -> None:
        self.ways = ways
        self._budget = Budget(state_rate)
        self._late: deque[tuple[_Place, Message, int]] = deque()
        """State traffic beyond the budget: it goes when there is room, in its order."""
        self._late_bytes = 0
        self.measure = measure
        """Bytes of a message."""
        self._overhead = overhead
        self._datagram_room = DATAGRAM_BYTES - overhead
        self._rumors = rumors
        self._beats = beats
        self._counts = counts
        self._messages: dict[_Place, list[tuple[Message, int]]] = {}
        self._orders: deque[TryConnect | KeepStream | DropStream] = deque()
        self.waiting = 0
        """Messages and orders that were not handed out yet."""
        self._states = 0
        """How many of them are state traffic."""
        self.connecting = 0
        """Attempts to connect that nobody has answered yet."""
        self.datagrams = 0
        """How many have been handed out."""

    def datagram(self, record: Record, *messages: Message) -> None:
        """Send to a member by datagram, or by stream what does not fit one."""
        self.datagram_to(record.address, record.name, *messages)

    def datagram_to(self, address: Address, to: NodeName | None, *messages: Message) -> None:
        """Send by datagram to an address, whoever is there."""
        host, port = address
        room = self._datagram_room - (RELAY_HEAD + self._overhead if self.ways.is_hidden(to) else 0)
        for message in messages:
            size = self.measure(message)
            via = Via.DATAGRAM if size <= room else Via.STREAM
            self._put((host, port, to, via), message, size)

    def straight(self, record: Record, *messages: Message) -> None:
        """Send by datagram to where a member says that it listens, though it has relays."""
        self.datagram_to(record.address, None, *messages)

    def stream(self, record: Record, *messages: Message) -> None:
        """Send over the stream to a member; the driver opens one if none is there."""
        self.stream_to(record.address, record.name, *messages)

    def stream_to(self, address: Address, to: NodeName | None, *messages: Message) -> None:
        """Send over a stream to an address."""
        for message in messages:
            self._put((address.host, address.port, to, Via.STREAM), message, self.measure(message))

    def connect(self, record: Record) -> None:
        """Find out whether its kernel accepts a connection, unless very many are being asked: each is a socket, and any
        packet may want one (PingReq)."""
        if self.connecting >= CONNECTS:
            self._counts["refused_connect"] += 1
            return
        self.connecting += 1
        self._order(TryConnect(record.address.host, record.address.port, record.name, record.epoch))

    def keep_stream(self, record: Record) -> None:
        """Hold a standing stream to it."""
        self._order(KeepStream(record.address.host, record.address.port, record.name, record.epoch))

    def drop_stream(self, name: NodeName) -> None:
        """A standing stream is no longer needed."""
        self._order(DropStream(name))

    def drain(self, members: int, at: float) -> list[Outgoing]:
        """Everything that waits, packed. Afterwards nothing waits but state traffic beyond the budget, for `wait`
        seconds. `members` are known; `at` is listening seconds."""
        self._budget.fill(at)
        while self._late and self._budget.take(self._late[0][2]):
            place, message, size = self._late.popleft()
            self._late_bytes -= size
            self._messages.setdefault(place, []).append((message, size))
        waiting, self._messages, self.waiting, self._states = self._messages, {}, len(self._late), len(self._late)
        out: list[Outgoing] = [*self._orders]
        self._orders.clear()
        for (host, port, to, via), messages in waiting.items():
            room, head, relay, rides = self._datagram_room, self._overhead, None, via is Via.DATAGRAM
            by = self.ways.way(to, (host, port), at)
            if by is not None and by.name == to:
                via = Via.STREAM
            elif by is not None:
                (host, port), relay, head = by.address, by.name, head + RELAY_HEAD + self._overhead
                room -= RELAY_HEAD + self._overhead
            for packed, size in _pack(messages, room if rides else FRAME_BYTES):
                goes = via
                if rides and size > room:  # since this was put its receiver said that it has relays
                    goes = Via.STREAM
                elif rides:
                    self.datagrams += 1
                    size += self._take_along(packed, room - size, members, at)
                out.append(SendPacket(host, port, to, goes, tuple(packed), size + head, relay))
        return out

    def _take_along(self, packed: list[Message], room: int, members: int, at: float) -> int:
        """Fill what room a datagram has left: claims first, but for what is kept for heartbeats. How many bytes that
        took."""
        took, are_hot = 0, self._beats.are_hot
        if self._rumors:
            claims, took = self._rumors.take(room - (FOR_BEATS if are_hot else 0), members)
            packed += claims
        answers = any([type(message) is RollAnswer for message in packed])  # its receiver has said what it lacks
        if are_hot and not answers and (table := self._beats.take(room - took, at)) is not None:
            if (size := self.measure(table)) > room - took:
                table, size = self._fitting(table, size, room - took, at)
            if table.entries:
                packed.append(table)
                took += size
        if self._beats.are_late and (asks := self._beats.ask(room - took, at)) is not None:
            packed.append(asks)
            took += self.measure(asks)
        return took

    def _fitting(self, table: Beats, size: int, room: int, at: float) -> tuple[Beats, int]:
        """What fits of a table that is larger than was reckoned, and its bytes; the rest stays to be told."""
        fits = table.entries
        while fits and size > room:
            fits = fits[: min(len(fits) - 1, len(fits) * max(room, 0) // size)]
            size = self.measure(Beats(fits, at))
        self._beats.put_back(table.entries[len(fits) :], at)
        return Beats(fits, at), size

    def _put(self, place: _Place, message: Message, size: int) -> None:
        if isinstance(message, _STATE):
            if self._states >= STATE_OUTBOX:
                self._counts["dropped_state"] += 1
                return
            late = self._late or not self._budget.take(size)
            if late and isinstance(message, Delta):
                self._counts["unanswered_want"] += 1
                return
            if late and self._late_bytes + size > self._budget.longest:
                self._counts["dropped_state"] += 1
                return
            self._states += 1
            if late:
                self._counts["late_state"] += 1
                self._late.append((place, message, size))
                self._late_bytes += size
                self.waiting += 1
                return
        if self.waiting >= OUTBOX:
            self._make_room()
        self._messages.setdefault(place, []).append((message, size))
        self.waiting += 1

    @property
    def wait(self) -> float | None:
        """Seconds until some of what is left may go; None where nothing is."""
        return self._budget.wait + 1e-3 if self._late else None

    def _order(self, order: TryConnect | KeepStream | DropStream) -> None:
        if self.waiting >= OUTBOX:
            self._make_room()
        self._orders.append(order)
        self.waiting += 1

    def _make_room(self) -> None:
        self._counts["dropped_outgoing"] += 1
        self.waiting -= 1
        if self._orders:
            self.connecting -= isinstance(self._orders.popleft(), TryConnect)
            return
        if not self._messages:
            self._late_bytes -= self._late.popleft()[2]
            return
        place = next(iter(self._messages))
        self._messages[place].pop(0)
        if not self._messages[place]:
            del self._messages[place]


def _pack(messages: list[tuple[Message, int]], room: int) -> list[tuple[list[Message], int]]:
    """First fit in order: lists of messages with their bytes."""
    if len(messages) == 1:  # as nearly always
        return [([messages[0][0]], messages[0][1])]
    packets: list[tuple[list[Message], int]] = []
    packed: list[Message] = []
    taken = 0
    for message, size in messages:
        if packed and size > room - taken:
            packets.append((packed, taken))
            packed, taken = [], 0
        packed.append(message)
        taken += size
    packets.append((packed, taken))
    return packets
