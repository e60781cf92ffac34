"""The powers of phases that explain the joules of a counter's ticks, for any lag and transient."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from greenbench.energy.lateness import Demand, Transient

Floats = NDArray[np.float64]

# Standard deviation of noise over that of the prior on powers, which is as wide as their mean.
# It decides nothing but how phases that are always in the same ticks share them: alike.
SHRINKAGE = 0.01
# So many ticks tell powers, lag and transient as well as all of a long repeat do.
MOST_TICKS = 1500
# After so many ticks in a segment, lag and transient are over.
SETTLED = 3.0
# The counter's reach back into what came before, in ticks.
REACH = 40.0


@dataclass(frozen=True)
class Work:
    """What is shared out: the joules of n ticks, among m segments of phases by number.

    Where it is known, each of the n + 1 times has a distance from which it may be off.
    """

    times_s: Floats
    joules: Floats
    edges_s: Floats
    phase: NDArray[np.intp]
    tick_s: float
    within_s: Floats | None = None

    @property
    def outer_s(self) -> Floats:
        """The edges, with the first and last segment going on beyond what was measured."""
        edges = self.edges_s.copy()
        edges[0] -= REACH * self.tick_s
        edges[-1] = max(edges[-1], self.times_s[-1]) + self.tick_s
        return edges

    @property
    def scale_j(self) -> Floats:
        """Joules by which each tick's residual counts: noise grows with power."""
        power = self.joules / np.diff(self.times_s)
        mean = self.joules.sum() / (self.times_s[-1] - self.times_s[0])
        scale = np.maximum(power, 0.2 * mean) * self.tick_s
        return np.asarray(np.where(scale > 0, scale, 1.0), np.float64)


@dataclass(frozen=True)
class Fit:
    """Powers that explain the ticks best, for one lag and transient.

    Attributes
    ----------
    power_w : array of shape (phases,)
        Power of each phase.
    seconds : array of shape (ticks, phases)
        What each tick has of each phase.
    squares : float
        Sum of the squares of what is left of the ticks near changes of phase, as shares of scale.
    """

    power_w: Floats
    seconds: Floats
    squares: float


class Regression:
    """Regresses the joules of ticks on the seconds of phases, for any lag and transient.

    Parameters
    ----------
    work : Work
        What is explained.

    Attributes
    ----------
    rate : array of shape (m,)
        Power of each segment over that of its phase.
    freedom : int
        Degrees of freedom of the residuals.
    """

    def __init__(self, work: Work) -> None:
        self.work = work
        self.rate = rate = _own_rates(work)
        self.phases = int(work.phase.max()) + 1
        into = work.phase[:, None] == np.arange(self.phases)
        self._demand = Demand(work.outer_s, into * rate[:, None])
        self._chosen = _telling(work)
        around = np.union1d(self._chosen, self._chosen + 1)
        self._times_s = work.times_s[around]
        self._starts = np.searchsorted(around, self._chosen)
        self._ends = np.searchsorted(around, self._chosen + 1)
        scale = work.scale_j[self._chosen]
        mean = work.joules.sum() / (work.times_s[-1] - work.times_s[0]) or 1.0
        self._scale = scale[:, None]
        self._prior = np.eye(self.phases) * SHRINKAGE / mean
        self._wanted = np.append(work.joules[self._chosen] / scale, np.full(self.phases, SHRINKAGE))
        self._near = np.isin(self._chosen, _near_changes(work))
        # Powers come from ticks elsewhere, too: from these, lag and transient.
        self.freedom = max(int(self._near.sum()) - 2, 1)

    def __call__(self, transient: Transient, lag_s: float) -> Fit:
        """Return the powers that fit best."""
        from scipy.optimize import nnls  # noqa: PLC0415

        joules = self._demand.joules(self._times_s - lag_s, transient)
        seconds = joules[self._ends] - joules[self._starts]
        power, _ = nnls(np.vstack([seconds / self._scale, self._prior]), self._wanted)
        # Ticks that agree better than to 1 in 10,000 tell no more than that.
        left = (self.work.joules[self._chosen] - seconds @ power) / self._scale[:, 0]
        squares = float(left[self._near] @ left[self._near]) + 1e-8 * self._chosen.size
        return Fit(power, seconds, squares)

    def likelihood(self, transient: Transient, lag_s: float) -> float:
        """Return the logarithm of that of normal residuals, of unknown variance and powers."""
        return -0.5 * self.freedom * float(np.log(self(transient, lag_s).squares))

    def residuals(self, fit: Fit) -> Floats:
        """Return what is left of each chosen tick, as shares of its scale."""
        left = self.work.joules[self._chosen] - fit.seconds @ fit.power_w
        return left / self._scale[:, 0]

    def covariance(self, fit: Fit) -> Floats:
        """Return that of the logarithms of powers, of least squares."""
        weighed = fit.seconds / self._scale * fit.power_w
        variance = fit.squares / self.freedom
        ridge = np.eye(self.phases) * SHRINKAGE**2
        inverse = np.linalg.inv(weighed.T @ weighed + ridge)
        return np.asarray(variance * inverse, np.float64)


def _telling(work: Work) -> NDArray[np.intp]:
    """Return which ticks are fitted: all of a short repeat, of a long one those near edges."""
    count = work.joules.size
    if count <= MOST_TICKS:
        return np.arange(count)
    near = _near_changes(work)
    spread = np.linspace(0, count - 1, MOST_TICKS // 3).astype(int)
    room = MOST_TICKS - spread.size
    if near.size > room:
        near = near[:: -(-near.size // room)]
    return np.asarray(np.union1d(near, spread), np.intp)


def _near_changes(work: Work) -> NDArray[np.intp]:
    """Return which ticks tell of lag and transient: those at a change of phase, and a few after."""
    changes = np.flatnonzero(np.diff(work.phase)) + 1
    if not changes.size:
        return np.arange(work.joules.size)
    at = np.searchsorted(work.times_s, work.edges_s[changes])
    return np.unique(np.clip(at[:, None] + np.arange(-1, 3), 0, work.joules.size - 1))


def _own_rates(work: Work) -> Floats:
    """Return the power of each segment over that of its phase: 1 for a short one.

    Trials of one phase differ in what they use. Only ticks well inside a segment are asked, which
    neither lag nor transient touches.
    """
    edges, times = work.edges_s, work.times_s
    counted = np.concatenate(([0.0], np.cumsum(work.joules)))
    first = np.searchsorted(times, edges[:-1] + SETTLED * work.tick_s)
    last = np.searchsorted(times, edges[1:], "right") - 1
    is_long = last > first
    first, last = np.where(is_long, first, 0), np.where(is_long, last, 0)
    joules, seconds = counted[last] - counted[first], times[last] - times[first]
    inside_s = np.bincount(work.phase, seconds)
    of_phase = np.bincount(work.phase, joules) / np.maximum(inside_s, 1e-12)
    expected = of_phase[work.phase] * seconds
    rate = np.where(expected > 0, joules / np.where(expected > 0, expected, 1.0), 1.0)
    return np.asarray(np.clip(rate, 0.1, 10.0), np.float64)
