"""What all ledgers of the fleet say, those of nodes that are gone included: the newest of each, with its signature.

A join: whatever comes in whatever order, each node ends up with the same. Who is gone is told by two of those that are
there, as its own bytes: nobody can tell it otherwise than it was signed.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

import msgspec

from meshfleet.errors import Malformed
from meshfleet.fleet.rendezvous import ranked
from meshfleet.fleet.state import SNAPSHOT_LIMIT
from meshfleet.fleet.usage import Account
from meshfleet.node.ledger import Kept
from meshfleet.wire.accounts import ACCOUNT, MARK, STATEMENTS, TOLD, Marks, read_statement, unpack, without_day
from meshfleet.wire.notary import Remembered

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterable

    from meshfleet.fleet.names import NodeName
    from meshfleet.node.trust import Trust

LEDGERS = 1_024
"""Ledgers whose statements are kept. The longest silent go: `dropped_ledger`."""

LEDGERS_OF_ONE = 32
"""Ledgers under one node's name: so nobody can make the fleet forget others by beginning ever new ones."""

LOOKED_AT = 256
"""Statements that are known to have been looked at, or four for each ledger where that is more: its two newest, and
those before them, which others may still tell. Each takes 140 bytes, and each node makes five a minute."""

MARKS_FOR = 2 * 86_400
"""Seconds for which the marks of a lost ledger are told: the sessions that it counted are read again by then, or
never."""

BUCKETS = 24
"""Into how many snapshots accounts of the gone are sorted; and their marks into a third of that."""

TELLERS = 2
"""Who tell one bucket. When one goes, the next in turn begins, and the other still tells it."""

KEEPS_TELLING = 4
"""Place in turn up to which whoever tells a bucket goes on: so that a newcomer does not make everybody change over."""

ROOM = SNAPSHOT_LIMIT - 96

Key = tuple[str, bytes]


