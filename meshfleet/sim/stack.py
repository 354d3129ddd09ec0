"""Stack mode: the real node, with its driver, streams, codec and seals, over the virtual network, in virtual time.

One Trio run for all nodes, under Trio's MockClock. A node's tasks carry the number of its process, so that it can be
stopped as a process is; its machine's clock stands still while the machine is asleep. HTTP and the disk stay out: a
node here has no state dir. Whatever befalls nodes in core mode befalls them here; the baselines alone no node runs.
"""

from __future__ import annotations

import logging
from collections import Counter
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager, nullcontext
from contextvars import Context, copy_context
from functools import cache, partial
from math import isinf
from random import Random
from typing import TYPE_CHECKING

import trio
from trio.testing import MockClock

from meshfleet.errors import MeshfleetError
from meshfleet.fleet.names import Address, NodeName
from meshfleet.node.config import NodeConfig
from meshfleet.node.machine import Machine
from meshfleet.node.opening import open_node
from meshfleet.node.process import Process
from meshfleet.node.sleeping import NotTold
from meshfleet.node.trust import Identity, seeded
from meshfleet.sim.fabric import Fabric
from meshfleet.sim.host import Host
from meshfleet.sim.network import MICROSECONDS, Network
from meshfleet.sim.scheduling import PROCESS, Holding, deterministic
from meshfleet.sim.trace import Trace
from meshfleet.sim.world import WITNESS_US
from meshfleet.wire.identity import FOREVER
from meshfleet.wire.states import decode_state

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

    from meshfleet.fleet.timing import Timing
    from meshfleet.gossip.events import Event
    from meshfleet.node.node import Node
    from meshfleet.node.sleeping import Dozing
    from meshfleet.sim.attachment import Attachment
    from meshfleet.sim.world import Watcher

FLEET = bytes(range(32))
"""What all keys of the fleet are made of."""

STRANGERS = bytes(32)
"""The same of another fleet, a node of which may get an address that was left."""

FIRST_STRANGER = 1_000_000
"""Number of the first machine that is not of the scenario: no fault means it."""


class VirtualMachine(Machine):
    """The clocks of one host, and the lives of nodes on it for processes."""

    def __init__(self, fabric: Fabric, here: Host, lives: dict[int, Life]) -> None:
        self._fabric = fabric
        self._here = here
        self._lives = lives

    def now(self) -> float:
        """It stands still while the host is asleep."""
        return self._here.clock(self._fabric.now_us)

    def moment(self, at: float) -> float:
        """Never this same microsecond: a timer that ran too early by a rounding would only ask for itself again."""
        if isinf(at):
            return at
        return self._fabric.moment(max(self._fabric.now_us + 1, self._here.shows_us(at)))

    def asleep(self) -> float:
        """Seconds."""
        return self._here.asleep_us / MICROSECONDS

    def process(self) -> Process:
        """This life: a real pid would differ from run to run."""
        number = self._here.number
        return Process(self._here.host, number, str(self._lives[number].number))

    def dozing(self) -> AbstractAsyncContextManager[Dozing]:
        """The scenario tells its node by itself."""
        raise NotTold("scenarios do")

    def network_words(self) -> AbstractContextManager[socket.socket | None]:
        """No kernel tells anything."""
        return nullcontext()

    async def watch(self, process: Process) -> bool:
        """Return when that life ends; False if it ended before."""
        life = self._lives[process.pid]
        if str(life.number) != process.started:
            return False
        await life.over.wait()
        return True


