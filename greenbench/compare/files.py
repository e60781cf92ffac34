"""Tables in files: pytest-benchmark's JSON, CSVs of anybody's measurements, and answers as CSV."""

import codecs
import csv
import io
import json
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from greenbench.compare.copies import without_copies
from greenbench.compare.csvs import parse_column, read_csv
from greenbench.compare.rows import select
from greenbench.errors import ConfigurationError
from greenbench.results.expected import missed
from greenbench.results.scope import scope_of
from greenbench.results.scores import as_of_today, score_of
from greenbench.results.table import FURTHER, METRICS, OF_CASE, TAGS
from greenbench.text.programs import to_cell

Row = dict[str, Any]

TRIAL = (
    "trial", "status", "energy_wh", "search_wh", "duration_s", "val_score", "segments",
    "reevaluates", "lanes", "optimism", "test_score", "val_accuracy", "test_accuracy",
    "repeat_uncertainty_wh", "look",
)  # fmt: skip
TABLE = (".csv", ".tsv", ".txt")
"""Endings of tables; what separates their cells is read off them."""
OF_FILE = ("session",)
"""Columns that may have another value in a copy."""


@dataclass(frozen=True)
class Tables:
    """What is to be compared.

    Attributes
    ----------
    rows : list of dict
        Results, one a repeat of a case; of a CSV, its rows.
    trials : list of dict
        Trials; of a CSV, its rows.
    is_foreign : bool
        Whether columns have whatever names a CSV gave them.
    notes : tuple of str
        What a reader must know of how they were read, such as copies that count once.
    sessions : tuple of str
        Ids of the sessions of a store that they come from, the newest first.
    """

    rows: list[Row]
    trials: list[Row]
    is_foreign: bool
    notes: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()

    def noting(self, notes: Sequence[str]) -> "Tables":
        """Return the same tables with further notes."""
        return replace(self, notes=(*self.notes, *notes))


def read_files(paths: Sequence[Path], where: Mapping[str, str]) -> Tables:
    """Read files of one kind, as one table.

    Parameters
    ----------
    paths : sequence of Path
        At least one; either all tables (`TABLE`) or all ``.json``.
    where : mapping of str to str
        Which rows are wanted, as `greenbench.compare.rows.select` takes it. What stands in
        others does not matter: a column is of numbers if its wanted cells are.

    Raises
    ------
    UnknownNameError
        If `where` names no column.
    ConfigurationError
        If a file cannot be read, is empty or damaged, or is of another kind than the first,
        or if no row is wanted.
    """
    if _check_kind(paths) == ".csv":
        rows, notes = _read_csvs(paths)
        wanted = _select(paths, rows, where)
        for column in wanted[0]:
            parse_column(wanted, column)
        return Tables(wanted, wanted, is_foreign=True, notes=tuple(notes))
    rows, trials, notes = _read_benchmarks(paths)
    wanted = _select(paths, rows, where)
    kept = set(map(_repeat_of, wanted))
    trials = [trial for trial in trials if _repeat_of(trial) in kept]
    return Tables(wanted, trials, is_foreign=False, notes=tuple(notes))


def to_csv(records: Sequence[Mapping[str, Any]]) -> str:
    """Return flat rows as CSV, with every digit.

    Parameters
    ----------
    records : sequence of mapping
        A column that only some have is empty in others.
    """
    columns = dict.fromkeys(name for record in records for name in record)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(to_cell, columns))
    writer.writerows([to_cell(record.get(name)) for name in columns] for record in records)
    return text.getvalue()


def _select(paths: Sequence[Path], rows: list[Row], where: Mapping[str, str]) -> list[Row]:
    wanted = select(rows, where)
    if not wanted:
        conditions = " and ".join(f"{column}={text}" for column, text in where.items())
        raise ConfigurationError(f"no row of {', '.join(map(str, paths))} has {conditions}")
    return wanted


def _check_kind(paths: Sequence[Path]) -> str:
    kinds = {path: ".csv" if path.suffix.lower() in TABLE else path.suffix for path in paths}
    kind = kinds[paths[0]].lower()
    for path in paths:
        if kinds[path].lower() not in (".csv", ".json"):
            raise ConfigurationError(
                f"{path}: expected a CSV, whose name ends in .csv, .tsv or .txt, or a file of "
                "`pytest --benchmark-json`, whose name ends in .json"
            )
        if kinds[path].lower() != kind:
            raise ConfigurationError(
                f"{paths[0]} and {path} are of two kinds; compare either .csv or .json files"
            )
    found: set[Path] = set()
    for path in paths:
        if path.resolve() in found:
            raise ConfigurationError(f"{path} is given twice; its rows would count twice")
        found.add(path.resolve())
    return kind


