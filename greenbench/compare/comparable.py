"""What must agree before figures are put side by side."""

from collections.abc import Mapping, Sequence
from typing import Any

from greenbench.errors import NotComparableError

Row = Mapping[str, Any]

ENERGY = {
    "energy_provenance": "energy provenance",
    "meter": "meter",
    "host": "host",
    "threads": "threads",
}
"""Columns that energies of one comparison must agree in, and what they are called."""

UNRECORDED = {"threads": "1"}
"""What older versions, which have no such column, took unless they were told otherwise."""


def check_agree(where: str, rows: Sequence[Row], columns: Mapping[str, str]) -> None:
    """Refuse rows that differ in one of several columns.

    Parameters
    ----------
    where : str
        What is compared, for the message.
    rows : sequence of mapping
        A column that a row lacks is taken as equal in all.
    columns : mapping of str to str
        Names of columns, and what a reader calls them.

    Raises
    ------
    NotComparableError
        If they differ; the message names in what, and how to select.
    """
    for column, words in columns.items():
        values = sorted({str(value_of(row, column)) for row in rows if column in row})
        if len(values) > 1:
            raise NotComparableError(
                f"{where}: figures differ in {words} ({', '.join(values)}) and are not averaged; "
                f"select one with `--where {column}={values[0]}`"
            )


def value_of(row: Row, column: str) -> Any:
    """Return the value of a column that must agree; of an older version's row, the usual one."""
    value = row.get(column)
    return UNRECORDED.get(column) if value is None else value
