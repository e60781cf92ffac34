"""What a strategy was told: a score for each configuration, the newest one."""

import math
from collections.abc import Sequence
from statistics import median

from greenbench.cases.case import Scalar
from greenbench.strategies.spaces import Hyperparameters, SearchSpace

Point = tuple[Scalar, ...]

FAR = 3.0
"""So many times as far below the median as the best is above it."""
LARGEST = 1e100
"""Beyond it differences may have no finite value."""


class Observations:
    """Configurations in the order in which they were first told, each with its newest score.

    Parameters
    ----------
    space : SearchSpace
        Names the coordinates of a point, and moves them inside its bounds.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._dimensions = space.dimensions
        self._scores: dict[Point, float | None] = {}

    def __len__(self) -> int:
        return len(self._scores)

    def __contains__(self, point: Point) -> bool:
        return point in self._scores

    def point(self, hyperparameters: Hyperparameters) -> Point:
        """Return the legal coordinates, of plain types, in the order of dimensions."""
        return tuple(each.clip(hyperparameters[each.name]) for each in self._dimensions)

    def hyperparameters(self, point: Sequence[Scalar]) -> Hyperparameters:
        """Return a point by name, with legal values."""
        pairs = zip(self._dimensions, point, strict=True)
        return {dimension.name: dimension.clip(value) for dimension, value in pairs}

    def tell(self, hyperparameters: Hyperparameters, score: float | None) -> Point:
        """Keep a score in place of an older one; what is not finite is a failure."""
        point = self.point(hyperparameters)
        self._scores[point] = float(score) if score is not None and math.isfinite(score) else None
        return point

    def score(self, point: Point) -> float:
        """Return the score of a point, the worst of all where it failed."""
        score = self._scores[point]
        return self.worst if score is None else score

    @property
    def has_score(self) -> bool:
        """Whether any did not fail."""
        return bool(self._known)

    @property
    def points(self) -> list[Point]:
        """All configurations."""
        return list(self._scores)

    @property
    def worst(self) -> float:
        """The worst score, 0 without any.

        It stands for failures. A plain 0 keeps a search further away from what fails, but makes
        a cliff that hides the differences between good scores: in simulated searches whose best
        values lay near diverging ones, it ended about twice as far from the optimum.
        """
        return min(self._known, default=0.0)

    @property
    def scores(self) -> list[float]:
        """A score for each of the points in [0, 1], failures included.

        Shares are as they were told. Scores of another range, such as negated losses, are drawn
        into it in a straight line, from the worst to the best, after those that lie far below
        were lifted: of a cliff, too, that one of a million would make, nothing else is seen.
        """
        worst = self.worst
        scores = [worst if each is None else each for each in self._scores.values()]
        return scores if all(0.0 <= each <= 1.0 for each in scores) else _drawn_in(scores)

    @property
    def _known(self) -> list[float]:
        return [each for each in self._scores.values() if each is not None]


def _drawn_in(scores: Sequence[float]) -> list[float]:
    held = [min(max(each, -LARGEST), LARGEST) for each in scores]
    best, middle = max(held), median(held)
    # Where most are equal to the best there is no measure of what is far.
    floor = middle - FAR * (best - middle) if best > middle else min(held)
    low = max(min(held), floor)
    width = best - low
    return [(max(each, low) - low) / width if width > 0 else 0.0 for each in held]
