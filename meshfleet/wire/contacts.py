"""What a node says of agents that have no node of their own: which it knows, and how those are that it asks.

    [1, [[key] or [key, transport, presence, trouble, status, silent, cut_off], ...]]

The key is 8 bytes of BLAKE2b of the agent's id, so that nothing but ids has to be agreed on. It travels as the body of
a snapshot under an id that no agent can have: docs/protocol.md.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from meshfleet.errors import Malformed
from meshfleet.fleet.endpoint import ENDPOINTS_LIMIT, Contact, Transport, Trouble
from meshfleet.fleet.presence import Presence
from meshfleet.wire import cbor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshfleet.fleet.names import AgentId

VERSION: Final = 1
KEY_BYTES: Final = 8

_TRANSPORTS: Final = (Transport.POLL, Transport.STREAM)
_PRESENCES: Final = (Presence.FRESH, Presence.STALE, Presence.UNREACHABLE)
_TROUBLES: Final = (None, *Trouble)
_MAX_DEPTH: Final = 4

_Key = Annotated[bytes, msgspec.Meta(min_length=KEY_BYTES, max_length=KEY_BYTES)]
_Small = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]


class _Row(msgspec.Struct, frozen=True, array_like=True):
    key: _Key
    transport: _Small | None = None
    presence: _Small = 0
    trouble: _Small = 0
    status: Annotated[int, msgspec.Meta(ge=0, le=999)] = 0
    silent: _Small = 0
    cut_off: bool = False


class _Body(msgspec.Struct, frozen=True, array_like=True):
    version: int
    rows: Annotated[list[_Row], msgspec.Meta(max_length=ENDPOINTS_LIMIT)]


def key_of(agent: AgentId) -> bytes:
    """What stands for an agent's id."""
    return blake2b(agent.encode(), digest_size=KEY_BYTES).digest()


def encode_contacts(contacts: Mapping[bytes, Contact | None]) -> bytes:
    """As bytes: of each agent that is known what is said of it, None where it is not asked."""
    return cbor.dump([VERSION, [_row(key, contact) for key, contact in contacts.items()]])


def decode_contacts(body: bytes) -> dict[bytes, Contact | None]:
    """What a body says. Malformed where it is none of ours. A word that this version does not know is taken for the
    worst of its kind."""
    item = cbor.load(body, max_depth=_MAX_DEPTH, text_keys=True)
    try:
        told = msgspec.convert(item, _Body)
    except msgspec.ValidationError as error:
        raise Malformed(f"contacts that can't be: {error}") from error
    if told.version != VERSION:
        raise Malformed(f"contacts of version {told.version}")
    return {row.key: _contact(row) for row in told.rows}


def _row(key: bytes, contact: Contact | None) -> list[bytes | int | bool]:
    if contact is None:
        return [key]
    said = (
        _TRANSPORTS.index(contact.transport),
        _PRESENCES.index(contact.presence),
        _TROUBLES.index(contact.trouble),
        contact.status,
        min(int(contact.silent_s), 2**31 - 1),
    )
    return [key, *said, contact.cut_off]


def _contact(row: _Row) -> Contact | None:
    if row.transport is None:
        return None
    return Contact(
        transport=_TRANSPORTS[min(row.transport, len(_TRANSPORTS) - 1)],
        presence=_PRESENCES[min(row.presence, len(_PRESENCES) - 1)],
        trouble=_TROUBLES[row.trouble] if row.trouble < len(_TROUBLES) else Trouble.NONSENSE,
        status=row.status,
        silent_s=float(row.silent),
        cut_off=row.cut_off,
    )
