"""What a node's ledger says, as bytes that are signed and passed on by whoever holds them, also when the node is gone.

    account   [1, kind 1, node, ledger, seq, at, [[start, cost, tokens in, tokens out], ...], credential, signature,
               newest]
    marks     [1, kind 2, node, ledger, seq, at, [[key, cost, tokens in, tokens out], ...], credential, signature]

The signature is over `meshfleet 1 account` + a zero byte + fleet id + CBOR array of the first seven. The credential is
the authority's word for the node's key, as in an Alive: a statement brings all that is needed to check it, so that it
can be told when nobody remembers its node. It must have been made within the credential's time, which goes on being
good for it: what was used last year stays used.

`newest` came later than versions that are about. So it may be missing, stands behind the signature, and brings its own:

    newest    [day, cost, tokens in, tokens out, signature]

over `meshfleet 1 day` + a zero byte + fleet id + CBOR array of the account's first seven and these four: nobody can put
a day behind another account than its own.

They travel as the bodies of snapshots under names that no agent can have (`RESERVED`): docs/protocol.md.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from meshfleet.errors import ConfigError, Malformed
from meshfleet.fleet.names import node_name
from meshfleet.fleet.usage import Account, Amount, Daily, Usage
from meshfleet.wire import cbor
from meshfleet.wire.identity import Certificate, Fleet, NodeKey, is_signed, read_credential, stated

RESERVED: Final = "meshfleet:"
"""Beginning of the ids under which nodes tell of themselves what is no agent's."""
ACCOUNTS: Final = RESERVED + "account"
"""Of which those are accounts."""
OWN: Final = ACCOUNTS
MARKS: Final = ACCOUNTS + "/marks"
TOLD: Final = ACCOUNTS + "/told/"
"""And the number of a bucket: statements of those that are gone, told by others."""
NOTICES: Final = RESERVED + "notices"
ENDPOINTS: Final = RESERVED + "endpoints"
EXPORTING: Final = RESERVED + "exporting"

VERSION: Final = 1
ACCOUNT: Final = 1
MARK: Final = 2
PERIODS: Final = 13
"""Periods of an account: a year and the one that runs. The oldest go."""
MARKED: Final = 96
"""Sessions of which marks are told: the last used ones."""
STATEMENTS: Final = 24
"""Statements in one body."""
AHEAD: Final = 86_400.0
"""Seconds by which a statement may be from the future: certificates allow as much."""

_PURPOSE: Final = b"account"
_OF_DAY: Final = b"day"
_BARE: Final = 9
"""Fields of an account without a day."""
_MAX_DEPTH: Final = 5
_Start = Annotated[int, msgspec.Meta(ge=1970_01_01, le=9999_12_28)]
_Day = Annotated[int, msgspec.Meta(ge=1970_01_01, le=9999_12_31)]
_Signature = Annotated[bytes, msgspec.Meta(max_length=64)]

_Row = list[int | bytes]


class _Newest(msgspec.Struct, frozen=True, array_like=True):
    day: _Day
    cost: Amount
    tokens_in: Amount
    tokens_out: Amount
    signature: _Signature


class _Statement(msgspec.Struct, frozen=True, array_like=True):
    version: int
    kind: int
    node: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    ledger: Annotated[bytes, msgspec.Meta(min_length=8, max_length=8)]
    seq: Amount
    at: Amount
    rows: Annotated[list[tuple[int | bytes, Amount, Amount, Amount]], msgspec.Meta(max_length=MARKED)]
    credential: Annotated[bytes, msgspec.Meta(max_length=256)]
    signature: _Signature


class Marks(msgspec.Struct, frozen=True):
    """Up to where a ledger has counted single sessions. Needed by the next ledger of the same node, where this one is
    lost: it would count them from their beginnings."""

    node: str
    ledger: bytes
    seq: int
    at: int
    marks: dict[bytes, Usage]