class Books:
    """See the module. `me` is this node."""

    def __init__(self, me: NodeName, trust: Trust, counts: Counter[str], wall: Callable[[], float]) -> None:
        self._me = me
        self._trust = trust
        self._counts = counts
        self._wall = wall
        self.accounts: dict[Key, Account] = {}
        self.marks: dict[Key, Marks] = {}
        """Those of other nodes without what is in them: that is told as the bytes that it came in."""
        self.joined = 0
        """Grows with each statement that was news."""
        self._bytes: dict[tuple[int, Key], bytes] = {}
        self._looked_at: Remembered[bytes, bool] = Remembered(LOOKED_AT)
        """Statements that were looked at, by hash: what many tell is checked once."""
        self._bare: dict[Key, bytes] = {}
        """Accounts whose day is long over, without it: so more of them fit where they are told."""
        self._telling: dict[str, tuple[bytes, ...]] = {}
        self._unkept: dict[tuple[int, Key], Kept] = {}

    def take_body(self, body: bytes) -> bool:
        """The body of somebody's snapshot; whether anything in it was news. What is no statement is counted."""
        try:
            statements = unpack(body)
        except Malformed:
            self._counts["malformed_account"] += 1
            return False
        return any([self.take(data) for data in statements])

    def take(self, data: bytes, *, keep: bool = True) -> bool:
        """One statement; whether it was news. A forged one is counted and dropped, whoever tells it."""
        digest = blake2b(data, digest_size=16).digest()
        self._looked_at.limit = max(LOOKED_AT, 4 * len(self.accounts))
        news = False

        def look() -> bool:
            nonlocal news
            news = self._look(data, keep=keep)
            return True

        self._looked_at.ask(digest, look)
        return news

    def _look(self, data: bytes, *, keep: bool) -> bool:
        try:
            said = read_statement(self._trust.fleet, data, self._wall())
        except Malformed:
            self._counts["forged_account"] += 1
            return False
        revoked = next((each for each in self._trust.revoked if each.name == said.node), None)
        if revoked is not None and said.at * 1000 > revoked.at_ms:
            self._counts["revoked_account"] += 1
            return False
        return self._join(said, data, keep=keep)

    def _join(self, said: Account | Marks, data: bytes, *, keep: bool) -> bool:
        key = (said.node, said.ledger)
        if isinstance(said, Account):
            known = self.accounts.get(key)
            if known is not None and known.rank >= said.rank:
                return False
            if known is None and not self._has_room(said):
                return False
            self.accounts[key], kind = said, ACCOUNT
        else:
            marked = self.marks.get(key)
            if (marked is not None and marked.seq >= said.seq) or said.at < self._wall() - MARKS_FOR:
                return False
            # Only this node's own are ever read again; 96 sessions, told apart, take 20 KB, their statement 2 KB.
            self.marks[key], kind = said if said.node == self._me else msgspec.structs.replace(said, marks={}), MARK
            self._forget_marks()
        self.joined += 1
        self._bytes[(kind, key)] = data
        self._bare.pop(key, None)
        if keep:
            self._unkept[(kind, key)] = Kept(said.node, said.ledger, kind, said.at, data)
        return True

    def _has_room(self, said: Account) -> bool:
        """Let go of the longest silent ledger of that node, or of all, for a newer one."""
        of_one = [account for account in self.accounts.values() if account.node == said.node]
        full = of_one if len(of_one) >= LEDGERS_OF_ONE else [*self.accounts.values()]
        if len(full) < LEDGERS and full is not of_one:
            return True
        self._counts["dropped_ledger"] += 1
        oldest = min(full, key=lambda account: (account.at, account.key))
        if oldest.at >= said.at:
            return False
        del self.accounts[oldest.key]
        self._bare.pop(oldest.key, None)
        self._bytes.pop((ACCOUNT, oldest.key), None)
        return True

    def _forget_marks(self) -> None:
        old = self._wall() - MARKS_FOR
        for key in [key for key, marks in self.marks.items() if marks.at < old]:
            del self.marks[key]
            self._bytes.pop((MARK, key), None)

    def unkept(self) -> list[Kept]:
        """What is new since the last call, to be had again after a restart."""
        kept, self._unkept = [*self._unkept.values()], {}
        return kept

    def keep_again(self, kept: Iterable[Kept]) -> None:
        """These could not be kept yet."""
        for each in kept:
            self._unkept.setdefault((each.kind, (each.node, each.ledger)), each)

    def keep_all(self) -> None:
        """Another ledger begins, and has none of them."""
        for (kind, key), data in self._bytes.items():
            said = (self.accounts if kind == ACCOUNT else self.marks)[key]
            self._unkept[(kind, key)] = Kept(said.node, said.ledger, kind, said.at, data)

    def retell(self, gone: Iterable[Key], there: Iterable[NodeName]) -> list[tuple[str, list[bytes]]]:
        """Which snapshots this node should have of `gone` ledgers, where `there` are the nodes that could tell them:
        those that change, by id; none of them any more where the list is empty."""
        names = list(there)
        wanted: dict[str, list[tuple[int, bytes]]] = {}
        for key in gone:
            number = blake2b(f"{key[0]}\0".encode() + key[1], digest_size=2).digest()[0]
            for kind, name in ((ACCOUNT, f"{number % BUCKETS:02x}"), (MARK, f"m{number % (BUCKETS // 3)}")):
                data = self._bytes.get((kind, key)) if kind == MARK else self._account(key)
                if data is not None:
                    said = (self.accounts if kind == ACCOUNT else self.marks)[key]
                    wanted.setdefault(TOLD + name, []).append((said.at, data))
        changed: list[tuple[str, list[bytes]]] = []
        for bucket in sorted({*wanted, *self._telling}):
            place = ranked(bucket, names).index(self._me)
            telling = self._telling.get(bucket, ())
            if place < (KEEPS_TELLING if telling else TELLERS) and bucket in wanted:
                fits = self._fitting(wanted[bucket])
                if not set(fits) <= set(telling):
                    self._telling[bucket] = tuple(fits)
                    changed.append((bucket, fits))
            elif telling and place >= KEEPS_TELLING:
                del self._telling[bucket]
                changed.append((bucket, []))
        return changed

    def _account(self, key: Key) -> bytes | None:
        """What is told of a ledger of somebody else's: its day as long as it may be today's anywhere."""
        data, said = self._bytes.get((ACCOUNT, key)), self.accounts.get(key)
        if data is None or said is None or said.newest is None or said.at >= self._wall() - MARKS_FOR:
            return data
        if key not in self._bare:
            self._bare[key] = without_day(data)
        return self._bare[key]

    def _fitting(self, statements: list[tuple[int, bytes]]) -> list[bytes]:
        fits: list[bytes] = []
        room = ROOM
        for _, data in sorted(statements, reverse=True):
            if len(data) + 3 > room or len(fits) == STATEMENTS:
                self._counts["untold_account"] += 1
                break
            fits.append(data)
            room -= len(data) + 3
        return fits
