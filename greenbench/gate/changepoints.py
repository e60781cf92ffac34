"""Change points: where the level of a noisy series steps up or down, and stays there."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.stats import chi2, norm

from greenbench.gate.correlation import Fit, Floats, fit, fit_line

CONFIRMING = 3
"""Points that a step must last; less is noise."""

# What a step must add to the log-likelihood, beside the logarithm of the number of points. Found
# by simulation, so that at most 2% of series without a step get one: where the correlation of
# neighbours is up to 0.6; and where a machine is in one of two states 10% apart, changes it
# before one session in five, and is not known to be (see docs/results/history.md).
PENALTY = 3.6
PENALTY_OF_STATES = 4.5
# By how much a step must be likelier than a line, however many points there are, unless the
# machine may have states.
PENALTY_BESIDE_LINE = 5.8

# Changes from one level to another, back, and there again: a code that is changed and changed
# back has 2.
BACK_AND_FORTH = 3
# Of a level for each segment beside two that take turns.
SURELY = 0.99

# The median of 5 is one of the 3 points which confirm a step, whatever 2 others are.
WINDOW = 2 * CONFIRMING - 1
WILD = 3.0
# A step's place, its size, and how uneven it leaves the segments: the modified BIC of Zhang and
# Siegmund (2007), because the plain one proposes too much.
PARAMETERS = 3.0
# Constant figures have no noise; they get one that no step that matters is lost in.
LEAST_NOISE = 1 / 5
# Of the log-likelihood: a line beside a level, by chi-squared at 5%.
CLEARLY = 1.92
MAD_OF_NORMAL = float(norm.ppf(0.75))
# A series in Wh and the same in mWh differ by rounding, which must not decide anything.
DECIMALS = 9


@dataclass(frozen=True)
class Found:
    """What a series shows.

    Attributes
    ----------
    places : tuple of int
        Index of the first point after each step.
    hidden : Fit or None
        Where there is none, and would be some if sessions were independent and their machine
        the same for ever: what explains the levels as well.
    turns : int
        How often it goes from one of two levels to the other, where a machine that may be in one
        of two states explains that as well as steps.
    """

    places: tuple[int, ...]
    hidden: Fit | None = None
    turns: int = 0


def find_places(
    values: Floats, smallest: float, *, is_ratio: bool, has_states: bool = True
) -> Found:
    """Return where steps are that stand out from noise and matter.

    A search proposes them, by a penalty that rests on a rough estimate of the noise. Of what it
    proposes, and all that is left when the least one is taken away again and again, that is
    taken which is likeliest, less a penalty for each step. Noise that lasts from one session to
    the next, and a line through all of them, compete with steps.

    Parameters
    ----------
    values : array of float, shape (points,)
        Finite, at least 6; not negative if `is_ratio`.
    smallest : float
        A step that matters; see `size_of`.
    is_ratio : bool
        Whether noise and steps are shares of the level, so that logarithms are compared.
    has_states : bool
        Whether the machine may be in one of two states, and stay there for a while, so that steps
        must stand out further.
    """
    least_noise = LEAST_NOISE * smallest
    levels = _levels(values, least_noise, is_ratio=is_ratio)
    proposed = _proposed(levels, least_noise)
    candidates = {
        _that_matter(values, places, smallest, is_ratio=is_ratio)
        for places in _nested(levels, proposed)
    } - {()}
    if not candidates:
        return Found(())
    penalty = math.log(len(levels)) + (PENALTY_OF_STATES if has_states else PENALTY)
    of_line = 0.0 if has_states else max(penalty - PENALTY_BESIDE_LINE, 0.0)
    steps = [fit(levels, places, least_noise) for places in sorted(candidates)]
    models = fit(levels, (), least_noise), fit_line(levels, least_noise), *steps
    best = max(models, key=lambda model: model.log_likelihood - _penalty(model, penalty, of_line))
    if has_states and _goes_back_and_forth(levels, best, least_noise):
        return Found((), turns=len(best.places))
    if best.places or not _is_seen(levels, candidates, penalty, least_noise):
        return Found(best.places)
    flat, line = models[:2]
    is_line = line.log_likelihood - flat.log_likelihood > CLEARLY
    return Found((), line if is_line else flat)


def without_steps(values: Floats, smallest: float, *, is_ratio: bool) -> Fit:
    """Return the likelier of two models: one level for all, or a line through all."""
    least_noise = LEAST_NOISE * smallest
    levels = _levels(values, least_noise, is_ratio=is_ratio)
    models = fit(levels, (), least_noise), fit_line(levels, least_noise)
    return max(models, key=lambda model: model.log_likelihood)


def medians_of(values: Floats, places: Sequence[int]) -> list[float]:
    """Return the median of each segment between some places."""
    return [float(np.median(segment)) for segment in np.split(values, places)]


def size_of(before: float, after: float, *, is_ratio: bool) -> float:
    """Return the size of a step: a share, where 0.2 is 20% more, or else a difference."""
    if not is_ratio:
        return round(after - before, DECIMALS)
    return round(after / before - 1, DECIMALS) if before else math.inf


def _levels(values: Floats, least_noise: float, *, is_ratio: bool) -> Floats:
    levels = _tamed(_logarithms(values) if is_ratio else values, least_noise)
    centred: Floats = levels - levels.mean()
    return centred


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
    reach = WILD * noise_of(levels, least_noise)
    return np.clip(levels, middle - reach, middle + reach)


def noise_of(levels: Floats, least: float = 0.0) -> float:
    """Return the standard deviation by differences, because steps hardly touch these."""
    differences = np.diff(levels)
    # SciPy's own takes 20 times as long, most of what a series costs.
    spread = float(np.median(np.abs(differences - np.median(differences)))) / MAD_OF_NORMAL
    return max(spread / math.sqrt(2), least)


def _proposed(levels: Floats, least_noise: float) -> list[int]:
    from ruptures import KernelCPD  # noqa: PLC0415

    penalty = PARAMETERS * noise_of(levels, least_noise) ** 2 * math.log(len(levels))
    search = KernelCPD(kernel="linear", min_size=CONFIRMING).fit(levels.reshape(-1, 1))
    return [int(place) for place in search.predict(pen=penalty)[:-1]]


def _nested(levels: Floats, places: Sequence[int]) -> Iterator[list[int]]:
    """Yield places, and what is left of them when the least one is taken away, until none is."""
    left = list(places)
    while left:
        yield list(left)
        segments = [(len(each), float(each.mean())) for each in np.split(levels, left)]
        costs = [n * m / (n + m) * (a - b) ** 2 for (n, a), (m, b) in pairwise(segments)]
        del left[int(np.argmin(costs))]


def _that_matter(
    values: Floats, places: Sequence[int], smallest: float, *, is_ratio: bool
) -> tuple[int, ...]:
    left = list(places)
    while left:
        medians = medians_of(values, left)
        sizes = [abs(size_of(*pair, is_ratio=is_ratio)) for pair in pairwise(medians)]
        if min(sizes) >= smallest:
            break
        # One at a time: its neighbours are judged again by segments that have grown.
        del left[sizes.index(min(sizes))]
    return tuple(left)


def _penalty(model: Fit, of_step: float, of_line: float) -> float:
    return of_step * len(model.places) if model.drift is None else of_line


def _goes_back_and_forth(levels: Floats, steps: Fit, least_noise: float) -> bool:
    """Return whether steps lead from one of two levels to the other again and again."""
    number = len(steps.places)
    if number < BACK_AND_FORTH:
        return False
    of_two = fit(levels, steps.places, least_noise, is_of_two=True)
    gain = steps.log_likelihood - of_two.log_likelihood
    return 2 * gain <= float(chi2.ppf(SURELY, number - 1))


def _is_seen(
    levels: Floats, candidates: Iterable[tuple[int, ...]], penalty: float, least_noise: float
) -> bool:
    """Return whether there would be steps if sessions were independent."""
    flat = fit(levels, (), least_noise, is_correlated=False).log_likelihood
    alone = [fit(levels, each, least_noise, is_correlated=False) for each in candidates]
    return any(each.log_likelihood - flat > penalty * len(each.places) for each in alone)
