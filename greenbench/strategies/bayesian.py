"""Bayesian search: a Gaussian process and expected improvement, by scikit-optimize."""

import math
import warnings
from typing import Any

from skopt import Optimizer
from skopt.space import Integer, Real
from threadpoolctl import ThreadpoolController

from greenbench.errors import SearchSpaceError
from greenbench.strategies.spaces import Dimension, Hyperparameters, SearchSpace


class BayesianStrategy:
    """Proposes where a Gaussian process expects to improve most on the incumbent.

    The first proposals are random draws. The process is fitted when a proposal is asked
    for, never when a score is told, so that the last score costs no energy.

    A failed trial is booked with the worst score told before it, or 0 if there is none. A
    plain 0 keeps the search further away from what fails, but makes a cliff that hides the
    differences between good scores: in simulated searches whose best values lay near
    diverging ones, it ended about twice as far from the optimum.

    Parameters
    ----------
    space : SearchSpace
        Dimensions of at least two legal values each.
    trials : int
        Length of the search, which decides how many of them are random; more may be asked.
    seed : int
        From 0 to 2**32 - 1; with what is told, it decides all proposals.

    Raises
    ------
    SearchSpaceError
        If a dimension has a single legal value.
    """

    def __init__(self, space: SearchSpace, *, trials: int, seed: int) -> None:
        self._dimensions = space.dimensions
        self._optimizer: Any = Optimizer(
            [_skopt_dimension(each) for each in space.dimensions],
            base_estimator="GP",
            acq_func="EI",
            n_initial_points=_initial_points(trials),
            random_state=seed,
            model_queue_size=1,
        )
        self._news: list[tuple[list[float | int], float]] = []
        self._worst_score: float | None = None
        self._threads = ThreadpoolController()

    def ask(self) -> Hyperparameters:
        """Fit what was told since the last call, and return the next proposal."""
        # On matrices this small a second BLAS thread only spins: same time, twice the
        # CPU seconds, and so a search that costs more on a bigger machine.
        with self._threads.limit(limits=1, user_api="blas"), warnings.catch_warnings():
            # skopt then proposes a random point instead, which is what we want.
            warnings.filterwarnings("ignore", "The objective has been evaluated", UserWarning)
            self._learn()
            point = self._optimizer.ask()
        pairs = zip(self._dimensions, point, strict=True)
        return {dimension.name: dimension.clip(value) for dimension, value in pairs}

    def tell(self, hyperparameters: Hyperparameters, score: float | None) -> None:
        """Keep a score for the next fit; None and whatever is not finite is a failure."""
        point = [each.clip(hyperparameters[each.name]) for each in self._dimensions]
        if score is None or not math.isfinite(score):
            self._news.append((point, self._worst_score or 0.0))
            return
        score = float(score)
        worst = self._worst_score
        self._worst_score = score if worst is None else min(worst, score)
        self._news.append((point, score))

    def _learn(self) -> None:
        if self._news:
            points, scores = zip(*self._news, strict=True)
            # skopt minimises.
            self._optimizer.tell(list(points), [-score for score in scores])
            self._news = []


def _initial_points(trials: int) -> int:
    # skopt's own 10 would make a search of 8 trials a random one, and one of 12 hardly better.
    # A third leaves most of a short search to the model, which makes little of two points.
    return min(10, max(3, trials // 3))


def _skopt_dimension(dimension: Dimension) -> Any:
    # skopt includes both bounds, so they are the outermost legal values here.
    low, high = dimension.clip(dimension.low), dimension.clip(dimension.high)
    if low >= high:
        raise SearchSpaceError(
            f"dimension {dimension.name!r} has the single legal value {low}; the bayesian "
            "strategy needs at least two, so leave the dimension out"
        )
    prior = "log-uniform" if dimension.prior == "log" else "uniform"
    kind = Integer if dimension.type == "int" else Real
    return kind(low, high, prior=prior, name=dimension.name)
