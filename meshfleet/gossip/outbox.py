"""What is to be sent, packed: messages to one receiver share datagrams, and rumors fill what room is left."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from meshfleet.fleet.names import Address, NodeName
from meshfleet.gossip.limits import DATAGRAM_BYTES, FRAME_BYTES, OUTBOX, Counts
from meshfleet.gossip.messages import DropStream, KeepStream, Message, Outgoing, SendPacket, TryConnect, Via

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshfleet.gossip.roster import Record
    from meshfleet.gossip.rumors import Measure, Rumors

_Place = tuple[str, int, NodeName | None, Via]


class Outbox:
    """Collects what one input gives rise to, and hands it out as few packets.

    A message that does not fit a datagram goes over a stream instead. Bounded: when the driver does not fetch, the
    oldest go.
    """

    def __init__(self, measure: Measure, overhead: int, rumors: Rumors, counts: Counts) -> None:
        self._measure = measure
        self._datagram_room = DATAGRAM_BYTES - overhead
        self._rumors = rumors
        self._counts = counts
        self._waiting: dict[_Place, list[tuple[Message, int]]] = {}
        self._orders: deque[TryConnect | KeepStream | DropStream] = deque()
        self._held = 0

    def datagram(self, record: Record, *messages: Message) -> None:
        """Send to a member by datagram, or by stream what does not fit one."""
        self.datagram_to(record.address, record.name, *messages)

    def datagram_to(self, address: Address, to: NodeName | None, *messages: Message) -> None:
        """Send by datagram to an address, whoever is there."""
        for message in messages:
            size = self._measure(message)
            via = Via.DATAGRAM if size <= self._datagram_room else Via.STREAM
            self._put((address.host, address.port, to, via), message, size)

    def stream(self, record: Record, *messages: Message) -> None:
        """Send over the stream to a member; the driver opens one if none is there."""
        self.stream_to(record.address, record.name, *messages)

    def stream_to(self, address: Address, to: NodeName | None, *messages: Message) -> None:
        """Send over a stream to an address."""
        for message in messages:
            self._put((address.host, address.port, to, Via.STREAM), message, self._measure(message))

    def connect(self, record: Record) -> None:
        """Find out whether its kernel accepts a connection."""
        self._order(TryConnect(record.address.host, record.address.port, record.name, record.epoch))

    def keep_stream(self, record: Record) -> None:
        """Hold a standing stream to it."""
        self._order(KeepStream(record.address.host, record.address.port, record.name, record.epoch))

    def drop_stream(self, name: NodeName) -> None:
        """A standing stream is no longer needed."""
        self._order(DropStream(name))

    def drain(self, members: int) -> Iterator[Outgoing]:
        """Everything that waits, packed. Afterwards nothing waits."""
        waiting, self._waiting, self._held = self._waiting, {}, 0
        orders, self._orders = self._orders, deque()
        yield from orders
        for (host, port, to, via), messages in waiting.items():
            room = self._datagram_room if via is Via.DATAGRAM else FRAME_BYTES
            for packed, left in _pack(messages, room):
                if via is Via.DATAGRAM:
                    packed += self._rumors.take(left, members)
                yield SendPacket(host, port, to, via, tuple(packed))

    def _put(self, place: _Place, message: Message, size: int) -> None:
        self._make_room()
        self._waiting.setdefault(place, []).append((message, size))
        self._held += 1

    def _order(self, order: TryConnect | KeepStream | DropStream) -> None:
        self._make_room()
        self._orders.append(order)
        self._held += 1

    def _make_room(self) -> None:
        if self._held < OUTBOX:
            return
        self._counts["dropped_outgoing"] += 1
        self._held -= 1
        if self._orders:
            self._orders.popleft()
            return
        place = next(iter(self._waiting))
        self._waiting[place].pop(0)
        if not self._waiting[place]:
            del self._waiting[place]


def _pack(messages: list[tuple[Message, int]], room: int) -> Iterator[tuple[list[Message], int]]:
    """First fit in order: lists of messages with the bytes that are left beside them."""
    packed: list[Message] = []
    left = room
    for message, size in messages:
        if packed and size > left:
            yield packed, left
            packed, left = [], room
        packed.append(message)
        left -= size
    if packed:
        yield packed, max(0, left)
