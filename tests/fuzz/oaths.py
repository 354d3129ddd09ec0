"""Signatures and proofs of the members that a fuzzed one knows: real keys, of a fleet of its own."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from meshfleet.gossip.messages import (
    Alive,
    Beat,
    Beats,
    Delta,
    Left,
    Obituary,
    Packet,
    RollAnswer,
    Row,
    SnapshotMessage,
    Suspect,
    Sync,
)
from meshfleet.gossip.tags import beat_tag, chain_end
from meshfleet.node.trust import seeded
from meshfleet.wire.notary import Notary

if TYPE_CHECKING:
    from meshfleet.fleet.state import Snapshot
    from meshfleet.gossip.messages import Message

NOW = 1_763_923_200.0

IDENTITIES = {name: seeded(b"k" * 32, name, NOW) for name in ("n0", "n1", "n2", "n9")}
NOTARIES = {
    name: Notary(identity.fleet, identity.key, identity.certificate, lambda: NOW)
    for name, identity in IDENTITIES.items()
}
LIVES = {("n0", 2), ("n1", 1), ("n2", 1), ("n9", 1)}
_TAGS = {beat_tag(*life): life for life in LIVES}


@lru_cache(maxsize=4_096)
def sworn_to(name: str, epoch: int, beat: int) -> bytes:
    """The proof of that heartbeat, or, of the first of a chain, its anchor."""
    return NOTARIES[name].prove(epoch, chain_end(beat_tag(name, epoch), beat), beat)


def sworn(packet: Packet) -> Packet:
    """The same, with every signature and proof good that is not said to be none: those that begin with an odd byte."""
    messages = tuple([_sworn(message) for message in packet.messages])
    return msgspec.structs.replace(
        packet, messages=messages, proof=_proof(packet.proof, packet.source, packet.epoch, packet.beat)
    )


def _proof(told: bytes, name: str, epoch: int, beat: int) -> bytes:
    good = name in NOTARIES and epoch < 8 and 0 < beat < 4_096 and not (told and told[0] % 2)
    return sworn_to(name, epoch, beat) if good else told


def _beats(beats: tuple[Beat, ...]) -> tuple[Beat, ...]:
    told: list[Beat] = []
    for beat in beats:
        name, epoch = _TAGS.get(beat.tag, ("", 0))
        told.append(msgspec.structs.replace(beat, proof=_proof(beat.proof, name, epoch, beat.counter)))
    return tuple(told)


def _signed(
    statement: Alive | Suspect | Left | Obituary | Row | Snapshot,
) -> Alive | Suspect | Left | Obituary | Row | Snapshot:
    by = getattr(statement, "by", None) or getattr(statement, "node", None) or getattr(statement, "name", "")
    if by not in NOTARIES or (statement.signature and statement.signature[0] % 2):
        return statement
    if isinstance(statement, Alive):
        anchor = _proof(statement.anchor, statement.name, statement.epoch, statement.beat)
        statement = msgspec.structs.replace(statement, anchor=anchor)
    return NOTARIES[by].sign(statement)


def _sworn(message: Message) -> Message:
    match message:
        case Alive() | Suspect() | Left() | Obituary() | Row():
            return _signed(message)  # type: ignore[return-value]  # of the kind that it was
        case SnapshotMessage(snapshot=shot):
            proof = _proof(message.proof, shot.node, shot.epoch, message.beat)
            return msgspec.structs.replace(message, snapshot=_signed(shot), proof=proof)
        case Delta():
            return msgspec.structs.replace(message, snapshots=tuple([_signed(shot) for shot in message.snapshots]))
        case Beats() | RollAnswer():
            return msgspec.structs.replace(message, entries=_beats(message.entries))
        case Sync():
            return msgspec.structs.replace(
                message,
                claims=tuple([_signed(claim) for claim in message.claims]),
                rows=tuple([_signed(row) for row in message.rows]),
                beats=msgspec.structs.replace(message.beats, entries=_beats(message.beats.entries)),
            )
    return message
