"""What `status` and `why` make of a view: the order, the words, the width, the exit code."""

from __future__ import annotations

import io
from datetime import datetime

import msgspec
import pytest
from rich.console import Console

from meshfleet.cli import showing
from meshfleet.cli.cost import By
from meshfleet.cli.cost import render as cost_of
from meshfleet.cli.status import render, verdict
from meshfleet.cli.why import render as render_story
from meshfleet.fleet.cost import CostReport, Here, Spent, Today
from meshfleet.fleet.evidence import Kind
from meshfleet.fleet.names import AgentId, NodeName
from meshfleet.fleet.notice import Notice, Severity
from meshfleet.fleet.presence import Certainty, Presence
from meshfleet.fleet.standing import Standing
from meshfleet.fleet.state import AgentState, Status
from meshfleet.fleet.view import AgentView, FleetView, NodeView, Period, ServedBy, Totals
from meshfleet.serve.answers import Story, ToldFact
from tests.cli.top.fleet import on_two_levels

NOW = "2026-11-23T20:15:05.123Z"
SINCE = "2026-11-23T20:13:05.123Z"


def a_node(
    name: str, presence: Presence = Presence.FRESH, *reasons: str, certainty: Certainty | None = None
) -> NodeView:
    return NodeView(
        name=NodeName(name),
        role="agent",
        zone="east",
        host=f"{name}-host",
        epoch=1_763_923_200_123,
        incarnation=1,
        presence=presence,
        certainty=certainty,
        reach="direct",
        transport="udp",
        age_s=0.41,
        last_seen=NOW,
        since=SINCE,
        reasons=reasons,
        rtt_ms=0.6,
        clock_offset_ms=None,
        base_url=None,
        version="0.1.0",
        agents=(AgentId(f"{name}/claude-1f3c"),),
    )


def an_agent(node: NodeView, *reasons: str) -> AgentView:
    state = AgentState(
        agent_id=f"{node.name}/claude-1f3c",
        timestamp=NOW,
        status=Status.TOOL,
        runtime="claude-code",
        model="claude-sonnet-4-5",
        project="shop",
        context_pct=61.2,
        tokens_in=1_893_321,
        tokens_out=40_112,
        cost_usd=7.31,
        active_tool="Bash",
    )
    return AgentView(
        agent_id=AgentId(state.agent_id),
        node=node.name,
        presence=node.presence,
        certainty=node.certainty,
        age_s=12.3,
        last_seen=NOW,
        since=SINCE,
        reasons=reasons or node.reasons,
        epoch=node.epoch,
        seq=88,
        transport="udp",
        state=state,
    )


def a_view(*nodes: NodeView, standing: Standing = Standing.CONNECTED, reasons: tuple[str, ...] = ()) -> FleetView:
    totals = Totals(
        agents=len(nodes),
        by_presence={},
        by_status={"tool": len(nodes)},
        by_tool={},
        by_model={},
        tokens_in=1_893_321,
        tokens_out=None,
        cost_usd=7.31,
        period=Period(start="2026-11-01", cost_usd=None),
    )
    islands = (tuple(node.name for node in nodes),)
    me = ServedBy(
        node=nodes[0].name,
        standing=standing,
        since=SINCE,
        reasons=reasons,
        local_health=0,
        loop_lag_ms=0.8,
        islands=islands,
    )
    agents = tuple(an_agent(node) for node in nodes)
    return FleetView(version="b1c9-4", now=NOW, served_by=me, nodes=nodes, agents=agents, totals=totals)


def text_of(view: FleetView, width: int = 80) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width, highlight=False).print(render(view, width))
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_the_node_speaks_of_itself_first() -> None:
    reason = "n2, n3 fell silent together; 1 of 3 are on this side"
    lines = text_of(a_view(a_node("n1"), standing=Standing.PARTITIONED, reasons=(reason,)))
    assert lines[0] == "n1 is partitioned for 2 min"
    assert lines[1] == f"  {reason}"


def test_where_the_fleet_says_too_much_that_is_told() -> None:
    view = a_view(a_node("n1"))
    assert not any("too much" in line for line in text_of(view))
    view = msgspec.structs.replace(view, served_by=msgspec.structs.replace(view.served_by, slowed=4.2))
    assert "  the fleet says too much: snapshots of agents here go 4.2 times as seldom" in text_of(view)


