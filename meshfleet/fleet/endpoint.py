"""Agents without a node of their own: where each is asked over HTTP, and what the node that asks says of its answers.

Who asks is an observer like any other: the rules of `fleet.presence` hold, with the longest time between two questions
in place of T. Only one node asks, so nobody could confirm a death, and what refuses or hangs up may be a proxy before
the agent: no evidence of this kind is ever `down`.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

import msgspec

from meshfleet.fleet.names import AgentId, NodeName
from meshfleet.fleet.presence import FRESH, Presence, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshfleet.fleet.standing import Standing

ENDPOINTS_LIMIT = 128
"""Endpoints that a node knows. At one question each in 7.5 s that is 17 a second; more are for more nodes."""

LONGEST_POLL = 10.0
"""Seconds between two questions at most: what T is to heartbeats."""


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Where one agent serves its state."""

    name: AgentId
    """Its id in the fleet, whatever it calls itself."""
    base_url: str
    """`/state` and `/health` are below it."""
    token: str | None = None
    ca: str | None = None
    """A file of certificates that vouch for its own; None for whom the system trusts."""
    events: str = "/events"
    """Where it may have a stream of events; empty for nowhere."""

    def __repr__(self) -> str:
        return f"Endpoint({self.name}, {self.base_url})"


class Transport(str, Enum):
    """How an agent's state comes from its endpoint."""

    POLL = "poll"
    STREAM = "events"
    """Not `stream`: that is what a node's word comes by where UDP is blocked, and its agents' with it."""


class Trouble(Enum):
    """Why there was no good answer. The words go on from the name of the node that asked."""

    REFUSED = "is refused when it asks: nobody listens there, or a firewall says so"
    HANGS = "gets connections, and no answer: its process is there and does not answer"
    UNREACHED = "gets no connection"
    UNTRUSTED = "does not trust its certificate"
    STATUS = "is answered"
    NONSENSE = "gets answers that are no state"


class Contact(msgspec.Struct, frozen=True, kw_only=True):
    """What the node that asks says of an endpoint."""

    transport: Transport
    presence: Presence
    """`fresh`, `stale` or `unreachable`."""
    trouble: Trouble | None = None
    """With the last question, where it had no good answer."""
    status: int = 0
    """The HTTP status, with trouble STATUS."""
    silent_s: float = 0.0
    """How long ago its last good answer was when this was said."""
    cut_off: bool = False
    """The node that asks is itself cut off."""
    so_for_s: float = 0.0
    """How long its presence has been what it is, as far as is known here. It does not travel."""

    @property
    def answers(self) -> bool:
        """Whether there is no reason for another node to ask."""
        return self.presence is not Presence.UNREACHABLE


def contact_presence(silent_s: float, grace: float, standing: Standing) -> Presence:
    """Rules 3, 5, 6 and 7 of `fleet.presence`, with LONGEST_POLL as T."""
    if silent_s <= LONGEST_POLL + grace:
        return Presence.FRESH
    if standing.is_cut_off or silent_s > 2 * LONGEST_POLL:
        return Presence.UNREACHABLE
    return Presence.STALE


def through(carrier: NodeName, verdict: Verdict, contact: Contact) -> Verdict:
    """What to think of an agent whose state comes through `carrier`, of which `verdict` is held.

    The death of who asks is not the death of who is asked: then nothing is known of the agent."""
    if verdict.presence in (Presence.LEFT, Presence.DOWN):
        sure = "" if verdict.certainty is None else f" ({verdict.certainty.value})"
        return Verdict(Presence.UNREACHABLE, (f"{carrier}, which asks it, is {verdict.presence.value}{sure}",))
    if verdict.presence is not Presence.FRESH:
        first = f"{carrier}, which asks it, is {verdict.presence.value}"
        return Verdict(verdict.presence, (first, *verdict.reasons), because=verdict.because)
    if contact.presence is Presence.FRESH:
        return FRESH
    return Verdict(contact.presence, (_why(carrier, contact),))


def _why(carrier: NodeName, contact: Contact) -> str:
    if contact.cut_off:
        return f"{carrier}, which asks it, is itself cut off: its silence proves nothing"
    if contact.trouble is None:
        return f"{carrier} has no answer of it yet"
    status = f" HTTP {contact.status}" if contact.trouble is Trouble.STATUS else ""
    return f"{carrier} {contact.trouble.value}{status}"


class Asker(msgspec.Struct, frozen=True):
    """One node that knows an endpoint, and what it says of it where it asks."""

    name: NodeName
    contact: Contact | None


def is_to_ask(me: NodeName, order: Sequence[Asker]) -> bool:
    """Whether it is my turn: all that come before me ask in vain. `order` is that of rendezvous hashing."""
    for asker in order:
        if asker.name == me:
            return True
        if asker.contact is None or asker.contact.answers:
            return False
    return False


def is_to_carry(me: NodeName, mine: Contact, order: Sequence[Asker]) -> bool:
    """Whether I am the one that shows it: nobody before me is answered, and, where I am not, nobody at all."""
    for asker in order:
        if asker.name == me:
            if mine.answers:
                return True
        elif asker.contact is not None and asker.contact.answers:
            return False
    return True
