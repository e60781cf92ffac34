"""What each explanation of a counter's ticks says of segments.

The mathematics behind `greenbench.energy.ticks.apportion`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from greenbench.energy.lateness import Demand
from greenbench.energy.plausibility import Explanation
from greenbench.energy.regression import Floats, Regression, Work


@dataclass(frozen=True)
class Model:
    """What one explanation says of segments.

    Attributes
    ----------
    why : Explanation
        What it is.
    energy_j : array of shape (m,)
        Joules of each segment.
    edges_j : array of shape (m + 1,)
        Standard deviation of the joules up to each edge, from the noise of the ticks around it.
    slopes : array of shape (m, phases)
        By how much a segment's joules change with the logarithm of each phase's power.
    covariance : array of shape (phases, phases)
        Of the logarithms of powers.
    freedom : int
        Degrees of freedom of the residuals.
    """

    why: Explanation
    energy_j: Floats
    edges_j: Floats
    slopes: Floats
    covariance: Floats
    freedom: int


def models(regression: Regression, explanations: Sequence[Explanation]) -> list[Model]:
    """Return what each explanation says."""
    return [_model(regression, why) for why in explanations]


def _model(regression: Regression, why: Explanation) -> Model:
    work, fit = regression.work, regression(why.transient, why.lag_s)
    energy_j, slopes, within = _share(work, why, fit.power_w[work.phase] * regression.rate)
    left = np.abs(regression.residuals(fit))
    # A residual is the difference of the noise of two readings: hence half of its variance.
    # At edges between phases it is as large as anywhere; else as it mostly is.
    mostly = 1.4826 * float(np.median(left)) / np.sqrt(2)
    anywhere = np.sqrt(fit.squares / regression.freedom / 2)
    changes = np.concatenate(([False], np.diff(work.phase) != 0, [False]))
    noise = np.where(changes, anywhere, min(mostly, anywhere))
    edges_j = np.maximum(noise * within, _untimed(work, why.lag_s))
    return Model(why, energy_j, edges_j, slopes, regression.covariance(fit), regression.freedom)


def _untimed(work: Work, lag_s: float) -> Floats:
    """Return the standard deviation of joules up to each edge that the times of ticks leave open.

    Two looks tell alike of neighbouring ticks, so the errors of their times are too: residuals,
    which are differences, show little of them, and their mean does not get smaller. Each is taken
    to be uniform within what the sampler tells.
    """
    if work.within_s is None:
        return np.zeros(work.edges_s.size)
    times = work.times_s - lag_s
    at = np.clip(np.searchsorted(times, work.edges_s) - 1, 0, work.joules.size - 1)
    power_w = work.joules[at] / np.diff(times)[at]
    off_s = np.interp(work.edges_s, times, work.within_s) / np.sqrt(3)
    return np.asarray(power_w * off_s, np.float64)


def _share(work: Work, why: Explanation, power_w: Floats) -> tuple[Floats, Floats, Floats]:
    """Return joules by segment, their slopes, and by what noise counts at each edge, in joules."""
    times, edges, joules = work.times_s - why.lag_s, work.edges_s, work.joules
    cuts = np.union1d(times, edges)
    demand = Demand(work.outer_s, power_w[:, None])
    pieces = np.maximum(np.diff(demand.joules(cuts, why.transient)[:, 0]), 0.0)
    middles = (cuts[1:] + cuts[:-1]) / 2
    tick = np.searchsorted(times, middles) - 1
    segment = np.searchsorted(edges, middles) - 1
    # Where no power is expected, time shares out what was counted all the same.
    counted = (tick >= 0) & (tick < joules.size)
    whose = np.where(counted, tick, 0)
    expected = np.bincount(whose, pieces * counted, joules.size)
    pieces = np.where(counted & (expected[whose] <= 0), np.diff(cuts), pieces)
    expected = np.bincount(whose, pieces * counted, joules.size)
    pieces *= np.where(counted, (joules / np.where(expected > 0, expected, 1.0))[whose], 1.0)
    count = power_w.size
    inside = (segment >= 0) & (segment < count)
    home = np.clip(segment, 0, count - 1)
    energy_j = np.bincount(home, pieces * inside, count)
    phases = int(work.phase.max()) + 1
    slopes = np.zeros((count, phases))
    slopes[np.arange(count), work.phase] = energy_j
    for phase in range(phases):
        of = np.bincount(whose, pieces * counted * (work.phase[home] == phase), joules.size)
        part = (of / np.where(joules > 0, joules, 1.0))[whose]
        slopes[:, phase] -= np.bincount(home, pieces * inside * part, count)
    at = np.clip(np.searchsorted(times, edges) - 1, 0, joules.size - 1)
    along = np.clip((edges - times[at]) / np.diff(times)[at], 0.0, 1.0)
    within: Floats = work.scale_j[at] * np.sqrt(along**2 + (1 - along) ** 2)
    return energy_j.astype(np.float64), slopes, within
