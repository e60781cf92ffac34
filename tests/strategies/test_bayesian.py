"""Bayesian search: better than chance, and protected from scikit-optimize's traps."""

import math
import statistics
import warnings

import pytest
from threadpoolctl import threadpool_info

from greenbench.errors import SearchSpaceError
from greenbench.strategies import Dimension, SearchSpace, bayesian
from greenbench.strategies.bayesian import BayesianStrategy
from greenbench.strategies.random import RandomStrategy
from greenbench.strategies.spaces import ADAM

ONE_RATE = SearchSpace("rate", (Dimension("learning_rate", 1e-5, 1e-1, prior="log"),))
THREE_LAYERS = SearchSpace("layers", (Dimension("layers", 1, 3, type="int"),))


def quadratic(hyperparameters):
    """Return 1 at the optimum, less by the mean squared distance on the priors' scales."""
    rate = (math.log10(hyperparameters["learning_rate"]) + 5) / 4
    beta1 = (hyperparameters["beta1"] - 0.1) / 0.9
    beta2 = (hyperparameters["beta2"] - 0.8) / 0.2
    return 1 - ((rate - 0.6) ** 2 + (beta1 - 0.8) ** 2 + (beta2 - 0.7) ** 2) / 3


def run(strategy, score, trials):
    proposals = []
    for _ in range(trials):
        proposals.append(strategy.ask())
        strategy.tell(proposals[-1], score(proposals[-1]))
    return proposals


def regret(factory, seed, trials=15):
    proposals = run(factory(ADAM, trials=trials, seed=seed), quadratic, trials)
    return 1 - max(map(quadratic, proposals))


def after(scores, seed=5):
    """Return the next proposal after a search that was told `scores`."""
    told = iter(scores)
    strategy = BayesianStrategy(ONE_RATE, trials=9, seed=seed)
    run(strategy, lambda _: next(told), len(scores))
    return strategy.ask()


def test_search_comes_much_closer_to_the_optimum_than_chance():
    seeds = range(10)
    by_model = statistics.median(regret(BayesianStrategy, seed) for seed in seeds)
    by_chance = statistics.median(regret(RandomStrategy, seed) for seed in seeds)
    assert by_model < by_chance / 4


def test_scores_are_maximised():
    proposals = run(
        BayesianStrategy(ONE_RATE, trials=9, seed=1), lambda p: p["learning_rate"] * 10, 9
    )
    assert max(p["learning_rate"] for p in proposals) > 0.09


def test_an_open_upper_bound_is_approached_and_never_reached():
    score = lambda p: (p["beta1"] + p["beta2"]) / 2  # noqa: E731
    proposals = run(BayesianStrategy(ADAM, trials=12, seed=2), score, 12)
    assert 0.99 < max(p["beta1"] for p in proposals) < 1.0
    assert 0.99 < max(p["beta2"] for p in proposals) < 1.0


def test_first_proposals_follow_the_log_prior():
    strategy = BayesianStrategy(ONE_RATE, trials=9, seed=1)
    draws = [strategy.ask()["learning_rate"] for _ in range(400)]
    assert 1e-3 / 2 < statistics.median(draws) < 1e-3 * 2


@pytest.mark.parametrize("trials", [1, 2, 8, 40])
def test_the_model_takes_over_after_a_third_of_the_trials(trials):
    strategy = BayesianStrategy(ONE_RATE, trials=trials, seed=1)
    first = strategy.ask()
    random_trials = min(10, max(3, trials // 3))
    for told in range(random_trials):
        # A model always proposes the same point until it is told more; chance does not.
        assert strategy.ask() != strategy.ask(), f"after {told} scores"
        strategy.tell(first, 0.5)
    assert strategy.ask() == strategy.ask()


@pytest.mark.parametrize("failure", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_not_finite_is_a_failure(failure):
    assert after([0.9, 0.2, failure, 0.4]) == after([0.9, 0.2, None, 0.4])


def test_a_failure_counts_as_the_worst_score_so_far():
    assert after([0.9, 0.2, None, 0.4]) == after([0.9, 0.2, 0.2, 0.4])
    assert after([0.9, 0.2, None, 0.4]) != after([0.9, 0.2, 0.9, 0.4])


def test_a_failure_before_any_score_counts_as_zero():
    assert after([None, 0.2, 0.7, 0.4]) == after([0.0, 0.2, 0.7, 0.4])


def test_equal_scores_do_not_stop_the_search():
    assert len(run(BayesianStrategy(ADAM, trials=6, seed=1), lambda _: 0.1, 6)) == 6


def test_more_trials_than_values_neither_end_nor_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        proposals = run(BayesianStrategy(THREE_LAYERS, trials=8, seed=1), lambda _: 0.5, 8)
    assert {p["layers"] for p in proposals} == {1, 2, 3}


def test_warnings_of_others_are_not_silenced():
    before = list(warnings.filters)
    run(BayesianStrategy(THREE_LAYERS, trials=5, seed=1), lambda _: 0.5, 5)
    assert list(warnings.filters) == before


def test_threads_of_others_are_not_limited():
    before = [pool["num_threads"] for pool in threadpool_info()]
    run(BayesianStrategy(ONE_RATE, trials=5, seed=1), lambda _: 0.5, 5)
    assert [pool["num_threads"] for pool in threadpool_info()] == before


@pytest.fixture
def fits(monkeypatch):
    """BLAS threads of each fit."""
    threads = []

    class WatchedOptimizer(bayesian.Optimizer):
        def tell(self, *args):
            pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
            threads.append(max(pool["num_threads"] for pool in pools))
            return super().tell(*args)

    monkeypatch.setattr(bayesian, "Optimizer", WatchedOptimizer)
    return threads


def test_the_last_score_is_not_fitted(fits):
    run(BayesianStrategy(ONE_RATE, trials=5, seed=1), lambda _: 0.5, 5)
    assert len(fits) == 4


def test_fits_use_one_blas_thread(fits):
    run(BayesianStrategy(ONE_RATE, trials=5, seed=1), lambda _: 0.5, 5)
    assert set(fits) == {1}


@pytest.mark.parametrize("prior", ["uniform", "log"])
def test_whole_numbers_reach_their_bounds_but_not_an_excluded_one(prior):
    layers = Dimension("layers", 1, 9, prior=prior, type="int", excludes_high=True)
    strategy = BayesianStrategy(SearchSpace("layers", (layers,)), trials=9, seed=1)
    draws = {strategy.ask()["layers"] for _ in range(300)}
    assert draws == set(range(1, 9))


def test_a_dimension_with_a_single_value_is_refused():
    only = Dimension("layers", 1, 2, type="int", excludes_high=True)
    with pytest.raises(SearchSpaceError, match="'layers' has the single legal value 1"):
        BayesianStrategy(SearchSpace("one", (only,)), trials=3, seed=0)
