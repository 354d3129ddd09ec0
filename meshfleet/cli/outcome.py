"""How a command ends: its errors, their exit codes, and one line for each."""

from __future__ import annotations

import os
import sys
import traceback
from typing import TYPE_CHECKING

from meshfleet.cli.saying import print_plain
from meshfleet.errors import ConfigError, MeshfleetError, NoAnswer, StateDirError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

WRONG_USAGE = 2
NO_ANSWER = 4
INTERRUPTED = 130

EXTRAS = {
    "certifi": "proxy",
    "genai_prices": "runtimes",
    "h11": "runtimes",
    "httpcore": "proxy",
    "hypercorn": "serve",
    "rich": "cli",
    "starlette": "serve",
    "textual": "tui",
    "typer": "cli",
    "watchfiles": "runtimes",
}
"""Which extra brings a module that may be missing."""


def exit_code_of(error: MeshfleetError) -> int:
    """2 where the operator can mend it by other words, 4 where no node answered, 1 for everything else."""
    if isinstance(error, ConfigError | StateDirError):
        return WRONG_USAGE
    return NO_ANSWER if isinstance(error, NoAnswer) else 1


def first_of_ours(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What a group of errors comes to: the first that is meant for the operator, or else the group itself."""
    ours = group.subgroup((MeshfleetError, ModuleNotFoundError))
    leaf: BaseException | None = ours
    while isinstance(leaf, BaseExceptionGroup):
        leaf = leaf.exceptions[0]
    return group if leaf is None else leaf


def complain(text: str) -> None:
    """One line on standard error, whatever is in it."""
    print_plain(f"meshfleet: {' '.join(text.split())}", file=sys.stderr)


class Trouble:
    """What a command that goes on complains of: once, and again where it is another, or comes back."""

    def __init__(self) -> None:
        self._told: str | None = None

    def tell(self, text: str) -> None:
        """Something does not work."""
        if text != self._told:
            complain(text)
        self._told = text

    def over(self) -> None:
        """It works."""
        self._told = None


def _trace_plainly(kind: type[BaseException], error: BaseException, at: TracebackType | None) -> None:
    """A traceback as Python prints it. An error may quote what a peer said."""
    print_plain("".join(traceback.format_exception(kind, error, at)), end="", file=sys.stderr)


def missing_extra(error: ModuleNotFoundError) -> str | None:
    """What to install for a module that is not there; None where it is none of our extras."""
    extra = EXTRAS.get((error.name or "").partition(".")[0])
    return extra and f"this needs {error.name}, which the extra {extra!r} brings: pip install 'meshfleet[all]'"


def run_to_exit_code(command: Callable[[], int]) -> int:
    """Run `command`; errors of ours come out as one line and their exit code, all others with their traceback."""
    sys.excepthook = _trace_plainly
    try:
        return command()
    except MeshfleetError as error:
        complain(str(error))
        return exit_code_of(error)
    except BaseExceptionGroup as group:
        found = first_of_ours(group)
        if not isinstance(found, MeshfleetError):
            raise
        complain(str(found))
        return exit_code_of(found)
    except ModuleNotFoundError as error:
        hint = missing_extra(error)
        if hint is None:
            raise
        complain(hint)
        return WRONG_USAGE
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has enough. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
