"""Every bound of the core, with what happens at it. Each that drops something counts it under the name given."""

from __future__ import annotations

from collections import Counter

DATAGRAM_BYTES = 1_400
"""One datagram, seal included: below the 1,500 of Ethernet with room for IPv6 and a tunnel. memberlist uses the
same."""

FRAME_BYTES = 48_000
"""What one stream frame carries before its messages are split over several."""

MEMBERS = 10_000
"""Members that a roster holds, the gone among them until their tombstones expire. At it, whoever has been gone for
longest goes: `forgotten_early`. Where nobody is gone, newcomers are refused: `refused_member`."""

UNKNOWN_MEMBERS = 256
"""Names that others accuse or bury before they were ever introduced. At it, the news is dropped: `refused_unknown`."""

ACCUSERS = 16
"""Accusers remembered of one suspicion: K is 3, one per host; the smallest names are kept, so order does not matter."""

ROW = 256
"""Names that a node says it can't reach. Beyond it the rest is left out, and counted: `short_row`."""

RUMORS = 4_096
"""Rumors waiting to be passed on. At it, the most often sent goes: `dropped_rumor`. Alertmanager's default is the
same."""

FACTS = 64
"""Facts remembered of each member, for `why`. The oldest go."""

REFUSALS = 8
"""Refused connections remembered of one member. The oldest go."""

PENDING_DIGESTS = 64
"""Digests with news that may be on its way. At it, the next one's news is asked for at once."""

STEPS = 1_024
"""Steps of snapshots that wait to be told that they arrived. At it, further ones are sent without asking:
`untold_step`."""

PENDING_RELAYS = 1_024
"""Pings under way on behalf of others. At it, further requests are nacked at once: `refused_relay`."""

RELAYED = 256
"""Hidden members that one node passes on for. What is for further ones is dropped: `dropped_relay_on`."""

RELAY_RATE = 65_536
"""Bytes a second that it passes on to each: some ten times what a fleet of 128 sends to one. Beyond it: dropped, the
same."""

RELAY_BURST = 262_144
"""How many of them may come at once: a few of the largest frames."""

REPLICA_BYTES = 64 * 1024 * 1024
"""Snapshots held of the whole fleet. At it, snapshots of agents not held yet are refused: `refused_snapshot`."""

REVOKED = 1_024
"""Names that the fleet's owner threw out. At it no further one is kept: `refused_revoked`."""

FORGERS = 256
"""Lines of who passed on forgeries in whose name, for `meshfleet doctor`. The longest unrepeated goes."""

FORGERIES = 32
"""Forgeries from one peer in FORGERIES_WITHIN seconds after which nothing that it passes on is looked at until they are
over: `unexamined`. So a flood of bad signatures costs 1 ms of each second at most for each member in whose name it
comes."""

FORGERIES_WITHIN = 10.0
"""Seconds, see there."""

CHAIN = 4_096
"""Heartbeats that one hash chain proves: at one each 2.5 s it lasts for 2.8 hours. Longer, and a newcomer hashes more
before it believes anybody (2,048 times a member, on average); shorter, and the Alive that anchors the next one is told
more often: at 128 nodes it is 70 bytes/s for each."""

NEAR = 16
"""Heartbeats missed (40 s) up to which the next one is always looked at, whoever brings it: some 15 us at most, about
what opening its datagram costs. So nobody can have others' heartbeats refused by forging some in their name."""

IN_VAIN = 64
"""Hashes that heartbeats of one packet may cost and prove nothing. The rest of it is not looked at: `unexamined`."""

WASTED = 8_192
"""The same of one peer in FORGERIES_WITHIN seconds, for heartbeats further than NEAR: 1 ms of each second."""

PROVING = 131_072
"""Hashes that heartbeats further than NEAR may cost in one packet, forged or not: 0.1 s. Of a newcomer to a large fleet
the rest waits until it is told again: `put_off_beat`."""

WITHDRAWN = 64
"""Tombstones of withdrawn agents that an origin keeps; then it publishes older states anew and raises its floor."""

ZONES = 128
"""Other zones of which a delegate tells its own, each as a snapshot. Of further ones nothing is shown."""

BESIDES = 40 + ZONES
"""Snapshots of a node that are no agent's: what it and others have used, whom it told what needs attention, and what it
says of other zones. Beyond it, agents and what was withdrawn, its oldest goes: `refused_snapshot`."""

EVENTS = 1_024
"""Events not fetched yet. The oldest go: `dropped_event`."""

OUTBOX = 4_096
"""Messages waiting to be fetched by the driver. The oldest go: `dropped_outgoing`."""

STATE_OUTBOX = 3_072
"""How many of them may be snapshots. Beyond it the newest is dropped: `dropped_state`.
So they never push out a probe or a heartbeat; digests repair what is dropped."""

INCARNATION_LEAP = 1 << 16
"""How far an incarnation may jump: above it the claim is a forgery that would leave no number to refute with."""

ASKED = 4
"""How often one packet is answered about the same: what one node's agents do, a roll. Beyond it: `refused_repeat`. One
that means well asks for it once or twice (see asked)."""

TOLD_ALL = 2
"""How often one peer is compared with all that is known in TOLD_ALL_WITHIN seconds, and told it where that differs, in
one packet or in many. Beyond it, the same. Twice, since a push-pull of its own may cross one of mine."""

TOLD_ALL_WITHIN = 1.0
"""Seconds, see there."""

TOLD_ALL_PEERS = 1_024
"""Peers of whom that is remembered. The longest silent goes; so many have streams here at no time."""

ANSWER_BYTES = 36_000
"""Bytes of snapshots in answer to one datagram, 26 times what it holds at most. What is beyond is left out, and asked
for again: `refused_rest`."""

CONNECTS = 256
"""Connection attempts awaiting their outcome. At it, no further one is asked for: `refused_connect`."""

Counts = Counter[str]
"""Drop and event counters of one member, by name."""
