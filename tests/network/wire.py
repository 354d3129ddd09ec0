"""Wires that delay: a process between each host and its bridge, on two TAP devices a host, for kernels without netem.

    wire.py NAME...     makes the devices h-NAME and c-NAME in the namespace that it runs in, and prints `strung`;
                        h-NAME is then moved to the host. Each line on standard input says anew how links behave.

Frames from the host are delayed, doubled and overtaken; those to it were, on their sender's wire. Times are lognormal,
as the simulator draws them. A stream's frames are delayed and keep their order: TCP would put them in order anyway, and
take the reordering for loss. It imports nothing of the project: it runs as it stands.
"""

from __future__ import annotations

import contextlib
import fcntl
import heapq
import json
import math
import os
import random
import selectors
import struct
import sys
import time

TUNSETIFF = 0x400454CA
IFF_TAP_NO_PI = 0x0002 | 0x1000
FRAME = 2048
WAITING = 100_000
"""Frames under way at once; beyond that the newest are lost, as in any queue."""
P99 = 2.3263478740408408
"""Standard deviations from the median to the 99th percentile."""
OVERTAKEN_BY = 5
"""How many usual delays later one arrives that is overtaken: as in the simulator."""


class Link:
    """How what goes from one host to another behaves."""

    def __init__(self, said: dict[str, float]) -> None:
        self.median, p99 = said["median"], said["p99"]
        self.sigma = math.log(p99 / self.median) / P99 if p99 > self.median > 0 else 0.0
        self.duplicate, self.reorder = said["duplicate"], said["reorder"]

    def delay(self) -> float:
        """Seconds, one way."""
        return self.median * math.exp(random.gauss(0.0, self.sigma)) if self.sigma else self.median


class Wires:
    """All of them."""

    def __init__(self, names: list[str]) -> None:
        self._links: dict[tuple[bytes, bytes], Link] = {}
        self._to: dict[int, int] = {}
        self._hosts: set[int] = set()
        self._under_way: list[tuple[float, int, int, bytes]] = []
        self._count = 0
        self._last: dict[tuple[bytes, bytes], float] = {}
        self._selector = selectors.DefaultSelector()
        for name in names:
            host, core = _tap(f"h-{name}"), _tap(f"c-{name}")
            self._to[host], self._to[core] = core, host
            self._hosts.add(host)
            for end in (host, core):
                self._selector.register(end, selectors.EVENT_READ)
        self._selector.register(0, selectors.EVENT_READ)

    def run(self) -> None:
        """Until standard input ends."""
        while True:
            now = time.monotonic()
            while self._under_way and self._under_way[0][0] <= now:
                _, _, to, frame = heapq.heappop(self._under_way)
                _write(to, frame)
            wait = max(0.0, self._under_way[0][0] - now) if self._under_way else None
            for key, _ in self._selector.select(wait):
                if key.fd == 0:
                    line = sys.stdin.readline()
                    if not line:
                        return
                    self._say(json.loads(line))
                else:
                    self._read(key.fd)

    def _say(self, links: list[dict[str, object]]) -> None:
        self._links = {}
        for said in links:
            link = Link(said)  # type: ignore[arg-type]  # JSON
            for source in said["source"]:  # type: ignore[attr-defined]  # JSON
                for target in said["target"]:  # type: ignore[attr-defined]  # JSON
                    self._links[_packed(source), _packed(target)] = link

    def _read(self, end: int) -> None:
        for _ in range(64):
            try:
                frame = os.read(end, FRAME)
            except (BlockingIOError, OSError):  # nothing more, or the device is down
                return
            to = self._to[end]
            way = (frame[26:30], frame[30:34]) if frame[12:14] == b"\x08\x00" else None
            link = self._links.get(way) if way is not None and end in self._hosts else None
            if link is None or way is None:
                _write(to, frame)
            else:
                self._send(link, way, to, frame)

    def _send(self, link: Link, way: tuple[bytes, bytes], to: int, frame: bytes) -> None:
        now = time.monotonic()
        at = now + link.delay()
        if frame[23] == 17:  # UDP
            if random.random() < link.reorder:
                at += OVERTAKEN_BY * link.delay()
            if random.random() < link.duplicate:
                self._put(now + link.delay(), to, frame)
        else:
            at = self._last[way] = max(at, self._last.get(way, 0.0))
        self._put(at, to, frame)

    def _put(self, at: float, to: int, frame: bytes) -> None:
        if len(self._under_way) < WAITING:
            self._count += 1
            heapq.heappush(self._under_way, (at, self._count, to, frame))


def _packed(address: str) -> bytes:
    return bytes(int(part) for part in address.split("."))


def _tap(name: str) -> int:
    end = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(end, TUNSETIFF, struct.pack("16sH14x", name.encode(), IFF_TAP_NO_PI))
    return end


def _write(to: int, frame: bytes) -> None:
    with contextlib.suppress(OSError):  # the other end is down, or full: lost, as frames are
        os.write(to, frame)


if __name__ == "__main__":
    wires = Wires(sys.argv[1:])
    print("strung", flush=True)
    wires.run()
