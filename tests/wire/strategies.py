"""Every message of the mesh, drawn at random within its ranges. Ages are whole hundredths, as they travel."""

from __future__ import annotations

import string
from typing import get_args

from hypothesis import strategies as st

from meshfleet.fleet.names import AgentId, Epoch, NodeName
from meshfleet.fleet.state import AgentState, RateLimit, Snapshot, Status
from meshfleet.gossip.messages import (
    Ack,
    Alive,
    Beat,
    Beats,
    Delta,
    Digest,
    Goodbye,
    Got,
    Have,
    Left,
    Message,
    Nack,
    NodeInfo,
    Obituary,
    Packet,
    PathProbe,
    PathReport,
    PathTest,
    Ping,
    PingReq,
    Relay,
    Revoked,
    RollAnswer,
    RollCall,
    Row,
    SnapshotMessage,
    Sum,
    Suspect,
    Sync,
    Trouble,
    Want,
)

_ALNUM = string.ascii_letters + string.digits
numbers = st.integers(0, 2**53 - 1)
names = st.builds(lambda a, b: a + b, st.sampled_from(_ALNUM), st.text(_ALNUM + "._-", max_size=63))
agent_ids = st.builds(lambda a, b: a + b, st.sampled_from(_ALNUM), st.text(_ALNUM + "._:@/-", max_size=127))
shorts = st.text(max_size=200)
ages = st.one_of(st.integers(0, 1000), st.integers(0, 10**9)).map(lambda whole: whole / 100)

signatures = st.binary(max_size=64)

infos = st.builds(
    NodeInfo,
    shorts,
    shorts,
    st.integers(0, 65535),
    st.none() | shorts,
    shorts,
    st.none() | shorts,
    shorts,
    st.none() | shorts,
    numbers,
    st.booleans(),
    st.lists(names, max_size=3).map(tuple),
)
proofs = st.binary(min_size=8, max_size=8)
beats = st.builds(
    lambda tag, counter, raised_at, proof: Beat(tag, counter, raised_at, proof if counter else b""),
    st.integers(0, 2**40 - 1),
    st.integers(0, 100_000) | numbers,
    ages.map(lambda age: -age),
    proofs,
)
tables = st.one_of(
    st.builds(Beats, st.lists(beats, max_size=8).map(tuple)),
    st.builds(
        lambda entries: Beats(tuple(Beat(beat.tag, beat.counter, beat.raised_at) for beat in entries), 0.0, asks=True),
        st.lists(beats, min_size=1, max_size=8),
    ),
)
haves = st.builds(Have, names, numbers, numbers)
summed = st.binary(max_size=8)
digests = st.builds(Digest, st.lists(haves, max_size=5).map(tuple), summed)
orders = st.binary(min_size=4, max_size=4)


def _answer(order: bytes, first: int, told: bytes, drawn: list[Beat]) -> RollAnswer:
    """As many heartbeats as bits are set: at most as many as were drawn."""
    bits, kept = int.from_bytes(told, "little"), 0
    for beat in range(bits.bit_length()):
        if bits >> beat & 1 and kept.bit_count() < len(drawn):
            kept |= 1 << beat
    entries = tuple([Beat(0, beat.counter, beat.raised_at, beat.proof) for beat in drawn[: kept.bit_count()]])
    return RollAnswer(order, first, kept.to_bytes(len(told), "little"), entries)


snapshots = st.builds(
    Snapshot,
    names.map(NodeName),
    numbers.map(Epoch),
    numbers,
    numbers,
    numbers,
    agent_ids.map(AgentId),
    st.binary(max_size=200),
    signatures,
)
alives = st.builds(Alive, names, numbers, numbers, infos, numbers, proofs, st.binary(max_size=256), signatures)
suspects = st.builds(Suspect, names, numbers, numbers, names, signatures)
lefts = st.builds(Left, names, numbers, names, shorts, signatures)
obituaries = st.builds(Obituary, names, numbers, numbers, names, shorts, signatures)
rows = st.builds(Row, names, numbers, numbers, st.lists(names, max_size=5).map(tuple), st.none() | names, signatures)
revocations = st.builds(Revoked, names, numbers, st.binary(min_size=64, max_size=64))
claims = alives | suspects | lefts | obituaries

