"""`meshfleet top`, driven by keys and mouse against real servers over loopback."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import msgspec
import pytest

from meshfleet.cli.asking import Asked, client
from meshfleet.fleet.notice import Notice, Severity
from meshfleet.fleet.standing import Standing
from tests.cli.processes import node, seen
from tests.cli.top.fleet import SINCE, a_fleet, on_two_levels, renamed
from tests.cli.top.site import Sites

pytest.importorskip("textual", reason="the extra tui is not installed")

from textual.widgets import Input, Static

from meshfleet.cli.top.app import Top
from meshfleet.cli.top.detail import Detail
from meshfleet.cli.top.following import Heard
from meshfleet.cli.top.grid import Grid
from tests.cli.top.driving import drive, keys_of, screen, until

if TYPE_CHECKING:
    from pathlib import Path

    from textual.pilot import Pilot

    from tests.cli.top.site import Site


NEEDY = "box-1/claude-2a90"
EMPTY = msgspec.structs.replace(a_fleet().totals, rate_limits=())


def test_who_needs_somebody_comes_first_and_who_is_gone_last(made: Sites, site: Site) -> None:
    async def by(pilot: Pilot[None], top: Top) -> None:
        keys = keys_of(top)
        assert keys[0] == NEEDY  # waits for a person
        assert keys[1] == "box-2/gemini-0c11"  # rate limited
        assert keys[-2:] == ["box-4/python-5e", "box-1/indexer"]  # down; exited
        shown = screen(pilot)
        assert "x n4: is down: stream ended without goodbye, for 15m" in shown
        assert "and 1 more: n" in shown

    drive(made, site.url, by=by)


def test_everything_fits_80_columns_and_more_room_is_used(made: Sites, site: Site) -> None:
    async def narrow(pilot: Pilot[None], top: Top) -> None:
        row = next(line for line in screen(pilot).splitlines() if "claude-1f3c" in line)
        assert all(word in row for word in ("tool", "61%", "8m", "$7.31", "Bash 2h15", "0."))
        assert "PROJECT" not in screen(pilot)

    async def wide(pilot: Pilot[None], top: Top) -> None:
        row = next(line for line in screen(pilot).splitlines() if "box-1/claude-1f3c" in line)
        assert all(word in row for word in ("shop", "claude-sonnet-4-5-20250929", "+4.8/m", "1.9M", "40.1k"))

    drive(made, site.url, by=narrow)
    drive(made, site.url, by=wide, size=(200, 50))


def test_rows_are_sorted_by_any_column_and_turned_round_with_the_unknown_last(made: Sites, site: Site) -> None:
    async def by(pilot: Pilot[None], top: Top) -> None:
        while top._looks.order != "cost":
            await pilot.press("s")
        # 12.5, 7.31, 2.04, 0.4, 0.33, 0.01; two are not known
        known = ["box-1/claude-2a90", "box-1/claude-1f3c", "box-2/codex-77aa", "box-2/gemini-0c11"]
        known += ["box-1/indexer", "box-4/python-5e"]
        unknown = ["box-2/codex-77ab", "box-3/ollama-9d"]
        assert keys_of(top) == known + unknown
        await pilot.press("r")
        assert keys_of(top) == known[::-1] + unknown

    drive(made, site.url, by=by)


def test_a_click_on_a_head_sorts_and_a_double_click_opens(made: Sites, site: Site) -> None:
    async def by(pilot: Pilot[None], top: Top) -> None:
        grid = top.query_one("#agents", Grid)
        head = screen(pilot).splitlines()[grid.region.y]
        await pilot.click(grid, offset=(head.index("COST"), 0))
        assert keys_of(top)[0] == "box-1/claude-2a90"
        await pilot.click(grid, offset=(3, 2))
        assert grid.under_cursor == "box-1/claude-1f3c"
        await pilot.click(grid, offset=(3, 2), times=2)
        await until(pilot, lambda: isinstance(top.screen, Detail))

    drive(made, site.url, by=by)


def test_a_filter_holds_while_it_is_typed_and_escape_ends_it(made: Sites, site: Site) -> None:
    async def by(pilot: Pilot[None], top: Top) -> None:
        await pilot.press("slash", *"host:box-2", "space", *"-codex")
        assert keys_of(top) == ["box-2/gemini-0c11"]
        await pilot.press("enter", "j")
        assert top.query_one("#filter", Input).display
        await pilot.press("escape")
        assert len(keys_of(top)) == 8
        assert not top.query_one("#filter", Input).display
        await pilot.press("slash", *"modle:x", "enter")
        await until(pilot, lambda: "knows no 'modle'" in screen(pilot))

    drive(made, site.url, by=by, size=(120, 30))


def test_groups_have_headings_with_sums_that_the_cursor_passes_over(made: Sites, site: Site) -> None:
    async def by(pilot: Pilot[None], top: Top) -> None:
        await pilot.press("b")
        # 7.31 + 12.5 + 0.33 = 20.14; 3 times 1,893,321 = 5.7M, 3 times 40,112 = 120.3k
        assert "node n1: 3 agents, $20.14, 5.7M in, 120.3k out" in screen(pilot)
        await pilot.press("g")
        seen = []
        for _ in range(8):
            seen.append(top.query_one("#agents", Grid).under_cursor)
            await pilot.press("j")
        assert seen == keys_of(top)
        assert None not in seen

    drive(made, site.url, by=by, size=(120, 40))


def test_the_cursor_stays_with_its_agent_when_rows_move(made: Sites, site: Site) -> None:
    async def by(pilot: Pilot[None], top: Top) -> None:
        await pilot.press("s", "j")
        grid = top.query_one("#agents", Grid)
        under = grid.under_cursor
        assert under == "box-1/indexer"
        site.show(renamed(a_fleet(), "box-2/codex-77aa", "a-new-one", "b1c9-2"))
        await until(pilot, lambda: "a-new-one" in keys_of(top))
        assert grid.under_cursor == under
        assert keys_of(top).index(under) == 3

    drive(made, site.url, by=by)


def test_a_row_opens_with_figures_their_sources_the_evidence_and_the_history(made: Sites, site: Site) -> None:
    async def by(pilot: Pilot[None], top: Top) -> None:
        await pilot.press("2", "G", "enter")
        await until(pilot, lambda: "connection refused" in screen(pilot) and "HAPPENED" in screen(pilot))
        assert "down proven for 15m" in screen(pilot)
        assert "n4 is down: connection refused" in screen(pilot)
        await pilot.press("escape", "1", "g", "enter")
        await until(pilot, lambda: "priced" in screen(pilot))
        assert "34%, 68,000 of 200,000 tokens   reported:rollout" in screen(pilot)

    drive(made, site.url, by=by, size=(100, 50))


def test_n_goes_to_the_next_that_needs_somebody(made: Sites, site: Site) -> None:
    async def by(pilot: Pilot[None], top: Top) -> None:
        await pilot.press("j", "j", "n")
        assert top.query_one("#nodes", Grid).under_cursor == "n4"
        await pilot.press("n")
        assert top.query_one("#agents", Grid).under_cursor == "box-2/codex-77aa"
        await pilot.press(*"/nothing", "escape", "n")
        assert top.query_one("#agents", Grid).under_cursor == NEEDY

    drive(made, site.url, by=by)


def test_limits_stand_by_key_and_lead_to_the_agents_that_share_it(made: Sites, site: Site) -> None:
    async def by(pilot: Pilot[None], top: Top) -> None:
        await pilot.press("3")
        lines = screen(pilot).splitlines()
        five = next(line for line in lines if " 5h " in line)
        seven = next(line for line in lines if " 7d " in line)
        # 5h: 4 h of 5 have passed with 38 % used; the last hour uses 9.5 % at that pace.
        assert "38%" in five
        assert "resets first" in five
        # 7d: 1 d of 7 has passed with 91 %; the other 9 % last 24 h * 9 / 91 = 2.4 h.
        assert "91%" in seven
        assert "in 2h" in seven
        await pilot.press("enter")
        assert sorted(keys_of(top)) == ["box-1/claude-1f3c", NEEDY]

    drive(made, site.url, by=by)


@pytest.mark.parametrize("standing", [Standing.PARTITIONED, Standing.ISOLATED])
def test_a_node_that_is_cut_off_says_so_in_words_and_the_others_are_as_of_before(
    made: Sites, standing: Standing
) -> None:
    async def by(pilot: Pilot[None], top: Top) -> None:
        shown = screen(pilot)
        assert "CUT OFF for 15m: n1" in shown
        assert "Beyond the cut: n2 (15m), n3 (15m), n4 (15m)." in shown
        assert top.query_one("#banner", Static).has_class("grave")
        assert sum("unreachable" in line and "codex" in line for line in shown.splitlines()) == 2

    drive(made, made.serving(a_fleet(standing=standing)).url, by=by)


def test_it_turns_to_another_node_when_its_own_goes_away(made: Sites, site: Site) -> None:
    other = made.serving(a_fleet("n2"))

    async def by(pilot: Pilot[None], top: Top) -> None:
        await until(pilot, lambda: top.heard.url == site.url)
        await asyncio.to_thread(site.end)
        await until(pilot, lambda: top.heard.url == other.url)
        await until(pilot, lambda: "n1 does not answer any more: this is n2's view." in screen(pilot))
        assert screen(pilot).startswith("meshfleet n2 is connected")

    drive(made, site.url, other.url, by=by, size=(120, 30))


def test_v_shows_the_fleet_as_another_node_sees_it(made: Sites) -> None:
    other = made.serving(a_fleet("n2"))
    view = a_fleet()
    nodes = tuple(msgspec.structs.replace(node, base_url=other.url) for node in view.nodes)
    site = made.serving(msgspec.structs.replace(view, nodes=nodes))

    async def by(pilot: Pilot[None], top: Top) -> None:
        await pilot.press("2", "j", "v")
        await until(pilot, lambda: top.heard.view.served_by.node == "n2")
        assert top.heard.url == other.url

    drive(made, site.url, by=by)


def test_silence_is_told_and_ages_go_on(made: Sites, site: Site) -> None:
    async def by(pilot: Pilot[None], top: Top) -> None:
        assert top._following is not None
        top._following.stop()
        await pilot.pause()
        then = time.monotonic() - 75
        top.heard = top.heard._replace(at=then, alive=then)
        top.draw()
        await pilot.pause()
        shown = screen(pilot)
        assert "NOTHING HEARD for 1m" in shown
        # n3 was not heard of for 126 s when the view came, and 75 more have passed: 3 min 21 s.
        assert next(line for line in shown.splitlines() if "ollama" in line).endswith("3m")

    drive(made, site.url, by=by)


def test_an_empty_fleet_says_how_to_fill_it(made: Sites) -> None:
    async def by(pilot: Pilot[None], top: Top) -> None:
        assert "No agents yet" in screen(pilot)
        await pilot.press("enter", "j", "b", "3")
        assert "No agent has told of a rate limit" in screen(pilot)

    drive(made, made.serving(msgspec.structs.replace(a_fleet(), agents=(), totals=EMPTY)).url, by=by)


def test_other_zones_have_a_page_and_one_that_is_heard_is_shown_in_full(made: Sites) -> None:
    async def by(pilot: Pilot[None], top: Top) -> None:
        assert "1 of 2 other zones heard" in screen(pilot)
        assert "4 zones" in screen(pilot)
        await pilot.press("4")
        assert keys_of(top, "zones") == ["zone:eu-2", "zone:us-1"]
        row = next(line for line in screen(pilot).splitlines() if "eu-2" in line)
        assert all(word in row for word in ("fresh", "98", "1 down", "243", "$118.20", "4: box-9/claude"))
        await pilot.press("enter")
        await until(pilot, lambda: "IN FULL, as n1 sees it" in screen(pilot))
        assert "needs you   box-9/claude-77: waits for a person, for 15m" in screen(pilot)
        assert "and 3 more" in screen(pilot)
        assert "box-1/claude-1f3c" in screen(pilot)
        await pilot.press("escape", "j", "enter")
        await until(pilot, lambda: "All of it could not be had" in screen(pilot))
        assert "it hears none of those who speak for us-1" in screen(pilot)

    drive(made, made.serving(on_two_levels()).url, by=by, size=(110, 50))


def test_on_one_level_there_is_no_page_of_zones_until_it_is_asked_for(made: Sites, site: Site) -> None:
    async def by(pilot: Pilot[None], top: Top) -> None:
        assert "4 zones" not in screen(pilot)
        await pilot.press("4")
        assert "No other zone is heard of." in screen(pilot)

    drive(made, site.url, by=by)


def test_a_notice_about_a_zone_leads_to_it(made: Sites) -> None:
    view = on_two_levels()
    lost = Notice(rule="zone", severity=Severity.CRITICAL, subject="zone:us-1", since=SINCE, text="is unreachable",
                  key="z")  # fmt: skip

    async def by(pilot: Pilot[None], top: Top) -> None:
        await pilot.press("n")
        assert top.query_one("#zones", Grid).under_cursor == "zone:us-1"
        await pilot.press("2", "colon", *"eu-2", "enter")
        assert top.query_one("#zones", Grid).under_cursor == "zone:eu-2"

    drive(made, made.serving(msgspec.structs.replace(view, attention=(lost,))).url, by=by)


def test_that_the_fleet_says_too_much_is_told_in_the_banner(made: Sites) -> None:
    view = a_fleet()
    slow = msgspec.structs.replace(view, served_by=msgspec.structs.replace(view.served_by, slowed=3.2))

    async def by(pilot: Pilot[None], top: Top) -> None:
        assert "The fleet says too much: snapshots of agents of n1 go 3.2 times as seldom." in screen(pilot)

    drive(made, made.serving(slow).url, by=by, size=(120, 30))


def test_question_mark_tells_the_keys_and_q_ends(made: Sites, site: Site) -> None:
    async def by(pilot: Pilot[None], top: Top) -> None:
        await pilot.press("question_mark")
        assert "see the fleet as the row's node sees it" in screen(pilot)
        await pilot.press("q")
        assert top.is_running
        await pilot.press("q")
        await until(pilot, lambda: not top.is_running)

    drive(made, site.url, by=by)


def test_a_key_that_is_not_good_ends_it_with_a_reason(made: Sites, site: Site, tmp_path: Path) -> None:
    async def by(pilot: Pilot[None], top: Top) -> None:
        (tmp_path / "elsewhere").mkdir()
        stranger = Sites(tmp_path / "elsewhere")
        top._follow(stranger.client(site.url))
        await until(pilot, lambda: top.problem is not None)

    drive(made, site.url, by=by)


@pytest.mark.processes
def test_it_follows_a_real_node(tmp_path: Path) -> None:
    with node(tmp_path, "--name", "box", "--sample", "3") as (_, told):
        asked = Asked(str(told["http"]), str(tmp_path))
        seen(told["http"], lambda view: len(view.agents) == 3)

        async def play() -> None:
            first = client(asked)
            view = await asyncio.to_thread(first.fleet)
            now = time.monotonic()
            top = Top(first, Heard(view, now, now, first.url), lambda url, before: first)
            async with asyncio.timeout(60), top.run_test(size=(100, 30)) as pilot:
                await until(pilot, lambda: top.heard.view.version != view.version)
                assert len(keys_of(top)) == 3
                await pilot.press("enter")
                await until(pilot, lambda: "says box, which is" in screen(pilot))
                await until(pilot, lambda: "HAPPENED" in screen(pilot))

        asyncio.run(play())
