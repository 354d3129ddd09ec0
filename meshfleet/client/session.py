"""A session with a fleet: its token, fetched by proof of possession, kept, and fetched anew at 80 % of its life.

The API key never crosses the wire. The token is good at every node of the fleet, so it is kept by key and not by node.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol, TypeVar

import msgspec

from meshfleet.client.http import learn
from meshfleet.errors import ConfigError, NoAnswer, Refused
from meshfleet.fleet.access import REFRESH_AT, SESSION_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from meshfleet.client.http import There
    from meshfleet.wire.apikeys import ApiKey

KEPT_LIMIT = 64
"""Sessions that one file keeps, of the keys used last."""


_Answer = TypeVar("_Answer", bound=msgspec.Struct)


class _Challenge(msgspec.Struct, frozen=True):
    nonce: str


class _Proof(msgspec.Struct, frozen=True):
    key_id: str
    nonce: str
    proof: str
    lifetime_s: int


class _Session(msgspec.Struct, frozen=True):
    token: str
    expires_in_s: float


class Kept(msgspec.Struct, frozen=True):
    """A token, and when the next one is to be fetched, by this machine's clock."""

    key_id: str
    token: str
    refresh_at: float


learn(_Challenge, _Session, list[Kept])


class Keeper(Protocol):
    """Where sessions are kept, by key: a token is good at every node of the fleet."""

    def find(self, key_id: str) -> Kept | None:
        """The session of that key."""

    def keep(self, session: Kept) -> None:
        """Keep it instead of the one before."""

    def drop(self, key_id: str) -> None:
        """Keep none of that key."""


class Memory:
    """Sessions for as long as a program runs, shared by its readers."""

    def __init__(self) -> None:
        self._kept: dict[str, Kept] = {}

    def find(self, key_id: str) -> Kept | None:
        """The session of that key."""
        return self._kept.get(key_id)

    def keep(self, session: Kept) -> None:
        """Keep it instead of the one before."""
        self._kept[session.key_id] = session

    def drop(self, key_id: str) -> None:
        """Keep none of that key."""
        self._kept.pop(key_id, None)


class Cache:
    """Sessions that outlive a command: a file of its owner's alone. Where it can't be read or written it is as if
    empty."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def find(self, key_id: str) -> Kept | None:
        """The session of that key."""
        return next((kept for kept in self._all() if kept.key_id == key_id), None)

    def keep(self, session: Kept) -> None:
        """Keep it instead of the one before."""
        rest = [kept for kept in self._all() if kept.key_id != session.key_id]
        self._write([session, *rest][:KEPT_LIMIT])

    def drop(self, key_id: str) -> None:
        """Keep none of that key."""
        self._write([kept for kept in self._all() if kept.key_id != key_id])

    def _all(self) -> list[Kept]:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=list[Kept])
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return []

    def _write(self, sessions: list[Kept]) -> None:
        beside = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with suppress(FileNotFoundError):
                beside.unlink()
            file = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(file, "wb") as out:
                out.write(msgspec.json.encode(sessions))
            beside.replace(self._path)
        except OSError:
            with suppress(OSError):
                beside.unlink()


class Session:
    """The token of one key, whenever one is needed."""

    def __init__(
        self,
        there: There,
        key: ApiKey,
        *,
        cache: Keeper | None = None,
        lifetime_s: int = SESSION_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._there = there
        self._key = key
        self._cache = cache
        self._lifetime_s = lifetime_s
        self._clock = clock
        self._kept = None if cache is None else cache.find(key.key_id)

    def token(self) -> str:
        """One that has a fifth of its life before it. ConfigError where the key is not good there."""
        if self._kept is None or not 0 <= self._kept.refresh_at - self._clock() <= self._lifetime_s:
            self._kept = self._fetched()
            if self._cache is not None:
                self._cache.keep(self._kept)
        return self._kept.token

    def due_in(self) -> float:
        """Seconds until the next token is to be fetched."""
        return 0.0 if self._kept is None else max(0.0, self._kept.refresh_at - self._clock())

    def forget(self) -> None:
        """The token was refused: fetch another when one is needed next."""
        self._kept = None
        if self._cache is not None:
            self._cache.drop(self._key.key_id)

    def _fetched(self) -> Kept:
        there, key = self._there, self._key
        with there.asked("GET", "/auth/challenge", {}) as response:
            nonce = self._understood(there.body_of(response), _Challenge, response.status).nonce
        proof = _Proof(
            key_id=key.key_id,
            nonce=nonce,
            proof=key.prove(nonce, there.host, self._lifetime_s).hex(),
            lifetime_s=self._lifetime_s,
        )
        body = msgspec.json.encode(proof)
        with there.asked("POST", "/auth/session", {"Content-Type": "application/json"}, body) as response:
            answer = there.body_of(response)
            if response.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.BAD_REQUEST):
                raise ConfigError(f"{there.url}: {there.problem_in(response, answer)}")
            if response.status != HTTPStatus.OK:
                raise Refused(f"{there.url}: {there.problem_in(response, answer)}")
            session = self._understood(answer, _Session, response.status)
        return Kept(key.key_id, session.token, self._clock() + REFRESH_AT * session.expires_in_s)

    def _understood(self, body: bytes, kind: type[_Answer], status: int) -> _Answer:
        try:
            if status == HTTPStatus.OK:
                return msgspec.json.decode(body, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass
        raise NoAnswer(f"{self._there.url} answers, but not as a node of this version does ({status}).")
