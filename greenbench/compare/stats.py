"""Statistics of small samples: a median with its range, or with its interval where there is one."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

CONFIDENCE = 0.95
FEWEST_FOR_INTERVAL = 6
"""Samples from which on order statistics hold the median with `CONFIDENCE`: 1 - 2^(1 - 6)."""


@dataclass(frozen=True)
class Estimate:
    """A median and how sure it is.

    Attributes
    ----------
    median : float
        Of the samples.
    low, high : float or None
        From 6 samples on, an interval of the median; below that the least and the largest
        sample; None of a single one.
    n : int
        Number of samples.
    confidence : float or None
        How often such intervals hold the median that repeats without end would have, at least;
        None where `low` and `high` are the range, which claims nothing.
    """

    median: float
    low: float | None
    high: float | None
    n: int
    confidence: float | None = None

    @property
    def middle(self) -> float:
        """What stands before the brackets."""
        return self.median

    def columns(self, name: str) -> dict[str, float | None]:
        """Return the columns of a flat table.

        Parameters
        ----------
        name : str
            That of the median; those of the others begin with it.
        """
        return {name: self.median, **bounds_of(self, name)}


def bounds_of(found: Any, name: str) -> dict[str, float | None]:
    """Return what stands beside a figure in a flat table.

    Parameters
    ----------
    found : Estimate or PairedMean or None
        The figure; None gives the same columns, empty.
    name : str
        What the columns begin with.
    """
    ends = ("low", "high", "confidence")
    return {f"{name}_{end}": getattr(found, end, None) for end in ends}


def estimate(samples: Sequence[float]) -> Estimate:
    """Return the median of at least one sample, with its range or interval.

    Parameters
    ----------
    samples : sequence of float
        Finite values, in any order.
    """
    values = np.asarray(samples, dtype=float)
    median, n = float(np.median(values)), len(values)
    if n <= 1:
        return Estimate(median, None, None, n)
    low, high, confidence = around_median(values)
    return Estimate(median, float(low), float(high), n, confidence)


def around_median(samples: Floats) -> tuple[Floats, Floats, float | None]:
    """Return the two order statistics that hold the median, and how often they do.

    The narrowest symmetric pair that does so with at least 95%, whatever the noise is, as long as
    samples are independent: the number of samples below the median is binomial (Thompson 1936,
    Annals of Mathematical Statistics 7, 122-128). Below 6 samples even the outermost pair does so
    more rarely, 75% at 3: that pair comes without a confidence.

    Parameters
    ----------
    samples : ndarray of float, shape (..., n)
        A row for each set of samples, n at least 1.

    Returns
    -------
    low, high : ndarray of float, shape (...)
        The order statistics.
    confidence : float or None
        Exact for noise without ties, and at least that with ties.
    """
    outside, confidence = _left_out(samples.shape[-1])
    ordered = np.sort(samples, axis=-1)
    return ordered[..., outside], ordered[..., -1 - outside], confidence


@cache
def _left_out(n: int) -> tuple[int, float | None]:
    """Return how many samples lie outside at each end, and the confidence of those between."""
    if n < FEWEST_FOR_INTERVAL:
        return 0, None
    from scipy.stats import binom  # noqa: PLC0415

    rank = int(binom.ppf((1 - CONFIDENCE) / 2, n, 1 / 2))
    return rank - 1, float(1 - 2 * binom.cdf(rank - 1, n, 1 / 2))
