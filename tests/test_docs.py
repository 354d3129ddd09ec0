"""The pages say what the program has: every setting, every command, every flag, every default."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

import pytest
import typer

from meshfleet.cli.main import app
from meshfleet.fleet.attention import Rules
from meshfleet.fleet.names import NodeName
from meshfleet.fleet.timing import PRESETS, Timing
from meshfleet.node.delivery import Delivery
from meshfleet.node.otel.settings import Otel
from meshfleet.node.settings import OF_CLIENTS, Given, Settings, machine_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).parent.parent
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text()
CLI = (ROOT / "docs" / "cli.md").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


class Parameter(Protocol):
    """A flag or an argument, as Typer's own classes have it."""

    opts: list[str]
    secondary_opts: list[str]


class Command(Protocol):
    """A command, or a group of them."""

    params: list[Parameter]


def commands(command: Command, path: str = "meshfleet") -> Iterator[tuple[str, Command]]:
    """Every command that does something, with the words that call it."""
    below = cast("Mapping[str, Command]", getattr(command, "commands", {}))
    if command.params or not below:
        yield path, command
    for name, each in below.items():
        yield from commands(each, f"{path} {name}")


EVERY_COMMAND = list(commands(cast("Command", typer.main.get_command(app))))
COMMON = ["--node", "--state-dir", "--json", "--key-file", "--ca"]
"""Flags that stand at the head of the page, for all commands that ask a node."""


def section(path: str) -> str:
    """What docs/cli.md says of a command: the part under its heading, or under that of the group it is in."""
    while path:
        for heading, text in re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", CLI, re.DOTALL | re.MULTILINE):
            if re.search(rf"`{re.escape(path)}[ `]", heading):
                return str(text)
        path = path.rpartition(" ")[0]
    return ""


def row(name: str) -> list[str]:
    """The cells of the table row about `name` in docs/configuration.md."""
    found = re.search(rf"^\| `{name}` \|(.*)\|$", CONFIGURATION, re.MULTILINE)
    assert found, f"docs/configuration.md has no row for {name}"
    return [cell.strip() for cell in found[1].split(" | ")]


@pytest.mark.parametrize("path", [path for path, _ in EVERY_COMMAND if " " in path])
def test_every_command_has_its_place_on_the_page(path: str) -> None:
    assert f"`{path}" in CLI or f"`{path} " in CLI


@pytest.mark.parametrize(("path", "command"), EVERY_COMMAND, ids=[path for path, _ in EVERY_COMMAND])
def test_every_flag_of_a_command_is_explained(path: str, command: Command) -> None:
    text = section(path)
    flags = [flag for each in command.params for flag in (*each.opts, *each.secondary_opts) if flag.startswith("--")]
    text = CLI.partition("\n## ")[0] if path == "meshfleet" else text
    assert [flag for flag in flags if f"{flag}`" not in text and f"`{flag}" not in text and flag not in COMMON] == []
    assert all(f"| `{flag}" in CLI for flag in COMMON)


def test_no_page_offers_a_flag_that_is_not_there() -> None:
    known = {
        flag for _, command in EVERY_COMMAND for each in command.params for flag in (*each.opts, *each.secondary_opts)
    }
    known.add("--help")
    assert set(re.findall(r"`(--[a-z-]+)", CLI + CONFIGURATION)) - known == set()


@pytest.mark.parametrize("setting", Settings.__struct_fields__)
def test_every_setting_is_explained_with_its_environment_variable(setting: str) -> None:
    assert f"`MESHFLEET_{setting.upper()}`" in row(setting)[1]


@pytest.mark.parametrize("setting", Settings.__struct_fields__)
def test_every_setting_that_has_a_flag_names_it(setting: str) -> None:
    flag = f"--{setting.replace('_', '-')}"
    up = next(command for path, command in EVERY_COMMAND if path == "meshfleet up")
    has_it = any(flag in each.opts for each in up.params)
    assert (f"`{flag}`" in row(setting)[0]) is has_it


def test_every_setting_can_be_given_in_the_file() -> None:
    assert set(Given.__struct_fields__) == set(Settings.__struct_fields__)


def test_the_defaults_on_the_page_are_the_programs() -> None:
    plain = Settings(name=NodeName(machine_name()), host=machine_name(), state_dir=Path())
    told = {setting: row(setting)[2].strip("`") for setting in ("gossip", "http", "role", "log_level")}
    assert told == {setting: str(getattr(plain, setting)) for setting in told}
    assert row("discover")[2] == f"`{str(plain.discover).lower()}`"
    assert row("exited_shown")[2] == f"`{plain.exited_shown:g}`"
    assert plain.timing == PRESETS["lan"]


@pytest.mark.parametrize("field", Timing.__struct_fields__)
def test_every_time_stands_on_the_page_with_its_value_in_each_preset(field: str) -> None:
    assert [float(cell) for cell in row(field)[:3]] == [getattr(PRESETS[p], field) for p in ("local", "lan", "wan")]


@pytest.mark.parametrize("field", [*Rules.__struct_fields__, *Delivery.__struct_fields__, *Otel.__struct_fields__])
def test_every_field_of_a_table_stands_on_the_page_with_its_default(field: str) -> None:
    plain = next(table for table in (Rules(), Delivery(), Otel()) if field in table.__struct_fields__)
    default = getattr(plain, field)
    told = row(field)[0].strip("`")
    if default in (None, ()):
        assert told == "none"
    elif isinstance(default, float) and not isinstance(default, bool):
        assert float(told) == default
    else:
        assert told == str(getattr(default, "value", default)).lower()


@pytest.mark.parametrize("variable", OF_CLIENTS)
def test_variables_that_are_no_settings_are_told_too(variable: str) -> None:
    assert f"`{variable}`" in CONFIGURATION


def test_every_threat_names_tests_that_are_there() -> None:
    page = (ROOT / "docs" / "security.md").read_text()
    table = page.partition("## Tests that attack")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(rows) >= 10
    named = [re.findall(r"`(tests/[a-z_/]+\.py)`", row.split(" | ")[-1]) for row in rows]
    assert all(named)
    assert {path for paths in named for path in paths if not (ROOT / path).is_file()} == set()
    attacks = {str(path.relative_to(ROOT)) for path in (ROOT / "tests" / "adversary").glob("test_*.py")}
    assert attacks <= {path for paths in named for path in paths}


def test_every_dependency_has_its_reason() -> None:
    wanted = [
        *PROJECT["dependencies"],
        *(each for extra in PROJECT["optional-dependencies"].values() for each in extra),
    ]
    names = {re.split(r"[\[<>=]", requirement)[0] for requirement in wanted} - {"meshfleet"}
    page = (ROOT / "docs" / "dependencies.md").read_text()
    assert {name for name in names if f"`{name}`" not in page} == set()
    assert set(re.findall(r"^\| `([a-z0-9-]+)` \|", page, re.MULTILINE)) <= names


@pytest.mark.parametrize("page", [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")], ids=lambda page: page.name)
def test_no_link_between_pages_is_dead(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#\s]+)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []
