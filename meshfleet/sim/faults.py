"""What can go wrong, as data: one record a kind, with the fields that a scenario file may give it."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec

from meshfleet.fleet.state import SNAPSHOT_LIMIT

BODY = 400
"""Bytes of a snapshot's state where nothing else is said: what the benchmarks of real processes use."""

LONGEST = 1e7
"""Seconds: no time in a scenario is longer, and none is infinite."""

Seconds = Annotated[float, msgspec.Meta(ge=0, le=LONGEST)]
Span = Annotated[float, msgspec.Meta(gt=0, le=LONGEST)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Some = Annotated[float, msgspec.Meta(ge=0, lt=1)]
"""A share that leaves something over: of all that is sent again and again something passes in the end."""
Names = Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]


class Delay(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Seconds one way, lognormal."""

    median: Span = 0.002
    p99: Span = 0.020


class _Fault(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", forbid_unknown_fields=True):
    at: Seconds
    until: Seconds | None = None
    """When it is undone; None: never."""


class Crash(_Fault, frozen=True, kw_only=True, tag="crash"):
    """Processes die, their streams break, their hosts refuse. Undone: a new life."""

    nodes: Names


class Leave(_Fault, frozen=True, kw_only=True, tag="leave"):
    """A graceful goodbye. Undone: joins again."""

    nodes: Names


class Join(_Fault, frozen=True, kw_only=True, tag="join"):
    """New nodes start."""

    count: Annotated[int, msgspec.Meta(ge=1, le=10_000)]


class HostDown(_Fault, frozen=True, kw_only=True, tag="host_down"):
    """Hosts go dark: no answer at all. Undone: boot, and a new life of their nodes."""

    hosts: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()


class Partition(_Fault, frozen=True, kw_only=True, tag="partition"):
    """No packet between groups. With `reject` a firewall refuses instead of silence."""

    groups: Annotated[tuple[Names, ...], msgspec.Meta(min_length=2)]
    reject: bool = False


class Cut(_Fault, frozen=True, kw_only=True, tag="cut", rename={"source": "from", "target": "to"}):
    """One direction only: `from` can't reach `to`."""

    source: Names
    target: Names


class Flap(_Fault, frozen=True, kw_only=True, tag="flap", rename={"source": "from", "target": "to"}):
    """Cut both ways for `duty` of each `period`."""

    source: Names
    target: Names
    period: Annotated[float, msgspec.Meta(ge=0.001, le=LONGEST)]
    duty: Share = 0.5


class Degrade(_Fault, frozen=True, kw_only=True, tag="degrade", rename={"source": "from", "target": "to"}):
    """Worse links, both ways."""

    source: Names
    target: Names
    loss: Share | None = None
    delay: Delay | None = None
    duplicate: Share | None = None
    reorder: Share | None = None


class UdpBlocked(_Fault, frozen=True, kw_only=True, tag="udp_blocked", rename={"source": "from", "target": "to"}):
    """Datagrams one way are lost; streams pass."""

    source: Names
    target: Names


class NicDown(_Fault, frozen=True, kw_only=True, tag="nic_down"):
    """Every send fails locally, nothing arrives."""

    nodes: Names


class Pause(_Fault, frozen=True, kw_only=True, tag="pause"):
    """Stopped (SIGSTOP): the clock goes on, nothing runs, the kernel accepts, packets queue."""

    nodes: Names


class Starve(_Fault, frozen=True, kw_only=True, tag="starve", rename={"every": "of"}):
    """Runs for `slice` seconds out of each `of`, and reads no more than `packets` in each."""

    nodes: Names
    slice: Span
    every: Annotated[float, msgspec.Meta(ge=0.001, le=LONGEST)]
    packets: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] | None = None
    """What it gets through in a slice; the kernel keeps the rest. None: all that came."""


class Suspend(_Fault, frozen=True, kw_only=True, tag="suspend"):
    """Asleep: the monotonic clock stops, packets are lost."""

    hosts: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    announced: bool = False
    """Whether the system tells in time, as logind does: half a second before, and once it is awake again."""


class AgentExit(_Fault, frozen=True, kw_only=True, tag="agent_exit"):
    """An agent's process ends; its node lives."""

    agents: Names
    code: Annotated[int, msgspec.Meta(ge=-(2**31), lt=2**31)] = 0


class Chatter(_Fault, frozen=True, kw_only=True, tag="chatter", rename={"size": "bytes"}):
    """Agents say more: a change each `every` seconds, of states that take `bytes`."""

    agents: Names
    every: Annotated[float, msgspec.Meta(ge=0.001, le=LONGEST)]
    size: Annotated[int, msgspec.Meta(ge=BODY, le=SNAPSHOT_LIMIT)] = BODY


class Move(_Fault, frozen=True, kw_only=True, tag="move"):
    """Back at a new address, in a new life; the old address goes silent, or to a node of another fleet."""

    nodes: Names
    reused_by: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    """What the other fleet is called: any name, for the reader."""


class Skew(_Fault, frozen=True, kw_only=True, tag="skew"):
    """The wall clock is off by `offset` seconds and runs `drift` fast (1e-4: 100 ppm). The monotonic clock is not."""

    nodes: Names
    offset: Annotated[float, msgspec.Meta(ge=-LONGEST, le=LONGEST)] = 0.0
    drift: Annotated[float, msgspec.Meta(ge=-0.5, le=0.5)] = 0.0


class OutboundOnly(_Fault, frozen=True, kw_only=True, tag="outbound_only"):
    """Behind NAT: nothing gets in unasked."""

    nodes: Names
    translated: bool = False
    """Whether others see it at another address, each at one of its own: at the one that it names it is for nobody."""


Fault: TypeAlias = (
    Crash
    | Leave
    | Join
    | HostDown
    | Partition
    | Cut
    | Flap
    | Degrade
    | UdpBlocked
    | NicDown
    | Pause
    | Starve
    | Suspend
    | AgentExit
    | Chatter
    | Move
    | Skew
    | OutboundOnly
)

KINDS = (
    "crash", "leave", "join", "host_down", "partition", "cut", "flap", "degrade", "udp_blocked", "nic_down", "pause",
    "starve", "suspend", "agent_exit", "chatter", "move", "skew", "outbound_only",
)  # fmt: skip
