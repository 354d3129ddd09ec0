"""A fleet on two levels, in virtual time: what nodes of one zone see of the others, whatever happens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from meshfleet.fleet.names import AgentId, Epoch, NodeName
from meshfleet.fleet.presence import Presence
from meshfleet.fleet.rendezvous import ranked
from meshfleet.fleet.timing import PRESETS
from meshfleet.fleet.zone import ZoneSums, ZoneWord
from meshfleet.gossip.events import Event, Judged
from meshfleet.sim.network import Barrier
from meshfleet.sim.zoned import ZonedFleet
from meshfleet.wire.zones import WORD, encode_sums, encode_word
from meshfleet.zones.seen import Heard, Words, uppers

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshfleet.sim.host import Host
    from meshfleet.sim.zoned import Seat

UNHEARD = (Presence.UNREACHABLE, Presence.LEFT)


class Said:
    """Who was called down."""

    def __init__(self) -> None:
        self.down: set[str] = set()

    def happened(self, host: Host, event: Event, now_us: int) -> None:
        if isinstance(event, Judged) and event.verdict.presence is Presence.DOWN:
            self.down.add(event.name)

    def truth_changed(self, now_us: int) -> None: ...

    def published(self, host: Host, agent: str, now_us: int) -> None: ...


class Fleet(ZonedFleet):
    """Three zones of eight, that have met."""

    def __init__(self, zones: int = 3, size: int = 8) -> None:
        self.said = Said()
        super().__init__(zones, size, PRESETS["lan"], 1, self.said)
        self.pass_(40)

    def presences(self, of: str) -> set[Presence]:
        """What those of other zones say of this one."""
        return {self.seen(s)[of].presence for s in self.seats if s.zone != of and s.host.running}

    def sums(self, of: str) -> list[ZoneSums]:
        """Every sums of it that anybody shows."""
        shown = [self.seen(s)[of].sums for s in self.seats if s.zone != of and s.host.running]
        return [sums for i, sums in enumerate(shown) if sums not in shown[:i]]

    def until(self, holds: Callable[[], bool], within: float) -> float:
        """How long it took."""
        began = self.now
        while not holds():
            assert self.now - began < within, f"not within {within} s"
            self.pass_(0.5)
        return self.now - began

    def speaker(self, seat: Seat, zone: str) -> Seat:
        """Whose word of a zone a node shows."""
        by = self.seen(seat)[zone].by
        return next(s for s in self.seats if s.host.name == by)


def test_every_node_shows_every_other_zone_and_its_sums() -> None:
    fleet = Fleet()
    for zone in fleet.zones:
        assert sum(seat.is_delegate for seat in zone) == 3
        assert fleet.presences(zone[0].zone) == {Presence.FRESH}
        (sums,) = fleet.sums(zone[0].zone)
        assert (sums.nodes, sums.agents, sums.by_status) == ({"fresh": 8}, {"fresh": 8}, {"working": 8})
    assert not fleet.said.down


def test_at_rest_one_delegate_tells_of_each_zone() -> None:
    fleet = Fleet()
    tellers = [
        (name, agent)
        for name, shelf in fleet.zones[0][0].member.replica
        for agent, held in shelf.held.items()
        if agent.startswith(WORD) and not held.withdrawn
    ]
    assert sorted(agent for _, agent in tellers) == [f"{WORD}z001", f"{WORD}z002"]


def test_who_dies_in_one_zone_is_counted_in_all() -> None:
    fleet = Fleet()
    fleet.kill(next(seat for seat in fleet.zones[0] if not seat.is_delegate))
    fleet.until(lambda: all(sums.nodes == {"down": 1, "fresh": 7} for sums in fleet.sums("z000")), 10)
    assert fleet.presences("z000") == {Presence.FRESH}


def test_a_zone_whose_delegates_all_die_is_unreachable_until_others_speak_for_it_and_never_down() -> None:
    fleet = Fleet()
    dead = [seat for seat in fleet.zones[1] if seat.is_delegate]
    for seat in dead:
        fleet.kill(seat)
    seen: set[Presence] = set()

    def back() -> bool:
        seen.update(fleet.presences("z001"))
        return all(sums.there == 5 for sums in fleet.sums("z001")) and fleet.presences("z001") == {Presence.FRESH}

    fleet.until(back, 15)
    assert Presence.DOWN not in seen
    fleet.pass_(5)
    assert sum(seat.is_delegate for seat in fleet.zones[1] if seat.host.running) == 3


def test_who_comes_back_does_not_leave_a_zone_with_more_delegates_than_it_needs() -> None:
    fleet = Fleet()
    dead = [seat for seat in fleet.zones[1] if seat.is_delegate]
    for seat in dead:
        fleet.kill(seat)
    fleet.pass_(30)
    for seat in dead:
        fleet.restart(seat)
    fleet.pass_(60)
    assert [seat for seat in fleet.zones[1] if seat.is_delegate] == dead
    assert len(uppers(fleet.zones[1][0].member)) == 3
    assert all(sums.nodes == {"fresh": 8} for sums in fleet.sums("z001"))


def test_a_zone_cut_off_is_unreachable_for_the_rest_and_the_rest_for_it() -> None:
    fleet = Fleet()
    cut = fleet.cut(fleet.zones[2], [seat for seat in fleet.seats if seat.zone != "z002"])
    fleet.pass_(60)
    assert fleet.presences("z002") == {Presence.UNREACHABLE}
    views = fleet.seen(fleet.zones[2][5])
    assert {view.presence for view in views.values()} == {Presence.UNREACHABLE}
    assert all(50 < view.age_s < 70 for view in views.values())
    assert all("hears none of those who speak for" in view.reasons[0] for view in views.values())
    assert fleet.presences("z000") == {Presence.FRESH, Presence.UNREACHABLE}
    assert not {seat.host.name for seat in fleet.seats} & fleet.said.down
    fleet.heal(cut)
    fleet.until(lambda: all(fleet.presences(f"z00{n}") == {Presence.FRESH} for n in range(3)), 20)


def test_where_who_should_tell_hears_nothing_above_another_tells() -> None:
    fleet = Fleet()
    reader = fleet.zones[0][0]
    deaf = fleet.speaker(reader, "z001")
    alone = frozenset([deaf.above.number])
    rest = frozenset(host.number for host in fleet.world.hosts) - alone
    for barrier in (Barrier(alone, rest), Barrier(rest, alone)):
        fleet.network.raise_barrier(barrier)
    fleet.world.barrier_changed()
    fleet.pass_(40)
    view = fleet.seen(reader)["z001"]
    assert view.presence is Presence.FRESH
    assert view.by != deaf.host.name
    assert fleet.presences("z000") == {Presence.FRESH}


def test_of_a_zone_that_is_cut_in_two_the_larger_part_is_shown() -> None:
    fleet = Fleet()
    zone = fleet.zones[1]
    inner = [seat.host.number for seat in zone]
    left, right = frozenset(inner[:3]), frozenset(inner[3:])
    for barrier in (Barrier(left, right), Barrier(right, left)):
        fleet.network.raise_barrier(barrier)
    fleet.world.barrier_changed()
    fleet.pass_(60)
    assert sum(seat.is_delegate for seat in zone[:3]) == 3
    assert {sums.there for sums in fleet.sums("z001")} == {5}
    assert fleet.presences("z001") == {Presence.FRESH}


def test_a_zone_that_dies_one_by_one_never_looks_as_it_did_before_and_its_age_is_that_of_its_sums() -> None:
    fleet = Fleet(zones=2, size=2)
    left, right = fleet.zones[1]
    fleet.kill(left)
    fleet.pass_(20)
    fleet.until(lambda: all(sums.nodes == {"down": 1, "fresh": 1} for sums in fleet.sums("z001")), 10)
    fleet.kill(right)
    died = fleet.now
    while fleet.now < died + 60:
        fleet.pass_(0.5)
        views = [fleet.seen(seat)["z001"] for seat in fleet.zones[0]]
        assert {view.sums.there for view in views} == {1}
        assert all(view.age_s >= round(fleet.now - died, 1) for view in views if view.presence is not Presence.FRESH)
    assert fleet.presences("z001") == {Presence.UNREACHABLE}


def test_what_the_last_life_of_a_delegate_told_is_not_fresh_though_this_one_is_heard() -> None:
    fleet = Fleet(zones=2, size=4)
    seats = {seat.host.name: seat for seat in fleet.zones[1]}
    first, second, *others = ranked("z001", [NodeName(name) for name in seats])
    fleet.kill(seats[first])
    fleet.pass_(30)
    assert {sums.there for sums in fleet.sums("z001")} == {3}, "it is the second that tells now"
    for name in (second, *others):
        fleet.kill(seats[name])
    died = fleet.now
    fleet.pass_(30)
    for name in (first, second):
        fleet.restart(seats[name])
    while fleet.now < died + 90:
        fleet.pass_(0.25)
        old = [view for view in (fleet.seen(seat)["z001"] for seat in fleet.zones[0]) if view.sums.there == 3]
        assert all(view.presence is not Presence.FRESH and view.age_s > fleet.now - died - 1 for view in old)
    assert fleet.presences("z001") == {Presence.FRESH}
    assert {sums.there for sums in fleet.sums("z001")} == {2}


def test_what_the_last_life_of_who_tells_of_a_zone_said_is_as_old_as_that_life() -> None:
    fleet = Fleet(zones=2, size=3)
    reader = next(seat for seat in fleet.zones[0] if fleet.seen(seat)["z001"].by != seat.host.name)
    record = reader.member.roster.get(fleet.seen(reader)["z001"].by)
    assert record is not None
    record.epoch, record.beat_at = Epoch(record.epoch + 1), record.beat_at + 100
    fleet.pass_(0.1)
    view = fleet.seen(reader)["z001"]
    assert (view.presence, view.by) == (Presence.STALE, record.name)
    assert 0 < view.age_s < 10
    record.epoch = Epoch(record.epoch + 1)
    assert reader.bridge is not None
    reader.bridge.words = Words(reader.member, reader.zone)
    assert "z001" not in fleet.seen(reader), "who began to look now can't tell how old it is"


def heard(age_s: float, there: int, *, carrier: Presence = Presence.FRESH, presence: Presence) -> Heard:
    sums = ZoneSums(zone="z001", nodes={"fresh": there}, agents={}, by_status={})
    return Heard(NodeName(f"n{there}"), carrier, age_s, ZoneWord(sums, NodeName("x1"), presence))


def test_the_larger_part_decides_among_fresh_words_alone_and_among_others_the_newest() -> None:
    fresh = [heard(age, there, presence=Presence.FRESH) for age, there in ((0.0, 3), (4.0, 5))]
    silent = [heard(age, there, presence=Presence.UNREACHABLE) for age, there in ((30.0, 2), (90.0, 8))]
    dead = [heard(age, 9, carrier=Presence.DOWN, presence=Presence.FRESH) for age in (20.0, 28.0)]
    best = sorted([*silent, *dead, *fresh], key=lambda one: one.rank(5.0))
    assert [(one.word.sums.there, one.age_s) for one in best] == [
        (5, 4.0), (3, 0.0), (9, 20.0), (2, 30.0), (9, 28.0), (8, 90.0)
    ]  # fmt: skip


def test_a_zone_that_says_goodbye_has_left() -> None:
    fleet = Fleet()
    for seat in fleet.zones[1]:
        fleet.world.leave(seat.host)
        if seat.is_delegate:
            fleet.world.leave(seat.above)
    fleet.pass_(20)
    assert fleet.presences("z001") == {Presence.LEFT}


def test_who_is_cut_off_from_its_zone_alone_looks_for_itself() -> None:
    fleet = Fleet()
    reader = next(seat for seat in fleet.zones[0] if not seat.is_delegate)
    rest = [seat.host.number for seat in fleet.zones[0] if seat is not reader]
    alone, others = frozenset([reader.host.number]), frozenset(rest)
    for barrier in (Barrier(alone, others), Barrier(others, alone)):
        fleet.network.raise_barrier(barrier)
    fleet.world.barrier_changed()
    fleet.pass_(60)
    assert reader.is_delegate
    assert [(v.presence, v.by) for v in fleet.seen(reader).values()] == [(Presence.FRESH, reader.host.name)] * 2
    assert {sums.there for sums in fleet.sums("z000")} == {7}


def test_whoever_tells_of_a_zone_is_shown_with_it_and_no_better_than_it_is() -> None:
    fleet = Fleet()
    reader = next(seat for seat in fleet.zones[0] if not seat.is_delegate)
    fleet.cut([reader], [seat for seat in fleet.seats if seat is not reader])
    fleet.pass_(30)
    view = fleet.seen(reader)["z001"]
    assert view.presence is Presence.UNREACHABLE
    assert f"{view.by} itself is" in view.reasons[-1]
    assert view.sums.there == 8


@pytest.mark.parametrize("body", [b"nonsense", b"", "own", "other"])
def test_what_makes_no_sense_is_not_shown(body: bytes | str) -> None:
    fleet = Fleet()
    liar, reader = fleet.zones[0][2], fleet.zones[0][0]
    sums = fleet.sums("z001")[0]
    if isinstance(body, str):
        about = "z000" if body == "own" else "z002"
        body = encode_word("n1", Presence.FRESH, None, encode_sums(sums))
    else:
        about = "z009"
    fleet.world.publish(liar.host, AgentId(WORD + about), body)
    fleet.pass_(5)
    assert reader.bridge is not None
    assert sorted(fleet.seen(reader)) == ["z001", "z002"]
    assert all(view.sums.zone == zone for zone, view in fleet.seen(reader).items())
    assert reader.bridge.words.undecodable == (0 if body == b"" else 1)
