"""What is worth its energy: the Pareto front of a score against energy, and its knee."""

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FEWEST_FOR_KNEE = 3
# Rounds away what a change of units does to the last bits, so that kneed breaks ties alike.
DECIMALS = 9


def pareto_front(energies: Sequence[float], gains: Sequence[float]) -> list[bool]:
    """Return which points no other dominates.

    A point dominates another of at least its energy and at most its gain, unless the two
    are equal: of equal points all are on the front, or none.

    Parameters
    ----------
    energies, gains : sequence of float
        Of each point, in any units and any order; a gain is a score of which more is better
        (see `greenbench.tasks.Score.gain`), such as an accuracy.
    """
    order = sorted(range(len(energies)), key=lambda i: (energies[i], -gains[i]))
    on_front = [False] * len(order)
    best: tuple[float, float] | None = None
    for i in order:
        point = (energies[i], gains[i])
        if best is None or point[1] > best[1] or point == best:
            on_front[i], best = True, point
    return on_front


def knee(energies: Sequence[float], gains: Sequence[float]) -> int | None:
    """Return the index of the point beyond which a better score gets expensive.

    It is the first point of the Pareto front at which Kneedle (Satopää et al. 2011, by kneed at
    its default sensitivity) sees a knee, and which lies above the straight line from the
    front's least energy to its best score. Both scales are linear.

    Parameters
    ----------
    energies, gains : sequence of float
        Of each point, as `pareto_front` takes them.

    Returns
    -------
    int or None
        Of equal points, the first; None if there is no such knee, or fewer than three points
        that differ are on the front.
    """
    points = list(zip(energies, gains, strict=True))
    on_front = pareto_front(energies, gains)
    front = sorted({point for point, is_on in zip(points, on_front, strict=True) if is_on})
    if len(front) < FEWEST_FOR_KNEE:
        return None
    x, y = (
        np.round((values - values[0]) / (values[-1] - values[0]), DECIMALS)
        for values in np.array(front, dtype=float).T
    )
    for position in _kneedle(x, y):
        found = x.tolist().index(position)
        if y[found] > x[found]:
            return points.index(front[found])
    return None


def _kneedle(x: NDArray[np.float64], y: NDArray[np.float64]) -> list[float]:
    # Brings matplotlib, which takes seconds.
    from kneed import KneeLocator  # noqa: PLC0415

    with warnings.catch_warnings():
        # kneed warns where there is no knee.
        warnings.simplefilter("ignore")
        locator = KneeLocator(x, y, curve="concave", direction="increasing", online=True)
    return sorted(float(position) for position in locator.all_knees)
