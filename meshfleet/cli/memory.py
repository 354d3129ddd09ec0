"""How much memory this process has, and which of it is never looked at for garbage."""

from __future__ import annotations

import gc
import os
from pathlib import Path


def rss_mb() -> float:
    """MB: resident memory now, where the system tells it in a file, else its peak."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # macOS counts bytes


def keep_what_is_loaded() -> None:
    """Let no collection of garbage look at modules and classes again: each time all of it would hold up the loop for
    some 40 ms, of which a probe has 400."""
    gc.collect()
    gc.freeze()
