"""New keys for the fleet, and nodes thrown out of it, over real sockets."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import msgspec
import pytest
import trio

from meshfleet.errors import ConfigError, JoinError, StateDirError
from meshfleet.fleet.names import Address, NodeName
from meshfleet.fleet.presence import Presence
from meshfleet.gossip import outcasts
from meshfleet.gossip.messages import Revoked
from meshfleet.node import tending
from meshfleet.node.entering import fetch_ring
from meshfleet.node.opening import open_node
from meshfleet.node.sockets import RealNetwork
from meshfleet.node.store import StateDir
from meshfleet.node.vault import Vault
from meshfleet.wire.entrance import REVOKED_TOLD
from meshfleet.wire.identity import Authority, NodeKey
from meshfleet.wire.revocation import revoke
from meshfleet.wire.ring import keyring_of, read_ring
from meshfleet.wire.seal import Sealer
from tests.node.meshing import FLEET, config, counted, notes, owner, see, sees, state
from tests.node.test_store import full_disk

if TYPE_CHECKING:
    from pathlib import Path

    from meshfleet.node.node import Node

PATIENCE = 60.0


@pytest.fixture(autouse=True)
def nothing_is_long_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """On loopback a datagram that was sent has arrived."""
    monkeypatch.setattr(tending, "DRAIN", 0.2)


async def fleet_of(stack: AsyncExitStack, count: int) -> list[Node]:
    """n1, which holds the authority, and others that all see each other."""
    nodes = [await stack.enter_async_context(open_node(owner("n1")))]
    for i in range(2, count + 1):
        nodes.append(await stack.enter_async_context(open_node(config(f"n{i}", nodes[0].address))))
    with trio.fail_after(PATIENCE):
        for node in nodes:
            await see(node, count)
    return nodes


def keys(node: Node) -> tuple[bytes, ...]:
    return node.tending.trust.ring.secrets()


async def settled(node: Node, other_than: tuple[bytes, ...]) -> None:
    """Until `node` seals and opens with one key alone, and another than before."""
    while len(keys(node)) > 1 or keys(node) == other_than:
        await trio.lowlevel.checkpoint()


async def test_a_rotation_under_load_loses_no_datagram_and_no_snapshot() -> None:
    async with AsyncExitStack() as stack:
        nodes = await fleet_of(stack, 4)
        before, published = keys(nodes[0]), 0
        with trio.fail_after(PATIENCE):
            await nodes[0].office.rotate()
            while any(len(keys(node)) > 1 or keys(node) == before for node in nodes):
                published += 1
                turn = published % 50  # an agent's second state within a second is held back
                for node in nodes:
                    node.publish(state(f"h/{node.name}-{turn}", str(published)))
                for node in nodes:
                    for other in nodes:
                        await notes(node, f"h/{other.name}-{turn}", str(published))
        assert published > 10
        assert {keys(node) for node in nodes} == {keys(nodes[0])}
        assert keys(nodes[0])[0] != before[0]
        dropped = [{k: v for k, v in node.counters().items() if k.startswith("drop_")} for node in nodes]
        assert dropped == [{}] * 4


async def test_a_step_is_not_taken_before_all_have_taken_the_last() -> None:
    async with AsyncExitStack() as stack:
        n1, n2 = await fleet_of(stack, 2)

        async def refuses(address: Address) -> bool:
            return False

        fetch = n2.tending._fetch
        n2.tending._fetch = refuses  # type: ignore[method-assign]  # it can't get the ring
        with trio.fail_after(PATIENCE):
            await n1.office.rotate()
            await counted(n2, "stream_bytes_in", n2.counters()["stream_bytes_in"])
            while n1.office.keys().stragglers != ["n2"]:
                await trio.lowlevel.checkpoint()
            before = n1.counters().get("datagrams_in", 0)
            await counted(n1, "datagrams_in", before + 20)
            assert n1.tending.trust.ring.current == n2.tending.trust.ring.current
            n2.tending._fetch = fetch  # type: ignore[method-assign]  # and now it can
            await settled(n2, keys(n2))
        assert n2.counters().get("drop_unsealed", 0) == 0


async def test_the_old_key_opens_for_as_long_as_a_datagram_may_be_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tending, "DRAIN", float("inf"))
    async with AsyncExitStack() as stack:
        n1, n2 = await fleet_of(stack, 2)
        old = Sealer(n2.tending.trust.keyring).seal(b"under way")
        with trio.fail_after(PATIENCE):
            await n1.office.rotate()
            for node in (n1, n2):
                while (
                    node.tending.trust.ring.current != node.tending.trust.ring.keys[-1].key_id or len(keys(node)) == 1
                ):
                    await trio.lowlevel.checkpoint()
            while n1.office.keys().stragglers:
                await trio.lowlevel.checkpoint()
            await counted(n1, "datagrams_in", n1.counters().get("datagrams_in", 0) + 20)
            assert Sealer(n1.tending.trust.keyring).open(old) == b"under way"
            monkeypatch.setattr(tending, "DRAIN", 0.0)
            await settled(n1, ())


async def test_who_was_away_during_a_rotation_fetches_the_ring_over_mutual_tls() -> None:
    async with AsyncExitStack() as stack:
        n1, _ = await fleet_of(stack, 2)
        before = keys(n1)
        with trio.fail_after(PATIENCE):
            await n1.office.rotate()
            await settled(n1, before)
            async with open_node(config("n3", n1.address)) as late:  # it holds the first ring yet
                assert keys(late) == before
                await counted(late, "ring_fetched", 1)
                while keys(late) != keys(n1):  # the first that it asked may have been a step behind itself
                    await trio.lowlevel.checkpoint()
                await sees(n1, "n3", Presence.FRESH)


async def test_only_who_holds_the_authority_rotates_and_revokes() -> None:
    async with AsyncExitStack() as stack:
        n1, n2 = await fleet_of(stack, 2)
        for asked in (n2.office.rotate(), n2.office.revoke(NodeName("n1"))):
            with pytest.raises(ConfigError, match=r"does not hold the fleet's authority\. Ask n1"):
                await asked
        with pytest.raises(ConfigError, match="this node itself"):
            await n1.office.revoke(NodeName("n1"))
        with pytest.raises(ConfigError, match="no node of this fleet is called 'n9'"):
            await n1.office.revoke(NodeName("n9"))


async def test_a_revoked_node_is_thrown_out_everywhere_and_can_open_and_seal_nothing_more() -> None:
    async with AsyncExitStack() as stack:
        n1, n2, n3, out = await fleet_of(stack, 4)
        stays, before = (n1, n2, n3), keys(n1)
        with trio.fail_after(PATIENCE):
            await n1.office.revoke(NodeName("n4"))
            for node in stays:
                await sees(node, "n4", Presence.LEFT)
                await settled(node, before)
            assert keys(out)[0] == before[0]
            for node in stays:
                assert not node._driver.links._by_name.get(NodeName("n4"))
                with pytest.raises(JoinError, match=r"refused: n4 was revoked"):
                    await out.join(node.address)
            sealed = Sealer(n2.tending.trust.keyring).seal(b"")
            with pytest.raises(Exception, match="does not have"):
                Sealer(out.tending.trust.keyring).open(sealed)
            with pytest.raises(ConfigError, match="revoked already"):
                await n1.office.revoke(NodeName("n4"))
            for node in stays:
                await sees(node, "n2", Presence.FRESH)
        assert n1.office.keys().revoked == ["n4"]
        assert next(node for node in n2.fleet().nodes if node.name == "n4").reasons == ("revoked by the fleet's owner",)


async def test_a_ring_comes_with_the_newest_revocations_whatever_the_order_in_which_they_were_heard() -> None:
    async with AsyncExitStack() as stack:
        n1, n2 = await fleet_of(stack, 2)
        trust = n1.tending.trust
        assert trust.authority is not None
        made = [revoke(trust.authority, NodeName(f"out{i}"), i) for i in range(REVOKED_TOLD + 1)]
        for each in (*made[100:], *made[:100]):
            trust.cast_out(each)
        with trio.fail_after(PATIENCE):
            _, told = await fetch_ring(RealNetwork(), n2.tending.trust, n1.address)
        assert told == n1.entrance._admitted(trust.certificate).revoked == tuple(made[1:])


async def test_one_revocation_more_than_are_kept_is_refused_and_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tending, "REVOKED", 2)
    monkeypatch.setattr(outcasts, "REVOKED", 2)
    async with AsyncExitStack() as stack:
        n1, *_ = await fleet_of(stack, 4)
        with trio.fail_after(PATIENCE):
            for name in ("n2", "n3"):
                await n1.office.revoke(NodeName(name))
            await settled(n1, ())
            version = n1.tending.trust.ring.version
            with pytest.raises(ConfigError, match="n4 was not thrown out: 2 nodes of this fleet were already"):
                await n1.office.revoke(NodeName("n4"))
        assert (n1.tending.trust.ring.version, n1.office.keys().revoked) == (version, ["n2", "n3"])
        assert "refused_revoked" not in n1.counters()


async def test_a_revocation_that_the_owner_did_not_make_throws_nobody_out() -> None:
    async with AsyncExitStack() as stack:
        n1, n2, n3 = await fleet_of(stack, 3)
        forged = Revoked("n3", 1, bytes(64))
        with trio.fail_after(PATIENCE):
            n2._driver.tell(lambda member, now: member.outbox.datagram_to(n1.address, n1.name, forged))
            await counted(n1, "drop_forged", 1)
            for node in (n1, n2):
                await sees(node, "n3", Presence.FRESH)
        assert n3.name == "n3"
        assert n1.tending.trust.revoked == ()


async def test_a_revocation_is_kept_over_a_restart_and_told_to_newcomers(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        n1, _, _ = await fleet_of(stack, 3)
        with trio.fail_after(PATIENCE):
            n4 = config("n4", n1.address, state_dir=tmp_path)
            assert n4.identity is not None
            with StateDir.open(tmp_path) as store:
                Vault(store).install(n4.identity)
            kept = msgspec.structs.replace(n4, identity=None)
            async with open_node(kept) as node:
                await see(n1, 4)
                await n1.office.revoke(NodeName("n3"))
                while not (tmp_path / "revoked.json").read_text().count("n3"):
                    await trio.lowlevel.checkpoint()
                await settled(node, keys(node))
            async with open_node(kept) as node:
                assert node.tending.trust.is_revoked("n3")
                assert keys(node) == keys(n1)
            async with open_node(config("n5", n1.address)) as late:
                while not late.tending.trust.is_revoked("n3"):
                    await late.changed(late.version())


async def test_a_rotation_that_a_restart_cut_short_goes_on_after_it(tmp_path: Path) -> None:
    async def first_life() -> bytes:
        async with open_node(own) as n1:
            await n1.office.rotate()
            assert len(keys(n1)) == 2
            return keys(n1)[1]

    own = msgspec.structs.replace(config("n1", fleet=None), state_dir=tmp_path)
    with trio.fail_after(PATIENCE):
        new = await first_life()
        async with open_node(own) as n1:
            assert len(keys(n1)) == 2
            await settled(n1, ())
            assert keys(n1) == (new,)


async def test_rotations_that_are_asked_for_at_once_leave_the_same_ring_on_the_disk_as_in_use(tmp_path: Path) -> None:
    own = msgspec.structs.replace(config("n1", fleet=None), state_dir=tmp_path)
    async with open_node(own) as n1:
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as at_once:
                for _ in range(6):
                    at_once.start_soon(n1.office.rotate)
            assert len(keys(n1)) == 2
            kept = read_ring(n1.tending.trust.fleet, (tmp_path / "keyring").read_bytes())
            assert kept == n1.tending.trust.ring
        assert "identity_unsaved" not in n1.counters()


async def test_who_was_thrown_out_right_before_a_crash_loses_the_key_at_the_next_start(tmp_path: Path) -> None:
    own = msgspec.structs.replace(config("n1", fleet=None), state_dir=tmp_path)
    with trio.fail_after(PATIENCE):
        async with open_node(own) as n1:
            before, authority = keys(n1), n1.tending.trust.authority
            assert authority is not None
        later = int(time.time() * 1000) + 3_600_000  # and the clock was set back since
        with StateDir.open(tmp_path) as store:
            Vault(store).save_revoked((revoke(authority, NodeName("n2"), later),))
        async with open_node(own) as n1:
            await settled(n1, before)
            after, version = keys(n1), n1.tending.trust.ring.version
        async with open_node(own) as n1:  # once is enough
            await counted(n1, "datagrams_in", 0)
            await n1.office.rotate()
            assert n1.tending.trust.ring.version == version + 1
            assert keys(n1)[:-1] == after


async def test_who_is_thrown_out_after_the_clock_was_set_back_loses_the_key_though_a_crash_came_before_the_rotation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = 3_600.0
    own = msgspec.structs.replace(config("n1", fleet=None), state_dir=tmp_path)
    with trio.fail_after(PATIENCE):
        async with open_node(own, wall=lambda: time.time() + ahead) as n1:
            begun = keys(n1)
            await n1.office.rotate()
            await settled(n1, begun)
            before, trust = keys(n1), n1.tending.trust
            ahead = 0.0
            monkeypatch.setattr(n1.tending, "rotate", trio.lowlevel.checkpoint)  # the crash comes before
            for name in ("n2", "n3"):
                await n1.tending.revoke(NodeName(name), known=True)
            while {each.name for each in trust.revoked} != {"n2", "n3"}:
                await trio.lowlevel.checkpoint()
            first, second = (each.at_ms for each in sorted(trust.revoked, key=lambda each: each.name))
            assert trust.ring.keys[-1].added_ms <= first <= second
        async with open_node(own) as n1:
            await settled(n1, before)


async def test_on_a_full_disk_a_node_is_thrown_out_and_the_owner_told_that_it_is_not_kept_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tending, "SAVED_AGAIN", 0.05)
    with StateDir.open(tmp_path) as store:
        identity = owner("n1").identity
        assert identity is not None
        Vault(store).install(identity)
    own = msgspec.structs.replace(config("n1", fleet=None), state_dir=tmp_path)
    async with open_node(own) as n1, open_node(config("n2", n1.address)):
        with trio.fail_after(PATIENCE):
            await see(n1, 2)
            with full_disk():
                with pytest.raises(StateDirError, match=r"n2 is thrown out, and all are told\. But the state dir"):
                    await n1.office.revoke(NodeName("n2"))
                await sees(n1, "n2", Presence.LEFT)
                await counted(n1, "identity_unsaved", 3)
            while "n2" not in (tmp_path / "revoked.json").read_text():
                await trio.lowlevel.checkpoint()


async def test_datagrams_that_were_recorded_and_sent_again_are_dropped_and_counted() -> None:
    async with AsyncExitStack() as stack:
        n1, n2 = await fleet_of(stack, 2)
        sealed: list[bytes] = []
        seal = n2._driver._sealer.seal

        def records(plain: bytes, context: bytes = b"", **most: int) -> bytes:
            sealed.append(seal(plain, context, **most))
            return sealed[-1]

        n2._driver._sealer.seal = records  # type: ignore[method-assign]  # what somebody on the way would see
        with trio.fail_after(PATIENCE):
            await counted(n1, "datagrams_in", n1.counters().get("datagrams_in", 0) + 20)
            here = n1.counters().get("datagrams_in", 0)
            with trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM) as sock:
                for each in sealed[:10]:
                    await sock.sendto(each, n1.address)
            await counted(n1, "drop_replayed", 5)
        assert n1.counters().get("datagrams_in", 0) >= here
        assert n1.counters().get("drop_unsealed", 0) == 0


def test_the_keys_of_a_ring_are_those_that_seal() -> None:
    authority = Authority.begin(NodeKey.of(FLEET), time.time())
    identity = owner("n1").identity
    assert identity is not None
    assert keyring_of(identity.ring, authority.fleet).current.secret == identity.ring.keys[0].secret
