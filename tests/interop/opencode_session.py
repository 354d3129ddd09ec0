"""One turn of the real opencode, in a network namespace that has loopback alone, with a node's runtimes beside it.

Run by test_opencode.py as `unshare -rn python -m tests.interop.opencode_session OPENCODE FOLDER`; prints each state
that was published, one JSON object a line.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import urllib.request
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import trio

from meshfleet.fleet.state import Status
from meshfleet.runtimes.agents import watch_agents
from meshfleet.runtimes.desk import Desk
from meshfleet.runtimes.opencode.reading import watch_opencode
from meshfleet.runtimes.settings import RuntimesSettings
from tests.interop.chat_api import ChatApi

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshfleet.fleet.state import AgentState

PORT = 4096
URL = f"http://127.0.0.1:{PORT}"
PATIENCE = 120.0
"""Seconds for each step: without a network the server takes half a minute to start."""


class Printed:
    """A sink that prints, and can be waited for."""

    def __init__(self) -> None:
        self.newest: AgentState | None = None
        self._news = trio.Event()

    def publish(self, state: AgentState) -> None:
        print(msgspec.json.encode(state).decode(), flush=True)
        self.newest = state
        self._news.set()
        self._news = trio.Event()

    def withdraw(self, agent_id: object) -> None:
        print(json.dumps({"withdrawn": agent_id}), flush=True)

    def carried(self, agent_id: object) -> AgentState | None:
        return None

    def recall(self, state: AgentState, course: object) -> None:
        """Nothing is counted here."""

    def rename(self, agent_id: object, to: object) -> None:
        self.withdraw(agent_id)

    async def until(self, holds: Callable[[AgentState], bool]) -> None:
        with trio.fail_after(PATIENCE):
            while self.newest is None or not holds(self.newest):
                await self._news.wait()


def post(path: str, body: object) -> bytes:
    """Ask the server for something, as its user would."""
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(URL + path, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        return bytes(answer.read())


def get(path: str) -> bytes:
    """What the server says."""
    with urllib.request.urlopen(URL + path, timeout=PATIENCE) as answer:
        return bytes(answer.read())


def serves() -> bool:
    """Whether it answers yet. What it is asked while it starts, it may accept and never answer."""
    try:
        with urllib.request.urlopen(f"{URL}/global/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def configured(home: Path, api: ChatApi) -> dict[str, str]:
    """A home with a configuration, and the environment for it."""
    model = {"name": "M", "limit": {"context": 128_000, "output": 8_000}}
    model["cost"] = {"input": 3, "output": 15, "cache_read": 0.3, "cache_write": 3.75}
    options = {"baseURL": api.url, "apiKey": "canary-key"}
    provider = {"npm": "@ai-sdk/openai-compatible", "name": "P", "options": options, "models": {"stub-large": model}}
    config = {
        "autoupdate": False,
        "share": "disabled",
        "model": "stub/stub-large",
        "small_model": "stub/stub-large",
        "permission": {"bash": "ask"},
        "provider": {"stub": provider},
    }
    folder = home / ".config" / "opencode"
    folder.mkdir(parents=True)
    (folder / "opencode.json").write_text(json.dumps(config))
    off = ("OPENCODE_DISABLE_DEFAULT_PLUGINS", "OPENCODE_DISABLE_MODELS_FETCH", "OPENCODE_DISABLE_AUTOUPDATE")
    return {"PATH": os.environ["PATH"], "HOME": str(home), "TERM": "dumb", **dict.fromkeys(off, "1")}


async def one_turn(sink: Printed, fifo: Path) -> None:
    """A prompt, a permission, a tool that runs until we let it end, an answer."""
    session = json.loads(await trio.to_thread.run_sync(post, "/session", {}))["id"]
    said = {"parts": [{"type": "text", "text": "canary prompt"}]}
    prompt = threading.Thread(target=post, args=(f"/session/{session}/message", said), daemon=True)
    prompt.start()
    await sink.until(lambda state: state.status is Status.WAITING)
    (asked,) = json.loads(await trio.to_thread.run_sync(get, "/permission"))
    await trio.to_thread.run_sync(post, f"/permission/{asked['id']}/reply", {"reply": "once"})
    await sink.until(lambda state: state.status is Status.TOOL)
    await trio.to_thread.run_sync(fifo.write_text, "canary-output\n")
    await sink.until(lambda state: state.status is Status.IDLE and state.tokens_in == 14_500)


async def beside(sink: Printed, server: subprocess.Popen[bytes], fifo: Path) -> None:
    """The turn, and the end of the server, watched."""
    counts: Counter[str] = Counter()
    desk = Desk(counts)
    with trio.fail_after(PATIENCE):
        while server.poll() is None and not await trio.to_thread.run_sync(serves):
            pass
    async with trio.open_nursery() as nursery:

        async def agents() -> None:
            await watch_agents(sink, host="box", settings=RuntimesSettings(), desk=desk, counts=counts)

        async def servers() -> None:
            await watch_opencode(desk, [URL], password=None, counts=counts)

        nursery.start_soon(agents)
        nursery.start_soon(servers)
        await one_turn(sink, fifo)
        server.kill()
        await sink.until(lambda state: state.status is Status.EXITED)
        nursery.cancel_scope.cancel()
    print(json.dumps({"counts": counts}), flush=True)


def main(opencode: str, folder: Path) -> None:
    """Everything, from the namespace's loopback on."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    shop = folder / "home" / "canary" / "shop"
    shop.mkdir(parents=True)
    fifo = shop / "fifo"
    os.mkfifo(fifo)
    api = ChatApi("read line < fifo; echo $line")
    environment = configured(folder / "home" / "canary", api)
    with (folder / "opencode.log").open("wb") as log:
        command = [opencode, "serve", "--port", str(PORT)]
        server = subprocess.Popen(command, env=environment, cwd=shop, stdout=log, stderr=log)
        try:
            trio.run(beside, Printed(), server, fifo)
        finally:
            server.kill()
            server.wait()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
