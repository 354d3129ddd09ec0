"""A browser for each file of tests of the page, and what is asked for from elsewhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.tabs import launched

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

AXE = "axe-core@4"
NPM_SECONDS = 60.0
SURROUNDINGS = dict(os.environ)
"""As they are before the tests put HOME elsewhere: npm reads its registry from there."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


@pytest.fixture(scope="session")
def axe(request: pytest.FixtureRequest) -> str:
    """The source of axe-core, which finds what stands in the way of people who read with other means than eyes."""
    cache = request.config.cache
    assert cache is not None
    folder = cache.mkdir("axe-core")
    script = folder / "package" / "axe.min.js"
    if not script.exists():
        _fetch(folder)
    return script.read_text()


def _fetch(folder: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip(f"no npm on the PATH to get {AXE} with")
    command = [npm, "pack", AXE, "--silent"]
    try:
        done = subprocess.run(
            command, cwd=folder, env=SURROUNDINGS, capture_output=True, text=True, timeout=NPM_SECONDS, check=True
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"npm could not get {AXE}: {error}")
    packed = folder / Path(done.stdout.split()[-1]).name
    with tarfile.open(packed) as archive:
        archive.extractall(folder, filter="data")
    packed.unlink()
