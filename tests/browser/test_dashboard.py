"""What a person does with the page, done to the real one, before real nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.tabs import link_to, needs_chromium, tab
from tests.cli.processes import node
from tests.cli.test_demo import demo

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.processes, needs_chromium]

BASE = "20680"
AT = "2026-11-23T20:15:05Z"
# A page in a headless browser is never hidden by itself, and nobody sees the desktop: what is told there is kept.
NOTICES = """
    window.told = []; window.away = false;
    Object.defineProperty(document, "hidden", {get: () => window.away});
    window.Notification = class extends Notification {
        constructor(...told) { super(...told); window.told.push(this); }
    };
"""


def tell(url: object, agent_id: str, **state: object) -> None:
    """Push an agent's state, as the agent would."""
    body = {"agent_id": agent_id, "timestamp": AT, "status": "working", "runtime": "python", **state}
    answer = httpx.post(f"{url}/v1/agents/{agent_id}/state", json=body, trust_env=False)
    assert answer.status_code == 202, answer.text


def row_of(page: Page, agent_id: str) -> Locator:
    return page.locator("#agents-rows tr").filter(has=page.locator(f'a[title="{agent_id}"]'))


def order(page: Page) -> list[str]:
    found: list[str] = page.evaluate("[...document.querySelectorAll('#agents-rows a.name')].map((a) => a.title)")
    return found


def calm(page: Page, complaints: list[str]) -> None:
    """Nothing was complained of by the console, and nothing ran against the policy."""
    assert complaints + page.evaluate("window.violations") == []


def test_a_new_node_says_how_agents_and_nodes_come_to_it(browser: Browser, tmp_path: Path) -> None:
    with node(tmp_path / "n1", "--name", "n1") as (_, told):
        complaints = list[str]()
        with tab(browser, complaints) as page:
            page.goto(link_to(tmp_path / "n1"))
            expect(page.locator("#agents-empty")).to_contain_text("meshfleet.Agent")
            expect(page.locator("#agents-empty")).to_contain_text(str(told["http"]))
            expect(page.locator("#nodes-empty")).to_contain_text("meshfleet invite")
            expect(page.locator("#agents-table")).to_be_hidden()
            tell(told["http"], "box/a")
            expect(page.locator("#agents-empty")).to_be_hidden()
            expect(row_of(page, "box/a")).to_contain_text("working")
            calm(page, complaints)


def test_agents_are_sorted_filtered_and_grouped_and_the_address_keeps_it(browser: Browser, tmp_path: Path) -> None:
    with node(tmp_path / "n1", "--name", "n1") as (_, told):
        url, complaints = told["http"], list[str]()
        tell(url, "box/a", model="m-1", context_pct=91.0, context_tokens=182_000, context_limit=200_000, cost_usd=1.5)
        tell(url, "box/b", model="m-2", context_pct=20.0, context_trend_pct_per_min=2.0, cost_usd=3.0, status="idle")
        tell(url, "box/b1", model="m-2", parent="box/b")
        tell(url, "box/c", model="m-1", status="waiting", note="permission")
        with tab(browser, complaints) as page:
            page.goto(link_to(tmp_path / "n1"))
            expect(row_of(page, "box/c")).to_be_visible()
            # What waits for a person is first; a sub-agent stands under who started it, wherever that one is.
            expect(page.locator("#agents-rows a.name")).to_have_count(4)
            assert order(page) == ["box/c", "box/a", "box/b", "box/b1"]
            expect(page.locator("#totals")).to_contain_text("$4.50 today")
            expect(page.locator("#attention-list")).to_contain_text("box/c")
            bar = row_of(page, "box/a").get_by_role("meter")
            expect(bar).to_have_attribute("data-level", "high")
            expect(bar).to_have_attribute("aria-valuetext", "91 %")
            expect(row_of(page, "box/b")).to_contain_text("↗ 2.0 %/min")

            page.get_by_role("button", name="Cost").click()
            expect(page.locator("th[data-sort=cost]")).to_have_attribute("aria-sort", "descending")
            assert order(page) == ["box/b", "box/b1", "box/a", "box/c"]  # what is not known is last
            page.locator("#group").select_option("model")
            expect(page.locator(".group-row").first).to_contain_text("m-1")
            expect(page.locator(".group-row").first).to_contain_text("2 agents · ▲ 1 waiting · ● 1 working")
            expect(page.locator(".group-row").first).to_contain_text("$1.50")
            page.locator(".group-row button").first.click()
            expect(row_of(page, "box/a")).to_have_count(0)
            page.locator(".group-row button").first.click()

            page.locator("#filter").fill("model:m-1 -status:waiting context>80")
            expect(page.locator("#agents-count")).to_have_text("1 of 4")
            assert order(page) == ["box/a"]
            assert "group=model" in page.url
            with page.expect_download() as kept:
                page.locator("#export").click()
            lines = kept.value.path().read_text().splitlines()
            assert lines[0].startswith("agent,node,presence,status,")
            assert [line.split(",")[0] for line in lines[1:]] == ["box/a"]
            page.reload()
            expect(page.locator("#filter")).to_have_value("model:m-1 -status:waiting context>80")
            expect(page.locator("#agents-count")).to_have_text("1 of 4")
            page.locator("#filter").fill("nothing like it")
            expect(page.locator("#agents-unfit")).to_be_visible()
            page.locator("#unfilter").click()
            expect(page.locator("#agents-count")).to_have_text("4")
            calm(page, complaints)