class Life:
    """One life of a node's process."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.scope = trio.CancelScope()
        self.over = trio.Event()
        """Set when it has ended, and whoever is on the same machine may know."""
        self.node: Node | None = None
        self.context: Context | None = None
        """Of its tasks. Whatever is done to the node from outside is done in it, so that what it spawns is its own."""


class StackWorld:
    """Hosts with real nodes. A `Theatre`."""

    def __init__(self, network: Network, timing: Timing, seed: str, watcher: Watcher) -> None:
        self.network = network
        self.hosts: list[Host] = []
        self.trace = Trace()
        self.fabric = Fabric(network)
        self.faults: list[str] = []
        """Inputs that a node could not handle, and parts of one that failed: none, unless the node has a bug."""
        self._timing = timing
        self._seed = seed
        self._watcher = watcher
        self._attached: list[Attachment] = []
        self._lives: dict[int, Life] = {}
        self._moves = 0
        self._strangers: list[Attachment] = []
        self._ended_us: int | None = None
        self._holding: Holding
        self._nursery: trio.Nursery

    # What is counted

    @property
    def now_us(self) -> int:
        """Microseconds of virtual time."""
        return self.fabric.now_us if self._ended_us is None else self._ended_us

    @property
    def events(self) -> int:
        """What happened on the network and in the scenario."""
        return self.fabric.events

    @property
    def bytes_sent(self) -> Counter[int]:
        """By each host, datagrams and streams."""
        counts = [attached.counts for attached in self._attached]
        return Counter({i: each["udp_bytes_out"] + each["stream_bytes_out"] for i, each in enumerate(counts)})

    @property
    def datagrams_sent(self) -> Counter[int]:
        """By each host."""
        return Counter({i: attached.counts["datagrams_out"] for i, attached in enumerate(self._attached)})

    @property
    def foreign(self) -> int:
        """Datagrams that went to a node of another fleet, whose key does not open them."""
        return sum(network.counts["datagrams_in"] for network in self._strangers)

    def clock(self, here: Host) -> float:
        """The host's own monotonic clock, now."""
        return here.clock(self.now_us)

    # Time

    def at(self, when_us: int, action: Callable[..., None], *args: object) -> None:
        """Have something happen."""
        self.fabric.at(when_us, action, *args)

    def after(self, delay_us: int, action: Callable[..., None], *args: object) -> None:
        """Have something happen later."""
        self.fabric.after(delay_us, action, *args)

    def run(self, until_us: int) -> None:
        """Let time pass, once. MeshfleetError where a node failed at something."""
        with deterministic(f"{self._seed}/tasks"), _errors_only("meshfleet.node"):
            trio.run(self._play, until_us, clock=MockClock(autojump_threshold=0))
        if self.faults:
            raise MeshfleetError(
                f"{len(self.faults)} times a node could not handle what it was given, first {self.faults[0]}. "
                "That is a bug; the log above has it."
            )

    async def _play(self, until_us: int) -> None:
        over = trio.Event()

        def end() -> None:
            self._ended_us = until_us
            over.set()

        self._holding = Holding()
        try:
            async with trio.open_nursery() as self._nursery:
                self.fabric.at(until_us + 1, end)
                self._nursery.start_soon(self.fabric.run)
                await over.wait()
                self._release_all()
                self._nursery.cancel_scope.cancel()
        finally:
            if self._ended_us is None:
                self._ended_us = self.fabric.now_us

    def _release_all(self) -> None:
        for here in self.hosts:  # who is stopped could not be cancelled
            self._holding.release(here.number)

    def note(self, *what: object) -> None:
        """One line of the trace."""
        if self._ended_us is None:
            self.trace.note(self.now_us, *what)

    # Hosts

    def add(self, name: str, host: str, zone: str | None) -> Host:
        """A machine, with nothing running on it yet."""
        number = len(self.hosts)
        here = Host(name, number, host, zone)
        here.address = Address(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 7878)
        self.hosts.append(here)
        self._attached.append(self.fabric.attach(here, here.address.host))
        return here

    def start(self, here: Host, join: Host | None) -> None:
        """A node's process begins a life."""
        before = self._lives.get(here.number)
        if here.running:
            self._end(here)
        life = self._lives[here.number] = Life(1 if before is None else before.number + 1)
        here.epoch = max(here.epoch + 1, here.wall_ms(self.now_us))
        here.paused = 0
        here.running, here.left, here.died_at_us = True, False, None
        self.note("start", here.name, life.number)
        self._watcher.truth_changed(self.now_us)
        known = [] if here.member is None else [record.address for record in here.member.roster if not record.is_gone]
        self.at(self.now_us, self._spawn, here, life, here.seeds(join, known))

    def _spawn(self, here: Host, life: Life, seeds: tuple[Address, ...]) -> None:
        self._nursery.start_soon(self._live, here, life, seeds)

    async def _live(self, here: Host, life: Life, seeds: tuple[Address, ...]) -> None:
        PROCESS.set(here.number)
        config = NodeConfig(
            name=NodeName(here.name), gossip=here.address, state_dir=None, identity=_identity(FLEET, here.name),
            seeds=seeds, zone=here.zone, host=here.host, timing=self._timing,
        )  # fmt: skip
        rng = Random(f"{self._seed}/{here.name}/{life.number}")
        machine = VirtualMachine(self.fabric, here, self._lives)
        network = self._attached[here.number]

        def wall() -> float:
            if life.node is None:  # the epoch is taken from this: as with a state dir, it is above all before it
                return (here.epoch + 0.5) / 1000
            return here.wall_ms(self.now_us) / 1000

        with life.scope:
            async with open_node(config, network=network, wall=wall, rng=rng, machine=machine) as node:
                life.node, life.context, here.member = node, copy_context(), node.member
                node.watch(partial(self._happened, here, life))
                try:
                    await trio.sleep_forever()
                finally:
                    failed = [what for what in node.counters() if what == "fault" or what.startswith("failed_")]
                    self.faults += [f"{here.name}: {what}" for what in failed]

    def _happened(self, here: Host, life: Life, event: Event) -> None:
        if self._lives[here.number] is life and here.running and self._ended_us is None:
            self._watcher.happened(here, event, self.now_us)

    # What befalls them

    def kill(self, here: Host, *, silently: bool = False) -> None:
        """Its process ends: the kernel closes all sockets, unless the host itself goes dark (`silently`)."""
        if not here.running:
            return
        here.running, here.died_at_us, here.dark = False, self.now_us, silently
        self._end(here)
        self.note("dark" if silently else "kill", here.name)
        self._watcher.truth_changed(self.now_us)

    def _end(self, here: Host) -> None:
        life = self._lives[here.number]
        self.after(WITNESS_US, life.over.set)
        # First none of its tasks comes to anything any more, so that none sees its sockets taken from it.
        life.scope.cancel()
        self._holding.release(here.number)
        if here.dark:
            self._attached[here.number].power_lost()
        else:
            self._attached[here.number].process_died()

    def tell_sleep(self, here: Host, *, begins: bool) -> None:
        """The system tells its node."""
        life = self._lives.get(here.number)
        if life is not None and life.node is not None and life.context is not None and here.listens and not here.left:
            node = life.node
            life.context.run(node.sleeping.fall_asleep if begins else node.sleeping.wake_up)

    def readdress(self, here: Host, *, reused: bool) -> None:
        """A machine moves to a new address. At the old one is nobody, or (`reused`) a node of another fleet."""
        attached, before = self._attached[here.number], here.address
        self._moves += 1
        here.address = Address(f"172.16.{self._moves >> 8 & 255}.{self._moves & 255}", 7878)
        self.fabric.move(attached, here.address.host)
        if reused:
            self._nursery.start_soon(self._strange, before)

    async def _strange(self, address: Address) -> None:
        """A node of another fleet lives there."""
        there = Host("stranger", FIRST_STRANGER + len(self._strangers), "elsewhere", None)
        network = self.fabric.attach(there, address.host)
        self._strangers.append(network)
        config = NodeConfig(
            name=NodeName(there.name), gossip=address, state_dir=None, identity=_identity(STRANGERS, there.name),
            host=there.host, timing=self._timing,
        )  # fmt: skip
        lives = {there.number: Life(1)}
        machine, rng = VirtualMachine(self.fabric, there, lives), Random(f"{self._seed}/{address}")
        async with open_node(config, network=network, wall=lambda: 1.0, rng=rng, machine=machine):
            await trio.sleep_forever()

    def leave(self, here: Host) -> None:
        """A goodbye; half a second later the process ends."""
        life = self._lives.get(here.number)
        if here.running and life is not None and life.node is not None and life.context is not None:
            here.left = True
            life.context.run(self._nursery.start_soon, self._say_goodbye, here, life, life.node)
            self._watcher.truth_changed(self.now_us)

    async def _say_goodbye(self, here: Host, life: Life, node: Node) -> None:
        await node.leave()
        if self._lives[here.number] is life and here.running:
            here.running = False
            life.over.set()
            life.scope.cancel()  # it closes its sockets itself, as a process does that ends on purpose
            self._watcher.truth_changed(self.now_us)

    def pause(self, here: Host) -> None:
        """SIGSTOP."""
        here.stop(self.now_us)
        self._holding.hold(here.number)

    def resume(self, here: Host) -> None:
        """SIGCONT."""
        here.go_on(self.now_us)
        self._go_on(here)

    def sleep(self, here: Host) -> None:
        """The machine is suspended."""
        here.asleep_since_us = self.now_us
        self._holding.hold(here.number)
        self._watcher.truth_changed(self.now_us)

    def wake(self, here: Host) -> None:
        """It wakes; its node sees that by the clocks."""
        if here.asleep_since_us is None:
            return
        here.asleep_us += self.now_us - here.asleep_since_us
        here.asleep_since_us = None
        self._watcher.truth_changed(self.now_us)
        self._go_on(here)

    def _go_on(self, here: Host) -> None:
        if not here.paused and here.asleep_since_us is None:
            self._holding.release(here.number)

    def publish(self, here: Host, agent: str, body: bytes) -> None:
        """An agent has news: `body` is its state, encoded."""
        life = self._lives.get(here.number)
        if life is None or life.node is None or life.context is None or not here.listens or here.left:
            return
        life.context.run(life.node.publish, decode_state(body))
        self._watcher.published(here, agent, self.now_us)

    def barrier_changed(self) -> None:
        """Streams find out for themselves."""
        self._watcher.truth_changed(self.now_us)


@cache
def _identity(fleet: bytes, name: str) -> Identity:
    """The node's, the same in all its lives. It never expires: whatever a scenario does to clocks is about the mesh."""
    return seeded(fleet, name, 0.0, lifetime=FOREVER)


@contextmanager
def _errors_only(name: str) -> Iterator[None]:
    """Within: what is broken on purpose is not logged as a warning."""
    log = logging.getLogger(name)
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)
