"""Which rows of a store a comparison is about."""

from collections.abc import Mapping, Sequence
from typing import Any

from greenbench.errors import UnknownNameError

Row = Mapping[str, Any]


def select(rows: Sequence[Row], where: Mapping[str, str], *, only_latest: bool) -> list[Row]:
    """Return the rows that agree with `where`, of the latest session of each suite.

    Parameters
    ----------
    rows : sequence of mapping
        As `greenbench.tracking.Store.read_rows` gives them, oldest first.
    where : mapping of str to str
        Column to text; a number matches as it is printed.
    only_latest : bool
        Whether to leave out all sessions of a suite but the last.

    Raises
    ------
    UnknownNameError
        If there is no such column.
    """
    for column in where:
        if rows and column not in rows[0]:
            raise UnknownNameError("column", column, rows[0])
    wanted = [r for r in rows if all(str(r[name]) == text for name, text in where.items())]
    latest = {row["suite"]: row["session"] for row in wanted}
    return [r for r in wanted if not only_latest or r["session"] == latest[r["suite"]]]
