"""The program: pages, keys, and what is shown when."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, ClassVar

from msgspec.structs import replace
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import ContentSwitcher, Input, Static

from meshfleet.cli.picking import ORDERS, Wanted, read_filter
from meshfleet.cli.top import agents, foot, heading, limits, nodes, zones
from meshfleet.cli.top.burn import Burn
from meshfleet.cli.top.columns import Chooser
from meshfleet.cli.top.commands import read_command
from meshfleet.cli.top.detail import Detail
from meshfleet.cli.top.following import Following, Heard
from meshfleet.cli.top.grid import Grid
from meshfleet.cli.top.keys import Keys
from meshfleet.cli.top.looks import Looks, possible
from meshfleet.cli.top.plainly import Plain, plainly
from meshfleet.cli.top.reading import Reading
from meshfleet.client.client import may_turn_to
from meshfleet.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.app import ComposeResult

    from meshfleet.cli.top.grid import Grid as AnyGrid
    from meshfleet.client import Client
    from meshfleet.fleet.view import AgentView, NodeView
    from meshfleet.fleet.zone import ZoneView

PAGES = ("agents", "nodes", "limits", "zones")
SORTED_BY = tuple(dict.fromkeys(column.key for column in agents.COLUMNS if column.key in ORDERS))

COLUMNS = {
    "agents": {column.key for column in agents.COLUMNS},
    "nodes": {column.key for column in nodes.COLUMNS},
    "limits": {column.key for column in limits.COLUMNS},
    "zones": {column.key for column in zones.COLUMNS},
}


class Top(Plain):
    """The fleet, live, on a full screen."""

    CSS_PATH = "top.tcss"
    ENABLE_COMMAND_PALETTE = False
    TITLE = "meshfleet top"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q,ctrl+c", "quit", "quit", priority=False),
        Binding("question_mark,f1", "keys", "keys"),
        Binding("slash", "filter", "filter"),
        Binding("colon", "command", "command"),
        Binding("escape", "unfilter", "all"),
        Binding("1", "page('agents')"),
        Binding("2", "page('nodes')"),
        Binding("3", "page('limits')"),
        Binding("4", "page('zones')"),
        Binding("s,greater_than_sign", "sort(1)", "sort"),
        Binding("S,less_than_sign", "sort(-1)"),
        Binding("r", "reverse", "reverse"),
        Binding("b", "group", "group by"),
        Binding("c", "columns", "columns"),
        Binding("n", "next_need", "who needs me"),
        Binding("v", "turn_to", "its view"),
    ]

    class News(Message):
        """A view came, or the end of them."""

        def __init__(self, following: Following) -> None:
            super().__init__()
            self.following = following

    def __init__(
        self,
        client: Client,
        heard: Heard,
        connect: Callable[[str, str], Client],
        looks: Looks | None = None,
        keep: Callable[[Looks], None] = lambda _: None,
    ) -> None:
        """`heard`: the first view. `connect(url, before)`: a client for another node, which falls back on the one
        before. `looks`: how it is looked at first; `keep` is told when that changes."""
        super().__init__(ansi_color=True)
        self.heard = heard._replace(view=plainly(heard.view))
        self.problem: str | None = None
        """Why it ended by itself."""
        self._client = client
        self._connect = connect
        self._following: Following | None = None
        self._turning_to: str | None = None
        self._wanted: tuple[Wanted, ...] = ()
        self._looks = possible(looks or Looks(), SORTED_BY, agents.GROUPS, COLUMNS)
        self._keep = keep
        self._burn = Burn()
        self._filter = ""
        self._need = -1

    @property
    def reading(self) -> Reading:
        """The newest view, as of now."""
        now = time.monotonic()
        return Reading(self.heard.view, now - self.heard.at, now - self.heard.alive)

    def compose(self) -> ComposeResult:
        """The head, one of the tables, the foot."""
        with Vertical(id="head"):
            yield Static(id="title")
            yield Static(id="sums")
            yield Static(id="banner")
            yield Static(id="needs")
        with ContentSwitcher(initial="agents"):
            yield Grid(agents.COLUMNS, agents.NO_AGENTS, "agents")
            yield Grid(nodes.COLUMNS, "", "nodes")
            yield Grid(limits.COLUMNS, limits.NO_LIMITS, "limits")
            yield Grid(zones.COLUMNS, zones.NO_ZONES, "zones")
        yield Input(
            placeholder="text  model:opus  state:waiting  -node:n3", id="filter", compact=True, select_on_focus=False
        )
        yield Static(id="foot")

    def on_mount(self) -> None:
        """Begin to follow, and to let time go on."""
        self.query_one("#filter").display = False
        for page, keys in self._looks.columns.items():
            self.query_one(f"#{page}", Grid).choose(keys)
        self._follow(self._client)
        self.set_interval(1.0, self.draw)
        self._grid().focus()
        self.draw()

    def on_unmount(self) -> None:
        """Nothing more is wanted."""
        if self._following is not None:
            self._following.stop()

    def on_resize(self) -> None:
        """What has room depends on it."""
        self.call_after_refresh(self.draw)

    def on_top_news(self, message: Top.News) -> None:
        """A view came."""
        if message.following is not self._following:
            return  # of a node that was turned away from
        heard = message.following.take()
        if message.following.problem is not None:
            self.problem = message.following.problem
            self.exit()
        if heard is None:
            return
        before, now = self.heard.view.served_by.node, heard.view.served_by.node
        self.heard = heard._replace(view=plainly(heard.view))
        if self._turning_to is not None:
            if now != self._turning_to:
                self.notify(f"{self._turning_to} does not answer: this is {now}'s view.", severity="warning")
        elif before != now:
            self.notify(f"{before} does not answer any more: this is {now}'s view.", severity="warning")
        self._turning_to = None
        self.draw()

    def on_grid_chosen(self, message: Grid.Chosen) -> None:
        """A row was opened: all about it; of a limit, the agents that share it."""
        if message.grid_id == "limits":
            self._filter_by(f"key:{message.key.split(' ')[0]}")
            self.action_page("agents")
        else:
            self.push_screen(Detail(message.key, lambda: self.reading, lambda: self._client.reader), self._turn)

    def on_grid_head_clicked(self, message: Grid.HeadClicked) -> None:
        """Sort by that column; once more turns the order round."""
        if self._page() == "agents" and message.column in ORDERS:
            looks = self._looks
            turned = not looks.turned if looks.order == message.column else False
            self._look(replace(looks, order=message.column, turned=turned))

    def on_input_changed(self, message: Input.Changed) -> None:
        """The filter holds while it is typed; a command when it is whole."""
        if message.value.startswith(":"):
            return
        self._filter = message.value
        try:
            self._wanted = read_filter(message.value)
            message.input.border_title = ""
            message.input.remove_class("wrong")
        except ConfigError:
            message.input.add_class("wrong")  # half a key is none yet
        self.draw()

    def on_input_submitted(self, message: Input.Submitted) -> None:
        """The filter stays, and the keys are the table's again; a command is done."""
        if message.value.startswith(":"):
            self._filter_by(self._filter)
            self._grid().focus()
            self._do(message.value[1:])
            return
        try:
            read_filter(message.value)
        except ConfigError as error:
            self.notify(str(error), severity="error")
            return
        message.input.display = bool(message.value)
        self._grid().focus()

    def action_filter(self) -> None:
        """Type a filter."""
        self.action_page("agents")
        field = self.query_one("#filter", Input)
        field.display = True
        field.focus()

    def action_command(self) -> None:
        """Type a command."""
        field = self.query_one("#filter", Input)
        field.display = True
        field.focus()
        field.value = ":"
        field.cursor_position = 1

    def _do(self, text: str) -> None:
        try:
            does, what = read_command(text, self.heard.view, PAGES, SORTED_BY, agents.GROUPS)
        except ConfigError as error:
            self.notify(str(error), severity="error")
            return
        match does:
            case "quit":
                self.exit()
            case "page":
                self.action_page(what)
            case "sort":
                self._look(replace(self._looks, order=what, turned=False))
            case "group":
                self._look(replace(self._looks, group=what or None))
            case "view":
                self._turn(what)
            case _:
                self._go_to(what)

    def _go_to(self, subject: str) -> None:
        """Put the cursor on a node or an agent, whatever is filtered."""
        view = self.heard.view
        is_node = any(node.name == subject for node in view.nodes)
        self.action_page("nodes" if is_node else "agents" if zones.find(view, subject) is None else "zones")
        if not self._grid().go_to(subject):
            self._filter_by("")
            self.draw()
            self._grid().go_to(subject)

    def action_unfilter(self) -> None:
        """See all again."""
        self._filter_by("")
        self._grid().focus()

    def action_page(self, page: str) -> None:
        """Turn to a page."""
        self.query_one(ContentSwitcher).current = page
        self._grid().focus()
        self.draw()

    def action_sort(self, by: int) -> None:
        """Sort by the next column, or the one before."""
        order = SORTED_BY[(SORTED_BY.index(self._looks.order) + by) % len(SORTED_BY)]
        self._look(replace(self._looks, order=order, turned=False))

    def action_reverse(self) -> None:
        """Turn the order round."""
        self._look(replace(self._looks, turned=not self._looks.turned))

    def action_group(self) -> None:
        """Group by the next thing."""
        group = agents.GROUPS[(agents.GROUPS.index(self._looks.group) + 1) % len(agents.GROUPS)]
        self._look(replace(self._looks, group=group))

    def action_columns(self) -> None:
        """Choose the columns of this page."""
        page, grid = self._page(), self._grid()
        shown = self._looks.columns.get(page) or ()
        keys = shown or [column.key for column, _ in grid.shown]

        def chosen(result: tuple[str, ...] | None) -> None:
            grid.choose(result or ())
            self._look(replace(self._looks, columns={**self._looks.columns, page: result or ()}))

        self.push_screen(Chooser(page, grid.columns, keys, chosen=bool(shown)), chosen)

    def action_next_need(self) -> None:
        """Go to the next that needs somebody."""
        found = self.heard.view.attention
        if not found:
            self.notify("Nobody needs you.")
            return
        self._need = (self._need + 1) % len(found)
        self._go_to(found[self._need].subject)

    def action_turn_to(self) -> None:
        """See the fleet as the node under the cursor does, or the one that carries the agent."""
        key = self._grid().under_cursor
        agent = next((each for each in self.heard.view.agents if each.agent_id == key), None)
        self._turn(agent.node if agent is not None else key)

    def action_keys(self) -> None:
        """What the keys do."""
        self.push_screen(Keys())

    def _look(self, looks: Looks) -> None:
        self._looks = looks
        self._keep(looks)
        self.draw()

    def _turn(self, name: str | None) -> None:
        """Follow another node."""
        node = next((each for each in self.heard.view.nodes if each.name == name), None)
        if node is None:
            return
        if node.name == self.heard.view.served_by.node:
            self.notify(f"This is {node.name}'s view.")
            return
        if node.base_url is None or not may_turn_to(node.base_url, self.heard.url):
            self.notify(f"{node.name} tells no address that can be turned to from here.", severity="warning")
            return
        self._turning_to = node.name
        self._follow(self._connect(node.base_url.rstrip("/"), self.heard.url))
        self.draw()

    def _follow(self, client: Client) -> None:
        if self._following is not None:
            self._following.stop()
        self._client = client
        self._following = Following(client, lambda following: self.post_message(self.News(following)))
        self._following.start()

    def _filter_by(self, text: str) -> None:
        field = self.query_one("#filter", Input)
        field.value = text
        field.display = bool(text)
        self._wanted = read_filter(text)

    def _page(self) -> str:
        return self.query_one(ContentSwitcher).current or "agents"

    def _grid(self) -> AnyGrid[AgentView]:
        return self.query_one(f"#{self._page()}", Grid)

    def draw(self) -> None:
        """Show what there is, as of now."""
        if not self.query("#title"):
            return  # it ends: the clock ticked once more after the screen was emptied
        reading = self.reading
        view = reading.view
        self._burn.look(view, self.heard.at)
        width, height = self.size
        title = heading.title(reading, self.heard.url, width)
        if self._turning_to is not None:
            title = Text(f"Asking {self._turning_to} ...", "yellow")
        self.query_one("#title", Static).update(title)
        self.query_one("#sums", Static).update(Text("\n").join(heading.sums(reading, self._burn.per_hour())))
        banner = self.query_one("#banner", Static)
        said = heading.banner(reading)
        banner.display = said is not None
        banner.set_class(heading.is_grave(reading), "grave")
        banner.update(said or "")
        needs = self.query_one("#needs", Static)
        needs.display = bool(view.attention)
        needs.update(heading.attention(reading, max(2, height // 8)))
        page = self._page()
        if page == "agents":
            grid: Grid[AgentView] = self.query_one("#agents", Grid)
            grid.empty = agents.NOTHING_FITS if view.agents else agents.NO_AGENTS
            looks = self._looks
            rows = agents.shown(view, self._wanted, looks.order, looks.group, turned=looks.turned)
            grid.show(rows, reading, (looks.order, looks.turned))
        elif page == "nodes":
            nodes_grid: Grid[NodeView] = self.query_one("#nodes", Grid)
            nodes_grid.show(nodes.shown(view), reading)
        elif page == "limits":
            limits_grid: Grid[limits.Limit] = self.query_one("#limits", Grid)
            limits_grid.show(limits.shown(view), reading)
        else:
            zones_grid: Grid[ZoneView] = self.query_one("#zones", Grid)
            zones_grid.show(zones.shown(view), reading)
        pages = [each for each in PAGES if view.zones or each in ("agents", "nodes", "limits", page)]
        order = self._looks if page == "agents" else None
        self.query_one("#foot", Static).update(foot.line(pages, page, self._grid().place, order, width))
