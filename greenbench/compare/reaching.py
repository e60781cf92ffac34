"""Reaching: the energy at which searches come to a target, where some never do.

A search that ends before it is there is *censored*: it needs more than it spent, nobody knows how
much. To count it as infinitely late is wrong where it ended early, and to leave it out where it
did not.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from greenbench.compare.stats import CONFIDENCE, estimate

FEWEST_FOR_INTERVAL = 6
# Shares are sums of fractions.
SLACK = 1e-9


@dataclass(frozen=True)
class Reaching:
    """When the searches of one strategy reach their target.

    Attributes
    ----------
    median : float or None
        Energy after which half of the searches have reached it, in Wh; None if the curve of
        those that have not does not fall below a half.
    low, high : float or None
        95% interval of that median; None below 6 searches, and where they bound no end.
    above : float or None
        Where there is no median: what it is above, in Wh.
    hit_rate : float
        Share of searches that reach it.
    """

    median: float | None
    low: float | None
    high: float | None
    above: float | None
    hit_rate: float


def reaching(
    reached_wh: Sequence[float | None],
    spent_wh: Sequence[float],
    goes_on: Sequence[bool] | None = None,
) -> Reaching:
    """Return when searches reach their target, by the estimator of Kaplan and Meier (1958).

    Where the curve runs level at a half, the median is the middle of that step, so that without
    censored searches it is the usual one, and its interval too. Else the interval is that of
    Brookmeyer and Crowley (1982): all energies at which the curve's own interval, by Greenwood's
    variance on the scale log(−log), holds a half.

    Parameters
    ----------
    reached_wh : sequence of float or None
        Energy at which each search was there; None if it never was.
    spent_wh : sequence of float
        Energy of each search in all.
    goes_on : sequence of bool, optional
        Whether it would have searched further, with more energy; without, all would. Who trains
        once and is not there, as the control, never is.
    """
    hits = [energy for energy in reached_wh if energy is not None]
    ends = [spent for energy, spent in zip(reached_wh, spent_wh, strict=True) if energy is None]
    further = [True] * len(spent_wh) if goes_on is None else goes_on
    last = max([*hits, *ends])
    # What is censored after all else is as good as never there.
    until = [
        end if is_going else last + 1
        for end, energy, is_going in zip(spent_wh, reached_wh, further, strict=True)
        if energy is None
    ]
    middle, low, high = _kaplan_meier(hits, until) if hits else (None, None, None)
    at_least = median(hits + ends)
    return Reaching(
        middle, low, high, at_least if middle is None else None, len(hits) / len(reached_wh)
    )


def _kaplan_meier(
    hits: Sequence[float], ends: Sequence[float]
) -> tuple[float | None, float | None, float | None]:
    from scipy.stats import CensoredData, ecdf  # noqa: PLC0415

    found = ecdf(CensoredData(uncensored=hits, right=ends)).sf
    at = found.quantiles
    down, below = (_first(at, found.probabilities, level) for level in (0.5 + SLACK, 0.5 - SLACK))
    middle = None if down is None or below is None else (down + below) / 2
    if len(hits) + len(ends) < FEWEST_FOR_INTERVAL:
        return middle, None, None
    if not ends:
        usual = estimate(sorted(hits))
        return middle, usual.low, usual.high
    with warnings.catch_warnings():
        # Where nobody is left there is no variance.
        warnings.simplefilter("ignore", RuntimeWarning)
        interval: Any = found.confidence_interval(CONFIDENCE, method="log-log")
    low, high = (_first(at, end.probabilities, 0.5) for end in (interval.low, interval.high))
    return middle, low, high


def _first(at: NDArray[np.float64], shares: NDArray[np.float64], level: float) -> float | None:
    """Return where a curve comes below a level; None if it never does."""
    below = np.flatnonzero(shares < level)
    return float(at[below[0]]) if len(below) else None
