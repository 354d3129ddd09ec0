"""What `meshfleet doctor` looks at: what the member knows of its peers, and the paths to some of them, tested."""

from __future__ import annotations

import random
import socket
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import trio

from meshfleet.fleet.doctoring import find
from meshfleet.fleet.findings import Path, Peer, Rivalry, Seen
from meshfleet.fleet.names import is_listener
from meshfleet.fleet.presence import Presence
from meshfleet.node.paths import RIVAL_FOR

if TYPE_CHECKING:
    from meshfleet.fleet.names import NodeName
    from meshfleet.gossip.member import Member
    from meshfleet.gossip.record import Record
    from meshfleet.node.diagnosis import Diagnosis
    from meshfleet.node.paths import Paths

AT_MOST = 8
"""Peers whose paths are tested: what is wrong with all shows in any, and what is wrong with one is tested first."""


class Inside(NamedTuple):
    """What the node knows beside its member."""

    why_alone: str | None = None
    unjoined: tuple[str, ...] = ()
    unwritten: tuple[str, ...] = ()
    revoked: bool = False


async def examine(member: Member, paths: Paths, diagnosis: Diagnosis, inside: Inside, *, tries: bool) -> Diagnosis:
    """The diagnosis, with what was found."""
    tested = await _tested(member, paths) if tries else {}
    heard = [record for record in member.roster if not record.is_gone]
    me = member.membership.me.info
    usurper = member.membership.usurper
    seen = Seen(
        node=member.name,
        address=_address(me.gossip_host, me.gossip_port),
        relays=tuple(me.relays),
        peers=tuple([_peer(member, record, tested.get(record.name)) for record in heard]),
        usurper=None if usurper is None else _address(*usurper),
        why_alone=inside.why_alone,
        unjoined=inside.unjoined,
        standing=diagnosis.standing,
        reasons=diagnosis.reasons,
        unwritten=inside.unwritten,
        revoked=inside.revoked,
        slowed=member.pacing.told,
        state_rate=member.timing.state_rate,
    )
    reported = tuple(sorted(name for name, path in tested.items() if path.reported))
    return msgspec.structs.replace(diagnosis, peers=len(heard), tested=reported, findings=find(seen))


async def _tested(member: Member, paths: Paths) -> dict[NodeName, Path]:
    chosen = _whom(member)
    found: dict[NodeName, Path] = {}

    async def test(record: Record) -> None:
        path = await paths.test(record)
        own = path.seen_from is not None and _is_own(path.seen_from)
        found[record.name] = msgspec.structs.replace(path, is_own=own)

    async with trio.open_nursery() as nursery:
        for record in chosen:
            nursery.start_soon(test, record)
    return found


def _whom(member: Member) -> list[Record]:
    """Those with whom something seems to be wrong, then others at random: in a large fleet each time others."""
    there = [record for record in member.roster if not record.is_gone]
    random.shuffle(there)
    return sorted(there, key=lambda record: _is_well(member, record))[:AT_MOST]


def _is_well(member: Member, record: Record) -> bool:
    plain = not member.ways.by_stream(record) and not record.info.relays and record.rival is None
    return plain and record.presence is Presence.FRESH and record.reach == "direct"


def _peer(member: Member, record: Record, path: Path | None) -> Peer:
    heard = record.delivery.source
    return Peer(
        name=record.name,
        address=_address(*record.address),
        streams_alone=member.ways.by_stream(record),
        relays=tuple(record.info.relays),
        heard_from=None if heard is None else _address(*heard),
        clock_offset_s=record.clock_offset,
        rivalry=_rivalry(member, record),
        path=path,
    )


def _rivalry(member: Member, record: Record) -> Rivalry | None:
    rival = record.rival
    if rival is None or member.heard_until - rival.at > RIVAL_FOR:
        return None
    ago = round(max(0.0, member.heard_until - rival.at), 1)
    return Rivalry(where=str(rival.where), times=rival.times, ago_s=ago, proven=rival.proven)


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _is_own(address: str) -> bool:
    """Whether the host of `address` is an address of this machine: only then can a socket be bound to it."""
    host = address.rpartition(":")[0].strip("[]")
    if not is_listener(host):  # a peer says so, and may say anything
        return False
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind((host, 0))
        except OSError:
            return False
    return True
