"""What a soak measures of processes: memory and file descriptors from /proc, life by life, and how its nodes serve."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from statistics import fmean

import msgspec

PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
MB = 1_000_000.0
HOUR = 3_600.0


class Weight(msgspec.Struct, frozen=True):
    """One process at one moment."""

    at: float
    """Seconds, monotonic."""
    rss: int
    """Bytes."""
    fds: int


def weigh(pid: int, at: float) -> Weight | None:
    """None where that process is gone."""
    with suppress(OSError, ValueError, IndexError):
        rss = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
        return Weight(at, rss, len(os.listdir(f"/proc/{pid}/fd")))
    return None


def slope(weights: list[Weight], after: float) -> float | None:
    """MB an hour, by least squares over what was weighed from `after` on; None where that is under a minute."""
    kept = [weight for weight in weights if weight.at >= after]
    if len(kept) < 3 or kept[-1].at - kept[0].at < 60.0:
        return None
    mean_at, mean_rss = fmean(w.at for w in kept), fmean(w.rss for w in kept)
    spread = sum((w.at - mean_at) ** 2 for w in kept)
    return sum((w.at - mean_at) * (w.rss - mean_rss) for w in kept) / spread / MB * HOUR


def share(values: list[float], of: float) -> float | None:
    """That percentile; None of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(of * len(ordered)))] if ordered else None


class Served(msgspec.Struct):
    """How one node answered `GET /v1/fleet`."""

    took: list[float] = []
    """Seconds, of answers."""
    failed: list[str] = []
    """Why there was none, where the process ran and was not stopped."""
