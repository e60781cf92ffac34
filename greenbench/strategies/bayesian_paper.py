"""The paper's Bayesian search: a process with a fixed kernel, by scikit-learn."""

import warnings
from typing import ClassVar, Literal

import numpy as np
from scipy.stats import norm
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel
from threadpoolctl import ThreadpoolController

from greenbench.strategies.base import refuse_categories
from greenbench.strategies.dimensions import Dimension
from greenbench.strategies.observations import Observations
from greenbench.strategies.random import Draws
from greenbench.strategies.spaces import Hyperparameters, SearchSpace

CANDIDATES = 10_000
"""Random points of which the most promising is proposed (Yarally et al. 2023)."""

JITTER = 1e-10
"""Added to the kernel's diagonal, lest points that almost coincide make it singular."""


class BayesianPaperStrategy:
    """Proposes the random candidate that most probably improves on the incumbent.

    As in the paper: the kernel is never fitted, hyperparameters are neither scaled nor
    transformed, scores are not centred, the first proposal is random, and candidates are
    drawn evenly between the bounds, whatever priors the space has. A length scale of 1 says
    that learning rates between 0 and 0.1 all do the same, so it learns little of them.

    The original gives each observation eight times to a process without noise, whose kernel
    matrix is then singular but for the library's jitter. Here each is given once, with the
    same jitter: the predictions are the same but for a jitter that is smaller by eight.

    Parameters
    ----------
    space : SearchSpace
        What to search.
    trials : int
        Ignored: there is always another candidate.
    seed : int
        Decides the first proposal and all candidates.

    Raises
    ------
    SearchSpaceError
        If a dimension is categorical.
    """

    prior: ClassVar[Literal["uniform", "log"]] = "uniform"

    def __init__(self, space: SearchSpace, *, trials: int, seed: int) -> None:
        refuse_categories("bayesian_paper", space)
        self._space = space.with_prior(self.prior)
        self._observations = Observations(space)
        self._draws = Draws(self._space, seed)
        self._generator = np.random.default_rng((seed, 1))
        self._threads = ThreadpoolController()

    def ask(self) -> Hyperparameters:
        """Return the next proposal."""
        if not len(self._observations):
            return self._draws.draw()
        # A second BLAS thread would spin for nothing: twice the CPU seconds in the same time.
        with self._threads.limit(limits=1, user_api="blas"):
            return self._propose()

    def tell(self, hyperparameters: Hyperparameters, score: float | None) -> None:
        """Keep a score for the next proposal; a failure counts as the worst score of all."""
        self._observations.tell(hyperparameters, score)

    def _propose(self) -> Hyperparameters:
        scores = self._observations.scores
        process = GaussianProcessRegressor(
            ConstantKernel(1.0) * RBF(1.0),
            alpha=JITTER,
            optimizer=None,
            normalize_y=False,
            copy_X_train=False,
        )
        process.fit(np.array(self._observations.points, dtype=float), np.array(scores))
        numeric = [each for each in self._space.dimensions if isinstance(each, Dimension)]
        bounds = [(each.low, each.high) for each in numeric]
        low, high = np.array(bounds).T
        candidates = self._generator.uniform(low, high, (CANDIDATES, len(bounds)))
        with warnings.catch_warnings():
            # Next to an observation it is 0 but for rounding, and set to 0.
            warnings.filterwarnings("ignore", "Predicted variances smaller than 0", UserWarning)
            mean, deviation = process.predict(candidates, return_std=True)
        best = int(np.argmax(norm.cdf((mean - max(scores)) / (deviation + 1e-9))))
        return self._observations.hyperparameters(candidates[best].tolist())
