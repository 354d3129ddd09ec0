"""From the fleet's view to what needs attention: the rules, their thresholds, and that nothing flaps.

The table is the specification, here, in docs/attention.md and in the tests:

    rule          warning                                           critical
    context       from 70 % full                                    from 90 %
    context_full  full within 15 min                                -
    tool          over 10 min (shell), 2 min (web), 30 min
                  (sub-agents), 5 min (any other)                   -
    waiting       for a person over 5 min; at once: info            -
    rate_limit    from 90 % used, or the agent says that it is
                  held up                                           -
    session_cost  above a budget                                    -
    period_cost   -                                                 above a budget
    error         the agent says so                                 -
    presence      unreachable, another zone as well; an agent with
                  its node: info                                    down
    standing      the serving node is not connected                 it is partitioned or isolated

A figure that raised a notice must fall some way below its threshold to end it, and what can change from one moment to
the next must stay away for a while. The clock is handed in; so is what reads and writes times.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec

from meshfleet.fleet.notice import Notice, Severity
from meshfleet.fleet.presence import Presence
from meshfleet.fleet.standing import Standing
from meshfleet.fleet.state import Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshfleet.fleet.state import AgentState
    from meshfleet.fleet.view import AgentView, FleetView, NodeView

NAMES = (
    "context",
    "context_full",
    "tool",
    "waiting",
    "rate_limit",
    "session_cost",
    "period_cost",
    "error",
    "presence",
    "standing",
)

NOTICES = 512
"""Notices at one time. At it the least severe, then the youngest, are left out: `dropped_notice`."""

MARGIN_PCT = 5.0
"""Points below a threshold at which what it raised ends: a context grows and shrinks by as much in one turn."""

MARGIN = 1.5
"""How many times the time to full must be the threshold to end a notice: it is an estimate, and jumps."""

CALM = 10.0
"""Seconds for which what can flap must be gone before its notice is."""

OLDEST = 86_400.0
"""Seconds after which an agent's word on when it began to wait is no longer believed: its clock is wrong, or it sends
one time for ever."""

_CALM_RULES = ("context_full", "rate_limit", "presence", "standing", "error")
_BELIEVED = (Presence.FRESH, Presence.STALE)
_CUT_OFF = (Standing.PARTITIONED, Standing.ISOLATED)
_SHELLS = ("bash", "shell", "exec_command", "run_shell_command", "local_shell", "terminal", "powershell")
_SUBAGENTS = ("task", "agent")


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """The thresholds. Percent, seconds, USD."""

    context_warning_pct: float = 70.0
    """From here a session should be brought to an end or compacted on purpose; runtimes do it by themselves later, in
    the middle of work."""
    context_critical_pct: float = 90.0
    context_full_s: float = 900.0
    """Time to a full context: 15 min is what it takes to come back from a coffee and write a handover."""
    tool_s: float = 600.0
    """A shell command: builds and test suites mostly end before."""
    web_tool_s: float = 120.0
    """A web search or fetch: they answer in seconds, or hang."""
    subagent_s: float = 1800.0
    """An agent that another waits for."""
    other_tool_s: float = 300.0
    waiting_s: float = 300.0
    """Waiting for a person is told at once as info, and after this as a warning."""
    rate_limit_pct: float = 90.0
    session_cost_usd: float | None = None
    """Unset: no budget."""
    period_cost_usd: float | None = None
    off: tuple[str, ...] = ()
    """Rules that are switched off."""


class Times(Protocol):
    """What the core has no calendar for."""

    def read(self, text: str) -> float | None:
        """RFC 3339 as Unix time; None where it is none."""
        ...

    def write(self, at: float) -> str:
        """Unix time as RFC 3339."""
        ...


class _Found(NamedTuple):
    """What a rule says now."""

    rule: str
    subject: str
    severity: Severity
    text: str
    since: float | None = None

    @property
    def key(self) -> str:
        return f"{self.rule}:{self.subject}"


class _Open(NamedTuple):
    found: _Found
    since: float
    seen_at: float


class Attention:
    """Keeps what is open between two looks. One for each node."""

    def __init__(self, rules: Rules, times: Times) -> None:
        self._rules = rules
        self._times = times
        self._open: dict[str, _Open] = {}
        self.dropped = 0

    def look(self, view: FleetView, wall: float, now: float) -> tuple[Notice, ...]:
        """What needs attention in `view`, worst first. `wall` is Unix time, `now` monotonic seconds."""
        said: dict[str, None] = {}
        for found in self._find(view, wall):
            said[found.key] = None
            before = self._open.get(found.key)
            since = found.since if found.since is not None else wall if before is None else before.since
            self._open[found.key] = _Open(found, since, now)
        for key, each in list(self._open.items()):
            if key not in said and now - each.seen_at >= (CALM if each.found.rule in _CALM_RULES else 0.0):
                del self._open[key]
        worst = sorted(self._open.items(), key=lambda item: (-item[1].found.severity.rank, item[1].since, item[0]))
        self.dropped += max(0, len(worst) - NOTICES)
        return tuple(self._notice(key, each) for key, each in worst[:NOTICES])

    def _notice(self, key: str, each: _Open) -> Notice:
        rule, subject, severity, text, _ = each.found
        since = self._times.write(each.since)
        return Notice(rule=rule, severity=severity, subject=subject, since=since, text=text, key=key)

    def _held(self, rule: str, subject: str) -> Severity | None:
        known = self._open.get(f"{rule}:{subject}")
        return None if known is None else known.found.severity

    def _find(self, view: FleetView, wall: float) -> Iterator[_Found]:
        skew = {node.name: (node.clock_offset_ms or 0.0) / 1000 for node in view.nodes}
        for found in (*self._of_standing(view), *self._of_nodes(view), *_of_zones(view), *self._of_money(view)):
            if found.rule not in self._rules.off:
                yield found
        limits: dict[str, _Found] = {}
        for agent in view.agents:
            if agent.presence not in _BELIEVED or agent.state.status is Status.EXITED:
                continue
            for found in self._of_agent(agent, wall, skew.get(agent.node, 0.0)):
                if found.rule in self._rules.off:
                    continue
                if found.rule != "rate_limit":
                    yield found
                elif found.key not in limits:  # agents that share a key tell the same of it
                    limits[found.key] = found
        yield from limits.values()

    def _of_standing(self, view: FleetView) -> Iterator[_Found]:
        me = view.served_by
        if me.standing is not Standing.CONNECTED:
            severity = Severity.CRITICAL if me.standing in _CUT_OFF else Severity.WARNING
            why = f": {me.reasons[0]}" if me.reasons else ""
            yield _Found("standing", me.node, severity, f"{me.node} is {me.standing.value}{why}"[:200])

    def _of_nodes(self, view: FleetView) -> Iterator[_Found]:
        for node in view.nodes:
            if node.presence in (Presence.UNREACHABLE, Presence.DOWN):
                severity = Severity.CRITICAL if node.presence is Presence.DOWN else Severity.WARNING
                yield _Found("presence", node.name, severity, _of_presence(node), self._times.read(node.since))
        gone = {n.name: n.presence for n in view.nodes if n.presence in (Presence.UNREACHABLE, Presence.DOWN)}
        for agent in view.agents:
            if agent.presence not in (Presence.UNREACHABLE, Presence.DOWN):
                continue
            if agent.node in gone:
                severity, text = Severity.INFO, f"its node {agent.node} is {gone[agent.node].value}"
            else:  # its node is there, and asks it in vain
                severity, text = Severity.WARNING, f"{agent.presence.value}: {', '.join(agent.reasons)}"[:200]
            yield _Found("presence", agent.agent_id, severity, text, self._times.read(agent.since))

    def _of_money(self, view: FleetView) -> Iterator[_Found]:
        period, budget = view.totals.period, self._rules.period_cost_usd
        if budget is not None and period.cost_usd is not None and period.cost_usd > budget:
            text = f"the fleet has used more than {_dollars(budget)} since {period.start}"
            yield _Found("period_cost", "fleet", Severity.CRITICAL, text)

    def _of_agent(self, agent: AgentView, wall: float, skew: float) -> Iterator[_Found]:
        state, rules, name = agent.state, self._rules, agent.agent_id
        yield from self._of_context(name, state)
        if state.status is Status.ERROR:
            yield _Found("error", name, Severity.WARNING, "reports an error")
        if state.status is Status.RATE_LIMITED:
            yield _Found("rate_limit", name, Severity.WARNING, "is held up by a rate limit")
        for limit in state.rate_limits:
            subject = f"{limit.key} {limit.window}"
            resets = None if limit.resets_at is None else self._times.read(limit.resets_at)
            if limit.used_pct is None or (resets is not None and resets - skew <= wall):
                continue
            if _level(limit.used_pct, rules.rate_limit_pct, None, self._held("rate_limit", subject)) is not None:
                text = f"{rules.rate_limit_pct:.0f} % or more of the {limit.window} limit are used"
                yield _Found("rate_limit", subject, Severity.WARNING, text)
        budget = rules.session_cost_usd
        if budget is not None and state.cost_usd is not None and state.cost_usd > budget:
            yield _Found("session_cost", name, Severity.WARNING, f"has used more than {_dollars(budget)}")
        if state.status is Status.WAITING:
            yield self._waits(name, state, wall, skew)
        elif state.status is Status.TOOL and state.active_tool is not None:
            yield from self._runs(name, state, wall, skew)

    def _of_context(self, name: str, state: AgentState) -> Iterator[_Found]:
        rules, used, left = self._rules, state.context_pct, state.context_full_in_s
        if used is not None:
            warning, critical = rules.context_warning_pct, rules.context_critical_pct
            severity = _level(used, warning, critical, self._held("context", name))
            if severity is not None:
                least = critical if severity is Severity.CRITICAL else warning
                yield _Found("context", name, severity, f"context is {least:.0f} % full or more")
        held = self._held("context_full", name) is not None
        if left is not None and left <= rules.context_full_s * (MARGIN if held else 1.0):
            text = f"context is full within {_minutes(rules.context_full_s)}, as it grows now"
            yield _Found("context_full", name, Severity.WARNING, text)

    def _waits(self, name: str, state: AgentState, wall: float, skew: float) -> _Found:
        told = self._times.read(state.active_tool_since or state.timestamp)
        known = self._open.get(f"waiting:{name}")
        since = wall if told is None or wall - told > OLDEST else min(wall, told - skew)
        if known is not None:
            since = min(since, known.since)
        if wall - since > self._rules.waiting_s:
            text = f"has been waiting for a person for over {_minutes(self._rules.waiting_s)}"
            return _Found("waiting", name, Severity.WARNING, text, since)
        return _Found("waiting", name, Severity.INFO, "needs you", since)

    def _runs(self, name: str, state: AgentState, wall: float, skew: float) -> Iterator[_Found]:
        assert state.active_tool is not None
        told = None if state.active_tool_since is None else self._times.read(state.active_tool_since)
        most = _patience(state.active_tool, self._rules)
        if told is not None and wall - (told - skew) > most:
            text = f"{state.active_tool} has been running for over {_minutes(most)}"
            yield _Found("tool", name, Severity.WARNING, text, told - skew)


def _level(value: float, warning: float, critical: float | None, held: Severity | None) -> Severity | None:
    """What a figure comes to, where `held` is what it came to before."""
    below_critical = MARGIN_PCT if held is Severity.CRITICAL else 0.0
    if critical is not None and value >= critical - below_critical:
        return Severity.CRITICAL
    if value >= warning - (0.0 if held is None else MARGIN_PCT):
        return Severity.WARNING
    return None


def _patience(tool: str, rules: Rules) -> float:
    name = tool.lower()
    if name in _SHELLS:
        return rules.tool_s
    if name in _SUBAGENTS:
        return rules.subagent_s
    if name == "fetch" or ("web" in name and ("search" in name or "fetch" in name)):
        return rules.web_tool_s
    return rules.other_tool_s


def _of_zones(view: FleetView) -> Iterator[_Found]:
    """Other zones of a fleet on two levels. What is amiss within them is theirs to tell."""
    for zone in view.zones:
        if zone.presence is Presence.UNREACHABLE:
            text = f"zone is unreachable: {zone.reasons[0] if zone.reasons else 'nobody tells why'}"
            yield _Found("presence", f"zone:{zone.zone}", Severity.WARNING, text[:200])


def _of_presence(node: NodeView) -> str:
    sure = f" ({node.certainty.value})" if node.certainty is not None else ""
    count = len(node.agents)
    carried = f", with {count} agent{'' if count == 1 else 's'}" if count else ""
    why = f": {node.reasons[0]}" if node.reasons else ""
    return f"node is {node.presence.value}{sure}{carried}{why}"[:200]


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:g} min" if seconds >= 60 else f"{seconds:g} s"


def _dollars(usd: float) -> str:
    return f"${usd:,.2f}" if usd >= 0.01 else f"${usd:g}"
