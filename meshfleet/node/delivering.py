"""Delivers notices where this node is set up to, once for the fleet: `fleet.telling` says whose turn it is.

What a node has told spreads under a reserved id, as short as can be: who is set up is known by it, and who comes next
knows whether the one before it has told something before it went. It is kept on disk, so that a restart tells nothing
twice. How much the word of others counts for, `telling` says, too: any member may claim anything.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import msgspec
import trio

from meshfleet.errors import StateDirError, WireError
from meshfleet.fleet.notice import Severity
from meshfleet.fleet.presence import Presence
from meshfleet.fleet.telling import HELD, Teller, Told, is_told, place, short
from meshfleet.logs import get_logger
from meshfleet.node.sending import delivered, send
from meshfleet.node.store import replace_file
from meshfleet.wire import cbor
from meshfleet.wire.accounts import NOTICES

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable
    from pathlib import Path

    from meshfleet.fleet.notice import Notice
    from meshfleet.node.delivery import Delivery
    from meshfleet.node.hearsay import Carrier

SAID = 128
"""Notices that a node says it has told: the newest. Others may tell older ones again, once by each."""

REMEMBERED = 4_096
"""Notices that a node remembers to have told; the oldest go. It tells none twice while it is open, so this is beyond
what is open at a time in a fleet whose every agent waits."""

FILE_LIMIT = 512 * 1024
"""Bytes of the file with them: some 45 each."""

AT_ONCE = 4
"""Deliveries under way at one time. What is due besides waits: it is asked for again at each look."""

TRIES = 3
"""Failures after which this node leaves a notice to the next in turn, and tries it each `HELD` alone: whoever claims to
be the next may be nobody who tells anything."""

RETRY = 30.0
"""Seconds before a delivery that failed is tried again."""

FORGET = 60.0
"""Seconds for which something must be over before it can be told again."""

FILE = "told.json"
_VERSION = 1
THERE = (Presence.FRESH, Presence.STALE)

log = get_logger("meshfleet.node")


class Delivering:
    """See the module. `step` is the time, in seconds, that each place in turn waits longer than the one before it."""

    def __init__(
        self,
        carrier: Carrier,
        delivery: Delivery,
        counts: Counter[str],
        wall: Callable[[], float],
        folder: Path | None,
        step: float,
    ) -> None:
        self._carrier = carrier
        self._delivery = delivery
        self._counts = counts
        self._wall = wall
        self._file = None if folder is None else folder / FILE
        self.step = step
        self._told: dict[bytes, Told] = {}
        self._notices: dict[bytes, Notice] = {}
        """Those that were told by this node and are not over."""
        self._over_since: dict[bytes, float] = {}
        self._began: dict[str, tuple[int, float, float]] = {}
        """How severe each open notice is at worst, and when it was seen to be so first: monotonic, and Unix time."""
        self._failed: dict[str, tuple[int, float]] = {}
        self._under_way: set[str] = set()
        self._saying: object = None

    async def run(self, nursery: trio.Nursery) -> None:
        """Begin: take up what was told in the life before. Deliveries run in `nursery`."""
        self._nursery = nursery
        if self._file is not None:
            with suppress(OSError, msgspec.DecodeError):
                data = await trio.to_thread.run_sync(self._file.read_bytes)
                kept = msgspec.json.decode(data[:FILE_LIMIT], type=dict[str, Told])
                self._told = {bytes.fromhex(key): told for key, told in kept.items() if _is_hex(key)}
        self._say()

    def look(self, notices: tuple[Notice, ...]) -> None:
        """What needs attention now. Whatever is due is begun."""
        now = trio.current_time()
        seen = {notice.key: (notice.severity.rank, now, self._wall()) for notice in notices}
        for key, before in self._began.items():
            if key in seen and before[0] >= seen[key][0]:
                seen[key] = before
        self._began = seen
        self._failed = {key: failed for key, failed in self._failed.items() if key in self._began}
        self._end(notices, now)
        tellers, me = self._tellers(), self._carrier.member.name
        for notice in notices:
            if notice.severity.rank < self._delivery.least.rank or notice.key in self._under_way:
                continue
            _, seen_at, began = self._began[notice.key]
            tries, failed_at = self._failed.get(notice.key, (0, -RETRY))
            others = sum(teller.is_there for teller in tellers) > 1
            if now - failed_at < (HELD if tries >= TRIES and others else RETRY):
                continue
            due = now - seen_at - self.step * (1 + place(notice, me, tellers))
            if due < 0 or len(self._under_way) >= AT_ONCE:
                continue
            if not is_told(notice, began, tellers, me, due, failed=tries > 0):
                self._under_way.add(notice.key)
                self._nursery.start_soon(self._deliver, notice)

    def _end(self, notices: tuple[Notice, ...], now: float) -> None:
        """Forget what has been over for a while, and tell that it is, if that is wanted."""
        for notice in notices:
            key = short(notice.key)
            self._over_since.pop(key, None)
            if key in self._told:
                self._notices[key] = notice
        open_now = {short(notice.key) for notice in notices}
        for key in [key for key in self._told if key not in open_now]:
            if now - self._over_since.setdefault(key, now) >= FORGET:
                del self._told[key], self._over_since[key]
                over = self._notices.pop(key, None)
                if self._delivery.resolved and over is not None and len(self._under_way) < AT_ONCE:
                    self._under_way.add(over.key)
                    self._nursery.start_soon(partial(self._deliver, over, event="resolved"))
                self._remember()

    async def _deliver(self, notice: Notice, event: str = "raised") -> None:
        """By every way that is set. One that works is enough to have told it."""
        told = delivered(notice, self._carrier.member.name, event)
        worked = False
        try:
            for way in self._delivery.ways:
                why = await send(way, self._delivery, told)
                worked |= why is None
                self._counts[f"delivered_{way}" if why is None else f"failed_{way}"] += 1
                if why is not None:
                    log.warning("a notice could not be delivered", way=way, rule=notice.rule, why=why)
        finally:
            self._under_way.discard(notice.key)
        if event == "raised" and worked:
            self._told[short(notice.key)] = Told(notice.severity.rank, int(self._wall()))
            while len(self._told) > REMEMBERED:
                del self._told[next(iter(self._told))]
            self._remember()
        elif event == "raised":
            tries = self._failed.get(notice.key, (0, 0.0))[0]
            self._failed[notice.key] = (tries + 1, trio.current_time())

    def _remember(self) -> None:
        self._say()
        if self._file is not None:
            data = msgspec.json.encode({key.hex(): told for key, told in self._told.items()}) + b"\n"
            self._nursery.start_soon(self._save, data)

    async def _save(self, data: bytes) -> None:
        assert self._file is not None
        try:
            await trio.to_thread.run_sync(replace_file, self._file, data)
        except StateDirError:
            self._counts["unsaved_told"] += 1

    def _say(self) -> None:
        said = [[key, told.severity, told.at] for key, told in [*self._told.items()][-SAID:]]
        if said != self._saying:
            self._saying = said
            self._carrier.tell_beside(NOTICES, cbor.dump([_VERSION, said]))

    def _tellers(self) -> list[Teller]:
        member = self._carrier.member
        tellers = [Teller(member.name, True, self._told)]
        for record in member.roster:
            shelf = member.replica.shelf(record.name)
            snapshot = None if shelf is None else shelf.held.get(NOTICES)  # type: ignore[call-overload]  # no agent's id
            if snapshot is not None and not snapshot.withdrawn:
                tellers.append(Teller(record.name, record.presence in THERE, read(snapshot.body)))
        return tellers


def read(body: bytes) -> dict[bytes, Told]:
    """What somebody says that it has told; nothing where that makes no sense, nor of what is told as more severe than
    anything is."""
    try:
        item = cbor.load(body, max_depth=4, text_keys=True)
        _, rows = msgspec.convert(item, tuple[int, list[tuple[bytes, int, int]]])
    except (WireError, msgspec.ValidationError):
        return {}
    return {key: Told(severity, at) for key, severity, at in rows[:SAID] if severity < len(Severity)}


def _is_hex(text: str) -> bool:
    return len(text) == 16 and all(c in "0123456789abcdef" for c in text)
