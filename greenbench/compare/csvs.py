"""CSVs as other programs write them: separators, decimal commas, percentages, unnamed indices.

What a column means is not its business: see `greenbench.compare.columns`.
"""

import csv
import io
import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from greenbench.errors import ConfigurationError

Lines = list[tuple[int, list[str]]]

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
UNKNOWN = frozenset(
    {"na", "n/a", "nan", "-nan", "nat", "<na>", "#n/a", "#na", "null", "-", "–", "—"}
)
"""Texts that stand for nothing, in small letters, beside an empty one."""

NO_VALUE = "none"
"""What Python writes for nothing, and people as a name: it leaves numbers beside it numbers."""

SAID = re.compile(r"\s*sep=(.)[ ,;|\t]*(?:\r\n|\r|\n)", re.IGNORECASE)
"""A first line in which spreadsheets say their separator."""
UNNAMED = re.compile(r"(?:Unnamed: \d+(?:_level_\d+)?(?:\.\d+)*)?")
"""The name that pandas gives to a column without one."""
WHOLE = re.compile(r"\d+")

COMMA = re.compile(r"[+-]?(?:\d{1,3}(?:\.\d{3})+|\d*),\d+(?:[eE][+-]?\d+)?\s*%?")
POINT = re.compile(r"[+-]?\d*\.\d+(?:[eE][+-]?\d+)?\s*%?")
GROUPED = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+\.\d+\s*%?")
"""Numbers that group thousands by commas for certain."""
EITHER = re.compile(r"[+-]?[1-9]\d{0,2}(?:(?:,\d{3})+|(?:\.\d{3})+)")
"""Numbers of which only others can tell whether a mark is decimal or groups thousands."""


class CsvRow(dict[str, Any]):
    """A row of a CSV.

    Attributes
    ----------
    place : str
        Where it stands, for messages: ``measurements.csv:7``.
    """

    def __init__(self, place: str, cells: Iterable[tuple[str, Any]]) -> None:
        super().__init__(cells)
        self.place = place


class Percent(float):
    """A share whose cell said that it is a percentage: 0.981 for ``98.1%``."""


def number(text: str) -> int | float | None:
    """Return the finite number that a text is, or None."""
    # "1_0" is a name, though Python reads it as 10.
    for kind in (int, float) if "_" not in text else ():
        try:
            found = kind(text)
            return found if math.isfinite(found) else None
        except (ValueError, OverflowError):
            continue
    return None


def read_csv(path: Path, text: str) -> list[CsvRow]:
    """Return the rows of a CSV; all cells are texts, each on one line, decimals with a point.

    Parameters
    ----------
    path : Path
        For messages.
    text : str
        What is in the file.

    Raises
    ------
    ConfigurationError
        If it is no table.
    """
    # A cell may be as long as the file.
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))
    separator, lines = _separated(path, text)
    if len(lines) <= 1:
        raise ConfigurationError(
            f"{path} {'has no rows below its header' if lines else 'is empty'}; expected a header "
            "and one row a measurement"
        )
    (_, header), *body = lines
    cells = [_as_wide(path, line, cells, len(header), separator) for line, cells in body]
    columns = [list(column) for column in zip(*cells, strict=True)]
    kept = [(n, c) for n, c in zip(header, columns, strict=True) if not _is_padding(n, c)]
    while len(kept) > 1 and _is_index(*kept[0]):
        kept = kept[1:]
    names = [name for name, _ in kept]
    _check_header(path, header, names)
    rows = zip(*_with_points([column for _, column in kept], separator), strict=True)
    return [
        CsvRow(f"{path}:{line}", zip(names, row, strict=True))
        for (line, _), row in zip(body, rows, strict=True)
    ]


def parse_column(rows: Sequence[dict[str, Any]], column: str) -> None:
    """Turn a column into numbers if all of its known cells are; an unknown one becomes None.

    Parameters
    ----------
    rows : sequence of dict
        As `read_csv` gives them; changed in place.
    column : str
        Its name.
    """
    # Few names and few levels make up most tables.
    known: dict[str, Any] = {
        text: _figure(text)
        for text in {row[column] for row in rows}
        if text and text.lower() not in UNKNOWN
    }
    are_numbers = all(v is not None or t.lower() == NO_VALUE for t, v in known.items())
    for row in rows:
        text = row[column]
        value = known.get(text)
        row[column] = (
            value if are_numbers and value is not None else text if text in known else None
        )


def on_one_line(cell: str) -> str:
    """Return a text without line breaks and surrounding blanks."""
    return " ".join(cell.splitlines()).strip()


