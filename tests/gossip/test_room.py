"""Room in datagrams, by the codec's own measure: none is over the limit, whatever members choose; nothing is lost."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import TYPE_CHECKING

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from meshfleet.fleet.names import Address, AgentId, Epoch, NodeName
from meshfleet.fleet.state import Snapshot
from meshfleet.fleet.timing import PRESETS
from meshfleet.gossip.beats import ENTRIES, Heartbeats
from meshfleet.gossip.limits import DATAGRAM_BYTES
from meshfleet.gossip.messages import Ack, Alive, Beats, Delta, Got, NodeInfo, Relay, Suspect, Via
from meshfleet.gossip.orders import SendPacket
from meshfleet.gossip.outbox import RELAY_HEAD, Outbox
from meshfleet.gossip.roster import Roster
from meshfleet.gossip.rumors import Rumors
from meshfleet.gossip.vouching import Trusting, Vouching
from meshfleet.gossip.ways import Ways
from meshfleet.wire.codec import PACKET_OVERHEAD, size_of

if TYPE_CHECKING:
    from meshfleet.gossip.record import Record

LAN = PRESETS["lan"]
AT = 1_000_000.0
HERE = Address("10.0.0.1", 7878)
THERE = NodeName("n0")
INFO = NodeInfo("h", "10.0.0.1", 7878)


class Desk:
    """An outbox, with all that it takes along."""

    def __init__(self, members: int) -> None:
        counts: Counter[str] = Counter()
        self.roster = Roster(NodeName("me"), Random(1), counts)
        self.beats = Heartbeats("me", 1, LAN, self.roster, counts, AT, Vouching(Trusting(), self.roster, counts))
        self.rumors = Rumors(LAN, size_of, counts)
        ways = Ways(NodeName("me"), self.roster, counts)
        self.outbox = Outbox(size_of, PACKET_OVERHEAD, self.rumors, self.beats, counts, ways, 1e9)
        for i in range(members):
            self.roster.add(Alive(f"n{i}", 1, 0, INFO), AT)

    def record(self, name: str) -> Record:
        record = self.roster.get(name)
        assert record is not None
        return record

    def hears(self, name: str, counter: int, age: float = 0.0) -> None:
        """A heartbeat, with its proof."""
        assert self.beats.hear(self.record(name), counter, age, AT, None, "udp", proof=bytes(8))

    def drained(self) -> list[SendPacket]:
        """What is sent now, each within what its way carries by the codec's measure."""
        sent = [out for out in self.outbox.drain(len(self.roster), AT) if isinstance(out, SendPacket)]
        for out in sent:
            size = PACKET_OVERHEAD + sum([size_of(message) for message in out.messages])
            if out.relay is not None:
                size = PACKET_OVERHEAD + size_of(Relay(str(out.to), bytes(size)))
            assert out.via is Via.STREAM or size <= DATAGRAM_BYTES
        return sent

    def told(self) -> Counter[int]:
        """How often each heartbeat is told until all is said, with an answer each time."""
        told: Counter[int] = Counter()
        for seq in range(200):
            self.outbox.datagram_to(HERE, THERE, Ack(seq, "me", 1))
            for out in self.drained():
                assert out.via is Via.DATAGRAM
                told.update([b.tag for m in out.messages if isinstance(m, Beats) for b in m.entries])
        assert not self.beats.are_hot
        return told


def test_one_heartbeat_that_makes_all_of_a_table_wide_costs_no_datagram_and_no_heartbeat() -> None:
    desk = Desk(ENTRIES)
    desk.hears("n0", 2**52, 1e6)
    for i in range(1, ENTRIES):
        desk.hears(f"n{i}", 7)
    told = desk.told()
    assert len(told) == ENTRIES
    assert set(told.values()) == {LAN.fan_out}


def test_nor_do_claims_beside_it() -> None:
    desk = Desk(ENTRIES)
    for i in range(9):
        desk.rumors.add(Suspect(f"n{i}", 2**52, 2**52, "n1", bytes(64)))
    for i in range(ENTRIES):
        desk.hears(f"n{i}", 2**52, 1e6)
    assert set(desk.told().values()) == {LAN.fan_out}


@given(
    st.lists(st.tuples(st.integers(1, 2**53 - 1), st.floats(0.0, 1e6)), max_size=ENTRIES),
    st.lists(st.integers(0, 2**53 - 1), max_size=130),
    st.booleans(),
)
def test_whatever_room_is_left_a_table_fits_it_and_what_does_not_stays_to_be_told(
    heard: list[tuple[int, float]], steps: list[int], at_odds: bool
) -> None:
    desk = Desk(len(heard))
    desk.beats.at_odds(AT if at_odds else -1e9)
    for i, (counter, age) in enumerate(heard):
        desk.hears(f"n{i}", counter, age)
    before = Counter({record.tag: record.hot for record in desk.roster})
    desk.outbox.datagram_to(HERE, THERE, Got(tuple(steps)))
    (out,) = desk.drained()
    told = [beat.tag for m in out.messages if isinstance(m, Beats) for beat in m.entries]
    after = Counter({record.tag: record.hot for record in desk.roster})
    if at_odds:  # else what is old is left to be called for
        assert before == after + Counter(told)
    waiting = [*desk.beats._hot, *desk.beats._rode]
    assert len({id(record) for record in waiting}) == len(waiting)
    assert all(record in waiting for record in desk.roster if record.hot)


def test_what_rode_on_a_snapshot_stays_to_be_told_however_old_it_has_grown() -> None:
    desk = Desk(2)
    desk.beats.at_odds(-1e9)
    for i in range(2):
        record = desk.record(f"n{i}")
        assert desk.beats.hear(record, 2**52, 1e6, AT, None, "udp", proof=bytes(8), rides=True)
    table = desk.beats.take(1_000, AT)
    assert table is not None
    desk.beats.put_back(table.entries[1:], AT)
    again = desk.beats.take(1_000, AT)
    assert again is not None
    assert again.entries == table.entries[1:]
    assert desk.beats.take(1_000, AT) is None


def test_of_whom_nobody_knows_any_more_nothing_stays_to_be_told() -> None:
    desk = Desk(1)
    desk.hears("n0", 7)
    table = desk.beats.take(1_000, AT)
    assert table is not None
    desk.roster.tags.clear()
    desk.beats.put_back(table.entries, AT)
    assert desk.record("n0").hot == LAN.fan_out - 1


def test_who_names_relays_while_something_waits_is_sent_by_stream_what_no_longer_fits() -> None:
    desk = Desk(2)
    delta = Delta("n1", 1, 0, 1, (Snapshot(NodeName("n1"), Epoch(1), 1, 0, 0, AgentId("a"), bytes(1_000), bytes(64)),))
    room = DATAGRAM_BYTES - PACKET_OVERHEAD
    assert room - RELAY_HEAD - PACKET_OVERHEAD < size_of(delta) <= room
    desk.outbox.datagram_to(HERE, THERE, delta)
    desk.outbox.datagram_to(HERE, THERE, Ack(1, "me", 1))
    hidden = msgspec.structs.replace(INFO, relays=("n1",))
    desk.roster.add(Alive("n0", 1, 1, hidden), AT)
    large, small = desk.drained()
    assert (large.messages, large.via, large.relay) == ((delta,), Via.STREAM, "n1")
    assert (small.messages[0], small.via, small.relay) == (Ack(1, "me", 1), Via.DATAGRAM, "n1")
