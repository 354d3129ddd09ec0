"""Packets as bytes: what is written is read, what is not a packet is Malformed, and nothing else ever happens."""

from __future__ import annotations

from collections import Counter
from typing import get_args

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshfleet.errors import Malformed, TooBig
from meshfleet.gossip.limits import DATAGRAM_BYTES
from meshfleet.gossip.messages import (
    Alive,
    Goodbye,
    Message,
    NodeInfo,
    Packet,
    Ping,
    PingReq,
    Suspect,
    Sync,
)
from meshfleet.wire.codec import PACKET_OVERHEAD, decode_packet, encode_packet, size_of
from meshfleet.wire.keyring import Keyring
from meshfleet.wire.seal import FRAME_LIMIT, Sealer
from tests.wire.strategies import messages, names, numbers, packets

EPOCH = 1_763_923_200_123
PING = Packet("n1", EPOCH, 88, 0.3, EPOCH + 5, (Ping(7, "n2"),), bytes(range(1, 9)))


def plain(*items: object) -> bytes:
    """A packet of n1 with these as its messages, whatever they are."""
    return cbor2.dumps(["n1", EPOCH, 88, 30, EPOCH, list(items), bytes(8)])


@given(packets)
def test_every_packet_is_read_as_it_was_written(packet: Packet) -> None:
    assert decode_packet(encode_packet(packet)) == packet


def test_the_bytes_of_a_ping_are_these() -> None:
    assert encode_packet(PING).hex() == (
        "87 626e31 1b0000019ab204087b 1858 181e 1b0000019ab2040880 81 83 0a 07 626e32 48 0102030405060708".replace(
            " ", ""
        )
    )


def test_the_numbers_of_messages_never_change() -> None:
    numbered = {kind.__name__: kind.__struct_config__.tag for kind in get_args(Message)}
    assert numbered == {
        "Alive": 1,
        "Suspect": 2,
        "Left": 3,
        "Obituary": 4,
        "Beats": 5,
        "Row": 6,
        "Revoked": 7,
        "RollCall": 8,
        "RollAnswer": 9,
        "Ping": 10,
        "PingReq": 11,
        "Ack": 12,
        "Nack": 13,
        "Relay": 14,
        "SnapshotMessage": 20,
        "Digest": 21,
        "Want": 22,
        "Delta": 23,
        "Got": 24,
        "Sync": 30,
        "Goodbye": 31,
        "Sum": 32,
        "PathProbe": 40,
        "PathTest": 41,
        "PathReport": 42,
    }


@given(messages)
def test_a_message_begins_with_its_number_on_the_wire(message: Message) -> None:
    written = cbor2.loads(encode_packet(Packet("n1", 1, 1, 0.0, 1, (message,))))
    assert written[5][0][0] == type(message).__struct_config__.tag


@given(messages)
def test_the_size_of_a_message_is_what_it_adds_to_a_packet(message: Message) -> None:
    empty = encode_packet(Packet("n1", 1, 1, 0.0, 1, ()))
    with_it = encode_packet(Packet("n1", 1, 1, 0.0, 1, (message,)))
    assert size_of(message) == len(with_it) - len(empty)


@given(st.text("abcXYZ019", min_size=64, max_size=64), numbers, st.floats(0.0, 1e7), st.integers(0, 400))
def test_beside_its_messages_a_datagram_takes_no_more_than_the_overhead(
    name: str, number: int, age: float, goodbyes: int
) -> None:
    packet = Packet(name, number, number, age, number, (Goodbye(),) * goodbyes)
    sealed = Sealer(Keyring(bytes(32), bytes(16))).seal(encode_packet(packet))
    assert len(sealed) <= PACKET_OVERHEAD + goodbyes * size_of(Goodbye())


def test_the_overhead_leaves_eight_ninths_of_a_datagram() -> None:
    assert PACKET_OVERHEAD <= DATAGRAM_BYTES / 9


@given(st.floats(0.0, 1e7))
def test_no_packet_makes_its_senders_heartbeat_older(age: float) -> None:
    read = decode_packet(encode_packet(Packet("n1", 1, 1, age, 1, ()))).beat_age
    assert age - 0.0101 < read <= age


@given(st.floats(0.0, 1e7))
def test_the_time_that_a_helper_is_given_stays_the_same_to_a_millisecond(within: float) -> None:
    (read,) = decode_packet(encode_packet(Packet("n1", 1, 1, 0.0, 1, (PingReq(1, "n2", within),)))).messages
    assert isinstance(read, PingReq)
    assert abs(read.within - within) <= 0.00051


def test_messages_of_later_versions_are_skipped_and_counted() -> None:
    counts: Counter[str] = Counter()
    packet = decode_packet(plain([99, {"new": [1.5, None]}], [10, 7, "n2"], [2**40]), counts)
    assert packet.messages == (Ping(7, "n2"),)
    assert counts == {"unknown_message": 2}


def test_claims_of_later_versions_inside_a_sync_are_skipped_and_counted() -> None:
    counts: Counter[str] = Counter()
    sync = [30, [[6, "?"], [2, "n3", EPOCH, 0, "n1"]], [5, b""], [21, []], False]
    (read,) = decode_packet(plain(sync), counts).messages
    assert isinstance(read, Sync)
    assert read.claims == (Suspect("n3", EPOCH, 0, "n1"),)
    assert counts == {"unknown_message": 1}


def test_a_sync_does_not_nest() -> None:
    inner = [30, [], [5, b""], [21, []], False]
    (read,) = decode_packet(plain([30, [inner, [10, 7, "n2"]], [5, b""], [21, []], False])).messages
    assert isinstance(read, Sync)
    assert read.claims == ()


