"""What a node refuses to carry, said where it can be mended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshfleet.errors import PublishError
from meshfleet.fleet.names import AgentId
from meshfleet.fleet.state import AGENTS_LIMIT, SNAPSHOT_LIMIT, AgentState
from meshfleet.node.keyprints import with_short_keys
from meshfleet.wire.accounts import RESERVED
from meshfleet.wire.codec import encode_state

if TYPE_CHECKING:
    from collections.abc import Set

    from meshfleet.gossip.member import Member
    from meshfleet.wire.keyring import Keyring


def carried(member: Member) -> set[AgentId]:
    """Agents of a node that are there, or will be when it is their turn; and what it tells besides."""
    shelf = member.replica.shelf(member.name)
    assert shelf is not None
    return {*[snapshot.agent for snapshot in shelf.living()], *member.pacing.waiting()}


def encoded(state: AgentState, there: Set[AgentId], keyring: Keyring) -> bytes:
    """`state` as it travels; `there` is what the node carries already. PublishError when it is over 4 KiB encoded,
    one agent too many, or of no agent. Fingerprints of API keys are made short, and the fleet's own, with `keyring`."""
    body = encode_state(with_short_keys(state, keyring))
    if len(body) > SNAPSHOT_LIMIT:
        raise PublishError(
            f"the state of {state.agent_id} has {len(body)} bytes encoded; at most {SNAPSHOT_LIMIT} travel. "
            "Shorten its note or its sources; the state published before stays."
        )
    agent = AgentId(state.agent_id)
    if agent.startswith(RESERVED):
        raise PublishError(f"{agent!r} is no agent's id: what begins with {RESERVED!r} is the nodes' own.")
    if agent not in there and sum(not other.startswith(RESERVED) for other in there) >= AGENTS_LIMIT:
        raise PublishError(f"this node carries {AGENTS_LIMIT} agents already; {agent} was not added.")
    return body
