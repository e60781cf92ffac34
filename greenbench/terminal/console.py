"""The way to a terminal: lines in which names are names, whatever is in them."""

import os
from collections.abc import Iterable
from contextlib import suppress
from typing import IO, TextIO, cast

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from greenbench.terminal.wrapping import wrapped
from greenbench.text import Printing, clean, printing
from greenbench.text.clean import escaped

ROOMY = 240
"""Columns of a pipe or a file: whoever reads it has all columns, each row on one line."""
USUAL, HEIGHT = 80, 25
NARROWEST = 40
"""Columns that a narrower terminal is treated as."""


class _Console(Console):
    """A console that shows what others write into the lines of a live display, and obeys none."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            shown = segment.text if segment.control else escaped(segment.text)
            yield Segment(shown, segment.style, segment.control)


def room_of(stream: IO[str] | Printing | None) -> int | None:
    """Return how many columns people have for a stream, or None for a pipe or a file.

    Parameters
    ----------
    stream : file or None
        Such as standard output. ``COLUMNS`` counts more than its terminal, and for pipes, too.
    """
    # As Python's own `shutil.get_terminal_size`, which knows standard output alone.
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns):
        return max(int(columns), NARROWEST)
    shown = printing(stream)
    if not shown.isatty():
        return None
    with suppress(OSError, ValueError, AttributeError):
        if found := os.get_terminal_size(shown.fileno()).columns:
            return max(found, NARROWEST)
    return USUAL


def new_console(
    stream: IO[str] | Printing | None, *, width: int | None = None, is_plain: bool = False
) -> Console:
    """Return a console with room for whole tables where nobody says how wide it is.

    Parameters
    ----------
    stream : file or None
        Where to; with it failing, what is printed is dropped.
    width : int or None
        In columns; None for `room_of` the stream.
    is_plain : bool
        Whether there are no colours, whatever the environment forces.
    """
    shown = printing(stream)
    forced = False if is_plain else None
    console = _Console(
        file=shown.for_controls,
        highlight=False,
        width=width or room_of(shown) or ROOMY,
        # Without it, rich believes its own measure of the width.
        height=HEIGHT,
        force_terminal=forced,
    )
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
        Whether it goes on below at the console's width; it breaks between words.
    """
    shown = text(line, style)
    for each in wrapped(shown, max(console.width, NARROWEST)) if is_wrapped else [shown]:
        console.print(each, soft_wrap=True)


def is_watched(console: Console) -> bool:
    """Return whether people look at a console, rather than a program or a log."""
    return console.file.isatty()
