"""A node whose fleet is made up and stands still, served for real over loopback: what is drawn is known beforehand."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import trio
from msgspec.structs import replace

from meshfleet.client import Client
from meshfleet.errors import ConfigError, JoinError
from meshfleet.fleet.access import Scope
from meshfleet.fleet.evidence import Fact, Kind
from meshfleet.fleet.happening import Happened, Happening
from meshfleet.fleet.names import Address
from meshfleet.fleet.presence import Presence
from meshfleet.node.keyfile import KeyFile
from meshfleet.node.readers import Readers
from meshfleet.serve import serve
from meshfleet.wire.keyring import Keyring
from tests.serve.conftest import SampleFeed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from meshfleet.fleet.view import FleetView


class Still(SampleFeed):
    """Shows the view that it was given."""

    def __init__(self, view: FleetView) -> None:
        super().__init__()
        self.given = view

    def fleet(self) -> FleetView:
        return self.given

    def version(self) -> str:
        return self.given.version

    async def zone(self, name: str) -> FleetView:
        """Of a zone that is heard all is told: it looks as this one does."""
        zone = next((zone for zone in self.given.zones if zone.zone == name), None)
        if zone is None:
            raise ConfigError(f"no zone {name!r} is known here.")
        if zone.presence is not Presence.FRESH:
            raise JoinError("None of 3 delegates answered.")
        return replace(self.given, zones=())

    def put(self, view: FleetView) -> None:
        self.given = view
        self._news.set()
        self._news = trio.Event()

    def why(self, name: str) -> tuple[Fact, ...]:
        refused = Fact(kind=Kind.REFUSED, at=98.0, by="n1", detail="connection refused", host="box-1")
        return (refused, Fact(kind=Kind.EOF, at=97.0, by="n2", detail="stream ended without goodbye"))


class Told:
    """A history of three lines."""

    LINES = (
        Happening(id=1, at="2026-11-23T20:00:00Z", kind=Happened.STARTED, subject="n1", text="began to watch"),
        Happening(
            id=2,
            at="2026-11-23T20:02:00Z",
            kind=Happened.APPEARED,
            subject="box-2/codex-77aa",
            text="appeared",
            node="n2",
        ),
        Happening(
            id=3, at="2026-11-23T20:14:00Z", kind=Happened.DOWN, subject="n4", text="is down: connection refused"
        ),
    )
    last = 3

    def after(self, last: int, limit: int) -> Sequence[Happening]:
        return [line for line in self.LINES if line.id > last][:limit]

    def newest(self, limit: int) -> Sequence[Happening]:
        return self.LINES[-limit:]


class Site:
    """The node: it serves in a thread of its own until it is ended."""

    def __init__(self, view: FleetView, keys: KeyFile) -> None:
        self._feed = Still(view)
        self._keys = keys
        self._ready = threading.Event()
        self._scope = trio.CancelScope()
        self._token: trio.lowlevel.TrioToken | None = None
        self._thread = threading.Thread(target=trio.run, args=(self._main,))
        self.url = ""

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(30)

    def show(self, view: FleetView) -> None:
        assert self._token is not None
        self._token.run_sync_soon(self._feed.put, view)

    def end(self) -> None:
        if self._thread.is_alive() and self._token is not None:
            self._token.run_sync_soon(self._scope.cancel)
            self._thread.join(30)

    async def _main(self) -> None:
        readers = Readers(Keyring(b"k" * 32, b"f" * 16), self._keys, time.time)
        with self._scope:
            async with trio.open_nursery() as nursery:
                bind = Address("127.0.0.1", 0)
                self.url = await nursery.start(self._serve, readers, bind)
                self._token = trio.lowlevel.current_trio_token()
                self._ready.set()

    async def _serve(
        self, readers: Readers, bind: Address, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED
    ) -> None:
        await serve(self._feed, readers, bind, history=Told(), task_status=task_status)


class Sites:
    """Makes nodes of one fleet, which one key reads."""

    def __init__(self, folder: Path) -> None:
        self._keys = KeyFile(folder)
        self.key = self._keys.create(Scope.READ, "screens", "").text()
        self._made: list[Site] = []

    def serving(self, view: FleetView) -> Site:
        site = Site(view, self._keys)
        self._made.append(site)
        site.start()
        return site

    def client(self, *urls: str) -> Client:
        return Client(*urls, key=self.key)

    def end(self) -> None:
        for site in self._made:
            site.end()


@contextmanager
def sites(folder: Path) -> Iterator[Sites]:
    """Nodes that end with the block."""
    made = Sites(folder)
    try:
        yield made
    finally:
        made.end()
