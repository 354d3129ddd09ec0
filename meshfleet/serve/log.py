"""Hypercorn's log lines, handed to ours, so that a node has one log in one form."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

from hypercorn.logging import Logger

from meshfleet.logs import get_logger

if TYPE_CHECKING:
    from hypercorn.config import Config
    from hypercorn.typing import ResponseSummary, WWWScope

_log = get_logger("meshfleet.serve")


class StructuredLog(Logger):
    """What Hypercorn calls a logger. Prints nothing by itself."""

    def __init__(self, config: Config) -> None:  # the base would open stdout and stderr
        del config

    async def access(self, request: WWWScope, response: ResponseSummary | None, request_time: float) -> None:
        """One finished request; a detail, as a fleet's readers poll."""
        status = None if response is None else response["status"]
        method = request.get("method", "GET")
        _log.debug("http request", method=method, path=request["path"], status=status, seconds=round(request_time, 6))

    async def critical(self, message: str, *args: object, **kwargs: object) -> None:
        """Something ends the server."""
        _log.error("http server", detail=_filled(message, args))

    async def error(self, message: str, *args: object, **kwargs: object) -> None:
        """Something failed."""
        _log.error("http server", detail=_filled(message, args))

    async def warning(self, message: str, *args: object, **kwargs: object) -> None:
        """Something is odd."""
        _log.warning("http server", detail=_filled(message, args))

    async def info(self, message: str, *args: object, **kwargs: object) -> None:
        """Something is so."""
        _log.info("http server", detail=_filled(message, args))

    async def debug(self, message: str, *args: object, **kwargs: object) -> None:
        """Something only its author needs."""
        _log.debug("http server", detail=_filled(message, args))

    async def exception(self, message: str, *args: object, **kwargs: object) -> None:
        """A request ended in an error of ours; its reader got a 500."""
        _log.error("http request failed", detail=_filled(message, args), exc_info=sys.exc_info()[1])

    async def log(self, level: int, message: str, *args: object, **kwargs: object) -> None:
        """Anything else, at a level of the standard library."""
        tell = _log.warning if level >= logging.WARNING else _log.info
        tell("http server", detail=_filled(message, args))


def _filled(message: str, args: tuple[object, ...]) -> str:
    return message % args if args else message