def _figure(text: str) -> int | float | None:
    if text.endswith("%"):
        share = number(text[:-1].rstrip())
        return None if share is None else Percent(share / 100)
    return number(text)


def _separated(path: Path, text: str) -> tuple[str, Lines]:
    """Return the separator, and the lines with something on them."""
    said = SAID.match(text)
    if said and said[1] in SEPARATORS:
        start = said.end()
        return said[1], _lines(path, text[start:], said[1], text[:start].count("\n"))
    likely = [separator for separator in SEPARATORS if _header_width(text, separator) > 1]
    if len(likely) <= 1:
        separator = likely[0] if likely else ","
        return separator, _lines(path, text, separator)
    # A comma in a name, as in "energy, Wh;size", separates nothing: rows have none.
    found = {separator: _lines(path, text, separator) for separator in likely}
    best = max(likely, key=lambda s: (len({len(c) for _, c in found[s]}) == 1, len(found[s][0][1])))
    return best, found[best]


def _header_width(text: str, separator: str) -> int:
    """Return how many cells the header has, if this separates them; 0 if it cannot."""
    try:
        reader = csv.reader(io.StringIO(text), strict=True, delimiter=separator)
        return next((len(cells) for cells in reader if any(map(str.strip, cells))), 0)
    except csv.Error:
        return 0


def _lines(path: Path, text: str, separator: str, before: int = 0) -> Lines:
    reader = csv.reader(io.StringIO(text), strict=True, delimiter=separator)
    try:
        lines = [(reader.line_num + before, list(map(on_one_line, cells))) for cells in reader]
    except csv.Error as error:
        raise ConfigurationError(f"{path}:{reader.line_num + before} is no CSV: {error}") from error
    return [(line, cells) for line, cells in lines if any(cells)]


def _as_wide(path: Path, line: int, cells: list[str], width: int, separator: str) -> list[str]:
    """Return the cells of a row; what ends with separators has empty ones too many."""
    if len(cells) != width and (len(cells) < width or any(cells[width:])):
        raise ConfigurationError(
            f"{path}:{line} has {len(cells)} cells; expected {width}, one for each column of the "
            f"header, separated by {SEPARATORS[separator]}"
            + ("; decimal commas need quotes or semicolons" if separator == "," else "")
        )
    return cells[:width]


def _is_padding(name: str, column: Sequence[str]) -> bool:
    return bool(UNNAMED.fullmatch(name)) and not any(column)


def _is_index(name: str, column: Sequence[str]) -> bool:
    """Return whether a column counts rows, as pandas writes it: it says nothing of them."""
    return bool(UNNAMED.fullmatch(name)) and all(map(WHOLE.fullmatch, column))


def _check_header(path: Path, header: Sequence[str], names: Sequence[str]) -> None:
    for name in names:
        if not name:
            raise ConfigurationError(
                f"{path} has no name for column {header.index(name) + 1}; give it one"
            )
        if names.count(name) > 1:
            raise ConfigurationError(f"{path} has the column {name!r} twice; rename one")


def _with_points(columns: list[list[str]], separator: str) -> list[list[str]]:
    """Return columns whose decimal commas have become points.

    A comma is decimal in a column where one must be, since 0,95 groups no thousands, and in
    all columns of a file whose other cells say so. What is not clear stays as it is, and is
    refused where a number is needed.
    """
    columns = [_ungrouped(column) for column in columns]
    commas = [any(map(_is_decimal_comma, set(column))) for column in columns]
    points = [any(map(_is_decimal_point, set(column))) for column in columns]
    if not any(commas) or (separator == "," and any(points)):
        return columns
    are_all = not any(points)
    return [
        list(map(_to_point, column)) if (own or are_all) and not other else column
        for column, own, other in zip(columns, commas, points, strict=True)
    ]


def _ungrouped(column: list[str]) -> list[str]:
    """Return a column without commas between thousands, if cells with a point say so."""
    if not any(map(GROUPED.fullmatch, set(column))):
        return column
    is_number = [GROUPED.fullmatch(cell) or EITHER.fullmatch(cell) for cell in column]
    return [c.replace(",", "") if n else c for c, n in zip(column, is_number, strict=True)]


def _is_decimal_comma(cell: str) -> bool:
    return bool(COMMA.fullmatch(cell)) and not EITHER.fullmatch(cell)


def _is_decimal_point(cell: str) -> bool:
    return bool(POINT.fullmatch(cell)) and not EITHER.fullmatch(cell)


def _to_point(cell: str) -> str:
    if COMMA.fullmatch(cell) or EITHER.fullmatch(cell):
        return cell.replace(".", "").replace(",", ".")
    return cell
