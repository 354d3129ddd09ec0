"""Telemetry as programs send it, made by hand, and an intake that it can be told to."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meshfleet.runtimes.desk import Desk
from meshfleet.runtimes.otlp.intake import Taken, Telemetry
from meshfleet.runtimes.record import Channel, rfc3339
from meshfleet.runtimes.sessions import Key
from tests.runtimes.writing import SESSION, T0, THREAD, Flat

if TYPE_CHECKING:
    from meshfleet.runtimes.record import SessionRecord

DATA = Path(__file__).parent / "data"

CLAUDE = Key("claude-code", SESSION)
CODEX = Key("codex", THREAD)

DELTA, CUMULATIVE = 1, 2

Json = dict[str, Any]


class Ear:
    """An intake with a clock that is set by hand, and a price list that is checked in one's head."""

    def __init__(self, *hosts: str, tariff: Any = None) -> None:
        self.now = T0 + 3600
        self.counts: Counter[str] = Counter()
        self.desk = Desk(self.counts)
        chosen = (lambda provider: Flat()) if tariff is None else tariff
        self.telemetry = Telemetry(self.desk, hosts or ("box",), self.counts, wall=lambda: self.now, tariff=chosen)

    async def hear(self, *requests: Json) -> Taken:
        """Take requests as JSON; what came of the last."""
        taken = Taken()
        for request in requests:
            body = json.dumps(request).encode()
            taken = await self.telemetry.telemetry(signal_of(request), body, protobuf=False)
        return taken

    async def recorded(self, *names: str) -> None:
        """Take recorded requests."""
        await self.hear(*(json.loads((DATA / f"{name}.json").read_text()) for name in names))

    def told(self, key: Key = CLAUDE) -> SessionRecord:
        """What the desk has of a session."""
        record = self.desk.told(key, Channel.OTLP)
        assert record is not None, f"nothing of {key}; there are {sorted(self.desk.keys())}"
        return record

    def only(self) -> SessionRecord:
        """What it has of the one session that there is."""
        (key,) = self.desk.keys()
        return self.told(key)


def signal_of(request: Json) -> str:
    """What a request brings."""
    return {"resourceMetrics": "metrics", "resourceLogs": "logs", "resourceSpans": "traces"}[next(iter(request))]


def value(plain: object) -> Json:
    """An attribute's value."""
    match plain:
        case bool():
            return {"boolValue": plain}
        case int():
            return {"intValue": str(plain)}
        case float():
            return {"doubleValue": plain}
    return {"stringValue": str(plain)}


def attributes(named: dict[str, object]) -> list[Json]:
    """Attributes as a list of pairs."""
    return [{"key": key, "value": value(each)} for key, each in named.items()]


def nanos(at: float) -> str:
    """A time as it is sent."""
    return str(round(at * 1e9))


RESOURCE: dict[str, object] = {"service.name": "claude-code"}


def logs(*records: Json, resource: dict[str, object] | None = None) -> Json:
    """A request to export log records, of Claude Code unless `resource` names another program."""
    return {"resourceLogs": [_of({**RESOURCE, **(resource or {})}, "scopeLogs", "logRecords", list(records))]}


def metrics(*each: Json, resource: dict[str, object] | None = None) -> Json:
    """A request to export metrics."""
    return {"resourceMetrics": [_of(resource, "scopeMetrics", "metrics", list(each))]}


def traces(*spans: Json, resource: dict[str, object] | None = None) -> Json:
    """A request to export spans."""
    return {"resourceSpans": [_of(resource, "scopeSpans", "spans", list(spans))]}


def _of(resource: dict[str, object] | None, scopes: str, records: str, each: list[Json]) -> Json:
    about = {"attributes": attributes(RESOURCE if resource is None else resource)}
    return {"resource": about, scopes: [{"scope": {"name": "by-hand"}, records: each}]}


def event(name: str, at: float = T0, **said: object) -> Json:
    """A log record. Underscores that stand for dots are doubled: `event__kind`."""
    named = {"event.name": name, **{key.replace("__", "."): each for key, each in said.items()}}
    return {"timeUnixNano": nanos(at), "body": {"stringValue": "canary"}, "attributes": attributes(named)}


def claude(name: str, at: float = T0, **said: object) -> Json:
    """An event of Claude Code."""
    return event(name, at, **{"session__id": SESSION, "event__timestamp": rfc3339(at), **said})


def request(
    at: float = T0, fresh: int = 0, read: int = 0, write: int = 0, out: int = 0, cost: float = 0.0, **said: object
) -> Json:
    """Claude Code's model has answered."""
    tokens = {"input_tokens": str(fresh), "cache_read_tokens": str(read), "cache_creation_tokens": str(write)}
    tokens |= {"output_tokens": str(out), "cost_usd": str(cost), "model": "m-200k", "query_source": "main"}
    return claude("api_request", at, **{**tokens, **said})


def counter(name: str, temporality: int, *points: Json, kind: str = "sum") -> Json:
    """A metric."""
    return {
        "name": name,
        kind: {"aggregationTemporality": temporality, "isMonotonic": True, "dataPoints": list(points)},
    }


def point(amount: float, start: float, time: float, **labels: object) -> Json:
    """A point of a counter."""
    named = {key.replace("__", "."): each for key, each in labels.items()}
    times = {"startTimeUnixNano": nanos(start), "timeUnixNano": nanos(time)}
    return {**times, "asDouble": amount, "attributes": attributes(named)}


def used(kind: str, amount: float, start: float, time: float, temporality: int = DELTA, **labels: object) -> Json:
    """Claude Code's counter of tokens."""
    labels = {"session__id": SESSION, "type": kind, "model": "m-200k", **labels}
    return counter("claude_code.token.usage", temporality, point(amount, start, time, **labels))


def span(name: str, at: float = T0, *, number: int = 1, parent: int = 0, kind: int = 3, **said: Any) -> Json:
    """A span that ended at `at`."""
    named = {key.replace("__", "."): each for key, each in said.items()}
    ids = {"traceId": "ab" * 16, "spanId": f"{number:016x}", "parentSpanId": f"{parent:016x}" if parent else ""}
    times = {"startTimeUnixNano": nanos(at - 1), "endTimeUnixNano": nanos(at)}
    return {**ids, **times, "name": name, "kind": kind, "attributes": attributes(named), "status": {}}


def chat(at: float = T0, read: int | None = None, *, number: int = 1, parent: int = 0, **said: Any) -> Json:
    """A span of one call of a model, by the GenAI conventions."""
    named: dict[str, Any] = {"gen_ai__operation__name": "chat", "gen_ai__request__model": "m-200k"}
    if read is not None:
        named["gen_ai__usage__cache_read__input_tokens"] = read
    return span("chat m-200k", at, number=number, parent=parent, **{**named, **said})
