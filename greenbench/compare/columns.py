"""Columns: what the columns of somebody else's table are called, and in which unit they are."""

import json
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from greenbench.compare.comparable import check_agree
from greenbench.compare.files import LARGEST, number
from greenbench.errors import ConfigurationError, UnknownNameError
from greenbench.results.readings import JOULES_PER_WH, Provenance

Row = dict[str, Any]

WH_PER = {"wh": 1.0, "kwh": 1000.0, "j": 1 / JOULES_PER_WH, "kj": 1000 / JOULES_PER_WH}
"""Units of energy, and how many Wh one is."""

ENERGY = ("energy_wh", "energy_j", "energy_kwh", "energy_kj", "energy")
TEST_ACCURACY = ("test_accuracy", "accuracy", "val_accuracy")
VAL_ACCURACY = ("val_accuracy", "accuracy", "test_accuracy")
SEED = ("repeat", "seed")
SIZE = ("size", "architecture", "network", "model")
DURATION = ("duration_s", "train_s", "time_s")
OWN_ONLY = ("search_wh", "segments", "reevaluates", "lanes", "optimism", "test_accuracy")
"""Columns of trials that greenbench alone writes."""
GROUP = ("dataset", "family", "network", "architecture", "model", "strategy", "backend", "setting")
"""Columns that tell apart what is never averaged, unless they are what is compared."""


@dataclass(frozen=True)
class Names:
    """How columns are called; None takes the first of the usual names that there is.

    Attributes
    ----------
    energy, accuracy, strategy, size, seed : str or None
        Columns.
    energy_unit : str or None
        ``wh``, ``kwh``, ``j`` or ``kj``; None reads it off the end of the column's name.
    group : tuple of str or None
        Columns that tell apart what is answered apart; None takes those of the usual names.
    """

    energy: str | None = None
    accuracy: str | None = None
    strategy: str | None = None
    size: str | None = None
    seed: str | None = None
    energy_unit: str | None = None
    group: tuple[str, ...] | None = None


def to_trials(rows: Sequence[Row], names: Names) -> tuple[list[Row], tuple[str, ...]]:
    """Return a table of trials under our own names, and the columns of its groups.

    Parameters
    ----------
    rows : sequence of dict
        One a trial, in the order in which they ran.
    names : Names
        What its columns are called.

    Raises
    ------
    UnknownNameError
        If a column is not there.
    ConfigurationError
        If a cell is no number, out of range, or an energy has no unit.
    """
    strategy = _find(rows, names.strategy, ("strategy",), "strategy")
    seed = _find_if_any(rows, names.seed, SEED)
    columns: dict[str, Sequence[Any]] = {
        "energy_wh": _energies(rows, names),
        "val_accuracy": _accuracies(rows, _find(rows, names.accuracy, VAL_ACCURACY, "accuracy")),
        "strategy": _texts(rows, strategy),
        "repeat": _seeds(rows, seed),
        # Whatever they are in somebody else's table.
        **dict.fromkeys(OWN_ONLY, [None] * len(rows)),
    }
    return _with(rows, columns), _group(rows, names, strategy)


def to_results(rows: Sequence[Row], names: Names) -> tuple[list[Row], tuple[str, ...]]:
    """Return a table of results as families of sizes, and the columns of its groups.

    Parameters
    ----------
    rows : sequence of dict
        One a repeat.
    names : Names
        What its columns are called.

    Raises
    ------
    UnknownNameError
        If a column is not there.
    ConfigurationError
        If a cell is no number, out of range, or an energy has no unit.
    NotComparableError
        If a family has several data sets.
    """
    size = _find(rows, names.size, SIZE, "size")
    group = _group(rows, names, size)
    _check_data(rows, group)
    sizes = _texts(rows, size)
    columns: dict[str, Sequence[Any]] = {
        "energy_wh": _energies(rows, names),
        "test_accuracy": _accuracies(rows, _find(rows, names.accuracy, TEST_ACCURACY, "accuracy")),
        "family": [_shared(row, group) or "all sizes" for row in rows],
        **dict.fromkeys(("size", "architecture", "case_id"), sizes),
        **dict.fromkeys(("strategy", "backend", "setting"), [""] * len(rows)),
    }
    # Nothing depends on these, so that "11M" is no mistake.
    for name in ("train_flops", "parameters"):
        if any(isinstance(row.get(name), str) for row in rows):
            columns[name] = [None] * len(rows)
    return _with(rows, columns), group


def to_variants(
    rows: Sequence[Row], names: Names, compared: str
) -> tuple[list[Row], tuple[str, ...]]:
    """Return a table of results to pair by their repeats, and the columns of its groups.

    Parameters
    ----------
    rows : sequence of dict
        One a repeat.
    names : Names
        What its columns are called.
    compared : str
        The column whose values are compared, such as ``"backend"``.

    Raises
    ------
    UnknownNameError
        If a column is not there.
    ConfigurationError
        If a cell is no number, out of range, or an energy has no unit.
    NotComparableError
        If a group has several data sets.
    """
    group = _group(rows, names, _find(rows, compared, (), compared))
    _check_data(rows, group)
    columns: dict[str, Sequence[Any]] = {
        "energy_wh": _energies(rows, names),
        "test_accuracy": _accuracies(rows, _find_if_any(rows, names.accuracy, TEST_ACCURACY)),
        "duration_s": _figures(rows, _find_if_any(rows, None, DURATION)),
        compared: _texts(rows, compared),
        "repeat": _seeds(rows, _find(rows, names.seed, SEED, "seed")),
    }
    return _with(rows, columns), group


