"""What makes a node one of its fleet, on disk: there after any crash, for its owner alone, and never replaced in
silence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from meshfleet.errors import ConfigError, StateDirError
from meshfleet.fleet.names import NodeName
from meshfleet.node.store import StateDir
from meshfleet.node.trust import admit_to
from meshfleet.node.vault import SECRETS, Vault
from meshfleet.wire.identity import LIFETIME, Authority, NodeKey
from meshfleet.wire.revocation import revoke
from meshfleet.wire.ring import first_ring

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from meshfleet.node.trust import Identity

NOW = 1_763_923_200.0
N1, N2 = NodeName("n1"), NodeName("n2")
AUTHORITY = Authority.begin(NodeKey.of(b"a" * 32), NOW)
RING = first_ring(AUTHORITY, 1_000)


class PowerCut(Exception):
    """The machine stops, here and now."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StateDir]:
    with StateDir.open(tmp_path / "state") as store:
        yield store


def stops_after(store: StateDir, writes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let so many files be written, and cut the power before the next."""
    write = store.write
    left = iter(range(writes))

    def cut(name: str, data: bytes) -> None:
        if next(left, None) is None:
            raise PowerCut
        write(name, data)

    monkeypatch.setattr(store, "write", cut)


def member() -> Identity:
    return admit_to(AUTHORITY, RING, N2, NOW)


def same(one: Identity, other: Identity) -> bool:
    return (one.fleet.fingerprint, one.key.public, one.certificate, one.ring) == (
        other.fleet.fingerprint,
        other.key.public,
        other.certificate,
        other.ring,
    )


def test_a_fresh_machine_makes_a_fleet_of_one_and_keeps_it(store: StateDir) -> None:
    first = Vault(store).identity(N1, NOW)
    assert first.authority is not None
    assert first.certificate == first.fleet.verify(first.certificate.der, NOW)
    assert same(Vault(store).identity(N1, NOW + 1), first)


def test_all_files_are_for_their_owner_alone_and_closed_again_if_they_were_not(store: StateDir) -> None:
    Vault(store).identity(N1, NOW)
    assert {path.stat().st_mode & 0o777 for path in store.path.iterdir()} == {0o600}
    for name in SECRETS:
        (store.path / name).chmod(0o644)
    Vault(store).load()
    assert {path.stat().st_mode & 0o777 for path in store.path.iterdir()} == {0o600}


@pytest.mark.parametrize("writes", range(6))
def test_a_power_cut_between_any_two_files_of_a_first_start_costs_nothing(
    store: StateDir, writes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        stops_after(store, writes, patched)
        try:
            Vault(store).identity(N1, NOW)
        except PowerCut:
            cut = True
        else:
            cut = False
    assert cut is (writes < 5)
    begun = (store.path / "ca.key").read_bytes() if writes else None
    identity = Vault(store).identity(N1, NOW)
    assert begun in (None, (store.path / "ca.key").read_bytes())
    assert same(Vault(store).identity(N1, NOW), identity)


@pytest.mark.parametrize("writes", range(6))
def test_a_power_cut_while_joining_leaves_all_of_it_or_a_sentence_and_never_a_fleet_of_one(
    store: StateDir, writes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = member()
    with monkeypatch.context() as patched:
        stops_after(store, writes, patched)
        try:
            Vault(store).install(identity)
        except PowerCut:
            cut = True
        else:
            cut = False
    assert cut is (writes < 5)
    if not cut:
        assert same(Vault(store).identity(N2, NOW), identity)
    elif writes == 4:  # all but the certificate
        with pytest.raises(StateDirError, match="was interrupted"):
            Vault(store).identity(N2, NOW)
        assert Vault(store).load_unless_interrupted() is None
    Vault(store).install(identity)
    assert same(Vault(store).identity(N2, NOW), identity)


def test_a_joining_that_is_begun_again_asks_with_the_same_key(store: StateDir) -> None:
    assert Vault(store).key_to_join_with().public == Vault(store).key_to_join_with().public


def test_a_member_is_itself_after_a_restart_and_holds_no_authority(store: StateDir) -> None:
    identity = member()
    Vault(store).install(identity)
    known = Vault(store).identity(N2, NOW)
    assert same(known, identity)
    assert known.authority is None
    assert not (store.path / "ca.key").exists()


def test_a_member_is_not_started_under_another_name(store: StateDir) -> None:
    Vault(store).install(member())
    with pytest.raises(ConfigError, match="belongs to the node n2, by its certificate, not to n1"):
        Vault(store).identity(N1, NOW)


def test_who_holds_the_authority_may_take_another_name_and_never_expires(store: StateDir) -> None:
    first = Vault(store).identity(N1, NOW)
    renamed = Vault(store).identity(N2, NOW)
    assert (renamed.name, renamed.fleet.fingerprint) == ("n2", first.fleet.fingerprint)
    later = Vault(store).identity(N2, NOW + 2 * LIFETIME)
    assert later.certificate.not_after > NOW + 2 * LIFETIME


def test_an_owner_whose_clock_was_ahead_makes_itself_one_that_is_good_now(store: StateDir) -> None:
    ahead = Vault(store).identity(N1, NOW + 365 * 86_400)
    now = Vault(store).identity(N1, NOW)
    assert now.certificate == now.fleet.verify(now.certificate.der, NOW)
    assert (now.fleet.fingerprint, now.key.public) == (ahead.fleet.fingerprint, ahead.key.public)
    assert same(Vault(store).identity(N1, NOW + 1), now)


def test_a_member_keeps_what_is_not_good_yet_to_ask_for_another_with_it(store: StateDir) -> None:
    identity = member()
    Vault(store).install(identity)
    assert same(Vault(store).identity(N2, NOW - 365 * 86_400), identity)


def test_the_owner_can_move_the_authority_to_another_node(store: StateDir) -> None:
    Vault(store).install(member())
    store.write("ca.key", AUTHORITY.key.pem())
    known = Vault(store).identity(N2, NOW)
    assert known.authority is not None
    assert known.certificate.public == member().certificate.public or known.key.public


@pytest.mark.parametrize("name", ["ca.key", "ca.crt", "node.key", "node.crt", "keyring", "revoked.json"])
@pytest.mark.parametrize(
    "content", [b"", b"garbage", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_what_is_damaged_is_told_with_its_path_and_never_replaced(store: StateDir, name: str, content: bytes) -> None:
    identity = Vault(store).identity(N1, NOW)
    Vault(store).save_revoked((revoke(identity.authority or AUTHORITY, N2, 7),))
    (store.path / name).write_bytes(content)
    with pytest.raises(StateDirError, match=rf"{name} is damaged: .*[^.]\. Put back") as error:
        Vault(store).identity(N1, NOW)
    assert ".." not in str(error.value)
    assert (store.path / name).read_bytes() == content


def test_a_key_of_another_fleet_beside_a_certificate_is_damage(store: StateDir) -> None:
    Vault(store).identity(N1, NOW)
    store.write("ca.key", NodeKey.new().pem())
    with pytest.raises(StateDirError, match="not of the same fleet"):
        Vault(store).identity(N1, NOW)


def test_a_ring_that_was_lost_is_followed_by_a_higher_one(store: StateDir) -> None:
    before = Vault(store).identity(N1, NOW).ring
    (store.path / "keyring").unlink()
    after = Vault(store).identity(N1, NOW + 60).ring
    assert after.version > before.version


def test_a_revocation_that_somebody_wrote_into_the_file_is_not_believed(store: StateDir) -> None:
    identity = Vault(store).identity(N1, NOW)
    assert identity.authority is not None
    genuine, forged = revoke(identity.authority, N2, 7), revoke(AUTHORITY, NodeName("n3"), 7)
    Vault(store).save_revoked((genuine, forged))
    assert Vault(store).identity(N1, NOW).revoked == (genuine,)