def _read_text(path: Path) -> str:
    try:
        # Spreadsheets put a byte order mark in front.
        with path.open("rb") as file:
            is_wide = file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
        text = path.read_text(encoding="utf-16" if is_wide else "utf-8-sig")
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} is not encoded in UTF-8; save it so") from error
    if "\0" in text:
        raise ConfigurationError(f"{path} has NUL characters; save it as text encoded in UTF-8")
    return text


def _read_csvs(paths: Sequence[Path]) -> tuple[list[Row], list[str]]:
    tables: list[list[Row]] = []
    for path in paths:
        tables.append([*read_csv(path, _read_text(path))])
        if odd := sorted(tables[-1][0].keys() ^ tables[0][0].keys()):
            raise ConfigurationError(
                f"{path} and {paths[0]} do not have the same columns: {', '.join(odd)}; "
                "compare tables of one form"
            )
    return without_copies(paths, tables)


def _read_benchmarks(paths: Sequence[Path]) -> tuple[list[Row], list[Row], list[str]]:
    found = [_read_benchmark(path) for path in paths]
    rows, notes = without_copies(paths, [rows for rows, _ in found], apart=OF_FILE)
    trials, _ = without_copies(paths, [trials for _, trials in found], apart=OF_FILE)
    return rows, trials, notes


def _read_benchmark(path: Path) -> tuple[list[Row], list[Row]]:
    try:
        found = json.loads(_read_text(path))
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path} is no JSON: {error}") from error
    benchmarks = found.get("benchmarks") if isinstance(found, Mapping) else None
    if not isinstance(benchmarks, list):
        raise ConfigurationError(
            f"{path} is not a file of `pytest --benchmark-json`: it has no list of benchmarks"
        )
    entries = [entry for entry in benchmarks if isinstance(entry, Mapping)]
    infos = [info for entry in entries if isinstance(info := entry.get("extra_info"), Mapping)]
    rows = [_checked(path, row, (*TAGS, *METRICS)) for row in _listed(path, infos, "repeats")]
    rows = [{**row, "energy_scope": scope_of(row)} for row in rows]
    if not rows:
        raise ConfigurationError(
            f"{path} has no results of greenbench; its benchmarks must use the fixture "
            "greenbench_run"
        )
    # Trials of an older greenbench do not tell it, and have that of their repeat.
    scopes = {_repeat_of(row): row["energy_scope"] for row in rows}
    trials = [_checked(path, row, (*OF_CASE, *TRIAL)) for row in _listed(path, infos, "trials")]
    return rows, [
        {**trial, "energy_scope": trial["energy_scope"] or scopes.get(_repeat_of(trial))}
        for trial in trials
    ]


def _listed(path: Path, infos: Sequence[Mapping[str, Any]], name: str) -> list[Any]:
    lists = [info.get(name, []) for info in infos]
    for each in lists:
        if not isinstance(each, list):
            raise _damaged(path, name, each, "a list")
    return [row for each in lists for row in each]


def _checked(path: Path, row: Any, columns: Sequence[str]) -> Row:
    """Return a row with all columns; one that an older greenbench did not write is None."""
    if not isinstance(row, Mapping):
        raise _damaged(path, "a row", row, "columns with values")
    row = as_of_today(row)
    score = score_of(row)
    found = {name: row.get(name) for name in columns}
    further = {name: row[name] for name in row if str(name).startswith(FURTHER)}
    for name, value in {**found, **further}.items():
        if expected := missed(name, value, score):
            raise _damaged(path, name, value, expected)
    repeat = row.get("repeat")
    if not isinstance(repeat, int):
        raise _damaged(path, "repeat", repeat, "a whole number")
    session = row.get("session", str(path))
    if not isinstance(session, str):
        raise _damaged(path, "session", session, "a text")
    return {**found, **further, "repeat": repeat, "session": session}


def _damaged(path: Path, name: str, value: Any, expected: str) -> ConfigurationError:
    return ConfigurationError(
        f"{path} is damaged: {name} is {reprlib.repr(value)}; expected {expected}"
    )


def _repeat_of(row: Row) -> tuple[Any, ...]:
    return row["session"], row["case_id"], row["repeat"]
