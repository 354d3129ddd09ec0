"""How patient the mesh is: one object, three presets, each field argued.

Sources: SWIM (DSN 2002), Lifeguard (arXiv 1707.00788), the defaults of HashiCorp's memberlist, and the outages
that their users report. Where this differs from them, the field says why.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from meshfleet.errors import ConfigError

Seconds = float


class Timing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All waiting times and counts of the protocol. Every node of a fleet should have the same."""

    heartbeat: Seconds = 5.0
    """T. Presence is counted in multiples of it: stale after one, unreachable after two, presumed down after three.
    Halve it to learn of silent deaths sooner; the traffic of an idle fleet doubles."""

    beats_per_heartbeat: int = 2
    """How often in T a node raises its counter. With 1, one lost or late beat makes a healthy node stale; with 2
    it takes two in a row. Each step costs an idle fleet about 17 bytes per node and link in T."""

    grace: Seconds = 0.1
    """Twice the clock drift to expect while two clocks count the same T: 50 ms where clocks are synchronised."""

    probe_interval: Seconds = 1.0
    """One member is probed in each. Shorter finds crashes sooner, and costs two datagrams each time."""

    direct_timeout: Seconds = 0.4
    """How long a direct ping may take before helpers and the stream probe are asked. Above the 99th percentile of
    the round trip. memberlist waits 0.5 s, so that its helpers' nacks come after the deadline; ours come before it."""

    nack_deadline: Seconds = 0.88
    """When a helper must have answered, ack or nack, counted from the first ping: 80 % of what is left after the
    direct attempt (Lifeguard, footnote 5), which leaves 120 ms for the way back."""

    probe_deadline: Seconds = 1.0
    """When a probe has failed. Stretched, with the two above, by the local health multiplier."""

    helpers: int = 3
    """Members asked to probe on our behalf. SWIM's k: three make a false alarm rare at 10 % loss."""

    health_max: int = 8
    """Upper end of the local health score: at 8, intervals and timeouts are nine times as long (Lifeguard, S = 8)."""

    suspicion_alpha: float = 4.0
    """Shortest suspicion = alpha × max(1, log10 n) × probe_interval. HashiCorp's product value; 5 in the paper."""

    suspicion_beta: float = 6.0
    """Longest suspicion = beta × the shortest: what a suspicion lasts while nobody else confirms it."""

    confirmations: int = 3
    """K. Independent confirmations, one per host, that bring a suspicion down to its shortest. Where fewer hosts
    could confirm, the longest holds: memberlist's use of the shortest there takes Lifeguard's protection from
    small fleets."""

    gossip_interval: Seconds = 0.5
    """How often collected beats and rumors are sent when no probe carries them anyway. Spread takes a few of these."""

    fan_out: int = 3
    """Members that each new heartbeat is passed on to by everyone who hears it. Three reach 94 % at once; whoever
    misses it asks."""

    shares: int = 8
    """Into how many stretches the ring is cut at each step of a snapshot's way, one datagram to the first of each:
    8 members are reached in one step, 72 in two, 584 in three. More make the way shorter and the bursts longer."""

    snapshot_interval: Seconds = 1.0
    """How often an agent's snapshot goes to the mesh at most; the newest wins, the first change goes at once. What an
    agent shows is as much older at worst. At 128 nodes each snapshot costs every node some 600 bytes."""

    state_rate: float = 1_000_000.0
    """Bytes of snapshots a second, of the whole fleet, above which every node slows its own agents' snapshots down.
    Each node carries all of them: 1 MB is some 1,700 datagrams, about what half a core seals and opens. Lower where
    links or machines are small: below a third of what the narrowest link of the fleet carries."""

    retransmit: int = 5
    """Each rumor is sent retransmit × ceil(log10(n + 2)) times by each member (SWIM section 4.1, bounded piggyback).
    memberlist sends 4. With 3, one of four others missed a rumor in 7 of 100 cases, until the next push-pull."""

    digest_interval: Seconds = 1.0
    """How often a digest of what is held goes to one random member, so that any lost snapshot is repaired."""

    push_pull_interval: Seconds = 30.0
    """How often two members compare everything over a stream. Repairs whatever gossip lost for good."""

    gone_probe_interval: Seconds = 10.0
    """How often one member that is unreachable or down is tried again, so that a healed cut is noticed from either
    side. memberlist never tries again: its healed partitions stay apart until somebody rejoins by hand."""

    neighbours_small: int = 3
    """Standing streams that each node of a fleet up to 16 opens: their abrupt end tells of a death in milliseconds."""

    neighbours_large: int = 5
    """The same in larger fleets, where one neighbour's own death must not leave a node unwatched."""

    eof_window: Seconds = 2.0
    """How soon after a stream's bare end a refusal must follow, to prove with it that the process died."""

    tombstone: Seconds = 86_400.0
    """How long who left, and who was forgotten, is remembered, so that old news can't bring them back. Serf: 24 h."""

    group_hold_heartbeats: float = 20.0
    """How many T a group that fell silent together is left `unreachable` before it may be presumed down."""

    @property
    def stale_after(self) -> Seconds:
        """Age from which a member is no longer fresh."""
        return self.heartbeat + self.grace

    @property
    def unreachable_after(self) -> Seconds:
        """Age from which a member counts as unreachable."""
        return 2 * self.heartbeat

    @property
    def presumed_after(self) -> Seconds:
        """Age below which nobody is presumed down: 3T of silence for certain. Age counts from the last heartbeat,
        which may have been raised a beat interval and a gossip interval before the silence began: the next one
        was not told yet."""
        return 3 * self.heartbeat + self.beat_interval + self.gossip_interval

    @property
    def group_hold(self) -> Seconds:
        """How long a group loss is held open."""
        return self.group_hold_heartbeats * self.heartbeat

    @property
    def beat_interval(self) -> Seconds:
        """How often a node raises its counter."""
        return self.heartbeat / self.beats_per_heartbeat

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            if getattr(self, name) <= 0:
                raise ConfigError(f"timing.{name} is {getattr(self, name)}; it must be greater than 0.")
        if not self.direct_timeout < self.nack_deadline < self.probe_deadline <= self.probe_interval:
            raise ConfigError(
                "timing: direct_timeout < nack_deadline < probe_deadline <= probe_interval must hold; these are "
                f"{self.direct_timeout}, {self.nack_deadline}, {self.probe_deadline}, {self.probe_interval}."
            )


Preset = Literal["local", "lan", "wan"]

PRESETS: dict[Preset, Timing] = {
    "lan": Timing(),
    # One machine: round trips are microseconds, so everything can be asked four times as often.
    "local": Timing(
        heartbeat=2.0,
        probe_interval=0.5,
        direct_timeout=0.2,
        nack_deadline=0.44,
        probe_deadline=0.5,
        gossip_interval=0.2,
        digest_interval=0.5,
        push_pull_interval=10.0,
        gone_probe_interval=3.0,
    ),
    # Continents: 300 ms round trips and a few per cent of loss are everyday.
    "wan": Timing(
        heartbeat=15.0,
        grace=0.5,
        probe_interval=5.0,
        direct_timeout=2.0,
        nack_deadline=4.4,
        probe_deadline=5.0,
        suspicion_alpha=6.0,
        fan_out=4,
        digest_interval=3.0,
        push_pull_interval=60.0,
        gone_probe_interval=30.0,
        eof_window=4.0,
    ),
}
