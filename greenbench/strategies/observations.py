"""What a strategy was told: a score for each configuration, the newest one."""

import math
from collections.abc import Sequence

from greenbench.strategies.spaces import Hyperparameters, SearchSpace

Point = tuple[float | int, ...]


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
        """Return the legal coordinates, plain int and float, in the order of dimensions."""
        return tuple(each.clip(hyperparameters[each.name]) for each in self._dimensions)

    def hyperparameters(self, point: Sequence[float]) -> Hyperparameters:
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
        return min((each for each in self._scores.values() if each is not None), default=0.0)

    @property
    def scores(self) -> list[float]:
        """A score for each of the points, failures included."""
        worst = self.worst
        return [worst if each is None else each for each in self._scores.values()]
