"""What an agent or a member says is read by people, and obeyed by no terminal: each command, the logs, the errors."""

from __future__ import annotations

import io
import json
import logging
import re
import socket
import sys
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Group
from rich.table import Table
from rich.text import Text

from meshfleet.cli.demo.run import summary
from meshfleet.cli.main import run as run_command
from meshfleet.cli.outcome import run_to_exit_code
from meshfleet.cli.showing import PlainConsole
from meshfleet.cli.telling_systemd import Systemd
from meshfleet.fleet.cost import CostReport, Here, Spent
from meshfleet.fleet.evidence import Kind
from meshfleet.fleet.findings import Ailment, Finding
from meshfleet.fleet.happening import Happened, Happening
from meshfleet.fleet.names import NodeName
from meshfleet.fleet.notice import Severity
from meshfleet.fleet.presence import Presence
from meshfleet.fleet.source import SourceTold
from meshfleet.fleet.standing import Standing
from meshfleet.logs import PlainFormatter, get_logger
from meshfleet.node.admin import SOCKET, Reply
from meshfleet.node.diagnosis import Diagnosis, ForgeryTold
from meshfleet.serve.answers import Problem, Story, ToldFact
from meshfleet.serve.history import Happenings
from tests.cli.evil import ACTS, EVIL, a_hostile_fleet, hostile
from tests.cli.processes import run
from tests.cli.top.fleet import NOW

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE = 30.0

USED = Spent(cost_usd=1.0, tokens_in=1, tokens_out=1)
COST = CostReport(
    start="2026-11-01", end="2026-12-01", zone="UTC", fleet=USED, by_node={"n1": USED},
    here=Here(node=NodeName("n1"), total=USED, by_day={"d": USED}, by_model={"m": USED}, by_runtime={"r": USED},
              by_agent={"a": USED}),
    known_periods=("2026-11-01",), other_billing_day=(NodeName("n7"),),
)  # fmt: skip
STORY = Story(
    name="n4", node=NodeName("n5"), presence=Presence.DOWN, certainty=None, reasons=("it is gone",), age_s=1.0,
    since=NOW, served_by=NodeName("n1"), standing=Standing.CONNECTED,
    facts=(ToldFact(kind=Kind.REFUSED, by=NodeName("n2"), host="h", detail="refused", age_s=1.0, at=NOW),),
)  # fmt: skip
LINES = Happenings(
    events=(Happening(id=1, at=NOW, kind=Happened.DOWN, subject="n4", text="is down", node="n2"),), last=1
)
ANSWERS = {
    "/v1/fleet": msgspec.json.encode(a_hostile_fleet()),
    "/v1/cost": msgspec.json.encode(hostile(COST)),
    "/v1/why/n4": msgspec.json.encode(hostile(STORY)),
    "/v1/events": msgspec.json.encode(hostile(LINES)),
}
SICK = Diagnosis(
    node=NodeName("n1"), standing=Standing.DEGRADED, reasons=("late",), drops={"garbage": 1}, peers=1,
    tested=(NodeName("n2"),),
    forgeries=(ForgeryTold(sent_by="n9", proven=True, in_name_of="n2", kind="left", times=1, age_s=1.0),),
    findings=(Finding(what=Ailment.MTU, severity=Severity.INFO, text="small", evidence=("n2",), do="mend it"),),
    sources=(SourceTold(name="dns", nodes=1, agents=0, offered=None, problem="no answer", since=NOW),),
)  # fmt: skip


class Answers(BaseHTTPRequestHandler):
    """A node that says what is evil wherever it can."""

    def do_GET(self) -> None:
        body = ANSWERS.get(urlsplit(self.path).path)
        self.send_response(404 if body is None else 200)
        body = body or msgspec.json.encode(Problem(error=f"nothing is known of it{EVIL}"))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@contextmanager
