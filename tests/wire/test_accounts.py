"""What ledgers say, as bytes: what was signed is whole again, by the rules of docs/protocol.cddl; noise is harmless."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import cbor2
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshfleet.errors import Malformed
from meshfleet.fleet.state import SNAPSHOT_LIMIT
from meshfleet.fleet.usage import Account, Daily, Usage
from meshfleet.node.otel.turn import read_exporting
from meshfleet.node.trust import seeded
from meshfleet.wire.accounts import MARKED, PERIODS, Marks, Signer, pack, read_statement, unpack, without_day
from tests.wire.test_cddl import RULES, altered
from tests.wire.test_vectors import VECTORS

NOW = 1_795_000_000.0
IDENTITY = seeded(b"k" * 32, "n1", NOW)
SIGNER = Signer(IDENTITY.fleet, IDENTITY.key, IDENTITY.certificate)

AMOUNTS = st.integers(0, 2**53 - 1)
USAGES = st.builds(Usage, AMOUNTS, AMOUNTS, AMOUNTS)
STARTS = st.dates().filter(lambda day: day.year >= 1970 and day.day <= 28).map(lambda day: day.isoformat())
DAYS = st.dates().filter(lambda day: day.year >= 1970).map(lambda day: day.isoformat())
LEDGERS = st.binary(min_size=8, max_size=8)
ACCOUNTS = st.builds(
    Account,
    st.just("n1"),
    LEDGERS,
    AMOUNTS,
    st.integers(0, int(NOW)),
    st.dictionaries(STARTS, USAGES, max_size=PERIODS),
    st.none() | st.builds(Daily, DAYS, USAGES),
)
MARKS = st.builds(
    Marks, st.just("n1"), LEDGERS, AMOUNTS, st.integers(0, int(NOW)), st.dictionaries(LEDGERS, USAGES, max_size=MARKED)
)
STATEMENTS = ACCOUNTS.map(SIGNER.account) | MARKS.map(SIGNER.marks)


@given(ACCOUNTS, MARKS)
def test_what_was_signed_is_read_again_and_valid_by_the_rules(account: Account, marks: Marks) -> None:
    told, marked = SIGNER.account(account), SIGNER.marks(marks)
    assert read_statement(IDENTITY.fleet, told, NOW) == account
    assert read_statement(IDENTITY.fleet, marked, NOW) == marks
    assert RULES.validate(told, "account").errors == ()
    assert RULES.validate(marked, "marks").errors == ()
    fields = cbor2.loads(told)
    assert RULES.validate(cbor2.dumps(fields[:7]), "signed-account").errors == ()
    if account.newest is not None:
        assert RULES.validate(cbor2.dumps([*fields[:7], *fields[9][:4]]), "signed-day").errors == ()
    body = pack([told])
    assert RULES.validate(body, "accounts").errors == ()
    assert unpack(body) == [told]


@settings(max_examples=300)
@given(altered(STATEMENTS))
def test_an_altered_statement_is_malformed_or_says_what_was_signed(item: object) -> None:
    try:
        said = read_statement(IDENTITY.fleet, cbor2.dumps(item), NOW)
    except Malformed:
        return
    fields: list[Any] = item  # type: ignore[assignment]  # or it would not have been read
    again = SIGNER.account(said) if isinstance(said, Account) else SIGNER.marks(said)
    assert cbor2.loads(again)[:7] == fields[:7], "only what stands behind the signature can be altered"
    if isinstance(said, Account) and said.newest is not None:
        assert cbor2.loads(again)[9][:4] == fields[9][:4], "a day is as it was signed, or left out"


@given(ACCOUNTS)
def test_a_day_may_be_left_out_and_is_read_as_earlier_versions_tell_it(account: Account) -> None:
    bare = without_day(SIGNER.account(account))
    plain = msgspec.structs.replace(account, newest=None)
    assert bare == SIGNER.account(plain)
    assert read_statement(IDENTITY.fleet, bare, NOW) == plain
    assert read_statement(IDENTITY.fleet, cbor2.dumps([*cbor2.loads(bare), None, 7]), NOW) == plain
    assert account.rank >= plain.rank, "who left it out takes it from nobody that has it"


@given(ACCOUNTS, DAYS, USAGES, USAGES)
def test_a_day_stands_behind_its_own_account_alone(account: Account, day: str, used: Usage, more: Usage) -> None:
    account = msgspec.structs.replace(account, newest=Daily(day, used))
    genuine = cbor2.loads(SIGNER.account(account))
    other = cbor2.loads(SIGNER.account(msgspec.structs.replace(account, at=account.at ^ 1, newest=None)))
    inflated = [*genuine[:9], [genuine[9][0], more.cost, more.tokens_in, more.tokens_out, genuine[9][4]]]
    for forged in ([*other, genuine[9]], inflated):
        if forged != genuine:
            with pytest.raises(Malformed, match="did not sign"):
                read_statement(IDENTITY.fleet, cbor2.dumps(forged), NOW)


@pytest.mark.parametrize(
    "day",
    [7, [], [20261126, 1, 2, 3], [19691231, 1, 2, 3, b""], [20261126, -1, 2, 3, b""], [20261126, 2**53, 0, 0, b""]],
)
def test_a_day_that_can_not_be_is_malformed(day: object) -> None:
    told = cbor2.loads(SIGNER.account(Account("n1", b"ledger-1", 1, int(NOW), {})))
    with pytest.raises(Malformed, match="a day that can't be"):
        read_statement(IDENTITY.fleet, cbor2.dumps([*told, day]), NOW)
    assert RULES.validate(cbor2.dumps([*told, day]), "account").errors


@given(st.binary(max_size=300))
def test_noise_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        read_statement(IDENTITY.fleet, data, NOW)
    with suppress(Malformed):
        assert all(isinstance(each, bytes) for each in unpack(data))


def test_the_longest_statements_fit_a_snapshot() -> None:
    most = Usage(2**53 - 1, 2**53 - 1, 2**53 - 1)
    account = Account(
        "n" * 64,
        b"ledger-1",
        2**53 - 1,
        int(NOW),
        {f"20{i:02}-01-01": most for i in range(20)},
        Daily("2019-01-01", most),
    )
    marks = Marks("n1", b"ledger-1", 1, int(NOW), {i.to_bytes(8, "big"): most for i in range(200)})
    told, marked = SIGNER.account(account), SIGNER.marks(marks)
    assert len(pack([told])) < 1_000
    assert len(pack([marked])) <= SNAPSHOT_LIMIT
    said = read_statement(IDENTITY.fleet, marked, NOW)
    assert isinstance(said, Marks)
    assert len(said.marks) == MARKED


def test_a_statement_is_read_in_its_own_fleet_alone() -> None:
    with pytest.raises(Malformed, match="nobody vouches"):
        read_statement(seeded(b"x" * 32, "n1", NOW).fleet, SIGNER.account(Account("n1", b"ledger-1", 1, 1, {})), NOW)


def test_a_statement_from_the_future_is_not_believed() -> None:
    late = SIGNER.account(Account("n1", b"ledger-1", 1, int(NOW) + 2 * 86_400, {}))
    with pytest.raises(Malformed, match="nobody vouches"):
        read_statement(IDENTITY.fleet, late, NOW)


@pytest.mark.parametrize("vector", VECTORS["accounts"], ids=lambda v: v["kind"])
def test_the_vectors_are_valid_by_the_rules(vector: dict[str, Any]) -> None:
    assert RULES.validate(bytes.fromhex(vector["statement"]), vector["kind"]).errors == ()
    assert RULES.validate(bytes.fromhex(vector["body"]), "accounts").errors == ()


def test_what_was_told_somebody_has_its_rule() -> None:
    assert RULES.validate(cbor2.dumps([1, [[bytes(8), 2, int(NOW)]]]), "notices").errors == ()
    assert RULES.validate(cbor2.dumps([1, int(NOW), 3]), "exporting").errors == ()
    assert read_exporting(cbor2.dumps([1, int(NOW), 3])) == (int(NOW), 3)
    now = int(NOW)
    others: tuple[object, ...] = ([2, now, 3], [1, 0, 3], [1, now, -1], [1, now], [1, now, 3, 4], {}, 7)
    for other in others:
        assert read_exporting(cbor2.dumps(other)) is None
