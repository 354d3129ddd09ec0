"""Hypercorn's connections, speaking HTTP/1.1 alone.

Hypercorn changes to HTTP/2 for whoever begins with its preface or asks for an upgrade, whatever ALPN said. Its streams
have windows of their own: a reader that opens none holds an answer back for ever, and no limit on writes ends that, as
nothing is written. Nothing here needs HTTP/2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.tcp_server import TCPServer

if TYPE_CHECKING:
    import h11
    from hypercorn.protocol import ProtocolWrapper


class Connection(TCPServer):
    """See the module."""

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


class _Http11(H11Protocol):
    async def _check_protocol(self, event: h11.Request) -> None:
        """Whatever else is asked for: an upgrade may be declined by going on (RFC 9110, section 7.8)."""