def test_the_panel_tells_where_each_figure_comes_from_and_what_happened(browser: Browser, tmp_path: Path) -> None:
    with node(tmp_path / "n1", "--name", "n1") as (_, told):
        url, complaints = told["http"], list[str]()
        tell(url, "box/a", cost_usd=1.5, sources={"cost_usd": "priced"}, context_pct=41.0, tokens_in=12_345)
        tell(url, "box/a/sub", parent="box/a")
        with tab(browser, complaints) as page:
            page.goto(link_to(tmp_path / "n1"))
            row_of(page, "box/a").get_by_role("link").click()
            panel = page.locator("#detail")
            expect(page.locator("#detail-title")).to_have_text("agent box/a")
            expect(page.locator("#detail-title")).to_be_focused()
            expect(panel).to_contain_text("$1.50 priced")
            expect(panel).to_contain_text("12,345")
            expect(panel).to_contain_text("Judged by n1, which is connected")
            expect(panel).to_contain_text("appeared, python")
            expect(panel).to_contain_text("remembered from now on")
            panel.get_by_role("link", name="box/a/sub").click()
            expect(page.locator("#detail-title")).to_have_text("agent box/a/sub")
            page.go_back()
            expect(page.locator("#detail-title")).to_have_text("agent box/a")
            page.locator("#nodes-rows a.name").click()
            expect(page.locator("#detail-title")).to_have_text("node n1")
            expect(panel).to_contain_text("this node itself")
            calm(page, complaints)


def test_everything_can_be_done_by_keys(browser: Browser, tmp_path: Path) -> None:
    with node(tmp_path / "n1", "--name", "n1") as (_, told):
        complaints = list[str]()
        for name in ("a", "b", "c"):
            tell(told["http"], f"box/{name}")
        with tab(browser, complaints) as page:
            page.goto(link_to(tmp_path / "n1"))
            expect(page.locator("#agents-rows tr")).to_have_count(3)
            press = page.keyboard.press
            press("j")
            press("j")
            expect(page.locator("a[title='box/b']").first).to_be_focused()
            press("k")
            press("Enter")
            expect(page.locator("#detail-title")).to_have_text("agent box/a")
            press("Escape")
            expect(page.locator("#detail")).to_be_hidden()
            expect(page.locator("#agents-rows a[title='box/a']")).to_be_focused()
            press("/")
            expect(page.locator("#filter")).to_be_focused()
            page.keyboard.type("box/c")
            expect(page.locator("#agents-rows tr")).to_have_count(1)
            press("Escape")
            expect(page.locator("#agents-rows tr")).to_have_count(3)
            press("Escape")
            page.keyboard.type(":x/b")
            expect(page.locator("#agents-rows tr")).to_have_count(3)
            press("Enter")
            expect(page.locator("#detail-title")).to_have_text("agent box/b")
            press("Escape")
            press("g")
            expect(page.locator(".group-row")).to_have_count(1)
            press("v")
            expect(page.locator("#agents-table")).to_have_attribute("data-layout", "cards")
            press("?")
            expect(page.locator("#help")).to_be_visible()
            press("Escape")
            expect(page.locator("#help")).to_be_hidden()
            calm(page, complaints)


