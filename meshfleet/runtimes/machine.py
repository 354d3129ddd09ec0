"""Everything that tells of this machine's agents by itself: session files, opencode's servers, Ollama."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import trio

from meshfleet.logs import get_logger
from meshfleet.runtimes.agents import watch_agents
from meshfleet.runtimes.desk import Desk
from meshfleet.runtimes.windows import Windows

if TYPE_CHECKING:
    from collections import Counter

    from meshfleet.runtimes.settings import RuntimesSettings
    from meshfleet.runtimes.sink import Host

log = get_logger("meshfleet.runtimes")


async def watch_machine(
    sink: Host, *, host: str, settings: RuntimesSettings, counts: Counter[str], desk: Desk | None = None
) -> None:
    """Publish the agents of this machine to `sink` as they change, until cancelled. See `watch_agents`."""
    desk = Desk(counts) if desk is None else desk
    windows = Windows()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(
            partial(watch_agents, sink, host=host, settings=settings, counts=counts, desk=desk, windows=windows)
        )
        try:
            from meshfleet.runtimes.ollama import watch_ollama
            from meshfleet.runtimes.opencode.reading import watch_opencode
        except ModuleNotFoundError as error:
            log.warning("opencode and Ollama are not looked for: a library is missing", library=error.name)
            return
        if settings.opencode:
            password = settings.opencode_password
            nursery.start_soon(partial(watch_opencode, desk, settings.opencode, password=password, counts=counts))
        if settings.ollama is not None:
            nursery.start_soon(partial(watch_ollama, sink, settings.ollama, host=host, windows=windows, counts=counts))
