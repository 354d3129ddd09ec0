"""Spans of every dialect, made with OpenTelemetry's own SDK: what they come to, and that nothing is counted twice."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

import meshfleet
from meshfleet.embed.crew import CREW
from meshfleet.embed.fields import state_of
from meshfleet.embed.quiet import failed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from opentelemetry.trace import Span

    from meshfleet.fleet.state import AgentState

pytest.importorskip("opentelemetry.sdk.trace", reason="opentelemetry-sdk is not installed: meshfleet[interop]")

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Status, StatusCode


class Story:
    """Spans of one program."""

    def __init__(self, scope: str = "pydantic-ai", **resource: str) -> None:
        self.provider = TracerProvider(resource=Resource(resource), shutdown_on_exit=False)
        self.listener = meshfleet.otel.instrument(self.provider)
        self.tracer = self.provider.get_tracer(scope)

    @contextmanager
    def span(self, name: str, **attributes: str | int | float) -> Iterator[Span]:
        """A span in the one that is open; `__` in the name of an attribute is a dot."""
        with self.tracer.start_as_current_span(name, attributes=named(attributes)) as span:
            yield span

    def chat(self, **attributes: str | int | float) -> None:
        """A request that ends at once."""
        with self.span("chat m", gen_ai__operation__name="chat", **attributes):
            pass


def named(attributes: Mapping[str, str | int | float]) -> dict[str, str | int | float]:
    return {name.replace("__", "."): value for name, value in attributes.items()}


@meshfleet.agent("box/outer")
def around(story: Story, told: list[str]) -> None:
    with story.span("invoke_agent inner", gen_ai__operation__name="invoke_agent", gen_ai__agent__name="inner"):
        told.append(meshfleet.current().agent_id)
        story.chat(gen_ai__usage__input_tokens=7)
        told.append(meshfleet.current().agent_id)
    meshfleet.current().used(input=5, output=1)
    told.append(meshfleet.current().agent_id)


def test_after_a_run_the_code_is_again_whose_it_was_before() -> None:
    told: list[str] = []
    around(Story(), told)
    around(Story(), told)
    inner = told[0]
    assert inner.rpartition("/")[2].startswith("inner-")
    assert told == [inner, inner, "box/outer"] * 2
    outer = CREW.get("box/outer", own=False)
    assert outer is not None
    assert state_of("box/outer", "python", outer._said).tokens_in == 10
    assert meshfleet.current().agent_id.endswith("/nobody")


@pytest.fixture(autouse=True)
def _nobody_there(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("MESHFLEET_NODE", "http://127.0.0.1:9")
    yield
    assert not failed


def told(name: str) -> AgentState:
    agent = CREW._agents[name]
    return state_of(agent.agent_id, "x", agent._said)


def counts(name: str) -> tuple[int | None, int | None, int | None, int | None]:
    state = told(name)
    return state.tokens_in, state.tokens_out, state.tokens_cache_read, state.tokens_cache_write


NEW = {
    "gen_ai__usage__input_tokens": 100,
    "gen_ai__usage__output_tokens": 7,
    "gen_ai__usage__cache_read__input_tokens": 40,
    "gen_ai__usage__cache_creation__input_tokens": 10,
}
OLD = {
    "gen_ai__usage__prompt_tokens": 100,
    "gen_ai__usage__completion_tokens": 7,
    "gen_ai__usage__cache_read_input_tokens": 40,
    "gen_ai__usage__cache_creation_input_tokens": 10,
}
OPENINFERENCE = {
    "llm__token_count__prompt": 100,
    "llm__token_count__completion": 7,
    "llm__token_count__prompt_details__cache_read": 40,
    "llm__token_count__prompt_details__cache_write": 10,
}


@pytest.mark.parametrize(
    "usage", [NEW, OLD, OPENINFERENCE, {**OLD, **NEW}], ids=["new", "old", "openinference", "both"]
)
def test_every_name_for_tokens_is_understood_and_two_names_are_not_two_sums(usage: dict[str, int]) -> None:
    story = Story()
    with story.span("invoke_agent reviewer", gen_ai__operation__name="invoke_agent", gen_ai__agent__name="reviewer"):
        story.chat(**usage)
        story.chat(**usage)
    assert counts("reviewer") == (200, 14, 80, 20)


def test_what_a_run_sums_up_of_its_requests_is_not_counted_again() -> None:
    story = Story("strands.telemetry.tracer")
    summed = {"gen_ai__usage__input_tokens": 300, "gen_ai__usage__output_tokens": 21}
    with story.span("invoke_agent Strands Agent", gen_ai__operation__name="invoke_agent", **summed):
        for _ in range(3):
            with story.span("execute_event_loop_cycle", gen_ai__usage__input_tokens=100):
                story.chat(gen_ai__system="strands-agents", **NEW)
    assert counts("Strands Agent") == (300, 21, 120, 30)
    agent = CREW._agents["Strands Agent"]
    assert "/Strands-Agent-" in agent.agent_id


def test_two_instrumentations_that_tell_of_one_request_count_once() -> None:
    story = Story()
    with story.span("LangGraph", openinference__span__kind="AGENT"):
        with story.span("ChatOpenAI", openinference__span__kind="LLM", llm__model_name="gpt-5", **OPENINFERENCE):
            story.chat(gen_ai__request__model="gpt-5", **NEW)
        with (
            story.span("ChatOpenAI", openinference__span__kind="LLM", **OPENINFERENCE),
            story.span("POST", http__method="POST"),
            story.span("chat gpt-5"),
        ):
            pass  # what is inside tells nothing: then what is around it counts
    assert counts("LangGraph") == (200, 14, 80, 20)
    assert told("LangGraph").model == "gpt-5"


def test_a_request_of_a_tool_is_one_of_its_own() -> None:
    story = Story()
    with (
        story.span("chat m", gen_ai__operation__name="chat", gen_ai__agent__name="a", **NEW),
        story.span("execute_tool search", gen_ai__operation__name="execute_tool", gen_ai__tool__name="search"),
    ):
        story.chat(**NEW)
    assert counts("a") == (200, 14, 80, 20)


@pytest.mark.parametrize(
    ("name", "attributes"),
    [
        ("execute_tool bash", {"gen_ai__operation__name": "execute_tool", "gen_ai__tool__name": "bash"}),
        ("execute_tool bash", {}),
        ("running tool", {"gen_ai__tool__name": "bash"}),
        ("bash", {"openinference__span__kind": "TOOL", "tool__name": "bash"}),
        ("bash.tool", {"traceloop__span__kind": "tool", "traceloop__entity__name": "bash"}),
    ],
)
def test_a_tool_shows_from_its_start_whatever_the_dialect(name: str, attributes: dict[str, str]) -> None:
    story = Story()
    with story.span("invoke_agent a"):
        with story.span("some step of the program"), story.span(name, **attributes):
            assert (told("a").status.value, told("a").active_tool) == ("tool", "bash")
        assert (told("a").status.value, told("a").active_tool) == ("working", None)
    assert told("a").status.value == "idle"


def test_a_tool_whose_name_is_prose_is_unnamed() -> None:
    story = Story()
    with story.span("invoke_agent a"), story.span("execute_tool", gen_ai__tool__name="CANARY and more words"):
        assert told("a").active_tool == "unnamed"


def test_no_attribute_but_those_that_are_known_gets_out() -> None:
    story = Story()
    content = {
        "gen_ai.input.messages": "CANARY",
        "gen_ai.tool.call.arguments": "CANARY",
        "gen_ai.system_instructions": "CANARY",
        "gen_ai.conversation.id": "CANARY",
        "llm.input_messages.0.message.content": "CANARY",
        "input.value": "CANARY",
        "gen_ai.request.model": "CANARY is no model",
        "error.type": "CANARY is no error",
    }
    with story.span("invoke_agent a"), story.span("chat CANARY", **content), story.span("CANARY", **content) as span:
        span.set_status(Status(StatusCode.ERROR, "CANARY"))
    assert "CANARY" not in repr(CREW._agents["a"]._said.fields) + repr(told("a"))


@pytest.mark.parametrize(
    ("kind", "status"), [("429", "rate_limited"), ("openai.RateLimitError", "rate_limited"), ("x", "error")]
)
def test_a_failure_shows_unless_the_run_made_up_for_it(kind: str, status: str) -> None:
    story = Story()
    with story.span("invoke_agent a") as run:
        with story.span("chat m", error__type=kind) as chat:
            chat.set_status(Status(StatusCode.ERROR))
        assert told("a").status.value == "working"
    assert told("a").status.value == "idle"
    with story.span("invoke_agent a", error__type=kind) as run:
        run.set_status(Status(StatusCode.ERROR))
    assert told("a").status.value == status


def test_a_cost_that_the_library_tells_is_taken() -> None:
    story = Story()
    story.chat(gen_ai__agent__name="a", operation__cost=0.1476, gen_ai__request__model="claude-sonnet-4-5", **NEW)
    assert (told("a").cost_usd, told("a").sources["cost_usd"]) == (0.1476, "reported:library")


def test_a_request_that_says_only_at_its_end_what_it_is_counts_too() -> None:
    story = Story()
    with story.span("anthropic.call") as span:
        span.set_attributes({"gen_ai.operation.name": "chat", "gen_ai.agent.name": "late", **named(NEW)})
    assert counts("late") == (100, 7, 40, 10)
    assert told("late").status.value == "idle"


def test_spans_without_an_agent_are_the_programs() -> None:
    Story("x", **{"service.name": "shop-assistant"}).chat(**NEW)
    assert counts("shop-assistant")[0] == 100
    story = Story("opentelemetry.instrumentation.openai.v1")
    with story.span("GET /CANARY", http__route="/CANARY"):
        story.chat(**NEW)
    assert [name for name in CREW._agents if "CANARY" in name] == []
    assert len(CREW._agents) == 2  # its name is the script's, whatever that is called here


def test_agents_of_a_process_that_is_one_itself_are_its_children() -> None:
    Story("x", **{"meshfleet.agent": "box/nightly"}).chat(gen_ai__agent__name="a", **NEW)
    assert told("a").parent == "box/nightly"


def test_a_program_that_asks_no_model_is_no_agent() -> None:
    story = Story()
    with story.span("GET /", http__method="GET"), story.span("SELECT"):
        pass
    assert CREW._agents == {}


def test_spans_that_never_end_are_bounded() -> None:
    story = Story()
    for _ in range(5_000):
        story.tracer.start_span("chat m", attributes={"gen_ai.agent.name": "a"})
    assert story.listener is not None
    assert len(story.listener._following._open) == 4_096
    assert failed.pop("open_limit") == 5_000 - 4_096
    story.provider.shutdown()
    assert story.listener._following._open == {}
    assert told("a").status.value == "idle"


def test_spans_from_many_threads_lose_nothing() -> None:
    story = Story()

    def run() -> None:
        for _ in range(50):
            with story.span("invoke_agent a"):
                story.chat(**NEW)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts("a") == (20_000, 1_400, 8_000, 2_000)
    assert told("a").status.value == "idle"


def test_the_code_of_a_run_finds_its_agent() -> None:
    story = Story()
    with story.span("invoke_agent a"):
        meshfleet.current().update(project="shop")
    assert told("a").project == "shop"
    assert meshfleet.current()._thread is None


def test_a_provider_that_is_none_is_told_in_the_log_and_not_raised(caplog: pytest.LogCaptureFixture) -> None:
    assert meshfleet.otel.instrument(object()) is None  # type: ignore[arg-type]  # the mistake is the point
    assert failed.pop("otel.instrument") == 1
    assert "could not be watched" in caplog.text