def administered(folder: Path, reply: Reply) -> Iterator[None]:
    """A socket in a state dir that answers one question with that."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / SOCKET))
        listening.listen()
        listening.settimeout(PATIENCE)

        def answer() -> None:
            with listening.accept()[0] as asking:
                asking.recv(4096)
                asking.sendall(msgspec.json.encode(reply) + b"\n")

        answering = Thread(target=answer, daemon=True)
        answering.start()
        yield
        answering.join(PATIENCE)


def is_harmless(printed: str) -> bool:
    assert ACTS.findall(printed) == []
    return not any(line.lstrip().startswith("FAKE") for line in printed.splitlines())


@pytest.fixture(autouse=True)
def afterwards_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # the command sets one


@pytest.mark.parametrize(
    "words",
    ["status", "status --output wide", "status --line", "status --output name", "status --filter model:x", "why n4",
     "events", "cost", "cost --by model", "cost --by agent", "cost --by day", "cost --by runtime"],
)  # fmt: skip
@pytest.mark.parametrize("columns", ["40", "80", "300"])
def test_what_agents_say_is_printed_and_not_obeyed(
    words: str, columns: str, url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    run_command([*words.split(), "--node", url])
    out, err = capsys.readouterr()
    assert is_harmless(out)
    assert is_harmless(err)
    assert err == ""
    assert columns == "40" or words == "status --line" or "FAKE" in out or "x\\u00" in out
    assert columns != "300" or words.startswith("status --line") or "\\u001b]52" in out
    assert words != "why n4" or columns != "300" or "[red]no[/red][/]" in out, "nothing is taken for markup"


@pytest.mark.parametrize(
    ("words", "path"),
    [("status", "/v1/fleet"), ("why n4", "/v1/why/n4"), ("cost", "/v1/cost"),
     ("status --sort agent", "/v1/fleet")],
)  # fmt: skip
def test_json_is_the_same_value_and_harmless_too(
    words: str, path: str, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run_command([*words.split(), "--json", "--node", url])
    out, err = capsys.readouterr()
    assert is_harmless(out)
    assert err == ""
    told, given = json.loads(out), json.loads(ANSWERS[path])
    if "--sort" in words:
        told["agents"] = sorted(told["agents"], key=lambda agent: agent["agent_id"])
        given["agents"] = sorted(given["agents"], key=lambda agent: agent["agent_id"])
    assert told == given


def test_a_refusal_is_one_line_that_acts_on_nothing(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["why", "nobody", "--node", url]) != 0
    out, err = capsys.readouterr()
    assert out == ""
    assert is_harmless(err)
    assert len(err.splitlines()) == 1
    assert "\\u001b]52" in err


def test_what_a_doctor_finds_is_harmless(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with administered(tmp_path, Reply(ok=True, diagnosis=hostile(SICK))):
        run_command(["doctor", "--state-dir", str(tmp_path)])
    out, err = capsys.readouterr()
    assert is_harmless(out + err)
    assert out.count("\\u001b") > 5


def test_what_a_node_refuses_with_is_harmless(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with administered(tmp_path, Reply(ok=False, error=f"no{EVIL}")):
        assert run_command(["join", "10.0.0.1:7878", "--state-dir", str(tmp_path)]) == 1
    out, err = capsys.readouterr()
    assert is_harmless(out + err)
    assert "\\u001b]52" in err


def test_an_error_nobody_thought_of_is_traced_without_acting(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail() -> int:
        raise ValueError(f"a peer said {EVIL}")

    with pytest.raises(ValueError, match="a peer said") as raised:
        run_to_exit_code(fail)
    sys.excepthook(raised.type, raised.value, raised.tb)
    err = capsys.readouterr().err
    assert ACTS.findall(err) == []
    assert err.startswith("Traceback")
    assert "ValueError: a peer said" in err


@pytest.mark.processes
def test_a_command_that_can_not_be_run_is_named_without_acting() -> None:
    done = run("run", "--", f"no{EVIL}")
    assert done.returncode == 127
    assert is_harmless(done.stdout + done.stderr)
    assert "\\u001b]52" in done.stderr


def test_a_log_has_a_line_an_event_whatever_is_in_it() -> None:
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(PlainFormatter("%(levelname)s %(message)s"))
    log = logging.getLogger("meshfleet.hostile")
    log.addHandler(handler)
    try:
        get_logger("meshfleet.hostile").warning(f"dropped {EVIL}", node=EVIL, why=ValueError(EVIL))
        try:
            raise ValueError(f"said {EVIL}")
        except ValueError:
            get_logger("meshfleet.hostile").exception("failed")
    finally:
        log.removeHandler(handler)
    lines = out.getvalue().splitlines()
    assert ACTS.findall(out.getvalue()) == []
    assert lines[0].startswith("WARNING dropped x")
    assert [line[:2] for line in lines[2:]] == ["  "] * len(lines[2:]), "a traceback is set in"
    assert lines[1] == "ERROR failed"


def test_a_service_manager_hears_one_line_for_each_that_is_told(tmp_path: Path) -> None:
    where = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(where))
        listening.settimeout(PATIENCE)
        Systemd({"NOTIFY_SOCKET": str(where)}).tell("WATCHDOG=1", f"STATUS={EVIL}\nMAINPID=1")
        told = listening.recv(4096).decode()
    assert ACTS.findall(told) == []
    assert [line.partition("=")[0] for line in told.split("\n")] == ["WATCHDOG", "STATUS"]


def test_the_line_of_a_demo_stays_one() -> None:
    said = summary(a_hostile_fleet())
    assert ACTS.findall(said) == []
    assert "\n" not in said
    assert "FAKE" in said


@given(st.text(st.characters() | st.sampled_from(EVIL), max_size=60), st.integers(1, 50), st.booleans())
def test_no_text_acts_on_a_console_and_no_line_is_too_long(text: str, width: int, coloured: bool) -> None:
    out = io.StringIO()
    console = PlainConsole(file=out, width=width, force_terminal=coloured, markup=False, emoji=False, highlight=False)
    table = Table(box=None)
    table.add_row(text, Text(text, "red", no_wrap=True, overflow="ellipsis"))
    console.print(Group(Text.assemble((text, "bold"), text), table))
    console.print(text)
    assert ACTS.findall(re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue())) == []