BY_KIND: dict[type[Message], st.SearchStrategy[Message]] = {
    Alive: alives,
    Suspect: suspects,
    Left: lefts,
    Obituary: obituaries,
    Beats: tables,
    Row: rows,
    RollCall: st.builds(RollCall, orders, st.binary(max_size=1_251), st.booleans()),
    RollAnswer: st.builds(
        _answer, orders, st.integers(0, 10_000), st.binary(max_size=128), st.lists(beats, max_size=8)
    ),
    Got: st.builds(Got, st.lists(numbers, max_size=8).map(tuple)),
    Sum: st.builds(Sum, summed, summed),
    Revoked: revocations,
    Ping: st.builds(Ping, numbers, names),
    PingReq: st.builds(PingReq, numbers, names, st.integers(0, 10**10).map(lambda ms: ms / 1000)),
    Ack: st.builds(Ack, numbers, names, numbers),
    Nack: st.builds(Nack, numbers, names, numbers, st.sampled_from(Trouble)),
    Relay: st.builds(Relay, names, st.binary(max_size=300)),
    SnapshotMessage: st.builds(SnapshotMessage, snapshots, st.none() | names, numbers, ages, proofs, numbers),
    Digest: digests,
    Want: st.builds(Want, st.lists(haves, max_size=5).map(tuple)),
    Delta: st.builds(Delta, names, numbers, numbers, numbers, st.lists(snapshots, max_size=3).map(tuple)),
    Sync: st.builds(
        Sync,
        st.lists(claims, max_size=3).map(tuple),
        tables,
        digests,
        st.booleans(),
        st.lists(rows, max_size=2).map(tuple),
        st.lists(revocations, max_size=2).map(tuple),
    ),
    Goodbye: st.builds(Goodbye),
    PathProbe: st.builds(PathProbe, numbers, numbers, st.binary(max_size=300)),
    PathTest: st.builds(PathTest, numbers),
    PathReport: st.builds(
        PathReport, numbers, st.lists(numbers, max_size=8).map(tuple), st.none() | shorts, shorts, st.none() | shorts
    ),
}
assert set(BY_KIND) == set(get_args(Message)), "every kind of message needs a strategy, and so a test"

messages: st.SearchStrategy[Message] = st.one_of(*BY_KIND.values())
packets = st.builds(Packet, names, numbers, numbers, ages, numbers, st.lists(messages, max_size=4).map(tuple), proofs)

_texts = st.text(max_size=60)
_counts = st.none() | numbers
_floats = st.none() | st.floats(allow_nan=False, allow_infinity=False)
states = st.builds(
    AgentState,
    agent_id=agent_ids,
    timestamp=_texts,
    status=st.sampled_from(Status),
    runtime=_texts,
    model=st.none() | _texts,
    project=st.none() | _texts,
    session=st.none() | _texts,
    parent=st.none() | _texts,
    context_pct=_floats,
    context_tokens=_counts,
    context_limit=_counts,
    context_trend_pct_per_min=_floats,
    context_full_in_s=_floats,
    tokens_in=_counts,
    tokens_out=_counts,
    tokens_cache_read=_counts,
    tokens_cache_write=_counts,
    cost_usd=_floats,
    active_tool=st.none() | _texts,
    active_tool_since=st.none() | _texts,
    rate_limits=st.lists(
        st.builds(
            RateLimit,
            key=_texts,
            window=_texts,
            used_pct=_floats,
            resets_at=st.none() | _texts,
            read_at=st.none() | _texts,
        ),
        max_size=3,
    ).map(tuple),
    exit_code=st.none() | st.integers(-128, 255),
    note=st.none() | _texts,
    sources=st.dictionaries(_texts, _texts, max_size=3),
)
