"""axe-core finds nothing in the page, in any of its states, light and dark, wide and narrow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.tabs import link_to, needs_chromium, tab
from tests.browser.test_dashboard import tell
from tests.cli.processes import node

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.processes, needs_chromium]

FINDINGS = """async () => {
    const {violations} = await axe.run(document, {resultTypes: ["violations"]});
    const told = (node) => `${node.html} ${node.failureSummary}`;
    return violations.map(({id, nodes}) => `${id}: ${nodes.map(told).join("; ")}`);
}"""


def findings(page: Page, axe: str) -> list[str]:
    page.evaluate(axe)
    found: list[str] = page.evaluate(FINDINGS)
    return found


@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(
    browser: Browser, tmp_path: Path, axe: str, width: int, scheme: Literal["light", "dark"]
) -> None:
    with node(tmp_path / "n1", "--name", "n1") as (_, told), tab(browser, [], width=width) as page:
        page.emulate_media(color_scheme=scheme)
        page.goto(str(told["http"]))
        expect(page.locator("#locked")).to_be_visible()
        assert findings(page, axe) == []
        page.goto(link_to(tmp_path / "n1"))
        expect(page.locator("#agents-empty")).to_be_visible()
        assert findings(page, axe) == []
        limits = [{"key": "k:1", "window": "5h", "used_pct": 95.0, "resets_at": "2036-01-01T00:00:00Z"}]
        full = {"context_pct": 91.0, "context_tokens": 5, "context_limit": 10, "active_tool": "Bash", "model": "m"}
        tell(told["http"], "box/a", status="tool", rate_limits=limits, project="shop", cost_usd=1.0, **full)
        tell(told["http"], "box/b", status="waiting", context_pct=70.0, parent="box/a")
        tell(told["http"], "box/c", status="idle", context_pct=7.0)
        tell(told["http"], "box/d", status="error", note="broken")
        expect(page.locator("#agents-rows tr")).to_have_count(4)
        page.locator("#group").select_option("status")
        expect(page.locator(".group-row")).to_have_count(4)
        assert findings(page, axe) == []
        page.locator("#agents-rows a[title='box/a']").click()
        expect(page.locator("#detail")).to_contain_text("Judged by")
        assert findings(page, axe) == []
        page.keyboard.press("?")
        assert findings(page, axe) == []
