"""What a member has its driver do: send, connect, hold streams and let go of them."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from meshfleet.fleet.names import Epoch, NodeName
from meshfleet.gossip.messages import Message, Via


class SendPacket(msgspec.Struct, frozen=True, gc=False):
    """Send these messages to one member (or, before anyone is known, to a bare address)."""

    host: str
    port: int
    to: NodeName | None
    via: Via
    messages: tuple[Message, ...]
    size: int
    """Bytes of it, head and seal included, as the measure passed in counts them."""
    relay: NodeName | None = None
    """Who is at that address, and is to pass it on to `to`, where nobody can reach `to` itself."""


class TryConnect(msgspec.Struct, frozen=True, gc=False):
    """Open a TCP connection to that member, say nothing, reset it, and report how the kernel answered."""

    host: str
    port: int
    to: NodeName
    epoch: Epoch


class KeepStream(msgspec.Struct, frozen=True, gc=False):
    """Hold a standing stream to that member open, until told otherwise; report its end."""

    host: str
    port: int
    to: NodeName
    epoch: Epoch


class DropStream(msgspec.Struct, frozen=True, gc=False):
    """The standing stream to that member is no longer needed: say goodbye and close it."""

    to: NodeName


Outgoing: TypeAlias = SendPacket | TryConnect | KeepStream | DropStream
