"""What streams tell of a view's changes, and that a reader who puts them in has the view itself."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshfleet.client.change import Change, applied, is_seen_later, same_agent, same_node
from meshfleet.fleet.merge import merge
from meshfleet.fleet.names import AgentId, NodeName
from meshfleet.fleet.presence import Certainty, Presence
from meshfleet.fleet.standing import Standing
from meshfleet.fleet.state import AgentState, Status
from meshfleet.fleet.view import AgentView, FleetView, NodeView, ServedBy
from meshfleet.serve.changes import GONE_LIMIT, Changes

T0 = datetime(2026, 11, 23, 20, 15, tzinfo=UTC)
OF_AGES = {"age_s", "last_seen", "since"}


def at(seconds: float) -> str:
    return (T0 + timedelta(seconds=seconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def node(name: str, seen: float, now: float, presence: Presence = Presence.FRESH) -> NodeView:
    return NodeView(
        name=NodeName(name), role="agent", zone=None, host=name, epoch=1, incarnation=0, presence=presence,
        certainty=None, reach="direct", transport="udp", age_s=round(now - seen, 2), last_seen=at(seen), since=at(0),
        reasons=(), rtt_ms=None, clock_offset_ms=None, base_url=None, version="1", agents=(),
    )  # fmt: skip


def asked(of: AgentView, answered: float, now: float) -> AgentView:
    """The same, where its node asks it over HTTP and had the last answer then."""
    return msgspec.structs.replace(of, transport="poll", age_s=round(now - answered, 2), last_seen=at(answered))


def agent(name: str, carrier: NodeView, seq: int) -> AgentView:
    state = AgentState(agent_id=name, timestamp=at(0), status=Status.IDLE, runtime="x", tokens_in=seq)
    return AgentView(
        agent_id=AgentId(name), node=carrier.name, presence=carrier.presence, certainty=None, age_s=carrier.age_s,
        last_seen=carrier.last_seen, since=at(0), reasons=(), epoch=1, seq=seq, transport="udp", state=state,
    )  # fmt: skip


Shown = dict[str, tuple[int, Presence, dict[int, int]]]
"""Name of a node -> how many heartbeats it has had, what is said of it, and its agents' seqs."""

shown = st.dictionaries(
    st.sampled_from(["n0", "n1", "n2", "n3"]),
    st.tuples(st.integers(0, 3), st.sampled_from(Presence), st.dictionaries(st.integers(0, 3), st.integers(1, 3))),
)


def in_time(history: list[Shown]) -> list[Shown]:
    """With so many heartbeats more each time: nobody is heard of earlier than before."""
    beats: Counter[str] = Counter()
    lasting: list[Shown] = []
    for told in history:
        for name, (more, _, _) in told.items():
            beats[name] += more
        lasting.append({name: (beats[name], said, seqs) for name, (_, said, seqs) in told.items()})
    return lasting


def view(number: int, told: Shown) -> FleetView:
    """The view at second 10 * number. A heartbeat comes each second; `n0` serves. Agents 2 and 3 are asked over HTTP:
    as old as their last answer where n0 asks them, or where they are silent; 3 answers no more from second 25 on."""
    now = 10.0 * number
    others = {name: of for name, of in told.items() if name != "n0"}
    nodes = [node("n0", now, now), *(node(name, beats, now, said) for name, (beats, said, _) in others.items())]

    def told_of(carrier: NodeView, i: int, seq: int) -> AgentView:
        one, answered = agent(f"{carrier.name}/a{i}", carrier, seq), now - 1.5 * (number % 3)
        if i == 3 and now > 25:
            return msgspec.structs.replace(asked(one, 25, now), presence=Presence.UNREACHABLE)
        if i < 2:
            return one
        if carrier.name == "n0" or one.presence is not Presence.FRESH:
            return asked(one, answered, now)
        return msgspec.structs.replace(one, transport="poll")

    agents = [
        told_of(carrier, i, seq)
        for carrier in nodes
        for name in (carrier.name,)
        for i, seq in (told[name][2] if name in told else {}).items()
    ]
    served = ServedBy(
        node=NodeName("n0"), standing=Standing.CONNECTED, since=at(0), reasons=(), local_health=0, loop_lag_ms=number,
        islands=(),
    )  # fmt: skip
    return merge(version=f"b-{number}", now=at(now), served_by=served, nodes=nodes, agents=agents)


