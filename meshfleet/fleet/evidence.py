"""What an observer knows about one member, before anybody judges it."""

from __future__ import annotations

from enum import Enum
from math import inf

import msgspec


class Kind(str, Enum):
    """What kind of fact it is. The words are the ones that `why` prints."""

    ALIVE = "alive"
    """The member's own word, first heard or raised: a join, a refutation, a new address."""
    ACK = "ack"
    INDIRECT_ACK = "indirect ack"
    BEAT = "beat"
    PROBE_FAILED = "probe failed"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    NO_ROUTE = "no route"
    STREAM_UP = "stream up"
    EOF = "eof"
    """A standing stream ended with a bare FIN and no goodbye: a kernel closed it, so the process is gone, or forked."""
    RESET = "reset"
    REPORT = "report"
    """Somebody else's word that it does, or does not, reach the member directly."""
    SUSPECTED = "suspected"
    REFUTED = "refuted"
    WITNESSED = "witnessed"
    """Its process ended, and a node on the same machine saw it."""
    OBITUARY = "obituary"
    GOODBYE = "goodbye"
    RESTARTED = "restarted"
    VERDICT = "verdict"


class Fact(msgspec.Struct, frozen=True, gc=False):
    """One fact with its source and time."""

    kind: Kind
    at: float
    """Seconds on the observer's listening clock."""
    by: str
    """Who says so: a node's name; the observer's own for what it saw itself."""
    detail: str
    host: str = ""
    """The host of `by`, where independence counts."""


class Evidence(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """All that the rules look at, for one member as one observer sees it. Ages and times: listening seconds."""

    age: float
    """How long ago the member raised the newest heartbeat that is known here."""
    heard_ago: float = inf
    """How long ago any word of it was said, or its kernel answered: signs of life, though no newer heartbeat."""
    heard_at: float = 0.0
    """When the newest of its words was said, by the same count."""
    known_for: float = inf
    """How long this observer has known this life of the member: what was before is hearsay."""
    goodbye: Fact | None = None
    ended: Fact | None = None
    """A proof of its end that the observer believes: its own, or another's that nothing here contradicts."""
    eof: Fact | None = None
    refusals: tuple[Fact, ...] = ()
    accepts: bool = False
    """Whether its kernel still accepts or acknowledges: a process that hangs, is stopped or starved."""
    suspicion_expired: bool = False
    confirmed_by: int = 0
    could_confirm: int = 0
    """Hosts that could confirm a suspicion independently: fresh ones other than the member's."""
    group: str | None = None
    """The group it fell silent with, in words; None where it fell alone."""
    contact_by: str | None = None
    """Someone who reports contact newer than the suspicion."""
    recent: tuple[Fact, ...] = ()
