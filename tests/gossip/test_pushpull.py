"""Push-pull of a large fleet, in the codec's own bytes: no frame is over the limit, and who came in knows everybody."""

from __future__ import annotations

from random import Random

import msgspec
import pytest

from meshfleet.fleet.names import Address, AgentId, Epoch, NodeName
from meshfleet.fleet.state import Snapshot
from meshfleet.fleet.timing import PRESETS
from meshfleet.gossip.limits import FRAME_BYTES
from meshfleet.gossip.member import Member
from meshfleet.gossip.messages import (
    Alive,
    Digest,
    Finding,
    NodeInfo,
    Packet,
    Revoked,
    Row,
    Statement,
    Sum,
    Suspect,
    Sync,
    Via,
    Want,
)
from meshfleet.gossip.orders import SendPacket
from meshfleet.gossip.sums import said_sum
from meshfleet.gossip.vouching import S, Trusting
from meshfleet.wire.codec import PACKET_OVERHEAD, decode_packet, encode_packet, size_of
from meshfleet.wire.seal import FRAME_LIMIT

NOW = 1_000_000.0
EPOCH = 1_763_923_200_000
MEMBERS = 1_000
LAN = PRESETS["lan"]


class Sized(Trusting):
    """Signs with as many bytes as the real one, and proves heartbeats with as many."""

    def sign(self, statement: S) -> S:
        credential = {"credential": bytes(101)} if isinstance(statement, Alive) else {}
        return msgspec.structs.replace(statement, signature=bytes(64), **credential)

    def examine(self, statement: Statement, signer: Alive | None) -> Finding:
        return Finding.UNVOUCHED if signer is None else Finding.GENUINE


def name_of(i: int) -> str:
    return f"pod-{i:04}-".ljust(64, "x")


def info_of(name: str, i: int) -> NodeInfo:
    zone, url = "z" * 64, f"https://{name}"[:64]
    return NodeInfo(name, f"10.1.{i // 250}.{i % 250}", 7878, zone, "agent", url, "9.9", f"{'m' * 32}/1/1", 1)


def member_of(name: str, i: int) -> Member:
    """A member beside what the codec measures, with signatures as long as they are."""
    return Member(
        NodeName(name), Epoch(EPOCH), info_of(name, i), LAN, Random(i), size_of, PACKET_OVERHEAD, Sized(), NOW
    )


@pytest.fixture(scope="module")
def teller() -> Member:
    """One that knows a thousand, each with a heartbeat and a snapshot, accusations of some, rows, and the outcast."""
    member = member_of(name_of(0), 0)
    sign = Sized().sign
    names = [name_of(i) for i in range(MEMBERS)]
    for i, name in enumerate(names[1:], 1):
        member.roster.add(sign(Alive(name, EPOCH, 3, info_of(name, i), 9_999, bytes(8))), NOW)
        record = member.roster.get(name)
        assert record is not None
        assert member.beats.hear(record, 2**40, 1.0, NOW, None, "udp", proof=bytes(8))
        assert member.replica.add(sign(Snapshot(NodeName(name), Epoch(EPOCH), 2**40, 0, 0, AgentId("a"), b"state")))
        if i % 10 == 0:
            member.roster.add(sign(Suspect(name, EPOCH, 3, names[i - 1])), NOW)
        if i % 50 == 0:
            row = sign(Row(name, EPOCH, 1, tuple(names[:256])))
            member.rows.hear(row, NOW)
        member.revoke(Revoked(f"out-{i:04}".ljust(64, "x"), EPOCH, bytes(64)), NOW)
    assert len(member.rows.all()) == 19
    return member


def frames(member: Member) -> list[bytes]:
    """What its streams carry, each as one frame's bytes."""
    sent = [out for out in member.outgoing(NOW) if isinstance(out, SendPacket) and out.via is Via.STREAM]
    return [encode_packet(member.envelope(out.messages, NOW, EPOCH)) for out in sent]


def test_no_frame_of_a_thousand_with_long_names_is_over_the_limit_and_a_newcomer_knows_all(teller: Member) -> None:
    newcomer = member_of("newcomer", 999_9)
    newcomer.join(Address("10.1.0.0", 7878), NOW)
    (question,) = frames(newcomer)
    teller.receive(decode_packet(question), Address("10.1.9.9", 7878), Via.STREAM, NOW)
    answer = frames(teller)
    assert max(len(frame) for frame in answer) <= FRAME_LIMIT
    syncs = [m for frame in answer for m in decode_packet(frame).messages if isinstance(m, Sync)]
    assert max(size_of(sync) for sync in syncs) <= FRAME_BYTES
    assert len(syncs) < 40, "frames are filled"
    for frame in answer:
        newcomer.receive(decode_packet(frame), Address("10.1.0.0", 7878), Via.STREAM, NOW)
    assert {record.name for record in newcomer.roster} == {name_of(i) for i in range(MEMBERS)}
    assert sum(record.beat == 2**40 for record in newcomer.roster) == MEMBERS - 1
    assert sum(len(record.known.suspects) for record in newcomer.roster) == (MEMBERS - 1) // 10
    assert newcomer.counts["unknown_beat"] == newcomer.counts["unvouched"] == 0
    assert len(newcomer.rows.all()) == 19
    assert len(newcomer.outcasts.all()) == MEMBERS - 1
    said = [message for frame in frames(newcomer) for message in decode_packet(frame).messages]
    wanted = {have.node for message in said if isinstance(message, Want) for have in message.entries}
    assert len(wanted) == MEMBERS - 1, "it asks for everybody's snapshots"


def test_where_only_snapshots_differ_the_digest_of_a_thousand_comes_in_frames(teller: Member) -> None:
    told = Sum(said_sum(teller.membership.said(NOW)), b"other")
    teller.receive(Packet(name_of(1), EPOCH, 0, 0.0, 0, (told,)), Address("10.1.0.1", 7878), Via.STREAM, NOW)
    answer = frames(teller)
    assert max(len(frame) for frame in answer) <= FRAME_LIMIT
    digests = [m for frame in answer for m in decode_packet(frame).messages if isinstance(m, Digest)]
    assert sum(len(digest.entries) for digest in digests) == MEMBERS
    assert len(digests) < 4, "frames are filled"
