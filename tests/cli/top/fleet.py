"""A fleet of four nodes and eight agents, one of each kind that looks different."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from meshfleet.fleet.cost import Today
from meshfleet.fleet.headroom import headroom
from meshfleet.fleet.names import AgentId, NodeName
from meshfleet.fleet.notice import Notice, Severity
from meshfleet.fleet.presence import Certainty, Presence
from meshfleet.fleet.standing import Standing
from meshfleet.fleet.state import AgentState, RateLimit, Status
from meshfleet.fleet.view import AgentView, FleetView, NodeView, Period, ServedBy, Totals
from meshfleet.fleet.zone import ZoneSums, ZoneView

NOW = "2026-11-23T20:15:05.123Z"
SINCE = "2026-11-23T20:00:00.000Z"
LONG_AGO = "2026-11-23T18:00:00.000Z"
EPOCH = 1_763_923_200_123


class Sample(NamedTuple):
    """An agent, in the fields that differ."""

    agent_id: str
    node: str
    status: Status
    runtime: str
    model: str | None
    project: str
    context_pct: float | None
    cost_usd: float | None
    tool: str | None = None
    full_in_s: float | None = None
    trend: float | None = None
    presence: Presence = Presence.FRESH


SAMPLES = (
    Sample(
        "box-1/claude-1f3c",
        "n1",
        Status.TOOL,
        "claude-code",
        "claude-sonnet-4-5-20250929",
        "shop",
        61.2,
        7.31,
        "Bash",
        485,
        4.8,
    ),
    Sample("box-1/claude-2a90", "n1", Status.WAITING, "claude-code", "claude-opus-4-1", "shop", 34.0, 12.5, "Edit"),
    Sample("box-2/codex-77aa", "n2", Status.WORKING, "codex", "gpt-5-codex", "ingest", 93.4, 2.04, None, 95, 3.1),
    Sample("box-2/codex-77ab", "n2", Status.IDLE, "codex", "gpt-5-codex", "ingest", None, None),
    Sample("box-2/gemini-0c11", "n2", Status.RATE_LIMITED, "gemini-cli", "gemini-2.5-pro", "docs", 18.0, 0.4),
    Sample(
        "box-3/ollama-9d",
        "n3",
        Status.WORKING,
        "ollama",
        "qwen3-coder:30b",
        "mobile",
        71.0,
        None,
        presence=Presence.STALE,
    ),
    Sample("box-4/python-5e", "n4", Status.TOOL, "python", None, "batch", 12.0, 0.01, "fetch", presence=Presence.DOWN),
    Sample("box-1/indexer", "n1", Status.EXITED, "python", "claude-haiku-4-5", "shop", 44.0, 0.33),
)


NOTICES = (
    Notice(
        rule="presence",
        severity=Severity.CRITICAL,
        subject="n4",
        since=SINCE,
        text="is down: stream ended without goodbye",
        key="1",
    ),
    Notice(
        rule="context",
        severity=Severity.CRITICAL,
        subject="box-2/codex-77aa",
        since=SINCE,
        text="context is 93 % full",
        key="2",
    ),
    Notice(
        rule="waiting",
        severity=Severity.WARNING,
        subject="box-1/claude-2a90",
        since=SINCE,
        text="waits for a person",
        key="3",
    ),
    Notice(
        rule="rate_limit", severity=Severity.INFO, subject="box-2/gemini-0c11", since=SINCE, text="is held up", key="4"
    ),
)


def a_fleet(served_by: str = "n1", standing: Standing = Standing.CONNECTED, version: str = "b1c9-1") -> FleetView:
    """As `served_by` sees it: n4 is down, n3 stale; cut off, n2 to n4 are unreachable."""
    cut = standing in (Standing.PARTITIONED, Standing.ISOLATED)
    nodes = tuple(_node(f"n{number}", served_by, cut=cut) for number in (1, 2, 3, 4))
    presence = {node.name: node.presence for node in nodes}
    agents = tuple(_agent(sample, presence[NodeName(sample.node)] if cut else sample.presence) for sample in SAMPLES)
    me = ServedBy(
        node=NodeName(served_by),
        standing=standing,
        since=SINCE,
        reasons=("n2, n3, n4 fell silent together; 1 of 4 are on this side",) if cut else (),
        local_health=0,
        loop_lag_ms=0.8,
        islands=((NodeName("n1"),), tuple(map(NodeName, ("n2", "n3", "n4")))) if cut else (),
    )
    notices = tuple(notice for notice in NOTICES if not (cut and notice.rule == "presence"))
    totals = _totals(agents)
    return FleetView(
        version=version, now=NOW, served_by=me, nodes=nodes, agents=agents, totals=totals, attention=notices
    )


def on_two_levels(served_by: str = "n1") -> FleetView:
    """The same fleet as one zone of three: with another that is well, and one that is not heard."""
    view = a_fleet(served_by)
    notice = Notice(
        rule="waiting", severity=Severity.WARNING, subject="box-9/claude-77", since=SINCE, text="waits for a person",
        key="9",
    )  # fmt: skip
    well = ZoneSums(
        zone="eu-2", nodes={"down": 1, "fresh": 97, "left": 2}, agents={"fresh": 240, "down": 3},
        by_status={"working": 200, "waiting": 40}, tokens_in=41_000_000, tokens_out=812_000, cost_usd=118.2,
        attention=(notice,), notices=4, period_cost_usd=2_031.5,
    )  # fmt: skip
    lost = ZoneSums(zone="us-1", nodes={"fresh": 120}, agents={"fresh": 310}, by_status={"idle": 310}, cost_usd=204.11)
    why = f"{served_by} says so: it hears none of those who speak for us-1"
    zones = (
        ZoneView(
            zone="eu-2", presence=Presence.FRESH, age_s=0.4, by=NodeName(served_by), reasons=("told by n1",), sums=well
        ),
        ZoneView(
            zone="us-1", presence=Presence.UNREACHABLE, age_s=41.0, by=NodeName(served_by), reasons=(why,), sums=lost
        ),
    )
    return msgspec.structs.replace(view, zones=zones)


def renamed(view: FleetView, old: str, new: str, version: str) -> FleetView:
    """The view after an agent got another id."""
    agents = tuple(
        msgspec.structs.replace(agent, agent_id=AgentId(new)) if agent.agent_id == old else agent
        for agent in view.agents
    )
    return msgspec.structs.replace(view, agents=tuple(sorted(agents, key=lambda a: a.agent_id)), version=version)


def _node(name: str, served_by: str, *, cut: bool) -> NodeView:
    presence = {"n3": Presence.STALE, "n4": Presence.DOWN}.get(name, Presence.FRESH)
    reasons = {"n3": ("no news for 6.0 s",), "n4": ("stream ended without goodbye", "connection refused")}.get(name, ())
    if cut and name != served_by:
        presence, reasons = Presence.UNREACHABLE, ("this node is cut off",)
    gone = presence in (Presence.DOWN, Presence.UNREACHABLE)
    return NodeView(
        name=NodeName(name),
        role="agent",
        zone="east" if name < "n3" else "west",
        host=f"box-{name[1:]}",
        epoch=EPOCH,
        incarnation=3,
        presence=presence,
        certainty=Certainty.PROVEN if presence is Presence.DOWN else None,
        reach="self" if name == served_by else None if gone else "direct",
        transport="local" if name == served_by else "udp",
        age_s=0.0 if name == served_by else 1_805.0 if gone else 126.0 if name == "n3" else 0.41,
        last_seen=NOW,
        since=SINCE,
        reasons=reasons,
        rtt_ms=None if name == served_by or gone else 0.6,
        clock_offset_ms=None if name == served_by else -12.0,
        base_url=f"http://127.0.0.1:788{name[1:]}",
        version="0.1.0",
        agents=tuple(AgentId(sample.agent_id) for sample in SAMPLES if sample.node == name),
    )


def _agent(sample: Sample, presence: Presence) -> AgentView:
    limits = (
        RateLimit(key="anthropic:9f2e", window="5h", used_pct=38.0, resets_at="2026-11-23T21:15:05Z"),
        RateLimit(key="anthropic:9f2e", window="7d", used_pct=91.0, resets_at="2026-11-29T20:15:05Z"),
    )
    return AgentView(
        agent_id=AgentId(sample.agent_id),
        node=NodeName(sample.node),
        presence=presence,
        certainty=Certainty.PROVEN if presence is Presence.DOWN else None,
        age_s={Presence.DOWN: 1_805.0, Presence.UNREACHABLE: 1_805.0, Presence.STALE: 126.0}.get(presence, 0.0),
        last_seen=NOW,
        since=SINCE,
        reasons=(),
        epoch=EPOCH,
        seq=88,
        transport="udp",
        state=AgentState(
            agent_id=sample.agent_id,
            timestamp=NOW,
            status=sample.status,
            runtime=sample.runtime,
            model=sample.model,
            project=sample.project,
            context_pct=sample.context_pct,
            context_tokens=None if sample.context_pct is None else int(sample.context_pct * 2_000),
            context_limit=None if sample.context_pct is None else 200_000,
            context_full_in_s=sample.full_in_s,
            context_trend_pct_per_min=sample.trend,
            tokens_in=1_893_321,
            tokens_out=40_112,
            cost_usd=sample.cost_usd,
            active_tool=sample.tool,
            active_tool_since=None if sample.tool is None else LONG_AGO,
            rate_limits=limits if sample.runtime == "claude-code" else (),
            sources={"cost_usd": "priced", "context_limit": "reported:rollout"},
        ),
    )


def _totals(agents: tuple[AgentView, ...]) -> Totals:
    heard = [agent for agent in agents if agent.presence in (Presence.FRESH, Presence.STALE)]
    statuses = {status.value: sum(agent.state.status is status for agent in heard) for status in Status}
    return Totals(
        agents=len(agents),
        by_presence={},
        by_status={status: number for status, number in statuses.items() if number},
        by_tool={"Bash": 1, "Edit": 1},
        by_model={},
        tokens_in=8 * 1_893_321,
        tokens_out=8 * 40_112,
        cost_usd=22.59,
        period=Period(start="2026-11-01", end="2026-12-01", cost_usd=312.4, budget_usd=400.0),
        today=Today(day="2026-11-23", cost_usd=18.2, tokens_in=2_104_331, tokens_out=51_207),
        rate_limits=headroom((agent.state for agent in agents), NOW),
    )
