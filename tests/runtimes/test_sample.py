"""Made-up agents for the demo: marked, plausible, and the same for the same random numbers."""

from __future__ import annotations

import itertools
from random import Random

import trio
import trio.testing

from meshfleet.fleet.state import AgentState, Status
from meshfleet.runtimes.sample import LONGEST, NOTE, SampleAgent, sample_agents
from tests.runtimes.writing import T0, Recorder


def life(seed: int, number: int = 0, steps: int = 400) -> list[AgentState]:
    agent = SampleAgent("box", number, Random(seed), T0)
    return [agent.state, *(agent.step(T0 + n) for n in range(steps))]


def test_the_same_random_numbers_make_the_same_life() -> None:
    assert life(7) == life(7)
    assert life(7) != life(8)


def test_every_state_says_that_it_is_made_up() -> None:
    told = [state for number in range(5) for state in life(1, number)]
    assert {state.note for state in told} == {NOTE}
    assert all(state.agent_id.startswith("box/sample-") for state in told)


def test_a_made_up_life_is_possible() -> None:
    for number in range(5):
        states = life(3, number)
        assert {Status.WORKING, Status.IDLE} <= {state.status for state in states}
        for before, after in itertools.pairwise(states):
            assert (after.tokens_in or 0) >= (before.tokens_in or 0)
            assert (after.cost_usd is None) or after.cost_usd >= (before.cost_usd or 0)
            assert 0 <= (after.context_pct or 0) <= 100
            assert (after.active_tool is not None) == (after.status in (Status.TOOL, Status.WAITING))


async def test_each_agent_changes_every_second_or_two(autojump_clock: trio.testing.MockClock) -> None:
    sink = Recorder()
    with trio.move_on_after(60):
        await sample_agents(sink, host="box", rng=Random(5), count=3, wall=trio.current_time)
    assert len(sink.now) == 3
    assert len({state.runtime for state in sink.now.values()}) == 3
    assert 3 * 60 / LONGEST <= len(sink.states) <= 3 * 61


def test_without_a_seed_two_runs_make_up_different_agents() -> None:
    first, second = (SampleAgent("box", 0, Random(), T0).state.agent_id for _ in range(2))
    assert first != second
