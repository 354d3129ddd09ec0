"""Heartbeats as a table."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from meshfleet.fleet.presence import Presence, Verdict
from meshfleet.gossip.beats import ENTRIES, ENTRY, HEAD, Heartbeats, tables
from meshfleet.gossip.messages import (
    Beat,
    Beats,
)
from meshfleet.gossip.tags import beat_tag
from meshfleet.gossip.vouching import Trusting, Vouching
from tests.gossip.rosters import LAN, record, roster

if TYPE_CHECKING:
    from meshfleet.gossip.roster import Roster


def beats(it: Roster, counts: Counter[str] | None = None) -> Heartbeats:
    counts = Counter() if counts is None else counts
    return Heartbeats("me", 1, LAN, it, counts, 0.0, Vouching(Trusting(), it, counts))


def test_a_heartbeat_that_comes_late_is_as_old_as_it_is() -> None:
    it = roster("a")
    a, table = record(it, "a"), beats(it)
    assert table.hear(a, 1, 0.0, 10.0, None, "udp")
    assert table.hear(a, 2, 4.0, 20.0, "b", "udp")
    assert (a.beat_at, a.relay_via) == (16.0, "b")
    assert not table.hear(a, 1, 0.0, 30.0, None, "udp")
    assert a.beat_at == 16.0


def test_of_two_accounts_of_one_heartbeat_the_earlier_holds_less_delay() -> None:
    it = roster("a")
    a, table = record(it, "a"), beats(it)
    table.hear(a, 5, 1.0, 20.0, "b", "udp")
    assert not table.hear(a, 5, 3.0, 20.5, "c", "udp")
    assert a.beat_at == 17.5
    assert not table.hear(a, 5, 0.0, 20.6, "c", "udp")
    assert a.beat_at == 17.5


def test_a_later_heartbeat_is_never_older() -> None:
    it = roster("a")
    a, table = record(it, "a"), beats(it)
    table.hear(a, 5, 0.0, 20.0, None, "udp")
    table.hear(a, 6, 9.0, 21.0, "b", "udp")
    assert a.beat_at == 20.0


@given(st.lists(st.tuples(st.integers(1, 4), st.floats(0, 5)), min_size=1, max_size=8))
def test_the_newest_counter_wins_in_any_order(heard: list[tuple[int, float]]) -> None:
    it = roster("a")
    a, table = record(it, "a"), beats(it)
    for counter, age in heard:
        table.hear(a, counter, age, 100.0, "b", "udp")
    assert a.beat == max(counter for counter, _ in heard)


def test_a_heartbeat_is_passed_on_to_a_few_with_the_time_it_was_held() -> None:
    it = roster("a")
    table = beats(it)
    table.at_odds(10.0)
    table.hear(record(it, "a"), 7, 1.0, 10.0, None, "udp")
    for i in range(LAN.fan_out):
        assert table.take(1_000, 10.5 + i) == Beats((Beat(beat_tag("a", 1), 7, 9.0),), 10.5 + i)
    assert table.take(1_000, 20.0, alone=True) is None


def test_my_own_heartbeat_is_in_every_packet_and_gets_some_of_its_own_where_none_goes() -> None:
    table = beats(roster("a"))
    table.at_odds(21.0)
    table.raise_mine(21.0)
    assert table.round_is_needed(21.0)
    assert table.take(1_000, 21.25) is None
    for _ in range(LAN.fan_out - 1):
        assert table.take(1_000, 21.25, alone=True) == Beats((), 21.25)
    assert not table.are_hot


def test_a_heartbeat_that_rides_on_a_snapshot_is_told_once_more_where_there_is_room_and_gets_no_packet() -> None:
    it = roster("a")
    a, table = record(it, "a"), beats(it)
    table.at_odds(10.0)
    table.hear(a, 7, 0.0, 10.0, None, "udp")  # in the head of the packet that brings the snapshot
    assert not table.hear(a, 7, 0.0, 10.0, None, "udp", rides=True)
    assert [table.take(1_000, 10.0) is None for _ in range(2)] == [False, True]
    assert table.hear(a, 8, 0.5, 12.0, "b", "udp", rides=True)
    assert not table.round_is_needed(12.0)
    assert [table.take(1_000, 12.0) is None for _ in range(2)] == [False, True]
    assert table.told(a, 1) == Beat(beat_tag("a", 1), 8, 11.5)
    assert table.told(a, 2).counter == 0


def test_my_snapshot_takes_a_heartbeat_along_and_a_burst_of_them_takes_one() -> None:
    table = beats(roster("a"))
    table.raise_mine(0.0)
    first = table.ride(2.0)
    assert (first.counter, first.raised_at, table.are_hot) == (2, 2.0, False)
    assert table.ride(2.1) == first
    assert table.due_at() == 2.0 + LAN.beat_interval


def test_who_hears_a_heartbeat_twice_passes_it_on_once_less() -> None:
    it = roster("a")
    a, table = record(it, "a"), beats(it)
    table.hear(a, 7, 0.0, 10.0, None, "udp")
    table.merge(Beats((Beat(a.tag, 7, 10.0),), 10.0), "b", 10.0, "udp")
    assert [table.take(1_000, 10.0) is None for _ in range(LAN.fan_out)] == [False] * (LAN.fan_out - 1) + [True]


def test_beats_take_turns_where_room_is_short_and_get_packets_of_their_own_only_if_few_carried_them() -> None:
    it = roster("a", "b")
    table = beats(it)
    table.at_odds(10.0)
    for name in ("a", "b"):
        table.hear(record(it, name), 7, 1.0, 10.0, None, "udp")
    assert table.round_is_needed(10.0)
    told = [table.take(HEAD + ENTRY, 10.0) for _ in range(2 * LAN.fan_out)]
    tags = [beat.tag for beats in told if beats is not None for beat in beats.entries]
    assert tags == [beat_tag("a", 1), beat_tag("b", 1)] * LAN.fan_out
    table.raise_mine(11.0)
    assert not table.round_is_needed(11.0)
    assert table.round_is_needed(11.0)
    assert table.take(HEAD, 11.0) is None


def test_who_is_told_an_older_heartbeat_answers_with_the_newer_and_strangers_are_counted() -> None:
    counts: Counter[str] = Counter()
    it = roster("a", "b")
    table = beats(it, counts)
    table.hear(record(it, "a"), 7, 0.0, 10.0, None, "udp")
    told = Beats(
        (
            Beat(beat_tag("a", 1), 5, 0.0),
            Beat(beat_tag("b", 1), 1, 0.0),
            Beat(12345, 1, 0.0),
            Beat(beat_tag("me", 1), 1, 0.0),
        ),
        0.0,
    )
    heard, newer, strangers = table.merge(told, "c", 12.0, "udp")
    assert [r.name for r in heard] == ["b"]
    assert newer == [Beat(beat_tag("a", 1), 7, 10.0)]
    assert (strangers, counts["unknown_beat"]) == (1, 1)


def test_who_is_late_is_asked_for_by_telling_the_old_one() -> None:
    it = roster("a", "b", "gone")
    table = beats(it)
    for name, at in (("a", 10.0), ("b", 12.0), ("gone", 5.0)):
        table.hear(record(it, name), 1, 0.0, at, None, "udp")
    it.judged(record(it, "gone"), Verdict(Presence.UNREACHABLE))
    table.at_odds(13.6)
    (late,) = table.late(13.6)
    assert [e.tag for e in late.entries] == [beat_tag("a", 1)]
    assert late.asks
    heard, newer, strangers = table.merge(Beats((Beat(beat_tag("b", 1), 9, 0.0),), 0.0, asks=True), "c", 14.0, "udp")
    assert (heard, newer, strangers, record(it, "b").beat) == ([], [], 0, 1), "what asks has no proofs, and is no news"


def test_where_packets_go_anyway_the_next_two_ask_for_who_is_late() -> None:
    it = roster("a")
    table = beats(it)
    table.hear(record(it, "a"), 1, 0.0, 10.0, None, "udp")
    table.at_odds(13.6)
    late = table.late(13.6)
    table.ask_along(late)
    assert [table.ask(1_000, 13.6) for _ in range(3)] == [*late, *late, None]
    table.ask_along(late)
    assert table.ask(10, 13.7) is None
    assert table.are_late


def test_a_table_of_many_is_cut_into_messages() -> None:
    entries = [Beat(i, 1, 0.0) for i in range(2 * ENTRIES + 1)]
    assert [len(t.entries) for t in tables(entries, 0.0)] == [ENTRIES, ENTRIES, 1]
