"""Agents without a node: which this node knows, whose turn it is to ask each, and what is said of their answers.

All nodes that know an agent rank themselves alike (`fleet.rendezvous`), and say under a reserved id which they know and
how it goes with those that they ask. So the first asks and carries; the next takes over when the first is gone, or asks
in vain; and none needs a word of another besides.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

import msgspec
import trio

from meshfleet.errors import WireError
from meshfleet.fleet.endpoint import (
    Asker,
    Contact,
    Endpoint,
    Transport,
    Trouble,
    contact_presence,
    is_to_ask,
    is_to_carry,
    through,
)
from meshfleet.fleet.names import AgentId, NodeName
from meshfleet.fleet.presence import FRESH, Presence
from meshfleet.fleet.rendezvous import ranked
from meshfleet.fleet.state import Snapshot
from meshfleet.wire.accounts import ENDPOINTS
from meshfleet.wire.contacts import decode_contacts, encode_contacts, key_of

if TYPE_CHECKING:
    from collections import Counter

    from meshfleet.gossip.member import Member
    from meshfleet.node.hearsay import Carrier

LOOK = 1.0
"""Seconds between two looks at how contacts are; what is told about them is told once in that."""

SINCE_LIMIT = 4_096
"""Contacts of the whole fleet of which it is kept since when they are so. At it all begin anew."""

THERE = (Presence.FRESH, Presence.STALE)


class Clock(Protocol):
    """The node, as far as it tells the time."""

    def clock(self) -> float:
        """Now, in seconds through which it listened."""
        ...


class _Own:
    """How it goes with one that this node asks."""

    def __init__(self, now: float) -> None:
        self.transport = Transport.POLL
        self.answered_at = now
        """Also when it was begun: silence before that is nobody's."""
        self.has_answered = False
        self.trouble: Trouble | None = None
        self.status = 0

    @property
    def has_news(self) -> bool:
        """Whether anything can be said of it yet."""
        return self.has_answered or self.trouble is not None


class _Told(msgspec.Struct, frozen=True):
    """What another node said last."""

    snapshot: Snapshot
    seen_at: float
    contacts: Mapping[bytes, Contact | None]


