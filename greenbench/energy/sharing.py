"""Which powers, lag and transient explain the ticks of a counter, and what each says of segments.

The mathematics behind `greenbench.energy.ticks.apportion`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar, nnls

from greenbench.energy.lateness import Demand, Transient, transients

Floats = NDArray[np.float64]

# What an expected lag is, in ticks: its prior is exponential, since a counter may be late, but
# hardly by more than a tick.
EXPECTED_LAG = 0.2
# Standard deviation of noise over that of the prior on powers, which is as wide as their mean.
# It decides nothing but how phases that are always in the same ticks share them: alike.
SHRINKAGE = 0.01
# So many ticks tell powers, lag and transient as well as all of a long repeat do.
MOST_TICKS = 1500
MOST_MODELS = 24
# After so many ticks in a segment, lag and transient are over.
SETTLED = 3.0
# The counter's reach back into what came before, in ticks.
REACH = 40.0


@dataclass(frozen=True)
class Work:
    """What is shared out: the joules of n ticks, among m segments of phases by number."""

    times_s: Floats
    joules: Floats
    edges_s: Floats
    phase: NDArray[np.intp]
    tick_s: float

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
class Explanation:
    """One of those that are averaged.

    Attributes
    ----------
    weight : float
        How plausible it is; all weights sum to 1.
    lag_s : float
        By how much the counter runs behind.
    transient : Transient
        How power follows work.
    """

    weight: float
    lag_s: float
    transient: Transient


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


@dataclass(frozen=True)
class _Fit:
    lag_s: float
    transient: Transient
    power_w: Floats
    seconds: Floats
    squares: float
    evidence: float


def plausible(
    work: Work,
    tried: Sequence[Transient] | None = None,
    longest_s: float | None = None,
    known: Sequence[Explanation] = (),
) -> list[Model]:
    """Return what the explanations that count say, the best one first.

    For each transient the lag is fitted, and weighed by Laplace's approximation: evidence is the
    likelihood (of normal residuals of unknown variance: squares ** (-freedom / 2)) times prior,
    integrated over the lag. Three nodes of Gauss-Hermite's rule stand for each such normal.

    Parameters
    ----------
    work : Work
        What is shared out.
    tried : sequence of Transient, optional
        What power may do at edges; `transients` of the tick by default.
    longest_s : float, optional
        The longest lag that is tried, in seconds; a tick by default.
    known : sequence of Explanation, optional
        Those that earlier ticks told: only powers are fitted.
    """
    fitter = _Fitter(work, _own_rates(work))
    if known:
        fits = [(each.weight, fitter(each.transient, each.lag_s)) for each in known]
        return [_model(work, fitter, fit, weight) for weight, fit in fits]
    longest = work.tick_s if longest_s is None else longest_s
    found: list[tuple[float, _Fit]] = []
    for transient in tried or transients(work.tick_s):
        found += _laplace(partial(fitter, transient), longest)
    top = max(evidence for evidence, _ in found)
    kept = sorted(found, key=lambda each: -each[0])[:MOST_MODELS]
    kept = [(np.exp(evidence - top), fit) for evidence, fit in kept if evidence > top - 6.0]
    whole = sum(weight for weight, _ in kept)
    return [_model(work, fitter, fit, float(weight / whole)) for weight, fit in kept]


def _laplace(fit: Callable[[float], _Fit], longest_s: float) -> list[tuple[float, _Fit]]:
    """Return logarithms of weights, with fits, for one transient."""
    tried = [fit(lag) for lag in np.linspace(0.0, longest_s, 6)]
    start, apart = max(tried, key=lambda each: each.evidence), longest_s / 5
    found = minimize_scalar(
        lambda lag: -fit(lag).evidence,
        bounds=(max(start.lag_s - apart, 0.0), min(start.lag_s + apart, longest_s)),
        method="bounded",
        options={"xatol": 0.005 * longest_s},
    )
    # The minimiser never tries its bounds, and no lag at all is one of them.
    best = max(start, fit(float(found.x)), key=lambda each: each.evidence)
    step = 0.01 * longest_s
    sides = [fit(lag) for lag in (best.lag_s - step, best.lag_s + step) if lag >= 0]
    drop = float(np.mean([best.evidence - side.evidence for side in sides]))
    deviation = step / np.sqrt(max(2 * drop, (step / longest_s) ** 2))
    nodes = []
    for away, share in ((-np.sqrt(3), 1 / 6), (0.0, 2 / 3), (np.sqrt(3), 1 / 6)):
        node = fit(float(np.clip(best.lag_s + away * deviation, 0.0, longest_s)))
        # What the evidence there is over that of the normal, should it be none.
        nodes.append((node.evidence + away**2 / 2 + float(np.log(share * deviation)), node))
    return nodes


class _Fitter:
    """Regresses the joules of ticks on the seconds of phases, for any lag and transient."""

    def __init__(self, work: Work, rate: Floats) -> None:
        self.work, self.rate = work, rate
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

    def __call__(self, transient: Transient, lag_s: float) -> _Fit:
        joules = self._demand.joules(self._times_s - lag_s, transient)
        seconds = joules[self._ends] - joules[self._starts]
        power, _ = nnls(np.vstack([seconds / self._scale, self._prior]), self._wanted)
        # Ticks that agree better than to 1 in 10,000 tell no more than that.
        left = (self.work.joules[self._chosen] - seconds @ power) / self._scale[:, 0]
        squares = float(left[self._near] @ left[self._near]) + 1e-8 * self._chosen.size
        prior = float(np.log(transient.prior)) - lag_s / (EXPECTED_LAG * self.work.tick_s)
        evidence = prior - 0.5 * self.freedom * float(np.log(squares))
        return _Fit(lag_s, transient, power, seconds, squares, evidence)

    def residuals(self, fit: _Fit) -> Floats:
        """Return what is left of each chosen tick, as shares of its scale."""
        left = self.work.joules[self._chosen] - fit.seconds @ fit.power_w
        return left / self._scale[:, 0]

    def covariance(self, fit: _Fit) -> Floats:
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


def _model(work: Work, fitter: _Fitter, fit: _Fit, weight: float) -> Model:
    energy_j, slopes, within = _share(work, fit, fit.power_w[work.phase] * fitter.rate)
    left = np.abs(fitter.residuals(fit))
    # A residual is the difference of the noise of two readings: hence half of its variance.
    # At edges between phases it is as large as anywhere; else as it mostly is.
    mostly = 1.4826 * float(np.median(left)) / np.sqrt(2)
    anywhere = np.sqrt(fit.squares / fitter.freedom / 2)
    changes = np.concatenate(([False], np.diff(work.phase) != 0, [False]))
    noise = np.where(changes, anywhere, min(mostly, anywhere))
    edges_j = noise * within
    why = Explanation(weight, fit.lag_s, fit.transient)
    return Model(why, energy_j, edges_j, slopes, fitter.covariance(fit), fitter.freedom)


def _share(work: Work, fit: _Fit, power_w: Floats) -> tuple[Floats, Floats, Floats]:
    """Return joules by segment, their slopes, and by what noise counts at each edge, in joules."""
    times, edges, joules = work.times_s - fit.lag_s, work.edges_s, work.joules
    cuts = np.union1d(times, edges)
    demand = Demand(work.outer_s, power_w[:, None])
    pieces = np.maximum(np.diff(demand.joules(cuts, fit.transient)[:, 0]), 0.0)
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
