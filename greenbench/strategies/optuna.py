"""Optuna's samplers as strategies: tree-structured Parzen estimators, a process, CMA-ES.

Optuna is imported here alone; it comes with the extra `optuna`. Each argument is stated whose
default differs between versions of Optuna. Where no score is known yet, proposals are random.
"""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from threadpoolctl import ThreadpoolController

from greenbench.errors import MissingPackageError
from greenbench.strategies.base import refuse_categories
from greenbench.strategies.dimensions import AnyDimension, Categorical
from greenbench.strategies.observations import Observations, Point
from greenbench.strategies.random import Draws, initial_draws
from greenbench.strategies.spaces import Hyperparameters, SearchSpace
from greenbench.strategies.warm import WarmStart

try:
    import optuna

    # Optuna itself would ask for it only in the midst of a search.
    import cmaes  # noqa: F401  # isort: skip
except ModuleNotFoundError as error:
    raise MissingPackageError(
        "each of the strategies tpe, gp and cmaes", error.name or "optuna", "optuna"
    ) from error

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, TPESampler
from optuna.trial import FrozenTrial, Trial, create_trial

WORST = -sys.float_info.max
"""Ranks below every score."""


class TPEStrategy:
    """Proposes what is likely among good configurations and unlikely among the others.

    The first proposals are random draws. A failed trial has the worst score of all.

    Parameters
    ----------
    space : SearchSpace
        What to search.
    trials : int
        Length of the search, which decides how many of them are random; more may be asked.
    seed : int
        With what is told, it decides all proposals.

    References
    ----------
    J. Bergstra et al. (2011), Algorithms for hyper-parameter optimization; S. Falkner et al.
    (2018), BOHB, for the joint densities.
    """

    def __init__(self, space: SearchSpace, *, trials: int, seed: int) -> None:
        self._observations = Observations(space)
        self._distributions = _distributions(space)
        self._draws = Draws(space, seed)
        self._initial = initial_draws(trials)
        self._seed = seed
        self._told = 0
        self._threads = ThreadpoolController()

    def ask(self) -> Hyperparameters:
        """Return the next proposal."""
        if len(self._observations) < self._initial:
            return self._draws.draw()
        seed = int(np.random.SeedSequence((self._seed, self._told)).generate_state(1)[0])
        # A second BLAS thread would spin for nothing: twice the CPU seconds in the same time.
        with self._threads.limit(limits=1, user_api="blas"), _quiet():
            # A new one each time: a study does not replace the score of a finished trial.
            study = _study(self._sampler(seed))
            scored = zip(self._observations.points, self._observations.scores, strict=True)
            study.add_trials([_finished(self._distributions, *each) for each in scored])
            trial = study.ask(self._distributions)
        return self._observations.hyperparameters(list(trial.params.values()))

    def tell(self, hyperparameters: Hyperparameters, score: float | None) -> None:
        """Keep a score for the next proposal; None and whatever is not finite is a failure."""
        self._observations.tell(hyperparameters, score)
        self._told += 1

    def _sampler(self, seed: int) -> BaseSampler:
        # Its other arguments are deprecated, and warn where they are stated.
        return TPESampler(
            seed=seed,
            n_startup_trials=1,
            n_ei_candidates=24,
            multivariate=True,
            group=False,
            constant_liar=False,
        )


class GPStrategy(TPEStrategy):
    """Proposes where a Gaussian process with a prior on its kernel expects to improve most."""

    def _sampler(self, seed: int) -> BaseSampler:
        return GPSampler(
            seed=seed,
            n_startup_trials=1,
            independent_sampler=None,
            deterministic_objective=False,
            warn_independent_sampling=False,
        )


class CMAESStrategy:
    """Moves a normal distribution towards good configurations, a generation at a time.

    The first proposal is a random draw. A failed trial has the worst score told so far. Scores
    count once: those of trials that are trained further are passed over, since the generation
    that they belong to may have gone.

    Parameters
    ----------
    space : SearchSpace
        What to search.
    trials : int
        Ignored: there is always another generation.
    seed : int
        With what is told, it decides all proposals.

    Raises
    ------
    SearchSpaceError
        If a dimension is categorical.

    References
    ----------
    N. Hansen (2016), The CMA evolution strategy: a tutorial.
    """

    def __init__(self, space: SearchSpace, *, trials: int, seed: int) -> None:
        refuse_categories("cmaes", space)
        self._observations = Observations(space)
        self._distributions = _distributions(space)
        self._draws = Draws(space, seed)
        self._pending: dict[Point, Trial] = {}
        with _quiet():
            self._study = _study(
                CmaEsSampler(
                    seed=seed,
                    n_startup_trials=1,
                    independent_sampler=None,
                    # In a space of one dimension some versions draw at random, and say so.
                    warn_independent_sampling=False,
                    consider_pruned_trials=False,
                    popsize=None,
                    use_separable_cma=False,
                    with_margin=False,
                    lr_adapt=False,
                    source_trials=None,
                )
            )

    def ask(self) -> Hyperparameters:
        """Return the next proposal."""
        if not len(self._observations):
            return self._draws.draw()
        with _quiet():
            trial = self._study.ask(self._distributions)
        proposal = self._observations.hyperparameters(list(trial.params.values()))
        self._pending[self._observations.point(proposal)] = trial
        return proposal

    def tell(self, hyperparameters: Hyperparameters, score: float | None) -> None:
        """Pass on the first score of a trial; None and whatever is not finite is a failure."""
        point = self._observations.point(hyperparameters)
        trial = self._pending.pop(point, None)
        if trial is None and point in self._observations:
            return
        self._observations.tell(hyperparameters, score)
        value = self._observations.score(point)
        if not self._observations.has_score:
            # It counts by its rank alone, and whatever comes may be below 0.
            value = WORST
        with _quiet():
            if trial is None:
                self._study.add_trial(_finished(self._distributions, point, value))
            else:
                self._study.tell(trial, value)


class TPEWarmStrategy(WarmStart):
    """Parzen estimators that are told of the published defaults first."""

    inner = TPEStrategy


@contextmanager
def _quiet() -> Iterator[None]:
    """Let Optuna neither log what is no news here, nor warn of experimental arguments."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)


def _study(sampler: BaseSampler) -> optuna.Study:
    pruner = optuna.pruners.NopPruner()
    return optuna.create_study(sampler=sampler, pruner=pruner, direction="maximize")


def _finished(
    distributions: dict[str, BaseDistribution], point: Point, score: float
) -> FrozenTrial:
    params = dict(zip(distributions, point, strict=True))
    return create_trial(params=params, distributions=distributions, value=score)


def _distributions(space: SearchSpace) -> dict[str, BaseDistribution]:
    return {each.name: _distribution(each) for each in space.dimensions}


def _distribution(dimension: AnyDimension) -> BaseDistribution:
    if isinstance(dimension, Categorical):
        return CategoricalDistribution(dimension.choices)
    # Optuna includes both bounds, so they are the outermost legal values here.
    low, high = dimension.clip(dimension.low), dimension.clip(dimension.high)
    is_log = dimension.prior == "log"
    if dimension.type == "int":
        return IntDistribution(int(low), int(high), log=is_log)
    return FloatDistribution(low, high, log=is_log)
