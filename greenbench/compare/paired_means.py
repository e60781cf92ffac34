"""Means over pairs: by how much two differ, with Student's interval and test, few pairs or many."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import exp, log

import numpy as np

from greenbench.compare.pairs import ALPHA, holm
from greenbench.compare.stats import CONFIDENCE, Floats
from greenbench.results.expected import LARGEST

FEWEST_PAIRS = 2
ROUNDING = 1e-9
"""Pairs that differ by less than that share of what is compared differ by a computer's rounding."""


@dataclass(frozen=True)
class PairedMean:
    """What pairs say of a ratio or a difference.

    Attributes
    ----------
    mean : float
        Of ratios the geometric mean, of differences the arithmetic one.
    low, high : float or None
        Student's interval of the mean; of ratios, on logarithms. None of a single pair.
    n : int
        Number of pairs; or of groups, where their means are summed up.
    confidence : float or None
        Of the interval: 0.95; None where there is none.
    p : float or None
        That such pairs come about without a difference, two-sided; corrected after Holm once
        `corrected` has seen all that are asked about together. None of a single pair.
    median : float
        Of the pairs.
    """

    mean: float
    low: float | None
    high: float | None
    n: int
    confidence: float | None
    p: float | None
    median: float

    @property
    def middle(self) -> float:
        """What stands before the brackets."""
        return self.mean

    @property
    def is_shown(self) -> bool:
        """Whether a difference is shown, at 5%."""
        return self.p is not None and self.p < ALPHA


def mean_ratio(ratios: Sequence[float], *, is_counted: bool = False) -> PairedMean:
    """Return the geometric mean of ratios, with its interval.

    Parameters
    ----------
    ratios : sequence of float
        Above 0, at least one, in any order.
    is_counted : bool
        Whether figures are counted in steps, as an accuracy is, so that all pairs may agree by
        chance; see `student`.
    """
    logs = np.log(np.sort(np.asarray(ratios, dtype=float)))
    found = _of_pairs(logs, 1.0, is_counted=is_counted)
    low, high = (None if end is None else _exp(end) for end in (found.low, found.high))
    median = float(np.median(ratios))
    return replace(found, mean=_exp(found.mean), low=low, high=high, median=median)


def mean_difference(differences: Sequence[float]) -> PairedMean:
    """Return the mean of differences of scores, which are counted in steps, with its interval.

    Parameters
    ----------
    differences : sequence of float
        At least one, in any order.
    """
    values = np.sort(np.asarray(differences, dtype=float))
    return _of_pairs(values, float(np.abs(values).max()), is_counted=True)


def _of_pairs(values: Floats, scale: float, *, is_counted: bool) -> PairedMean:
    mean, median, n = float(values.mean()), float(np.median(values)), len(values)
    if n < FEWEST_PAIRS:
        return PairedMean(mean, None, None, n, None, None, median)
    low, high, p = (float(each) for each in student(values, scale, is_counted=is_counted))
    return PairedMean(mean, low, high, n, CONFIDENCE, p, median)


def student(
    values: Floats, scale: float = 1.0, *, is_counted: bool = False
) -> tuple[Floats, Floats, Floats]:
    """Return Student's 95% interval of a mean, and the two-sided p of its being 0.

    The one-sample t-test and its interval (Student 1908, Biometrika 6, 1-25), exact for normal
    values. Values that are all equal have no spread that it could use: their interval has no
    width. Those of figures that are measured agree so well only where there is no noise, and p is
    0 (1 if they are 0); those that are counted agree by chance, and p is that of a sign test,
    2^(1 - n).

    Parameters
    ----------
    values : ndarray of float, shape (..., n)
        Differences or logarithms of ratios, n at least 2.
    scale : float
        How large they may be; 1 for logarithms of ratios. What is far below it is rounding.
    is_counted : bool
        Whether figures are counted in steps.

    Returns
    -------
    low, high, p : ndarray of float, shape (...)
        The interval, and p.
    """
    n, mean = values.shape[-1], np.asarray(values.mean(axis=-1))
    tolerance = ROUNDING * scale
    has_spread = np.ptp(values, axis=-1) > tolerance
    low, high = mean.copy(), mean.copy()
    p = np.where(np.abs(mean) > tolerance, 2.0 ** (1 - n) if is_counted else 0.0, 1.0)
    if has_spread.any():
        # It takes longer to import than a table to print.
        from scipy.stats import ttest_1samp  # noqa: PLC0415

        found = ttest_1samp(values[has_spread], 0.0, axis=-1)
        interval = found.confidence_interval(CONFIDENCE)
        p[has_spread], low[has_spread], high[has_spread] = found.pvalue, interval.low, interval.high
    return low, high, p


def corrected(found: Sequence[PairedMean]) -> list[PairedMean]:
    """Return all means with p after Holm, as one family.

    Parameters
    ----------
    found : sequence of PairedMean
        All that an answer asks about one figure.
    """
    known = iter(holm([each.p for each in found if each.p is not None]))
    return [each if each.p is None else replace(each, p=next(known)) for each in found]


def _exp(value: float) -> float:
    # An interval of two pairs may end where no figure can be.
    return LARGEST if value > log(LARGEST) else exp(value)
