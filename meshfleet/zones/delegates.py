"""Who speaks for a zone: three of its members, on different hosts first, by rendezvous hashing.

All who see the same members choose the same three without a word between them, and when one goes only its place is
filled anew. Each matter has an order of its own among the three, so that the work is spread over them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshfleet.fleet.presence import Presence
from meshfleet.fleet.rendezvous import ranked

if TYPE_CHECKING:
    from collections.abc import Iterable

    from meshfleet.fleet.names import NodeName
    from meshfleet.gossip.member import Member

DELEGATES = 3
"""Of each zone. One may die and another be cut off at the same time, and the third is there until both are replaced."""

THERE = (Presence.FRESH, Presence.STALE)
"""Who can be one. One that is unreachable is replaced at once: whoever comes back too much steps down later."""


def delegates(zone: str, members: Iterable[tuple[NodeName, str]]) -> list[NodeName]:
    """Of `members`, each with its host, those who speak for `zone`, the first in turn first."""
    hosts = dict(members)
    order = ranked(zone, hosts)
    one_a_host: dict[str, NodeName] = {}
    for name in order:
        one_a_host.setdefault(hosts[name], name)
    first = [name for name in order if one_a_host[hosts[name]] == name]
    return [*first, *(name for name in order if one_a_host[hosts[name]] != name)][:DELEGATES]


def delegates_seen(zone: str, member: Member) -> list[NodeName]:
    """Those of `zone`, as one of its members sees it. Nobody whom others reach by relays alone: a delegate is dialled
    by other zones."""
    info = member.membership.me.info
    me = () if info.relays else ((member.name, info.host),)
    there = ((r.name, r.info.host) for r in member.roster if r.presence in THERE and not r.info.relays)
    return delegates(zone, [*me, *there])
