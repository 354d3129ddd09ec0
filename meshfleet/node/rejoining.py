"""How a node finds its fleet again: the peers it was told of, and those that it knew in its last life."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from meshfleet.errors import JoinError
from meshfleet.fleet.presence import Presence
from meshfleet.logs import get_logger
from meshfleet.node.store import Peer, StateDir

if TYPE_CHECKING:
    from meshfleet.fleet.names import Address, NodeName
    from meshfleet.node.driver import Driver
    from meshfleet.node.network import Network
    from meshfleet.node.node import Node

REMEMBER_EVERY = 15.0
"""Seconds between two savings of known peers, if they changed."""

JOIN_PATIENCE = 10.0
"""Seconds within which whoever was joined must have told what it knows."""

AT_ONCE = 8
"""Addresses that are tried at the same time on starting."""

log = get_logger("meshfleet.node")


async def remember_peers(node: Node, store: StateDir) -> None:
    """Save known peers, so that a restart finds the fleet without being told where."""
    while True:
        version = node.version()
        roster = sorted(node.member.roster, key=lambda record: record.is_gone)
        peers = [Peer(record.name, record.address) for record in roster if record.presence is not Presence.LEFT]
        if roster:  # of those who said goodbye none is looked for
            await trio.to_thread.run_sync(store.save_peers, peers)
            await trio.sleep(REMEMBER_EVERY)
        await node.changed(version)


async def join_seeds(node: Node, network: Network, store: StateDir | None) -> None:
    """Join by every seed and every remembered peer until one answers; the member itself tries again later."""
    peers = list(store.peers()) if store is not None else []
    node.member.remember(tuple(peer.name for peer in peers if peer.name != node.name))
    known = [peer.address for peer in peers]
    addresses: list[Address] = []
    for seed in (*node.config.seeds, *known):
        try:
            where = await network.resolve(seed)
        except OSError as error:
            log.warning("a seed can't be resolved", seed=str(seed), why=error.strerror or str(error))
            node.seeking.failed(seed, f"can't be resolved: {error.strerror or error}")
            continue
        if where != node.address and where not in addresses:
            addresses.append(where)
    node.seeking.keep(tuple(addresses))
    async with trio.open_nursery() as nursery:
        for where in addresses[:AT_ONCE]:
            nursery.start_soon(_try_join, node, where, where in addresses[: len(node.config.seeds)])


async def _in_my_zone(node: Node, address: Address) -> Address:
    """Where a fleet is on two levels: somebody of this node's zone, as the one at `address` knows of, itself first.
    JoinError where it knows of none."""
    zone = node.config.zone
    if node.config.levels == 1 or zone is None:
        return address
    found = await node.zoning.find(zone, address)
    if not found:
        raise JoinError(
            f"{address} is of another zone, and knows nobody of zone {zone} yet. Once this node speaks for it, both "
            "zones know each other."
        )
    return address if address in found else found[0]


async def join(node: Node, network: Network, driver: Driver, address: Address) -> NodeName:
    """See `Node.join`."""
    try:
        where = await network.resolve(address)
    except OSError as error:
        why = error.strerror or error
        raise JoinError(f"{address.host!r} can't be resolved: {why}. Is the name right?") from error
    if where == node.address:
        raise JoinError(f"{address} is this node itself.")
    where = await _in_my_zone(node, where)
    if where == node.address:
        raise JoinError(f"{address} is of another zone, and knows of nobody but this node in zone {node.config.zone}.")
    name = await node.tending.reached(where, driver.links.reach)
    if name == node.name:
        raise JoinError(f"{address} is this node itself, or another process of its name.")
    synced = node.synced.setdefault(name, trio.Event())
    driver.tell(lambda member, now: member.join(where, now))
    with trio.move_on_after(JOIN_PATIENCE):
        await synced.wait()
        return name
    raise JoinError(
        f"{address} ({name}) is of this fleet, but told nothing within {JOIN_PATIENCE:.0f} s. It may be overloaded."
    )


async def _try_join(node: Node, where: Address, was_asked_for: bool) -> None:
    try:
        name = await node.join(where)
    except JoinError as error:
        tell = log.warning if was_asked_for else log.info
        tell("could not join; this is tried again", why=str(error))
        node.seeking.failed(where, str(error))
    else:
        log.info("joined", by=name, at=str(where))
