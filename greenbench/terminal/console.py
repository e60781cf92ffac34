"""The way to a terminal: lines and tables in which names are names, whatever is in them."""

from collections.abc import Iterable
from typing import IO, Any, TextIO, cast

import rich.table
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from greenbench.text import Printing, clean, printing
from greenbench.text.clean import escaped

WIDTH = 240


class Table(rich.table.Table):
    """A table of names: nothing in its title, headings and cells is markup or obeyed.

    Parameters
    ----------
    title : str, optional
        Stands at the left.
    **options
        Of rich's table.
    """

    def __init__(self, title: str | None = None, **options: Any) -> None:
        named = None if title is None else text(title, "table.title")
        super().__init__(title=named, title_justify="left", **options)

    def add_column(self, header: RenderableType = "", *given: Any, **options: Any) -> None:
        """Add a column, whose heading is cleaned unless `text` made it."""
        shown = text(header) if isinstance(header, str) else header
        super().add_column(shown, *given, **options)

    def add_row(self, *cells: RenderableType | None, **options: Any) -> None:
        """Add a row, whose texts are cleaned unless `text` made them."""
        shown = (text(cell) if isinstance(cell, str) else cell for cell in cells)
        super().add_row(*shown, **options)


class _Console(Console):
    """A console that shows what others write into the lines of a live display, and obeys none."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            shown = segment.text if segment.control else escaped(segment.text)
            yield Segment(shown, segment.style, segment.control)


def new_console(
    stream: IO[str] | Printing | None, *, width: int | None = WIDTH, is_plain: bool = False
) -> Console:
    """Return a console with room for whole tables: a number that is cut off misleads.

    Parameters
    ----------
    stream : file or None
        Where to; with it failing, what is printed is dropped.
    width : int or None
        In columns; None for that of the terminal.
    is_plain : bool
        Whether there are no colours, whatever the environment forces.
    """
    shown = printing(stream)
    forced = False if is_plain else None
    console = _Console(file=shown.for_controls, highlight=False, width=width, force_terminal=forced)
    if not console.is_terminal:
        console.file = cast(TextIO, shown)
    return console


def text(name: str, style: str = "") -> Text:
    """Return a name for a cell or a line, cleaned.

    Parameters
    ----------
    name : str
        Anybody's.
    style : str
        As rich takes it.
    """
    return Text(clean(name), style=style)


def lines(*texts: Text) -> Text:
    """Return texts below each other."""
    return Text("\n").join(texts)


def say(console: Console, line: str, style: str = "", *, is_wrapped: bool = True) -> None:
    """Print a line, cleaned.

    Parameters
    ----------
    console : rich.console.Console
        Where to.
    line : str
        Of names and words.
    style : str
        As rich takes it.
    is_wrapped : bool
        Whether it goes on below at the console's width.
    """
    console.print(text(line, style), soft_wrap=not is_wrapped)
