"""The pictures show the run that was: its words, its truth, its walls; and nothing of a scenario becomes markup."""

from __future__ import annotations

import re
from functools import cache
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import msgspec
import pytest

from meshfleet.fleet.presence import Presence
from meshfleet.fleet.standing import Standing
from meshfleet.sim.lanes import Lane, Mix, barred, lanes, names, told
from meshfleet.sim.network import MICROSECONDS
from meshfleet.sim.record import Process, Record
from meshfleet.sim.report import page
from meshfleet.sim.report.markup import VOID, element
from meshfleet.sim.report.page import most_to_tell
from meshfleet.sim.running import Report, Run
from meshfleet.sim.scenario import Scenario, parse
from meshfleet.sim.telling import alike
from meshfleet.sim.timeline import timeline

if TYPE_CHECKING:
    from collections.abc import Sequence

EVIL = "x <script>alert(1)</script> & \"quotes\" 'too'"

PLAN = """
name = "EVIL"
about = "<img src=x onerror=alert(1)>"
duration = 90.0
[fleet]
nodes = 6
zones = { "a<b" = ["n00[0-2]"] }
[[fault]]
kind = "partition"
at = 15.0
until = 40.0
groups = [["n000"], ["n001"], ["n00[2-5]"]]
[[fault]]
kind = "crash"
at = 50.0
until = 70.0
nodes = ["n003"]
[[fault]]
kind = "pause"
at = 50.0
until = 72.0
nodes = ["n005"]
[[expect]]
observers = ["n002"]
subjects = ["n000"]
never = ["unreachable"]
[[expect]]
observers = ["n000"]
from = 30.0
to = 40.0
standing = ["partitioned", "isolated"]
""".replace("EVIL", EVIL.replace('"', '\\"'))


class Played(msgspec.Struct):
    """One run with its record."""

    scenario: Scenario
    run: Run
    record: Record
    report: Report

    def lanes(self) -> list[Lane]:
        """Its lanes."""
        return lanes(self.record, self.run.world.hosts, round(90 * MICROSECONDS), 5 * MICROSECONDS)

    def page(self) -> str:
        """Its page."""
        return page(self.scenario, self.report, self.record, self.run.score, self.run.world.hosts)


@cache
def played() -> Played:
    scenario, record = parse(PLAN), Record()
    run = Run(scenario, 3, record=record)
    return Played(scenario, run, record, run.run())


def at(spans: Sequence[Mix], us: int) -> Mix:
    return next(span for span in spans if span.begin_us <= us < span.end_us)


def word(told: Sequence[tuple[int, Presence]], us: int) -> Presence:
    return next((said for when, said in reversed(told) if when <= us), Presence.FRESH)


def test_a_run_with_a_record_is_the_run_without() -> None:
    assert Run(parse(PLAN), 3).run().trace_sha256 == played().report.trace_sha256
    steps: list[float] = []
    told = Run(parse(PLAN), 3).run(say=steps.append)
    assert (told.trace_sha256, told.events) == (played().report.trace_sha256, played().report.events)
    assert steps == sorted(steps)
    assert steps[-1] > 80


def test_a_lane_shows_at_each_moment_what_the_others_said_by_the_score() -> None:
    score = played().run.score
    dead = range(50 * MICROSECONDS, 70 * MICROSECONDS)
    stopped = range(50 * MICROSECONDS, 72 * MICROSECONDS)
    compared = 0
    for lane in played().lanes():
        for us in range(5 * MICROSECONDS, 90 * MICROSECONDS, 731_000):
            away = {n for n, span in ((3, dead), (5, stopped)) if us in span} | {lane.number}
            if us in range(70 * MICROSECONDS, 75 * MICROSECONDS):
                continue  # n003 begins a new life, and knows nobody yet
            others = [word(score.said.get((n, lane.number), []), us) for n in range(6) if n not in away]
            mix = at(lane.said, us)
            assert dict(mix.counts) == {said: others.count(said) for said in dict.fromkeys(others)}
            assert mix.asked == len(others)
            compared += any(said is not Presence.FRESH for said in others)
    assert compared > 100


def test_a_lane_shows_what_was_so_of_the_process_and_what_it_said_of_itself() -> None:
    by_name = {lane.name: lane for lane in played().lanes()}
    crashed = [(b.begin_us, b.process) for b in by_name["n003"].being if b.process is not Process.RUNNING]
    assert crashed == [(50 * MICROSECONDS, Process.EXITED)]
    paused = [(b.begin_us, b.end_us) for b in by_name["n005"].being if b.process is Process.STOPPED]
    assert paused == [(50 * MICROSECONDS, 72 * MICROSECONDS)]
    assert [b.cut_off for b in by_name["n000"].being] == [False, True, False]
    assert not any(b.cut_off for b in by_name["n002"].being)
    stood = [(us, s) for us, s in played().run.score.stood[0] if us < 50 * MICROSECONDS]
    own = [(o.begin_us, o.standing) for o in by_name["n000"].own if 0 < o.begin_us < 50 * MICROSECONDS]
    assert own == stood
    assert any(standing in (Standing.PARTITIONED, Standing.ISOLATED) for _, standing in own)


def test_every_change_tells_who_said_it_and_on_which_evidence() -> None:
    crashed = next(lane for lane in played().lanes() if lane.name == "n003")
    down = [change for change in crashed.changes if change.said == "down"]
    assert {observer for change in down for observer in change.who} == {0, 1, 2, 4}
    assert all(change.reasons for change in down)
    assert all(change.certainty is not None for change in down)


