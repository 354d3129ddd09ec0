"""What members say to each other, as plain values. How they become bytes is `wire.codec`'s business.

Anything that a member says of itself (Alive, Left, Snapshot, its own Beat) is passed on unchanged; anything that is
said of somebody else (Suspect, Obituary) names who says it. Nobody can say of another that it is alive, or that it
left. Both are signed, once, by who says them, and heartbeats are proven by a hash chain that a signed Alive anchors;
`gossip.vouching` has when that is looked at.
"""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import Annotated, TypeAlias

import msgspec

from meshfleet.fleet.state import Snapshot
from meshfleet.gossip.limits import MEMBERS

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Short = Annotated[str, msgspec.Meta(max_length=200)]
Number = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
Age = Annotated[float, msgspec.Meta(ge=0.0, le=1e7)]
"""Seconds."""
Signature = Annotated[bytes, msgspec.Meta(max_length=64)]
"""By whoever makes the statement, over all fields before it. Empty in simulations of the core alone."""


Proof = Annotated[bytes, msgspec.Meta(max_length=8)]
"""What only its origin could give away with a heartbeat: hashed once, it is the proof of the heartbeat before. Empty in
simulations of the core alone."""


Summed = Annotated[bytes, msgspec.Meta(max_length=8)]
"""What is equal for two members that hold the same (gossip.sums); empty: not told."""


