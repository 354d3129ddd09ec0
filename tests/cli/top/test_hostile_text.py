"""What agents and members say is shown by `meshfleet top`, and obeyed neither by it nor by the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from meshfleet.fleet.evidence import Fact, Kind
from tests.cli.evil import ACTS, EVIL, a_hostile_fleet, hostile
from tests.cli.top.fleet import a_fleet
from tests.cli.top.site import Sites, Still, Told

pytest.importorskip("textual", reason="the extra tui is not installed")

from rich.segment import Segment
from textual.color import Color

from meshfleet.cli.top.plainly import plainly
from tests.cli.top.driving import drive, screen, until

if TYPE_CHECKING:
    from textual.pilot import Pilot

    from meshfleet.cli.top.app import Top

FLEET = a_fleet()
NAMES = {FLEET.version} | {node.name for node in FLEET.nodes} | {agent.agent_id for agent in FLEET.agents}


def harmless(shown: str) -> str:
    assert ACTS.findall(shown) == []
    assert not any(line.lstrip().startswith("FAKE") for line in shown.splitlines())
    return shown


@pytest.mark.parametrize("kept", [NAMES, {FLEET.version}], ids=["texts", "names too"])
def test_no_page_shows_what_acts(made: Sites, kept: set[str]) -> None:
    site = made.serving(a_hostile_fleet(kept))

    async def by(pilot: Pilot[None], top: Top) -> None:
        assert "FAKE" in harmless(screen(pilot))
        for key in ("b", "b", "2", "3", "c", "escape", "1", "n", "v"):
            await pilot.press(key)
            await pilot.pause()
            harmless(screen(pilot))

    drive(made, site.url, by=by, size=(240, 50))


def test_evidence_and_history_are_shown_as_they_were_said(made: Sites, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = Fact(kind=Kind.REFUSED, at=98.0, by="n2", detail=f"refused{EVIL}", host="box-1")
    monkeypatch.setattr(Still, "why", lambda _self, _name: (refused,))
    monkeypatch.setattr(Told, "LINES", hostile(Told.LINES, NAMES))
    site = made.serving(a_hostile_fleet(NAMES))

    async def by(pilot: Pilot[None], top: Top) -> None:
        await pilot.press("enter")
        await until(pilot, lambda: "HAPPENED" in screen(pilot))
        shown = harmless(screen(pilot))
        assert "\\u001b]52" in shown
        assert "[red]no[/red][/]" in shown

    drive(made, site.url, by=by, size=(240, 80))


def test_a_notification_is_no_markup_and_one_line(made: Sites) -> None:
    site = made.serving(a_fleet())

    async def by(pilot: Pilot[None], top: Top) -> None:
        top.notify(f"[red]no[/red][/] {EVIL}")
        await until(pilot, lambda: "[red]no[/red][/]" in screen(pilot))
        assert "x\\u000aFAKE" in harmless(screen(pilot))

    drive(made, site.url, by=by, size=(240, 50))


def test_what_gets_past_is_taken_out_of_drawn_lines(made: Sites) -> None:
    site = made.serving(a_fleet())

    async def by(_pilot: Pilot[None], top: Top) -> None:
        line = [Segment(f"a{EVIL}")]
        for each in top.get_line_filters():
            line = each.apply(line, Color(0, 0, 0))
        assert "".join(segment.text for segment in line) == "axFAKE]52;c;ZXZpbA==[2J31m[red]no[/red][/]"

    drive(made, site.url, by=by)


def test_what_is_harmless_is_left_as_it_is() -> None:
    assert plainly(FLEET) is FLEET
    once = plainly(a_hostile_fleet())
    assert plainly(once) == once
