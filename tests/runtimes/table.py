"""Which figure of an agent's state comes from where, for each runtime: found by playing every recording that there is.

`python -m tests.runtimes.table` writes it anew into docs/runtimes.md; a test holds the page to it.
"""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from meshfleet.fleet.names import AgentId
from meshfleet.runtimes.claude_code import ClaudeSession
from meshfleet.runtimes.codex import CodexSession
from meshfleet.runtimes.gemini_cli import GeminiSession
from meshfleet.runtimes.merging import merged
from meshfleet.runtimes.pricing import Prices
from meshfleet.runtimes.record import Channel, SessionRecord
from meshfleet.runtimes.settings import RuntimesSettings
from meshfleet.runtimes.states import Process, agent_state, judge
from meshfleet.runtimes.watch import classify
from tests.runtimes.hooks.test_hooks import Telling, recorded
from tests.runtimes.otlp.writing import DATA as TELEMETRY
from tests.runtimes.otlp.writing import Ear
from tests.runtimes.test_opencode import RECORDED, Told, stream
from tests.runtimes.writing import DATA

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from meshfleet.fleet.state import AgentState

PAGE = Path(__file__).parents[2] / "docs" / "runtimes.md"
BEGIN, END = "<!-- table: runtime x field -->", "<!-- /table -->"

RUNTIMES = {"claude-code": "Claude Code", "codex": "Codex", "gemini-cli": "Gemini CLI", "opencode": "opencode"}
FIELDS = {
    "status": "status",
    "model": "model",
    "active_tool": "status",
    "context_tokens": "context_tokens",
    "context_limit": "context_limit",
    "tokens_in": "tokens_in",
    "tokens_out": "tokens_out",
    "cost_usd": "cost_usd",
    "rate_limits": "rate_limits",
    "parent": "",
}
"""Field -> the entry of `sources` that tells where it is from."""

Found = dict[tuple[str, str], dict[str, set[str]]]
"""Runtime and field -> `exact` or `estimated` -> sources."""


def found() -> Found:
    """What all recordings show."""
    table: Found = defaultdict(lambda: defaultdict(set))
    for channel, record in _records():
        state = _state(channel, record)
        for field, of in FIELDS.items():
            if getattr(state, field) in (None, ()) or (field == "status" and record.status is None):
                continue
            word, _, source = state.sources.get(of, f"reported:{record.source}").partition(":")
            exact = word == "reported"
            table[record.runtime, field]["exact" if exact else "estimated"].add(source if exact else word)
    return table


def rows() -> list[str]:
    """The table, as it stands in the page."""
    table = found()
    lines = [f"| field | {' | '.join(RUNTIMES.values())} |", "|---" * (len(RUNTIMES) + 1) + "|"]
    for field in FIELDS:
        cells = [_cell(table.get((runtime, field), {})) for runtime in RUNTIMES]
        lines += [f"| `{field}` | {' | '.join(cells)} |"]
    return lines


def _cell(said: dict[str, set[str]]) -> str:
    parts = []
    for word in ("exact", "estimated"):
        sources = sorted({source.partition(" since")[0] for source in said.get(word, ())})
        if sources:
            parts.append(f"{word}: {', '.join(sources)}")
    return "; ".join(parts) or "unknown"


def _state(channel: Channel, record: SessionRecord) -> AgentState:
    told = merged({channel: record})
    now = record.last_at or record.status_at
    judged = judge(told.record, Process.UNKNOWN, now, RuntimesSettings())
    parent = None if record.parent is None else AgentId(f"box/{record.parent}")
    return agent_state(AgentId("box/a"), told, judged, now, parent=parent)


def _records() -> Iterator[tuple[Channel, SessionRecord]]:
    """What each channel says after each line, hook, batch and event of every recording."""
    yield from ((Channel.FILE, record) for record in _of_files())
    for path in sorted((DATA / "hooks").glob("*.jsonl")):
        told = Telling()
        for where, body in recorded(path.stem):
            told.post(where, body)
            for key in told.desk.take_changed():
                yield from told.desk.records(key).items()
    for path in sorted(TELEMETRY.glob("*.json")):
        ear = Ear("box", "vm", tariff=Prices)
        trio.run(ear.recorded, path.name.removesuffix(".json"))
        for key in sorted(ear.desk.keys()):
            yield from ear.desk.records(key).items()
    yield from ((Channel.SERVER, record) for record in _of_opencode())


def _of_files() -> Iterator[SessionRecord]:
    made: dict[str, Callable[[str], ClaudeSession | CodexSession | GeminiSession]] = {
        "claude-code": partial(ClaudeSession, tariff=Prices("anthropic")),
        "codex": partial(CodexSession, tariff=Prices("openai")),
        "gemini-cli": partial(GeminiSession, tariff=Prices("google")),
    }
    for path in sorted(DATA.rglob("*.jsonl")):
        file = classify(path)
        if file is None or file.agent:
            continue
        parser = made[file.key.runtime](file.key.session)
        for line in path.read_bytes().splitlines():
            parser.feed(line)
            record = parser.record()
            if record.last_at is not None:
                yield record


def _of_opencode() -> Iterator[SessionRecord]:
    for path in sorted(RECORDED.glob("*.sse")):
        told = Told()  # which knows the windows, as a node asks for them
        for event in stream(path.name):
            told.feed(event)
            yield from told.now.values()


def write() -> None:
    """Put the table into the page."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text("\n".join([before + BEGIN, "", *rows(), "", END + after]), encoding="utf-8")


if __name__ == "__main__":
    write()
