"""`meshfleet top`: finds a node to ask, and starts the program."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor

from meshfleet.cli.asking import Asked, client
from meshfleet.cli.outcome import WRONG_USAGE, complain
from meshfleet.cli.top.following import Heard
from meshfleet.cli.top.looks import LOOKS, keep_looks, read_looks
from meshfleet.node.settings import default_state_base


def top(asked: Asked) -> int:
    """Show the fleet on a full screen until it is quit; returns the exit code. NoAnswer where no node answers."""
    import textual  # noqa: F401 - who lacks the extra is told so first

    if not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        complain("top fills a terminal, and this is none. `meshfleet status` prints, and with --watch goes on.")
        return WRONG_USAGE
    first = client(asked)
    with ThreadPoolExecutor(1) as beside:
        asking = beside.submit(first.fleet)
        from meshfleet.cli.top.app import Top  # Textual takes half a second to load: by then the view is here

        view, now = asking.result(), time.monotonic()
    kept = default_state_base() / LOOKS
    program = Top(
        first,
        Heard(view, now, now, first.url),
        lambda url, before: client(asked._replace(node=url, state_dir=None), before),
        read_looks(kept),
        lambda looks: keep_looks(kept, looks),
    )
    program.run()
    if program.problem is not None:
        complain(program.problem)
        return WRONG_USAGE
    return program.return_code or 0
