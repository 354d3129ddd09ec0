"""OpenTelemetry's own SDKs, for Python and for Node, export to a real node; its view has their figures to the digit."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

import meshfleet
from meshfleet.embed.crew import CREW
from tests.cli.processes import PATIENCE, foreground, seen

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from meshfleet.fleet.state import AgentState

pytestmark = pytest.mark.processes

RESOURCE = {"service.name": "shop", "service.instance.id": "i1", "meshfleet.agent": "box/shop"}

PROMPT, CACHED, OUT = 50_020, 1_000, 120
"""Of each call. A million costs 3 dollars fresh, 0.3 from the cache, 15 out: 0.14706 + 0.0003 + 0.0018."""
COST = 0.14916


@contextmanager
def node(folder: Path) -> Iterator[str]:
    """A node that takes telemetry, in the home that each test has of its own: where it serves."""
    free = ("--gossip", "127.0.0.1:0", "--http", "127.0.0.1:0", "--host", "box", "--name", "box")
    with foreground("up", "--state-dir", str(folder / "state"), *free) as (_, told):
        yield str(told["http"])


def state_of(url: str, agent_id: str, **fields: object) -> AgentState:
    """An agent's state, when it has these fields."""
    holds: dict[str, AgentState] = {}

    def has(view: Any) -> bool:
        for agent in view.agents:
            if agent.agent_id == agent_id and all(getattr(agent.state, k) == v for k, v in fields.items()):
                holds[agent_id] = agent.state
        return agent_id in holds

    seen(url, has)
    return holds[agent_id]


def calls_from_python(url: str, *, gzip: bool) -> None:
    """An agent that calls its model twice, by the GenAI conventions: spans, and the histogram of the same tokens."""
    http = "opentelemetry.exporter.otlp.proto.http"
    exporters = pytest.importorskip(f"{http}.trace_exporter", reason="OpenTelemetry's SDK is not installed")
    metric_exporters = pytest.importorskip(f"{http}.metric_exporter")
    compression = pytest.importorskip(http).Compression.Gzip if gzip else None
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    resource = Resource.create(RESOURCE)
    traces = TracerProvider(resource=resource, shutdown_on_exit=False)
    exporter = exporters.OTLPSpanExporter(endpoint=f"{url}/otlp/v1/traces", compression=compression)
    traces.add_span_processor(BatchSpanProcessor(exporter))
    metric_exporter = metric_exporters.OTLPMetricExporter(endpoint=f"{url}/otlp/v1/metrics", compression=compression)
    reader = PeriodicExportingMetricReader(metric_exporter, export_interval_millis=3_600_000)
    meters = MeterProvider(resource=resource, metric_readers=[reader], shutdown_on_exit=False)
    tracer, used = traces.get_tracer("shop"), meters.get_meter("shop").create_histogram("gen_ai.client.token.usage")
    said = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "claude-sonnet-4-5"}
    with tracer.start_as_current_span("invoke_agent shop", attributes={"gen_ai.operation.name": "invoke_agent"}) as run:
        for _ in range(2):
            with tracer.start_as_current_span("chat claude-sonnet-4-5", attributes=said) as span:
                span.set_attribute("gen_ai.usage.input_tokens", PROMPT)
                span.set_attribute("gen_ai.usage.cache_read.input_tokens", CACHED)
                span.set_attribute("gen_ai.usage.output_tokens", OUT)
                span.set_attribute("gen_ai.input.messages", "canary prompt")
            used.record(PROMPT, said | {"gen_ai.token.type": "input"})
            used.record(OUT, said | {"gen_ai.token.type": "output"})
        run.set_attribute("gen_ai.usage.input_tokens", 2 * PROMPT)
    assert traces.force_flush()
    assert meters.force_flush()
    assert meters.force_flush()  # the same sums once more, as each minute
    traces.shutdown()
    meters.shutdown()


@pytest.mark.parametrize("gzip", [True, False])
def test_the_sdk_for_python_exports_as_protobuf(tmp_path: Path, caplog: pytest.LogCaptureFixture, gzip: bool) -> None:
    with node(tmp_path) as url:
        calls_from_python(url, gzip=gzip)
        state = state_of(url, "box/shop", tokens_out=2 * OUT)
    assert (state.tokens_in, state.tokens_cache_read) == (2 * PROMPT, 2 * CACHED)
    assert state.cost_usd == pytest.approx(2 * COST, abs=1e-9)
    assert (state.model, state.runtime, state.project) == ("claude-sonnet-4-5", "python", "shop")
    assert (state.context_tokens, state.context_limit) == (PROMPT, 200_000)
    assert state.status.value == "idle"
    assert "canary" not in repr(state)
    failed = [r for r in caplog.records if r.name.startswith("opentelemetry") and r.levelno >= logging.WARNING]
    assert failed == []


