"""Claude Code's telemetry: what each event and metric means for its session."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from meshfleet.fleet.state import Status
from meshfleet.runtimes.otlp.intake import Telemetry
from meshfleet.runtimes.usage import Usage
from tests.runtimes.writing import SESSION, T0

from .writing import CUMULATIVE, DELTA, Ear, claude, counter, logs, metrics, point, request, used

if TYPE_CHECKING:
    from meshfleet.serve.intake import Intake


async def test_a_response_counts_once_however_often_it_is_told() -> None:
    heard = Ear()
    answer = request(T0, fresh=10, read=20, write=30, out=4, cost=0.5, request_id="req_1")
    # The same batch again, and the same answer in another batch.
    await heard.hear(logs(answer), logs(answer), logs(claude("user_prompt", T0 - 1), answer))
    told = heard.told()
    assert (told.usage, told.cost) == (Usage(fresh=10, cache_read=20, cache_write=30, output=4), 0.5)
    assert told.context_tokens == 60


async def test_without_a_request_id_its_time_and_number_tell_answers_apart() -> None:
    heard = Ear()
    await heard.hear(logs(request(T0, out=1, event__sequence=4), request(T0, out=1, event__sequence=5)))
    await heard.hear(logs(claude("user_prompt", T0 - 1), request(T0, out=1, event__sequence=5)))
    assert heard.told().usage == Usage(output=2)


async def test_events_and_metrics_of_the_same_tokens_are_never_added() -> None:
    heard = Ear()
    tokens = [used("input", 10, T0, T0 + 60), used("output", 4, T0, T0 + 60), used("cacheRead", 20, T0, T0 + 60)]
    await heard.hear(logs(request(T0 + 1, fresh=10, read=20, out=4, cost=0.5)), metrics(*tokens))
    told = heard.told()
    assert told.usage == Usage(fresh=10, cache_read=20, output=4)
    assert (told.cost, told.cost_source) == (0.5, "reported:otlp")


async def test_metrics_that_have_seen_more_are_believed() -> None:
    heard = Ear()
    await heard.hear(logs(request(T0 + 1, fresh=10, cost=0.5)), metrics(used("input", 30, T0 - 60, T0 + 60)))
    told = heard.told()
    assert told.usage == Usage(fresh=30)
    assert told.usage_source == "reported:otlp metrics since 2026-11-18T11:06Z"
    assert told.context_tokens == 10  # no metric has it


async def test_money_comes_from_the_metric_where_tokens_do() -> None:
    heard = Ear()
    cost = counter("claude_code.cost.usage", DELTA, point(0.25, T0, T0 + 60, session__id=SESSION, model="m-200k"))
    await heard.hear(metrics(used("output", 4, T0, T0 + 60), cost))
    assert (heard.told().cost, heard.told().cost_source) == (0.25, "reported:otlp metrics")


async def test_without_that_metric_sums_are_priced() -> None:
    heard = Ear()
    await heard.hear(metrics(used("output", 4, T0, T0 + 60)))
    assert (heard.told().cost, heard.told().cost_source) == (4.0, "priced")  # a dollar each
    heard = Ear()
    await heard.hear(metrics(used("output", 4, T0, T0 + 60, model="secret-model")))
    assert heard.told().cost is None


async def test_a_model_whose_name_ends_in_1m_holds_a_million() -> None:
    heard = Ear()
    await heard.hear(logs(request(T0, fresh=10)))
    assert (heard.told().context_limit, heard.told().context_limit_source) == (200_000, "inferred:genai-prices")
    # Events have the bare name; only the metrics' label has the suffix.
    await heard.hear(metrics(used("input", 10, T0 - 1, T0, model="m-200k[1m]")))
    assert (heard.told().context_limit, heard.told().context_limit_source) == (1_000_000, "reported:otlp model name")
    assert heard.told().model == "m-200k"


async def test_a_sub_agents_requests_count_and_are_no_context_of_the_session() -> None:
    heard = Ear()
    await heard.hear(logs(request(T0, fresh=100, out=1, cost=1.0)))
    await heard.hear(logs(request(T0 + 1, fresh=7, out=1, cost=0.5, query_source="agent:custom", model="m-1k")))
    told = heard.told()
    assert (told.usage, told.cost) == (Usage(fresh=107, output=2), 1.5)
    assert (told.context_tokens, told.model) == (100, "m-200k")


async def test_a_compaction_says_what_is_left() -> None:
    heard = Ear()
    await heard.hear(logs(request(T0, fresh=100)))
    await heard.hear(logs(claude("compaction", T0 + 1, success="true", post_tokens="30")))
    assert heard.told().context_tokens == 30
    await heard.hear(logs(claude("compaction", T0 + 2, success="true")))
    assert heard.told().context_tokens is None


@pytest.mark.parametrize(
    ("event", "status"),
    [
        (claude("user_prompt", T0 + 1), Status.WORKING),
        (claude("tool_decision", T0 + 1, decision="accept"), Status.TOOL),
        (claude("tool_decision", T0 + 1, decision="reject"), Status.WORKING),
        (claude("tool_result", T0 + 1, success="true"), Status.WORKING),
        (claude("api_error", T0 + 1, status_code="429"), Status.RATE_LIMITED),
        (claude("api_error", T0 + 1, status_code=529), Status.ERROR),
    ],
)
async def test_what_it_does_is_what_the_newest_event_says(event: dict[str, object], status: Status) -> None:
    heard = Ear()
    await heard.hear(logs(event), logs(claude("user_prompt", T0 - 5)))
    assert (heard.told().status, heard.told().status_at) == (status, T0 + 1)


async def test_a_tool_runs_from_its_decision_to_the_next_event() -> None:
    heard = Ear()
    await heard.hear(logs(claude("tool_decision", T0, decision="accept", tool_name="Bash")))
    assert (heard.told().tool, heard.told().tool_at) == ("Bash", T0)
    await heard.hear(logs(claude("tool_result", T0 + 5, success="true")))
    assert (heard.told().tool, heard.told().tool_at) == (None, None)
    await heard.hear(logs(claude("tool_decision", T0 + 6, decision="accept", tool_name="rm the canary")))
    assert heard.told().tool is None


async def test_of_a_session_heard_from_its_first_event_the_sums_are_whole() -> None:
    heard = Ear()
    await heard.hear(logs(claude("hook_registered", T0, event__sequence="0"), request(T0 + 1, out=1)))
    assert heard.told().usage_source == "reported:otlp"


async def test_of_one_heard_later_it_is_said_since_when() -> None:
    heard = Ear()
    await heard.hear(logs(request(T0, out=1, event__sequence=17)))
    assert heard.told().usage_source == "reported:otlp since 2026-11-18T11:06Z"


async def test_one_that_was_taken_up_again_has_a_past_that_was_not_heard() -> None:
    heard = Ear()
    begun = point(1, T0, T0 + 60, session__id=SESSION, start_type="resume")
    await heard.hear(logs(request(T0, out=1, event__sequence=0)))
    await heard.hear(metrics(counter("claude_code.session.count", DELTA, begun)))
    assert (heard.told().usage_source or "").startswith("reported:otlp since")


async def test_a_counter_that_is_sent_again_each_minute_is_no_sign_of_life() -> None:
    heard = Ear()
    await heard.hear(metrics(used("input", 10, T0, T0 + 10, CUMULATIVE)))
    await heard.hear(metrics(used("input", 10, T0, T0 + 70, CUMULATIVE)))
    assert heard.told().last_at == T0 + 10


async def test_an_answer_in_a_mode_that_costs_more_is_not_priced_by_the_list() -> None:
    heard = Ear()
    fast = claude("api_request", T0, output_tokens=1, model="m-200k", speed="fast")
    await heard.hear(logs(fast))
    assert heard.told().cost is None


def test_its_intake_is_one_that_serving_can_use() -> None:
    made: Intake = Ear().telemetry  # what mypy says counts
    assert isinstance(made, Telemetry)