def test_who_looks_elsewhere_is_told_on_the_desktop_once_if_asked_for(browser: Browser, tmp_path: Path) -> None:
    with node(tmp_path / "n1", "--name", "n1") as (_, told), tab(browser, [], NOTICES) as page:
        page.context.grant_permissions(["notifications"], origin=str(told["http"]))
        tell(told["http"], "box/old", status="error")
        page.goto(link_to(tmp_path / "n1"))
        expect(page.locator("#attention-list")).to_contain_text("box/old")
        page.evaluate("window.away = true")
        tell(told["http"], "box/a", status="error")
        expect(page.locator("#attention-list")).to_contain_text("box/a")
        page.get_by_role("button", name="notify me").click()
        expect(page.locator("#notices")).to_have_attribute("aria-pressed", "true")
        tell(told["http"], "box/b", status="waiting")
        expect(page.locator("#attention-list")).to_contain_text("box/b")
        tell(told["http"], "box/b", status="waiting", note="still")
        page.evaluate("window.away = false")
        tell(told["http"], "box/c", status="error")
        expect(page.locator("#attention-list")).to_contain_text("box/c")
        assert page.evaluate("window.told.map((notice) => notice.title)") == ["box/b"]
        page.evaluate("window.told[0].dispatchEvent(new Event('click'))")
        expect(page.locator("#detail-title")).to_have_text("agent box/b")
        page.reload()
        expect(page.locator("#notices")).to_have_text("notices on")
        page.locator("#notices").click()
        expect(page.locator("#notices")).to_have_text("notify me")


def test_a_cut_is_shown_on_both_sides_and_its_end_too(browser: Browser, tmp_path: Path) -> None:
    with demo(tmp_path, BASE) as running:
        complaints = list[str]()
        with tab(browser, complaints) as few, tab(browser, complaints) as many:
            for page, name in ((few, "n3"), (many, "n1")):
                page.goto(link_to(tmp_path / name))
                expect(page.locator("#server-name")).to_have_text(name)
                expect(page.locator("#standing")).to_be_hidden()
                expect(page.locator(".map .island")).to_have_count(1)
            running.play("cut", "n1,n2")
            expect(few.locator("#standing")).to_contain_text("cut off")
            expect(few.locator("#standing-beyond")).to_contain_text("Beyond the cut: n1, n2")
            expect(few.locator("#standing-beyond")).to_contain_text("Since ")
            expect(few.locator("#server-standing")).to_contain_text("isolated")
            expect(few.locator(".map .island")).to_have_count(2)
            # One node that is not heard may be the one that is gone: from here that is no split, but it is an island.
            expect(many.locator("#attention-list")).to_contain_text("n3")
            expect(many.locator(".map .wall")).to_have_count(1)
            gone = many.locator("#nodes-rows tr").filter(has=many.locator("a[title=n3]"))
            expect(gone).to_contain_text("unreachable")
            expect(many.locator("#agents-rows tr[data-presence=unreachable]").first).to_contain_text("was ")
            running.play("heal")
            for page in (few, many):
                expect(page.locator("#standing")).to_be_hidden()
                expect(page.locator("#server-standing")).to_contain_text("connected")
                expect(page.locator(".map .island")).to_have_count(1)
                expect(page.locator("#nodes-rows tr[data-presence=fresh]")).to_have_count(3)
                calm(page, complaints)
        running.end()


def test_a_node_that_is_killed_is_missed_others_are_named_and_the_page_comes_back(
    browser: Browser, tmp_path: Path
) -> None:
    with demo(tmp_path, BASE) as running:
        with tab(browser, []) as page:  # a browser complains by itself of connections that fail
            page.goto(link_to(tmp_path / "n1"))
            expect(page.locator("#nodes-rows tr")).to_have_count(3)
            page.locator("#switch summary").click()
            expect(page.locator("#switch-list a")).to_have_count(2)
            running.play("kill", "n1")
            expect(page.locator("#lost-text")).to_contain_text("Connection to node n1 lost")
            expect(page.locator("#link")).to_contain_text("lost")
            other = page.locator("#lost-list a").first
            expect(other).to_have_attribute("href", f"{running.http('n2')}/")
            running.play("start", "n1")
            expect(page.locator("#link")).to_contain_text("live")
            expect(page.locator("#lost")).to_be_hidden()
            expect(page.locator("#nodes-rows tr[data-presence=fresh]")).to_have_count(3)
            running.play("kill", "n1")
            expect(other).to_be_visible()
            other.click()
            expect(page.locator("#locked")).to_contain_text("meshfleet link")  # its page, with a session of its own
            assert page.url.startswith(running.http("n2"))
        running.end()
