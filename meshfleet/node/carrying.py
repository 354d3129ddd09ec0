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

    from meshfleet.wire.keyring import Keyring


def encoded(state: AgentState, carried: Set[AgentId], keyring: Keyring) -> bytes:
    """`state` as it travels; `carried` is what the node carries already. PublishError when it is over 4 KiB encoded, one agent
    too many, or of no agent. Fingerprints of API keys are made short, and the fleet's own, with `keyring`."""
    body = encode_state(with_short_keys(state, keyring))
    if len(body) > SNAPSHOT_LIMIT:
        raise PublishError(
            f"the state of {state.agent_id} has {len(body)} bytes encoded; at most {SNAPSHOT_LIMIT} travel. "
            "Shorten its note or its sources; the state published before stays."
        )
    agent = AgentId(state.agent_id)
    if agent.startswith(RESERVED):
        raise PublishError(f"{agent!r} is no agent's id: what begins with {RESERVED!r} is the nodes' own.")
    if agent not in carried and sum(not other.startswith(RESERVED) for other in carried) >= AGENTS_LIMIT:
        raise PublishError(f"this node carries {AGENTS_LIMIT} agents already; {agent} was not added.")
    return body
