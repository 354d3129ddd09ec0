"""What a source is: it tells what is there now, each time that changes, and offers this node where that can be done."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Protocol

import msgspec
import trio

from meshfleet.fleet.endpoint import Endpoint
from meshfleet.fleet.names import Address, NodeName

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Here(msgspec.Struct, frozen=True, kw_only=True):
    """What this node offers of itself."""

    name: NodeName
    fleet: str
    """The fleet's id, in hexadecimal: who is of another need not be tried."""
    gossip: Address
    """Where others reach it."""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """All that a source has now. It replaces what it had before."""

    nodes: tuple[Address, ...] = ()
    agents: tuple[Endpoint, ...] = ()
    offered: bool | None = None
    """Whether this node is offered there; None where the source takes no offers."""
    problem: str | None = None
    """What is not as it should be though it answers, as a sentence."""


def reachable(addresses: Iterable[Address], mine: Address) -> tuple[Address, ...]:
    """Those of this node's own kind of IP, since its datagrams leave by one socket; all others where there are none.
    Without addresses of a link alone, which mean nothing where the link is not named."""
    known = [(address, ip_address(address.host)) for address in dict.fromkeys(addresses)]
    usable = [(address, ip) for address, ip in known if not (ip.version == 6 and ip.is_link_local)]
    version = ip_address(mine.host).version
    return tuple(a for a, ip in usable if ip.version == version) or tuple(a for a, _ in usable)


class Unfound(Exception):
    """The source can't be asked, or what it says can't be used: why, as a sentence. What it told before stays."""


class Hurry:
    """Wakes sources up that wait to ask again: members were lost, so what they know may be old."""

    def __init__(self) -> None:
        self._asked = trio.Event()

    def up(self) -> None:
        """Ask again, those that have waited long enough."""
        self._asked.set()
        self._asked = trio.Event()

    async def wait(self, seconds: float, at_least: float) -> None:
        """Until it is time, or somebody is in a hurry; in any case `at_least` so long."""
        await trio.sleep(min(at_least, seconds))
        with trio.move_on_after(max(0.0, seconds - at_least)):
            await self._asked.wait()


class Source(Protocol):
    """One place to look."""

    @property
    def name(self) -> str:
        """As the operator wrote it."""
        ...

    async def watch(self, here: Here, tell: Callable[[Found], None], hurry: Hurry) -> None:
        """Until cancelled: `tell` all that is there, at once and whenever it is another. What was offered is taken back
        at the end. Unfound where it can't be asked; it is called again after a pause."""
        ...
