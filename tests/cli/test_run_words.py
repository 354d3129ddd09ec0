"""What `meshfleet run` makes of its words, of the environment, and of what a command writes to its pipe."""

from __future__ import annotations

import json
import os

import pytest

from meshfleet.cli.run.arguments import Arguments, read
from meshfleet.cli.run.environment import environment
from meshfleet.cli.run.lines import LINE_LIMIT, Lines
from meshfleet.cli.run.telling import Telling
from meshfleet.fleet.state import AgentState, Status

NODE = "http://127.0.0.1:7879"


def test_each_run_is_a_session_of_its_own_though_pids_come_again() -> None:
    """In a container each start has the same: what the ledger counts must not take two runs for one."""
    reading, writing = os.pipe()
    try:
        first, second = (Telling("box/a", NODE, 1, reading, None) for _ in range(2))
        assert first._said.fields["session"] != second._said.fields["session"]
        for telling in (first, second):
            os.close(telling._stop)
            os.close(telling._stopped)
    finally:
        os.close(reading)
        os.close(writing)


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["make", "test"], Arguments(("make", "test"))),
        (["--", "make", "-j", "2"], Arguments(("make", "-j", "2"))),
        (["--id", "a", "--node", NODE, "--", "x"], Arguments(("x",), "a", NODE)),
        (["--id=a", "x", "--id", "b"], Arguments(("x", "--id", "b"), "a")),
        (["--", "--help"], Arguments(("--help",))),
        (["x", "--", "y"], Arguments(("x", "--", "y"))),
    ],
)
def test_all_after_the_command_is_the_commands(words: list[str], meant: Arguments) -> None:
    assert read(words) == meant


@pytest.mark.parametrize(
    "words", [[], ["--help"], ["-h"], ["--id"], ["--"], ["--id", "a", "--id", "b", "x"], ["--nod", "x", "y"]]
)
def test_what_is_unusual_is_left_to_the_commands_parser(words: list[str]) -> None:
    assert read(words) is None


def inside(
    given: dict[str, str], command: str = "agent", *, node: str = NODE, listens: bool = True, protobuf: bool = True
) -> dict[str, str]:
    return environment(given, command, "box/a", node=node, host="box", listens=listens, protobuf=protobuf)


def test_a_command_is_told_of_its_node_and_its_telemetry_goes_there() -> None:
    assert inside({"PATH": "/bin"}) == {
        "PATH": "/bin",
        "MESHFLEET_NODE": NODE,
        "MESHFLEET_AGENT": "box/a",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"{NODE}/otlp",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_METRICS_EXPORTER": "otlp",
        "OTEL_LOGS_EXPORTER": "otlp",
        "OTEL_RESOURCE_ATTRIBUTES": "host.name=box,meshfleet.agent=box/a",
    }


def test_claude_code_is_asked_to_tell_and_speaks_json() -> None:
    told = inside({}, "/usr/local/bin/claude", protobuf=False)
    assert told["CLAUDE_CODE_ENABLE_TELEMETRY"] == "1"
    assert told["OTEL_EXPORTER_OTLP_PROTOCOL"] == "http/json"
    assert "CLAUDE_CODE_ENABLE_TELEMETRY" not in inside({})


@pytest.mark.parametrize(
    "taken",
    [
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"},
        {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"},
        {"OTEL_SDK_DISABLED": "true"},
    ],
)
def test_telemetry_that_goes_elsewhere_stays_as_it_is(taken: dict[str, str]) -> None:
    assert inside(taken) == {**taken, "MESHFLEET_NODE": NODE, "MESHFLEET_AGENT": "box/a"}


def test_nothing_that_the_user_has_set_is_overridden() -> None:
    given = {
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "console",
        "CLAUDE_CODE_ENABLE_TELEMETRY": "0",
        "OTEL_RESOURCE_ATTRIBUTES": "team=a b,host.name=other",
    }
    told = inside(given, "claude")
    assert {key: told[key] for key in list(given)[:4]} == dict(list(given.items())[:4])
    assert told["OTEL_RESOURCE_ATTRIBUTES"] == "team=a b,host.name=other,meshfleet.agent=box/a"


@pytest.mark.parametrize(
    "told",
    [
        inside({}, listens=False),
        inside({}, protobuf=False),
        inside({}, node="https://127.0.0.1:7879"),
        inside({}, node="http://10.0.0.5:7879"),
    ],
    ids=["nobody there", "no protobuf", "https", "another machine"],
)
def test_telemetry_is_not_sent_where_it_would_not_arrive(told: dict[str, str]) -> None:
    assert [name for name in told if name.startswith("OTEL")] == []


def test_lines_set_fields_and_null_takes_them_back() -> None:
    lines = Lines()
    assert lines.feed(b'{"status": "tool", "active_tool": "compile"}\n{"active_tool": null, "tok') == {
        "status": Status.TOOL,
        "active_tool": "compile",
    }
    assert lines.feed(b'ens_in": 7}\r\n\n') == {"active_tool": None, "tokens_in": 7}
    assert (lines.good, lines.bad) == (2, 0)


def test_every_field_that_an_agent_may_know_can_be_told() -> None:
    others = {"agent_id", "timestamp", "runtime", "exit_code", "sources"}
    others |= {"context_trend_pct_per_min", "context_full_in_s"}
    fields = set(AgentState.__struct_fields__) - others
    said = Lines().feed(json.dumps({field: None for field in fields - {"status", "rate_limits"}}).encode() + b"\n")
    assert said.keys() == fields - {"status", "rate_limits"}


@pytest.mark.parametrize(
    "bad",
    [
        b"no json",
        b"[]",
        b'{"status": "CANARY"}',
        b'{"status": "exited"}',
        b'{"prompt": "CANARY"}',
        b'{"tokens_in": -1}',
        b'{"tokens_in": 1e300}',
        b'{"cost_usd": 1e300}',
        b'{"context_pct": "CANARY"}',
        b'{"active_tool_since": "CANARY"}',
        b'{"note": "' + b"CANARY" * 100 + b'"}',
        b'{"note": "\xff"}',
        b"[" * 50_000,
    ],
)
def test_a_line_of_another_shape_is_counted_and_changes_nothing(bad: bytes) -> None:
    lines = Lines()
    assert lines.feed(bad + b"\n" + b'{"tokens_in": 1}\n') == {"tokens_in": 1}
    assert (lines.good, lines.bad) == (1, 1)
    assert "CANARY" not in lines.why
    assert lines.why


def test_a_line_without_an_end_does_not_fill_the_memory() -> None:
    lines = Lines()
    for _ in range(64):
        assert lines.feed(b"x" * LINE_LIMIT) == {}
    assert lines.feed(b'"}\n{"tokens_in": 1}\n') == {"tokens_in": 1}
    assert (lines.good, lines.bad) == (1, 1)
    assert len(lines._rest) == 0
