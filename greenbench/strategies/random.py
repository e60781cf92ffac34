"""Random search: independent draws from a prior."""

from typing import ClassVar, Literal

import numpy as np

from greenbench.strategies.spaces import Hyperparameters, SearchSpace


class RandomStrategy:
    """Draws each hyperparameter evenly between its bounds, independently of all before.

    That is the paper's random search, whatever priors the space has.

    Parameters
    ----------
    space : SearchSpace
        What to draw from.
    trials : int
        Ignored: there is always another draw.
    seed : int
        Decides the draws.
    """

    prior: ClassVar[Literal["uniform", "log"]] = "uniform"
    learns: ClassVar[bool] = False

    def __init__(self, space: SearchSpace, *, trials: int, seed: int) -> None:
        self._draws = Draws(space.with_prior(self.prior), seed)

    def ask(self) -> Hyperparameters:
        """Return the next draw."""
        return self._draws.draw()

    def tell(self, hyperparameters: Hyperparameters, score: float | None) -> None:
        """Learn nothing."""


class RandomLogStrategy(RandomStrategy):
    """Draws evenly over the logarithm in dimensions of two orders of magnitude."""

    prior = "log"


class Draws:
    """Independent draws from the priors of a space.

    Strategies with the same seed and priors begin with the same draws: less of the difference
    between them is then chance.

    Parameters
    ----------
    space : SearchSpace
        What to draw from.
    seed : int
        Decides the draws.
    """

    def __init__(self, space: SearchSpace, seed: int) -> None:
        self._space = space
        self._generator = np.random.default_rng(seed)

    def draw(self) -> Hyperparameters:
        """Return the next draw."""
        return self._space.draw([self._generator.random() for _ in self._space.dimensions])


def initial_draws(trials: int) -> int:
    """Return how many trials of a search are random before a model proposes."""
    # The libraries' own 10 would make a search of 8 trials a random one, and one of 12 hardly
    # better. A third leaves most of a short search to the model, which makes little of two points.
    return min(10, max(3, trials // 3))
