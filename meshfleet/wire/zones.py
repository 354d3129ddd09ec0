"""What is told of whole zones, where a fleet is on two levels.

    sums    [1, zone, [nodes of each presence], [agents], [agents of each status], tokens in, tokens out, millionths of
             a dollar, [[key, window, thousandths used, resets at], ...],
             [[rule, severity, subject, since, text, key], ...], how many notices there are, millionths of a dollar in
             this period, and today, oldest ring, [[host, port] of each delegate], [[host, port] of each issuer]]
    word    [1, of, presence, last seen ms, sums as bytes]
    upper   [1, host, port]

They travel as the bodies of snapshots under ids that no agent can have: docs/protocol.md. Lists may get longer: what
this version does not know is passed on, since a word carries its sums as they came.
"""

from __future__ import annotations

from math import isfinite
from typing import Annotated, Final, TypeVar

import msgspec

from meshfleet.errors import ConfigError, Malformed
from meshfleet.fleet.headroom import Headroom
from meshfleet.fleet.names import Address, NodeName, is_listener, node_name
from meshfleet.fleet.notice import Notice, Severity
from meshfleet.fleet.presence import Presence
from meshfleet.fleet.state import Status
from meshfleet.fleet.zone import LIMITS_TOLD, NOTICES_TOLD, ZoneSums, ZoneWord
from meshfleet.wire import cbor
from meshfleet.wire.accounts import RESERVED

SUMS: Final = RESERVED + "zone"
"""In the upper mesh: of the zone that the node is in."""
UPPER: Final = RESERVED + "upper"
"""In a zone: where a delegate listens in the upper mesh."""
WORD: Final = RESERVED + "zone/"
"""In a zone: and the name of another one."""

VERSION: Final = 1
SUMS_LIMIT: Final = 2_048
"""Bytes of a zone's sums: with what a word adds they fit into a snapshot, and a hundred zones into a few datagrams."""
_MAX_DEPTH: Final = 4
_PRESENCES: Final = tuple(Presence)
_STATUSES: Final = tuple(Status)
_SEVERITIES: Final = tuple(Severity)
_DOLLAR: Final = 1_000_000
_MOST: Final = 2**53 - 1
PLACES: Final = 4
"""Addresses of each kind."""
TEXT_LIMIT: Final = 400
"""Characters of a notice's text."""

_Row = list[object]

_Count = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
_Short = Annotated[str, msgspec.Meta(max_length=200)]
_Zone = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
_Counts = Annotated[list[_Count], msgspec.Meta(max_length=16)]


class _Limit(msgspec.Struct, frozen=True, array_like=True):
    key: _Short
    window: _Short
    used: _Count | None
    resets_at: _Short | None
    read_at: _Short | None
    agents: _Count


class _Notice(msgspec.Struct, frozen=True, array_like=True):
    rule: _Short
    severity: _Count
    subject: _Short
    since: _Short
    text: Annotated[str, msgspec.Meta(max_length=TEXT_LIMIT)]
    key: _Short


class _Place(msgspec.Struct, frozen=True, array_like=True):
    host: _Short
    port: Annotated[int, msgspec.Meta(ge=1, le=65_535)]


class _Sums(msgspec.Struct, frozen=True, array_like=True):
    version: int
    zone: _Zone
    nodes: _Counts
    agents: _Counts
    statuses: _Counts
    tokens_in: _Count | None
    tokens_out: _Count | None
    cost: _Count | None
    limits: Annotated[list[_Limit], msgspec.Meta(max_length=LIMITS_TOLD)]
    notices: Annotated[list[_Notice], msgspec.Meta(max_length=NOTICES_TOLD)]
    noticed: _Count
    period: _Count | None
    today: _Count | None
    ring: _Count
    delegates: Annotated[list[_Place], msgspec.Meta(max_length=PLACES)]
    issuers: Annotated[list[_Place], msgspec.Meta(max_length=PLACES)]


class _Word(msgspec.Struct, frozen=True, array_like=True):
    version: int
    of: _Zone
    presence: _Count
    last_seen_ms: _Count | None
    sums: Annotated[bytes, msgspec.Meta(max_length=4096)]


class _Upper(msgspec.Struct, frozen=True, array_like=True):
    version: int
    host: _Short
    port: Annotated[int, msgspec.Meta(ge=1, le=65_535)]


_Told = TypeVar("_Told", _Sums, _Word, _Upper)


def encode_sums(sums: ZoneSums) -> bytes:
    """As bytes, SUMS_LIMIT of them at most: what is left out for that are the last notices, and then the least used
    API keys."""
    limits: list[_Row] = [
        [_short(r.key), _short(r.window), _whole(r.used_pct, 10), _text(r.resets_at), _text(r.read_at), r.agents]
        for r in sums.rate_limits[:LIMITS_TOLD]
    ]
    notices: list[_Row] = [
        [n.rule, n.severity.rank, _short(n.subject), _short(n.since), n.text[:TEXT_LIMIT], _short(n.key)]
        for n in sums.attention[:NOTICES_TOLD]
    ]
    while len(body := _encoded(sums, limits, notices)) > SUMS_LIMIT and (notices or limits):
        (notices or limits).pop()
    return body