def test_walls_that_face_each_other_are_one() -> None:
    walls = barred(played().record.walls, 90 * MICROSECONDS)
    assert [(wall.left, wall.right, wall.both_ways) for wall in walls] == [
        ((0,), (1,), True),
        ((0,), (2, 3, 4, 5), True),
        ((1,), (2, 3, 4, 5), True),
    ]
    assert {wall.spans for wall in walls} == {((15 * MICROSECONDS, 40 * MICROSECONDS),)}


class Reader(HTMLParser):
    """Every element must be closed in its order; collects what a browser would fetch or run."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("script", "style"):
            self.text.append(data)


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    return reader


def test_nothing_of_a_scenario_becomes_markup() -> None:
    reader = read(played().page())
    tags = [tag for tag, _ in reader.seen]
    assert tags.count("script") == 1
    assert "img" not in tags
    assert EVIL in reader.text
    assert "<img src=x onerror=alert(1)>" in reader.text
    assert "a<b" in reader.text
    assert not any(name.startswith("on") for _, attributes in reader.seen for name in attributes)


def test_the_page_fetches_nothing_and_runs_only_its_own_script() -> None:
    text = played().page()
    fetching = {"src", "srcset", "data", "action", "poster", "xlink:href", "href"}
    assert [each for each in read(text).seen if fetching & set(each[1])] == []
    assert not re.search(r"https?://|@import|url\((?!#)", text)
    policy = next(a["content"] for tag, a in read(text).seen if tag == "meta" and "http-equiv" in a)
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-")


def test_the_page_can_be_read_without_seeing_it() -> None:
    reader = read(played().page())
    headings = [tag for tag, _ in reader.seen if tag in ("h1", "h2")]
    assert headings[0] == "h1"
    assert headings.count("h1") == 1
    pictures = [attributes for tag, attributes in reader.seen if tag == "svg"]
    assert all("aria-label" in each or each.get("aria-hidden") == "true" for each in pictures)
    scrolled = [attributes for _, attributes in reader.seen if (attributes.get("class") or "").startswith("scroll")]
    assert all(each.get("tabindex") == "0" and each.get("aria-label") for each in scrolled)
    assert [tag for tag, _ in reader.seen].count("summary") >= 6


def test_the_page_says_what_did_not_hold() -> None:
    text = " ".join(read(played().page()).text)
    assert "✕ did not hold" in text
    assert "1 of 2 expectations held" in text
    assert played().report.expect[0].detail in text


def test_a_run_in_which_nothing_happens_has_a_page_too() -> None:
    scenario, record = parse('name = "quiet"\nduration = 10.0\n[fleet]\nnodes = 2\n'), Record()
    run = Run(scenario, 0, record=record)
    text = page(scenario, run.run(), record, run.score, run.world.hosts)
    assert "nothing was expected" in " ".join(read(text).text)


def test_the_same_run_gives_the_same_page() -> None:
    again = Record()
    run = Run(parse(PLAN), 3, record=again)
    report = msgspec.structs.replace(run.run(), wall_s=12.5)
    assert page(parse(PLAN), report, again, run.score, run.world.hosts) == played().page()


def test_an_attribute_is_escaped_and_an_empty_one_left_out() -> None:
    assert element("p", "<", class_='"', hidden=True, title=None) == '<p class="&quot;" hidden>&lt;</p>'


def test_a_lane_is_told_in_words_too() -> None:
    crashed = next(lane for lane in played().lanes() if lane.name == "n003")
    assert "dead from 50.0 s" in told(crashed)
    assert "down" in told(crashed)
    assert names([0, 1, 2, 4, 6, 7]) == "n000–n002, n004, n006, n007"


def test_in_a_large_fleet_those_with_something_to_tell_come_first() -> None:
    odd = played().lanes()[0]
    quiet = msgspec.structs.replace(odd, being=(), said=(), own=(), changes=())
    fleet = [msgspec.structs.replace(odd if i in (7, 30) else quiet, number=i) for i in range(40)]
    shown, folded = most_to_tell(fleet)
    assert [lane.number for lane in shown] == [7, 30]
    assert len(folded) == 38
    crowd = [msgspec.structs.replace(odd, number=i) for i in range(40)]
    assert len(most_to_tell(crowd)[0]) == 32


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_timeline_keeps_its_width_and_is_plain(width: int) -> None:
    end_us = 90 * MICROSECONDS
    lines = timeline(
        played().lanes(), barred(played().record.walls, end_us), alike(played().scenario.fault, 90.0), end_us, width
    )
    drawn = [line for line in lines if line.kind in ("is", "said", "self")]
    assert {len(line.cells) for line in drawn} == {width - 11}
    assert all(ord(letter) < 128 for line in drawn for letter in line.head + line.cells)


def test_the_timeline_shows_each_moment_at_its_place() -> None:
    end_us = 90 * MICROSECONDS
    lines = timeline(played().lanes(), [], [], end_us, 11 + 90)
    rows = {}
    name = ""
    for line in lines:
        name = line.head[:5].strip() or name
        rows[name, line.kind] = line.cells
    assert rows["n003", "is"][49:71] == "=" + "x" * 20 + "="
    assert rows["n003", "said"][52:68] == "D" * 16
    assert rows["n005", "is"][50:72] == "S" * 22
    assert set(rows["n000", "is"][15:40]) == {"-"}
    assert set(rows["n000", "self"][30:40]) <= {"P", "I"}
    assert ("n002", "is") not in rows
