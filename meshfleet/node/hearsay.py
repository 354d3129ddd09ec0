"""What other nodes' shelves hold of accounts, and whose accounts this node tells since they are gone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import trio

from meshfleet.errors import WireError
from meshfleet.fleet.presence import Presence
from meshfleet.fleet.usage import NOTHING, Usage, figures
from meshfleet.logs import get_logger
from meshfleet.wire.accounts import ACCOUNTS, OWN, pack
from meshfleet.wire.states import decode_state

if TYPE_CHECKING:
    from collections import Counter

    from meshfleet.fleet.names import AgentId
    from meshfleet.fleet.state import AgentState, Snapshot
    from meshfleet.fleet.usage import Account
    from meshfleet.gossip.member import Member
    from meshfleet.node.books import Books, Key

GONE_AFTER = 60.0
"""Seconds for which a ledger's node is gone before others tell its account. Till then, and for a day after, everybody
still holds what it told itself."""

REBORN_AFTER = 1.0
"""The same where its node is there and tells another account, or none: its state dir may have been lost."""

LIARS = 256
"""Nodes that are named in the log, once each, for telling accounts that nobody signed."""

FORGOTTEN = 64
"""Nodes that the roster has forgotten and that may still be remembered here."""

THERE = (Presence.FRESH, Presence.STALE)
GONE = (Presence.LEFT, Presence.DOWN)

log = get_logger("meshfleet.node")


class Carrier(Protocol):
    """The node, as far as it is needed here."""

    @property
    def member(self) -> Member:
        """Its member, to look at."""
        ...

    def tell_beside(self, what: str, body: bytes) -> None:
        """Spread `body` under a reserved id; empty withdraws it."""
        ...

    def changed_beside(self) -> None:
        """The view is another, though nothing came from the mesh."""
        ...


class Hearsay:
    """See the module."""

    def __init__(self, carrier: Carrier, books: Books, counts: Counter[str]) -> None:
        self._carrier = carrier
        self._books = books
        self._counts = counts
        self.gone_after = GONE_AFTER
        self._scanned: dict[str, tuple[int, int]] = {}
        """Of each node, how far its shelf was looked at: epoch and seq."""
        self._owners: dict[str, tuple[int, Key]] = {}
        """Of each node, in which life, which ledger is its own."""
        self._gone_since: dict[Key, float] = {}
        self._retold: object = None
        self._liars: set[str] = set()

    def listen(self) -> bool:
        """Look at what changed on others' shelves; whether there was news."""
        member, news = self._carrier.member, False
        for record in member.roster:
            shelf = member.replica.shelf(record.name)
            before = self._scanned.get(record.name, (-1, 0))
            if shelf is None or before == (shelf.epoch, shelf.signed_to):
                continue
            self._scanned[record.name] = (shelf.epoch, shelf.complete)
            for agent, snapshot in shelf.held.items():
                if agent.startswith(ACCOUNTS) and not snapshot.withdrawn and (snapshot.epoch, snapshot.seq) > before:
                    news |= self._hear(record.name, snapshot)
        if len(self._scanned) > len(member.roster) + FORGOTTEN:
            self._scanned = {name: seen for name, seen in self._scanned.items() if member.roster.get(name) is not None}
            self._owners = {name: own for name, own in self._owners.items() if member.roster.get(name) is not None}
        return news

    def _hear(self, name: str, snapshot: Snapshot) -> bool:
        forged = self._counts["forged_account"]
        news = self._books.take_body(snapshot.body)
        if snapshot.agent == OWN:
            newest = max((a for a in self._books.accounts.values() if a.node == name), key=_said_at, default=None)
            if newest is not None:
                self._owners[name] = (snapshot.epoch, newest.key)
        if self._counts["forged_account"] > forged and name not in self._liars and len(self._liars) < LIARS:
            self._liars.add(name)
            log.warning("a node tells an account that nobody signed; it is left out", node=name)
        return news

    def rival(self, agent: str, session: str | None) -> tuple[Usage, bool]:
        """What others tell of the same session, and whether it counts there: where two nodes carry an agent, the one
        that views show counts it."""
        told, counts_there = NOTHING, False
        member = self._carrier.member
        agent_id: AgentId = agent  # type: ignore[assignment]  # as its state was published
        for record in member.roster:
            shelf = member.replica.shelf(record.name)
            snapshot = None if shelf is None else shelf.held.get(agent_id)
            state = None if snapshot is None or snapshot.withdrawn else _decoded(snapshot)
            if state is None or state.session != session:
                continue
            told = told.join(figures(state).over(NOTHING))
            # As in `fleet.merge`: of two that are both there, the later life, then the name.
            shown = (-record.epoch, record.name) < (-member.epoch, member.name)
            counts_there |= record.presence in THERE and shown
        return told, counts_there

    def retell(self, own: Key) -> None:
        """Tell the accounts of those that are gone, where it is this node's turn."""
        member, now = self._carrier.member, trio.current_time()
        held: set[tuple[str, bytes]] = {own}
        for record in member.roster:
            epoch, key = self._owners.get(record.name, (-1, None))
            if key is not None and epoch == record.epoch and record.presence not in GONE:
                held.add(key)
        silent = [key for key in {**self._books.accounts, **self._books.marks} if key not in held]
        self._gone_since = {key: self._gone_since.get(key, now) for key in silent}
        there = [member.name, *(record.name for record in member.roster if record.presence in THERE)]
        gone: list[Key] = []
        for key, since in self._gone_since.items():
            # Who is there with another ledger wants to know of its lost one before it tells anything.
            patience = min(REBORN_AFTER, self.gone_after) if key[0] in there else self.gone_after
            if now - since >= patience:
                gone.append(key)
        if (seen := (gone, there, self._books.joined)) == self._retold:
            return
        self._retold = seen
        for bucket, statements in self._books.retell(gone, there):
            self._carrier.tell_beside(bucket, pack(statements) if statements else b"")


def _said_at(account: Account) -> tuple[int, int]:
    return (account.at, account.seq)


def _decoded(snapshot: Snapshot) -> AgentState | None:
    try:
        return decode_state(snapshot.body)
    except WireError:
        return None
