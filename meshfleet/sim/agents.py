"""What the agents of a scenario report: real states as real nodes publish them, encoded once each."""

from __future__ import annotations

import msgspec

from meshfleet.fleet.state import AgentState, Status
from meshfleet.sim.faults import BODY
from meshfleet.wire.states import encode_state

PADDING = 200
"""Bytes that one more source of a field takes, in a state that is to be larger."""


def working(agent: str, size: int = BODY) -> bytes:
    """The state of an agent that works, `size` bytes of it."""
    return _encoded(agent, Status.WORKING, None, size)


def exited(agent: str, code: int) -> bytes:
    """The state of an agent whose process ended: what its node reports of it from then on."""
    return _encoded(agent, Status.EXITED, code, BODY)


def _encoded(agent: str, status: Status, exit_code: int | None, size: int) -> bytes:
    sources = {f"p{i:02}": "x" * (PADDING - 6) for i in range((size - BODY) // PADDING)}
    bare = AgentState(
        agent_id=agent,
        timestamp="2026-01-01T00:00:00.000Z",
        status=status,
        runtime="python",
        model="some-model",
        project="simulated",
        session="00000000-0000-4000-8000-000000000000",
        context_pct=12.5,
        context_tokens=25_000,
        context_limit=200_000,
        tokens_in=1_000_000,
        tokens_out=10_000,
        cost_usd=1.25,
        exit_code=exit_code,
        sources={**sources, "cost_usd": "priced", "context_limit": "reported:rollout"},
    )
    # Padded in two texts of at most 200 characters, each with a key of one byte and a length of one or two.
    missing = size - len(encode_state(msgspec.structs.replace(bare, note="x" * 100, parent="x" * 24)))
    note = min(200, 100 + missing)
    return encode_state(msgspec.structs.replace(bare, note="x" * note, parent="x" * (24 + missing - (note - 100))))
