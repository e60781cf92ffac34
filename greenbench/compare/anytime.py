"""Anytime performance: what a search has found so far, over its energy."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

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
    accuracy : array of float
        Best validation accuracy after each step, in [0, 1]; see `best_so_far`.
    """

    energy_wh: FloatArray
    accuracy: FloatArray

    @property
    def total_wh(self) -> float:
        """Energy of the whole search."""
        return float(self.energy_wh[-1])

    def accuracy_at(self, energy_wh: ArrayLike) -> FloatArray:
        """Return the best accuracy for at most so much energy, held after the last step."""
        within = np.asarray(energy_wh, dtype=float) * (1 + SLACK)
        # A trial that has not ended has found nothing: 0.
        steps = np.concatenate([[0.0], self.accuracy])
        return np.asarray(steps[np.searchsorted(self.energy_wh, within, side="right")])

    def energy_to(self, accuracy: float) -> float | None:
        """Return the energy after which the accuracy was reached; None if it never was."""
        reached = np.flatnonzero((self.accuracy >= accuracy - SLACK) & (self.accuracy > 0))
        return float(self.energy_wh[reached[0]]) if len(reached) else None

    def mean_accuracy(self, start_wh: float, end_wh: float) -> float | None:
        """Return the normalised area under the curve, in [0, 1]: its mean from start to end.

        None if the interval is empty.
        """
        if end_wh <= start_wh:
            return None
        inner = self.energy_wh[(self.energy_wh > start_wh) & (self.energy_wh < end_wh)]
        edges = np.concatenate([[start_wh], inner, [end_wh]])
        return float(np.average(self.accuracy_at(edges[:-1]), weights=np.diff(edges)))


@dataclass(frozen=True)
class Band:
    """Best-so-far curves of several searches, summed up; draw it as steps.

    Attributes
    ----------
    energy_wh : tuple of float
        From where each search has ended a step to the end of the last search.
    median, low, high : tuple of float
        Median and quartiles over the searches, in [0, 1]; a search that has ended holds its
        accuracy.
    """

    energy_wh: tuple[float, ...]
    median: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


def best_so_far(accuracies: Sequence[float | None]) -> FloatArray:
    """Return the best accuracy after each trial of a search.

    Parameters
    ----------
    accuracies : sequence of float or None
        Validation accuracies in [0, 1], in the order of the trials; None for a failed one.

    Returns
    -------
    array of float
        0, which nothing is worse than, as long as no trial has completed.
    """
    return np.maximum.accumulate([accuracy or 0.0 for accuracy in accuracies])


def band(curves: Sequence[Anytime]) -> Band:
    """Return the median and the quartiles of at least one curve, at up to 60 energies."""
    # Under a scheduler, nothing is found for a while: a line along 0 would say nothing.
    start = max(float(curve.energy_wh[np.argmax(curve.accuracy > 0)]) for curve in curves)
    end = max(float(curve.energy_wh[-1]) for curve in curves)
    rises = [curve.energy_wh[1:][np.diff(curve.accuracy) > 0] for curve in curves]
    # Nothing happens between the points, so that few of them tell all.
    points = np.unique(np.concatenate([[start, end], *rises]))
    points = points[points >= start]
    if len(points) > MOST_POINTS:
        points = points[np.linspace(0, len(points) - 1, MOST_POINTS).round().astype(int)]
    low, median, high = np.quantile(
        [curve.accuracy_at(points) for curve in curves], [0.25, 0.5, 0.75], axis=0
    )
    return Band(tuple(points.tolist()), *(tuple(m.tolist()) for m in (median, low, high)))
