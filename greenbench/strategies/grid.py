"""Grid search as in the paper: a regular grid, whose cells are drawn in random order."""

import math
import random
from collections.abc import Sequence
from typing import ClassVar, Literal

from greenbench.cases.case import Scalar
from greenbench.errors import SearchExhaustedError
from greenbench.strategies.dimensions import AnyDimension, Categorical
from greenbench.strategies.spaces import Hyperparameters, SearchSpace

LEVELS = 5
"""Levels a dimension (Yarally et al. 2023)."""


class GridStrategy:
    """Proposes the cells of a regular grid, each once, in seeded random order.

    Levels are equal steps apart, as in the paper, whatever priors the space has. The order does
    not depend on `trials`: a longer search begins with the shorter one.

    Parameters
    ----------
    space : SearchSpace
        Each dimension has `LEVELS` levels, or fewer whole numbers, or its choices.
    trials : int
        Ignored: the search ends when all cells are drawn.
    seed : int
        Decides the order.
    """

    prior: ClassVar[Literal["uniform", "log"]] = "uniform"
    learns: ClassVar[bool] = False

    def __init__(self, space: SearchSpace, *, trials: int, seed: int) -> None:
        dimensions = space.with_prior(self.prior).dimensions
        self._levels = {each.name: _levels(each) for each in dimensions}
        self._size = math.prod(map(len, self._levels.values()))
        self._random = random.Random(seed)
        self._drawn = 0
        self._displaced: dict[int, int] = {}

    def ask(self) -> Hyperparameters:
        """Return a cell that was not proposed before.

        Raises
        ------
        SearchExhaustedError
            If all cells were proposed.
        """
        cell = self._draw()
        proposal: Hyperparameters = {}
        for name, levels in self._levels.items():
            cell, level = divmod(cell, len(levels))
            proposal[name] = levels[level]
        return proposal

    def tell(self, hyperparameters: Hyperparameters, score: float | None) -> None:
        """Learn nothing."""

    def _draw(self) -> int:
        if self._drawn == self._size:
            raise SearchExhaustedError(f"all {self._size} cells of the grid were proposed")
        # A Fisher-Yates shuffle that stores only what it displaced: a grid of twelve
        # dimensions has 244 million cells.
        position = self._random.randrange(self._drawn, self._size)
        cell = self._displaced.get(position, position)
        self._displaced[position] = self._displaced.pop(self._drawn, self._drawn)
        self._drawn += 1
        return cell


class GridLogStrategy(GridStrategy):
    """A grid whose levels are equal ratios apart in dimensions of two orders of magnitude."""

    prior = "log"


def _levels(dimension: AnyDimension) -> Sequence[Scalar]:
    """Return the levels from the lower bound up; the upper one is excluded, as in the paper.

    Of choices each is a level.
    """
    if isinstance(dimension, Categorical):
        return dimension.choices
    if dimension.type == "int":
        numbers = range(int(dimension.clip(dimension.low)), int(dimension.clip(dimension.high)) + 1)
        if len(numbers) <= LEVELS:
            return list(numbers)
    # Levels that are close together on a log scale may round to the same whole number.
    return list(dict.fromkeys(dimension.at(level / LEVELS) for level in range(LEVELS)))
