"""A machine that gets another address says so, within seconds: a laptop in another Wi-Fi, a phone's tethering.

The kernel tells when anything about addresses, links or routes changes: rtnetlink (Linux), a routing socket (macOS; not
tried). What changed is of no interest: after each such word the node looks at which address it sends from. Only a node
that listens on all addresses (`--gossip 0.0.0.0:7878`) can follow; one that was given a single address has no other.
"""

from __future__ import annotations

import socket
import sys
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import TYPE_CHECKING

import trio

from meshfleet.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshfleet.fleet.names import Address
    from meshfleet.node.machine import Machine
    from meshfleet.node.network import Network

NETLINK_ROUTE, GROUPS = 0, 0x1 | 0x10 | 0x40 | 0x100 | 0x400
"""Links, addresses and routes, of IPv4 and IPv6 (linux/rtnetlink.h)."""

SETTLED = 0.3
"""Seconds to wait after a word: a change of network comes as a dozen of them."""

LOOK_EVERY = 30.0
"""Seconds between two looks, where the kernel tells nothing, and in case a word was lost."""

log = get_logger("meshfleet.node")


async def roam(network: Network, machine: Machine, bound: Address, moved: Callable[[Address], None]) -> None:
    """Call `moved` with where others can reach what is bound at `bound`, each time that this is another address."""
    before = network.advertised(bound)
    with machine.network_words() as words:
        while True:
            with trio.move_on_after(LOOK_EVERY):
                if words is None:
                    await trio.sleep_forever()
                else:
                    await _a_word(words)
                await trio.sleep(SETTLED)
            now = network.advertised(bound)
            if now != before and not _is_loopback(now):  # without any route it is nowhere, and can tell nobody
                log.info("this machine has another address", now=str(now), before=str(before))
                before = now
                moved(now)


def kernel_words() -> AbstractContextManager[socket.socket | None]:
    """A socket on which the kernel tells of changes; None where there is no such thing."""
    try:
        if sys.platform.startswith("linux"):
            told = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_ROUTE)
            told.bind((0, GROUPS))
        elif (family := getattr(socket, "AF_ROUTE", None)) is not None:
            told = socket.socket(family, socket.SOCK_RAW, 0)
        else:
            return nullcontext()
    except OSError:  # a sandbox that has none
        return nullcontext()
    told.setblocking(False)
    return told


async def _a_word(words: socket.socket) -> None:
    """Return when the kernel told something. ENOBUFS says that it told more than there was room for: a word too."""
    await trio.lowlevel.wait_readable(words)
    with suppress(OSError):
        while words.recv(65_536):
            pass


def _is_loopback(address: Address) -> bool:
    return address.host.startswith("127.") or address.host == "::1"
