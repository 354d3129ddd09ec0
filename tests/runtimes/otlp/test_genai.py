"""The GenAI conventions with their old names, and OpenInference."""

from __future__ import annotations

from typing import Any

import pytest

from meshfleet.fleet.state import Status
from meshfleet.runtimes.usage import Usage
from tests.runtimes.writing import T0

from .writing import CUMULATIVE, DELTA, Ear, chat, counter, metrics, point, span, traces

APP: dict[str, object] = {"service.name": "shop", "service.instance.id": "i1", "telemetry.sdk.language": "python"}


async def heard(*spans: dict[str, object]) -> Ear:
    ear = Ear()
    await ear.hear(traces(*spans, resource=APP))
    return ear


@pytest.mark.parametrize(
    "names",
    [
        ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens", "gen_ai.usage.cache_read.input_tokens"),
        ("gen_ai.usage.prompt_tokens", "gen_ai.usage.completion_tokens", "gen_ai.usage.cache_read_input_tokens"),
        ("llm.token_count.prompt", "llm.token_count.completion", "llm.token_count.prompt_details.cache_read"),
        ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens", "gen_ai.usage.details.cache_read_tokens"),
    ],
)
async def test_tokens_are_known_by_their_new_names_and_their_old(names: tuple[str, str, str]) -> None:
    into, out, read = (name.replace(".", "__") for name in names)
    told = (await heard(chat(**{into: 100, out: 7, read: 60}))).only()
    assert told.usage == Usage(fresh=40, cache_read=60, output=7)
    assert (told.context_tokens, told.context_limit) == (100, 200_000)
    assert (told.runtime, told.session, told.project) == ("python", "i1", "shop")


async def test_a_cache_larger_than_the_input_was_not_in_it() -> None:
    told = (await heard(chat(T0, 60, gen_ai__usage__input_tokens=10, gen_ai__usage__output_tokens=1))).only()
    assert told.usage == Usage(fresh=10, cache_read=60, output=1)


async def test_sums_of_agents_chains_and_workflows_are_never_added() -> None:
    into = {"gen_ai__usage__input_tokens": 100}
    told = (
        await heard(
            chat(T0, number=3, parent=2, **into),
            chat(T0 + 1, number=4, parent=2, **into),
            span("invoke_agent", T0 + 2, number=2, parent=1, gen_ai__operation__name="invoke_agent", **into),
            span("chain", T0 + 3, number=1, openinference__span__kind="CHAIN", llm__token_count__prompt=200),
            span("step", T0 + 3, number=9, gen_ai__usage__input_tokens=200),
        )
    ).only()
    assert told.usage == Usage(fresh=200)


async def test_one_call_seen_by_two_instrumentations_counts_once() -> None:
    into = {"gen_ai__usage__input_tokens": 100}
    told = (await heard(chat(T0, number=2, parent=1, **into), chat(T0, number=1, **into))).only()
    assert told.usage == Usage(fresh=100)


async def test_openinference_tells_calls_of_models_by_its_kind() -> None:
    said: dict[str, Any] = {
        "llm__model_name": "m-1k",
        "llm__token_count__prompt": 10,
        "llm__token_count__completion": 2,
    }
    told = (await heard(span("ChatOpenAI", openinference__span__kind="LLM", session__id="s-1", **said))).only()
    assert (told.session, told.model, told.usage) == ("s-1", "m-1k", Usage(fresh=10, output=2))


async def test_a_cost_that_is_told_is_believed_and_others_are_priced() -> None:
    told = (await heard(chat(gen_ai__usage__output_tokens=3, operation__cost=0.1476))).only()
    assert (told.cost, told.cost_source) == (0.1476, "reported:otlp")
    told = (await heard(chat(gen_ai__usage__output_tokens=3))).only()
    assert (told.cost, told.cost_source) == (3.0, "priced")
    told = (await heard(chat(gen_ai__usage__output_tokens=3, gen_ai__request__model="secret-model"))).only()
    assert (told.cost, told.cost_source) == (None, "priced")


async def test_embeddings_cost_and_are_no_context() -> None:
    aside = span("embeddings", gen_ai__operation__name="embeddings", gen_ai__usage__input_tokens=9, number=2)
    told = (await heard(chat(gen_ai__usage__input_tokens=100), aside)).only()
    assert (told.usage, told.context_tokens, told.model) == (Usage(fresh=109), 100, "m-200k")


async def test_the_end_of_the_outermost_agent_is_the_end_of_the_turn() -> None:
    ended = span("invoke_agent a", T0 + 2, number=9, gen_ai__operation__name="invoke_agent")
    assert (await heard(chat(T0), ended)).only().status is Status.IDLE
    inner = span("invoke_agent b", T0 + 2, number=9, parent=8, gen_ai__operation__name="invoke_agent")
    assert (await heard(chat(T0), inner)).only().status is Status.WORKING
    failed = span("invoke_agent a", T0 + 2, number=9, gen_ai__operation__name="invoke_agent", error__type="x")
    assert (await heard(chat(T0), failed)).only().status is Status.ERROR


@pytest.mark.parametrize(("temporality", "since"), [(CUMULATIVE, False), (DELTA, True)])
async def test_where_no_span_says_tokens_the_histogram_does(temporality: int, since: bool) -> None:
    ear = Ear()
    named = {"gen_ai__request__model": "m-200k", "gen_ai__operation__name": "chat"}
    points = [
        {**point(0, T0, T0 + 60, gen_ai__token__type=kind, **named), "sum": amount, "count": "2"}
        for kind, amount in (("input", 100), ("output", 8))
    ]
    for each in points:
        del each["asDouble"]
    kinds = [counter("gen_ai.client.token.usage", temporality, each, kind="histogram") for each in points]
    await ear.hear(metrics(*kinds, resource=APP))
    told = ear.only()
    assert told.usage == Usage(fresh=100, output=8)
    assert told.cost == 8.0
    # A counter that is cumulative has counted from before this node listened.
    assert ("since" in (told.usage_source or "")) is since


async def test_spans_and_their_histogram_are_never_added() -> None:
    ear = await heard(chat(gen_ai__usage__input_tokens=100, gen_ai__usage__output_tokens=8))
    labels = {"gen_ai__token__type": "input", "gen_ai__request__model": "m-200k"}
    of_input = counter("gen_ai.client.token.usage", CUMULATIVE, point(100, T0, T0 + 60, **labels))
    await ear.hear(metrics(of_input, resource=APP))
    assert ear.only().usage == Usage(fresh=100, output=8)
