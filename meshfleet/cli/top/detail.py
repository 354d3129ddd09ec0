"""All about one agent, node or other zone: its figures with their sources, the evidence behind it, what happened."""

from __future__ import annotations

import threading
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import urlencode

from rich.console import Group, RenderableType
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Static

from meshfleet.cli import showing
from meshfleet.cli.top import zones
from meshfleet.cli.top.agents import is_heard
from meshfleet.cli.top.glance import GREY, bar, share, short, ticking, word
from meshfleet.cli.top.plainly import plainly
from meshfleet.errors import MeshfleetError
from meshfleet.plain import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from textual.app import ComposeResult

    from meshfleet.cli.top.reading import Reading
    from meshfleet.client import Reader
    from meshfleet.fleet.view import AgentView, NodeView

HAPPENINGS = 20
"""Lines of what happened lately."""

ASK_EVERY = 5.0
"""Seconds between two questions for evidence and history."""

ZONE_EVERY = 15.0
"""The same for all of another zone, which may be a hundred nodes."""

MARGINS = 4
"""Columns of the frame and the space within."""

_EXACT = ("tokens_in", "tokens_out", "tokens_cache_read", "tokens_cache_write")


class Detail(ModalScreen[str | None]):
    """One agent, node or zone on a full screen. Ends with the address of a node to turn to, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter,h,left", "close", "back"),
        Binding("j,down", "scroll(1)", show=False),
        Binding("k,up", "scroll(-1)", show=False),
        Binding("space,pagedown,ctrl+f", "scroll(10)", show=False),
        Binding("pageup,ctrl+b", "scroll(-10)", show=False),
        Binding("g,home", "scroll(-100000)", show=False),
        Binding("G,end", "scroll(100000)", show=False),
        Binding("v", "turn_to", "its view"),
    ]

    class Told(Message):
        """The node's answer about the evidence and the history, or what was wrong."""

        def __init__(self, answer: RenderableType) -> None:
            super().__init__()
            self.answer = answer

    def __init__(self, subject: str, reading: Callable[[], Reading], reader: Callable[[], Reader]) -> None:
        super().__init__()
        self._subject = subject
        self._reading = reading
        self._reader = reader
        self._asking = False
        self._zone = subject.removeprefix(zones.SUBJECT) if subject.startswith(zones.SUBJECT) else None

    def compose(self) -> ComposeResult:
        """Figures, then evidence, then history."""
        with VerticalScroll(id="detail"):
            yield Static(id="figures")
            yield Static("Asking for it in full ..." if self._zone else "Asking for the evidence ...", id="story")
        yield Static("esc back   j/k scroll" + ("" if self._zone else "   v view the fleet from its node"), id="foot")

    def on_mount(self) -> None:
        """Begin."""
        self.query_one("#detail", VerticalScroll).border_title = Text(self._subject)
        self._draw()
        self._ask()
        self.set_interval(1.0, self._draw)
        self.set_interval(ZONE_EVERY if self._zone else ASK_EVERY, self._ask)

    def action_close(self) -> None:
        """Back to the tables."""
        self.dismiss(None)

    def action_scroll(self, by: int) -> None:
        """Move by lines."""
        self.query_one("#detail", VerticalScroll).scroll_relative(y=by, animate=False)

    def action_turn_to(self) -> None:
        """See the fleet as the node does that this is about, or that carries the agent."""
        agent, node = self._found()
        name = node.name if node is not None else agent.node if agent is not None else ""
        self.dismiss(name or None)

    def on_detail_told(self, message: Detail.Told) -> None:
        """An answer came."""
        self._asking = False
        self.query_one("#story", Static).update(message.answer)

    def _found(self) -> tuple[AgentView | None, NodeView | None]:
        view = self._reading().view
        agent = next((each for each in view.agents if each.agent_id == self._subject), None)
        return agent, next((each for each in view.nodes if each.name == self._subject), None)

    def _draw(self) -> None:
        agent, node = self._found()
        reading = self._reading()
        zone = zones.find(reading.view, self._subject)
        if agent is not None:
            lines = list(_agent(agent, reading))
        elif node is not None:
            lines = list(_node(node, reading))
        elif zone is not None:
            lines = list(zones.figures(zone, reading))
        else:
            lines = [Text(f"{self._subject} is no longer in the view.", "yellow")]
        self.query_one("#figures", Static).update(Text("\n").join(lines))

    def _ask(self) -> None:
        if not self._asking:
            self._asking = True
            threading.Thread(target=self._answer, name="evidence", daemon=True).start()

    def _answer(self) -> None:
        """In a thread of its own: it waits for the node."""
        try:
            if self._zone is not None:
                answer = zones.in_full(self._reader(), self._zone, self.size.width - MARGINS)
            else:
                answer = told(self._reader(), self._subject)
        except MeshfleetError as error:
            what = "The evidence" if self._zone is None else "All of it"
            answer = Text(f"\n{what} could not be had: {one_line(str(error))}", "yellow")
        self.post_message(self.Told(answer))