def test_a_program_that_exports_and_is_instrumented_besides_is_shown_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    http = "opentelemetry.exporter.otlp.proto.http"
    exporters = pytest.importorskip(f"{http}.trace_exporter", reason="OpenTelemetry's SDK is not installed")
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor

    told: list[str] = []
    monkeypatch.setattr("meshfleet.embed.courier.also_told", told)
    monkeypatch.setattr("meshfleet.otel.also_told", told)
    with node(tmp_path) as url:
        monkeypatch.setenv("MESHFLEET_NODE", url)
        traces = TracerProvider(resource=Resource.create(), shutdown_on_exit=False)
        assert meshfleet.otel.instrument(traces) is not None
        exporter = exporters.OTLPSpanExporter(endpoint=f"{url}/otlp/v1/traces")
        traces.add_span_processor(SimpleSpanProcessor(exporter))
        said = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "claude-sonnet-4-5"}
        run = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "reviewer"}
        tracer = traces.get_tracer("shop")
        with tracer.start_as_current_span("invoke_agent reviewer", attributes=run):
            seen(url, lambda view: len(view.agents) == 1)
            with tracer.start_as_current_span("chat claude-sonnet-4-5", attributes=said) as span:
                span.set_attribute("gen_ai.usage.input_tokens", PROMPT)
                span.set_attribute("gen_ai.usage.output_tokens", OUT)
        seen(url, lambda view: view.totals.tokens_out == OUT)
        calls_from_python(url, gzip=False)  # another program's, which comes after it and is shown
        view = seen(url, lambda view: view.totals.tokens_out == 3 * OUT)
        told_by = [agent.state.sources["tokens_in"].partition(" since")[0] for agent in view.agents]
        assert told_by == ["reported:otlp", "reported:otel"]
        CREW.finish()
        traces.shutdown()


SCRIPT = """
const { NodeTracerProvider, BatchSpanProcessor } = require('@opentelemetry/sdk-trace-node');
const { OTLPTraceExporter } = require('@opentelemetry/exporter-trace-otlp-' + process.env.KIND);
const { resourceFromAttributes } = require('@opentelemetry/resources');
const { CompressionAlgorithm } = require('@opentelemetry/otlp-exporter-base');
const url = process.env.URL + '/otlp/v1/traces';
const exporter = new OTLPTraceExporter({ url, compression: CompressionAlgorithm.GZIP });
const provider = new NodeTracerProvider({
  resource: resourceFromAttributes({ 'service.name': 'shop', 'telemetry.sdk.language': 'nodejs',
                                     'service.instance.id': 'i1', 'meshfleet.agent': 'box/shop' }),
  spanProcessors: [new BatchSpanProcessor(exporter)],
});
const tracer = provider.getTracer('shop');
for (let n = 0; n < 2; n++) {
  const span = tracer.startSpan('chat claude-sonnet-4-5', { kind: 2, attributes: {
    'gen_ai.operation.name': 'chat', 'gen_ai.request.model': 'claude-sonnet-4-5', 'gen_ai.usage.input_tokens': 50020,
    'gen_ai.usage.cache_read.input_tokens': 1000, 'gen_ai.usage.output_tokens': 120, 'gen_ai.prompt': 'canary' } });
  span.end();
}
provider.forceFlush().then(() => provider.shutdown()).then(() => console.log('done'));
"""
PACKAGES = (
    "sdk-trace-node",
    "resources",
    "otlp-exporter-base",
    "exporter-trace-otlp-http",
    "exporter-trace-otlp-proto",
)


def environment_of_node(**extra: str) -> dict[str, str]:
    """Node's, with packages looked for where NODE_PATH says. Skips the test where they are not there."""
    program = shutil.which("node")
    if program is None:
        pytest.skip("there is no Node here")
    wanted = [f"@opentelemetry/{package}" for package in PACKAGES]
    look = f"{wanted!r}.forEach(name => require.resolve(name))"
    if subprocess.run([program, "-e", look], capture_output=True, timeout=PATIENCE, check=False).returncode:
        pytest.skip(f"not in NODE_PATH: npm install {' '.join(wanted)}")
    return {**os.environ, **extra}


@pytest.mark.parametrize("kind", ["http", "proto"])
def test_the_sdk_for_node_exports_as_json_and_as_protobuf(tmp_path: Path, kind: str) -> None:
    environment_of_node()
    with node(tmp_path) as url:
        done = subprocess.run(
            ["node", "-e", SCRIPT],
            env=environment_of_node(URL=url, KIND=kind),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.stdout.strip() == "done", done.stderr
        state = state_of(url, "box/shop", tokens_out=2 * OUT)
    assert (state.tokens_in, state.tokens_cache_read, state.runtime) == (2 * PROMPT, 2 * CACHED, "node")
    assert state.cost_usd == pytest.approx(2 * COST, abs=1e-9)


def test_what_one_exporter_is_told_in_vain_another_is_not(tmp_path: Path) -> None:
    """A node that looks for no agents takes no telemetry, and its exporter gets on with its life."""
    http = "opentelemetry.exporter.otlp.proto.http"
    exporters = pytest.importorskip(f"{http}.trace_exporter", reason="OpenTelemetry's SDK is not installed")
    from opentelemetry.sdk.trace.export import SpanExportResult

    from tests.cli.processes import node as without_agents

    with without_agents(tmp_path / "state") as (_, told):
        exporter = exporters.OTLPSpanExporter(endpoint=f"{told['http']}/otlp/v1/traces")
        assert exporter.export([]) is SpanExportResult.FAILURE  # 404: not to be tried again
        exporter.shutdown()
