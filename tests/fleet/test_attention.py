"""What needs attention, from when on, until when: the table of fleet/attention.py, row by row. Times are made up."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshfleet.fleet.attention import CALM, NAMES, NOTICES, Attention, Rules
from meshfleet.fleet.merge import merge
from meshfleet.fleet.names import AgentId, NodeName
from meshfleet.fleet.notice import Notice, Severity
from meshfleet.fleet.presence import Presence
from meshfleet.fleet.rendezvous import ranked
from meshfleet.fleet.standing import Standing
from meshfleet.fleet.state import AgentState, RateLimit, Status
from meshfleet.fleet.telling import HELD, Teller, Told, is_told, place, short
from meshfleet.fleet.view import AgentView, FleetView, NodeView, Period, ServedBy
from meshfleet.fleet.zone import ZoneSums, ZoneView
from meshfleet.node.heeding import Calendar

BEGAN = 1_795_600_000.0
TIMES = Calendar()
INFO, WARNING, CRITICAL = Severity


def at(seconds: float) -> str:
    return TIMES.write(BEGAN + seconds)


def a_node(name: str = "n2", presence: Presence = Presence.FRESH, offset_ms: float | None = None) -> NodeView:
    return NodeView(
        name=NodeName(name), role="agent", zone=None, host=name, epoch=1, incarnation=0, presence=presence,
        certainty=None, reach=None, transport=None, age_s=0.1, last_seen=None, since=at(0), reasons=("silent",),
        rtt_ms=None, clock_offset_ms=offset_ms, base_url=None, version="", agents=(),
    )  # fmt: skip


def an_agent(name: str = "n2/a", presence: Presence = Presence.FRESH, **state: Any) -> AgentView:
    plain = AgentState(agent_id=name, timestamp=at(0), status=Status.WORKING, runtime="test")
    return AgentView(
        agent_id=AgentId(name), node=NodeName("n2"), presence=presence, certainty=None, age_s=0.1, last_seen=at(0),
        since=at(0), reasons=(), epoch=1, seq=1, transport=None, state=msgspec.structs.replace(plain, **state),
    )  # fmt: skip


def view(
    *agents: AgentView, node: NodeView | None = None, standing: Standing = Standing.CONNECTED, cost: float | None = None
) -> FleetView:
    me = ServedBy(
        node=NodeName("n1"), standing=standing, since=at(0), reasons=(), local_health=0, loop_lag_ms=0.0, islands=()
    )
    period = Period(start="2026-11-01", cost_usd=cost)
    return merge(version="1", now=at(0), served_by=me, nodes=[node or a_node()], agents=agents, period=period)


class Looking:
    """One node's attention, and the time that passes for it."""

    def __init__(self, rules: Rules | None = None) -> None:
        self.attention = Attention(rules or Rules(), TIMES)
        self.now = 0.0

    def at(self, now: float, seen: FleetView) -> dict[str, Severity]:
        self.now = now
        return {n.key: n.severity for n in self.attention.look(seen, BEGAN + now, now)}


TABLE = [
    ("context", {"context_pct": 69.9}, None),
    ("context", {"context_pct": 70.0}, WARNING),
    ("context", {"context_pct": 90.0}, CRITICAL),
    ("context_full", {"context_full_in_s": 901.0}, None),
    ("context_full", {"context_full_in_s": 900.0}, WARNING),
    ("tool", {"status": Status.TOOL, "active_tool": "Bash", "active_tool_since": at(-599)}, None),
    ("tool", {"status": Status.TOOL, "active_tool": "Bash", "active_tool_since": at(-601)}, WARNING),
    ("tool", {"status": Status.TOOL, "active_tool": "WebSearch", "active_tool_since": at(-119)}, None),
    ("tool", {"status": Status.TOOL, "active_tool": "WebSearch", "active_tool_since": at(-121)}, WARNING),
    ("tool", {"status": Status.TOOL, "active_tool": "web_fetch", "active_tool_since": at(-121)}, WARNING),
    ("tool", {"status": Status.TOOL, "active_tool": "Read", "active_tool_since": at(-299)}, None),
    ("tool", {"status": Status.TOOL, "active_tool": "Read", "active_tool_since": at(-301)}, WARNING),
    ("tool", {"status": Status.TOOL, "active_tool": "Task", "active_tool_since": at(-1799)}, None),
    ("tool", {"status": Status.TOOL, "active_tool": "Task", "active_tool_since": at(-1801)}, WARNING),
    ("tool", {"status": Status.IDLE, "active_tool": "Bash", "active_tool_since": at(-9999)}, None),
    ("waiting", {"status": Status.WAITING}, INFO),
    ("waiting", {"status": Status.WAITING, "timestamp": at(-301)}, WARNING),
    ("waiting", {"status": Status.WAITING, "timestamp": "2001-01-01T00:00:00Z"}, INFO),
    ("waiting", {"status": Status.WAITING, "timestamp": "soon"}, INFO),
    ("rate_limit", {"status": Status.RATE_LIMITED}, WARNING),
    ("error", {"status": Status.ERROR}, WARNING),
    ("session_cost", {"cost_usd": 10.0}, None),
    ("session_cost", {"cost_usd": 10.01}, WARNING),
]


