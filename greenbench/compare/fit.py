"""Saturation: a score as a − b·energy^−c over the sizes of a family, if the data identify it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from greenbench.tasks import ACCURACY, Score
from greenbench.tasks.score_format import value, words

FEWEST_SIZES = 4
FEWEST_REPEATS = 5
LEAST_STEP = 1.2
N_RESAMPLES = 500
INTERVAL_PERCENTILES = (2.5, 97.5)
MOST_AT_BOUND = 0.05
C_BOUNDS = (0.01, 10.0)
# How finely c is searched: first over all of its bounds, then around the best, in turns.
COARSE, FINE, TURNS = 20, 9, 4

Samples = Sequence[Sequence[tuple[float, float]]]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Coefficient:
    """A coefficient of the fit.

    Attributes
    ----------
    value : float
        By least squares.
    low, high : float
        95% percentile bootstrap interval.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Saturation:
    """A score as a − b·energy^−c; where lower is better, as a + b·energy^−c.

    Attributes
    ----------
    a : Coefficient or None
        The score that ever more energy approaches; None if the fit is refused.
    b : Coefficient or None
        By how much an energy of 1 falls short of it; so it depends on the unit of energy.
    c : Coefficient or None
        How fast the shortfall shrinks: twice the energy divides it by 2^c.
    largest_residual : float or None
        The farthest that a size's median score lies from the curve: large if it has another
        form.
    reason : str or None
        Why the fit is refused.
    is_falling : bool
        Whether the score falls towards `a`, since lower is better.
    """

    a: Coefficient | None
    b: Coefficient | None
    c: Coefficient | None
    largest_residual: float | None
    reason: str | None = None
    is_falling: bool = False

    def predict(self, energy: float) -> float | None:
        """Return the score at an energy above 0; None if the fit is refused."""
        if self.a is None or self.b is None or self.c is None:
            return None
        short = self.b.value * energy**-self.c.value
        return float(self.a.value + short if self.is_falling else self.a.value - short)


def fit_saturation(samples: Samples, score: Score = ACCURACY) -> Saturation:
    """Fit a − b·energy^−c, with a in the score's range, b > 0 and c > 0, to a family's sizes.

    Where lower is better, it is a + b·energy^−c. By least squares on the sizes' medians.
    Intervals come from resampling the repeats within each size: they say how sure the
    coefficients are if the score has this form, and not whether
    it has. `Saturation.largest_residual` does.

    Parameters
    ----------
    samples : sequence of sequence of (float, float)
        For each size, in any order, energy and score of each repeat.
    score : Score
        What the scores are.

    Returns
    -------
    Saturation
        Refused, with the reason, if the data don't identify it: fewer than 4 sizes whose
        energies are 20% or more apart; fewer than 5 repeats of a size, whose intervals would
        hold the truth far less often than they say; a score that doesn't get better with
        energy; the best fit, or more than 5% of those to resamples, at a bound (a at the best
        that the score can be, b = 0, c = 0.01 or 10); an interval of a wider than the range
        of the sizes' scores.
    """
    reason = _why_unsuited(samples)
    if reason:
        return _refused(reason)
    gains_of = [[(energy, score.gain(found)) for energy, found in size] for size in samples]
    log_energies, gains = _medians(gains_of)
    worst, best_gain = sorted((score.gain(score.low), score.gain(score.high)))
    nowhere = f"so the sizes don't show where {words(score)} levels off"
    # In units of their geometric mean, so that the fit is the same in any unit.
    log_unit = log_energies[0].mean()
    log_energies -= log_unit
    start, is_at_bound = _project(log_energies[:1], gains[:1], best_gain)
    if is_at_bound[0]:
        return _refused(_why_at_bound(start[0], score, best_gain, nowhere))
    resampled, are_at_bound = _project(log_energies[1:], gains[1:], best_gain)
    if are_at_bound.mean() > MOST_AT_BOUND:
        share = f"{are_at_bound.mean():.0%} of the fits to resampled repeats are at a bound"
        return _refused(f"{share}, {nowhere}")
    from scipy.optimize import least_squares  # noqa: PLC0415

    best = least_squares(
        _residuals,
        start[0],
        args=(log_energies[0], gains[0]),
        bounds=([worst, 0.0, C_BOUNDS[0]], [best_gain, np.inf, C_BOUNDS[1]]),
    )
    found = np.vstack([best.x, resampled])
    found[:, 1] *= np.exp(log_unit * found[:, 2])
    a, b, c = (_coefficient(values) for values in found.T)
    if not score.higher_is_better:
        a = Coefficient(score.gain(a.value), score.gain(a.high), score.gain(a.low))
    if a.high - a.low > np.ptp(gains[0]):
        interval = f"the interval of a ({value(score, a.low)} to {value(score, a.high)})"
        all_of = "accuracies" if score.name == ACCURACY.name else words(score)
        return _refused(f"{interval} is wider than the range of {all_of}, {nowhere}")
    residual = float(np.abs(best.fun).max())
    return Saturation(a, b, c, residual, is_falling=not score.higher_is_better)


