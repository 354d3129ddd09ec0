"""Who may read: challenges, proofs, one-time codes, and the tokens that they are exchanged for.

Serving asks nothing else of a node about its readers (`meshfleet.serve.access.Access`). Time is Unix time and passed in
as a function; nothing here waits for anything but the disk.
"""

from __future__ import annotations

import hmac
import os
import struct
from base64 import urlsafe_b64encode
from hashlib import blake2b
from typing import TYPE_CHECKING

import trio

from meshfleet.errors import AccessDenied
from meshfleet.fleet.access import SESSION_SECONDS, Grant, Scope
from meshfleet.wire import apikeys, tokens

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshfleet.node.keyfile import Entry, KeyFile
    from meshfleet.wire.keyring import Keyring

CHALLENGE_SECONDS = 60
"""How long a challenge can be answered. A reader does so at once."""

SPENT_LIMIT = 4_096
"""Challenges that were answered and are remembered until they end. Only a good proof is, so that nobody without a key
can fill this; when it is full no proof is taken, rather than one twice."""

CODE_SECONDS = 300
"""How long a link with a one-time code works: long enough to find the browser."""

CODES_LIMIT = 16
"""Links that are open at once; one more ends the oldest."""

PAGE_SECONDS = 12 * 3_600
"""How long a page goes on with what its link gave it: a working day. A page has no key, so it renews by its token."""

PAGE = "page"

_NONCE = struct.Struct(">I12s")
_NONCE_MAC = 16

WHERE_KEYS_LIVE = (
    "a key is exchanged at the node that made it (`meshfleet keys api list` there shows it), or at one that was given "
    "a copy of its entry in apikeys.json. The session is then good at every node"
)


