"""One participant of the mesh: SWIM with Lifeguard, and the spread of snapshots, as a pure state machine.

Feed it what happens, ask it what to do:

    member.receive(packet, source, via, now)     something arrived
    member.handle_timer(now)                     the time it asked for has come
    member.publish(agent, body, now)             an agent beside it has news
    member.next_timer()                          when to call handle_timer next
    member.outgoing(now)                         what to send, to whom, by which transport
    member.events()                              what changed

It never reads a clock (`now` is monotonic seconds, passed in), never sleeps, never touches a socket. Garbage from the
network is counted, never raised. docs/design.md argues each deviation from SWIM (DSN 2002) and Lifeguard (arXiv
1707.00788).
"""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING

from meshfleet.fleet.presence import Presence
from meshfleet.gossip.asked import Asked
from meshfleet.gossip.awareness import Awareness
from meshfleet.gossip.beats import Heartbeats
from meshfleet.gossip.events import CastOut, Event, Joined, Relayed, Renewed
from meshfleet.gossip.hearing import Hearing
from meshfleet.gossip.judging import Judging
from meshfleet.gossip.limits import EVENTS, Counts
from meshfleet.gossip.listening import Listening
from meshfleet.gossip.membership import ASLEEP, Membership
from meshfleet.gossip.messages import Alive, Connect, Message, NodeInfo, Packet, Revoked, StreamEnd, Via
from meshfleet.gossip.neighbours import Neighbours
from meshfleet.gossip.outbox import Outbox
from meshfleet.gossip.outcasts import Outcasts
from meshfleet.gossip.outcomes import Outcomes
from meshfleet.gossip.pacing import Pacing
from meshfleet.gossip.record import HOPEFUL
from meshfleet.gossip.relays import Relays, with_relays
from meshfleet.gossip.replica import Replica
from meshfleet.gossip.rollcall import RollCalls
from meshfleet.gossip.roster import Roster
from meshfleet.gossip.rounds import Rounds
from meshfleet.gossip.rows import Rows
from meshfleet.gossip.rules import MESHFLEET, Rules
from meshfleet.gossip.rumors import Measure, Rumors
from meshfleet.gossip.spread import Spread
from meshfleet.gossip.sums import Sums
from meshfleet.gossip.timers import Timer, Timers
from meshfleet.gossip.vouching import Vouching
from meshfleet.gossip.ways import Ways

if TYPE_CHECKING:
    from random import Random

    from meshfleet.fleet.names import Address, AgentId, Epoch, NodeName
    from meshfleet.fleet.standing import Assessment
    from meshfleet.fleet.timing import Timing
    from meshfleet.gossip.orders import Outgoing
    from meshfleet.gossip.vouching import Notary


