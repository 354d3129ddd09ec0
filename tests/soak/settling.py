"""Whether a fleet that was mended is of one mind, and right: what every node says of every node, agent and cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshfleet.errors import MeshfleetError
from meshfleet.fleet.presence import Presence
from meshfleet.fleet.standing import Standing
from meshfleet.fleet.state import Status
from tests.soak.load import MICRO, RETOLD

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from meshfleet.fleet.view import FleetView
    from tests.soak.load import Herd
    from tests.soak.truth import Truth
    from tests.soak.visiting import Visitor

SPREAD = 30.0
"""Seconds in which an account has got to others for certain: it is told each 5 s in a fleet of twelve."""
WELL = (Standing.CONNECTED, Standing.DEGRADED)
"""`degraded` says something of the machine that this runs on."""


def astray(names: Sequence[str], truth: Truth, herds: Mapping[str, Herd], visitors: Mapping[str, Visitor]) -> list[str]:
    """What is not yet as it is in truth, in words; nothing where all is well."""
    running = [name for name in names if truth.now(name).running]
    wrong = [f"{name} has not taken all that its agents told" for name in running if not herds[name].all_told()]
    for name in running:
        try:
            view = visitors[name].fleet()
        except MeshfleetError as error:
            wrong.append(f"{name}: {error}")
            continue
        wrong += [f"{name}: {said}" for said in wrong_in(view, names, truth, herds)]
    return wrong


def wrong_in(view: FleetView, names: Sequence[str], truth: Truth, herds: Mapping[str, Herd]) -> list[str]:
    """What one view says that is not so."""
    return [
        *_of_nodes(view, names, truth),
        *_of_agents(view, [name for name in names if truth.now(name).running], herds),
        *_of_money(view, names, truth, herds),
    ]


def _of_nodes(view: FleetView, names: Sequence[str], truth: Truth) -> list[str]:
    said = {str(node.name): node for node in view.nodes}
    wrong = [] if view.served_by.standing in WELL else [f"it is {view.served_by.standing.value}"]
    for name in names:
        now = truth.now(name)
        due = Presence.FRESH if now.running else Presence.LEFT if now.left else Presence.DOWN
        node = said.get(name)
        if node is None and now.running:
            wrong.append(f"{name} is not there")
        elif node is not None and node.presence is not due:
            wrong.append(f"{name} is {node.presence.value}, not {due.value}: {'; '.join(node.reasons[:1])}")
    return wrong


def _of_agents(view: FleetView, running: Sequence[str], herds: Mapping[str, Herd]) -> list[str]:
    wrong: list[str] = []
    shown = {str(agent.agent_id): agent for agent in view.agents}
    for name in running:
        for agent in herds[name].living():
            there = shown.get(agent.id)
            if there is None:
                wrong.append(f"{agent.id} is lost")
            elif there.presence is not Presence.FRESH:
                wrong.append(f"{agent.id} is {there.presence.value}")
            elif there.state.tokens_in != agent.tokens_in or there.state.status is not agent.status:
                wrong.append(f"{agent.id} is {there.state.status.value} with {there.state.tokens_in} tokens, not "
                             f"{agent.status.value} with {agent.tokens_in}")  # fmt: skip
        ended = herds[name].ended_for(RETOLD)
        states = [shown[agent_id].state for agent_id in sorted(ended & shown.keys())]
        wrong += [f"{s.agent_id} has ended, and is {s.status.value}" for s in states if s.status is not Status.EXITED]
    return wrong


def _of_money(view: FleetView, names: Sequence[str], truth: Truth, herds: Mapping[str, Herd]) -> list[str]:
    """What is known of the dead is what they told in time; of the others it is all."""
    most = sum(herd.micro_usd() for herd in herds.values())
    least = 0
    for name in names:
        now = truth.now(name)
        least += herds[name].micro_usd() if now.running else herds[name].taken_before(now.since - SPREAD)
    known = round((view.totals.period.cost_usd or 0.0) * MICRO)
    return [] if least <= known <= most else [f"the fleet cost {known} micro-USD, not {least} to {most}"]
