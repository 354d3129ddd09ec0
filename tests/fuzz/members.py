"""A member that hears authentic packets, whatever is in them: what the driver does with a datagram that opened.

What it then holds is bounded by `gossip/limits.py`, and what it says in answer by what it was told and knows. It knows
two others, whose words and heartbeats are looked at as those of real ones are: with `sworn`, packets that say so are
signed and proven on their way in, for no engine guesses a signature.
"""

from __future__ import annotations

import re
from random import Random
from typing import TYPE_CHECKING
from zlib import crc32

import cbor2
import msgspec
from hypothesis import strategies as st

from meshfleet.fleet.names import Address, AgentId, Epoch, NodeName
from meshfleet.fleet.timing import PRESETS
from meshfleet.gossip.member import Member
from meshfleet.gossip.messages import Alive, Beats, NodeInfo, Packet, RollAnswer, Sync, Trouble, Via
from meshfleet.gossip.orders import SendPacket
from meshfleet.gossip.tags import beat_tag
from meshfleet.gossip.vouching import Trusting
from meshfleet.wire.codec import PACKET_OVERHEAD, decode_packet, encode_packet, size_of
from tests.fuzz.oaths import NOTARIES, sworn, sworn_to
from tests.wire.strategies import BY_KIND, numbers, proofs

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshfleet.gossip.messages import Message
    from meshfleet.gossip.vouching import Notary

NAMES = ("n0", "n1", "n2", "n9")
"""The member itself, two that it knows, and one that it does not."""

HERE = Address("10.0.0.1", 7878)
BEGAN = 1_000.0

LONGEST = 4_000

ANSWERED = 64
"""Bytes of answers for each byte of a packet: an Alive of some 300 answers an older word of five."""

ANSWERED_ANYHOW = 64 * 1_024
"""Bytes of answers besides: all that is known here, as often as one packet gets it."""


def info_of(name: str, *relays: str) -> NodeInfo:
    """What each says of itself."""
    return NodeInfo(f"h-{name}", "10.0.0.1", 7878, relays=relays)


def member_of(notary: Notary, now: float = BEGAN) -> Member:
    """n0, which knows n1 and n2, and has agents, as n2 has. n1 passes on for n0, n0 for n2."""
    me = info_of("n0", "n1")
    member = Member(NodeName("n0"), Epoch(2), me, PRESETS["lan"], Random(1), size_of, PACKET_OVERHEAD, notary, now)
    for name, relays in (("n1", ()), ("n2", ("n0",))):
        alive = NOTARIES[name].sign(Alive(name, 1, 0, info_of(name, *relays)))
        alive = NOTARIES[name].sign(msgspec.structs.replace(alive, anchor=sworn_to(name, 1, 0)))
        member.receive(Packet(name, 1, 0, 0.0, 1, (alive,)), HERE, Via.STREAM, now)
    member.stream_up(NodeName("n2"), now)
    for agent in ("n0/a", "n0/b"):
        member.publish(AgentId(agent), bytes(200), now)
    member.handle_timer(now)
    member.outgoing(now)
    return member


def hear(data: bytes) -> None:
    """Packets, each behind its length in two bytes; a byte in front says how long before it, and by which way."""
    _hear(data, member_of(Trusting()), lambda packet: packet)


def hear_sworn(data: bytes) -> None:
    """The same with real signatures and proofs."""
    _hear(data, member_of(NOTARIES["n0"]), sworn)


def split(data: bytes) -> list[tuple[int, bytes]]:
    """Each packet, and the byte before it."""
    packets: list[tuple[int, bytes]] = []
    while len(data) > 3:
        size = int.from_bytes(data[1:3], "big")
        packets.append((data[0], data[3 : 3 + size]))
        data = data[3 + size :]
    return packets


def joined(packets: list[tuple[int, bytes]]) -> bytes:
    """The same as one input."""
    return b"".join(bytes((how,)) + len(data).to_bytes(2, "big") + data for how, data in packets)


