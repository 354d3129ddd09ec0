"""The merged view: each agent once, clashes named, sums of what is known."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshfleet.fleet.merge import merge, one_of_each, totals
from meshfleet.fleet.names import AgentId, NodeName
from meshfleet.fleet.presence import Presence
from meshfleet.fleet.standing import Standing
from meshfleet.fleet.state import AgentState, Status
from meshfleet.fleet.view import AgentView, NodeView, ServedBy

WHEN = "2026-11-23T20:15:05.123Z"


def agent(
    name: str, node: str = "n1", presence: Presence = Presence.FRESH, epoch: int = 1, **state: object
) -> AgentView:
    fields = {"agent_id": name, "timestamp": WHEN, "status": Status.WORKING, "runtime": "x", **state}
    return AgentView(
        agent_id=AgentId(name),
        node=NodeName(node),
        presence=presence,
        certainty=None,
        age_s=0.0,
        last_seen=WHEN,
        since=WHEN,
        reasons=(),
        epoch=epoch,
        seq=1,
        transport="udp",
        state=msgspec.convert(fields, AgentState),
    )


def test_what_nobody_knows_is_none_and_not_zero() -> None:
    summed = totals([agent("a"), agent("b")], WHEN)
    assert (summed.tokens_in, summed.tokens_out, summed.cost_usd) == (None, None, None)
    assert summed.period.start == "2026-11-01"


def test_sums_count_what_is_known_of_everybody_dead_or_alive() -> None:
    agents = [
        agent("a", tokens_in=5, cost_usd=0.1),
        agent("b"),
        agent("c", presence=Presence.DOWN, tokens_in=7, cost_usd=0.2),
    ]
    summed = totals(agents, WHEN)
    assert (summed.agents, summed.tokens_in, summed.cost_usd) == (3, 12, 0.3)


def test_statuses_and_tools_count_only_where_they_can_be_believed() -> None:
    agents = [
        agent("a", status=Status.TOOL, active_tool="Bash", model="m"),
        agent("b", presence=Presence.STALE, active_tool="Bash"),
        agent("c", presence=Presence.UNREACHABLE, active_tool="Read"),
        agent("d", presence=Presence.DOWN),
    ]
    summed = totals(agents, WHEN)
    assert summed.by_tool == {"Bash": 2}
    assert summed.by_status == {"tool": 1, "working": 1}
    assert summed.by_model == {"m": 1}
    assert summed.by_presence == {"down": 1, "fresh": 1, "stale": 1, "unreachable": 1}


@pytest.mark.parametrize(
    ("rivals", "shown"),
    [
        ([agent("a", "n1", Presence.DOWN), agent("a", "n2", Presence.STALE)], "n2"),
        ([agent("a", "n1", Presence.LEFT), agent("a", "n2", Presence.UNREACHABLE)], "n2"),
        ([agent("a", "n1", epoch=5), agent("a", "n2", epoch=9)], "n2"),
        ([agent("a", "n2"), agent("a", "n1")], "n1"),
    ],
)
def test_an_agent_that_two_nodes_claim_is_shown_once_and_the_clash_named(rivals: list[AgentView], shown: str) -> None:
    for order in (rivals, rivals[::-1]):
        (one,) = one_of_each(order)
        assert one.node == shown
        other = next(r.node for r in rivals if r.node != shown)
        assert one.reasons == (f"claimed by {shown} and by {other}: shown as {shown} reports it",)


@given(st.permutations([agent("a", "n1"), agent("a", "n2", epoch=2), agent("b", "n3"), agent("c", "n1")]))
def test_any_order_of_the_same_agents_gives_the_same_view(agents: list[AgentView]) -> None:
    me = ServedBy(
        node=NodeName("n1"),
        standing=Standing.CONNECTED,
        since=WHEN,
        reasons=(),
        local_health=0,
        loop_lag_ms=0.0,
        islands=(),
    )
    view = merge(version="v", now=WHEN, served_by=me, nodes=[node("n2"), node("n1")], agents=agents)
    assert [a.agent_id for a in view.agents] == ["a", "b", "c"]
    assert [(n.name, n.agents) for n in view.nodes] == [("n1", ("c",)), ("n2", ("a",))]
    assert view.totals.agents == 3


def node(name: str) -> NodeView:
    return NodeView(
        name=NodeName(name), role="agent", zone=None, host=name, epoch=1, incarnation=0, presence=Presence.FRESH,
        certainty=None, reach="direct", transport="udp", age_s=0.0, last_seen=None, since=WHEN, reasons=(), rtt_ms=None,
        clock_offset_ms=None, base_url=None, version="", agents=(),
    )  # fmt: skip
