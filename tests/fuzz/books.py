"""What members tell of what they used, and of what they told: bodies of snapshots, and each statement in them."""

from __future__ import annotations

from hypothesis import strategies as st

from meshfleet.errors import Malformed
from meshfleet.wire import cbor
from meshfleet.wire.accounts import pack, read_statement, unpack
from tests.wire.test_accounts import IDENTITY, NOW, STATEMENTS


def read(body: bytes) -> int:
    """How many of its statements are believed."""
    believed = 0
    for statement in unpack(body):
        try:
            read_statement(IDENTITY.fleet, statement, NOW)
        except Malformed:
            continue
        believed += 1
    return believed


bodies = st.lists(STATEMENTS | st.binary(max_size=40), max_size=4).map(pack)

_rows = st.lists(st.tuples(st.binary(min_size=8, max_size=8), st.integers(0, 2), st.integers(0, 2**53)).map(list))
notices = _rows.map(lambda rows: cbor.dump([1, rows]))
