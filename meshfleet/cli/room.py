"""How many files this process may have open. Each connection is one, and many systems begin with 256 or 1,024."""

from __future__ import annotations

import resource
from contextlib import suppress

FILES = 10_240
"""As many as a node asks for: its readers, streams and watched files come to some 2,000 at most. macOS gives a process
no more (OPEN_MAX), also where it says that there is no limit."""


def may_open_many() -> None:
    """Raise what this process may have open, as far as its user may do so and FILES goes. For commands that are nodes
    and nothing else: the limits of a process that a node is embedded in are its own."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    with suppress(OSError, ValueError):  # the kernel may have a lower bound of its own: then it stays as it was
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
