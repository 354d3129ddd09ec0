"""Entering once, with a state dir that is kept: what is good stays, what is not is replaced or refused, and said."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec
import pytest
import trio

from meshfleet.errors import ConfigError, JoinError
from meshfleet.fleet.names import NodeName
from meshfleet.node.entering import enter_once
from meshfleet.node.invites import read_invite
from meshfleet.node.opening import open_node
from meshfleet.node.sockets import RealNetwork
from meshfleet.node.store import StateDir
from meshfleet.node.tending import Tending
from meshfleet.node.trust import RENEWED_LATE, seeded
from meshfleet.node.vault import NODE_CERTIFICATE, Vault
from meshfleet.wire.identity import LIFETIME, Authority, NodeKey
from meshfleet.wire.revocation import revoke
from tests.node.meshing import FLEET, config, owner, see

if TYPE_CHECKING:
    from pathlib import Path

    from meshfleet.node.trust import Identity

PATIENCE = 30.0
DAY = 86_400.0
LONG_AGO = LIFETIME + RENEWED_LATE + DAY
"""Seconds since a certificate was made with which nobody gets another."""

REVOKED = [revoke(Authority.begin(NodeKey.of(FLEET), 0.0), NodeName(name), 1) for name in ("out1", "out2")]


async def entered(line: str, state_dir: Path, name: str = "n2") -> Identity:
    with trio.fail_after(PATIENCE):
        return await enter_once(RealNetwork(), read_invite(line), NodeName(name), state_dir, time.time)


def kept(state_dir: Path, made: float, *, authority: Authority | None = None) -> Identity:
    """A state dir of n2 whose certificate was made so many seconds ago; it knows one that was thrown out."""
    plain = seeded(FLEET, "n2", time.time() - made)
    fleet = plain.fleet if authority is None else authority.fleet
    identity = msgspec.structs.replace(plain, fleet=fleet, authority=authority, revoked=(REVOKED[0],))
    with StateDir.open(state_dir) as store:
        Vault(store).install(identity)
    return identity


def on_disk(state_dir: Path) -> Identity | None:
    with StateDir.open(state_dir) as store:
        return Vault(store).load_unless_interrupted()


async def test_a_certificate_that_has_ended_already_is_not_taken_and_the_same_line_works_once_clocks_are_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def not_yet(_: Tending) -> None:
        await trio.sleep_forever()

    monkeypatch.setattr(Tending, "_renew_forever", not_yet)  # the owner's own is replaced within a minute
    behind = 0.0
    async with open_node(owner("n1"), wall=lambda: time.time() - behind) as n1:
        line = await n1.office.invite("agent", 60.0, 1)
        behind = 6 * 365 * DAY
        with pytest.raises(JoinError, match=r"of n2 expired on .*\. The clock of this machine is wrong, or that of"):
            await entered(line, tmp_path)
        assert on_disk(tmp_path) is None
        behind = 0.0
        identity = await entered(line, tmp_path)
    assert identity.certificate.is_good(time.time())


async def test_who_was_away_for_too_long_and_is_invited_anew_enters_with_its_key_and_keeps_the_rest(
    tmp_path: Path,
) -> None:
    dead = kept(tmp_path, LONG_AGO)
    (tmp_path / "told.json").write_bytes(b"{}\n")
    async with open_node(owner("n1")) as n1:
        n1.tending.trust.cast_out(REVOKED[1])
        identity = await entered(await n1.office.invite("agent", 60.0, 1), tmp_path)
        assert identity.certificate.is_good(time.time())
        assert (identity.name, identity.key.public) == (dead.name, dead.key.public)
        assert identity.revoked == (REVOKED[0], REVOKED[1])
        assert (tmp_path / "told.json").read_bytes() == b"{}\n"
        async with open_node(config("n2", n1.address, fleet=None, state_dir=tmp_path)) as n2:
            with trio.fail_after(PATIENCE):
                await see(n2, 2)
                await see(n1, 2)


async def test_who_can_not_be_let_in_anew_nor_renewed_is_told_and_nothing_is_changed(tmp_path: Path) -> None:
    dead = kept(tmp_path, LONG_AGO)
    async with open_node(owner("n1")) as n1:
        line = await n1.office.invite("agent", 60.0, 1)
        await entered(line, tmp_path / "another", "n3")
        with pytest.raises(JoinError, match="used already"):
            await entered(line, tmp_path)
    found = on_disk(tmp_path)
    assert found is not None
    assert found.certificate == dead.certificate


async def test_an_old_line_in_the_settings_stops_nobody_who_may_still_be_renewed(tmp_path: Path) -> None:
    late = kept(tmp_path, LIFETIME + DAY)
    async with open_node(owner("n1")) as n1:
        line = await n1.office.invite("agent", 60.0, 1)
        await entered(line, tmp_path / "another", "n3")
        assert (await entered(line, tmp_path)).certificate == late.certificate


@pytest.mark.parametrize("made", [0.0, LIFETIME - DAY])
async def test_who_has_a_good_certificate_is_left_as_it_is_and_asks_nobody(tmp_path: Path, made: float) -> None:
    good = kept(tmp_path, made)
    async with open_node(owner("n1")) as n1:
        line = await n1.office.invite("agent", 60.0, 1)
    assert (await entered(line, tmp_path)).certificate == good.certificate


async def test_the_owner_who_is_given_a_line_of_its_own_fleet_stays_the_owner(tmp_path: Path) -> None:
    dead = kept(tmp_path, LONG_AGO, authority=Authority.begin(NodeKey.of(FLEET), 0.0))
    async with open_node(owner("n1")) as n1:
        line = await n1.office.invite("agent", 60.0, 1)
        assert (await entered(line, tmp_path)).certificate == dead.certificate
    with StateDir.open(tmp_path) as store:
        assert Vault(store).identity(NodeName("n2"), time.time()).certificate.is_good(time.time())


async def test_a_line_changes_neither_the_name_nor_the_fleet_of_a_state_dir(tmp_path: Path) -> None:
    dead = kept(tmp_path, LONG_AGO)
    before = (tmp_path / NODE_CERTIFICATE).read_bytes()
    async with open_node(owner("n1")) as n1:
        assert (await entered(await n1.office.invite("agent", 60.0, 1), tmp_path, "n3")).name == dead.name
    async with open_node(config("n1", fleet=None, state_dir=tmp_path / "other")) as other:
        with pytest.raises(ConfigError, match="belongs to another fleet"):
            await entered(await other.office.invite("agent", 60.0, 1), tmp_path)
    assert (tmp_path / NODE_CERTIFICATE).read_bytes() == before
