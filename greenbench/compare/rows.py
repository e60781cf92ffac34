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


def measured_once(rows: Sequence[AnyRow]) -> list[AnyRow]:
    """Return results without those that were taken over from others of them: one measurement each.

    Parameters
    ----------
    rows : sequence of mapping
        Ours, one a repeat, of any sessions. Where the original is not there, one copy stays.
    """
    seen = {_measured(row) for row in rows if not is_reused(row)}
    kept = []
    for row in rows:
        if is_reused(row):
            if (copy := _measured(row)) in seen:
                continue
            seen.add(copy)
        kept.append(row)
    return kept


def is_reused(row: Mapping[str, Any]) -> bool:
    """Return whether a result was taken over from an earlier session (`run --reuse`)."""
    return bool(row.get("reused_from"))


def measured_anew(rows: Sequence[AnyRow]) -> tuple[list[AnyRow], tuple[str, ...]]:
    """Return the results that their own sessions measured, and a note on how many others are not.

    Parameters
    ----------
    rows : sequence of mapping
        Ours, one a repeat.
    """
    new = [row for row in rows if not is_reused(row)]
    if (number := len(rows) - len(new)) == 0:
        return new, ()
    was = "was" if number == 1 else "were"
    return new, (
        f"{number} of {len(rows)} results {was} taken over from an earlier session (`--reuse`) "
        "and left out: that is no new sample",
    )


def _measured(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return which measurement a row is of, wherever it stands."""
    session = row.get("reused_from") or row.get("session")
    return session, row.get("case_hash"), row.get("repeat")


def _matches(value: Any, text: str) -> bool:
    if value is None or value == "":
        return text in ("", str(None))
    if str(value) == text:
        return True
    try:
        return float(value) == float(text)
    except ValueError:
        return False
