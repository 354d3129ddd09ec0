"""A node's part in a fleet on two levels: it joins its own zone, shows the others, and is a delegate when it is its
turn. `meshfleet.zones` decides; this lends it sockets and time.

Where a fleet is on one level, all of this is there and does nothing.
"""

from __future__ import annotations

import random
from functools import partial
from typing import TYPE_CHECKING

import msgspec
import trio

from meshfleet.errors import ConfigError, JoinError, MeshfleetError, StateDirError
from meshfleet.fleet.zone import ZoneSums, ZoneView, sums_of
from meshfleet.gossip.events import CastOut, Event
from meshfleet.gossip.record import HOPEFUL
from meshfleet.logs import get_logger
from meshfleet.node.entering import fetch_fleet, find_delegates, find_zone
from meshfleet.node.seeking import SEEDS_LIMIT
from meshfleet.node.sleeping import GOODBYE
from meshfleet.node.upper import Upper, open_upper
from meshfleet.zones.bridge import CARRIES_EVERY, Bridge
from meshfleet.zones.seen import uppers

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshfleet.fleet.names import Address, Epoch
    from meshfleet.fleet.view import FleetView
    from meshfleet.gossip.member import Member
    from meshfleet.gossip.messages import Revoked
    from meshfleet.node.driver import Driver
    from meshfleet.node.machine import Machine
    from meshfleet.node.network import Network
    from meshfleet.node.node import Node
    from meshfleet.node.trust import Trust

LOOKS_AROUND = 12
"""T between two questions to a node of another zone who speaks for it, though others are known: two parts of a fleet
that have forgotten each other find each other again."""

ASKED = 4
"""Nodes that are asked in one round."""

BOUND_AGAIN = 60.0
"""Seconds until a port that could not be had is asked for again."""

log = get_logger("meshfleet.node")


