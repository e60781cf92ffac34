"""Confidence bounds for the gate: one-sided, of few samples, and wide enough for other sessions.

All bounds are on logarithms or ranks, because noise of energies multiplies.
"""

from bisect import bisect_right
from collections.abc import Sequence
from functools import cache
from math import exp, hypot, inf, log, log1p, sqrt
from statistics import mean, stdev

import numpy as np
from scipy import stats

SESSIONS = 5
"""Sessions of a baseline from which their noise is estimated instead of assumed."""

# Lower and upper, each at the confidence that was asked for; infinite where nothing is known.
Bounds = tuple[float, float]


def ratio_bounds(
    samples: Sequence[float],
    baseline: Sequence[float],
    confidence: float,
    noise: float = 0.0,
    freedom: float = inf,
    *,
    spent: float | None = None,
) -> Bounds:
    """Return bounds of the ratio of two medians.

    Those of Hodges and Lehmann (1963): order statistics of all ratios of a sample to one of the
    baseline, at the ranks where the exact Mann-Whitney test begins to reject. If the two were
    not measured in one session, the noise between sessions counts twice and is added in
    quadrature.

    Parameters
    ----------
    samples, baseline : sequence of float
        Above 0.
    confidence : float
        Of each bound, such as 0.95.
    noise : float
        Standard deviation between sessions, as a share; 0 in one session.
    freedom : float
        See `session_width`.
    spent : float, optional
        Confidence of the part that is noise within a session, where there are several looks, each
        at more samples; that between sessions is drawn once. None for `confidence`.
    """
    ratios = np.sort(np.divide.outer(np.asarray(samples), np.asarray(baseline)), axis=None)
    rank = _rank(len(samples), len(baseline), spent or confidence)
    if not rank:
        return 0.0, inf
    bounds = float(ratios[rank - 1]), float(ratios[-rank])
    middle = exp(float(np.median(np.log(ratios))))
    return _widened(middle, bounds, session_width(confidence, noise, 2, freedom))


def student_bounds(
    samples: Sequence[float],
    baseline: Sequence[float],
    confidence: float,
    noise: float = 0.0,
    freedom: float = inf,
    *,
    spent: float | None = None,
) -> Bounds:
    """Return Student's bounds of the ratio of two costs, with the noise between sessions.

    As `ratio_bounds`, for confidences that the ranks of few samples never reach.

    Parameters
    ----------
    samples, baseline, confidence, noise, freedom, spent
        As of `ratio_bounds`.
    """
    new, old = np.log(samples), np.log(baseline)
    within = len(new) + len(old) - 2
    if not within:
        return 0.0, inf
    squares = float(((new - new.mean()) ** 2).sum() + ((old - old.mean()) ** 2).sum())
    error = sqrt(squares / within * (1 / len(new) + 1 / len(old)))
    middle, quantile = (
        float(new.mean() - old.mean()),
        float(stats.t.ppf(spent or confidence, within)),
    )
    bounds = exp(middle - quantile * error), exp(middle + quantile * error)
    return _widened(exp(middle), bounds, session_width(confidence, noise, 2, freedom))


def session_width(confidence: float, noise: float, sessions: int, freedom: float = inf) -> float:
    """Return how far noise between sessions alone puts the logarithm of a bound.

    Parameters
    ----------
    confidence : float
        Of the bound.
    noise : float
        Standard deviation between sessions, as a share.
    sessions : int
        How many are compared: 1 with a budget, 2 with one another.
    freedom : float
        Degrees of freedom that the noise was estimated with; infinite if it is given.
    """
    # The variance of the logarithm of what is log-normal and deviates by this share.
    return float(stats.t.ppf(confidence, freedom)) * sqrt(sessions * log1p(noise**2))


def session_noise(sessions: Sequence[Sequence[float]]) -> float:
    """Return the standard deviation between sessions, as a share, as their medians show it.

    Parameters
    ----------
    sessions : sequence of sequence of float
        At least two, above 0.
    """
    medians = np.log([np.median(each) for each in sessions])
    return float(np.sqrt(np.expm1(medians.var(ddof=1))))


