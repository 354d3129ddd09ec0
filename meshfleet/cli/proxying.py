"""`meshfleet proxy`: passes agents' requests to their providers on, and tells the node what is left of each key."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import trio

from meshfleet.cli.ending import until_signalled, working_until
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


def proxy(listen: str, to: Sequence[str], node: str | None) -> int:
    """Run it until a signal; returns the exit code. `listen`: HOST:PORT, loopback. `to`: NAME=URL each."""
    bind, where = parse_address(listen, DEFAULT_PORT), upstreams(to)
    log_to_stderr("warning")

    async def run(asked: trio.Event) -> None:
        async with working_until(asked) as nursery:
            url: str = await nursery.start(run_proxy, bind, where, node or os.environ.get("MESHFLEET_NODE"))
            print(f"meshfleet proxy: {url}")
            for program, _, switch in SWITCHES:
                print(f"  {program:16} {switch.format(url=url)}")
            print(
                f"Also: {', '.join(f'/{name}' for name in where if name not in {s[1] for s in SWITCHES})}.", flush=True
            )
            await trio.sleep_forever()

    trio.run(until_signalled, run, lambda: None)
    return 0