def test_what_is_not_fresh_has_its_reason_once() -> None:
    gone = a_node("n2", Presence.DOWN, "stream ended, then refused", certainty=Certainty.PROVEN)
    lines = text_of(a_view(a_node("n1"), gone))
    assert "2 nodes: 1 fresh, 1 down" in lines
    assert [line for line in lines if "refused" in line] == ["n2 down: stream ended, then refused"]
    assert any("down proven" in line for line in lines)


def test_an_agent_with_a_reason_of_its_own_gets_a_line() -> None:
    gone = a_node("n2", Presence.STALE, "no news for 6.0 s")
    view = a_view(a_node("n1"), gone)
    claimed = msgspec.structs.replace(view, agents=(view.agents[0], an_agent(gone, "claimed by n1 too")))
    assert "n2/claude-1f3c stale: claimed by n1 too" in text_of(claimed)


def test_it_fits_80_columns_and_uses_more_where_there_are() -> None:
    view = a_view(*(a_node(f"node-with-a-name-{i}", Presence.UNREACHABLE, "silent " * 20) for i in range(3)))
    narrow, wide = text_of(view, 80), text_of(view, 140)
    assert max(len(line) for line in narrow) <= 80
    assert not any("shop" in line for line in narrow)
    assert sum("○ unreachable" in line or "? unreachable" in line for line in narrow) == 6
    assert sum("$7.31" in line and "61%" in line and "12 s" in line for line in narrow) == 3
    assert any("shop" in line and "1.9M" in line for line in wide)


def test_presence_is_a_glyph_and_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(showing, "has_glyphs", lambda: True)
    said = {str(showing.presence(presence)) for presence in Presence}
    assert said == {"● fresh", "◐ stale", "○ unreachable", "✕ down", "→ left"}
    monkeypatch.setattr(showing, "has_glyphs", lambda: False)
    assert all(str(showing.presence(presence)).isascii() for presence in Presence)


@pytest.mark.parametrize(
    ("standing", "presences", "code"),
    [
        (Standing.CONNECTED, [Presence.FRESH, Presence.FRESH], 0),
        (Standing.CONNECTED, [Presence.FRESH, Presence.LEFT], 0),
        (Standing.CONNECTED, [Presence.FRESH, Presence.STALE], 1),
        (Standing.CONNECTED, [Presence.FRESH, Presence.UNREACHABLE], 1),
        (Standing.CONNECTED, [Presence.FRESH, Presence.DOWN], 1),
        (Standing.SPLIT, [Presence.FRESH, Presence.FRESH], 1),
        (Standing.DEGRADED, [Presence.FRESH, Presence.FRESH], 1),
        (Standing.RESUMING, [Presence.FRESH, Presence.FRESH], 1),
        (Standing.PARTITIONED, [Presence.FRESH, Presence.FRESH], 3),
        (Standing.ISOLATED, [Presence.FRESH, Presence.DOWN], 3),
    ],
)
def test_the_exit_code_sums_it_up(standing: Standing, presences: list[Presence], code: int) -> None:
    view = a_view(*(a_node(f"n{i}", presence) for i, presence in enumerate(presences)), standing=standing)
    assert verdict(view) == code


def test_one_agent_that_is_not_fresh_is_enough_for_1() -> None:
    view = a_view(a_node("n1"))
    stale = msgspec.structs.replace(view.agents[0], presence=Presence.STALE)
    assert verdict(msgspec.structs.replace(view, agents=(stale,))) == 1


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.0, "0.0 s"), (9.94, "9.9 s"), (12.3, "12 s"), (59.0, "59 s"), (180.0, "3 min"), (7_200.0, "2 h"), (4e5, "5 d")],
)
def test_ages_are_told_as_people_say_them(seconds: float, said: str) -> None:
    assert showing.age(seconds) == said


def test_what_is_not_known_is_a_dash_and_never_0() -> None:
    assert (showing.money(None), showing.count(None)) == ("-", "-")
    assert (showing.money(0.0), showing.count(0)) == ("$0.00", "0")
    assert (showing.money(1234.5), showing.count(12_345), showing.count(1_893_321)) == ("$1,234.50", "12.3k", "1.9M")


