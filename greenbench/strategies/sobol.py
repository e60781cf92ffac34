"""Sobol search: a scrambled low-discrepancy sequence, by SciPy."""

from typing import ClassVar

from scipy.stats import qmc

from greenbench.strategies.spaces import Hyperparameters, SearchSpace


class SobolStrategy:
    """Proposes the points of a scrambled Sobol sequence, which cover the priors evenly.

    Parameters
    ----------
    space : SearchSpace
        What to cover.
    trials : int
        Ignored: a longer search begins with the shorter one.
    seed : int
        Scrambles the sequence.

    References
    ----------
    I. M. Sobol (1967), On the distribution of points in a cube and the approximate evaluation
    of integrals; A. B. Owen (1998), Scrambling Sobol' and Niederreiter-Xing points.
    """

    learns: ClassVar[bool] = False

    def __init__(self, space: SearchSpace, *, trials: int, seed: int) -> None:
        self._space = space
        self._sequence = qmc.Sobol(len(space.dimensions), scramble=True, rng=seed)

    def ask(self) -> Hyperparameters:
        """Return the next point."""
        position = self._sequence.random()[0]
        return self._space.draw([float(each) for each in position])

    def tell(self, hyperparameters: Hyperparameters, score: float | None) -> None:
        """Learn nothing."""
