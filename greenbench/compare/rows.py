"""Which rows of a table a comparison is about."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from greenbench.errors import UnknownNameError

SAMPLE = ("session", "case_id", "case_hash", "repeat", "trial")
"""Columns in which copies of a sample, or of a trial of it, agree."""

AnyRow = TypeVar("AnyRow", bound=Mapping[str, Any])


def select(rows: Sequence[AnyRow], where: Mapping[str, str]) -> list[AnyRow]:
    """Return the rows that agree with `where`.

    Parameters
    ----------
    rows : sequence of mapping
        As `greenbench.tracking.Store.read_rows` gives them, oldest first, or of a file.
    where : mapping of str to str
        Column to text. A number matches however it is written; an unknown value matches an
        empty text and ``None``.

    Raises
    ------
    UnknownNameError
        If there is no such column.
    """
    for column in where:
        if rows and column not in rows[0]:
            raise UnknownNameError("column", column, rows[0])
    return [r for r in rows if all(_matches(r[name], text) for name, text in where.items())]


def once(rows: Iterable[AnyRow]) -> list[AnyRow]:
    """Return each sample once: a repeat of a case in a session, however many tests asked for it.

    Parameters
    ----------
    rows : iterable of mapping
        Ours, one a repeat or one a trial; of copies the first is kept.
    """
    kept: dict[tuple[Any, ...], AnyRow] = {}
    for row in rows:
        kept.setdefault(tuple(row.get(name) for name in SAMPLE), row)
    return list(kept.values())


def _matches(value: Any, text: str) -> bool:
    if value is None or value == "":
        return text in ("", str(None))
    if str(value) == text:
        return True
    try:
        return float(value) == float(text)
    except ValueError:
        return False
