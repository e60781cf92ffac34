"""Anytime performance: what searches have found so far, over their trials and their energy."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from greenbench.compare.pairs import Pair, compare_pairs
from greenbench.compare.samples import marks_in
from greenbench.compare.stats import Estimate, estimate
from greenbench.errors import ConfigurationError, NotComparableError
from greenbench.marks import DISTURBED

Row = Mapping[str, Any]
FloatArray = NDArray[np.float64]

MOST_POINTS = 60
# Sums of the same energies in another order differ in their last digits.
SLACK = 1e-9

LIMITS = {
    "energy_wh": (math.inf, "a finite number of at least 0, or none if it is unknown"),
    "val_accuracy": (1.0, "a share from 0 to 1, or none for a trial that failed"),
}


@dataclass(frozen=True)
class Anytime:
    """Best-so-far curve of one search: a step at the end of each trial.

    Attributes
    ----------
    energy_wh : array of float
        Cumulative energy after each trial.
    accuracy : array of float
        Best validation accuracy after each trial, in [0, 1]; see `best_so_far`.
    """

    energy_wh: FloatArray
    accuracy: FloatArray

    @property
    def total_wh(self) -> float:
        """Energy of the whole search."""
        return float(self.energy_wh[-1])

    def accuracy_at(self, energy_wh: ArrayLike) -> FloatArray:
        """Return the best accuracy for at most so much energy, held after the last trial."""
        within = np.asarray(energy_wh, dtype=float) * (1 + SLACK)
        # A trial that has not ended has found nothing: 0.
        steps = np.concatenate([[0.0], self.accuracy])
        return np.asarray(steps[np.searchsorted(self.energy_wh, within, side="right")])

    def energy_to(self, accuracy: float) -> float | None:
        """Return the energy after which the accuracy was reached; None if it never was."""
        reached = np.flatnonzero((self.accuracy >= accuracy - SLACK) & (self.accuracy > 0))
        return float(self.energy_wh[reached[0]]) if len(reached) else None

    def mean_accuracy(self, start_wh: float, end_wh: float) -> float | None:
        """Return the normalised area under the curve, in [0, 1]: its mean from start to end.

        None if the interval is empty.
        """
        if end_wh <= start_wh:
            return None
        inner = self.energy_wh[(self.energy_wh > start_wh) & (self.energy_wh < end_wh)]
        edges = np.concatenate([[start_wh], inner, [end_wh]])
        return float(np.average(self.accuracy_at(edges[:-1]), weights=np.diff(edges)))


@dataclass(frozen=True)
class Search:
    """One search of one strategy.

    Attributes
    ----------
    strategy : str
        Its name.
    rows : tuple of mapping
        Its trials, in order.
    best : array of float
        Best validation accuracy after each trial, in [0, 1]; see `best_so_far`.
    curve : Anytime or None
        The same over energy; None if its energy does not count.
    reason : str or None
        Why its energy does not count.
    """

    strategy: str
    rows: tuple[Row, ...]
    best: FloatArray
    curve: Anytime | None
    reason: str | None

    @property
    def name(self) -> str:
        """Strategy, session and repeat, as far as they are known."""
        parts = [(word, self.rows[0].get(word)) for word in ("session", "repeat")]
        return ", ".join([self.strategy, *(f"{word} {of}" for word, of in parts if of is not None)])


Searches = Mapping[str, Sequence[Search]]
"""The searches of each strategy."""


@dataclass(frozen=True)
class Band:
    """Best-so-far curves of several searches, summed up; draw it as steps.

    Attributes
    ----------
    energy_wh : tuple of float
        From where each search has ended a trial to the end of the last search.
    median, low, high : tuple of float
        Median and quartiles over the searches, in [0, 1]; a search that has ended holds its
        accuracy.
    """

    energy_wh: tuple[float, ...]
    median: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True)
class Found:
    """What the searches of one strategy had found when all searches were cut at one limit.

    Attributes
    ----------
    strategy : str
        Its name.
    accuracy : Estimate
        Best validation accuracy of a search, in [0, 1]; 0 if no trial had completed.
    best : float
        The best of all its searches.
    win_rate : float
        Share of all pairs of one of its searches with one of another strategy that it wins,
        ties counted half.
    """

    strategy: str
    accuracy: Estimate
    best: float
    win_rate: float


@dataclass(frozen=True)
class Horizon:
    """The searches of several strategies, all cut at the same cost.

    Attributes
    ----------
    limit : float
        Number of trials, or Wh.
    found : tuple of Found
        Best median first.
    pairs : tuple of Pair
        Each two strategies, tested by ranks over their searches.
    """

    limit: float
    found: tuple[Found, ...]
    pairs: tuple[Pair, ...]

    @property
    def best(self) -> tuple[str, ...]:
        """The strategies of the best median."""
        best = self.found[0].accuracy.median
        return tuple(found.strategy for found in self.found if found.accuracy.median == best)

    @property
    def ranking(self) -> str:
        """What each strategy finds, in words, best first."""
        first, *others = (
            (found.strategy, f"{median:.1%}" if (median := found.accuracy.median) else "nothing")
            for found in self.found
        )
        return ", ".join([" finds ".join(first), *map(" ".join, others)])

    @property
    def verdict(self) -> str:
        """What the tests say, in words."""
        tested = [pair for pair in self.pairs if pair.p is not None]
        if not tested:
            return f"not tested: {self.pairs[0].reason}"
        better = [
            f"{names[0]} above {names[1]} (p = {pair.p:.2g})"
            for pair in tested
            if pair.is_significant
            and (names := (pair.one, pair.other)[:: 1 if pair.a12 > 1 / 2 else -1])
        ]
        return f"significant: {', '.join(better)}" if better else "no difference is significant"


def best_so_far(accuracies: Sequence[float | None]) -> FloatArray:
    """Return the best accuracy after each trial of a search.

    Parameters
    ----------
    accuracies : sequence of float or None
        Validation accuracies in [0, 1], in the order of the trials; None for a failed one.

    Returns
    -------
    array of float
        0, which nothing is worse than, as long as no trial has completed.
    """
    return np.maximum.accumulate([accuracy or 0.0 for accuracy in accuracies])


def estimate_of(values: Sequence[float]) -> Estimate:
    """Return the median of searches, whatever their order, with its bootstrap interval."""
    return _estimate(tuple(sorted(values)))


# Searches that end at the limit, or find nothing after it, are asked for again.
_estimate = lru_cache(maxsize=64)(estimate)


def band(curves: Sequence[Anytime]) -> Band:
    """Return the median and the quartiles of at least one curve, at up to 60 energies."""
    start = max(float(curve.energy_wh[0]) for curve in curves)
    end = max(float(curve.energy_wh[-1]) for curve in curves)
    rises = [curve.energy_wh[1:][np.diff(curve.accuracy) > 0] for curve in curves]
    # Nothing happens between the points, so that few of them tell all.
    points = np.unique(np.concatenate([[start, end], *rises]))
    points = points[points >= start]
    if len(points) > MOST_POINTS:
        points = points[np.linspace(0, len(points) - 1, MOST_POINTS).round().astype(int)]
    low, median, high = np.quantile(
        [curve.accuracy_at(points) for curve in curves], [0.25, 0.5, 0.75], axis=0
    )
    return Band(tuple(points.tolist()), *(tuple(m.tolist()) for m in (median, low, high)))


def read_searches(rows: Sequence[Row], *, include_disturbed: bool = False) -> Searches:
    """Return the searches that trials belong to, by strategy.

    Parameters
    ----------
    rows : sequence of mapping
        A row a trial, as `greenbench.compare.strategies.compare_strategies` takes them.
    include_disturbed : bool
        Whether the energy of disturbed searches counts.

    Raises
    ------
    ConfigurationError
        If an energy or an accuracy is none.
    NotComparableError
        If trials of several searches cannot be told apart.
    """
    trials: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        _check_figures(row)
        key = (str(row["strategy"]), row.get("session"), row.get("repeat"))
        trials.setdefault(key, []).append(row)
    searches: dict[str, list[Search]] = {name: [] for name in sorted({key[0] for key in trials})}
    for (name, *_), members in trials.items():
        searches[name].append(_search(name, _in_order(name, members), include_disturbed))
    return searches


def _check_figures(row: Row) -> None:
    for column, (most, expected) in LIMITS.items():
        value = row[column]
        is_number = isinstance(value, int | float) and math.isfinite(value)
        if value is not None and not (is_number and 0 <= value <= most):
            place = getattr(row, "place", row["strategy"])
            raise ConfigurationError(f"{place}: {column} is {value!r}; expected {expected}")


def _in_order(strategy: str, rows: list[Row]) -> tuple[Row, ...]:
    indices = [row.get("trial") for row in rows]
    index, times = Counter(indices).most_common(1)[0]
    if index is not None and times > 1:
        raise NotComparableError(
            f"{strategy}: trial {index} occurs {times} times in one search; give each search its "
            "number in a column `repeat`, or tell them apart with `--group COLUMN`"
        )
    if all(isinstance(index, int | float) for index in indices):
        rows = sorted(rows, key=lambda row: float(row["trial"]))
    return tuple(rows)


def _search(strategy: str, rows: tuple[Row, ...], include_disturbed: bool) -> Search:
    best, curve = best_so_far([row["val_accuracy"] for row in rows]), None
    energies = [row["energy_wh"] for row in rows]
    is_disturbed = any(DISTURBED in marks_in(row) for row in rows if row.get("marks"))
    reason = "disturbed" if is_disturbed and not include_disturbed else None
    if None in energies:
        reason = "energy unknown"
    if reason is None:
        curve = Anytime(np.cumsum(energies, dtype=float), best)
    return Search(strategy, rows, best, curve, reason)


def cut_at_trials(searches: Searches) -> Horizon:
    """Cut all searches at the fewest trials of any that has several."""
    numbers = [len(search.rows) for found in searches.values() for search in found]
    limit = min((number for number in numbers if number > 1), default=1)
    return _cut(
        limit,
        {name: [float(s.best[:limit][-1]) for s in found] for name, found in searches.items()},
    )


def cut_at_energy(curves: Mapping[str, Sequence[Anytime]]) -> Horizon | None:
    """Cut all curves at the least energy of any search of several trials, if there is one."""
    totals = [c.total_wh for found in curves.values() for c in found if len(c.energy_wh) > 1]
    if not totals:
        return None
    limit = min(totals)
    return _cut(
        limit, {name: [float(c.accuracy_at(limit)) for c in cs] for name, cs in curves.items()}
    )


def _cut(limit: float, accuracies: Mapping[str, Sequence[float]]) -> Horizon:
    pairs = tuple(
        replace(pair, reason=pair.reason and pair.reason.replace("samples", "searches"))
        for pair in compare_pairs(accuracies)
    )
    found = [
        Found(name, estimate_of(values), max(values), _win_rate(name, pairs))
        for name, values in accuracies.items()
    ]
    found.sort(key=lambda one: (-one.accuracy.median, one.strategy))
    return Horizon(limit, tuple(found), pairs)


def _win_rate(name: str, pairs: Sequence[Pair]) -> float:
    # A12 is the share of pairs that the first one wins, ties counted half.
    wins = [
        (pair.a12 if pair.one == name else 1 - pair.a12, pair.n_one * pair.n_other)
        for pair in pairs
        if name in (pair.one, pair.other)
    ]
    return sum(share * number for share, number in wins) / sum(number for _, number in wins)
