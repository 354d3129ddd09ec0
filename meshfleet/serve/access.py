"""What serving needs to know about readers: whether a token is good, and what may be exchanged for one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Protocol

import msgspec

from meshfleet.fleet.access import LONGEST_SESSION, SESSION_SECONDS, SHORTEST_SESSION, Scope

if TYPE_CHECKING:
    from meshfleet.fleet.access import Grant


class Access(Protocol):
    """Who may read. `meshfleet.node.readers.Readers` satisfies it. AccessDenied is the only way to say no."""

    def check(self, token: str) -> Grant:
        """What a session token grants now."""
        ...

    def seconds_left(self, grant: Grant) -> float:
        """How long it is good yet."""
        ...

    def challenge(self) -> str:
        """A nonce to prove possession of a key with, good once and for a minute."""
        ...

    async def by_key(self, text: str, seconds: int) -> tuple[str, Grant]:
        """A session of that length for who shows an API key."""
        ...

    async def by_proof(self, key_id: str, nonce: str, proof: str, host: str, seconds: int) -> tuple[str, Grant]:
        """A session for who proves to hold one, to the node known as `host`."""
        ...

    def by_code(self, code: str) -> tuple[str, Grant]:
        """A session for who opens a link; its code is used up."""
        ...

    def by_token(self, token: str) -> tuple[str, Grant]:
        """The next session of a page."""
        ...


class SessionRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is exchanged for a session, where it is not an Authorization header: a proof, or the code of a link."""

    key_id: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    nonce: Annotated[str, msgspec.Meta(max_length=128)] | None = None
    """Of `GET /auth/challenge`."""
    proof: Annotated[str, msgspec.Meta(max_length=256)] | None = None
    """Hexadecimal Ed25519 signature; docs/readers.md says over what."""
    code: Annotated[str, msgspec.Meta(max_length=128)] | None = None
    lifetime_s: Annotated[int, msgspec.Meta(ge=SHORTEST_SESSION, le=LONGEST_SESSION)] = SESSION_SECONDS
    """How long the session shall last. A page's has always the default."""


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A session, for who showed something good."""

    token: str
    scope: Scope
    expires_at: str
    """RFC 3339 UTC, by the issuing node's clock."""
    expires_in_s: int
    """For who would rather not compare clocks. Fetch the next at 80 % of it."""


class Challenge(msgspec.Struct, frozen=True, kw_only=True):
    """What a proof of possession has to be made for."""

    nonce: str
