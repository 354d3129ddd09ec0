"""What messages would cost on the wire, for a world in which they travel as objects."""

from __future__ import annotations

import msgspec

from meshfleet.gossip.messages import (
    Alive,
    Beats,
    Delta,
    Left,
    Message,
    Obituary,
    RollAnswer,
    Row,
    SnapshotMessage,
    Suspect,
    Sync,
)

OVERHEAD = 89
"""Bytes of a packet beside its messages: seal 36, head about 53."""

SIGNATURE, CREDENTIAL = 64, 101
"""Bytes of a signature, and of what the authority says of a node in its Alive."""

PROOF = 7
"""Bytes of a heartbeat's proof, beside those of none."""

SNAPSHOT = SIGNATURE + PROOF + 41
"""Bytes of a snapshot's message beside names and body."""

ROLL_ENTRY = 13
"""Bytes of an entry in an answer to a roll call, in a fleet that has been up for days."""

_ENCODER = msgspec.msgpack.Encoder()


def measure(message: Message) -> int:
    """About what a message costs on the wire, signed and proven: here nobody signs, so that is only counted. tests/sim
    holds it to the real codec."""
    if type(message) is SnapshotMessage:  # the two that nearly all packets consist of
        snapshot = message.snapshot
        return SNAPSHOT + 2 * len(snapshot.node) + len(snapshot.agent) + len(snapshot.body)
    if type(message) is Beats:
        return 5 + (8 if message.asks else 16) * len(message.entries)
    if type(message) is RollAnswer:
        return 12 + len(message.told) + ROLL_ENTRY * len(message.entries)
    return len(_ENCODER.encode(message)) + _unsigned(message)


def _unsigned(message: Message) -> int:
    """Bytes of the signatures, credentials and proofs that it would have."""
    if isinstance(message, Sync):
        return sum(map(_unsigned, message.claims)) + SIGNATURE * len(message.rows)
    if isinstance(message, Delta):
        return SIGNATURE * len(message.snapshots)
    if isinstance(message, Alive):
        return SIGNATURE + CREDENTIAL + PROOF
    return SIGNATURE if isinstance(message, Suspect | Left | Obituary | Row) else 0