class Endpoints:
    """See the module. Times are those of the member's listening clock."""

    def __init__(self, carrier: Carrier, clock: Clock, counts: Counter[str]) -> None:
        self._carrier = carrier
        self._clock = clock
        self._counts = counts
        self._known: dict[AgentId, Endpoint] = {}
        self._keys: dict[AgentId, bytes] = {}
        self._own: dict[AgentId, _Own] = {}
        self._contacts: dict[AgentId, Contact] = {}
        """How each was at the last look."""
        self._told: dict[NodeName, _Told] = {}
        self._since: dict[tuple[NodeName, AgentId], tuple[Presence, float]] = {}
        """Since when each contact has been what it is."""
        self._said = b""

    # What discovery and the asking say

    def know(self, endpoints: tuple[Endpoint, ...]) -> None:
        """All that are known from now on."""
        self._known = {each.name: each for each in endpoints}
        self._keys = {name: key_of(name) for name in self._known}
        for name in self._own.keys() - self._known.keys():
            self.let_go(name)

    def known(self) -> Mapping[AgentId, Endpoint]:
        """All that are known, by the agent's id."""
        return self._known

    def begin(self, name: AgentId) -> None:
        """This node asks it from now on."""
        self._own[name] = _Own(self._clock.clock())

    def answered(self, name: AgentId, transport: Transport) -> None:
        """It gave a good answer, or a sign of life, a moment ago."""
        own = self._own.get(name)
        if own is not None:
            own.transport, own.answered_at, own.has_answered = transport, self._clock.clock(), True
            own.trouble, own.status = None, 0

    def failed(self, name: AgentId, trouble: Trouble, status: int = 0) -> None:
        """It gave none."""
        own = self._own.get(name)
        if own is not None:
            own.transport, own.trouble, own.status = Transport.POLL, trouble, status

    def let_go(self, name: AgentId) -> None:
        """This node asks it no more."""
        self._own.pop(name, None)
        self._contacts.pop(name, None)

    # Whose turn it is

    def is_mine_to_ask(self, name: AgentId) -> bool:
        """Whether this node is to ask it."""
        return is_to_ask(self._member.name, self._order(name))

    def is_mine_to_carry(self, name: AgentId) -> bool:
        """Whether this node, which asks it, is to show it."""
        contact = self._contacts.get(name)
        return contact is not None and is_to_carry(self._member.name, contact, self._order(name))

    def _order(self, name: AgentId) -> list[Asker]:
        """All that are there and know it, whose turn is first at the front."""
        me, key = self._member.name, self._keys[name]
        askers = {me: Asker(me, self._contacts.get(name))}
        for record in self._member.roster:
            if record.presence in THERE:
                told = self._contacts_of(record.name)
                if told is not None and key in told.contacts:
                    askers[record.name] = Asker(record.name, told.contacts[key])
        return [askers[node] for node in ranked(f"endpoint {name}", askers)]

    # What views show

    def asks(self, node: NodeName) -> bool:
        """Whether `node` asks any."""
        if node == self._member.name:
            return bool(self._own)
        told = self._contacts_of(node)
        return told is not None and any(contact is not None for contact in told.contacts.values())

    def contact(self, node: NodeName, agent: AgentId) -> Contact | None:
        """What `node` says of an agent that it carries: None where that has a node of its own. `silent_s` is as of
        now."""
        if node == self._member.name:
            own, contact = self._own.get(agent), self._contacts.get(agent)
            if own is None or contact is None:
                return None
            return self._aged(node, agent, msgspec.structs.replace(contact, silent_s=self._silent(own)))
        told = self._contacts_of(node)
        contact = None if told is None else told.contacts.get(key_of(agent))
        if told is None or contact is None:
            return None
        silent = contact.silent_s + self._clock.clock() - told.seen_at
        return self._aged(node, agent, msgspec.structs.replace(contact, silent_s=silent))

    def _aged(self, node: NodeName, agent: AgentId, contact: Contact) -> Contact:
        """With the time for which it has been so."""
        now = self._clock.clock()
        presence, since = self._since.get((node, agent), (contact.presence, now))
        if presence is not contact.presence or (node, agent) not in self._since:
            if len(self._since) >= SINCE_LIMIT:
                self._since.clear()
            since = now
            self._since[(node, agent)] = (contact.presence, since)
        return msgspec.structs.replace(contact, so_for_s=now - since)

    def never_answered(self) -> list[tuple[AgentId, str]]:
        """Those of which nothing is known since they never answered this node, and why. Views can't show them."""
        me = self._member.name
        return [
            (name, through(me, FRESH, self._contacts[name]).reasons[0])
            for name, own in self._own.items()
            if not own.has_answered and name in self._contacts
        ]

    # What goes on by itself

    async def run(self) -> None:
        """Until cancelled: look how contacts are, and say what changed."""
        while True:
            self.look()
            await trio.sleep(LOOK)

    def look(self) -> None:
        """Once, now."""
        before = self._contacts
        self._contacts = {name: self._now(own) for name, own in self._own.items() if own.has_news}
        if _without_ages(before) != _without_ages(self._contacts):
            self._carrier.changed_beside()
        self._say()

    def _now(self, own: _Own) -> Contact:
        silent, standing = self._silent(own), self._member.standing.standing
        presence = contact_presence(silent, self._member.timing.grace, standing)
        if not own.has_answered:
            presence = Presence.UNREACHABLE  # nothing of it has ever been heard here: nobody need wait for it to age
        return Contact(
            transport=own.transport,
            presence=presence,
            trouble=own.trouble,
            status=own.status,
            silent_s=silent,
            cut_off=standing.is_cut_off and presence is Presence.UNREACHABLE,
        )

    def _silent(self, own: _Own) -> float:
        return max(0.0, self._clock.clock() - own.answered_at)

    def _say(self) -> None:
        said = {self._keys[name]: self._contacts.get(name) for name in sorted(self._known)}
        plain = encode_contacts({key: contact and _without_age(contact) for key, contact in said.items()})
        if plain != self._said and (said or self._said):
            self._said = plain
            self._carrier.tell_beside(ENDPOINTS, encode_contacts(said) if said else b"")

    def _contacts_of(self, node: NodeName) -> _Told | None:
        shelf = self._member.replica.shelf(node)
        snapshot = None if shelf is None else shelf.held.get(AgentId(ENDPOINTS))
        if snapshot is None or snapshot.withdrawn:
            self._told.pop(node, None)
            return None
        told = self._told.get(node)
        if told is None or told.snapshot is not snapshot:
            try:
                contacts = decode_contacts(snapshot.body)
            except WireError:
                self._counts["undecodable_contacts"] += 1
                contacts = {}
            told = self._told[node] = _Told(snapshot, self._clock.clock(), contacts)
        return told

    @property
    def _member(self) -> Member:
        return self._carrier.member


def _without_age(contact: Contact) -> Contact:
    return msgspec.structs.replace(contact, silent_s=0.0)


def _without_ages(contacts: dict[AgentId, Contact]) -> dict[AgentId, Contact]:
    return {name: _without_age(contact) for name, contact in contacts.items()}
