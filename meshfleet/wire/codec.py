"""Packets and messages as bytes, and back: strict, bounded, and Malformed or TooBig the only errors of reading.

A packet is a CBOR array; each message in it an array that begins with its integer tag. Heartbeat tables travel packed
(`wire.beattable`), ages in hundredths of a second rounded down, waiting times in milliseconds; all else is plain.
Later versions may append elements to any array, and add messages: what is not known is skipped, and unknown messages
are counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from operator import attrgetter
from typing import Annotated

import msgspec
from msgspec.structs import astuple

from meshfleet.errors import ConfigError, Malformed, TooBig
from meshfleet.fleet.names import AgentId, Epoch, NodeName, agent_id, node_name
from meshfleet.fleet.state import SNAPSHOT_LIMIT, Snapshot
from meshfleet.gossip.limits import MEMBERS
from meshfleet.gossip.messages import (
    Ack,
    Alive,
    Beats,
    Claim,
    Delta,
    Digest,
    Goodbye,
    Got,
    Have,
    Left,
    Message,
    Nack,
    Name,
    Number,
    Obituary,
    Packet,
    PathProbe,
    PathReport,
    PathTest,
    Ping,
    PingReq,
    Proof,
    Relay,
    Revoked,
    RollAnswer,
    RollCall,
    Row,
    Signature,
    SnapshotMessage,
    Sum,
    Suspect,
    Sync,
    Want,
)
from meshfleet.wire import cbor
from meshfleet.wire.beattable import AGE_LIMIT, centiseconds, pack, unpack
from meshfleet.wire.seal import FRAME_LIMIT, OVERHEAD
from meshfleet.wire.states import decode_state, encode_state

__all__ = ["PACKET_OVERHEAD", "decode_packet", "decode_state", "encode_packet", "encode_state", "size_of"]

PACKET_OVERHEAD = OVERHEAD + 1 + (2 + 64) + 9 + 9 + 5 + 9 + 3 + 9
"""Most bytes of a sealed datagram beside its messages: seal, array head, name, epoch, beat, age, clock, array head,
proof."""

UNKNOWN_MESSAGE = "unknown_message"
"""Counted for each message of an authentic packet whose tag this version does not know."""

_MAX_DEPTH = 8
"""Six are used: packet, messages, Sync, claims, Alive, NodeInfo. Two are left to later versions."""


class _Head(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A packet as it travels, before its messages are looked at."""

    source: Name
    epoch: Number
    beat: Number
    beat_age: Annotated[int, msgspec.Meta(ge=0, le=AGE_LIMIT)]
    wall_ms: Number
    messages: list[object]
    """Looked at one by one: to have 64 KiB of empty arrays copied as arrays took 45 ms, most of it for the garbage
    collector."""
    proof: Proof


class _Request(msgspec.Struct, frozen=True, array_like=True, tag=11, gc=False):
    """PingReq with its time in milliseconds."""

    seq: Number
    target: Name
    within: Annotated[int, msgspec.Meta(ge=0, le=10**10)]


class _Table(msgspec.Struct, frozen=True, array_like=True, tag=5, gc=False):
    """Beats, packed."""

    table: bytes


class _Answer(msgspec.Struct, frozen=True, array_like=True, tag=9, gc=False):
    """RollAnswer, its heartbeats packed."""

    order: Annotated[bytes, msgspec.Meta(min_length=4, max_length=4)]
    first: Annotated[int, msgspec.Meta(ge=0, le=MEMBERS)]
    told: Annotated[bytes, msgspec.Meta(max_length=128)]
    table: bytes


