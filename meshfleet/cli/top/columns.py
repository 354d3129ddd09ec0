"""The screen on which columns are chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen
from textual.widgets import Static

from meshfleet.cli import showing

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from textual.app import ComposeResult

    from meshfleet.cli.top.grid import Column

FOOT = "space shows or hides  a what has room  esc done"


class Chooser(ModalScreen[tuple[str, ...]]):
    """Which columns a table shows. Its result: their keys, or none for whatever has room."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,c", "close", "done"),
        Binding("down,j", "move(1)", "down"),
        Binding("up,k", "move(-1)", "up"),
        Binding("space,enter", "turn", "shows or hides"),
        Binding("a", "automatic", "what has room"),
    ]

    def __init__(self, page: str, columns: Sequence[Column[Any]], shown: Collection[str], *, chosen: bool) -> None:
        """`shown`: keys of those that are shown now. `chosen`: whether somebody chose them."""
        super().__init__()
        self._page = page
        self._columns = columns
        self._shown = set(shown)
        self._chosen = chosen
        self._cursor = 0

    def compose(self) -> ComposeResult:
        """One list."""
        yield Static(id="columns")

    def on_mount(self) -> None:
        """It has a title."""
        self.query_one("#columns").border_title = f"columns of {self._page}"
        self._draw()

    def action_move(self, by: int) -> None:
        """To another column."""
        self._cursor = (self._cursor + by) % len(self._columns)
        self._draw()

    def action_turn(self) -> None:
        """Show it or hide it. The last one stays."""
        key = self._columns[self._cursor].key
        if self._shown != {key}:
            self._shown ^= {key}
            self._chosen = True
        self._draw()

    def action_automatic(self) -> None:
        """Leave it to the width again."""
        self.dismiss(())

    def action_close(self) -> None:
        """With those that are shown now."""
        self.dismiss(tuple(column.key for column in self._columns if self._chosen and column.key in self._shown))

    def _draw(self) -> None:
        on, off = ("☒", "☐") if showing.has_glyphs() else ("[x]", "[ ]")
        lines = [
            Text(
                f" {on if column.key in self._shown else off} {column.title.lower():<10}",
                "reverse" if number == self._cursor else "",
            )
            for number, column in enumerate(self._columns)
        ]
        self.query_one("#columns", Static).update(Text("\n").join([*lines, Text(), Text(FOOT, "bright_black")]))
