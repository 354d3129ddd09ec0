"""Whatever bytes come, reading them gives a value or a WireError, for little time and memory."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from contextlib import suppress
from random import Random

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshfleet.errors import Malformed, WireError
from meshfleet.fleet.names import AgentId, Epoch, NodeName
from meshfleet.fleet.state import SNAPSHOT_LIMIT, AgentState, Snapshot, Status
from meshfleet.gossip.messages import (
    Alive,
    Beat,
    Beats,
    Delta,
    Digest,
    Have,
    Message,
    NodeInfo,
    Packet,
    Ping,
    PingReq,
    Row,
    SnapshotMessage,
    Suspect,
    Sync,
)
from meshfleet.wire.codec import decode_packet, decode_state, encode_packet, encode_state
from meshfleet.wire.keyring import Keyring
from meshfleet.wire.seal import FRAME_LIMIT, Sealer
from tests.wire.strategies import packets, states

EPOCH = 1_763_923_200_123
STATE = encode_state(
    AgentState(
        agent_id="box/codex-1", timestamp="2026-11-23T22:00:00Z", status=Status.TOOL, runtime="codex", cost_usd=1.5
    )
)
SHOT = Snapshot(NodeName("n1"), Epoch(EPOCH), 5, 4, 0, AgentId("box/codex-1"), STATE)
TABLE = Beats(tuple(Beat(0xABCDEF0123 + i, 1000 + i, i / -10, bytes((i,) * 8)) for i in range(5)))
DIGEST = Digest((Have("n1", EPOCH, 5), Have("n2", EPOCH, 9)))
ALIVE = Alive("n3", EPOCH, 1, NodeInfo("box-3", "10.0.0.3", 7878, "east", "agent", "http://10.0.0.3:7900", "0.1"))
TYPICAL: tuple[tuple[Message, ...], ...] = (
    (Ping(7, "n2"), TABLE, Suspect("n3", EPOCH, 0, "n1")),
    (SnapshotMessage(SHOT, "n9"), DIGEST),
    (Row("n1", EPOCH, 3, ("n4", "n5"), "n9"),),
    (ALIVE, PingReq(8, "n3", 0.48)),
    (Delta("n1", EPOCH, 3, 5, (SHOT,)),),
    (Sync((ALIVE, Suspect("n3", EPOCH, 0, "n1")), TABLE, DIGEST, True),),
)
PACKETS = [encode_packet(Packet("n1", EPOCH, 88, 0.3, EPOCH, messages)) for messages in TYPICAL]


def mutated(data: bytes, rng: Random) -> bytes:
    """`data` with a few bytes flipped, cut out, put in, repeated or cut off."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        place = rng.randrange(len(changed) + 1)
        match rng.randrange(5):
            case 0 if place < len(changed):
                changed[place] ^= 1 << rng.randrange(8)
            case 1 if place < len(changed):
                changed[place] = rng.choice((0x00, 0x1B, 0x5B, 0x7F, 0x9F, 0xA1, 0xBF, 0xC2, 0xD8, 0xF7, 0xFB, 0xFF))
            case 2:
                del changed[place : place + rng.randint(1, 8)]
            case 3:
                changed[place:place] = rng.randbytes(rng.randint(1, 8))
            case _:
                changed[place:place] = changed[place // 2 : place // 2 + rng.randint(1, 30)]
    return bytes(changed)


def test_of_twenty_thousand_mutated_datagrams_nothing_but_wire_errors_comes_out() -> None:
    rng = Random(20261123)
    sender, receiver = Sealer(Keyring(bytes(32), bytes(16))), Sealer(Keyring(bytes(32), bytes(16)))
    outcomes: Counter[str] = Counter()
    for i in range(20_000):
        plain = rng.choice(PACKETS)
        # One half is damaged on the way; the other half is authentic garbage, from a node of the fleet that is broken.
        datagram = mutated(sender.seal(plain), rng) if i % 2 else sender.seal(mutated(plain, rng))
        try:
            decode_packet(receiver.open(datagram), outcomes)
            outcomes["read"] += 1
        except WireError as error:
            outcomes[error.cause] += 1
    assert outcomes["unsealed"] >= 9_900
    assert outcomes["malformed"] >= 3_000
    assert outcomes["read"] >= 500, "a changed number or name is still a packet: such must be among them"
    assert receiver.senders == 1


@given(st.binary(max_size=1500))
def test_random_bytes_give_a_packet_or_a_wire_error(data: bytes) -> None:
    with suppress(WireError):
        decode_packet(data)


@given(st.binary(max_size=500))
def test_random_bytes_give_a_state_or_a_wire_error(data: bytes) -> None:
    with suppress(WireError):
        decode_state(data)


@given(packets, st.randoms(use_true_random=False))
def test_a_mutated_packet_gives_a_packet_or_a_wire_error(packet: Packet, rng: Random) -> None:
    with suppress(WireError):
        decode_packet(mutated(encode_packet(packet), rng))


@given(states, st.randoms(use_true_random=False))
def test_a_mutated_state_gives_a_state_or_a_wire_error(state: AgentState, rng: Random) -> None:
    with suppress(WireError):
        decode_state(mutated(encode_state(state), rng))


@given(packets)
def test_what_was_read_can_be_written_again(packet: Packet) -> None:
    data = encode_packet(packet)
    assert encode_packet(decode_packet(data)) == data


HOSTILE = {
    "nothing": b"",
    "deep arrays": b"\x81" * 60_000 + b"\x00",
    "deep maps": b"\xa1\x61a" * 20_000 + b"\x00",
    "deep tags": b"\xc6" * 60_000 + b"\x00",
    "array of 2^63": bytes.fromhex("9b7fffffffffffffff"),
    "array of 2^32": bytes.fromhex("9affffffff00"),
    "map of 2^64": bytes.fromhex("bbffffffffffffffff"),
    "text of 2^63": bytes.fromhex("7b7fffffffffffffff61"),
    "bytes of 2^32": bytes.fromhex("5affffffff00"),
    "bytes of 2^64": bytes.fromhex("5bffffffffffffffff"),
    "bignum": b"\xc2\x59\xe0\x00" + b"\xff" * 0xE000,
    "negative bignum": b"\xc3\x42\xff\xff",
    "decimal fraction": cbor2.dumps(cbor2.CBORTag(4, [10**18, 1])),
    "bigfloat": cbor2.dumps(cbor2.CBORTag(5, [10**12, 1])),
    "regular expression": cbor2.dumps(cbor2.CBORTag(35, "(a+)+$")),
    "date": cbor2.dumps(cbor2.CBORTag(0, "2026-11-23T22:00:00Z")),
    "cycle": bytes.fromhex("d81c81d81d00"),
    "string references": bytes.fromhex("d90100826161d81900"),
    "self-described": bytes.fromhex("d9d9f780"),
    "tag of 2^64": bytes.fromhex("dbffffffffffffffff00"),
    "indefinite array": bytes.fromhex("9f00ff"),
    "indefinite map": bytes.fromhex("bf616100ff"),
    "indefinite text": bytes.fromhex("7f6161ff"),
    "indefinite bytes": bytes.fromhex("5f4161ff"),
    "duplicate keys": bytes.fromhex("a2616100616101"),
    "duplicate keys of two types": bytes.fromhex("a20100f93c0001"),
    "lone break": b"\xff",
    "reserved": b"\x1c",
    "bad text": bytes.fromhex("62c328"),
    "surrogate": bytes.fromhex("63eda080"),
    "undefined": b"\xf7",
    "simple value": bytes.fromhex("f8ff"),
    "NaN": bytes.fromhex("f97e00"),
    "many empty arrays": b"\x99\xff\x00" + b"\x80" * 0xFF00,
    "many empty maps": b"\x99\xff\x00" + b"\xa0" * 0xFF00,
    "many small maps": b"\x99\x55\x00" + b"\xa1\x60\x00" * 0x5500,
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_hostile_cbor_is_malformed(data: bytes) -> None:
    assert len(data) <= FRAME_LIMIT
    with pytest.raises(Malformed):
        decode_packet(data)
    with pytest.raises(WireError):
        decode_state(data)


PLAIN = {"undefined", "simple value", "NaN", "many empty arrays", "many empty maps", "many small maps"}
"""Of these, what is CBOR as we speak it: of no meaning, and no danger where it is ignored."""


@pytest.mark.parametrize(("kind", "data"), HOSTILE.items(), ids=HOSTILE)
def test_hostile_cbor_is_refused_even_where_it_would_be_ignored(kind: str, data: bytes) -> None:
    appended = b"\x88" + PACKETS[0][1:] + data
    if kind in PLAIN:
        assert decode_packet(appended) == decode_packet(PACKETS[0])
        return
    with pytest.raises(WireError):
        decode_packet(appended)


def test_nesting_is_read_to_the_eighth_level_and_no_further() -> None:
    def nested(levels: int) -> bytes:
        return b"\x88" + PACKETS[0][1:] + b"\x81" * (levels - 1) + b"\x00"

    assert decode_packet(nested(8)) == decode_packet(PACKETS[0])
    with pytest.raises(Malformed):
        decode_packet(nested(9))


@pytest.mark.parametrize("data", [data for data in HOSTILE.values() if len(data) < 20])
def test_a_few_hostile_bytes_take_little_memory(data: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(Malformed):
            decode_packet(data)
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 200_000, "a length that is only declared must not be allocated"


@pytest.mark.parametrize("behind", [b"\x00", b"\xff", PACKETS[0], bytes(10_000)])
def test_nothing_may_follow_a_packet_or_a_state(behind: bytes) -> None:
    for packet in PACKETS:
        with pytest.raises(Malformed, match="follow"):
            decode_packet(packet + behind)
    if len(behind) < SNAPSHOT_LIMIT - len(STATE):
        with pytest.raises(Malformed, match="follow"):
            decode_state(STATE + behind)


def test_each_truncated_packet_is_malformed() -> None:
    for packet in PACKETS:
        for length in range(len(packet)):
            with pytest.raises(Malformed):
                decode_packet(packet[:length])


@pytest.mark.parametrize("tag", [*range(300), 1000, 43000, 55799, 2**16, 2**32, 2**64 - 1])
def test_no_tag_is_understood(tag: int) -> None:
    head = cbor2.dumps(cbor2.CBORTag(tag, 0))[:-1]
    for content in (b"\x00", b"\x60", b"\x40", b"\x80", b"\x82\x01\x01", b"\xa0"):
        with pytest.raises(Malformed):
            decode_packet(b"\x88" + PACKETS[0][1:] + head + content)


def test_maps_in_packets_have_text_keys_only_so_that_none_can_be_made_to_collide() -> None:
    with pytest.raises(Malformed):
        decode_packet(b"\x88" + PACKETS[0][1:] + cbor2.dumps({1: 1}))
    assert decode_packet(b"\x88" + PACKETS[0][1:] + cbor2.dumps({"a": 1})) == decode_packet(PACKETS[0])
