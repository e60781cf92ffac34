"""Random search: independent draws from the priors."""

from dataclasses import replace

import numpy as np

from greenbench.strategies.spaces import Dimension, Hyperparameters, SearchSpace


class RandomStrategy:
    """Draws each hyperparameter from its prior, independently of all before.

    Parameters
    ----------
    space : SearchSpace
        What to draw from.
    trials : int
        Ignored: there is always another draw.
    seed : int
        Decides the draws.
    """

    def __init__(self, space: SearchSpace, *, trials: int, seed: int) -> None:
        self._space = space
        self._generator = np.random.default_rng(seed)

    def ask(self) -> Hyperparameters:
        """Return the next draw."""
        return {each.name: _draw(each, self._generator.random()) for each in self._space.dimensions}

    def tell(self, hyperparameters: Hyperparameters, score: float | None) -> None:
        """Learn nothing."""


def _draw(dimension: Dimension, position: float) -> float | int:
    if dimension.type == "float":
        return dimension.at(position)
    # Half a step more on either side, lest the outermost numbers be drawn half as often.
    low, high = dimension.clip(dimension.low) - 0.5, dimension.clip(dimension.high) + 0.5
    continuous = replace(dimension, low=low, high=high, type="float", excludes_high=False)
    return dimension.clip(continuous.at(position))
