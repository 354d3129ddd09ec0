"""Streams between strangers and members, over real sockets: who shows what, and who is let in."""

from __future__ import annotations

import ssl
import tempfile
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec
import pytest
import trio

from meshfleet.errors import CarriesNone, ConfigError, JoinError, Untrusted
from meshfleet.fleet.names import NodeName
from meshfleet.fleet.presence import Presence
from meshfleet.gossip.messages import Packet, Ping
from meshfleet.node import link, links, tending
from meshfleet.node.entering import NotLetIn, renew
from meshfleet.node.frames import Frames, greet
from meshfleet.node.opening import open_node
from meshfleet.node.sockets import RealNetwork
from meshfleet.node.store import Peer, StateDir
from meshfleet.node.tls import MESH
from meshfleet.node.trust import Identity, Trust, admit_to, seeded
from meshfleet.node.vault import Vault
from meshfleet.wire.codec import encode_packet
from meshfleet.wire.identity import LIFETIME, Authority, NodeKey
from meshfleet.wire.revocation import revoke
from tests.node.meshing import FLEET, config, counted, owner, see, sees, state

if TYPE_CHECKING:
    from pathlib import Path

    from meshfleet.node.config import NodeConfig
    from meshfleet.node.node import Node

PATIENCE = 30.0


def shown(name: str, identity: Identity) -> NodeConfig:
    return msgspec.structs.replace(config(name), identity=identity)


async def test_a_member_of_another_fleet_is_told_so_and_not_let_in() -> None:
    async with open_node(config("n1")) as n1, open_node(config("n2", fleet=b"x" * 32)) as stranger:
        with trio.fail_after(PATIENCE):
            with pytest.raises(JoinError, match="another fleet"):
                await stranger.join(n1.address)
            await counted(n1, "stream_unproven", 1)
        assert [node.name for node in n1.fleet().nodes] == ["n1"]


async def test_an_expired_certificate_is_refused_by_both_sides() -> None:
    old = seeded(FLEET, "n2", time.time() - 2 * LIFETIME)
    async with open_node(config("n1")) as n1, open_node(shown("n2", old)) as n2:
        with trio.fail_after(PATIENCE):
            with pytest.raises(JoinError):
                await n2.join(n1.address)
            await counted(n1, "stream_untrusted", 1)
            with pytest.raises(JoinError, match="the certificate of n2 expired on"):
                await n1.join(n2.address)
        assert n1.counters().get("fault", 0) == 0


async def test_a_stream_ends_with_the_certificate_that_opened_it_and_a_new_one_opens_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(links, "IDLE", 0.3)
    began, later = time.time(), 0.0
    authority = Authority.begin(NodeKey.of(FLEET), began)
    short = seeded(FLEET, "n2", began, lifetime=3600.0)
    async with (
        open_node(config("n1"), wall=lambda: time.time() + later) as n1,
        open_node(shown("n2", short)) as n2,
    ):
        with trio.fail_after(PATIENCE):
            await n2.join(n1.address)
            await see(n1, 2)
            await n1._driver.links.reach(n2.address)
            standing = list(n1._driver.links._by_name[NodeName("n2")])
            later = 7200.0
            for each in standing:
                await each.over.wait()
            with pytest.raises(JoinError, match="the certificate of n2 expired"):
                await n1.join(n2.address)
            renewed = authority.issue(NodeName("n2"), "agent", short.key.public, began + later, LIFETIME)
            n2.tending.trust.renew(renewed)
            assert await n1.join(n2.address) == "n2"
            assert {each.not_after for each in n1._driver.links._by_name[NodeName("n2")]} == {renewed.not_after}


