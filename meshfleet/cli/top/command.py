"""`meshfleet top`: finds a node to ask, and starts the program."""

from __future__ import annotations

import sys
import time

from meshfleet.cli.asking import Asked, client
from meshfleet.cli.outcome import WRONG_USAGE, complain
from meshfleet.cli.top.app import Top
from meshfleet.cli.top.following import Heard


def top(asked: Asked) -> int:
    """Show the fleet on a full screen until it is quit; returns the exit code. NoAnswer where no node answers."""
    if not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        complain("top fills a terminal, and this is none. `meshfleet status` prints, and with --watch goes on.")
        return WRONG_USAGE
    first = client(asked)
    view, now = first.fleet(), time.monotonic()
    heard = Heard(view, now, now, first.url)
    program = Top(first, heard, lambda url, before: client(asked._replace(node=url, state_dir=None), before))
    program.run()
    if program.problem is not None:
        complain(program.problem)
        return WRONG_USAGE
    return program.return_code or 0