@given(st.lists(shown, min_size=2, max_size=8), st.data())
def test_a_reader_who_missed_any_number_of_looks_has_the_view_after_one_change(
    history: list[Shown], data: st.DataObject
) -> None:
    changes, numbers, views = Changes(), [], [view(number, told) for number, told in enumerate(in_time(history), 1)]
    for one in views:
        changes.look(one)
        numbers.append(changes.number)
    left_at = data.draw(st.integers(0, len(views) - 1))
    change = changes.since(numbers[left_at])
    assert change is not None
    over_the_wire = msgspec.json.decode(msgspec.json.encode(change), type=Change)
    assert applied(views[left_at], over_the_wire) == views[-1]


def test_what_did_not_change_is_not_told() -> None:
    changes = Changes()
    changes.look(view(1, {"n1": (0, Presence.FRESH, {0: 1, 1: 1}), "n2": (0, Presence.FRESH, {})}))
    before = changes.number
    assert changes.look(view(1, {"n1": (0, Presence.FRESH, {0: 1, 1: 2}), "n2": (1, Presence.FRESH, {})}))
    change = changes.since(before)
    assert change is not None
    assert [one.agent_id for one in change.agents] == ["n1/a1"]
    assert (change.nodes, change.seen) == ((), {"n2": at(1)})


def test_who_is_gone_is_told_of_for_so_long_and_then_the_view_is_needed_anew() -> None:
    changes = Changes()
    changes.look(view(1, {"n1": (0, Presence.FRESH, {0: 1})}))
    there = changes.number
    changes.look(view(2, {}))
    change = changes.since(there)
    assert change is not None
    assert (change.gone_nodes, change.gone_agents) == (("n1",), ("n1/a0",))
    for number in range(2 * GONE_LIMIT):
        changes.look(view(number, {"n2": (0, Presence.FRESH, {})} if number % 2 else {}))
    assert changes.since(there) is None
    assert changes.since(changes.number + 1) is None
    assert changes.since(changes.number) is not None


def test_agents_come_by_what_their_node_comes_by() -> None:
    changes = Changes()
    changes.look(first := view(1, {"n2": (0, Presence.FRESH, {1: 1})}))
    by_stream = msgspec.structs.replace(
        view(2, {"n2": (0, Presence.FRESH, {1: 1})}),
        nodes=tuple(msgspec.structs.replace(each, transport="stream") for each in first.nodes),
        agents=tuple(msgspec.structs.replace(each, transport="stream") for each in first.agents),
    )
    changes.look(by_stream)
    change = changes.since(1)
    assert change is not None
    assert (change.agents, {each.transport for each in change.nodes}) == ((), {"stream"})
    assert {each.transport for each in applied(first, change).agents} == {"stream"}


def test_agents_that_are_asked_over_http_keep_their_own_way_and_their_own_age() -> None:
    told: Shown = {"n0": (0, Presence.FRESH, {1: 1, 2: 1}), "n1": (5, Presence.FRESH, {2: 1})}
    changes = Changes()
    changes.look(first := view(1, told))
    changes.look(second := view(2, told))
    change = changes.since(1)
    assert change is not None
    assert (change.agents, change.seen_agents) == ((), {"n0/a2": at(17)})  # what n1 asks is as old as n1 is
    assert applied(first, change) == second
    changes.look(by_events := msgspec.structs.replace(second, agents=tuple(
        msgspec.structs.replace(each, transport="events" if each.transport == "poll" else each.transport)
        for each in second.agents
    )))  # fmt: skip
    change = changes.since(1)
    assert change is not None
    assert [each.agent_id for each in change.agents] == ["n0/a2", "n1/a2"]
    assert applied(first, change) == by_events


@pytest.mark.parametrize("kind", [NodeView, AgentView])
def test_every_field_but_ages_and_what_an_agent_has_of_its_node_counts_as_a_change(
    kind: type[NodeView] | type[AgentView],
) -> None:
    carrier = node("n1", 0, 1)
    left_out = OF_AGES if kind is NodeView else {*OF_AGES, "transport"}
    one: NodeView | AgentView = carrier if kind is NodeView else agent("n1/a", carrier, 1)
    for field in kind.__struct_fields__:
        other: object = {"state": None, "presence": Presence.DOWN, "certainty": Certainty.PROVEN}.get(field, "other")
        two = msgspec.structs.replace(one, **{field: other})
        if isinstance(one, NodeView):
            assert isinstance(two, NodeView)
            same = same_node(one, two)
        else:
            assert isinstance(two, AgentView)
            same = same_agent(one, two)
        assert same is (field in left_out), field


def test_a_node_never_heard_of_is_heard_of_once() -> None:
    assert is_seen_later(None, at(0))
    assert not is_seen_later(at(0), None)
    assert not is_seen_later(at(0), at(0.1))
    assert is_seen_later(at(0), at(0.2))
