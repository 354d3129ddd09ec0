"""A member that hears authentic packets, whatever is in them: what the driver does with a datagram that opened.

What it then holds is bounded by `gossip/limits.py`, and not by the size of one input, so no cost is looked at here.
"""

from __future__ import annotations

import re
from random import Random
from zlib import crc32

import cbor2
from hypothesis import strategies as st

from meshfleet.fleet.names import Address, Epoch, NodeName
from meshfleet.fleet.timing import PRESETS
from meshfleet.gossip.member import Member
from meshfleet.gossip.messages import Alive, NodeInfo, Packet, Via
from meshfleet.gossip.orders import SendPacket
from meshfleet.gossip.tags import beat_tag
from meshfleet.gossip.vouching import Trusting
from meshfleet.wire.codec import PACKET_OVERHEAD, decode_packet, encode_packet, size_of
from tests.wire.strategies import packets

NAMES = ("n0", "n1", "n2", "n9")
"""The member itself, two that it knows, and one that it does not."""

_HERE = Address("10.0.0.1", 7878)


def _info(name: str) -> NodeInfo:
    return NodeInfo(f"h-{name}", "10.0.0.1", 7878)


def _member() -> Member:
    """n0, which knows n1 and n2."""
    member = Member(
        NodeName("n0"), Epoch(2), _info("n0"), PRESETS["lan"], Random(1), size_of, PACKET_OVERHEAD, Trusting(), 1_000.0
    )
    for name in ("n1", "n2"):
        member.receive(Packet(name, 1, 1, 0.0, 1, (Alive(name, 1, 0, _info(name)),)), _HERE, Via.STREAM, 1_000.0)
    return member


def hear(data: bytes) -> None:
    """Packets, each behind its length in two bytes; a byte in front says how long before it, and by which way."""
    member, now = _member(), 1_000.0
    while len(data) > 3:
        how, size = data[0], int.from_bytes(data[1:3], "big")
        packet = decode_packet(data[3 : 3 + size])
        data = data[3 + size :]
        now += (how >> 1) / 8
        member.receive(packet, _HERE, Via(1 + how % 2), now)
        if member.next_timer() <= now:
            member.handle_timer(now)
        for out in member.outgoing(now):
            if isinstance(out, SendPacket):
                encode_packet(member.envelope(out.messages, now, 1))
        for _ in member.events():
            pass


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


_TAGS = sorted([beat_tag(*life).to_bytes(5, "big") for life in (("n0", 2), ("n1", 1), ("n2", 1))])
ORDER = crc32(b"".join(_TAGS)).to_bytes(4, "big")
"""Of the members that there are at first: else no roll call would mean anything."""


def _tamed(item: object, rng: Random) -> object:
    """The same about few names and with small numbers, so that what is heard meets what is known."""
    if isinstance(item, str) and _NAME.fullmatch(item):
        return NAMES[crc32(item.encode()) % 4]
    if isinstance(item, bytes) and len(item) == len(ORDER) and rng.randrange(8):
        return ORDER
    if type(item) is int and rng.randrange(8):
        return item % 4 if item > 31 else item
    return [_tamed(each, rng) for each in item] if isinstance(item, list) else item


def _heard(told: list[Packet], seed: int) -> bytes:
    rng = Random(seed)
    heard = b""
    for packet in told:
        plain = cbor2.loads(encode_packet(packet))
        plain[5] = [[message[0], *(_tamed(each, rng) for each in message[1:])] for message in plain[5]]
        plain[0] = rng.choice(NAMES)
        data = cbor2.dumps([_tamed(each, rng) if at != 5 else each for at, each in enumerate(plain)])
        heard += bytes((rng.randrange(256),)) + len(data).to_bytes(2, "big") + data
    return heard


drawn: st.SearchStrategy[bytes] = st.builds(_heard, st.lists(packets, min_size=1, max_size=4), st.integers(0, 2**32))
