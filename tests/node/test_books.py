"""What a node keeps of others' ledgers takes little more than the bytes that they came in."""

from __future__ import annotations

from collections import Counter
from functools import partial

import pytest

from meshfleet.fleet.names import NodeName
from meshfleet.fleet.usage import Account, Usage
from meshfleet.node.books import LOOKED_AT, Books
from meshfleet.node.trust import Trust, seeded
from meshfleet.wire.accounts import MARKED, Marks, Signer
from tests.holding import held

NOW = 1_795_000_000
KEY = b"k" * 32
WHOLE = {bytes(7) + bytes([i]): Usage(5_000_000 + i, 90_000 + i, 8_000 + i) for i in range(MARKED)}


def signer(name: str) -> Signer:
    identity = seeded(KEY, name, NOW)
    return Signer(identity.fleet, identity.key, identity.certificate)


@pytest.fixture
def books() -> Books:
    return Books(NodeName("n1"), Trust(seeded(KEY, "n1", NOW), partial(float, NOW)), Counter(), partial(float, NOW))


def test_marks_of_other_nodes_are_kept_as_they_came(books: Books) -> None:
    told = [signer(f"n{i}").marks(Marks(f"n{i}", b"ledger-1", 1, NOW, WHOLE)) for i in range(2, 22)]
    assert all(books.take(data) for data in told)
    taken = sum(what.bytes for what in held(marks=books.marks, bytes=books._bytes).values())
    assert taken < 1.5 * sum(map(len, told))


def test_its_own_that_come_back_after_a_loss_can_be_read(books: Books) -> None:
    assert books.take(signer("n1").marks(Marks("n1", b"ledger-0", 1, NOW, WHOLE)))
    assert books.marks["n1", b"ledger-0"].marks == WHOLE


def test_of_a_few_ledgers_few_statements_are_remembered_and_none_is_looked_at_twice(books: Books) -> None:
    said = partial(Account, "n2", b"ledger-1", at=NOW, periods={"2026-11-01": Usage(1, 2, 3)})
    for seq in range(1, 2 * LOOKED_AT):
        data = signer("n2").account(said(seq=seq))
        assert books.take(data)
        assert not books.take(data)
    assert len(books._looked_at) == LOOKED_AT
