"""The screen that says what the keys do."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen
from textual.widgets import Static

if TYPE_CHECKING:
    from textual.app import ComposeResult

KEYS = (
    ("1 2 3 4", "agents, nodes, limits, other zones"),
    ("j k  g G", "down, up; first, last (arrows, pages and mouse too)"),
    ("enter", "all about the row: figures, evidence, history"),
    ("n", "the next that needs somebody"),
    ("/", "filter: text, key:value, -not; esc ends it"),
    ("", "keys: agent node host zone state model runtime project tool key"),
    (":", "a page, sort cost, group node, view n3, or the name of whom to go to"),
    ("s S", "sort by the next column, the one before"),
    ("r", "turn the order round"),
    ("b", "group: node, host, zone, project, model, runtime, status, key"),
    ("c", "choose columns; they are remembered, and so are order and groups"),
    ("v", "see the fleet as the row's node sees it"),
    ("esc", "back; all agents again"),
    ("q", "quit"),
)


class Keys(ModalScreen[None]):
    """What the keys do."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,question_mark,enter,space,f1", "close", "back")]

    def compose(self) -> ComposeResult:
        """One table."""
        lines = [Text.assemble((f"{keys:<10}", "bold"), what) for keys, what in KEYS]
        yield Static(Text("\n").join(lines), id="keys")

    def on_mount(self) -> None:
        """It has a title."""
        self.query_one("#keys").border_title = "meshfleet top"

    def action_close(self) -> None:
        """Back."""
        self.dismiss()
