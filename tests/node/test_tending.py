"""Whom a node asks for rings and certificates."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import trio

from meshfleet.fleet.names import Address
from meshfleet.fleet.presence import Presence
from meshfleet.node.opening import open_node
from meshfleet.node.tending import ASKED, Tending
from tests.node.meshing import config, owner

if TYPE_CHECKING:
    import pytest

    from meshfleet.gossip.record import Record

PATIENCE = 60.0
SILENT = [Address("192.0.2.1", port) for port in range(1, 7)]
HEARD = [Address("192.0.2.2", port) for port in range(1, 9)]


def _member(address: Address, presence: Presence) -> SimpleNamespace:
    info = SimpleNamespace(ring=1_000, issues=True)
    return SimpleNamespace(address=address, presence=presence, info=info, is_gone=False)


ROSTER = [
    *(_member(address, Presence.UNREACHABLE) for address in SILENT),
    *(_member(address, Presence.FRESH) for address in HEARD),
]


async def test_a_ring_is_asked_of_those_that_are_heard_and_each_round_of_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[Address] = []

    async def lies(_: Tending, address: Address) -> bool:
        asked.append(address)
        await trio.lowlevel.checkpoint()
        return False

    monkeypatch.setattr(Tending, "_all", lambda _: ROSTER)
    monkeypatch.setattr(Tending, "_fetch", lies)
    with trio.fail_after(PATIENCE):
        async with open_node(config("n1")):
            while not set(asked) >= set(HEARD):
                await trio.lowlevel.checkpoint()
    assert set(asked) == set(HEARD)


async def test_a_certificate_is_asked_of_those_that_are_heard_and_each_time_of_others() -> None:
    async with open_node(owner("n1")) as n1:
        tending = n1.tending
        tending._member = SimpleNamespace(roster=ROSTER, name="n1")  # type: ignore[assignment]  # all that is asked of it
        rounds = [tending._to_ask() for _ in range(200)]
        few: list[Record] = [*ROSTER[: len(SILENT)], ROSTER[-1]]  # type: ignore[list-item]  # the same
        tending._member = SimpleNamespace(roster=few, name="n1")  # type: ignore[assignment]  # all that is asked of it
        mixed = tending._to_ask()
    assert all(len(asked) == ASKED for asked in rounds)
    assert {address for asked in rounds for address in asked} == set(HEARD)
    assert mixed[0] == HEARD[-1]
    assert set(mixed[1:]) < set(SILENT)
