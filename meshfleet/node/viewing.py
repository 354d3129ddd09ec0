"""From a member's records to the fleet's view: ages become times, bytes become states, and unchanged parts are kept."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from meshfleet.errors import WireError
from meshfleet.fleet.endpoint import through
from meshfleet.fleet.merge import credit, merge
from meshfleet.fleet.names import AgentId, NodeName, is_node_url
from meshfleet.fleet.presence import FRESH, Presence, Verdict
from meshfleet.fleet.state import AgentState, Snapshot, Status
from meshfleet.fleet.view import AgentView, FleetView, Health, NodeView, Period, ServedBy
from meshfleet.wire.accounts import RESERVED
from meshfleet.wire.codec import decode_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from meshfleet.fleet.cost import Today
    from meshfleet.fleet.endpoint import Contact
    from meshfleet.fleet.notice import Notice
    from meshfleet.fleet.source import SourceTold
    from meshfleet.gossip.member import Member
    from meshfleet.gossip.record import Record
    from meshfleet.gossip.replica import Shelf

LEFT_SHOWN = 3_600.0
"""Seconds for which a node that left, and its agents, are still shown."""

LAST_LIFE_SHOWN = 4
"""Times T for which agents are shown of which only their node's last life told. A node reads its agents' files within
seconds of its start; whom it has not told of by then it does not know."""

OF_LAST_LIFE = "its node began a new life, which has not told of it yet"


def rfc3339(seconds: float) -> str:
    """Unix time as the API writes it: UTC, milliseconds, Z."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Viewing:
    """Builds views of one member's fleet. Keeps decoded states, since snapshots change far less often than views
    are read."""

    def __init__(self, member: Member) -> None:
        self._member = member
        self._states: dict[NodeName, dict[AgentId, tuple[Snapshot, AgentState | None]]] = {}
        self.asks: Callable[[NodeName], bool] = lambda _node: False
        """Whether a node asks any agent over HTTP: of one that does not, nobody looks for contacts."""
        self.contact: Callable[[NodeName, AgentId], Contact | None] = lambda _node, _agent: None
        """What a node says of an agent that it asks over HTTP; None of all others."""
        self.undecodable = 0
        """States that are authentic and make no sense to this version."""

    def fleet(
        self,
        version: str,
        now: float,
        wall: float,
        lag: float,
        period: Period | None = None,
        today: Today | None = None,
        attention: tuple[Notice, ...] = (),
        sources: tuple[SourceTold, ...] = (),
    ) -> FleetView:
        """The merged view at `now`, monotonic, which is `wall` in Unix time."""
        at = self._member.listening.at(now)
        shown = [r for r in self._member.roster if not self._is_history(r, at)]
        agents = [*self._own(at, wall)]
        for record in shown:
            agents += self._agents_of(record, at, wall)
        for name in self._states.keys() - {record.name for record in shown} - {self._member.name}:
            del self._states[name]
        return merge(
            version=version,
            now=rfc3339(wall),
            served_by=self._served_by(at, wall, lag, sources),
            nodes=[self._myself(at, wall), *(self._node(record, at, wall) for record in shown)],
            agents=self._one_carrier_each(agents),
            period=period,
            today=today,
            attention=attention,
        )

    def own_agents(self, *, now: float, wall: float) -> tuple[AgentView, ...]:
        """The agents that this node carries."""
        return tuple(self._own(self._member.listening.at(now), wall))

    def agents_of(self, name: NodeName, *, now: float, wall: float) -> tuple[AgentView, ...]:
        """The agents of one other node, as they are in the view of the fleet; none of a node that is not."""
        at = self._member.listening.at(now)
        record = self._member.roster.get(name)
        shown = record is not None and not self._is_history(record, at)
        return tuple(self._agents_of(record, at, wall)) if record is not None and shown else ()

    def health(self, version: str) -> Health:
        """What is said to anyone who asks."""
        member = self._member
        return Health(
            node=member.name,
            epoch=member.epoch,
            heartbeat=member.beats.counter,
            standing=member.standing.standing,
            version=version,
        )

    def _is_history(self, record: Record, at: float) -> bool:
        return record.presence is Presence.LEFT and at - record.judged_since > LEFT_SHOWN

    def _served_by(self, at: float, wall: float, lag: float, sources: tuple[SourceTold, ...]) -> ServedBy:
        member = self._member
        islands = member.rows.islands(member.standing.groups)
        return ServedBy(
            node=member.name,
            standing=member.standing.standing,
            since=rfc3339(wall - (at - member.judging.stands_since)),
            reasons=(*member.standing.reasons, *self._streams_alone()),
            local_health=member.awareness.score,
            loop_lag_ms=round(1000 * lag, 1),
            islands=tuple(tuple(NodeName(name) for name in island) for island in islands),
            cuts=member.rows.cuts(),
            sources=sources,
            slowed=member.pacing.told,
        )

    def _streams_alone(self) -> tuple[str, ...]:
        """That no datagram gets through, where none does: in a line, for the first place that anybody looks at."""
        member = self._member
        names = sorted(record.name for record in member.roster.hopeful if member.ways.by_stream(record))
        if not names:
            return ()
        whom = "anybody" if len(names) == len(member.roster.hopeful) else _listed(names)
        return (f"no datagram gets through to {whom}: what goes there goes over streams. `meshfleet doctor` says more",)

    def _myself(self, at: float, wall: float) -> NodeView:
        me = self._member.membership.me
        return NodeView(
            name=self._member.name,
            role=me.info.role,
            zone=me.info.zone,
            host=me.info.host,
            epoch=me.epoch,
            incarnation=me.incarnation,
            presence=Presence.FRESH,
            certainty=None,
            reach="self",
            transport="local",
            age_s=0.0,
            last_seen=rfc3339(wall),
            since=rfc3339(wall - (at - self._member.started_at)),
            reasons=_hidden(me.info.relays),
            rtt_ms=None,
            clock_offset_ms=None,
            base_url=me.info.base_url,
            version=me.info.version,
            agents=(),
        )

    def _node(self, record: Record, at: float, wall: float) -> NodeView:
        age = max(0.0, at - record.beat_at)
        return NodeView(
            name=record.name,
            role=record.info.role,
            zone=record.info.zone,
            host=record.info.host,
            epoch=record.epoch,
            incarnation=record.alive.incarnation,
            presence=record.presence,
            certainty=record.verdict.certainty,
            reach=record.reach,
            transport=record.way,
            age_s=round(age, 2),
            last_seen=rfc3339(wall - age) if record.beat else None,
            since=rfc3339(wall - (at - record.judged_since)),
            reasons=record.verdict.reasons,
            rtt_ms=None if record.rtt is None else round(1000 * record.rtt, 2),
            clock_offset_ms=None if record.clock_offset is None else round(1000 * record.clock_offset, 0),
            base_url=_url(record),
            version=record.info.version,
            agents=(),
        )

    def _own(self, at: float, wall: float) -> Iterator[AgentView]:
        member = self._member
        shelf, now = member.replica.shelf(member.name), rfc3339(wall)
        since = rfc3339(wall - (at - member.started_at))  # as long as this node has been there to see them
        asks = self.asks(member.name)
        for snapshot, state in self._carried(shelf):
            agent = _agent(snapshot, state, FRESH, age=0.0, transport="local", last_seen=now, since=since)
            yield self._through(agent, FRESH, wall) if asks else agent

    def _agents_of(self, record: Record, at: float, wall: float) -> Iterator[AgentView]:
        shelf, verdict = self._member.replica.shelf(record.name), record.verdict
        if shelf is not None and shelf.epoch < record.epoch:
            if at - record.met_at > LAST_LIFE_SHOWN * self._member.timing.heartbeat:
                return
            verdict = _of_last_life(verdict)
        age = max(0.0, at - record.beat_at)
        # All of a node's are as old as it is: a thousand times told would be most of a view's cost.
        last_seen, since = rfc3339(wall - age), rfc3339(wall - (at - record.judged_since))
        asks, way = self.asks(record.name), record.way
        for snapshot, state in self._living(record.name, shelf, record.epoch):
            agent = _agent(
                snapshot,
                state,
                verdict,
                age=age,
                transport=way,
                last_seen=last_seen,
                since=since,
            )
            yield self._through(agent, verdict, wall) if asks else agent

    def _through(self, agent: AgentView, carrier: Verdict, wall: float) -> AgentView:
        """The same, where it is an agent that its node asks over HTTP: as far as the node has answers of it."""
        contact = self.contact(agent.node, agent.agent_id)
        if contact is None:
            return agent
        age = agent.age_s
        if agent.node == self._member.name or contact.presence is not Presence.FRESH:
            age = max(age, round(contact.silent_s, 2))
        agent = msgspec.structs.replace(agent, transport=contact.transport.value, age_s=age)
        agent = msgspec.structs.replace(agent, last_seen=rfc3339(wall - age))
        if agent.state.status is Status.EXITED:
            return agent
        verdict = through(agent.node, carrier, contact)
        since = rfc3339(wall - contact.so_for_s) if carrier.presence is Presence.FRESH else agent.since
        return msgspec.structs.replace(
            agent, presence=verdict.presence, certainty=verdict.certainty, reasons=verdict.reasons, since=since
        )

    def _one_carrier_each(self, agents: list[AgentView]) -> list[AgentView]:
        """Of an agent that several nodes ask over HTTP only the word of the one that is believed: they hand it on to
        each other, so it is no clash."""
        if len({agent.agent_id for agent in agents}) == len(agents):
            return agents
        claims: dict[AgentId, list[AgentView]] = {}
        for agent in agents:
            claims.setdefault(agent.agent_id, []).append(agent)
        shown: list[AgentView] = []
        for rivals in claims.values():
            is_asked = len(rivals) > 1 and all(self.contact(a.node, a.agent_id) is not None for a in rivals)
            shown += [min(rivals, key=credit)] if is_asked else rivals
        return shown

    def _living(self, node: NodeName, shelf: Shelf | None, epoch: int) -> list[tuple[Snapshot, AgentState]]:
        """Of each agent of a node that is there, and makes sense: what it said last. Those and no others are kept.
        What a life tells that was not introduced yet waits for that: what is known of its node is of the one before."""
        before, kept = self._states.get(node, {}), dict[AgentId, tuple[Snapshot, AgentState | None]]()
        if shelf is not None and shelf.epoch > epoch:
            kept, shelf = before, None
        for snapshot in _of_agents(shelf):
            known = before.get(snapshot.agent)
            if known is None or known[0].body is not snapshot.body:
                known = (snapshot, self._decoded(snapshot))
            kept[snapshot.agent] = known
        self._states[node] = kept
        return [(snapshot, state) for snapshot, state in kept.values() if state is not None]

    def _carried(self, shelf: Shelf | None) -> Iterator[tuple[Snapshot, AgentState]]:
        """Of each agent of this node what it said last, also of one that is there again and waits to be told."""
        member, there = self._member, self._living(self._member.name, shelf, self._member.epoch)
        for snapshot, said in there:
            yield snapshot, self._held(snapshot.agent) or said
        told = {snapshot.agent for snapshot, _ in there}
        for agent in member.pacing.waiting():
            if agent in told or agent.startswith(RESERVED):
                continue
            state = self._held(agent)
            if state is not None:
                yield Snapshot(member.name, member.epoch, 0, 0, 0, agent, b""), state  # it has no seq until it goes

    def _held(self, agent: AgentId) -> AgentState | None:
        """What an agent of this node said since, and others are told when it is its turn."""
        body = self._member.pacing.held(agent)
        return decode_state(body) if body else None

    def _decoded(self, snapshot: Snapshot) -> AgentState | None:
        try:
            return decode_state(snapshot.body)
        except WireError:
            self.undecodable += 1
            return None


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _hidden(relays: tuple[str, ...]) -> tuple[str, ...]:
    return (f"nobody can reach it; {', '.join(relays)} pass on what is for it",) if relays else ()


