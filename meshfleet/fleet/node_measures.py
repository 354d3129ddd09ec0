"""What a node measures of itself. Of the fleet it has numbers alone, by presence: a series for each node or agent would
be one for each session that ever ran. Every label has a closed set of values: the words of presence and standing, and
the names of counters, which stand in the code.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from meshfleet.fleet.fleet_measures import PRESENCE
from meshfleet.fleet.measures import Family, Kind, Label, Measured, Point, Since
from meshfleet.fleet.presence import Presence
from meshfleet.fleet.standing import Standing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from meshfleet.fleet.view import FleetView, Health

COUNTERS_LIMIT: Final = 256
"""Names of counters that are told. There are some 80; what is beyond was not foreseen, and is left out."""

EVENT: Final = Label("event", "meshfleet.event")
_DIRECTION: Final = Label("direction", "network.io.direction")
_DATAGRAMS: Final = Family(
    "meshfleet_datagrams",
    "meshfleet.datagrams",
    Kind.SUM,
    "Datagrams at the gossip socket.",
    (_DIRECTION,),
    "{datagram}",
    Since.PROCESS,
)
_BYTES: Final = Family(
    "meshfleet_gossip_bytes",
    "meshfleet.gossip",
    Kind.SUM,
    "Bytes of gossip, by transport.",
    (_DIRECTION, Label("transport", "network.transport")),
    "By",
    Since.PROCESS,
)


class _Traffic(NamedTuple):
    """A counter of a node that has a place in another family than the rest."""

    counter: str
    family: Family
    labels: tuple[str, ...]


_TRAFFIC: Final = (
    _Traffic("datagrams_in", _DATAGRAMS, ("received",)),
    _Traffic("datagrams_out", _DATAGRAMS, ("sent",)),
    _Traffic("udp_bytes_in", _BYTES, ("received", "udp")),
    _Traffic("udp_bytes_out", _BYTES, ("sent", "udp")),
    _Traffic("stream_bytes_in", _BYTES, ("received", "stream")),
    _Traffic("stream_bytes_out", _BYTES, ("sent", "stream")),
)


def of_the_node(health: Health, view: FleetView, counters: Mapping[str, int]) -> Iterator[Measured]:
    """All of it, as it is now."""
    info = Family(
        "meshfleet_node", "meshfleet.node.info", Kind.INFO, "This node's name and version.",
        (Label("node", "meshfleet.node"), Label("version", "service.version")),
    )  # fmt: skip
    yield Measured(info, (Point((health.node, health.version), 1),))
    beats = Family(
        "meshfleet_heartbeats", "meshfleet.heartbeats", Kind.SUM, "Times that this node raised its heartbeat.", (),
        "{heartbeat}", Since.PROCESS,
    )  # fmt: skip
    yield Measured(beats, (Point((), health.heartbeat),))
    yield from _of_the_view(view)
    for family in (_DATAGRAMS, _BYTES):
        counted = (Point(t.labels, counters.get(t.counter, 0)) for t in _TRAFFIC if t.family is family)
        yield Measured(family, tuple(counted))
    told_above = {traffic.counter for traffic in _TRAFFIC}
    rest = ((name, count) for name, count in counters.items() if name not in told_above)
    yield counted_events(
        "meshfleet_events", "meshfleet.events", "What the mesh counts: drops, refusals, forgeries, faults, by cause.",
        rest,
    )  # fmt: skip


def counted_events(name: str, otel: str, told: str, counters: Iterable[tuple[str, int]]) -> Measured:
    """Counters by their names."""
    family = Family(name, otel, Kind.SUM, told, (EVENT,), "{event}", Since.PROCESS)
    return Measured(family, tuple(Point((event,), count) for event, count in sorted(counters)[:COUNTERS_LIMIT]))


def _of_the_view(view: FleetView) -> Iterator[Measured]:
    nodes = Counter(node.presence for node in view.nodes)
    agents = Counter(agent.presence for agent in view.agents)
    yield _by_presence("nodes", "{node}", "Nodes that this node knows, itself among them, by presence.", nodes)
    yield _by_presence("agents", "{agent}", "Agents that this node knows, by presence.", agents)
    served_by = view.served_by
    standing = Family(
        "meshfleet_standing", "meshfleet.standing", Kind.GAUGE, "1 for how this node stands, 0 otherwise.",
        (Label("standing", "meshfleet.standing"),),
    )  # fmt: skip
    yield Measured(standing, tuple(Point((s.value,), float(s is served_by.standing)) for s in Standing))
    health = Family(
        "meshfleet_local_health", "meshfleet.local_health", Kind.GAUGE,
        "Lifeguard's local health score: 0 well, 8 worst.", (), "{score}",
    )  # fmt: skip
    yield Measured(health, (Point((), served_by.local_health),))
    slowed = "How many times as seldom as usual snapshots of agents here go, where the fleet says too much; 1 is well."
    slow = Family("meshfleet_snapshot_slowing", "meshfleet.snapshot.slowing", Kind.GAUGE, slowed, (), "{times}")
    yield Measured(slow, (Point((), served_by.slowed),))
    late = "By how much timers came late of late."
    lag = Family("meshfleet_loop_lag_seconds", "meshfleet.loop.lag", Kind.GAUGE, late, (), "s")
    yield Measured(lag, (Point((), served_by.loop_lag_ms / 1000),))


def _by_presence(what: str, unit: str, told: str, counted: Mapping[Presence, int]) -> Measured:
    family = Family(f"meshfleet_{what}", f"meshfleet.{what}", Kind.GAUGE, told, (PRESENCE,), unit)
    return Measured(family, tuple(Point((each.value,), counted.get(each, 0)) for each in Presence))
