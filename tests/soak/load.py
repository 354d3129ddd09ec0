"""Agents for a soak: made up, and told to real nodes over HTTP, as any program tells them. They start, work, use
tokens, cost money and end, whatever becomes of their node; and what each has told is written down, so that no figure
and no agent can be lost in silence.

An agent goes on when its node dies, and tells the next life of it all that it has used, as sessions are read again from
their files. So does one whose last word the node may not have written down before it died.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from meshfleet.errors import MeshfleetError
from meshfleet.fleet.names import AgentId
from meshfleet.fleet.state import AgentState, Status

if TYPE_CHECKING:
    from random import Random

    from tests.soak.truth import Truth
    from tests.soak.visiting import Visitor

AGENTS = 3
"""Of each host, at a time."""
EVERY = 3.0
"""Seconds between two words of one, on the average."""
LIVES = 90.0
"""Seconds that one works, on the average."""
RETOLD = 60.0
"""Seconds for which who has ended is told again to a node's next life."""
MODELS = ("claude-sonnet-4-5", "gpt-5-codex", "gemini-2.5-pro")
TOOLS = ("bash", "edit", "web_search")
BUSY = (Status.WORKING, Status.TOOL, Status.WAITING, Status.IDLE)
MICRO = 1_000_000


class Agent:
    """One session."""

    def __init__(self, node: str, number: int, rng: Random, now: float) -> None:
        self.node = node
        self.id = AgentId(f"{node}/soak-{number}")
        self.began = now
        self.ends = now + rng.expovariate(1.0 / LIVES) + 10.0
        self.due = now
        self.status = Status.STARTING
        self.micro_usd = self.tokens_in = self.tokens_out = 0
        self.tool: str | None = None
        self.model = rng.choice(MODELS)
        self.changed = now
        """When it last had something new to tell."""
        self.told_at: float | None = None
        """When the newest was taken; None: not yet by this life of the node."""
        self.taken = 0
        """What it had cost by its last word that was taken."""
        self.ended_at: float | None = None

    @property
    def ended(self) -> bool:
        """Whether it has done its work."""
        return self.status is Status.EXITED

    def goes_on(self, rng: Random, now: float) -> None:
        """It does something, or ends."""
        if now >= self.ends:
            self.status, self.tool, self.ended_at = Status.EXITED, None, now
        else:
            self.status = rng.choice(BUSY)
            self.tool = rng.choice(TOOLS) if self.status is Status.TOOL else None
        self.micro_usd += rng.randrange(100, 20_000)
        self.tokens_in += rng.randrange(100, 5_000)
        self.tokens_out += rng.randrange(10, 500)
        self.due = now + rng.uniform(0.5, 1.5) * EVERY
        self.changed, self.told_at = now, None

    def state(self) -> AgentState:
        """What it tells."""
        return AgentState(
            agent_id=self.id, timestamp=datetime.now(UTC).isoformat(), status=self.status, runtime="python",
            model=self.model, session=f"s-{self.id}", tokens_in=self.tokens_in, tokens_out=self.tokens_out,
            cost_usd=self.micro_usd / MICRO, active_tool=self.tool, context_pct=self.tokens_in % 1000 / 10,
            exit_code=0 if self.ended else None,
        )  # fmt: skip


class Herd(threading.Thread):
    """The agents of one host."""

    def __init__(self, node: str, rng: Random, truth: Truth, visitor: Visitor) -> None:
        super().__init__(daemon=True)
        self.node = node
        self._rng = rng
        self._truth = truth
        self._visitor = visitor
        self._life = truth.now(node).life
        self._number = 0
        self._lock = threading.Lock()
        self.agents: list[Agent] = []
        """All that there ever were: some hundreds in an hour."""
        self.still = threading.Event()
        """While set, nothing new happens; what was not taken yet is still told."""
        self.over = threading.Event()
        self.words = self.unanswered = 0
        self._taken: deque[tuple[float, int]] = deque(maxlen=4_096)
        """When a word was taken, and what all agents had cost by what was taken until then."""

    def run(self) -> None:
        """Until `over`."""
        while not self.over.wait(0.25):
            now = time.monotonic()
            with self._lock:
                self._begin_again(now)
                if not self.still.is_set():
                    self._work(now)
                to_tell = [agent for agent in self.agents if agent.told_at is None]
            for agent in to_tell:
                if not self._tell(agent):
                    break

    def _begin_again(self, now: float) -> None:
        life = self._truth.now(self.node).life
        if life != self._life:
            self._life = life
            for agent in self.agents:
                if agent.ended_at is None or now - agent.ended_at < RETOLD or agent.told_at is None:
                    agent.told_at = None

    def _work(self, now: float) -> None:
        living = [agent for agent in self.agents if not agent.ended]
        for agent in living:
            if now >= agent.due:
                agent.goes_on(self._rng, now)
        for _ in range(AGENTS - len(living)):
            self._number += 1
            self.agents.append(Agent(self.node, self._number, self._rng, now))

    def _tell(self, agent: Agent) -> bool:
        life = self._truth.now(self.node)
        if not life.running:
            return False
        with self._lock:
            state, cost = agent.state(), agent.micro_usd
        try:
            self._visitor.tell(state)
        except MeshfleetError:
            self.unanswered += 1
            return False
        with self._lock:
            self.words += 1
            self.took(agent, cost, time.monotonic())
            if life.life == self._truth.now(self.node).life:
                agent.told_at = time.monotonic()
        return True

    def took(self, agent: Agent, micro_usd: int, at: float) -> None:
        """Its node knows by now that this agent has cost that."""
        agent.taken = micro_usd
        self._taken.append((at, sum(each.taken for each in self.agents)))

    # What is so

    def living(self, *, for_s: float = 0.0) -> list[Agent]:
        """Who works, and was told to the node's present life at least so long ago."""
        now = time.monotonic()
        with self._lock:
            return [
                agent for agent in self.agents
                if not agent.ended and agent.told_at is not None and now - agent.told_at >= for_s
            ]  # fmt: skip

    def all_told(self) -> bool:
        """Whether its node has taken all there is."""
        with self._lock:
            return all(agent.told_at is not None for agent in self.agents)

    def micro_usd(self) -> int:
        """What its agents have cost, whoever knows of it."""
        with self._lock:
            return sum(agent.micro_usd for agent in self.agents)

    def taken_before(self, at: float) -> int:
        """What its node had been told of by then, in micro-USD."""
        with self._lock:
            return next((usd for when, usd in reversed(self._taken) if when <= at), 0)

    def ended_for(self, seconds: float) -> set[str]:
        """Who ended that long ago, and was heard to."""
        now = time.monotonic()
        with self._lock:
            told = [agent for agent in self.agents if agent.ended and agent.told_at is not None]
            return {agent.id for agent in told if now - (agent.told_at or now) >= seconds}

    def close(self) -> None:
        """End it."""
        self.over.set()
        self.join()
