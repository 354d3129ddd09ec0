"""The small script that hooks and the status line run: hands its standard input to the node, and is gone.

A session waits for a hook's process. So the script only takes in what it is given and leaves the sending to processes
in the background, which have a second for it and say nothing: with no node, or one that stalls, nothing happens at all.
Hooks over HTTP would need no process, but Claude Code shows each that finds no node as an error in the conversation.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from contextlib import suppress
from subprocess import DEVNULL
from typing import TYPE_CHECKING

from meshfleet.errors import StateDirError

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT = "meshfleet-tell"
SENDER = "meshfleet-tell.py"
TIMEOUT = 2
"""Seconds after which a runtime gives up on the script, which takes milliseconds."""

_SCRIPT = """\
#!/bin/sh
# Hands its standard input to a meshfleet node, in the background. Written by `meshfleet connect`.
#   meshfleet-tell HOST PORT PATH [through]     through: also prints it, as it is
send() {{
  if command -v curl; then
    curl -q -s -m 1 --noproxy '*' -H 'Content-Type: application/json' -H 'Expect:' \\
      --data-binary @- "http://$1:$2$3"
  else
    {python} -I -S {sender} "$1" "$2" "$3"
  fi
}} >/dev/null 2>&1
if [ "$4" = through ]; then
  said=$(cat; printf x)
  said=${{said%x}}
  {{ printf %s "$said" | send "$1" "$2" "$3"; }} >/dev/null 2>&1 &
  printf %s "$said"
else
  # Past the shell, which takes 15 ms for a megabyte, and not at the pace of who sends.
  cat | {{ {{ {gather} | send "$1" "$2" "$3"; }} <&3 3<&- >/dev/null 2>&1 & }} 3<&0
fi
exit 0
"""

_GATHERS = "dd bs=4194304 iflag=fullblock"
"""Takes in 4 MiB at once, and so lets go whoever writes them. Not every dd can (`iflag`); then `cat` does, and a hook
of over 64 KiB, which a pipe does not hold, waits until curl has started."""

_SENDER = """\
# Where curl is not there. Only what starts fast; the alarm ends it, whatever hangs.
import sys
from _signal import alarm
alarm(1)
import _socket
host, port, path = sys.argv[1:]
body = sys.stdin.buffer.read()
family = _socket.AF_INET6 if ":" in host else _socket.AF_INET
wire = _socket.socket(family, _socket.SOCK_STREAM)
wire.connect((host, int(port)))
name = f"[{host}]" if ":" in host else host
head = (f"POST {path} HTTP/1.1\\r\\nHost: {name}:{port}\\r\\nContent-Type: application/json\\r\\n"
        f"Content-Length: {len(body)}\\r\\nConnection: close\\r\\n\\r\\n")
rest = memoryview(head.encode() + body)
while rest:
    rest = rest[wire.send(rest):]
wire.recv(1)
"""


def install(folder: Path) -> None:
    """Write the script into `folder`, where it stays while any runtime is connected."""
    sender = folder / SENDER
    python = shlex.quote(os.path.realpath(sys.executable))
    script = _SCRIPT.format(python=python, sender=shlex.quote(str(sender)), gather=_gather())
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path, text, mode in (
            (sender, _SENDER, 0o600),
            (folder / SCRIPT, script, 0o700),
        ):
            beside = path.with_name(f".{path.name}.{os.getpid()}")
            beside.write_text(text)
            beside.chmod(mode)
            beside.replace(path)
    except OSError as error:
        raise StateDirError(f"{folder} can't be written: {error.strerror}. Nothing was changed.") from error


def _gather() -> str:
    try:
        done = subprocess.run(
            _GATHERS.split(), stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL, timeout=TIMEOUT, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return "cat"
    return _GATHERS if done.returncode == 0 else "cat"


def remove(folder: Path) -> None:
    """Remove it."""
    for name in (SCRIPT, SENDER):
        with suppress(OSError):
            (folder / name).unlink()


def command(folder: Path, host: str, port: int, path: str) -> str:
    """The shell command of a hook. Where the script is gone, it does nothing, and well."""
    script = shlex.quote(str(folder / SCRIPT))
    return f"[ ! -x {script} ] || {script} {host} {port} {path} # meshfleet"


def is_ours(text: object) -> bool:
    """Whether a shell command is one of these, of any version and for any node."""
    return isinstance(text, str) and text.endswith("# meshfleet") and SCRIPT in text


_AROUND = "\n) # meshfleet"


def around(folder: Path, host: str, port: int, path: str, own: str) -> str:
    """A status line's command that tells the node and then does what `own` does: prints what it prints, ends as it
    ends. Where the script is gone, `own` is all there is."""
    script = shlex.quote(str(folder / SCRIPT))
    return f"{{ [ -x {script} ] && {script} {host} {port} {path} through || cat; }} | (\n{own}{_AROUND}"


def inside(text: str) -> str | None:
    """The `own` of a command that `around` made; None where there is none."""
    head, separator, rest = text.partition("; } | (\n")
    if not separator or SCRIPT not in head or not rest.endswith(_AROUND):
        return None
    return rest[: -len(_AROUND)]
