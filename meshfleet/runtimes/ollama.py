"""Ollama on this machine: `await watch_ollama(sink, url, …)`. Its loaded models are agents, and their windows are told.

`GET /api/ps` has what is loaded: its true window (`context_length`), how much of it is in VRAM, when it goes.
`POST /api/show` has a model's nominal window, and `num_ctx` where its author has set one.

Ollama does not say whether a model works at this moment. What can be seen: the time at which it is to be unloaded moves
when an answer is done, and with each look while the model is being loaded. So a model whose time moved since the last
look is `working`, any other `idle`, both as inferred; an answer that takes long shows when it is done.

Checked against the documented API of 0.12 to 0.14.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import msgspec
import trio

from meshfleet.asking import Place, Unanswered, ask
from meshfleet.errors import MeshfleetError
from meshfleet.fleet.names import AGENT_ID_LIMIT, AgentId
from meshfleet.fleet.state import AgentState, Status
from meshfleet.runtimes.record import counted, name, rfc3339, seconds

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

    from meshfleet.runtimes.sink import Sink
    from meshfleet.runtimes.windows import Windows

RUNTIME = "ollama"

POLL = 5.0
"""Seconds between two looks while it is there: one question, a millisecond."""

FIRST_PAUSE, LONGEST_PAUSE = 15.0, 300.0
"""Seconds between two looks while it is not: one refused connection each, soon every five minutes."""

FAILURES = 3
"""Looks in a row without an answer of use after which it counts as gone, where nothing refuses: a machine that loads a
model, or swaps, may answer late once."""

PS_LIMIT = 256 * 1024
"""Bytes of the list of what is loaded; a model takes some 500."""

MODELS_LIMIT = 64
"""Loaded models that are shown."""

SHOWN_LIMIT = 256
"""Models whose own figures are kept."""

FOREVER = 400 * 86_400.0
"""Seconds beyond which a model counts as kept: `keep_alive` -1 makes it 292 years."""

GIGABYTE = 1e9

SOURCE = "reported:ollama"


class _Details(msgspec.Struct, frozen=True, gc=False):
    family: str | None = None
    parameter_size: str | None = None
    quantization_level: str | None = None


class _Loaded(msgspec.Struct, frozen=True, gc=False):
    name: str | None = None
    model: str | None = None
    size: object = None
    size_vram: object = None
    digest: str | None = None
    details: _Details = _Details()
    expires_at: str | None = None
    context_length: object = None


class _Ps(msgspec.Struct, frozen=True, gc=False):
    models: list[_Loaded]


class _Show(msgspec.Struct, frozen=True, gc=False):
    parameters: str | None = None
    model_info: dict[str, msgspec.Raw] = {}


class Own(msgspec.Struct, frozen=True, gc=False):
    """A model's own figures."""

    nominal: int | None = None
    """Tokens that it was made for."""
    num_ctx: int | None = None
    """Tokens that its author wants allocated."""


_ps = msgspec.json.Decoder(_Ps)
_show = msgspec.json.Decoder(_Show)
_NUM_CTX = re.compile(r"^num_ctx\s+(\d{1,9})\s*$", re.MULTILINE)


async def watch_ollama(
    sink: Sink,
    url: str,
    *,
    host: str,
    windows: Windows,
    counts: Counter[str],
    wall: Callable[[], float] = time.time,
) -> None:
    """Publish the loaded models of the server at `url`, and keep `windows`, until cancelled. It may come and go."""
    models = _Models(sink, Place(url.rstrip("/")), host, windows, counts, wall)
    pause, failures = FIRST_PAUSE, 0
    while True:
        try:
            await models.look()
            pause, failures = POLL, 0
        except Unanswered as error:
            failures += 1
            if error.refused or failures >= FAILURES:
                models.are_gone()
                pause = FIRST_PAUSE if pause == POLL else min(LONGEST_PAUSE, 2 * pause)
        await trio.sleep(pause)