class _Shot(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Snapshot, with its ranges."""

    node: Name
    epoch: Number
    seq: Number
    follows: Number
    floor: Number
    agent: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    body: Annotated[bytes, msgspec.Meta(max_length=SNAPSHOT_LIMIT)]
    signature: Signature = b""


class _ShotMessage(msgspec.Struct, frozen=True, array_like=True, tag=20, gc=False):
    snapshot: _Shot
    until: Name | None = None
    beat: Number = 0
    beat_age: Annotated[int, msgspec.Meta(ge=0, le=AGE_LIMIT)] = 0
    proof: Proof = b""
    step: Number = 0


class _Shots(msgspec.Struct, frozen=True, array_like=True, tag=23, gc=False):
    """Delta, with the ranges of its snapshots."""

    node: Name
    epoch: Number
    after: Number
    upto: Number
    snapshots: list[_Shot]


class _Push(msgspec.Struct, frozen=True, array_like=True, tag=30, gc=False):
    """Sync, its parts not looked at yet."""

    claims: list[object]
    beats: object
    digest: object
    reply: bool
    rows: list[object] = []
    revoked: list[object] = []


def encode_packet(packet: Packet) -> bytes:
    """`packet` as bytes, to be sealed. Its limits are those of the transport; the seal refuses what is over them."""
    messages = [_plain(message) for message in packet.messages]
    return cbor.dump(
        [
            packet.source, packet.epoch, packet.beat, centiseconds(packet.beat_age), packet.wall_ms, messages,
            packet.proof,
        ]
    )  # fmt: skip


def decode_packet(data: bytes, counts: Counter[str] | None = None) -> Packet:
    """The packet that `data` holds. Unknown messages are left out, and counted in `counts` as `unknown_message`.

    Raises Malformed or TooBig. One bad message spoils the packet: half of what a broken sender says is no better.
    """
    if len(data) > FRAME_LIMIT:
        raise TooBig(f"a packet of {len(data)} bytes; at most {FRAME_LIMIT} travel.")
    try:
        head = msgspec.convert(cbor.load(data, max_depth=_MAX_DEPTH, text_keys=True), _Head, builtin_types=(bytes,))
        _check_name(head.source)
        messages = _messages(head.messages, _READERS, Counter() if counts is None else counts)
    except msgspec.ValidationError as error:
        raise Malformed(f"not a packet: {error}") from error
    return Packet(head.source, head.epoch, head.beat, head.beat_age / 100, head.wall_ms, messages, head.proof)


def size_of(message: Message) -> int:
    """Bytes that `message` takes in a packet, exactly."""
    return len(cbor.dump(_plain(message)))


# Writing: one list of plain values for each message. Most are their fields, behind their tag.


def _plain(message: Message) -> object:
    if isinstance(message, Beats):
        return [5, pack(message.entries, message.at, bare=message.asks)]
    if isinstance(message, SnapshotMessage):
        shot = msgspec.to_builtins(message.snapshot, builtin_types=(bytes,))
        plain_shot = [20, shot, message.until, message.beat, centiseconds(message.beat_age), message.proof]
        return [*plain_shot, message.step] if message.step else plain_shot
    if isinstance(message, RollAnswer):
        return [9, message.order, message.first, message.told, pack(message.entries, message.at, tag=0)]
    if isinstance(message, PingReq):
        return [11, message.seq, message.target, round(message.within * 1000)]
    if isinstance(message, Sync):
        claims = [_plain(claim) for claim in message.claims]
        rows = [_plain(row) for row in message.rows]
        revoked = [_plain(each) for each in message.revoked]
        return [30, claims, _plain(message.beats), _plain(message.digest), message.reply, rows, revoked]
    plain: object = msgspec.to_builtins(message, builtin_types=(bytes,))
    return plain


# Reading: one function for each tag. convert() on a union would look all its members up again at each call (7 us);
# on one Struct it takes 0.1 us.

_Reader = Callable[[object, Counter[str]], Message]


def _messages(plain: list[object], readers: dict[int, _Reader], counts: Counter[str]) -> tuple[Message, ...]:
    messages: list[Message] = []
    for item in plain:
        tag = item[0] if isinstance(item, list) and item else None
        if type(tag) is not int:
            raise Malformed("a message that does not begin with its number.")
        reader = readers.get(tag)
        if reader is not None:
            messages.append(reader(item, counts))
        else:
            counts[UNKNOWN_MESSAGE] += 1
    return tuple(messages)


def _reader(kind: type[Message], *names: str) -> _Reader:
    """Reads one kind of message, and makes sure that the fields `names` hold names."""
    get = attrgetter(*names) if names else None

    def read(item: object, counts: Counter[str]) -> Message:
        message = msgspec.convert(item, kind, builtin_types=(bytes,))
        if get is not None:
            found = get(message)
            for name in found if len(names) > 1 else (found,):
                _check_name(name)
        return message

    return read


def _read_alive(item: object, counts: Counter[str]) -> Alive:
    alive = msgspec.convert(item, Alive, builtin_types=(bytes,))
    _check_name(alive.name)
    for name in alive.info.relays:
        _check_name(name)
    return alive


def _read_beats(item: object, counts: Counter[str]) -> Beats:
    entries, bare = unpack(msgspec.convert(item, _Table, builtin_types=(bytes,)).table)
    return Beats(entries, 0.0, bare)


def _read_answer(item: object, counts: Counter[str]) -> RollAnswer:
    answer = msgspec.convert(item, _Answer, builtin_types=(bytes,))
    entries, bare = unpack(answer.table, tag=0)
    if bare or len(entries) != int.from_bytes(answer.told, "little").bit_count():
        raise Malformed(f"{len(entries)} heartbeats in an answer, not one with its proof for each bit that is set.")
    return RollAnswer(answer.order, answer.first, answer.told, entries)


def _read_request(item: object, counts: Counter[str]) -> PingReq:
    request = msgspec.convert(item, _Request)
    _check_name(request.target)
    return PingReq(request.seq, request.target, request.within / 1000)


def _read_snapshot(item: object, counts: Counter[str]) -> SnapshotMessage:
    shot = msgspec.convert(item, _ShotMessage, builtin_types=(bytes,))
    if shot.until is not None:
        _check_name(shot.until)
    return SnapshotMessage(_snapshot(shot.snapshot), shot.until, shot.beat, shot.beat_age / 100, shot.proof, shot.step)


def _read_delta(item: object, counts: Counter[str]) -> Delta:
    shots = msgspec.convert(item, _Shots, builtin_types=(bytes,))
    _check_name(shots.node)
    return Delta(shots.node, shots.epoch, shots.after, shots.upto, tuple([_snapshot(shot) for shot in shots.snapshots]))


def _read_digest(item: object, counts: Counter[str]) -> Digest:
    digest = msgspec.convert(item, Digest)
    _check_haves(digest.entries)
    return digest


def _read_want(item: object, counts: Counter[str]) -> Want:
    want = msgspec.convert(item, Want)
    _check_haves(want.entries)
    return want


def _read_sync(item: object, counts: Counter[str]) -> Sync:
    push = msgspec.convert(item, _Push)
    claims: list[Claim] = []
    for claim in _messages(push.claims, _CLAIM_READERS, counts):
        assert isinstance(claim, Alive | Suspect | Left | Obituary), "claim readers read claims"
        claims.append(claim)
    rows = tuple([_read_row(row, counts) for row in push.rows])
    revoked = tuple([_read_revoked(each, counts) for each in push.revoked])
    beats, digest = _read_beats(push.beats, counts), _read_digest(push.digest, counts)
    return Sync(tuple(claims), beats, digest, push.reply, rows, revoked)


def _read_revoked(item: object, counts: Counter[str]) -> Revoked:
    revoked = msgspec.convert(item, Revoked, builtin_types=(bytes,))
    _check_name(revoked.name)
    return revoked


def _read_row(item: object, counts: Counter[str]) -> Row:
    row = msgspec.convert(item, Row, builtin_types=(bytes,))
    for name in (row.name, *row.unreached) if row.until is None else (row.name, row.until, *row.unreached):
        _check_name(name)
    return row


def _snapshot(shot: _Shot) -> Snapshot:
    _check_name(shot.node)
    if not _is_agent_id(shot.agent):
        raise Malformed(f"{shot.agent!r} is not an agent's id.")
    node, epoch, seq, follows, floor, agent, body, signature = astuple(shot)
    return Snapshot(NodeName(node), Epoch(epoch), seq, follows, floor, AgentId(agent), body, signature)


def _check_haves(entries: tuple[Have, ...]) -> None:
    for have in entries:
        _check_name(have.node)


def _check_name(name: str) -> None:
    if not _is_name(name):
        raise Malformed(f"{name!r} is not a node's name.")


@lru_cache(maxsize=4096)
def _is_name(text: str) -> bool:
    """Cached, because the same few names come with every packet; lengths are checked before, so it stays small."""
    try:
        node_name(text)
    except ConfigError:
        return False
    return True


@lru_cache(maxsize=4096)
def _is_agent_id(text: str) -> bool:
    try:
        agent_id(text)
    except ConfigError:
        return False
    return True


_CLAIM_READERS: dict[int, _Reader] = {
    1: _read_alive,
    2: _reader(Suspect, "name", "by"),
    3: _reader(Left, "name", "by"),
    4: _reader(Obituary, "name", "by"),
}

_READERS: dict[int, _Reader] = _CLAIM_READERS | {
    5: _read_beats,
    6: _read_row,
    7: _read_revoked,
    8: _reader(RollCall),
    9: _read_answer,
    10: _reader(Ping, "target"),
    11: _read_request,
    12: _reader(Ack, "subject"),
    13: _reader(Nack, "subject"),
    14: _reader(Relay, "to"),
    20: _read_snapshot,
    21: _read_digest,
    22: _read_want,
    23: _read_delta,
    24: _reader(Got),
    30: _read_sync,
    31: _reader(Goodbye),
    32: _reader(Sum),
    40: _reader(PathProbe),
    41: _reader(PathTest),
    42: _reader(PathReport),
}