def check_factorial(rows: Sequence[Row], factors: Sequence[str], response: str) -> None:
    """Refuse a table in which a level or a response is missing, or is none.

    Parameters
    ----------
    rows : sequence of dict
        One a sample.
    factors : sequence of str
        Columns of categories.
    response : str
        A column of numbers.

    Raises
    ------
    UnknownNameError
        If a column is not there.
    ConfigurationError
        If a cell is not what it must be.
    """
    for factor in factors:
        _texts(rows, _find(rows, factor, (), "factor"))
    least = 0.0 if response in ENERGY else -LARGEST
    found = _figures(rows, _find(rows, response, (), "response"), least=least)
    for row, value in zip(rows, found, strict=True):
        if value is None:
            raise _bad(row, response, "", "a number")


def with_options(rows: Sequence[Row]) -> list[Row]:
    """Return results with a column for each option of their architectures, to explain by."""
    options = [json.loads(row.get("options") or "{}") for row in rows]
    return [{**found, **row} for found, row in zip(options, rows, strict=True)]


def responses(rows: Sequence[Row]) -> list[str]:
    """Return what is to be explained if nobody says: energy and accuracy.

    Raises
    ------
    ConfigurationError
        If there is neither.
    """
    found = [_find_if_any(rows, None, usual) for usual in (ENERGY, TEST_ACCURACY)]
    known = [name for name in found if name is not None]
    if not known:
        raise ConfigurationError(
            "no column of energy or accuracy is to be explained; name one with `--response`"
        )
    return known


def _energies(rows: Sequence[Row], names: Names) -> list[float | None]:
    column = _find(rows, names.energy, ENERGY, "energy")
    unit = names.energy_unit or column.rpartition("_")[2].lower()
    if unit not in WH_PER:
        raise ConfigurationError(
            f"energy column {column!r} does not end in its unit; say it with `--energy-unit` "
            f"({', '.join(WH_PER)})"
        )
    known = {None, *Provenance}
    for row in rows:
        if (provenance := row.get("energy_provenance")) not in known:
            raise _bad(row, "energy_provenance", provenance, f"one of {', '.join(Provenance)}")
    return [None if v is None else v * WH_PER[unit] for v in _figures(rows, column)]


def _accuracies(rows: Sequence[Row], column: str | None) -> list[float | None]:
    expected = "a share from 0 to 1: divide percentages by 100"
    return _figures(rows, column, most=1.0, expected=expected)


def _figures(
    rows: Sequence[Row],
    column: str | None,
    *,
    least: float = 0.0,
    most: float = LARGEST,
    expected: str | None = None,
) -> list[float | None]:
    """Return a column's numbers, None where a cell is empty."""
    if column is None:
        return [None] * len(rows)
    for row in rows:
        value = row[column]
        # A column with one cell that is no number is one of texts.
        if isinstance(value, str) and number(value) is None:
            raise _bad(row, column, value, "a finite number")
        if isinstance(value, int | float) and not least <= value <= most:
            raise _bad(row, column, value, expected or f"a number from {least:g} to {most:g}")
    return [row[column] for row in rows]


def _texts(rows: Sequence[Row], column: str) -> list[str]:
    for row in rows:
        if row[column] is None:
            raise _bad(row, column, "", "a name")
    return [_text(row[column]) for row in rows]


def _seeds(rows: Sequence[Row], column: str | None) -> Sequence[str | None]:
    return [None] * len(rows) if column is None else _texts(rows, column)


def _text(value: Any) -> str:
    # So that 1 and 1.0 are one name.
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def _group(rows: Sequence[Row], names: Names, compared: str) -> tuple[str, ...]:
    if names.group is not None:
        return tuple(_find(rows, name, (), "group") for name in names.group)
    used = {names.accuracy, names.energy, names.seed, compared}
    return tuple(name for name in GROUP if name in rows[0] and name not in used)


def _shared(row: Row, group: Sequence[str]) -> str:
    """Return what a row shares with others of its group, in words."""
    return ", ".join(_text(row[name]) for name in group if row[name] is not None)


def _check_data(rows: Sequence[Row], group: Sequence[str]) -> None:
    """Refuse several data sets in one group."""
    members: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        members.setdefault(tuple(row[name] for name in group), []).append(row)
    for found in members.values():
        check_agree(_shared(found[0], group) or "all rows", found, {"dataset": "data set"})


def _find(rows: Sequence[Row], named: str | None, usual: Sequence[str], what: str) -> str:
    found = _find_if_any(rows, named, usual)
    if found is None:
        raise ConfigurationError(
            f"no column for {what} ({', '.join(usual)}) among {', '.join(rows[0])}; "
            f"name it with `--{what}-column`"
        )
    return found


def _find_if_any(rows: Sequence[Row], named: str | None, usual: Sequence[str]) -> str | None:
    if named is not None and named not in rows[0]:
        raise UnknownNameError("column", named, rows[0])
    return named or next((name for name in usual if name in rows[0]), None)


def _bad(row: Mapping[str, Any], column: str, value: Any, expected: str) -> ConfigurationError:
    place = getattr(row, "place", "table")
    return ConfigurationError(f"{place}: {column} is {reprlib.repr(value)}; expected {expected}")


def _with(rows: Sequence[Row], columns: Mapping[str, Sequence[Any]]) -> list[Row]:
    return [
        {**row, **dict(zip(columns, cells, strict=True))}
        for row, cells in zip(rows, zip(*columns.values(), strict=True), strict=True)
    ]