def test_what_later_versions_append_to_an_array_is_ignored() -> None:
    info = ["box", "::1", 7878, None, "agent", None, "9.9", "machine:1:2", 7, True, ["n2"], "appended"]
    alive = [1, "n1", EPOCH, 2, info, 0, b"", b"", b"", ["appended"]]
    table = [5, b"\x11" + bytes(5) + b"\x01\x02" + bytes(8), "appended"]
    data = cbor2.dumps(["n1", EPOCH, 88, 30, EPOCH, [alive, table], bytes(8), "appended", {"a": 1}])
    first, second = decode_packet(data).messages
    assert first == Alive(
        "n1", EPOCH, 2, NodeInfo("box", "::1", 7878, None, "agent", None, "9.9", "machine:1:2", 7, True, ("n2",))
    )
    assert size_of(second) == size_of_table(entries=1)


def size_of_table(entries: int) -> int:
    return 1 + 1 + 1 + 1 + 15 * entries


BEATS, DIGEST, SHOT = [5, b""], [21, []], ["n1", EPOCH, 1, 0, 0, "n1/a", b"body"]


@pytest.mark.parametrize(
    "message",
    [
        [],
        ["10", 7, "n2"],
        [10.0, 7, "n2"],
        [True, 7, "n2"],
        [None],
        [10],
        [10, 7],
        [10, -7, "n2"],
        [10, 2**53, "n2"],
        [10, 7.0, "n2"],
        [10, True, "n2"],
        [10, "7", "n2"],
        [10, 7, ""],
        [10, 7, "n" * 65],
        [10, 7, "n 2"],
        [10, 7, "\x1b[31m"],
        [10, 7, "n2\n"],
        [10, 7, b"n2"],
        [11, 7, "n2", 0.88],
        [11, 7, "n2", -1],
        [11, 7, "n2", float("nan")],
        [11, 7, "not a name", 880],
        [13, 7, "n2", EPOCH, "no such trouble"],
        [1, "n1", EPOCH, 0, ["box", "::1", 65536]],
        [1, "n1", EPOCH, 0, ["x" * 201, "::1", 1]],
        [2, "n3", EPOCH, 0, "../n1"],
        [5, "not bytes"],
        [5, [[1, 2, 3.0]]],
        [5, b"\x22short"],
        [8, b"abc", b""],
        [8, b"abcd", bytes(1_252)],
        [9, b"abcd", 10_001, b"", b""],
        [9, b"abcd", 0, bytes(129), b""],
        [9, b"abcd", 0, b"\x01", b""],
        [9, b"abcd", 0, b"", b"\x11" + bytes(10)],
        [9, b"abcd", 0, b"\x01", b"\x19\x01\x01"],
        [24, [-1]],
        [24, [1] * 257],
        [32, b"", bytes(9)],
        [20, [*SHOT[:1], -1, *SHOT[2:]]],
        [20, [*SHOT[:2], 2**53, *SHOT[3:]]],
        [20, [*SHOT[:5], "", b""]],
        [20, [*SHOT[:5], "a b", b""]],
        [20, [*SHOT[:6], "Ym9keQ=="]],
        [20, [*SHOT[:6], bytes(4097)]],
        [20, ["a b", *SHOT[1:]]],
        [21, [["n 1", EPOCH, 1]]],
        [22, [["n1", EPOCH]]],
        [23, "n1", EPOCH, 0, 1, [["n1"]]],
        [23, "n 1", EPOCH, 0, 1, []],
        [30, [[5, b""]], BEATS, DIGEST, 1],
        [30, [["x"]], BEATS, DIGEST, True],
        [30, [], [10, 1, "n2"], DIGEST, True],
        [30, [], BEATS, [22, []], True],
        {"a": 1},
        "ping",
        7,
    ],
)
def test_a_message_that_can_not_be_spoils_its_packet(message: object) -> None:
    with pytest.raises(Malformed):
        decode_packet(plain([10, 7, "n2"], message))


@pytest.mark.parametrize(
    "item",
    [
        [],
        {},
        "packet",
        None,
        ["n1", EPOCH, 88, 30, EPOCH],
        ["", EPOCH, 88, 30, EPOCH, []],
        ["n 1", EPOCH, 88, 30, EPOCH, []],
        ["n1", -1, 88, 30, EPOCH, []],
        ["n1", EPOCH, 2**53, 30, EPOCH, []],
        ["n1", EPOCH, 88, 0.3, EPOCH, []],
        ["n1", EPOCH, 88, -1, EPOCH, []],
        ["n1", EPOCH, 88, 10**9 + 1, EPOCH, []],
        ["n1", EPOCH, 88, float("inf"), EPOCH, []],
        ["n1", EPOCH, 88, 30, 1.5, []],
        ["n1", EPOCH, 88, 30, EPOCH, {}],
        ["n1", EPOCH, 88, 30, EPOCH, None],
    ],
)
def test_what_is_not_a_packet_is_malformed(item: object) -> None:
    with pytest.raises(Malformed):
        decode_packet(cbor2.dumps(item))


def test_a_packet_over_the_limit_is_not_even_looked_at() -> None:
    with pytest.raises(TooBig, match="65537"):
        decode_packet(bytes(FRAME_LIMIT + 1))


@given(names)
def test_every_valid_name_travels(name: str) -> None:
    assert decode_packet(encode_packet(Packet(name, 1, 1, 0.0, 1, ()))).source == name
