"""Streams of events, in whatever pieces a server says them."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from functools import partial
from itertools import pairwise

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from meshfleet.asking import EVENT_LIMIT, Events, Place, Unanswered, listen

_lines = st.lists(st.sampled_from([b"data: 1", b"data:2", b": a comment", b"id: 7", b""]), max_size=12)


@given(_lines, st.sampled_from([b"\n", b"\r", b"\r\n"]), st.sets(st.integers(0, 160)))
def test_a_line_may_end_in_three_ways_and_come_in_any_pieces(lines: list[bytes], end: bytes, cuts: set[int]) -> None:
    said, events, whole = end.join([*lines, b"", b""]), Events(Counter()), list[bytes]()
    for start, stop in pairwise([0, *sorted(cuts), len(said)]):
        whole += events.feed(said[start : max(start, stop)])
    assert whole == Events(Counter()).feed(b"\n".join([*lines, b"", b""]))


def test_of_a_long_line_that_comes_byte_by_byte_nothing_is_copied_again() -> None:
    events, copied = Events(Counter()), 0
    events.feed(b"data: " + b"x" * (EVENT_LIMIT - 60_000))
    tracemalloc.start()
    try:
        for _ in range(1_000):
            tracemalloc.reset_peak()
            before, _peak = tracemalloc.get_traced_memory()
            events.feed(b"x")
            copied += tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert copied < 4 * EVENT_LIMIT
    assert [len(each) for each in events.feed(b"\n\n")] == [EVENT_LIMIT - 59_000]


class Turns(trio.abc.Instrument):
    """Counts the turns of Trio's loop: in each of them all tasks run that can."""

    count = 0

    def before_io_wait(self, timeout: float) -> None:
        self.count += 1


async def test_between_two_pieces_that_came_at_once_others_have_their_turn() -> None:
    async def say(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some()
            head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/event-stream\r\n\r\n"
            await stream.send_all(head + b"9\r\ndata: 1\n\n\r\n" * 500 + b"0\r\n\r\n")

    turns, heard = Turns(), list[int]()
    trio.lowlevel.add_instrument(turns)
    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, say, 0, host="127.0.0.1"))
        place = Place(f"http://127.0.0.1:{listener.socket.getsockname()[1]}")
        with pytest.raises(Unanswered, match="the stream ended"):
            await listen(place, "/events", lambda _data: heard.append(turns.count), Counter())
        nursery.cancel_scope.cancel()
    trio.lowlevel.remove_instrument(turns)
    assert len(heard) == len(set(heard)) == 500