async def test_who_does_not_hang_up_when_its_certificate_has_ended_is_thrown_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(links, "IDLE", 0.3)
    monkeypatch.setattr(link, "PARTING", 2 * PATIENCE)
    later = 0.0
    trust = Trust(seeded(FLEET, "n2", time.time(), lifetime=3600.0), time.time)
    async with open_node(config("n1"), wall=lambda: time.time() + later) as n1:
        with trio.fail_after(PATIENCE):
            async with await RealNetwork().dial(n1.address) as stream:
                frames = (await greet(stream, trust.dialling, dialled=True)).frames
                await frames.send(encode_packet(Packet("n2", 1, 1, 0.0, 1, (Ping(1, "n1"),))))
                while not n1._driver.links._by_name:
                    await trio.lowlevel.checkpoint()
                later = 7200.0
                with pytest.raises(trio.BrokenResourceError):
                    await _read_to_the_end(frames)


async def test_expiry_is_judged_by_the_nodes_clock_and_not_by_openssls() -> None:
    then = 1_000_000.0  # January 1970
    old = [seeded(FLEET, name, then) for name in ("n1", "n2")]
    async with (
        open_node(shown("n1", old[0]), wall=lambda: then) as n1,
        open_node(shown("n2", old[1]), wall=lambda: then) as n2,
    ):
        with trio.fail_after(PATIENCE):
            assert await n2.join(n1.address) == "n1"


async def test_a_revoked_node_is_refused_at_the_door() -> None:
    authority = Authority.begin(NodeKey.of(FLEET), time.time())
    knows = msgspec.structs.replace(seeded(FLEET, "n1", time.time()), revoked=(revoke(authority, NodeName("n2"), 1),))
    async with open_node(shown("n1", knows)) as n1, open_node(config("n2")) as n2:
        with trio.fail_after(PATIENCE):
            with pytest.raises(JoinError):
                await n2.join(n1.address)
            with pytest.raises(JoinError, match="n2 was revoked"):
                await n1.join(n2.address)
        assert [node.name for node in n1.fleet().nodes] == ["n1"]


async def test_who_answers_at_the_address_of_another_is_not_taken_for_it() -> None:
    async with open_node(config("n1")) as n1, open_node(config("n2")) as n2:
        with trio.fail_after(PATIENCE):
            n1._driver.links.send(NodeName("n9"), n2.address, ())
            await counted(n1, "stream_untrusted", 1)


async def _speaks_as(node: Node, identity: Identity, name: str) -> None:
    """Open a stream with a certificate, say one packet under a name, and wait for the end."""
    trust = Trust(identity, time.time)
    async with await RealNetwork().dial(node.address) as stream:
        frames = (await greet(stream, trust.dialling, dialled=True)).frames
        await frames.send(encode_packet(Packet(name, 1, 1, 0.0, 1, (Ping(1, "n1"),))))
        with pytest.raises(trio.BrokenResourceError):
            await _read_to_the_end(frames)


async def _read_to_the_end(frames: Frames) -> None:
    """Its own first frame may have come, or been taken back by the RST."""
    while True:
        await frames.receive()


async def test_who_speaks_under_another_name_than_its_certificates_is_thrown_out() -> None:
    async with open_node(config("n1")) as n1:
        with trio.fail_after(PATIENCE):
            await _speaks_as(n1, seeded(FLEET, "n2", time.time()), "n3")
        assert n1.counters()["stream_untrusted"] == 1
        assert [node.name for node in n1.fleet().nodes] == ["n1"]


async def test_who_shows_no_certificate_gets_nothing_of_the_mesh() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols([MESH])
    async with open_node(config("n1")) as n1:
        with trio.fail_after(PATIENCE):
            async with await trio.open_tcp_stream(n1.address.host, n1.address.port) as stream:
                tls = trio.SSLStream(stream, context, https_compatible=True)
                await tls.do_handshake()
                with pytest.raises(trio.BrokenResourceError):
                    await tls.receive_some()
        assert n1.counters()["stream_untrusted"] == 1


async def test_nothing_older_than_tls_1_3_is_spoken() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with open_node(config("n1")) as n1:
        with trio.fail_after(PATIENCE):
            async with await trio.open_tcp_stream(n1.address.host, n1.address.port) as stream:
                with pytest.raises(trio.BrokenResourceError):
                    await trio.SSLStream(stream, context).do_handshake()
            await counted(n1, "stream_unproven", 1)


