"""Signatures of statements: good for whom they name, for exactly what was said, and looked at once."""

from __future__ import annotations

from functools import partial

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshfleet.fleet.names import AgentId, Epoch, NodeName
from meshfleet.fleet.state import Snapshot
from meshfleet.gossip.messages import Alive, Finding, Left, NodeInfo, Obituary, Row, Statement, Suspect
from meshfleet.wire.identity import LIFETIME, Authority, NodeKey
from meshfleet.wire.notary import Notary, Remembered
from tests.wire import strategies

NOW = 1_900_000_000.0
AUTHORITY = Authority.begin(NodeKey.of(b"a" * 32), NOW)
INFO = NodeInfo("h", "10.0.0.1", 7878, role="agent")


def notary(name: str, *, authority: Authority = AUTHORITY, now: float = NOW) -> Notary:
    key = NodeKey.of(name.encode().ljust(32, b"."))
    certificate = authority.issue(NodeName(name), "agent", key.public, NOW)
    return Notary(authority.fleet, key, certificate, lambda: now)


def alive(name: str, authority: Authority = AUTHORITY) -> Alive:
    return notary(name, authority=authority).sign(Alive(name, 1, 0, INFO))


READER = notary("reader")
N1 = alive("n1")
KINDS: list[st.SearchStrategy[Statement]] = [
    strategies.suspects,
    strategies.lefts,
    strategies.obituaries,
    strategies.rows,
    strategies.snapshots,
]
statements = st.one_of(*KINDS)


@given(statements)
def test_what_a_node_signed_is_its_own_and_nobody_elses(statement: Statement) -> None:
    signed = notary("n1").sign(statement)
    assert READER.examine(signed, N1) is Finding.GENUINE
    assert READER.examine(signed, alive("n2")) is Finding.FORGED


@given(st.sampled_from(KINDS), st.data())
def test_a_statement_of_which_any_field_was_altered_is_a_forgery(
    kind: st.SearchStrategy[Statement], data: st.DataObject
) -> None:
    signed, other = notary("n1").sign(data.draw(kind)), data.draw(kind)
    for field in signed.__struct_fields__:
        if field != "until" and getattr(other, field) != getattr(signed, field):
            altered = msgspec.structs.replace(signed, **{field: getattr(other, field)})
            assert READER.examine(altered, N1) is Finding.FORGED, field


def test_to_whom_a_row_is_passed_on_is_not_signed() -> None:
    row = notary("n1").sign(Row("n1", 1, 1, ("n2",)))
    assert READER.examine(msgspec.structs.replace(row, until="n7"), N1) is Finding.GENUINE


def test_no_statement_passes_for_one_of_another_kind() -> None:
    suspect = notary("n1").sign(Suspect("n2", 1, 0, "n1"))
    left = Left("n2", 1, "n1", "x", suspect.signature)
    dead = Obituary("n2", 1, 0, "n1", "x", suspect.signature)
    assert {READER.examine(each, N1) for each in (left, dead)} == {Finding.FORGED}


def test_an_alive_introduces_only_whom_the_authority_named() -> None:
    assert READER.examine(N1, N1) is Finding.GENUINE
    key = NodeKey.of(b"n1".ljust(32, b"."))
    other = msgspec.structs.replace(N1, name="n2")
    assert READER.examine(other, other) is Finding.FORGED
    stranger = alive("n1", authority=Authority.begin(NodeKey.of(b"x" * 32), NOW))
    assert READER.examine(stranger, stranger) is Finding.FORGED
    bare = msgspec.structs.replace(N1, credential=b"", signature=key.sign(b"anything"))
    assert READER.examine(bare, bare) is Finding.FORGED


def test_a_credential_for_an_observer_is_good_for_no_snapshot_and_for_no_agents_node() -> None:
    key = NodeKey.of(b"n1".ljust(32, b"."))
    observer = Notary(AUTHORITY.fleet, key, AUTHORITY.issue(NodeName("n1"), "observer", key.public, NOW), lambda: NOW)
    looks, carries = (Alive("n1", 1, 0, msgspec.structs.replace(INFO, role=role)) for role in ("observer", "agent"))
    shot = Snapshot(NodeName("n1"), Epoch(1), 1, 0, 0, AgentId("n1/a"), b"x")
    row = Row("n1", 1, 1, ())
    for signs, says, found in (
        (observer, looks, (Finding.GENUINE, Finding.GENUINE, Finding.FORGED)),
        (observer, carries, (Finding.FORGED, Finding.FORGED, Finding.FORGED)),
        (notary("n1"), looks, (Finding.GENUINE, Finding.GENUINE, Finding.FORGED)),  # as it chose to
        (notary("n1"), carries, (Finding.GENUINE, Finding.GENUINE, Finding.GENUINE)),
    ):
        introduced = signs.sign(says)
        examined = (introduced, signs.sign(row), signs.sign(shot))
        assert tuple(READER.examine(each, introduced) for each in examined) == found


def test_whose_certificate_has_ended_vouches_for_nothing_and_is_no_forger() -> None:
    late = notary("reader", now=NOW + LIFETIME)
    assert late.examine(N1, N1) is Finding.UNVOUCHED
    assert late.examine(notary("n1").sign(Row("n1", 1, 1, ())), N1) is Finding.UNVOUCHED


def test_of_whom_nobody_knows_the_key_nothing_can_be_said() -> None:
    assert READER.examine(notary("n9").sign(Row("n9", 1, 1, ())), None) is Finding.UNVOUCHED


def test_each_signature_is_looked_at_once_genuine_or_not() -> None:
    reader = notary("reader")
    row = notary("n1").sign(Row("n1", 1, 1, ("n2",)))
    forged = msgspec.structs.replace(row, version=2)
    for _ in range(5):
        assert reader.examine(row, N1) is Finding.GENUINE
        assert reader.examine(forged, N1) is Finding.FORGED
    assert reader.looked_at == 3, "the authority's under the credential, the genuine one, the forged one"


@given(st.binary(max_size=256), st.binary(max_size=64))
def test_garbage_for_a_credential_or_a_signature_is_a_forgery_and_raises_nothing(blob: bytes, signature: bytes) -> None:
    said = Alive("n1", 1, 0, INFO, 0, b"", blob, signature)
    assert READER.examine(said, said) is Finding.FORGED


def test_what_is_remembered_is_bounded_and_the_longest_unasked_goes() -> None:
    remembered: Remembered[int, int] = Remembered(3)
    asked: list[int] = []

    def answer(key: int) -> int:
        asked.append(key)
        return key

    for key in (1, 2, 3, 1, 4, 1, 2):
        assert remembered.ask(key, partial(answer, key)) == key
    assert asked == [1, 2, 3, 4, 2]
    assert len(remembered) == 3


@pytest.mark.parametrize("size", [100, 4_096])
def test_a_snapshots_body_is_signed_whole(size: int) -> None:
    shot = notary("n1").sign(Snapshot(NodeName("n1"), Epoch(1), 1, 0, 0, AgentId("n1/a"), bytes(size)))
    assert READER.examine(shot, N1) is Finding.GENUINE
    altered = msgspec.structs.replace(shot, body=bytes(size - 1) + b"\x01")
    assert READER.examine(altered, N1) is Finding.FORGED
