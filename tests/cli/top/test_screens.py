"""What people see, character by character, in a real terminal (tmux) at 80x24 and 200x50: compared with screens that
somebody has looked at. `MESHFLEET_NEW_SCREENS=1` writes them anew; look at them before they are committed."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from meshfleet.fleet.standing import Standing
from tests.cli.top.fleet import a_fleet, on_two_levels
from tests.cli.top.site import sites

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshfleet.fleet.view import FleetView

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(shutil.which("tmux") is None, reason="there is no tmux here"),
]

SCREENS = Path(__file__).parent / "screens"
ANEW = os.environ.get("MESHFLEET_NEW_SCREENS") == "1"
PATIENCE = 60.0
STILL = 0.4
"""Seconds without a change after which a screen is taken for whole: a terminal gets it in pieces."""
END = "-- end --"
WHOLE = {"narrow": (80, 24), "wide": (200, 50)}

AGE = re.compile(r"\s*(?<![\w$.])\d+(?:\.\d)? ?(?:s|min|m|h|d)(?![\w%])")
PORT = re.compile(r"(127\.0\.0\.1):\d+ *")
CLOCK = re.compile(r"\b\d\d:\d\d:\d\d\b")

COMMANDS = {
    "status": ("status", "n4 down"),
    "status_filter": ("status --filter box-2 --sort cost", "agents fit"),
    "why": ("why n4", "REFUSED"),
    "events": ("events", "connection refused"),
}


class Terminal:
    """A tmux session with one command in it."""

    def __init__(self, socket: Path, size: tuple[int, int]) -> None:
        self._socket = socket
        self._size = size

    def tmux(self, *words: str) -> str:
        command = ["tmux", "-S", str(self._socket), "-f", os.devnull, *words]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE).stdout

    def start(self, line: str, environment: dict[str, str]) -> None:
        given = [word for name, value in environment.items() for word in ("-e", f"{name}={value}")]
        width, height = map(str, self._size)
        self.tmux("new-session", "-d", "-x", width, "-y", height, *given, f"{line}; echo {END}; exec cat")

    def press(self, *keys: str) -> None:
        self.tmux("send-keys", *keys)

    def screen(self) -> str:
        return "\n".join(line.rstrip() for line in self.tmux("capture-pane", "-p").splitlines())

    def screen_with(self, text: str) -> str:
        """The screen once it has `text`, and stands still."""
        deadline = time.monotonic() + PATIENCE
        before, since = "", time.monotonic()
        while True:
            now = self.screen()
            if masked(before) != masked(now):
                before, since = now, time.monotonic()
            elif text.casefold() in now.casefold() and time.monotonic() - since > STILL:
                return now
            assert time.monotonic() < deadline, f"no {text!r} in\n{now}"


def masked(screen: str) -> str:
    """The screen without what differs from run to run: ages, with the space before them; ports; times of day."""
    text = AGE.sub(" #", PORT.sub(r"\1:# ", CLOCK.sub("##:##:##", screen)))
    return "\n".join(re.sub(r" {2,}live", "  live", line).rstrip() for line in text.splitlines())


@contextmanager
def terminal(folder: Path, size: tuple[int, int]) -> Iterator[Terminal]:
    # The path of a Unix socket has to be short.
    found = Terminal(Path(os.path.relpath(folder / "tmux")), size)
    try:
        yield found
    finally:
        subprocess.run(["tmux", "-S", str(found._socket), "kill-server"], capture_output=True, check=False)


def shown(folder: Path, command: str, marker: str, size: tuple[int, int], view: FleetView, *keys: str) -> str:
    with sites(folder) as made, terminal(folder, size) as found:
        site = made.serving(view)
        environment = {"MESHFLEET_API_KEY": made.key, "MESHFLEET_NODE": site.url, "TZ": "UTC", "LC_ALL": "C.UTF-8"}
        environment |= {"PYTHONUTF8": "1", "HOME": os.environ["HOME"]}
        found.start(f"env -u COLUMNS -u LINES {shlex.quote(sys.executable)} -m meshfleet {command}", environment)
        if command != "top":
            screen = found.screen_with(END).replace(END, "")
            assert marker.casefold() in screen.casefold()
            return screen
        screen = found.screen_with("? keys")
        for key in keys:
            found.press(key)
        return found.screen_with(marker)


def compare(name: str, screen: str) -> None:
    path = SCREENS / f"{name}.txt"
    if ANEW:
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"{screen}\n")
    assert masked(screen).strip() == masked(path.read_text()).strip()


@pytest.mark.parametrize("size", WHOLE)
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_looks_as_it_did(name: str, size: str, tmp_path: Path) -> None:
    command, marker = COMMANDS[name]
    compare(f"{name}_{size}", shown(tmp_path, command, marker, WHOLE[size], a_fleet()))


@pytest.mark.parametrize("size", WHOLE)
@pytest.mark.parametrize(
    ("name", "keys", "marker"),
    [
        ("top", (), "? keys"),
        ("top_by_node", ("b",), "in nodes"),
        ("top_nodes", ("2",), "RTT"),
        ("top_limits", ("3",), "USED UP"),
        ("top_keys", ("?",), "all about the row"),
        ("top_detail", ("Enter",), "WHY"),
    ],
)
def test_top_looks_as_it_did(name: str, keys: tuple[str, ...], marker: str, size: str, tmp_path: Path) -> None:
    pytest.importorskip("textual", reason="the extra tui is not installed")
    compare(f"{name}_{size}", shown(tmp_path, "top", marker, WHOLE[size], a_fleet(), *keys))


@pytest.mark.parametrize("size", WHOLE)
def test_other_zones_look_as_they_did(size: str, tmp_path: Path) -> None:
    pytest.importorskip("textual", reason="the extra tui is not installed")
    compare(f"top_zones_{size}", shown(tmp_path, "top", "NEEDS YOU", WHOLE[size], on_two_levels(), "4"))


@pytest.mark.parametrize("colours", [True, False])
def test_no_color_takes_all_colours_away(colours: bool, tmp_path: Path) -> None:
    pytest.importorskip("textual", reason="the extra tui is not installed")
    with sites(tmp_path) as made, terminal(tmp_path, (80, 24)) as found:
        given = {"MESHFLEET_API_KEY": made.key, "MESHFLEET_NODE": made.serving(a_fleet()).url, "LC_ALL": "C.UTF-8"}
        given |= {"HOME": os.environ["HOME"], "NO_COLOR": "1"}
        found.start(f"env {'-u NO_COLOR' if colours else ''} {shlex.quote(sys.executable)} -m meshfleet top", given)
        found.screen_with("? keys")
        escapes = re.findall(r"\x1b\[([\d;:]*)m", found.tmux("capture-pane", "-p", "-e"))
        parts = {part for escape in escapes for part in re.split("[;:]", escape)}
        assert bool(parts & {"31", "32", "33", "36"}) is colours


def test_where_the_locale_has_ascii_alone_so_has_the_screen(tmp_path: Path) -> None:
    pytest.importorskip("textual", reason="the extra tui is not installed")
    with sites(tmp_path) as made, terminal(tmp_path, (200, 50)) as found:
        given = {"MESHFLEET_API_KEY": made.key, "MESHFLEET_NODE": made.serving(a_fleet()).url, "LC_ALL": "POSIX"}
        given |= {"HOME": os.environ["HOME"], "PYTHONIOENCODING": "ascii:replace", "PYTHONUTF8": "0"}
        found.start(f"{shlex.quote(sys.executable)} -m meshfleet top", given)
        assert "! waiting" in found.screen_with("? keys")


@pytest.mark.parametrize("command", ["status", "top"])
def test_a_cut_can_not_be_missed(command: str, tmp_path: Path) -> None:
    if command == "top":
        pytest.importorskip("textual", reason="the extra tui is not installed")
    screen = shown(tmp_path, command, "python-5e", (80, 40), a_fleet(standing=Standing.PARTITIONED))
    compare(f"{command}_cut_off", screen)
