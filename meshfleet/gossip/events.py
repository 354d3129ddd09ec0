"""What changed, for streams and logs. Fetched with `Member.events()`; not fetching them loses the oldest, nothing
else."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from meshfleet.fleet.names import NodeName
from meshfleet.fleet.presence import Verdict
from meshfleet.fleet.standing import Assessment
from meshfleet.fleet.state import Snapshot
from meshfleet.gossip.messages import Revoked


class Joined(msgspec.Struct, frozen=True):
    """A member was introduced."""

    name: NodeName


class Restarted(msgspec.Struct, frozen=True):
    """A later life of a known name."""

    name: NodeName
    epoch: int


class Judged(msgspec.Struct, frozen=True):
    """The verdict on a member changed."""

    name: NodeName
    verdict: Verdict
    before: Verdict
    epoch: int
    """The life of it that was judged: a later one may be heard of in the same packet."""


class Stands(msgspec.Struct, frozen=True):
    """The verdict on myself changed."""

    now: Assessment
    before: Assessment


class Arrived(msgspec.Struct, frozen=True):
    """A newer snapshot of somebody's agent."""

    snapshot: Snapshot


class Synced(msgspec.Struct, frozen=True):
    """A member told me all that it knows: the answer to a join."""

    name: NodeName


class NameTaken(msgspec.Struct, frozen=True):
    """Another process speaks under my name."""

    epoch: int
    where: str


class CastOut(msgspec.Struct, frozen=True):
    """The fleet's owner threw a node out. It may be this one."""

    revoked: Revoked


class Renewed(msgspec.Struct, frozen=True):
    """I was declared gone for good, and go on as a new life. The epoch must be stored."""

    epoch: int


class Forgotten(msgspec.Struct, frozen=True):
    """A member's tombstone expired."""

    name: NodeName


class Relayed(msgspec.Struct, frozen=True):
    """Nobody can reach this member: these pass on what is for it. None: it can be reached again."""

    relays: tuple[str, ...]


class Paced(msgspec.Struct, frozen=True):
    """The fleet says more than its datagrams should carry, so my agents' snapshots go `stretch` times as seldom. 1: it
    does no longer."""

    stretch: float


Event: TypeAlias = (
    Relayed
    | Joined
    | Restarted
    | Judged
    | Stands
    | Arrived
    | Synced
    | NameTaken
    | Renewed
    | CastOut
    | Forgotten
    | Paced
)
