"""Opening a node: who it is, its sockets, its member and the driver of it, and the parts that run beside."""

from __future__ import annotations

import random
import time
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import trio

from meshfleet.fleet.names import Epoch
from meshfleet.gossip.member import Member
from meshfleet.gossip.messages import NodeInfo
from meshfleet.node.config import check
from meshfleet.node.driver import Driver
from meshfleet.node.ledger import open_ledger
from meshfleet.node.machine import Machine
from meshfleet.node.node import Node
from meshfleet.node.otel.starting import start_exporting
from meshfleet.node.rejoining import join_seeds, remember_peers
from meshfleet.node.roaming import roam
from meshfleet.node.settling import identity_of, resolved, role_of
from meshfleet.node.sockets import RealNetwork, bind_both, cannot_bind
from meshfleet.node.store import StateDir
from meshfleet.node.supervise import supervise
from meshfleet.node.trust import Trust
from meshfleet.node.vault import Vault
from meshfleet.wire.codec import PACKET_OVERHEAD, size_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from meshfleet.fleet.names import Address
    from meshfleet.node.config import NodeConfig
    from meshfleet.node.network import Network
    from meshfleet.node.trust import Identity


@asynccontextmanager
async def open_node(
    config: NodeConfig,
    *,
    network: Network | None = None,
    wall: Callable[[], float] = time.time,
    rng: random.Random | None = None,
    machine: Machine | None = None,
    trusting: Callable[[Identity, Callable[[], float]], Trust] = Trust,
) -> AsyncIterator[Node]:
    """A running node. Sockets are bound on entry (ConfigError if they can't be); on exit all is closed, without a
    goodbye: call `leave` first for that. `trusting` is for the benchmark that measures what trust costs."""
    check(config)
    network, machine = network or RealNetwork(), machine or Machine()
    store = None if config.state_dir is None else StateDir.open(config.state_dir)
    try:
        vault = None if store is None else Vault(store)
        trust = trusting(identity_of(config, vault, wall()), wall)
        epoch = Epoch(int(wall() * 1000) if store is None else store.next_epoch(int(wall() * 1000)))
        datagrams, bound = await bind_both(network, await resolved(network, config.gossip))
        try:
            rng = rng or random.Random()
            member = _member(config, epoch, trust, network.advertised(bound), machine, rng)
            ledger = await open_ledger(config.state_dir, config.name, epoch)
            handed: list[Node] = []
            driver = Driver(
                member,
                network,
                datagrams,
                trust,
                enter=lambda hello, source: handed[0].entrance.serve(hello, source),
                machine=machine,
                wall_ms=lambda: int(wall() * 1000),
                on_events=lambda events: handed[0].on_events(events),
            )
            node = Node(config, member, driver, store, network, machine, wall, trust, ledger)
            handed.append(node)
            try:
                async with _running(node, driver, network, machine, bound, store):
                    yield node
            finally:
                node.accounting.close()
        finally:
            datagrams.close()
    finally:
        if store is not None:
            store.close()


def _member(
    config: NodeConfig, epoch: Epoch, trust: Trust, there: Address, machine: Machine, rng: random.Random
) -> Member:
    process, now = machine.process(), machine.now()
    info = NodeInfo(
        host=config.host,
        gossip_host=there.host,
        gossip_port=there.port,
        zone=config.zone,
        role=role_of(config, trust),
        version=config.version,
        process=None if process is None else str(process),
        ring=trust.ring.version,
        issues=trust.authority is not None,
    )
    member = Member(config.name, epoch, info, config.timing, rng, size_of, PACKET_OVERHEAD, trust.vouching(), now)
    for revoked in trust.revoked:
        member.revoke(revoked, now)
    return member


@asynccontextmanager
async def _running(
    node: Node, driver: Driver, network: Network, machine: Machine, bound: Address, store: StateDir | None
) -> AsyncIterator[None]:
    """The driver, who listens, and each part under its supervisor."""
    async with trio.open_nursery() as nursery:
        await nursery.start(driver.run)
        try:
            await nursery.start(network.listen, bound, driver.links.accept)
        except OSError as error:
            raise cannot_bind(bound, "TCP", error) from error
        parts: dict[str, Callable[[], Awaitable[None]]] = {
            "attending": node.attending.run,
            "accounts": node.accounting.run,
            "attention": node.heeding.run,
            "sleep": node.sleeping.run,
            "zones": node.zoning.run,
            "roaming": partial(roam, network, machine, bound, node.moved),
            "keys": partial(node.tending.run, driver.took_missed_key),
            "join": partial(join_seeds, node, network, store),
        }
        if store is not None:
            parts["peers"] = partial(remember_peers, node, store)
        start_exporting(node.exporter, nursery, node.counts)
        for name, part in parts.items():
            nursery.start_soon(supervise, name, part, node.counts)
        yield
        nursery.cancel_scope.cancel()
