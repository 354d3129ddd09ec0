"""Sessions that are told of by other ways than files, through `watch_agents`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import msgspec
import trio
import trio.testing

from meshfleet.fleet.state import Status
from meshfleet.runtimes.agents import watch_agents
from meshfleet.runtimes.desk import DESK_LIMIT, Desk
from meshfleet.runtimes.record import Channel, SessionRecord
from meshfleet.runtimes.sessions import Key
from meshfleet.runtimes.settings import RuntimesSettings
from meshfleet.runtimes.usage import Usage
from tests.runtimes.writing import SESSION, T0, Living, Recorder

if TYPE_CHECKING:
    from pathlib import Path

KEY = Key("claude-code", SESSION)
TOLD = SessionRecord(
    runtime="claude-code", session=SESSION, source="otlp", status=Status.WORKING, status_at=T0, last_at=T0
)


async def test_a_session_without_a_file_is_an_agent_until_its_time_is_over(tmp_path: Path) -> None:
    counts: Counter[str] = Counter()
    sink, desk, now = Recorder(), Desk(counts), [T0]
    settings = RuntimesSettings(
        claude_dirs=(tmp_path,), look_every=0.01, scan_every=0.02, silent_exit=50, exited_shown=50
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(
            lambda: watch_agents(
                sink, host="box", settings=settings, wall=lambda: now[0], counts=counts, table=Living(), desk=desk
            )
        )
        await trio.testing.wait_all_tasks_blocked()
        desk.hear(KEY, Channel.OTLP, msgspec.structs.replace(TOLD, usage=Usage(fresh=10, output=2)))
        await sink.until(lambda agents: "box/claude-1f3c9a02" in agents)
        state = sink.now["box/claude-1f3c9a02"]
        assert (state.status, state.tokens_in, state.sources["tokens_in"]) == (Status.WORKING, 10, "reported:otlp")
        desk.hear(
            KEY, Channel.HOOKS, msgspec.structs.replace(TOLD, source="hooks", status=Status.IDLE, status_at=T0 + 1)
        )
        await sink.until(lambda agents: agents["box/claude-1f3c9a02"].status is Status.IDLE)
        now[0] += 60
        await sink.until(lambda agents: agents["box/claude-1f3c9a02"].status is Status.EXITED)
        now[0] += 60
        await sink.until(lambda agents: not agents)
        assert not desk.keys()
        nursery.cancel_scope.cancel()


async def test_an_agent_that_was_given_an_id_is_shown_under_it(tmp_path: Path) -> None:
    sink, desk = Recorder(), Desk(Counter())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(
            lambda: watch_agents(
                sink, host="box", settings=RuntimesSettings(), wall=lambda: T0, table=Living(), desk=desk
            )
        )
        await trio.testing.wait_all_tasks_blocked()
        desk.hear(KEY, Channel.OTLP, msgspec.structs.replace(TOLD, agent="box/reviewer"))
        await sink.until(lambda agents: "box/reviewer" in agents)
        nursery.cancel_scope.cancel()


def test_it_keeps_so_many_and_counts_what_it_lets_go() -> None:
    counts: Counter[str] = Counter()
    desk = Desk(counts)
    for i in range(DESK_LIMIT + 1):
        desk.hear(Key("x", str(i)), Channel.OTLP, msgspec.structs.replace(TOLD, last_at=T0 + i))
    assert len(desk.keys()) == DESK_LIMIT
    assert counts == {"runtimes_desk_dropped": 1}
    assert desk.told(Key("x", "0"), Channel.OTLP) is None