def test_no_certificate_and_no_name_of_anothers_identity_will_do() -> None:
    trust = Trust(seeded(FLEET, "n1", time.time()), time.time)
    with pytest.raises(Untrusted, match="no certificate"):
        trust.admit(None)


async def test_an_identity_is_good_for_its_own_name_alone() -> None:
    with pytest.raises(ConfigError, match="the identity is that of n2"):
        async with open_node(shown("n1", seeded(FLEET, "n2", time.time()))):
            pass


async def test_a_certificate_for_an_observer_makes_no_agents_node() -> None:
    async with open_node(shown("n1", seeded(FLEET, "n1", time.time(), role="observer"))) as n1:
        assert n1.fleet().nodes[0].role == "observer"
        with pytest.raises(CarriesNone, match="n1 is an observer, which carries no agents"):
            n1.publish(state("h/a"))
        assert n1.own_agents() == ()


async def test_what_an_observer_says_of_agents_all_the_same_is_a_forgery() -> None:
    watching = seeded(FLEET, "n2", time.time(), role="observer")
    async with (
        open_node(owner("n1")) as n1,
        open_node(msgspec.structs.replace(shown("n2", watching), seeds=(n1.address,))) as n2,
    ):
        with trio.fail_after(PATIENCE):
            await see(n1, 2)
            n2._info = msgspec.structs.replace(n2._info, role="agent")  # its own code would not publish else
            n2.publish(state("h/a"))
            await counted(n1, "forged_snapshot", 1)
            n2.advertise("http://127.0.0.1:1")  # and now it says so to all
            await counted(n1, "forged_claim", 1)
        assert n1.fleet().agents == ()
        assert {forgery.by for forgery in n1.member.vouching.forgeries()} == {"n2"}


async def test_a_certificate_is_renewed_by_who_holds_the_authority_while_all_goes_on() -> None:
    half_over = seeded(FLEET, "n2", time.time() - LIFETIME / 2)
    async with open_node(owner("n1")) as n1:
        before = half_over.certificate
        async with open_node(msgspec.structs.replace(shown("n2", half_over), seeds=(n1.address,))) as n2:
            with trio.fail_after(PATIENCE):
                await counted(n2, "certificate_renewed", 1)
                await see(n1, 2)
                after = n2.tending.trust.certificate
                assert (after.name, after.public) == (before.name, before.public)
                assert after.not_after > before.not_after
                await sees(n1, "n2", Presence.FRESH)
                await _knows_by(n1, "n2", after.credential)


async def test_a_new_certificate_that_can_not_be_shown_yet_ends_no_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_node(owner("n1")) as n1:
        trust, tending = n1.tending.trust, n1.tending
        before, shown_before = trust.certificate, trust.dialling
        assert trust.authority is not None
        new = trust.authority.issue(n1.name, "agent", trust.key.public, time.time() + 60)
        with monkeypatch.context() as machine:
            machine.setattr(tempfile, "tempdir", str(tmp_path / "not there"))
            assert not await tending._take(new)
        assert (trust.certificate, trust.dialling) == (before, shown_before)
        assert n1.counters()["certificate_not_renewed"] == 1
        assert await tending._take(new)
        assert trust.certificate == new


async def _knows_by(node: Node, other: str, credential: bytes) -> None:
    """Until `node` checks the signatures of `other` by this credential."""
    while (record := node.member.roster.get(other)) is None or record.alive.credential != credential:
        await trio.lowlevel.checkpoint()


async def test_who_was_away_until_its_certificate_ran_out_comes_back_by_itself() -> None:
    late = seeded(FLEET, "n2", time.time() - LIFETIME - 86_400)
    async with (
        open_node(owner("n1")) as n1,
        open_node(msgspec.structs.replace(shown("n2", late), seeds=(n1.address,))) as n2,
    ):
        with trio.fail_after(PATIENCE):
            await counted(n2, "certificate_renewed", 1)
            assert await n2.join(n1.address) == "n1"


