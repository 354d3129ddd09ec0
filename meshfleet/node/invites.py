"""Invitations: one line that brings one machine into the fleet, and the book of who was invited and let in.

The line holds where to dial, the fingerprint of the fleet's authority, so that no other fleet can take the newcomer in,
and a secret that is good for so many uses and so long. The node that made it keeps no more than a digest of the secret.
"""

from __future__ import annotations

import base64
import hmac
import os
import threading
from hashlib import sha256
from typing import TYPE_CHECKING, Annotated, TypeVar

import msgspec

from meshfleet.errors import ConfigError, Malformed, MeshfleetError, StateDirError
from meshfleet.fleet.names import Address, NodeName, node_name, parse_address
from meshfleet.node.trust import RENEWED_LATE
from meshfleet.wire import cbor
from meshfleet.wire.entrance import INVITE_ID_BYTES, SECRET_BYTES
from meshfleet.wire.identity import LIFETIME

if TYPE_CHECKING:
    from meshfleet.node.store import StateDir
    from meshfleet.wire.identity import Certificate, Requested

PREFIX = "mfi1_"
INVITES = "invites.json"
ISSUED = "issued.json"

OPEN_LIMIT = 256
"""Invitations at once. Expired ones make room, and used ones where there is none."""

ISSUED_LIMIT = 20_000
"""Names that were given out, twice what a roster holds. Those whose certificates ended long ago make room."""

BOOK_BYTES = 32 * 1024 * 1024
"""Of each file of the book that are read. 256 invitations that a thousand machines each used take 29 MB, 20,000 names
4 MB."""

RENEWED_EVERY = 50.0
"""Seconds between two certificates for one name that are given for the asking. Each has the whole book written, while
newcomers wait. A member whose answer was lost asks again after 60."""

MOST_ADDRESSES = 4
"""Of one invitation: one for each way in, such as IPv4, IPv6, and a name."""

LINE_LIMIT = 2_000
"""Characters of a line; a real one has some 200, and one of four DNS names of 253 characters has 1,700."""

LINE_ITEMS = 128
"""Items of CBOR in a line; eight addresses come to 15."""

_CHECK_BYTES = 4
_T = TypeVar("_T")


class Refusal(MeshfleetError):
    """Somebody asked at the entrance and gets nothing. The message is what it is told."""


class Invite(msgspec.Struct, frozen=True, array_like=True):
    """What an invitation's line says."""

    fingerprint: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
    """Of the fleet's authority: SHA-256 of its public key."""
    node: str
    """Who answers; its certificate must say so."""
    addresses: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=MOST_ADDRESSES)]
    invite: Annotated[bytes, msgspec.Meta(min_length=INVITE_ID_BYTES, max_length=INVITE_ID_BYTES)]
    secret: Annotated[bytes, msgspec.Meta(min_length=SECRET_BYTES, max_length=SECRET_BYTES)]
    expires: Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
    """Unix time, seconds, by the clock of who made it."""

    def line(self) -> str:
        """One line without blanks, to be copied as a whole."""
        data = cbor.dump(msgspec.to_builtins(self, builtin_types=(bytes,)))
        checked = data + sha256(data).digest()[:_CHECK_BYTES]
        return PREFIX + base64.urlsafe_b64encode(checked).decode().rstrip("=")

    def where(self) -> tuple[Address, ...]:
        """Where to dial."""
        return tuple(parse_address(text) for text in self.addresses)

    def __repr__(self) -> str:
        return f"Invite({self.node} at {', '.join(self.addresses)})"


def read_invite(line: str) -> Invite:
    """What a line says. ConfigError where it is not whole."""
    text = line.strip()
    if not text.startswith(PREFIX) or len(text) > LINE_LIMIT:
        raise ConfigError(f"an invitation begins with {PREFIX}; this begins with {text[:8]!r}. Copy the whole line.")
    encoded = text.removeprefix(PREFIX)
    try:
        checked = base64.b64decode(encoded + "=" * (-len(encoded) % 4), b"-_", validate=True)
        data, check = checked[:-_CHECK_BYTES], checked[-_CHECK_BYTES:]
        if sha256(data).digest()[:_CHECK_BYTES] != check:
            raise ConfigError("the invitation is not whole, or was changed on its way. Copy the line again.")
        invite = msgspec.convert(cbor.load_strange(data, max_depth=3, most=LINE_ITEMS), Invite, builtin_types=(bytes,))
        invite.where()
        node_name(invite.node)
    except (ValueError, Malformed, msgspec.ValidationError) as error:
        raise ConfigError("the invitation is not whole, or of another version. Copy the line again.") from error
    return invite


class _Open(msgspec.Struct, frozen=True):
    """One invitation, as its maker remembers it."""

    invite: bytes
    digest: bytes
    role: str
    expires: float
    uses: int
    entered: dict[str, bytes] = {}
    """Who used it: a public key by the name that it asked for. The same key again is an answer that was lost, and not
    another use."""


class Issued(msgspec.Struct, frozen=True):
    """One name that was given out."""

    public: bytes
    role: str
    until: float


