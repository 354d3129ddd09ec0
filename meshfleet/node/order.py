"""In which order a packet's messages are handled: what measures time first."""

from __future__ import annotations

import msgspec

from meshfleet.gossip.messages import (
    Ack,
    Alive,
    Delta,
    Left,
    Message,
    Nack,
    Obituary,
    Packet,
    Ping,
    PingReq,
    Row,
    SnapshotMessage,
    Suspect,
    Sync,
)

_PROBES = (Ping, PingReq, Ack, Nack)
_SIGNED = (Alive, Suspect, Left, Obituary, Row, SnapshotMessage)
"""Messages that are signed themselves."""

FEW = 3
"""Signatures that are looked at before a probe in the same packet is answered: less than half a millisecond."""


def _looks(message: Message) -> int:
    """At how many signatures it may take a look."""
    match message:
        case Sync():
            return len(message.claims) + len(message.rows)
        case Delta():
            return len(message.snapshots)
    return isinstance(message, _SIGNED)


def probes_first(packet: Packet) -> tuple[Packet, ...]:
    """The packet; in two where probes share it with many signatures, for these must not delay an answer. With a few
    they may: that saves a datagram."""
    messages = packet.messages
    if len(messages) == 1 or sum([_looks(message) for message in messages]) <= FEW:
        return (packet,)
    probes = tuple([message for message in messages if isinstance(message, _PROBES)])
    if not probes:
        return (packet,)
    rest = tuple([message for message in messages if not isinstance(message, _PROBES)])
    return tuple([msgspec.structs.replace(packet, messages=part) for part in (probes, rest)])
