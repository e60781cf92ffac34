"""Headers: which column of somebody else's table is the one that a question needs."""

import re
from collections.abc import Sequence
from typing import Any

from greenbench.compare.exports import plain
from greenbench.errors import ConfigurationError, UnknownNameError

Row = dict[str, Any]

MOST_NAMED = 4

ENERGY = (
    "energy_wh", "energy_j", "energy_kwh", "energy_kj", "energy", "energy_consumed",
    "energy_total_wh",
)  # fmt: skip
TESTED = ("test_accuracy", "test_acc", "accuracy_test")
VALIDATED = (
    "val_accuracy", "val_acc", "validation_accuracy", "valid_accuracy",
    "eval_accuracy", "accuracy_validation",
)  # fmt: skip
UNSAID = ("accuracy", "acc", "accuracy_percent", "accuracy_pct")
TEST_ACCURACY = (*TESTED, *UNSAID, *VALIDATED)
VAL_ACCURACY = (*VALIDATED, *UNSAID, *TESTED)
OBJECTIVES = ("value", "values_0", "objective", "score", "test_score", "val_score")
"""Columns that may be an accuracy or anything else."""
SEED = ("repeat", "seed", "random_seed", "random_state")
SIZE = ("size", "architecture", "network", "model", "model_size", "model_name")
STRATEGY = ("strategy", "sampler", "search_strategy")
DURATION = (
    "duration_s", "train_s", "time_s", "duration", "runtime", "duration_ms", "duration_min",
    "duration_h", "runtime_s",
)  # fmt: skip
UNIT = re.compile(r"(?:^|[^a-z])(kwh|wh|kj|j)[^a-z0-9]*$", re.IGNORECASE)
"""The end of a name that says a unit of energy, as in ``energy_wh`` and ``Energy [kWh]``."""
GROUP = (
    "dataset", "dataset_name", "family", "network", "architecture", "model", "model_name",
    "strategy", "backend", "setting",
)  # fmt: skip
"""Columns that tell apart what is never averaged, unless they are what is compared."""


def named(rows: Sequence[Row], name: str) -> str:
    """Return the name of a column that somebody gave.

    Raises
    ------
    UnknownNameError
        If it is not there.
    """
    if name not in rows[0]:
        raise UnknownNameError("column", name, rows[0])
    return name


def find(rows: Sequence[Row], name: str | None, usual: Sequence[str], what: str) -> str:
    """Return the column that is named, or the first of the usual names that there is.

    Parameters
    ----------
    rows : sequence of dict
        All have the same columns.
    name : str or None
        The column that the user named, if any.
    usual : sequence of str
        Names as we would write them; see `greenbench.compare.exports.plain`.
    what : str
        What is in it, as the option that names it calls it.

    Raises
    ------
    UnknownNameError
        If the named one is not there.
    ConfigurationError
        If none is there, or several may be meant.
    """
    found = find_if_any(rows, name, usual, what)
    if found is None:
        raise missing(rows, usual, what)
    return found


def find_if_any(
    rows: Sequence[Row], name: str | None, usual: Sequence[str], what: str
) -> str | None:
    """Return what `find` does; None where no column has such a name."""
    if name is not None:
        return named(rows, name)
    for each in usual:
        found = called(rows, each)
        if len(found) > 1:
            raise ConfigurationError(
                f"several columns may be meant for {what}: {', '.join(found)}; name one with "
                f"`--{what}-column`"
            )
        if found:
            return found[0]
    return None


def called(rows: Sequence[Row], usual: str) -> list[str]:
    """Return the columns of a name, whatever a tool put around it; of equal ones the first."""
    if usual in rows[0]:
        return [usual]
    found = [column for column in rows[0] if plain(column) == usual]
    are_equal = all(row[column] == row[found[0]] for row in rows for column in found[1:])
    return found[:1] if are_equal else found


def energy_in(rows: Sequence[Row]) -> str | None:
    """Return a column of energy that a table has, if any, beside what is asked of it."""
    return next((found[0] for usual in ENERGY if (found := called(rows, usual))), None)


def missing(rows: Sequence[Row], usual: Sequence[str], what: str) -> ConfigurationError:
    """Return what is said of a table without a column that a question needs."""
    maybe = [column for column in rows[0] if _may_be(column, what)]
    hint = f": it may be {' or '.join(map(repr, maybe[:MOST_NAMED]))}" if maybe else ""
    names = ", ".join(usual[:MOST_NAMED]) + (", …" if len(usual) > MOST_NAMED else "")
    # What is judged by need be no accuracy.
    other = ", or another score with `--score-column`" if what == "accuracy" else ""
    return ConfigurationError(
        f"no column for {what} ({names}) among {', '.join(rows[0])}; "
        f"name it with `--{what}-column`{other}{hint}"
    )


def _may_be(column: str, what: str) -> bool:
    if what == "energy":
        return bool(UNIT.search(column))
    return what == "accuracy" and (plain(column) in OBJECTIVES or "acc" in plain(column))


def groups_of(rows: Sequence[Row], used: Sequence[str | None]) -> tuple[str, ...]:
    """Return the columns that tell apart what is never averaged, but for those that are used."""
    taken = {plain(column) for column in used if column is not None}
    names = [name for name in GROUP if name not in taken]
    return tuple(column for name in names for column in called(rows, name))
