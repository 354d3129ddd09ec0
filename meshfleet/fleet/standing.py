"""The verdict of an observer on itself."""

from __future__ import annotations

from enum import Enum


class Standing(str, Enum):
    """How far this node's own view can be believed."""

    CONNECTED = "connected"
    DEGRADED = "degraded"
    SPLIT = "split"
    PARTITIONED = "partitioned"
    ISOLATED = "isolated"
    RESUMING = "resuming"

    @property
    def is_cut_off(self) -> bool:
        """Whether silence of others proves nothing here, so that nobody may be presumed down."""
        return self in (Standing.PARTITIONED, Standing.ISOLATED, Standing.RESUMING)
