"""Tables that fit the width they have: columns go by rank, and in a narrow terminal rows stack."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import rich.table
from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from greenbench.terminal.console import NARROWEST, new_console, text
from greenbench.terminal.wrapping import widest_word, wrapped

STACKED = 100
"""Columns of a terminal below which rows stack rather than lose figures."""
FEWEST = 30
"""Cells that are left to a text in a column, if it has so many."""
FRAME, PLAIN_FRAME = (3, 1), (2, 0)
"""What is no cell's of the width, in cells: beside each column, and at the ends."""
PLAIN: dict[str, Any] = {"box": box.SIMPLE_HEAD, "pad_edge": False, "padding": (0, 1, 0, 0)}
GAP = "   "
INDENT = "  "


@dataclass(frozen=True)
class _Column:
    """A heading with its cells; see `Table.add_column`."""

    heading: Text
    is_right: bool
    rank: int
    is_shared: bool
    is_wrapped: bool
    cells: list[Text] = field(default_factory=list)

    @property
    def natural(self) -> int:
        """The width at which nothing in it breaks."""
        return max(self.heading.cell_len, self.widest_cell)

    @property
    def narrowest(self) -> int:
        """The width at which no word in it breaks, and no figure."""
        cells = self.widest_cell
        if self.is_wrapped:
            cells = max(min(cells, FEWEST), *map(widest_word, self.cells), 0)
        return max(widest_word(self.heading), cells)

    @property
    def widest_cell(self) -> int:
        """The width of its widest cell."""
        return max((cell.cell_len for cell in self.cells), default=0)


class Table:
    """A table of names, which are shown as they are: nothing in it is markup or obeyed.

    As a whole where that fits. In a narrow terminal, a row is a stack of lines with all its
    figures. In a wider one, columns of the highest rank are left out, and a line says which.

    Parameters
    ----------
    title : str, optional
        Above it.
    names : int
        How many of the first columns name a row. They are never left out.
    row : str
        What a row is, such as ``"case"``.
    elsewhere : str
        How else to see columns that are left out, such as ``"`--csv`"``.
    note : str, optional
        Below it.
    is_plain : bool
        Whether it has no lines but that below its headings.
    """

    def __init__(
        self,
        title: str | None = None,
        *,
        names: int = 1,
        row: str = "row",
        elsewhere: str = "",
        note: str | None = None,
        is_plain: bool = False,
    ) -> None:
        self._title, self._note = title, note
        self._names, self._row, self._elsewhere = names, row, elsewhere
        self._is_plain = is_plain
        self._columns: list[_Column] = []

    def add_column(
        self,
        heading: str,
        *,
        justify: str = "left",
        rank: int = 0,
        is_shared: bool = False,
        is_wrapped: bool = False,
    ) -> None:
        """Add a column.

        Parameters
        ----------
        heading : str
            Cleaned.
        justify : str
            ``"left"``, or ``"right"`` for figures.
        rank : int
            The higher, the sooner it is left out; with 0, never.
        is_shared : bool
            Whether words that stand in all its cells are said once, below the table.
        is_wrapped : bool
            Whether its cells are texts, which may go on below.
        """
        shown = text(heading)
        self._columns.append(_Column(shown, justify == "right", rank, is_shared, is_wrapped))

    def add_row(self, *cells: str | Text) -> None:
        """Add a row, whose texts are cleaned unless `text` made them."""
        for column, cell in zip(self._columns, cells, strict=True):
            column.cells.append(text(cell) if isinstance(cell, str) else cell)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield lines, or a rich table."""
        width = max(options.max_width, NARROWEST)
        columns, shared = self._apart()
        if self._title is not None:
            yield from _whole(wrapped(text(self._title, "table.title"), width))
        shown = self._fitting(columns, width)
        if shown is None:
            yield from _whole(self._stack(columns, width))
        else:
            yield self._grid(shown, width)
        for line in filter(None, (self._note, shared, self._left_out(columns, shown))):
            yield from _whole(wrapped(text(line), width))

    def _apart(self) -> tuple[list[_Column], str | None]:
        """Return columns without the words that all their cells share, and these in a sentence."""
        columns, said = [], []
        for column in self._columns:
            words = [cell.plain.split() for cell in column.cells] if column.is_shared else [[]]
            common = [word for word in words[0] if all(word in each for each in words)]
            if common:
                said.append(f"{column.heading.plain} {', '.join(common)}")
            if not column.is_shared:
                columns.append(column)
            elif any(set(each) - set(common) for each in words):
                rest = (" ".join(w for w in each if w not in common) for each in words)
                columns.append(replace(column, cells=[*map(text, rest)]))
        return columns, f"Every {self._row}: {'; '.join(said)}." if said else None

    def _fitting(self, columns: Sequence[_Column], width: int) -> list[_Column] | None:
        """Return the columns that a table has, or None where its rows stack."""
        shown = list(columns)
        while self._spare(shown, width) < 0:
            last = max((column.rank for column in shown[self._names :]), default=0)
            if width < STACKED or last == 0:
                return None
            kept = [column for column in shown[self._names :] if column.rank < last]
            shown = shown[: self._names] + kept
        return shown

    def _spare(self, columns: Sequence[_Column], width: int) -> int:
        """Return what is left of a width if each column has the least; below 0 if it hasn't."""
        each, ends = PLAIN_FRAME if self._is_plain else FRAME
        return width - sum(column.narrowest + each for column in columns) - ends

    def _left_out(self, columns: Sequence[_Column], shown: Sequence[_Column] | None) -> str | None:
        gone = [c.heading.plain for c in columns if shown is not None and c not in shown]
        if not gone:
            return None
        also = f", and {self._elsewhere} has them" if self._elsewhere else ""
        needed = -self._spare(columns, 0)
        return f"Left out: {'; '.join(gone)}. A terminal of {needed} columns shows them{also}."

    def _grid(self, columns: Sequence[_Column], width: int) -> rich.table.Table:
        table = rich.table.Table(**(PLAIN if self._is_plain else {}))
        spare, folded = self._spare(columns, width), []
        for column in columns:
            more = min(spare, column.natural - column.narrowest)
            spare -= more
            own = column.narrowest + more
            heading, *cells = (
                Text("\n").join(wrapped(each, own)) for each in (column.heading, *column.cells)
            )
            justify: Literal["left", "right"] = "right" if column.is_right else "left"
            table.add_column(heading, justify=justify, no_wrap=True, width=own)
            folded.append(cells)
        for row in zip(*folded, strict=True):
            table.add_row(*row)
        return table

    def _stack(self, columns: Sequence[_Column], width: int) -> Iterator[Text]:
        """Yield each row's name, and below it its figures, at equal places in all rows."""
        names, figures = columns[: self._names], columns[self._names :]
        in_lines = list(_in_lines(figures, width - len(INDENT)))
        for place in range(len(columns[0].cells)):
            name = Text(GAP).join(column.cells[place] for column in names)
            name.stylize("bold")
            yield from wrapped(name, width, len(INDENT))
            for line in in_lines:
                shown = Text(INDENT)
                for column in line:
                    shown.append_text(_pair(column, place))
                shown.rstrip()
                if shown.plain:
                    yield from wrapped(shown, width, len(INDENT))


