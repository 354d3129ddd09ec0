"""Agents of this process start and end with each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from meshfleet.embed.crew import CREW
from meshfleet.embed.here import HERE
from meshfleet.embed.quiet import failed

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    CREW.finish()
    failed.clear()
    HERE.set(None)  # some tests leave things open on purpose
    yield
    CREW.finish()
