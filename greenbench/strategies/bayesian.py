"""Bayesian search with a Gaussian process, by scikit-optimize, which is imported here alone.

Its boosted trees are not offered: they do not work with current scikit-learn.
"""

import math
import warnings
from collections.abc import Callable
from statistics import median
from typing import Any, ClassVar

import numpy as np
from scipy.optimize import fmin_l_bfgs_b
from skopt import Optimizer
from skopt.space import Categorical as Choices
from skopt.space import Integer, Real
from skopt.utils import cook_estimator
from threadpoolctl import ThreadpoolController

from greenbench.errors import SearchSpaceError
from greenbench.strategies.dimensions import AnyDimension, Categorical
from greenbench.strategies.observations import Observations, Point
from greenbench.strategies.random import Draws, initial_draws
from greenbench.strategies.spaces import Hyperparameters, SearchSpace
from greenbench.strategies.warm import WarmStart

CANDIDATES = 1000
"""Random points among which the acquisition function is searched."""

POLISHED = 2
"""Best candidates from which it is climbed."""

MARGIN = 0.01
"""Share of 1 by which an improvement must exceed the incumbent to count; see `Observations`."""

GROWTH = 1.1
"""Factor by which observations grow until the kernel's parameters are fitted again."""


class BayesianStrategy:
    """Proposes where a Gaussian process expects to improve most on the incumbent.

    The first proposals are random draws. The process is conditioned on what was told when a
    proposal is asked for, never when a score is told, so that the last score costs no energy.
    A failed trial has the worst score of all.

    A proposal must cost little beside a short training, so less is done than by the library's
    defaults: `CANDIDATES` and `POLISHED` in place of 10,000 and 5, and the kernel's parameters
    are fitted again only when observations have grown by `GROWTH`. A proposal takes a sixth
    of the CPU time in searches of 64 trials. Simulated searches ended up to about 0.0003 of
    accuracy further from the optimum of a smooth bowl; beside a narrow optimum and under noise
    no loss was found.

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

    acquisition: ClassVar[str] = "EI"

    def __init__(self, space: SearchSpace, *, trials: int, seed: int) -> None:
        self._dimensions = [_skopt_dimension(each) for each in space.dimensions]
        is_continuous = len(space.categories) < len(space.dimensions)
        # Where all is categorical, distances are Hamming's, and nothing can be climbed.
        self._acquisition_optimizer = "lbfgs" if is_continuous else "sampling"
        self._observations = Observations(space)
        self._draws = Draws(space, seed)
        self._initial = initial_draws(trials)
        self._seed = seed
        self._told = 0
        self._kernel_fit = _KernelFit()
        self._proposal: Hyperparameters | None = None
        self._threads = ThreadpoolController()

    def ask(self) -> Hyperparameters:
        """Return the next proposal; the same one until something is told."""
        if len(self._observations) < self._initial:
            return self._draws.draw()
        if self._proposal is None:
            # On matrices this small a second BLAS thread only spins: same time, twice the
            # CPU seconds, and so a search that costs more on a bigger machine.
            with self._threads.limit(limits=1, user_api="blas"), warnings.catch_warnings():
                # skopt then proposes a random point instead, which is what we want.
                warnings.filterwarnings("ignore", "The objective has been evaluated", UserWarning)
                self._proposal = self._propose()
        return dict(self._proposal)

    def tell(self, hyperparameters: Hyperparameters, score: float | None) -> None:
        """Keep a score for the next proposal; None and whatever is not finite is a failure."""
        self._observations.tell(hyperparameters, score)
        self._told += 1
        self._proposal = None

    def _propose(self) -> Hyperparameters:
        # skopt minimises.
        return self._ask_skopt(self.acquisition, [-each for each in self._observations.scores])

    def _ask_skopt(self, acquisition: str, targets: list[Any]) -> Hyperparameters:
        # A new one each time: skopt neither forgets nor replaces what it was told.
        self._kernel_fit.start(len(self._observations))
        optimizer = Optimizer(
            self._dimensions,
            base_estimator=cook_estimator(
                "GP",
                self._dimensions,
                n_restarts_optimizer=0,
                optimizer=self._kernel_fit,
            ),
            n_initial_points=0,
            acq_func=acquisition,
            acq_func_kwargs={"xi": MARGIN},
            acq_optimizer=self._acquisition_optimizer,
            acq_optimizer_kwargs={"n_points": CANDIDATES, "n_restarts_optimizer": POLISHED},
            random_state=np.random.RandomState((self._seed, self._told)),
        )
        optimizer.tell([list(point) for point in self._observations.points], targets)
        return self._observations.hyperparameters(optimizer.ask())


class BayesianPIStrategy(BayesianStrategy):
    """Proposes where an improvement on the incumbent is most probable."""

    acquisition = "PI"


class BayesianCostStrategy(BayesianStrategy):
    """Proposes where the improvement expected for a joule is greatest.

    A second Gaussian process learns the logarithm of what trials cost; a trial whose energy is
    unknown costs the median of the others. Where nothing is known, or all cost the same, it is
    the search by expected improvement.
    """

    acquisition = "EIps"

    def __init__(self, space: SearchSpace, *, trials: int, seed: int) -> None:
        super().__init__(space, trials=trials, seed=seed)
        self._energies_j: dict[Point, float] = {}

    def tell_energy(self, hyperparameters: Hyperparameters, energy_j: float | None) -> None:
        """Keep the joules of a trial in place of an older figure."""
        point = self._observations.point(hyperparameters)
        if energy_j is not None and math.isfinite(energy_j) and energy_j > 0:
            self._energies_j[point] = float(energy_j)
        else:
            self._energies_j.pop(point, None)
        self._proposal = None

    def _propose(self) -> Hyperparameters:
        scores = [-each for each in self._observations.scores]
        costs = self._relative_costs()
        if len(set(costs)) == 1:
            return self._ask_skopt("EI", scores)
        return self._ask_skopt(self.acquisition, list(zip(scores, costs, strict=True)))

    def _relative_costs(self) -> list[float]:
        known = [self._energies_j.get(point) for point in self._observations.points]
        joules = [each for each in known if each is not None] or [1.0]
        neutral, cheapest = median(joules), min(joules)
        # skopt takes the least of all scores and all logarithms of costs for the incumbent. In
        # units of the cheapest trial no logarithm is negative, and no negated score positive.
        return [(neutral if each is None else each) / cheapest for each in known]


class BayesianWarmStrategy(WarmStart):
    """Search by expected improvement that tries the published defaults first."""

    inner = BayesianStrategy


class _KernelFit:
    """Fits the parameters of kernels now and then, and keeps them meanwhile.

    It is what scikit-learn calls to optimise them, once for each output of a model.
    """

    def __init__(self) -> None:
        self._kept: list[Any] = []
        self._output = 0
        self._is_due = True
        self._next = 0

    def start(self, observations: int) -> None:
        """Begin with the first output of a model of so many observations."""
        self._output = 0
        self._is_due = observations >= self._next
        if self._is_due:
            self._next = max(observations + 1, math.floor(observations * GROWTH))

    def __call__(
        self, objective: Callable[..., Any], initial: Any, bounds: Any
    ) -> tuple[Any, float]:
        """Return the parameters of the next output, and what is of no interest."""
        output = self._output
        self._output += 1
        if output < len(self._kept) and not self._is_due:
            return self._kept[output], 0.0
        # Two starts: from the last parameters alone it would not leave a poor local optimum.
        starts = [initial, *self._kept[output : output + 1]]
        fits = [fmin_l_bfgs_b(objective, start, bounds=bounds) for start in starts]
        best = min(fits, key=lambda fit: float(fit[1]))[0]
        self._kept[output : output + 1] = [best]
        return best, 0.0

    def __deepcopy__(self, memo: dict[int, Any]) -> "_KernelFit":
        # Estimators are cloned before they are fitted; what was learned is not to be lost.
        return self


def _skopt_dimension(dimension: AnyDimension) -> Any:
    if isinstance(dimension, Categorical):
        return Choices(list(dimension.choices), transform="onehot", name=dimension.name)
    # skopt includes both bounds, so they are the outermost legal values here.
    low, high = dimension.clip(dimension.low), dimension.clip(dimension.high)
    if low >= high:
        raise SearchSpaceError(
            f"dimension {dimension.name!r} has the single legal value {low}; the bayesian "
            "strategies need at least two, so leave the dimension out"
        )
    prior = "log-uniform" if dimension.prior == "log" else "uniform"
    kind = Integer if dimension.type == "int" else Real
    # skopt does the same by itself, but not where a second process learns costs.
    return kind(low, high, prior=prior, transform="normalize", name=dimension.name)