class Zoning:
    """See the module. `next_epoch` gives each life above a number of its own."""

    def __init__(
        self,
        node: Node,
        trust: Trust,
        network: Network,
        driver: Driver,
        machine: Machine,
        wall: Callable[[], float],
        next_epoch: Callable[[], Epoch],
    ) -> None:
        self._node = node
        self._trust = trust
        self._network = network
        self._driver = driver
        self._machine = machine
        self._wall = wall
        self._next_epoch = next_epoch
        self._upper: Upper | None = None
        self._asked_at = -1e18
        self._views: dict[str, trio.Lock] = {}
        self.bridge: Bridge | None = None
        """None where the fleet is on one level."""
        if node.config.levels == 2 and node.config.zone is not None:
            node.member.keep_to(node.config.zone)
            self.bridge = Bridge(node.config.zone, node.member, self._sums, wall)
            node.watch(self._pass_up)

    # What is seen

    def views(self) -> tuple[ZoneView, ...]:
        """All other zones."""
        if self.bridge is None:
            return ()
        at = self._node.member.listening.at(self._machine.now())
        return self.bridge.words.views(at, self._wall())

    @property
    def above(self) -> Member | None:
        """Its member in the upper mesh, while this node is a delegate."""
        return None if self._upper is None else self._upper.member

    async def view_of(self, zone: str) -> FleetView:
        """Another zone in full, as one of its delegates sees it. ConfigError where nothing is known of that zone,
        JoinError where nobody of it answers."""
        known = {view.zone: view for view in self.views()}
        if zone not in known:
            names = ", ".join(sorted(known)) or "none: this fleet is on one level, or others were not heard of yet"
            raise ConfigError(f"no zone {zone!r} is known here. Known are {names}.")
        where = list(known[zone].sums.delegates)
        failures: list[str] = []
        async with self._views.setdefault(zone, trio.Lock()):
            for address in where:
                try:
                    return await fetch_fleet(self._network, self._trust, address)
                except JoinError as error:
                    failures.append(str(error))
        raise JoinError(" ".join(failures) or f"zone {zone} tells nowhere to ask.")

    async def find(self, zone: str, address: Address) -> tuple[Address, ...]:
        """Where members of a zone listen, as far as the node at `address` knows. JoinError where that can't be had."""
        return await find_zone(self._network, self._trust, address, zone)

    # What others ask at the entrance

    def delegates(self) -> tuple[Address, ...]:
        """Where those listen, in the upper mesh, who speak for this zone."""
        return tuple(uppers(self._node.member).values())

    def of_zone(self, zone: str) -> tuple[Address, ...]:
        """Where members of a zone listen; of the own one this node first."""
        if self.bridge is None or zone != self.bridge.zone:
            return next((view.sums.delegates for view in self.views() if view.zone == zone), ())
        there = [record.address for record in self._node.member.roster if record.presence in HOPEFUL]
        return (self._node.address, *random.sample(there, min(ASKED, len(there))))

    def view(self) -> bytes:
        """This zone's view, as JSON."""
        return msgspec.json.encode(self._node.fleet())

    def issuers(self) -> tuple[Address, ...]:
        """Where certificates are renewed, in other zones."""
        return tuple(address for view in self.views() for address in view.sums.issuers)

    def behind(self, ring: int) -> list[str]:
        """Other zones that are there, and where somebody holds an older ring than this."""
        there = [view for view in self.views() if view.presence in HOPEFUL]
        return [f"zone {view.zone}" for view in there if view.sums.ring < ring]

    # What goes on by itself

    async def run(self) -> None:
        """Until cancelled."""
        if self.bridge is None:
            return
        while True:
            if self._wanted(self.bridge):
                await self._speak_if_possible(self.bridge)
            await trio.sleep(self._node.config.timing.heartbeat)

    async def _speak_if_possible(self, bridge: Bridge) -> None:
        """The others speak for the zone while this node can't listen, or its disk is full, so that is no reason for it
        to end."""
        failure: BaseException | None = None
        try:
            await self._speak(bridge)
        except* (ConfigError, StateDirError, OSError) as errors:
            failure = errors
            while isinstance(failure, BaseExceptionGroup):
                failure = failure.exceptions[0]
        if failure is not None:
            self._node.counts["above_not_bound"] += 1
            log.error("this node can't speak for its zone; it is tried again", why=str(failure), again_s=BOUND_AGAIN)
            await trio.sleep(BOUND_AGAIN)

    def _wanted(self, bridge: Bridge) -> bool:
        return bridge.look(self._machine.now())

    async def _speak(self, bridge: Bridge) -> None:
        """Be in the upper mesh, for as long as this node is a delegate."""
        node, epoch = self._node, self._next_epoch()
        async with open_upper(
            node, self._trust, self._network, self._machine, self._wall, epoch, self._pass_down
        ) as upper:
            log.info("this node speaks for its zone", zone=bridge.zone, above=str(upper.there))
            node.counts["became_delegate"] += 1
            beside = [address for address in uppers(node.member).values() if address != upper.there]
            self._driver.tell(lambda _member, now: bridge.rise(upper.member, upper.there, now))
            self._upper = upper
            try:
                async with trio.open_nursery() as nursery:
                    self._join(upper, beside)
                    nursery.start_soon(self._find_others_forever, upper)
                    while self._wanted(bridge):
                        self._driver.tell(lambda _member, now: bridge.carry(now))
                        upper.driver.tell(lambda _member, _now: None)  # what is outgoing goes
                        self._join_lost(bridge)
                        await trio.sleep(CARRIES_EVERY)
                    nursery.cancel_scope.cancel()
            finally:
                self._upper = None
                self._driver.tell(lambda _member, now: bridge.sink(now))
            log.info("this node no longer speaks for its zone", zone=bridge.zone)
            _say_goodbye(upper)
            await trio.sleep(GOODBYE)

    def _join_lost(self, bridge: Bridge) -> None:
        """Meet those of the own zone who are known above and not here."""
        for address in bridge.lost()[:ASKED]:
            if address != self._node.address:
                self._driver.tell(partial(_join, address))

    def _join(self, upper: Upper, addresses: list[Address]) -> None:
        """Meet those who are at these addresses above, and try them again when too few are seen."""
        if not addresses:
            return
        kept = dict.fromkeys((*addresses, *upper.member.rounds.seeds))
        upper.member.keep_seeds(tuple(kept)[:SEEDS_LIMIT])
        for address in addresses:
            upper.driver.tell(partial(_join, address))

    async def _find_others_forever(self, upper: Upper) -> None:
        """Beside all else: a seed that is gone answers after ten seconds, with nothing."""
        while True:
            await self._find_others(upper)
            await trio.sleep(CARRIES_EVERY)

    async def _find_others(self, upper: Upper) -> None:
        """Ask some node of another zone who speaks for that: each T while nobody is known, else now and then."""
        timing, now = self._node.config.timing, trio.current_time()
        others = any(record.info.zone != self._node.config.zone for record in upper.member.roster)
        if now - self._asked_at < timing.heartbeat * (LOOKS_AROUND if others else 1):
            return
        self._asked_at = now
        here = {record.address for record in self._node.member.roster}
        seeds = [seed for seed in dict.fromkeys(self._node.tending.seeds) if seed not in here]
        known = {record.address for record in upper.member.roster} | {upper.there}
        for seed in random.sample(seeds, min(len(seeds), 1 if others else ASKED)):
            try:
                found = await find_delegates(self._network, self._trust, seed)
            except MeshfleetError as error:
                self._node.counts["zone_not_found"] += 1
                log.debug("who speaks for another zone could not be asked", why=str(error))
                continue
            self._join(upper, [address for address in found if address not in known])

    def leave(self) -> None:
        """The node says goodbye: above as well."""
        if self._upper is not None:
            _say_goodbye(self._upper)

    def moved(self, there: Address) -> None:
        """This machine has another address."""
        if (upper := self._upper) is not None:
            info = upper.member.membership.me.info
            moved = msgspec.structs.replace(info, gossip_host=there.host)
            upper.driver.tell(lambda member, _now: member.advertise(moved))
            upper.driver.links.give_up_all()

    def say_ring(self, version: int) -> None:
        """This node holds another ring now."""
        if (upper := self._upper) is not None:
            info = msgspec.structs.replace(upper.member.membership.me.info, ring=version)
            upper.driver.tell(lambda member, _now: member.advertise(info))

    # What passes from one level to the other

    def _pass_up(self, event: Event) -> None:
        if isinstance(event, CastOut) and (upper := self._upper) is not None:
            upper.driver.tell(partial(_revoke, event.revoked))

    def _pass_down(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, CastOut):
                self._driver.tell(partial(_revoke, event.revoked))

    def _sums(self, _now: float) -> ZoneSums:
        node, bridge = self._node, self.bridge
        assert bridge is not None
        roster = [record for record in node.member.roster if record.presence in HOPEFUL]
        me = node.member.membership.me.info
        where = {record.name: record.address for record in roster} | {node.name: node.address}
        issuers = [record.address for record in roster if record.info.issues]
        return msgspec.structs.replace(
            sums_of(bridge.zone, node.fleet()),
            ring=min([me.ring, *(record.info.ring for record in roster)]),
            delegates=tuple(where[name] for name in bridge.delegates if name in where),
            issuers=(*([node.address] if me.issues else ()), *issuers),
        )


def _say_goodbye(upper: Upper) -> None:
    upper.driver.tell(lambda member, now: member.leave(now))
    upper.driver.links.close_all()


def _join(address: Address, member: Member, now: float) -> None:
    member.join(address, now)


def _revoke(revoked: Revoked, member: Member, now: float) -> None:
    member.revoke(revoked, now)