def _encoded(sums: ZoneSums, limits: list[_Row], notices: list[_Row]) -> bytes:
    return cbor.dump([
        VERSION, sums.zone,
        [sums.nodes.get(p.value, 0) for p in _PRESENCES],
        [sums.agents.get(p.value, 0) for p in _PRESENCES],
        [sums.by_status.get(s.value, 0) for s in _STATUSES],
        _whole(sums.tokens_in), _whole(sums.tokens_out), _whole(sums.cost_usd, _DOLLAR), limits, notices, sums.notices,
        _whole(sums.period_cost_usd, _DOLLAR), _whole(sums.today_cost_usd, _DOLLAR), sums.ring,
        [[*place] for place in sums.delegates[:PLACES]], [[*place] for place in sums.issuers[:PLACES]],
    ])  # fmt: skip


def decode_sums(body: bytes) -> ZoneSums:
    """What a body says of a zone. Malformed where it is none of ours."""
    told = _read(body, _Sums)
    _named(told.zone)
    return ZoneSums(
        zone=told.zone,
        nodes=_counts([p.value for p in _PRESENCES], told.nodes),
        agents=_counts([p.value for p in _PRESENCES], told.agents),
        by_status=_counts([s.value for s in _STATUSES], told.statuses),
        tokens_in=told.tokens_in,
        tokens_out=told.tokens_out,
        cost_usd=_dollars(told.cost),
        rate_limits=tuple(_limit(limit) for limit in told.limits),
        attention=tuple(_notice(notice) for notice in told.notices),
        notices=told.noticed,
        period_cost_usd=_dollars(told.period),
        today_cost_usd=_dollars(told.today),
        ring=told.ring,
        delegates=_places(told.delegates),
        issuers=_places(told.issuers),
    )


def encode_word(of: str, presence: Presence, last_seen_ms: int | None, sums: bytes) -> bytes:
    """What a delegate says of another zone, with the sums as that zone told them."""
    return cbor.dump([VERSION, of, _PRESENCES.index(presence), last_seen_ms, sums])


def decode_word(body: bytes) -> ZoneWord:
    """What a body says. Malformed where it is none of ours. A presence that this version does not know is taken for
    `unreachable`."""
    told = _read(body, _Word)
    of = _named(told.of)
    presence = _PRESENCES[told.presence] if told.presence < len(_PRESENCES) else Presence.UNREACHABLE
    return ZoneWord(decode_sums(told.sums), of, presence, told.last_seen_ms)


def encode_upper(address: Address) -> bytes:
    """Where a delegate listens in the upper mesh."""
    return cbor.dump([VERSION, address.host, address.port])


def decode_upper(body: bytes) -> Address:
    """Where that is. Malformed where it is nowhere."""
    told = _read(body, _Upper)
    if not is_listener(told.host):
        raise Malformed(f"a delegate at {told.host[:40]!r}, which is no address")
    return Address(told.host, told.port)


def _read(body: bytes, kind: type[_Told]) -> _Told:
    item = cbor.load(body, max_depth=_MAX_DEPTH, text_keys=True)
    try:
        told = msgspec.convert(item, kind)
    except msgspec.ValidationError as error:
        raise Malformed(f"what is told of a zone can't be: {error}") from error
    if told.version != VERSION:
        raise Malformed(f"a zone told of in version {told.version}")
    return told


def _named(text: str) -> NodeName:
    """A node's name, or a zone's, which looks like one: ids are made of it."""
    try:
        return node_name(text)
    except ConfigError as error:
        raise Malformed(f"what is told of a zone has no name: {error}") from error


def _counts(words: list[str], counts: list[int]) -> dict[str, int]:
    return dict(sorted((word, count) for word, count in zip(words, counts, strict=False) if count))


def _whole(number: float | None, times: int = 1) -> int | None:
    """As a count. Agents say what they like: what is no number is not known, and what is too much is the most."""
    if number is None or not isfinite(number):
        return None
    return min(round(times * min(max(number, 0), _MOST)), _MOST)


def _short(text: str) -> str:
    return text[:200]


def _text(text: str | None) -> str | None:
    return None if text is None else _short(text)


def _dollars(millionths: int | None) -> float | None:
    return None if millionths is None else millionths / _DOLLAR


def _places(told: list[_Place]) -> tuple[Address, ...]:
    """Those that can be dialled: a name would have to be looked up first, and might be anybody's."""
    return tuple(Address(place.host, place.port) for place in told if is_listener(place.host))


def _limit(told: _Limit) -> Headroom:
    return Headroom(
        key=told.key,
        window=told.window,
        used_pct=None if told.used is None else told.used / 10,
        resets_at=told.resets_at,
        read_at=told.read_at,
        agents=told.agents,
    )


def _notice(told: _Notice) -> Notice:
    return Notice(
        rule=told.rule,
        severity=_SEVERITIES[min(told.severity, len(_SEVERITIES) - 1)],
        subject=told.subject,
        since=told.since,
        text=told.text,
        key=told.key,
    )
