"""The ways that notices go besides views: a command, a webhook, the desktop.

Each has its time, takes no content along, and what goes wrong with it is told without its address, which may hold a
secret.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from importlib import import_module
from subprocess import DEVNULL
from typing import TYPE_CHECKING

import msgspec
import trio

from meshfleet.fleet.notice import Severity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshfleet.fleet.notice import Notice
    from meshfleet.node.delivery import Delivery

PATIENCE = 10.0
"""Seconds that a command or a webhook may take. Then it is ended, and counts as failed."""


class Delivered(msgspec.Struct, frozen=True, kw_only=True):
    """What is delivered. Like `Notice`, and who tells it."""

    event: str
    """`raised` or `resolved`."""
    told_by: str
    rule: str
    severity: Severity
    subject: str
    since: str
    text: str
    key: str


def delivered(notice: Notice, told_by: str, event: str = "raised") -> Delivered:
    """As it is delivered."""
    said = msgspec.structs.asdict(notice)
    return Delivered(event=event, told_by=told_by, **said)


async def send(way: str, delivery: Delivery, told: Delivered) -> str | None:
    """Deliver by one way; None where that worked, else why not, without anything secret."""
    try:
        with trio.fail_after(PATIENCE):
            if way == "command":
                return await _run(delivery.command, told)
            if way == "webhook":
                assert delivery.webhook is not None
                return await _post(delivery.webhook, told)
            return await _run(_desktop(told), None)
    except trio.TooSlowError:
        return f"nothing came of it within {PATIENCE:.0f} s"
    except OSError as error:
        return error.strerror or type(error).__name__
    except Exception as error:  # whatever a library raises: its text may hold the address
        return type(error).__name__


async def _run(command: tuple[str, ...], told: Delivered | None) -> str | None:
    environment: Mapping[str, str] = os.environ
    stdin = b""
    if told is not None:
        fields = msgspec.to_builtins(told)
        environment = {**os.environ, **{f"MESHFLEET_NOTICE_{name.upper()}": text for name, text in fields.items()}}
        stdin = msgspec.json.encode(told) + b"\n"
    # A session of its own: Ctrl-C ends the node, and the node ends it, with whatever it began.
    process = await trio.run_process(
        command, stdin=stdin, stdout=DEVNULL, stderr=DEVNULL, env=environment, check=False, start_new_session=True,
        deliver_cancel=_kill,
    )  # fmt: skip
    return None if process.returncode == 0 else f"it ended with exit code {process.returncode}"


async def _kill(process: trio.Process) -> None:
    """It had its time."""
    with suppress(ProcessLookupError, PermissionError):  # macOS refuses where all of it has ended already
        os.killpg(process.pid, signal.SIGKILL)


async def _post(url: str, told: Delivered) -> str | None:
    httpx = await trio.to_thread.run_sync(import_module, "httpx")
    async with httpx.AsyncClient(timeout=PATIENCE) as client:
        answer = await client.post(url, content=msgspec.json.encode(told), headers={"Content-Type": "application/json"})
    return None if answer.is_success else f"it answered {answer.status_code}"


def _desktop(told: Delivered) -> tuple[str, ...]:
    """The command that shows it. On macOS the texts are arguments of a script, so that nothing in them is one."""
    title = f"meshfleet: {told.subject}" if told.event == "raised" else f"meshfleet: {told.subject}: over"
    if sys.platform == "darwin":
        script = "on run argv\ndisplay notification (item 2 of argv) with title (item 1 of argv)\nend run"
        return ("osascript", "-e", script, title, told.text)
    urgency = "critical" if told.severity is Severity.CRITICAL else "normal"
    return ("notify-send", f"--urgency={urgency}", "--app-name=meshfleet", "--", title, told.text)
