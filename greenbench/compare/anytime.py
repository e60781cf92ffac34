"""Anytime performance: what a search has found so far, over its energy."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from greenbench.results.scores import worst_gain
from greenbench.tasks import ACCURACY, Score

FloatArray = NDArray[np.float64]

MOST_POINTS = 60
# Sums of the same energies in another order differ in their last digits.
SLACK = 1e-9


@dataclass(frozen=True)
class Anytime:
    """Best-so-far curve of one search: a step at the end of each trial or segment of one.

    Attributes
    ----------
    energy_wh : array of float
        Cumulative energy after each step, in the order of time.
    gain : array of float
        Best validation score after each step, as a gain: so that more is better; see
        `best_so_far`.
    nothing : float
        What a search counts as that has found nothing, the worst gain that there is.
    """

    energy_wh: FloatArray
    gain: FloatArray
    nothing: float = 0.0

    @property
    def total_wh(self) -> float:
        """Energy of the whole search."""
        return float(self.energy_wh[-1])

    def gain_at(self, energy_wh: ArrayLike) -> FloatArray:
        """Return the best gain for at most so much energy, held after the last step."""
        within = np.asarray(energy_wh, dtype=float) * (1 + SLACK)
        # A trial that has not ended has found nothing.
        steps = np.concatenate([[self.nothing], self.gain])
        return np.asarray(steps[np.searchsorted(self.energy_wh, within, side="right")])

    def energy_to(self, gain: float) -> float | None:
        """Return the energy after which the gain was reached; None if it never was."""
        reached = np.flatnonzero((self.gain >= gain - SLACK) & (self.gain > self.nothing))
        return float(self.energy_wh[reached[0]]) if len(reached) else None

    def mean_gain(self, start_wh: float, end_wh: float) -> float | None:
        """Return the normalised area under the curve: its mean from start to end.

        None if the interval is empty.
        """
        if end_wh <= start_wh:
            return None
        inner = self.energy_wh[(self.energy_wh > start_wh) & (self.energy_wh < end_wh)]
        edges = np.concatenate([[start_wh], inner, [end_wh]])
        return float(np.average(self.gain_at(edges[:-1]), weights=np.diff(edges)))


@dataclass(frozen=True)
class Band:
    """Best-so-far curves of several searches, summed up; draw it as steps.

    Attributes
    ----------
    energy_wh : tuple of float
        From where each search has ended a step to the end of the last search.
    median, low, high : tuple of float
        Median and quartiles of the score over the searches; a search that has ended holds its
        own. `low` is the worse one, whichever way the score points.
    """

    energy_wh: tuple[float, ...]
    median: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


def best_so_far(scores: Sequence[float | None], score: Score = ACCURACY) -> FloatArray:
    """Return the best score after each trial of a search, as a gain.

    Parameters
    ----------
    scores : sequence of float or None
        Validation scores, in the order of the trials; None for a failed one.
    score : Score
        What they are.

    Returns
    -------
    array of float
        The worst gain that there is, of accuracies 0, as long as no trial has completed.
    """
    nothing = worst_gain(score)
    gains = [nothing if each is None else score.gain(each) for each in scores]
    return np.maximum.accumulate(gains)


def band(curves: Sequence[Anytime], score: Score = ACCURACY) -> Band:
    """Return the median and the quartiles of at least one curve, at up to 60 energies."""
    # Under a scheduler, nothing is found for a while: a line along 0 would say nothing.
    start = max(float(c.energy_wh[np.argmax(c.gain > c.nothing)]) for c in curves)
    end = max(float(curve.energy_wh[-1]) for curve in curves)
    rises = [c.energy_wh[1:][c.gain[1:] > c.gain[:-1]] for c in curves]
    # Nothing happens between the points, so that few of them tell all.
    points = np.unique(np.concatenate([[start, end], *rises]))
    points = points[points >= start]
    if len(points) > MOST_POINTS:
        points = points[np.linspace(0, len(points) - 1, MOST_POINTS).round().astype(int)]
    gains = np.array([curve.gain_at(points) for curve in curves])
    # Between a figure and nothing at all there is none.
    with np.errstate(invalid="ignore"):
        low, median, high = np.quantile(gains, [0.25, 0.5, 0.75], axis=0)
    return Band(
        tuple(points.tolist()),
        *(tuple(score.gain(each) for each in found.tolist()) for found in (median, low, high)),
    )
