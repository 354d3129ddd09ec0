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


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with fleet(1_000) as served:
        yield served


def test_a_thousand_agents_are_all_there_found_and_kept_in_place(browser: Browser, served: Served) -> None:
    complaints = list[str]()
    with tab(browser, complaints, signed_in(served.token)) as page:
        page.goto(served.url)
        expect(page.locator("#agents-count")).to_have_text("1000")
        expect(page.locator("#agents-rows tr")).to_have_count(1_000)
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
        # The rows were put into another order: the same elements, and the focus where it was.
        assert page.evaluate("window.row.isConnected && document.activeElement.title") == focused
        far = page.locator("#agents-rows tr").nth(900)
        far.scroll_into_view_if_needed()
        expect(far.locator("td.cost")).to_contain_text("$")
        page.locator("#filter").fill("node:n7 runtime:codex")
        expect(page.locator("#agents-rows tr").first).to_contain_text("n7/")
        assert page.evaluate("document.querySelectorAll('#agents-rows tr').length") < 100
        page.locator("#filter").fill("")
        page.locator("#group").select_option("zone")
        expect(page.locator(".group-row")).to_have_count(3)
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
