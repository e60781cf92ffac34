"""Saturation: accuracy as a − b·energy^−c over the sizes of a family, if the data identify it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from greenbench.compare.stats import FEWEST_FOR_INTERVAL

FEWEST_SIZES = 4
LEAST_STEP = 1.2
N_RESAMPLES = 500
INTERVAL_PERCENTILES = (2.5, 97.5)
MOST_AT_BOUND = 0.05
A_MAX = 1.0
C_BOUNDS = (0.01, 10.0)
# How finely c is searched: first over all of its bounds, then around the best, in turns.
COARSE, FINE, TURNS = 20, 9, 4
FOUND_NOWHERE = "so the sizes don't show where accuracy levels off"

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
    """Accuracy as a − b·energy^−c.

    Attributes
    ----------
    a : Coefficient or None
        The accuracy that ever more energy approaches, of 1; None if the fit is refused.
    b : Coefficient or None
        By how much an energy of 1 falls short of it; so it depends on the unit of energy.
    c : Coefficient or None
        How fast the shortfall shrinks: twice the energy divides it by 2^c.
    largest_residual : float or None
        The farthest that a size's median accuracy lies from the curve: large if accuracy has
        another form.
    reason : str or None
        Why the fit is refused.
    """

    a: Coefficient | None
    b: Coefficient | None
    c: Coefficient | None
    largest_residual: float | None
    reason: str | None = None

    def predict(self, energy: float) -> float | None:
        """Return the accuracy at an energy above 0; None if the fit is refused."""
        if self.a is None or self.b is None or self.c is None:
            return None
        return float(self.a.value - self.b.value * energy**-self.c.value)


def fit_saturation(samples: Samples) -> Saturation:
    """Fit a − b·energy^−c, with 0 < a ≤ 1, b > 0 and c > 0, to the sizes of a family.

    By least squares on the sizes' medians. Intervals come from resampling the repeats within
    each size: they say how sure the coefficients are if accuracy has this form, and not
    whether it has. `Saturation.largest_residual` does.

    Parameters
    ----------
    samples : sequence of sequence of (float, float)
        For each size, in any order, energy and accuracy in [0, 1] of each repeat.

    Returns
    -------
    Saturation
        Refused, with the reason, if the data don't identify it: fewer than 4 sizes whose
        energies are 20% or more apart; fewer than 3 repeats of a size, whose intervals would
        hold the truth far less often than they say; accuracy that doesn't rise with energy;
        the best fit, or more than 5% of those to resamples, at a bound (a = 1, b = 0,
        c = 0.01 or 10); an interval of a wider than the range of the sizes' accuracies.
    """
    reason = _why_unsuited(samples)
    if reason:
        return _refused(reason)
    log_energies, accuracies = _medians(samples)
    # In units of their geometric mean, so that the fit is the same in any unit.
    log_unit = log_energies[0].mean()
    log_energies -= log_unit
    start, is_at_bound = _project(log_energies[:1], accuracies[:1])
    if is_at_bound[0]:
        return _refused(_why_at_bound(start[0]))
    resampled, are_at_bound = _project(log_energies[1:], accuracies[1:])
    if are_at_bound.mean() > MOST_AT_BOUND:
        share = f"{are_at_bound.mean():.0%} of the fits to resampled repeats are at a bound"
        return _refused(f"{share}, {FOUND_NOWHERE}")
    best = least_squares(
        _residuals,
        start[0],
        args=(log_energies[0], accuracies[0]),
        bounds=([0.0, 0.0, C_BOUNDS[0]], [A_MAX, np.inf, C_BOUNDS[1]]),
    )
    found = np.vstack([best.x, resampled])
    found[:, 1] *= np.exp(log_unit * found[:, 2])
    a, b, c = (_coefficient(values) for values in found.T)
    if a.high - a.low > np.ptp(accuracies[0]):
        interval = f"the interval of a ({a.low:.1%} to {a.high:.1%})"
        return _refused(f"{interval} is wider than the range of accuracies, {FOUND_NOWHERE}")
    return Saturation(a, b, c, float(np.abs(best.fun).max()))


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
    if fewest < FEWEST_FOR_INTERVAL:
        repeats = f"{fewest} repeat{'s' if fewest > 1 else ''}"
        return f"{repeats} of a size: intervals need {FEWEST_FOR_INTERVAL} or more"
    return None


def _why_at_bound(found: Floats) -> str:
    a, b, c = found
    if b <= 0:
        return "accuracy doesn't rise with energy"
    bound = "a = 1" if a >= A_MAX else f"c = {c:.3g}"
    return f"the best fit is at a bound ({bound}), {FOUND_NOWHERE}"


def _medians(samples: Samples) -> tuple[Floats, Floats]:
    """Return log energies and accuracies by resample and size; first come the data as they are."""
    generator = np.random.default_rng(0)
    energies, accuracies = [], []
    for size in samples:
        repeats = np.asarray(size, dtype=float)
        n = len(repeats)
        drawn = np.vstack([np.arange(n), generator.integers(n, size=(N_RESAMPLES, n))])
        medians = np.median(repeats[drawn], axis=1)
        energies.append(medians[:, 0])
        accuracies.append(medians[:, 1])
    return np.log(np.column_stack(energies)), np.column_stack(accuracies)


def _project(log_energies: Floats, accuracies: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Return a, b and c of each row, and whether they are at a bound.

    By variable projection (Golub and Pereyra 1973): for a given c the model is linear, so only
    c is searched, for all rows at once. SciPy fits one row a call, too slow for resamples.
    """
    low, high = C_BOUNDS
    grid = np.tile(np.geomspace(low, high, COARSE), (len(accuracies), 1))
    found = _best_of(log_energies, accuracies, grid)
    step = grid[0, 1] / grid[0, 0]
    for _ in range(TURNS):
        around = np.clip(found[:, 2:] * step ** np.linspace(-1, 1, FINE), low, high)
        found = _best_of(log_energies, accuracies, around)
        step **= 2 / (FINE - 1)
    a, b, c = found.T
    return found, (a >= A_MAX) | (b <= 0) | (c <= low) | (c >= high)


