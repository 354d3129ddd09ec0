"""How `meshfleet top` is looked at: columns, order, groups, what is typed after a colon; and that it is remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from tests.cli.top.fleet import a_fleet

pytest.importorskip("textual", reason="the extra tui is not installed")

from textual.widgets import Input

from meshfleet.cli.top.burn import Burn
from meshfleet.cli.top.columns import Chooser
from meshfleet.cli.top.grid import Grid
from meshfleet.cli.top.looks import keep_looks, read_looks
from tests.cli.top.driving import drive, keys_of, screen, until

if TYPE_CHECKING:
    from pathlib import Path

    from textual.pilot import Pilot

    from meshfleet.cli.top.app import Top
    from meshfleet.fleet.view import FleetView
    from tests.cli.top.site import Site, Sites


def test_columns_are_chosen_have_room_first_and_are_remembered_with_the_order(
    made: Sites, site: Site, tmp_path: Path
) -> None:
    file = tmp_path / "looks.json"

    async def choose(pilot: Pilot[None], top: Top) -> None:
        top._keep = lambda looks: keep_looks(file, looks)
        assert "PROJECT" not in screen(pilot)
        await pilot.press("c")
        await until(pilot, lambda: isinstance(top.screen, Chooser))
        columns = [column.key for column in top.query_one("#agents", Grid).columns]
        chooser = top.screen
        assert isinstance(chooser, Chooser)
        for key in ("model", "tool", "project"):
            chooser._cursor = columns.index(key)
            await pilot.press("space")
        assert "☒ project" in screen(pilot)
        await pilot.press("escape", "s")
        await until(pilot, lambda: "PROJECT" in screen(pilot))
        assert "MODEL" not in screen(pilot)

    async def see(pilot: Pilot[None], top: Top) -> None:
        assert "PROJECT" in screen(pilot)
        assert "MODEL" not in screen(pilot)
        assert "by agent" in screen(pilot)
        await pilot.press("c")
        await until(pilot, lambda: isinstance(top.screen, Chooser))
        await pilot.press("a")
        await until(pilot, lambda: "MODEL" in screen(pilot))
        assert "PROJECT" not in screen(pilot)

    drive(made, site.url, by=choose)
    drive(made, site.url, by=see, looks=read_looks(file))


@pytest.mark.parametrize(
    "kept",
    [
        b"",
        b"{",
        b"[]",
        b'{"order": "colour", "group": "mood", "columns": {"agents": ["smell"], "moon": ["a"]}}',
        b" " * 10_000,
    ],
)
def test_looks_that_make_no_sense_are_the_first_ones(made: Sites, site: Site, tmp_path: Path, kept: bytes) -> None:
    (tmp_path / "looks.json").write_bytes(kept)

    async def by(pilot: Pilot[None], top: Top) -> None:
        assert "by state" in screen(pilot)
        assert "MODEL" in screen(pilot)

    drive(made, site.url, by=by, looks=read_looks(tmp_path / "looks.json"))


def test_what_is_spent_an_hour_is_what_sessions_add_while_they_are_seen() -> None:
    view, burn = a_fleet(), Burn()

    def costing(extra: float) -> FleetView:
        first = msgspec.structs.replace(view.agents[0].state, cost_usd=7.31 + extra)
        return msgspec.structs.replace(
            view, agents=(msgspec.structs.replace(view.agents[0], state=first), *view.agents[1:])
        )

    burn.look(costing(0.0), 0.0)
    burn.look(msgspec.structs.replace(view, agents=()), 30.0)  # who goes and comes again spends nothing
    assert burn.per_hour() is None
    burn.look(costing(0.0), 60.0)
    assert burn.per_hour() is None
    burn.look(costing(2.0), 120.0)
    assert burn.per_hour() == pytest.approx(60.0)
    burn.look(costing(2.0), 900.0)
    assert burn.per_hour() is None  # that was long ago


def test_a_command_sorts_groups_turns_pages_and_goes_to_whom_it_names(made: Sites, site: Site) -> None:
    async def by(pilot: Pilot[None], top: Top) -> None:
        async def type_in(text: str) -> None:
            await pilot.press("colon", *("space" if letter == " " else letter for letter in text), "enter")

        await pilot.press("slash", *"box", "enter")
        await type_in("sort cost")
        assert keys_of(top)[0] == "box-1/claude-2a90"
        assert top.query_one("#filter", Input).value == "box"  # what is filtered stays
        await type_in("group node")
        assert "node n1: 3 agents" in screen(pilot)
        await type_in("nodes")
        assert "1/4" in screen(pilot)
        await type_in("ollama")
        assert top.query_one("#agents", Grid).under_cursor == "box-3/ollama-9d"
        await type_in("sort colour")
        await until(pilot, lambda: "is no column to sort by" in screen(pilot))
        await type_in("codex")
        await until(pilot, lambda: "2 names have 'codex' in them" in screen(pilot))
        await type_in("q")
        await until(pilot, lambda: not top.is_running)

    drive(made, site.url, by=by, size=(120, 40))
