"""Whether a soak notices what is wrong in a view: of two nodes with an agent each, one thing at a time is not so."""

from __future__ import annotations

import time
from random import Random
from typing import TYPE_CHECKING

import msgspec
import pytest

from meshfleet.fleet.presence import Presence
from meshfleet.fleet.standing import Standing
from meshfleet.fleet.state import Status
from meshfleet.fleet.timing import PRESETS
from tests.serve.conftest import SampleFeed
from tests.soak.load import EVERY, LIVES, MICRO, RETOLD, Agent, Herd
from tests.soak.settling import SPREAD, wrong_in
from tests.soak.truth import Truth
from tests.soak.visiting import Visitor
from tests.soak.watching import PATIENCE, Findings, Watch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from meshfleet.fleet.view import FleetView

NAMES = ("a", "b")
EPOCH = 7


class Fleet:
    """What a watch needs of one."""

    def __init__(self, truth: Truth) -> None:
        self.truth = truth

    def pid(self, name: str) -> int:
        raise AssertionError(f"nobody weighs {name}")


class Scene:
    """Two nodes, what their agents told a while ago, and a view in which all of it is as it is."""

    def __init__(self, folder: Path) -> None:
        self.truth = Truth(NAMES, PRESETS["lan"])
        self.herds: dict[str, Herd] = {}
        self.findings: list[str] = []
        told_at = time.monotonic() - SPREAD - RETOLD
        for name in NAMES:
            self.truth.begins(name, 0.0)
            self.truth.has_epoch(name, 1, EPOCH)
            herd = self.herds[name] = Herd(name, Random(1), self.truth, Visitor("nowhere", folder))
            agent = Agent(name, 1, Random(1), told_at - EVERY)
            agent.ends = told_at + LIVES
            agent.goes_on(Random(1), told_at)
            agent.told_at = told_at
            herd.agents.append(agent)
            herd.took(agent, agent.micro_usd, told_at)
        self.watch = Watch(
            "a", Fleet(self.truth), self.herds, Visitor("nowhere", folder),  # type: ignore[arg-type]  # all that it uses
            Findings(0.0, self.findings.append),
        )  # fmt: skip

    def view(self) -> FleetView:
        """The true one."""
        shape = SampleFeed().fleet()
        node, agent = shape.nodes[0], shape.agents[0]
        spent = sum(herd.micro_usd() for herd in self.herds.values())
        return msgspec.structs.replace(
            shape,
            served_by=msgspec.structs.replace(shape.served_by, standing=Standing.CONNECTED),
            nodes=tuple(
                msgspec.structs.replace(node, name=name, epoch=EPOCH, presence=Presence.FRESH) for name in NAMES
            ),
            agents=tuple(
                msgspec.structs.replace(
                    agent, agent_id=a.id, node=a.node, epoch=EPOCH, presence=Presence.FRESH, state=a.state()
                )
                for herd in self.herds.values()
                for a in herd.agents
            ),
            totals=msgspec.structs.replace(
                shape.totals, period=msgspec.structs.replace(shape.totals.period, cost_usd=spent / MICRO)
            ),
        )

    def wrong(self, view: FleetView) -> list[str]:
        """What is said of it at the end of a round."""
        return wrong_in(view, NAMES, self.truth, self.herds)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def node_is(view: FleetView, name: str, presence: Presence) -> FleetView:
    nodes = tuple(msgspec.structs.replace(n, presence=presence) if n.name == name else n for n in view.nodes)
    return msgspec.structs.replace(view, nodes=nodes)


def costs(view: FleetView, usd: float) -> FleetView:
    period = msgspec.structs.replace(view.totals.period, cost_usd=(view.totals.period.cost_usd or 0.0) + usd)
    return msgspec.structs.replace(view, totals=msgspec.structs.replace(view.totals, period=period))


def without_agent(view: FleetView, node: str) -> FleetView:
    return msgspec.structs.replace(view, agents=tuple(agent for agent in view.agents if agent.node != node))