class Readers:
    """The readers of one node. A node without a state dir has no API keys, and lets in by tokens of others."""

    def __init__(self, ring: Keyring, keys: KeyFile | None, wall: Callable[[], float]) -> None:
        self._ring = ring
        self._keys = keys
        self._wall = wall
        self._secret = os.urandom(32)
        """Of this process alone: a challenge of another node, or of an earlier life, is none of ours."""
        self._spent: dict[str, float] = {}
        self._codes: dict[bytes, float] = {}

    def check(self, token: str) -> Grant:
        """What `token` grants now. AccessDenied says why it does not."""
        return tokens.check(self._ring, token, self._wall())

    def seconds_left(self, grant: Grant) -> float:
        """How long `grant` is good yet."""
        return max(0.0, grant.expires - self._wall())

    def challenge(self) -> str:
        """A nonce to prove possession of a key with. Nothing is kept of it until it is answered well."""
        body = _NONCE.pack(int(self._wall()), os.urandom(12))
        return (body + self._nonce_mac(body)).hex()

    async def by_key(self, text: str, seconds: int) -> tuple[str, Grant]:
        """A session for who shows the key itself."""
        key = apikeys.parse(text)
        if key is None:
            raise AccessDenied("it is no API key")
        entry = await self._entry(key.key_id)
        if not hmac.compare_digest(key.verifier(), bytes.fromhex(entry.verifier)):
            raise AccessDenied("it is not the API key of that id")
        return self._begin(entry, seconds)

    async def by_proof(self, key_id: str, nonce: str, proof: str, host: str, seconds: int) -> tuple[str, Grant]:
        """A session for who proves to hold the key, as `wire.apikeys` tells; each challenge is good for one."""
        expires = self._answerable(nonce)
        entry = await self._entry(key_id)
        signature = _unhex(proof)
        verifier = bytes.fromhex(entry.verifier)
        if signature is None or not apikeys.proves(verifier, signature, key_id, nonce, host, seconds):
            raise AccessDenied(f"it does not prove possession of key {entry.id} to {host!r}")
        self._spend(nonce, expires)
        return self._begin(entry, seconds)

    def new_code(self) -> str:
        """A one-time code for a link."""
        code = urlsafe_b64encode(os.urandom(18)).decode()
        self._forget_codes()
        while len(self._codes) >= CODES_LIMIT:
            del self._codes[next(iter(self._codes))]
        self._codes[_hashed(code)] = self._wall() + CODE_SECONDS
        return code

    def by_code(self, code: str) -> tuple[str, Grant]:
        """A page's session for who opens a link. The code is used up."""
        self._forget_codes()
        # Looked up by its hash: how long that takes says nothing about how much of a guess was right.
        if self._codes.pop(_hashed(code), None) is None:
            raise AccessDenied(
                f"the link's code was used already, or is older than {CODE_SECONDS // 60} minutes, or of another node"
            )
        now = int(self._wall())
        return self._issue(Scope.READ, PAGE, os.urandom(tokens.ID_BYTES).hex(), SESSION_SECONDS, now + PAGE_SECONDS)

    def by_token(self, token: str) -> tuple[str, Grant]:
        """The next session of a page."""
        grant = self.check(token)
        now = int(self._wall())
        if now >= grant.renewable_until:
            raise AccessDenied(
                "it can't be renewed: a page's session ends 12 hours after its link was opened, and whoever has an API "
                "key proves that for the next session"
            )
        return self._issue(grant.scope, grant.name, grant.holder, SESSION_SECONDS, grant.renewable_until)

    def _begin(self, entry: Entry, seconds: int) -> tuple[str, Grant]:
        return self._issue(entry.scope, entry.name, entry.id, seconds, 0)

    def _issue(self, scope: Scope, name: str, holder: str, seconds: int, renewable_until: int) -> tuple[str, Grant]:
        now = int(self._wall())
        grant = Grant(
            scope=scope,
            name=name,
            holder=holder,
            issued=now,
            expires=now + seconds,
            renewable_until=renewable_until,
        )
        return tokens.issue(self._ring, grant, os.urandom(tokens.ID_BYTES)), grant

    async def _entry(self, key_id: str) -> Entry:
        entry = None if self._keys is None else await trio.to_thread.run_sync(self._keys.find, key_id)
        if entry is None:
            raise AccessDenied(f"this node has no API key of that id: {WHERE_KEYS_LIVE}")
        return entry

    def _answerable(self, nonce: str) -> float:
        """When that challenge of ours ends. AccessDenied where it did, was answered, or is none of ours."""
        data = _unhex(nonce)
        body, mac = (data or b"")[: _NONCE.size], (data or b"")[_NONCE.size :]
        ours = len(body) == _NONCE.size and hmac.compare_digest(mac, self._nonce_mac(body))
        if not ours or (body + mac).hex() != nonce:  # bytes.fromhex takes capitals and blanks: one text for each nonce
            raise AccessDenied("the nonce is none of this node's: ask it for one, GET /auth/challenge")
        expires = float(_NONCE.unpack(body)[0]) + CHALLENGE_SECONDS
        if not expires - CHALLENGE_SECONDS <= self._wall() < expires:
            raise AccessDenied(f"its nonce is older than {CHALLENGE_SECONDS} s: ask for a new one, GET /auth/challenge")
        return expires

    def _spend(self, nonce: str, expires: float) -> None:
        now = self._wall()
        if nonce in self._spent:
            raise AccessDenied("its nonce was answered before: each is good once")
        if len(self._spent) >= SPENT_LIMIT:
            self._spent = {known: until for known, until in self._spent.items() if until > now}
        if len(self._spent) >= SPENT_LIMIT:
            raise AccessDenied(f"this node answered {SPENT_LIMIT} proofs within a minute: ask again in one")
        self._spent[nonce] = expires

    def _nonce_mac(self, body: bytes) -> bytes:
        return blake2b(body, digest_size=_NONCE_MAC, key=self._secret, person=b"mf1 challenge").digest()

    def _forget_codes(self) -> None:
        now = self._wall()
        self._codes = {code: until for code, until in self._codes.items() if until > now}


def _hashed(code: str) -> bytes:
    return blake2b(code.encode(errors="replace"), digest_size=32, person=b"mf1 link code").digest()


def _unhex(text: str) -> bytes | None:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return None