def told(reader: Reader, subject: str) -> RenderableType:
    """What a node has on a subject: the evidence, and the newest happenings."""
    # Both bring the server's types along, which nothing else here needs.
    from meshfleet.cli.asking import path_of
    from meshfleet.cli.events import render as render_happening
    from meshfleet.cli.why import render as render_story
    from meshfleet.serve.answers import Story
    from meshfleet.serve.history import Happenings

    story = plainly(reader.get_as(path_of("/v1/why", subject), Story))
    query = urlencode({"subject": subject, "limit": HAPPENINGS})
    happened = plainly(reader.get_as(f"/v1/events?{query}", Happenings))
    parts: list[RenderableType] = [Text("\nWHY", "bold"), render_story(story), Text("\nHAPPENED", "bold")]
    parts += [render_happening(line) for line in reversed(happened.events)]
    if not happened.events:
        parts.append(Text(f"Nothing that {reader.url} knows of.", GREY))
    return Group(*parts)


def _agent(agent: AgentView, reading: Reading) -> Iterator[Text]:
    state = agent.state
    sources = state.sources

    def line(name: str, value: Text | str | None, *fields: str) -> Iterator[Text]:
        if value is None:
            return
        told_by = ", ".join(dict.fromkeys(sources[field] for field in fields if field in sources))
        yield Text.assemble((f"{name:<12}", GREY), value, (f"   {told_by}" if told_by else "", GREY))

    was = "" if is_heard(agent) else "was "
    yield from line("state", Text(was) + word(state.status))
    yield from line("presence", _presence(agent, reading))
    yield from line("carried by", f"{agent.node}, over {agent.transport or 'nothing now'}, update {agent.seq}")
    yield from line("runtime", " ".join(part for part in (state.runtime, state.session) if part))
    yield from line("model", state.model or "not reported", "model")
    yield from line("project", state.project)
    yield from line("started by", state.parent)
    yield from line("context", _context(agent), "context_pct", "context_tokens", "context_limit")
    for field in _EXACT:
        number = getattr(state, field)
        name = field.removeprefix("tokens_").replace("_", " ")
        yield from line(name, None if number is None else f"{number:,} tokens", field)
    cost = "not known" if state.cost_usd is None else f"${state.cost_usd:,.4f}"
    yield from line("cost", cost, "cost_usd")
    if state.active_tool is not None:
        running = reading.running(agent)
        clock = "" if running is None else f" for {ticking(running)}"
        yield from line("tool", f"{state.active_tool}{clock}", "active_tool")
    for limit in state.rate_limits:
        used = "not reported" if limit.used_pct is None else share(limit.used_pct)
        resets = "" if limit.resets_at is None else f", resets {_moment(limit.resets_at)}"
        yield from line("limit", f"{limit.key} {limit.window}: {used}{resets}", "rate_limits")
    yield from line("exit code", None if state.exit_code is None else str(state.exit_code))
    yield from line("note", state.note)
    yield from line("its clock", _moment(state.timestamp))


def _node(node: NodeView, reading: Reading) -> Iterator[Text]:
    def line(name: str, value: Text | str | None) -> Iterator[Text]:
        if value is not None:
            yield Text.assemble((f"{name:<12}", GREY), value)

    yield from line("presence", _presence(node, reading))
    yield from line(
        "reached", f"{node.reach or 'by nothing now'}; the newest word came by {node.transport or 'nothing'}"
    )
    yield from line("round trip", None if node.rtt_ms is None else f"{node.rtt_ms:.1f} ms")
    yield from line("its clock", None if node.clock_offset_ms is None else f"{node.clock_offset_ms:+.0f} ms from ours")
    yield from line("host", node.host)
    yield from line("zone", node.zone)
    yield from line("role", node.role)
    yield from line("version", node.version)
    yield from line("epoch", f"{node.epoch}, incarnation {node.incarnation}")
    yield from line("view at", node.base_url)
    yield from line("agents", ", ".join(node.agents) or "none")


def _presence(judged: AgentView | NodeView, reading: Reading) -> Text:
    said = word(judged.presence)
    if judged.certainty is not None:
        said.append(f" {judged.certainty.value}")
    said.append(f" for {short(reading.since(judged.since))}; heard of {short(reading.age(judged))} ago", "")
    for reason in judged.reasons:
        said.append(f"\n{'':<12}{reason}", GREY)
    return said


def _context(agent: AgentView) -> Text:
    state = agent.state
    if state.context_pct is None:
        return Text("not reported")
    said = bar(state.context_pct, 20) + Text(f" {share(state.context_pct)}")
    if state.context_tokens is not None and state.context_limit is not None:
        said.append(f", {state.context_tokens:,} of {state.context_limit:,} tokens")
    if state.context_trend_pct_per_min is not None:
        said.append(f", {state.context_trend_pct_per_min:+.1f} % a minute")
    if state.context_full_in_s is not None:
        said.append(f", full in {showing.age(state.context_full_in_s)}")
    return said


def _moment(when: str) -> str:
    """In this terminal's time zone; as it came where it is no time."""
    try:
        return f"{datetime.fromisoformat(when).astimezone():%Y-%m-%d %H:%M:%S}"
    except ValueError:
        return when