def _refused(reason: str) -> Saturation:
    return Saturation(None, None, None, None, reason)


def _why_unsuited(samples: Samples) -> str | None:
    if any(energy <= 0 for size in samples for energy, _ in size):
        return "a sample has no energy above 0, which the fit needs"
    fewest = min(map(len, samples), default=0)
    energies = sorted(float(np.median([energy for energy, _ in size])) for size in samples if size)
    apart: list[float] = []
    for energy in energies:
        if not apart or energy >= LEAST_STEP * apart[-1]:
            apart.append(energy)
    if len(apart) < FEWEST_SIZES:
        return (
            f"number of sizes whose energies are {LEAST_STEP - 1:.0%} or more apart: "
            f"{len(apart)}; a fit needs {FEWEST_SIZES} or more"
        )
    if fewest < FEWEST_REPEATS:
        repeats = f"{fewest} repeat{'s' if fewest > 1 else ''}"
        return f"{repeats} of a size: a fit needs {FEWEST_REPEATS} or more"
    return None


def _why_at_bound(found: Floats, score: Score, best_gain: float, nowhere: str) -> str:
    a, b, c = found
    if b <= 0:
        verb = "rise" if score.higher_is_better else "fall"
        return f"{words(score)} doesn't {verb} with energy"
    bound = f"a = {score.gain(best_gain) + 0.0:g}" if a >= best_gain else f"c = {c:.3g}"
    return f"the best fit is at a bound ({bound}), {nowhere}"


def _medians(samples: Samples) -> tuple[Floats, Floats]:
    """Return log energies and gains by resample and size; first come the data as they are."""
    generator = np.random.default_rng(0)
    energies, gains = [], []
    for size in samples:
        repeats = np.asarray(size, dtype=float)
        n = len(repeats)
        drawn = np.vstack([np.arange(n), generator.integers(n, size=(N_RESAMPLES, n))])
        medians = np.median(repeats[drawn], axis=1)
        energies.append(medians[:, 0])
        gains.append(medians[:, 1])
    return np.log(np.column_stack(energies)), np.column_stack(gains)


def _project(
    log_energies: Floats, gains: Floats, best_gain: float
) -> tuple[Floats, NDArray[np.bool_]]:
    """Return a, b and c of each row, and whether they are at a bound.

    By variable projection (Golub and Pereyra 1973): for a given c the model is linear, so only
    c is searched, for all rows at once. SciPy fits one row a call, too slow for resamples.
    """
    low, high = C_BOUNDS
    grid = np.tile(np.geomspace(low, high, COARSE), (len(gains), 1))
    found = _best_of(log_energies, gains, grid, best_gain)
    step = grid[0, 1] / grid[0, 0]
    for _ in range(TURNS):
        around = np.clip(found[:, 2:] * step ** np.linspace(-1, 1, FINE), low, high)
        found = _best_of(log_energies, gains, around, best_gain)
        step **= 2 / (FINE - 1)
    a, b, c = found.T
    return found, (a >= best_gain) | (b <= 0) | (c <= low) | (c >= high)


def _best_of(log_energies: Floats, gains: Floats, grid: Floats, best_gain: float) -> Floats:
    """Return a, b and c of each row, with the c of its row of the grid that fits best."""
    powers = np.exp(-grid[:, :, None] * log_energies[:, None, :])
    y = gains[:, None, :]
    mean_power, mean_y = powers.mean(axis=2), y.mean(axis=2)
    centred = powers - mean_power[:, :, None]
    covariance = np.einsum("rgs,rs->rg", centred, y[:, 0] - mean_y)
    b = np.maximum(-covariance / np.einsum("rgs,rgs->rg", centred, centred), 0.0)
    a = mean_y + b * mean_power
    if np.isfinite(best_gain):
        over = a > best_gain
        through_bound = np.einsum("rgs,rs->rg", powers, best_gain - y[:, 0])
        b = np.where(over, through_bound / np.einsum("rgs,rgs->rg", powers, powers), b)
        a = np.minimum(a, best_gain)
    residuals = y - a[:, :, None] + b[:, :, None] * powers
    best = np.einsum("rgs,rgs->rg", residuals, residuals).argmin(axis=1)
    rows = np.arange(len(best))
    return np.column_stack([a[rows, best], b[rows, best], grid[rows, best]])


def _residuals(coefficients: Floats, log_energies: Floats, gains: Floats) -> Floats:
    a, b, c = coefficients
    return np.asarray(a - b * np.exp(-c * log_energies) - gains)


def _coefficient(values: Floats) -> Coefficient:
    value, resampled = float(values[0]), values[1:]
    low, high = np.percentile(resampled, INTERVAL_PERCENTILES)
    # The search for resamples is a little coarser than least squares.
    return Coefficient(value, min(float(low), value), max(float(high), value))