def without_node(view: FleetView, name: str) -> FleetView:
    return msgspec.structs.replace(view, nodes=tuple(node for node in view.nodes if node.name != name))


def stands(view: FleetView, standing: Standing) -> FleetView:
    return msgspec.structs.replace(view, served_by=msgspec.structs.replace(view.served_by, standing=standing))


def an_old_word(view: FleetView) -> FleetView:
    first = view.agents[0]
    old = msgspec.structs.replace(first, state=msgspec.structs.replace(first.state, tokens_in=1))
    return msgspec.structs.replace(view, agents=(old, *view.agents[1:]))


def test_a_view_of_what_is_so_has_nothing_wrong(scene: Scene) -> None:
    assert scene.wrong(scene.view()) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda view: node_is(view, "b", Presence.STALE), "b is stale, not fresh"),
        (lambda view: without_node(view, "b"), "b is not there"),
        (lambda view: stands(view, Standing.SPLIT), "it is split"),
        (lambda view: without_agent(view, "b"), "b/soak-1 is lost"),
        (an_old_word, "with 1 tokens, not"),
        (lambda view: costs(view, -0.000001), "the fleet cost"),
        (lambda view: costs(view, 0.000001), "the fleet cost"),
    ],
    ids=["stale", "unknown", "split", "lost", "old", "less", "more"],
)
def test_at_the_end_of_a_round_each_thing_that_is_not_so_is_said(
    scene: Scene, change: Callable[[FleetView], FleetView], said: str
) -> None:
    assert any(said in each for each in scene.wrong(change(scene.view())))


def test_the_dead_are_to_be_called_dead_and_what_they_told_in_time_is_to_be_known(scene: Scene) -> None:
    scene.truth.ends("b", time.monotonic())
    assert any("b is fresh, not down" in said for said in scene.wrong(scene.view()))
    assert scene.wrong(node_is(scene.view(), "b", Presence.DOWN)) == []
    assert any(
        "the fleet cost" in said for said in scene.wrong(costs(node_is(scene.view(), "b", Presence.DOWN), -0.0001))
    )


def test_who_ended_is_not_to_be_shown_at_work(scene: Scene) -> None:
    view = scene.view()
    agent = scene.herds["b"].agents[0]
    agent.status, agent.ended_at = Status.EXITED, agent.told_at
    assert any("has ended, and is" in said for said in scene.wrong(view))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda view: without_node(view, "a"), "a does not show itself"),
        (lambda view: without_agent(view, "a"), "a does not show a/soak-1, which it carries"),
        (lambda view: without_agent(view, "b"), "a has lost b/soak-1"),
        (lambda view: costs(view, 0.000001), "a knows of"),
        (lambda view: costs(view, -0.000001), "a knew of"),
    ],
    ids=["itself", "its own", "another's", "too much", "less than before"],
)
def test_at_any_moment_each_thing_that_can_not_be_is_found(
    scene: Scene, change: Callable[[FleetView], FleetView], said: str
) -> None:
    assert time.monotonic() - (scene.herds["a"].agents[0].told_at or 0.0) > PATIENCE
    scene.watch.look(scene.view(), 0.01, 1, scene.watch.carried())
    assert scene.findings == []
    scene.watch.look(change(scene.view()), 0.01, 1, scene.watch.carried())
    assert any(said in each for each in scene.findings)


def test_in_another_life_of_its_node_an_agent_may_be_told_later(scene: Scene) -> None:
    scene.watch.look(scene.view(), 0.01, 1, scene.watch.carried())
    view = without_agent(scene.view(), "b")
    nodes = tuple(msgspec.structs.replace(n, epoch=EPOCH + (n.name == "b")) for n in view.nodes)
    scene.watch.look(msgspec.structs.replace(view, nodes=nodes), 0.01, 1, scene.watch.carried())
    assert scene.findings == []
