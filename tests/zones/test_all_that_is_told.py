"""The most that an honest node tells: a delegate of many zones, with as many agents as a node may carry."""

from __future__ import annotations

from collections import Counter

from meshfleet.fleet.names import AgentId, NodeName
from meshfleet.fleet.state import AGENTS_LIMIT
from meshfleet.gossip.limits import BESIDES, WITHDRAWN
from meshfleet.gossip.replica import Replica
from meshfleet.gossip.vouching import Trusting
from meshfleet.node.books import BUCKETS
from meshfleet.wire.accounts import ACCOUNTS, ENDPOINTS, EXPORTING, MARKS, NOTICES, TOLD
from meshfleet.wire.zones import SUMS, UPPER, WORD
from meshfleet.zones.seen import ZONES_LIMIT

OF_A_NODE = [ACCOUNTS, MARKS, NOTICES, ENDPOINTS, EXPORTING, SUMS, UPPER]
TOLD_OF_THE_GONE = [f"{TOLD}{i:02x}" for i in range(BUCKETS)] + [f"{TOLD}m{i}" for i in range(BUCKETS // 3)]
ZONES = [f"{WORD}z{i}" for i in range(ZONES_LIMIT)]


def test_all_that_an_honest_node_may_tell_is_held_by_whoever_hears_it() -> None:
    beside = [*OF_A_NODE, *TOLD_OF_THE_GONE, *ZONES]
    assert len(set(beside)) <= BESIDES
    counts: Counter[str] = Counter()
    origin = Replica(NodeName("n1"), 1, counts, Trusting().sign)
    reader = Replica(NodeName("n2"), 1, counts, Trusting().sign)
    agents = [f"n1/{i}" for i in range(AGENTS_LIMIT)]
    said = [origin.publish(AgentId(f"gone/{i}"), body) for i in range(WITHDRAWN) for body in (b"state", b"")]
    said += [origin.publish(AgentId(agent), b"state") for agent in (*agents, *beside)]
    for snapshots in said:
        for snapshot in snapshots:
            assert reader.add(snapshot)
    shelf = reader.shelf("n1")
    assert shelf is not None
    assert {snapshot.agent for snapshot in shelf.living()} == {*agents, *beside}
    assert counts["refused_snapshot"] == 0
    (have,) = [have for have in origin.have() if have.node == "n1"]
    assert reader.compare((have,)) == ([], []), "nothing of it is asked for any more"
