"""All sources together: what one does wrong takes nothing from the others, nor from what it gave before."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import trio

from meshfleet.discovery.finder import LONGEST_PAUSE, NODES_LIMIT, PROBLEM_LIMIT, Finder
from meshfleet.discovery.source import Found, Here, Hurry, Unfound
from meshfleet.fleet.endpoint import Endpoint
from meshfleet.fleet.names import Address, AgentId
from tests.discovery.listening import HERE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trio.testing import MockClock


class Scripted:
    """A source that does one thing each time it is asked, and the last of them for ever."""

    def __init__(self, name: str, *acts: Found | Exception) -> None:
        self.name = name
        self.asked = 0
        self._acts = acts

    async def watch(self, here: Here, tell: Callable[[Found], None], hurry: Hurry) -> None:
        act = self._acts[min(self.asked, len(self._acts) - 1)]
        self.asked += 1
        if isinstance(act, Exception):
            raise act
        tell(act)
        if self.asked < len(self._acts):
            raise Unfound("it went away.")
        await trio.sleep_forever()


def at(*hosts: int) -> Found:
    return Found(nodes=tuple(Address(f"10.0.0.{host}", 7878) for host in hosts))


async def after(seconds: float, *sources: Scripted) -> tuple[Finder, Counter[str], list[int]]:
    """What was found once so much time has passed, all of it virtual."""
    counts: Counter[str] = Counter()
    changes: list[int] = []
    finder = Finder(sources, lambda: changes.append(len(finder.nodes())), counts, lambda: "now")
    with trio.move_on_after(seconds):
        await finder.run(HERE)
    return finder, counts, changes


async def test_a_source_that_fails_takes_nothing_from_what_it_gave(autojump_clock: MockClock) -> None:
    finder, counts, changes = await after(600, Scripted("a", at(1, 2), Unfound("it is gone.")), Scripted("b", at(3)))
    assert finder.nodes() == (*at(1, 2).nodes, *at(3).nodes)
    told = [(source.name, source.nodes, source.problem) for source in finder.told()]
    assert told == [("a", 2, "it is gone."), ("b", 1, None)]
    assert counts["discovery_failed"] >= 600 / LONGEST_PAUSE
    assert changes[-1] == 3


async def test_a_source_that_is_back_has_no_problem_any_more(autojump_clock: MockClock) -> None:
    finder, _, _ = await after(600, Scripted("a", at(1), Unfound("it is gone."), at(2)))
    assert finder.nodes() == at(2).nodes
    assert finder.told()[0].problem is None


async def test_a_source_that_fails_is_asked_less_and_less_often(autojump_clock: MockClock) -> None:
    broken = Scripted("a", Unfound("no."))
    await after(3_600, broken)
    assert 3_600 / LONGEST_PAUSE <= broken.asked <= 2 * 3_600 / LONGEST_PAUSE


async def test_a_defect_of_one_source_is_its_own(autojump_clock: MockClock) -> None:
    finder, counts, _ = await after(60, Scripted("a", ZeroDivisionError()), Scripted("b", at(3)))
    assert finder.nodes() == at(3).nodes
    assert counts["fault_discovery"] >= 1
    assert "ZeroDivisionError" in str(finder.told()[0].problem)


async def test_a_node_does_not_find_itself(autojump_clock: MockClock) -> None:
    finder, _, _ = await after(60, Scripted("a", Found(nodes=(HERE.gossip, *at(1).nodes))))
    assert finder.nodes() == at(1).nodes
    assert finder.told()[0].nodes == 1


async def test_more_than_is_taken_is_left_out_counted_and_said(autojump_clock: MockClock) -> None:
    many = Found(nodes=tuple(Address(f"10.1.{n // 256}.{n % 256}", 7878) for n in range(NODES_LIMIT + 44)))
    finder, counts, _ = await after(60, Scripted("a", many))
    assert len(finder.nodes()) == NODES_LIMIT
    assert counts["dropped_discovered"] == 44
    assert "44 were left out" in str(finder.told()[0].problem)


async def test_what_a_server_says_in_anger_is_cut(autojump_clock: MockClock) -> None:
    finder, _, _ = await after(60, Scripted("a", Unfound("x" * 10_000)))
    assert len(str(finder.told()[0].problem)) == PROBLEM_LIMIT


async def test_of_two_agents_of_one_name_the_first_source_decides(autojump_clock: MockClock) -> None:
    def agent(url: str) -> Endpoint:
        return Endpoint(name=AgentId("lab/one"), base_url=url)

    both: Sequence[Scripted] = (
        Scripted("a", Found(agents=(agent("http://a.test"),))),
        Scripted("b", Found(agents=(agent("http://b.test"),))),
    )
    finder, _, _ = await after(60, *both)
    assert finder.agents() == (agent("http://a.test"),)


async def test_who_is_in_a_hurry_wakes_only_those_that_waited_long_enough(autojump_clock: MockClock) -> None:
    hurry, woken = Hurry(), list[float]()

    async def wait() -> None:
        await hurry.wait(100.0, at_least=5.0)
        woken.append(trio.current_time() - began)

    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        hurry.up()
        with trio.move_on_after(10.0):
            await trio.Event().wait()
        hurry.up()
    assert woken == [10.0]