class _Models:
    """What is loaded, and what is shown of it."""

    def __init__(
        self,
        sink: Sink,
        place: Place,
        host: str,
        windows: Windows,
        counts: Counter[str],
        wall: Callable[[], float],
    ) -> None:
        self._sink = sink
        self._place = place
        self._host = re.sub(r"[^A-Za-z0-9._:@-]", "-", host).lstrip("._:@-") or "host"
        self._windows = windows
        self._counts = counts
        self._wall = wall
        self._own: dict[str, Own] = {}
        self._expiry: dict[AgentId, str | None] = {}
        self._shown: dict[AgentId, AgentState] = {}

    async def look(self) -> None:
        """Ask what is loaded, and show it. Unanswered where no Ollama answers."""
        try:
            loaded = _ps.decode(await ask(self._place, "/api/ps", limit=PS_LIMIT)).models
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self._counts["runtimes_bad_answers"] += 1
            raise Unanswered("something else serves there") from None
        now, windows, here = self._wall(), dict[str, int](), set[AgentId]()
        for one in loaded[:MODELS_LIMIT]:
            model = name(one.name or one.model)
            if model is None:
                self._counts["runtimes_bad_answers"] += 1
                continue
            own = await self._figures(one.digest or model, model)
            window = counted(one.context_length) or own.num_ctx
            if window:
                windows[model] = window
            agent_id = self._agent_id(model)
            here.add(agent_id)
            self._publish(self._state(agent_id, model, one, own, now))
        self._windows.are(windows, SOURCE)
        self._withdraw(self._shown.keys() - here)

    def are_gone(self) -> None:
        """Nothing is loaded any more, as far as can be told."""
        self._windows.are({}, SOURCE)
        self._withdraw(set(self._shown))

    def _agent_id(self, model: str) -> AgentId:
        short = "ollama-" + re.sub(r"[^A-Za-z0-9._:@-]", "-", model)
        return AgentId(f"{self._host[: AGENT_ID_LIMIT - len(short) - 1]}/{short}")

    async def _figures(self, key: str, model: str) -> Own:
        """The model's own figures: asked for once. Unknown where it won't say."""
        if key not in self._own:
            while len(self._own) >= SHOWN_LIMIT:
                del self._own[next(iter(self._own))]
            try:
                self._own[key] = own_figures(await ask(self._place, "/api/show", msgspec.json.encode({"model": model})))
            except Unanswered as error:
                if error.status is None:
                    raise
                self._own[key] = Own()
        return self._own[key]

    def _state(self, agent_id: AgentId, model: str, one: _Loaded, own: Own, now: float) -> AgentState:
        before = self._expiry.get(agent_id, one.expires_at)
        moved = agent_id in self._expiry and one.expires_at != before
        self._expiry[agent_id] = one.expires_at
        allocated = counted(one.context_length)
        window = allocated or own.num_ctx
        sources = {"status": "inferred:its expiry moved" if moved else "inferred:loaded", "model": SOURCE}
        if window:
            sources["context_limit"] = SOURCE if allocated else "inferred:num_ctx"
        return AgentState(
            agent_id=agent_id,
            timestamp=rfc3339(now),
            status=Status.WORKING if moved else Status.IDLE,
            runtime=RUNTIME,
            model=model,
            context_limit=window or None,
            note=_note(one, own, now),
            sources=sources,
        )

    def _publish(self, state: AgentState) -> None:
        before = self._shown.get(AgentId(state.agent_id))
        if before is not None and msgspec.structs.replace(state, timestamp=before.timestamp) == before:
            return
        try:
            self._sink.publish(state)
        except MeshfleetError:
            self._counts["runtimes_refused"] += 1
            return
        self._shown[AgentId(state.agent_id)] = state

    def _withdraw(self, agents: set[AgentId]) -> None:
        for agent in agents:
            self._sink.withdraw(agent)
            self._shown.pop(agent, None)
            self._expiry.pop(agent, None)


def own_figures(data: bytes) -> Own:
    """What `/api/show` says. Templates, licences and system prompts that stand beside are skipped."""
    try:
        shown = _show.decode(data)
        made = shown.model_info.get("general.architecture")
        family = msgspec.json.decode(made, type=str) if made is not None else ""
        length = shown.model_info.get(f"{family}.context_length")
        nominal = counted(msgspec.json.decode(length)) if length is not None else 0
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Own()
    wanted = _NUM_CTX.search(shown.parameters or "")
    return Own(nominal or None, int(wanted[1]) if wanted else None)


def _note(one: _Loaded, own: Own, now: float) -> str:
    """What else is known, in words: `qwen3moe 30.5B Q4_K_M, 18.6 of 20.1 GB in VRAM, made for 262144 tokens, …`."""
    details = one.details
    parts = [" ".join(part for part in map(name, msgspec.structs.astuple(details)) if part)]
    size, vram = counted(one.size), counted(one.size_vram)
    if size:
        parts.append(f"{min(vram, size) / GIGABYTE:.1f} of {size / GIGABYTE:.1f} GB in VRAM")
    if own.nominal is not None:
        parts.append(f"made for {own.nominal} tokens")
    until = seconds(one.expires_at)
    if until is not None and until - now < FOREVER:
        parts.append(f"loaded until {rfc3339(until)[11:19]} UTC unless used")
    return ", ".join(part for part in parts if part)[:200]
