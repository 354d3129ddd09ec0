"""From the bytes that an endpoint answers to an agent's state, and to a session. Whatever is in them, it speaks for one
agent alone."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

import msgspec

from meshfleet.fleet.state import AgentState
from meshfleet.runtimes.endpoints import RUNTIME

if TYPE_CHECKING:
    from meshfleet.fleet.endpoint import Endpoint

STATE_LIMIT = 64 * 1024
"""Bytes of a state as JSON. One that travels has at most 4 KiB; the rest is room for what is not known here."""

SESSION_LIMIT = 16 * 1024
"""Bytes of an answer to an exchange."""

TOKEN_LIMIT = 4_096
"""Characters of a session's token."""

LEAST_LIFE, LONGEST_LIFE = 10.0, 86_400.0
"""Seconds that a session is taken to last, whatever is said."""

_FIELDS = frozenset(AgentState.__struct_fields__)

_Reading = msgspec.DecodeError, UnicodeDecodeError, RecursionError


class Nonsense(Exception):
    """What came is no state, or no session. Why, in words that show nothing of what was in it."""


class Session(msgspec.Struct, frozen=True):
    """What an endpoint gave for a token."""

    token: str
    lasts: float
    """Seconds."""


class _Given(msgspec.Struct, frozen=True):
    token: str
    expires_in_s: float


def read_state(endpoint: Endpoint, data: bytes, now: str) -> AgentState:
    """The state that `data` tells of the agent at `endpoint`; `now`, RFC 3339, where it tells no time. Nonsense where
    it is none.

    The id is the endpoint's name, whatever is said. Fields that are not known are left out."""
    if len(data) > STATE_LIMIT:
        raise Nonsense(f"more than {STATE_LIMIT} bytes")
    try:
        said = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
        if "agents" in said and "node" in said:
            raise Nonsense("this is a node of meshfleet: list it with `gossip`, not with `base_url`")
        told = {field: msgspec.json.decode(raw) for field, raw in said.items() if field in _FIELDS}
        state = msgspec.convert({"timestamp": now, "runtime": RUNTIME, **told, "agent_id": endpoint.name}, AgentState)
    except _Reading as error:
        raise Nonsense(f"no state: {type(error).__name__}") from None
    return state


def read_session(data: bytes) -> Session:
    """The session that `data` gives. Nonsense where it gives none that can be used."""
    try:
        given = msgspec.json.decode(data, type=_Given)
    except _Reading as error:
        raise Nonsense(f"no session: {type(error).__name__}") from None
    if not (0 < len(given.token) <= TOKEN_LIMIT and given.token.isascii() and given.token.isprintable()):
        raise Nonsense("its token is not plain ASCII, or too long")
    if not (isfinite(given.expires_in_s) and given.expires_in_s > 0):
        raise Nonsense("it ends before it begins")
    return Session(given.token, min(max(given.expires_in_s, LEAST_LIFE), LONGEST_LIFE))
