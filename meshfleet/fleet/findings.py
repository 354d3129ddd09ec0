"""What `meshfleet doctor` looks at and what it finds, as plain values; `fleet.doctoring` judges.

What is looked at is known anyway (who is sent everything over streams, whose clock says what, who speaks in another's
name) or tried (paths to some peers: datagrams of three sizes each way, and a connection each way).
"""

from __future__ import annotations

from enum import Enum

import msgspec

from meshfleet.fleet.notice import Severity
from meshfleet.fleet.standing import Standing

SIZES = (200, 1_200, 1_400)
"""Bytes of the datagrams of a path test. The second passes wherever IPv6 does (1,280 with its headers); the third is
the largest that nodes send."""

OF_EACH = 3
"""Datagrams of each size: at 5 % loss all three are lost once in 8,000 tests."""

CLOCK_OFF = 10.0
"""Seconds that a clock is off from which on it is told. NTP keeps them within a tenth of one."""

CLOCK_FAR_OFF = 12 * 3_600.0
"""From here on certificates are about to be refused: they are at a day."""

ACCEPTED = "accepted"


class Ailment(str, Enum):
    """What is wrong, as a word for programs."""

    ALONE = "alone"
    UDP_BLOCKED = "udp-blocked"
    UDP_ONE_WAY = "udp-one-way"
    MTU = "mtu"
    FIREWALL = "firewall"
    ADDRESS = "address"
    HIDDEN = "hidden"
    CLOCK = "clock"
    NAME = "name"
    OVERLOAD = "overload"
    STANDING = "standing"
    DISK = "disk"
    REVOKED = "revoked"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong, or worth knowing."""

    what: Ailment
    severity: Severity
    text: str
    evidence: tuple[str, ...]
    """Names, counts, addresses, times: what it was found by."""
    do: str
    nodes: tuple[str, ...] = ()
    """Whom it concerns beside this node."""


class Path(msgspec.Struct, frozen=True, kw_only=True):
    """What came of testing the path to one peer. Counts are of SIZES, of OF_EACH each."""

    reported: bool
    """Whether the peer told its half. Versions before path tests tell nothing."""
    there: tuple[int, ...] = (0, 0, 0)
    """Datagrams that came there."""
    back: tuple[int, ...] = (0, 0, 0)
    """Of the peer's, those that came here."""
    seen_from: str | None = None
    """From which address the peer is spoken to, host and port."""
    is_own: bool = False
    """Whether that is an address of this machine."""
    dialled: str | None = None
    """How its kernel answered a connection: accepted, refused, silent, no-route, own-error. None: not tried."""
    dialled_back: str | None = None
    """How this node's kernel answered it, at the address that this node names."""
    rival: str | None = None
    """From where the peer hears an earlier life of this node's name."""


class Rivalry(msgspec.Struct, frozen=True, kw_only=True):
    """A name that two processes speak under."""

    where: str
    times: int
    ago_s: float
    proven: bool
    """Whether it was heard over a stream, from whoever holds the key."""


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one other node that is heard."""

    name: str
    address: str
    """Where it says that it listens."""
    streams_alone: bool = False
    relays: tuple[str, ...] = ()
    heard_from: str | None = None
    """Where its last datagram came from."""
    clock_offset_s: float | None = None
    """Its clock, less this one's."""
    rivalry: Rivalry | None = None
    path: Path | None = None


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """All that is judged."""

    node: str
    address: str
    """Where this node says that it listens."""
    peers: tuple[Peer, ...] = ()
    relays: tuple[str, ...] = ()
    """Who passes on what is for this node."""
    usurper: str | None = None
    """Where a later life of this node's name listens."""
    why_alone: str | None = None
    """Of addresses that discovery found."""
    unjoined: tuple[str, ...] = ()
    """Addresses that this node was told of or remembers, and could not join by, with why."""
    standing: Standing = Standing.CONNECTED
    reasons: tuple[str, ...] = ()
    """Of that."""
    unwritten: tuple[str, ...] = ()
    """What of the state dir can't be written now, with why."""
    revoked: bool = False
    """Whether this node knows that the fleet's owner threw it out."""
    slowed: float = 1.0
    """How many times as seldom as usual snapshots of its agents go."""
    state_rate: float = 0.0
    """What all may say together, in bytes of snapshots a second, before that begins."""
