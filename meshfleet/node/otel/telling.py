"""How exports go, as `meshfleet doctor` tells a node's owner."""

from __future__ import annotations

import msgspec


class ExportTold(msgspec.Struct, frozen=True, kw_only=True):
    """See the module. Counts are since the node's start."""

    endpoint: str
    mode: str
    """`fleet` or `own`."""
    interval_s: float
    exporter: str | None
    """The node whose turn it is."""
    last_s: float | None
    """Seconds since an export of this node got through."""
    failing: str | None
    """Why its last one did not; None where it did, or none was tried."""
    exports: int
    """That got through."""
    failed: int
    """Intervals that were given up."""
    missed: int
    """Intervals that went by while one was tried, or while the collector asked for rest."""
    rejected: int
    """Data points that the collector did not want."""
