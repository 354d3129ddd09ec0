"""Hypercorn's connections, speaking HTTP/1.1 alone.

Hypercorn changes to HTTP/2 for whoever begins with its preface or asks for an upgrade, whatever ALPN said. Its streams
have windows of their own: a reader that opens none holds an answer back for ever, and no limit on writes ends that, as
nothing is written. Nothing here needs HTTP/2.

And it lets go of whoever has gone. Hypercorn keeps the connection for as long as the pause between two requests may
take (10 s), with all that was made for it: asked twice a second, by programs that hang up after each answer, a node
had 20 connections open that nobody was at the other end of, and forgot them so late that they were garbage of the kind
that is looked for least (see cli.memory).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from hypercorn.events import Updated
from hypercorn.protocol.events import Body, Data
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.protocol.ws_stream import WSStream
from hypercorn.trio.tcp_server import TCPServer

if TYPE_CHECKING:
    import h11
    from hypercorn.events import Event
    from hypercorn.protocol import ProtocolWrapper
    from hypercorn.protocol.events import Event as StreamEvent


class Connection(TCPServer):
    """See the module."""

    _said_all = False
    """Whether the client has closed its side: it still may read an answer, and asks no more."""

    async def _read_data(self) -> None:
        made = self.protocol
        alone = _Http11(
            made.app,
            made.config,
            made.context,
            made.task_group,
            made.state,
            made.ssl,
            made.client,
            made.server,
            made.send,
        )
        self.protocol = cast("ProtocolWrapper", alone)
        await super()._read_data()
        self._said_all = True
        await self.idle_task.stop()

    async def protocol_send(self, event: Event) -> None:
        """No pause begins in which nothing can come."""
        if not (self._said_all and isinstance(event, Updated)):
            await super().protocol_send(event)


class _Http11(H11Protocol):
    async def _check_protocol(self, event: h11.Request) -> None:
        """Whatever else is asked for: an upgrade may be declined by going on (RFC 9110, section 7.8)."""

    async def _create_stream(self, request: h11.Request) -> None:
        await super()._create_stream(request)
        if isinstance(self.stream, WSStream):
            self.stream.__class__ = _Socket  # Hypercorn makes it, and asks nobody which one


class _Socket(WSStream):
    """A WebSocket that is asked for."""

    async def handle(self, event: StreamEvent) -> None:
        """What comes before it is granted is dropped. Hypercorn answers that with a 400 of its own, while what was
        asked for is about to answer, too: two that write at once, and an error of ours in the log for each."""
        if not (isinstance(event, Body | Data) and not self.handshake.accepted):
            await super().handle(event)
