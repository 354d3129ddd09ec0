"""The readers of `meshfleet bench view`: hundreds of streams in a process of their own, read by one selector.

A task or a thread a reader would cost more than what is measured: this is as little as reading can cost, and tells when
the bytes were there.
"""

from __future__ import annotations

import re
import selectors
import socket
import sys
import time
from collections import deque
from urllib.parse import urlsplit

import msgspec

from meshfleet.serve.limits import STREAMS_PER_CLIENT

BEGINNING_LIMIT = 16
"""Readers that are still being told the whole view, at once: it is large, and they are not what is measured."""
BEGIN_SECONDS = 300.0

NOTE = re.compile(rb'"note":"(\d+\.\d+)"')
NOTE_LIMIT = 40
"""Bytes in which a whole note fits, so that none is lost between two pieces."""


class Order(msgspec.Struct, frozen=True):
    """Where to read, how often, and with which tokens."""

    url: str
    tokens: tuple[str, ...]
    readers: int


class Begun(msgspec.Struct, frozen=True):
    """All readers have the whole view."""

    readers: int


class Told(msgspec.Struct, frozen=True):
    """What each reader was told: when the news was made, as its note says, and when it was here. Seconds on the
    monotonic clock of the machine."""

    readers: tuple[tuple[tuple[float, float], ...], ...]


class Reader:
    """One stream."""

    def __init__(self, order: Order, number: int) -> None:
        place = urlsplit(order.url)
        self.socket = socket.create_connection((place.hostname or "", place.port or 0))
        self.told: list[tuple[float, float]] = []
        self.begun = False
        self._rest = b""
        token = order.tokens[number // STREAMS_PER_CLIENT]
        head = f"GET /v1/fleet/events HTTP/1.1\r\nHost: {place.netloc}\r\nAuthorization: Bearer {token}\r\n\r\n"
        self.socket.sendall(head.encode())
        self.socket.setblocking(False)

    def read(self) -> None:
        """Take what is there."""
        piece = self.socket.recv(1 << 20)
        now = time.monotonic()
        if not piece:
            sys.exit("the node ended a reader's stream; its log says why.")
        data = self._rest + piece
        self._rest = data[-NOTE_LIMIT:]
        if not self.begun:
            self.begun = b"\n\n" in self._rest  # the snapshot ends there
            return
        for found in NOTE.findall(data):
            made = float(found)
            if not self.told or made > self.told[-1][0]:
                self.told.append((made, now))


def _main() -> None:
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=Order)
    waiting, readers = deque(range(order.readers)), list[Reader]()
    with selectors.DefaultSelector() as selector:
        end = time.monotonic() + BEGIN_SECONDS
        while waiting or not all(reader.begun for reader in readers):
            while waiting and sum(not reader.begun for reader in readers) < BEGINNING_LIMIT:
                readers.append(Reader(order, waiting.popleft()))
                selector.register(readers[-1].socket, selectors.EVENT_READ, readers[-1])
            if time.monotonic() > end:
                sys.exit(f"not all readers had the whole view after {BEGIN_SECONDS:.0f} s.")
            _read(selector)
        _say(Begun(len(readers)))
        selector.register(sys.stdin, selectors.EVENT_READ)
        while _read(selector):
            pass
    _say(Told(tuple(tuple(reader.told) for reader in readers)))


def _read(selector: selectors.BaseSelector) -> bool:
    """Take what is there of all; False where it is enough."""
    for key, _ in selector.select(1.0):
        if not isinstance(key.data, Reader):
            return False
        key.data.read()
    return True


def _say(answer: msgspec.Struct) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    _main()