async def test_who_asks_for_certificates_over_and_over_gets_one_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "meshfleet.node")
    later, given = 0.0, []
    trust = Trust(seeded(FLEET, "n2", time.time()), time.time)

    async def asks() -> None:
        with suppress(NotLetIn):
            given.append(await renew(RealNetwork(), trust, n1.address))

    async with open_node(owner("n1"), wall=lambda: time.time() + later) as n1:
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as at_once:
                for _ in range(8):
                    at_once.start_soon(asks)
            assert len(given) == 1
            with pytest.raises(NotLetIn, match="n2 got a certificate less than a minute ago"):
                await renew(RealNetwork(), trust, n1.address)
            later = tending.AGAIN[0]  # as a member asks again whose answer was lost
            await renew(RealNetwork(), trust, n1.address)
    assert caplog.text.count("gave a new certificate: node=n2 role=agent") == 2


async def test_who_was_let_in_by_clocks_that_were_ahead_gets_a_new_certificate_once_they_are_right() -> None:
    ahead = seeded(FLEET, "n2", time.time() + 365 * 86_400)
    async with (
        open_node(owner("n1")) as n1,
        open_node(msgspec.structs.replace(shown("n2", ahead), seeds=(n1.address,))) as n2,
    ):
        with trio.fail_after(PATIENCE):
            await counted(n2, "certificate_renewed", 1)
            assert await n2.join(n1.address) == "n1"
            await see(n1, 2)


async def test_an_owner_whose_clock_is_put_right_while_it_runs_looks_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tending, "LOOK_EVERY", 0.05)
    ahead = 365 * 86_400.0
    identity = owner("n1").identity
    assert identity is not None
    made = seeded(FLEET, "n1", time.time() + ahead).certificate
    begun = shown("n1", msgspec.structs.replace(identity, certificate=made))
    async with open_node(begun, wall=lambda: time.time() + ahead) as n1, open_node(config("n2")) as n2:
        with trio.fail_after(PATIENCE):
            with pytest.raises(JoinError, match="not good before"):
                await n2.join(n1.address)
            ahead = 0.0
            await counted(n1, "certificate_renewed", 1)
            assert await n2.join(n1.address) == "n1"


async def test_who_was_away_so_long_finds_the_authority_among_the_peers_that_it_remembers(tmp_path: Path) -> None:
    late = seeded(FLEET, "n2", time.time() - LIFETIME - 86_400)
    async with open_node(owner("n1")) as n1:
        with StateDir.open(tmp_path) as store:
            Vault(store).install(late)
            store.save_peers([Peer(n1.name, n1.address)])
        async with open_node(config("n2", fleet=None, state_dir=tmp_path)) as n2:
            with trio.fail_after(PATIENCE):
                await counted(n2, "certificate_renewed", 1)
        with StateDir.open(tmp_path) as store:
            assert Vault(store).identity(NodeName("n2"), time.time()).certificate.not_after > time.time()


async def test_who_was_away_for_too_long_is_not_renewed() -> None:
    long_gone = seeded(FLEET, "n2", time.time() - LIFETIME - 31 * 86_400)
    async with (
        open_node(owner("n1")) as n1,
        open_node(msgspec.structs.replace(shown("n2", long_gone), seeds=(n1.address,))) as n2,
    ):
        with trio.fail_after(PATIENCE):
            await counted(n2, "certificate_not_renewed", 1)
            await counted(n1, "entrance_refused", 1)


def test_who_is_admitted_gets_what_the_authority_says() -> None:
    authority = Authority.begin(NodeKey.new(), 0.0)
    first = seeded(FLEET, "n1", 0.0)
    admitted = admit_to(authority, first.ring, NodeName("n2"), 5.0, role="observer")
    assert (admitted.name, admitted.certificate.role, admitted.authority) == ("n2", "observer", None)
    assert admitted.certificate.public == admitted.key.public
