"""The page in a real Chromium, opened as people open it: by a link that works once. Where the machine has no Chromium
this is skipped; none is ever downloaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from meshfleet.serve.guard import POLICY
from tests.browser.tabs import launched, link_to, needs_chromium, tab
from tests.cli.processes import node

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STATE = {"agent_id": "box/a", "timestamp": "2026-11-23T20:15:05Z", "status": "working", "runtime": "python"}

pytestmark = [pytest.mark.processes, needs_chromium]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


def test_a_link_opens_the_page_once_and_leaves_no_trace(browser: Browser, tmp_path: Path) -> None:
    with node(tmp_path / "n1", "--name", "n1") as (_, told):
        url = str(told["http"])
        assert httpx.post(f"{url}/v1/agents/box/a/state", json=STATE, trust_env=False).status_code == 202
        link, complaints = link_to(tmp_path / "n1"), list[str]()
        code = link.partition("#code=")[2]
        with tab(browser, complaints) as page:
            answer = page.goto(link)
            assert answer is not None
            assert answer.headers["content-security-policy"] == POLICY
            expect(page.locator("#server-name")).to_have_text("n1")
            expect(page.locator("#agents-rows")).to_contain_text("box/a")
            expect(page.locator("#locked")).to_be_hidden()
            assert code not in page.url + page.evaluate("document.referrer + JSON.stringify(history.state)")
            news = {**STATE, "agent_id": "box/b", "model": "m-2"}
            assert httpx.post(f"{url}/v1/agents/box/b/state", json=news, trust_env=False).status_code == 202
            expect(page.locator("#agents-rows")).to_contain_text("m-2")  # an update, put into the first view
            expect(page.locator("#agents-rows")).to_contain_text("box/a")
            page.reload()
            expect(page.locator("#server-name")).to_have_text("n1")
            assert complaints + page.evaluate("window.violations") == []
            _may_only_read(page)
        with tab(browser, []) as again:
            again.goto(link)
            expect(again.locator("#locked-failed")).to_contain_text("used already")
            expect(again.locator("#view")).to_be_hidden()


def _may_only_read(page: Page) -> None:
    """The page's own token, from the page itself: the best that a script on it could do."""
    asks = """async ([method, path]) => {
        const {token} = JSON.parse(sessionStorage.getItem("meshfleet.session"));
        const headers = {Authorization: `Bearer ${token}`, "Content-Type": "application/json"};
        const body = method === "POST" ? "{}" : undefined;
        return (await fetch(path, {method, headers, body})).status;
    }"""
    assert [page.evaluate(asks, ["GET", path]) for path in ("/v1/fleet", "/metrics")] == [200, 200]
    changes = [("POST", "/v1/agents/box/a/state"), ("DELETE", "/v1/agents/box/a"), ("PUT", "/v1/fleet")]
    assert [page.evaluate(asks, [method, path]) for method, path in changes] == [403, 403, 403]
    renewed = """async () => {
        const {token} = JSON.parse(sessionStorage.getItem("meshfleet.session"));
        const headers = {Authorization: `Bearer ${token}`};
        return (await (await fetch("/auth/session", {method: "POST", headers})).json()).scope;
    }"""
    assert page.evaluate(renewed) == "read"


def test_without_a_code_the_page_asks_for_a_link_and_takes_one(browser: Browser, tmp_path: Path) -> None:
    with node(tmp_path / "n1", "--name", "n1") as (_, told):
        complaints = list[str]()
        with tab(browser, complaints) as page:
            page.goto(str(told["http"]))
            expect(page.locator("#locked")).to_contain_text("This page needs a link")
            expect(page.locator("#view")).to_be_hidden()
            page.locator("#locked-code").fill(link_to(tmp_path / "n1"))
            page.locator("#locked-form button").click()
            expect(page.locator("#server-name")).to_have_text("n1")
            assert complaints + page.evaluate("window.violations") == []
            _runs_nothing_that_was_slipped_in(page)


def _runs_nothing_that_was_slipped_in(page: Page) -> None:
    page.evaluate("""() => {
        const script = document.createElement("script");
        try { script.textContent = "window.slipped = true"; } catch { return; }
        document.body.append(script);
    }""")
    assert page.evaluate("window.slipped === undefined")
    assert page.evaluate("window.violations.length") > 0
