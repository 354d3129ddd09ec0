"""The real Prometheus against real nodes, with the files of deploy/. Skipped where it is not installed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import msgspec
import pytest
from prometheus_client.exposition import generate_latest

from meshfleet.serve.federation import Told
from meshfleet.serve.limits import Counts
from meshfleet.serve.metrics import Metrics
from tests.cli.processes import PATIENCE, node, run, seen
from tests.serve.conftest import SampleFeed

if TYPE_CHECKING:
    from collections.abc import Iterator

DEPLOY = Path(__file__).parents[2] / "deploy" / "prometheus"
GRAFANA = DEPLOY.parent / "grafana" / "meshfleet.json"
STATE = {
    "agent_id": "box/a", "timestamp": "2026-11-23T20:15:05Z", "status": "tool", "runtime": "python", "cost_usd": 1.5,
    "tokens_in": 42, "active_tool": "bash",
}  # fmt: skip

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(
        shutil.which("prometheus") is None or shutil.which("promtool") is None,
        reason="no prometheus and promtool on the PATH: install Prometheus to see it collect",
    ),
]


def promtool(*arguments: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["promtool", *arguments], input=given, capture_output=True, text=True, timeout=60, check=False
    )


def test_the_rules_and_the_configuration_are_as_promtool_wants_them(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("t")
    for name in ("prometheus.yml", "alerts.yml"):
        text = (DEPLOY / name).read_text().replace("/run/meshfleet.token", str(token))
        (tmp_path / name).write_text(text)
    done = promtool("check", "config", str(tmp_path / "prometheus.yml"))
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_is_raised_by_what_it_is_about_and_by_nothing_else() -> None:
    done = promtool("test", "rules", str(DEPLOY / "alerts_test.yml"))
    assert done.returncode == 0, done.stdout + done.stderr
    alerts = set(re.findall(r"alert: (\w+)", (DEPLOY / "alerts.yml").read_text()))
    assert alerts == set(re.findall(r"alertname: (\w+)", (DEPLOY / "alerts_test.yml").read_text()))


def test_names_and_types_are_as_promtool_wants_them_and_a_thousand_agents_a_bounded_number_of_series() -> None:
    feed = SampleFeed()
    view, agent = feed.fleet(), feed.fleet().agents[0]
    state = msgspec.structs.replace(agent.state, context_full_in_s=400.0)
    many = tuple(msgspec.structs.replace(agent, agent_id=f"box/claude-{i:08}", state=state) for i in range(1_000))
    period = msgspec.structs.replace(view.totals.period, cost_usd=3.5, tokens_in=5, tokens_out=6)
    totals = msgspec.structs.replace(view.totals, period=period)
    view = msgspec.structs.replace(view, agents=many, totals=totals)
    for collector, most in ((Told(view, ()), 11 * 1_000 + 4 * len(view.nodes) + 10), (Metrics(feed, Counts()), 100)):
        text = generate_latest(collector).decode()
        checked = promtool("check", "metrics", given=text)
        assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
        assert 10 < len([line for line in text.splitlines() if not line.startswith("#")]) <= most


def panels() -> list[dict[str, list[dict[str, str]]]]:
    found: list[dict[str, list[dict[str, str]]]] = json.loads(GRAFANA.read_text())["panels"]
    return found


def test_what_the_dashboard_asks_is_understood_by_prometheus(tmp_path: Path) -> None:
    asks = [target["expr"] for panel in panels() for target in panel.get("targets", [])]
    rules = [{"record": f"panel:{i}", "expr": ask.replace("$__range", "1h")} for i, ask in enumerate(asks)]
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = promtool("check", "rules", str(tmp_path / "rules.yml"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(rules) > 12


@contextmanager
def prometheus(config: Path, data: Path) -> Iterator[str]:
    """One that runs on a free port of loopback: where it answers."""
    command = [
        "prometheus", f"--config.file={config}", f"--storage.tsdb.path={data}", "--web.listen-address=127.0.0.1:0",
        "--log.format=json",
    ]  # fmt: skip
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            for line in process.stderr:
                told = json.loads(line)
                if told.get("msg") == "Listening on" or "Listening on" in str(told.get("msg")):
                    yield f"http://{told['address']}"
                    break
        finally:
            process.terminate()
            process.communicate()


def asked(url: str, query: str) -> list[dict[str, object]]:
    answer = httpx.get(f"{url}/api/v1/query", params={"query": query}, trust_env=False).json()
    found: list[dict[str, object]] = answer["data"]["result"]
    return found


def test_it_finds_the_nodes_through_one_and_federates_the_fleet_from_one(tmp_path: Path) -> None:
    with node(tmp_path / "n1", "--name", "n1") as (_, n1):
        invited = run("invite", "--state-dir", str(tmp_path / "n1"))
        line = next(word for word in invited.stdout.split() if word.startswith("mfi"))
        with node(tmp_path / "n2", "--name", "n2", "--invite", line) as (_, n2):
            seen(n1["http"], lambda view: len(view.nodes) == 2)
            url = str(n1["http"])
            assert httpx.post(f"{n2['http']}/v1/agents/box/a/state", json=STATE, trust_env=False).status_code == 202
            token = run("keys", "api", "token", "--state-dir", str(tmp_path / "n1"))
            (tmp_path / "token").write_text(token.stdout.strip())
            text = (DEPLOY / "prometheus.yml").read_text().replace("/run/meshfleet.token", str(tmp_path / "token"))
            text = text.replace("127.0.0.1:7879", url.removeprefix("http://")).replace("15s", "1s")
            (tmp_path / "prometheus.yml").write_text(text)
            shutil.copy(DEPLOY / "alerts.yml", tmp_path)
            with prometheus(tmp_path / "prometheus.yml", tmp_path / "data") as where:
                deadline = time.monotonic() + PATIENCE
                while not (
                    len(asked(where, 'up{job="meshfleet-nodes"} == 1')) == 2
                    and asked(where, 'meshfleet_agent_cost_usd_total{agent="box/a"} == 1.5')
                ):
                    assert time.monotonic() < deadline, asked(where, "up")
                names = {str(one["metric"]["node"]) for one in asked(where, 'up{job="meshfleet-nodes"}')}  # type: ignore[index]  # what JSON holds
                assert names == {"n1", "n2"}
                assert len(asked(where, "meshfleet_fleet_node_fresh == 1")) == 2
            for path in ("/federate", "/metrics"):
                text = httpx.get(f"{url}{path}", headers={"Authorization": f"Bearer {token.stdout.strip()}"}).text
                checked = promtool("check", "metrics", given=text)
                assert checked.returncode == 0, checked.stdout + checked.stderr
