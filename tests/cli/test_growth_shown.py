"""The curves of `bench growth`, as picture and as tables: read back from what was written."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as Xml

import msgspec
import pytest

from meshfleet.cli.growth.chart import BOTTOM, HEIGHT, TOP, Curve, Goal, Panel, Place, Scale, number, picture
from meshfleet.cli.growth.figures import Results
from meshfleet.cli.growth.measuring import load
from meshfleet.cli.growth.shown import cell, drawn, markdown, text
from tests.cli.test_bench_growth import GOOD

if TYPE_CHECKING:
    from meshfleet.sim.report.markup import Html

DOCS = Path(__file__).parents[2] / "docs"
SVG = "{http://www.w3.org/2000/svg}"


def curve(*places: tuple[int, float, float, float], kind: str = "simulated") -> Curve:
    return Curve("p99", kind, tuple(Place(*place) for place in places))


def read(svg: Html) -> Xml.Element:
    return Xml.fromstring(str(svg))


def dots(svg: Html) -> list[tuple[float, float]]:
    """Marks of a picture's points, without those beside names: only points have a hint."""
    found: list[tuple[float, float]] = []
    for group in read(svg).iter(f"{SVG}g"):
        circle = group.find(f"{SVG}circle")
        if circle is not None and group.find(f"{SVG}title") is not None:
            found.append((float(circle.attrib["cx"]), float(circle.attrib["cy"])))
    return found


def test_equal_ratios_are_equal_ways_on_both_axes() -> None:
    panel = Panel("Bytes", "bytes/s", (curve((8, 10, 10, 10), (64, 100, 100, 100), (512, 1_000, 1_000, 1_000)),))
    (x1, y1), (x2, y2), (x3, y3) = dots(picture([panel], "growth"))
    assert x2 - x1 == pytest.approx(x3 - x2, abs=0.2)
    assert y1 - y2 == pytest.approx(y2 - y3, abs=0.2)  # more is higher up
    assert y1 - y2 > 50


def test_all_that_is_drawn_lies_within_its_panel() -> None:
    panel = Panel("Bytes", "s", (curve((8, 0.5, 0.1, 4.0), (16, 3.0, 2.0, 9.0)),), (Goal(30.0, "goal"),))
    bars = [each for each in read(picture([panel], "growth")).iter(f"{SVG}line") if "bar" in each.attrib["class"]]
    heights = [float(bar.attrib[end]) for bar in bars for end in ("y1", "y2")]
    assert len(bars) == 2
    assert all(TOP <= y <= HEIGHT - BOTTOM for y in heights)


def test_noise_is_a_bar_and_a_single_run_has_none() -> None:
    noisy, single = curve((8, 2.0, 1.0, 4.0)), curve((8, 2.0, 2.0, 2.0))
    shown = str(picture([Panel("A", "s", (noisy,))], "growth"))
    assert "p99, virtual time, 8 nodes: 2 (1 to 4)" in shown
    assert 'class="bar ' in shown
    assert 'class="bar ' not in str(picture([Panel("A", "s", (single,))], "growth"))


def test_a_goal_is_a_line_with_its_name_and_the_axis_reaches_to_it() -> None:
    svg = read(picture([Panel("A", "s", (curve((8, 2.0, 2.0, 2.0)),), (Goal(500.0, "goal: 500 s"),))], "growth"))
    (line,) = [each for each in svg.iter(f"{SVG}line") if each.attrib["class"] == "goal"]
    assert TOP <= float(line.attrib["y1"]) <= HEIGHT - BOTTOM
    assert "goal: 500 s" in [each.text for each in svg.iter(f"{SVG}text")]


