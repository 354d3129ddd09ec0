"""Asks one node for what it sees."""

from __future__ import annotations

import re
from http import HTTPStatus
from http.client import HTTPException
from typing import TYPE_CHECKING, TypeVar

import msgspec

from meshfleet.client.change import Change, applied
from meshfleet.client.http import ANSWER_LIMIT, There, learn
from meshfleet.client.session import Session
from meshfleet.errors import ConfigError, NoAnswer, Refused
from meshfleet.fleet.access import SESSION_SECONDS
from meshfleet.fleet.view import FleetView

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from http.client import HTTPResponse
    from pathlib import Path

    from meshfleet.client.session import Keeper
    from meshfleet.wire.apikeys import ApiKey

STREAM_PATIENCE = 12.0
"""Seconds of silence after which a stream counts as dead. A node says something every 5."""

_FIELDS = frozenset({b"event", b"id", b"data"})
_ID = re.compile(rb"[0-9a-f]{1,32}-[0-9]{1,16}")
"""What goes into a header again, whoever gave it."""

_T = TypeVar("_T")

learn(FleetView, Change)


class Reader:
    """Reads from the node at `url` with an API key: its text, or parsed. Sessions are fetched, kept and renewed as
    needed.

    Without a key only what is public can be read. `ca`: a file with the node's certificate, where the system doesn't
    trust it; `pinned` where that file is out of the node's own state dir, so that names don't matter. `cache`: keeps
    sessions over the life of this object.
    """

    def __init__(
        self,
        url: str,
        key: ApiKey | str | None = None,
        *,
        ca: Path | None = None,
        pinned: bool = False,
        cache: Keeper | None = None,
        lifetime_s: int = SESSION_SECONDS,
        elsewhere: Callable[[], str] = str,
    ) -> None:
        if isinstance(key, str):
            from meshfleet.wire.apikeys import read

            key = read(key, "key")
        self._there = There(url.rstrip("/"), ca, pinned, elsewhere)
        self._view: FleetView | None = None
        """As its stream told it last."""
        self._last_id = ""
        self._session = None if key is None else Session(self._there, key, cache=cache, lifetime_s=lifetime_s)

    @property
    def url(self) -> str:
        """The node's address."""
        return self._there.url

    @property
    def session(self) -> Session | None:
        """What it has instead of the key."""
        return self._session

    def fleet(self) -> FleetView:
        """The merged view. NoAnswer where no node answers, ConfigError where the key is not good there."""
        return self.get_as("/v1/fleet", FleetView)

    def get_as(self, path: str, kind: type[_T]) -> _T:
        """The answer to `GET path`, read as `kind`."""
        return self.understood(self.get(path), kind)

    def understood(self, body: bytes, kind: type[_T]) -> _T:
        """`body` as `kind`. NoAnswer where it isn't: whatever answered is no node of this version."""
        try:
            return msgspec.json.decode(body, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise NoAnswer(f"{self.url} answers, but not as a node of this version does: {error}.") from error

    def get(self, path: str) -> bytes:
        """The body of `GET path`. NoAnswer where no node answers, ConfigError where it knows nothing of that name."""
        for again in (True, False):
            with self._there.asked("GET", path, self._headers()) as response:
                body = self._there.body_of(response)
                if response.status == HTTPStatus.OK:
                    return body
                if again and self._is_refused_token(response.status):
                    continue
                self._raise(response.status, self._there.problem_in(response, body))
        raise AssertionError("the second answer is returned or raised")

    def views(self) -> Generator[FleetView, None, None]:
        """The view, and each newer one as the node's event stream tells of it, until that ends; asked again, it goes on
        where it was. While nothing changes the same comes again every 5 s. NoAnswer where no node answers. A session's
        end is a stream's end: the next one has the next."""
        for again in (True, False):
            headers = {**self._headers(), "Accept": "text/event-stream"}
            if self._view is not None:
                headers["Last-Event-ID"] = self._last_id
            with self._there.asked("GET", "/v1/fleet/events", headers, patience=STREAM_PATIENCE) as response:
                if response.status != HTTPStatus.OK:
                    body = self._there.body_of(response)
                    if again and self._is_refused_token(response.status):
                        continue
                    self._raise(response.status, self._there.problem_in(response, body))
                try:
                    for event in _events(response):
                        yield self._take(event)
                except (OSError, HTTPException) as error:
                    raise NoAnswer(f"{self.url} stopped answering: {error}.") from error
                return

    def _take(self, event: dict[bytes, bytes]) -> FleetView:
        """The view after one event; after a mere sign of life it is the one before."""
        data = event.get(b"data")
        if data is None and self._view is not None:
            return self._view
        data = data or b""
        if self._view is None or event.get(b"event") == b"snapshot":
            self._view = self.understood(data, FleetView)
        else:
            self._view = self._changed(self._view, self.understood(data, Change))
        found = event.get(b"id", b"")
        self._last_id = found.decode() if _ID.fullmatch(found) else ""
        return self._view

    def _changed(self, view: FleetView, change: Change) -> FleetView:
        try:
            return applied(view, change)
        except (ValueError, OverflowError) as error:  # a time that is none
            raise NoAnswer(f"{self.url} tells of changes, but not as a node of this version does: {error}.") from error

    def _headers(self) -> dict[str, str]:
        headers = {"Accept": "application/json"}
        if self._session is not None:
            headers["Authorization"] = f"Bearer {self._session.token()}"
        return headers

    def _is_refused_token(self, status: int) -> bool:
        """Whether a new token may help: the fleet's key went, or a clock was set, since this one was fetched."""
        if status != HTTPStatus.UNAUTHORIZED or self._session is None:
            return False
        self._session.forget()
        return True

    def _raise(self, status: int, problem: str) -> None:
        if status == HTTPStatus.UNAUTHORIZED and self._session is None:
            raise ConfigError(
                f"{self.url} is read with a key, and none was found here. Name a file with one: --key-file FILE, or "
                "set MESHFLEET_API_KEY; `meshfleet keys api create` makes one on the node's machine."
            )
        if status in (HTTPStatus.NOT_FOUND, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise ConfigError(problem)
        raise Refused(problem)


def _events(stream: HTTPResponse) -> Iterator[dict[bytes, bytes]]:
    """Server-sent events as a node writes them: fields of one line each, then an empty line. A comment is a field
    without a name."""
    fields: dict[bytes, bytes] = {}
    while line := stream.readline(ANSWER_LIMIT):
        name, colon, value = line.rstrip(b"\n").partition(b": ")
        if colon and name in _FIELDS:
            fields[name] = value
        elif line == b"\n":
            yield fields
            fields = {}
