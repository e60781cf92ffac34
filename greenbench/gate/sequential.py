"""Pairs of two revisions, looked at after each one, until it is known whether a limit is kept.

Pure functions of arrays of shape (simulations, pairs): the product is one simulation. All figures
are logarithms, because noise of costs multiplies.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from greenbench.gate.limits import FEWEST_PAIRS

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

DRIFTED = 0.998
"""Confidence of the test for drift: pairs of a steady machine are hardly ever taken for others."""

UNCHANGED = 0.015
"""Share of builds of unchanged code that may fail, over all looks at all their noisy limits: less
than the 2% that are promised, because no machine is as well-behaved as a simulation."""
LIKELY = 0.75
"""Confidence, at the look that decides, that growth which is certain is more than is allowed. Where
noise is as large as what is allowed, and growth twice that, 95% over all looks would miss three
changes in ten; growth by just what is allowed is violated in half of all cases."""
KEPT = 0.20
"""Share of limits that are called kept where the true growth is just what is allowed, and so is no
violation yet; of what is beyond it by half the limit, hardly any."""
SHOWN = 0.05
"""Share of lower bounds, as people see them, that are above the true growth at some look."""

NOMINAL = (
    (1e-6, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.10, 0.15, 0.20),
    (
        3e-8, 5.5e-6, 1.1e-5, 3.0e-5, 6.8e-5, 1.5e-4, 4.5e-4, 1.09e-3, 2.67e-3, 8.6e-3, 0.0210,
        0.0358, 0.0529,
    ),
)  # fmt: skip
"""Errors over all looks from the third pair to the twentieth, and the level at each look that
holds them: the same at each (Pocock 1977), which is what finds large changes soonest. Student's
statistic does not depend on the noise, so these hold whatever it is: 2,000,000 simulations by
``benchmarks/bench_gate.py --calibrate``; the first is extrapolated, and on the safe side."""


@dataclass(frozen=True)
class Looks:
    """What is known after each pair.

    Attributes
    ----------
    growth, error : ndarray of float64, (simulations, pairs)
        The logarithm of the ratio of costs, and its standard error.
    freedom : ndarray of float64, (simulations, pairs)
        Degrees of freedom of the error; 0 where nothing is known.
    by_pairs : ndarray of bool, (simulations, pairs)
        Whether the machine's pace was seen to change, so that pairs are compared.
    """

    growth: Floats
    error: Floats
    freedom: Floats
    by_pairs: Bools


@dataclass(frozen=True)
class Decisions:
    """What the first look found that decides, or the last if none does.

    Attributes
    ----------
    is_violated, is_kept : ndarray of bool, (simulations,)
        Neither where it is still open.
    pairs : ndarray of int64, (simulations,)
        Of that look.
    growth, low, high : ndarray of float64, (simulations,)
        The logarithm of the ratio then, and its bounds, by `SHOWN` and by `KEPT`.
    by_pairs : ndarray of bool, (simulations,)
        See `Looks`.
    """

    is_violated: Bools
    is_kept: Bools
    pairs: NDArray[np.int64]
    growth: Floats
    low: Floats
    high: Floats
    by_pairs: Bools


def is_new_first(repeat: int) -> bool:
    """Return which of two revisions a pair begins with: AB BA AB and so on."""
    return repeat % 2 == 1


def nominal(error: float) -> float:
    """Return the level at each look that holds an error over all looks.

    Parameters
    ----------
    error : float
        Above 0.
    """
    errors, levels = np.log(NOMINAL)
    return float(np.exp(np.interp(np.log(error), errors, levels)))


def looks(new: ArrayLike, old: ArrayLike, new_first: ArrayLike) -> Looks:
    """Return what is known of the growth after each pair.

    Student's test of all samples, whatever their pairs; but where rounds, or which of the two
    came first, explain more than chance does (an F test of nested linear models), of the
    differences within pairs, with a term for the order: what drifts over a pair is that term.

    Parameters
    ----------
    new, old : array_like of float, (simulations, pairs)
        Logarithms of costs.
    new_first : array_like of bool, (pairs,)
        Whether the new one came first.
    """
    # Sums of squares lose digits where all values are far from 0.
    start = np.asarray(old, np.float64)[:, :1]
    here, base = np.asarray(new, np.float64) - start, np.asarray(old, np.float64) - start
    count = _count(here)
    difference = here - base
    growth = difference.cumsum(axis=1) / count
    within, middle = _squares(difference, difference), (here + base) / 2
    total = 2 * _squares(middle, middle) + within / 2
    adjusted, its_error, freedom, left = _ordered(difference, within, np.asarray(new_first))
    by_pairs = _explains(total, left / 2, 2 * count - 2, freedom)
    error = _root(total, 2 * count - 2) * np.sqrt(2 / count)
    return Looks(
        np.where(by_pairs, adjusted, growth),
        np.where(by_pairs, its_error, error),
        np.where(by_pairs, freedom, 2 * count - 2),
        by_pairs,
    )


def _ordered(
    difference: Floats, within: Floats, new_first: Bools
) -> tuple[Floats, Floats, Floats, Floats]:
    """Return the mean difference less what the order is worth, its error, degrees, and residue."""
    count, order = _count(difference), np.where(new_first, 1.0, -1.0)[None]
    lean, spread = order.cumsum(axis=1) / count, _squares(order, order)
    # Where the same one always came first, nobody knows what that is worth.
    has_order = spread > 0
    safe: Floats = np.where(has_order, spread, 1.0)
    slope: Floats = np.where(has_order, _squares(difference, order) / safe, 0.0)
    left = np.maximum(within - slope**2 * spread, 0.0)
    freedom = np.maximum(count - 1 - has_order, 0.0)
    error = _root(left, freedom) * np.sqrt(1 / count + lean**2 / safe)
    mean = difference.cumsum(axis=1) / count - slope * lean
    return mean, error, freedom, left


def decide(
    found: Looks, allowed: float, *, family: int = 1, fewest: int = FEWEST_PAIRS
) -> Decisions:
    """Return what is found by the first look that decides.

    A limit is violated if the cost grew at all, which must be shown at `UNCHANGED` over all looks
    and all limits of a build, and that by more than is allowed is `LIKELY`. It is kept if the
    growth is below what is allowed, at `KEPT` over all looks.

    Parameters
    ----------
    found : Looks
        Of at least one pair.
    allowed : float
        Logarithm of the ratio that is allowed.
    family : int
        Noisy limits that the build has.
    fewest : int
        Pairs of the first look.
    """

    def least(level: float) -> Floats:
        return np.asarray(found.growth - _quantile(level, found.freedom) * found.error)

    low, certain = least(nominal(SHOWN)), least(nominal(UNCHANGED / family))
    high = found.growth + _quantile(nominal(KEPT), found.freedom) * found.error
    is_due = (np.arange(found.growth.shape[1]) >= fewest - 1) & (found.freedom > 0)
    violated = (certain > 0) & (least(1 - LIKELY) > allowed) & is_due
    kept = (high <= allowed) & is_due
    decides = violated | kept
    last = np.where(decides.any(axis=1), decides.argmax(axis=1), decides.shape[1] - 1)

    row = np.arange(len(last))
    return Decisions(
        violated[row, last], (kept & ~violated)[row, last], last + 1,
        found.growth[row, last], low[row, last], high[row, last], found.by_pairs[row, last],
    )  # fmt: skip


def _count(values: Floats) -> Floats:
    """Return how many pairs there are at each look."""
    return np.arange(1, values.shape[1] + 1, dtype=np.float64)[None]


def _squares(values: Floats, others: Floats) -> Floats:
    """Return, after each pair, the sum of products of deviations from the means until then."""
    count = _count(values)
    sums = values.cumsum(axis=1), others.cumsum(axis=1)
    return np.asarray((values * others).cumsum(axis=1) - sums[0] * sums[1] / count)


def _root(squares: Floats, freedom: Floats) -> Floats:
    return np.sqrt(np.maximum(squares, 0.0) / np.maximum(freedom, 1.0))


def _explains(total: Floats, left: Floats, freedom: Floats, left_freedom: Floats) -> Bools:
    """Return whether a linear model leaves less than chance lets it, by the F test."""
    further = np.maximum(freedom - left_freedom, 1.0)
    bar = stats.f.ppf(DRIFTED, further, np.maximum(left_freedom, 1.0))
    explained = (total - left) / further
    is_known = left_freedom > 0
    return is_known & (explained > bar * left / np.maximum(left_freedom, 1.0))


def _quantile(level: float, freedom: Floats) -> Floats:
    # Few degrees are many times in an array of simulations.
    degrees, places = np.unique(freedom, return_inverse=True)
    # Where there are none, there is no error, either, and no look is due.
    quantiles = np.asarray(stats.t.isf(level, np.maximum(degrees, 1.0)), np.float64)
    return quantiles[places].reshape(freedom.shape)
