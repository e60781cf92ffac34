"""Cells of somebody else's table: figures in our units, names and seeds, or a refusal by place."""

import re
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any

from greenbench.compare.csvs import NO_VALUE, Percent, number
from greenbench.compare.exports import is_of_codecarbon, plain
from greenbench.compare.headers import UNIT
from greenbench.errors import ConfigurationError
from greenbench.results.expected import LARGEST
from greenbench.results.readings import JOULES_PER_WH, Provenance

Row = dict[str, Any]

WH_PER = {"wh": 1.0, "kwh": 1000.0, "j": 1 / JOULES_PER_WH, "kj": 1000 / JOULES_PER_WH}
"""Units of energy, and how many Wh one is."""
PERCENT = "percent"
IN_PERCENT = re.compile(r"(?:^|_)(?:percent|percentage|pct)$")
"""The end of a name that says that a column is of percentages."""
ELAPSED = re.compile(r"(?:(\d+) days? )?(\d+):(\d+):(\d+(?:\.\d+)?)")
"""Durations as pandas writes them."""


def energies(rows: Sequence[Row], column: str, unit: str | None) -> list[float | None]:
    """Return energies in Wh, None where a cell is empty.

    Parameters
    ----------
    rows : sequence of dict
        The table.
    column : str
        Its name.
    unit : str or None
        One of `WH_PER`; None reads it off the name.

    Raises
    ------
    ConfigurationError
        If a cell is no energy, or there is no unit.
    """
    said = UNIT.search(column)
    unit = unit or (said[1].lower() if said else None)
    if unit is None and plain(column) == "energy_consumed" and is_of_codecarbon([*rows[0]]):
        unit = "kwh"
    if unit is None:
        raise ConfigurationError(
            f"energy column {column!r} does not end in its unit; say it with `--energy-unit` "
            f"({', '.join(WH_PER)})"
        )
    known = {None, *Provenance}
    for row in rows:
        if (provenance := row.get("energy_provenance")) not in known:
            raise bad(row, "energy_provenance", provenance, f"one of {', '.join(Provenance)}")
    return [None if v is None else v * WH_PER[unit] for v in figures(rows, column)]


def scores(rows: Sequence[Row], column: str) -> list[float | None]:
    """Return figures of any score, None where a cell is empty.

    Raises
    ------
    ConfigurationError
        If a cell is no finite number.
    """
    return figures(rows, column, least=-LARGEST)


def accuracies(
    rows: Sequence[Row], column: str | None, unit: str | None = None
) -> list[float | None]:
    """Return accuracies as shares in [0, 1], None where a cell is empty.

    Parameters
    ----------
    rows : sequence of dict
        The table.
    column : str or None
        Its name; without one all are unknown.
    unit : str or None
        ``share`` or ``percent``; None takes percentages where cells or the name say so.

    Raises
    ------
    ConfigurationError
        If a cell is no accuracy, or may be a share as well as a percentage.
    """
    if column is None:
        return [None] * len(rows)
    says_percent = bool(IN_PERCENT.search(plain(column)))
    is_percent = unit == PERCENT or (unit is None and says_percent)
    found = figures(rows, column, least=-LARGEST, allows_percent=True)
    shares = [v / 100 if is_percent and not isinstance(v, Percent) and v else v for v in found]
    expected = (
        "a percentage from 0 to 100"
        if is_percent
        else ("a share from 0 to 1: divide percentages by 100, or say `--accuracy-unit percent`")
    )
    for row, share in zip(rows, shares, strict=True):
        if share is not None and not 0 <= share <= 1:
            raise bad(row, column, row[column], expected)
    if is_percent:
        _check_alike(rows, column, found)
    plainly = [v for v in found if v is not None and not isinstance(v, Percent)]
    if says_percent and unit is None and plainly and max(plainly) <= 1:
        raise ConfigurationError(
            f"{column} is at most {max(plainly):g} in all rows, as a share is, though its name "
            "says that it is a percentage; say which with `--accuracy-unit` (share, percent)"
        )
    return shares


def _check_alike(rows: Sequence[Row], column: str, found: Sequence[float | None]) -> None:
    """Refuse files of which one has shares where another has percentages."""
    most: dict[str, float] = {}
    for row, value in zip(rows, found, strict=True):
        if value is not None and not isinstance(value, Percent):
            file = getattr(row, "place", "table").rpartition(":")[0]
            most[file] = max(value, most.get(file, value))
    low, high = (min(most, key=most.__getitem__), max(most.values())) if most else ("", 0.0)
    if most and most[low] <= 1 < high:
        raise ConfigurationError(
            f"{low}: {column} is at most {most[low]:g}, as a share is, and up to {high:g} in "
            "another file; bring both to one unit"
        )


def figures(
    rows: Sequence[Row], column: str, *, least: float = 0.0, allows_percent: bool = False
) -> list[float | None]:
    """Return a column's numbers, None where a cell is empty.

    Raises
    ------
    ConfigurationError
        If a cell is no finite number, less than `least`, or a percentage that is not allowed.
    """
    return [_figure(row, column, least, allows_percent) for row in rows]


def _figure(row: Row, column: str, least: float, allows_percent: bool) -> float | None:
    value: Any = row[column]
    if isinstance(value, str):
        if value.lower() == NO_VALUE:
            return None
        # A column with one cell that is no number is one of texts.
        value = number(value)
        if value is None:
            raise bad(row, column, row[column], f"a finite number{_hint(row[column])}")
    if isinstance(value, Percent) and not allows_percent:
        raise bad(row, column, f"{100 * value:g}%", "a number, not a percentage")
    if value is not None and not least <= value <= LARGEST:
        raise bad(row, column, value, f"a number from {least:g} to {LARGEST:g}")
    return None if value is None else value


def _hint(text: str) -> str:
    if "," in text and re.fullmatch(r"[+-]?[\d.,]+", text):
        return ": whether its comma is decimal or groups thousands is not said; write a point"
    return ""


def durations(rows: Sequence[Row], column: str | None) -> list[float | None]:
    """Return durations in one unit, whichever it is: they are compared by their ratio."""
    if column is None:
        return [None] * len(rows)
    elapsed = [ELAPSED.fullmatch(str(row[column]).removeprefix("+")) for row in rows]
    if not any(elapsed):
        return figures(rows, column)
    found: list[float | None] = []
    for row, each in zip(rows, elapsed, strict=True):
        if each is None and row[column] is not None:
            raise bad(row, column, row[column], "a duration such as 0 days 00:01:30")
        days, *parts = each.groups(default="0") if each else ("0", "0", "0", "0")
        hours, minutes, seconds = parts
        spent = 86400 * int(days) + 3600 * int(hours) + 60 * int(minutes) + float(seconds)
        found.append(spent if each else None)
    return found


def texts(rows: Sequence[Row], column: str) -> list[str]:
    """Return a column's names.

    Raises
    ------
    ConfigurationError
        If a cell is empty.
    """
    for row in rows:
        if row[column] is None:
            raise bad(row, column, "", "a name")
    return [text(row[column]) for row in rows]


def text(value: Any) -> str:
    """Return a cell as a name."""
    # So that 1 and 1.0 are one name.
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def bad(row: Mapping[str, Any], column: str, value: Any, expected: str) -> ConfigurationError:
    """Return what is said of a cell that is not what it must be."""
    place = getattr(row, "place", "table")
    shown = f"{100 * value:g}%" if isinstance(value, Percent) else value
    return ConfigurationError(f"{place}: {column} is {reprlib.repr(shown)}; expected {expected}")
