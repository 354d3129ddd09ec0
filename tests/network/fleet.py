"""Real nodes on a ground: the command itself, a process a host, let in with invitations, and what their logs say.

Each host has a boot id of its own, so that nodes don't take themselves for witnesses of each other's deaths: their
kernel is one, and should not count as one.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections import defaultdict
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from meshfleet.cli.local import administer
from meshfleet.fleet.presence import Certainty, Presence
from meshfleet.fleet.standing import Standing
from meshfleet.node.admin import Invite

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from tests.network.ground import Ground

GUARD = 600.0
"""Seconds after which a wait is given up. Long, as machines that run tests can be slow; nothing waits for it."""

AT_ONCE = 4
"""Nodes that enter at the same time: a dozen Python processes at once keep two cores busy for long."""

LINE = re.compile(r"^(\S+Z) +\w+ +meshfleet\.node: (introduced|judged|relays|standing): (.*)$")
QUIET = re.compile(r"^\S+Z (?:DEBUG|INFO) ")
PAIR = re.compile(r"(\w+)=((?:'(?:[^'\\]|\\.)*')|\"(?:[^\"\\]|\\.)*\"|\S+)")


class Word(msgspec.Struct, frozen=True):
    """What an observer said of a subject from a moment on, Unix time; None: it knows nobody of that name."""

    at: float
    said: Presence | None
    certainty: Certainty | None = None
    because: str = ""
    epoch: int | None = None
    """The life of the subject that it is about."""


class Stood(msgspec.Struct, frozen=True):
    """What a node said of itself from a moment on."""

    at: float
    standing: Standing
    because: str = ""


class Fleet:
    """See the module. What is said comes from a thread for each log, so what it is kept in has a lock."""

    def __init__(self, ground: Ground, folder: Path, flags: Sequence[str]) -> None:
        self.ground = ground
        self._folder = folder
        self._flags = tuple(flags)
        self._news = threading.Condition()
        self._processes: dict[str, subprocess.Popen[str]] = {}
        self._readers: list[threading.Thread] = []
        self._boots: dict[str, str] = {}
        self.words: dict[tuple[str, str], list[Word]] = defaultdict(list)
        """Observer and subject -> what was said, in order."""
        self.stood: dict[str, list[Stood]] = defaultdict(list)
        self.relays: dict[str, list[str]] = {}
        """By whom each hidden node says that it can be reached."""
        self.complaints: list[str] = []
        """Lines of warnings and errors, which a fleet that is merely cut up has no reason for."""

    # Processes

    def start(self, name: str, invite: str | None = None, *more: str) -> None:
        """Begin a life of a node. With `invite` it enters the fleet; else it begins one, or goes on in its own."""
        state = self.state_dir(name)
        state.mkdir(exist_ok=True)
        boot = self._folder / f"{name}.boot"
        boot.write_text(self._boots.setdefault(name, str(uuid.uuid4())) + "\n")
        entering = ("--invite", invite) if invite is not None else ()
        up = (
            sys.executable, "-m", "meshfleet", "up", "--name", name, "--host", f"h-{name}", "--state-dir", str(state),
            "--gossip", f"{self.ground.address(name)}:7878", "--http", "127.0.0.1:7879", "--no-discover",
            "--zone", f"zone{self.ground.zone[name]}", "--log-level", "info", *self._flags, *entering, *more,
        )  # fmt: skip
        script = 'mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"'
        command = self.ground.inside(name, "sh", "-c", script, str(boot), *self.before(name), *up, *self.flags_of(name))
        with self._news:
            for other in self.ground.names:
                self.words[name, other].append(Word(time.time(), None))
            self.stood[name].append(Stood(time.time(), Standing.CONNECTED))
        environment = {k: v for k, v in os.environ.items() if not k.startswith("MESHFLEET_")}
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            env={**environment, "HOME": str(self._folder)},
        )  # fmt: skip
        self._processes[name] = process
        reader = threading.Thread(target=self._read, args=(name, process), daemon=True)
        reader.start()
        self._readers.append(reader)

    def before(self, name: str) -> tuple[str, ...]:
        """What stands before the command of a node: `env`, say, with what its process alone is to have."""
        return ()

    def flags_of(self, name: str) -> tuple[str, ...]:
        """Flags of that node alone."""
        return ()

    def process(self, name: str) -> subprocess.Popen[str]:
        """Its present life, or its last one."""
        return self._processes[name]

    def state_dir(self, name: str) -> Path:
        """Where a node keeps what it keeps."""
        return self._folder / name

    def send(self, name: str, number: signal.Signals) -> None:
        """A signal to its process; to end it, waits for its end."""
        process = self._processes[name]
        process.send_signal(number)
        if number in (signal.SIGKILL, signal.SIGTERM):
            process.wait(GUARD)

    def reboot(self, name: str) -> None:
        """Its next life is on a machine that was started anew."""
        self._boots.pop(name, None)

    def assemble(self, names: Sequence[str]) -> None:
        """Start them, the first as the owner who invites the others; returns when each sees all others fresh."""
        self.start(names[0])
        self.until(lambda: (self.state_dir(names[0]) / "running.json").exists(), f"{names[0]} runs", every=0.1)
        invite = self.invite(names[0], 3 * len(names))
        for i in range(1, len(names), AT_ONCE):
            some = names[i : i + AT_ONCE]
            for name in some:
                self.start(name, invite)
            self.until(partial(self._are_in, names[0], some, invite), f"{names[0]} sees {', '.join(some)}")
        self.until_all_fresh(names)

    def _are_in(self, owner: str, names: Sequence[str], invite: str) -> bool:
        """Whether they entered. Who could not, as the owner was too busy for it, tries again, as a person would."""
        for name in names:
            if self._processes[name].poll() is not None:
                self.start(name, invite)
        return all(self.says(owner, name) is Presence.FRESH for name in names)

    def invite(self, owner: str, uses: int) -> str:
        """The line that lets so many in."""
        reply = administer(self.state_dir(owner), Invite("agent", 3_600.0, uses), f"{owner} does not run")
        assert reply.invite is not None
        return reply.invite

    def close(self) -> None:
        """End all at once."""
        for process in self._processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
        for process in self._processes.values():
            process.wait(GUARD)
        for reader in self._readers:
            reader.join(GUARD)

    # What they say

    def until(self, holds: Callable[[], bool], what: str, *, every: float = 1.0, guard: float = GUARD) -> None:
        """Return once that holds; looked at whenever a node says something. AssertionError names `what` never came."""
        deadline = time.monotonic() + guard
        with self._news:
            while not holds():
                assert time.monotonic() < deadline, f"not within {guard:.0f} s: {what}. {self.now()}"
                self._news.wait(every)

    def until_all(self, observers: Sequence[str], subjects: Sequence[str], *said: Presence) -> None:
        """Until each of the observers says one of these of each of the subjects."""
        what = f"{', '.join(observers)} say {' or '.join(s.value for s in said)} of {', '.join(subjects)}"
        self.until(lambda: all(self.says(o, s) in said for o in observers for s in subjects if o != s), what)

    def until_all_fresh(self, names: Sequence[str]) -> None:
        """Until everybody sees everybody."""
        self.until_all(names, names, Presence.FRESH)

    def says(self, observer: str, subject: str) -> Presence | None:
        """What it says now."""
        return self.words[observer, subject][-1].said

    def stands(self, name: str) -> Standing:
        """What it says of itself now."""
        return self.stood[name][-1].standing

    def ever(self, said: Presence, *, since: float = 0.0, but: Sequence[str] = ()) -> list[str]:
        """Who said so of whom, of subjects that are not named in `but`, and why."""
        with self._news:
            return [
                f"{observer} said {word.said.value} of {subject}: {word.because}"
                for (observer, subject), words in self.words.items()
                for word in words
                if word.said is said and word.at >= since and subject not in but
            ]

    def now(self) -> str:
        """What is not as it should be, in a line."""
        odd = [
            f"{o}: {s} {words[-1].said.value if words[-1].said else 'unknown'}"
            for (o, s), words in sorted(self.words.items())
            if o != s and words[-1].said is not Presence.FRESH
        ]
        return f"Said now: {'; '.join(odd[:20]) or 'all fresh'}. Complaints: {self.complaints[-3:]}"

    def _read(self, name: str, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        with process.stderr as told, open(self._folder / f"{name}.log", "a", buffering=1) as log:
            for line in told:
                log.write(line)
                self._hear(name, line.rstrip("\n"))

    def _hear(self, name: str, line: str) -> None:
        found = LINE.match(line)
        with self._news:
            if found is None and not QUIET.search(line):
                self.complaints.append(f"{name}: {line}")
            elif found is not None:
                at = datetime.fromisoformat(found[1]).timestamp()
                self._note(name, at, found[2], {key: value.strip("'\"") for key, value in PAIR.findall(found[3])})
            self._news.notify_all()

    def _note(self, name: str, at: float, what: str, told: dict[str, str]) -> None:
        if what == "standing":
            self.stood[name].append(Stood(at, Standing(told["now"]), told.get("because", "")))
        elif what == "relays":
            self.relays[name] = told["names"].split(",")
        elif what == "introduced":
            self.words[name, told["node"]].append(Word(at, Presence.FRESH))
        else:
            certainty = Certainty(told["certainty"]) if "certainty" in told else None
            said = Word(at, Presence(told["now"]), certainty, told.get("because", ""), int(told["epoch"]))
            self.words[name, told["node"]].append(said)


@contextmanager
def fleet(ground: Ground, folder: Path, *flags: str) -> Iterator[Fleet]:
    """Nobody yet; whoever is started is ended at the end."""
    made = Fleet(ground, folder, flags)
    try:
        yield made
    finally:
        made.close()
