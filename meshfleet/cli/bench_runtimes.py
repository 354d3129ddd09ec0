"""`meshfleet bench runtimes`: what following session files costs, and how soon a new line shows.

The files are made for it, as Claude Code writes them: prompts, answers with usage, tools and what they gave. They are
read by a process of its own, as a node reads them.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import msgspec

from meshfleet.cli.bench_figures import share
from meshfleet.cli.bench_runtimes_node import STAMP, Told
from meshfleet.errors import MeshfleetError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LINES = 100
"""New lines whose way is measured."""

IDLE_S = 20.0
"""How long nothing is written while the cost of that is measured."""

_SESSION = "00000000-0000-4000-8000-000000000000"


class Result(msgspec.Struct, frozen=True):
    """All of it."""

    files: int
    megabytes: float
    """Of each file."""
    startup_s: float
    """Until all are shown: status, model and context of each. Their sums are read in the background after that."""
    read_s: float
    """Until all are read to their ends."""
    idle_cpu_pct: float
    """Of one core, while nothing is written."""
    new_line_p50_ms: float
    new_line_p99_ms: float
    rss_mb: float
    """The most at any look."""


def bench(files: int, megabytes: float, say: Callable[[str], None]) -> Result:
    """Measure with so many files of that size, in a folder that is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="meshfleet-bench-") as folder:
        say(f"writing {files} files of {megabytes:g} MB")
        paths = _write(Path(folder), files, megabytes)
        return _measure(folder, paths, megabytes, say)


def summary(result: Result) -> str:
    """For people."""
    return "\n".join(
        [
            f"{result.files} session files of {result.megabytes:g} MB",
            f"all shown after {result.startup_s:.1f} s, all read after {result.read_s:.1f} s",
            f"idle {result.idle_cpu_pct:.2f} % of a core, {result.rss_mb:.0f} MB",
            f"a new line shows after {result.new_line_p50_ms:.0f} ms (p50), {result.new_line_p99_ms:.0f} ms (p99)",
        ]
    )


def _measure(folder: str, paths: list[Path], megabytes: float, say: Callable[[str], None]) -> Result:
    command = [sys.executable, "-m", "meshfleet.cli.bench_runtimes_node", folder, str(len(paths))]
    began = time.monotonic()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            told = _heard(process)
            startup = time.monotonic() - began
            say(f"all shown after {startup:.1f} s; reading on")
            most = told.rss_mb
            while told.read < len(paths):
                told = _heard(process)
                most = max(most, told.rss_mb)
            read = time.monotonic() - began
            say(f"all read after {read:.1f} s; idle for {IDLE_S:.0f} s")
            before = _asked(process)
            time.sleep(IDLE_S)
            idle = 100 * (_asked(process).cpu_s - before.cpu_s) / IDLE_S
            say(f"{LINES} new lines")
            delays = sorted(_new_line(process, Random(i).choice(paths)) for i in range(LINES))
            most = max(most, _asked(process).rss_mb)
        finally:
            process.kill()
    return Result(
        files=len(paths),
        megabytes=megabytes,
        startup_s=round(startup, 2),
        read_s=round(read, 2),
        idle_cpu_pct=round(idle, 3),
        new_line_p50_ms=round(1000 * share(delays, 0.5), 1),
        new_line_p99_ms=round(1000 * share(delays, 0.99), 1),
        rss_mb=round(most, 1),
    )


def _heard(process: subprocess.Popen[bytes]) -> Told:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise MeshfleetError("the benchmark's reader ended before its time; its error is above.")
    return msgspec.json.decode(line, type=Told)


def _asked(process: subprocess.Popen[bytes]) -> Told:
    assert process.stdin is not None
    process.stdin.write(b"look\n")
    process.stdin.flush()
    while (told := _heard(process)).delay_s is not None:
        pass  # of a line before
    return told


def _new_line(process: subprocess.Popen[bytes], path: Path) -> float:
    """Seconds until a tool shows that was just begun."""
    time.sleep(0.05)
    with path.open("ab") as file:
        file.write(_answer(path.stem, f"{STAMP}{time.monotonic_ns()}", 40))
    while (delay := _heard(process).delay_s) is None:
        pass
    return delay


# The files


def _write(folder: Path, files: int, megabytes: float) -> list[Path]:
    project = folder / "projects" / "-home-me-shop"
    project.mkdir(parents=True)
    body = _conversation(round(megabytes * 1e6))
    paths = []
    for i in range(files):
        session = str(uuid.UUID(int=Random(i).getrandbits(128), version=4))
        path = project / f"{session}.jsonl"
        path.write_bytes(body.replace(_SESSION.encode(), session.encode()))
        paths.append(path)
    return paths


def _conversation(size: int) -> bytes:
    """Turns of a prompt, an answer that calls a tool, and what the tool gave: most of it is what nobody counts."""
    rng, parts, length = Random(1), [], 0
    while length < size:
        text = rng.randbytes(2_000).hex()
        turn = [
            _line(_SESSION, "user", {"role": "user", "content": text[:500]}),
            _answer(_SESSION, None, rng.randrange(1_000), text),
            _line(_SESSION, "user", {"role": "user", "content": [{"type": "text", "text": text * 4}]}),
        ]
        parts += turn
        length += sum(map(len, turn))
    return b"".join(parts)


def _answer(session: str, tool: str | None, out: int, text: str = "") -> bytes:
    usage = {
        "input_tokens": 4,
        "cache_read_input_tokens": 20_000,
        "cache_creation_input_tokens": 300,
        "output_tokens": out,
    }
    call: dict[str, object] = {"type": "tool_use", "id": f"toolu_{uuid.uuid4().hex}", "name": tool, "input": {}}
    message = {
        "id": f"msg_{uuid.uuid4().hex}",
        "role": "assistant",
        "model": "claude-sonnet-4-5",
        "content": [call if tool is not None else {"type": "text", "text": text}],
        "stop_reason": "tool_use" if tool is not None else "end_turn",
        "usage": usage,
    }
    return _line(session, "assistant", message)


def _line(session: str, kind: str, message: Mapping[str, object]) -> bytes:
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    record = {
        "type": kind, "sessionId": session, "timestamp": now, "cwd": "/home/me/shop", "version": "2.0.0",
        "uuid": str(uuid.uuid4()), "message": message,
    }  # fmt: skip
    return msgspec.json.encode(record) + b"\n"