def a_story(name: str, *facts: ToldFact) -> Story:
    return Story(
        name=name,
        node=NodeName("n3"),
        presence=Presence.DOWN,
        certainty=Certainty.PROVEN,
        reasons=("connection refused",),
        age_s=4.0,
        since=SINCE,
        served_by=NodeName("n5"),
        standing=Standing.SPLIT,
        facts=facts,
    )


def test_why_tells_the_verdict_whose_it_is_and_the_facts() -> None:
    fact = ToldFact(kind=Kind.EOF, by=NodeName("n5"), host="h5", detail="stream ended", age_s=3.7, at=NOW)
    out = io.StringIO()
    console = Console(file=out, width=80, highlight=False)
    console.print(render_story(a_story("n3", fact)))
    console.print(render_story(a_story("n3/claude-1f3c")))
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    assert lines[0].endswith("down proven, says n5, which is split; heard of 4.0 s ago")
    assert lines[1] == "  connection refused"
    assert f"{datetime.fromisoformat(NOW).astimezone():%H:%M:%S}  eof   n5  stream ended" in lines
    assert "  It is carried by n3; these are the facts about that node." in lines


def test_an_empty_fleet_says_what_to_do_and_a_full_one_does_not() -> None:
    full = a_view(a_node("n1"), a_node("n2"))
    assert not any("yet" in line for line in text_of(full))
    alone = text_of(msgspec.structs.replace(full, nodes=full.nodes[:1], agents=()))
    assert any(line.startswith("No agents yet") for line in alone)
    assert any(line.startswith("No other nodes yet. `meshfleet invite` prints a LINE") for line in alone)
    assert max(map(len, alone)) <= 80


def test_what_needs_attention_stands_before_the_tables_and_changes_no_exit_code() -> None:
    notices = tuple(
        Notice(rule="tool", severity=Severity.WARNING, subject=f"n1/{i}", since=SINCE, text="Bash runs", key=f"{i}")
        for i in range(14)
    )
    period = Period(start="2026-11-01", cost_usd=412.066)
    plain = a_view(a_node("n1"))
    today = Today(day="2026-11-26", cost_usd=18.2, tokens_in=1_000, tokens_out=100)
    totals = msgspec.structs.replace(plain.totals, period=period, today=today)
    view = msgspec.structs.replace(plain, attention=notices, totals=totals)
    lines = text_of(view)
    first = lines.index("warning n1/0: Bash runs, for 2 min")
    assert lines.index("$412.07 in the fleet since 2026-11-01, $18.20 of it today") < first
    unpriced = msgspec.structs.replace(totals, today=msgspec.structs.replace(today, cost_usd=None))
    for less in (unpriced, msgspec.structs.replace(totals, today=None)):
        assert "$412.07 in the fleet since 2026-11-01" in text_of(msgspec.structs.replace(view, totals=less))
    assert lines.index("and 2 more") == first + 12
    assert first + 12 < next(i for i, line in enumerate(lines) if line.startswith("NODE"))
    assert verdict(view) == verdict(plain) == 0


