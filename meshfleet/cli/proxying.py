"""`meshfleet proxy`: passes agents' requests to their providers on, and tells the node what is left of each key."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec
import trio

from meshfleet.cli.ending import until_signalled, working_until
from meshfleet.cli.saying import print_plain
from meshfleet.cli.up import log_to_stderr
from meshfleet.fleet.names import parse_address
from meshfleet.proxy.server import run_proxy
from meshfleet.proxy.upstreams import upstreams

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT_PORT = 7880

SWITCHES = (
    ("Claude Code", "anthropic", "ANTHROPIC_BASE_URL={url}/anthropic"),
    ("OpenAI SDKs", "openai", "OPENAI_BASE_URL={url}/openai/v1"),
    ("Gemini CLI", "gemini", "GOOGLE_GEMINI_BASE_URL={url}/gemini"),
    ("Ollama's clients", "ollama", "OLLAMA_HOST={url}/ollama"),
)
"""By which switch each program is pointed here."""


class Started(msgspec.Struct, frozen=True):
    """What `--json` prints once requests are passed on."""

    url: str
    upstreams: tuple[str, ...]


def proxy(listen: str, to: Sequence[str], node: str | None, *, as_json: bool) -> int:
    """Run it until a signal; returns the exit code. `listen`: HOST:PORT, loopback. `to`: NAME=URL each."""
    bind, where = parse_address(listen, DEFAULT_PORT), upstreams(to)
    log_to_stderr("warning")

    async def run(asked: trio.Event) -> None:
        async with working_until(asked) as nursery:
            url: str = await nursery.start(run_proxy, bind, where, node or os.environ.get("MESHFLEET_NODE"))
            started = Started(url, tuple(where))
            print_plain(msgspec.json.encode(started).decode() if as_json else _introduced(started), flush=True)
            await trio.sleep_forever()

    trio.run(until_signalled, run, lambda: None)
    return 0


def _introduced(started: Started) -> str:
    lines = [f"meshfleet proxy: {started.url}"]
    lines += [f"  {program:16} {switch.format(url=started.url)}" for program, _, switch in SWITCHES]
    others = [f"/{name}" for name in started.upstreams if name not in {name for _, name, _ in SWITCHES}]
    return "\n".join([*lines, f"Also: {', '.join(others)}."])
