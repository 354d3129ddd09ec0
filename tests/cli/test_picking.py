"""Which agents `status` and `top` show, in which order, and the one line."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import msgspec
import pytest

from meshfleet.cli.picking import FIELDS, ORDERS, in_order, picked, read_filter, read_order
from meshfleet.cli.status import How, how
from meshfleet.cli.status_line import one_line
from meshfleet.errors import ConfigError
from meshfleet.fleet.standing import Standing
from tests.cli.processes import environment, one_line_of, run
from tests.cli.top.fleet import a_fleet

if TYPE_CHECKING:
    from tests.cli.top.site import Site, Sites


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", 8),
        ("CODEX", 2),
        ("model:opus", 1),
        ("state:down", 1),
        ("state:tool presence:fresh", 1),
        ("host:box-2 -codex", 1),
        ("-node:n1 -node:n2", 2),
        ("zone:west project:mobile", 1),
        ("key:anthropic tool:bash", 1),
        ("runtime:python", 2),
        ("nothing-has-this", 0),
    ],
)
def test_every_word_of_a_filter_must_fit(text: str, found: int) -> None:
    assert len(picked(a_fleet(), read_filter(text))) == found


def test_a_key_or_order_that_is_none_is_told_with_those_that_are() -> None:
    with pytest.raises(ConfigError, match=f"knows no 'modle'; it knows {', '.join(FIELDS)}"):
        read_filter("modle:opus")
    with pytest.raises(ConfigError, match=f"by 'price', but by {', '.join(ORDERS)}"):
        read_order("price")
    assert read_order("-cost") == ("cost", True)


@pytest.mark.parametrize("name", ORDERS)
def test_turned_round_an_order_keeps_the_unknown_last(name: str) -> None:
    agents = a_fleet().agents
    straight, turned = in_order(agents, name), in_order(agents, name, turned=True)
    unknown = [agent for agent in agents if ORDERS[name](agent) is None]
    assert len(straight) == len(turned) == 8
    if unknown:
        assert {a.agent_id for a in straight[-len(unknown) :]} == {a.agent_id for a in unknown}
        assert {a.agent_id for a in turned[-len(unknown) :]} == {a.agent_id for a in unknown}


def test_one_line_tells_what_needs_somebody() -> None:
    # Of eight: two work (one is stale) and one is in a tool, so 3 are busy; the others wait, are limited, idle, ...
    said = "8 agents, 3 busy, 1 waiting, 1 rate limited, 1 stale, 1 node stale, 1 down, 1 node down, $22.59"
    assert one_line(a_fleet()) == said
    assert one_line(a_fleet(standing=Standing.ISOLATED)).startswith("n1 isolated, 8 agents, 1 busy, 1 waiting, ")
    quiet = msgspec.structs.replace(a_fleet(), agents=(), nodes=a_fleet().nodes[:1])
    assert one_line(quiet) == "0 agents, $22.59"


def test_flags_that_contradict_each_other_are_refused() -> None:
    assert how(None, None, None, line=False, as_json=False) == How()
    assert how(None, None, "json", line=False, as_json=True).form == "json"
    for words in ({"output": "yaml"}, {"output": "wide", "line": True}, {"wanted": "x", "line": True}):
        given = {"wanted": None, "order": None, "output": None, "line": False, "as_json": False, **words}
        with pytest.raises(ConfigError):
            how(**given)  # type: ignore[arg-type]  # as a parametrized call


def test_the_command_picks_sorts_and_keeps_its_exit_code(made: Sites, site: Site) -> None:
    known = {"MESHFLEET_API_KEY": made.key, "MESHFLEET_NODE": site.url}
    names = run("status", "-o", "name", "--filter", "host:box-2", "--sort", "-agent", **known)
    assert names.stdout.split() == ["box-2/gemini-0c11", "box-2/codex-77ab", "box-2/codex-77aa"]
    assert names.returncode == 1  # n4 is down, though it is not asked for
    told = json.loads(run("status", "--json", "--sort", "cost", **known).stdout)
    assert told["agents"][0]["state"]["cost_usd"] == 12.5
    assert run("status", "--line", **known).stdout.count("\n") == 1
    wide = run("status", "-o", "wide", **known).stdout
    assert "claude-sonnet-4-5-20250929" in wide
    assert "PROJECT" in wide


def test_a_prompt_learns_that_no_node_answers() -> None:
    done = run("status", "--line", "--node", "http://127.0.0.1:1")
    assert (done.stdout, done.stderr, done.returncode) == ("no node\n", "", 4)


def test_top_without_a_terminal_says_what_to_use() -> None:
    pytest.importorskip("textual", reason="the extra tui is not installed")
    done = run("top")
    assert "fills a terminal" in one_line_of(done)
    assert done.returncode == 2


def test_top_without_its_extra_says_how_to_get_it_in_one_sentence() -> None:
    code = "import sys; sys.modules['textual'] = None; from meshfleet.cli.main import run; sys.exit(run(['top']))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment(), check=False, timeout=60
    )
    assert "the extra 'tui' brings: pip install" in one_line_of(done)
    assert done.returncode == 2


@pytest.mark.parametrize("command", ["status", "why", "events"])
def test_nothing_but_top_imports_textual(command: str) -> None:
    code = f"import sys, meshfleet.cli.main, meshfleet.cli.{command}; sys.exit('textual' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env=environment(), check=False, timeout=60).returncode == 0
