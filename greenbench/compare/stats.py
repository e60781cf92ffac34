"""Statistics of small samples: medians with bootstrap intervals."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import bootstrap

CONFIDENCE = 0.95
FEWEST_FOR_INTERVAL = 3
RESAMPLES = 2000
MOST_AT_ONCE = 2**22


@dataclass(frozen=True)
class Estimate:
    """A median and how sure it is.

    Attributes
    ----------
    median : float
        Of the samples.
    low, high : float or None
        95% percentile bootstrap interval of the median; None with fewer than 3 samples.
    n : int
        Number of samples.
    """

    median: float
    low: float | None
    high: float | None
    n: int


def estimate(samples: Sequence[float]) -> Estimate:
    """Return the median of at least one sample, with its bootstrap interval.

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
    interval = bootstrap(
        (values,),
        np.median,
        confidence_level=CONFIDENCE,
        method="percentile",
        n_resamples=RESAMPLES,
        # All resamples of very many samples at once would take gigabytes.
        batch=max(1, MOST_AT_ONCE // len(values)),
        rng=np.random.default_rng(0),
    ).confidence_interval
    # Interpolation may round to just beyond the samples.
    low, high = np.clip([interval.low, interval.high], values.min(), values.max())
    return Estimate(median, float(low), float(high), len(values))