def _hear(data: bytes, member: Member, swear: Callable[[Packet], Packet]) -> None:
    now = BEGAN
    for how, encoded in split(data):
        packet = swear(decode_packet(encoded))
        now += (how >> 2) / 8
        if member.next_timer() <= now:
            member.handle_timer(now)
            _say(member, now)
        member.receive(packet, HERE, Via(1 + how % 3), now)
        said = _say(member, now)
        assert said <= ANSWERED * len(encoded) + ANSWERED_ANYHOW, f"{said} bytes in answer to {len(encoded)}"
        for _ in member.events():
            pass


def _say(member: Member, now: float) -> int:
    """What is to be sent, encoded; its bytes."""
    sent = [out for out in member.outgoing(now) if isinstance(out, SendPacket)]
    return sum([len(encode_packet(member.envelope(out.messages, now, 1))) for out in sent])


_ALIVE, _SYNC = 1, 30
_WORDS = frozenset(Trouble)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
TAGS = [beat_tag(*life) for life in (("n0", 1), ("n0", 2), ("n1", 1), ("n2", 1), ("n9", 1))]
ORDER = crc32(b"".join([tag.to_bytes(5, "big") for tag in sorted(TAGS[1:4])])).to_bytes(4, "big")
"""Of the members that there are at first: else no roll call would mean anything."""


def tamed(item: object, rng: Random) -> object:
    """The same about few names and with small numbers, so that what is heard meets what is known."""
    if isinstance(item, str) and item not in _WORDS and _NAME.fullmatch(item):
        return NAMES[crc32(item.encode()) % 4]
    if isinstance(item, bytes) and len(item) == len(ORDER) and rng.randrange(8):
        return ORDER
    if type(item) is int and rng.randrange(8):
        return item % 4 if item > 31 else item
    return [tamed(each, rng) for each in item] if isinstance(item, list) else item


def _of_somebody(message: Message, rng: Random) -> Message:
    """Tables of heartbeats are bytes: what is in them is tamed before."""
    if isinstance(message, Sync):
        return msgspec.structs.replace(message, beats=_of_somebody(message.beats, rng))
    if not isinstance(message, Beats | RollAnswer) or not rng.randrange(8):
        return message
    entries = [
        msgspec.structs.replace(beat, tag=TAGS[beat.tag % len(TAGS)], counter=1 + beat.counter % 40, proof=bytes(8))
        for beat in message.entries
    ]
    return msgspec.structs.replace(message, entries=tuple(entries))


def tamed_packet(packet: Packet, rng: Random) -> bytes:
    """All of a packet's messages tamed; most Alives are of somewhere, and most heartbeats of somebody."""
    told = tuple([_of_somebody(message, rng) for message in packet.messages])
    plain = cbor2.loads(encode_packet(msgspec.structs.replace(packet, messages=told)))
    plain[5] = [[message[0], *(tamed(each, rng) for each in message[1:])] for message in plain[5]]
    for said in [*plain[5], *[claim for sync in plain[5] if sync[0] == _SYNC for claim in sync[1]]]:
        if said[0] == _ALIVE and rng.randrange(8):
            said[4][1] = HERE.host
    plain[0] = rng.choice(NAMES)
    return cbor2.dumps([tamed(each, rng) if at != 5 else each for at, each in enumerate(plain)])


def _packet(messages: list[Message]) -> st.SearchStrategy[Packet]:
    told = st.just(tuple(messages))
    return st.builds(Packet, st.sampled_from(NAMES), numbers, numbers, st.just(0.0), st.just(1), told, proofs)


def _heard(told: list[Packet], seed: int) -> bytes:
    rng = Random(seed)
    return joined([(rng.randrange(256), tamed_packet(packet, rng)) for packet in told])


_kinds = st.sampled_from(sorted(BY_KIND, key=lambda kind: kind.__name__)).flatmap(lambda kind: BY_KIND[kind])
packets: st.SearchStrategy[Packet] = st.lists(_kinds, min_size=1, max_size=4).flatmap(_packet)
"""Each kind of message as often as any other."""

drawn: st.SearchStrategy[bytes] = st.builds(_heard, st.lists(packets, min_size=1, max_size=4), st.integers(0, 2**32))
