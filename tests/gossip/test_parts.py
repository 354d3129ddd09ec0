"""The small parts of a member, each by itself."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshfleet.fleet.evidence import Kind
from meshfleet.fleet.names import Address, AgentId, Epoch, NodeName
from meshfleet.fleet.presence import Presence, Verdict
from meshfleet.fleet.state import Snapshot
from meshfleet.fleet.timing import PRESETS
from meshfleet.gossip import limits
from meshfleet.gossip.awareness import Awareness
from meshfleet.gossip.beats import ENTRIES, Heartbeats, tables
from meshfleet.gossip.listening import Listening
from meshfleet.gossip.messages import (
    Alive,
    Beat,
    Beats,
    Left,
    Message,
    NodeInfo,
    Obituary,
    SendPacket,
    SnapshotMessage,
    Suspect,
    Via,
)
from meshfleet.gossip.outbox import Outbox
from meshfleet.gossip.roster import Record, Roster, beat_tag
from meshfleet.gossip.rumors import Rumors
from meshfleet.gossip.suspicion import shortest, timeout
from meshfleet.gossip.timers import Timers
from tests.gossip.drawing import claims
from tests.gossip.world import OVERHEAD, measure

LAN = PRESETS["lan"]
INFO = NodeInfo("h", "10.0.0.1", 7878)


def roster(*names: str, counts: Counter[str] | None = None) -> Roster:
    it = Roster(NodeName("me"), Random(1), Counter() if counts is None else counts)
    for name in names:
        it.add(Alive(name, 1, 0, INFO), 0.0)
    return it


def record(it: Roster, name: str) -> Record:
    found = it.get(name)
    assert found is not None
    return found


# timers


def test_timers_run_in_order_and_never_early() -> None:
    ran: list[str] = []
    timers = Timers()
    timers.at(2.0, lambda t: ran.append("second"))
    timers.at(1.0, lambda t: ran.append("first"))
    timers.at(2.0, lambda t: ran.append("third"))
    timers.at(1.5, lambda t: ran.append("never")).cancel()
    timers.run_due(0.9)
    assert (ran, timers.next()) == ([], 1.0)
    timers.run_due(1.0)
    assert (ran, timers.next()) == (["first"], 2.0)
    timers.run_due(9.0)
    assert ran == ["first", "second", "third"]
    assert timers.next() == float("inf")


def test_a_timer_that_sets_itself_anew_does_not_spin() -> None:
    timers, ran = Timers(), []

    def again(now: float) -> None:
        ran.append(now)
        timers.at(now, again)

    timers.at(1.0, again)
    timers.run_due(5.0)
    assert ran == [5.0]
    assert len(timers) == 1


# listening


def test_silence_counts_only_while_listening() -> None:
    clock = Listening(LAN, 0.0)
    for tick in range(1, 11):
        assert not clock.advance(tick * 0.5)
    assert clock.at(5.0) == 5.0
    assert not clock.advance(6.8)  # 1.8 s deaf: at most 1.0 counts, and nothing is resumed
    assert clock.at(6.8) == pytest.approx(6.0)
    assert not clock.is_resuming(6.8)


def test_a_long_gap_begins_all_ages_anew_for_one_t() -> None:
    clock = Listening(LAN, 0.0)
    assert clock.advance(60.0)
    assert clock.at(60.0) == pytest.approx(1.0)
    assert clock.resumed_at == clock.at(60.0)
    assert clock.is_resuming(60.0 + LAN.heartbeat - 0.1)
    assert not clock.is_resuming(60.0 + LAN.heartbeat)


def test_a_clock_that_goes_back_changes_nothing() -> None:
    clock = Listening(LAN, 10.0)
    assert not clock.advance(9.0)
    assert clock.at(10.0) == 10.0


# awareness and suspicion


def test_health_rises_by_one_a_round_at_most_and_only_where_most_helpers_were_silent() -> None:
    me = Awareness(LAN)
    for asked, silent, score in ((0, 0, 0), (3, 1, 0), (3, 2, 1), (3, 3, 2), (2, 1, 2), (1, 1, 3)):
        me.round_ended(asked=asked, silent=silent)
        assert me.score == score
    me.probe_succeeded()
    me.was_suspected()
    assert (me.score, me.multiplier) == (3, 4)


def test_health_has_two_ends() -> None:
    me = Awareness(LAN)
    me.probe_succeeded()
    assert me.score == 0
    for _ in range(20):
        me.was_suspected()
    assert me.score == LAN.health_max


def test_the_paper_s_bounds_of_suspicion() -> None:
    assert shortest(5, LAN) == 4.0
    assert shortest(1_000, LAN) == pytest.approx(12.0)
    assert timeout(1, 5, 5, LAN) == pytest.approx(24.0)
    assert timeout(3, 5, 5, LAN) == pytest.approx(4.0)


@given(st.integers(0, 20), st.integers(0, 20), st.integers(1, 10_000))
def test_more_confirmations_never_lengthen_a_suspicion(confirmed: int, could: int, members: int) -> None:
    low = shortest(members, LAN)
    lasts = timeout(confirmed, could, members, LAN)
    assert low - 1e-9 <= lasts <= LAN.suspicion_beta * low + 1e-9
    assert timeout(confirmed + 1, could, members, LAN) <= lasts
    if could < LAN.confirmations:
        assert lasts == LAN.suspicion_beta * low


# rumors and outbox


def rumors(counts: Counter[str] | None = None) -> Rumors:
    return Rumors(LAN, measure, Counter() if counts is None else counts)


def test_a_rumor_is_sent_a_bounded_number_of_times() -> None:
    it = rumors()
    it.add(Suspect("a", 1, 0, "x"))
    sent = 0
    while it.take(1_000, 5):
        sent += 1
    assert sent == LAN.retransmit * 1
    it.add(Suspect("a", 1, 0, "x"))
    assert sum(1 for _ in range(99) if it.take(1_000, 98)) == LAN.retransmit * 2


def test_the_newest_about_a_node_replaces_the_older() -> None:
    it = rumors()
    it.add(Alive("a", 1, 0, INFO))
    it.add(Suspect("a", 1, 0, "x"))
    it.add(Obituary("a", 1, 0, "y", "seen"))
    it.add(Suspect("b", 1, 0, "x"))
    it.add(Alive("a", 1, 1, INFO))
    assert set(it.take(1_000, 5)) == {Alive("a", 1, 1, INFO), Suspect("b", 1, 0, "x")}


def test_obituaries_and_goodbyes_go_first_then_the_least_sent() -> None:
    it = rumors()
    it.add(Suspect("a", 1, 0, "x"))
    it.take(1_000, 5)
    it.add(Suspect("b", 1, 0, "x"))
    it.add(Obituary("c", 1, 0, "x", "seen"))
    it.add(Left("d", 1, "d"))
    assert [c.name for c in it.take(1_000, 5)] == ["c", "d", "b", "a"]


@given(st.lists(claims(), max_size=30), st.integers(0, 300))
def test_rumors_never_take_more_room_than_there_is(told: list[object], room: int) -> None:
    it = rumors()
    for claim in told:
        it.add(claim)  # type: ignore[arg-type]
    assert sum(measure(c) for c in it.take(room, 5)) <= room


def test_rumors_are_bounded_and_what_was_sent_most_goes() -> None:
    counts: Counter[str] = Counter()
    it = rumors(counts)
    it.add(Suspect("first", 1, 0, "x"))
    it.take(10_000, 5)
    for i in range(limits.RUMORS):
        it.add(Suspect(f"n{i}", 1, 0, "x"))
    assert (len(it), counts["dropped_rumor"]) == (limits.RUMORS, 1)
    assert all(c.name != "first" for _ in range(200) for c in it.take(1_000_000, 5))


def outbox(counts: Counter[str] | None = None) -> Outbox:
    counts = Counter() if counts is None else counts
    return Outbox(measure, OVERHEAD, rumors(counts), counts)


HERE = Address("10.0.0.1", 7878)


@given(st.lists(st.binary(max_size=3_000), max_size=20))
def test_every_datagram_fits_and_nothing_is_lost(bodies: list[bytes]) -> None:
    it = outbox()
    sent: list[Message] = []
    for i, body in enumerate(bodies):
        message = SnapshotMessage(Snapshot(NodeName("n"), Epoch(1), i, 0, 0, AgentId("a"), body))
        sent.append(message)
        it.datagram_to(HERE, NodeName("n"), message)
    packets = [p for p in it.drain(5) if isinstance(p, SendPacket)]
    assert sorted(repr(m) for p in packets for m in p.messages) == sorted(map(repr, sent))
    for packet in packets:
        if packet.via is Via.DATAGRAM:
            assert sum(measure(m) for m in packet.messages) + OVERHEAD <= limits.DATAGRAM_BYTES
    assert list(it.drain(5)) == []


def test_rumors_fill_the_room_that_is_left_in_datagrams_alone() -> None:
    it = outbox()
    it._rumors.add(Suspect("a", 1, 0, "x"))
    it.stream_to(HERE, NodeName("n"), Left("b", 1, "b"))
    it.datagram_to(HERE, NodeName("n"), Left("c", 1, "c"))
    by_way = {p.via: p.messages for p in it.drain(5) if isinstance(p, SendPacket)}
    assert by_way[Via.STREAM] == (Left("b", 1, "b"),)
    assert by_way[Via.DATAGRAM] == (Left("c", 1, "c"), Suspect("a", 1, 0, "x"))


def test_an_outbox_that_nobody_empties_is_bounded() -> None:
    counts: Counter[str] = Counter()
    it = outbox(counts)
    it.drop_stream(NodeName("first to go"))
    for i in range(limits.OUTBOX + 9):
        it.datagram_to(HERE, NodeName(f"n{i % 3}"), Left(f"n{i}", 1, "n"))
    packets = [p for p in it.drain(5) if isinstance(p, SendPacket)]
    assert sum(len(p.messages) for p in packets) == limits.OUTBOX
    assert counts["dropped_outgoing"] == 10


# heartbeats


def beats(it: Roster, counts: Counter[str] | None = None) -> Heartbeats:
    return Heartbeats("me", 1, LAN, it, Counter() if counts is None else counts, 0.0)


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


def test_a_heartbeat_is_passed_on_once_with_the_time_it_was_held() -> None:
    it = roster("a")
    table = beats(it)
    table.hear(record(it, "a"), 7, 1.0, 10.0, None, "udp")
    (passed,) = table.take_hot(10.5)
    assert passed == Beats((Beat(beat_tag("a", 1), 7, 1.5),))
    assert table.take_hot(11.0) == []
    table.raise_mine(11.0)
    (mine,) = table.take_hot(11.25)
    assert mine.entries == (Beat(beat_tag("me", 1), 1, 0.25),)


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
        )
    )
    heard, newer, strangers = table.merge(told, "c", 12.0, "udp")
    assert [r.name for r in heard] == ["b"]
    assert newer == [Beat(beat_tag("a", 1), 7, 2.0)]
    assert (strangers, counts["unknown_beat"]) == (1, 1)


def test_who_is_late_is_asked_for_by_telling_the_old_one() -> None:
    it = roster("a", "b", "gone")
    table = beats(it)
    for name, at in (("a", 10.0), ("b", 12.0), ("gone", 5.0)):
        table.hear(record(it, name), 1, 0.0, at, None, "udp")
    record(it, "gone").verdict = Verdict(Presence.UNREACHABLE)
    (late,) = table.late(13.6)
    assert [e.tag for e in late.entries] == [beat_tag("a", 1)]


def test_a_table_of_many_is_cut_into_messages() -> None:
    entries = [Beat(i, 1, 0.0) for i in range(2 * ENTRIES + 1)]
    assert [len(t.entries) for t in tables(entries)] == [ENTRIES, ENTRIES, 1]


# roster


@given(st.lists(claims(), max_size=8), st.randoms(use_true_random=False))
def test_any_order_of_the_same_news_gives_the_same_roster(told: list[object], rng: Random) -> None:
    def tell(order: list[object]) -> dict[str, object]:
        it = roster()
        for claim in order:
            it.add(claim, 0.0)  # type: ignore[arg-type]
        return {r.name: r.known for r in it}

    shuffled = list(told)
    rng.shuffle(shuffled)
    assert tell(told) == tell(shuffled)


def test_everybody_is_probed_once_before_anybody_twice_and_the_gone_are_not() -> None:
    it = roster(*"abcdef")
    record(it, "c").verdict = Verdict(Presence.DOWN)
    for _ in range(4):
        turn = [it.next_to_probe() for _ in range(5)]
        assert sorted(r.name for r in turn if r is not None) == list("abdef")
    assert roster().next_to_probe() is None


def test_a_newcomer_is_probed_within_two_turns() -> None:
    it = roster(*"abcdef")
    it.next_to_probe()
    it.add(Alive("new", 1, 0, INFO), 0.0)
    assert "new" in {r.name for _ in range(13) if (r := it.next_to_probe())}


def test_a_forgotten_member_is_gone_from_everything() -> None:
    it = roster("a", "b")
    a = record(it, "a")
    it.next_to_probe()
    it.remove(a)
    assert it.get("a") is None
    assert it.by_tag(a.tag) is None
    assert [r.name for r in it] == ["b"]
    assert {r.name for _ in range(3) if (r := it.next_to_probe())} == {"b"}


def test_a_new_life_has_a_new_tag_and_a_clean_slate() -> None:
    it = roster("a")
    a = record(it, "a")
    a.grouped_at, a.beat, a.eof = 5.0, 9, a.note(Kind.EOF, 1.0, "me", "")
    old = a.tag
    it.add(Alive("a", 2, 0, INFO), 50.0)
    assert (a.grouped_at, a.beat, a.eof, a.beat_at) == (-1e18, 0, None, 50.0)
    assert (it.by_tag(old), it.by_tag(a.tag)) == (None, a)


def test_members_and_strangers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshfleet.gossip.roster.MEMBERS", 2)
    monkeypatch.setattr("meshfleet.gossip.roster.UNKNOWN_MEMBERS", 2)
    counts: Counter[str] = Counter()
    it = roster("a", "b", "c", counts=counts)
    assert len(it) == 2
    for name in "wxyz":
        it.add(Suspect(name, 1, 0, "a"), 0.0)
    assert (counts["refused_member"], counts["refused_unknown"]) == (1, 2)
    it.forget_strangers()
    assert it.add(Suspect("z", 1, 0, "a"), 0.0) == (None, True)


def test_facts_keep_how_it_began_and_how_it_is() -> None:
    it = record(roster("a"), "a")
    for i in range(200):
        it.note(Kind.PROBE_FAILED, float(i), "me", f"ping {i}")
        it.note(Kind.REFUSED, float(i), "me", f"refused {i}")
    assert [f.detail for f in it.facts] == ["ping 0", "refused 0", "ping 199", "refused 199"]
    it.note(Kind.VERDICT, 200.0, "me", "judged")
    it.note(Kind.PROBE_FAILED, 201.0, "me", "ping 201")
    assert len(it.facts) == 6


def test_reach_is_said_by_round_trips() -> None:
    it = record(roster("a"), "a")
    assert it.reach == "direct"
    it.direct_failed_at, it.relay_via = 10.0, "c"
    assert it.reach == "relay via c"
    it.indirect_at, it.indirect_via = 11.0, "b"
    assert it.reach == "indirect via b"
    it.direct_at = 12.0
    assert it.reach == "direct"
    it.verdict = Verdict(Presence.DOWN)
    assert it.reach is None