def test_the_picture_fetches_nothing_follows_the_dark_and_reads_nothing_as_markup() -> None:
    panel = Panel("<script>", 'a"b', (curve((8, 1.0, 1.0, 1.0)), curve((8, 1.0, 1.0, 1.0), kind="real")))
    shown = str(picture([panel], "a < b"))
    svg = read(shown)  # type: ignore[arg-type]  # it is text
    assert "prefers-color-scheme:dark" in shown
    assert not re.search(r"url\(|href|<script|@import", shown)
    assert svg.find(f"{SVG}title") is not None
    words = [each.text for each in svg.iter(f"{SVG}text")]
    assert "<script>" in words
    assert "nodes" in words
    assert 'a"b' in words
    marks = {each.tag for each in svg.iter() if "dot" in each.attrib.get("class", "")}
    assert marks == {f"{SVG}circle", f"{SVG}rect"}  # kinds differ without colours


def test_what_was_not_measured_leaves_no_panel() -> None:
    none = Panel("Nothing", "s", (curve(),))
    some = Panel("Something", "s", (curve((8, 1.0, 1.0, 1.0)),))
    shown = str(picture([none, some], "growth"))
    assert "Something" in shown
    assert "Nothing" not in shown


@pytest.mark.parametrize(
    ("low", "high"), [(0.9, 2.1), (1, 100), (0.001, 5_000), (400, 800), (17, 34), (5.1, 10.2), (1, 1e9)]
)
def test_an_axis_has_some_round_numbers_wherever_its_ends_are(low: float, high: float) -> None:
    ticks = Scale(low, high).ticks()
    assert 1 <= len(ticks) <= 6
    assert all(low <= tick <= high for tick in ticks)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (1_463.7, "1,460"), (17.25, "17.2"), (100.0, "100"), (0.07761, "0.0776"), (99.96, "100"), (2.0, "2")],
)
def test_numbers_have_three_digits_that_count(value: float, shown: str) -> None:
    assert number(value) == shown


def test_a_cell_has_the_median_and_the_noise() -> None:
    assert cell([98.0, 100.0, 101.0]) == "100 ±2 %"
    assert cell([3.0, 1.0, 2.0]) == "2 (1 to 3)"
    assert cell([0.0, 0.0, 1.0]) == "0 (0 to 1)"
    assert cell([2.0, 2.0001]) == "2"
    assert cell([None, None]) == "·"


def test_tables_have_a_line_a_size_and_a_column_a_figure() -> None:
    real = msgspec.structs.replace(GOOD, kind="real", nodes=64, host_gone=None, memory_mb=62.0)
    results = Results(points=(real, msgspec.structs.replace(GOOD, nodes=1_000, compiled=True), GOOD))
    shown = markdown(results)
    tables = [part.splitlines() for part in shown.split("\n\n") if part.startswith("|")]
    assert [[row.split(" | ")[0] for row in table[2:]] for table in tables] == [
        ["| 8", "| 1,000"], ["| 8", "| 1,000"], ["| 64"], ["| 64"],
    ]  # fmt: skip
    assert "| 1,000 | 1, compiled |" in shown
    assert all(len({row.count("|") for row in table}) == 1 for table in tables)
    assert ["host gone" in table[0] for table in tables] == [False, True, False, False]
    assert "64" in text(results).splitlines()[-1]
    assert str(drawn(results)).count("<title>") > 10


def test_loads_that_differ_are_no_points_of_one_curve() -> None:
    slow = msgspec.structs.replace(GOOD, kind="real", nodes=128, update_every_s=32.0)
    shown = str(drawn(Results(points=(msgspec.structs.replace(GOOD, kind="real"), slow))))
    assert "load, real processes, 8 nodes" in shown
    assert "idle, real processes, 128 nodes" in shown
    assert "load, real processes, 128 nodes" not in shown


def test_the_page_and_its_picture_show_what_the_results_file_has() -> None:
    results = load(DOCS / "growth.json")
    assert results.points
    assert markdown(results) in (DOCS / "performance.md").read_text()
    assert f"{drawn(results)}\n" == (DOCS / "images" / "growth.svg").read_text()
