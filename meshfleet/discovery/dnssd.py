"""Nodes that announce themselves on the LAN by DNS-SD over mDNS (RFC 6763, 6762), and this node among them.

The library speaks mDNS on an event loop of asyncio in a thread of its own; here are the two ends of that: what it tells
crosses into Trio by the run's token, and it is started and ended in threads, for both may wait for the network.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING

import ifaddr
import trio
import zeroconf

from meshfleet.discovery.source import Found, Unfound, reachable
from meshfleet.fleet.names import Address
from meshfleet.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshfleet.discovery.source import Here, Hurry
    from meshfleet.fleet.source import SourceSpec

SERVICE = "_meshfleet._udp.local."

RESOLVE_MS = 3_000
"""Milliseconds for the addresses of what was announced."""

SERVICES_LIMIT = 256
"""Announcements that are kept. What comes beyond is left out until one goes."""

ADDRESSES = 4
"""Of one of them that are tried."""

LOOK_EVERY = 30.0
"""Seconds between two looks at this machine's addresses: a laptop comes into another network."""

FAREWELL = 3.0
"""Seconds that taking the announcement back may take."""

LABEL = 63
"""Bytes of a label of DNS."""


log = get_logger("meshfleet.discovery")


class DnsSd:
    """See the module."""

    def __init__(self, spec: SourceSpec) -> None:
        self.name = spec.text
        self._interface = spec.interface
        self._heard: dict[str, tuple[Address, ...]] = {}

    async def watch(self, here: Here, tell: Callable[[Found], None], hurry: Hurry) -> None:
        """Until cancelled. Unfound where this machine's network does not let it listen."""
        offered = bool(self._interface) or not ip_address(here.gossip.host).is_loopback
        report = partial(self._tell, here, tell, offered)
        while True:
            await self._speak(here, offered, report)

    async def _speak(self, here: Here, offered: bool, report: Callable[[], None]) -> None:
        """For as long as this machine has the addresses that it has now."""
        addresses, again = await trio.to_thread.run_sync(_addresses), trio.lowlevel.current_trio_token()
        heard = _Heard(here.fleet, lambda what, where: again.run_sync_soon(self._hear, what, where, report))
        self._heard.clear()  # what another network had; what this one has may come before `_begin` is back
        spoken = await trio.to_thread.run_sync(_begin, self._interface, here, heard, offered)
        try:
            report()
            now = addresses
            while now == addresses:
                await trio.sleep(LOOK_EVERY)
                now = await trio.to_thread.run_sync(_addresses)
        finally:
            with trio.move_on_after(FAREWELL, shield=True):
                await trio.to_thread.run_sync(_end, spoken, abandon_on_cancel=True)

    def _hear(self, what: str, where: tuple[Address, ...], report: Callable[[], None]) -> None:
        if not where:
            self._heard.pop(what, None)
        elif what in self._heard or len(self._heard) < SERVICES_LIMIT:
            self._heard[what] = where
        report()

    def _tell(self, here: Here, tell: Callable[[Found], None], offered: bool) -> None:
        nodes = reachable((address for each in self._heard.values() for address in each), here.gossip)
        problem = None if offered else "gossip listens on loopback alone, so it is not announced: set --gossip."
        tell(Found(nodes=nodes, offered=offered, problem=problem))


class _Heard(zeroconf.ServiceListener):
    """What the library calls, in threads of its own, one call at a time."""

    def __init__(self, fleet: str, deliver: Callable[[str, tuple[Address, ...]], None]) -> None:
        self._fleet = fleet
        self._deliver = deliver

    def add_service(self, zc: zeroconf.Zeroconf, type_: str, name: str) -> None:
        try:
            info = zc.get_service_info(type_, name, timeout=RESOLVE_MS)
            where: tuple[Address, ...] = ()
            if info is not None and info.port and info.properties.get(b"fleet") in (None, self._fleet.encode()):
                where = tuple(Address(host, info.port) for host in info.parsed_addresses()[:ADDRESSES])
        except Exception as error:  # whatever somebody announced: it must not end the library's thread, and with it all
            log.warning("an announcement on the LAN can't be read", what=name[:LABEL], why=type(error).__name__)
            return
        self._pass_on(name, where)

    def update_service(self, zc: zeroconf.Zeroconf, type_: str, name: str) -> None:
        self.add_service(zc, type_, name)

    def remove_service(self, zc: zeroconf.Zeroconf, type_: str, name: str) -> None:
        self._pass_on(name, ())

    def _pass_on(self, name: str, where: tuple[Address, ...]) -> None:
        with suppress(trio.RunFinishedError):  # the node is gone; the library ends a moment later
            self._deliver(name, where)


def _begin(interface: str, here: Here, heard: _Heard, offered: bool) -> zeroconf.Zeroconf:
    """Speak mDNS. Unfound where that can't be."""
    old = ip_address(here.gossip.host).version == 4
    version = zeroconf.IPVersion.V4Only if old else zeroconf.IPVersion.All
    try:
        spoken = zeroconf.Zeroconf(
            interfaces=[interface] if interface else zeroconf.InterfaceChoice.All, ip_version=version
        )
    except (OSError, RuntimeError) as error:
        raise Unfound(f"mDNS can't be spoken here: {getattr(error, 'strerror', None) or error}.") from None
    try:
        if offered:
            spoken.register_service(_announcement(here), allow_name_change=True)
        spoken.add_service_listener(SERVICE, heard)
    except (OSError, zeroconf.Error) as error:
        spoken.close()
        raise Unfound(f"mDNS does not take this node's announcement: {str(error) or type(error).__name__}.") from None
    return spoken


def _announcement(here: Here) -> zeroconf.ServiceInfo:
    label = here.name[:LABEL].replace(".", "-")
    return zeroconf.ServiceInfo(
        SERVICE,
        f"{label}.{SERVICE}",
        port=here.gossip.port,
        properties={"fleet": here.fleet, "node": here.name},
        # The machine's own name belongs to the machine's own responder.
        server=f"meshfleet-{label}"[:LABEL].rstrip("-") + ".local.",
        parsed_addresses=[here.gossip.host],
    )


def _end(spoken: zeroconf.Zeroconf) -> None:
    spoken.unregister_all_services()
    spoken.close()


def _addresses() -> frozenset[str]:
    """This machine's."""
    return frozenset(str(ip.ip) for adapter in ifaddr.get_adapters() for ip in adapter.ips)
