"""What agents may tell their node over HTTP: their state, and that they are no longer there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from starlette.responses import Response

from meshfleet.errors import CarriesNone, ConfigError, PublishError
from meshfleet.fleet.names import AgentId, agent_id
from meshfleet.fleet.state import AGENTS_LIMIT, AgentState, Status
from meshfleet.serve.answers import Accepted, Refusal, json_answer, quoted
from meshfleet.serve.bodies import read, require_json
from meshfleet.serve.near import near

if TYPE_CHECKING:
    from starlette.requests import Request

    from meshfleet.serve.feed import Feed
    from meshfleet.serve.intake import Intake

# Field names that are told back to a sender who misspelt them; a body may have thousands.
IGNORED_SHOWN = 16

TELEMETRY_LENGTH = 100

PROCESS = "process"
"""The runtime of a command of which nothing else is known."""


class Pushing:
    """Hands agents' own words to the feed. What is refused leaves the last accepted state as it was."""

    def __init__(self, feed: Feed, intake: Intake | None = None) -> None:
        self._feed = feed
        self._intake = intake

    async def publish(self, request: Request) -> Response:
        """`POST /v1/agents/{id}/state`"""
        require_json(request)
        name = _valid(request.path_params["id"])
        body = await request.body()
        state = _decoded(body)
        ignored = _unknown_fields(body)
        if state.agent_id != name:
            raise Refusal(  # 409, as RFC 9110 has it (9.3.4) where the two contradict each other
                409,
                f"The body is about agent {quoted(state.agent_id)}, the path about {quoted(name)}. "
                "Send each agent's state to its own path.",
            )
        known = next((agent.state for agent in self._feed.own_agents() if agent.agent_id == name), None)
        taken = beside(known, state)
        try:
            if taken is not None:
                self._feed.publish(taken)
        except PublishError as error:
            cannot = isinstance(error, CarriesNone) or self._is_full(name)
            raise Refusal(409 if cannot else 413, f"The state was not taken: {error}") from error
        process = request.headers.get("meshfleet-process")
        if process is not None:
            self._feed.attend(name, process)
        telemetry = request.headers.get("meshfleet-telemetry")
        if telemetry is not None and self._intake is not None:
            self._intake.tells_itself(telemetry[:TELEMETRY_LENGTH])
        accepted = Accepted(agent_id=name, node=self._feed.health().node, ignored=ignored)
        return json_answer(accepted, status=202)

    def _is_full(self, name: AgentId) -> bool:
        own = [agent.agent_id for agent in self._feed.own_agents()]
        return len(own) >= AGENTS_LIMIT and name not in own

    async def withdraw(self, request: Request) -> Response:
        """`DELETE /v1/agents/{id}`"""
        name = _valid(request.path_params["id"])
        own = [agent.agent_id for agent in self._feed.own_agents()]
        if name not in own:
            raise Refusal(
                404,
                f"This node carries no agent {quoted(name)}. Only the node that carries an agent can withdraw it: "
                "GET /v1/fleet tells which one does.",
                near=near(name, own),
            )
        self._feed.withdraw(name)
        return Response(status_code=204)


def beside(known: AgentState | None, pushed: AgentState) -> AgentState | None:
    """What is to be shown after `pushed`; None where nothing changes.

    Who only runs an agent (`meshfleet run`) knows its process and no more. Where the agent itself is told of under the
    same id, by its telemetry or its session file, that stays, and only its end is taken over.
    """
    if pushed.runtime != PROCESS or known is None or known.runtime == PROCESS:
        return pushed
    if pushed.status is not Status.EXITED:
        return pushed if known.status is Status.EXITED else None  # it is run once more
    return msgspec.structs.replace(
        known,
        status=Status.EXITED,
        timestamp=pushed.timestamp,
        exit_code=pushed.exit_code,
        active_tool=None,
        active_tool_since=None,
        sources={**known.sources, "status": "reported:process"},
    )


def _valid(text: str) -> AgentId:
    try:
        return agent_id(text)
    except ConfigError as error:
        raise Refusal(400, str(error)) from error


def _decoded(body: bytes) -> AgentState:
    if not body.strip():
        raise Refusal(400, "The body is empty. Send an AgentState as JSON; /openapi.json describes its fields.")
    try:
        return read(body, AgentState)
    except msgspec.ValidationError as error:
        hint = f" Known statuses: {', '.join(Status)}." if str(error).endswith("`$.status`") else ""
        raise Refusal(400, f"The state is not valid: {error}.{hint} /openapi.json describes its fields.") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refusal(400, f"The body is not JSON: {error}.") from error


def _unknown_fields(body: bytes) -> tuple[str, ...]:
    """Which fields of a body that was decoded once already are none of ours."""
    try:
        given = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        # Names and values of unknown fields were skipped before, and not looked at.
        raise Refusal(400, f"The body is not JSON: {error}.") from error
    return tuple(field[:64] for field in given if field not in AgentState.__struct_fields__)[:IGNORED_SHOWN]
