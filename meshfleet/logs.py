"""Where every part of meshfleet logs to: the standard library's `logging`, under `meshfleet.*`, a line an event.

A library must not decide where its host's log goes, least of all to standard output, which may be an agent's own
protocol. So nothing global is configured here; `meshfleet up` sets a format, and whoever embeds a node sets theirs.
(structlog was tried: its import brings rich and asyncio along, 7.7 MB in each node's process.)
"""

from __future__ import annotations

import logging
import re
import sys

from meshfleet.plain import one_line, plain

SECRETS = re.compile(r"(mfs|mfi1|mf_[a-z]+)_[A-Za-z0-9_-]{8,}")
"""What looks like a session token, an API key or an invitation. No code of ours logs one; somebody may yet type one
into an address."""


class Logger:
    """Takes an event in words and what goes with it in pairs: `log.warning("set aside", file=path, why=error)`.

    Pairs that are None are left out. Control characters in what peers say can't forge lines: values are quoted, and
    in the event they are written out.
    """

    def __init__(self, name: str) -> None:
        self._log = logging.getLogger(name)

    def debug(self, event: str, **pairs: object) -> None:
        """What a developer wants to see."""
        self._write(logging.DEBUG, event, None, pairs)

    def info(self, event: str, **pairs: object) -> None:
        """What an operator wants to look up later."""
        self._write(logging.INFO, event, None, pairs)

    def warning(self, event: str, *, exc_info: BaseException | None = None, **pairs: object) -> None:
        """What an operator should look into."""
        self._write(logging.WARNING, event, exc_info, pairs)

    def error(self, event: str, *, exc_info: BaseException | None = None, **pairs: object) -> None:
        """What needs mending."""
        self._write(logging.ERROR, event, exc_info, pairs)

    def exception(self, event: str, **pairs: object) -> None:
        """An error that was caught just now, with its traceback."""
        self._write(logging.ERROR, event, sys.exc_info()[1], pairs)

    def _write(self, level: int, event: str, exc_info: BaseException | None, pairs: dict[str, object]) -> None:
        if not self._log.isEnabledFor(level):
            return
        told = " ".join(f"{key}={_value(value)}" for key, value in pairs.items() if value is not None)
        line = one_line(SECRETS.sub(r"\1_…", f"{event}: {told}" if told else event))
        self._log.log(level, "%s", line, exc_info=exc_info)


def get_logger(name: str) -> Logger:
    """The logger of one part: `get_logger("meshfleet.node")`."""
    return Logger(name)


class PlainFormatter(logging.Formatter):
    """For a handler of ours. Tracebacks are set in, so that no line of an error's message passes for one of the log's,
    and whatever in them acts on a terminal is written out."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, and below it the traceback, if there is one."""
        return plain(super().format(record)).replace("\n", "\n  ")


def _value(value: object) -> str:
    text = str(value)
    plain = text and text.isprintable() and not any(c.isspace() for c in text)
    return text if plain else repr(text)
