"""Looks after what a node proves itself with, while it runs: certificates are renewed, rings followed and rotated,
revocations kept.

Whoever holds the fleet's authority makes certificates and rings; everybody tells which version of the ring it holds
(`NodeInfo.ring`), so a member that lags sees it, and fetches the ring from one that does not, over mutual TLS. The
same numbers tell the authority when all have taken a step of a rotation, so that the next loses no datagram.
"""

from __future__ import annotations

import random
from functools import partial
from typing import TYPE_CHECKING

import trio

from meshfleet.errors import ConfigError, JoinError, StateDirError, WireError
from meshfleet.gossip.limits import REVOKED
from meshfleet.gossip.record import HOPEFUL
from meshfleet.logs import get_logger
from meshfleet.node.entering import NotLetIn, fetch_ring, renew
from meshfleet.node.links import TurnedAway
from meshfleet.wire.revocation import revoke
from meshfleet.wire.ring import Ring, with_new_key, with_newest_alone, with_newest_in_use

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from meshfleet.fleet.names import Address, NodeName
    from meshfleet.gossip.limits import Counts
    from meshfleet.gossip.member import Member
    from meshfleet.gossip.messages import Revoked
    from meshfleet.gossip.record import Record
    from meshfleet.node.invites import Book
    from meshfleet.node.network import Network
    from meshfleet.node.trust import Trust
    from meshfleet.node.vault import Vault
    from meshfleet.node.zoning import Zoning
    from meshfleet.wire.identity import Authority, Certificate

LOOK_EVERY = 60.0
"""Seconds between two looks at the own certificate. It is renewed with twenty days to spare; but where a clock was
wrong when it was made, no peer lets this node in from the moment at which the clock is put right, until this look."""

AGAIN = (60.0, 300.0, 900.0, 3_600.0)
"""Seconds until a renewal that failed is tried again; the last holds from then on."""

WORRY = 7 * 86_400.0
"""Seconds before the end of a certificate from which on a failed renewal is an error in the log, and not a remark."""

SAVED_AGAIN = 60.0
"""Seconds until revocations that could not be written are written again."""

STRAGGLERS = 60.0
"""Seconds that a rotation waits for members that are there and don't take its step. They fetch the ring later."""

DRAIN = 5.0
"""Seconds between the moment when all seal with the new key and the end of the old one: what is under way arrives."""

MISSED_EVERY = 10.0
"""Seconds between two rounds of asking members because of an unknown key alone: anybody can send one."""

ASKED = 4
"""Members that are asked in one round: those that are heard first, drawn anew each time."""

log = get_logger("meshfleet.node")