def show(console: Console, table: Table) -> None:
    """Print a table, of which nothing is cut off.

    Parameters
    ----------
    console : rich.console.Console
        Where to.
    table : Table
        Fits its width, but for words that are wider by themselves.
    """
    console.print(table, crop=False)


def show_figures(
    title: str,
    columns: Sequence[tuple[str, int]],
    rows: Iterable[Sequence[str]],
    *,
    row: str,
    elsewhere: str = "",
) -> None:
    """Print a table without lines to standard output.

    Parameters
    ----------
    title, row, elsewhere : str
        As of `Table`.
    columns : sequence of (str, int)
        Headings with their ranks, the name's first.
    rows : iterable of sequence of str
        Cells.
    """
    table = Table(title, row=row, elsewhere=elsewhere, is_plain=True)
    for place, (heading, rank) in enumerate(columns):
        table.add_column(heading, justify="right" if place else "left", rank=rank)
    for cells in rows:
        table.add_row(*cells)
    show(new_console(sys.stdout), table)


def _in_lines(columns: Iterable[_Column], width: int) -> Iterator[list[_Column]]:
    """Yield the columns that stand in one line of a stack."""
    line: list[_Column] = []
    used = 0
    for column in columns:
        needed = _width_of_pair(column)
        if line and used + needed > width:
            yield line
            line, used = [], 0
        line.append(column)
        used += needed + len(GAP)
    if line:
        yield line


def _pair(column: _Column, place: int) -> Text:
    """Return a figure behind its heading, as wide as all of its column."""
    cell = column.cells[place]
    shown = Text()
    if cell.plain:
        shown.append(column.heading.plain, "dim").append(" ").append_text(cell)
    shown.append(" " * (_width_of_pair(column) - shown.cell_len) + GAP)
    return shown


def _width_of_pair(column: _Column) -> int:
    return column.heading.cell_len + 1 + column.widest_cell


def _whole(lines: Iterable[Text]) -> Iterator[Text]:
    """Yield lines that rich leaves alone."""
    for line in lines:
        line.no_wrap, line.overflow = True, "ignore"
        yield line