def _url(record: Record) -> str | None:
    """Where it says that it serves. Any member may say anything, and readers go there: what is no address is not
    shown."""
    url = record.info.base_url
    return url if url is not None and is_node_url(url) else None


def _of_agents(shelf: Shelf | None) -> Iterator[Snapshot]:
    """What is no agent's is not shown: what nodes tell besides has ids that no agent can have."""
    for snapshot in shelf.living() if shelf is not None else ():
        if not snapshot.agent.startswith(RESERVED):
            yield snapshot


def _of_last_life(verdict: Verdict) -> Verdict:
    """What is shown of agents that a node's last life told of, and its present one has not told of yet."""
    presence = Presence.STALE if verdict.presence is Presence.FRESH else verdict.presence
    return msgspec.structs.replace(verdict, presence=presence, reasons=(OF_LAST_LIFE, *verdict.reasons))


def _agent(
    snapshot: Snapshot,
    state: AgentState,
    verdict: Verdict,
    *,
    age: float,
    transport: str | None,
    last_seen: str,
    since: str,
) -> AgentView:
    if state.status is Status.EXITED:
        code = "" if state.exit_code is None else f" with code {state.exit_code}"
        verdict = Verdict(Presence.LEFT, (f"its process exited{code}",))
    return AgentView(
        agent_id=snapshot.agent,
        node=snapshot.node,
        presence=verdict.presence,
        certainty=verdict.certainty,
        age_s=round(age, 2),
        last_seen=last_seen,
        since=since,
        reasons=verdict.reasons,
        epoch=snapshot.epoch,
        seq=snapshot.seq,
        transport=transport,
        state=state,
    )
