"""Columns: what the columns of somebody else's table are called, and in which unit they are."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from greenbench.compare.files import PLACE
from greenbench.errors import ConfigurationError, UnknownNameError
from greenbench.readings import JOULES_PER_WH

Row = dict[str, Any]

WH_PER = {"wh": 1.0, "kwh": 1000.0, "j": 1 / JOULES_PER_WH, "kj": 1000 / JOULES_PER_WH}
"""Units of energy, and how many Wh one is."""

ENERGY = ("energy_wh", "energy_j", "energy_kwh", "energy_kj", "energy")
ACCURACY = ("test_accuracy", "accuracy", "val_accuracy")
SEED = ("repeat", "seed")
SIZE = ("size", "architecture", "network", "model")
DURATION = ("duration_s", "train_s", "time_s")
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
    group : sequence of str
        Columns that tell apart what is answered apart.
    """

    energy: str | None = None
    accuracy: str | None = None
    strategy: str | None = None
    size: str | None = None
    seed: str | None = None
    energy_unit: str | None = None
    group: Sequence[str] = ()


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
    accuracy = ("val_accuracy", "accuracy", "test_accuracy")
    columns = _energy(rows, names)
    columns["val_accuracy"] = _accuracy(rows, _find(rows, names.accuracy, accuracy, "accuracy"))
    columns["strategy"] = _texts(rows, strategy)
    columns["repeat"] = _seed(rows, names)
    return _with(rows, columns), _group(rows, names, {strategy})


def to_results(
    rows: Sequence[Row], names: Names, compared: str | None = None
) -> tuple[list[Row], tuple[str, ...]]:
    """Return a table of results under our own names, and the columns of its groups.

    Parameters
    ----------
    rows : sequence of dict
        One a repeat.
    names : Names
        What its columns are called.
    compared : str, optional
        The column whose values are compared; None compares sizes of families.

    Raises
    ------
    UnknownNameError
        If a column is not there.
    ConfigurationError
        If a cell is no number, out of range, or an energy has no unit.
    """
    columns = _energy(rows, names)
    columns["test_accuracy"] = _accuracy(
        rows, _find(rows, names.accuracy, ACCURACY, "accuracy", is_optional=compared is not None)
    )
    columns["duration_s"] = _numbers(rows, _first(rows, DURATION))
    columns["repeat"] = _seed(rows, names, is_optional=compared is None)
    if compared is not None:
        columns[compared] = _texts(rows, _find(rows, compared, (), compared))
        return _with(rows, columns), _group(rows, names, {compared})
    size = _find(rows, names.size, SIZE, "size")
    group = _group(rows, names, {size})
    columns |= _as_family(rows, size, group)
    return _with(rows, columns), group


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
    found = [_first(rows, ENERGY), _first(rows, ACCURACY)] if rows else []
    known = [name for name in found if name is not None]
    if not known:
        raise ConfigurationError(
            "no column of energy or accuracy is to be explained; name one with `--response`"
        )
    return known


def _as_family(rows: Sequence[Row], size: str, group: Sequence[str]) -> dict[str, list[Any]]:
    """Return the columns by which `compare_returns` knows families and their sizes."""
    families = [" ".join(str(row[name]) for name in group) or "all sizes" for row in rows]
    sizes = _texts(rows, size)
    return {
        "family": families,
        "size": sizes,
        "architecture": sizes,
        "case_id": sizes,
        **{name: [""] * len(rows) for name in ("strategy", "backend", "setting")},
    }


def _energy(rows: Sequence[Row], names: Names) -> dict[str, list[Any]]:
    column = _find(rows, names.energy, ENERGY, "energy")
    unit = names.energy_unit or column.rpartition("_")[2].lower()
    if unit not in WH_PER:
        raise ConfigurationError(
            f"energy column {column!r} does not end in its unit; say it with `--energy-unit` "
            f"({', '.join(WH_PER)})"
        )
    values = _numbers(rows, column, least=0.0)
    return {"energy_wh": [None if v is None else v * WH_PER[unit] for v in values]}


def _accuracy(rows: Sequence[Row], column: str | None) -> list[float | None]:
    values = _numbers(rows, column, least=0.0)
    for row, value in zip(rows, values, strict=True):
        if value is not None and value > 1:
            raise ConfigurationError(
                f"{row.get(PLACE, 'table')}: {column} is {value:g}; expected a share from 0 to 1: "
                "divide percentages by 100"
            )
    return values


def _seed(rows: Sequence[Row], names: Names, *, is_optional: bool = True) -> list[Any]:
    column = _find(rows, names.seed, SEED, "seed", is_optional=is_optional)
    return [row[column] if column else 0 for row in rows]


def _group(rows: Sequence[Row], names: Names, compared: set[str]) -> tuple[str, ...]:
    if names.group:
        return tuple(_find(rows, name, (), "group") for name in names.group)
    used = {names.accuracy, names.energy, names.seed, *compared}
    return tuple(name for name in GROUP if name in rows[0] and name not in used)


def _numbers(rows: Sequence[Row], column: str | None, least: float = -math.inf) -> list[Any]:
    """Return a column's numbers, None where a cell is empty."""
    if column is None:
        return [None] * len(rows)
    values = [row[column] for row in rows]
    are_texts = any(isinstance(value, str) for value in values)
    for row, value in zip(rows, values, strict=True):
        if value is None:
            continue
        if are_texts and not _is_number(value):
            raise _bad(row, column, value, "a finite number")
        if not are_texts and value < least:
            raise _bad(row, column, value, f"{least:g} or more")
    return values


def _texts(rows: Sequence[Row], column: str) -> list[str]:
    for row in rows:
        if row[column] is None:
            raise _bad(row, column, "", "a name")
    return [str(row[column]) for row in rows]


def _is_number(text: Any) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _bad(row: Mapping[str, Any], column: str, value: Any, expected: str) -> ConfigurationError:
    return ConfigurationError(
        f"{row.get(PLACE, 'table')}: {column} is {value!r}; expected {expected}"
    )


def _find(
    rows: Sequence[Row],
    named: str | None,
    usual: Sequence[str],
    what: str,
    *,
    is_optional: bool = False,
) -> Any:
    known = [name for name in rows[0] if name != PLACE]
    if named is not None:
        if named not in known:
            raise UnknownNameError("column", named, known)
        return named
    found = _first(rows, usual)
    if found is None and not is_optional:
        raise ConfigurationError(
            f"no column for {what} ({', '.join(usual)}) among {', '.join(known)}; "
            f"name it with `--{what}-column`"
        )
    return found


def _first(rows: Sequence[Row], usual: Sequence[str]) -> str | None:
    return next((name for name in usual if name in rows[0]), None)


def _with(rows: Sequence[Row], columns: Mapping[str, Sequence[Any]]) -> list[Row]:
    return [
        {**row, **{name: values[i] for name, values in columns.items()}}
        for i, row in enumerate(rows)
    ]
