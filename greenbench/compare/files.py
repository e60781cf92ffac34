"""Tables from files: pytest-benchmark's JSON, and CSVs of anybody's measurements."""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from greenbench.errors import ConfigurationError
from greenbench.table import METRICS, TAGS

Row = dict[str, Any]

PLACE = "place"
"""Column that says where a row of a CSV stands, for messages: ``measurements.csv:7``."""


@dataclass(frozen=True)
class Tables:
    """What files hold.

    Attributes
    ----------
    rows : list of dict
        Results, one a repeat of a case; of a CSV, its rows.
    trials : list of dict
        Trials; of a CSV, its rows.
    is_foreign : bool
        Whether columns have whatever names a CSV gave them.
    """

    rows: list[Row]
    trials: list[Row]
    is_foreign: bool


def read_files(paths: Sequence[Path]) -> Tables:
    """Read files of one kind, as one table.

    Parameters
    ----------
    paths : sequence of Path
        Either all ``.csv`` or all ``.json``.

    Raises
    ------
    ConfigurationError
        If a file cannot be read, is empty or damaged, or is of another kind than the first.
    """
    kinds = {path.suffix.lower() for path in paths}
    if kinds == {".csv"}:
        rows = _read_csvs(paths)
        return Tables(rows, rows, is_foreign=True)
    if kinds == {".json"}:
        found = [_read_benchmarks(path) for path in paths]
        return Tables(
            [row for rows, _ in found for row in rows],
            [row for _, trials in found for row in trials],
            is_foreign=False,
        )
    raise ConfigurationError(
        f"{', '.join(map(str, paths))}: expected files that end in .csv, or files of "
        "`pytest --benchmark-json` that end in .json, and not both"
    )


def _read_csvs(paths: Sequence[Path]) -> list[Row]:
    rows: list[Row] = []
    columns: list[str] = []
    for path in paths:
        header, cells = _read_csv(path)
        if rows and set(header) != set(columns):
            odd = sorted(set(header) ^ set(columns))
            raise ConfigurationError(
                f"{path} and {paths[0]} do not have the same columns: {', '.join(odd)}; "
                "compare tables of one form"
            )
        columns = columns or header
        rows += cells
    for column in columns:
        _parse_column(rows, column)
    return rows


def _read_csv(path: Path) -> tuple[list[str], list[Row]]:
    rows: list[Row] = []
    try:
        # Spreadsheets put a byte order mark in front.
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.reader(stream, strict=True)
            header = [name.strip() for name in next(reader, [])]
            for cells in reader:
                if not any(cell.strip() for cell in cells):
                    continue
                place = f"{path.name}:{reader.line_num}"
                if len(cells) != len(header):
                    raise ConfigurationError(
                        f"{place} has {len(cells)} cells; expected {len(header)}, one for each "
                        "column of the header"
                    )
                rows.append({**dict(zip(header, cells, strict=True)), PLACE: place})
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigurationError(f"{path} cannot be read as CSV: {_reason(error)}") from error
    _check_header(path, header)
    if not rows:
        raise ConfigurationError(f"{path} has no rows below its header")
    return header, rows


def _check_header(path: Path, header: Sequence[str]) -> None:
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise ConfigurationError(f"{path} has the column {twice[0]!r} twice; rename one")
    if not header or "" in header:
        raise ConfigurationError(f"{path} has no name in column {len(header)} of its first line")


def _parse_column(rows: Sequence[Row], column: str) -> None:
    """Turn a column into numbers if all of its cells are numbers; an empty cell is None."""
    numbers = [_number(row[column]) for row in rows]
    empty = [not row[column].strip() for row in rows]
    are_numbers = all(
        is_empty or number is not None for is_empty, number in zip(empty, numbers, strict=True)
    )
    for row, number, is_empty in zip(rows, numbers, empty, strict=True):
        row[column] = None if is_empty else number if are_numbers else row[column].strip()


def _number(text: str) -> int | float | None:
    for kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            continue
        # "nan" and "1e999" are texts here: whoever needs a number is told where they stand.
        return number if math.isfinite(number) else None
    return None


def _read_benchmarks(path: Path) -> tuple[list[Row], list[Row]]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} cannot be read as JSON: {_reason(error)}") from error
    benchmarks = found.get("benchmarks") if isinstance(found, Mapping) else None
    if not isinstance(benchmarks, list):
        raise ConfigurationError(
            f"{path} is not a file of `pytest --benchmark-json`: it has no list of benchmarks"
        )
    infos = [entry.get("extra_info", {}) for entry in benchmarks if isinstance(entry, Mapping)]
    rows, trials = (
        [row for info in infos for row in info.get(name, ())] for name in ("repeats", "trials")
    )
    if not rows:
        raise ConfigurationError(
            f"{path} has no results of greenbench; its benchmarks must use the fixture "
            "greenbench_run"
        )
    return [_complete(path, row) for row in rows], [_complete(path, row) for row in trials]


def _complete(path: Path, row: Any) -> Row:
    """Return a row with all columns; one that an older greenbench did not write is None."""
    if not isinstance(row, Mapping):
        raise ConfigurationError(f"{path} has {row!r} where a row of results belongs")
    numbers = {name: row.get(name) for name in (*METRICS, "repeat")}
    for name, value in numbers.items():
        if value is not None and (isinstance(value, str) or not math.isfinite(value)):
            raise ConfigurationError(f"{path}: {name} is {value!r}; expected a finite number")
    return {**dict.fromkeys(TAGS), **row, **numbers, "session": path.name}


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).splitlines()[0]
