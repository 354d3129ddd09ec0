"""A table of any length, of which only what is seen is drawn: a thousand agents cost no more than a screen of them.

Textual's DataTable keeps every cell, and would have to be told each age each second.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from rich.style import Style
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from textual.events import Click, Resize

    from meshfleet.cli.top.reading import Reading

T = TypeVar("T")
GAP = 1


@dataclass(frozen=True, slots=True)
class Column(Generic[T]):
    """One column: how wide it may be, and what it says of an item."""

    key: str
    title: str
    least: int
    most: int
    cell: Callable[[T, Reading, int], Text]
    """Given the item, the reading and the width."""
    rank: int = 0
    """Where there is not room for all, those of the highest rank go first."""
    right: bool = False
    fair: int = 0
    """Width that it gets before columns of a higher rank are let in."""


@dataclass(frozen=True, slots=True)
class Row(Generic[T]):
    """An item, or the heading of a group, which is no item."""

    key: str
    item: T | None = None
    heading: str = ""


def fitted(columns: Sequence[Column[T]], width: int) -> list[tuple[Column[T], int]]:
    """The columns that have room in `width`, each with its share: at least what it needs, at most what it can use.
    Those of a higher rank come in once the others have what is fair."""
    shown: list[Column[T]] = []
    used = -GAP
    rank = 0
    for column in sorted(columns, key=lambda column: column.rank):
        if column.rank > max(rank, 1):
            rank = column.rank
            used = sum(max(each.least, each.fair) + GAP for each in shown) - GAP
        if used + GAP + column.least <= width:
            shown.append(column)
            used += GAP + column.least
    shown.sort(key=columns.index)
    widths = {column.key: column.least for column in shown}
    spare = max(0, width - sum(widths.values()) - GAP * (len(shown) - 1))
    while spare:
        growing = [column for column in shown if widths[column.key] < column.fair]
        growing = growing or [column for column in shown if widths[column.key] < column.most]
        if not growing:
            break
        for column in growing[:spare]:
            widths[column.key] += 1
        spare -= min(spare, len(growing))
    return [(column, widths[column.key]) for column in shown]


class Grid(ScrollView, Generic[T], can_focus=True):
    """Rows under a fixed head, one of them under the cursor. The cursor stays with its row when rows move."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1)", "down", show=False),
        Binding("up,k", "move(-1)", "up", show=False),
        Binding("pagedown,ctrl+f,space", "move_page(1)", "page down", show=False),
        Binding("pageup,ctrl+b", "move_page(-1)", "page up", show=False),
        Binding("g,home", "move_to_end(False)", "first", show=False),
        Binding("G,end", "move_to_end(True)", "last", show=False),
        Binding("enter", "choose", "detail", show=False),
    ]

    class Chosen(Message):
        """A row was opened."""

        def __init__(self, grid_id: str, key: str) -> None:
            super().__init__()
            self.grid_id = grid_id
            self.key = key

    class HeadClicked(Message):
        """The head of a column was clicked."""

        def __init__(self, column: str) -> None:
            super().__init__()
            self.column = column

    def __init__(self, columns: Sequence[Column[T]], empty: str, grid_id: str) -> None:
        super().__init__(id=grid_id)
        self.columns = columns
        """All that there are."""
        self._chosen: tuple[Column[T], ...] = ()
        self._rows: Sequence[Row[T]] = ()
        self._reading: Reading | None = None
        self._sorted_by: tuple[str, bool] = ("", False)
        self._cursor = 0
        self.empty = empty
        """What is said where there are no rows: lines."""

    def choose(self, keys: Collection[str]) -> None:
        """Show those columns, as far as they have room, the first ones first; with none, whatever has room."""
        self._chosen = tuple(replace(column, rank=0) for column in self.columns if column.key in keys)
        self.refresh()

    @property
    def shown(self) -> list[tuple[Column[T], int]]:
        """The columns that there is room for, and how wide each is."""
        return fitted(self._chosen or self.columns, self.size.width or self.app.size.width)

    @property
    def under_cursor(self) -> str | None:
        """Key of the row under the cursor; None where there is none, or it is a heading."""
        row = self._rows[self._cursor] if self._cursor < len(self._rows) else None
        return None if row is None or row.item is None else row.key

    @property
    def place(self) -> str:
        """`3/9`: which row of how many is under the cursor."""
        row = self._rows[self._cursor] if self._cursor < len(self._rows) else None
        keys = self.keys
        return f"{keys.index(row.key) + 1}/{len(keys)}" if row is not None and row.item is not None else "0/0"

    @property
    def keys(self) -> list[str]:
        """The rows, headings left out."""
        return [row.key for row in self._rows if row.item is not None]

    def show(self, rows: Sequence[Row[T]], reading: Reading, sorted_by: tuple[str, bool] = ("", False)) -> None:
        """Other rows, or the same at another time. `sorted_by`: a column's key, and whether its order is turned."""
        before = self.under_cursor
        old = self._cursor
        self._rows, self._reading, self._sorted_by = rows, reading, sorted_by
        if before is not None:
            old = next((index for index, row in enumerate(rows) if row.key == before and row.item is not None), old)
        self.virtual_size = Size(self.size.width, len(rows) + 1)
        self._put(old)
        self.refresh()

    def go_to(self, key: str) -> bool:
        """Put the cursor on the row of that key, if there is one."""
        index = next((index for index, row in enumerate(self._rows) if row.key == key), None)
        if index is not None:
            self._put(index)
        return index is not None

    def action_move(self, by: int) -> None:
        """Move the cursor; headings are passed over."""
        self._put(self._cursor + by, by)

    def action_move_page(self, by: int) -> None:
        """Move it by what is seen."""
        self._put(self._cursor + by * max(1, self.size.height - 2), by)

    def action_move_to_end(self, last: bool) -> None:
        """Move it to the first row or the last."""
        self._put(len(self._rows) - 1 if last else 0, -1 if last else 1)

    def action_choose(self) -> None:
        """Open the row under the cursor."""
        if self.under_cursor is not None:
            self.post_message(self.Chosen(self.id or "", self.under_cursor))

    def on_resize(self, event: Resize) -> None:
        """The cursor stays in sight."""
        self.virtual_size = Size(event.size.width, len(self._rows) + 1)
        self._put(self._cursor)

    def on_click(self, event: Click) -> None:
        """A row comes under the cursor, and is opened by a second click; a column's head sorts."""
        if event.y == 0:
            left = 0
            for column, width in self.shown:
                if left <= event.x < left + width:
                    self.post_message(self.HeadClicked(column.key))
                left += width + GAP
            return
        index = int(self.scroll_offset.y) + event.y - 1
        if index < len(self._rows) and self._rows[index].item is not None:
            again = index == self._cursor
            self._put(index)
            if again and event.chain > 1:
                self.action_choose()

    def render_line(self, y: int) -> Strip:
        """One line of what is seen."""
        width = self.size.width
        base = self.rich_style
        if y == 0:
            return self._strip(self._head(width), base + Style(bold=True), width)
        index = int(self.scroll_offset.y) + y - 1
        if not self._rows and y >= 2:
            lines = self.empty.split("\n")[y - 2 : y - 1]
            return self._strip(Text("".join(lines)), base, width)
        if index >= len(self._rows) or self._reading is None:
            return Strip.blank(width, base)
        row = self._rows[index]
        if row.item is None:
            return self._strip(Text(row.heading, "bold"), base, width)
        line = Text()
        for column, cell_width in self.shown:
            line.append_text(_cell(column.cell(row.item, self._reading, cell_width), cell_width, right=column.right))
            line.append(" " * GAP)
        if index == self._cursor:
            # Without its colours: reversed, each would be a background of its own.
            return self._strip(Text(line.plain), base + Style(reverse=True, bold=True), width)
        return self._strip(line, base, width)

    def _head(self, width: int) -> Text:
        line = Text()
        for column, cell_width in self.shown:
            by, turned = self._sorted_by
            title = column.title + (("▲" if turned else "▼") if column.key == by else "")
            line.append_text(
                _cell(Text(title, "underline" if column.key == by else ""), cell_width, right=column.right)
            )
            line.append(" " * GAP)
        return line

    def _strip(self, text: Text, style: Style, width: int) -> Strip:
        text.no_wrap = True
        text.end = ""
        segments = text.render(self.app.console)
        return Strip(segments).apply_style(style).adjust_cell_length(width, style)

    def _put(self, index: int, direction: int = 1) -> None:
        """Put the cursor on a row that is an item, the next one in this direction."""
        last = len(self._rows) - 1
        index = max(0, min(index, last))
        for step in (direction or 1, -(direction or 1)):
            at = index
            while 0 <= at <= last and self._rows[at].item is None:
                at += 1 if step > 0 else -1
            if 0 <= at <= last:
                index = at
                break
        self._cursor = index
        top, seen = int(self.scroll_offset.y), max(1, self.size.height - 1)
        # A heading right above the first row is scrolled in with it.
        if index < top or index <= 1:
            self.scroll_to(y=0 if index <= 1 else index, animate=False)
        elif index >= top + seen:
            self.scroll_to(y=index - seen + 1, animate=False)
        self.refresh()


def _cell(text: Text, width: int, *, right: bool) -> Text:
    text.truncate(width, overflow="ellipsis")
    if right:
        text.align("right", width)
    else:
        text.pad_right(max(0, width - text.cell_len))
    return text
