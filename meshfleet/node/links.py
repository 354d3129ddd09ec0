"""All streams of a node: standing ones that the member wants kept, others as messages need them, and those that
peers open."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Protocol

import trio

from meshfleet.errors import JoinError, Untrusted
from meshfleet.fleet.names import Address, NodeName
from meshfleet.gossip.messages import Connect, Message, Packet, StreamEnd
from meshfleet.node.link import UNPROVEN, Link
from meshfleet.node.network import Network, Stream, whose_error

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from meshfleet.node.frames import Hello
    from meshfleet.node.trust import MeshTrust

KNOCK = 3.5
"""Seconds that a connection attempt lives: ARP's word about a host that is gone takes 3.05 s (measured, Linux)."""

IDLE = 15.0
"""Seconds after which a stream that was opened for a message, and is not a standing one, is closed."""

LINKS = 1_024
"""Streams at once, either way. Further messages that need a new one are dropped: `dropped_link`."""


STRANGERS = 256
"""Inbound streams at once of whom it is not known yet whether they belong here. Half of all that are taken in, so that
these don't keep members out. The next one pushes out the oldest of the address that has most: `crowded_out`. So it
takes many addresses, or some thousand connections a second, to keep a newcomer out who needs a tenth of one."""


class TurnedAway(JoinError):
    """The other side hung up where it should have shown that it lets this node in."""


class Owner(Protocol):
    """Who is told what happens on streams: the driver."""

    counts: Counter[str]

    def encode(self, messages: tuple[Message, ...]) -> bytes:
        """The packet that carries `messages`, as bytes."""
        ...

    def packet_arrived(self, packet: Packet, link: Link) -> None:
        """An authentic frame."""
        ...

    def stream_up(self, name: NodeName) -> None:
        """A stream with that peer stands."""
        ...

    def stream_ended(self, name: NodeName, end: StreamEnd) -> None:
        """The last stream with that peer ended."""
        ...

    def met_another(self, name: NodeName, address: Address, by: NodeName) -> None:
        """A stream to a peer met another there, by its certificate."""
        ...

    def dial_failed(self, name: NodeName | None, outcome: Connect | None) -> None:
        """A stream could not be opened; None: there was no room for it here, and nobody was asked."""
        ...

    async def entered(self, hello: Hello, source: Address) -> None:
        """Somebody came to the entrance: a newcomer, or a member for a certificate or a ring."""
        ...

    async def may_send(self, name: NodeName | None) -> None:
        """Returns once nothing stands between this node and that peer."""
        ...

    def count(self, what: str) -> None:
        """One more of something, by name."""
        ...

    def fault(self, error: Exception) -> None:
        """Something of ours failed over one stream, which ends; the others go on."""
        ...


