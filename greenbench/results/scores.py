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

OLDER_NAMES: Mapping[str, str] = {"val_score": "val_accuracy", "test_score": "test_accuracy"}
"""What older versions called figures, of which all were accuracies."""
OLDER_VALUES: Mapping[str, str | int] = {
    "task": "classification",
    "optimizer": "adam",
    "schedule": "constant",
    "devices": 1,
}
"""What all results of older versions have, which say nothing of it."""


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
    return _score(*(str(row.get(name) or "") for name in COLUMNS))


def worst_gain(score: Score) -> float:
    """Return the least gain that a score can have: what a search counts as that found nothing."""
    return min(score.gain(score.low), score.gain(score.high))


def optimism_of(
    val_score: float | None, test_score: float | None, score: Score = ACCURACY
) -> float | None:
    """Return by how much validation flatters an incumbent; None if one of both is unknown.

    It is positive where validation looks better, whichever way the score points.
    """
    if val_score is None or test_score is None:
        return None
    return score.gain(val_score) - score.gain(test_score)


def range_of(score: Score) -> str:
    """Return what a figure of a score is: ``"a share from 0 to 1"``, ``"a number up to 1"``."""
    kind = "a share" if score.unit == "share" else "a number"
    low = "" if math.isinf(score.low) else f" from {score.low:g}"
    if math.isinf(score.high):
        return f"{kind}{low and f'{low} on'}" if low else "a finite number"
    return f"{kind}{low} {'to' if low else 'up to'} {score.high:g}"


def score_of_all(rows: Iterable[Row]) -> Score:
    """Return the score of the first of some rows, which agree in it; accuracy without any."""
    return next(map(score_of, rows), ACCURACY)


def with_older_names(row: Row) -> dict[str, Any]:
    """Return a row in which figures that are accuracies are under their older names, too."""
    is_accuracy = score_of(row).name == ACCURACY.name
    return {**row, **{old: row.get(n) if is_accuracy else None for n, old in OLDER_NAMES.items()}}


def as_of_today(row: Row) -> dict[str, Any]:
    """Return a row with the columns of today, whichever version wrote it.

    Parameters
    ----------
    row : mapping
        Of a result or a trial; of an older version it has accuracies under their older names,
        and neither task nor optimiser, nor a number of devices.
    """
    found = dict(row)
    for name, older in OLDER_NAMES.items():
        if found.get(name) is None:
            found[name] = found.get(older)
    if not found.get("score"):
        found |= columns_of(ACCURACY)
    found |= {name: value for name, value in OLDER_VALUES.items() if found.get(name) is None}
    return with_older_names(found)


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