class Tending:
    """See the module. `say_ring` tells the fleet which ring this node holds."""

    def __init__(
        self,
        trust: Trust,
        member: Member,
        network: Network,
        vault: Vault | None,
        book: Book | None,
        counts: Counts,
        say_ring: Callable[[int], None],
        tell: Callable[[Callable[[Member, float], None]], None],
    ) -> None:
        self.trust = trust
        self._member = member
        self._network = network
        self._vault = vault
        self._book = book
        self._counts = counts
        self._say_ring = say_ring
        self._tell = tell
        self._pause = 2 * member.timing.gossip_interval
        self._round = 0
        self._step_since = trio.current_time()
        self._rotate_again = False
        self._changing = trio.Lock()
        """Held while the ring changes or somebody is thrown out. Of two rings made from one only the first would be
        followed, and the second stay on the disk."""
        self._revoked = trio.Event()
        self.zoning: Zoning | None = None
        """What is known of other zones."""
        self.seeds: tuple[Address, ...] = ()
        """Where the fleet may be: told, and remembered. For a node whose certificate ran out, which sees nobody."""

    # What operators ask

    async def rotate(self) -> None:
        """Begin a rotation, or another one after that which is under way. ConfigError where the authority is
        elsewhere."""
        authority = self.trust.authority
        if authority is None:
            raise ConfigError(f"this node does not hold the fleet's authority. {self.who_issues()}")
        async with self._changing:
            self._rotate_again = not self.trust.ring.is_settled
            if not self._rotate_again:
                # Above whom was thrown out before it, also where the clock was set back: see `_owes_a_rotation`.
                added = max(self._now_ms(), self._last_thrown_out() + 1)
                await self._adopt(with_new_key(authority, self.trust.ring, added))

    async def revoke(self, name: NodeName, known: bool) -> None:
        """Throw a node out for good, and rotate, so that it can open and seal nothing more. Where a crash comes between
        the two, the rotation follows at the next start."""
        authority = self.trust.authority
        if authority is None:
            raise ConfigError(f"this node does not hold the fleet's authority. {self.who_issues()}")
        if name == self._member.name:
            raise ConfigError(f"{name} is this node itself, which holds the authority: it can't throw itself out.")
        async with self._changing:
            if self.trust.is_revoked(name):
                raise ConfigError(f"{name} was revoked already.")
            if not known and self._member.roster.get(name) is None:
                raise ConfigError(f"no node of this fleet is called {name!r}. `meshfleet keys list` shows the names.")
            if len(self.trust.revoked) >= REVOKED:
                raise ConfigError(
                    f"{name} was not thrown out: {REVOKED} nodes of this fleet were already; no more are kept. Stop "
                    "it on its own machine; or begin a new fleet, with a fresh --state-dir, and invite those who stay."
                )
            # Not before the newest key, nor the last that was thrown out, also where the clock was set back since: by
            # this a rotation is owed until one is kept, and the newest are told with a ring.
            at_ms = max(self._now_ms(), self.trust.ring.keys[-1].added_ms, self._last_thrown_out())
            revoked = revoke(authority, name, at_ms)
            saved = await self._written(lambda vault: vault.save_revoked((*self.trust.revoked, revoked)))
            self._tell(partial(_revoke, revoked))
        await self.rotate()
        if not saved:
            raise StateDirError(
                f"{name} is thrown out, and all are told. But the state dir can't be written: if this node ends before "
                "that is mended, only others remember it. Make room on the disk; it is tried again each minute."
            )

    def who_issues(self) -> str:
        """Where the authority is, as a sentence."""
        holders = ", ".join(self.issuers())
        return f"Ask {holders}." if holders else "No node that is seen from here does."

    def issuers(self) -> list[NodeName]:
        """Members that say they hold it."""
        return sorted(record.name for record in self._member.roster if record.info.issues and not record.is_gone)

    def stragglers(self) -> list[str]:
        """Members, and other zones, that are there and hold an older ring than this node."""
        held = self.trust.ring.version
        here = sorted(r.name for r in self._member.roster if r.presence in HOPEFUL and r.info.ring < held)
        return [*here, *([] if self.zoning is None else self.zoning.behind(held))]

    def revocation_heard(self) -> None:
        """The core learnt of one: it is to be kept."""
        self._revoked.set()

    # What goes on by itself

    async def run(self, missed_key: Callable[[], bool]) -> None:
        """Until cancelled. `missed_key` tells whether somebody sealed with an unknown key since it was last asked."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._renew_forever)
            nursery.start_soon(self._follow_forever, missed_key)
            nursery.start_soon(self._keep_revocations)
            if self.trust.authority is not None:
                nursery.start_soon(self._rotate_forever)

    async def _renew_forever(self) -> None:
        failures = 0
        while True:
            if not self.trust.certificate.is_due(self.trust.wall()):
                failures = 0
                await trio.sleep(LOOK_EVERY)
                continue
            certificate = await self._renewed()
            if certificate is not None and await self._take(certificate):
                continue
            await trio.sleep(AGAIN[min(failures, len(AGAIN) - 1)])
            failures += 1

    async def _take(self, certificate: Certificate) -> bool:
        """Keep a new certificate, in the book too where names are given out here, and show it from now on. False where
        it can't be shown, since TLS reads it from a temporary file: the old one is good for a while yet."""
        book = self._book
        await self._written(lambda vault: vault.save_certificate(certificate))
        if book is not None and book.is_kept:
            await self._written(lambda _vault: book.record(certificate))
        elif book is not None:
            book.record(certificate)
        try:
            self.trust.renew(certificate)
        except StateDirError as error:
            self._counts["certificate_not_renewed"] += 1
            log.error("this node's new certificate can't be shown; it is tried again", why=str(error))
            return False
        self._tell(lambda member, _now: member.advertise(member.membership.me.info))  # with the new credential
        self._counts["certificate_renewed"] += 1
        return True

    async def _renewed(self) -> Certificate | None:
        trust = self.trust
        if trust.authority is not None:
            return trust.authority.issue(self._member.name, trust.certificate.role, trust.key.public, trust.wall())
        why = "no node that holds the fleet's authority is known here"
        for address in self._to_ask():
            try:
                return await renew(self._network, trust, address)
            except (JoinError, WireError) as error:
                why = str(error)
        now, shown = trust.wall(), trust.certificate
        begins, left = (round((moment - now) / 86_400, 1) for moment in (shown.not_before, shown.not_after))
        if shown.not_before > now:
            log.error("this node's certificate is not good yet, by the clock here, and can't be renewed; until then "
                      "the fleet does not let it in", days_until=begins, why=why)  # fmt: skip
        else:
            tell = log.error if shown.not_after - now < WORRY else log.warning
            tell("this node's certificate can't be renewed; when it ends, the fleet lets it in no more",
                 days_left=left, why=why)  # fmt: skip
        self._counts["certificate_not_renewed"] += 1
        return None

    def _to_ask(self) -> list[Address]:
        """Those that say they issue; where nobody does, whoever is known, since one of them may."""
        elsewhere = () if self.zoning is None else self.zoning.issuers()
        issuers = _by_hope([record for record in self._member.roster if record.info.issues], elsewhere)
        return (issuers or [*self._others(), *self.seeds])[:ASKED]

    def _all(self) -> list[Record]:
        """Whom this node knows, in the upper mesh as well."""
        above = None if self.zoning is None else self.zoning.above
        return [*self._member.roster, *(() if above is None else above.roster)]

    def _others(self) -> list[Address]:
        """Members, each round from another place of the roster on."""
        records: list[Record] = [record for record in self._member.roster if not record.is_gone]
        self._round += ASKED
        start = self._round % len(records) if records else 0
        return [record.address for record in (*records[start:], *records[:start])]

    async def _follow_forever(self, missed_key: Callable[[], bool]) -> None:
        looked_at = -MISSED_EVERY
        while True:
            await trio.sleep(self._pause)
            held = self.trust.ring.version
            ahead = _by_hope([r for r in self._all() if r.info.ring > held and not r.is_gone])
            if not ahead and trio.current_time() - looked_at >= MISSED_EVERY and missed_key():
                ahead, looked_at = self._others(), trio.current_time()
            for address in ahead[:ASKED]:
                if await self._fetch(address):
                    break

    async def _fetch(self, address: Address) -> bool:
        try:
            ring, revoked = await fetch_ring(self._network, self.trust, address)
        except (JoinError, WireError) as error:
            self._counts["ring_not_fetched"] += 1
            log.info("the fleet's ring could not be fetched; this is tried again", why=str(error))
            return False
        self.hear(revoked)
        async with self._changing:
            if ring.version <= self.trust.ring.version:
                return False
            await self._adopt(ring)
        self._counts["ring_fetched"] += 1
        return True

    async def reached(self, address: Address, reach: Callable[[Address], Awaitable[NodeName]]) -> NodeName:
        """Who is at `address`, by `reach`. Who turns this node away on a stream of the mesh hangs up and no more: then
        its entrance is asked why."""
        try:
            return await reach(address)
        except TurnedAway as error:
            why = str(error)
        try:
            await fetch_ring(self._network, self.trust, address)
        except NotLetIn as refused:
            why = str(refused)
        except (JoinError, WireError):
            pass
        raise JoinError(why)

    def hear(self, revoked: tuple[Revoked, ...]) -> None:
        """Revocations that were found genuine, from elsewhere than gossip."""
        for each in revoked:
            if not self.trust.is_revoked(each.name):
                self._tell(partial(_revoke, each))

    async def _adopt(self, ring: Ring) -> None:
        """Keep a newer ring, follow it, and say so: in this order, so that a crash between leaves nothing untrue."""
        await self._written(lambda vault: vault.save_ring(ring))
        if self.trust.follow(ring):
            self._step_since = trio.current_time()
            self._say_ring(ring.version)

    async def _keep_revocations(self) -> None:
        while True:
            await self._revoked.wait()
            self._revoked = trio.Event()
            if not await self._written(lambda vault: vault.save_revoked(self.trust.revoked)):
                await trio.sleep(SAVED_AGAIN)
                self._revoked.set()

    async def _rotate_forever(self) -> None:
        """Take the next step of a rotation once all have taken the last. A restart in the middle goes on from there."""
        authority = self.trust.authority
        assert authority is not None
        while True:
            await trio.sleep(self._pause)
            if self.trust.ring.is_settled:
                if self._rotate_again or self._owes_a_rotation():
                    await self.rotate()
                continue
            async with self._changing:
                await self._step(authority)

    async def _step(self, authority: Authority) -> None:
        ring, since = self.trust.ring, trio.current_time() - self._step_since
        if self.stragglers() and since < STRAGGLERS:
            return
        if ring.current != ring.keys[-1].key_id:
            await self._adopt(with_newest_in_use(authority, ring))
        elif since >= DRAIN:
            await self._adopt(with_newest_alone(authority, ring))
            log.info("datagrams are sealed with a new key alone", key=ring.current.hex())

    def _owes_a_rotation(self) -> bool:
        """Whether somebody was thrown out who may hold the newest key: a crash came before the rotation."""
        return self._last_thrown_out() >= self.trust.ring.keys[-1].added_ms

    def _last_thrown_out(self) -> int:
        return max((each.at_ms for each in self.trust.revoked), default=-1)

    async def _written(self, write: Callable[[Vault], None]) -> bool:
        """Whether it is on the disk now, or need not be."""
        if self._vault is None:
            return True
        try:
            await trio.to_thread.run_sync(write, self._vault)
        except StateDirError as error:
            self._counts["identity_unsaved"] += 1
            log.error("the state dir can't be written; what is new is lost with a restart", why=str(error))
            return False
        return True

    def _now_ms(self) -> int:
        return int(self.trust.wall() * 1000)


def _by_hope(records: list[Record], elsewhere: tuple[Address, ...] = ()) -> list[Address]:
    """Where they listen: those first that are heard, and those of other zones, each time in another order. So no few
    that are cut off, or lie, stand before those that would answer."""
    heard = [*(record.address for record in records if record.presence in HOPEFUL), *elsewhere]
    silent = [record.address for record in records if record.presence not in HOPEFUL]
    random.shuffle(heard)
    random.shuffle(silent)
    return heard + silent


def _revoke(revoked: Revoked, member: Member, now: float) -> None:
    member.revoke(revoked, now)
