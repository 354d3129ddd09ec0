"""A thousand agents that all have news twice a second."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.measured import fleet
from tests.browser.tabs import needs_chromium, signed_in, tab

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.browser.fleet import Served

pytestmark = [pytest.mark.processes, needs_chromium]

HEAP_MB = 150
ROW_PX, CARD_PX = 49, 172


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with fleet(1_000) as served:
        yield served


def test_a_thousand_agents_are_all_there_found_and_kept_in_place(browser: Browser, served: Served) -> None:
    complaints = list[str]()
    with tab(browser, complaints, signed_in(served.token)) as page:
        page.goto(served.url)
        expect(page.locator("#agents-count")).to_have_text("1000")
        # Those near what is seen are in the page, and the rest has its room.
        few = page.evaluate("document.querySelectorAll('#agents-rows tr').length")
        assert few < 60
        expect(page.locator("#agents-table")).to_have_attribute("aria-rowcount", "1001")
        assert page.evaluate("document.getElementById('agents-rows').offsetHeight") == 1_000 * ROW_PX
        page.keyboard.press("j")
        focused = page.evaluate("document.activeElement.title")
        page.evaluate("window.row = document.activeElement.closest('tr')")
        told = page.locator("#agents-rows tr").first.locator("td.tokens")
        before = told.inner_text()
        expect(told).not_to_have_text(before)  # it goes on
        page.locator("th[data-sort=tokens] button").click()
        page.evaluate("window.row.querySelector('a.name').focus()")
        page.locator("th[data-sort=cost] button").evaluate("(button) => button.click()")
        expect(page.locator("th[data-sort=cost]")).to_have_attribute("aria-sort", "descending")
        # The rows were put into another order. Wherever that one is now, the next key goes on from there.
        page.keyboard.press("j")
        page.keyboard.press("k")
        expect(page.locator("#agents-rows a.name:focus")).to_have_attribute("title", focused)
        page.evaluate("document.getElementById('nodes').scrollIntoView({block: 'end'})")
        last = page.locator("#agents-rows tr[aria-rowindex='1001']")
        expect(last.locator("td.cost")).to_contain_text("$")
        assert page.evaluate("document.querySelectorAll('#agents-rows tr').length") <= few + 20
        for layout in ("cards", "table"):
            page.keyboard.press("v")
            expect(page.locator("#agents-table")).to_have_attribute("data-layout", layout)
            heights = page.evaluate(
                "[...new Set([...document.querySelectorAll('#agents-rows tr')].map((row) => row.offsetHeight))]"
            )
            assert heights == [CARD_PX if layout == "cards" else ROW_PX]  # as window.js reckons
        page.locator("#filter").fill("node:n7 runtime:codex")
        expect(page.locator("#agents-rows tr").first).to_contain_text("n7/")
        assert page.evaluate("document.querySelectorAll('#agents-rows tr').length") < 100
        page.locator("#filter").fill("")
        page.locator("#group").select_option("zone")
        for _ in range(3):
            page.locator(".group-row button[aria-expanded=true]").first.click()
        expect(page.locator(".group-row button[aria-expanded=false]")).to_have_count(3)
        expect(page.locator("#agents-rows tr")).to_have_count(3)
        assert page.evaluate("performance.memory.usedJSHeapSize / 1e6") < HEAP_MB
        assert complaints + page.evaluate("window.violations") == []


def test_what_a_node_calls_its_address_is_no_link_unless_it_is_a_page(browser: Browser, served: Served) -> None:
    with tab(browser, [], signed_in(served.token)) as page:
        page.goto(served.url)
        expect(page.locator("#agents-count")).to_have_text("1000")
        page.locator("#switch summary").click()
        expect(page.locator("#switch-list a")).to_have_count(8)
        assert page.locator("a[href^='javascript']").count() == 0
        page.locator("#nodes-rows a[title=n1]").click()
        expect(page.locator("#detail-title")).to_have_text("node n1")
        expect(page.locator("#detail .turn")).to_be_hidden()
