"""What is said at a fleet's entrance: by newcomers with an invitation, and by members for a certificate, a ring, or to
be told of another zone.

One frame each way, after the acceptor's Welcome; a view alone may take several. The bytes are CBOR arrays that begin
with a number, as messages are.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec

from meshfleet.errors import Malformed
from meshfleet.gossip.messages import Revoked
from meshfleet.wire import cbor

INVITE_ID_BYTES = 8
SECRET_BYTES = 16

REVOKED_TOLD = 300
"""Revocations in an answer, the newest: some 45 KB. Gossip tells the rest."""

WORD_ITEMS = 4_096
"""Items of CBOR in a word: 300 revocations are 1,500, and later versions may append."""

_Bytes = Annotated[bytes, msgspec.Meta(max_length=4_096)]


class Where(msgspec.Struct, frozen=True, array_like=True):
    """Where somebody listens."""

    host: Annotated[str, msgspec.Meta(max_length=200)]
    port: Annotated[int, msgspec.Meta(ge=1, le=65_535)]


class Welcome(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """The acceptor, first of all: its authority's certificate, for a newcomer that knows the fingerprint alone."""

    fleet: _Bytes


class Enter(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """A newcomer: I was invited, here is the secret, and this is the key that I ask a certificate for."""

    invite: Annotated[bytes, msgspec.Meta(min_length=INVITE_ID_BYTES, max_length=INVITE_ID_BYTES)]
    secret: Annotated[bytes, msgspec.Meta(min_length=SECRET_BYTES, max_length=SECRET_BYTES)]
    request: _Bytes


class Renew(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """A member: the same certificate as I show, for longer."""


class FetchRing(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """A member: the keyring that you hold."""


class Admitted(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """To Enter and Renew: you are one of us."""

    certificate: _Bytes
    ring: _Bytes
    revoked: tuple[Revoked, ...]


class RingIs(msgspec.Struct, frozen=True, array_like=True, tag=6):
    """To FetchRing. With it goes who was thrown out, so that nobody holds a new key and would give it to them."""

    ring: _Bytes
    revoked: tuple[Revoked, ...]


class FindDelegates(msgspec.Struct, frozen=True, array_like=True, tag=8):
    """A member of a fleet on two levels: who speaks for your zone?"""


class FindZone(msgspec.Struct, frozen=True, array_like=True, tag=9):
    """The same: where is somebody of that zone?"""

    zone: Annotated[str, msgspec.Meta(max_length=200)]


class At(msgspec.Struct, frozen=True, array_like=True, tag=10):
    """To FindDelegates, where they listen in the upper mesh; to FindZone, where members of it do, in theirs. None where
    that is not known."""

    where: Annotated[tuple[Where, ...], msgspec.Meta(max_length=16)]


class FetchFleet(msgspec.Struct, frozen=True, array_like=True, tag=11):
    """A member, for somebody who may read: your view of your zone, in full."""


class FleetPart(msgspec.Struct, frozen=True, array_like=True, tag=12):
    """To FetchFleet: JSON as the API serves it, compressed (zlib), in as many frames as it takes."""

    data: Annotated[bytes, msgspec.Meta(max_length=48_000)]
    more: bool


class Refused(msgspec.Struct, frozen=True, array_like=True, tag=7):
    """No, and why: a sentence."""

    why: Annotated[str, msgspec.Meta(max_length=500)]


Word: TypeAlias = (
    Welcome
    | Enter
    | Renew
    | FetchRing
    | Admitted
    | RingIs
    | Refused
    | FindDelegates
    | FindZone
    | At
    | FetchFleet
    | FleetPart
)


def dump(word: Word) -> bytes:
    """As bytes."""
    return cbor.dump(msgspec.to_builtins(word, builtin_types=(bytes,)))


def load(data: bytes) -> Word:
    """What `data` says. Malformed where that makes no sense."""
    try:
        word: Word = msgspec.convert(
            cbor.load_strange(data, max_depth=4, most=WORD_ITEMS), Word, builtin_types=(bytes,)
        )
    except msgspec.ValidationError as error:
        raise Malformed(f"nothing that is said at an entrance: {error}") from error
    return word
