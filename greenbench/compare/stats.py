"""Statistics of small samples: medians with bootstrap intervals."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap, quantile_test

Floats = NDArray[np.float64]

CONFIDENCE = 0.95
FEWEST_FOR_INTERVAL = 3
RESAMPLES = 2000
MANY = 200


@dataclass(frozen=True)
class Estimate:
    """A median and how sure it is.

    Attributes
    ----------
    median : float
        Of the samples.
    low, high : float or None
        95% interval of the median; None with fewer than 3 samples.
    n : int
        Number of samples.
    """

    median: float
    low: float | None
    high: float | None
    n: int


def estimate(samples: Sequence[float]) -> Estimate:
    """Return the median of at least one sample, with its interval.

    By percentile bootstrap; above 200 samples, where resampling takes long and says the same, by
    order statistics (`scipy.stats.quantile_test`).

    Parameters
    ----------
    samples : sequence of float
        Finite values.

    Returns
    -------
    Estimate
        With seeded resampling, so that equal samples give equal intervals.
    """
    values = np.asarray(samples, dtype=float)
    median = float(np.median(values))
    if len(values) < FEWEST_FOR_INTERVAL:
        return Estimate(median, None, None, len(values))
    if np.ptp(values) == 0:
        return Estimate(median, median, median, len(values))
    low, high = (_by_order if len(values) > MANY else _by_resampling)(values)
    return Estimate(median, low, high, len(values))


def _by_order(values: Floats) -> tuple[float, float]:
    found: Any = quantile_test(values, p=0.5).confidence_interval(CONFIDENCE)
    return float(found.low), float(found.high)


def _by_resampling(values: Floats) -> tuple[float, float]:
    found = bootstrap(
        (values,),
        np.median,
        confidence_level=CONFIDENCE,
        method="percentile",
        n_resamples=RESAMPLES,
        rng=np.random.default_rng(0),
    ).confidence_interval
    # Interpolation may round to just beyond the samples, or beyond their median.
    low, high = np.clip([found.low, found.high], values.min(), values.max())
    median = np.median(values)
    return float(min(low, median)), float(max(high, median))
