"""Instrumentation never raises into the agent: what goes wrong in it is counted, and logged once."""

from __future__ import annotations

from collections import Counter
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec

from meshfleet.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")

log = get_logger("meshfleet.agent")

failed: Counter[str] = Counter()
"""What went wrong in this process, by what was tried."""


def quietly(function: Callable[P, None]) -> Callable[P, None]:
    """`function`, whose errors end here."""

    @wraps(function)
    def quiet(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            function(*args, **kwargs)
        except Exception as error:
            failure(function.__qualname__, error)

    return quiet


def failure(what: str, error: BaseException) -> None:
    """Count that `what` failed; the first time it is logged, by the kind of error alone: its text may quote content."""
    if not failed[what]:
        log.warning("something of an agent could not be watched", what=what, why=type(error).__name__)
    failed[what] += 1
