"""Starts a command in our place, passes signals on, and waits for it.

The command stays in our process group, so that a terminal treats both as one job: its Ctrl-C, Ctrl-\\, Ctrl-Z and
changes of size reach the command without us, and are not passed on a second time. What somebody sends to us alone is
passed on, and so is its hangup where we lead the session: it is told to the leader alone. Where the command stops, so
do we, and the shell sees a stopped job; `fg` continues both.

All these signals are blocked here and fetched one by one, so nothing runs in a signal handler.
"""

from __future__ import annotations

import errno
import os
import signal
from contextlib import suppress
from signal import Signals

NOT_FOUND, NOT_EXECUTABLE = 127, 126
"""Exit codes of a command that could not be started, as shells have them."""

SHELL = "/bin/sh"

SIGNAL_BASE = 128
"""A command that was ended by signal N has the exit code 128 + N, as in shells."""

FROM_KERNEL = 0x80
"""si_code of a signal that no process sent: a terminal did (Linux, SI_KERNEL)."""

_PASSED_ON = (
    Signals.SIGINT,
    Signals.SIGQUIT,
    Signals.SIGTERM,
    Signals.SIGHUP,
    Signals.SIGTSTP,
    Signals.SIGCONT,
    Signals.SIGWINCH,
    Signals.SIGUSR1,
    Signals.SIGUSR2,
)
_BY_TERMINAL = frozenset({Signals.SIGINT, Signals.SIGQUIT, Signals.SIGHUP, Signals.SIGTSTP, Signals.SIGWINCH})
_OF_HANGUP = frozenset({Signals.SIGHUP, Signals.SIGCONT})
"""What a terminal that is gone sends to the leader of its session, and to nobody else (Linux, tty_jobctrl.c)."""

_BY_DEFAULT_IGNORED = (Signals.SIGCHLD, Signals.SIGCONT, Signals.SIGWINCH)
_IGNORED_BY_PYTHON = (Signals.SIGPIPE, Signals.SIGXFSZ)


class Command:
    """One command, from its start to its end. For the main thread; others must be started after it."""

    def __init__(self) -> None:
        self.pid = 0
        # A signal that was ignored when we began (nohup) stays ignored, for the command too.
        self._watched = {s for s in _PASSED_ON if signal.getsignal(s) is not signal.SIG_IGN} | {Signals.SIGCHLD}

    def start(self, words: tuple[str, ...], environment: dict[str, str]) -> None:
        """Start it. OSError where that can't be done. Descriptors that are inheritable are passed on."""
        for each in _BY_DEFAULT_IGNORED:
            if each in self._watched:
                signal.signal(each, _nothing)  # BSD forgets blocked signals that would be ignored
        before = signal.pthread_sigmask(signal.SIG_BLOCK, self._watched)
        resets = [*_IGNORED_BY_PYTHON, *self._watched]
        try:
            try:
                self.pid = os.posix_spawnp(words[0], words, environment, setsigmask=before, setsigdef=resets)
            except OSError as error:
                if error.errno != errno.ENOEXEC:
                    raise
                # A script without `#!`: shells and execvp have /bin/sh read it, posix_spawnp does not.
                words = (SHELL, _path_of(words[0]), *words[1:])
                self.pid = os.posix_spawn(SHELL, words, environment, setsigmask=before, setsigdef=resets)
        except OSError:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            raise

    def wait(self) -> int:
        """Until it has ended; its exit code, 128 + N where signal N ended it."""
        while True:
            arrived, by_terminal = _next_signal(self._watched)
            if arrived == Signals.SIGCHLD:
                code = self._look()
                if code is not None:
                    return code
            elif not by_terminal or (arrived in _OF_HANGUP and _leads_session()):
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(self.pid, arrived)

    def _look(self) -> int | None:
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG | os.WUNTRACED)
        except ChildProcessError:  # somebody else has waited for it: how it ended is not known
            return 0
        if pid == 0:
            return None
        if os.WIFSTOPPED(status):
            if _has_terminal():
                os.kill(os.getpid(), signal.SIGSTOP)
            return None
        return SIGNAL_BASE + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def exit_code_of(error: OSError) -> int:
    """What a command that could not be started comes to."""
    return NOT_FOUND if isinstance(error, FileNotFoundError | NotADirectoryError) else NOT_EXECUTABLE


def _path_of(command: str) -> str:
    """Where it was found."""
    import shutil  # here alone: all other commands start sooner without it

    return command if "/" in command else shutil.which(command) or command


def _next_signal(watched: set[Signals]) -> tuple[int, bool]:
    """The next signal, and whether a terminal sent it to the whole group, so that the command has it already."""
    if hasattr(signal, "sigwaitinfo"):
        info = signal.sigwaitinfo(watched)
        return info.si_signo, info.si_code == FROM_KERNEL
    arrived = signal.sigwait(watched)
    return arrived, arrived in _BY_TERMINAL and _in_foreground()


def _leads_session() -> bool:
    return os.getsid(0) == os.getpid()


def _in_foreground() -> bool:
    """Whether a terminal's keys reach us. macOS does not say who sent a signal; that is the best guess there is."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


def _has_terminal() -> bool:
    """Whether there may be a shell that continues a stopped job."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


def _nothing(number: int, frame: object) -> None:
    """A handler that is never run: its signal is blocked."""