@pytest.mark.parametrize(("rule", "state", "severity"), TABLE)
def test_an_agent_needs_attention_from_its_threshold_on(
    rule: str, state: dict[str, Any], severity: Severity | None
) -> None:
    told = Looking(Rules(session_cost_usd=10.0)).at(0, view(an_agent(**state)))
    assert told == ({} if severity is None else {f"{rule}:n2/a": severity})


@pytest.mark.parametrize(("rule", "state", "severity"), TABLE)
def test_a_rule_that_is_off_says_nothing(rule: str, state: dict[str, Any], severity: Severity | None) -> None:
    assert Looking(Rules(session_cost_usd=10.0, off=(rule,))).at(0, view(an_agent(**state))) == {}


@pytest.mark.parametrize("state", [state for _, state, _ in TABLE])
def test_what_is_not_known_to_be_so_now_needs_no_attention(state: dict[str, Any]) -> None:
    ended = {**state, "status": Status.EXITED}
    assert Looking().at(0, view(an_agent(presence=Presence.LEFT, **ended))) == {}
    told = Looking().at(0, view(an_agent(presence=Presence.DOWN, **state), node=a_node(presence=Presence.DOWN)))
    assert told == {"presence:n2": CRITICAL, "presence:n2/a": INFO}, "only that it is down"


def test_no_budget_is_no_notice() -> None:
    assert Looking().at(0, view(an_agent(cost_usd=1e6), cost=1e6)) == {}


def test_the_fleets_budget_of_a_period_is_told_once() -> None:
    seen = Looking(Rules(period_cost_usd=100.0))
    assert seen.at(0, view(cost=100.0)) == {}
    assert seen.at(1, view(cost=100.01)) == {"period_cost:fleet": CRITICAL}


PRESENCES = {
    Presence.FRESH: None,
    Presence.STALE: None,
    Presence.LEFT: None,
    Presence.UNREACHABLE: WARNING,
    Presence.DOWN: CRITICAL,
}


@pytest.mark.parametrize(("presence", "severity"), PRESENCES.items())
def test_a_node_that_is_gone_without_a_goodbye_needs_attention(presence: Presence, severity: Severity | None) -> None:
    told = Looking().at(0, view(node=a_node(presence=presence)))
    assert told == ({} if severity is None else {"presence:n2": severity})


@pytest.mark.parametrize("presence", list(Presence))
def test_another_zone_that_is_unreachable_needs_attention(presence: Presence) -> None:
    sums = ZoneSums(zone="us", nodes={}, agents={}, by_status={})
    zone = ZoneView(zone="us", presence=presence, age_s=9, by=NodeName("n1"), reasons=("nobody",), sums=sums)
    seen = msgspec.structs.replace(view(), zones=(zone,))
    told = [(n.subject, n.severity, n.text) for n in Attention(Rules(), TIMES).look(seen, BEGAN, 0.0)]
    expected = [("zone:us", WARNING, "zone is unreachable: nobody")] if presence is Presence.UNREACHABLE else []
    assert told == expected


def test_an_agent_goes_with_its_node_or_alone_where_its_node_asks_it_in_vain() -> None:
    lost = an_agent(presence=Presence.UNREACHABLE)
    with_it = Looking().attention.look(view(lost, node=a_node(presence=Presence.DOWN)), BEGAN, 0.0)
    assert [(n.severity, n.text) for n in with_it if n.subject == "n2/a"] == [(INFO, "its node n2 is down")]
    lost = msgspec.structs.replace(lost, reasons=("n2 is refused when it asks",))
    alone = Looking().attention.look(view(lost), BEGAN, 0.0)
    assert [(n.severity, n.text) for n in alone] == [(WARNING, "unreachable: n2 is refused when it asks")]