class NodeInfo(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a node says of itself that seldom changes."""

    host: Short
    """The machine it runs on: nodes of one host don't count as independent."""
    gossip_host: Short
    gossip_port: Annotated[int, msgspec.Meta(ge=0, le=65535)]
    zone: Short | None = None
    role: Short = "observer"
    base_url: Short | None = None
    version: Short = ""
    process: Short | None = None
    """Machine, pid and start time, for witnesses on the same machine."""
    ring: Number = 0
    """Version of the keyring that it holds: whoever has an older one fetches it there."""
    issues: bool = False
    """Whether it holds the authority's key: invitations and new certificates are to be had there."""
    relays: Annotated[tuple[Name, ...], msgspec.Meta(max_length=8)] = ()
    """Where nobody can reach it: who passes on what is for it."""


class Alive(msgspec.Struct, frozen=True, array_like=True, tag=1, gc=False):
    """A member's own word that it is there: sent on joining, and to refute. Raises epoch or incarnation."""

    name: Name
    epoch: Number
    incarnation: Number
    info: NodeInfo
    beat: Number = 0
    """How many heartbeats it had raised when it said this."""
    anchor: Proof = b""
    """What the proofs of the next ones, to the end of their chain, hash back to."""
    credential: Annotated[bytes, msgspec.Meta(max_length=256)] = b""
    """The fleet's authority's word for the key with which this member signs; opaque here."""
    signature: Signature = b""


class Suspect(msgspec.Struct, frozen=True, array_like=True, tag=2, gc=False):
    """`by` could not reach `name` itself, in this life and incarnation of it."""

    name: Name
    epoch: Number
    incarnation: Number
    by: Name
    signature: Signature = b""


class Left(msgspec.Struct, frozen=True, array_like=True, tag=3, gc=False):
    """A member's goodbye. Final for its epoch. `by` differs from `name` where an operator had it forgotten."""

    name: Name
    epoch: Number
    by: Name
    reason: Short = "left"
    signature: Signature = b""


class Obituary(msgspec.Struct, frozen=True, array_like=True, tag=4, gc=False):
    """`by` holds proof that this life of `name` ended: `how` says which. A later incarnation refutes it."""

    name: Name
    epoch: Number
    incarnation: Number
    by: Name
    how: Short
    signature: Signature = b""


Claim: TypeAlias = Alive | Suspect | Left | Obituary


class Beat(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The newest heartbeat known of one member: who (a tag of name and epoch), which, and when it was raised, by the
    same clock as the `at` of the table that it stands in: so one Beat serves all tables until a newer one comes."""

    tag: int
    counter: int
    raised_at: float
    proof: Proof = b""


class Beats(msgspec.Struct, frozen=True, array_like=True, tag=5, gc=False):
    """Heartbeats of many members as one compact table, told at `at`. Only ages travel: each relay adds how long it held
    the news. One that `asks` wants newer ones told in turn; it has no proofs, so it is no news to anybody."""

    entries: tuple[Beat, ...]
    at: float = 0.0
    asks: bool = False


class RollCall(msgspec.Struct, frozen=True, array_like=True, tag=8, gc=False):
    """Tell me heartbeats of whom the bit is not set: I know none that was raised in the last beat interval."""

    order: Annotated[bytes, msgspec.Meta(min_length=4, max_length=4)]
    """Hash of the tags of all members, in order: what each bit means."""
    heard: Annotated[bytes, msgspec.Meta(max_length=MEMBERS // 8 + 1)]
    """One bit for each, the lowest of the first byte for the first."""
    returned: bool = False
    """Whether it goes back to who called, with the answer: then the next answer is the last word."""


class RollAnswer(msgspec.Struct, frozen=True, array_like=True, tag=9, gc=False):
    """Heartbeats that a caller lacks, by their places in the same order. None, and another order: I can't read it."""

    order: Annotated[bytes, msgspec.Meta(min_length=4, max_length=4)]
    first: Annotated[int, msgspec.Meta(ge=0, le=MEMBERS)]
    """The place that the first bit of `told` speaks of."""
    told: Annotated[bytes, msgspec.Meta(max_length=128)]
    """Of whom a heartbeat follows, as in a call."""
    entries: tuple[Beat, ...]
    """As many as bits are set; as they arrive, without tags."""
    at: float = 0.0


class Row(msgspec.Struct, frozen=True, array_like=True, tag=6, gc=False):
    """Whom `name` does not reach directly, of all that it knows: the whole of it, in place of any earlier version."""

    name: Name
    epoch: Number
    version: Number
    unreached: tuple[Name, ...]
    until: Name | None = None
    """As in SnapshotMessage: up to where the receiver passes it on. The one field that is not signed."""
    signature: Signature = b""


Statement: TypeAlias = Alive | Suspect | Left | Obituary | Row | Snapshot
"""What has an origin, is signed by it and passed on by others."""


class Finding(str, Enum):
    """What comes of looking at a signature."""

    GENUINE = "genuine"
    UNVOUCHED = "unvouched"
    """Nothing can be said: its origin was never introduced, or its certificate has ended."""
    FORGED = "forged"


class Revoked(msgspec.Struct, frozen=True, array_like=True, tag=7, gc=False):
    """The fleet's owner threw `name` out, for good. Signed by the authority, and checked before the core hears it."""

    name: Name
    at_ms: Number
    """When, in milliseconds since 1970 by the authority's clock."""
    signature: Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]


CAST_OUT = "revoked by the fleet's owner"
"""The reason in a Left that a member gives itself about one that was revoked, and tells nobody."""

Rumored: TypeAlias = Claim | Revoked
"""What rides along in datagrams that have room."""


class Ping(msgspec.Struct, frozen=True, array_like=True, tag=10, gc=False):
    """Are you there? Names whom it means, so that an address in new hands does not answer for the old."""

    seq: Number
    target: Name


class PingReq(msgspec.Struct, frozen=True, array_like=True, tag=11, gc=False):
    """Please ping `target` for me, and answer, either way, within `within` seconds."""

    seq: Number
    target: Name
    within: Age


class Ack(msgspec.Struct, frozen=True, array_like=True, tag=12, gc=False):
    """`subject` answered: the sender itself, or whom it was asked to ping."""

    seq: Number
    subject: Name
    epoch: Number


class Trouble(str, Enum):
    """What a helper met instead of an ack."""

    SILENT = "silent"
    REFUSED = "refused"
    ACCEPTED_MUTE = "accepted-mute"
    NO_ROUTE = "no-route-here"


class Nack(msgspec.Struct, frozen=True, array_like=True, tag=13, gc=False):
    """The helper is well, and got no answer. Lifeguard's; the kind of trouble is ours."""

    seq: Number
    subject: Name
    epoch: Number
    trouble: Trouble


class Relay(msgspec.Struct, frozen=True, array_like=True, tag=14, gc=False):
    """Pass this on to `to`, over the stream that it holds; from whom it named as its relay, over that stream: for you.
    A datagram, sealed by whoever sends it, though it may be as large as a frame."""

    to: Name
    sealed: Annotated[bytes, msgspec.Meta(max_length=60_000)]


class SnapshotMessage(msgspec.Struct, frozen=True, array_like=True, tag=20, gc=False):
    """One agent's snapshot, in its origin's bytes, and whom its receiver passes it on to."""

    snapshot: Snapshot
    until: Name | None = None
    """The receiver answers for everybody after itself in the ring of names, up to and without this one. None: for
    nobody."""
    beat: Number = 0
    """The origin's newest heartbeat known to the sender, in the life of the snapshot, and how old it is; 0: none."""
    beat_age: Age = 0.0
    proof: Proof = b""
    """Of that heartbeat."""
    step: Number = 0
    """The sender's number of this step, where it wants to be told that it arrived; 0: it does not."""


class Have(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Of `node`'s snapshots in this epoch, all up to `complete` are held."""

    node: Name
    epoch: Number
    complete: Number


class Digest(msgspec.Struct, frozen=True, array_like=True, tag=21, gc=False):
    """What the sender holds. Whoever holds more sends it; whoever holds less asks."""

    entries: tuple[Have, ...]
    sum: Summed = b""
    """Of all that it holds, told where nothing changed of late: whoever has another sends a digest in turn."""


class Want(msgspec.Struct, frozen=True, array_like=True, tag=22, gc=False):
    """Send me what you hold beyond these."""

    entries: tuple[Have, ...]


class Delta(msgspec.Struct, frozen=True, array_like=True, tag=23, gc=False):
    """All snapshots of `node` with after < seq <= upto that live at the sender, in order of seq."""

    node: Name
    epoch: Number
    after: Number
    upto: Number
    snapshots: tuple[Snapshot, ...]


class Got(msgspec.Struct, frozen=True, array_like=True, tag=24, gc=False):
    """Snapshots arrived that asked to be told so: the sender's numbers of their steps."""

    steps: Annotated[tuple[Number, ...], msgspec.Meta(max_length=256)]


class Sync(msgspec.Struct, frozen=True, array_like=True, tag=30, gc=False):
    """Push-pull over a stream: all claims and beats that the sender knows, in chunks. `reply` asks for the same
    back."""

    claims: tuple[Claim, ...]
    beats: Beats
    digest: Digest
    reply: bool
    rows: tuple[Row, ...] = ()
    revoked: tuple[Revoked, ...] = ()


class Sum(msgspec.Struct, frozen=True, array_like=True, tag=32, gc=False):
    """What the sender knows, in sums. Whoever has another tells what it knows, and asks for the same."""

    said: Summed
    """Of claims, rows and revocations."""
    held: Summed
    """Of snapshots."""


class Goodbye(msgspec.Struct, frozen=True, array_like=True, tag=31, gc=False):
    """This stream ends on purpose. The FIN that follows is no sign of death."""


class PathProbe(msgspec.Struct, frozen=True, array_like=True, tag=40, gc=False):
    """One datagram of a path test: `size` bytes of it all together, most of them padding (as in RFC 8899, DPLPMTUD)."""

    run: Number
    size: Number
    padding: Annotated[bytes, msgspec.Meta(max_length=1_400)]


class PathTest(msgspec.Struct, frozen=True, array_like=True, tag=41, gc=False):
    """By stream: I sent you the probes of this run. Send me the same, knock where I say that I listen, and report."""

    run: Number


class PathReport(msgspec.Struct, frozen=True, array_like=True, tag=42, gc=False):
    """By stream: what came here of a run, and how this kernel was answered at the address that the receiver names."""

    run: Number
    arrived: Annotated[tuple[Number, ...], msgspec.Meta(max_length=8)]
    """Probes of each size, the smallest first."""
    source: Short | None
    """From which address they came; of none, None."""
    answer: Short
    """A `Connect`; a later version may have others."""
    rival: Short | None = None
    """From where an earlier life of the receiver's name was heard of late."""


Message: TypeAlias = (
    Alive | Suspect | Left | Obituary | Beats | RollCall | RollAnswer | Row | Revoked | Ping | PingReq | Ack | Nack
    | Relay | SnapshotMessage | Digest | Want | Delta | Got | Sync | Sum | Goodbye | PathProbe | PathTest | PathReport
)  # fmt: skip


class Packet(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What travels as one datagram or one stream frame: who speaks, in which life, and what it says.

    `beat` is the sender's own newest heartbeat and `beat_age` how long ago it was raised, so that every packet
    is also a sign of life. `wall_ms` is the sender's wall clock, shown as an offset and used for nothing else.
    """

    source: Name
    epoch: Number
    beat: Number
    beat_age: Age
    wall_ms: Number
    messages: tuple[Message, ...]
    proof: Proof = b""
    """Of that heartbeat: that whoever speaks is whom `source` names, or had it from there."""


class Via(IntEnum):
    """How a packet travels."""

    DATAGRAM = 1
    STREAM = 2
    RELAY = 3
    """As a datagram that somebody passed on: worth no more than one that came by itself. Only of what arrives."""


class Connect(str, Enum):
    """How a kernel answered a connection attempt. `docs/design.md` has the table of what each proves."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    SILENT = "silent"
    NO_ROUTE = "no-route"
    """An answer from the way there: a router, a firewall, ARP."""
    OWN_ERROR = "own-error"
    """My own network stack refused to send: evidence about me, not about the peer."""


class StreamEnd(str, Enum):
    """How a standing stream ended."""

    GOODBYE = "goodbye"
    EOF = "eof"
    RESET = "reset"
    DROPPED = "dropped"
    """By this side."""
