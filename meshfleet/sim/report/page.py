"""Puts the page together."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from importlib.resources import files
from shlex import quote
from typing import TYPE_CHECKING

from meshfleet.sim.lanes import barred, lanes, names, nice
from meshfleet.sim.network import MICROSECONDS
from meshfleet.sim.report.asked import amiss, expectations
from meshfleet.sim.report.bands import PATTERNS, Scale, axis, bar_row, barred_row, grid, lane
from meshfleet.sim.report.figures import Curve, chart, confusion, costs, figures, verdict
from meshfleet.sim.report.legend import legend
from meshfleet.sim.report.markup import Html, element, joined
from meshfleet.sim.telling import alike

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshfleet.sim.host import Host
    from meshfleet.sim.lanes import Lane
    from meshfleet.sim.record import Record
    from meshfleet.sim.running import Report
    from meshfleet.sim.scenario import Scenario
    from meshfleet.sim.score import Score

FEW_LANES = 12
"""So many lanes are shown whether or not there is anything to tell of them."""

MOST_LANES = 32
"""Lanes that are shown at first: those with most to tell."""

MOST_FOLDED = 200
"""Further lanes that are on the page at all."""

MOST_MOMENTS = 24


def page(scenario: Scenario, report: Report, record: Record, score: Score, hosts: Sequence[Host]) -> str:
    """The whole page, as text. It holds neither a time of day nor how long anything took: the same run, the same
    page."""
    script = files("meshfleet.sim.report").joinpath("cursor.js").read_text(encoding="utf-8")
    style = files("meshfleet.sim.report").joinpath("style.css").read_text(encoding="utf-8")
    hashed = b64encode(sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{hashed}'"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"{report.scenario}, seed {report.seed}: {'held' if report.ok else 'did not hold'}"),
        element("style", Html(style)),
    )
    body = element(
        "body",
        PATTERNS,
        _top(scenario, report),
        element("main", *_sections(scenario, report, record, score, hosts)),
        _foot(report),
        element("script", Html(script)),
    )
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


def _top(scenario: Scenario, report: Report) -> Html:
    fleet = scenario.fleet
    facts = {
        "mode": report.mode,
        "detector": report.detector,
        "seed": report.seed,
        "nodes": f"{fleet.nodes}, each with {fleet.agents_per_node} agent{'' if fleet.agents_per_node == 1 else 's'}",
        "virtual time": f"{report.virtual_s:g} s",
        "heartbeat T": f"{scenario.patience().heartbeat:g} s",
        "meshfleet": report.version,
    }
    told = [element("div", element("dt", name), element("dd", value)) for name, value in facts.items()]
    return element(
        "header",
        element("h1", report.scenario),
        element("p", " ".join(scenario.about.split()), class_="about"),
        element("div", verdict(report), figures(report), class_="outcome"),
        element("dl", *told, class_="facts"),
    )


def _sections(scenario: Scenario, report: Report, record: Record, score: Score, hosts: Sequence[Host]) -> list[Html]:
    sections = [
        _section("What was expected", expectations(scenario, report), amiss(report)),
        _section("What happened, and what was said of it", legend(), _lanes(scenario, record, hosts)),
        _section("Truth and verdict", confusion(report)),
    ]
    charts = [each for each in _charts(score) if each]
    title = "How late, how fast, at what cost"
    return [*sections, _section(title, element("div", *charts, costs(report), class_="charts"))]


def _section(title: str, *inside: object) -> Html:
    return element("section", element("h2", title), *inside)


def _lanes(scenario: Scenario, record: Record, hosts: Sequence[Host]) -> Html:
    end_us = round(scenario.duration * MICROSECONDS)
    scale = Scale(end_us)
    step_us = round(nice(scenario.duration / 10) * MICROSECONDS)
    walls = barred(record.walls, end_us)
    faults = alike(scenario.fault, scenario.duration)
    moments = dict.fromkeys(at for *_, spans in faults for span in spans for at in span if 0 < at < end_us)
    events = [barred_row(each, scale) for each in walls]
    events += [
        bar_row(joined(element("b", kind), " ", whom), spans, scale, "fault", f"{kind} {whom}")
        for kind, whom, spans in faults
    ]
    every = lanes(record, hosts, end_us, round(scenario.patience().heartbeat * MICROSECONDS))
    shown, folded = most_to_tell(every)
    few = list(moments) if len(moments) <= MOST_MOMENTS else []
    return element(
        "div",
        grid(scale, step_us, few),
        axis(scale, step_us),
        *events,
        *(lane(each, scale) for each in shown),
        *_folded(folded, scale),
        element("div", class_="cursor", hidden=True),
        class_="lanes",
        data_end=scenario.duration,
    )


def most_to_tell(every: list[Lane]) -> tuple[list[Lane], list[Lane]]:
    """Lanes to show, and those to fold away, each in order of name: all of a small fleet, else those with most to
    tell."""
    if len(every) <= FEW_LANES or (len(every) <= MOST_LANES and not any(each.interest_us for each in every)):
        return every, []
    ranked = sorted(every, key=lambda each: (-each.interest_us, each.number))
    shown = {each.number for each in ranked[:MOST_LANES] if each.interest_us}
    return [e for e in every if e.number in shown], [e for e in every if e.number not in shown]


def _folded(rest: list[Lane], scale: Scale) -> list[Html]:
    """The rest, by zone."""
    found: list[Html] = []
    drawn = rest[:MOST_FOLDED]
    for zone in dict.fromkeys(each.zone for each in drawn):
        these = [each for each in drawn if each.zone == zone]
        where = "" if zone is None else f" of zone {zone}"
        told = sum(1 for each in these if each.interest_us)
        what = f"{told} with something to tell" if told else "nothing to tell of any"
        nodes = "1 more node" if len(these) == 1 else f"{len(these)} more nodes"
        head = element("summary", f"{nodes}{where}, {what}: {names([e.number for e in these])}")
        found.append(element("details", head, *(lane(each, scale) for each in these), class_="more"))
    if len(rest) > len(drawn):
        found.append(element("p", f"{len(rest) - len(drawn)} more nodes are not drawn.", class_="soft"))
    return found


def _charts(score: Score) -> list[Html]:
    words = {"exited": "Processes that died", "host_down": "Hosts that went down"}
    charts = [
        chart(
            f"{words[kind]}: until it was said",
            f"Share of {len(deaths)} death{'' if len(deaths) == 1 else 's'}, and of all observers.",
            [
                Curve("the first observer", "first", [min(seen) for seen in deaths.values()]),
                Curve("each observer", "each", [late for seen in deaths.values() for late in seen]),
                Curve("the last observer", "last", [max(seen) for seen in deaths.values()]),
            ],
        )
        for kind, deaths in score.seen.items()
        if deaths
    ]
    spread = [Curve("each observer", "first", score.spread_s)]
    return [*charts, chart("News: from an agent to whoever sees it", "Share of (snapshot, observer) pairs.", spread)]


def _foot(report: Report) -> Html:
    how = f"--seed {report.seed} --detector {report.detector} --mode {report.mode}"
    command = f"meshfleet sim run {quote(report.scenario)} {how}"
    return element(
        "footer",
        element("p", "The same run, to the byte: ", element("code", command)),
        element("p", "Its trace: sha256 ", element("code", report.trace_sha256)),
    )