@pytest.mark.parametrize("standing", Standing)
def test_a_node_that_does_not_stand_well_says_so_of_itself(standing: Standing) -> None:
    cut_off = standing in (Standing.PARTITIONED, Standing.ISOLATED)
    told = Looking().at(0, view(standing=standing))
    expected = {"standing:n1": CRITICAL if cut_off else WARNING}
    assert told == ({} if standing is Standing.CONNECTED else expected)


def test_a_rate_limit_that_agents_share_is_one_notice_until_it_resets() -> None:
    limit = RateLimit(key="anthropic:9f2e", window="5h", used_pct=90.0, resets_at=at(60))
    both = [an_agent(name, rate_limits=(limit,)) for name in ("n2/a", "n2/b")]
    seen = Looking()
    assert seen.at(0, view(*both)) == {"rate_limit:anthropic:9f2e 5h": WARNING}
    seen.at(61, view(*both))
    assert seen.at(61 + CALM + 1, view(*both)) == {}


def test_a_figure_that_hovers_about_its_threshold_does_not_flap() -> None:
    seen = Looking()
    told = [seen.at(i, view(an_agent(context_pct=pct))) for i, pct in enumerate((71, 69, 66, 71, 65.1, 64.9, 69))]
    assert [bool(each) for each in told] == [True, True, True, True, True, False, False]
    told = [seen.at(9 + i, view(an_agent(context_pct=pct))) for i, pct in enumerate((91, 86, 84, 89, 90))]
    assert [each["context:n2/a"] for each in told] == [CRITICAL, CRITICAL, WARNING, WARNING, CRITICAL]


def test_a_node_that_flaps_is_one_notice() -> None:
    seen, gone = Looking(), view(node=a_node(presence=Presence.UNREACHABLE))
    assert all(seen.at(i, gone if i % 4 == 0 else view()) for i in range(40))
    assert seen.at(37 + CALM + 0.1, view()) == {}


def test_a_wait_that_goes_on_is_the_same_notice_and_becomes_a_warning() -> None:
    seen, waits = Looking(), view(an_agent(status=Status.WAITING))
    first = seen.attention.look(waits, BEGAN, 0)
    later = seen.attention.look(waits, BEGAN + 301, 301)
    assert [(n.key, n.severity) for n in first] == [("waiting:n2/a", INFO)]
    assert [(n.key, n.severity) for n in later] == [("waiting:n2/a", WARNING)]
    assert first[0].since == later[0].since
    assert seen.at(302, view(an_agent())) == {}, "answered: it is over at once"


def test_the_skew_of_a_nodes_clock_is_taken_out() -> None:
    # Its clock is an hour ahead: what began "an hour from now" began just now, and is not yet too long.
    tool = an_agent(status=Status.TOOL, active_tool="Bash", active_tool_since=at(3600))
    skewed = a_node(offset_ms=3_600_000.0)
    seen = Looking()
    assert seen.at(599, view(tool, node=skewed)) == {}
    assert seen.at(601, view(tool, node=skewed)) == {"tool:n2/a": WARNING}


def test_the_worst_comes_first_and_there_is_an_end() -> None:
    agents = [an_agent(f"n2/{i:04}", status=Status.WAITING) for i in range(NOTICES)]
    attention = Attention(Rules(), TIMES)
    told = attention.look(view(*agents, standing=Standing.ISOLATED), BEGAN, 0)
    assert (len(told), told[0].rule, attention.dropped) == (NOTICES, "standing", 1)


@given(st.lists(st.tuples(st.floats(0, 120), st.floats(0, 100))))
def test_whatever_figures_come_no_notice_is_there_without_a_reason_of_late(told: list[tuple[float, float]]) -> None:
    seen, now = Looking(), 0.0
    for pause, pct in told:
        now += pause
        notices = seen.at(now, view(an_agent(context_pct=pct)))
        assert ("context:n2/a" in notices) >= (pct >= 70)
        assert ("context:n2/a" in notices) <= (pct >= 65)