def session_bounds(
    samples: Sequence[float],
    sessions: Sequence[Sequence[float]],
    confidence: float,
    *,
    spent: float | None = None,
) -> Bounds:
    """Return bounds of the ratio of a session's median to that of earlier sessions.

    The prediction interval for one more of some normal values, here the logarithms of the
    sessions' medians: it contains the noise between sessions as those sessions show it.

    Parameters
    ----------
    samples : sequence of float
        Of the session, above 0.
    sessions : sequence of sequence of float
        Of at least two others.
    confidence : float
        Of each bound.
    spent : float, optional
        See `ratio_bounds`; the noise within the session is added then, in quadrature.
    """
    medians = np.log([np.median(each) for each in sessions])
    middle, half = log(np.median(samples)) - float(medians.mean()), prediction(sessions, confidence)
    if spent:
        low, high = mean_bounds(np.log(samples).tolist(), spent)
        half = hypot(half, (high - low) / 2)
    return exp(middle - half), exp(middle + half)


def prediction(sessions: Sequence[Sequence[float]], confidence: float) -> float:
    """Return how far the logarithm of one more session's median may be from the mean of others.

    Parameters
    ----------
    sessions : sequence of sequence of float
        At least two, above 0.
    confidence : float
        In each direction.
    """
    medians = np.log([np.median(each) for each in sessions])
    count = len(medians)
    spread = float(medians.std(ddof=1)) * sqrt(1 + 1 / count)
    return float(stats.t.ppf(confidence, count - 1)) * spread


def level_bounds(
    samples: Sequence[float],
    confidence: float,
    noise: float,
    freedom: float = inf,
    *,
    spent: float | None = None,
) -> Bounds:
    """Return bounds of the cost that a session's samples are of.

    Student's, on logarithms, with the noise between sessions added in quadrature.

    Parameters
    ----------
    samples : sequence of float
        Above 0.
    confidence : float
        Of each bound.
    noise : float
        Standard deviation between sessions, as a share.
    freedom : float
        See `session_width`.
    spent : float, optional
        See `ratio_bounds`.
    """
    low, high = mean_bounds(np.log(samples).tolist(), spent or confidence)
    if low == -inf:
        return 0.0, inf
    middle = exp((low + high) / 2)
    return _widened(middle, (exp(low), exp(high)), session_width(confidence, noise, 1, freedom))


def mean_bounds(values: Sequence[float], confidence: float) -> Bounds:
    """Return Student's bounds of a mean.

    Parameters
    ----------
    values : sequence of float
        Independent ones; a single one says nothing of its noise.
    confidence : float
        Of each bound.
    """
    if len(values) < 2:  # noqa: PLR2004
        return -inf, inf
    # Not NumPy's, which round: equal values have themselves as their mean, and no deviation.
    middle = mean(values)
    error = stdev(values, middle) / sqrt(len(values))
    half = float(stats.t.ppf(confidence, len(values) - 1)) * error
    return middle - half, middle + half


def _widened(middle: float, bounds: Bounds, between: float) -> Bounds:
    if not between:
        return bounds
    below = hypot(log(middle / bounds[0]), between)
    above = hypot(log(bounds[1] / middle), between)
    return middle * exp(-below), middle * exp(above)


@cache
def _rank(count: int, other: int, confidence: float) -> int:
    """Return the rank of the ratio that is a bound, from 1; 0 if the samples are too few."""

    def chance(statistic: int) -> float:
        # Samples without ties that give this statistic of Mann and Whitney.
        above = [min(other, max(0, statistic - place * other)) for place in range(count)]
        samples = [number - 0.5 + place / (count + 1) / 2 for place, number in enumerate(above)]
        found = stats.mannwhitneyu(samples, range(other), alternative="less", method="exact")
        return float(found.pvalue)

    return bisect_right(range(count * other + 1), 1 - confidence, key=chance)
