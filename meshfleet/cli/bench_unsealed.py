"""A mesh without any protection, to measure what protection costs: plain datagrams, plain TCP, no signatures.

Nodes of `meshfleet bench mesh` alone are made with this: no setting, flag or variable leads here, and a test sees to it
that nothing but the benchmark's node imports it. Whoever reaches such a node's port is believed whatever it says.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

from meshfleet.errors import ConfigError, Untrusted
from meshfleet.fleet.names import node_name
from meshfleet.gossip.limits import DATAGRAM_BYTES
from meshfleet.gossip.vouching import Trusting
from meshfleet.node.frames import Frames, Hello
from meshfleet.node.tls import MESH
from meshfleet.node.trust import Trust
from meshfleet.wire.identity import Certificate
from meshfleet.wire.seal import Sealer

if TYPE_CHECKING:
    import trio

    from meshfleet.gossip import vouching
    from meshfleet.node.network import Stream


class Unsealed(Trust):
    """Believes everybody. Its certificate goes to nobody; its name, in plain text, does."""

    def sealer(self) -> Sealer:
        """One that seals nothing."""
        return Plain(self.keyring)

    def vouching(self) -> vouching.Notary:
        """One that signs nothing."""
        return Trusting()

    async def greet(self, stream: Stream, *, dialled: bool) -> Hello:
        """Each side says its name. What was said to each other in one round trip of TLS takes one here too."""
        frames = Frames(cast("trio.SSLStream[Stream]", stream), stream)
        await frames.send(self.certificate.name.encode())
        return Hello(MESH, await frames.receive(), frames)

    def admit(self, der: bytes | None) -> Certificate:
        """Whoever says a name."""
        try:
            name = node_name((der or b"").decode())
        except (ConfigError, UnicodeDecodeError) as error:  # a certificate, from who speaks with trust
            raise Untrusted("it says no name") from error
        return Certificate(b"", name, "agent", b"", 0, 0.0, math.inf, b"")


class Plain(Sealer):
    """Datagrams as they are."""

    def seal(self, plain: bytes, context: bytes = b"", *, most: int = DATAGRAM_BYTES) -> bytes:
        """The same."""
        return plain

    def open(self, sealed: bytes, context: bytes = b"", *, most: int = DATAGRAM_BYTES) -> bytes:
        """The same."""
        return sealed

    def hold_to(self, sealed: bytes, name: str) -> None:
        """Anybody may say anything."""