def test_every_rule_has_its_row() -> None:
    assert {rule for rule, _, _ in TABLE} | {"presence", "standing", "period_cost"} == set(NAMES)


def a_notice(key: str = "presence:n9", severity: Severity = WARNING) -> Notice:
    return Notice(rule="presence", severity=severity, subject="n9", since=at(0), text="", key=key)


def teller(name: str, *, there: bool = True, told_at: float | None = None, severity: Severity = WARNING) -> Teller:
    told = {} if told_at is None else {short("presence:n9"): Told(severity.rank, int(told_at))}
    return Teller(name, there, told)


def in_turn(count: int, key: str = "presence:n9") -> list[str]:
    """So many names, whoever's turn it is first."""
    return ranked(key, [f"n{i}" for i in range(count)])


def test_what_one_has_told_it_does_not_tell_again_unless_it_got_worse() -> None:
    tellers = [teller("n1", told_at=BEGAN), teller("n2")]
    assert is_told(a_notice(), BEGAN, tellers, "n1", 1e9)
    assert not is_told(a_notice(severity=CRITICAL), BEGAN, tellers, "n1", 0)
    assert not is_told(a_notice("presence:n8"), BEGAN, tellers, "n1", 0)


def test_who_is_first_goes_by_nobodys_word_and_the_next_by_that_of_those_before_it() -> None:
    first, next_one, last = in_turn(3)
    tellers = [teller(name, told_at=BEGAN) for name in (first, next_one, last)]
    lists_nothing = [teller(first), teller(next_one)]
    assert not is_told(a_notice(), BEGAN, [teller(first), *tellers[1:]], first, 0)
    assert not is_told(a_notice(), BEGAN, [*lists_nothing, tellers[2]], next_one, 0)
    assert is_told(a_notice(), BEGAN, [tellers[0], *lists_nothing[1:]], next_one, 0)
    assert not is_told(a_notice(severity=CRITICAL), BEGAN, tellers, "n9", 0)


def test_the_words_of_others_are_worth_time_and_each_more_for_twice_as_long() -> None:
    names = in_turn(4)
    for words, hours in ((0, 0), (1, 1), (2, 3), (3, 7)):
        tellers = [*(teller(name, told_at=BEGAN) for name in names[:words]), teller(names[3])]
        if hours:
            assert is_told(a_notice(), BEGAN, tellers, names[3], hours * HELD - 1)
        assert not is_told(a_notice(), BEGAN, tellers, names[3], hours * HELD)
    crowd = in_turn(5_000)
    tellers = [teller(name, told_at=BEGAN) for name in crowd[:-1]]
    assert is_told(a_notice(), BEGAN, tellers, crowd[-1], 1e9), "and no number is too large"


def test_who_failed_to_tell_it_leaves_it_to_those_behind_for_as_long() -> None:
    first, behind = in_turn(2)
    tellers = [teller(first), teller(behind, told_at=BEGAN)]
    assert is_told(a_notice(), BEGAN, tellers, first, HELD - 1, failed=True)
    assert not is_told(a_notice(), BEGAN, tellers, first, HELD, failed=True)


def test_who_is_there_may_have_told_it_however_long_ago() -> None:
    first, me = in_turn(2)
    tellers = [teller(first, told_at=BEGAN)]
    assert is_told(a_notice(), BEGAN + 3600, tellers, me, 0), "by a node that has just begun to look"


def test_what_one_that_is_gone_had_told_counts_for_what_began_before_alone() -> None:
    first, me = in_turn(2)
    gone = [teller(first, there=False, told_at=BEGAN)]
    assert is_told(a_notice(), BEGAN, gone, me, 0)
    assert not is_told(a_notice(), BEGAN + 3600, gone, me, 0), "it began anew since"


@given(st.sets(st.text("abcdefgh", min_size=1, max_size=3), min_size=1), st.text())
def test_each_notice_is_the_turn_of_one_of_those_that_are_there(names: set[str], key: str) -> None:
    tellers = [teller(name) for name in names]
    turns = sorted(place(a_notice(key), name, tellers) for name in names)
    assert turns == list(range(len(names)))
    first = next(name for name in names if place(a_notice(key), name, tellers) == 0)
    without = [teller(name, there=name != first) for name in names]
    assert sorted(place(a_notice(key), name, without) for name in names - {first}) == list(range(len(names) - 1))
