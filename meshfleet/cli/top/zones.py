"""The zones' page, of a fleet on two levels: the other zones, as those tell who speak for them, and one of them in
full."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from meshfleet.cli import showing
from meshfleet.cli.tables import not_fresh, tables, there
from meshfleet.cli.top.glance import GREY, glyph, short, word
from meshfleet.cli.top.grid import Column, Row
from meshfleet.cli.top.plainly import plainly
from meshfleet.fleet.presence import Presence

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshfleet.cli.top.reading import Reading
    from meshfleet.client import Reader
    from meshfleet.fleet.view import FleetView
    from meshfleet.fleet.zone import ZoneView

NO_ZONES = "No other zone is heard of. A fleet on two levels has them: `meshfleet up --levels 2 --zone NAME`."

SUBJECT = "zone:"
"""Before a zone's name, where it could be a node's as well; notices have it so."""


def subject_of(zone: ZoneView) -> str:
    """What notices about it are about."""
    return f"{SUBJECT}{zone.zone}"


def find(view: FleetView, subject: str) -> ZoneView | None:
    """The zone that this names, if it names one."""
    return next((zone for zone in view.zones if subject_of(zone) == subject), None)


def _age(zone: ZoneView, reading: Reading, _width: int) -> Text:
    colour = "" if zone.presence is Presence.FRESH else glyph(zone.presence)[1]
    return Text(short(zone.age_s + reading.passed), colour)


def _not_fresh(zone: ZoneView, _reading: Reading, _width: int) -> Text:
    gone = not_fresh(zone.sums.nodes)
    return Text(gone, "yellow") if gone else Text("-", GREY)


def _needs(zone: ZoneView, _reading: Reading, _width: int) -> Text:
    if not zone.sums.notices:
        return Text("-", GREY)
    worst = next(iter(zone.sums.attention), None)
    said = "" if worst is None else f": {worst.subject} {worst.text}"
    return Text(f"{zone.sums.notices}{said}", "" if worst is None else showing.SEVERITIES[worst.severity])


COLUMNS: tuple[Column[ZoneView], ...] = (
    Column("zone", "ZONE", 8, 24, lambda z, _r, _w: Text(z.zone)),
    Column("presence", "PRESENCE", 13, 14, lambda z, _r, _w: word(z.presence)),
    Column("age", "AGE", 4, 5, _age, right=True),
    Column("nodes", "NODES", 5, 6, lambda z, _r, _w: Text(str(there(z.sums.nodes))), right=True),
    Column("gone", "NOT FRESH", 9, 30, _not_fresh),
    Column("agents", "AGENTS", 6, 6, lambda z, _r, _w: Text(str(there(z.sums.agents))), right=True),
    Column("cost", "COST", 7, 9, lambda z, _r, _w: Text(showing.money(z.sums.cost_usd)), right=True),
    Column("in", "IN", 6, 7, lambda z, _r, _w: Text(showing.count(z.sums.tokens_in)), rank=2, right=True),
    Column("out", "OUT", 6, 7, lambda z, _r, _w: Text(showing.count(z.sums.tokens_out)), rank=2, right=True),
    Column("by", "TOLD BY", 8, 16, lambda z, _r, _w: Text(z.by), rank=3),
    Column("needs", "NEEDS YOU", 9, 90, _needs, fair=40),
)


def shown(view: FleetView) -> list[Row[ZoneView]]:
    """The rows, by name."""
    return [Row(subject_of(zone), zone) for zone in view.zones]


def figures(zone: ZoneView, reading: Reading) -> Iterator[Text]:
    """All that is known here of a zone, in lines."""

    def line(name: str, value: Text | str | None) -> Iterator[Text]:
        if value is not None:
            yield Text.assemble((f"{name:<12}", GREY), value)

    said = word(zone.presence)
    said.append(f"; heard of {short(zone.age_s + reading.passed)} ago", "")
    for reason in zone.reasons:
        said.append(f"\n{'':<12}{reason}", GREY)
    sums = zone.sums
    used = f"{showing.count(sums.tokens_in)} tokens in, {showing.count(sums.tokens_out)} out"
    yield from line("presence", said)
    yield from line("told by", zone.by)
    yield from line("nodes", showing.how_many(sums.nodes, "node"))
    yield from line("agents", showing.how_many(sums.by_status, "agent").replace("_", " "))
    yield from line("used", used if sums.cost_usd is None else f"{used}, {showing.money(sums.cost_usd)}")
    yield from line("today", None if sums.today_cost_usd is None else showing.money(sums.today_cost_usd))
    yield from line("period", None if sums.period_cost_usd is None else showing.money(sums.period_cost_usd))
    for limit in sums.rate_limits:
        pct = "not reported" if limit.used_pct is None else f"{limit.used_pct:.0f}%"
        yield from line("limit", f"{limit.key} {limit.window}: {pct}")
    for notice in sums.attention:
        lasts = short(reading.since(notice.since))
        text = Text(f"{notice.subject}: {notice.text}, for {lasts}", showing.SEVERITIES[notice.severity])
        yield from line("needs you", text)
    if sums.notices > len(sums.attention):
        yield from line("", f"and {sums.notices - len(sums.attention)} more")


def in_full(reader: Reader, zone: str, width: int) -> RenderableType:
    """What a delegate of that zone answers when it is asked for all of it."""
    # They bring the server's types along, which nothing else here needs.
    from meshfleet.cli.asking import path_of
    from meshfleet.fleet.view import FleetView

    view = plainly(reader.get_as(path_of("/v1/zones", zone), FleetView))
    return Group(Text(f"\nIN FULL, as {view.served_by.node} sees it", "bold"), *tables(view, width))
