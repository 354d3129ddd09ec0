"""A node: one gossip member with its sockets, its memory on disk, and the view that others serve.

async with open_node(NodeConfig(name=..., gossip=..., state_dir=...)) as node:
    node.publish(state)
    print(node.fleet())
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import msgspec
import trio

from meshfleet.errors import ConfigError
from meshfleet.fleet.names import Address, AgentId, Epoch, NodeName
from meshfleet.gossip.events import CastOut, Event, Renewed, Synced
from meshfleet.node.accounting import Accounting
from meshfleet.node.attending import Attending
from meshfleet.node.carrying import carried, encoded
from meshfleet.node.diagnosis import Diagnosis, diagnose
from meshfleet.node.endpoints import Endpoints
from meshfleet.node.entrance import Entrance
from meshfleet.node.eventlog import write
from meshfleet.node.examining import Inside, examine
from meshfleet.node.heeding import heeding
from meshfleet.node.invites import Book
from meshfleet.node.office import Office
from meshfleet.node.otel.starting import exporting, told
from meshfleet.node.rejoining import join
from meshfleet.node.seeking import Seeking
from meshfleet.node.settling import refuse_observer
from meshfleet.node.sleeping import GOODBYE, Sleeping
from meshfleet.node.supervise import supervise
from meshfleet.node.tending import Tending
from meshfleet.node.vault import Vault
from meshfleet.node.viewing import Viewing
from meshfleet.node.zoning import Zoning

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from meshfleet.fleet.cost import CostReport
    from meshfleet.fleet.evidence import Fact
    from meshfleet.fleet.source import SourceTold
    from meshfleet.fleet.state import AgentState
    from meshfleet.fleet.view import AgentView, FleetView, Health
    from meshfleet.gossip.member import Member
    from meshfleet.node.config import NodeConfig
    from meshfleet.node.driver import Driver
    from meshfleet.node.ledger import Ledger
    from meshfleet.node.machine import Machine
    from meshfleet.node.network import Network
    from meshfleet.node.store import StateDir
    from meshfleet.node.trust import Trust

VIEW_KEPT = 0.25
"""Seconds for which a view is handed out again while nothing but ages changed: what 1,000 readers cost in between
is nothing."""


class Node:
    """A running node. Made by `open_node`. For use from one Trio run; calls that are not async never wait."""

    def __init__(
        self,
        config: NodeConfig,
        member: Member,
        driver: Driver,
        store: StateDir | None,
        network: Network,
        machine: Machine,
        wall: Callable[[], float],
        trust: Trust,
        ledger: Ledger,
    ) -> None:
        self.keyring = trust.keyring  # readers' tokens are signed with it
        self._machine, self._wall = machine, wall
        self.config = config
        self._member = member
        self._driver = driver
        self._store = store
        self._network = network
        self._viewing = Viewing(member)
        self.counts: Counter[str] = Counter()
        """What is counted besides the mesh itself."""
        self._changed = trio.Event()
        self._view: FleetView | None = None
        self._view_at = -1.0
        self.synced: dict[NodeName, trio.Event] = {}
        """Set when a member has told all that it knows."""
        self._beside = 0
        self._lives = 0
        """In the upper mesh."""
        self.attending = Attending(self, wall)
        budget = config.attention.period_cost_usd
        self.accounting = Accounting(self, trust, ledger, config.billing, self.counts, wall, budget)
        self.heeding = heeding(self, config, self.counts, wall)
        self.sleeping = Sleeping(driver, machine.dozing)
        self.exporter = exporting(self, config, trust.fleet.fleet_id, self.counts, wall)
        self._watchers: list[Callable[[Event], None]] = []
        self._info = member.membership.me.info
        vault = None if store is None else Vault(store)
        book = None if trust.authority is None else Book(store)
        if book is not None:
            book.record(trust.certificate)
        self.tending = Tending(trust, member, network, vault, book, self.counts, self._say_ring, driver.tell)
        self.tending.seeds = (*config.seeds, *(peer.address for peer in (() if store is None else store.peers())))
        self.zoning = Zoning(self, trust, network, driver, machine, wall, self._next_epoch)
        self.tending.zoning = self.zoning
        self.entrance = Entrance(trust, book, self.counts, self.tending.issuers, self._is_live, self.zoning)
        self._office = Office(self.tending, book, self.name, self.address)
        self.seeking = Seeking(self, network, self.counts)
        self.endpoints = Endpoints(self, self, self.counts)
        self._viewing.asks, self._viewing.contact = self.endpoints.asks, self.endpoints.contact
        self.sources: Callable[[], tuple[SourceTold, ...]] = tuple
        """How the places are in which discovery looks."""

    @property
    def member(self) -> Member:
        """The state machine itself, to look at. Only the driver may tell it anything."""
        return self._member

    @property
    def name(self) -> NodeName:
        """This node's name."""
        return self._member.name

    @property
    def epoch(self) -> int:
        """This life of the node."""
        return self._member.epoch

    @property
    def office(self) -> Office:
        """Where the fleet's owner is served: invitations, keys, revocations."""
        return self._office

    @property
    def address(self) -> Address:
        """Where others reach it."""
        return Address(self._info.gossip_host, self._info.gossip_port)

    # What can be seen

    def version(self) -> str:
        """Changes when anything but an age does."""
        return f"{self.epoch & 0xFFFFFF:x}-{self._member.changes + self._beside}"

    def fleet(self) -> FleetView:
        """The merged view; the same object while it is less than a quarter second old and nothing changed."""
        now, version = self._machine.now(), self.version()
        if self._view is None or self._view.version != version or now - self._view_at > VIEW_KEPT:
            sums, notices = self.accounting.sums, self.heeding.notices
            self._view = self._viewing.fleet(
                version, now, self._wall(), self._driver.lag, sums.period(), sums.today(), notices, self.sources()
            )
            if zones := self.zoning.views():
                self._view = msgspec.structs.replace(self._view, zones=zones)
            self._view_at = now
        return self._view

    async def changed(self, since: str) -> None:
        """Return once `version()` is another than `since`."""
        while self.version() == since:
            await self._changed.wait()
        await trio.lowlevel.checkpoint()

    async def zone(self, name: str) -> FleetView:
        """Another zone in full. ConfigError where nothing is known of it, JoinError where nobody of it answers."""
        return await self.zoning.view_of(name)

    def own_agents(self) -> tuple[AgentView, ...]:
        """The agents that this node carries."""
        return self._viewing.own_agents(now=self._machine.now(), wall=self._wall())

    def health(self) -> Health:
        """What is said to anyone who asks whether the node runs."""
        return self._viewing.health(self.config.version)

    def counters(self) -> dict[str, int]:
        """What was sent, received and dropped, by cause."""
        total = Counter(self.counts)
        total.update(self._member.counts)
        total.update(self._driver.counts)
        if (above := self.zoning.above) is not None:
            total.update(above.counts)
        total.update(self._network.counts)
        total["undecodable_state"] = self._viewing.undecodable
        total["dropped_notice"] = self.heeding.dropped
        return dict(sorted(total.items()))

    def diagnosis(self) -> Diagnosis:
        """How it is, for its owner: what it dropped, and who sent it forgeries."""
        return diagnose(self._member, self.counters(), self._machine.now(), told(self.exporter), self.sources())

    async def examine(self, *, tries: bool = True) -> Diagnosis:
        """The same, with what is wrong in the network around it; paths to some peers are tested for that, if it
        `tries`."""
        disk = None if self._store is None else await trio.to_thread.run_sync(self._store.why_unwritable)
        inside = Inside(
            self.seeking.why_alone(),
            self.seeking.unjoined(),
            tuple(why for why in (disk, self.accounting.unwritten) if why is not None),
            self.tending.trust.is_revoked(self.name),
        )
        return await examine(self._member, self._driver.paths, self.diagnosis(), inside, tries=tries)

    def why(self, name: str) -> tuple[Fact, ...]:
        """The facts known of a node, oldest first."""
        record = self._member.roster.get(name)
        return () if record is None else tuple(record.facts)

    def clock(self) -> float:
        """Now, by the clock that facts are dated by."""
        return self._member.listening.at(self._machine.now())

    def watch(self, watcher: Callable[[Event], None]) -> None:
        """Have `watcher` called with each event of the member. It must be quick, and must not raise."""
        self._watchers.append(watcher)

    def publish(self, state: AgentState, *, counts: bool = True) -> None:
        """Spread an agent's state. PublishError when it is over 4 KiB encoded, or one agent too many. Whether
        what it has used `counts`: the ledger has it then."""
        refuse_observer(self._info.role, self.name)
        agent, body = AgentId(state.agent_id), encoded(state, carried(self._member), self.keyring)
        self._driver.tell(lambda member, now: member.publish(agent, body, now))
        if counts:
            self.accounting.observe(state)
        self._notify()

    def withdraw(self, agent_id: AgentId) -> None:
        """Stop carrying an agent; one that isn't carried is left alone."""
        if agent_id in carried(self._member):
            self._driver.tell(lambda member, now: member.publish(agent_id, b"", now))
            self._notify()

    def attend(self, agent_id: AgentId, process: str) -> None:
        """An agent runs in `process`, by that process's own word: when it ends, the agent has exited."""
        self.attending.attend(agent_id, process)

    # What operators say

    def advertise(self, base_url: str) -> None:
        """Tell the fleet where this node serves HTTP."""
        self._say(base_url=base_url)

    def _say_ring(self, version: int) -> None:
        self._say(ring=version)
        self.zoning.say_ring(version)

    def _next_epoch(self) -> Epoch:
        """For a life in the upper mesh: none that this node began anywhere has the same."""
        now_ms = int(self._wall() * 1000)
        self._lives += 1
        return Epoch(max(now_ms, self.epoch + self._lives)) if self._store is None else self._store.next_epoch(now_ms)

    def _say(self, **changed: object) -> None:
        self._info = msgspec.structs.replace(self._info, **changed)
        self._driver.tell(lambda member, now: member.advertise(self._info))

    def moved(self, there: Address) -> None:
        """This machine has another address: what stood from the old one stands no more."""
        self._say(gossip_host=there.host, gossip_port=there.port)
        self._driver.links.give_up_all()
        self.zoning.moved(there)

    def _is_live(self, name: NodeName) -> bool:
        record = self._member.roster.get(name)
        return name == self.name or (record is not None and not record.is_gone)

    async def join(self, address: Address) -> NodeName:
        """Exchange everything with the node at `address`. JoinError says what stood in the way."""
        return await join(self, self._network, self._driver, address)

    async def leave(self) -> None:
        """Say goodbye to all, and give that time to get out."""
        self.zoning.leave()
        self._driver.tell(lambda member, now: member.leave(now))
        self._driver.links.close_all()
        await trio.sleep(GOODBYE)

    def forget(self, name: NodeName) -> None:
        """Have the fleet forget a node that won't come back. ConfigError if it is unknown, or there."""
        if name == self.name:
            raise ConfigError(f"{name} is this node itself. `meshfleet leave` says goodbye and ends it.")
        record = self._member.roster.get(name)
        if record is None:
            known = ", ".join(sorted(r.name for r in self._member.roster)) or "none"
            raise ConfigError(f"no node is called {name!r}. Known: {known}.")
        done = False

        def forget(member: Member, now: float) -> None:
            nonlocal done
            done = member.forget(name, now)

        self._driver.tell(forget)
        if not done:
            raise ConfigError(
                f"{name} is {record.presence.value}: only a node that is gone can be forgotten. Stop it first."
            )

    def block(self, names: Sequence[NodeName]) -> None:
        """Lose every packet to and from these nodes, in silence. For demos alone."""
        if not self.config.demo:
            raise ConfigError("only a node that `meshfleet demo` started can be cut off.")
        self._driver.block(frozenset(names))

    def unblock(self) -> None:
        """End all cuts of `block`."""
        self._driver.block(frozenset())

    async def cost(self, period: str | None = None) -> CostReport:
        """What was used in a billing period, None the one that runs. ConfigError where it is none."""
        return await self.accounting.cost(period)

    async def supervise(self, name: str, part: Callable[[], Awaitable[None]]) -> None:
        """Run a part of the process that this node lives in; see meshfleet.node.supervise."""
        await supervise(name, part, self.counts)

    # Inside

    def on_events(self, events: list[Event]) -> None:
        """What changed in the member: logged, remembered, told to whoever waits."""
        for event in events:
            write(event, self.name, self.epoch)
            for watcher in self._watchers:
                watcher(event)
            match event:
                case CastOut():
                    self.tending.revocation_heard()
                case Renewed() if self._store is not None:
                    self._store.save_epoch(Epoch(event.epoch))
                case Synced():
                    self.synced.setdefault(event.name, trio.Event()).set()
                    self.synced.pop(event.name)
                case _:
                    pass
        self._notify()

    def tell_beside(self, what: str, body: bytes) -> None:
        """Spread what is no agent's, under a reserved id; empty withdraws it."""
        self._driver.tell(lambda member, now: member.publish(AgentId(what), body, now))

    def changed_beside(self) -> None:
        """The view is another, though nothing came from the mesh."""
        self._beside += 1
        self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = trio.Event()
