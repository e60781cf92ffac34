"""How likely levels with steps are, where one session's noise may last into the next."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

CORRELATIONS = np.linspace(0.0, 0.95, 20)
"""Those of neighbours that are tried. Negative ones would confirm steps too easily."""


@dataclass(frozen=True)
class Fit:
    """A model of levels, as likely as it can be made.

    Attributes
    ----------
    places : tuple of int
        Index of the first point after each step.
    log_likelihood : float
        Its largest logarithm, less a constant that all models of a series share.
    correlation : float
        Of neighbours, at which that is.
    drift : float or None
        From the first level to the last, where a line takes the place of steps.
    """

    places: tuple[int, ...]
    log_likelihood: float
    correlation: float
    drift: float | None = None


def fit(
    levels: Floats,
    places: Sequence[int],
    least_noise: float,
    *,
    is_correlated: bool = True,
    is_of_two: bool = False,
) -> Fit:
    """Return the model with constant levels between some places.

    The noise around them is autoregressive of order 1; its likelihood is exact, with levels and
    variance profiled out and the correlation chosen from `CORRELATIONS` (steps in such noise:
    Chakar, Lebarbier, Lévy-Leduc and Robin, 2017).

    Parameters
    ----------
    levels : array of float, shape (points,)
        One a session.
    places : sequence of int
        Rising.
    least_noise : float
        Standard deviation that the noise has at least.
    is_correlated : bool
        Whether any correlation but 0 is tried.
    is_of_two : bool
        Whether there are but two levels, which take turns.
    """
    edges = (0, *places, len(levels))
    segments = np.zeros((len(places) + 1, len(levels)))
    for row, (begin, end) in zip(segments, pairwise(edges), strict=True):
        row[begin:end] = 1
    if is_of_two:
        segments = np.stack([segments[::2].sum(axis=0), segments[1::2].sum(axis=0)])
    found, correlation, _ = _profiled(levels, segments, least_noise, is_correlated)
    return Fit(tuple(places), found, correlation)


def fit_line(levels: Floats, least_noise: float) -> Fit:
    """Return the model of a machine that changes slowly: a line, and the same noise around it."""
    times = np.linspace(-0.5, 0.5, len(levels))
    line = np.stack([np.ones_like(times), times])
    found, correlation, coefficients = _profiled(levels, line, least_noise, True)
    return Fit((), found, correlation, drift=float(coefficients[1]))


def _profiled(
    levels: Floats, regressors: Floats, least_noise: float, is_correlated: bool
) -> tuple[float, float, Floats]:
    """Return the largest log-likelihood, the correlation there, and the coefficients."""
    tried = CORRELATIONS if is_correlated else CORRELATIONS[:1]
    rho = tried[:, None, None]
    rows = np.vstack([regressors, levels])
    inner, neighbours = rows[:, 1:-1] @ rows[:, 1:-1].T, rows[:, 1:] @ rows[:, :-1].T
    # The inverse of the correlation matrix, times 1 - rho², has three diagonals.
    products = rows @ rows.T + rho**2 * inner - rho * (neighbours + neighbours.T)
    of_levels = products[:, :-1, -1]
    coefficients = np.linalg.solve(products[:, :-1, :-1], of_levels[..., None])[..., 0]
    squares = products[:, -1, -1] - (coefficients * of_levels).sum(axis=1)
    n, innovation = len(levels), 1 - tried**2
    squares = np.maximum(squares, n * least_noise**2 * innovation)
    likelihoods = -n / 2 * np.log(squares) + np.log(innovation) / 2
    best = int(np.argmax(likelihoods))
    return float(likelihoods[best]), float(tried[best]), coefficients[best]
