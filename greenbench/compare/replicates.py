"""Replicates: what a test of factors takes for granted of its samples, and whether it is so."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from statistics import fmean
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import levene

from greenbench.compare.doubts import middle
from greenbench.compare.headers import SEED
from greenbench.errors import ConfigurationError, UnknownNameError

Row = Mapping[str, Any]
Sample = tuple[tuple[str, ...], float, float | None]
"""Levels, response, and what ticks leave open of it."""

FEWEST_FOR_VARIANCE = 4
"""Samples of a cell: of three, the test below finds nothing, whatever they are; of two, always."""
UNEQUAL = 0.05
LEAST_SHOWN = 0.001
A_UNIT = (
    "a column that tells independent samples apart, such as a repeat; name another with `--unit`"
)


def check_unit(rows: Sequence[Row], unit: str, factors: Sequence[str], response: str) -> None:
    """Refuse a column that cannot be what is independent.

    Parameters
    ----------
    rows : sequence of mapping
        Samples that count.
    unit : str
        The column.
    factors, response : sequence of str, str
        The other columns.

    Raises
    ------
    UnknownNameError, ConfigurationError
        If there is no such column, it is another thing, or it is empty or the same everywhere.
    """
    known = {name for row in rows for name in row}
    if unit not in known:
        raise UnknownNameError("column", unit, known)
    if unit in (*factors, response):
        what = "the response" if unit == response else "a factor"
        raise ConfigurationError(f"unit {unit!r} is {what}, expected {A_UNIT}")
    values = {row.get(unit) for row in rows}
    if any(pd.isna(value) or value == "" for value in values):
        raise ConfigurationError(
            f"a sample that counts has no {unit!r}, expected the unit of each; fill it in, or name "
            "another with `--unit`"
        )
    if len(values) == 1:
        raise ConfigurationError(
            f"unit {unit!r} is {values.pop()!r} in each of {len(rows)} samples that count, "
            f"expected {A_UNIT}"
        )


def by_unit(samples: Iterable[Sample], units: Iterable[Any]) -> list[Sample]:
    """Return one sample for each unit in each combination of levels: the mean of its samples.

    Parameters
    ----------
    samples : iterable of Sample
        In any order, which is kept.
    units : iterable
        That of each.
    """
    found: dict[tuple[Any, ...], list[Sample]] = {}
    for sample, unit in zip(samples, units, strict=True):
        found.setdefault((sample[0], unit), []).append(sample)
    return [
        (levels, fmean(value for _, value, _ in own), middle(doubt for _, _, doubt in own))
        for (levels, _), own in found.items()
    ]


def dependence(
    rows: Sequence[Row], keys: Sequence[tuple[str, ...]], factors: Sequence[str]
) -> str | None:
    """Return in words how many samples of a cell share their seeds with another; None if none do.

    Parameters
    ----------
    rows : sequence of mapping
        Samples that count.
    keys : sequence of tuple of str
        The levels of each.
    factors : sequence of str
        Columns of levels.
    """
    column = next((name for name in SEED if any(name in row for row in rows)), None)
    if column is None or column in factors:
        return None
    told = [
        (key, row.get("case_hash"), row[column], row.get("session"))
        for row, key in zip(rows, keys, strict=True)
        if row.get(column) not in (None, "")
    ]
    times = Counter(each[:3] for each in told)
    shared = [each for each in told if times[each[:3]] > 1]
    if not shared:
        return None
    again = "" if len({each[3] for each in shared}) == 1 else ", in other sessions too"
    return (
        f"{len(shared)} of {len(rows)} samples share their {column} with another of the same "
        f"levels{again}: they are not independent, and p may be far too small; `--unit {column}` "
        "tests their means"
    )


def unequal_variances(cells: Iterable[Sequence[float]], *, is_balanced: bool) -> str | None:
    """Return in words that the samples of some cells vary by more than those of others.

    By the test of Brown and Forsythe (1974), Levene's about medians, of cells with four samples and
    more.

    Parameters
    ----------
    cells : iterable of sequence of float
        The response of each combination of levels.
    is_balanced : bool
        Whether all have as many samples.
    """
    tested = [cell for cell in cells if len(cell) >= FEWEST_FOR_VARIANCE]
    if len(tested) < 2 or not any(max(cell) > min(cell) for cell in tested):  # noqa: PLR2004
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        p = float(levene(*tested, center="median").pvalue)
    if not isfinite(p) or p >= UNEQUAL:
        return None
    chance = f"p = {p:.3f}" if p >= LEAST_SHOWN else f"p < {LEAST_SHOWN}"
    so = "is rough" if is_balanced else "may be far off, the more since cells have unequal numbers"
    return (
        f"samples of some levels vary by more than others (Brown-Forsythe, {chance}): F takes "
        f"their variances to be equal, so its p {so}"
    )
