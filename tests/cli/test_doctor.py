"""`meshfleet doctor`, as people read it."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import TYPE_CHECKING, ClassVar

import msgspec
import pytest
from rich.console import Console

from meshfleet.cli.doctor import render, verdict
from meshfleet.fleet.findings import Ailment, Finding
from meshfleet.fleet.names import NodeName
from meshfleet.fleet.notice import Severity
from meshfleet.fleet.source import SourceTold
from meshfleet.fleet.standing import Standing
from meshfleet.node.diagnosis import Diagnosis, ForgeryTold
from meshfleet.node.otel.telling import ExportTold
from tests.cli.processes import PATIENCE, node, run

if TYPE_CHECKING:
    from pathlib import Path


def shown(told: Diagnosis) -> str:
    console = Console(width=120, color_system=None)
    with console.capture() as capture:
        console.print(render(told))
    return capture.get()


def test_a_forger_is_named_and_told_apart_from_whoever_passes_for_it() -> None:
    proven = ForgeryTold(sent_by="n9", proven=True, in_name_of="n2", kind="snapshot", times=3, age_s=12.0)
    likely = ForgeryTold(sent_by="n8", proven=False, in_name_of="n3", kind="left", times=1, age_s=90.0)
    text = shown(
        Diagnosis(
            node=NodeName("n1"),
            standing=Standing.DEGRADED,
            reasons=("n4 is silent",),
            drops={"forged_snapshot": 3, "unvouched": 1},
            forgeries=(proven, likely),
        )
    )
    lines = [line.split() for line in text.splitlines()]
    assert text.startswith("n1 is degraded.\n  n4 is silent\n")
    assert ["forged_snapshot", "3"] in lines
    assert ["snapshot", "n2", "n9", "3", "12", "s", "ago"] in lines
    assert "n8, or a member that says so" in text


def test_the_places_where_it_looks_are_told_with_what_is_wrong() -> None:
    well = SourceTold(name="dns:a.test", nodes=3, agents=0, offered=None, problem=None, since="now")
    ill = SourceTold(name="consul", nodes=2, agents=1, offered=False, problem="Consul refuses to tell.", since="now")
    told = Diagnosis(
        node=NodeName("n1"), standing=Standing.CONNECTED, reasons=(), drops={}, forgeries=(), sources=(well, ill)
    )
    lines = [line.split() for line in shown(told).splitlines()]
    assert ["dns:a.test", "3", "0", "-", "-"] in lines
    assert ["consul", "2", "1", "no", "Consul", "refuses", "to", "tell."] in lines


def test_a_healthy_node_has_little_to_tell() -> None:
    told = Diagnosis(node=NodeName("n1"), standing=Standing.CONNECTED, reasons=(), drops={}, forgeries=())
    assert shown(told) == "n1 is connected.\n\nNobody sent it forgeries.\n"


BLOCKED = Finding(
    what=Ailment.UDP_BLOCKED,
    severity=Severity.WARNING,
    text="UDP is blocked.",
    evidence=("n2: 0 of 3 came",),
    do="Let it through.",
)


def found(*findings: Finding, tested: tuple[str, ...] = ("n2", "n3"), peers: int = 2) -> Diagnosis:
    names = tuple(NodeName(name) for name in tested)
    return msgspec.structs.replace(WELL, exports=None, findings=findings, tested=names, peers=peers)


def test_a_finding_is_told_with_its_evidence_and_what_to_do() -> None:
    lines = shown(found(BLOCKED)).splitlines()
    assert lines[2:5] == ["warning udp-blocked: UDP is blocked.", "  n2: 0 of 3 came", "  Do: Let it through."]
    assert "Paths were tested to 2 of 2: n2, n3. Datagrams of three sizes and connections, each way." in lines


def test_that_nothing_is_wrong_is_said_with_how_far_that_was_looked_at() -> None:
    text = shown(found())
    assert "Nothing is wrong with addresses, clocks and names.\nPaths were tested to 2 of 2: n2, n3." in text
    assert "No path was tested: none of 2 other nodes told its half." in shown(found(tested=()))


def test_the_exit_code_says_whether_anything_is_wrong() -> None:
    worth_knowing = msgspec.structs.replace(BLOCKED, severity=Severity.INFO)
    assert [verdict(found()), verdict(found(worth_knowing)), verdict(found(BLOCKED))] == [0, 0, 1]


def test_who_is_not_connected_is_not_well_whatever_was_found() -> None:
    cut_off = msgspec.structs.replace(found(), standing=Standing.ISOLATED)
    assert verdict(cut_off) == 1
    assert "Nothing is wrong" not in shown(cut_off)


EXPORTS = ExportTold(
    endpoint="http://127.0.0.1:4318/v1/metrics", mode="fleet", interval_s=60.0, exporter="n1", last_s=None,
    failing=None, exports=0, failed=0, missed=0, rejected=0,
)  # fmt: skip
WELL = Diagnosis(node=NodeName("n1"), standing=Standing.CONNECTED, reasons=(), drops={}, forgeries=(), exports=EXPORTS)


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({}, "  This node is about to export for the first time."),
        ({"last_s": 12.0}, "  This node exports; the last got through 12 s ago."),
        ({"exporter": "n2"}, "  n2 exports for the fleet; this node would if it were gone or failed."),
        ({"failing": "it answers 403", "failed": 3}, "  The last export failed: it answers 403"),
        ({"last_s": 5.0, "missed": 1, "rejected": 7}, "  1 missed, 7 data points rejected"),
    ],
)
def test_it_says_whether_exports_get_through(changed: dict[str, object], line: str) -> None:
    told = msgspec.structs.replace(WELL, exports=msgspec.structs.replace(EXPORTS, **changed))
    lines = shown(told).splitlines()
    assert "OpenTelemetry: the fleet to http://127.0.0.1:4318/v1/metrics, each 60 s." in lines
    assert line in lines


class Refuses(BaseHTTPRequestHandler):
    """A collector that lets nobody in."""

    asked: ClassVar[list[tuple[str, str | None]]] = []
    answered: ClassVar[Event] = Event()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.asked.append((self.path, self.headers["Authorization"]))
        self.send_response(403)
        self.send_header("Content-Length", "0")
        self.end_headers()
        self.wfile.flush()
        self.answered.set()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.mark.processes
def test_a_running_node_tells_how_it_is_and_names_an_export_that_fails(tmp_path: Path) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Refuses)
    Thread(target=server.serve_forever, daemon=True).start()
    (tmp_path / "headers").write_text("Authorization: Bearer s3cret\n")
    (tmp_path / "meshfleet.toml").write_text(f'[otel]\nheaders_file = "{tmp_path / "headers"}"\ninterval_s = 1\n')
    flags = ("--otel", f"http://127.0.0.1:{server.server_port}", "--config", str(tmp_path / "meshfleet.toml"))
    try:
        with node(tmp_path / "one", "--name", "n1", "--timing", "local", *flags) as (process, _):
            assert Refuses.answered.wait(PATIENCE)
            said = run("doctor", "--state-dir", str(tmp_path / "one"))
            assert said.stdout.startswith("n1 is ")
            assert "The last export failed: it answers 403: is what otel.headers_file" in " ".join(said.stdout.split())
            told = run("doctor", "--state-dir", str(tmp_path / "one"), "--json")
            assert '"forgeries":[]' in told.stdout
            assert [each["what"] for each in json.loads(told.stdout)["findings"]] == ["alone"]
            assert told.returncode == 0, "to be alone is worth knowing, and no fault"
            assert "info alone: No other node is known" in said.stdout
            process.terminate()
            log = process.communicate(timeout=PATIENCE)[1]
    finally:
        server.shutdown()
        server.server_close()
    assert Refuses.asked[0] == ("/v1/metrics", "Bearer s3cret")
    assert "s3cret" not in log + said.stdout
    assert log.count("an export to OpenTelemetry failed") == 1, "once, not at each"
    gone = run("doctor", "--state-dir", str(tmp_path / "one"))
    assert gone.returncode == 4
    assert "no node runs in" in gone.stderr
