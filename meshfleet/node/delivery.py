"""Where notices go besides views: a command, a webhook, the desktop. The settings; `sending.py` has the ways."""

from __future__ import annotations

import shutil
import sys
from importlib.util import find_spec
from urllib.parse import urlsplit

import msgspec

from meshfleet.errors import ConfigError
from meshfleet.fleet.notice import Severity


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing is set: this node delivers nothing, and leaves it to others."""

    command: tuple[str, ...] = ()
    """A program and its arguments. The notice is JSON on its standard input, and in MESHFLEET_NOTICE_ variables."""
    webhook: str | None = None
    """An http or https URL that is sent the same JSON by POST. Needs `meshfleet[deliver]`."""
    desktop: bool = False
    """A notification on this machine's desktop."""
    least: Severity = Severity.WARNING
    """Least severe notices that are delivered."""
    resolved: bool = False
    """Whether it is told, too, when what was delivered is over."""

    @property
    def ways(self) -> tuple[str, ...]:
        """Those that are set."""
        said = (("command", self.command), ("webhook", self.webhook), ("desktop", self.desktop))
        return tuple(way for way, value in said if value)


def check_delivery(delivery: Delivery) -> None:
    """ConfigError where something of it can't work."""
    if delivery.command and shutil.which(delivery.command[0]) is None:
        raise ConfigError(f"{delivery.command[0]!r} is no program that can be run. Give its path.")
    if delivery.webhook is not None:
        try:
            parts = urlsplit(delivery.webhook)
        except ValueError:
            parts = urlsplit("")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(
                "a webhook is a URL of http or https, such as https://hooks.example.org/fleet. This is none."
            )
        if find_spec("httpx") is None:
            raise ConfigError("a webhook needs httpx: pip install 'meshfleet[deliver]'.")
    if delivery.desktop and shutil.which(desktop_program()) is None:
        raise ConfigError(f"this machine has no {desktop_program()}, with which desktop notifications are shown.")


def desktop_program() -> str:
    """What shows a notification on this system."""
    return "osascript" if sys.platform == "darwin" else "notify-send"
