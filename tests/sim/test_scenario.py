"""Scenario files: what is taken, and twenty kinds of mistakes, each told with its place and the nearest word."""

from __future__ import annotations

import pytest

from meshfleet.sim.catalogue import files, find
from meshfleet.sim.running import Run
from meshfleet.sim.scenario import ScenarioError, load, parse

GOOD = 'name = "x"\nduration = 60.0\n[fleet]\nnodes = 4\nzones = { east = ["n00[01]"] }\n'


def fault(text: str) -> str:
    return f"{GOOD}[[fault]]\n{text}\n"


def expect(text: str) -> str:
    return f"{GOOD}[[expect]]\n{text}\n"


MISTAKES = [
    ("name = ", "not valid TOML"),
    (GOOD.replace("duration", "duratoin"), r"'duratoin' is no key here; the nearest is 'duration'"),
    (GOOD.replace("nodes = 4", "noodes = 4"), r"fleet: 'noodes' is no key here; the nearest is 'nodes'"),
    (GOOD.replace("nodes = 4", "nodes = 0"), r"fleet\.nodes: expected `int` >= 1"),
    (GOOD.replace("nodes = 4", 'nodes = "4"'), r"fleet\.nodes: expected `int`, got `str`"),
    (GOOD.replace("duration = 60.0\n", ""), "missing required field `duration`"),
    ('mode = "cor"\n' + GOOD, "mode: 'cor' is not a word for this; the nearest is 'core'"),
    ('detector = "swin"\n' + GOOD, "detector: 'swin' is not a word for this; the nearest is 'swim'"),
    ('timing = "lann"\n' + GOOD, "timing.preset: 'lann' is no preset; the nearest is 'lan'"),
    ("timing = { heartbeet = 2.0 }\n" + GOOD, "timing.heartbeet is no field of Timing; the nearest is 'heartbeat'"),
    ('timing = { heartbeat = "x" }\n' + GOOD, r"timing\.heartbeat: expected `float`, got `str`"),
    (GOOD.replace("n00[01]", "m*"), r"fleet\.zones\.east: 'm\*' matches nobody"),
    (fault('kind = "crsh"\nat = 1\nnodes = ["n000"]'), r"fault\[0\]\.kind: 'crsh' .* nearest is 'crash'"),
    (fault('kind = "crash"\nat = 61\nnodes = ["n000"]'), r"fault\[0\]\.at is 61\.0, after the end .* 60\.0"),
    (
        fault('kind = "crash"\nat = 9\nuntil = 8\nnodes = ["n000"]'),
        r"fault\[0\]\.until is 8\.0, not after its at, 9\.0",
    ),
    (
        fault('kind = "crash"\nat = 1\nnodes = ["n0O0"]'),
        r"fault\[0\]\.nodes: 'n0O0' matches nobody; the nearest is 'n00",
    ),
    (fault('kind = "crash"\nat = 1\nnodes = []'), r"fault\[0\]\.nodes: expected `array` of length >= 1"),
    (
        fault('kind = "cut"\nat = 1\nfrom = ["*"]\ntoo = ["*"]'),
        r"fault\[0\]: 'too' is no key here; the nearest is 'to'",
    ),
    (fault('kind = "join"\nat = 1\nuntil = 2\ncount = 1'), r"fault\[0\]\.until: a join can't be undone"),
    (fault('kind = "suspend"\nat = 1'), r"fault\[0\]: whose host\?"),
    (
        fault('kind = "partition"\nat = 1\ngroups = [["n000"], ["*"]]'),
        r"fault\[0\]\.groups: n000 is in two of them, 0 and 1",
    ),
    (expect('observers = ["*"]\nsubjects = ["*"]\nnever = ["donw"]'), r"expect\[0\]\.never\[0\]: 'donw' .* 'down'"),
    (expect('observers = ["*"]\nsubjects = ["*"]'), r"expect\[0\] expects nothing"),
    (expect('observers = ["*"]\nnever = ["down"]'), r"expect\[0\]\.subjects is missing"),
    (expect('observers = ["zone:est"]\nstanding = "split"'), r"'zone:est' matches nobody; the nearest is 'zone:east'"),
    (expect('observers = ["*"]\nstanding = "spilt"'), r"expect\[0\]\.standing: 'spilt' .* 'split'"),
    (expect('observers = ["*"]\nstanding = "split"\nfrom = 9.0\nto = 8.0'), r"expect\[0\]\.to is 8\.0, not after"),
]


@pytest.mark.parametrize(("text", "said"), MISTAKES)
def test_a_mistake_is_told_with_its_place_and_the_nearest_word(text: str, said: str) -> None:
    with pytest.raises(ScenarioError, match=said):
        Run(parse(text), 0).run()


def test_selectors_are_globs_zones_hosts_and_what_is_taken_away() -> None:
    from meshfleet.sim.selectors import cast

    who = cast(parse(GOOD + 'hosts = { h1 = ["n000", "n003"] }\n'))
    assert who.select(("*",), "x") == ("n000", "n001", "n002", "n003")
    assert who.select(("zone:east",), "x") == ("n000", "n001")
    assert who.select(("host:h1",), "x") == ("n000", "n003")
    assert who.select(("*", "!zone:east"), "x") == ("n002", "n003")
    assert who.select(("n000/*",), "x") == ("n000/a0",)


def test_a_name_of_the_catalogue_is_found_and_a_misspelt_one_has_a_neighbour() -> None:
    assert find("quiet").name == "quiet.toml"
    with pytest.raises(ScenarioError, match="the nearest is 'minority-cut'"):
        find("minority-cat")


def test_each_file_of_the_catalogue_says_what_it_is_about_and_bears_its_own_name() -> None:
    assert len(files()) >= 16
    for file in files():
        scenario = load(file)
        assert scenario.about
        assert scenario.name == file.stem
        assert scenario.expect
