"""`meshfleet.Client`: the fleet, from whichever of its nodes answers.

    with_key = meshfleet.Client("http://10.0.0.7:7879", "http://10.0.0.8:7879", key="mf_…")
    for view in with_key.watch():
        print(view.totals.cost_usd, [agent.agent_id for agent in view.agents])

Views are pushed. Where a node has no stream to give, it is polled; where it goes away, the next one is asked, the other
nodes of the last view among them. Plain blocking calls: under Trio or asyncio they belong in a thread.
"""

from __future__ import annotations

import time
from ipaddress import ip_address
from threading import Event
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from meshfleet.client.reader import Reader
from meshfleet.client.session import Memory
from meshfleet.errors import ConfigError, MeshfleetError, NoAnswer, Refused
from meshfleet.fleet.names import is_node_url
from meshfleet.fleet.presence import Presence

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from meshfleet.fleet.view import FleetView
    from meshfleet.wire.apikeys import ApiKey

POLL_SECONDS = 2.0
"""Between two polls, where there is no stream to be had."""

PAUSE_SECONDS = 1.0
"""Before all nodes are asked anew when none of them answered."""

KNOWN_LIMIT = 64
"""Nodes that are kept in mind to turn to."""


class Client:
    """Reads a fleet. `nodes`: addresses of some of its nodes, such as `http://10.0.0.7:7879`; more are learnt from the
    view. `key`: an API key with scope `read` (`meshfleet keys api create`). `ca`: a file with the certificates that
    vouch for nodes that speak https, where the system does not. `made_for`: makes the reader of an address, where that
    takes more than the two."""

    def __init__(
        self,
        *nodes: str,
        key: ApiKey | str | None = None,
        ca: Path | None = None,
        sleep: Callable[[float], object] = time.sleep,
        made_for: Callable[[str], Reader] | None = None,
    ) -> None:
        if not nodes:
            raise ConfigError("a client needs a node to ask: Client('http://HOST:7879', key=...).")
        self._key = key
        self._ca = ca
        self._sleep = sleep
        self._over = Event()
        self._sessions = Memory()
        self._given = frozenset(node.rstrip("/") for node in nodes)
        """Others were learnt from a view, of whose addresses and certificates nobody here is sure."""
        self._urls = [node.rstrip("/") for node in nodes]
        self._readers: dict[str, Reader] = {}
        self._made_for = made_for or self._made

    @property
    def url(self) -> str:
        """The node that is asked first now: the one that answered last."""
        return self._urls[0]

    @property
    def reader(self) -> Reader:
        """Asks that node for other things than the view."""
        return self._reader(self.url)

    def fleet(self) -> FleetView:
        """The merged view. NoAnswer where no node answers, ConfigError where the key is not good."""
        problem: MeshfleetError | None = None
        for url in list(self._urls):
            try:
                view = self._reader(url).fleet()
            except (NoAnswer, Refused) as error:
                problem = error
            except ConfigError as error:
                if url in self._given:
                    raise
                problem = error
            else:
                self._learn(url, view)
                return view
        if len(self._urls) == 1:
            raise NoAnswer(str(problem))
        raise NoAnswer(f"none of {len(self._urls)} known nodes answered; the last one: {problem}")

    def watch(self) -> Generator[FleetView, None, None]:
        """The view, and each newer one, for ever: while no node answers it waits for one. ConfigError where the key is
        not good. Ends after `stop`."""
        while not self._over.is_set():
            answered = False
            for url in list(self._urls):
                for view in self._follow(url):
                    if self._over.is_set():
                        return
                    answered = True
                    self._learn(url, view)
                    yield view
                if answered:
                    break  # its stream ended: ask it first again, and then the others
            if not answered:
                self._sleep(PAUSE_SECONDS)

    def stop(self) -> None:
        """Have `watch` end, with the next view or sign of life, or when it would ask another node."""
        self._over.set()

    def _follow(self, url: str) -> Generator[FleetView, None, None]:
        """Views of one node until it has none to give."""
        try:
            yield from self._told(self._reader(url))
        except (NoAnswer, Refused):
            return
        except ConfigError:
            if url in self._given:
                raise

    def _told(self, reader: Reader) -> Generator[FleetView, None, None]:
        try:
            yield from reader.views()
        except Refused:  # all its streams are taken
            yield reader.fleet()
            self._sleep(POLL_SECONDS)

    def _reader(self, url: str) -> Reader:
        reader = self._readers.get(url)
        if reader is None:
            reader = self._readers[url] = self._made_for(url)
        return reader

    def _made(self, url: str) -> Reader:
        return Reader(url, self._key, ca=self._ca, cache=self._sessions)

    def _learn(self, url: str, view: FleetView) -> None:
        """Who answered is asked first, then those who are well by its view, then the others."""
        there = [node.base_url for node in view.nodes if node.base_url and node.presence is Presence.FRESH]
        others = [other.rstrip("/") for other in there if may_turn_to(other, url)]
        self._urls = list(dict.fromkeys([url, *others, *self._urls]))[:KNOWN_LIMIT]
        for gone in self._readers.keys() - set(self._urls):
            del self._readers[gone]


def may_turn_to(url: str, told_by: str) -> bool:
    """Whether to ask at `url`, of which the node at `told_by` told. Not where it is no address; nor where it means this
    machine and was told elsewhere, for then it is not that node's; nor in clear beyond this machine, also where
    `told_by` is near, by a tunnel: any member may tell any address, and who is on the way there would get the session.
    No node serves so."""
    if not is_node_url(url) or _is_near(url) > _is_near(told_by):
        return False
    return url.startswith("https:") or _is_near(url)


def _is_near(url: str) -> bool:
    """Whether an address means this machine, whoever reads it."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
