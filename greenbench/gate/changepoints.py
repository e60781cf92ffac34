"""Change points: where the level of a noisy series steps up or down, and stays there."""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.stats import median_abs_deviation, ttest_ind_from_stats

Floats = NDArray[np.float64]

CONFIRMING = 3
"""Points that a step must last; less is noise."""

FALSE_ALARMS = 0.02
"""The most series without a step that may get one, as a share."""

# The median of 5 is one of the 3 points which confirm a step, whatever 2 others are.
WINDOW = 2 * CONFIRMING - 1
WILD = 3.0
# A step's place, its size, and how uneven it leaves the segments: the modified BIC of Zhang and
# Siegmund (2007), because the plain one proposes too much.
PARAMETERS = 3.0
# Constant figures have no noise; they get one that no step that matters is lost in.
LEAST_NOISE = 1 / 5
# A series in Wh and the same in mWh differ by rounding, which must not decide anything.
DECIMALS = 9


def find_places(values: Floats, smallest: float, *, is_ratio: bool) -> list[int]:
    """Return where steps are that stand out from noise and matter.

    A search proposes them, by a penalty that rests on a rough estimate of the noise. A t-test of
    the segments beside each confirms it, which knows how rough an estimate from few points is,
    corrected for all places at which the step might have been found.

    Parameters
    ----------
    values : array of float, shape (points,)
        Finite, at least 6; not negative if `is_ratio`.
    smallest : float
        A step that matters; see `size_of`.
    is_ratio : bool
        Whether noise and steps are shares of the level, so that logarithms are compared.

    Returns
    -------
    list of int
        Index of the first point after each step.
    """
    least_noise = LEAST_NOISE * smallest
    levels = _tamed(_logarithms(values) if is_ratio else values, least_noise)
    places = _proposed(levels, least_noise)
    while places:
        doubts = _doubts(levels, places, least_noise)
        medians = medians_of(values, places)
        sizes = (size_of(*pair, is_ratio=is_ratio) for pair in pairwise(medians))
        doubts = [
            doubt if abs(size) >= smallest else math.inf
            for doubt, size in zip(doubts, sizes, strict=True)
        ]
        if max(doubts) <= FALSE_ALARMS:
            break
        # One at a time: its neighbours are judged again by segments that have grown.
        del places[doubts.index(max(doubts))]
    return places


def medians_of(values: Floats, places: Sequence[int]) -> list[float]:
    """Return the median of each segment between some places."""
    return [float(np.median(segment)) for segment in np.split(values, places)]


def size_of(before: float, after: float, *, is_ratio: bool) -> float:
    """Return the size of a step: a share, where 0.2 is 20% more, or else a difference."""
    if not is_ratio:
        return round(after - before, DECIMALS)
    return round(after / before - 1, DECIMALS) if before else math.inf


def _logarithms(values: Floats) -> Floats:
    positive = values[values > 0]
    if not len(positive):
        return np.zeros_like(values)
    shares = values / np.median(positive)
    # A 0 is far below all others, yet finite.
    levels: Floats = np.log(np.maximum(shares, shares[values > 0].min() / 100))
    return levels.round(DECIMALS)


def _tamed(levels: Floats, least_noise: float) -> Floats:
    """Return the levels with wild ones brought back to where their neighbours are."""
    medians = np.median(sliding_window_view(levels, WINDOW), axis=1)
    middle = np.pad(medians, CONFIRMING - 1, mode="edge")
    reach = WILD * _noise(levels, least_noise)
    return np.clip(levels, middle - reach, middle + reach)


def _noise(levels: Floats, least: float) -> float:
    """Return the standard deviation by differences, because steps hardly touch these."""
    spread = float(median_abs_deviation(np.diff(levels), scale="normal"))
    return max(spread / math.sqrt(2), least)


def _proposed(levels: Floats, least_noise: float) -> list[int]:
    from ruptures import KernelCPD  # noqa: PLC0415

    penalty = PARAMETERS * _noise(levels, least_noise) ** 2 * math.log(len(levels))
    search = KernelCPD(kernel="linear", min_size=CONFIRMING).fit(levels.reshape(-1, 1))
    return [int(place) for place in search.predict(pen=penalty)[:-1]]


def _doubts(levels: Floats, places: Sequence[int], least_noise: float) -> list[float]:
    """Return p of each step, Bonferroni-corrected for the places that were looked at."""
    candidates = len(levels) - 2 * CONFIRMING + 1
    segments = [
        (segment.mean(), max(segment.std(ddof=1), least_noise), len(segment))
        for segment in np.split(levels, places)
    ]
    return [
        float(ttest_ind_from_stats(*one, *other).pvalue) * candidates
        for one, other in pairwise(segments)
    ]
