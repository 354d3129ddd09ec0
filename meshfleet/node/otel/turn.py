"""Whose turn it is to export: what this node says of itself to the others that are set up, and what they say.

It spreads under a reserved id, and the time at which the fleet was exported first is kept on disk.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import msgspec
import trio

from meshfleet.errors import StateDirError, WireError
from meshfleet.fleet.exporting import Exporting, began, whose_turn
from meshfleet.fleet.fleet_measures import HEARD
from meshfleet.node.store import replace_file
from meshfleet.wire import cbor
from meshfleet.wire.accounts import EXPORTING

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable
    from pathlib import Path

    from meshfleet.fleet.names import NodeName
    from meshfleet.node.hearsay import Carrier

FILE = "otel.json"
VERSION = 1
FAILURES_LIMIT = 1_000
"""Failures that are counted. More make no difference."""
EARLIEST = 1_577_836_800
"""2020-01-01, before there was a fleet. Whoever says less is not believed."""

_Said = tuple[int, Annotated[int, msgspec.Meta(ge=EARLIEST, lt=2**40)], Annotated[int, msgspec.Meta(ge=0)]]


class _Kept(msgspec.Struct):
    began: Annotated[int, msgspec.Meta(ge=EARLIEST, lt=2**40)]


class Turn:
    """See the module. `wall` is Unix time; without `folder` nothing is kept."""

    def __init__(
        self, carrier: Carrier, counts: Counter[str], wall: Callable[[], float], folder: Path | None, *, shared: bool
    ) -> None:
        self._carrier = carrier
        self._counts = counts
        self._wall = wall
        self._file = None if folder is None else folder / FILE
        self._shared = shared
        self._kept: int | None = None
        self._said: object = None
        self.began = int(wall())
        """From when on sums count whose beginning nobody knows better, Unix time."""
        self.failures = 0
        self.whose: NodeName | None = None
        """Who exports, as of the last look."""

    async def load(self) -> None:
        """Take up what was known in the life before."""
        if self._file is not None:
            with suppress(OSError, msgspec.DecodeError):
                data = await trio.to_thread.run_sync(self._file.read_bytes)
                self._kept = msgspec.json.decode(data[:4_096], type=_Kept).began
                self.began = min(self.began, self._kept)

    def look(self) -> bool:
        """Whether it is this node's turn now. Says what changed of this node."""
        me = self._carrier.member.name
        if not self._shared:
            self.whose = me
            return True
        known = self._exporting()
        self.began = min(began(known), int(self._wall()))
        self.whose = whose_turn(known)
        self._say()
        return self.whose == me

    def count(self, *, worked: bool) -> None:
        """That an export got through, or was given up."""
        self.failures = 0 if worked else min(self.failures + 1, FAILURES_LIMIT)
        if self._shared:
            self._say()

    async def keep(self) -> None:
        """Write down what is to outlast this node's process, where it changed."""
        if self._file is not None and self._kept != self.began:
            kept = self.began
            try:
                await trio.to_thread.run_sync(replace_file, self._file, msgspec.json.encode(_Kept(kept)) + b"\n")
                self._kept = kept
            except StateDirError:
                self._counts["unsaved_otel"] += 1

    def _say(self) -> None:
        said = [VERSION, self.began, self.failures]
        if said != self._said:
            self._said = said
            self._carrier.tell_beside(EXPORTING, cbor.dump(said))

    def _exporting(self) -> list[Exporting]:
        member = self._carrier.member
        found = [Exporting(member.name, True, self.began, self.failures)]
        for record in member.roster:
            shelf = member.replica.shelf(record.name)
            snapshot = None if shelf is None else shelf.held.get(EXPORTING)  # type: ignore[call-overload]  # no agent's id
            said = None if snapshot is None or snapshot.withdrawn else read_exporting(snapshot.body)
            if said is not None:
                found.append(Exporting(record.name, record.presence in HEARD, *said))
        return found


def read_exporting(body: bytes) -> tuple[int, int] | None:
    """When exports began and how many failed, by what somebody says; None where that makes no sense."""
    try:
        version, since, failures = msgspec.convert(cbor.load(body, max_depth=2, text_keys=True), _Said)
    except (WireError, msgspec.ValidationError):
        return None
    return (since, failures) if version == VERSION else None
