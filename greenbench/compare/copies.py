"""Copies: rows that are one measurement, though they stand in several places."""

from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from greenbench.compare.csvs import number

Row = dict[str, Any]

POSITIONS = ("index",)
"""Columns that say where a row stands, and nothing of what was measured."""

FINE = 12
"""Digits in which two measurements are never equal."""


def without_copies(
    paths: Sequence[Path], tables: Sequence[list[Row]], *, apart: Collection[str] = ()
) -> tuple[list[Row], list[str]]:
    """Return the rows of several files, each measurement once, and what was left out.

    Equal rows of one file are as many measurements; see `once`.

    Parameters
    ----------
    paths : sequence of Path
        The files, for the notes.
    tables : sequence of list of dict
        The rows of each.
    apart : collection of str
        Columns that copies may differ in.
    """
    kept: list[Row] = []
    notes: list[str] = []
    known: Counter[Hashable] = Counter()
    for path, rows in zip(paths, tables, strict=True):
        own: Counter[Hashable] = Counter()
        before = len(kept)
        for row in rows:
            identity = _identity(row, apart)
            own[identity] += 1
            if own[identity] > known[identity]:
                kept.append(row)
        known |= own
        if copies := before + len(rows) - len(kept):
            notes.append(
                f"{copies} of {len(rows)} rows of {path} are in another file as well, and count "
                "once"
            )
    return kept, notes


def once(rows: Sequence[Row], figures: Sequence[str]) -> tuple[list[Row], list[str]]:
    """Return the rows of a table without those that are equal to one before, and how many.

    Measurements that agree in all of their digits are one. Coarse figures may well be equal.

    Parameters
    ----------
    rows : sequence of dict
        Of one table.
    figures : sequence of str
        Columns of what was measured.
    """
    kept: dict[Hashable, Row] = {}
    for place, row in enumerate(rows):
        is_fine = any(_digits(row.get(name)) >= FINE for name in figures)
        kept.setdefault(_identity(row, ()) if is_fine else place, row)
    copies = len(rows) - len(kept)
    if not copies:
        return list(rows), []
    return list(kept.values()), [
        f"{copies} of {len(rows)} rows are copies of others, and count once"
    ]


def _identity(row: Mapping[str, Any], apart: Iterable[str]) -> Hashable:
    left_out = {*POSITIONS, *apart}
    return tuple(sorted((name, _value(v)) for name, v in row.items() if name not in left_out))


def _value(value: Any) -> str:
    # However it is written.
    found = number(value) if isinstance(value, str) else value
    return repr(float(found)) if isinstance(found, int | float) else str(value)


def _digits(value: Any) -> int:
    if not isinstance(value, float):
        return 0
    return len(repr(value).partition("e")[0].replace(".", "").lstrip("-0"))
