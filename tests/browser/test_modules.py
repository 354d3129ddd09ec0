"""What the page's modules make of a view: asked in the page itself, with views made for it."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.measured import fleet
from tests.browser.tabs import needs_chromium, signed_in, tab

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.processes, needs_chromium]

VIEW = Path(__file__).with_name("views.js").read_text()


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    with fleet(1) as served, tab(browser, [], signed_in(served.token)) as page:
        page.goto(served.url)
        yield page


def made(page: Page, module: str, expression: str) -> Any:
    return page.evaluate(f"async () => {{ const it = await import('/page/{module}'); {VIEW} return {expression}; }}")


@pytest.mark.parametrize(
    ("query", "fits"),
    [
        ("", ["box/a", "box/b", "box/c"]),
        ("shop", ["box/a"]),
        ("SHOP", ["box/a"]),
        ("box/", ["box/a", "box/b", "box/c"]),
        ("model:sonnet", ["box/a", "box/b"]),
        ("-model:sonnet", ["box/c"]),
        ("zone:west", ["box/c"]),
        ("host:host-n2", ["box/c"]),
        ("state:waiting", ["box/b"]),
        ("context>80", ["box/b"]),
        ("ctx<80", ["box/a"]),  # what is not known is neither more nor less
        ("context>", ["box/a", "box/b", "box/c"]),  # still being typed
        ("model:sonnet -status:waiting", ["box/a"]),
        ('"claude sonnet"', ["box/b"]),
        ("nonsense:x", []),
    ],
)
def test_a_filter_fits_what_it_says(page: Page, query: str, fits: list[str]) -> None:
    agents = """[
        agent("box/a", {project: "shop", model: "claude-sonnet-4-5", context_pct: 40}),
        agent("box/b", {model: "claude sonnet", status: "waiting", context_pct: 81}),
        agent("box/c", {model: "qwen3"}, {node: "n2"}),
    ]"""
    asked = f"((v) => v.agents.filter((a) => it.matcher({query!r})(a, v)).map((a) => a.agent_id))(view({agents}))"
    assert made(page, "matching.js", asked) == fits


def test_the_fullest_limit_is_first_and_what_is_not_known_last(page: Page) -> None:
    told = "{totals: {rate_limits: [limit('k', '5h', 10), limit('k', '7d', 90), limit('l', '5h', null)]}}"
    limits = f"it.headroom(view([], {told})).map((limit) => [limit.name, limit.used_pct])"
    assert made(page, "fleet.js", limits) == [["k 7d", 90], ["k 5h", 10], ["l 5h", None]]


@pytest.mark.parametrize(
    ("window", "used", "resets_in_h", "read_ago_h", "runs_out_in_h"),
    [
        ("5h", 80, 2.5, 0, 0.625),  # half of the window passed, four fifths of it are used
        ("5h", 80, 2.5, 0.5, 0.0),  # by now, at the pace that it had until it was read
        ("5h", 40, 2.5, 0, None),  # begins anew before
        ("7d", 90, 84, 0, 9.3333),
        ("5h", 0, 2.5, 0, None),
        ("5h", None, 2.5, 0, None),
        ("5h", 80, -1, 0, None),  # has begun anew since
        ("a while", 80, 2.5, 0, None),
    ],
)
def test_when_a_limit_is_used_up_at_its_pace(
    page: Page, window: str, used: float | None, resets_in_h: float, read_ago_h: float, runs_out_in_h: float | None
) -> None:
    told = f"""{{window: {window!r}, used_pct: {"null" if used is None else used},
        resets_at: new Date(now.wall + {resets_in_h} * 3.6e6).toISOString(),
        read_at: new Date(now.wall - {read_ago_h} * 3.6e6).toISOString()}}"""
    seconds = made(page, "limits.js", f"it.runsOut({told}, now.wall)")
    assert seconds == (None if runs_out_in_h is None else pytest.approx(3_600 * runs_out_in_h, abs=1))


@pytest.mark.parametrize(
    ("period", "said"),
    [
        ("cost_usd: 115", ["≈ $150.00 by 12-01"]),
        ("cost_usd: 115, budget_usd: 200", ["of $200.00", "≈ $150.00 by 12-01"]),
        ("cost_usd: 115, budget_usd: 120", ["of $120.00", "at this pace used up in 1 d 0 h"]),
        ("cost_usd: 120, budget_usd: 120", ["of $120.00", "used up"]),
        ("cost_usd: 1, start: '2026-11-24'", []),  # a day says too little
        ("cost_usd: 1, end: null", []),
    ],
)
def test_what_a_period_comes_to_and_whether_its_budget_lasts(page: Page, period: str, said: list[str]) -> None:
    told = f"{{start: '2026-11-01', end: '2026-12-01', budget_usd: null, {period}}}"
    asked = f"it.pace({told}, Date.parse('2026-11-24T00:00:00Z')).map((part) => part.text)"
    assert made(page, "totals.js", asked) == said


@pytest.mark.parametrize(
    ("today", "period", "said"),
    [
        ("{cost_usd: 18.2}", "412.07", ["$18.20 today", "$4.10 / h", "of $600.00", "≈ $537.48 by 12-01"]),
        ("{cost_usd: null}", "412.07", ["$4.10 / h", "of $600.00", "≈ $537.48 by 12-01"]),
        ("null", "412.07", ["$4.10 / h", "of $600.00", "≈ $537.48 by 12-01"]),
        ("undefined", "412.07", ["$4.10 / h", "of $600.00", "≈ $537.48 by 12-01"]),  # a node of before
        ("{cost_usd: 18.2}", "null", ["$18.20 today", "$4.10 / h"]),
    ],
)
def test_a_cost_says_what_of_it_is_of_today(page: Page, today: str, period: str, said: list[str]) -> None:
    totals = f"""{{cost_usd: 7.5, today: {today},
        period: {{start: '2026-11-01', end: '2026-12-01', budget_usd: 600, cost_usd: {period}}}}}"""
    asked = f"it.cost({totals}, 4.1, {{wall: Date.parse('2026-11-24T00:00:00Z')}}).parts.map((part) => part.text)"
    assert made(page, "totals.js", asked) == said


def test_notices_lead_to_whom_they_are_about_and_say_for_how_long(page: Page) -> None:
    notices = "notice('waiting', 'critical', 'box/a', 'waits'), notice('odd', 'unheard-of', 'fleet', 'is odd', 'never')"
    first, second = made(page, "attention.js", f"it.attention(view([agent('box/a')], {{attention: [{notices}]}}), now)")
    assert (first["name"], first["text"], first["tone"]) == ("box/a", "waits · for 5 min", "bad")
    assert first["address"] == {"agent": "box/a"}
    assert (second["text"], second["address"], second["tone"]) == ("is odd", None, "warn")


def test_what_the_banner_or_the_node_of_an_agent_says_is_not_said_again(page: Page) -> None:
    notices = """
        notice("standing", "critical", "n1", "is isolated"), notice("presence", "warning", "n2", "is unreachable"),
        notice("presence", "info", "n2/x", "its node is"), notice("presence", "info", "box/y", "is unreachable"),
        notice("waiting", "info", "n2/x", "waits"),
    """
    agents = "[agent('n2/x', {}, {node: 'n2'}), agent('box/y')]"
    asked = f"it.attention(view({agents}, {{attention: [{notices}]}}), now).map((item) => item.name)"
    assert made(page, "attention.js", asked) == ["n2", "box/y", "n2/x"]


def test_no_name_of_an_agent_is_a_formula_or_another_field_in_a_spreadsheet(page: Page) -> None:
    agents = """[agent('=cmd()', {model: 'a "b", c', cost_usd: -1, project: "-x"})]"""
    header, line = str(made(page, "export.js", f"it.csv({agents})")).splitlines()
    told = dict(zip(header.split(","), next(csv.reader([line])), strict=True))
    assert (told["agent"], told["project"], told["cost_usd"]) == ("'=cmd()", "'-x", "-1")
    assert (told["model"], told["tokens_in"]) == ('a "b", c', "")


def test_agents_that_each_call_the_other_their_parent_are_both_shown_once(page: Page) -> None:
    agents = "[child('a', 'b'), child('b', 'a'), child('c', 'gone'), child('d', 'c')]"
    looks = "{q: '', sort: 'agent', group: ''}"
    asked = f"it.arranged(view({agents}), {looks}, new Set()).rows.map((row) => [row.key, row.depth])"
    assert made(page, "ordering.js", asked) == [["c", 0], ["d", 1], ["a", 0], ["b", 1]]


def test_an_address_says_the_same_when_it_is_read_again(page: Page) -> None:
    odd = 'a b&c=d#e%f"<>ü/'
    page.evaluate(f"async () => (await import('/page/address.js')).go({{q: {odd!r}, agent: 'box/a'}})")
    assert page.evaluate("location.hash").startswith("#/q=a%20b%26c=d%23e%25f%22%3C%3E")
    page.reload()
    page.wait_for_selector("#filter")
    assert page.evaluate("async () => (await import('/page/address.js')).place.q") == odd
    assert page.evaluate("async () => (await import('/page/address.js')).place.agent") == "box/a"


@pytest.mark.parametrize(
    ("agent", "transport", "last_seen", "age_s"),
    [
        ("{transport: 'udp'}, {node: 'n2'}", "stream", "2026-11-23T20:14:58Z", 2),  # as its node
        (
            "{transport: 'poll', last_seen: '2026-11-23T20:14:50Z'}",
            "poll",
            "2026-11-23T20:14:55Z",
            5,
        ),  # n1 asks, and serves
        ("{transport: 'events', last_seen: '2026-11-23T20:14:50Z'}, {node: 'n2'}", "events", "2026-11-23T20:14:58Z", 2),
        (
            "{transport: 'poll', presence: 'unreachable', last_seen: '2026-11-23T20:14:30Z'}, {node: 'n2', silent: 1}",
            "poll",
            "2026-11-23T20:14:30Z",
            30,
        ),
    ],
)
def test_agents_that_are_asked_over_http_keep_their_own_way_and_age(
    page: Page, agent: str, transport: str, last_seen: str, age_s: int
) -> None:
    told = made(
        page,
        "changing.js",
        f"""(() => {{
            const one = agent("a", {{}}, Object.assign({{}}, {agent}));
            const nodes = [node("n1"), node("n2", {{transport: "stream", last_seen: "2026-11-23T20:14:40Z"}})];
            const change = {{
                now: "2026-11-23T20:15:00Z", served_by: {{node: "n1"}}, seen: {{n2: "2026-11-23T20:14:58Z"}},
                seen_agents: one.silent ? {{}} : {{a: "2026-11-23T20:14:55Z"}},
            }};
            return it.applied(view([one], {{nodes}}), change).agents[0];
        }})()""",
    )
    assert (told["transport"], told["last_seen"], told["age_s"]) == (transport, last_seen, age_s)


ZONES = """[
    {zone: "eu-2", presence: "fresh", age_s: 1, by: "n1", reasons: [], sums: {nodes: {fresh: 97, down: 1, left: 4},
     agents: {fresh: 240}, by_status: {working: 200, waiting: 2}, cost_usd: 118.2, notices: 3, attention: [
        {severity: "warning", subject: "box-31/claude", text: "waits for a person <b>now</b>"}]}},
    {zone: "us-1", presence: "unreachable", age_s: 41, by: "n1", reasons: ["n1 says so: it hears none of those"],
     sums: {nodes: {fresh: 1}, agents: {}, by_status: {}, cost_usd: null, notices: 0, attention: []}},
]"""


def test_other_zones_stand_with_their_sums_and_how_they_are_heard(page: Page) -> None:
    text = made(
        page,
        "zones.js",
        f"(it.showZones({{zones: {ZONES}}}), [...document.querySelectorAll('.zone-card')].map((li) => li.innerText))",
    )
    assert "97 nodes" not in text[0]
    assert "98 nodes, 1 down" in text[0]
    assert "240 agents, 2 waiting" in text[0]
    assert "$118.20" in text[0]
    assert "box-31/claude: waits for a person <b>now</b>, and 2 more" in text[0]
    assert "unreachable" in text[1]
    assert "for 41 s" in text[1]
    assert "1 node\n" in text[1]
    assert "it hears none of those" in text[1]
    assert made(page, "zones.js", "(it.showZones({}), document.getElementById('zones').hidden)")


def test_that_the_fleet_says_too_much_stands_above_it(page: Page) -> None:
    server = "{node: 'n1', standing: 'connected', reasons: [], islands: [], cuts: [], slowed: %s}"
    told = "((at) => at.checkVisibility() ? at.innerText : '')(document.getElementById('slowed'))"
    said = []
    for slowed in (3.2, 1):
        made_of = f"view([], {{now: '2026-11-23T20:15:00Z', served_by: {server % slowed}}})"
        said.append(made(page, "header.js", f"(it.showHeader({made_of}, 'live', now), {told})"))
    assert "snapshots of agents of n1 go 3.2 times as seldom" in said[0]
    assert said[1] == ""


def test_a_zone_that_is_not_heard_grows_older_between_two_words_of_it(page: Page) -> None:
    change = "{version: '2', now: new Date(Date.parse(before.now) + 3000).toISOString(), served_by: {node: 'n1'}}"
    aged = f"((before) => it.applied(before, {change}).zones.map((zone) => zone.age_s))"
    view = f"{{...view([]), now: '2026-11-26T09:00:00.000Z', zones: {ZONES}}}"
    assert made(page, "changing.js", f"{aged}({view})") == [1, 44]
