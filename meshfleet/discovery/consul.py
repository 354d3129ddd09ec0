"""Nodes that Consul's catalog names, and this node's own entry there.

Asked by blocking queries: each says how far the last answer went (`index`) and is answered when something changed, or
after `WAIT`. Consul's documentation has the rules for the index: it is good as long as it grows, and begins anew at 0
where it goes back. The node registers itself with the agent that is asked, with a TTL check that it keeps passing; so
an entry of a node that died goes by itself, and one that ends takes its own away. Where it may not write, it only
reads.
"""

from __future__ import annotations

import random
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec
import trio

from meshfleet.asking import Place, Unanswered, asked
from meshfleet.discovery.source import Found, Unfound
from meshfleet.fleet.names import ADDRESS_LIMIT, Address

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from meshfleet.discovery.source import Here, Hurry
    from meshfleet.fleet.source import SourceSpec

WAIT = 55.0
"""Seconds that a query may wait for news. Consul adds up to a sixteenth by chance."""

PATIENCE = WAIT + WAIT / 16 + 5.0

LEAST = 1.0
"""Seconds between two queries: a catalog that changes all the time is not to be asked all the time."""

PLAIN = 30.0
"""Seconds between two questions where answers have no index: something between does not pass it on."""

TTL = 60.0
"""Seconds for which an entry is good without a word. It is passed three times in that."""

GONE_AFTER = "10m"
"""After which Consul removes the entry of a node that says nothing; it takes no less than a minute."""

ANSWER_LIMIT = 1024 * 1024
"""Bytes of an answer. An entry has some 500."""

FAREWELL = 2.0
"""Seconds that taking the entry back may take."""


class _Meta(msgspec.Struct, frozen=True):
    fleet: str | None = None


class _Service(msgspec.Struct, frozen=True, rename="pascal"):
    service_port: int
    service_address: str = ""
    address: str = ""
    """Of the machine; holds where the service has none of its own."""
    service_meta: _Meta | None = None


_services = msgspec.json.Decoder(list[_Service])


def read_catalog(body: bytes, fleet: str) -> tuple[Address, ...]:
    """Where the services are that an answer names. One that says that it is of another fleet is left out. Unfound where
    it is no catalog."""
    try:
        services = _services.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Unfound("what answers is no catalog of Consul's.") from None
    return tuple(
        Address(host, each.service_port)
        for each in services
        if (host := each.service_address or each.address)
        and len(host) <= ADDRESS_LIMIT
        and 0 < each.service_port < 65_536
        and (each.service_meta is None or each.service_meta.fleet in (None, fleet))
    )


class Consul:
    """See the module. `token` goes along with each request, `trust` says whose certificates are believed."""

    def __init__(self, spec: SourceSpec, url: str, token: str | None, trust: ssl.SSLContext | None) -> None:
        self.name = spec.text
        self._service = spec.service
        headed = () if token is None else (("X-Consul-Token", token),)
        self._place = Place(url, headed=headed, trust=trust)
        self._offered: bool = False

    async def watch(self, here: Here, tell: Callable[[Found], None], hurry: Hurry) -> None:
        """Until cancelled. Unfound where Consul does not answer, or won't."""
        failed: Unfound | None = None
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._offer_forever, here)
                try:
                    await self._follow(here, tell)
                except Unfound as error:
                    failed = error
                    nursery.cancel_scope.cancel()
        finally:
            if failed is None:
                await self._take_back(here)
        if failed is not None:  # what was offered stays: the node is still there
            raise failed

    async def _follow(self, here: Here, tell: Callable[[Found], None]) -> None:
        index = 0
        while True:
            asked_at = trio.current_time()
            path = f"/v1/catalog/service/{quote(self._service, safe='')}?index={index}&wait={WAIT:.0f}s"
            try:
                answer = await asked(self._place, path, limit=ANSWER_LIMIT, patience=PATIENCE)
            except Unanswered as error:
                raise Unfound(_why(error)) from None
            tell(Found(nodes=read_catalog(answer.body, here.fleet), offered=self._offered))
            index = _next(index, answer.headers.get(b"x-consul-index"))
            least = LEAST if index else PLAIN
            await trio.sleep(max(0.0, least - (trio.current_time() - asked_at)))

    async def _offer_forever(self, here: Here) -> None:
        """Keep this node's entry good. A refusal is no failure: many tokens may only read."""
        entry = _entry(self._service, here)
        passing = f"/v1/agent/check/pass/service:{quote(_id(self._service, here), safe='')}"
        while True:
            with suppress(Unanswered):
                if self._offered:
                    self._offered = False
                    await asked(self._place, passing, method="PUT")
                else:
                    await asked(self._place, "/v1/agent/service/register", entry, method="PUT")
                self._offered = True
            await trio.sleep(TTL / 3 * random.uniform(0.75, 1.0))

    async def _take_back(self, here: Here) -> None:
        gone = f"/v1/agent/service/deregister/{quote(_id(self._service, here), safe='')}"
        with trio.move_on_after(FAREWELL, shield=True), suppress(Unanswered):
            if self._offered:
                self._offered = False
                await asked(self._place, gone, method="PUT")


def _next(index: int, said: bytes | None) -> int:
    """From where the next query goes on. 0 where it must begin anew."""
    if said is None or not said.isdigit() or len(said) > 20:
        return 0
    return int(said) if int(said) >= index else 0


def _id(service: str, here: Here) -> str:
    return f"{service}-{here.fleet[:8]}-{here.name}"


def _entry(service: str, here: Here) -> bytes:
    return msgspec.json.encode(
        {
            "ID": _id(service, here),
            "Name": service,
            "Address": here.gossip.host,
            "Port": here.gossip.port,
            "Meta": {"fleet": here.fleet, "node": here.name},
            "Check": {
                "TTL": f"{TTL:.0f}s",
                "Status": "passing",
                "DeregisterCriticalServiceAfter": GONE_AFTER,
            },
        }
    )


def _why(error: Unanswered) -> str:
    if error.status in (401, 403):
        return f"Consul refuses to tell (HTTP {error.status}): its token in CONSUL_HTTP_TOKEN needs service:read."
    return f"Consul does not answer: {error}."