class Signer:
    """Signs for one node. Made anew for each statement, since certificates are renewed."""

    def __init__(self, fleet: Fleet, key: NodeKey, certificate: Certificate) -> None:
        self._fleet = fleet
        self._key = key
        self._certificate = certificate

    def account(self, account: Account) -> bytes:
        """As bytes. Its node must be the one that the certificate names."""
        newest = sorted(account.periods.items())[-PERIODS:]
        rows: list[_Row] = [[_number(start), u.cost, u.tokens_in, u.tokens_out] for start, u in newest]
        said, signature = self._signed(ACCOUNT, account.ledger, account.seq, account.at, rows)
        if account.newest is None:
            return cbor.dump([*said, self._certificate.credential, signature])
        used = account.newest.used
        day = [_number(account.newest.day), used.cost, used.tokens_in, used.tokens_out]
        over = stated(_OF_DAY, self._fleet.fleet_id, cbor.dump([*said, *day]))
        return cbor.dump([*said, self._certificate.credential, signature, [*day, self._key.sign(over)]])

    def marks(self, marks: Marks) -> bytes:
        """The same."""
        rows: list[_Row] = [[key, u.cost, u.tokens_in, u.tokens_out] for key, u in [*marks.marks.items()][:MARKED]]
        said, signature = self._signed(MARK, marks.ledger, marks.seq, marks.at, rows)
        return cbor.dump([*said, self._certificate.credential, signature])

    def _signed(self, kind: int, ledger: bytes, seq: int, at: int, rows: list[_Row]) -> tuple[list[object], bytes]:
        said = [VERSION, kind, self._certificate.name, ledger, seq, at, rows]
        return said, self._key.sign(stated(_PURPOSE, self._fleet.fleet_id, cbor.dump(said)))


def read_statement(fleet: Fleet, data: bytes, now: float) -> Account | Marks:
    """The statement that `data` is. Malformed where it is none, is not signed by whom it names, or was made outside of
    the time of that node's credential."""
    item = cbor.load(data, max_depth=_MAX_DEPTH, text_keys=True)
    try:
        told = msgspec.convert(item, _Statement)
        node_name(told.node)
    except (msgspec.ValidationError, ConfigError) as error:
        raise Malformed(f"an account that can't be: {error}") from error
    if told.version != VERSION or told.kind not in (ACCOUNT, MARK):
        raise Malformed(f"an account of version {told.version}, kind {told.kind}")
    holder = read_credential(fleet, told.node, told.credential)
    if holder is None or told.at >= holder[1] or told.at > now + AHEAD:
        raise Malformed(f"an account of {told.node} that nobody vouches for")
    said = [told.version, told.kind, told.node, told.ledger, told.seq, told.at, [[*row] for row in told.rows]]
    if not is_signed(holder[0], told.signature, stated(_PURPOSE, fleet.fleet_id, cbor.dump(said))):
        raise Malformed(f"an account that {told.node} did not sign")
    if told.kind == MARK:
        marks = {row[0]: Usage(*row[1:]) for row in told.rows if isinstance(row[0], bytes) and len(row[0]) == 8}
        return Marks(told.node, told.ledger, told.seq, told.at, marks)
    newest = _newest(item, said, holder[0], fleet)
    return Account(told.node, told.ledger, told.seq, told.at, _periods(told), newest)


def _newest(item: object, said: list[object], key: bytes, fleet: Fleet) -> Daily | None:
    """The day that stands behind an account, if one does."""
    if not isinstance(item, list) or len(item) <= _BARE or item[_BARE] is None:
        return None
    try:
        told = msgspec.convert(item[_BARE], _Newest)
    except msgspec.ValidationError as error:
        raise Malformed(f"an account of a day that can't be: {error}") from error
    over = cbor.dump([*said, told.day, told.cost, told.tokens_in, told.tokens_out])
    if not is_signed(key, told.signature, stated(_OF_DAY, fleet.fleet_id, over)):
        raise Malformed("an account with a day that its node did not sign")
    return Daily(_text(told.day), Usage(told.cost, told.tokens_in, told.tokens_out))


def without_day(account: bytes) -> bytes:
    """The same account as earlier versions tell it; it must be one."""
    item = cbor.load(account, max_depth=_MAX_DEPTH, text_keys=True)
    return cbor.dump(item[:_BARE]) if isinstance(item, list) else account


def _periods(told: _Statement) -> dict[str, Usage]:
    periods: dict[str, Usage] = {}
    for row in told.rows[:PERIODS]:
        try:
            number = msgspec.convert(row[0], _Start)
        except msgspec.ValidationError as error:
            raise Malformed(f"an account of a period that can't be: {error}") from error
        periods[_text(number)] = Usage(*row[1:])
    return periods


def _number(day: str) -> int:
    return int(day.replace("-", ""))


def _text(number: int) -> str:
    text = f"{number:08}"
    return f"{text[:4]}-{text[4:6]}-{text[6:]}"


def pack(statements: list[bytes]) -> bytes:
    """Several statements as the body of one snapshot."""
    return cbor.dump([VERSION, statements])


def unpack(body: bytes) -> list[bytes]:
    """The statements in a body, not looked at yet. Malformed where it is none of ours."""
    item = cbor.load(body, max_depth=_MAX_DEPTH, text_keys=True)
    if not isinstance(item, list) or len(item) < 2 or item[0] != VERSION or not isinstance(item[1], list):
        raise Malformed("not a body of accounts")
    return [each for each in item[1] if isinstance(each, bytes)][:STATEMENTS]
