"""The last step from an API key to what the fleet calls it: `anthropic:9f2e41`.

Agents of this machine tell `PROVIDER:` and the 64 digits of a hash that can be computed anywhere. Whoever reads the
fleet's view must not be able to try guesses against that, so it is hashed once more here, under the fleet's key: the
same at every node, and without meaning to whoever has no such key.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from meshfleet.fleet.state import AgentState
    from meshfleet.wire.keyring import Keyring

DIGITS = 6
"""Of a fingerprint. Two of a hundred keys of a fleet are the same in one of 3,000 fleets."""

_WHOLE = re.compile(r"([a-z0-9][a-z0-9.-]{0,31}):([0-9a-f]{64})")


def with_short_keys(state: AgentState, ring: Keyring) -> AgentState:
    """`state` with each key in its rate limits as the fleet is told it."""
    if not any(_WHOLE.fullmatch(limit.key) for limit in state.rate_limits):
        return state
    limits = tuple(msgspec.structs.replace(limit, key=_short(limit.key, ring)) for limit in state.rate_limits)
    return msgspec.structs.replace(state, rate_limits=limits)


def _short(key: str, ring: Keyring) -> str:
    found = _WHOLE.fullmatch(key)
    if found is None:
        return key
    secret = ring.current.derive(b"mf1 key print", ring.fleet_id)
    digest = blake2b(bytes.fromhex(found[2]), digest_size=DIGITS // 2, key=secret, person=b"mf1 key short")
    return f"{found[1]}:{digest.hexdigest()}"
