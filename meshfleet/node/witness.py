"""A witness: a node that can see another's process end, because both run on one machine.

Each node tells its machine, pid and start time. Whoever runs on the same machine watches that process; when it ends,
that is proof of death, at once and without a doubt. The start time keeps a reused pid from being taken for the old
process.
"""

from __future__ import annotations

import os
import select
import sys

import trio

from meshfleet.node.process import Process, started


async def watch(process: Process) -> bool:
    """Return when `process` ends: True. False at once where it can't be watched, or has another start time."""
    if sys.platform == "darwin":
        return await _watch_by_kqueue(process)
    try:
        pidfd = os.pidfd_open(process.pid)
    except OSError:  # gone already, or not ours to see: no testimony
        return False
    try:
        if started(process.pid) != process.started:
            return False
        await trio.lowlevel.wait_readable(pidfd)
        return True
    finally:
        os.close(pidfd)


async def _watch_by_kqueue(process: Process) -> bool:
    """macOS's twin of pidfd. It could not be tried where this was written."""
    if sys.platform == "darwin":
        queue = select.kqueue()
        try:
            event = select.kevent(process.pid, select.KQ_FILTER_PROC, select.KQ_EV_ADD, select.KQ_NOTE_EXIT)
            queue.control([event], 0)
            # Only now, as with pidfd: whoever has that pid while it is looked at is the one that is watched.
            if await trio.to_thread.run_sync(started, process.pid) != process.started:
                return False
            await trio.lowlevel.wait_readable(queue.fileno())
            return True
        except OSError:  # gone already, or not ours to see
            return False
        finally:
            queue.close()
    return False