class Book:
    """Invitations that are open, and names that were given out. In a state dir, or in memory alone.

    What it decides is on the disk before anybody is told. Every call may block for as long as the disk takes, and may
    be made from any thread: one change at a time.
    """

    def __init__(self, store: StateDir | None) -> None:
        self._store = store
        self._changing = threading.Lock()
        self._open: dict[bytes, _Open] = {each.invite: each for each in self._read(INVITES, list[_Open]) or []}
        self.issued: dict[str, Issued] = self._read(ISSUED, dict[str, Issued]) or {}

    @property
    def is_kept(self) -> bool:
        """Whether it is on a disk, and so may make its caller wait."""
        return self._store is not None

    def invite(self, role: str, seconds: float, uses: int, now: float) -> tuple[bytes, bytes, int]:
        """A new invitation: its id, its secret, and when it expires. ConfigError where there are too many."""
        with self._changing:
            still = {key: each for key, each in self._open.items() if each.expires > now}
            if len(still) >= OPEN_LIMIT:  # else who used one may still ask for an answer that was lost
                still = {key: each for key, each in still.items() if each.uses > 0}
            if len(still) >= OPEN_LIMIT:
                raise ConfigError(f"{OPEN_LIMIT} invitations are open already. Wait until some expire.")
            number, secret, expires = os.urandom(INVITE_ID_BYTES), os.urandom(SECRET_BYTES), int(now + seconds)
            still[number] = _Open(number, sha256(secret).digest(), role, expires, uses)
            self._save(still)
        return number, secret, expires

    def redeem(self, number: bytes, secret: bytes, who: Requested, now: float) -> str:
        """The role that the newcomer gets; Refusal where it gets none. The use is counted, on disk, on return."""
        with self._changing:
            invite = self._open.get(number)
            if invite is None or not hmac.compare_digest(invite.digest, sha256(secret).digest()):
                raise Refusal("this invitation is not known here, was used up, or expired. Ask for a new one.")
            if now >= invite.expires:
                raise Refusal("this invitation has expired. Ask for a new one.")
            self.check_free(who.name, who.public, now)
            used = self._used(invite, who)
            if used != invite:
                self._save({**self._open, number: used})
        return invite.role

    def _used(self, invite: _Open, who: Requested) -> _Open:
        """The invitation once `who` has used it. Of one key it makes one name: the same line again is no way round a
        revocation, nor to any number of names."""
        before = [name for name, public in invite.entered.items() if public == who.public]
        others = {name: public for name, public in invite.entered.items() if public != who.public}
        for name in before:
            issued = self.issued.get(name)
            if name != who.name and issued is not None and issued.public == who.public:
                raise Refusal(f"this invitation was used already, by this node as {name}. Ask for a new one.")
        if not before and invite.uses <= 0:
            raise Refusal("this invitation was used already. Ask for a new one.")
        uses = invite.uses if before else invite.uses - 1
        return msgspec.structs.replace(invite, uses=uses, entered={**others, who.name: who.public})

    def check_free(self, name: NodeName, public: bytes, now: float) -> None:
        """Refusal where another key goes by that name, or may come back and be given a new certificate for it."""
        known = self.issued.get(name)
        if known is None and len(self.issued) >= ISSUED_LIMIT:
            self.issued = {each: held for each, held in self.issued.items() if now < held.until + RENEWED_LATE}
            if len(self.issued) >= ISSUED_LIMIT:
                raise Refusal(f"{ISSUED_LIMIT} names are given out already; that is all that this fleet has room for.")
        if known is not None and known.public != public and now < known.until + RENEWED_LATE:
            raise Refusal(f"the name {name} is taken by another node of this fleet. Choose another with --name.")

    def check_pace(self, name: NodeName, now: float) -> None:
        """Refusal where that name got a certificate a moment ago. Was the clock set back since, it did not."""
        known = self.issued.get(name)
        if known is not None and 0 <= now - (known.until - LIFETIME) < RENEWED_EVERY:
            raise Refusal(f"{name} got a certificate less than a minute ago. Ask again in a minute.")

    def record(self, certificate: Certificate) -> None:
        """A certificate was made."""
        with self._changing:
            self.issued[certificate.name] = Issued(certificate.public, certificate.role, certificate.not_after)
            if self._store is not None:
                self._store.write(ISSUED, msgspec.json.encode(self.issued) + b"\n")

    def _save(self, invites: dict[bytes, _Open]) -> None:
        """Go by these from now on: once they are on the disk, so that what could not be written did not happen."""
        if self._store is not None:
            self._store.write(INVITES, msgspec.json.encode(list(invites.values())) + b"\n")
        self._open = invites

    def _read(self, name: str, kind: type[_T]) -> _T | None:
        data = None if self._store is None else self._store.read(name, BOOK_BYTES)
        if self._store is None or data is None:
            return None
        try:
            return msgspec.json.decode(data, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise StateDirError(
                f"{self._store.path / name} is damaged: {error}. Remove it: then invitations that are open, or which "
                "names were given out, are forgotten."
            ) from error