class Member:
    """See the module. All times passed in are monotonic seconds of one clock; all verdicts are this member's own."""

    def __init__(
        self,
        name: NodeName,
        epoch: Epoch,
        info: NodeInfo,
        timing: Timing,
        rng: Random,
        measure: Measure,
        overhead: int,
        notary: Notary,
        now: float,
        rules: Rules = MESHFLEET,
    ) -> None:
        self.name = name
        self.timing = timing
        self.counts: Counts = Counter()
        self.started_at = now
        self.changes = 0
        """Grows whenever anything but an age changes."""
        self.rng = rng
        self._now = self._at = now
        """Listening seconds of the input that is being handled."""
        self._events: deque[Event] = deque()
        self._early_streams: set[NodeName] = set()
        """Who opened a stream before introducing itself. Bounded by the driver's streams."""
        self.listening = Listening(timing, now, enabled=rules.listening)
        self.awareness = Awareness(timing, enabled=rules.health)
        self.timers = Timers()
        self.roster = Roster(name, rng, self.counts, host=info.host)
        self.vouching = Vouching(notary, self.roster, self.counts)
        self.replica = Replica(name, epoch, self.counts, self.vouching.sign)
        self.rumors = Rumors(timing, measure, self.counts)
        self.beats = Heartbeats(name, epoch, timing, self.roster, self.counts, now, self.vouching)
        self.roll = RollCalls(self.beats, self.roster, timing, rng)
        self.outcasts = Outcasts(self.counts)
        self.asked = Asked(self.counts)
        self.ways = Ways(name, self.roster, self.counts)
        self.outbox = Outbox(measure, overhead, self.rumors, self.beats, self.counts, self.ways, timing.state_rate)
        self._goes_on: Timer | None = None
        """When what was left in the outbox goes."""
        self.relays = Relays(
            name, info.host, timing, self.roster, self.outbox, self.timers, rng, self.counts, self._name_relays
        )
        self.spread = Spread(
            name, timing, self.roster, self.replica, self.beats, self.outbox, self.timers, self.vouching, rng,
            self.counts, self.asked,
        )  # fmt: skip
        self.rows = Rows(name, epoch, timing, self.roster, self.outbox, self.vouching, self.counts)
        self.membership = Membership(
            Alive(name, epoch, 0, info), timing, self.roster, self.awareness, self.beats, self.rows, self.spread,
            self.rumors, self.outbox, self.outcasts, self.vouching, rng, self.counts, self.emit,
        )  # fmt: skip
        self.beats.used_up = self.membership.announce
        self.judging = Judging(
            name, info, timing, self.roster, self.awareness, self.listening, self.emit, self.membership.bury, rules
        )
        self.prober = rules.prober(
            name, timing, self.roster, self.awareness, self.outbox, self.timers, self.counts, Outcomes(self),
            buddy=rules.buddy,
        )  # fmt: skip
        self.neighbours = Neighbours(
            name, info.host, timing, self.roster, self.prober, self.judging, self.listening, self.outbox, self.timers,
            rng, self.counts, self.relays,
        )  # fmt: skip
        self.pacing = Pacing(timing, self.timers, self.counts, self._publish, self.emit)
        self.sums = Sums(self.membership, self.spread, self.roster, self.outbox)
        self.hearing = Hearing(self, now)
        self.rounds = Rounds(self)
        self.judging.heard_anyone_at = self.judging.stands_since = self._at
        self.rounds.start(now)

    # What the driver asks

    @property
    def epoch(self) -> Epoch:
        """This life of mine."""
        return self.membership.epoch

    @property
    def standing(self) -> Assessment:
        """What I think of myself."""
        return self.judging.assessment

    @property
    def heard_until(self) -> float:
        """Listening seconds of the input that is being handled."""
        return self._at

    def next_timer(self) -> float:
        """When `handle_timer` is to be called at the latest."""
        return self.timers.next()

    def outgoing(self, now: float) -> list[Outgoing]:
        """What is to be sent now. Each is handed out once."""
        if not self.outbox.waiting:
            return []
        out = self.outbox.drain(len(self.roster), self.listening.at(now))
        if (wait := self.outbox.wait) is not None and (self._goes_on is None or self._goes_on.action is None):
            self._goes_on = self.timers.at(now + wait, self._go_on)
        return out

    def envelope(self, messages: tuple[Message, ...], now: float, wall_ms: int) -> Packet:
        """The packet that carries `messages`: every one is also a heartbeat."""
        age = self.beats.my_age(self.listening.at(now))
        return Packet(self.name, self.epoch, self.beats.counter, age, wall_ms, messages, self.beats.proof)

    def events(self) -> list[Event]:
        """What changed since the last call. Each is handed out once."""
        if not self._events:
            return []
        events = [*self._events]
        self._events.clear()
        return events

    # What happens

    def handle_timer(self, now: float) -> None:
        """Do what is due. Early calls do nothing."""
        self._wake(now)
        self.timers.run_due(now)

    def receive(self, packet: Packet, source: Address, via: Via, now: float, clock_offset: float | None = None) -> None:
        """An authentic packet arrived. Total: any message in any state; what makes no sense is counted."""
        self._wake(now)
        at = self._at
        if packet.source == self.name:
            self.counts["own_name"] += 1
            return
        if packet.source in self.outcasts.by_name:
            self.counts["revoked_source"] += 1
            return
        sender: NodeName = packet.source  # type: ignore[assignment]  # a name, as the codec has made sure
        self.judging.heard_anyone_at = at
        self.judging.refused_since = None
        record = self.roster.get(sender)
        if record is not None and packet.epoch < record.epoch:
            self.counts["old_life"] += 1
            self.hearing.hear_rival(record, source, via, at)
            self.outbox.datagram_to(source, sender, record.alive)
            return
        self.vouching.brought_by(sender, via, at)
        self.asked.begin(sender, via, at)
        if record is not None and via is Via.DATAGRAM:
            record.delivery.received(source, at)
            self.ways.datagram_at = at
            record.near_at = at if record.info.relays and source == record.address else record.near_at
        elif record is not None and via is Via.STREAM and packet.epoch == record.epoch:
            source = record.address  # a stream that it opened comes from a port where no datagram is answered
        if record is not None and packet.epoch == record.epoch:
            self.hearing.hear_sender(record, packet, via, at, now, clock_offset)
        for message in packet.messages:
            self.hearing.dispatch(message, source, sender, via, at, now)
        if record is None or packet.epoch > record.epoch:
            self.hearing.meet(packet, source, via, at, now)
        elif record.presence is not Presence.FRESH or record.known.is_accused:
            self.judging.judge(record, now)

    def publish(self, agent: AgentId, body: bytes, now: float) -> None:
        """An agent of mine has a newer state; empty `body` withdraws it. It goes when it is the agent's turn."""
        self._wake(now)
        self.pacing.publish(agent, body, now)
        self.changes += 1

    def join(self, address: Address, now: float) -> None:
        """Exchange everything with whoever listens there. `Synced` tells that it did."""
        self.outbox.stream_to(address, None, *self.membership.everything(self.listening.at(now), reply=True))

    def keep_seeds(self, seeds: tuple[Address, ...]) -> None:
        """Addresses that are tried again whenever this member sees nobody, or too few."""
        self.rounds.seeds = seeds

    def remember(self, names: tuple[str, ...]) -> None:
        """Whom an earlier life of this member knew: if nobody answers, it is this one that is cut off."""
        self.judging.remembered = names

    def keep_to(self, zone: str) -> None:
        """Take in nobody of another zone: the fleet is on two levels, and this is the lower one."""
        self.membership.zone = zone

    def leave(self, now: float) -> None:
        """Say goodbye. The driver sends what is outgoing, and may then stop."""
        self.pacing.flush(now)
        self.membership.leave()

    def fall_asleep(self, now: float) -> None:
        """The machine is about to be suspended, and says so: say goodbye, until `wake_up`. The driver sends what is
        outgoing, and then lets the machine go."""
        self._wake(now)
        self.pacing.flush(now)
        self.membership.leave(ASLEEP)

    def wake_up(self, now: float) -> None:
        """It is awake again, or stayed so after all: go on as a later life, if I said goodbye for that."""
        self._wake(now)
        self.membership.return_from(ASLEEP)

    def forget(self, name: NodeName, now: float) -> bool:
        """Have a member forgotten that does not come back; False if it is unknown, or there after all."""
        record = self.roster.get(name)
        if record is None or record.presence in HOPEFUL:
            return False
        self.membership.forget(record, self.listening.at(now))
        self.judging.judge(record, now)
        return True

    def revoke(self, revoked: Revoked, now: float) -> None:
        """The fleet's owner threw a node out; the caller has checked that it was the owner."""
        news, record = self.membership.cast_out(revoked, self.listening.at(now))
        if record is not None:
            self.judging.judge(record, now)
        if news:
            self.emit(CastOut(revoked))

    def advertise(self, info: NodeInfo) -> None:
        """Something that seldom changes about me did. Who my relays are, only I know."""
        before = self.membership.me.info
        self.membership.announce(with_relays(info, before.relays))
        self.judging.addresses.listen(info)
        if (info.gossip_host, info.gossip_port) != (before.gossip_host, before.gossip_port):
            self.relays.ask_anew()

    def _name_relays(self, relays: tuple[str, ...]) -> None:
        self.membership.announce(with_relays(self.membership.me.info, relays))
        self.emit(Relayed(relays))

    def stream_up(self, name: NodeName, now: float) -> None:
        """A stream with that member stands."""
        self._wake(now)
        if (record := self.roster.get(name)) is not None:
            self.neighbours.stream_up(record, now)
            self.relays.review(now)
        else:
            self._early_streams.add(name)

    def stream_failed(self, name: NodeName, outcome: Connect | None, now: float) -> None:
        """A stream to that member could not be opened, and how its kernel answered; None: it was not asked."""
        if (record := self.roster.get(name)) is not None:
            self.neighbours.stream_failed(record)
            self.relays.stream_failed(record, now)
        if record is not None and outcome is not None:
            self._connect_answered(name, record.epoch, outcome, now)

    def stream_usurped(self, name: NodeName, address: Address, by: NodeName, now: float) -> None:
        """A stream that was opened to that member met another at `address`."""
        self._wake(now)
        if (record := self.roster.get(name)) is not None:
            self.neighbours.usurped(record, address, by, now)

    def stream_ended(self, name: NodeName, end: StreamEnd, now: float) -> None:
        """A stream with that member ended."""
        self._wake(now)
        self._early_streams.discard(name)
        if (record := self.roster.get(name)) is not None:
            self.neighbours.stream_ended(record, end, now)
            self.judging.judge(record, now)
            self.relays.review(now)

    def connect_answered(self, name: NodeName, epoch: int, outcome: Connect, now: float) -> None:
        """How a kernel answered a connection attempt."""
        self.outbox.connecting = max(0, self.outbox.connecting - 1)  # one of an earlier process may come
        self._connect_answered(name, epoch, outcome, now)

    def _connect_answered(self, name: NodeName, epoch: int, outcome: Connect, now: float) -> None:
        self._wake(now)
        if outcome is Connect.OWN_ERROR:
            self.send_refused(now)
        record = self.roster.get(name)
        if record is not None and record.epoch == epoch:
            self.neighbours.answered(record, outcome, now)
            self.judging.judge(record, now)

    def stream_acknowledged(self, name: NodeName, age: float, now: float) -> None:
        """The kernel of that member acknowledged something on our stream `age` seconds ago."""
        self._wake(now)
        if (record := self.roster.get(name)) is not None:
            self.neighbours.acknowledged(record, age, now)

    def witnessed_end(self, name: NodeName, epoch: int, now: float) -> None:
        """A witness beside me saw that member's process end."""
        self._wake(now)
        record = self.roster.get(name)
        if record is not None and record.epoch == epoch:
            self.judging.witnessed(record, now)

    def slept(self, now: float) -> None:
        """The machine was suspended: silence until now proves nothing, whatever the clocks say."""
        self.wake_up(now)
        self.listening.resume(now)
        self._resumed(now)

    def send_refused(self, now: float) -> None:
        """My own network stack refused to send: evidence about me, never about the receiver."""
        self.counts["own_send_error"] += 1
        if self.judging.refused_since is None:
            self.judging.refused_since = self.listening.at(now)

    # Inside

    def _go_on(self, now: float) -> None:
        """There is room again; what is outgoing is fetched after every timer."""
        self._goes_on = None

    def _publish(self, agent: AgentId, body: bytes, now: float) -> None:
        self.spread.push(self.replica.publish(agent, body), self.listening.at(now), now)
        self.changes += 1

    def _wake(self, now: float) -> None:
        self._now = now
        stood_still = self.listening.advance(now)
        self._at = self.ways.at = now - self.listening.deaf
        if stood_still:
            self._resumed(now)

    def _resumed(self, now: float) -> None:
        self.counts["resumed"] += 1
        self._at = self.listening.at(now)
        self.prober.abandon()
        if not self.membership.leaving:
            self.beats.raise_mine(self._at)  # whoever had given me up hears that I am back
        self.judging.review(now)

    def emit(self, event: Event) -> None:
        """Something changed."""
        self.changes += 1
        if isinstance(event, Joined) and event.name in self._early_streams:
            self._early_streams.discard(event.name)
            self.stream_up(event.name, self._now)
        if isinstance(event, Renewed):
            self.beats.begin_life(event.epoch, self._at)
            self.rows.begin_life(event.epoch)
            self.spread.push(self.replica.begin_life(event.epoch), self._at, self._now)
        if len(self._events) >= EVENTS:
            self._events.popleft()
            self.counts["dropped_event"] += 1
        self._events.append(event)
