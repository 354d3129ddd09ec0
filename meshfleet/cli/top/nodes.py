"""The nodes' page: who is heard of, how, since when."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from meshfleet.cli.top.glance import GREY, glyph, short, word
from meshfleet.cli.top.grid import Column, Row
from meshfleet.fleet.presence import Presence

if TYPE_CHECKING:
    from meshfleet.cli.top.reading import Reading
    from meshfleet.fleet.view import FleetView, NodeView


def _name(node: NodeView, reading: Reading, _width: int) -> Text:
    return Text(node.name, "bold" if node.name == reading.view.served_by.node else "")


def _presence(node: NodeView, _reading: Reading, _width: int) -> Text:
    said = word(node.presence)
    return said if node.certainty is None else Text(f"{said.plain} {node.certainty.value}", said.style)


def _age(node: NodeView, reading: Reading, _width: int) -> Text:
    return Text(short(reading.age(node)), "" if node.presence is Presence.FRESH else glyph(node.presence)[1])


def _milliseconds(value: float | None) -> Text:
    return Text("-" if value is None else f"{value:.1f}" if abs(value) < 10 else f"{value:.0f}", "" if value else GREY)


def _island(node: NodeView, reading: Reading, _width: int) -> Text:
    """The number of its island: 1 is the serving node's own."""
    for number, island in enumerate(reading.view.served_by.islands, 1):
        if node.name in island:
            return Text(str(number))
    return Text("-", GREY)


COLUMNS: tuple[Column[NodeView], ...] = (
    Column("name", "NODE", 10, 24, _name),
    Column("presence", "PRESENCE", 13, 20, _presence),
    Column("age", "AGE", 4, 5, _age, right=True),
    Column("since", "SINCE", 5, 6, lambda n, r, _: Text(short(r.since(n.since)), GREY), right=True),
    Column("reach", "REACH", 8, 22, lambda n, r, _: Text(n.reach or "-")),
    Column("rtt", "RTT ms", 6, 7, lambda n, r, _: _milliseconds(n.rtt_ms), right=True),
    Column("island", "ISL", 3, 3, _island, right=True, rank=1),
    Column("agents", "AGENTS", 6, 6, lambda n, r, _: Text(str(len(n.agents))), right=True),
    Column("host", "HOST", 8, 22, lambda n, r, _: Text(n.host)),
    Column("zone", "ZONE", 5, 12, lambda n, r, _: Text(n.zone or "-"), rank=1),
    Column("clock", "CLOCK ms", 8, 9, lambda n, r, _: _milliseconds(n.clock_offset_ms), right=True, rank=2),
    Column("role", "ROLE", 8, 8, lambda n, r, _: Text(n.role), rank=3),
    Column("transport", "BY", 6, 6, lambda n, r, _: Text(n.transport or "-"), rank=4),
    Column("version", "VERSION", 7, 10, lambda n, r, _: Text(n.version), rank=4),
    Column("why", "WHY", 20, 90, lambda n, r, _: Text("; ".join(n.reasons), GREY), rank=3),
)


def shown(view: FleetView) -> list[Row[NodeView]]:
    """The rows, by name: nodes stay where they are when something happens to them."""
    return [Row(node.name, node) for node in view.nodes]
