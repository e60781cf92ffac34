"""The survey: trains what a tabular benchmark is made of, and what it is checked with."""

from collections.abc import Iterator

import numpy as np

from greenbench.errors import SearchExhaustedError
from greenbench.strategies.sobol import SobolStrategy
from greenbench.strategies.spaces import Hyperparameters, SearchSpace

SEEDS = 3
"""How often a configuration is trained whose noise is surveyed."""

AGAIN_SHARE = 1 / 6
HELD_OUT_SHARE = 1 / 8


class SurveyStrategy:
    """Covers the space evenly, trains some points again, and ends with random ones.

    The trials come in this order:

    - the design: points of a scrambled Sobol sequence;
    - its first points, `SEEDS` - 1 times again, for the noise of training: a sixth of all;
    - random points, to compare predictions with: an eighth of all.

    Parameters
    ----------
    space : SearchSpace
        What to cover.
    trials : int
        How many; see `parts`.
    seed : int
        Scrambles the sequence, and draws the random points.
    """

    def __init__(self, space: SearchSpace, *, trials: int, seed: int) -> None:
        self._proposals = _proposals(space, trials, seed)

    def ask(self) -> Hyperparameters:
        """Return the next configuration.

        Raises
        ------
        SearchExhaustedError
            If all trials were proposed.
        """
        proposal = next(self._proposals, None)
        if proposal is None:
            raise SearchExhaustedError("all points of the survey were proposed")
        return proposal

    def tell(self, hyperparameters: Hyperparameters, score: float | None) -> None:
        """Learn nothing."""


def parts(trials: int) -> tuple[int, int, int]:
    """Return how many trials are of the design, again, and held out."""
    again = int(trials * AGAIN_SHARE / (SEEDS - 1)) * (SEEDS - 1)
    held_out = int(trials * HELD_OUT_SHARE)
    return trials - again - held_out, again, held_out


def _proposals(space: SearchSpace, trials: int, seed: int) -> Iterator[Hyperparameters]:
    design, again, held_out = parts(trials)
    sobol = SobolStrategy(space, trials=design, seed=seed)
    points = [sobol.ask() for _ in range(design)]
    yield from points
    for point in points[: again // (SEEDS - 1)]:
        yield from (dict(point) for _ in range(SEEDS - 1))
    generator = np.random.default_rng((seed, 1))
    for _ in range(held_out):
        yield space.draw(generator.random(len(space.dimensions)).tolist())
