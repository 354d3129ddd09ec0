"""Joins through addresses that discovery found, those of them that the roster does not have: a few at a time, and each
that failed less and less often. Gossip tells of everybody else once one has answered."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import trio

from meshfleet.errors import JoinError
from meshfleet.gossip.events import Event, Joined
from meshfleet.logs import get_logger

if TYPE_CHECKING:
    from collections import Counter

    from meshfleet.fleet.names import Address
    from meshfleet.node.network import Network
    from meshfleet.node.node import Node

AT_ONCE = 4
"""Addresses that are tried at the same time."""

ROUND = 2.0
"""Seconds between two rounds: what one that answered told has come by then, and most of the others are known."""

FIRST_PAUSE, LONGEST_PAUSE = 10.0, 300.0
"""Seconds until an address that failed is tried again: doubling."""

SEEDS_LIMIT = 64
"""Of them that the member itself tries when it sees too few."""

UNJOINED_TOLD = 8
"""Addresses that could not be joined by, as they are told: as many as are tried at the start."""

log = get_logger("meshfleet.node")


class Seeking:
    """See the module."""

    def __init__(self, node: Node, network: Network, counts: Counter[str]) -> None:
        self._node = node
        self._network = network
        self._counts = counts
        self._told = node.tending.seeds
        self._own: tuple[Address, ...] = ()
        self._there: tuple[Address, ...] = ()
        """What was found, as IP addresses."""
        self._found: tuple[Address, ...] = ()
        self._tried: dict[Address, tuple[float, float]] = {}
        """Of addresses that were tried: the pause, and when they may be tried again. Also of those that answered: their
        nodes may be known by other addresses."""
        self._last_failure: str | None = None
        self._unjoined: dict[Address, str] = {}
        """Of addresses that the node was told of or remembers, tried as it started: why nobody was joined there."""
        self._news = trio.Event()
        node.watch(self._met)

    def keep(self, own: tuple[Address, ...]) -> None:
        """Addresses that the node was told of and remembers: its member tries them, too."""
        self._own = own
        self._keep()

    def found(self, addresses: tuple[Address, ...]) -> None:
        """All that discovery has now."""
        if addresses != self._found:
            self._found = addresses
            self._news.set()

    def why_alone(self) -> str | None:
        """Why nobody was joined, though nodes were found; None where somebody was, or none was found."""
        others = any(not record.is_gone for record in self._node.member.roster)
        if others or not self._there or self._last_failure is None:
            return None
        return f"Nobody could be joined at the addresses that were found. The last one: {self._last_failure}"

    def _met(self, event: Event) -> None:
        """Whoever is met may have been behind an address that failed at first."""
        if isinstance(event, Joined):
            self._unjoined.clear()

    def failed(self, address: Address, why: str) -> None:
        """Nobody was joined at an address that the node was told of, or remembers."""
        self._unjoined[address] = why

    def unjoined(self) -> tuple[str, ...]:
        """Those addresses, with why; none where somebody is there after all, in this zone or another."""
        others = any(not record.is_gone for record in self._node.member.roster)
        if others or self._node.zoning.views():
            return ()
        return tuple(f"{address}: {why}" for address, why in [*self._unjoined.items()][:UNJOINED_TOLD])

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._news = trio.Event()
            self._there = await self._resolved()
            self._tried = {address: again for address, again in self._tried.items() if address in self._there}
            self._keep()
            now = trio.current_time()
            due = [address for address in self._missing() if self._tried.get(address, (0.0, 0.0))[1] <= now]
            random.shuffle(due)
            calm = self._most_are_elsewhere()
            async with trio.open_nursery() as nursery:
                for address in due[: 1 if calm else AT_ONCE]:
                    nursery.start_soon(self._try, address)
            if due:
                await trio.sleep(FIRST_PAUSE if calm else ROUND)
            else:
                with trio.move_on_after(FIRST_PAUSE if self._there else float("inf")):
                    await self._news.wait()

    def _most_are_elsewhere(self) -> bool:
        """Whether those that are missing are likely of other zones, where the fleet is on two levels, and there is no
        hurry: in one of thousands each would else be asked for ever anew, by everybody."""
        others = any(not record.is_gone for record in self._node.member.roster)
        return others and self._node.config.levels == 2

    def _missing(self) -> list[Address]:
        known = {record.address for record in self._node.member.roster if not record.is_gone}
        return [address for address in self._there if address != self._node.address and address not in known]

    async def _resolved(self) -> tuple[Address, ...]:
        """What was found, as IP addresses, each once."""
        there: dict[Address, None] = {}
        for address in self._found:
            try:
                there[await self._network.resolve(address)] = None
            except OSError:
                self._counts["discovery_unresolved"] += 1
        return tuple(there)

    async def _try(self, address: Address) -> None:
        self._counts["discovery_tries"] += 1
        try:
            name = await self._node.join(address)
        except JoinError as error:
            pause = min(LONGEST_PAUSE, 2 * self._tried.get(address, (FIRST_PAUSE / 2, 0.0))[0])
            self._tried[address] = (pause, trio.current_time() + pause)
            self._counts["discovery_join_failed"] += 1
            if self._last_failure is None or str(error) != self._last_failure:
                self._last_failure = str(error)
                self._node.changed_beside()
            log.info("nobody was joined at an address that was found", why=str(error))
        else:
            self._tried[address] = (FIRST_PAUSE / 2, trio.current_time() + LONGEST_PAUSE)
            log.info("joined through an address that was found", by=name, at=str(address))

    def _keep(self) -> None:
        there = [address for address in self._there if address != self._node.address][:SEEDS_LIMIT]
        self._node.member.keep_seeds(tuple(dict.fromkeys((*self._own, *there))))
        self._node.tending.seeds = (*self._told, *there)
