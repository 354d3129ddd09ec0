"""Scenario files: what is taken, and each kind of mistake, told with its place and the nearest word."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from meshfleet.cli.main import run as command
from meshfleet.sim.catalogue import FOLDER, files, find
from meshfleet.sim.running import Run
from meshfleet.sim.scenario import ScenarioError, load, parse
from meshfleet.sim.selectors import cast, newcomers

if TYPE_CHECKING:
    from pathlib import Path

GOOD = 'name = "x"\nduration = 60.0\n[fleet]\nnodes = 4\nzones = { east = ["n00[01]"] }\n'


def fault(text: str) -> str:
    return f"{GOOD}[[fault]]\n{text}\n"


def second_fault(text: str) -> str:
    return fault('kind = "crash"\nat = 10\nuntil = 30\nnodes = ["n003"]\n[[fault]]\n' + text)


def expect(text: str) -> str:
    return f"{GOOD}[[expect]]\n{text}\n"


def pace(text: str) -> str:
    return f"{GOOD}[[pace]]\n{text}\n"


MISTAKES = {
    "a key of a pace": (pace('agents = ["*/*"]\nunevn = 2'), r"pace\[0\]: 'unevn' is no key here; .* 'uneven'"),
    "a pace of nothing": (pace('agents = ["*/*"]'), r"pace\[0\] expects nothing\. Give every, uneven, late"),
    "a pace of nodes": (pace('agents = ["n000"]\nuneven = 2'), r"pace\[0\]\.agents: 'n000' names nodes; .* 'n000/\*'"),
    "a pace of nobody": (pace('agents = ["n009/*"]\nuneven = 2'), r"pace\[0\]\.agents: 'n009/\*' matches nobody"),
    "a pace the wrong way": (pace('agents = ["*/*"]\nevery = [2, 1]'), r"pace\[0\]\.every is from 2\.0 to 1\.0"),
    "a pace after the end": (pace('agents = ["*/*"]\nuneven = 2\nto = 61'), r"pace\[0\]\.to is 61\.0, after the end"),
    "a pace of no time": (pace('agents = ["*/*"]\nuneven = 2\nfrom = 60'), r"pace\[0\]\.from is 60\.0, not before"),
    "chatter of nodes": (
        fault('kind = "chatter"\nat = 1\nagents = ["n000"]\nevery = 1.0'),
        r"fault\[0\]\.agents: 'n000' names nodes",
    ),
    "too large a state": (
        fault('kind = "chatter"\nat = 1\nagents = ["*/*"]\nevery = 1.0\nbytes = 5000'),
        r"fault\[0\]\.bytes: expected `int` <= 4096; it is 5000",
    ),
    "chatter twice": (
        fault(
            'kind = "chatter"\nat = 1\nagents = ["*/*"]\nevery = 1.0\n[[fault]]\nkind = "chatter"\nat = 2\n'
            'agents = ["n000/a0"]\nevery = 1.0'
        ),
        r"fault\[1\]: n000/a0 can't be in it, for fault\[0\] \(chatter",
    ),
    "no bandwidth": (
        GOOD.replace("nodes = 4", "nodes = 4\nbandwidth = 10"),
        r"fleet\.bandwidth: expected `float` >= 1000\.0; it is 10",
    ),
    "no TOML": ("name = ]", r"not valid TOML: .*line 1"),
    "no TOML, further down": (GOOD + "x = [1,,2]", r"not valid TOML: .*line 6"),
    "a key of the file": (
        GOOD.replace("duration", "duratoin"),
        r"the file: 'duratoin' is no key here; .* 'duration'",
    ),
    "a key of fleet": (GOOD.replace("nodes = 4", "noodes = 4"), r"fleet: 'noodes' is no key here; .* 'nodes'"),
    "a key of network": (GOOD + "[network]\nlos = 0.1", r"network: 'los' is no key here; .* 'loss'"),
    "a key of delay": (GOOD + "[network]\ndelay = { medan = 1.0 }", r"network\.delay: 'medan' is .* 'median'"),
    "a key of between": (
        GOOD + '[[network.between]]\na = ["*"]\nb = ["*"]\n[[network.between]]\na = ["*"]\nbb = ["*"]',
        r"network\.between\[1\]: 'bb' is no key here; .* 'b'",
    ),
    "a key of a fault": (
        second_fault('kind = "cut"\nat = 1\nfrom = ["*"]\ntoo = ["*"]'),
        r"fault\[1\]: 'too' is no key here; the nearest is 'to'",
    ),
    "a key of another kind": (
        fault('kind = "crash"\nat = 1\nnodes = ["*"]\ngroups = []'),
        r"fault\[0\]: 'groups' is no key here; there are kind, at, until, nodes",
    ),
    "a key of an expectation": (
        expect('observers = ["*"]\nstanding = "split"\nwithn = 3'),
        r"expect\[0\]: 'withn' is no key here; the nearest is 'within'",
    ),
    "no nodes": (GOOD.replace("nodes = 4", "nodes = 0"), r"fleet\.nodes: expected `int` >= 1; it is 0"),
    "the wrong type": (GOOD.replace("nodes = 4", 'nodes = "4"'), r"fleet\.nodes: expected `int`, got `str`"),
    "the wrong type in a list": (
        second_fault('kind = "crash"\nat = 1\nnodes = ["n000", 1]'),
        r"fault\[1\]\.nodes\[1\]: expected `str`, got `int`",
    ),
    "the wrong type in a table": (
        GOOD.replace('["n00[01]"] }', '["n000"], west = [1] }'),
        r"fleet\.zones\.west\[0\]: expected `str`, got `int`",
    ),
    "no list in a table": (
        GOOD.replace('["n00[01]"] }', '["n000"], west = "x" }'),
        r"fleet\.zones\.west: expected `array`, got `str`",
    ),
    "a missing field": (GOOD.replace("duration = 60.0\n", ""), r"the file: missing required field `duration`"),
    "a missing field of a fault": (second_fault('kind = "crash"\nat = 1'), r"fault\[1\]: missing .* `nodes`"),
    "no kind": (fault("at = 1"), r"fault\[0\]: missing required field `kind`; there are crash, leave, .*skew"),
    "an unknown kind": (
        second_fault('kind = "crsh"\nat = 1\nnodes = ["n000"]'),
        r"fault\[1\]\.kind: 'crsh' is not a word for this; the nearest is 'crash'",
    ),
    "endless": (GOOD.replace("60.0", "inf"), r"duration: expected `float` <= 10000000\.0; it is inf"),
    "a mode": ('mode = "cor"\n' + GOOD, "mode: 'cor' is not a word for this; the nearest is 'core'"),
    "a detector": ('detector = "swin"\n' + GOOD, "detector: 'swin' is not a word for this; the nearest is 'swim'"),
    "a preset": ('timing = "lann"\n' + GOOD, r"timing\.preset: 'lann' is no preset; the nearest is 'lan'"),
    "a field of Timing": (
        "timing = { heartbeet = 2.0 }\n" + GOOD,
        r"timing\.heartbeet is no field of Timing; the nearest is 'heartbeat'",
    ),
    "Timing's types": ('timing = { heartbeat = "x" }\n' + GOOD, r"timing\.heartbeat: expected `float`, got `str`"),
    "Timing's bounds": ("timing = { heartbeat = -1 }\n" + GOOD, r"timing\.heartbeat is -1\.0; it must be greater"),
    "Timing's order": ("timing = { direct_timeout = 9.0 }\n" + GOOD, r"timing: direct_timeout < nack_deadline"),
    "a zone of nobody": (GOOD.replace("n00[01]", "m*"), r"fleet\.zones\.east: 'm\*' matches nobody"),
    "a node in two zones": (
        GOOD.replace('["n00[01]"] }', '["n000"], west = ["*"] }'),
        r"fleet\.zones\.west: n000 is in east as well",
    ),
    "an empty zone": (GOOD.replace('["n00[01]"]', "[]"), r"fleet\.zones\.east: expected `array` of length >= 1"),
    "too late": (
        second_fault('kind = "crash"\nat = 61\nnodes = ["n000"]'),
        r"fault\[1\]\.at is 61\.0, after the end of the scenario at 60\.0",
    ),
    "undone too late": (
        fault('kind = "crash"\nat = 1\nuntil = 61\nnodes = ["n000"]'),
        r"fault\[0\]\.until is 61\.0, after the end",
    ),
    "undone before": (
        fault('kind = "crash"\nat = 9\nuntil = 8\nnodes = ["n000"]'),
        r"fault\[0\]\.until is 8\.0, not after its at, 9\.0",
    ),
    "a negative time": (fault('kind = "crash"\nat = -1\nnodes = ["*"]'), r"fault\[0\]\.at: .* >= 0\.0; it is -1"),
    "an unknown node": (
        second_fault('kind = "crash"\nat = 40\nnodes = ["n0O0"]'),
        r"fault\[1\]\.nodes: 'n0O0' matches nobody; the nearest is 'n00",
    ),
    "a glob of nobody": (
        fault('kind = "crash"\nat = 1\nnodes = ["n01*"]'),
        r"fault\[0\]\.nodes: 'n01\*' matches nobody",
    ),
    "agents for nodes": (
        fault('kind = "crash"\nat = 1\nnodes = ["n000/a0"]'),
        r"fault\[0\]\.nodes: 'n000/a0' names agents; .* 'n000'",
    ),
    "nodes for agents": (
        fault('kind = "agent_exit"\nat = 1\nagents = ["n000"]'),
        r"fault\[0\]\.agents: 'n000' names nodes; .* 'n000/\*'",
    ),
    "an unknown agent": (
        fault('kind = "agent_exit"\nat = 1\nagents = ["n000/a7"]'),
        r"fault\[0\]\.agents: 'n000/a7' matches nobody; the nearest is 'n000/a0'",
    ),
    "nobody is left": (fault('kind = "crash"\nat = 1\nnodes = ["*", "!*"]'), r"fault\[0\]\.nodes: nobody is left"),
    "no node": (fault('kind = "crash"\nat = 1\nnodes = []'), r"fault\[0\]\.nodes: expected `array` of length >= 1"),
    "a join undone": (
        fault('kind = "join"\nat = 1\nuntil = 2\ncount = 1'),
        r"fault\[0\]\.until: a join can't be undone",
    ),
    "a move undone": (
        fault('kind = "move"\nat = 1\nuntil = 2\nnodes = ["n000"]'),
        r"fault\[0\]\.until: a move can't be undone",
    ),
    "moved within the fleet": (
        fault('kind = "move"\nat = 1\nnodes = ["n000"]\nreused_by = "n001"'),
        r"fault\[0\]\.reused_by: n001 is of this fleet",
    ),
    "no host": (fault('kind = "suspend"\nat = 1'), r"fault\[0\]: whose host\?"),
    "an unknown host": (
        fault('kind = "suspend"\nat = 1\nhosts = ["h-n00O"]'),
        r"fault\[0\]\.hosts: 'h-n00O' matches nobody; the nearest is 'h-n00",
    ),
    "one group": (
        fault('kind = "partition"\nat = 1\ngroups = [["n000"]]'),
        r"fault\[0\]\.groups: expected `array` of length >= 2",
    ),
    "an empty group": (
        fault('kind = "partition"\nat = 1\ngroups = [["n000"], []]'),
        r"fault\[0\]\.groups\[1\]: expected `array` of length >= 1",
    ),
    "in two groups": (
        fault('kind = "partition"\nat = 1\ngroups = [["n000"], ["n001"], ["*"]]'),
        r"fault\[0\]\.groups: n000 is in two of them, 0 and 2",
    ),
    "more than always": (
        fault('kind = "flap"\nat = 1\nfrom = ["n000"]\nto = ["n001"]\nperiod = 5\nduty = 1.5'),
        r"fault\[0\]\.duty: expected `float` <= 1\.0; it is 1\.5",
    ),
    "a slice too long": (
        fault('kind = "starve"\nat = 1\nnodes = ["*"]\nslice = 3\nof = 2'),
        r"fault\[0\]\.slice is 3\.0, more than its `of`, 2\.0",
    ),
    "nothing degraded": (
        fault('kind = "degrade"\nat = 1\nfrom = ["*"]\nto = ["*"]'),
        r"fault\[0\] degrades nothing\. Give loss",
    ),
    "upside down": (GOOD + "[network]\ndelay = { median = 1.0, p99 = 0.5 }", r"network\.delay\.p99 is 0\.5, less than"),
    "restarted while it lives": (
        second_fault('kind = "crash"\nat = 20\nuntil = 25\nnodes = ["n00[23]"]'),
        r"fault\[1\]: n003 can't be in it, for fault\[0\] \(crash, 10 to 30\) holds it",
    ),
    "gone while it is asleep": (
        second_fault('kind = "suspend"\nat = 5\nuntil = 12\nnodes = ["n003"]'),
        r"fault\[1\]: n003 can't be in it, for fault\[0\] \(crash, 10 to 30\)",
    ),
    "gone before it came": (
        fault('kind = "join"\nat = 20\ncount = 2\n[[fault]]\nkind = "leave"\nat = 9\nnodes = ["n005"]'),
        r"fault\[1\]: n005 can't be in it, for fault\[0\] \(join, 0 to 20\)",
    ),
    "skewed twice": (
        fault('kind = "skew"\nat = 1\nnodes = ["*"]\n[[fault]]\nkind = "skew"\nat = 9\nnodes = ["n000"]'),
        r"fault\[1\]: n000 can't be in it, for fault\[0\] \(skew, 1 to the end\)",
    ),
    "a presence": (
        expect('observers = ["*"]\nsubjects = ["*"]\nnever = ["left", "donw"]'),
        r"expect\[0\]\.never\[1\]: 'donw' is not a word for this; the nearest is 'down'",
    ),
    "a presence to reach": (
        expect('observers = ["*"]\nsubjects = ["*"]\nreach = "freshh"'),
        r"expect\[0\]\.reach: 'freshh' .* 'fresh'",
    ),
    "a standing": (expect('observers = ["*"]\nstanding = "spilt"'), r"expect\[0\]\.standing: 'spilt' .* 'split'"),
    "nothing expected": (expect('observers = ["*"]\nsubjects = ["*"]'), r"expect\[0\] expects nothing"),
    "of nobody": (expect('observers = ["*"]\nnever = ["down"]'), r"expect\[0\]\.subjects is missing"),
    "of himself": (expect('observers = ["n000"]\nsubjects = ["n000/*"]\nreach = "fresh"'), r"is the observer; nobody"),
    "an unknown zone": (
        expect('observers = ["zone:est"]\nstanding = "split"'),
        r"expect\[0\]\.observers: 'zone:est' matches nobody; the nearest is 'zone:east'",
    ),
    "upside down in time": (
        expect('observers = ["*"]\nstanding = "split"\nfrom = 9.0\nto = 8.0'),
        r"expect\[0\]\.to is 8\.0, not after its from, 9\.0",
    ),
    "asked at the end": (
        expect('observers = ["*"]\nsubjects = ["*"]\nnever = ["down"]\nfrom = 60.0'),
        r"expect\[0\]\.from is 60\.0, not before the end at 60\.0",
    ),
    "never asked": (
        expect('observers = ["*"]\nstanding = "split"\nfrom = 9.0\nto = 12.0\nwithin = 3.0'),
        r"expect\[0\]\.within reaches to 12\.0, not before the end at 12\.0",
    ),
}


@pytest.mark.parametrize(("text", "said"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_told_with_its_place_and_the_nearest_word_before_anything_runs(text: str, said: str) -> None:
    with pytest.raises(ScenarioError, match=said):
        Run(parse(text), 0)


def test_what_is_no_file_of_text_is_told(tmp_path: Path) -> None:
    latin = tmp_path / "latin.toml"
    latin.write_bytes('name = "Zürich"'.encode("latin-1"))
    with pytest.raises(ScenarioError, match=r"latin\.toml is not UTF-8: byte 9"):
        load(find(str(latin)))
    with pytest.raises(ScenarioError, match=r"nowhere\.toml can't be read: No such file"):
        load(find(str(tmp_path / "nowhere.toml")))
    with pytest.raises(ScenarioError, match=r"can't be read: Is a directory"):
        load(find(str(tmp_path)))


def test_a_mistake_ends_the_command_with_two_and_one_that_did_not_hold_with_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(fault('kind = "crash"\nat = 1\nnodes = ["n004"]'))
    assert command(["sim", "run", str(wrong)]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert "fault[0].nodes: 'n004' matches nobody" in told.err
    quick = 'name = "x"\nduration = 6.0\n[fleet]\nnodes = 2\n[[expect]]\nobservers = ["*"]\nfrom = 5.0\nstanding = '
    wrong.write_text(quick + '"split"')
    assert command(["sim", "run", str(wrong), "--json"]) == 1
    wrong.write_text(quick + '"connected"')
    assert command(["sim", "run", str(wrong), "--json"]) == 0


def test_selectors_are_globs_zones_hosts_and_what_is_taken_away() -> None:
    who = cast(parse(GOOD + 'hosts = { h1 = ["n000", "n003"] }\n'))
    assert who.select(("*",), "x") == ("n000", "n001", "n002", "n003")
    assert who.select(("zone:east",), "x") == ("n000", "n001")
    assert who.select(("host:h1",), "x") == ("n000", "n003")
    assert who.select(("*", "!zone:east"), "x") == ("n002", "n003")
    assert who.select(("*", "!n000", "n000"), "x") == ("n000", "n001", "n002", "n003")
    assert who.select(("n000/*",), "x") == ("n000/a0",)
    assert who.select(("*/*",), "x") == ("n000/a0", "n001/a0", "n002/a0", "n003/a0")


def test_a_machine_goes_down_as_a_whole() -> None:
    who = cast(parse(GOOD + 'hosts = { h1 = ["n000", "n003"] }\n'))
    assert who.machines(("n003",), (), "x") == ("n000", "n003")
    assert who.machines(("n001",), ("h1",), "x") == ("n000", "n001", "n003")


def test_who_joins_gets_the_next_numbers_in_the_order_of_the_file() -> None:
    scenario = parse(
        fault('kind = "join"\nat = 20\ncount = 2\n[[fault]]\nkind = "join"\nat = 10\ncount = 1'),
    )
    assert newcomers(scenario) == {0: range(4, 6), 1: range(6, 7)}
    assert cast(scenario).nodes == ("n000", "n001", "n002", "n003", "n004", "n005", "n006")


def test_timing_is_a_preset_or_a_table_over_one() -> None:
    assert parse('timing = "wan"\n' + GOOD).patience().heartbeat == 15.0
    table = parse('timing = { preset = "wan", heartbeat = 20, beats_per_heartbeat = 4 }\n' + GOOD).patience()
    assert (table.heartbeat, table.beats_per_heartbeat, table.probe_interval) == (20.0, 4, 5.0)
    assert parse("timing = { heartbeat = 2.0 }\n" + GOOD).patience().probe_interval == 1.0


def test_a_name_of_the_catalogue_is_found_and_a_misspelt_one_has_a_neighbour() -> None:
    assert find("quiet").name == "quiet.toml"
    with pytest.raises(ScenarioError, match="the nearest is 'minority-cut'"):
        find("minority-cat")


def test_each_file_of_the_catalogue_says_what_it_is_about_and_bears_its_own_name() -> None:
    assert len(files()) >= 32
    for file in files():
        scenario = load(file)
        assert scenario.about
        assert scenario.name == file.stem
        assert scenario.expect


def test_the_catalogues_page_names_each_file() -> None:
    page = (FOLDER / "README.md").read_text()
    assert [file.stem for file in files() if f"`{file.stem}`" not in page] == []


def test_the_scenario_that_the_page_teaches_with_holds_and_fails_for_the_detector_it_names() -> None:
    page = (FOLDER.parent / "docs" / "simulator.md").read_text()
    lesson = page.partition("## A scenario in five minutes")[2].partition("Save it")[0]
    scenario = parse(lesson.replace("\n    ", "\n"))
    assert scenario.name == "my-outage"
    assert Run(scenario, 0).run().ok
    assert not Run(msgspec.structs.replace(scenario, detector="swim"), 0).run().ok
