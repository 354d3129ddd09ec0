"""Sessions -> Sink: publishes what changed, notices exits, withdraws what exited long ago, and keeps the limit."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from meshfleet.errors import MeshfleetError
from meshfleet.fleet.names import AgentId
from meshfleet.fleet.state import AGENTS_LIMIT, AgentState, Status
from meshfleet.logs import get_logger
from meshfleet.runtimes import gemini_cli
from meshfleet.runtimes.record import seconds
from meshfleet.runtimes.states import Judged, Process, agent_id_of, agent_state, judge, percent
from meshfleet.runtimes.trend import Trend

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Mapping, Sequence

    from meshfleet.fleet.usage import Moment
    from meshfleet.runtimes.merging import Merged
    from meshfleet.runtimes.processes import Presence
    from meshfleet.runtimes.record import SessionRecord
    from meshfleet.runtimes.settings import RuntimesSettings
    from meshfleet.runtimes.sink import Host

AFTERWARDS = 1.0
"""Seconds after an end within which what is told is of before it: clocks are read one after the other."""

SUB_AGENT_SHOWN = 60.0
"""Seconds that a sub-agent stays after its end whose tokens count for its parent. Some sessions start dozens."""

log = get_logger("meshfleet.runtimes")


_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Key(NamedTuple):
    """One session of one runtime."""

    runtime: str
    session: str


def canonical(key: Key) -> Key:
    """The one key of a session. Gemini CLI's files are named for the first digits of the id that its telemetry and its
    hooks have in full."""
    if key.runtime == gemini_cli.RUNTIME and _UUID.fullmatch(key.session):
        return Key(key.runtime, key.session[:8])
    return key


class _Shown:
    """An agent that the sink carries."""

    def __init__(self, agent_id: AgentId) -> None:
        self.agent_id = agent_id
        self.state: AgentState | None = None
        self.heard_at = 0.0
        """When its session spoke last: its rank where there are too many."""
        self.exited_at: float | None = None
        self.lived = False
        """Whether its process was seen to live."""
        self.ended_at: float | None = None
        """When its process was first missed."""
        self.trend = Trend()
        self.refused: str | None = None
        """The id that it was given, where another session has it."""
        self.recalled = False
        """Whether its past was told."""
        self.over: AgentState | None = None
        """The end of it, where somebody else told that: who runs it, or who saw its process end."""

    def process(self, presence: Presence | None, heard_at: float, now: float) -> Presence | Process:
        """What is to be thought of its process."""
        if presence is not None:
            self.lived, self.ended_at = True, None
            return presence
        if self.lived and self.ended_at is None:
            self.ended_at = now
        if self.ended_at is not None and heard_at > self.ended_at:
            self.lived, self.ended_at = False, None  # it speaks: that process was not its only one
        return Process.ENDED if self.lived else Process.UNKNOWN


class Sessions:
    """What of this machine's sessions is shown. Times are seconds since 1970, handed in."""

    def __init__(self, sink: Host, *, host: str, settings: RuntimesSettings, counts: Counter[str]) -> None:
        self._sink = sink
        self._host = host
        self._settings = settings
        self._counts = counts
        self._shown: dict[Key, _Shown] = {}
        self._ids: dict[AgentId, Key] = {}

    def __len__(self) -> int:
        return len(self._shown)

    def __contains__(self, key: Key) -> bool:
        return key in self._shown

    def see(
        self,
        key: Key,
        told: Merged,
        presence: Presence | None,
        now: float,
        *,
        archived: bool = False,
        course: Callable[[], Sequence[Moment]] | None = None,
    ) -> bool:
        """Show the session as it is at `now`. False where it no longer is an agent: it can be let go. `course` tells
        what it had used when, where its tokens are of its files."""
        shown, record = self._shown.get(key), told.record
        heard_at = record.last_at if record.last_at is not None else now
        if shown is None:
            if presence is None and now - heard_at > self._settings.history_after:
                return False
            if not self._make_room(heard_at):
                return False
            shown = self._shown[key] = _Shown(self._new_id(key, record, heard_at))
        elif record.agent not in (None, shown.agent_id, shown.refused):
            self._rename(key, shown, self._new_id(key, record, heard_at))
            shown.refused = record.agent if shown.agent_id != record.agent else None
        process = Process.ARCHIVED if archived else shown.process(presence, heard_at, now)
        shown.heard_at = heard_at
        judged = self._over(shown, record, heard_at) or judge(record, process, now, self._settings)
        if judged.status is not Status.EXITED:
            shown.exited_at = None
        elif shown.exited_at is None:
            shown.exited_at = shown.ended_at if shown.ended_at is not None else judged.at
        if shown.exited_at is not None and now - shown.exited_at > self._shown_for(record):
            self._retire(key, record)
            return False
        parent = self._parent(record)
        growth = shown.trend.read(now, percent(record.context_tokens, record.context_limit))
        state = agent_state(shown.agent_id, told, judged, now, parent=parent, growth=growth)
        if shown.over is not None:
            state = msgspec.structs.replace(state, exit_code=shown.over.exit_code)
        self._publish(shown, state)
        if course is not None and not shown.recalled and state.tokens_in is not None:
            shown.recalled = True
            self._sink.recall(state, course())
        return True

    def forget(self, key: Key) -> None:
        """The session's file is gone: so is the agent."""
        shown = self._shown.pop(key, None)
        if shown is not None:
            self._ids.pop(shown.agent_id, None)
            self._sink.withdraw(shown.agent_id)

    def _over(self, shown: _Shown, record: SessionRecord, heard_at: float) -> Judged | None:
        """The end of an agent that was given its id, by who gave it. What comes late is of before it: a last batch of
        telemetry."""
        if record.agent != shown.agent_id:
            return None
        carried = self._sink.carried(shown.agent_id)
        if carried is None or carried.status is not Status.EXITED:
            shown.over = None
        elif shown.state is None or shown.state.status is not Status.EXITED:
            shown.over = carried
        if shown.over is None:
            return None
        ended_at = seconds(shown.over.timestamp) or heard_at
        if heard_at > ended_at + AFTERWARDS:
            shown.over = None  # it goes on
            return None
        return Judged(Status.EXITED, shown.over.sources.get("status", "inferred:its process ended"), ended_at)

    def _publish(self, shown: _Shown, state: AgentState) -> None:
        before = shown.state
        if before is not None and msgspec.structs.replace(state, timestamp=before.timestamp) == before:
            return
        try:
            self._sink.publish(state)
        except MeshfleetError as error:
            # The node says why, and the next change is another try; no agent's state may end the watching.
            self._counts["runtimes_refused"] += 1
            if before is None:
                log.warning("an agent's state could not be published", agent=shown.agent_id, error=str(error))
            return
        shown.state = state

    def _make_room(self, heard_at: float) -> bool:
        if len(self._shown) < AGENTS_LIMIT:
            return True
        self._counts["runtimes_over_limit"] += 1
        oldest = min(self._shown, key=lambda key: self._shown[key].heard_at)
        if self._shown[oldest].heard_at >= heard_at:
            return False
        self.forget(oldest)
        return True

    def _retire(self, key: Key, record: SessionRecord) -> None:
        self.forget(key)
        self._counts["runtimes_retired"] += 1
        if record.usage is not None:
            self._counts["runtimes_retired_tokens_in"] += record.usage.prompt
            self._counts["runtimes_retired_tokens_out"] += record.usage.output
        if record.cost is not None:
            self._counts["runtimes_retired_cost_microusd"] += round(record.cost * 1e6)

    def _shown_for(self, record: SessionRecord) -> float:
        part = record.parent is not None and record.usage is None
        return min(SUB_AGENT_SHOWN, self._settings.exited_shown) if part else self._settings.exited_shown

    def _new_id(self, key: Key, record: SessionRecord, heard_at: float) -> AgentId:
        """The id that it was given; else one made of its own. A program that begins a new session, as `/clear` does,
        gives that the id of its old one: then the one that spoke last has it, and the other gets one of its own."""
        other = self._ids.get(AgentId(record.agent)) if record.agent is not None else None
        if other is None or other == key:
            return self._free_id(key, record)
        owner = self._shown[other]
        own = msgspec.structs.replace(record, agent=None)
        if owner.heard_at > heard_at:
            return self._free_id(key, own)
        owner.refused = record.agent
        self._rename(other, owner, self._free_id(other, msgspec.structs.replace(own, session=other.session)))
        return self._free_id(key, record)

    def _free_id(self, key: Key, record: SessionRecord) -> AgentId:
        agent_id = agent_id_of(self._host, record)
        if self._ids.get(agent_id, key) != key:
            agent_id = agent_id_of(self._host, msgspec.structs.replace(record, agent=None), digits=32)
        self._ids[agent_id] = key
        return agent_id

    def _rename(self, key: Key, shown: _Shown, agent_id: AgentId) -> None:
        """Show it under another id. It is published again when it is next looked at."""
        if agent_id == shown.agent_id:
            return
        if self._ids.get(shown.agent_id) == key:
            del self._ids[shown.agent_id]
        self._sink.rename(shown.agent_id, agent_id)
        self._ids[agent_id] = key
        shown.agent_id, shown.state = agent_id, None

    def _parent(self, record: SessionRecord) -> AgentId | None:
        if record.parent is None:
            return None
        parent = self._shown.get(canonical(Key(record.runtime, record.parent)))
        named = msgspec.structs.replace(record, session=record.parent, parent=None, agent=None)
        return parent.agent_id if parent is not None else agent_id_of(self._host, named)


def summary(counts: Mapping[str, int]) -> dict[str, int]:
    """The counters of the runtimes alone, for logs and tests."""
    return {name: count for name, count in sorted(counts.items()) if name.startswith("runtimes_")}
