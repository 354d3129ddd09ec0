"""Sealed streams: each frame once, in its order, in its direction, on its connection."""

from __future__ import annotations

import subprocess
import sys

import pytest

from meshfleet.errors import TooBig, Unsealed
from meshfleet.wire.keyring import Keyring
from meshfleet.wire.seal import FRAME_LIMIT
from meshfleet.wire.streams import FRAME_OVERHEAD, HELLO_BYTES, StreamDialer, StreamSealer, accept_stream

KEY, OTHER = b"k" * 32, b"o" * 32


def connect(dialer: Keyring, acceptor: Keyring) -> tuple[StreamSealer, StreamSealer]:
    """Both sides' seals of one new connection."""
    dialing = StreamDialer(dialer)
    answer, accepted = accept_stream(acceptor, dialing.hello)
    return dialing.finish(answer), accepted


@pytest.fixture
def sides() -> tuple[StreamSealer, StreamSealer]:
    return connect(Keyring(KEY), Keyring(KEY))


Sides = tuple[StreamSealer, StreamSealer]


def test_both_sides_hear_each_other_in_order(sides: Sides) -> None:
    dialer, acceptor = sides
    for i in range(5):
        assert acceptor.open(dialer.seal(b"ping %d" % i)) == b"ping %d" % i
        assert dialer.open(acceptor.seal(b"pong %d" % i)) == b"pong %d" % i
    sealed = [dialer.seal(bytes([i])) for i in range(5)]
    assert [acceptor.open(frame) for frame in sealed] == [bytes([i]) for i in range(5)]


def test_a_frame_costs_sixteen_bytes(sides: Sides) -> None:
    assert len(sides[0].seal(bytes(100))) == 100 + FRAME_OVERHEAD == 116


def test_a_repeated_frame_does_not_open(sides: Sides) -> None:
    frame = sides[0].seal(b"once")
    sides[1].open(frame)
    with pytest.raises(Unsealed):
        sides[1].open(frame)


def test_a_frame_before_its_turn_does_not_open(sides: Sides) -> None:
    sides[0].seal(b"first")
    with pytest.raises(Unsealed):
        sides[1].open(sides[0].seal(b"second"))


def test_a_frame_sent_back_to_its_sender_does_not_open(sides: Sides) -> None:
    with pytest.raises(Unsealed):
        sides[0].open(sides[0].seal(b"mirror"))


def test_a_frame_of_another_connection_does_not_open(sides: Sides) -> None:
    other, _ = connect(Keyring(KEY), Keyring(KEY))
    with pytest.raises(Unsealed):
        sides[1].open(other.seal(b"hello"))


@pytest.mark.parametrize("wrong", [b"", b"short", bytes(16), bytes(FRAME_LIMIT + 1)])
def test_after_one_wrong_frame_no_right_one_opens(sides: Sides, wrong: bytes) -> None:
    right = sides[0].seal(b"right")
    with pytest.raises((Unsealed, TooBig)):
        sides[1].open(wrong)
    with pytest.raises(Unsealed):
        sides[1].open(right)


def test_a_whole_recorded_connection_can_not_be_played_again() -> None:
    dialing = StreamDialer(Keyring(KEY))
    answer, _accepted = accept_stream(Keyring(KEY), dialing.hello)
    frame = dialing.finish(answer).seal(b"recorded")
    _answer, again = accept_stream(Keyring(KEY), dialing.hello)
    with pytest.raises(Unsealed):
        again.open(frame)


def test_no_two_connections_have_the_same_keys_though_one_side_draws_the_same_salt() -> None:
    def draw(count: int) -> bytes:
        return b"s" * count

    frames: set[bytes] = set()
    for _ in range(10):
        dialing = StreamDialer(Keyring(KEY), draw)
        answer, _accepted = accept_stream(Keyring(KEY), dialing.hello)
        frames.add(dialing.finish(answer).seal(b"the same"))
    assert len(frames) == 10


@pytest.mark.parametrize("place", range(3, HELLO_BYTES))
def test_a_hello_changed_on_the_way_leaves_two_sides_that_understand_nothing(place: int) -> None:
    dialing = StreamDialer(Keyring(KEY))
    changed = bytearray(dialing.hello)
    changed[place] ^= 1
    answer, accepted = accept_stream(Keyring(KEY), bytes(changed))
    with pytest.raises(Unsealed):
        accepted.open(dialing.finish(answer).seal(b"hello"))


@pytest.mark.parametrize(
    "hello",
    [
        b"",
        b"GET / HTTP/1.1\r\n\r\n",
        bytes(HELLO_BYTES),
        b"\x01" + bytes(HELLO_BYTES - 1),
        b"\x01" + bytes(HELLO_BYTES),
    ],
)
def test_a_stranger_is_not_answered(hello: bytes) -> None:
    with pytest.raises(Unsealed):
        accept_stream(Keyring(KEY), hello)


def test_a_fleet_with_another_key_is_a_stranger() -> None:
    with pytest.raises(Unsealed):
        accept_stream(Keyring(KEY), StreamDialer(Keyring(OTHER)).hello)


def test_a_fleet_with_the_same_key_and_another_id_understands_nothing() -> None:
    dialer, acceptor = connect(Keyring(KEY, b"fleet-one-------"), Keyring(KEY, b"fleet-two-------"))
    with pytest.raises(Unsealed):
        acceptor.open(dialer.seal(b"hello"))


def test_an_answer_that_names_another_key_is_refused() -> None:
    dialing = StreamDialer(Keyring(KEY))
    with pytest.raises(Unsealed):
        dialing.finish(StreamDialer(Keyring(OTHER)).hello)
    with pytest.raises(Unsealed):
        dialing.finish(dialing.hello + b"x")


def test_during_a_rotation_the_dialers_key_is_used_both_ways() -> None:
    old, new = Keyring(KEY), Keyring(KEY)
    old.add(OTHER)
    new.use(new.add(OTHER))
    for dialer, acceptor in (connect(old, new), connect(new, old)):
        assert acceptor.open(dialer.seal(b"a")) == b"a"
        assert dialer.open(acceptor.seal(b"b")) == b"b"


def test_no_frame_over_the_limit_is_sealed(sides: Sides) -> None:
    assert len(sides[0].seal(bytes(FRAME_LIMIT - FRAME_OVERHEAD))) == FRAME_LIMIT
    with pytest.raises(TooBig, match="a frame holds 65520"):
        sides[0].seal(bytes(FRAME_LIMIT - FRAME_OVERHEAD + 1))


def test_a_forked_child_can_not_seal_on_its_parents_streams() -> None:
    script = """
import os
from meshfleet.errors import Unsealed
from meshfleet.wire.keyring import Keyring
from meshfleet.wire.streams import StreamDialer, accept_stream
ring = Keyring(bytes(32))
dialing = StreamDialer(ring)
stream = dialing.finish(accept_stream(ring, dialing.hello)[0])
if os.fork() == 0:
    try:
        stream.seal(b"child")
    except Unsealed:
        os._exit(7)
    os._exit(0)
stream.seal(b"parent")
print(os.waitstatus_to_exitcode(os.wait()[1]))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.strip() == "7"
