"""A real Chromium, and tabs in it that tell what their console complained of."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.cli.processes import PATIENCE, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
VIOLATIONS = """
    window.violations = [];
    document.addEventListener("securitypolicyviolation", (found) => window.violations.push(found.violatedDirective));
"""

needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on the PATH: install one to see the page tested in it"
)


@contextmanager
def launched(*flags: str) -> Iterator[Browser]:
    """A browser of its own. None is ever downloaded."""
    expect.set_options(timeout=1_000 * PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, *flags], timeout=1_000 * PATIENCE)
        yield browser
        browser.close()


@contextmanager
def tab(
    browser: Browser, complaints: list[str], script: str = "", width: int = 1440, height: int = 900
) -> Iterator[Page]:
    """A tab of a browser that was never here. `complaints`: of its console; `script` runs before the page's."""
    context = browser.new_context(viewport={"width": width, "height": height})
    context.set_default_timeout(1_000 * PATIENCE)
    context.add_init_script(VIOLATIONS + script)
    page = context.new_page()
    page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    context.close()


def link_to(state_dir: Path) -> str:
    """A link that opens the page of the node there, once."""
    done = run("link", "--state-dir", str(state_dir))
    assert done.returncode == 0, done.stderr
    return next(word for word in done.stdout.split() if "/#code=" in word)


def signed_in(token: str) -> str:
    """A script that gives the page a session, as a link would have."""
    kept = f'{{"token": "{token}", "refreshAt": 9e15}}'
    return f"try {{ sessionStorage.setItem('meshfleet.session', '{kept}'); }} catch {{ }}"
