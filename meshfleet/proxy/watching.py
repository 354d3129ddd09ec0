"""What is read of requests and answers that pass: headers of rate limits, and what Ollama says it counted."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec

from meshfleet.embed.activity import Kind
from meshfleet.embed.agent import Agent
from meshfleet.embed.quiet import quietly
from meshfleet.embed.tally import Request
from meshfleet.fleet.state import Status
from meshfleet.runtimes.keyprint import key_of, provider_of
from meshfleet.runtimes.ratelimits import TOO_MANY_REQUESTS, read_rate_limits
from meshfleet.runtimes.record import name as clean

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from meshfleet.proxy.upstreams import Upstream

LINE_LIMIT = 1024 * 1024
"""Bytes of a line of Ollama's that are kept until its end. The last one of `/api/generate` brings its context along,
some six bytes a token. A longer one is not read; it passes all the same."""

OLLAMA = "ollama"


class Watch:
    """Tells the node what passes, in the name of one agent per upstream: `HOST/proxy-anthropic`."""

    def __init__(self, node: str | None = None) -> None:
        self._node = node
        self._agents: dict[str, Agent] = {}

    @quietly
    def began(self, key: Hashable, upstream: Upstream) -> None:
        """A request goes to `upstream`."""
        agent = self._agents.get(upstream.name)
        if agent is None:
            runtime = OLLAMA if upstream.name == OLLAMA else "proxy"
            agent = Agent(f"proxy-{upstream.name}", runtime=runtime, node=self._node, origin="proxy").start()
            self._agents[upstream.name] = agent
        agent.begin(key, Kind.REQUEST)

    @quietly
    def answered(
        self,
        upstream: Upstream,
        request: Iterable[tuple[bytes, bytes]],
        status: int,
        answer: Iterable[tuple[bytes, bytes]],
    ) -> None:
        """The head of an answer came. Of the request's head the key is read, and goes no further than its
        fingerprint."""
        limits = read_rate_limits(_text(answer), key="", now=time.time(), status=status)
        if not limits:
            return
        asked = {name.lower(): value for name, value in _text(request)}
        key = key_of(asked)
        if key is not None:
            self._agents[upstream.name].limited(provider_of(upstream.host.decode(), asked), key, limits)

    @quietly
    def counted(self, upstream: Upstream, counts: Request) -> None:
        """Ollama told what an answer took."""
        self._agents[upstream.name].count(counts)

    @quietly
    def ended(self, key: Hashable, upstream: Upstream, status: int | None, *, left: bool) -> None:
        """The answer has passed; None: there was none, or it broke off. `left`: the client went away, as when somebody
        breaks an answer off, which is no failure."""
        failed = None
        if status == TOO_MANY_REQUESTS:
            failed = Status.RATE_LIMITED
        elif status >= 500 if status is not None else not left:
            failed = Status.ERROR
        agent = self._agents.get(upstream.name)
        if agent is not None:
            agent.end(key, failed)

    def finish(self) -> None:
        """The proxy ends, and its agents with it."""
        for agent in self._agents.values():
            agent.finish()


class _Counts(msgspec.Struct, frozen=True):
    """The last object of an answer of Ollama's, as far as it is read."""

    done: bool = False
    model: str | None = None
    prompt_eval_count: int | None = None
    eval_count: int | None = None


class OllamaCounts:
    """Finds the counts at the end of an answer that passes in pieces: JSON objects, one a line, or a single one."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._skips = False
        self.found: Request | None = None

    def feed(self, piece: bytes) -> None:
        """The next bytes."""
        *lines, rest = piece.split(b"\n")
        for line in lines:
            if line or self._line:
                self._add(line)
                self._read()
            self._skips = False
        self._add(rest)

    def end(self) -> Request | None:
        """That was all. What was counted, if anything was told."""
        self._read()
        return self.found

    def _add(self, part: bytes) -> None:
        if len(self._line) + len(part) > LINE_LIMIT:
            self._skips = True
        if not self._skips:
            self._line += part

    def _read(self) -> None:
        line, skipped = bytes(self._line), self._skips
        self._line.clear()
        self._skips = False
        if skipped or b"eval_count" not in line:  # pieces of the answer: not even decoded
            return
        try:
            told = msgspec.json.decode(line, type=_Counts)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        if told.done:
            # Ollama leaves the count of the prompt out where all of it was in its cache.
            self.found = Request(
                input=told.prompt_eval_count, output=told.eval_count, model=clean(told.model), cost=0.0
            )


def _text(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    return [(name.decode("latin1"), value.decode("latin1")) for name, value in headers]
