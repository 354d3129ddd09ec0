"""A gossip member inside the agent's own process: a thread with a Trio run of its own."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import msgspec
import trio

from meshfleet.embed.fields import Said, state_of
from meshfleet.errors import MeshfleetError
from meshfleet.fleet.names import NodeName, parse_address
from meshfleet.logs import get_logger
from meshfleet.node.config import NodeConfig
from meshfleet.node.entering import enter_once
from meshfleet.node.invites import read_invite
from meshfleet.node.opening import open_node
from meshfleet.node.sockets import RealNetwork
from meshfleet.node.store import StateDir
from meshfleet.node.vault import Vault

if TYPE_CHECKING:
    from collections import Counter
    from pathlib import Path

    from meshfleet.embed.mailbox import Mailbox
    from meshfleet.node.node import Node
    from meshfleet.node.trust import Identity

LOOK_EVERY = 0.5
"""Seconds for which the thread that waits for states sleeps at most, so that it notices the end."""

log = get_logger("meshfleet.agent")


class Inside:
    """Runs a member of the fleet beside the agent, in its process, until the mailbox is closed."""

    def __init__(
        self,
        agent_id: str,
        runtime: str,
        mailbox: Mailbox[Said],
        counts: Counter[str],
        *,
        join: tuple[str, ...],
        gossip: str,
        identity: Identity | None,
        invite: str | None,
        state_dir: Path | None,
    ) -> None:
        self._agent_id = agent_id
        self._runtime = runtime
        self._mailbox = mailbox
        self._counts = counts
        self._join = join
        self._gossip = gossip
        self._identity = identity
        self._invite = invite
        self._state_dir = state_dir

    def run(self) -> None:
        """The thread's whole life. Nothing that goes wrong in it leaves it."""
        try:
            trio.run(self._live)
        except BaseExceptionGroup as group:
            log.warning("the member in this agent's process ended; the agent goes on unseen", exc_info=group)
        except MeshfleetError as error:
            log.warning("the member in this agent's process could not start", why=error)

    async def _live(self) -> None:
        name, identity = self._name(), self._identity
        seeds = tuple(parse_address(seed) for seed in self._join)
        if self._invite is not None and identity is None:
            invite = read_invite(self._invite)
            entered = await enter_once(RealNetwork(), invite, name, self._state_dir, time.time)
            name, seeds = entered.name, (*seeds, *invite.where())
            identity = entered if self._state_dir is None else None
        config = NodeConfig(
            name=name, gossip=parse_address(self._gossip), state_dir=self._state_dir, identity=identity, seeds=seeds
        )
        async with open_node(config) as node:
            while True:
                said = await trio.to_thread.run_sync(self._mailbox.wait, LOOK_EVERY)
                if said is not None:
                    await self._publish(node, said)
                elif self._mailbox.closed:
                    break
            await node.leave()

    def _name(self) -> NodeName:
        """By which the fleet knows it: what the identity says, since a certificate is good for one name."""
        if self._identity is not None:
            return self._identity.name
        if self._state_dir is not None:
            with StateDir.open(self._state_dir) as store:
                known = Vault(store).load()
            if known is not None:
                return known.name
        return NodeName(f"{self._agent_id.replace('/', '-')[:50]}-{os.getpid()}")

    async def _publish(self, node: Node, said: Said) -> None:
        try:
            # In a thread: prices and fingerprints take longer than the member's own work may wait.
            state = await trio.to_thread.run_sync(state_of, self._agent_id, self._runtime, said)
            node.publish(state)
        except (MeshfleetError, msgspec.ValidationError, TypeError, ValueError) as error:
            self._counts["invalid"] += 1
            log.warning("a state was not understood and is not shown", agent=self._agent_id, why=error)
        else:
            self._counts["sent"] += 1