def spent(usd: float | None, tokens: int) -> Spent:
    return Spent(cost_usd=usd, tokens_in=tokens, tokens_out=tokens // 10)


def cost_text(by: By, view: FleetView | None = None) -> str:
    here = Here(
        node=NodeName("n1"),
        total=spent(2.0, 1_000),
        by_day={"2026-11-25": spent(2.0, 1_000)},
        by_model={"unknown": spent(None, 1_000)},
        by_runtime={},
        by_agent={},
    )
    report = CostReport(
        start="2026-11-01", end="2026-12-01", zone="UTC", fleet=spent(5.0, 3_000),
        today=Today(day="2026-11-26", cost_usd=1.25, tokens_in=500, tokens_out=50),
        by_node={"n1": spent(2.0, 1_000), "long-gone": spent(3.0, 2_000)}, here=here, known_periods=("2026-11-01",),
        other_billing_day=(NodeName("n7"),),
    )  # fmt: skip
    out = io.StringIO()
    Console(file=out, width=100, highlight=False).print(cost_of(report, by, view))
    return out.getvalue()


def test_a_cost_says_whose_it_is() -> None:
    by_node = cost_text(By.NODE)
    assert "The fleet used $5.00, 3.0k tokens in, 300 out from 2026-11-01 to before 2026-12-01 (UTC)." in by_node
    assert "Of it today, 2026-11-26: $1.25, 500 tokens in, 50 out." in " ".join(by_node.split())
    assert "Not in it: n7, whose billing_day is another." in " ".join(by_node.split())
    assert "By node, those that are gone included" in by_node
    assert "long-gone" in by_node
    by_day = cost_text(By.DAY)
    assert "of n1's own agents alone ($2.00" in by_day
    assert "2026-11-25" in by_day
    assert " - " in cost_text(By.MODEL), "a cost that is not known is no 0"
    assert "n1 has counted nothing." in cost_text(By.AGENT)


def test_what_is_wrong_in_another_zone_is_in_the_exit_code_too() -> None:
    eu, _ = on_two_levels().zones
    view = msgspec.structs.replace(a_view(a_node("n1")), zones=(eu,))
    assert verdict(view) == 1
    for nodes, agents, code in (
        ({"fresh": 3, "left": 1}, {"fresh": 5}, 0),
        ({"fresh": 3, "stale": 1}, {}, 1),
        ({"fresh": 3, "unreachable": 1}, {}, 1),
        ({"fresh": 3}, {"fresh": 5, "down": 1}, 1),
        ({"fresh": 3, "down": 0}, {}, 0),
    ):
        sums = msgspec.structs.replace(eu.sums, nodes=nodes, agents=agents)
        assert verdict(msgspec.structs.replace(view, zones=(msgspec.structs.replace(eu, sums=sums),))) == code


def test_on_two_levels_a_cost_is_told_of_each_zone_and_of_all() -> None:
    plain = a_view(a_node("n1"))
    totals = msgspec.structs.replace(plain.totals, period=Period(start="2026-11-01", cost_usd=5.0))
    view = msgspec.structs.replace(plain, zones=on_two_levels().zones, totals=totals)
    told = cost_text(By.NODE, view)
    assert "Zone east used $5.00" in told
    assert "Zone eu-2 used $2,031.50." in told
    assert "Zone us-1 used an unknown amount (unreachable: as of 41 s ago)." in told
    assert "$2,036.50 in all, of the 2 of 3 zones that tell." in told
    assert "The fleet used $5.00" in cost_text(By.NODE, plain)
    lines = text_of(view)
    at = lines.index("$5.00 in zone east since 2026-11-01")
    assert lines[at + 1] == "$2,031.50 in zone eu-2; $2,036.50 in all, of the 2 of 3 zones that tell"
    before = msgspec.structs.replace(totals, period=Period(start="2026-12-01", cost_usd=5.0))
    assert "of the period that runs" in cost_text(By.NODE, msgspec.structs.replace(view, totals=before))


def test_sums_of_sessions_and_of_the_period_say_which_they_are() -> None:
    assert "of these agents: 1.9M tokens in, - out; $7.31" in text_of(a_view(a_node("n1")))


def test_an_agent_that_exited_is_as_old_as_its_end_and_says_how_it_ended() -> None:
    view = a_view(a_node("n1"))
    agent = view.agents[0]

    def line(presence: Presence, ended: str, **fields: object) -> tuple[str, list[str]]:
        state = msgspec.structs.replace(agent.state, status=Status.EXITED, active_tool=None, timestamp=ended, **fields)
        reasons = ("its process exited",)
        gone = msgspec.structs.replace(agent, presence=presence, age_s=0.0, reasons=reasons, state=state)
        lines = text_of(msgspec.structs.replace(view, agents=(gone,)))
        return next(each for each in lines if "exited" in each), lines

    ended, lines = line(Presence.LEFT, SINCE, exit_code=7)
    assert "exited 7" in ended
    assert ended.endswith("2 min")
    assert not any("its process" in each for each in lines)
    assert line(Presence.LEFT, "soon")[0].endswith("0.0 s")
    assert line(Presence.LEFT, "2026-11-23T20:13:05")[0].endswith("0.0 s")
    assert " exited  " in line(Presence.FRESH, SINCE)[0]


def test_who_said_goodbye_needs_no_reason_and_who_was_thrown_out_does() -> None:
    for reason, told in (("left", False), ("revoked by the fleet's owner", True)):
        lines = text_of(a_view(a_node("n1"), a_node("n2", Presence.LEFT, reason)))
        assert (f"n2 left: {reason}" in lines) is told
