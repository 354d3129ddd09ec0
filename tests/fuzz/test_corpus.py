"""What `make fuzz` found and kept is taken or refused, and crashes nothing. What it costs is looked at there."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.exploring import inputs
from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"


@pytest.mark.parametrize("name", TARGETS)
def test_what_was_found_before_crashes_no_decoder(name: str) -> None:
    for place in sorted((CORPUS / name).iterdir()):
        TARGETS[name].run(place.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=30, suppress_health_check=list(HealthCheck), deadline=None)
@given(st.data())
def test_whatever_is_drawn_crashes_no_decoder(name: str, data: st.DataObject) -> None:
    TARGETS[name].run(data.draw(inputs(TARGETS[name])))


def test_every_folder_of_the_corpus_belongs_to_a_target() -> None:
    assert {place.name for place in CORPUS.iterdir()} == set(TARGETS)


def test_a_decoder_that_raises_something_else_is_found_out() -> None:
    broken = TARGETS["packet"]
    with suppress(AssertionError), pytest.raises(ZeroDivisionError):
        type(broken)("broken", lambda data: 1 // len(data), (), broken.drawn, 10).run(b"")
