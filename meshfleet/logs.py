"""Where every part of meshfleet logs to: the standard library's `logging`, under `meshfleet.*`, a line an event.

A library must not decide where its host's log goes: structlog left alone prints to standard output, which may be an
agent's own protocol. So nothing global is configured here; `meshfleet up` sets a format, and whoever embeds a node sets theirs.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, cast

import structlog

if TYPE_CHECKING:
    from collections.abc import MutableMapping


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger whose calls take words and pairs: `log.warning("set aside", file=..., why=...)`."""
    logger = structlog.wrap_logger(
        logging.getLogger(name),
        processors=[structlog.stdlib.filter_by_level, _render],
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    return cast("structlog.stdlib.BoundLogger", logger)


def _render(_logger: object, _method: str, event: MutableMapping[str, Any]) -> tuple[tuple[str], dict[str, object]]:
    words = str(event.pop("event"))
    exc_info = event.pop("exc_info", None)
    pairs = " ".join(f"{key}={_value(value)}" for key, value in event.items() if value is not None)
    line = f"{words}: {pairs}" if pairs else words
    return (line,), {"exc_info": exc_info}


def _value(value: object) -> str:
    text = str(value)
    return repr(text) if any(c.isspace() for c in text) or not text else text
