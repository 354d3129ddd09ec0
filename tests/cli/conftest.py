"""A node to look at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.top.fleet import a_fleet
from tests.cli.top.site import Sites, sites

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cli.top.site import Site


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Sites]:
    with sites(tmp_path) as found:
        yield found


@pytest.fixture
def site(made: Sites) -> Site:
    return made.serving(a_fleet())
