"""A delegate's member in the upper mesh: sockets, a driver and a life of its own, beside those of its node."""

from __future__ import annotations

import random
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import trio

from meshfleet.errors import ConfigError
from meshfleet.fleet.names import Address
from meshfleet.gossip.member import Member
from meshfleet.logs import get_logger
from meshfleet.node.config import ABOVE_AFTER
from meshfleet.node.driver import Driver
from meshfleet.node.settling import resolved
from meshfleet.node.sockets import bind_both
from meshfleet.wire.codec import PACKET_OVERHEAD, size_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from meshfleet.fleet.names import Epoch
    from meshfleet.gossip.events import Event
    from meshfleet.node.machine import Machine
    from meshfleet.node.network import Datagrams, Network
    from meshfleet.node.node import Node
    from meshfleet.node.trust import Above, Trust

log = get_logger("meshfleet.node")


class Upper(NamedTuple):
    """What runs while a node is a delegate."""

    member: Member
    driver: Driver
    there: Address
    """Where it listens."""


@asynccontextmanager
async def open_upper(
    node: Node,
    trust: Trust,
    network: Network,
    machine: Machine,
    wall: Callable[[], float],
    epoch: Epoch,
    on_events: Callable[[list[Event]], None],
) -> AsyncIterator[Upper]:
    """Its member, running. On exit all is closed, without a goodbye. OSError or ConfigError where no port is free,
    StateDirError where no temporary file can be written."""
    datagrams, bound = await _bound(node, network)
    try:
        there = Address(node.address.host, bound.port)
        above = trust.above()
        member = _member(node, above, trust, machine, epoch, there)
        driver = Driver(
            member,
            network,
            datagrams,
            above,
            enter=node.entrance.serve,
            machine=machine,
            wall_ms=lambda: int(wall() * 1000),
            on_events=on_events,
        )
        async with trio.open_nursery() as nursery:
            await nursery.start(driver.run)
            await nursery.start(network.listen, bound, driver.links.accept)
            yield Upper(member, driver, there)
            nursery.cancel_scope.cancel()
    finally:
        datagrams.close()


async def _bound(node: Node, network: Network) -> tuple[Datagrams, Address]:
    """Where the settings say, else ABOVE_AFTER ports from gossip's; where that is taken, anywhere: others are told."""
    config = node.config
    if config.above is not None:
        return await bind_both(network, await resolved(network, config.above))
    host, port = await resolved(network, config.gossip)
    port = node.address.port if port else 0
    if port and port + ABOVE_AFTER < 65_536:
        try:
            return await bind_both(network, Address(host, port + ABOVE_AFTER))
        except (ConfigError, OSError) as error:
            log.info("the usual port for the upper mesh can't be had; another one is used", why=str(error))
    return await bind_both(network, Address(host, 0))


def _member(node: Node, above: Above, trust: Trust, machine: Machine, epoch: Epoch, there: Address) -> Member:
    below, now = node.member.membership.me.info, machine.now()
    info = msgspec.structs.replace(
        below, gossip_host=there.host, gossip_port=there.port, relays=(), base_url=None, ring=trust.ring.version
    )
    timing, rng = node.config.timing, random.Random()
    member = Member(node.name, epoch, info, timing, rng, size_of, PACKET_OVERHEAD, above.vouching(), now)
    for revoked in trust.revoked:
        member.revoke(revoked, now)
    return member
