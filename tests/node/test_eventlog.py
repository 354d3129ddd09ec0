"""What is news in the log, and what each life hears of again."""

from __future__ import annotations

import logging

import pytest

from meshfleet.fleet.names import NodeName
from meshfleet.gossip.events import CastOut
from meshfleet.gossip.messages import Revoked
from meshfleet.node.eventlog import write

EPOCH = 1_763_923_200_123


@pytest.mark.parametrize(
    ("at_ms", "name", "level"),
    [
        (EPOCH - 1, "n3", logging.INFO),
        (EPOCH + 1, "n3", logging.WARNING),
        (EPOCH - 1, "n1", logging.ERROR),
    ],
)
def test_who_was_thrown_out_before_this_start_is_no_news(
    at_ms: int, name: str, level: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "meshfleet.node"):
        write(CastOut(Revoked(name, at_ms, bytes(64))), NodeName("n1"), EPOCH)
    assert [record.levelno for record in caplog.records] == [level]
