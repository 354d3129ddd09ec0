"""How much memory this process has, and which of it is never looked at for garbage; what another process took."""

from __future__ import annotations

import gc
import os
import subprocess
from pathlib import Path
from typing import NamedTuple


def rss_mb() -> float:
    """MB: resident memory now, where the system tells it in a file, else its peak."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # macOS counts bytes


FULL_AFTER = 1
"""Collections of the middle generation between two of everything, and one more. Python's own 10 would come to one each
ten minutes in a small fleet."""


def keep_what_is_loaded() -> None:
    """Let no collection of garbage look at modules and classes again: each time all of it would hold up the loop for
    some 40 ms, of which a probe has 400.

    What is left costs a few milliseconds, so it is looked at more often than Python would. It waits for eleven
    collections of the middle generation, and then for a quarter as many new objects as there were when everything was
    looked at last: which was with all that was loaded. In a soak the first such look came after 8 to 20 minutes, and
    found 3 MB of streams, requests and errors that were over; and heaps stay as large as they ever were."""
    gc.collect()
    gc.freeze()
    gc.collect()  # nothing is left: so few are many
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, FULL_AFTER)


class Taken(NamedTuple):
    """What a process took so far: CPU seconds; and has: resident memory in MB."""

    cpu_s: float
    rss_mb: float


def taken(pid: int) -> Taken:
    """Of another process. Raises ProcessLookupError where it is gone."""
    proc = Path(f"/proc/{pid}")
    if proc.exists():
        fields = (proc / "stat").read_text().rpartition(")")[2].split()  # a name may have spaces, and parentheses
        ticks = int(fields[11]) + int(fields[12])
        pages = int((proc / "statm").read_text().split()[1])
        return Taken(ticks / os.sysconf("SC_CLK_TCK"), pages * os.sysconf("SC_PAGE_SIZE") / 1e6)
    told = subprocess.run(
        ["ps", "-o", "time=,rss=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout
    if not told.strip():
        raise ProcessLookupError(f"no process {pid}")
    clock, kilobytes = told.split()  # macOS: minutes:seconds.hundredths
    seconds = 0.0
    for part in clock.replace("-", ":").split(":"):
        seconds = 60 * seconds + float(part)
    return Taken(seconds, int(kilobytes) * 1024 / 1e6)
