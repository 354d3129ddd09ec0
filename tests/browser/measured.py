"""How the page keeps up with a thousand agents that all have news twice a second: by hand, on a machine that is quiet.

    python -m tests.browser.measured [AGENTS] [SECONDS]

Prints what a draw takes, how far frames are apart, what the tab's JavaScript heap holds, and what the tab's process has
of its own: private memory, which is what Chromium's task manager calls its memory footprint. Resident memory counts
some 110 MB of the browser's program besides, which all of its processes share. On Linux alone.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from playwright.sync_api import expect

from tests.browser.fleet import Served
from tests.browser.tabs import launched, signed_in, tab

if TYPE_CHECKING:
    from collections.abc import Iterator

# A callback of requestAnimationFrame that takes long is a draw: nothing else here asks for frames.
FRAMES = """
    window.frames_ = []; window.draws = [];
    const asked = window.requestAnimationFrame.bind(window);
    window.requestAnimationFrame = (then) => asked((at) => {
        const began = performance.now();
        then(at);
        window.draws.push(performance.now() - began);
    });
    let last = 0;
    const tick = (at) => { if (last) window.frames_.push(at - last); last = at; asked(tick); };
    asked(tick);
"""
SHARES = """() => {
    const share = (list, part) => [...list].sort((a, b) => a - b)[Math.floor(part * (list.length - 1))];
    const told = (list) => ({n: list.length, p50: share(list, 0.5), p99: share(list, 0.99), max: share(list, 1)});
    const found = {draw_ms: told(window.draws), frame_ms: told(window.frames_)};
    found.frames_over_34_ms = window.frames_.filter((each) => each > 34).length;
    return found;
}"""


@contextmanager
def fleet(agents: int) -> Iterator[Served]:
    """A served fleet of so many."""
    command = [sys.executable, "-m", "tests.browser.fleet", str(agents)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            yield msgspec.json.decode(process.stdout.readline(), type=Served)
        finally:
            process.kill()


def private_mb() -> float | None:
    """Of the largest renderer that runs on this machine: have no other browser open."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if b"--type=renderer" in (process / "cmdline").read_bytes():
                kilobytes = re.findall(r"Private_\w+: +(\d+) kB", (process / "smaps_rollup").read_text())
                found.append(sum(map(int, kilobytes)) / 1000)
        except OSError:
            continue  # it ended
    return max(found, default=None)


def main(agents: int, seconds: int) -> None:
    """Measure, and print."""
    with launched("--enable-precise-memory-info", "--js-flags=--expose-gc") as browser, fleet(agents) as served:
        complaints = list[str]()
        with tab(browser, complaints, signed_in(served.token) + FRAMES) as page:
            page.goto(served.url)
            expect(page.locator("#agents-count")).to_have_text(str(agents))
            first = page.evaluate("performance.now()")
            page.wait_for_timeout(3_000)
            page.evaluate("window.draws = []; window.frames_ = []")
            page.wait_for_timeout(1_000 * seconds)
            still = page.evaluate(SHARES)
            page.evaluate("window.draws = []; window.frames_ = []")
            for _ in range(2 * seconds):
                page.mouse.wheel(0, 900)
                page.wait_for_timeout(500)
            scrolled = page.evaluate(SHARES)
            heap, private = page.evaluate("performance.memory.usedJSHeapSize / 1e6"), private_mb()
            page.evaluate("gc()")
            rest = page.evaluate("performance.memory.usedJSHeapSize / 1e6")
            nodes = page.evaluate("document.querySelectorAll('*').length")
            told = {
                "first_view_ms": first,
                "still": still,
                "scrolled": scrolled,
                "heap_mb": heap,
                "private_mb": private,
            }
            print(json.dumps({**told, "heap_after_gc_mb": rest, "elements": nodes, "complaints": complaints}, indent=1))


if __name__ == "__main__":
    main(*(int(word) for word in [*sys.argv[1:], "1000", "10"][:2]))