class Links:
    """Finds or makes the stream that a message is to go by."""

    def __init__(self, network: Network, trust: MeshTrust, owner: Owner, nursery: trio.Nursery) -> None:
        self._network = network
        self._trust = trust
        self._owner = owner
        self._nursery = nursery
        self._by_name: dict[NodeName, list[Link]] = {}
        self._dialling: dict[Address, Link] = {}
        self._strangers: dict[Link, None] = {}
        """Those who came, the oldest first, until they are known."""

    def send(self, to: NodeName | None, address: Address, messages: tuple[Message, ...]) -> None:
        """Send by the stream to `to`, or to whoever is at `address`; open one if there is none."""
        link = self._find(to, address) or self._dial(to, address)
        if link is not None:
            link.send(messages)

    def keep(self, to: NodeName, address: Address) -> None:
        """Hold a standing stream."""
        link = self._find(to, address) or self._dial(to, address)
        if link is None:
            self._owner.dial_failed(to, None)
        else:
            link.kept = True

    def drop(self, to: NodeName) -> None:
        """A standing stream is no longer needed."""
        for link in self._by_name.get(to, []):
            if link.kept and link.dialled:
                link.close()

    async def reach(self, address: Address) -> NodeName:
        """Who is at `address`, once it has shown that it belongs to the fleet; JoinError says why not."""
        link = self._dialled(address) or self._dial(None, address)
        if link is None:
            raise JoinError(f"{address}: too many streams are open already ({LINKS}).")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_when, link.ready, nursery.cancel_scope)
            nursery.start_soon(_when, link.over, nursery.cancel_scope)
        if not link.ready.is_set() or link.peer is None:
            if link.failure == UNPROVEN:
                raise TurnedAway(f"{address}: {UNPROVEN}.")
            raise JoinError(f"{address}: {link.failure or 'no answer'}.")
        return link.peer

    async def accept(self, stream: Stream, source: Address) -> None:
        """Serve a stream that somebody opened."""
        link = Link(source, None, dialled=False, count=self._owner.count)
        if len(self._strangers) >= STRANGERS:
            self._push_one_out()
        self._strangers[link] = None
        try:
            await self._run(link, stream)
        finally:
            self._strangers.pop(link, None)

    async def close_idle(self) -> None:
        """Close what nobody has used for a while, and what outlived the certificate that opened it; for ever."""
        while True:
            await trio.sleep(IDLE / 3)
            now, today = trio.current_time(), self._trust.wall()
            for links in list(self._by_name.values()):
                for link in links:
                    if today >= link.not_after:
                        _outlived(link)
                    elif link.dialled and not link.kept and now - link.active_at > IDLE:
                        link.close()

    def acknowledged_ago(self, name: NodeName) -> float | None:
        """Seconds since the kernel of `name` last acknowledged anything on a stream with it; None where that can't
        be known."""
        ages = [link.stream.acknowledged_ago() for link in self._by_name.get(name, []) if link.stream is not None]
        return min((age for age in ages if age is not None), default=None)

    def throw_out(self, name: NodeName) -> None:
        """End all streams with that peer at once."""
        for link in [*self._by_name.get(name, []), *(each for each in self._dialling.values() if each.peer == name)]:
            link.throw_out("it was revoked")

    def give_up_all(self) -> None:
        """End all streams at once, without a word: the address that they stand from is no more."""
        for link in [*self._dialling.values(), *(link for links in self._by_name.values() for link in links)]:
            link.throw_out("this machine has another address")

    def close_all(self) -> None:
        """Say goodbye on every stream."""
        for links in self._by_name.values():
            for link in links:
                link.close()

    def __len__(self) -> int:
        return sum(len(links) for links in self._by_name.values())

    def _find(self, to: NodeName | None, address: Address) -> Link | None:
        links = [] if to is None else [link for link in self._by_name.get(to, []) if not link.is_closing]
        if links:
            # Of a copied state dir two processes have one name: what is for one of them is not for the other.
            return next((link for link in reversed(links) if link.address == address), links[-1])
        return self._dialled(address)

    def _dialled(self, address: Address) -> Link | None:
        link = self._dialling.get(address)
        return None if link is None or link.is_closing else link

    def _dial(self, to: NodeName | None, address: Address) -> Link | None:
        if len(self) + len(self._dialling) >= LINKS:
            self._owner.count("dropped_link")
            return None
        link = self._dialling[address] = Link(address, to, dialled=True, count=self._owner.count)
        self._nursery.start_soon(self._dial_and_run, link)
        return link

    async def _dial_and_run(self, link: Link) -> None:
        try:
            stream = await self._open(link)
            if stream is not None:
                await self._run(link, stream)
        finally:
            link.end()
            if self._dialling.get(link.address) is link:
                del self._dialling[link.address]

    async def _open(self, link: Link) -> Stream | None:
        outcome, link.failure = Connect.SILENT, f"no answer within {KNOCK} s"
        with trio.move_on_after(KNOCK):
            try:
                await self._owner.may_send(link.peer)
                stream = await self._network.dial(link.address)
            except OSError as error:
                outcome = whose_error(error)
                link.failure = (
                    "connection refused: nobody listens there"
                    if outcome is Connect.REFUSED
                    else (error.strerror or str(error)).lower()
                )
            except Exception as error:
                link.failure = "this node failed"
                self._owner.fault(error)
            else:
                if not link.is_closing:
                    link.failure = None
                    return stream
                outcome = Connect.ACCEPTED  # and thrown out meanwhile, when there was nothing yet to end
                await trio.aclose_forcefully(stream)
        self._owner.dial_failed(link.peer, outcome)
        return None

    async def _run(self, link: Link, stream: Stream) -> None:
        def receive(packet: Packet, link: Link) -> None:
            if not link.ready.is_set():
                if self._trust.is_revoked(packet.source):  # since it showed its certificate, a moment ago
                    raise Untrusted(f"{packet.source} was revoked")
                self._introduced(link, NodeName(packet.source))
            self._owner.packet_arrived(packet, link)

        end = StreamEnd.DROPPED
        try:
            owner = self._owner
            end = await link.run(
                stream, self._trust, owner.encode, receive, owner.may_send, owner.entered, owner.counts
            )
        except Exception as error:
            self._owner.fault(error)
        finally:
            self._gone(link)
        if link.sought is not None and link.peer is not None:
            self._owner.met_another(link.sought, link.address, link.peer)
        if link.peer is not None and link.ready.is_set() and not self._by_name.get(link.peer):
            self._owner.stream_ended(link.peer, end)

    def _push_one_out(self) -> None:
        crowd = Counter(link.address.host for link in self._strangers).most_common(1)[0][0]
        oldest = next(link for link in self._strangers if link.address.host == crowd)
        del self._strangers[oldest]
        oldest.throw_out("others came before it had shown that it belongs to this fleet")
        self._owner.count("crowded_out")

    def _introduced(self, link: Link, name: NodeName) -> None:
        self._strangers.pop(link, None)
        self._by_name.setdefault(name, []).append(link)
        if self._dialling.get(link.address) is link:
            del self._dialling[link.address]
        self._nursery.start_soon(self._tell_up, name)

    async def _tell_up(self, name: NodeName) -> None:
        self._owner.stream_up(name)

    def _gone(self, link: Link) -> None:
        if link.peer is None or link not in (links := self._by_name.get(link.peer, [])):
            return
        links.remove(link)
        if not links:
            del self._by_name[link.peer]


def _outlived(link: Link) -> None:
    """A stream is judged when it begins, and stands for months. Who has a new certificate, as all that are well have
    long since, shows it for the next one. Who does not hang up at the goodbye gets no other."""
    if link.is_closing:
        link.throw_out("its certificate has ended")
    else:
        link.close()


async def _when(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel()


async def knock(network: Network, address: Address, may_send: Callable[[], Awaitable[None]]) -> Connect:
    """How the kernel at `address` answers a connection attempt. What it accepts is reset at once."""
    with trio.move_on_after(KNOCK):
        await may_send()
        try:
            stream = await network.dial(address)
        except OSError as error:
            return whose_error(error)
        await stream.aclose()
        return Connect.ACCEPTED
    return Connect.SILENT
