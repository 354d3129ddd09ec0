"""What a node finds wrong with itself, for `meshfleet doctor`."""

from __future__ import annotations

import sqlite3
import time
from typing import TYPE_CHECKING

import msgspec
import trio

from meshfleet.fleet.findings import Ailment
from meshfleet.fleet.names import Address
from meshfleet.fleet.notice import Severity
from meshfleet.node.ledger import Ledger
from meshfleet.node.opening import open_node
from meshfleet.wire.revocation import revoke
from tests.node.meshing import config, owner, state

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from meshfleet.fleet.findings import Finding
    from meshfleet.node.node import Node

PATIENCE = 40.0


async def finds(node: Node, what: Ailment, severity: Severity) -> Finding:
    """That finding, once it is there."""
    with trio.fail_after(PATIENCE):
        while True:
            told = await node.examine(tries=False)
            for finding in told.findings:
                if (finding.what, finding.severity) == (what, severity):
                    return finding
            await trio.lowlevel.checkpoint()


async def test_who_was_told_to_join_a_foreign_fleet_says_that_it_could_not_and_why() -> None:
    async with open_node(config("x1", fleet=b"z" * 32)) as other, open_node(config("n2", other.address)) as n2:
        finding = await finds(n2, Ailment.ALONE, Severity.WARNING)
        assert finding.evidence[0].startswith(f"{other.address}: ")
        assert "belongs to another fleet" in finding.evidence[0]
        assert n2.seeking.why_alone() is None, "nothing was found by discovery"


async def test_a_seed_whose_name_is_none_is_told() -> None:
    async with open_node(config("n2", Address("nowhere.invalid", 7878))) as n2:
        finding = await finds(n2, Ailment.ALONE, Severity.WARNING)
        assert finding.evidence[0].startswith("nowhere.invalid:7878: can't be resolved")


async def test_a_state_dir_that_takes_nothing_is_told_until_it_does(tmp_path: Path) -> None:
    async with open_node(config("n1", state_dir=tmp_path / "s")) as n1:
        assert [each.what for each in (await n1.examine()).findings] == [Ailment.ALONE]
        in_the_way = tmp_path / "s" / ".trial.new"
        in_the_way.mkdir()
        finding = await finds(n1, Ailment.DISK, Severity.CRITICAL)
        assert "trial can't be used" in finding.evidence[0]
        in_the_way.rmdir()
        assert [each.what for each in (await n1.examine()).findings] == [Ailment.ALONE]
        assert not (tmp_path / "s" / "trial").exists()


async def test_a_ledger_that_takes_nothing_is_told_until_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    async with open_node(config("n1")) as n1:
        monkeypatch.setattr("meshfleet.node.accounting.DISK_PAUSE", 0.01)
        monkeypatch.setattr(Ledger, "record", full)
        n1.publish(msgspec.structs.replace(state("box/a"), tokens_in=5))
        finding = await finds(n1, Ailment.DISK, Severity.CRITICAL)
        assert finding.evidence == ("the ledger: database or disk is full",)
        monkeypatch.undo()
        with trio.fail_after(PATIENCE):
            while n1.accounting.unwritten is not None:
                await trio.lowlevel.checkpoint()


async def test_who_was_told_that_it_was_thrown_out_says_so() -> None:
    async with open_node(owner("n1")) as n1, open_node(config("n2")) as n2:
        authority = n1.tending.trust.authority
        assert authority is not None
        n2.tending.trust.cast_out(revoke(authority, n2.name, int(time.time() * 1000)))
        await finds(n2, Ailment.REVOKED, Severity.CRITICAL)
