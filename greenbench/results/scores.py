"""Scores of rows: what the figures in ``val_score`` and ``test_score`` are, as columns tell it."""

import math
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from greenbench.tasks import ACCURACY, Score

Row = Mapping[str, Any]

COLUMNS = ("score", "score_unit", "score_direction", "score_range")
"""Columns that tell a score; rows of older versions, which have none of them, are of accuracies."""
HIGHER, LOWER = "higher", "lower"
BETWEEN = " to "
ANY = (-math.inf, math.inf)

ALIASES: Mapping[str, str] = {"val_score": "val_accuracy", "test_score": "test_accuracy"}
"""What older versions called figures, of which all were accuracies."""


def columns_of(score: Score) -> dict[str, str]:
    """Return the columns that tell a score."""
    direction = HIGHER if score.higher_is_better else LOWER
    values = (score.name, score.unit, direction, f"{score.low:g}{BETWEEN}{score.high:g}")
    return dict(zip(COLUMNS, values, strict=True))


def score_of(row: Row) -> Score:
    """Return the score that a row's figures are of.

    Parameters
    ----------
    row : mapping
        Of a result or a trial; what lacks columns of `COLUMNS` is an accuracy.
    """
    if not row.get("score"):
        return ACCURACY
    return _score(*(row.get(name) or "" for name in COLUMNS))


def score_of_all(rows: Iterable[Row]) -> Score:
    """Return the score of the first of some rows, which agree in it; accuracy without any."""
    return next(map(score_of, rows), ACCURACY)


def with_aliases(row: Row) -> dict[str, Any]:
    """Return a row with the columns of older versions besides: accuracies, where it has such."""
    is_accuracy = score_of(row).name == ACCURACY.name
    older = {old: row[new] if is_accuracy else None for new, old in ALIASES.items() if new in row}
    return {**row, **older}


def without_aliases(row: Row) -> dict[str, Any]:
    """Return a row under the names of today, whichever version wrote it."""
    older = {new: row[old] for new, old in ALIASES.items() if old in row and new not in row}
    kept = {name: value for name, value in row.items() if name not in ALIASES.values()}
    return {**kept, **older}


@lru_cache
def _score(name: str, unit: str, direction: str, limits: str) -> Score:
    if name == ACCURACY.name and direction != LOWER:
        return ACCURACY
    return Score(name, unit, direction != LOWER, *(read_range(limits) or ANY))


def read_range(text: str) -> tuple[float, float] | None:
    """Return the ends of a range as `columns_of` writes it; None of another text."""
    try:
        low, high = map(float, text.split(BETWEEN))
    except ValueError:
        return None
    return (low, high) if low < high else None
