"""Flag over environment over file over default; and what is said about each mistake."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from meshfleet.errors import ConfigError
from meshfleet.fleet.names import Address
from meshfleet.fleet.timing import PRESETS
from meshfleet.node.settings import FILE_LIMIT, Given, default_file, load, machine_name, read_flags

if TYPE_CHECKING:
    from pathlib import Path


def file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "meshfleet.toml"
    path.write_text(text)
    return path


def test_nothing_needs_to_be_set() -> None:
    settings = load(Given(), {})
    assert settings.name == machine_name()
    assert settings.gossip == Address("127.0.0.1", 7878)
    assert settings.http == Address("127.0.0.1", 7879)
    assert settings.timing == PRESETS["lan"]
    assert settings.state_dir.name == settings.name
    assert settings.discover


def test_a_flag_beats_the_environment_which_beats_the_file(tmp_path: Path) -> None:
    path = file(tmp_path, 'name = "from-file"\nzone = "from-file"\nhost = "from-file"\n')
    environment = {"MESHFLEET_NAME": "from-env", "MESHFLEET_ZONE": "from-env"}
    settings = load(read_flags(name="from-flag"), environment, path)
    assert (settings.name, settings.zone, settings.host) == ("from-flag", "from-env", "from-file")


def test_false_from_a_better_source_is_not_taken_for_silence(tmp_path: Path) -> None:
    path = file(tmp_path, "discover = true\nexited_shown = 60")
    settings = load(read_flags(discover=False), {"MESHFLEET_EXITED_SHOWN": "0"}, path)
    assert settings.discover is False
    assert settings.exited_shown == 0


def test_the_state_dir_follows_the_name() -> None:
    assert load(read_flags(name="box-2"), {}).state_dir.name == "box-2"


def test_each_field_of_timing_comes_from_the_best_source_that_has_it(tmp_path: Path) -> None:
    path = file(tmp_path, '[timing]\npreset = "local"\nheartbeat = 7.0\nfan_out = 5\n')
    settings = load(read_flags(timing={"preset": "wan"}), {"MESHFLEET_TIMING_HEARTBEAT": "9"}, path)
    assert settings.timing.heartbeat == 9.0
    assert settings.timing.fan_out == 5
    assert settings.timing.probe_interval == PRESETS["wan"].probe_interval


def test_several_peers_are_given_with_commas_in_the_environment() -> None:
    assert load(Given(), {"MESHFLEET_JOIN": "a:1, [::1]:2,c"}).join == (
        Address("a", 1),
        Address("::1", 2),
        Address("c", 7878),
    )


def test_windows_of_models_are_laid_over_each_other(tmp_path: Path) -> None:
    path = file(tmp_path, '[windows]\n"qwen3:32b" = 32768\nmine = 8192')
    assert load(Given(), {}, path).windows == {"qwen3:32b": 32768, "mine": 8192}
    environment = {"MESHFLEET_WINDOWS": "mine=16384, a=b=1"}
    assert load(Given(), environment, path).windows == {"qwen3:32b": 32768, "mine": 16384, "a=b": 1}


def test_the_environment_can_name_the_file(tmp_path: Path) -> None:
    path = file(tmp_path, 'zone = "east"')
    assert load(Given(), {"MESHFLEET_CONFIG": str(path)}).zone == "east"


def test_the_usual_file_is_read_if_it_is_there() -> None:
    default_file().parent.mkdir(parents=True)
    default_file().write_text('zone = "usual"')
    assert load(Given(), {}).zone == "usual"


def test_a_variable_of_another_program_is_left_alone() -> None:
    assert load(Given(), {"MESHFLEET_AGENT_ID": "x", "MESHFLEET_NODE": "http://h:1", "MESHFLEET_ZONE": ""}).zone is None


def test_a_host_name_becomes_a_name_that_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    for host, name in (("box.example.org", "box"), ("büro_1", "b-ro_1"), ("-x-", "x"), ("", "node")):
        monkeypatch.setattr("platform.node", lambda host=host: host)
        assert machine_name() == name


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('nme = "x"', r"meshfleet\.toml: nme is not a setting\. Did you mean 'name'\?"),
        ("qqqqqq = 1", r"qqqqqq is not a setting\. There are: name, gossip, "),
        ("[timing]\nheartbeet = 3", r"timing\.heartbeet is not a setting\. Did you mean 'heartbeat'\?"),
        ('[timing]\nheartbeat = "3x"', r"timing\.heartbeat: '3x' is not a number greater than 0"),
        ("[timing]\nheartbeat = nan", r"timing\.heartbeat: nan is not a number greater than 0"),
        ("[timing]\nheartbeat = -1", r"timing\.heartbeat: -1\.0 is not a number greater than 0"),
        ("[timing]\nhelpers = 1.5", r"timing\.helpers: 1\.5 is not a whole number greater than 0"),
        ('[timing]\npreset = "lann"', r"timing\.preset: 'lann' is not a preset\. There are: lan, local, wan"),
        (
            "[timing]\nprobe_interval = 0.1",
            r"direct_timeout < nack_deadline < probe_deadline <= probe_interval must hold",
        ),
        ("timing = 3", r"timing: expected a table, got a whole number"),
        ('join = "a:1"', r"join: expected a list, got text"),
        ("join = [1]", r"join\[0\]: expected text, got a whole number"),
        ('join = ["a:b"]', r"join: address 'a:b': 'b' is not a port"),
        ('role = "boss"', r"role: 'boss' is none of agent, observer"),
        ('log_level = "loud"', r"log_level: 'loud' is none of debug, info, warning, error"),
        ('discover = "yes"', r"discover: expected true or false, got text"),
        ('gossip = "1:2:3"', r"gossip: address '1:2:3' is ambiguous"),
        ('name = "x y"', r"name: 'x y' is not a valid node name"),
        ('zone = ""', r"zone: '' is not 1 to 64 printable characters"),
        ("[windows]\nm = 0", r"windows: 0 for 'm' is not a number of tokens"),
        ("[windows]\nm = 1_000_000_000", r"windows: 1000000000 for 'm' is not a number of tokens"),
        ('[windows]\nm = "200k"', r"windows: expected a whole number, got text"),
        ('[windows]\n"" = 1', r"windows: '' is no model's name"),
        ("exited_shown = -1", r"exited_shown: -1\.0 is not 0 or more seconds"),
        ("a = = 3", r"is not valid TOML: .*line 1"),
    ],
)
def test_a_mistake_in_the_file_is_told_with_its_place_and_value(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load(Given(), {}, file(tmp_path, text))


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"MESHFLEET_GOSIP": "a"}, r"MESHFLEET_GOSIP is not a setting\. Did you mean MESHFLEET_GOSSIP\?"),
        (
            {"MESHFLEET_TIMING_HEARTBEET": "1"},
            r"MESHFLEET_TIMING_HEARTBEET is not a setting\. Did you mean 'heartbeat'",
        ),
        ({"MESHFLEET_TIMING_HEARTBEAT": "soon"}, r"MESHFLEET_TIMING_HEARTBEAT: 'soon' is not a number"),
        ({"MESHFLEET_TIMING": "lann"}, r"MESHFLEET_TIMING: 'lann' is not a preset"),
        ({"MESHFLEET_HTTP": "h:99999"}, r"MESHFLEET_HTTP: address 'h:99999': '99999' is not a port"),
        ({"MESHFLEET_DISCOVER": "perhaps"}, r"MESHFLEET_DISCOVER: expected true or false"),
        ({"MESHFLEET_WINDOWS": "m"}, r"MESHFLEET_WINDOWS: 'm' is not MODEL=TOKENS, such as qwen3:32b=32768"),
        ({"MESHFLEET_WINDOWS": "m=many"}, r"MESHFLEET_WINDOWS: expected a whole number"),
        ({"MESHFLEET_WINDOWS": "a=1,m=-5"}, r"MESHFLEET_WINDOWS: -5 for 'm' is not a number of tokens"),
        ({"MESHFLEET_CONFIG": "/there/is/none.toml"}, r"/there/is/none\.toml: there is no such file"),
    ],
)
def test_a_mistake_in_the_environment_names_the_variable(environment: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load(Given(), environment)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"gossip": "nowhere:x"}, r"--gossip: address 'nowhere:x': 'x' is not a port"),
        ({"invite": 3}, r"--invite: expected text"),
        ({"invite": "mfi1_cut"}, r"--invite: the invitation is not whole"),
        ({"timing": {"preset": "lann"}}, r"--timing: 'lann' is not a preset"),
    ],
)
def test_a_mistake_in_a_flag_names_the_flag(flags: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load(read_flags(**flags), {})


def test_a_worse_source_is_checked_even_where_a_better_one_decides(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"meshfleet\.toml: gossip"):
        load(read_flags(gossip="127.0.0.1:1"), {}, file(tmp_path, 'gossip = "1:2:3"'))


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="can't be read: Is a directory"):
        load(Given(), {}, tmp_path)
    with pytest.raises(ConfigError, match=f"more than {FILE_LIMIT} bytes"):
        load(Given(), {}, file(tmp_path, "#" * (FILE_LIMIT + 1)))
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="is not valid TOML"):
        load(Given(), {}, binary)
