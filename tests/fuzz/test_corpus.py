"""What `make fuzz` found and kept is taken or refused, and crashes nothing. What it costs is looked at there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.exploring import examine, inputs
from tests.fuzz.targets import TARGETS

if TYPE_CHECKING:
    from collections.abc import Callable

CORPUS = Path(__file__).parent / "corpus"


@pytest.mark.parametrize("name", TARGETS)
def test_what_was_found_before_crashes_no_decoder(name: str) -> None:
    for place in sorted((CORPUS / name).iterdir()):
        TARGETS[name].run(place.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=30, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_whatever_is_drawn_crashes_no_decoder(name: str, data: st.DataObject) -> None:
    TARGETS[name].run(data.draw(inputs(TARGETS[name])))


def test_every_folder_of_the_corpus_belongs_to_a_target() -> None:
    assert {place.name for place in CORPUS.iterdir()} == set(TARGETS)


@pytest.mark.parametrize(
    ("decode", "kind"), [(lambda data: 1 // len(data), "crash"), (lambda data: bytes(1_000_000), "dear")]
)
def test_a_decoder_that_crashes_or_takes_too_much_is_found_out(decode: Callable[[bytes], object], kind: str) -> None:
    broken = replace(TARGETS["packet"], decode=decode)
    found = examine(broken, b"")
    assert found is not None
    assert found.kind == kind
