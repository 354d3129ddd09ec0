"""What `meshfleet bench mesh` measures: of the mesh, and of the peer that ran beside it."""

from __future__ import annotations

import msgspec


class Idle(msgspec.Struct, frozen=True):
    """What a node costs while no agent changes: per node, medians."""

    bytes_per_s: float
    datagrams_per_s: float
    cpu_pct: float


class Load(msgspec.Struct, frozen=True):
    """What a node costs, and how fast news travels, under load. Delays and ages in seconds."""

    delivered_pct: float
    within_2s_pct: float
    p50_s: float
    p99_s: float
    max_s: float
    age_shown_p50_s: float
    age_shown_p99_s: float
    age_shown_max_s: float
    copies_per_snapshot: float
    bytes_per_s: float
    datagrams_per_s: float
    bytes_over_minimum: float
    cpu_pct: float


class Crash(msgspec.Struct, frozen=True):
    """How soon the others said `down` of a node whose process was killed: seconds, over all that said it."""

    p50_s: float
    p99_s: float
    max_s: float
    due: int
    """How many were to say it."""
    seen: int


class Rss(msgspec.Struct, frozen=True):
    """Resident memory of the node processes, HTTP server included, in MB."""

    p50: float
    max: float


class Unsealed(msgspec.Struct, frozen=True):
    """The same mesh without seals, TLS and signatures: what trust costs. Such nodes exist in this benchmark alone."""

    idle_cpu_pct: float
    load_cpu_pct: float
    sealed_costs_pct: float
    """How much more CPU the sealed mesh takes under load, in per cent of the unsealed one's."""


class Peer(msgspec.Struct, frozen=True):
    """What serf costs and how fast it is: per agent, medians; bytes as a mean; delays in seconds."""

    version: str
    nodes: int
    idle_bytes_per_s: float
    idle_cpu_pct: float
    delivered_pct: float
    within_2s_pct: float
    p50_s: float
    p99_s: float
    max_s: float
    bytes_per_s: float
    bytes_over_minimum: float
    """One copy of each payload to each agent is 1."""
    cpu_pct: float
    rss_p50_mb: float


class Result(msgspec.Struct, frozen=True):
    """All of it."""

    nodes: int
    join_s: float
    idle: Idle
    load: Load
    rss_mb: Rss
    not_fresh: int
    """How often a node that ran was called anything but fresh."""
    crash: Crash
    unsealed: Unsealed | None = None
    peer: Peer | None = None


def share(ordered: list[float], part: float) -> float:
    """The value that this part of them is not above; 0 where there is none."""
    return round(ordered[min(len(ordered) - 1, int(part * len(ordered)))], 6) if ordered else 0.0
