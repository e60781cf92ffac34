"""The design of a factorial: which samples count, and the levels that they have."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from typing import Any

import pandas as pd

from greenbench.compare.comparable import ENERGY, SCORED, SCORES, TIME, check_agree, check_cases
from greenbench.compare.doubts import middle
from greenbench.compare.replicates import by_unit, check_unit, dependence
from greenbench.compare.samples import WALL_TIMES, is_left_out, once_each
from greenbench.errors import ConfigurationError, NotComparableError, UnknownNameError
from greenbench.results.expected import LARGEST
from greenbench.results.scope import scope_of
from greenbench.results.table import FURTHER
from greenbench.results.uncertainty import left_open

Row = Mapping[str, Any]
Levels = tuple[str, ...]

MOST_FACTORS = 6
MOST_LEVELS = 50
ROUNDING = 1e-12
COMMON = {"dataset": "data set", "backend": "backend", "strategy": "strategy"}
PARTS_OF_SETTING = ("dataset", "trials", "epochs", "threads", "task", "optimizer", "schedule")


@dataclass(frozen=True)
class Design:
    """Samples of a response, and their levels.

    Attributes
    ----------
    factors : tuple of str
        Names.
    levels : tuple of tuple of str
        Those of each factor: numbers by size, then texts.
    keys : tuple of tuple of str
        The levels of each sample.
    values : tuple of float
        The response of each sample.
    doubts : tuple of float or None
        What the ticks of counters leave open of each.
    provenance, scope : str or None
        Of an energy; None if the response is none, if the samples don't say, or if it is a
        factor.
    averaged : int
        Samples that are no more their own, but in the mean of their unit.
    dependence : str or None
        In words, which samples are not independent; None where none are seen to be.
    """

    factors: tuple[str, ...]
    levels: tuple[Levels, ...]
    keys: tuple[Levels, ...]
    values: tuple[float, ...]
    doubts: tuple[float | None, ...]
    provenance: str | None = None
    scope: str | None = None
    averaged: int = 0
    dependence: str | None = None

    @property
    def is_balanced(self) -> bool:
        """Whether each combination of levels has as many samples."""
        return len(set(map(len, self.cells.values()))) == 1

    @cached_property
    def rounding(self) -> float:
        """By how much arithmetic may have set equal figures apart."""
        return ROUNDING * max(map(abs, self.values))

    @cached_property
    def cells(self) -> dict[Levels, list[float]]:
        """The response by combination of levels, in the order of levels."""
        found: dict[Levels, list[float]] = {}
        for key, value in zip(self.keys, self.values, strict=True):
            found.setdefault(key, []).append(value)
        return {key: found[key] for key in sorted(found, key=lambda key: [*map(_order, key)])}

    @cached_property
    def doubt_of(self) -> dict[Levels, float | None]:
        """What ticks leave open of one sample of each combination of levels, median."""
        found: dict[Levels, list[float | None]] = {key: [] for key in self.cells}
        for key, doubt in zip(self.keys, self.doubts, strict=True):
            found[key].append(doubt)
        return {key: middle(doubts) for key, doubts in found.items()}

    def by_level(self, factor: int) -> dict[str, list[float]]:
        """Return the response by level of one factor."""
        found: dict[str, list[float]] = {level: [] for level in self.levels[factor]}
        for key, value in zip(self.keys, self.values, strict=True):
            found[key[factor]].append(value)
        return found

    def are_equal(self, values: Sequence[float]) -> bool:
        """Return whether values differ by no more than rounding."""
        return max(values) - min(values) <= self.rounding


def make_design(
    rows: Sequence[Row],
    factors: Sequence[str],
    response: str,
    *,
    unit: str | None = None,
    include_disturbed: bool,
) -> Design:
    """Return the design of the samples that count.

    Parameters
    ----------
    rows : sequence of mapping
        Samples.
    factors : sequence of str
        Columns of categories.
    response : str
        Column of numbers.
    unit : str, optional
        Column of what is independent, such as ``"repeat"``: samples of one unit and equal levels
        are averaged. None takes each for independent.
    include_disturbed : bool
        Whether the energy of disturbed samples counts.

    Raises
    ------
    ConfigurationError
        If a column cannot be a factor, a response or a unit.
    NotComparableError
        If samples differ in what is no factor, such as the host, or if none counts.
    """
    _check_names(rows, factors, response)
    check_cases(rows)
    counted = {
        number: row
        for number, row in enumerate(_once_each(rows, response), 1)
        if _counts(row, response, include_disturbed)
    }
    if not counted:
        raise NotComparableError(_why_none(rows, response))
    _check_comparable(list(counted.values()), factors, response)
    columns = [[_level(row, name, number) for number, row in counted.items()] for name in factors]
    values = [_figure(row, response, number) for number, row in counted.items()]
    levels = tuple(tuple(sorted(set(column), key=_order)) for column in columns)
    for name, own in zip(factors, levels, strict=True):
        _check_levels(name, own, len(counted))
    is_energy = _is_energy(response)
    provenance, scope = _origin(list(counted.values())) if is_energy else (None, None)
    samples = list(counted.values())
    keys = list(zip(*columns, strict=True))
    doubts = [left_open(row, response) for row in samples]
    if unit is not None:
        check_unit(samples, unit, factors, response)
        means = by_unit(zip(keys, values, doubts, strict=True), [row[unit] for row in samples])
        keys, values, doubts = map(list, zip(*means, strict=True))
    return Design(
        tuple(factors),
        levels,
        tuple(keys),
        tuple(values),
        tuple(doubts),
        provenance=provenance,
        scope=scope,
        averaged=len(samples) - len(values),
        dependence=None if unit else dependence(samples, keys, factors),
    )


def _check_names(rows: Sequence[Row], factors: Sequence[str], response: str) -> None:
    if not rows:
        raise ConfigurationError("there are no rows to compare; check the file or `--where`")
    if not 1 <= len(factors) <= MOST_FACTORS:
        raise ConfigurationError(
            f"{len(factors)} factors are given, expected 1 to {MOST_FACTORS}; "
            "name them with `--factors`"
        )
    known = {name for row in rows for name in row}
    for name in [*factors, response]:
        if name not in known:
            raise UnknownNameError("column", name, known)
        if factors.count(name) > 1:
            raise ConfigurationError(f"factor {name!r} is given twice; name it once")
    if response in factors:
        raise ConfigurationError(
            f"{response!r} is both the response and a factor; leave it out of the factors"
        )


def _once_each(rows: Sequence[Row], response: str) -> Sequence[Row]:
    """Return the rows of which each counts: of a score, one for each case and repeat."""
    is_own = all(row.get("case_hash") for row in rows)
    return once_each(rows, response) if is_own and _is_score(response) else rows


def _is_score(response: str) -> bool:
    return response.endswith("accuracy") or response in SCORES or response.startswith(FURTHER)


def _counts(row: Row, response: str, include_disturbed: bool) -> bool:
    # In a store a missing figure is an unknown one; in a foreign table, a mistake.
    if "case_hash" in row and (
        row.get(response) is None or row.get("status", "finished") not in ("finished", "completed")
    ):
        return False
    is_watched = _is_energy(response) or response in WALL_TIMES
    return include_disturbed or not is_watched or not is_left_out(row, response)


def _is_energy(response: str) -> bool:
    # Emissions are energy in another unit.
    return response.startswith(("energy", "emissions")) or response.endswith(("_wh", "_j"))


def _origin(rows: Sequence[Row]) -> tuple[str | None, str | None]:
    """Return provenance and scope; several have been refused by now, unless one is a factor."""
    provenances = {row.get("energy_provenance") for row in rows}
    scopes = {scope_of(row) for row in rows}
    return (
        provenances.pop() if len(provenances) == 1 else None,
        scopes.pop() if len(scopes) == 1 else None,
    )


def _why_none(rows: Sequence[Row], response: str) -> str:
    if any(_counts(row, response, include_disturbed=True) for row in rows):
        why = "was disturbed by other processes; count them all the same with `--include-disturbed`"
    else:
        why = "failed or has no such figure; select others with `--where`"
    return f"{response}: each of {len(rows)} samples {why}"


def _check_comparable(rows: Sequence[Row], factors: Sequence[str], response: str) -> None:
    where = f"{response} by {', '.join(factors)}"
    measured = ENERGY if _is_energy(response) else TIME if response in WALL_TIMES else {}
    columns = {**measured, **COMMON}
    if any("case_hash" in row for row in rows) and response in (*SCORES, "optimism"):
        columns |= SCORED
    check_agree(
        where, rows, {name: words for name, words in columns.items() if name not in factors}
    )
    if "setting" in factors:
        return
    # A setting names the data set and the budget: it must differ where those are factors.
    parts = [name for name in PARTS_OF_SETTING if name in factors]
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(str(row.get(name)) for name in parts), []).append(row)
    for members in groups.values():
        check_agree(where, members, {"setting": "setting"})


def _level(row: Row, name: str, number: int) -> str:
    value = row.get(name)
    if pd.isna(value) or value == "":
        raise ConfigurationError(
            f"row {number} has no level of factor {name!r}; fill it in or leave the row out"
        )
    # So that 1 and 1.0, or 0.3 and 0.1 + 0.2, are one level.
    return f"{value:.15g}" if isinstance(value, Real) else str(value)


def _order(level: str) -> tuple[bool, float, str]:
    try:
        size = float(level)
    except ValueError:
        size = math.nan
    return (False, size, level) if math.isfinite(size) else (True, 0.0, level)


def _figure(row: Row, response: str, number: int) -> float:
    value = row.get(response)
    # Beyond the largest its square has no finite value.
    if isinstance(value, bool) or not isinstance(value, Real) or not abs(float(value)) < LARGEST:
        raise ConfigurationError(
            f"{response} is {value!r} in row {number}, expected a number; "
            "mend it or leave the row out"
        )
    return float(value)


def _check_levels(name: str, levels: Levels, n: int) -> None:
    if len(levels) == 1:
        raise ConfigurationError(
            f"factor {name!r} has the level {levels[0]!r} in each of {n} samples that count, "
            "expected at least 2 levels; leave the factor out or select other rows"
        )
    if len(levels) == n or len(levels) > MOST_LEVELS:
        raise ConfigurationError(
            f"factor {name!r} has {len(levels)} levels in {n} samples, expected at most "
            f"{MOST_LEVELS} and fewer than samples; it looks like an id or a measured quantity: "
            "name a factor, or put its values into groups"
        )