def _best_of(log_energies: Floats, accuracies: Floats, grid: Floats) -> Floats:
    """Return a, b and c of each row, with the c of its row of the grid that fits best."""
    powers = np.exp(-grid[:, :, None] * log_energies[:, None, :])
    y = accuracies[:, None, :]
    mean_power, mean_y = powers.mean(axis=2), y.mean(axis=2)
    centred = powers - mean_power[:, :, None]
    covariance = np.einsum("rgs,rs->rg", centred, y[:, 0] - mean_y)
    b = np.maximum(-covariance / np.einsum("rgs,rgs->rg", centred, centred), 0.0)
    a = mean_y + b * mean_power
    over = a > A_MAX
    through_bound = np.einsum("rgs,rs->rg", powers, A_MAX - y[:, 0])
    b = np.where(over, through_bound / np.einsum("rgs,rgs->rg", powers, powers), b)
    a = np.minimum(a, A_MAX)
    residuals = y - a[:, :, None] + b[:, :, None] * powers
    best = np.einsum("rgs,rgs->rg", residuals, residuals).argmin(axis=1)
    rows = np.arange(len(best))
    return np.column_stack([a[rows, best], b[rows, best], grid[rows, best]])


def _residuals(coefficients: Floats, log_energies: Floats, accuracies: Floats) -> Floats:
    a, b, c = coefficients
    return np.asarray(a - b * np.exp(-c * log_energies) - accuracies)


def _coefficient(values: Floats) -> Coefficient:
    value, resampled = float(values[0]), values[1:]
    low, high = np.percentile(resampled, INTERVAL_PERCENTILES)
    # The search for resamples is a little coarser than least squares.
    return Coefficient(value, min(float(low), value), max(float(high), value))
